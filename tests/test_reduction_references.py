"""The references of reductions, scans and statistics, against SciPy, NumPy and plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from conformance.reference import ordering, reductions, scans, searching, statistics

RANDOM = np.random.default_rng(7)
CUBE = RANDOM.normal(size=(3, 4, 5))


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2), (-1, 0), (0, 1, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions(dim: reductions.Dims, keepdim: bool) -> None:
    axis = dim if dim is None or isinstance(dim, int) else tuple(dim)
    for ours, theirs in (
        (reductions.mean_over, np.mean),
        (statistics.variance, lambda a, axis, keepdims: np.var(a, axis, ddof=1, keepdims=keepdims)),
        (ordering.largest, np.max),
        (ordering.smallest, np.min),
        (reductions.log_sum_exp, scipy.special.logsumexp),
    ):
        np.testing.assert_allclose(
            ours(CUBE, dim, keepdim=keepdim), theirs(CUBE, axis=axis, keepdims=keepdim)
        )


@pytest.mark.parametrize("order", [0, 1, 2, 3, np.inf, -np.inf])
def test_norms(order: float) -> None:
    expected = np.linalg.norm(CUBE.reshape(-1), order)
    assert reductions.vector_norm(CUBE, order) == pytest.approx(expected)
    assert reductions.analytic_vector_norm(CUBE, order) == pytest.approx(expected)


def test_renorm_limits_the_norm_of_each_slice() -> None:
    limited = reductions.renormalized(CUBE, 2, 1, 1.5)
    before, after = (np.sqrt((a**2).sum(axis=(0, 2))) for a in (CUBE, limited))
    np.testing.assert_allclose(after, np.minimum(before, 1.5))


def test_orders() -> None:
    ties = RANDOM.integers(0, 3, size=(4, 6)).astype(np.float64)
    ties[0, 1] = ties[2, 3] = np.nan
    values, places = ordering.in_order(ties, 1)
    np.testing.assert_array_equal(values, np.sort(ties, axis=1))
    np.testing.assert_array_equal(places, np.argsort(ties, axis=1, kind="stable"))
    falling, places = ordering.in_order(ties, 1, descending=True)
    np.testing.assert_array_equal(falling, np.sort(ties, axis=1)[:, ::-1])
    same = (falling[:, 1:] == falling[:, :-1]) & (places[:, 1:] <= places[:, :-1])
    assert not same.any()
    whole = ties[np.isfinite(ties)]
    assert ordering.lower_median(whole) == np.sort(whole)[(len(whole) - 1) // 2]
    assert ordering.lower_median_of_numbers(ties) == ordering.lower_median(whole)


def test_scans() -> None:
    np.testing.assert_array_equal(
        scans.running_largest(CUBE, -2)[0], np.maximum.accumulate(CUBE, axis=1)
    )
    np.testing.assert_allclose(
        scans.running_log_sum_exp(CUBE, 1), np.log(np.cumsum(np.exp(CUBE), axis=1))
    )
    np.testing.assert_array_equal(
        scans.differences(CUBE, 2, 1, prepend=CUBE), np.diff(CUBE, 2, 1, prepend=CUBE)
    )
    points = np.sort(RANDOM.normal(size=5))
    np.testing.assert_allclose(
        scans.integral(CUBE, points), scipy.integrate.trapezoid(CUBE, points)
    )
    np.testing.assert_allclose(
        scans.running_integral(CUBE, dx=0.5, dim=0),
        scipy.integrate.cumulative_trapezoid(CUBE, dx=0.5, axis=0),
    )


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_quantiles(method: str) -> None:
    shares = np.arange(9) / 8
    ours = statistics.quantiles(CUBE, shares, 1, True, method)
    theirs = np.quantile(CUBE, shares, axis=1, keepdims=True, method=method)  # type: ignore[call-overload]
    np.testing.assert_allclose(ours, theirs)


def test_covariances() -> None:
    frequencies, importances = np.array([1, 2, 1, 3]), np.array([1.0, 2.0, 0.5, 1.0])
    matrix = CUBE[:, :, 0]
    np.testing.assert_allclose(
        statistics.covariance(matrix, 1, frequencies, importances),
        np.cov(matrix, ddof=1, fweights=frequencies, aweights=importances),
    )
    np.testing.assert_allclose(statistics.correlation(matrix), np.corrcoef(matrix))
    np.testing.assert_allclose(
        statistics.analytic_covariance(matrix), statistics.covariance(matrix)
    )


def test_histograms() -> None:
    values = RANDOM.integers(-8, 9, size=40) / 4
    expected, edges = np.histogram(values, 8, (-2, 2), density=True)
    ours = statistics.histogram_and_edges(values, 8, (-2.0, 2.0), density=True)
    np.testing.assert_allclose(ours[0], expected)
    np.testing.assert_array_equal(ours[1], edges)
    numbers = RANDOM.integers(0, 6, size=20)
    np.testing.assert_array_equal(statistics.bin_counts(numbers), np.bincount(numbers))


def test_sets_and_places() -> None:
    table = RANDOM.integers(0, 2, size=(9, 2))
    values, inverse, counts = searching.distinct_values(table, True, True, True, 0)
    expected = np.unique(table, axis=0, return_counts=True)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(counts, expected[1])
    np.testing.assert_array_equal(values[inverse], table)
    runs, lengths = searching.distinct_neighbours(np.array([1, 1, 2, 1]), False, True)
    assert (runs.tolist(), lengths.tolist()) == ([1, 2, 1], [2, 1, 1])
    line, points = np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 3.0, -1.0])
    for side in ("left", "right"):
        np.testing.assert_array_equal(
            searching.insertion_places(line, points, side=side),
            np.searchsorted(line, points, side=side),
        )


def test_most_frequent() -> None:
    row = np.array([2, 1, 2, 0, 2])
    assert int(ordering.most_frequent(row)) == Counter(row.tolist()).most_common(1)[0][0]
    assert int(ordering.most_frequent(row)) == scipy.stats.mode(row).mode
