"""Indices of a whole tensor: what may stand in ``x[...]``, and what take and index_put accept.

Basic indices are NumPy's: whole numbers, slices, None and Ellipsis, alone or in a tuple; torch
differs in one thing, a slice's step is positive. Masks and tuples of index tensors are its
advanced ones. Positions may count from the end here, unlike along one dimension
(``strategies.indices``).
"""

from __future__ import annotations

from functools import cache
from math import prod
from types import EllipsisType
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.indices import DtypeOf, index_tensor, positions_among, side_near, validate
from strategies.layouts import WRITABLE
from strategies.shapes import Shape, shapes
from strategies.tensors import tensors
from strategies.values import Array, raw_bytes

Item = int | slice | EllipsisType | None
BasicIndex = Item | tuple[Item, ...]


class TakeArguments(NamedTuple):
    """Arguments of take: reads ``source``, flattened, at ``positions``."""

    source: torch.Tensor
    positions: torch.Tensor


class IndexPutArguments(NamedTuple):
    """Arguments of index_put: ``destination[positions] = values``."""

    destination: torch.Tensor
    positions: tuple[torch.Tensor, ...]
    values: torch.Tensor


def validate_shape(function: str, shape: Shape) -> Shape:
    """Return ``shape`` as a plain tuple, or raise InvalidArgument."""
    if not isinstance(shape, tuple) or any(not isinstance(side, int) or side < 0 for side in shape):
        raise InvalidArgument(
            f"{function}(shape={shape!r}): a shape is a tuple of sides that are not negative; "
            "write (2, 3), or tuple(tensor.shape)"
        )
    return tuple(shape)


_STEPS = (None, 1, 2, 3, 9)


