"""Special functions, on their own derivations: those of error integrals and of the gamma function.

Real numbers come from C's library (``math.erf``, ``math.lgamma``) or from series whose terms do
not cancel. ``..._near`` functions are analytic twins for complex arrays near real ones: Taylor
series in the imaginary part, from the differential equation that the function satisfies, or
Stirling's series. Sources: Abramowitz and Stegun (A&S), https://dlmf.nist.gov.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ROOT_PI = math.sqrt(math.pi)
_ORDER = 16  # of Taylor series within 1/32 of a point that is at least 1/4 from singularities


def taylor(coefficients: list[Array], z: Array) -> Array:
    """Return the sum of ``coefficients[k] (i Im z)**k``: a Taylor series about the real part."""
    step, total = 1j * np.imag(z), np.zeros(np.shape(z))
    for coefficient in reversed(coefficients):
        total = total * step + coefficient
    return np.asarray(total)


# Error functions

erf = np.vectorize(math.erf, otypes=[np.float64])
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def erf_magnitude(x: Array) -> Array:
    """Return the size of ``erf``, near 0 of what may cancel: vectorized, it may be 1 - erfc."""
    return np.asarray(np.abs(erf(x)) + 2.0**-10)


def _integral(value: Array, slopes: list[Array]) -> list[Array]:
    """Taylor coefficients of a function, from its value and the coefficients of its slope."""
    return [value, *(slope / (k + 1) for k, slope in enumerate(slopes))]


def _gaussian(x: Array) -> list[Array]:
    """Taylor coefficients of ``2 exp(-x**2) / sqrt(pi)``: ``g' = -2 x g``."""
    found = [2 / _ROOT_PI * np.exp(-x * x), np.zeros(np.shape(x))]
    found[1] = -2 * x * found[0]
    for k in range(1, _ORDER):
        found.append(-2 * (x * found[k] + found[k - 1]) / (k + 1))
    return found


def erf_near(z: Array) -> Array:
    """Return the error function near real numbers."""
    return taylor(_integral(erf(z.real), _gaussian(z.real)), z)


def erfc_near(z: Array) -> Array:
    """Return the complementary error function near real numbers."""
    slopes = [-slope for slope in _gaussian(z.real)]
    return taylor(_integral(erfc(z.real), slopes), z)


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


erfcx = np.vectorize(_erfcx_of, otypes=[np.float64])


def erfcx_magnitude(x: Array) -> Array:
    """Return the size of ``erfcx`` times the error of ``exp(x**2)``, where that is used."""
    return np.asarray(erfcx(x) * np.where(x < 0, 1 + x * x, 1))


def erfcx_near(z: Array) -> Array:
    """Return ``exp(z**2) erfc(z)`` near real numbers: ``f' = 2 z f - 2 / sqrt(pi)``."""
    x = z.real
    found = [erfcx(x)]
    found.append(2 * x * found[0] - 2 / _ROOT_PI)
    for k in range(1, _ORDER):
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


erfinv = np.vectorize(_erfinv_of, otypes=[np.float64])


def erfinv_near(z: Array) -> Array:
    """Return the inverse of the error function near real numbers, by Newton's method."""
    found = erfinv(z.real) + 0j
    for _ in range(5):
        found = found + (z - erf_near(found)) * _ROOT_PI / 2 * np.exp(found * found)
    return np.asarray(found)


@cache
def _ndtri_of(p: float) -> float:
    if not 0 < p < 1:
        return {0.0: -math.inf, 1.0: math.inf}.get(p, math.nan)
    if 0.25 < p < 0.75:
        return math.sqrt(2) * _erfinv_of(2 * p - 1)
    size = math.sqrt(2) * _erfcinv_of(2 * min(p, 1 - p))
    return size if p > 0.5 else -size


ndtri = np.vectorize(_ndtri_of, otypes=[np.float64])


def ndtri_near(z: Array) -> Array:
    """Return the quantile of the normal distribution near real numbers."""
    return np.asarray(math.sqrt(2) * erfinv_near(2 * z - 1))


# The gamma function and its kin

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_SHIFT = 12  # from where on Stirling's series with these numbers is exact to double precision


@cache
def _lgamma_of(x: float) -> float:
    return math.inf if x == -math.inf or (x <= 0 and x == round(x)) else math.lgamma(x)


lgamma = np.vectorize(_lgamma_of, otypes=[np.float64])


def lgamma_magnitude(x: Array) -> Array:
    """Return the size of what cancels in ``lgamma`` near its zeros."""
    return np.asarray(np.abs(lgamma(x)) + 1)


