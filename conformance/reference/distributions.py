"""Distributions by their distribution functions, and how far a fair sample may stray.

Every ``*_cdf`` is P(X <= x), elementwise in float64, from the density in torch's documentation.
Every ``*_limit`` is what a fair sample exceeds with a probability of at most ``FALSE_ALARM``,
whatever the size of the sample: a theorem's bound, never one of a large sample's approximations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FALSE_ALARM = 1e-15
"""Probability with which one comparison refutes a fair sample: a million of them stay below
one in a thousand million."""


def _elementwise(function: Callable[[float], float], x: Array) -> Array:
    return np.array([function(value) for value in np.ravel(x).tolist()]).reshape(np.shape(x))


def uniform_cdf(x: Array, low: float, high: float) -> Array:
    """Return P(X <= x) for the continuous uniform distribution on [low, high)."""
    return np.clip((np.asarray(x, dtype=np.float64) - low) / (high - low), 0.0, 1.0)


def normal_cdf(x: Array, mean: float, std: float) -> Array:
    """Return P(X <= x) for the normal distribution: erfc(-z / sqrt(2)) / 2, z standardized."""
    z = (np.asarray(x, dtype=np.float64) - mean) / std
    return _elementwise(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), z)


def exponential_cdf(x: Array, rate: float) -> Array:
    """Return P(X <= x) for the exponential distribution: 1 - exp(-rate * x)."""
    return -np.expm1(-rate * np.maximum(np.asarray(x, dtype=np.float64), 0.0))


def cauchy_cdf(x: Array, median: float, scale: float) -> Array:
    """Return P(X <= x) for the Cauchy distribution: 1/2 + arctan(z) / pi."""
    return 0.5 + np.arctan((np.asarray(x, dtype=np.float64) - median) / scale) / math.pi


def log_normal_cdf(x: Array, mean: float, std: float) -> Array:
    """Return P(X <= x) for exp of a normal variable of that mean and std."""
    with np.errstate(divide="ignore"):
        return normal_cdf(np.log(np.maximum(np.asarray(x, dtype=np.float64), 0.0)), mean, std)


def integers_cdf(x: Array, low: int, high: int) -> Array:
    """Return P(X <= x) for the uniform distribution on the integers low .. high - 1."""
    return np.clip((np.floor(np.asarray(x, dtype=np.float64)) - low + 1) / (high - low), 0.0, 1.0)


def geometric_cdf(x: Array, p: float) -> Array:
    """Return P(X <= x) for the number of trials up to the first success: 1 - (1 - p)**k."""
    trials = np.maximum(np.floor(np.asarray(x, dtype=np.float64)), 0.0)
    return 1 - (1 - p) ** trials


def poisson_cdf(x: Array, rate: float) -> Array:
    """Return P(X <= x) for the Poisson distribution: sums of rate**k exp(-rate) / k!."""
    counts = np.floor(np.asarray(x, dtype=np.float64))
    most = int(max(counts.max(initial=0.0), 0.0))
    masses = [math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) for k in range(most + 1)]
    return _from_masses(counts, np.array(masses))


def categorical_cdf(x: Array, weights: tuple[float, ...]) -> Array:
    """Return P(X <= x) where category k has a probability proportional to ``weights[k]``."""
    masses = np.asarray(weights, dtype=np.float64)
    return _from_masses(np.floor(np.asarray(x, dtype=np.float64)), masses / masses.sum())


def _from_masses(counts: Array, masses: Array) -> Array:
    total = np.concatenate([[0.0], np.cumsum(masses)])
    places: Array = np.clip(counts + 1, 0, len(masses)).astype(np.int64)
    shares: Array = np.minimum(total[places], 1.0)
    return shares


CDFS: dict[str, Callable[..., Array]] = {
    "uniform": uniform_cdf,
    "normal": normal_cdf,
    "exponential": exponential_cdf,
    "cauchy": cauchy_cdf,
    "log-normal": log_normal_cdf,
    "integers": integers_cdf,
    "geometric": geometric_cdf,
    "poisson": poisson_cdf,
    "categorical": categorical_cdf,
}
"""Distribution function by name: of the places, then the parameters."""


def second_draw(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Return the probabilities of each category as the second draw without replacement.

    P(j) = sum over i != j of p(i) p(j) / (1 - p(i)): what is left after i was drawn first.
    """
    shares = [weight / sum(weights) for weight in weights]
    return tuple(
        sum(p * q / (1 - p) for i, p in enumerate(shares) if i != j) for j, q in enumerate(shares)
    )


def empirical_limit(count: int) -> float:
    """Return how far the empirical distribution function of ``count`` draws may be off.

    sqrt(ln(2 / p) / 2n), by Dvoretzky, Kiefer and Wolfowitz with Massart's constant. It holds
    for discrete distributions too, at all places at once.
    """
    return math.sqrt(math.log(2 / FALSE_ALARM) / (2 * count))


def mean_limit(count: int, width: float) -> float:
    """Return how far the mean of ``count`` independent values within ``width`` may be off.

    width * sqrt(ln(2 / p) / 2n), by Hoeffding.
    """
    return width * math.sqrt(math.log(2 / FALSE_ALARM) / (2 * count))


def normal_mean_limit(count: int) -> float:
    """Return how far the mean of ``count`` standard normal draws may be off: sqrt(2 ln(2 / p) / n).

    The tail bound P(Z > t) <= exp(-t**2 / 2), of a mean that is normal with variance 1 / n.
    """
    return math.sqrt(2 * math.log(2 / FALSE_ALARM) / count)


def normal_square_limit(count: int) -> float:
    """Return how far the mean square of ``count`` standard normal draws may be from 1.

    2 sqrt(a / n) + 2 a / n with a = ln(2 / p), by Laurent and Massart (2000), lemma 1.
    """
    tail = math.log(2 / FALSE_ALARM) / count
    return 2 * math.sqrt(tail) + 2 * tail


def exponential_mean_limit(count: int) -> float:
    """Return how far the mean of ``count`` exponential draws of rate 1 may be from 1.

    sqrt(2 a / n) + a / n with a = ln(2 / p): the Cramer-Chernoff bound of a sub-gamma variable
    (Boucheron, Lugosi and Massart, Concentration Inequalities, section 2.4).
    """
    tail = math.log(2 / FALSE_ALARM) / count
    return math.sqrt(2 * tail) + tail


def share_up_to(values: Array, places: Array) -> Array:
    """Return the empirical distribution function: which share of ``values`` is <= each place."""
    ordered = np.sort(np.ravel(values))
    return np.searchsorted(ordered, places, side="right") / ordered.size


def quantiles(values: Array, count: int) -> Array:
    """Return ``count`` order statistics evenly through ``values``, the ends included; nan last.

    Then the number just below each: draws that are all the largest value there is have the
    right share up to it, and a wrong one below.
    """
    ordered = np.sort(np.ravel(values).astype(np.float64))
    places = ordered[np.linspace(0, ordered.size - 1, count).astype(np.int64)]
    below = np.where(np.isfinite(places), np.nextafter(places, -np.inf), places)
    return np.concatenate([places, below])


def sign_products(values: Array, median: float, lag: int) -> float:
    """Return the mean product of the signs around the median of values ``lag`` apart.

    For independent draws the products are themselves independent and as often 1 as -1: each is
    the product of a fresh sign and an earlier one.
    """
    signs = np.sign(np.ravel(values).astype(np.float64) - median)
    return float(np.mean(signs[lag:] * signs[:-lag]))
