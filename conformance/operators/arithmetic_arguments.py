"""Calls of arithmetic operators, where domains, kinks or numbers need what pairs do not draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import (
    SMOOTH,
    Kinds,
    kind_for,
    operand,
    pointwise_calls,
    scalar_of,
)
from conformance.operators.operator import Call, Calls
from strategies import broadcastable_shapes, dtypes, shapes, tensors
from strategies.dtypes import FAMILIES
from strategies.storages import whole_storage

Change = Callable[[torch.Tensor], torch.Tensor]


def memory_changed(tensor: torch.Tensor, change: Change) -> torch.Tensor:
    """Return the tensor after changing all of its storage: its layout stays what was drawn.

    The change is computed on the host: the device under test takes no part in making inputs.
    """
    storage = whole_storage(tensor)
    storage.copy_(change(storage.cpu()))
    return tensor


def _on_grid(number: int) -> Change:
    """Change to multiples of 1/2, and an eighth beyond for each operand before."""
    return lambda values: (2 * values).round() / 2 + number / 8


def _mid_step(values: torch.Tensor) -> torch.Tensor:
    """Move to at least 1/4 from every integer."""
    return values.trunc() + (values - values.trunc()) / 2 + values.sign() / 4


def apart_calls(arity: int, calls: Calls) -> Calls:
    """As ``calls``, but for derivatives with operands an eighth or more apart from each other.

    So near a kink, where operands meet, none is asked for; along the circles on which second
    derivatives are taken, none is crossed.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype) -> Call:
        sides = draw(broadcastable_shapes(arity)).shapes
        return Call(
            tuple(
                memory_changed(draw(operand(dtype, "away-from-kinks", side)), _on_grid(number))
                for number, side in enumerate(sides)
            ),
            {},
        )

    return lambda dtype, kind: drawn(dtype) if kind == "away-from-kinks" else calls(dtype, kind)


def remainder_calls(
    calls: Calls, *, scalar: bool = False, fixed: Mapping[str, Any] | None = None
) -> Calls:
    """As ``calls``, but for derivatives with quotients at least 1/8 away from every integer.

    The divisors are 1 or 2, of either sign; where ``scalar``, some are Python numbers.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype) -> Call:
        first, second = draw(broadcastable_shapes(2)).shapes
        dividend = memory_changed(draw(operand(dtype, "away-from-kinks", first)), _mid_step)
        divisor: Any = draw(operand(dtype, "away-from-kinks", second))
        memory_changed(divisor, torch.round)
        if scalar and draw(st.booleans()):
            divisor = draw(st.sampled_from((1.0, -1.0, 2.0, -2.0)))
        return Call((dividend, divisor), dict(fixed or {}))

    return lambda dtype, kind: drawn(dtype) if kind == "away-from-kinks" else calls(dtype, kind)


@st.composite
def infinite_divisor_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A dividend, and divisors that are infinite, of either sign."""
    first, second = draw(broadcastable_shapes(2)).shapes
    signs = draw(operand(dtype, kind, second))
    infinity = torch.full_like(signs, float("inf"))
    return Call((draw(operand(dtype, kind, first)), torch.copysign(infinity, signs)), {})


def weighted_calls(
    arity: int, weight: str, *, scalar: bool = False, kinds: Sequence[Kinds] = ()
) -> Calls:
    """``op(x, y, ..., weight=number)``: a fraction for floating operands, else an integer.

    Where derivatives are asked, operands that all have rank 0 get no weight: an entry of its own
    asks for those, since forward mode is wrong there.
    """

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        numbers = st.sampled_from((2, 0, 3, 1) if dtype == torch.uint8 else (2, 0, -1, 3, 1))
        if dtype not in FAMILIES["integral"]:
            numbers = st.one_of(numbers, st.sampled_from((0.5, -0.25, 1.5)))
        drawn = pointwise_calls(arity, scalar=scalar, options={weight: numbers}, kinds=kinds)
        return drawn(dtype, kind).map(_unweighted_numbers) if kind in SMOOTH else drawn(dtype, kind)

    return calls


def _unweighted_numbers(call: Call) -> Call:
    ranks = [getattr(operand, "ndim", 0) for operand in call.arguments]
    return call if any(ranks) else Call(call.arguments, {})


def weighted_numbers(weight: str) -> Calls:
    """``op(x, y, weight=fraction)`` of two tensors of rank 0."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        operands = tuple(draw(operand(dtype, kind, ())) for _ in range(2))
        return Call(operands, {weight: draw(st.sampled_from((0.5, -0.25, 1.5)))})

    return drawn


def reflected_calls(kinds: Kinds, numbers: Kinds) -> Calls:
    """``x.__rop__(number)``: a tensor and the number to the left of the sign."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        tensor = draw(operand(dtype, kind_for(kinds, dtype, kind), shapes()))
        return Call((tensor, draw(scalar_of(dtype, kind_for(numbers, dtype, kind)))), {})

    return drawn


def number_first_calls(kinds: Kinds, numbers: Kinds) -> Calls:
    """``op(number, x)``."""
    turned = reflected_calls(kinds, numbers)
    return lambda dtype, kind: turned(dtype, kind).map(
        lambda call: Call(call.arguments[::-1], call.keywords)
    )


EXPONENTS = (2.0, 0.0, 1.0, 3.0, -1.0, -2.0, 4.0, -3.0)
ROOTS = (0.5, 1.5, -0.5, 2.5)