def lgamma_near(z: Array) -> Array:
    """Return 32 and ``log|gamma(z)|`` near real numbers, by Stirling's series (A&S 6.1.40).

    Derivatives do not see a constant; this one makes the size tell what cancels.
    """
    product = np.ones(np.shape(z))
    for k in range(_SHIFT):
        product = product * (z + k)
    product = np.where(product.real < 0, -product, product)
    far = z + _SHIFT
    total = 32 + (far - 0.5) * np.log(far) - far + math.log(2 * math.pi) / 2 - np.log(product)
    for k, number in enumerate(_BERNOULLI, start=1):
        total = total + number / (2 * k * (2 * k - 1) * far ** (2 * k - 1))
    return np.asarray(total)


def digamma_near(z: Array) -> Array:
    """Return the slope of ``log(gamma(z))`` near real numbers (A&S 6.3.18)."""
    total = np.zeros(np.shape(z))
    for k in range(_SHIFT):
        total = total - 1 / (z + k)
    far = z + _SHIFT
    total = total + np.log(far) - 0.5 / far
    for k, number in enumerate(_BERNOULLI, start=1):
        total = total - number / (2 * k * far ** (2 * k))
    return np.asarray(total)


def digamma(x: Array) -> Array:
    """Return the slope of ``log|gamma(x)|``: -inf at 0, by reflection below it, nan at poles."""
    below = x < 0
    turn = np.where(below & (x != np.floor(x)), x - np.round(x), 0.25)
    mirrored = np.where(below & np.isfinite(x), 1 - x, np.where(x == 0, 1.0, x))
    value = digamma_near(mirrored) - np.where(below, np.pi / np.tan(np.pi * turn), 0)
    poles = np.where(x == 0, -np.copysign(np.inf, x), np.nan)
    infinite = np.where(x == np.inf, x, value)
    return np.asarray(np.where((x <= 0) & (x == np.floor(x)), poles, infinite))


def digamma_magnitude(x: Array) -> Array:
    """Return the size of what ``digamma`` adds up, and how rounding moves its cotangent."""
    turn = np.abs(np.where(np.isfinite(x), x - np.round(x), 0.25))
    turn = np.where((x < 0) & (turn > 0), turn, 0.25)
    reflected = np.pi**2 * turn / np.sin(np.pi * turn) ** 2
    return np.asarray(np.abs(digamma(x)) + 1 + np.where(x < 0, reflected, 0))


def zeta_near(s: Array, q: Array) -> Array:
    """Return Hurwitz's zeta function of q near a real number above 0 (DLMF 25.11.28).

    Euler's and Maclaurin's formula: terms up to q + 12, an integral, Bernoulli's numbers.
    """
    total = np.zeros(np.broadcast_shapes(np.shape(s), np.shape(q)))
    for k in range(_SHIFT):
        total = total + (q + k) ** -s
    far = q + _SHIFT
    total = total + far ** (1 - s) / (s - 1) + far**-s / 2
    factor = s * far ** (-s - 1) / 2
    for k, number in enumerate(_BERNOULLI, start=1):
        total = total + number * factor
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / ((2 * k + 1) * (2 * k + 2) * far**2)
    return np.asarray(total)


def zeta(s: Array, q: Array) -> Array:
    """Return Hurwitz's zeta function of real numbers, q not below 0; inf at its poles."""
    poles = (q == 0) | (s == 1)
    value = zeta_near(np.where(s == 1, 2.0, s), np.where(q == 0, 1.0, q))
    return np.asarray(np.where(poles, np.inf, value))


def polygamma(n: int, x: Array) -> Array:
    """Return the n-th derivative of :func:`digamma`, above 0 (A&S 6.4.10)."""
    if n == 0:
        return digamma(x)
    return np.asarray((-1) ** (n + 1) * math.factorial(n) * zeta(np.asarray(n + 1.0), x))


def polygamma_near(n: int, z: Array) -> Array:
    """Return :func:`polygamma` near real numbers above 0."""
    if n == 0:
        return digamma_near(z)
    return np.asarray((-1) ** (n + 1) * math.factorial(n) * zeta_near(np.asarray(n + 1.0), z))


def polygamma_magnitude(n: int, x: Array) -> Array:
    """Return the size of ``polygamma``; of ``digamma``, which has a zero, at least 1."""
    return np.asarray(np.abs(polygamma(n, x)) + (n == 0))


