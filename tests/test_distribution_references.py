"""The distribution functions against SciPy's, and the limits against samples and exact tails."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from conformance.reference import distributions

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(1)
PLACES = np.array([-np.inf, -7.5, -1.0, -0.25, 0.0, 0.125, 0.5, 1.0, 1.75, 3.0, 20.0, np.inf])
COUNTS = np.array([-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 30.0, 60.0])
EXPECTED: dict[str, tuple[Callable[[Array], Array], Any, Array]] = {
    "uniform": (lambda x: distributions.uniform_cdf(x, -2, 3), stats.uniform(-2, 5), PLACES),
    "normal": (lambda x: distributions.normal_cdf(x, 1, 0.5), stats.norm(1, 0.5), PLACES),
    "exponential": (lambda x: distributions.exponential_cdf(x, 2), stats.expon(0, 0.5), PLACES),
    "cauchy": (lambda x: distributions.cauchy_cdf(x, 1, 0.5), stats.cauchy(1, 0.5), PLACES),
    "log-normal": (
        lambda x: distributions.log_normal_cdf(x, 0.5, 0.75),
        stats.lognorm(0.75, scale=math.exp(0.5)),
        PLACES,
    ),
    "integers": (lambda x: distributions.integers_cdf(x, -2, 3), stats.randint(-2, 3), COUNTS),
    "geometric": (lambda x: distributions.geometric_cdf(x, 0.25), stats.geom(0.25), COUNTS),
    "poisson": (lambda x: distributions.poisson_cdf(x, 12.5), stats.poisson(12.5), COUNTS),
    "categorical": (
        lambda x: distributions.categorical_cdf(x, (3, 0, 1, 4)),
        stats.rv_discrete(values=([0, 2, 3], [0.375, 0.125, 0.5])),
        COUNTS,
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_distribution_functions_are_scipys(name: str) -> None:
    ours, theirs, places = EXPECTED[name]
    assert np.allclose(ours(places), theirs.cdf(places), rtol=1e-12, atol=1e-14)


def test_every_distribution_function_is_tested() -> None:
    assert set(distributions.CDFS) == set(EXPECTED)


def test_distributions_never_import_torch() -> None:
    code = (
        "import sys, conformance.reference.distributions\n"
        "assert not {'torch', 'hypothesis'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_second_draw_by_enumeration() -> None:
    weights = (1.0, 4.0, 0.0, 3.0)
    expected = [0.0] * 4
    for first, second in permutations(range(4), 2):
        left = sum(weights) - weights[first]
        expected[second] += weights[first] / sum(weights) * weights[second] / left
    assert np.allclose(distributions.second_draw(weights), expected)
    assert math.isclose(sum(expected), 1.0)


@pytest.mark.parametrize("count", [100, 4096, 65536])
def test_limits_bound_the_exact_tails(count: int) -> None:
    allowed = distributions.FALSE_ALARM
    mean = distributions.normal_mean_limit(count)
    assert 2 * stats.norm.sf(mean * math.sqrt(count)) <= allowed
    square = distributions.normal_square_limit(count)
    tails = stats.chi2(count).sf(count * (1 + square)) + stats.chi2(count).cdf(count * (1 - square))
    assert tails <= allowed
    off = distributions.exponential_mean_limit(count)
    gamma = stats.gamma(count)
    assert gamma.sf(count * (1 + off)) + gamma.cdf(count * (1 - off)) <= allowed
    width = distributions.mean_limit(count, 1.0)
    binomial = stats.binom(count, 0.5)
    assert binomial.sf(count * (0.5 + width)) + binomial.cdf(count * (0.5 - width)) <= allowed
    assert stats.kstwo(count).sf(distributions.empirical_limit(count)) <= 2 * allowed


def test_limits_are_not_idle() -> None:
    """A normal sample whose variance is five per cent off is beyond the limit, a fair one not."""
    draws = np.random.default_rng(0).normal(size=65536)
    limit = distributions.normal_square_limit(draws.size)
    assert abs(np.mean(draws**2) - 1) < limit < 0.05


def test_empirical_distribution_counts() -> None:
    values = RANDOM.integers(0, 9, 50)
    places = np.array([-1.0, 0.0, 3.5, 8.0, 9.0])
    expected = [sum(1 for value in values if value <= place) / 50 for place in places]
    assert np.array_equal(distributions.share_up_to(values, places), expected)
    assert distributions.quantiles(values, 3)[[0, 2]].tolist() == [values.min(), values.max()]


def test_sign_products_by_a_loop() -> None:
    values = RANDOM.normal(size=40)
    products = [
        (1 if values[i] > 0.25 else -1) * (1 if values[i + 3] > 0.25 else -1) for i in range(37)
    ]
    assert math.isclose(distributions.sign_products(values, 0.25, 3), np.mean(products))