@st.composite
def _number_power(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    if dtype in FAMILIES["integral"]:
        return Call((draw(operand(dtype, "any")), draw(st.integers(0, 5))), {})
    exponent = draw(st.sampled_from((*EXPONENTS, *ROOTS)))
    chosen = "positive" if exponent in ROOTS else kind_for({"complex": "positive"}, dtype, kind)
    return Call((draw(operand(dtype, chosen)), draw(st.sampled_from(_forms_of(exponent)))), {})


def _forms_of(number: float) -> tuple[float, ...]:
    return (number, int(number)) if number == int(number) else (number,)


def number_power_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``pow(x, number)``: small powers and roots; roots and complex powers of positive numbers."""
    return _number_power(dtype, kind)


@st.composite
def _rounding(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    half = dtype in (torch.float16, torch.bfloat16)
    decimals = draw(st.sampled_from((0, 1, -1) if half else (0, 1, 2, 3, -1, -2)))
    x = draw(operand(dtype, kind))
    if decimals < 0 and kind == "dyadic":
        memory_changed(x, lambda values: 40 * values)  # multiples of 5, so that there are ties
    return Call((x,), {"decimals": decimals})


def rounding_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``round(x, decimals=n)``: values of which many lie halfway between two results."""
    return _rounding(dtype, kind)


BITS = {torch.uint8: 8, torch.int8: 8, torch.int16: 16, torch.int32: 32, torch.int64: 64}


def shift_calls(*, number: str = "") -> Calls:
    """``x << n`` of integers, n less than their bits: of a tensor, or a Python number.

    ``number``: "" the second operand may be one; "first": the first is one.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        first, second = draw(broadcastable_shapes(2)).shapes
        positions = draw(operand(dtype, kind, second))
        memory_changed(positions, lambda values: values & (BITS[dtype] - 1))
        if number == "first":
            return Call((positions, draw(scalar_of(dtype))), {})
        x = draw(operand(dtype, kind, first))
        if draw(st.integers(0, 3)) == 3:
            return Call((x, draw(st.integers(0, BITS[dtype] - 1))), {})
        return Call((x, positions), {})

    return drawn


@st.composite
def _number_bounds(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind))
    numbers: st.SearchStrategy[Any] = scalar_of(dtype)
    if kind == "away-from-kinks":
        memory_changed(x, _on_grid(0))
        numbers = st.integers(-8, 8).map(lambda n: n / 4 + 1 / 8)
    lower, upper = draw(st.sampled_from(((True, True), (True, False), (False, True))))
    bounds = (draw(numbers) if lower else None, draw(numbers) if upper else None)
    if draw(st.booleans()):
        return Call((x, *bounds), {})
    named = zip(("min", "max"), bounds, strict=True)
    return Call((x,), {name: bound for name, bound in named if bound is not None})


def number_bounds_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``clamp(x, min, max)`` with numbers, one of which may be None, by position or name."""
    return _number_bounds(dtype, kind)


@st.composite
def mixed_number_bounds(draw: st.DrawFn) -> Call:
    """``clamp(x, min, max)`` with whole numbers or others, whatever the dtype of ``x``."""
    x = draw(operand(draw(dtypes("real")), "dyadic"))
    low, high = draw(st.sampled_from(((1, None), (0.5, None), (None, 1), (None, 0.5), (0, 1.5))))
    if draw(st.booleans()):
        return Call((x, low, high), {})
    named = {"min": low, "max": high}
    return Call((x,), {name: bound for name, bound in named.items() if bound is not None})


def tensor_bounds_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``clamp(x, min, max)`` with tensors that broadcast, one of which may be None."""
    return _tensor_bounds(dtype, kind)


@st.composite
def _tensor_bounds(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    sides = draw(broadcastable_shapes(3)).shapes
    operands: list[Any] = [draw(operand(dtype, kind, side)) for side in sides]
    if kind == "away-from-kinks":
        for number, tensor in enumerate(operands):
            memory_changed(tensor, _on_grid(number))
    missing = draw(st.sampled_from((None, None, 1, 2)))
    if missing is not None:
        operands[missing] = None
    return Call(tuple(operands), {})


def exponent_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """``ldexp(x, n)``: a floating tensor, and exponents between -8 and 8 in int32 or int64."""
    return _exponents(dtype, kind)


@st.composite
def _exponents(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    first, second = draw(broadcastable_shapes(2)).shapes
    integral = draw(st.sampled_from((torch.int64, torch.int32)))
    return Call((draw(operand(dtype, kind, first)), draw(operand(integral, "dyadic", second))), {})


@st.composite
def operand_pairs(draw: st.DrawFn) -> Call:
    """Draw two operands of any dtypes: tensors with dimensions or none, and a Python number.

    In either order; one of them is a tensor. Every second pair of dtypes is of one family.
    """
    first = draw(dtypes())
    family = draw(st.sampled_from(("any", next(f for f in _KINDS if first in FAMILIES[f]))))
    shape, other = draw(st.sampled_from((((2,), ()), ((2,), (3, 1)), ((), ()), ((), (0,)))))
    pair: tuple[Any, ...] = (
        draw(tensors(dtype=first, shape=shape)),
        draw(tensors(dtype=family, shape=other)),
    )
    if draw(st.integers(0, 2)) == 2:
        pair = (pair[0], draw(st.sampled_from((2, 0.5, True, 1j))))
    return Call(pair[::-1] if draw(st.booleans()) else pair, {})


_KINDS = ("floating", "integral", "complex", "boolean")