@cache
def slices(side: int) -> st.SearchStrategy[slice]:
    """Draw a slice of a dimension: bounds inside and outside, either end, positive steps."""
    ends = sorted({0, 1, side // 2, side, side + 2, -1, -side, -side - 2}, key=abs)
    bounds = st.sampled_from([None, *ends])
    return st.builds(slice, bounds, bounds, st.sampled_from(_STEPS))


@cache
def _items(side: int) -> st.SearchStrategy[int | slice]:
    """Draw what may index one dimension; no whole number is legal on a side of 0."""
    places = st.sampled_from([*range(side), *range(-1, -side - 1, -1)]) if side else st.nothing()
    return places | slices(side)


_NEW_AXES: tuple[tuple[int, ...], ...] = ((), (), (0,), (-1,), (1,), (0, 0), (1, -1))
"""Where None is put: the place in the tuple so far, -1 for its end."""


@st.composite
def _basic_indices(draw: st.DrawFn, shape: Shape) -> BasicIndex:
    indexed = draw(st.integers(0, len(shape)))
    ellipsis = draw(st.booleans())
    after = draw(st.integers(0, indexed)) * ellipsis  # drawn always: it shrinks independently
    items: list[Item] = [draw(_items(side)) for side in shape[: indexed - after]]
    items += [...] if ellipsis else []
    items += [draw(_items(side)) for side in shape[len(shape) - after :]]
    for place in draw(st.sampled_from(_NEW_AXES)):
        items.insert(place if place >= 0 else len(items), None)
    if len(items) == 1 and draw(st.booleans()):
        return items[0]
    return tuple(items)


def basic_indices(shape: Shape) -> st.SearchStrategy[BasicIndex]:
    """Draw an index that is legal for a tensor of ``shape``, as torch and NumPy understand it.

    Whole numbers from either end, slices with bounds inside and outside the tensor, empty
    results, None, Ellipsis and tuples of them that index some or all dimensions. Shrinks to
    ``()``, the index of the whole tensor.

    Example::

        @given(basic_indices((2, 3)))
        def test(index): x[index]
    """
    return _basic_indices(validate_shape("basic_indices", shape))


_INDEX_SHAPES = shapes(max_rank=2, max_elements=12)


def _fitting(shape: Shape, places: int, duplicates: bool) -> Shape:
    """Return ``shape``, or a vector of all places where it has too many positions for them."""
    too_many = prod(shape) > places and (places == 0 or not duplicates)
    return (places,) if too_many else shape


def _from_either_end(positions: Array, side: int, backwards: Array) -> Array:
    shift: Array = side * (backwards.reshape(positions.shape) > 0)
    counted: Array = positions - shift
    return counted


@st.composite
def _take_arguments(
    draw: st.DrawFn, dtype: DtypeOf, values: str, duplicates: bool
) -> TakeArguments:
    source = draw(tensors(dtype=dtype, shape=shapes(max_rank=3, max_elements=36), values=values))
    side = source.numel()
    shape = _fitting(draw(_INDEX_SHAPES), side, duplicates)
    raw = draw(raw_bytes(prod(shape) if duplicates else side))
    positions = positions_among(shape, side, duplicates, raw)
    backwards = np.frombuffer(raw, dtype=np.uint8)[: prod(shape)] & 128
    return TakeArguments(source, index_tensor(_from_either_end(positions, side, backwards)))


def take_arguments(
    *, dtype: DtypeOf = "any", values: str = "any", duplicates: bool = True
) -> st.SearchStrategy[TakeArguments]:
    """Draw legal arguments for take: int64 positions of any shape, negative ones included.

    ``duplicates=False`` names no element twice, from neither end.

    Example::

        @given(take_arguments())
        def test(arguments): torch.take(*arguments)
    """
    validate("take_arguments", dtype, values, duplicates)
    return _take_arguments(dtype, values, duplicates)


@st.composite
def together(draw: st.DrawFn, sides: Shape, duplicates: bool) -> list[Array]:
    """Draw positions of one shape for every side: element by element they name one place."""
    places = prod(sides)
    shape = _fitting(draw(_INDEX_SHAPES), places, duplicates)
    raw = draw(raw_bytes(prod(shape) if duplicates else places))
    flat = positions_among(shape, places, duplicates, raw)
    keys = np.frombuffer(raw, dtype=np.uint8)[: prod(shape)]
    result = []
    for d, side in enumerate(sides):
        coordinates = flat // max(prod(sides[d + 1 :]), 1) % max(side, 1)
        result.append(_from_either_end(coordinates, side, keys & (128 >> d)))
    return result


@st.composite
def crossed(draw: st.DrawFn, sides: Shape, duplicates: bool) -> list[Array]:
    """Draw a vector of positions for every side, each on an axis of its own: they broadcast."""
    result = []
    for d, side in enumerate(sides):
        length = side_near(side, draw(raw_bytes(1))[0], duplicates)
        raw = draw(raw_bytes(length if duplicates else side))
        backwards = np.frombuffer(raw, dtype=np.uint8)[:length] & 128
        vector = _from_either_end(
            positions_among((length,), side, duplicates, raw), side, backwards
        )
        result.append(vector.reshape((length, *(1 for _ in sides[d + 1 :]))))
    return result


_ARRANGEMENTS = {
    "any": (together, crossed),
    "together": (together,),
    "crossed": (crossed,),
}


def _narrowed(shape: Shape, picks: bytes) -> Shape:
    """Choose a shape that broadcasts to ``shape``: ones for sides, leading sides left out."""
    sides = [side if pick < 160 else 1 for side, pick in zip(shape, picks[1:], strict=True)]
    return tuple(sides[picks[0] % (len(shape) + 1) if picks[0] >= 160 else 0 :])


@st.composite
def _index_put_arguments(
    draw: st.DrawFn, dtype: DtypeOf, values: str, duplicates: bool, arrangement: str
) -> IndexPutArguments:
    shape = draw(shapes(min_rank=1, max_rank=3, max_elements=36))
    destination = draw(tensors(dtype=dtype, shape=shape, values=values, layouts=WRITABLE))
    indexed = draw(st.integers(1, len(shape)))
    choose = draw(st.sampled_from(_ARRANGEMENTS[arrangement]))
    positions = draw(choose(shape[:indexed], duplicates))
    written = np.broadcast_shapes(*(p.shape for p in positions)) + shape[indexed:]
    narrowed = _narrowed(written, draw(raw_bytes(1 + len(written))))
    source = draw(tensors(dtype=destination.dtype, shape=narrowed, values=values))
    return IndexPutArguments(destination, tuple(index_tensor(p) for p in positions), source)


def index_put_arguments(
    *,
    dtype: DtypeOf = "any",
    values: str = "dyadic",
    duplicates: bool = True,
    arrangement: str = "any",
) -> st.SearchStrategy[IndexPutArguments]:
    """Draw legal arguments for index_put: index tensors that broadcast, and values that do.

    One int64 tensor for each of the first dimensions, of one shape ("together") or crossing each
    other ("crossed"), as ``arrangement`` says, or "any"; negative positions included. The values
    broadcast to the places written.
    ``duplicates=False`` names no place twice, since without accumulate the result is
    otherwise undefined (``torch.Tensor.index_put_``).

    Example::

        @given(index_put_arguments(duplicates=False))
        def test(arguments): torch.index_put(*arguments)
    """
    validate("index_put_arguments", dtype, values, duplicates)
    if arrangement not in _ARRANGEMENTS:
        raise InvalidArgument(
            f"index_put_arguments(arrangement={arrangement!r}): use one of "
            f"{', '.join(_ARRANGEMENTS)}"
        )
    return _index_put_arguments(dtype, values, duplicates, arrangement)


def masks(shape: Shape) -> st.SearchStrategy[torch.Tensor]:
    """Draw a bool tensor of ``shape``, in any layout. Shrinks to all False.

    Example::

        @given(masks((2, 3)))
        def test(mask): x[mask]
    """
    return tensors(dtype=torch.bool, shape=validate_shape("masks", shape))


@st.composite
def _broadcastable_masks(draw: st.DrawFn, shape: Shape) -> torch.Tensor:
    narrowed = _narrowed(shape, draw(raw_bytes(1 + len(shape))))
    return draw(masks(narrowed))


def broadcastable_masks(shape: Shape) -> st.SearchStrategy[torch.Tensor]:
    """Draw a bool tensor that broadcasts to ``shape``, for masked_fill and masked_select.

    Example::

        @given(broadcastable_masks((2, 3)))
        def test(mask): x.masked_fill(mask, 0)
    """
    return _broadcastable_masks(validate_shape("broadcastable_masks", shape))
