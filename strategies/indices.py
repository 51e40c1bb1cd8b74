"""Index tensors along one dimension: legal arguments for what reads or writes by them.

torch.Tensor.scatter_ documents the rule that scatter and gather follow: index, source and
self have the same rank; ``index.size(d) <= source.size(d)`` for every d, and
``index.size(d) <= self.size(d)`` for every d other than dim. Positions are int64, and int32
too where torch documents both; none is negative.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device
from strategies.dtypes import FAMILIES
from strategies.layouts import LAYOUTS, WRITABLE
from strategies.shapes import Shape, dims, shapes
from strategies.tensors import tensors
from strategies.values import KINDS, Array, raw_bytes


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


class IndexSelectArguments(NamedTuple):
    """Arguments of index_select: reads the slices of ``source`` at ``positions`` along ``dim``."""

    source: torch.Tensor
    dim: int
    positions: torch.Tensor


class IndexWriteArguments(NamedTuple):
    """Arguments of index_add and index_copy: slice i of ``source`` goes to ``positions[i]``."""

    destination: torch.Tensor
    dim: int
    positions: torch.Tensor
    source: torch.Tensor


class TakeAlongDimArguments(NamedTuple):
    """Arguments of take_along_dim: reads ``source``, flattened where ``dim`` is None."""

    source: torch.Tensor
    positions: torch.Tensor
    dim: int | None


DtypeOf = str | torch.dtype
"""Of which dtype the tensors are: a family of :func:`dtypes`, or one dtype."""

_LONG = (torch.int64,)
_LONG_OR_INT = (torch.int64, torch.int32)


def index_tensor(values: Array) -> torch.Tensor:
    """Return positions as an int64 tensor on the current target's device."""
    return torch.from_numpy(np.array(values, dtype=np.int64)).to(current_device())


def validate(function: str, dtype: DtypeOf, values: str, duplicates: bool = True) -> None:
    """Raise InvalidArgument for what the strategies of arguments do not know."""
    if not isinstance(dtype, torch.dtype) and dtype not in FAMILIES:
        raise InvalidArgument(
            f"{function}(dtype={dtype!r}): no such family; use one of {', '.join(FAMILIES)}"
        )
    if values not in KINDS:
        raise InvalidArgument(f"{function}(values={values!r}): use one of {', '.join(KINDS)}")
    if not isinstance(duplicates, bool):
        raise InvalidArgument(f"{function}(duplicates={duplicates!r}): use True or False")


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


def _sources(dtype: torch.dtype, shape: Shape, values: str) -> st.SearchStrategy[torch.Tensor]:
    """Draw what is written: any layout, but where all values differ, one that repeats none."""
    layouts = WRITABLE if values == "distinct" else tuple(LAYOUTS)
    return tensors(dtype=dtype, shape=shape, values=values, layouts=layouts)


@cache
def _shape_of_rank(min_side: int) -> st.SearchStrategy[Shape]:
    return shapes(max_rank=3, min_side=min_side, max_elements=36)


