"""References for creation and conversion against brute force and against NumPy and mpmath."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import pytest

from conformance.reference import conversion, creation

RANDOM = np.random.default_rng(0)
HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
_UPPER = np.arange(2**16, dtype=np.uint32) << np.uint32(16)
BFLOATS = np.array(_UPPER.view(np.float32).tolist())


@pytest.mark.parametrize(
    ("start", "end", "step"), list(product((-7, 0, 5), (-6, 1, 9), (-3, -1, 2, 4)))
)
def test_ranges_are_pythons(start: int, end: int, step: int) -> None:
    expected = list(range(start, end, step))
    assert creation.integer_arange(start, end, step).tolist() == expected
    assert creation.arange(start, end, step).tolist() == expected


def test_a_range_beyond_float_precision() -> None:
    start = 2**62 + 1
    assert creation.integer_arange(start, start + 3, 2).tolist() == [start, start + 2]


def test_spaces_are_numpys() -> None:
    assert np.allclose(creation.linspace(-3, 2, 7), np.linspace(-3, 2, 7))
    assert np.allclose(
        creation.complex_linspace(-3 + 1j, 2 - 2j, 7), np.linspace(-3 + 1j, 2 - 2j, 7)
    )
    assert creation.linspace(5, 9, 1).tolist() == [5]
    assert creation.linspace(5, 9, 0).tolist() == []
    for start, end, base in product((-2.5, 0.0, 3.0), (-1.0, 4.125), (2.0, 10.0, 0.5)):
        with mpmath.workdps(40):
            expected = [mpmath.mpf(base) ** x for x in creation.linspace(start, end, 6).tolist()]
        assert np.allclose(
            creation.logspace(start, end, 6, base), list(map(float, expected)), rtol=1e-15
        )


@pytest.mark.parametrize(("rows", "columns"), list(product((0, 1, 2, 5), repeat=2)))
def test_matrices_are_numpys(rows: int, columns: int) -> None:
    assert np.array_equal(creation.eye(rows, columns), np.eye(rows, columns))
    for offset in range(-6, 7):
        lower = creation.triangle_indices((rows, columns), offset, lower=True)
        assert np.array_equal(lower, np.tril_indices(rows, offset, columns))
        upper = creation.triangle_indices((rows, columns), offset, lower=False)
        assert np.array_equal(upper, np.triu_indices(rows, offset, columns))


def test_polar_is_a_rotation() -> None:
    magnitude, angle = RANDOM.uniform(0, 3, 20), RANDOM.uniform(-9, 9, 20)
    expected = [
        m * complex(mpmath.expjpi(a / mpmath.pi)) for m, a in zip(magnitude, angle, strict=True)
    ]
    assert np.allclose(creation.polar(magnitude, angle), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ([], creation.FLOATING),
        ([[], []], creation.FLOATING),
        (True, creation.BOOLEAN),
        ([True, [2]], creation.INTEGRAL),
        ([1, (2.0,)], creation.FLOATING),
        ([1.5, [True, 2j]], creation.COMPLEX),
    ],
)
def test_the_highest_kind_decides(data: object, kind: int) -> None:
    assert creation.kind_of_numbers(data) == kind


def _brute_nearest(value: float, candidates: list[float], greatest: float) -> float:
    """By exact distances to every number of the format, its even one first among equals."""
    exact = Fraction(value)
    step = Fraction(greatest) - Fraction(max(c for c in candidates if c < greatest))
    if abs(exact) >= Fraction(greatest) + step / 2:
        return math.copysign(math.inf, value)
    near = sorted(candidates, key=lambda c: abs(Fraction(c) - exact))[:2]
    distances = [abs(Fraction(c) - exact) for c in near]
    if distances[0] < distances[1]:
        return near[0]
    return next(c for c in near if candidates.index(c) % 2 == 0)


@pytest.mark.parametrize(("dtype", "table"), [("float16", HALVES), ("bfloat16", BFLOATS)])
def test_nearest_by_distance(dtype: str, table: conversion.Array) -> None:
    positive = table[: 2**15]
    finite = positive[np.isfinite(positive)]
    for place in [0, 1, 2, 3, 500, 1023, 1024, 1025, 9000, len(finite) - 3]:
        window = finite[max(place - 2, 0) : place + 4].tolist()
        if (max(place - 2, 0)) % 2:  # so that an even place in the window is an even number
            window = window[1:]
        low, high = finite[place], finite[place + 1]
        for eighth in range(9):
            value = float(low + (high - low) * eighth / 8)
            expected = _brute_nearest(value, window, float(finite[-1]))
            assert conversion.nearest(value, dtype) == expected
            assert conversion.nearest(-value, dtype) == -expected


@pytest.mark.parametrize(("dtype", "table"), [("float16", HALVES), ("bfloat16", BFLOATS)])
def test_a_number_of_the_format_stays(dtype: str, table: conversion.Array) -> None:
    got = np.array([conversion.nearest(value, dtype) for value in table.tolist()])
    assert np.array_equal(got, table, equal_nan=True)
    assert np.array_equal(np.signbit(got[got == 0]), np.signbit(table[table == 0]))


def test_nearest_is_numpys_cast() -> None:
    bits = RANDOM.integers(0, 2**64, 4000, dtype=np.uint64)
    values = np.concatenate([bits.view(np.float64), RANDOM.normal(size=4000) * 1e-40])
    with np.errstate(over="ignore", invalid="ignore"):
        singles = values.astype(np.float32)
        halves = singles.astype(np.float16)
    assert np.array_equal(conversion.convert(values, "float32"), singles, equal_nan=True)
    assert np.array_equal(conversion.convert(singles, "float16"), halves, equal_nan=True)
    for whole in (2**24 + 1, 2**24 + 3, 2**63 - 1, -(2**63), 2**53 + 1, 2**62 + 2**38 + 1):
        assert conversion.nearest(whole, "float64") == float(whole)
        assert conversion.nearest(whole, "float32") == np.array(whole).astype(np.float32)


def test_overflow_begins_half_a_step_above_the_greatest() -> None:
    assert conversion.nearest(65519.99, "float16") == 65504
    assert conversion.nearest(65520.0, "float16") == math.inf
    assert conversion.nearest(-65520.0, "float16") == -math.inf


@pytest.mark.parametrize("dtype", conversion.INTEGERS)
def test_integers_wrap_as_numpys(dtype: str) -> None:
    values = np.concatenate(
        [RANDOM.integers(-(2**63), 2**63 - 1, 100), [2**63 - 1, -(2**63), 255, 256, -1, -129]]
    )
    assert np.array_equal(conversion.convert(values, dtype), values.astype(dtype))


def test_other_conversions() -> None:
    floats = np.array([2.9, -2.9, -0.5, 0.0])
    assert conversion.convert(floats, "int8").tolist() == [2, -2, 0, 0]
    assert conversion.convert(np.array([np.nan, -0.0, 1e-320]), "bool").tolist() == [1, 0, 1]
    both = np.array([0j, 2j, 3 - 4j])
    assert conversion.convert(both, "bool").tolist() == [False, True, True]
    assert conversion.convert(both, "float16").tolist() == [0, 0, 3]
    assert conversion.convert(np.array([True]), "complex64").tolist() == [1 + 0j]
