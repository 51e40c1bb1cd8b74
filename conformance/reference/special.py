"""The gamma function and its kin, on their own derivations.

Real numbers come from C's library (``math.lgamma``) or from series whose terms do not cancel.
``..._near`` functions are analytic twins for complex arrays near real ones.
Sources: Abramowitz and Stegun (A&S), chapter 6, and https://dlmf.nist.gov.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.error_functions import ORDER, integral, taylor

Array = npt.NDArray[Any]

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_SHIFT = 12  # from where on Stirling's series with these numbers is exact to double precision


@cache
def _lgamma_of(x: float) -> float:
    return math.inf if x == -math.inf or (x <= 0 and x == round(x)) else math.lgamma(x)


_lgamma_each = np.vectorize(_lgamma_of, otypes=[np.float64])


def lgamma(x: Array) -> Array:
    """Return ``log|gamma(x)|``, infinite at its poles."""
    return np.asarray(_lgamma_each(x))


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
    for k in range(1, ORDER):
        slopes.append(((a - 1 - x - k) * slopes[k] - slopes[k - 1]) / (x * (k + 1)))
    return taylor(integral(igamma(a, x), slopes), z)


def igammac_near(a: Array, z: Array) -> Array:
    """Return :func:`igammac` of z near real numbers."""
    return np.asarray(1 - igamma_near(a, z))
