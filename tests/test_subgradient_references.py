"""References for gradients at kinks against one-sided differences and subgradient inequalities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import subgradients

Array = npt.NDArray[Any]
Function = Callable[[Any], Any]
RANDOM = np.random.default_rng(0)
STEP = 2.0**-16
NEAR = 0.01  # what a step of this size leaves of the slope of x ** 1.5 at 0


def _leaky(slope: float) -> Function:
    return lambda x: np.where(x > 0, x, slope * x)


def _elu(alpha: float) -> Function:
    return lambda x: np.where(x > 0, x, alpha * np.expm1(x))


def _power(exponent: float) -> Function:
    return lambda x: np.power(x, exponent)


FUNCTIONS: dict[str, Function] = {
    "abs": np.abs,
    "sign": np.sign,
    "sgn": np.sign,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": _leaky(0.25),
    "leaky_relu-steep": _leaky(2.0),
    "leaky_relu-falling": _leaky(-0.5),
    "prelu": _leaky(0.25),
    "prelu-steep": _leaky(2.0),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "elu": _elu(1.0),
    "elu-flat": _elu(0.5),
    "celu": lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2)),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "threshold": lambda x: np.where(x > 1, x, 1),
    "threshold-jump": lambda x: np.where(x > 1, x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "clamp": lambda x: np.clip(x, -1, 1),
    "clamp-inside": lambda x: np.clip(x, -1, 1),
    "clamp_min": lambda x: np.maximum(x, 0),
    "clamp_max": lambda x: np.minimum(x, 0),
    "frac": lambda x: x - np.trunc(x),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "trunc": np.trunc,
    "fmod": lambda x: np.fmod(x, 2),
    "remainder": lambda x: np.remainder(x, 2),
    "copysign": lambda x: np.copysign(x, 1),
    "copysign-negative": lambda x: np.copysign(x, -1),
    "sqrt": np.sqrt,
    "asin": np.arcsin,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "sinc": np.sinc,
    "angle": np.angle,
    "pow-0": _power(0.0),
    "pow-half": _power(0.5),
    "pow-1": _power(1.0),
    "pow-3halves": _power(1.5),
    "pow-2": _power(2.0),
    "power-of-zero": lambda y: np.where(y == 0, 1.0, np.where(y > 0, 0.0, np.nan)),
    "xlogy-of-zero": lambda y: 0.0 * y,
}


def _one_sided(function: Function, x: float, sign: int) -> float:
    """The limit of slopes from one side; nan outside the domain. A jump at x does not count."""
    near, far = function(x + sign * STEP), function(x + sign * 2 * STEP)
    return float((far - near) / (sign * STEP))


def _bends(function: Function, x: float) -> set[int]:
    """The signs of all second differences near x, those that rounding explains left out."""
    grid = x + STEP * np.arange(-8, 9)
    second = np.diff(function(grid), 2)
    return {int(np.sign(value)) for value in second if abs(value) > 1e-13}


def _ruled(function: Function, x: float) -> set[float]:
    """The slopes that the note's rules allow at x."""
    left, right = _one_sided(function, x, -1), _one_sided(function, x, 1)
    finite = {slope for slope in (left, right) if isfinite(slope)}
    if len(finite) < 2 or abs(left - right) < NEAR:
        return finite
    around = function(np.array([x - STEP, x, x + STEP]))
    if np.ptp(around) < NEAR and len(_bends(function, x)) == 1:
        return {min(max(0.0, min(finite)), max(finite))}
    return finite


CASES = [(name, x) for name in FUNCTIONS for x in subgradients.SLOPES[name]]


@pytest.mark.parametrize(("name", "x"), CASES)
def test_slopes_follow_the_rules(name: str, x: float) -> None:
    """The table has the slopes that one-sided differences and bends allow, and only those."""
    with np.errstate(invalid="ignore"):
        allowed = _ruled(FUNCTIONS[name], x)
    stated = subgradients.SLOPES[name][x]
    if not isfinite(stated[0]):
        assert np.sign(stated[0]) == np.sign(next(iter(allowed)))
        assert min(abs(slope) for slope in allowed) > 50
        return
    for slope in stated:
        assert min(abs(slope - other) for other in allowed) < NEAR
    for other in allowed:
        assert min(abs(slope - other) for slope in stated) < NEAR


def test_every_function_is_tested() -> None:
    assert set(subgradients.SLOPES) - set(FUNCTIONS) == {"nan_to_num"}


def _huber(difference: Any, delta: float) -> Any:
    size = np.abs(difference)
    return np.where(size < delta, difference**2 / 2, delta * (size - delta / 2))


PAIRS: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "maximum": (1, np.maximum),
    "minimum": (-1, np.minimum),
    "fmax": (1, np.fmax),
    "fmin": (-1, np.fmin),
    "fmax-nan": (1, np.fmax),
    "fmin-nan": (-1, np.fmin),
    "clamp_min": (1, np.maximum),
    "clamp_max": (-1, np.minimum),
    "clamp_min-apart": (1, np.maximum),
    "clamp_max-apart": (-1, np.minimum),
    "hypot": (1, np.hypot),
    "hypot-apart": (1, np.hypot),
    "logaddexp": (1, np.logaddexp),
    "l1_loss": (1, lambda a, b: np.abs(a - b)),
    "smooth_l1_loss-absolute": (1, lambda a, b: np.abs(a - b)),
    "smooth_l1_loss": (1, lambda a, b: _huber(a - b, 1.0)),
    "huber_loss": (1, lambda a, b: _huber(a - b, 2.0)),
}
"""Functions of two variables: 1 if convex, -1 if concave."""

