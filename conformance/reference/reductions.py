"""Reductions over some dimensions or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Dims = int | Sequence[int] | None


def axes(a: Array, dim: Dims) -> tuple[int, ...]:
    """Return the axes that ``dim`` names: all of them for None or an empty sequence."""
    named = (dim,) if isinstance(dim, int) else tuple(dim or range(a.ndim))
    return tuple(d % a.ndim for d in named) if a.ndim else ()


def sum_over(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return the sum over ``dim``; integers wrap around."""
    return np.asarray(np.sum(a, axis=axes(a, dim), keepdims=keepdim))


def sum_magnitude(a: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Return the sum of the sizes: what the rounding of a sum is relative to."""
    return sum_over(np.abs(a), dim, keepdim)
