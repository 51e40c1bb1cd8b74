"""Error integrals and their inverses, on their own derivations.

Real numbers come from C's library (``math.erf``) or from series whose terms do not cancel.
``..._near`` functions are analytic twins for complex arrays near real ones: Taylor series in the
imaginary part, from the differential equation that the function satisfies.
Source: Abramowitz and Stegun (A&S), chapter 7.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ROOT_PI = math.sqrt(math.pi)
ORDER = 16  # of Taylor series within 1/32 of a point that is at least 1/4 from singularities


def taylor(coefficients: list[Array], z: Array) -> Array:
    """Return the sum of ``coefficients[k] (i Im z)**k``: a Taylor series about the real part."""
    step = 1j * np.imag(z)
    total: Array = np.zeros(np.shape(z))
    for coefficient in reversed(coefficients):
        total = total * step + coefficient
    return np.asarray(total)


_erf_each = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Array) -> Array:
    """Return the error function."""
    return np.asarray(_erf_each(x))


_erfc_each = np.vectorize(math.erfc, otypes=[np.float64])


def erfc(x: Array) -> Array:
    """Return the complementary error function."""
    return np.asarray(_erfc_each(x))


def erf_magnitude(x: Array) -> Array:
    """Return the size of ``erf``, near 0 of what may cancel: vectorized, it may be 1 - erfc."""
    return np.asarray(np.abs(erf(x)) + 2.0**-10)


def integral(value: Array, slopes: list[Array]) -> list[Array]:
    """Taylor coefficients of a function, from its value and the coefficients of its slope."""
    return [value, *(slope / (k + 1) for k, slope in enumerate(slopes))]


def _gaussian(x: Array) -> list[Array]:
    """Taylor coefficients of ``2 exp(-x**2) / sqrt(pi)``: ``g' = -2 x g``."""
    found = [2 / _ROOT_PI * np.exp(-x * x), np.zeros(np.shape(x))]
    found[1] = -2 * x * found[0]
    for k in range(1, ORDER):
        found.append(-2 * (x * found[k] + found[k - 1]) / (k + 1))
    return found


def erf_near(z: Array) -> Array:
    """Return the error function near real numbers."""
    return taylor(integral(erf(z.real), _gaussian(z.real)), z)


def erfc_near(z: Array) -> Array:
    """Return the complementary error function near real numbers."""
    slopes = [-slope for slope in _gaussian(z.real)]
    return taylor(integral(erfc(z.real), slopes), z)


@cache
def _erfcx_of(x: float) -> float:
    """Beyond 2 Laplace's continued fraction (A&S 7.1.14), before the definition."""
    if x < -26.7 or math.isnan(x):
        return math.inf if x < 0 else x
    if x <= 2:
        return math.exp(x * x) * math.erfc(x)
    tail = 0.0
    for k in range(120, 0, -1):
        tail = k / 2 / (x + tail)
    return 1 / (x + tail) / _ROOT_PI


_erfcx_each = np.vectorize(_erfcx_of, otypes=[np.float64])


def erfcx(x: Array) -> Array:
    """Return ``exp(x**2) erfc(x)``."""
    return np.asarray(_erfcx_each(x))


def erfcx_magnitude(x: Array) -> Array:
    """Return the size of ``erfcx`` times the error of ``exp(x**2)``, where that is used."""
    return np.asarray(erfcx(x) * np.where(x < 0, 1 + x * x, 1))


def erfcx_near(z: Array) -> Array:
    """Return ``exp(z**2) erfc(z)`` near real numbers: ``f' = 2 z f - 2 / sqrt(pi)``."""
    x = z.real
    found = [erfcx(x)]
    found.append(2 * x * found[0] - 2 / _ROOT_PI)
    for k in range(1, ORDER):
        found.append(2 * (x * found[k] + found[k - 1]) / (k + 1))
    return taylor(found, z)


