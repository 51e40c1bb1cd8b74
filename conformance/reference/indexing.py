"""Scatter and gather, element by element, as torch.Tensor.scatter_ and torch.gather state them.

For a 3-D tensor and dim = 1: ``self[i][index[i][j][k]][k] = src[i][j][k]`` (scatter),
``+=`` (scatter_add), ``out[i][j][k] = input[i][index[i][j][k]][k]`` (gather).
Arrays of rank 0 count as arrays of shape (1,).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Position = tuple[int, ...]


def _moves(index: Array, dim: int) -> Iterator[tuple[Position, Position]]:
    """Pairs of a position in the index and the position that it addresses."""
    axis = dim % index.ndim
    for position in np.ndindex(index.shape):
        yield position, (*position[:axis], int(index[position]), *position[axis + 1 :])


def _at_least_1d(*arrays: Array) -> list[Array]:
    return [np.array(a, ndmin=1) for a in arrays]


def scatter(destination: Array, dim: int, index: Array, source: Array) -> Array:
    """Return ``destination`` with ``source`` written where ``index`` says along ``dim``."""
    result, places, values = _at_least_1d(destination, index, source)
    for position, addressed in _moves(places, dim):
        result[addressed] = values[position]
    return result.reshape(destination.shape)


def scatter_value(destination: Array, dim: int, index: Array, value: complex) -> Array:
    """Return ``destination`` with ``value`` written where ``index`` says along ``dim``."""
    return scatter(destination, dim, index, np.full(index.shape, value, dtype=destination.dtype))


def scatter_add(destination: Array, dim: int, index: Array, source: Array) -> Array:
    """Return ``destination`` with ``source`` added where ``index`` says along ``dim``."""
    result, places, values = _at_least_1d(destination, index, source)
    for position, addressed in _moves(places, dim):
        result[addressed] += values[position]
    return result.reshape(destination.shape)


def gather(source: Array, dim: int, index: Array) -> Array:
    """Return the array of ``index``'s shape read from ``source`` along ``dim``."""
    values, places = _at_least_1d(source, index)
    result = np.empty(places.shape, dtype=values.dtype)
    for position, addressed in _moves(places, dim):
        result[position] = values[addressed]
    return result.reshape(index.shape)


def gather_vjp(cotangent: Array, dim: int, index: Array, source: Array) -> Array:
    """Return the gradient to ``source``: each cotangent added to the element that was read."""
    return scatter_add(np.zeros_like(source), dim, index, cotangent)


def scatter_vjp(cotangent: Array, dim: int, index: Array) -> tuple[Array, Array]:
    """Return the gradients to (destination, source) of scatter with distinct positions.

    An overwritten element of the destination gets zero; a source element gets the cotangent
    of the place that it was written to. For an index and a source of the same shape.
    """
    return scatter_value(cotangent, dim, index, 0), gather(cotangent, dim, index)


def scatter_add_vjp(cotangent: Array, dim: int, index: Array) -> tuple[Array, Array]:
    """Return the gradients to (destination, source) of scatter_add, duplicates included.

    For an index and a source of the same shape.
    """
    return cotangent, gather(cotangent, dim, index)
