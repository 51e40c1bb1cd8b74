"""Index tensors: legal arguments for the scatter and gather families, and illegal ones.

torch.Tensor.scatter_ documents the rule that all of these follow: index, source and self
have the same rank; ``index.size(d) <= source.size(d)`` for every d, and
``index.size(d) <= self.size(d)`` for every d other than dim.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device
from strategies.dtypes import dtypes
from strategies.layouts import WRITABLE
from strategies.shapes import Shape, dims, shapes
from strategies.tensors import tensors
from strategies.values import Array, raw_bytes


class ScatterArguments(NamedTuple):
    """Arguments of a scatter: ``self`` is called ``destination`` here."""

    destination: torch.Tensor
    dim: int
    positions: torch.Tensor
    source: torch.Tensor


class GatherArguments(NamedTuple):
    """Arguments of a gather: reads ``source`` at ``index`` along ``dim``."""

    source: torch.Tensor
    dim: int
    positions: torch.Tensor


class BadIndex(NamedTuple):
    """A legal call's arguments and, beside them, one index that must be rejected."""

    arguments: ScatterArguments
    illegal_index: torch.Tensor


def _index_tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.int64)).to(current_device())


def _index_shape(limit: Shape, axis: int, picks: bytes) -> Shape:
    """Choose each side of an index: the limit itself first, then others, rarely 0.

    Along ``axis`` an index may also be longer than what it indexes.
    """
    sides = []
    for d, side in enumerate(limit):
        longer = (side + 1, side + 3) if d == axis else ()
        others = (*range(1, side), *longer) if side else ()
        if not others or picks[d] < 96:
            sides.append(side)
        else:
            sides.append(0 if picks[d] >= 248 else others[picks[d] % len(others)])
    return tuple(sides)


def _any_positions(shape: Shape, side: int, raw: bytes) -> Array:
    chosen = np.frombuffer(raw, dtype=np.uint8).reshape(shape).astype(np.int64)
    return chosen % side if side else chosen


def _distinct_positions(shape: Shape, axis: int, side: int, raw: bytes) -> Array:
    """Positions that never repeat along ``axis``: the stable ranks of random keys."""
    full = tuple(side if d == axis else extent for d, extent in enumerate(shape))
    keys = np.frombuffer(raw, dtype=np.uint8)
    keys = np.resize(keys, int(np.prod(full))).reshape(full)
    order = np.argsort(keys, axis=axis, kind="stable") if keys.size else keys.astype(np.int64)
    return order[tuple(slice(extent) for extent in shape)]


@cache
def _shape_of_rank(min_side: int) -> st.SearchStrategy[Shape]:
    return shapes(max_rank=3, min_side=min_side, max_elements=36)


@st.composite
def _scatter_arguments(
    draw: st.DrawFn, dtype: str, duplicates: bool, values: str, larger_source: bool
) -> ScatterArguments:
    drawn = draw(dtypes(dtype))
    destination = draw(
        tensors(dtype=drawn, shape=_shape_of_rank(0), values=values, layouts=WRITABLE)
    )
    shape = tuple(destination.shape)
    dim = draw(dims(len(shape)))
    axis = dim % max(len(shape), 1)
    picks = draw(raw_bytes(2 * max(len(shape), 1)))
    if not shape:
        index_shape: Shape = ()
        raw = b"\0"
        positions = np.zeros((), dtype=np.int64)
    else:
        index_shape = _index_shape(shape, axis, picks)
        side = shape[axis]
        if not duplicates:
            index_shape = tuple(
                min(extent, side) if d == axis else extent for d, extent in enumerate(index_shape)
            )
            largest = int(np.prod([side if d == axis else e for d, e in enumerate(index_shape)]))
            raw = draw(raw_bytes(largest))
            positions = _distinct_positions(index_shape, axis, side, raw)
        else:
            raw = draw(raw_bytes(int(np.prod(index_shape))))
            positions = _any_positions(index_shape, side, raw)
    source_shape = tuple(
        extent + (larger_source and picks[len(shape) + d] % 3 == 2)
        for d, extent in enumerate(index_shape)
    )
    source = draw(tensors(dtype=drawn, shape=source_shape, values=values))
    return ScatterArguments(destination, dim, _index_tensor(positions), source)


def scatter_arguments(
    *,
    dtype: str = "any",
    duplicates: bool = True,
    values: str = "dyadic",
    larger_source: bool = True,
) -> st.SearchStrategy[ScatterArguments]:
    """Draw legal arguments for scatter, scatter_add and their in-place forms.

    The index may be smaller than source and destination, empty, or longer than the
    destination along ``dim``; the source may be larger than the index; dim may be negative.
    ``duplicates=False`` gives an index that names no position twice, for operations whose
    result is otherwise unspecified; ``larger_source=False`` a source of the index's shape.

    Example::

        @given(scatter_arguments(dtype="floating", duplicates=False))
        def test(arguments): ...
    """
    return _scatter_arguments(dtype, duplicates, values, larger_source)


@st.composite
def _gather_arguments(draw: st.DrawFn, dtype: str, values: str) -> GatherArguments:
    source = draw(tensors(dtype=dtype, shape=_shape_of_rank(0), values=values))
    shape = tuple(source.shape)
    dim = draw(dims(len(shape)))
    if not shape:
        return GatherArguments(source, dim, _index_tensor(np.zeros((), dtype=np.int64)))
    axis = dim % len(shape)
    index_shape = _index_shape(shape, axis, draw(raw_bytes(len(shape))))
    raw = draw(raw_bytes(int(np.prod(index_shape))))
    return GatherArguments(
        source, dim, _index_tensor(_any_positions(index_shape, shape[axis], raw))
    )


def gather_arguments(
    *, dtype: str = "any", values: str = "any"
) -> st.SearchStrategy[GatherArguments]:
    """Draw legal arguments for gather: any index shape, duplicates, negative dims.

    Example::

        @given(gather_arguments())
        def test(arguments): torch.gather(*arguments)
    """
    return _gather_arguments(dtype, values)


@st.composite
def _illegal_scatter_indices(draw: st.DrawFn, dtype: str) -> BadIndex:
    shape = draw(shapes(min_rank=1, max_rank=3, min_side=1, max_elements=27))
    destination = draw(tensors(dtype=dtype, shape=shape, layouts=WRITABLE))
    dim = draw(dims(len(shape)))
    side = shape[dim]
    source = draw(tensors(dtype=destination.dtype, shape=shape, layouts=WRITABLE))
    count = int(np.prod(shape))
    legal = _any_positions(shape, side, draw(raw_bytes(count)))
    where = draw(st.integers(0, count - 1))
    beyond = draw(st.sampled_from([side, -1, side + 1, -side - 1, 2**40]))
    illegal = legal.copy()
    illegal.flat[where] = beyond
    arguments = ScatterArguments(destination, dim, _index_tensor(legal), source)
    return BadIndex(arguments, _index_tensor(illegal))


def illegal_scatter_indices(*, dtype: str = "numeric") -> st.SearchStrategy[BadIndex]:
    """Draw a legal scatter and, beside it, an index with one position out of range.

    Negative positions are out of range too: scatter and gather document indices between 0
    and ``self.size(dim) - 1`` inclusive.

    Example::

        @given(illegal_scatter_indices())
        def test(bad): ...
    """
    if dtype not in ("numeric", "real", "floating", "integral", "differentiable", "any"):
        raise InvalidArgument(f"illegal_scatter_indices(dtype={dtype!r}): not a family of dtypes")
    return _illegal_scatter_indices(dtype)
