"""Creation by value: what arange and linspace contain, from their documented formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def arange(start: float, end: float, step: float) -> Array:
    """Return ``start + i * step`` for the ``ceil((end - start) / step)`` values of torch.arange.

    Float64; exact for dyadic arguments.
    """
    count = max(math.ceil((end - start) / step), 0)
    return np.array([start + i * step for i in range(count)], dtype=np.float64)


def linspace(start: float, end: float, steps: int) -> Array:
    """Return the ``steps`` evenly spaced values of torch.linspace, both ends included.

    ``start + i * (end - start) / (steps - 1)``; with one step, ``start``. Float64.
    """
    if steps == 1:
        return np.array([start], dtype=np.float64)
    return np.array(
        [(start * (steps - 1 - i) + end * i) / (steps - 1) for i in range(steps)],
        dtype=np.float64,
    )