def polygamma_of(x: Array, n: int) -> Array:
    """Return :func:`polygamma`, as the method takes its arguments."""
    return polygamma(n, x)


def polygamma_of_near(z: Array, n: int) -> Array:
    """Return :func:`polygamma_near`, as the method takes its arguments."""
    return polygamma_near(n, z)


def polygamma_of_magnitude(x: Array, n: int) -> Array:
    """Return :func:`polygamma_magnitude`, as the method takes its arguments."""
    return polygamma_magnitude(n, x)


def mvlgamma(x: Array, p: int) -> Array:
    """Return the logarithm of the multivariate gamma function (torch.special.multigammaln)."""
    total = p * (p - 1) / 4 * math.log(math.pi)
    return np.asarray(total + sum(lgamma(x - i / 2) for i in range(p)))


def mvlgamma_near(z: Array, p: int) -> Array:
    """Return :func:`mvlgamma` near real numbers."""
    total = p * (p - 1) / 4 * math.log(math.pi)
    return np.asarray(total + sum(lgamma_near(z - i / 2) for i in range(p)))


def mvlgamma_magnitude(x: Array, p: int) -> Array:
    """Return the size of what ``mvlgamma`` adds up."""
    return np.asarray(p * p + sum(lgamma_magnitude(x - i / 2) for i in range(p)))


@cache
def _igamma_parts(a: float, x: float) -> tuple[float, float]:
    """The regularized incomplete gamma functions, lower and upper, of numbers above 0.

    A series (A&S 6.5.29) up to a + 1, a continued fraction (A&S 6.5.31) beyond.
    """
    front = math.exp(a * math.log(x) - x - math.lgamma(a + 1))
    if x < a + 1:
        total, term, n = 1.0, 1.0, 0
        while term > 1e-18 * total:
            n += 1
            term *= x / (a + n)
            total += term
        return front * total, 1 - front * total
    fraction = x + 2000 + 1 - a
    for n in range(999, -1, -1):
        fraction = x + 2 * n + 1 - a - (n + 1) * (n + 1 - a) / fraction
    return 1 - front * a / fraction, front * a / fraction


@cache
def _igamma_of(a: float, x: float, upper: int) -> float:
    if not (a >= 0 and x >= 0 and a + x > 0):
        return math.nan
    if a == 0 or x == 0:
        return float((a == 0) != upper)
    return _igamma_parts(a, x)[upper]


_igamma_each = np.vectorize(_igamma_of, otypes=[np.float64])


def igamma(a: Array, x: Array) -> Array:
    """Return the regularized lower incomplete gamma function; nan where it is not defined."""
    return np.asarray(_igamma_each(a, x, 0))


def igammac(a: Array, x: Array) -> Array:
    """Return the regularized upper incomplete gamma function; nan where it is not defined."""
    return np.asarray(_igamma_each(a, x, 1))


def _igamma_exponents(a: Array, x: Array) -> Array:
    """The sizes of what adds up to the exponent of ``x**a exp(-x) / gamma(a + 1)``."""
    return np.asarray(1 + np.abs(a * np.log(np.where(x > 0, x, 1))) + x + np.abs(lgamma(a + 1)))


def igamma_magnitude(a: Array, x: Array) -> Array:
    """Return the size of ``igamma`` times that of its exponent's parts."""
    return np.asarray(igamma(a, x) * _igamma_exponents(a, x) + 2.0**-100)


def igammac_magnitude(a: Array, x: Array) -> Array:
    """Return the size of ``igammac`` times that of its exponent's parts; below a + 1 at least 1.

    There it is the complement of ``igamma``.
    """
    return np.asarray(igammac(a, x) * _igamma_exponents(a, x) + (x < a + 1) + 2.0**-100)


def igamma_near(a: Array, z: Array) -> Array:
    """Return :func:`igamma` of z near real numbers: ``z g' = (a - 1 - z) g`` for its slope g."""
    a, x = np.real(a), z.real
    slopes = [np.exp((a - 1) * np.log(x) - x - lgamma(a)), np.zeros(np.shape(a + x))]
    slopes[1] = (a - 1 - x) * slopes[0] / x
    for k in range(1, _ORDER):
        slopes.append(((a - 1 - x - k) * slopes[k] - slopes[k - 1]) / (x * (k + 1)))
    return taylor(_integral(igamma(a, x), slopes), z)


def igammac_near(a: Array, z: Array) -> Array:
    """Return :func:`igammac` of z near real numbers."""
    return np.asarray(1 - igamma_near(a, z))
