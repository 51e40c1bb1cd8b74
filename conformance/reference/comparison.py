"""Comparison of arrays that broadcast, as torch's pages of isclose, isinf and others state it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def near(
    x: Array, y: Array, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Return whether ``|x - y| <= atol + rtol * |y|`` (torch.isclose).

    Where either is not finite, whether they are equal; nan is equal to nan if ``equal_nan``.
    """
    wide = np.complex128 if np.iscomplexobj(x) else np.float64
    a, b = (np.asarray(v).astype(wide) for v in (x, y))
    finite = np.isfinite(a) & np.isfinite(b)
    close = np.abs(a - b) <= atol + rtol * np.abs(b)
    both_nan = np.isnan(a) & np.isnan(b)
    return np.asarray((a == b) | (finite & close) | (both_nan if equal_nan else False))


def same_elements(x: Array, y: Array) -> bool:
    """Return whether two arrays have one shape and equal elements; nan is equal to nothing."""
    return x.shape == y.shape and bool((x == y).all())


def has_no_imaginary_part(x: Array) -> Array:
    """Return whether numbers are real: all of real dtypes, others if their second part is 0."""
    return np.asarray(np.imag(x) == 0)


def is_infinite(x: Array) -> Array:
    """Return whether a part is infinite."""
    return np.asarray(np.isinf(np.real(x)) | np.isinf(np.imag(x)))


def is_positive_infinite(x: Array) -> Array:
    """Return whether numbers are +inf."""
    return np.asarray(x == np.inf) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)


def is_negative_infinite(x: Array) -> Array:
    """Return whether numbers are -inf."""
    return np.asarray(x == -np.inf) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)


def is_finite(x: Array) -> Array:
    """Return whether all parts are finite."""
    return np.asarray(np.isfinite(np.real(x)) & np.isfinite(np.imag(x)))
