"""Modes that transform a function: functionalize, vmap, and forward mode under zero tangents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from conformance.modes.mode import Arguments, Function, Keywords, Mode, Refusal


def functionalized(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Call a function without its intermediate mutations and views, which must not show."""
    return torch.func.functionalize(function)(*arguments, **keywords)


def mapped(
    function: Function,
    arguments: Arguments,
    keywords: Keywords,
    device: torch.device,
    *,
    batch: int,
) -> Any:
    """Call a function on a batch through ``torch.vmap`` and return the result of its last place.

    A batch of one holds the arguments themselves, so that what is written reaches them. Of
    several, the others are neighbours that must not show in the result: the arguments' values
    in reverse order where that is a legal call of torch's own, else the same arguments.
    """
    leaves, spec = tree_flatten((arguments, keywords))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    if not places:
        raise NotImplementedError("vmap needs a tensor among the arguments")
    originals = [leaves[n] for n in places]
    if batch == 1:
        batches = [tensor.unsqueeze(0) for tensor in originals]
    else:
        neighbours = _neighbours(function, leaves, spec, places)
        pairs = zip(neighbours, originals, strict=True)
        batches = [torch.stack([n] * (batch - 1) + [t]) for n, t in pairs]
    versions = [tensor._version for tensor in batches]
    shape: list[Any] = []

    def on_slices(*slices: torch.Tensor) -> list[Any]:
        filled = list(leaves)
        for n, one in zip(places, slices, strict=True):
            filled[n] = one
        positional, named = tree_unflatten(filled, spec)
        results, form = tree_flatten(function(*positional, **named))
        found = [n for n, one in enumerate(slices) for r in results if r is one]
        same = [next((n for n, one in enumerate(slices) if r is one), None) for r in results]
        shape[:] = [form, results, same, found]
        return [r for r in results if isinstance(r, torch.Tensor)]

    computed = list(torch.vmap(on_slices, randomness="same")(*batches))
    if batch > 1 and versions != [tensor._version for tensor in batches]:
        raise NotImplementedError("a write into a batch of several cannot reach the argument")
    form, results, same, _ = shape
    for n, result in enumerate(results):
        if isinstance(result, torch.Tensor):
            last = computed.pop(0)[-1]
            results[n] = last if same[n] is None else originals[same[n]]
    return tree_unflatten(results, form)


def _neighbours(
    function: Function, leaves: list[Any], spec: Any, places: list[int]
) -> list[torch.Tensor]:
    """The tensors in reverse order, or as they are where the function may not take them so."""
    filled = list(leaves)
    with torch.no_grad():
        for n in places:
            filled[n] = leaves[n].detach().flip(tuple(range(leaves[n].dim())))
        neighbours = [filled[n].clone() for n in places]
        if str(getattr(function, "__module__", "torch")).partition(".")[0] == "torch":
            positional, named = tree_unflatten(filled, spec)
            with torch.random.fork_rng(devices=[]):
                try:
                    function(*positional, **named)
                except Exception:
                    return [leaves[n].detach() for n in places]
            return neighbours
    return [leaves[n].detach() for n in places]


def under_zero_tangents(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Call a function on dual numbers whose tangents are zero: primals stay, tangents vanish.

    A tangent may be nan, where an infinite derivative meets the zero.
    """
    leaves, spec = tree_flatten((arguments, keywords))
    originals: dict[int, torch.Tensor] = {}
    with forward_ad.dual_level():

        def dual(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor) or not (
                leaf.is_floating_point() or leaf.is_complex()
            ):
                return leaf
            made = forward_ad.make_dual(leaf, torch.zeros_like(leaf))
            originals[id(made)] = leaf
            return made

        duals = [dual(leaf) for leaf in leaves]

        def primal(result: Any) -> Any:
            if not isinstance(result, torch.Tensor):
                return result
            found, tangent = forward_ad.unpack_dual(result)
            if tangent is not None and not bool(((tangent == 0) | tangent.isnan()).all()):
                raise AssertionError(f"zero tangents gave a tangent of {tangent}")
            return originals.get(id(result), found)

        positional, named = tree_unflatten(duals, spec)
        return tree_map(primal, function(*positional, **named))


def batches() -> Mapping[str, Mapping[str, Any]]:
    """Return the sizes of batches that can be asked for; one if none is."""
    return {"": {"batch": 1}, "2": {"batch": 2}, "3": {"batch": 3}}


_VMAP = "https://docs.pytorch.org/docs/stable/func.ux_limitations.html#vmap-limitations"

FUNCTIONALIZE = Mode(
    "functionalize",
    "torch.func.functionalize of each function that a law runs",
    "torch.func.functionalize",
    call=functionalized,
)
VMAP = Mode(
    "vmap",
    "torch.vmap over a batch of one, or of several: vmap, vmap:2, vmap:3",
    "torch.vmap",
    call=mapped,
    parameters=batches,
)
FORWARD_AD = Mode(
    "forward-ad",
    "dual numbers under zero tangents: primals as they are, tangents zero",
    "torch.autograd.forward_ad.dual_level",
    call=under_zero_tangents,
    refusals=(
        Refusal(
            "RuntimeError",
            "Nested forward mode AD is not supported at the moment",
            "https://docs.pytorch.org/docs/stable/generated/"
            "torch.autograd.forward_ad.dual_level.html",
        ),
    ),
)

MODES = (FUNCTIONALIZE, VMAP, FORWARD_AD)