@st.composite
def _scatter_arguments(
    draw: st.DrawFn, dtype: DtypeOf, duplicates: bool, values: str, larger_source: bool
) -> ScatterArguments:
    destination = draw(
        tensors(dtype=dtype, shape=_shape_of_rank(0), values=values, layouts=WRITABLE)
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
    source = draw(_sources(destination.dtype, source_shape, values))
    return ScatterArguments(destination, dim, index_tensor(positions), source)


def scatter_arguments(
    *,
    dtype: DtypeOf = "any",
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
    validate("scatter_arguments", dtype, values, duplicates)
    return _scatter_arguments(dtype, duplicates, values, larger_source)


@st.composite
def _gather_arguments(draw: st.DrawFn, dtype: DtypeOf, values: str) -> GatherArguments:
    source = draw(tensors(dtype=dtype, shape=_shape_of_rank(0), values=values))
    shape = tuple(source.shape)
    dim = draw(dims(len(shape)))
    if not shape:
        return GatherArguments(source, dim, index_tensor(np.zeros((), dtype=np.int64)))
    axis = dim % len(shape)
    index_shape = _index_shape(shape, axis, draw(raw_bytes(len(shape))))
    raw = draw(raw_bytes(int(np.prod(index_shape))))
    return GatherArguments(source, dim, index_tensor(_any_positions(index_shape, shape[axis], raw)))


def gather_arguments(
    *, dtype: DtypeOf = "any", values: str = "any"
) -> st.SearchStrategy[GatherArguments]:
    """Draw legal arguments for gather: any index shape, duplicates, negative dims.

    Example::

        @given(gather_arguments())
        def test(arguments): torch.gather(*arguments)
    """
    validate("gather_arguments", dtype, values)
    return _gather_arguments(dtype, values)


def side_near(side: int, pick: int, duplicates: bool) -> int:
    """Choose how many positions index a ``side``: no more than it has if none may repeat."""
    length = _index_shape((side,), 0, bytes([pick]))[0]
    return length if duplicates else min(length, side)


def positions_among(shape: Shape, side: int, duplicates: bool, raw: bytes) -> Array:
    """Turn bytes into positions in 0 .. side - 1: one for each byte, or distinct ones."""
    if duplicates:
        return _any_positions(shape, side, raw)
    return _distinct_positions((prod(shape),), 0, side, raw).reshape(shape)


@st.composite
def _vectors(
    draw: st.DrawFn, shape: Shape, dim: int, duplicates: bool, kinds: tuple[torch.dtype, ...]
) -> torch.Tensor:
    """Draw a vector of positions along ``dim``; along a tensor of rank 0 it is just [0]."""
    side = shape[dim] if shape else 1
    length = side_near(side, draw(raw_bytes(1))[0], duplicates) if shape else 1
    raw = draw(raw_bytes(length if duplicates else side))
    positions = index_tensor(positions_among((length,), side, duplicates, raw))
    return positions.to(draw(st.sampled_from(kinds)))


@st.composite
def _index_select_arguments(
    draw: st.DrawFn, dtype: DtypeOf, values: str, duplicates: bool
) -> IndexSelectArguments:
    source = draw(tensors(dtype=dtype, shape=_shape_of_rank(0), values=values))
    dim = draw(dims(source.dim()))
    positions = draw(_vectors(tuple(source.shape), dim, duplicates, _LONG_OR_INT))
    return IndexSelectArguments(source, dim, positions)


def index_select_arguments(
    *, dtype: DtypeOf = "any", values: str = "any", duplicates: bool = True
) -> st.SearchStrategy[IndexSelectArguments]:
    """Draw legal arguments for index_select: a vector of positions, shorter or longer than dim.

    Positions are int64 or int32 ("IntTensor or LongTensor", torch.index_select) and never
    negative; ``duplicates=False`` names none twice.

    Example::

        @given(index_select_arguments())
        def test(arguments): torch.index_select(*arguments)
    """
    validate("index_select_arguments", dtype, values, duplicates)
    return _index_select_arguments(dtype, values, duplicates)


@st.composite
def _index_write_arguments(
    draw: st.DrawFn, dtype: DtypeOf, values: str, duplicates: bool, kinds: tuple[torch.dtype, ...]
) -> IndexWriteArguments:
    destination = draw(
        tensors(dtype=dtype, shape=_shape_of_rank(0), values=values, layouts=WRITABLE)
    )
    dim = draw(dims(destination.dim()))
    positions = draw(_vectors(tuple(destination.shape), dim, duplicates, kinds))
    shape = list(destination.shape)
    if shape:
        shape[dim] = len(positions)
    source = draw(_sources(destination.dtype, tuple(shape), values))
    return IndexWriteArguments(destination, dim, positions, source)


def index_add_arguments(
    *, dtype: DtypeOf = "any", values: str = "dyadic", duplicates: bool = True
) -> st.SearchStrategy[IndexWriteArguments]:
    """Draw legal arguments for index_add: as many slices in the source as there are positions.

    Positions are int64 or int32 (``torch.Tensor.index_add_``), distinct with ``duplicates=False``.

    Example::

        @given(index_add_arguments(dtype="numeric"))
        def test(arguments): torch.index_add(*arguments)
    """
    validate("index_add_arguments", dtype, values, duplicates)
    return _index_write_arguments(dtype, values, duplicates, _LONG_OR_INT)


def index_copy_arguments(
    *, dtype: DtypeOf = "any", values: str = "dyadic", duplicates: bool = True
) -> st.SearchStrategy[IndexWriteArguments]:
    """Draw legal arguments for index_copy; without the source, they are index_fill's.

    Positions are int64 (``torch.Tensor.index_copy_``); ``duplicates=False`` names none twice,
    since the result of index_copy is otherwise unspecified.

    Example::

        @given(index_copy_arguments(duplicates=False))
        def test(arguments): torch.index_copy(*arguments)
    """
    validate("index_copy_arguments", dtype, values, duplicates)
    return _index_write_arguments(dtype, values, duplicates, _LONG)


def _broadcasting_sides(shape: Shape, axis: int, length: int, picks: bytes) -> Shape:
    """Choose each side but ``axis``: the side itself, or what broadcasts with it."""
    others = [
        side if pick < 160 else 1 if side != 1 else 2 + pick % 2
        for side, pick in zip(shape, picks, strict=True)
    ]
    return (*others[:axis], length, *others[axis + 1 :])


@st.composite
def _take_along_dim_arguments(
    draw: st.DrawFn, dtype: DtypeOf, values: str, duplicates: bool, flat: bool | None
) -> TakeAlongDimArguments:
    drawn = shapes(min_rank=int(flat is False), max_rank=3, max_elements=36)
    source = draw(tensors(dtype=dtype, shape=drawn, values=values))
    if flat is None:
        flat = not source.dim() or draw(st.sampled_from([False, False, False, True]))
    shape = (source.numel(),) if flat else tuple(source.shape)
    dim = draw(dims(len(shape)))
    axis = dim % len(shape)
    side = shape[axis]
    picks = draw(raw_bytes(1 + len(shape)))
    length = side_near(side, picks[0], duplicates)
    index_shape = _broadcasting_sides(shape, axis, length, picks[1:])
    raw = draw(raw_bytes(prod(index_shape)))
    if duplicates:
        positions = _any_positions(index_shape, side, raw)
    else:
        positions = _distinct_positions(index_shape, axis, side, raw)
    return TakeAlongDimArguments(source, index_tensor(positions), None if flat else dim)


def take_along_dim_arguments(
    *,
    dtype: DtypeOf = "any",
    values: str = "any",
    duplicates: bool = True,
    flat: bool | None = None,
) -> st.SearchStrategy[TakeAlongDimArguments]:
    """Draw legal arguments for take_along_dim: source and positions broadcast but along dim.

    Positions are int64 ("Must have long dtype", torch.take_along_dim) and not negative, which
    the documentation does not offer. dim is None for sources of rank 0, and for some others;
    always with ``flat=True``, never with ``flat=False``. ``duplicates=False`` names no position
    twice along dim.

    Example::

        @given(take_along_dim_arguments())
        def test(arguments): torch.take_along_dim(*arguments)
    """
    validate("take_along_dim_arguments", dtype, values, duplicates)
    return _take_along_dim_arguments(dtype, values, duplicates, flat)
