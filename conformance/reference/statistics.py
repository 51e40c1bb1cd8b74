"""Statistics: variances, covariances, quantiles and histograms."""

from __future__ import annotations

import numpy as np

from conformance.reference.reductions import Array, Dims, axes, count_over, mean_over, sum_over


def _freedom(a: Array, dim: Dims, correction: float) -> np.float64:
    return np.float64(max(0.0, count_over(a, dim) - correction))


def _deviations(a: Array, dim: Dims) -> Array:
    return np.asarray(a - mean_over(a, dim, keepdim=True))


def variance(a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Return the mean square distance from the mean, of complex numbers a real one."""
    squares = np.abs(_deviations(a, dim)) ** 2
    return sum_over(squares, dim, keepdim) / _freedom(a, dim, correction)


def variance_magnitude(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> Array:
    """Return the mean square: what the rounding of a variance is relative to."""
    return sum_over(np.abs(a) ** 2, dim, keepdim) / _freedom(a, dim, correction)


def analytic_variance(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> Array:
    """As :func:`variance`, of complex arrays that stand for real ones."""
    return sum_over(_deviations(a, dim) ** 2, dim, keepdim) / _freedom(a, dim, correction)


def deviation(a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Return the root of the variance."""
    return np.sqrt(variance(a, dim, correction, keepdim))


def deviation_magnitude(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> Array:
    """Return the root of the mean square."""
    return np.sqrt(variance_magnitude(a, dim, correction, keepdim))


def analytic_deviation(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> Array:
    """As :func:`deviation`, of complex arrays that stand for real ones."""
    return np.sqrt(analytic_variance(a, dim, correction, keepdim))


def variance_and_mean(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """Return the variance and the mean."""
    return variance(a, dim, correction, keepdim), mean_over(a, dim, keepdim)


def variance_and_mean_magnitude(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """Return what the rounding of each is relative to."""
    return (
        variance_magnitude(a, dim, correction, keepdim),
        mean_over(np.abs(a), dim, keepdim),
    )


def analytic_variance_and_mean(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """As :func:`variance_and_mean`, of complex arrays that stand for real ones."""
    return analytic_variance(a, dim, correction, keepdim), mean_over(a, dim, keepdim)


def deviation_and_mean(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """Return the standard deviation and the mean."""
    return deviation(a, dim, correction, keepdim), mean_over(a, dim, keepdim)


def deviation_and_mean_magnitude(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """Return what the rounding of each is relative to."""
    return (
        deviation_magnitude(a, dim, correction, keepdim),
        mean_over(np.abs(a), dim, keepdim),
    )


def analytic_deviation_and_mean(
    a: Array, dim: Dims = None, correction: float = 1, keepdim: bool = False
) -> tuple[Array, Array]:
    """As :func:`deviation_and_mean`, of complex arrays that stand for real ones."""
    return analytic_deviation(a, dim, correction, keepdim), mean_over(a, dim, keepdim)


def _weights(count: int, fweights: Array | None, aweights: Array | None) -> tuple[Array, Array]:
    ones = np.ones(count)
    frequencies = ones if fweights is None else fweights.astype(np.float64)
    importances = ones if aweights is None else aweights
    return frequencies * importances, importances


def _covariance(
    x: Array, other: Array, weights: Array, importances: Array, correction: int
) -> Array:
    total = weights.sum()
    freedom = np.real(total - (weights * importances).sum() / total * correction)
    products = (x * weights) @ other.T
    return np.asarray(np.squeeze(products / np.maximum(freedom, 0.0)))


def covariance(
    a: Array,
    correction: int = 1,
    fweights: Array | None = None,
    aweights: Array | None = None,
) -> Array:
    """Return the covariances of the rows' variables, of one variable its variance."""
    centred, weights, importances = _centred(a, fweights, aweights)
    result = _covariance(centred, np.conj(centred), weights, importances, correction)
    return result.reshape((len(a), len(a)) if a.ndim == 2 and len(a) != 1 else ())


def analytic_covariance(
    a: Array,
    correction: int = 1,
    fweights: Array | None = None,
    aweights: Array | None = None,
) -> Array:
    """As :func:`covariance`, of complex arrays that stand for real ones."""
    centred, weights, importances = _centred(a, fweights, aweights)
    total = weights.sum()
    freedom = total - (weights * importances).sum() / total * correction
    return np.asarray(np.squeeze((centred * weights) @ centred.T / freedom))


def covariance_magnitude(
    a: Array,
    correction: int = 1,
    fweights: Array | None = None,
    aweights: Array | None = None,
) -> Array:
    """Return the covariances' terms' sizes if means added to what they are taken off."""
    rows = np.abs(a.reshape(-1, a.shape[-1] if a.ndim else 1))
    weights, importances = _weights(rows.shape[1], fweights, aweights)
    sums = rows + (rows @ weights / weights.sum())[:, None]
    return _covariance(sums, sums, weights, importances, correction)


def _centred(
    a: Array, fweights: Array | None, aweights: Array | None
) -> tuple[Array, Array, Array]:
    rows = a.reshape(-1, a.shape[-1] if a.ndim else 1)
    weights, importances = _weights(rows.shape[1], fweights, aweights)
    return rows - (rows @ weights / weights.sum())[:, None], weights, importances


def correlation(a: Array) -> Array:
    """Return the covariances over the roots of the products of the variances."""
    table = covariance(a)
    if not table.ndim:
        return np.asarray(table / table)
    spread = np.sqrt(np.real(np.diagonal(table)))
    return np.asarray(table / spread[:, None] / spread)


def analytic_correlation(a: Array) -> Array:
    """As :func:`correlation`, of complex arrays that stand for real ones."""
    table = analytic_covariance(a)
    if not table.ndim:
        return np.asarray(table / table)
    spread = np.sqrt(np.diagonal(table))
    return np.asarray(table / spread[:, None] / spread)


def correlation_magnitude(a: Array) -> Array:
    """Return how much larger the terms are than what is left of them."""
    table, sizes = covariance(a), covariance_magnitude(a)
    if not table.ndim:
        return np.asarray(sizes / np.abs(table))
    spread = np.sqrt(np.real(np.diagonal(table)))
    relative = np.diagonal(sizes) / np.real(np.diagonal(table))
    return np.asarray(sizes / spread[:, None] / spread + relative[:, None] + relative)


def _between(row: Array, place: float, interpolation: str) -> object:
    """The value at a place, which may lie between two of a sorted row."""
    below = int(np.floor(place))
    a, b = row[below], row[min(below + 1, len(row) - 1)]
    fraction = place - below
    if not fraction or interpolation == "lower":
        return a
    if interpolation == "higher":
        return b
    if interpolation == "nearest":
        return row[int(np.round(place))]
    if interpolation == "midpoint":
        return (a + b) / 2
    return a + (b - a) * fraction


def _quantiles(
    a: Array, q: Array, dim: int | None, keepdim: bool, interpolation: str, skipping: bool
) -> Array:
    over = axes(a, dim)
    moved = a.reshape(-1) if dim is None or not a.ndim else np.moveaxis(a, dim, -1)
    points = np.atleast_1d(q).real
    result = np.full((len(points), *moved.shape[:-1]), np.nan, a.dtype)
    for index in np.ndindex(moved.shape[:-1]):
        row = moved[index]
        numbers = row[~np.isnan(row.real)]
        if (len(numbers) < len(row) and not skipping) or not len(numbers):
            continue
        ordered = numbers[np.argsort(numbers.real, kind="stable")]
        for n, point in enumerate(points):
            result[(n, *index)] = _between(ordered, point * (len(ordered) - 1), interpolation)
    if keepdim:
        result = np.expand_dims(result, tuple(axis + 1 for axis in over))
    return result if np.ndim(q) else result[0]


def quantiles(
    a: Array,
    q: Array | float,
    dim: int | None = None,
    keepdim: bool = False,
    interpolation: str = "linear",
) -> Array:
    """Return the value below which a share ``q`` lies, nan where there is a nan."""
    return _quantiles(a, np.asarray(q), dim, keepdim, interpolation, skipping=False)


def quantiles_of_numbers(
    a: Array,
    q: Array | float,
    dim: int | None = None,
    keepdim: bool = False,
    interpolation: str = "linear",
) -> Array:
    """As :func:`quantiles`, nan left out."""
    return _quantiles(a, np.asarray(q), dim, keepdim, interpolation, skipping=True)


def bin_counts(a: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """Return how often each of the numbers from 0 occurs, or the sum of its weights."""
    length = max(minlength, int(a.max()) + 1 if a.size else 0)
    counts = np.zeros(length, np.int64 if weights is None else np.float64)
    for place, value in enumerate(a):
        counts[int(value)] += 1 if weights is None else weights[place]
    return counts


def bin_sizes(a: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """Return the sums of the sizes of the weights."""
    return bin_counts(a, None if weights is None else np.abs(weights), minlength)


def _filled_bins(a: Array, edges: Array, weight: Array | None) -> Array:
    """Sums of weights, in bins open to the right but for the last one."""
    counts = np.zeros(len(edges) - 1)
    heights = np.ones(a.size) if weight is None else weight.reshape(-1)
    for value, height in zip(a.reshape(-1), heights, strict=True):
        for n in range(len(counts)):
            last = n == len(counts) - 1 and value == edges[-1]
            if edges[n] <= value < edges[n + 1] or last:
                counts[n] += height
    return counts


def equal_bins(a: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    """Return how many elements lie in each of equally wide bins; nan lies in none."""
    low, high = (min, max) if min or max else (a.min(), a.max())
    return _filled_bins(a, np.linspace(low, high, bins + 1), None)


def histogram_and_edges(
    a: Array,
    bins: int | Array,
    range: tuple[float, float] | None = None,
    weight: Array | None = None,
    density: bool = False,
) -> tuple[Array, Array]:
    """Return the histogram and its bins' edges."""
    if isinstance(bins, int):
        low, high = range if range is not None else (a.min(), a.max())
        edges = np.linspace(low, high, bins + 1)
    else:
        edges = bins
    counts = _filled_bins(a, edges, weight)
    if density:
        counts = counts / counts.sum() / np.diff(edges)
    return counts, edges
