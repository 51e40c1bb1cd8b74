"""Extremes and order: maxima and minima, medians, sorting, and where they were found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.reductions import Array, Dims, axes

Places = npt.NDArray[np.int64]


def descending_order(row: Array) -> Places:
    """Return the stable order of falling values; nan counts as the largest."""
    return ascending_order(row[::-1])[::-1] * -1 + (len(row) - 1)


def ascending_order(row: Array) -> Places:
    """Return the stable order of rising values; nan comes last."""
    return np.argsort(row.real, kind="stable").astype(np.int64)


def place_of_largest(row: Array) -> int:
    """Return the place of the first nan, or of the first of the largest values."""
    return _place_of(row.real, lambda other, best: bool(other > best))


def place_of_smallest(row: Array) -> int:
    """Return the place of the first nan, or of the first of the smallest values."""
    return _place_of(row.real, lambda other, best: bool(other < best))


def _place_of(row: Array, better: Callable[[Any, Any], bool]) -> int:
    best = 0
    for place, value in enumerate(row):
        if np.isnan(value):
            return place
        if better(value, row[best]):
            best = place
    return best


def place_of_median(row: Array) -> int:
    """Return the place of a nan, or of the lower median."""
    if np.isnan(row.real).any():
        return int(np.argmax(np.isnan(row.real)))
    return int(ascending_order(row)[(len(row) - 1) // 2])


def place_of_nanmedian(row: Array) -> int:
    """Return the place of the lower median of the numbers; that of a nan if there is none."""
    numbers = int(np.count_nonzero(~np.isnan(row.real)))
    return int(ascending_order(row)[max(numbers - 1, 0) // 2])


def _rows(a: Array, dim: Dims) -> Array:
    """The reduced dimensions last, as one."""
    over = axes(a, dim)
    rest = tuple(axis for axis in range(a.ndim) if axis not in over)
    length = int(np.prod([a.shape[axis] for axis in over], dtype=np.int64))
    return a.transpose(*rest, *over).reshape(*(a.shape[axis] for axis in rest), length)


def _picked(
    place: Callable[[Array], int], a: Array, dim: Dims, keepdim: bool
) -> tuple[Array, Array]:
    """In each row, the value at the place chosen, and the place."""
    rows = _rows(a, dim)
    values, found = np.zeros(rows.shape[:-1], a.dtype), np.zeros(rows.shape[:-1], np.int64)
    for index in np.ndindex(values.shape):
        found[index] = place(rows[index])
        values[index] = rows[index][found[index]]
    if keepdim:
        kept = axes(a, dim)
        return np.expand_dims(values, kept), np.expand_dims(found, kept)
    return values, found


def largest(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return the largest value, nan if there is one."""
    return _picked(place_of_largest, a, dim, keepdim)[0]


