"""Calls to draw for operators that index: legal positions, masks, and what is written there.

Values of kind "nonfinite" are for reductions, of which each draws what it treats exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import mixed_calls as mixed_pairs
from conformance.operators.arguments import operand, scalar_of
from conformance.operators.operator import Call, Calls
from strategies import (
    broadcastable_masks,
    broadcastable_shapes,
    gather_arguments,
    index_add_arguments,
    index_copy_arguments,
    index_put_arguments,
    index_select_arguments,
    masks,
    permuted_ranges,
    scatter_arguments,
    shapes,
    take_along_dim_arguments,
    take_arguments,
)
from strategies.indices import index_tensor
from strategies.shapes import Shape
from strategies.tensors import layout_of

Options = Mapping[str, st.SearchStrategy[Any]]

INCLUDED = {"include_self": st.booleans()}
SMOOTH = ("away-from-kinks", "distinct")
"""Kinds of values at which derivatives are asked; torch has them for sources of index's shape."""


def _some(options: Options | None) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict(options or {}))


def _real_kind(dtype: torch.dtype, kind: str) -> str:
    """Sums of complex numbers with nan or infinite parts are not promised."""
    return "dyadic" if dtype.is_complex and kind == "nonfinite" else kind


def number_of(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Any]:
    """Draw a Python number that ``dtype`` holds; where only values count, nan and inf as well."""
    if not dtype.is_floating_point or kind in SMOOTH:
        return scalar_of(dtype)
    return scalar_of(dtype) | st.sampled_from((-0.0, float("inf"), float("-inf"), float("nan")))


def scalar_tensor(dtype: torch.dtype, kind: str) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor of rank 0."""
    return operand(dtype, kind, ())


def scatter_calls(
    *,
    duplicates: bool = True,
    reduction: str = "",
    number: bool = False,
    options: Options | None = None,
) -> Calls:
    """``op(x, dim, index, source, [reduction,] **options)``, or a ``number`` for the source."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        destination, dim, positions, source = draw(
            scatter_arguments(
                dtype=dtype,
                duplicates=duplicates,
                values=_kind_for(reduction, dtype, kind),
                larger_source=kind not in SMOOTH,
            )
        )
        written: Any = draw(number_of(dtype, kind)) if number else source
        _prepare(draw, reduction, kind, destination, source)
        keywords = draw(_some(options)) if reduction in PLANTED else {"reduce": reduction}
        named = _named(reduction)
        return Call((destination, dim, positions, written, *named), keywords if reduction else {})

    return drawn


def index_write_calls(
    *,
    reduction: str = "",
    duplicates: bool = True,
    options: Options | None = None,
    positions: torch.dtype | None = None,
) -> Calls:
    """``op(x, dim, index, source, [reduction,] **options)`` of slices.

    With duplicates the index is int32 as well as int64, unless ``positions`` is its dtype.
    """
    arguments = index_add_arguments if duplicates else index_copy_arguments

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        values = _kind_for(reduction, dtype, kind)
        call = draw(arguments(dtype=dtype, values=values, duplicates=duplicates))
        _prepare(draw, reduction, kind, call.destination, call.source)
        if positions is not None:
            call = call._replace(positions=call.positions.to(positions))
        return Call((*call, *_named(reduction)), draw(_some(options)))

    return drawn


def _named(reduction: str) -> tuple[str, ...]:
    return (reduction,) if reduction in PLANTED else ()


PLANTED: dict[str, tuple[float, ...]] = {
    "sum": (),
    "mean": (),
    "prod": (0.0, float("inf")),
    "amax": (float("-inf"), float("inf")),
    "amin": (float("inf"), float("-inf")),
}
"""What is put among the values of a reduction: its own rules are exact for these as well."""


def _kind_for(reduction: str, dtype: torch.dtype, kind: str) -> str:
    if kind != "nonfinite" or reduction in ("", "sum", "mean", "add"):
        return _real_kind(dtype, kind)
    return "away-from-kinks" if reduction in ("prod", "multiply") else "dyadic"


