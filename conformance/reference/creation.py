"""Creation by value: what factory functions contain, from their documented formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# The kinds of Python numbers, lowest first.
BOOLEAN = 0
INTEGRAL = 1
FLOATING = 2
COMPLEX = 3


def arange(start: float, end: float, step: float) -> Array:
    """Return ``start + i * step`` for the ``ceil((end - start) / step)`` values of torch.arange.

    Float64; exact for dyadic arguments.
    """
    count = max(math.ceil((end - start) / step), 0)
    return np.array([start + i * step for i in range(count)], dtype=np.float64)


def integer_arange(start: int, end: int, step: int) -> Array:
    """Return the values of torch.arange for integers, as int64: exact for any of them."""
    count = max(-((start - end) // step), 0)
    return np.array([start + i * step for i in range(count)], dtype=np.int64)


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


def complex_linspace(start: complex, end: complex, steps: int) -> Array:
    """Return the evenly spaced values of torch.linspace between complex ends, as complex128."""
    real = linspace(start.real, end.real, steps)
    return real + 1j * linspace(start.imag, end.imag, steps)


def logspace(start: float, end: float, steps: int, base: float) -> Array:
    """Return ``base`` to the power of each value of torch.linspace, as float64."""
    return np.array([base**exponent for exponent in linspace(start, end, steps).tolist()])


def eye(rows: int, columns: int) -> Array:
    """Return the ``(rows, columns)`` float64 matrix that is 1 where both indices are equal."""
    return np.equal.outer(np.arange(rows), np.arange(columns)).astype(np.float64)


def polar(magnitude: Array, angle: Array) -> Array:
    """Return ``magnitude * (cos(angle) + j sin(angle))`` of broadcast arrays, as complex128."""
    wide = angle.astype(np.float64)
    return magnitude * np.cos(wide) + 1j * (magnitude * np.sin(wide))


def triangle_indices(sides: tuple[int, int], offset: int, *, lower: bool) -> Array:
    """Return the indices of a triangle of a matrix as a ``(2, N)`` int64 array, row by row.

    Lower: the elements on and below the diagonal ``column - row == offset``; else on and above.
    """
    rows, columns = sides
    found = [
        (row, column)
        for row in range(rows)
        for column in range(columns)
        if (column - row <= offset if lower else column - row >= offset)
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 2).T


def kind_of_numbers(data: Any) -> int:
    """Return the highest kind among nested Python numbers; no numbers at all are floating."""
    if isinstance(data, (list, tuple)):
        return max(
            (kind_of_numbers(item) for item in data if item not in ([], ())), default=FLOATING
        )
    if isinstance(data, bool):
        return BOOLEAN
    if isinstance(data, int):
        return INTEGRAL
    return FLOATING if isinstance(data, float) else COMPLEX
