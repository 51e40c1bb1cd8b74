"""Calls to draw, by the shape of an operator's signature: tensors that broadcast, dimensions.

Each function returns ``calls`` of an entry: from a dtype and a kind of values to a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.operator import Call, Calls
from strategies import broadcastable_shapes, dim_tuples, dims, dyadics, shapes, tensors
from strategies.dtypes import FAMILIES
from strategies.layouts import DENSE, LAYOUTS
from strategies.shapes import Shape

Options = Mapping[str, st.SearchStrategy[Any]]
"""Keyword arguments to draw, by name; each is left out of some of the calls."""


def operand(
    dtype: torch.dtype, kind: str, shape: Shape | st.SearchStrategy[Shape] | None = None
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor operand; distinct values get layouts in which no element occurs twice."""
    layouts = DENSE if kind == "distinct" else tuple(LAYOUTS)
    return tensors(dtype=dtype, shape=shape, values=kind, layouts=layouts)


@st.composite
def _given_some(draw: st.DrawFn, options: Options) -> dict[str, Any]:
    """Draw each option, leaving some of them to their defaults."""
    if not options:
        return {}
    chosen = draw(st.integers(0, 2 ** len(options) - 1))
    names = [name for bit, name in enumerate(options) if chosen >> bit & 1]
    return {name: draw(options[name]) for name in names}


def unary_calls(
    *, shape: st.SearchStrategy[Shape] | None = None, options: Options | None = None
) -> Calls:
    """``op(x, **options)``."""
    drawn = shapes() if shape is None else shape

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        return st.builds(
            lambda x, keywords: Call((x,), keywords),
            operand(dtype, kind, drawn),
            _given_some(options or {}),
        )

    return calls


def scalar_of(dtype: torch.dtype) -> st.SearchStrategy[Any]:
    """Draw a Python number of the kind that ``dtype`` holds, exact in every such dtype."""
    if dtype == torch.bool:
        return st.booleans()
    if not (dtype.is_floating_point or dtype.is_complex):
        return st.integers(0 if dtype == torch.uint8 else -8, 8)
    return dyadics()


def pointwise_calls(arity: int, *, scalar: bool = False, options: Options | None = None) -> Calls:
    """``op(x, y, ..., **options)`` on ``arity`` tensors that broadcast.

    Where ``scalar``, the last may be a Python number instead.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        operands: list[Any] = [
            draw(operand(dtype, kind, shape)) for shape in draw(broadcastable_shapes(arity)).shapes
        ]
        if scalar and draw(st.integers(0, 3)) == 3:
            operands[-1] = draw(scalar_of(dtype))
        return Call(tuple(operands), draw(_given_some(options or {})))

    return drawn


def along_calls(
    *,
    dim: str,
    shape: st.SearchStrategy[Shape] | None = None,
    options: Options | None = None,
) -> Calls:
    """``op(x, dim, **options)``.

    ``dim``: "one" dimension, always; "optional": one or none at all; "several": a tuple, which
    may be empty, or one, or none at all. Negative dimensions included.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(operand(dtype, kind, shape))
        arguments: tuple[Any, ...] = (x, *draw(_DIMENSIONS[dim](x.dim())))
        keywords = draw(_given_some(options or {}))
        return Call(arguments, keywords if len(arguments) > 1 or "keepdim" not in keywords else {})

    return drawn


def _one(rank: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return dims(rank).map(lambda dim: (dim,))


_DIMENSIONS: dict[str, Callable[[int], st.SearchStrategy[tuple[Any, ...]]]] = {
    "one": _one,
    "optional": lambda rank: st.one_of(_one(rank), st.just(())),
    "several": lambda rank: st.one_of(
        _one(rank), dim_tuples(rank).map(lambda chosen: (chosen,)), st.just(())
    ),
}


def mixed_calls(
    arity: int, families: Sequence[str] = ("any",), *, options: Options | None = None
) -> st.SearchStrategy[Call]:
    """``op(x, y, ..., **options)`` of dyadic operands that differ in dtype.

    Tensors of dimensions and of none and, but for the first, Python numbers. Complex numbers
    do not meet half precision, whose complex counterpart has few operations.
    """
    known = tuple(dict.fromkeys(d for family in families for d in FAMILIES[family]))
    return _mixed_calls(arity, known, options or {})


@st.composite
def _mixed_calls(
    draw: st.DrawFn, arity: int, known: tuple[torch.dtype, ...], options: Options
) -> Call:
    without_half = tuple(d for d in known if d not in (torch.float16, torch.bfloat16))
    without_complex = tuple(d for d in known if not d.is_complex)
    chosen = draw(st.sampled_from((without_half, without_complex)))
    operands: list[Any] = []
    for number, shape in enumerate(draw(broadcastable_shapes(arity)).shapes):
        dtype = draw(st.sampled_from(chosen))
        form = draw(st.integers(0, 3))
        if number and form == 3:
            operands.append(draw(scalar_of(dtype)))
        else:
            operands.append(draw(operand(dtype, "dyadic", () if form == 2 else shape)))
    return Call(tuple(operands), draw(_given_some(options)))
