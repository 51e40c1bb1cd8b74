"""The references of arithmetic against Python's own numbers, the math module and SciPy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conformance.reference import arithmetic, comparison, promotion, rounding

EIGHTHS = st.integers(-64, 64).map(lambda n: n / 8)
NONZERO = st.integers(1, 64).flatmap(lambda n: st.sampled_from((n / 8, -n / 8)))
SINGLE = st.floats(-(2.0**100), 2.0**100, width=32)


def _one(value: Any, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    return np.array([value], dtype=dtype)


@given(EIGHTHS, NONZERO)
def test_quotients_and_remainders_are_those_of_fractions(a: float, b: float) -> None:
    exact = Fraction(a) / Fraction(b)
    x, y = _one(a), _one(b)
    assert arithmetic.divided_downward(x, y)[0] == math.floor(exact)
    assert arithmetic.divided_toward_zero(x, y)[0] == math.trunc(exact)
    assert arithmetic.remainder(x, y)[0] == a - b * math.floor(exact)
    assert arithmetic.remainder_piece(x, y)[0] == a - b * math.floor(exact)
    assert arithmetic.fmod_piece(x, y)[0] == math.fmod(a, b)


@given(st.integers(-128, 127), st.integers(-128, 127).filter(bool))
def test_integers_divide_as_fractions_do(a: int, b: int) -> None:
    x, y = _one(a, np.int16), _one(b, np.int16)
    assert arithmetic.divided_toward_zero(x, y)[0] == math.trunc(Fraction(a, b))
    assert arithmetic.divided_downward(x, y)[0] == a // b
    assert arithmetic.remainder(x, y)[0] == a % b


@given(st.integers(-(2**20), 2**20), st.integers(-3, 3))
def test_rounding_takes_ties_to_even(eighths: int, decimals: int) -> None:
    number = eighths / 8
    found = rounding.rounded(_one(number), decimals=decimals)[0]
    assert found == pytest.approx(float(round(Fraction(number), decimals)), rel=1e-15)


@given(SINGLE, SINGLE)
def test_neighbours_in_bfloat16(a: float, b: float) -> None:
    x, y = (torch.tensor([v]).bfloat16().float().numpy().astype(np.float64) for v in (a, b))
    found = arithmetic.next_after(x, y, spacing_of="bfloat16")
    assert torch.tensor(found).bfloat16().double().item() == found[0]
    if x == y:
        assert found == y
        return
    assert min(x, y) <= found <= max(x, y)
    assert found != x
    middle = (x + found) / 2  # nothing lies between: the middle rounds to one of the two
    assert torch.tensor(middle).bfloat16().double().item() in (x[0], found[0])


@given(SINGLE)
def test_mantissa_and_exponent(x: float) -> None:
    mantissa, exponent = arithmetic.frexp(_one(x))
    assert (mantissa[0], exponent[0]) == math.frexp(x)
    assert arithmetic.mantissa_piece(_one(x))[0] == mantissa[0]
    assert arithmetic.ldexp(mantissa, exponent)[0] == x


@given(EIGHTHS, EIGHTHS, EIGHTHS)
def test_bounds(x: float, low: float, high: float) -> None:
    a, b, c = _one(x), _one(low), _one(high)
    assert rounding.clamp(a, b, c)[0] == min(max(x, low), high)
    assert rounding.clamp_piece(a, b, c)[0] == min(max(x, low), high)
    assert rounding.clamp(a, None, high)[0] == min(x, high)
    assert rounding.heaviside(a, b)[0] == (low if x == 0 else float(x > 0))
    assert rounding.absolute_piece(a)[0] == abs(x)
    assert rounding.copied_sign_piece(a, b)[0] == math.copysign(x, low)
    assert arithmetic.hypotenuse(a, b)[0] == pytest.approx(math.hypot(x, low), rel=1e-15)


@given(st.floats(), st.floats(), st.booleans())
def test_nearness_is_that_of_the_math_module(x: float, y: float, equal_nan: bool) -> None:
    found = comparison.near(_one(x), _one(y), rtol=0.0, atol=0.5, equal_nan=equal_nan)[0]
    both_nan = math.isnan(x) and math.isnan(y)
    assert found == (math.isclose(x, y, rel_tol=0.0, abs_tol=0.5) or (both_nan and equal_nan))


def test_nearness_is_relative_to_the_second() -> None:
    assert comparison.near(_one(8.0), _one(9.0), rtol=1 / 9, atol=0.0)[0]
    assert not comparison.near(_one(9.0), _one(8.0), rtol=1 / 9, atol=0.0)[0]


@pytest.mark.parametrize(
    ("x", "expected"), [(math.nan, 2.0), (math.inf, 7.0), (-math.inf, -7.0), (-0.0, -0.0)]
)
def test_what_stands_for_nonfinite_numbers(x: float, expected: float) -> None:
    found = rounding.without_nonfinite(_one(x), 2.0, largest=7.0)[0]
    assert found == expected
    assert math.copysign(1, found) == math.copysign(1, expected)


def test_complex_signs() -> None:
    assert rounding.sgn(np.array([3 + 4j, 0j])) == pytest.approx(np.array([0.6 + 0.8j, 0]))


NAMES = [name for names in promotion.CATEGORIES for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_promotion_is_a_least_upper_bound(name: str) -> None:
    """No dtype below the promoted one holds both: against every candidate, by definition."""
    for other in NAMES:
        found = promotion.promote(name, other)
        uppers = [c for c in NAMES if _holds(c, name) and _holds(c, other)]
        assert found in uppers
        assert all(_holds(upper, found) for upper in uppers)


PRECISION = {"float16": (11, 5), "bfloat16": (8, 8), "float32": (24, 8), "float64": (53, 11)}


def _holds(larger: str, smaller: str) -> bool:
    """Whether a dtype is as large as another and of no lower category, sizes within categories."""
    kinds = promotion.category(larger), promotion.category(smaller)
    if kinds[0] != kinds[1]:
        below = kinds[0] > kinds[1]
        if kinds == (3, 2):  # parts of a complex number hold the real one
            return _holds(_part(larger), smaller)
        return below
    if larger == smaller:
        return True
    if kinds[0] == 1:
        return _range(larger)[0] <= _range(smaller)[0] and _range(smaller)[1] <= _range(larger)[1]
    if kinds[0] == 3:
        return _holds(_part(larger), _part(smaller))
    return all(a >= b for a, b in zip(PRECISION[larger], PRECISION[smaller], strict=True))


def _part(name: str) -> str:
    return {"complex32": "float16", "complex64": "float32", "complex128": "float64"}[name]


def _range(name: str) -> tuple[int, int]:
    info = np.iinfo(name)
    return int(info.min), int(info.max)
