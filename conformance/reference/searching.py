"""Searching: sets of values, and places of values among sorted ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.reference.reductions import Array


def _grouped(rows: list[tuple[Any, ...]], ordered: bool) -> tuple[list[int], list[int], list[int]]:
    """Group equal rows, all of them or those in succession: first places, groups, counts."""
    order = sorted(range(len(rows)), key=rows.__getitem__) if ordered else list(range(len(rows)))
    firsts: list[int] = []
    groups, counts = [0] * len(rows), []
    for place in order:
        if not firsts or rows[place] != rows[firsts[-1]]:
            firsts.append(place)
            counts.append(0)
        groups[place] = len(firsts) - 1
        counts[-1] += 1
    return firsts, groups, counts


def _distinct_parts(
    a: Array, dim: int | None, ordered: bool, inverse: bool, counted: bool
) -> Array | tuple[Array, ...]:
    moved = a.reshape(-1, 1) if dim is None else np.moveaxis(a, dim, 0)
    rows = [tuple(moved[n].ravel().tolist()) for n in range(len(moved))]
    firsts, groups, counts = _grouped(rows, ordered)
    chosen = moved[np.array(firsts, np.int64)]
    result = chosen.reshape(-1) if dim is None else np.moveaxis(chosen, 0, dim)
    shape = a.shape if dim is None else (len(rows),)
    parts = [result]
    parts += [np.array(groups, np.int64).reshape(shape)] if inverse else []
    parts += [np.array(counts, np.int64)] if counted else []
    return parts[0] if len(parts) == 1 else tuple(parts)


def distinct_values(
    a: Array,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Array | tuple[Array, ...]:
    """Return the distinct elements, or slices along ``dim``, in rising order.

    With ``return_inverse`` also which of them each element is, with ``return_counts`` how often.
    """
    return _distinct_parts(a, dim, True, return_inverse, return_counts)


def distinct_neighbours(
    a: Array,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Array | tuple[Array, ...]:
    """As :func:`distinct_values`, of each run of equal elements the first one, in their order."""
    return _distinct_parts(a, dim, False, return_inverse, return_counts)


def _insertion(row: Array, value: Any, after_equal: bool) -> int:
    return sum(bool(v <= value if after_equal else v < value) for v in row)


def insertion_places(
    sequence: Array,
    values: Any,
    right: bool = False,
    side: str | None = None,
    sorter: Array | None = None,
    out_int32: bool = False,
) -> Array:
    """Return how many elements of each row are below a value, or not above it if ``right``."""
    points = np.asarray(values)
    rows = sequence if sorter is None else np.take_along_axis(sequence, sorter, axis=-1)
    found = np.zeros(points.shape, np.int64)
    for index in np.ndindex(points.shape):
        row = rows if rows.ndim == 1 else rows[index[:-1]]
        found[index] = _insertion(row, points[index], right or side == "right")
    return found


def buckets(values: Any, boundaries: Array, right: bool = False, out_int32: bool = False) -> Array:
    """Return how many boundaries are below each value, or not above it if ``right``."""
    return insertion_places(boundaries, values, right)


def membership(
    elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False
) -> Array:
    """Return which elements are equal to one of the others."""
    a, others = np.asarray(elements), np.asarray(test_elements).reshape(-1)
    found = (a[..., None] == others).any(axis=-1)
    return np.asarray(found != invert)
