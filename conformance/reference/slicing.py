"""Slices, diagonals and windows of arrays in NumPy, and arrays with one of them replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def narrowed(a: Array, dim: int, start: Any, length: int) -> Array:
    """Return ``length`` slices from ``start`` on, which may count from the end."""
    first = int(start) + a.shape[dim] if start < 0 else int(start)
    return np.take(a, range(first, first + length), axis=dim)


def slice_at(a: Array, dim: int, index: int) -> Array:
    """Return one slice, without its dimension."""
    found: Array = np.take(a, index, axis=dim)
    return found


def windows(a: Array, dim: int, size: int, step: int) -> Array:
    """Return windows of ``size`` every ``step``; a new last dimension runs within the window."""
    starts = range(0, a.shape[dim] - size + 1, step)
    places = np.array([range(start, start + size) for start in starts], dtype=np.int64)
    place = dim % a.ndim
    return np.moveaxis(np.take(a, places, axis=place), place + 1, -1)


def by_strides(a: Array, size: Shape, stride: Shape, storage_offset: int = 0) -> Array:
    """Read elements of a contiguous array by their distance in memory."""
    number = np.full((), storage_offset)
    for side, step in zip(size, stride, strict=True):
        number = number[..., None] + np.arange(side) * step
    found: Array = np.ravel(a)[number]
    return found


def on_diagonal(a: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    """Put the last dimension on the diagonal of zeroed matrices, in dimensions dim1 and dim2."""
    side = a.shape[-1] + abs(offset)
    result = np.zeros((*a.shape[:-1], side, side), dtype=a.dtype)
    along_it = np.arange(a.shape[-1])
    result[..., along_it + max(-offset, 0), along_it + max(offset, 0)] = a
    return np.moveaxis(result, (-2, -1), (dim1, dim2))


def with_diagonal(a: Array, new: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Replace a diagonal."""
    result = a.astype(np.result_type(a, new))
    matrices = np.moveaxis(result, (dim1, dim2), (-2, -1))
    along_it = np.arange(new.shape[-1])
    matrices[..., along_it + max(-offset, 0), along_it + max(offset, 0)] = new
    return result


def with_slice_at(a: Array, new: Array, dim: int, index: int) -> Array:
    """Replace one slice."""
    result = a.astype(np.result_type(a, new))
    np.moveaxis(result, dim, 0)[index] = new
    return result


def with_slices(
    a: Array,
    new: Array,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Array:
    """Replace the slices from ``start`` to ``end``, every ``step``."""
    result = a.astype(np.result_type(a, new))
    np.moveaxis(result, dim, 0)[start:end:step] = np.moveaxis(new, dim, 0)
    return result
