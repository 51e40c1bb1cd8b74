"""Tensors of arbitrary strides, and legal calls of the operations that return views of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device
from strategies.dtypes import dtypes
from strategies.layouts import Geometry
from strategies.shapes import MAX_RANK, Shape, dim_tuples, dims, permutations, reshapes, shapes
from strategies.storages import elements_stored
from strategies.subscripts import basic_indices
from strategies.tensors import from_storage
from strategies.values import bytes_for, decode, raw_bytes


class ViewCall(NamedTuple):
    """A tensor, and the other arguments of a call that views it."""

    tensor: torch.Tensor
    arguments: tuple[Any, ...]


_GAP, _REPEATED = 3, 15


def _geometry(shape: Shape, order: tuple[int, ...], picks: bytes, repeats: bool) -> Geometry:
    """Dimensions in any order in memory, some with a gap after them, some of stride 0."""
    stride = [0] * len(shape)
    step = 1 + picks[-1] // 64 // 3
    for dim in reversed(order):
        if repeats and picks[dim] % 16 == _REPEATED:
            continue
        stride[dim] = step
        step *= max(shape[dim], 1) + (picks[dim] % 4 == _GAP)
    offset = picks[-1] % 4
    reach = sum(max(side - 1, 0) * step for side, step in zip(shape, stride, strict=True))
    return Geometry(tuple(stride), offset, offset + reach + 1 + picks[-1] // 16 % 4)


@st.composite
def _strided_tensors(
    draw: st.DrawFn,
    dtype: str | torch.dtype,
    values: str,
    shape: st.SearchStrategy[Shape],
    repeats: bool,
) -> torch.Tensor:
    drawn_dtype, sides = draw(_as_dtypes(dtype)), draw(shape)
    order = tuple(dim % len(sides) for dim in draw(_orders(len(sides))))
    picks = draw(raw_bytes(len(sides) + 1))
    geometry = _geometry(sides, order, picks, repeats)
    raw = draw(bytes_for(geometry.storage, drawn_dtype, values))
    flat, view = decode(raw, drawn_dtype, values), picks[-1] // 4 % 2 == 1
    return from_storage(flat, drawn_dtype, sides, geometry, current_device(), view=view)


def _as_dtypes(dtype: str | torch.dtype) -> st.SearchStrategy[torch.dtype]:
    return dtypes(dtype) if isinstance(dtype, str) else st.just(dtype)


@cache
def _orders(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    return permutations(rank) if rank <= MAX_RANK else st.permutations(range(rank)).map(tuple)


def strided_tensors(
    *,
    dtype: str | torch.dtype = "any",
    values: str = "any",
    shape: st.SearchStrategy[Shape] | None = None,
    repeats: bool = False,
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor whose dimensions lie in any order, with gaps, from any offset.

    More geometries than ``tensors`` has: some dimensions can be merged and others not.
    ``repeats`` gives some dimensions stride 0. Shrinks to a contiguous scalar.

    Example::

        @given(strided_tensors())
        def test(tensor): tensor.reshape(-1)
    """
    return _strided_tensors(dtype, values, shapes() if shape is None else shape, repeats)


@st.composite
def _row_tensors(
    draw: st.DrawFn, dtype: str | torch.dtype, unit: int, most: int, min_side: int
) -> torch.Tensor:
    drawn_dtype = draw(_as_dtypes(dtype))
    outer = draw(shapes(max_rank=3, min_side=min_side, max_elements=16))
    row = draw(st.integers(1, most)) * unit
    order = draw(_orders(len(outer)))
    inner = _geometry(outer, tuple(d % len(outer) for d in order), draw(raw_bytes(5)), False)
    stride = (*(step * row for step in inner.stride), 1)
    geometry = Geometry(stride, inner.offset * row, inner.storage * row)
    flat = decode(draw(bytes_for(geometry.storage, drawn_dtype, "any")), drawn_dtype, "any")
    return from_storage(flat, drawn_dtype, (*outer, row), geometry, current_device())


