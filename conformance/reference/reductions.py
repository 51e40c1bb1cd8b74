"""Reductions over some dimensions or all of them: sums, products, counts, norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Dims = int | Sequence[int] | None


def axes(a: Array, dim: Dims) -> tuple[int, ...]:
    """Return the axes that ``dim`` names: all of them for None or an empty sequence."""
    named = (dim,) if isinstance(dim, int) else tuple(dim or range(a.ndim))
    return tuple(d % a.ndim for d in named) if a.ndim else ()


def sum_over(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the sum over ``dim``; integers wrap around. ``a`` is of ``dtype`` already."""
    return np.asarray(np.sum(a, axis=axes(a, dim), keepdims=keepdim))


def sum_magnitude(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the sum of the sizes: what the rounding of a sum is relative to."""
    return sum_over(np.abs(a), dim, keepdim)


def without_nan(a: Array) -> Array:
    """Return an array with 0 for nan."""
    return np.where(np.isnan(a), np.zeros((), a.dtype), a)


def nansum_over(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the sum over ``dim`` of what is a number."""
    return sum_over(without_nan(a), dim, keepdim)


def nansum_magnitude(
    a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """Return the sum of the sizes of numbers."""
    return sum_magnitude(without_nan(a), dim, keepdim)


def count_over(a: Array, dim: Dims) -> int:
    """Return how many elements each result is of."""
    return int(np.prod([a.shape[axis] for axis in axes(a, dim)], dtype=np.int64))


def mean_over(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the mean over ``dim``, of nothing nan."""
    return sum_over(a, dim, keepdim) / np.float64(count_over(a, dim))


def mean_magnitude(
    a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """Return the mean of the sizes."""
    return mean_over(np.abs(a), dim, keepdim)


def nanmean_over(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the mean over ``dim`` of what is a number, of nothing nan."""
    numbers = sum_over((~np.isnan(a)).astype(np.float64), dim, keepdim)
    return nansum_over(a, dim, keepdim) / numbers


def nanmean_magnitude(
    a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """Return the mean of the sizes of numbers."""
    return nanmean_over(np.abs(a), dim, keepdim)


def product_over(a: Array, dim: Dims = None, keepdim: bool = False, dtype: object = None) -> Array:
    """Return the product over ``dim``; integers wrap around."""
    return np.asarray(np.prod(a, axis=axes(a, dim), keepdims=keepdim))


def all_over(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return whether no element is 0; nan is not 0."""
    return np.asarray(np.all(a != 0, axis=axes(a, dim), keepdims=keepdim))


def any_over(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return whether an element is not 0; nan is not 0."""
    return np.asarray(np.any(a != 0, axis=axes(a, dim), keepdims=keepdim))


def nonzero_count(a: Array, dim: Dims = None) -> Array:
    """Return how many elements are not 0."""
    return np.asarray(np.sum(a != 0, axis=axes(a, dim), dtype=np.int64))


def log_sum_exp(a: Array, dim: Dims, keepdim: bool = False) -> Array:
    """Return ``log(sum(exp(a)))`` over ``dim``, which does not overflow; -inf of nothing."""
    over = axes(a, dim)
    top = np.max(a.real, axis=over, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.log(np.sum(np.exp(a - top), axis=over, keepdims=True)) + top
    return np.asarray(total if keepdim else np.squeeze(total, axis=over))


def log_sum_exp_magnitude(a: Array, dim: Dims, keepdim: bool = False) -> Array:
    """Return a size to which the rounding of the exponents' difference is relative."""
    return np.maximum(np.abs(log_sum_exp(a, dim, keepdim)), 1.0)


def diagonal_sum(a: Array) -> Array:
    """Return the trace of a matrix, tall and wide ones included."""
    return np.asarray(sum((a[n, n] for n in range(min(a.shape))), start=np.zeros((), a.dtype)))


def diagonal_sum_magnitude(a: Array) -> Array:
    """Return the sum of the diagonal's sizes."""
    return diagonal_sum(np.abs(a))


def size_of(a: Array) -> Array:
    """Return the sizes of numbers; analytic where a complex number stands for a real one."""
    return np.where(a.real < 0, -a, a)


def _norm(sizes: Array, order: float, over: tuple[int, ...], keepdim: bool) -> Array:
    if order in (np.inf, -np.inf):
        return _extreme_size(sizes, order > 0, over, keepdim)
    if order == 0:
        return np.asarray(np.sum(sizes != 0, axis=over, keepdims=keepdim, dtype=np.float64))
    return np.asarray(np.sum(sizes**order, axis=over, keepdims=keepdim) ** (1 / order))


def _extreme_size(sizes: Array, largest: bool, over: tuple[int, ...], keepdim: bool) -> Array:
    """The largest or smallest size, by its real part; nan where there is one."""
    rest = tuple(axis for axis in range(sizes.ndim) if axis not in over)
    rows = sizes.transpose(*rest, *over).reshape(*(sizes.shape[axis] for axis in rest), -1)
    select: Callable[..., Array] = np.argmax if largest else np.argmin
    place = select(rows.real, axis=-1)[..., None]
    found = np.take_along_axis(rows, place, axis=-1)[..., 0]
    return np.expand_dims(found, over) if keepdim else found


def _order(p: float | str) -> float:
    return 2 if isinstance(p, str) else p


def vector_norm(
    x: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """Return ``sum(|x|**ord)**(1 / ord)``, ``max |x|``, ``min |x|`` or the count of ``x != 0``."""
    return _norm(np.abs(x), ord, axes(x, dim), keepdim)


def analytic_vector_norm(
    x: Array, ord: float = 2, dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """As :func:`vector_norm`, of complex arrays that stand for real ones."""
    return _norm(size_of(x), ord, axes(x, dim), keepdim)


def general_norm(
    a: Array, p: float | str = "fro", dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """Return the vector norm; the Frobenius norm is that of order 2."""
    return vector_norm(a, _order(p), dim, keepdim)


def analytic_general_norm(
    a: Array, p: float | str = "fro", dim: Dims = None, keepdim: bool = False, dtype: object = None
) -> Array:
    """As :func:`general_norm`, of complex arrays that stand for real ones."""
    return analytic_vector_norm(a, _order(p), dim, keepdim)


def distance(a: Array, b: Array, p: float = 2) -> Array:
    """Return the norm of the difference."""
    return vector_norm(a - b, p)


def analytic_distance(a: Array, b: Array, p: float = 2) -> Array:
    """As :func:`distance`, of complex arrays that stand for real ones."""
    return analytic_vector_norm(a - b, p)


def normalized(a: Array, p: float = 2, dim: Dims = 1, eps: float = 1e-12) -> Array:
    """Return the vectors along ``dim`` divided by their norm, or by ``eps`` if that is larger."""
    return np.asarray(a / np.maximum(vector_norm(a, p, dim, keepdim=True), eps))


def analytic_normalized(a: Array, p: float = 2, dim: Dims = 1, eps: float = 1e-12) -> Array:
    """As :func:`normalized`, where no norm is below ``eps``."""
    return np.asarray(a / analytic_vector_norm(a, p, dim, keepdim=True))


def _limited(a: Array, norms: Array, maxnorm: float) -> Array:
    return np.asarray(np.where(norms.real > maxnorm, a * maxnorm / norms, a))


def _slices(a: Array, dim: int) -> tuple[int, ...]:
    return tuple(axis for axis in range(a.ndim) if axis != dim % a.ndim)


def renormalized(a: Array, p: float, dim: int, maxnorm: float) -> Array:
    """Return the slices at each place of ``dim``, scaled to norm ``maxnorm`` if theirs exceeds."""
    return _limited(a, vector_norm(a, p, _slices(a, dim), keepdim=True), maxnorm)


def analytic_renormalized(a: Array, p: float, dim: int, maxnorm: float) -> Array:
    """As :func:`renormalized`, of complex arrays that stand for real ones."""
    return _limited(a, analytic_vector_norm(a, p, _slices(a, dim), keepdim=True), maxnorm)
