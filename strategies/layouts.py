"""How a tensor lies in memory: the same values under other strides, offsets and storages.

A layout is a function from a shape to a :class:`Geometry`. Storage that the view does not
cover is filled with values of the same table, so that code which ignores strides reads
something plausible and wrong rather than zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from strategies.shapes import Shape


class Geometry(NamedTuple):
    """Strides and offset, in elements, of a view, and the length of the storage under it."""

    stride: tuple[int, ...]
    offset: int
    storage: int


def contiguous_stride(shape: Shape) -> tuple[int, ...]:
    """Return row-major strides, in elements, as torch assigns them."""
    strides: list[int] = []
    step = 1
    for side in reversed(shape):
        strides.append(step)
        step *= max(side, 1)
    return tuple(reversed(strides))


def contiguous(shape: Shape) -> Geometry:
    """Row-major, storage exactly as large as the tensor."""
    return Geometry(contiguous_stride(shape), 0, prod(shape))


def transposed(shape: Shape) -> Geometry:
    """Column-major: all dimensions reversed in memory."""
    return Geometry(contiguous_stride(shape[::-1])[::-1], 0, prod(shape))


def permuted(shape: Shape) -> Geometry:
    """The first dimension innermost, the others in their order."""
    inner = contiguous_stride((*shape[1:], shape[0]))
    return Geometry((inner[-1], *inner[:-1]), 0, prod(shape))


def offset(shape: Shape) -> Geometry:
    """Row-major, starting three elements into a larger storage."""
    return Geometry(contiguous_stride(shape), 3, prod(shape) + 5)


def stepped(shape: Shape) -> Geometry:
    """Every second element of a row-major tensor twice as long in its last dimension."""
    return Geometry(tuple(2 * s for s in contiguous_stride(shape)), 0, 2 * prod(shape) + 1)


def channels_last(shape: Shape) -> Geometry:
    """The second dimension innermost, as torch.channels_last has it; needs rank 3 or more."""
    order = (0, *range(2, len(shape)), 1)
    packed = contiguous_stride(tuple(shape[d] for d in order))
    stride = [0] * len(shape)
    for position, dim in enumerate(order):
        stride[dim] = packed[position]
    return Geometry(tuple(stride), 0, prod(shape))


def expanded(shape: Shape) -> Geometry:
    """The first dimension has stride 0: all its slices are the same memory."""
    inner = contiguous_stride(shape[1:])
    return Geometry((0, *inner), 0, max(prod(shape[1:]), 1))


def overlapping(shape: Shape) -> Geometry:
    """Every stride is 1: neighbouring rows share all but one of their elements."""
    return Geometry((1,) * len(shape), 0, max(sum(shape) - len(shape) + 1, 1))


def doubled(shape: Shape) -> Geometry:
    """The geometry of the real or imaginary parts of a contiguous complex tensor."""
    return Geometry(tuple(2 * s for s in contiguous_stride(shape)), 1, 2 * prod(shape))


class Layout(NamedTuple):
    """A geometry by shape, the least rank at which it says something, and for which dtypes.

    ``family`` None stands for all dtypes.
    """

    geometry: Callable[[Shape], Geometry]
    least_rank: int = 0
    family: str | None = None


LAYOUTS: dict[str, Layout] = {
    "contiguous": Layout(contiguous),
    "transposed": Layout(transposed, least_rank=2),
    "permuted": Layout(permuted, least_rank=3),
    "offset": Layout(offset),
    "stepped": Layout(stepped, least_rank=1),
    "channels-last": Layout(channels_last, least_rank=3),
    "expanded": Layout(expanded, least_rank=1),
    "conjugated": Layout(contiguous, family="complex"),
    "negated": Layout(doubled, family="split"),
    "overlapping": Layout(overlapping, least_rank=2),
}
"""Layout by name. ``conjugated`` and ``negated`` set torch's lazy conj and neg bits."""

LAZY = ("conjugated", "negated")
"""Layouts whose memory holds other values than the tensor: a bit says how to read them."""

DENSE = ("contiguous", "transposed", "permuted", "channels-last")
"""Layouts without gaps or overlaps: torch's "non-overlapping and dense"."""

WRITABLE = tuple(name for name in LAYOUTS if name not in ("expanded", "overlapping"))
"""Layouts in which every element has memory of its own."""