def ndtr(x: Array) -> Array:
    """Return the distribution function of the normal distribution."""
    return np.asarray(erfc(-x / math.sqrt(2)) / 2)


def ndtr_magnitude(x: Array) -> Array:
    """Return 1: ``ndtr`` may be half of ``1 + erf``, which cancels below 0."""
    return np.ones(np.shape(x))


def ndtr_near(z: Array) -> Array:
    """Return :func:`ndtr` near real numbers."""
    return np.asarray(erfc_near(-z / math.sqrt(2)) / 2)


def log_ndtr(x: Array) -> Array:
    """Return ``log(ndtr(x))``; below -1 by :func:`erfcx`, which does not underflow."""
    low = np.minimum(x, -1.0)
    tail = np.log(erfcx(-low / math.sqrt(2)) / 2) - low * low / 2
    return np.asarray(np.where(x < -1, tail, np.log1p(-erfc(x / math.sqrt(2)) / 2)))


def log_ndtr_magnitude(x: Array) -> Array:
    """Return the size of ``log_ndtr``, above 0 that of a tail, whose exponent rounding changes."""
    return np.asarray(np.abs(log_ndtr(x)) * (1 + np.clip(x, 0, 40) ** 2) + 2.0**-100)


def log_ndtr_near(z: Array) -> Array:
    """Return :func:`log_ndtr` near real numbers."""
    return np.asarray(np.log(ndtr_near(z)))


@cache
def _erfcinv_of(tail: float) -> float:
    """The y with ``erfc(y) == tail``, for a tail in (0, 1/2], by Newton's method on logarithms."""
    y = math.sqrt(-math.log(tail))
    for _ in range(12):
        value = math.erfc(y)
        y += math.log1p((value - tail) / tail) * value * _ROOT_PI / 2 * math.exp(y * y)
    return y


@cache
def _erfinv_of(x: float) -> float:
    size = abs(x)
    if not size < 1:
        return math.copysign(math.inf, x) if size == 1 else math.nan
    return x and math.copysign(_erfinv_small(size) if size < 0.5 else _erfcinv_of(1 - size), x)


def _erfinv_small(x: float) -> float:
    """The y with ``erf(y) == x``, for x in [0, 1/2), by Newton's method."""
    y = x * _ROOT_PI / 2
    for _ in range(8):
        y += (x - math.erf(y)) * _ROOT_PI / 2 * math.exp(y * y)
    return y


_erfinv_each = np.vectorize(_erfinv_of, otypes=[np.float64])


def erfinv(x: Array) -> Array:
    """Return the inverse of the error function: infinite at -1 and 1, nan outside."""
    return np.asarray(_erfinv_each(x))


def erfinv_near(z: Array) -> Array:
    """Return 4 and the inverse of the error function near real numbers, by Newton's method.

    Derivatives do not see a constant; this one makes the size tell the rounding at 0.
    """
    found = erfinv(z.real) + 0j
    for _ in range(5):
        found = found + (z - erf_near(found)) * _ROOT_PI / 2 * np.exp(found * found)
    return np.asarray(4 + found)


@cache
def _ndtri_of(p: float) -> float:
    if not 0 < p < 1:
        return {0.0: -math.inf, 1.0: math.inf}.get(p, math.nan)
    if 0.25 < p < 0.75:
        return math.sqrt(2) * _erfinv_of(2 * p - 1)
    size = math.sqrt(2) * _erfcinv_of(2 * min(p, 1 - p))
    return size if p > 0.5 else -size


_ndtri_each = np.vectorize(_ndtri_of, otypes=[np.float64])


def ndtri(x: Array) -> Array:
    """Return the quantile of the normal distribution: nan outside of [0, 1]."""
    return np.asarray(_ndtri_each(x))


def ndtri_near(z: Array) -> Array:
    """Return a constant and the quantile of the normal distribution near real numbers."""
    return np.asarray(math.sqrt(2) * erfinv_near(2 * z - 1))
