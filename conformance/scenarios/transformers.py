"""What laws about transformers share: layers with numbers of their own, masks, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.compare import Array
from conformance.reference import activations, derivatives, transformers
from conformance.reference.transformers import Masks, Options
from conformance.target import resolve

MASKS = st.sampled_from(("none", "boolean", "causal", "added", "heads"))
PADDING = st.sampled_from(("none", "boolean"))
HEADS = 2


def drawn(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Return multiples of 1/16 of that shape, up to 1."""
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 16).to(device)


def made(
    name: str,
    arguments: tuple[Any, ...],
    options: Mapping[str, Any],
    generator: torch.Generator,
    device: torch.device,
) -> Any:
    """Return a new layer in float64, with parameters of its own."""
    layer = resolve(f"torch.nn.{name}")(*arguments, **options).to(device, torch.float64)
    fill(layer, generator, device)
    return layer


def fill(module: torch.nn.Module, generator: torch.Generator, device: torch.device) -> None:
    """Give every parameter of a module other numbers."""
    for parameter in module.parameters():
        parameter.data.copy_(drawn(tuple(parameter.shape), generator, device))


def activation_of(name: str) -> Callable[[Array], Array]:
    """Return the function of a name, as the reference takes it."""
    known: Mapping[str, Callable[[Array], Array]] = {
        "relu": activations.relu,
        "gelu": activations.gelu,
        "tanh": np.tanh,
    }
    return known[name]


def parts_of(layer: torch.nn.Module) -> dict[str, Array]:
    """Return the parameters of a layer by their names."""
    return {name: compare.to_numpy(parameter) for name, parameter in layer.named_parameters()}


def settings_of(options: Mapping[str, Any]) -> Options:
    """Return the options as the reference takes them, for two heads."""
    activation = activation_of(options.get("activation", "relu"))
    eps = options.get("layer_norm_eps", 1e-5)
    return Options(HEADS, activation, options.get("norm_first", False), eps)


def mask_of(
    kind: str,
    queries: int,
    keys: int,
    generator: torch.Generator,
    device: torch.device,
    batch: int = 2,
) -> tuple[torch.Tensor | None, Masks]:
    """Return a mask that leaves the first key, and what it is to the reference.

    One of ``heads`` differs between the sequences of a batch and between heads.
    """
    if kind == "none":
        return None, Masks()
    if kind == "added":
        added = drawn((queries, keys), generator, device)
        return added, Masks(added=compare.to_numpy(added))
    shape = (batch * HEADS, queries, keys) if kind == "heads" else (queries, keys)
    hidden = torch.randint(0, 2, shape, generator=generator) == 1
    if kind == "causal":
        hidden = torch.ones(queries, keys, dtype=torch.bool).triu(1)
    hidden[..., 0] = False
    allowed = ~hidden.numpy()
    if kind == "heads":
        allowed = allowed.reshape(batch, HEADS, queries, keys)
    return hidden.to(device), Masks(allowed=allowed)


def padding_of(
    kind: str,
    batch: int,
    keys: int,
    generator: torch.Generator,
    device: torch.device,
    trailing: bool = False,
) -> torch.Tensor | None:
    """Return which keys of each sequence are padding, never the first; None where there are none.

    Where ``trailing``, it is at the end of a sequence alone.
    """
    if kind == "none":
        return None
    if trailing:
        lengths = torch.randint(1, keys + 1, (batch, 1), generator=generator)
        return (torch.arange(keys) >= lengths).to(device)
    hidden = torch.randint(0, 2, (batch, keys), generator=generator) == 1
    hidden[:, 0] = False
    return hidden.to(device)


def merged(
    masks: Masks, padding: torch.Tensor | None, batch: int, queries: int, keys: int
) -> Masks:
    """Return masks over (batch, head, query, key) that hide padding as well."""
    shape = (batch, HEADS, queries, keys)
    allowed = np.ones(shape, bool)
    if masks.allowed is not None:
        allowed &= masks.allowed
    if padding is not None:
        allowed &= ~compare.to_numpy(padding)[:, None, None]
    added = None if masks.added is None else np.broadcast_to(masks.added, shape)
    return Masks(allowed, added)


def ordered(x: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
    """Return a batch as the layer takes it: its first dimension, or its second."""
    return x if options.get("batch_first") else x.transpose(0, 1)


def back(x: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
    """Return a layer's result with the batch as its first dimension."""
    return x if options.get("batch_first") else x.swapaxes(0, 1)


def check_gradients(
    leaves: Mapping[str, torch.Tensor],
    function: Callable[[Mapping[str, Array]], Array],
    cotangent: Array,
    generator: torch.Generator,
) -> None:
    """Check each leaf's gradient along a random direction u of its own.

    ``<gradient, u>`` is the derivative along u of the product of the cotangent with ``function``
    of all leaves. None of them had to be given a gradient for another.
    """
    points = {name: compare.to_numpy(leaf) for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        what = f"gradient to {name}"
        compare.fact(leaf.grad is not None, leaf.requires_grad, f"whether there is a {what}")
        if leaf.grad is None:
            continue
        direction = drawn(tuple(leaf.shape), generator, torch.device("cpu")).numpy()
        moved = points | {name: points[name] + 1j * derivatives.STEP * direction}
        slope = np.imag((function(moved) * cotangent).sum()) / derivatives.STEP
        product = (leaf.grad * torch.from_numpy(direction).to(leaf.device)).sum()
        compare.close(product, np.array(slope), bound=1e-10, dtype=torch.float64, what=what)


def encoded(
    x: Array, parts: Mapping[str, Array], count: int, settings: Options, masks: Masks
) -> Array:
    """Return what so many layers of an encoder make of x, one after another."""
    for number in range(count):
        own = transformers.within(parts, f"layers.{number}")
        x = transformers.encoder_layer(x, own, settings, masks)
    return x


def decoded(
    x: Array,
    memory: Array,
    parts: Mapping[str, Array],
    count: int,
    settings: Options,
    masks: Masks,
    memory_masks: Masks,
) -> Array:
    """Return what so many layers of a decoder make of x and a memory, one after another."""
    for number in range(count):
        own = transformers.within(parts, f"layers.{number}")
        x = transformers.decoder_layer(x, memory, own, settings, masks, memory_masks)
    return x
