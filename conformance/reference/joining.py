"""Joins and splits in NumPy: several arrays in one, one array in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations as subsets
from itertools import combinations_with_replacement as multisets
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]


def joined(arrays: Sequence[Array], dim: int = 0) -> Array:
    """Join arrays along a dimension; empty vectors may stand among arrays of any rank."""
    parts = [a for a in arrays if a.shape != (0,)]
    return np.concatenate(parts, axis=dim) if parts else arrays[0]


def in_lengths(a: Array, lengths: Sequence[int], dim: int = 0) -> Arrays:
    """Cut along a dimension into pieces of the lengths listed."""
    ends = [sum(lengths[: count + 1]) for count in range(len(lengths))]
    return tuple(
        _between(a, end - length, end, dim) for length, end in zip(lengths, ends, strict=True)
    )


def _between(a: Array, start: int | None, end: int | None, dim: int) -> Array:
    index: list[Any] = [slice(None)] * a.ndim
    index[dim] = slice(start, end)
    part: Array = a[tuple(index)]
    return part


def in_sizes(a: Array, size: int | Sequence[int], dim: int = 0) -> Arrays:
    """Cut into pieces of one size, the last of which may be smaller, or of sizes listed."""
    if not isinstance(size, int):
        return in_lengths(a, size, dim)
    side = a.shape[dim]
    return in_lengths(a, [min(size, side - start) for start in range(0, side, size)] or [0], dim)


def in_chunks(a: Array, count: int, dim: int = 0) -> Arrays:
    """Cut into ``count`` pieces of one size, or fewer, the last of which may be smaller."""
    side = a.shape[dim]
    return in_sizes(a, -(-side // count), dim) if side else in_lengths(a, [0] * count, dim)


def in_sections(a: Array, sections: Any, dim: int = 0) -> Arrays:
    """Cut into a number of pieces, the first ones longer by 1 if need be, or before indices.

    Indices are those of slices: they may count from the end, go back or beyond.
    """
    if np.ndim(sections) == 0:
        longer = a.shape[dim] % int(sections)
        lengths = [a.shape[dim] // int(sections) + (n < longer) for n in range(int(sections))]
        return in_lengths(a, lengths, dim)
    ends = [*(int(index) for index in sections), None]
    return tuple(_between(a, start, end, dim) for start, end in zip([0, *ends], ends, strict=False))


def in_columns(a: Array, sections: Any) -> Arrays:
    """Cut along the second dimension, or along a vector's only one."""
    return in_sections(a, sections, 1 if a.ndim > 1 else 0)


def in_rows(a: Array, sections: Any) -> Arrays:
    """Cut along the first dimension."""
    return in_sections(a, sections, 0)


def in_layers(a: Array, sections: Any) -> Arrays:
    """Cut along the third dimension."""
    return in_sections(a, sections, 2)


def slices_along(a: Array, dim: int = 0) -> Arrays:
    """Return each slice along a dimension, without that dimension."""
    return tuple(np.moveaxis(a, dim, 0))


def diagonal_blocks(*arrays: Array) -> Array:
    """Put matrices along the diagonal of one; vectors are rows."""
    blocks = [np.atleast_2d(a) for a in arrays]
    shape = np.sum([block.shape for block in blocks], axis=0)
    result = np.zeros(shape, dtype=np.result_type(*blocks))
    row = column = 0
    for block in blocks:
        height, width = block.shape
        result[row : row + height, column : column + width] = block
        row, column = row + height, column + width
    return result


def tuples_of(*vectors: Array) -> Array:
    """Return every choice of one element a vector as rows, the last vector fastest."""
    if len(vectors) == 1:
        return vectors[0]
    return np.stack([g.ravel() for g in np.meshgrid(*vectors, indexing="ij")], axis=-1)


def subsets_of(a: Array, r: int = 2, with_replacement: bool = False) -> Array:
    """Return every choice of ``r`` elements, in their order, as rows."""
    choose = multisets if with_replacement else subsets
    places = np.array(list(choose(range(len(a)), r)), dtype=np.int64).reshape(-1, r)
    return a[places]
