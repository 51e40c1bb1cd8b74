"""Distances and similarities of vectors, from the formulas of their documentation.

Arrays may be complex, with a real part that tells signs and which size is greatest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def sizes(x: Array) -> Array:
    """Return ``|x|`` of what stands for real numbers."""
    return np.where(x.real < 0, -x, x)


def norm(x: Array, p: float, keepdim: bool = False) -> Array:
    """Return the p-norm along the last dimension, the count of ``x != 0`` where p is 0."""
    size = sizes(x)
    if p == 0:
        return np.asarray((size.real != 0).sum(axis=-1, keepdims=keepdim).astype(x.dtype))
    if not size.shape[-1]:
        return np.zeros((*x.shape[:-1], *([1] if keepdim else [])), x.dtype)
    if math.isinf(p):
        best = (size.real.argmax(axis=-1) if p > 0 else size.real.argmin(axis=-1))[..., None]
        found = np.take_along_axis(size, best, axis=-1)
        return found if keepdim else np.asarray(found[..., 0])
    return np.asarray((size**p).sum(axis=-1, keepdims=keepdim) ** (1 / p))


def pairwise_distance(
    first: Array, second: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Array:
    """Return ``||x - y + eps||_p`` for vectors side by side."""
    return norm(first - second + eps, p, keepdim)


def cdist(first: Array, second: Array, p: float = 2.0, compute_mode: object = None) -> Array:
    """Return ``||x_i - y_j||_p`` for each row of the one and each of the other."""
    del compute_mode
    return norm(first[..., :, None, :] - second[..., None, :, :], p)


def pdist(x: Array, p: float = 2.0) -> Array:
    """Return ``||x_i - x_j||_p`` for i < j, row after row."""
    rows, others = np.triu_indices(len(x), 1)
    return norm(x[rows] - x[others], p)


def _length(x: Array, dim: int, eps: float) -> Array:
    found = np.sqrt((x**2).sum(axis=dim, keepdims=True))
    return np.where(found.real > eps, found, eps)


def cosine_similarity(first: Array, second: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    """Return ``x1 . x2 / (max(||x1||, eps) max(||x2||, eps))`` along ``dim``."""
    first, second = np.broadcast_arrays(first, second)
    lengths = _length(first, dim, eps) * _length(second, dim, eps)
    return np.asarray((first * second / lengths).sum(axis=dim))


def similarity_size(first: Array, second: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    """Return the sum of the sizes of what :func:`cosine_similarity` adds."""
    return cosine_similarity(np.abs(first), np.abs(second), dim, eps)


def difference_size(first: Array, second: Array, *rest: Any, **options: Any) -> Array:
    """Return the distance of vectors whose differences are as large as what is subtracted."""
    return pairwise_distance(np.abs(first), -np.abs(second), *rest, **options)
