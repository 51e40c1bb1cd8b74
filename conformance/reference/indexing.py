"""Reading and writing by positions, as the pages of torch's indexing operators state them.

For a 3-D tensor and dim = 1: ``self[i][index[i][j][k]][k] = src[i][j][k]`` (scatter),
``+=`` (scatter_add), ``out[i][j][k] = input[i][index[i][j][k]][k]`` (gather), and
``self[:, index[i], :] = source[:, i, :]`` (index_copy and its kin). Arrays of rank 0 count as
arrays of shape (1,). Several writes to one place all count, in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _addressed(index: Array, dim: int) -> tuple[Array, ...]:
    """Return the coordinates that an index addresses: its own, but for those along dim."""
    places: list[Array] = list(np.indices(index.shape))
    places[dim] = index
    return tuple(places)


def _corner(source: Array, index: Array) -> Array:
    """Return the part of a source that an index of its size or smaller covers."""
    return source[tuple(slice(side) for side in index.shape)]


def _start(destination: Array, source: Array) -> Array:
    return np.array(destination, dtype=np.result_type(destination, source), ndmin=1)


def scatter(destination: Array, dim: int, index: Array, source: Array) -> Array:
    """Return ``destination`` with ``source`` written where ``index`` says along ``dim``."""
    result, places, values = _start(destination, source), *np.atleast_1d(index, source)
    result[_addressed(places, dim)] = _corner(values, places)
    return result.reshape(destination.shape)


def scatter_value(destination: Array, dim: int, index: Array, value: complex) -> Array:
    """Return ``destination`` with ``value`` written where ``index`` says along ``dim``."""
    return scatter(destination, dim, index, np.full(index.shape, value, dtype=destination.dtype))


def scatter_add(destination: Array, dim: int, index: Array, source: Array) -> Array:
    """Return ``destination`` with ``source`` added where ``index`` says along ``dim``."""
    result, places, values = _start(destination, source), *np.atleast_1d(index, source)
    np.add.at(result, _addressed(places, dim), _corner(values, places))
    return result.reshape(destination.shape)


def scatter_by(
    destination: Array, dim: int, index: Array, source: Array | complex, *, reduce: str
) -> Array:
    """Return scatter with ``reduce``: "add" or "multiply" with an array or a number."""
    mode = {"add": "sum", "multiply": "prod"}[reduce]
    if not isinstance(source, np.ndarray):
        source = np.full(index.shape, source, dtype=destination.dtype)
    return scatter_reduce(destination, dim, index, source, mode)


def scatter_reduce(
    destination: Array,
    dim: int,
    index: Array,
    source: Array,
    reduce: str,
    *,
    include_self: bool = True,
) -> Array:
    """Return each place reduced over what is written to it and, if included, over itself."""
    result, places, values = _start(destination, source), *np.atleast_1d(index, source)
    written = _corner(values, places)
    reduced = _reduced(result, _addressed(places, dim), written, reduce, include_self)
    return reduced.reshape(destination.shape)


def _reduced(result: Array, places: Any, values: Array, mode: str, include_self: bool) -> Array:
    """Reduce values into the places of ``result``; a mean divides by how many there were."""
    if not include_self:
        result[places] = _identity(mode, result.dtype)
    _REDUCTIONS[mode].at(result, places, values)
    if mode != "mean":
        return result
    counts = np.full(result.shape, int(include_self))
    np.add.at(counts, places, 1)
    averaged: Array = result / np.maximum(counts, 1)
    return averaged


_REDUCTIONS: dict[str, np.ufunc] = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
}


def _identity(mode: str, dtype: np.dtype[Any]) -> Any:
    """Return what a reduction starts from where it starts from nothing."""
    if mode not in ("amax", "amin"):
        return 1 if mode == "prod" else 0
    if dtype.kind in "iu":
        return np.iinfo(dtype).min if mode == "amax" else np.iinfo(dtype).max
    return (mode == "amin") if dtype.kind == "b" else np.inf * (-1 if mode == "amax" else 1)


def gather(source: Array, dim: int, index: Array) -> Array:
    """Return the array of ``index``'s shape read from ``source`` along ``dim``."""
    values, places = np.atleast_1d(source, index)
    read: Array = values[_addressed(places, dim)]
    return read.reshape(index.shape)


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


def _slices(dim: int, rank: int, index: Array) -> Any:
    """Return the subscript of the slices along dim that a vector of positions names."""
    return (slice(None),) * (dim % max(rank, 1)) + (index,)


def index_select(source: Array, dim: int, index: Array) -> Array:
    """Return the slices of ``source`` along ``dim`` that ``index`` names; rank 0 stays rank 0."""
    read: Array = np.atleast_1d(source)[_slices(dim, source.ndim, index)]
    return read if source.ndim else read.reshape(())


