"""Arithmetic of arrays that broadcast, as torch's pages of add, mul and div state it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def add(a: Array, b: Array, *, alpha: float = 1) -> Array:
    """Return ``a + alpha * b`` (https://docs.pytorch.org/docs/stable/generated/torch.add.html)."""
    return np.asarray(a + b * alpha)


def add_magnitude(a: Array, b: Array, *, alpha: float = 1) -> Array:
    """Return ``|a| + |alpha b|``: what the rounding of a sum is relative to."""
    return np.asarray(np.abs(a) + np.abs(b * alpha))


def mul(a: Array, b: Array) -> Array:
    """Return ``a * b``; of booleans, both."""
    return np.asarray(a * b)


def div(a: Array, b: Array) -> Array:
    """Return ``a / b``, true division."""
    return np.asarray(a / b)
