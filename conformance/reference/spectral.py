"""Spectra: adjoints of linear maps by their columns, transforms of short times, frequencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def adjoint(
    function: Callable[[Array], Array], point: Array, cotangent: Array
) -> tuple[Array, Array]:
    """Return the gradient of ``Re <cotangent, function(x)>`` for a linear function, and its size.

    Entry i of the gradient is ``Re <v, F e_i> + i Re <v, F i e_i>``, the latter for complex
    points alone; the size bounds the products that it sums.
    """
    gradient, size = np.zeros_like(point), np.zeros(point.shape)
    directions = (1.0, 1j) if np.iscomplexobj(point) else (1.0,)
    for position in np.ndindex(point.shape):
        for direction in directions:
            unit = np.zeros_like(point)
            unit[position] = direction
            column = function(unit)
            gradient[position] += direction * np.vdot(cotangent, column).real
            size[position] += np.abs(cotangent) @ np.abs(column)
    return gradient, size


def short_time_transform(signal: Array, window: Array, hop: int, centred: bool) -> Array:
    """Return the transforms of windows of each signal: shape (signals, n // 2 + 1, windows).

    https://docs.pytorch.org/docs/stable/generated/torch.stft.html; ``centred`` reflects half a
    window at both ends.
    """
    side = len(window)
    if centred:
        signal = np.pad(signal, ((0, 0), (side // 2, side // 2)), mode="reflect")
    starts = range(0, signal.shape[1] - side + 1, hop)
    turns = np.outer(np.arange(side // 2 + 1), np.arange(side)) / side
    waves = np.exp(-2j * np.pi * turns)
    return np.stack([(signal[:, s : s + side] * window) @ waves.T for s in starts], axis=-1)


def frequencies(count: int, half: bool) -> Array:
    """Return how many cycles each entry of a transform of ``count`` entries makes in all."""
    if half:
        return np.arange(count // 2 + 1, dtype=np.float64)
    return np.concatenate([np.arange((count + 1) // 2), np.arange(-(count // 2), 0)]).astype(float)
