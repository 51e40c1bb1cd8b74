"""Bessel functions of orders 0 and 1, from integrals, series without cancellation, asymptotics.

Sources: Abramowitz and Stegun (A&S), chapter 9. ``..._near`` functions are analytic twins for
complex arrays near real ones of moderate size.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FAR = 25.0  # from where on the asymptotic series are exact to double precision
_EULER = 0.5772156649015329
_TERMS = 28


def _asymptotic_terms(order: int, x: float) -> list[float]:
    """``a_k(order) / x**k`` of A&S 9.2.5 and 9.7.1, while they fall."""
    terms = [1.0]
    for k in range(1, 30):
        terms.append(terms[-1] * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * x))
    return terms


@cache
def _scaled_growing(order: int, x: float) -> float:
    """``exp(-x) I(x)`` for x not below 0: a power series (A&S 9.6.10) or its asymptotics."""
    if x > _FAR:
        terms = _asymptotic_terms(order, x)
        alternating = sum((-1) ** k * term for k, term in enumerate(terms))
        return float(alternating / math.sqrt(2 * math.pi * x))
    term = total = float((x / 2) ** order)
    for k in range(1, 80):
        term *= x * x / 4 / (k * (k + order))
        total += term
    return math.exp(-x) * total


_scaled_growing_each = np.vectorize(_scaled_growing, otypes=[np.float64])


def i0e(x: Array) -> Array:
    """Return ``exp(-|x|) I0(x)``."""
    return np.asarray(_scaled_growing_each(0, np.abs(x)))


def i1e(x: Array) -> Array:
    """Return ``exp(-|x|) I1(x)``, which is odd."""
    return np.asarray(np.sign(x) * _scaled_growing_each(1, np.abs(x)))


def i0(x: Array) -> Array:
    """Return the modified Bessel function of order 0."""
    return np.asarray(np.exp(np.abs(x)) * i0e(x))


def i1(x: Array) -> Array:
    """Return the modified Bessel function of order 1, which is odd."""
    return np.asarray(np.exp(np.abs(x)) * i1e(x))


def _power_series(order: int, z: Array) -> Array:
    total = np.ones(np.shape(z))
    for k in range(_TERMS, 0, -1):
        total = 1 + total * (z * z / 4) / (k * (k + order))
    return np.asarray(total * (z / 2) ** order)


def i0_near(z: Array) -> Array:
    """Return :func:`i0` near real numbers."""
    return _power_series(0, z)


def i1_near(z: Array) -> Array:
    """Return :func:`i1` near real numbers."""
    return _power_series(1, z)


def i0e_near(z: Array) -> Array:
    """Return :func:`i0e` near real numbers other than 0."""
    return np.asarray(np.exp(np.where(z.real < 0, z, -z)) * _power_series(0, z))


def i1e_near(z: Array) -> Array:
    """Return :func:`i1e` near real numbers other than 0."""
    return np.asarray(np.exp(np.where(z.real < 0, z, -z)) * _power_series(1, z))


def _oscillating(order: int, x: float) -> float:
    """J(x) by the trapezoidal rule on its integral (A&S 9.1.21), exact for periodic functions."""
    angles = np.pi * (np.arange(96) + 0.5) / 96
    return float(np.mean(np.cos(order * angles - x * np.sin(angles))))


def _second_kind(order: int, x: float) -> float:
    """Y(x) by Neumann's series of even or odd J (A&S 9.1.88, 9.1.89)."""
    first = 2 / math.pi * (math.log(x / 2) + _EULER - order) * _oscillating(order, x)
    if order == 0:
        weights = [(-1) ** k / k for k in range(1, 40)]
        scale, start = -4 / math.pi, 0.0
    else:
        weights = [(-1) ** k * (2 * k + 1) / (k * (k + 1)) for k in range(1, 40)]
        scale, start = -2 / math.pi, -2 / (math.pi * x) * _oscillating(0, x)
    rest = [w * _oscillating(2 * k + order, x) for k, w in enumerate(weights, start=1)]
    return float(start + first + scale * sum(rest))


def _far_pair(order: int, x: float) -> tuple[float, float]:
    """J(x) and Y(x) by their asymptotics (A&S 9.2.5, 9.2.6).

    The phase ``x - pi / 4`` is turned by the sum of sines and cosines, without rounding it.
    """
    terms = _asymptotic_terms(order, x)
    p = sum((-1) ** k * term for k, term in enumerate(terms[::2]))
    q = sum((-1) ** k * term for k, term in enumerate(terms[1::2]))
    cosine, sine = math.cos(x) + math.sin(x), math.sin(x) - math.cos(x)
    if order == 1:
        cosine, sine = sine, -cosine
    scale = 1 / math.sqrt(math.pi * x)
    return scale * (p * cosine - q * sine), scale * (p * sine + q * cosine)


@cache
def _first_kind_of(order: int, x: float) -> float:
    size, sign = abs(x), -1.0 if order and x < 0 else 1.0
    return sign * (_far_pair(order, size)[0] if size > _FAR else _oscillating(order, size))


@cache
def _second_kind_of(order: int, x: float) -> float:
    if not x > 0:
        return -math.inf if x == 0 else math.nan
    return _far_pair(order, x)[1] if x > _FAR else _second_kind(order, x)


_first_kind_each = np.vectorize(_first_kind_of, otypes=[np.float64])
_second_kind_each = np.vectorize(_second_kind_of, otypes=[np.float64])


def j0(x: Array) -> Array:
    """Return the Bessel function of the first kind of order 0."""
    return np.asarray(_first_kind_each(0, x))


def j1(x: Array) -> Array:
    """Return the Bessel function of the first kind of order 1."""
    return np.asarray(_first_kind_each(1, x))


def y0(x: Array) -> Array:
    """Return the Bessel function of the second kind of order 0: -inf at 0, nan below it."""
    return np.asarray(_second_kind_each(0, x))


def y1(x: Array) -> Array:
    """Return the Bessel function of the second kind of order 1: -inf at 0, nan below it."""
    return np.asarray(_second_kind_each(1, x))


def _amplitude(x: Array) -> Array:
    """What oscillates, times what rounding the phase moves it by."""
    size = np.abs(x)
    return np.asarray(np.minimum(1, 1 / np.sqrt(size + 1)) * (1 + size))


def first_kind_magnitude(x: Array) -> Array:
    """Return what the rounding of J is relative to: its amplitude, and the phase's rounding."""
    return _amplitude(x)


def y0_magnitude(x: Array) -> Array:
    """Return what the rounding of Y0 is relative to."""
    return np.asarray(np.abs(y0(x)) + _amplitude(x))


def y1_magnitude(x: Array) -> Array:
    """Return what the rounding of Y1 is relative to."""
    return np.asarray(np.abs(y1(x)) + _amplitude(x))
