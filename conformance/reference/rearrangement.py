"""Elements in another order or repeated, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def rolled(a: Array, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] = ()) -> Array:
    """Shift elements cyclically along dimensions, or where none is named along all as one."""
    return np.roll(a, shifts, dims if dims != () else None)


def each_repeated(a: Array, repeats: Any, dim: int | None = None, output_size: int = 0) -> Array:
    """Repeat each slice along a dimension, or each element, as often as ``repeats`` says."""
    return np.repeat(a, repeats, dim)
