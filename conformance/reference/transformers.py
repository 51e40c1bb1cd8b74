"""Layers of transformers, from the figure of their paper (arXiv:1706.03762) and torch's options.

All inputs are (batch, length, features); the parts of a layer come by the names of its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conformance.reference import attention, layers

Array = npt.NDArray[Any]
Parts = Mapping[str, Array]


class Options(NamedTuple):
    """What a layer is made with."""

    heads: int
    activation: Callable[[Array], Array]
    norm_first: bool = False
    eps: float = 1e-5


class Masks(NamedTuple):
    """Over (batch, head, query, key): which keys are allowed, and what is added to the scores."""

    allowed: Any = None
    added: Any = None


UNMASKED = Masks()


def within(parts: Parts, name: str) -> dict[str, Array]:
    """Return the parts of a member, by their names within it."""
    return {k[len(name) + 1 :]: v for k, v in parts.items() if k.startswith(f"{name}.")}


def attended(query: Array, key: Array, parts: Parts, options: Options, masks: Masks) -> Array:
    """Return the attention of several heads of queries to keys, which are the values too."""
    biases = np.split(parts["in_proj_bias"], 3) if "in_proj_bias" in parts else [None] * 3
    matrices = np.split(parts["in_proj_weight"], 3)
    found, _ = attention.multi_head_attention(
        query, key, key, options.heads, (matrices[0], matrices[1], matrices[2]),
        (biases[0], biases[1], biases[2]), (parts["out_proj.weight"], parts.get("out_proj.bias")),
        allowed=masks.allowed, added=masks.added,
    )  # fmt: skip
    return found


def _fed_forward(x: Array, parts: Parts, options: Options) -> Array:
    inner = layers.linear(x, parts["linear1.weight"], parts.get("linear1.bias"))
    activated = options.activation(inner)
    return layers.linear(activated, parts["linear2.weight"], parts.get("linear2.bias"))


def _through(
    x: Array, parts: Parts, options: Options, steps: Sequence[Callable[[Array], Array]]
) -> Array:
    """Apply each step to x and add its result, with a norm before the step or after the sum."""
    for number, step in enumerate(steps, start=1):
        x = x + step(normed(x, parts, f"norm{number}", options)) if options.norm_first else (
            normed(x + step(x), parts, f"norm{number}", options)
        )  # fmt: skip
    return x


def normed(x: Array, parts: Parts, name: str, options: Options) -> Array:
    """Return x through the layer normalization of a name."""
    own = within(parts, name)
    return layers.layer_norm(x, x.shape[-1:], own["weight"], own.get("bias"), options.eps)


def encoder_layer(x: Array, parts: Parts, options: Options, masks: Masks = UNMASKED) -> Array:
    """Return self-attention and feed-forward of x, each added to its input, and normalized."""
    own = within(parts, "self_attn")
    return _through(
        x, parts, options,
        (lambda y: attended(y, y, own, options, masks), lambda y: _fed_forward(y, parts, options)),
    )  # fmt: skip


def decoder_layer(
    x: Array,
    memory: Array,
    parts: Parts,
    options: Options,
    masks: Masks = UNMASKED,
    memory_masks: Masks = UNMASKED,
) -> Array:
    """Return the same with attention to a memory between the two."""
    own, other = within(parts, "self_attn"), within(parts, "multihead_attn")
    return _through(
        x, parts, options,
        (
            lambda y: attended(y, y, own, options, masks),
            lambda y: attended(y, memory, other, options, memory_masks),
            lambda y: _fed_forward(y, parts, options),
        ),
    )  # fmt: skip
