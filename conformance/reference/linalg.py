"""Linear algebra where NumPy's own functions need words of ours beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def matmul_magnitude(a: Array, b: Array) -> Array:
    """Return ``|a| @ |b|``: what the rounding of a product of matrices is relative to."""
    return np.asarray(np.matmul(np.abs(a), np.abs(b)))