PAIR_CASES = [(name, pair) for name in PAIRS for pair in subgradients.PAIR_SLOPES[name]]


def _supports(value: Function, at: Array, slopes: Array) -> bool:
    """Whether a plane through the point lies nowhere above a convex function nearby."""
    steps = np.array(list(product(np.linspace(-0.25, 0.25, 9), repeat=2)))
    return bool(np.all(value(at + steps) >= value(at[None])[0] + steps @ slopes - 1e-9))


@pytest.mark.parametrize(("name", "pair"), PAIR_CASES)
def test_pair_slopes_are_the_subgradients_of_minimum_norm(
    name: str, pair: tuple[float, float]
) -> None:
    """No smaller multiple of 1/8 in both variables supports the function at the point."""
    sign, function = PAIRS[name]
    slopes = np.array([part[0] for part in subgradients.PAIR_SLOPES[name][pair]])
    if not all(map(isfinite, pair)):
        assert sorted(np.abs(slopes)) in ([0, 1], [0.5, 0.5])
        return

    def value(points: Array) -> Array:
        result: Array = sign * function(points[:, 0], points[:, 1])
        return result

    at = np.array(pair)
    assert _supports(value, at, sign * slopes)
    smaller = [
        np.array(other) / 8
        for other in product(range(-16, 17), repeat=2)
        if np.linalg.norm(other) / 8 < np.linalg.norm(slopes) - 1e-9
    ]
    assert not any(_supports(value, at, other) for other in smaller)


def test_every_pair_function_is_tested() -> None:
    assert set(subgradients.PAIR_SLOPES) == set(PAIRS)


def test_points_that_a_table_has_not() -> None:
    with pytest.raises(KeyError):
        subgradients.candidates(subgradients.SLOPES["abs"], np.array([0.375]))
    first, last = subgradients.candidates(subgradients.SLOPES["hardswish"], np.array([3.0]))
    assert (first.item(), last.item()) == (1.5, 1)
    by_first, by_second = subgradients.pair_slopes(
        subgradients.PAIR_SLOPES["fmax-nan"], np.array([np.nan]), np.array([1.0])
    )
    assert (by_first.item(), by_second.item()) == (0, 1)


def test_kinks_must_bend_their_way() -> None:
    with pytest.raises(ValueError, match="no convex kink"):
        subgradients.convex(1, 0)
    with pytest.raises(ValueError, match="no convex kink"):
        subgradients.concave(0, 1)
    assert subgradients.convex(0.25, 1) == (0.25,)
    assert subgradients.convex(-3, -1) == (-1,)
    assert subgradients.concave(2, 1) == (1,)


def test_ties_share_evenly() -> None:
    array = np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 1.0]])
    assert subgradients.evenly(array, (1,)).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    assert np.array_equal(subgradients.evenly(array, (0, 1)) * 3, [[0, 1, 1], [1, 0, 0]])
    assert np.array_equal(subgradients.evenly(array, (1,), -1), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 3.0, inf])
def test_norm_slopes_are_differences_and_zero_at_zero(order: float) -> None:
    x = RANDOM.normal(size=(3, 4))
    x[1] = 0
    slopes = subgradients.norm_slopes(x, order, (1,))
    assert not slopes[1].any()
    for row, column in product((0, 2), range(4)):
        moved = x.copy()
        moved[row, column] += 1e-7
        change = np.linalg.norm(moved[row], order) - np.linalg.norm(x[row], order)
        assert abs(change / 1e-7 - slopes[row, column]) < 1e-5


def test_product_slopes_are_differences() -> None:
    """Products are linear in each factor, so that a step of 1 gives the slope exactly."""
    x = RANDOM.integers(-1, 3, size=(3, 4)).astype(float)
    cotangent = RANDOM.integers(-3, 4, size=(3, 4)).astype(float)
    for axis in (0, 1, -1):
        slopes = subgradients.product_slopes(x, axis)
        gradient = subgradients.cumulative_product_vjp(x, axis, cotangent)
        for place in np.ndindex(x.shape):
            moved = x.copy()
            moved[place] += 1
            change = moved.prod(axis) - x.prod(axis)
            assert change.sum() == slopes[place]
            steps = moved.cumprod(axis) - x.cumprod(axis)
            assert (cotangent * steps).sum() == gradient[place]


def test_scattered_rows_add_up() -> None:
    index = RANDOM.integers(0, 3, size=(2, 5))
    cotangent = RANDOM.integers(-3, 4, size=(2, 5)).astype(float)
    expected = np.zeros((2, 3))
    np.add.at(expected, (np.arange(2)[:, None], index), cotangent)
    assert np.array_equal(subgradients.scatter_rows(cotangent, index, 1, 3), expected)
    assert np.array_equal(subgradients.scatter_rows(cotangent.T, index.T, 0, 3), expected.T)


def test_distance_slopes() -> None:
    first, second = subgradients.distance_slopes(np.array([0.0, 2.0]), np.array([2.0, 1.0]))
    assert first.tolist() == [[-1, -1], [0, 1]]
    assert np.array_equal(second, -first)