def row_tensors(
    *, dtype: str | torch.dtype, unit: int, most: int = 3, min_side: int = 0
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor whose last dimension is 1 to ``most`` units of ``unit`` neighbours in memory.

    The offset and all other strides are multiples of its length, so of ``unit``. Example::

        @given(row_tensors(dtype=torch.int32, unit=2))
        def test(tensor): tensor.view(torch.int64)
    """
    return _row_tensors(dtype, unit, most, min_side)


def _draw_dim(draw: st.DrawFn, tensor: torch.Tensor) -> int:
    return draw(dims(tensor.dim()))


def _permute(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    return (draw(permutations(tensor.dim())),)


def _transpose(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    return _draw_dim(draw, tensor), _draw_dim(draw, tensor)


def _movedim(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    sources = draw(dim_tuples(tensor.dim()))
    return sources, draw(permutations(tensor.dim()))[: len(sources)]


def _expand(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    added = draw(st.sampled_from(((), (1,), (2,), (0,), (3, 1))))
    picks = draw(raw_bytes(tensor.dim()))
    grown = [
        pick % 4 if side == 1 else (side, -1)[pick % 2]
        for side, pick in zip(tensor.shape, picks, strict=True)
    ]
    return ((*added, *grown),)


def _select(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    dim = _draw_dim(draw, tensor)
    side = tensor.shape[dim]
    return dim, draw(st.integers(-side, side - 1))


def _narrow(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    dim = _draw_dim(draw, tensor)
    side = tensor.shape[dim]
    start = draw(st.integers(-side, side))
    rest = side - (start + side if start < 0 else start)
    return dim, start, draw(st.integers(0, rest))


def _diagonal(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    first, second = draw(permutations(tensor.dim()))[:2]
    return draw(st.integers(-3, 3)), first, second


def _unfold(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    dim = _draw_dim(draw, tensor)
    return dim, draw(st.integers(1, tensor.shape[dim])), draw(st.integers(1, 4))


def _unsqueeze(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    return (draw(st.integers(-tensor.dim() - 1, tensor.dim())),)


def _squeeze(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    named = st.one_of(st.just(()), dims(tensor.dim()).map(lambda dim: (dim,)))
    return draw(named | dim_tuples(tensor.dim()).map(lambda several: (several,)))


def _unflatten(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    dim = _draw_dim(draw, tensor)
    return dim, draw(reshapes((tensor.shape[dim],))) or (1,)


@cache
def _kept(side: int) -> st.SearchStrategy[slice]:
    """Draw a slice that keeps something of a side, with bounds counted from either end."""
    bounds = [(first, last) for first in range(side) for last in range(first + 1, side + 2)]
    plain = [slice(first, last, step) for step in (None, 2, 3) for first, last in bounds]
    backward = [slice(s.start - side, None, s.step) for s in plain]
    return st.sampled_from([slice(None), *plain, *backward])


@st.composite
def _keeping_indices(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    places = [st.integers(-side, side - 1) if side else st.nothing() for side in shape]
    items: list[Any] = [
        draw(_kept(side) | place) for side, place in zip(shape, places, strict=True)
    ]
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    return tuple(items)


def _index(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    shape = tuple(tensor.shape)
    return (draw(_keeping_indices(shape) | basic_indices(shape)),)


def _split(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    dim = _draw_dim(draw, tensor)
    side = tensor.shape[dim]
    first = draw(st.integers(0, side))
    listed = (first, 0, side - first)
    return dim, draw(st.integers(1, side + 2) | st.just(listed))


def _count(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    return _draw_dim(draw, tensor), draw(st.integers(1, 6))


def _unbind(draw: st.DrawFn, tensor: torch.Tensor) -> tuple[Any, ...]:
    return _draw_dim(draw, tensor), None


class _Kind(NamedTuple):
    draw: Callable[[st.DrawFn, torch.Tensor], tuple[Any, ...]]
    least_rank: int = 1
    least_side: int = 0
    with_ones: bool = False

    def shapes(self) -> st.SearchStrategy[Shape]:
        """Draw shapes of tensors that it takes, many sides of 1 where they are what matters."""
        plain = shapes(min_rank=self.least_rank, min_side=self.least_side)
        return st.builds(_with_ones, plain, st.integers(0, 15)) if self.with_ones else plain


def _with_ones(shape: Shape, mask: int) -> Shape:
    return tuple(1 if mask >> dim & 1 else side for dim, side in enumerate(shape))


_KINDS = {
    "permute": _Kind(_permute, least_rank=0),
    "transpose": _Kind(_transpose, least_rank=0),
    "movedim": _Kind(_movedim, least_rank=0),
    "expand": _Kind(_expand, least_rank=0, with_ones=True),
    "select": _Kind(_select, least_side=1),
    "narrow": _Kind(_narrow),
    "diagonal": _Kind(_diagonal, least_rank=2),
    "unfold": _Kind(_unfold, least_side=1),
    "unsqueeze": _Kind(_unsqueeze, least_rank=0),
    "squeeze": _Kind(_squeeze, least_rank=0, with_ones=True),
    "unflatten": _Kind(_unflatten, least_side=1),
    "index": _Kind(_index, least_rank=0),
    "split": _Kind(_split, least_side=1),
    "chunk": _Kind(_count, least_side=1),
    "tensor_split": _Kind(_count, least_side=1),
    "unbind": _Kind(_unbind, least_side=1),
}
"""View operation by name: how to draw its arguments, and for which tensors."""

ONE_TO_ONE = tuple(
    name for name in _KINDS if name not in ("expand", "unfold", "split", "chunk", "tensor_split",
                                            "unbind")
)  # fmt: skip
"""View operations that return one view, in which no element of the base occurs twice."""


@st.composite
def _view_calls(draw: st.DrawFn, kind: _Kind, dtype: str, values: str) -> ViewCall:
    tensor = draw(strided_tensors(dtype=dtype, values=values, shape=kind.shapes()))
    return ViewCall(tensor, kind.draw(draw, tensor))


def view_calls(
    kind: str, *, dtype: str = "any", values: str = "any"
) -> st.SearchStrategy[ViewCall]:
    """Draw a tensor and legal arguments for the view operation ``kind``, as a ``ViewCall``.

    Arguments stand in the order of ``conformance.reference.strides``. Example::

        @given(view_calls("select"))
        def test(call): call.tensor.select(*call.arguments)
    """
    if kind not in _KINDS:
        raise InvalidArgument(f"view_calls(kind={kind!r}): use one of {', '.join(_KINDS)}")
    return _view_calls(_KINDS[kind], dtype, values)


class ViewChain(NamedTuple):
    """A tensor, and calls that view it one after the other: names with their arguments."""

    tensor: torch.Tensor
    steps: tuple[tuple[str, tuple[Any, ...]], ...]


def apply_step(tensor: torch.Tensor, name: str, arguments: tuple[Any, ...]) -> torch.Tensor:
    """Return the view that one step of a chain makes."""
    view: torch.Tensor = getattr(tensor, METHODS.get(name, name))(*arguments)
    return view


METHODS = {"index": "__getitem__"}
"""Methods of torch.Tensor that are not named like their operation."""


@st.composite
def _view_chains(
    draw: st.DrawFn, dtype: str, values: str, min_side: int, longest: int
) -> ViewChain:
    tensor = draw(strided_tensors(dtype=dtype, values=values, shape=shapes(min_side=min_side)))
    view, steps = tensor, []
    for _ in range(draw(st.integers(1, longest))):
        least_side = min(view.shape, default=1)
        fitting = [
            name
            for name in ONE_TO_ONE
            if _KINDS[name].least_rank <= view.dim() <= MAX_RANK
            and _KINDS[name].least_side <= least_side
        ]
        if not fitting:
            break
        name = draw(st.sampled_from(fitting))
        steps.append((name, _KINDS[name].draw(draw, view)))
        view = apply_step(view, *steps[-1])
    return ViewChain(tensor, tuple(steps))


def view_chains(
    *, dtype: str = "any", values: str = "any", min_side: int = 0, longest: int = 3
) -> st.SearchStrategy[ViewChain]:
    """Draw a tensor and one to ``longest`` views in a row, in which no element occurs twice.

    ``min_side`` is of the tensor; its views may be empty all the same. Example::

        @given(view_chains())
        def test(chain): ...
    """
    return _view_chains(dtype, values, min_side, longest)


class Geometrical(NamedTuple):
    """A tensor, and a geometry that lies within its storage: what as_strided accepts."""

    tensor: torch.Tensor
    shape: Shape
    stride: Shape
    offset: int


@st.composite
def _legal_geometries(draw: st.DrawFn) -> Geometrical:
    tensor = draw(strided_tensors(shape=shapes(min_rank=1, min_side=1)))
    length = elements_stored(tensor)
    shape = draw(shapes(max_elements=36))
    picks = np.frombuffer(draw(raw_bytes(len(shape) + 1)), dtype=np.uint8).tolist()
    offset = picks[-1] % length
    left = length - 1 - offset
    stride = []
    for side, pick in zip(shape, picks, strict=False):
        step = pick % (left // (side - 1) + 1) if side > 1 else pick % 8
        left -= max(side - 1, 0) * step
        stride.append(step)
    return Geometrical(tensor, shape, tuple(stride), offset)


def legal_geometries() -> st.SearchStrategy[Geometrical]:
    """Draw a tensor, and a shape, strides and offset within its storage, overlaps included.

    Example::

        @given(legal_geometries())
        def test(g): g.tensor.as_strided(g.shape, g.stride, g.offset)
    """
    return _legal_geometries()
