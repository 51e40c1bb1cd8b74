"""Masks of pruning: what is kept of an array, entry by entry or slice by slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def counted(amount: float, units: int) -> int:
    """Return how many of the units an amount is: a number of them, or a fraction."""
    return amount if isinstance(amount, int) else round(amount * units)


def entries(scores: Array, mask: Mask, amount: float) -> Mask:
    """Return the mask less those entries of it that have the smallest sizes of scores."""
    kept = mask.ravel().copy()
    places = np.flatnonzero(kept)
    order = places[np.argsort(np.abs(scores.ravel()[places]), kind="stable")]
    kept[order[: counted(amount, len(places))]] = False
    return kept.reshape(mask.shape)


def slices(scores: Array, mask: Mask, amount: float, n: float, dim: int) -> Mask:
    """Return the mask less those slices along ``dim``, not yet empty, of the smallest norms."""
    apart = np.moveaxis(mask, dim, 0).reshape(mask.shape[dim], -1)
    rows = np.moveaxis(scores, dim, 0).reshape(scores.shape[dim], -1)
    places = np.flatnonzero(apart.any(axis=1))
    norms = [norm(rows[place], n) for place in places]
    lost = places[np.argsort(norms, kind="stable")][: counted(amount, len(places))]
    kept = mask.copy()
    np.moveaxis(kept, dim, 0)[lost] = False
    return kept


def norm(row: Array, n: float) -> float:
    """Return the n-norm of a vector; its greatest or smallest size where n is infinite."""
    size = np.abs(row)
    if np.isinf(n):
        return float(size.max() if n > 0 else size.min())
    return float((size**n).sum() ** (1 / n))
