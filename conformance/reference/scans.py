"""Scans: results that run along one dimension, and differences and integrals along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from conformance.reference.reductions import Array


def running_sum(a: Array, dim: int, dtype: object = None) -> Array:
    """Return the sums of the first elements; integers wrap around. ``a`` is of ``dtype``."""
    return np.asarray(np.cumsum(a, axis=dim) if a.ndim else a)


def running_size(a: Array, dim: int, dtype: object = None) -> Array:
    """Return the sums of the sizes of the first elements."""
    return running_sum(np.abs(a), dim)


def running_product(a: Array, dim: int, dtype: object = None) -> Array:
    """Return the products of the first elements; integers wrap around."""
    return np.asarray(np.cumprod(a, axis=dim) if a.ndim else a)


def _running(better: Callable[[Array, Array], Array], a: Array, dim: int) -> tuple[Array, Array]:
    """The best element so far, a nan before all, and where it is; of equal ones the last."""
    moved = np.moveaxis(a.reshape(a.shape or (1,)), dim, 0)
    values, places = moved.copy(), np.zeros(moved.shape, np.int64)
    for n in range(1, len(moved)):
        best, new = values[n - 1].real, moved[n].real
        takes = (better(new, best) | np.isnan(new)) & (np.isnan(new) | ~np.isnan(best))
        values[n] = np.where(takes, moved[n], values[n - 1])
        places[n] = np.where(takes, n, places[n - 1])
    return (
        np.moveaxis(values, 0, dim).reshape(a.shape),
        np.moveaxis(places, 0, dim).reshape(a.shape),
    )


def running_largest(a: Array, dim: int) -> tuple[Array, Array]:
    """Return the largest of the first elements and where it is."""
    return _running(np.greater_equal, a, dim)


def running_smallest(a: Array, dim: int) -> tuple[Array, Array]:
    """Return the smallest of the first elements and where it is."""
    return _running(np.less_equal, a, dim)


def running_largest_value(a: Array, dim: int) -> Array:
    """Return the largest of the first elements."""
    return running_largest(a, dim)[0]


def running_smallest_value(a: Array, dim: int) -> Array:
    """Return the smallest of the first elements."""
    return running_smallest(a, dim)[0]


def running_log_sum_exp(a: Array, dim: int) -> Array:
    """Return ``log(exp(a_0) + ... + exp(a_j))``, in a way that does not overflow."""
    moved = np.moveaxis(a.reshape(a.shape or (1,)), dim, 0)
    result = moved.copy()
    for n in range(1, len(moved)):
        top = np.maximum(result[n - 1].real, moved[n].real)
        top = np.where(np.isfinite(top), top, 0.0)
        result[n] = np.log(np.exp(result[n - 1] - top) + np.exp(moved[n] - top)) + top
    return np.moveaxis(result, 0, dim).reshape(a.shape)


def running_log_magnitude(a: Array, dim: int) -> Array:
    """Return what the rounding of a running logarithm is relative to: sizes so far, 1 at least."""
    sizes = np.where(np.isfinite(a), np.abs(a), 0.0)
    largest_size = np.maximum.accumulate(sizes, axis=dim) if a.ndim else sizes
    return np.asarray(np.maximum(largest_size, 1.0))


def differences(
    a: Array,
    n: int = 1,
    dim: int = -1,
    prepend: Array | None = None,
    append: Array | None = None,
) -> Array:
    """Return the ``n``-th forward differences; integers wrap around."""
    parts = [part for part in (prepend, a, append) if part is not None]
    moved = np.moveaxis(np.concatenate(parts, axis=dim), dim, 0)
    for _ in range(n):
        moved = moved[1:] - moved[:-1]
    return np.moveaxis(moved, 0, dim)


def _trapezoids(y: Array, x: Array | None, dx: float | None, dim: int) -> Array:
    """The areas between neighbours, ``dim`` moved to the end."""
    heights = np.moveaxis(y, dim, -1)
    if x is None:
        steps = np.asarray(1.0 if dx is None else dx)
    else:
        points = x if x.ndim == 1 else np.moveaxis(x, dim, -1)
        steps = points[..., 1:] - points[..., :-1]
    return np.asarray((heights[..., 1:] + heights[..., :-1]) * steps / 2)


def integral(y: Array, x: Array | None = None, dx: float | None = None, dim: int = -1) -> Array:
    """Return the integral along ``dim`` by the trapezoidal rule, of nothing 0."""
    return np.asarray(np.sum(_trapezoids(y, x, dx, dim), axis=-1))


def integral_magnitude(
    y: Array, x: Array | None = None, dx: float | None = None, dim: int = -1
) -> Array:
    """Return the sum of the sizes that are added: twice those of the areas' terms."""
    sizes = None if x is None else np.abs(x)
    scale = None if dx is None else abs(dx)
    if sizes is None:
        return integral(np.abs(y), None, scale, dim)
    return integral(np.abs(y), _reaching(sizes, dim), None, dim)


def _reaching(sizes: Array, dim: int) -> Array:
    """Points whose steps are the sums of the sizes of neighbours."""
    axis = -1 if sizes.ndim == 1 else dim
    moved = np.moveaxis(sizes, axis, -1)
    return np.moveaxis(np.cumsum(2 * moved, axis=-1), -1, axis)


def running_integral(
    y: Array, x: Array | None = None, dx: float | None = None, dim: int = -1
) -> Array:
    """Return the integrals up to each point but the first."""
    return np.moveaxis(np.cumsum(_trapezoids(y, x, dx, dim), axis=-1), -1, dim)


def running_integral_magnitude(
    y: Array, x: Array | None = None, dx: float | None = None, dim: int = -1
) -> Array:
    """Return the running sums of the sizes that are added."""
    if x is None:
        return running_integral(np.abs(y), None, None if dx is None else abs(dx), dim)
    return running_integral(np.abs(y), _reaching(np.abs(x), dim), None, dim)


def slopes(
    f: Array,
    spacing: Any = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: Literal[1, 2] = 1,
) -> tuple[Array, ...]:
    """Return central differences along each dimension, one-sided ones at its ends."""
    places = range(f.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    steps = spacing if isinstance(spacing, (tuple, list)) else [spacing] * len(places)
    return tuple(
        np.asarray(np.gradient(f, step, axis=place, edge_order=edge_order))
        for step, place in zip(steps, places, strict=True)
    )


def slopes_magnitude(
    f: Array,
    spacing: Any = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: Literal[1, 2] = 1,
) -> tuple[Array, ...]:
    """Return a bound of the sizes of the products that :func:`slopes` adds."""
    places = range(f.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    steps = spacing if isinstance(spacing, (tuple, list)) else [spacing] * len(places)
    largest = np.max(np.abs(f), initial=0.0)
    return tuple(np.full(f.shape, largest * _steepness(step)) for step in steps)


def _steepness(step: Any) -> Any:
    """The largest weight that a step between neighbours, or their places, can give a value."""
    widths = np.abs(np.diff(step) if np.ndim(step) else np.asarray([step]))
    return 4 * widths.max() / widths.min() ** 2