def smallest(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return the smallest value, nan if there is one."""
    return _picked(place_of_smallest, a, dim, keepdim)[0]


def smallest_and_largest(a: Array, dim: Dims = None, keepdim: bool = False) -> tuple[Array, Array]:
    """Return both extremes."""
    return smallest(a, dim, keepdim), largest(a, dim, keepdim)


def largest_and_place(a: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """Return the largest values along ``dim`` and where the first of them is."""
    return _picked(place_of_largest, a, dim, keepdim)


def smallest_and_place(a: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """Return the smallest values along ``dim`` and where the first of them is."""
    return _picked(place_of_smallest, a, dim, keepdim)


def where_largest(a: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Return where the first of the largest values is, of all flattened or along ``dim``."""
    return _picked(place_of_largest, a, dim, keepdim)[1]


def where_smallest(a: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Return where the first of the smallest values is, of all flattened or along ``dim``."""
    return _picked(place_of_smallest, a, dim, keepdim)[1]


def lower_median(a: Array) -> Array:
    """Return the lower median of all values, nan if there is one."""
    return _picked(place_of_median, a, None, False)[0]


def lower_median_of_numbers(a: Array) -> Array:
    """Return the lower median of all values that are not nan."""
    return _picked(place_of_nanmedian, a, None, False)[0]


def lower_median_and_place(a: Array, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    """Return the lower medians along ``dim`` and where they are."""
    return _picked(place_of_median, a, dim, keepdim)


def lower_nanmedian_and_place(
    a: Array, dim: int = -1, keepdim: bool = False
) -> tuple[Array, Array]:
    """Return the lower medians of the numbers along ``dim`` and where they are."""
    return _picked(place_of_nanmedian, a, dim, keepdim)


def kth_and_place(a: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    """Return the ``k``-th smallest value along ``dim``, counted from 1, and where it is."""

    def place(row: Array) -> int:
        return int(ascending_order(row)[k - 1])

    return _picked(place, a, dim, keepdim)


def _ordered(order: Callable[[Array], Array], a: Array, dim: int) -> tuple[Array, Array]:
    """Each row along ``dim`` in an order of its own, or a part of it."""
    if not a.ndim:
        values, places = _ordered(order, a.reshape(1), 0)
        return (values[0], places[0]) if values.size == 1 else (values, places)
    moved = np.moveaxis(a, dim, -1)
    length = len(order(np.zeros(moved.shape[-1])))
    places = np.zeros((*moved.shape[:-1], length), np.int64)
    for index in np.ndindex(moved.shape[:-1]):
        places[index] = order(moved[index])
    values = np.take_along_axis(moved, places, axis=-1)
    return np.moveaxis(values, -1, dim), np.moveaxis(places, -1, dim)


def in_order(
    a: Array, dim: int = -1, descending: bool = False, stable: bool = False
) -> tuple[Array, Array]:
    """Return the values sorted along ``dim``, equal ones in their order, and where they were."""
    return _ordered(descending_order if descending else ascending_order, a, dim)


def order_of(a: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """Return where the values are that are sorted along ``dim``."""
    return in_order(a, dim, descending)[1]


def values_in_order(
    a: Array, dim: int = -1, descending: bool = False, stable: bool = False
) -> Array:
    """Return the values sorted along ``dim``."""
    return in_order(a, dim, descending)[0]


def rows_in_order(a: Array) -> Array:
    """Return the values sorted along the first dimension."""
    return in_order(a, 0)[0]


def first_in_order(
    a: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Array, Array]:
    """Return the ``k`` largest or smallest values along ``dim``, in order, and where they are."""
    order = descending_order if largest else ascending_order

    def first(row: Array) -> Array:
        return order(row)[:k]

    return _ordered(first, a, dim)


def first_values_in_order(
    a: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Array:
    """Return the ``k`` largest or smallest values along ``dim``, in order."""
    return first_in_order(a, k, dim, largest)[0]


def lower_median_along(a: Array, dim: int = -1, keepdim: bool = False) -> Array:
    """Return the lower medians along ``dim``."""
    return lower_median_and_place(a, dim, keepdim)[0]


def kth_smallest(a: Array, k: int, dim: int = -1, keepdim: bool = False) -> Array:
    """Return the ``k``-th smallest value along ``dim``."""
    return kth_and_place(a, k, dim, keepdim)[0]


def lower_nanmedian_along(a: Array, dim: int = -1, keepdim: bool = False) -> Array:
    """Return the lower medians of the numbers along ``dim``."""
    return lower_nanmedian_and_place(a, dim, keepdim)[0]


def at_places(a: Array, places: Places, dim: int) -> Array:
    """Return the values at places along ``dim``, which the places may lack."""
    moved = np.moveaxis(a.reshape(a.shape or (1,)), dim, -1)
    lacking = places.ndim < a.ndim or not places.ndim
    found = places[..., None] if lacking else np.moveaxis(places, dim, -1)
    picked = np.take_along_axis(moved, found, axis=-1)
    return picked[..., 0] if lacking else np.moveaxis(picked, -1, dim)


def most_frequent(a: Array, dim: int = -1, keepdim: bool = False) -> Array:
    """Return the values along ``dim`` that more than half of each row are."""

    def place(row: Array) -> int:
        return int(np.argmax([np.count_nonzero(row == value) for value in row]))

    return _picked(place, a, dim, keepdim)[0]