def index_add(
    destination: Array, dim: int, index: Array, source: Array, *, alpha: complex = 1
) -> Array:
    """Return ``destination`` with ``alpha`` times the slices of ``source`` added to its own."""
    return index_reduce(destination, dim, index, source * alpha, "sum")


def index_copy(destination: Array, dim: int, index: Array, source: Array) -> Array:
    """Return ``destination`` with the slices that ``index`` names replaced by ``source``'s."""
    result, values = _start(destination, source), np.atleast_1d(source)
    result[_slices(dim, destination.ndim, index)] = values
    return result.reshape(destination.shape)


def index_fill(destination: Array, dim: int, index: Array, value: Any) -> Array:
    """Return ``destination`` with the slices that ``index`` names filled with one value."""
    result = _start(destination, value) if isinstance(value, np.ndarray) else destination.copy()
    result = np.atleast_1d(result)
    result[_slices(dim, destination.ndim, index)] = value
    return result.reshape(destination.shape)


def index_reduce(
    destination: Array,
    dim: int,
    index: Array,
    source: Array,
    reduce: str,
    *,
    include_self: bool = True,
) -> Array:
    """Return each slice that ``index`` names reduced over what goes to it and, if so, itself."""
    result, values = _start(destination, source), np.atleast_1d(source)
    places = _slices(dim, destination.ndim, index)
    return _reduced(result, places, values, reduce, include_self).reshape(destination.shape)


def index_put(
    destination: Array, indices: tuple[Array, ...], values: Array, accumulate: bool = False
) -> Array:
    """Return ``destination`` with ``destination[indices] = values``, or ``+=`` for each value."""
    result = np.array(destination, dtype=np.result_type(destination, values))
    if accumulate:
        # Each place gets a value of its own: NumPy's add.at may read beyond an array of rank 0.
        shape = result[tuple(indices)].shape
        np.add.at(result, tuple(indices), np.array(np.broadcast_to(values, shape)))
    else:
        result[tuple(indices)] = values
    return result


def put(destination: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    """Return index_put into the flattened ``destination``, in its shape."""
    flat = index_put(destination.ravel(), (index.ravel(),), source.ravel(), accumulate)
    return flat.reshape(destination.shape)


def take(source: Array, index: Array) -> Array:
    """Return the elements of the flattened ``source``, in the shape of ``index``."""
    read: Array = source.ravel()[index]
    return np.asarray(read)


def take_along_dim(source: Array, indices: Array, dim: int | None = None) -> Array:
    """Return gather along ``dim``, broadcast in the others; without dim, of flattened arrays."""
    if dim is None:
        return take(source, indices.ravel())
    places: list[Array] = list(np.indices(source.shape, sparse=True))
    places[dim] = indices
    read: Array = source[tuple(places)]
    return read


def masked_select(source: Array, mask: Array) -> Array:
    """Return the elements, in order, where the mask is true; both broadcast."""
    values, chosen = np.broadcast_arrays(source, mask)
    read: Array = values[chosen]
    return read


def masked_fill(destination: Array, mask: Array, value: Any) -> Array:
    """Return ``destination`` with ``value`` where the mask, which broadcasts to it, is true."""
    result = _start(destination, value) if isinstance(value, np.ndarray) else destination.copy()
    result = np.atleast_1d(result)
    result[np.broadcast_to(mask, result.shape)] = value
    return result.reshape(destination.shape)


def masked_scatter(destination: Array, mask: Array, source: Array) -> Array:
    """Return ``destination`` with the first elements of ``source`` where the mask is true."""
    kind = np.result_type(destination, source)
    values, chosen = np.broadcast_arrays(np.asarray(destination, dtype=kind), mask)
    result = np.array(values)
    result[chosen] = source.ravel()[: np.count_nonzero(chosen)]
    return result


def nonzero(source: Array) -> Array:
    """Return the coordinates of what is not zero, one row an element, last index fastest."""
    rows = [place for place in np.ndindex(source.shape) if source[place] != 0]
    return np.array(rows, dtype=np.int64).reshape(len(rows), source.ndim)


def nonzero_of_each(source: Array, as_tuple: bool = True) -> tuple[Array, ...]:
    """Return the coordinates of what is not zero, one vector a dimension; of rank 0 one too."""
    return tuple(nonzero(np.array(source, ndmin=1)).T)


def where(condition: Array, first: Any, second: Any) -> Array:
    """Return elements of ``first`` where the condition is true, of ``second`` elsewhere."""
    chosen: Array = np.where(condition != 0, first, second)
    return chosen
