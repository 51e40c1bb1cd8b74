"""Calls to draw, by the shape of an operator's signature: tensors that broadcast, dimensions.

Each function returns ``calls`` of an entry: from a dtype and a kind of values to a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.operator import Call, Calls
from conformance.operators.results import category_of
from strategies import broadcastable_shapes, dim_tuples, dims, shapes, tensors
from strategies.dtypes import FAMILIES
from strategies.layouts import DENSE, LAYOUTS
from strategies.shapes import Shape

Options = Mapping[str, st.SearchStrategy[Any]]
"""Keyword arguments to draw, by name; each is left out of some of the calls."""

Kinds = Mapping[str, str]
"""Kinds of values by family of dtypes, for what an entry's one kind does not fit."""

SMOOTH = (
    "away-from-kinks", "positive", "unit", "probability", "distinct", "fraction", "above-one",
    "far",
)  # fmt: skip
"""The kinds that derivatives are asked at: no operand of such a call has another one."""


def kind_for(kinds: Kinds, dtype: torch.dtype, kind: str) -> str:
    """Return the kind of values of an operand: the one that ``kinds`` has for its dtype, if any."""
    if kind in SMOOTH:
        return kind
    return next((found for family, found in kinds.items() if dtype in FAMILIES[family]), kind)


def operand(
    dtype: torch.dtype, kind: str, shape: Shape | st.SearchStrategy[Shape] | None = None
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor operand; distinct values get layouts in which no element occurs twice."""
    layouts = DENSE if kind == "distinct" else tuple(LAYOUTS)
    return tensors(dtype=dtype, shape=shape, values=kind, layouts=layouts)


def _given_some(options: Options) -> st.SearchStrategy[dict[str, Any]]:
    """Draw each option, leaving some of them to their defaults."""
    return _some_of(options) if options else st.builds(dict)


@st.composite
def _some_of(draw: st.DrawFn, options: Options) -> dict[str, Any]:
    chosen = draw(st.integers(0, 2 ** len(options) - 1))
    names = [name for bit, name in enumerate(options) if chosen >> bit & 1]
    return {name: draw(options[name]) for name in names}


def unary_calls(
    *,
    shape: st.SearchStrategy[Shape] | None = None,
    options: Options | None = None,
    kinds: Kinds | None = None,
) -> Calls:
    """``op(x, **options)``."""
    drawn = shapes() if shape is None else shape

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        return st.builds(
            lambda x, keywords: Call((x,), keywords),
            operand(dtype, kind_for(kinds or {}, dtype, kind), drawn),
            _given_some(options or {}),
        )

    return calls


_LEAST = {
    "positive": 1,
    "away-from-kinks": 1,
    "probability": 0,
    "far": 1,
    "above-one": 9,
    "nonnegative": 0,
}


def scalar_of(
    dtype: torch.dtype, kind: str = "dyadic", *, signed: bool = True
) -> st.SearchStrategy[Any]:
    """Draw a Python number of the kind that ``dtype`` holds, exact in every such dtype.

    Above zero for the kinds without zero, not below it for those without signs.
    """
    if dtype == torch.bool:
        return st.booleans()
    if not (dtype.is_floating_point or dtype.is_complex):
        return st.integers(_LEAST.get(kind, -8 if signed and dtype != torch.uint8 else 0), 8)
    return st.integers(_LEAST.get(kind, -32), 32).map(lambda eighths: eighths / 8)


_OFTEN_FEW = ("any", "nonfinite")


def _few(dtype: torch.dtype, kind: str) -> str:
    """Integers of any value stay so: there are few enough, and the extremes tell most."""
    wide = kind == "any" and dtype in FAMILIES["integral"]
    return "few" if kind in _OFTEN_FEW and not wide else kind


def pointwise_calls(
    arity: int,
    *,
    scalar: bool = False,
    options: Options | None = None,
    kinds: Sequence[Kinds] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Calls:
    """``op(x, y, ..., **options)`` on ``arity`` tensors that broadcast.

    Where ``scalar``, the last may be a Python number instead. ``kinds`` are those of each
    operand, and ``fixed`` the keywords of every call. Where any values are legal, operands of
    every second call have few values, which coincide.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        own = [kind_for(k, dtype, kind) for k in (*kinds, *[{}] * (arity - len(kinds)))]
        if kind in _OFTEN_FEW and draw(st.booleans()):
            own = [_few(dtype, k) for k in own]
        sides = draw(broadcastable_shapes(arity)).shapes
        operands: list[Any] = [
            draw(operand(dtype, k, shape)) for k, shape in zip(own, sides, strict=True)
        ]
        if scalar and draw(st.integers(0, 3)) == 3:
            operands[-1] = draw(scalar_of(dtype, own[-1]))
        return Call(tuple(operands), {**draw(_given_some(options or {})), **(fixed or {})})

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
    arity: int,
    families: Sequence[str] = ("any",),
    *,
    options: Options | None = None,
    kinds: Sequence[str] = (),
    fixed: Mapping[str, Any] | None = None,
    numbers: bool = True,
) -> st.SearchStrategy[Call]:
    """``op(x, y, ..., **options)`` of operands that differ in dtype, dyadic unless ``kinds`` says.

    Tensors of dimensions and of none and, but for the first and where ``numbers``, Python
    numbers. Complex numbers do not meet half precision, whose complex counterpart has few
    operations; a negative number does not meet unsigned integers.
    """
    known = tuple(dict.fromkeys(d for family in families for d in FAMILIES[family]))
    own = (*kinds, *("dyadic",) * (arity - len(kinds)))
    return _mixed_calls(known, options or {}, own, fixed or {}, numbers)


@st.composite
def _mixed_calls(
    draw: st.DrawFn,
    known: tuple[torch.dtype, ...],
    options: Options,
    kinds: tuple[str, ...],
    fixed: Mapping[str, Any],
    numbers: bool,
) -> Call:
    without_half = tuple(d for d in known if d not in (torch.float16, torch.bfloat16))
    without_complex = tuple(d for d in known if not d.is_complex)
    chosen = draw(st.sampled_from((without_half, without_complex)))
    first = draw(st.sampled_from(chosen))
    if draw(st.booleans()):  # dtypes of one category, where sizes decide
        chosen = tuple(d for d in chosen if category_of(d) == category_of(first))
    dtypes = [first, *(draw(st.sampled_from(chosen)) for _ in kinds[1:])]
    sides = draw(broadcastable_shapes(len(kinds))).shapes
    operands: list[Any] = []
    for dtype, kind, shape in zip(dtypes, kinds, sides, strict=True):
        form = draw(st.integers(1, 3))
        if operands and numbers and form == 3:
            operands.append(draw(scalar_of(dtype, kind, signed=torch.uint8 not in dtypes)))
        else:
            operands.append(draw(operand(dtype, kind, () if form == 2 else shape)))
    return Call(tuple(operands), {**draw(_given_some(options)), **fixed})
