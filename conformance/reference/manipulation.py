"""Shapes and dimensions in NumPy: the same elements, in the same order or with dimensions moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def itself(a: Array) -> Array:
    """Return the array."""
    return a


def axes_swapped(a: Array, first: int, second: int) -> Array:
    """Exchange two dimensions; a scalar stays as it is."""
    return np.swapaxes(a, first, second) if a.ndim else a


def axes_moved(a: Array, source: int | Shape, destination: int | Shape) -> Array:
    """Move dimensions to new places; the others keep their order. A scalar stays as it is."""
    return np.moveaxis(a, source, destination) if a.ndim else a


def matrices_transposed(a: Array) -> Array:
    """Exchange the last two dimensions."""
    return np.swapaxes(a, -2, -1)


def conjugate_transposed(a: Array) -> Array:
    """Exchange the last two dimensions and conjugate each element."""
    return np.conj(np.swapaxes(a, -2, -1))


def reshaped_like(a: Array, other: Array) -> Array:
    """Give the elements, in row-major order, another array's shape."""
    return np.reshape(a, other.shape)


def broadcast_like(a: Array, other: Array) -> Array:
    """Repeat sides of 1 up to another array's shape."""
    return np.broadcast_to(a, other.shape)


def merged(a: Array, start: int = 0, end: int = -1) -> Array:
    """Make one dimension of those from ``start`` to ``end``; a scalar gets one of length 1."""
    if not a.ndim:
        return a.reshape(1)
    first, last = start % a.ndim, end % a.ndim
    length = int(np.prod(a.shape[first : last + 1]))
    return a.reshape((*a.shape[:first], length, *a.shape[last + 1 :]))


def unmerged(a: Array, dim: int, sizes: Shape) -> Array:
    """Make several dimensions of one, row-major; a size of -1 follows from the others."""
    dim %= a.ndim
    known = -int(np.prod(sizes)) if -1 in sizes else 1
    inner = [a.shape[dim] // known if size == -1 else size for size in sizes]
    return a.reshape((*a.shape[:dim], *inner, *a.shape[dim + 1 :]))


def squeezed(a: Array, dim: int | Shape | None = None) -> Array:
    """Drop the sides of 1 among ``dim``, by default among all."""
    named = range(a.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    gone = {d % a.ndim for d in named if a.ndim}
    kept = [side for d, side in enumerate(a.shape) if side != 1 or d not in gone]
    return a.reshape(kept)


def widened(a: Array, sizes: Shape) -> Array:
    """Repeat sides of 1, and all under new leading dimensions; a size of -1 keeps the side."""
    sides = (1,) * (len(sizes) - a.ndim) + a.shape
    full = [side if size == -1 else size for size, side in zip(sizes, sides, strict=True)]
    return np.broadcast_to(a, full)


def _given(arrays: tuple[Any, ...]) -> Sequence[Array]:
    """Arrays given one by one, or all in one list."""
    return arrays[0] if isinstance(arrays[0], (list, tuple)) else arrays


def of_rank_1(*arrays: Any) -> Any:
    """Give arrays at least one dimension."""
    return np.atleast_1d(*_given(arrays))


def of_rank_2(*arrays: Any) -> Any:
    """Give arrays at least two dimensions: new ones go first."""
    return np.atleast_2d(*_given(arrays))


def of_rank_3(*arrays: Any) -> Any:
    """Give arrays at least three dimensions: a vector becomes the middle one of three."""
    return np.atleast_3d(*_given(arrays))


def parts_stacked(a: Array) -> Array:
    """Return real and imaginary parts along a new last dimension."""
    return np.stack([a.real, a.imag], axis=-1)


def parts_joined(a: Array) -> Array:
    """Take the last dimension, of length 2, for real and imaginary parts."""
    result = np.empty(a.shape[:-1], dtype=np.complex128)
    result.real, result.imag = a[..., 0], a[..., 1]
    return result