def _prepare(
    draw: st.DrawFn, reduction: str, kind: str, destination: torch.Tensor, source: torch.Tensor
) -> None:
    """Plant special values into an example; of distinct values, keep the two tensors' apart."""
    if kind == "distinct":
        for number, tensor in enumerate((destination, source)):
            tensor.mul_(2).add_(number / 8)
        return
    special = PLANTED.get(reduction, ())
    if kind in SMOOTH:
        special = special[:1] if reduction == "prod" else ()
    where = draw(st.integers(0, 4)) if special else 0
    tensor = (source, destination)[where % 2]
    once = layout_of(tensor) not in ("expanded", "overlapping")
    if where and tensor.numel() and tensor.is_floating_point() and (once or kind not in SMOOTH):
        place = draw(st.integers(0, 255)) % tensor.numel()
        tensor[np.unravel_index(place, tuple(tensor.shape))] = special[where // 2 % len(special)]


_ALPHAS: dict[torch.dtype, tuple[Any, ...]] = {
    torch.bfloat16: (0, -1, 0.5),  # sums of doubled values would not be exact
    torch.uint8: (0, 2, 3),
}


def index_add_calls(*, alphas: tuple[Any, ...] = ()) -> Calls:
    """``index_add(x, dim, index, source, *, alpha)``, alpha one of ``alphas`` or a real one."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        arguments = draw(index_add_arguments(dtype=dtype, values=_real_kind(dtype, kind)))
        real = (0, -1, 0.5, 2) if dtype.is_floating_point else (0, -1, 2, 3)
        alpha = st.sampled_from(alphas or _ALPHAS.get(dtype, real))
        return Call(
            tuple(arguments), {"alpha": draw(alpha)} if alphas else draw(_some({"alpha": alpha}))
        )

    return drawn


def index_fill_calls(value: Any) -> Calls:
    """``op(x, dim, index, value)``; ``value`` draws what to fill in, from dtype and kind."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        arguments = draw(index_copy_arguments(dtype=dtype, values=kind))
        return Call((*arguments[:3], draw(value(dtype, kind))), {})

    return drawn


def index_put_calls(*, arrangement: str = "any", accumulate: bool = False) -> Calls:
    """``op(x, indices, values, [accumulate])``; without accumulate no place is named twice."""

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        arguments = index_put_arguments(
            dtype=dtype,
            values=_real_kind(dtype, kind),
            duplicates=accumulate,
            arrangement=arrangement,
        )
        keywords = {"accumulate": True} if accumulate else {}
        return arguments.map(lambda drawn: Call(tuple(drawn), keywords))

    return calls


@st.composite
def index_put_vector_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``index_put(x, (vector,), values)``: at least one position along the first dimension."""
    x = draw(operand(dtype, kind, shapes(min_rank=1, max_rank=3, min_side=1, max_elements=24)))
    order = draw(permuted_ranges(x.shape[0]))
    positions = index_tensor(order[: draw(st.integers(1, len(order)))])
    values = draw(operand(dtype, kind, (len(positions), *x.shape[1:])))
    return Call((x, (positions,), values), {})


@st.composite
def index_put_mask_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``index_put(x, (mask,), values)``: a mask of the first dimensions, values that broadcast."""
    x = draw(operand(dtype, kind, shapes(min_rank=1, max_rank=3, max_elements=36)))
    rank = draw(st.integers(1, x.dim()))
    mask = draw(masks(tuple(x.shape[:rank])))
    written = (int(mask.sum()), *x.shape[rank:])
    dropped = draw(st.integers(0, len(written)))
    return Call((x, (mask,), draw(operand(dtype, kind, written[dropped:]))), {})


@st.composite
def put_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str, accumulate: bool) -> Call:
    """``put(x, index, source, [accumulate])``: as many elements in index and source."""
    values = _real_kind(dtype, kind)
    x, positions = draw(take_arguments(dtype=dtype, values=values, duplicates=accumulate))
    count = positions.numel()
    shape: Shape = draw(st.sampled_from((tuple(positions.shape), (count,), (1, count))))
    source = draw(operand(dtype, values, shape))
    return Call((x, positions, source), {"accumulate": True} if accumulate else {})


def _plain(arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return arguments.map(lambda drawn: Call(tuple(drawn), {}))


def gather_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``gather(x, dim, index)``."""
    return _plain(gather_arguments(dtype=dtype, values=kind))


def index_select_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``index_select(x, dim, index)``."""
    return _plain(index_select_arguments(dtype=dtype, values=kind))


def take_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``take(x, index)``."""
    return _plain(take_arguments(dtype=dtype, values=kind))


@st.composite
def take_along_dim_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str, flat: bool) -> Call:
    """``take_along_dim(x, indices, dim)``; ``flat``: of contiguous x without dim."""
    arguments = take_along_dim_arguments(dtype=dtype, values=kind, flat=flat)
    source, positions, dim = draw(arguments)
    if not flat:
        return Call((source, positions, dim), {})
    if positions.numel() == 1 and draw(st.booleans()):
        positions = positions.reshape(())
    return Call((source.contiguous(), positions), {})


@st.composite
def masked_select_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``masked_select(x, mask)``: both broadcast."""
    shape, mask_shape = draw(broadcastable_shapes(2)).shapes
    return Call((draw(operand(dtype, kind, shape)), draw(masks(mask_shape))), {})


def masked_fill_calls(value: Any) -> Calls:
    """``masked_fill(x, mask, value)``: the mask broadcasts to x."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(operand(dtype, kind))
        mask = draw(broadcastable_masks(tuple(x.shape)))
        return Call((x, mask, draw(value(dtype, kind))), {})

    return drawn


@st.composite
def masked_scatter_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``masked_scatter(x, mask, source)``: x and mask broadcast, source has enough elements."""
    drawn = draw(broadcastable_shapes(2))
    shape, mask_shape = drawn.shapes
    mask = draw(masks(mask_shape))
    enough = int(mask.expand(drawn.result).sum())
    sizes = (drawn.result, (prod(drawn.result) + 1,), (enough,), (2, enough))
    source = draw(operand(dtype, kind, draw(st.sampled_from(sizes))))
    return Call((draw(operand(dtype, kind, shape)), mask, source), {})


def where_calls(*, numbers: bool) -> Calls:
    """``where(condition, x, y)``: all broadcast; with ``numbers``, one or both are numbers."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        first, second, third = draw(broadcastable_shapes(3)).shapes
        operands: list[Any] = [draw(operand(dtype, kind, shape)) for shape in (second, third)]
        if numbers:
            chosen = draw(st.sampled_from((1, 2) if kind in SMOOTH else (1, 2, 3)))
            for place in (0, 1):
                if chosen >> place & 1:
                    operands[place] = draw(number_of(dtype, kind))
        return Call((draw(masks(first)), *operands), {})

    return drawn


@st.composite
def mixed_where_calls(draw: st.DrawFn) -> Call:
    """``where(condition, x, y)`` of operands that differ in dtype, in either order."""
    operands = list(draw(mixed_pairs(2)).arguments)
    if draw(st.booleans()):
        operands.reverse()
    sides = [tuple(x.shape) for x in operands if isinstance(x, torch.Tensor)]
    condition = draw(broadcastable_masks(np.broadcast_shapes(*sides)))
    return Call((condition, *operands), {})
