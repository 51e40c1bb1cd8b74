"""Bags of embeddings: rows of a table summed, averaged or maximized, bag by bag."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def bags_of(indices: Array, offsets: Array | None, include_last_offset: bool) -> list[slice]:
    """Return where each bag lies in the flat indices; rows of a matrix are bags."""
    if indices.ndim == 2:
        count, length = indices.shape
        return [slice(n * length, (n + 1) * length) for n in range(count)]
    assert offsets is not None
    ends = [*offsets.tolist()] if include_last_offset else [*offsets.tolist(), indices.size]
    return [slice(first, last) for first, last in pairwise(ends)]


def embedding_bag(
    indices: Array,
    weight: Array,
    offsets: Array | None = None,
    mode: str = "mean",
    per_sample_weights: Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Array:
    """Return one row a bag; those of ``padding_idx`` are left out, and an empty bag gives zeros."""
    flat = indices.reshape(-1)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    kind = weight.dtype if factors is None else np.result_type(weight, factors)
    skipped = None if padding_idx is None else padding_idx % len(weight)
    bags = bags_of(indices, offsets, include_last_offset)
    result = np.zeros((len(bags), weight.shape[1]), kind)
    for number, bag in enumerate(bags):
        kept = [n for n in range(bag.start, bag.stop) if flat[n] != skipped]
        rows = weight[flat[kept]]
        if factors is not None:
            rows = rows * factors[kept, None]
        if kept and mode == "max":
            best = rows.real.argmax(axis=0)
            result[number] = rows[best, np.arange(weight.shape[1])]
        elif kept:
            result[number] = rows.sum(axis=0) / (len(kept) if mode == "mean" else 1)
    return result


def embedding_bag_size(indices: Array, weight: Array, *rest: Any, **options: Any) -> Array:
    """Return the sum of the sizes of what :func:`embedding_bag` adds."""
    factors = options.get("per_sample_weights")
    if factors is not None:
        options = {**options, "per_sample_weights": np.abs(factors)}
    return embedding_bag(indices, np.abs(weight), *rest, **options)
