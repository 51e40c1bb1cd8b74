"""Rounding, signs and bounds of arrays, as torch's pages of round, sign, clamp and others state it.

``..._piece`` functions are twins that take complex numbers, analytic on the piece where the real
parts lie, which alone decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bound = Any  # a number, an array or None


def ceiling(x: Array) -> Array:
    """Return the least integer that is not less; integers as they are (torch.ceil)."""
    return np.asarray(np.ceil(x)) if x.dtype.kind == "f" else x


def floored(x: Array) -> Array:
    """Return the greatest integer that is not greater; integers as they are (torch.floor)."""
    return np.asarray(np.floor(x)) if x.dtype.kind == "f" else x


def truncated(x: Array) -> Array:
    """Return the nearest integer toward zero; integers as they are (torch.trunc)."""
    return np.asarray(np.trunc(x)) if x.dtype.kind == "f" else x


def rounded(x: Array, *, decimals: int = 0) -> Array:
    """Return the nearest number with ``decimals`` places, halves to even (torch.round).

    Integers as they are.
    """
    if x.dtype.kind != "f":
        return x
    if decimals < 0:
        return np.asarray(np.rint(x / 10.0**-decimals) * 10.0**-decimals)
    return np.asarray(np.rint(x * 10.0**decimals) / 10.0**decimals)


def fraction(x: Array) -> Array:
    """Return ``x - trunc(x)`` (torch.frac)."""
    return np.asarray(x - np.trunc(np.real(x)))


def flat_piece(x: Array, **_: int) -> Array:
    """Return zeros: the derivative of a function that is constant between its steps."""
    return np.asarray(0 * x)


def absolute_piece(x: Array) -> Array:
    """Return ``|x|`` of complex numbers near real ones."""
    return np.asarray(np.where(np.real(x) < 0, -x, x))


def sgn(x: Array) -> Array:
    """Return ``x / |x|``, and 0 for 0: of real numbers, their sign (torch.sgn)."""
    if x.dtype.kind != "c":
        return np.asarray(np.sign(x))
    size = np.abs(x)
    return np.asarray(np.where(size == 0, 0, x / np.where(size == 0, 1, size)))


def copied_sign(x: Array, y: Array) -> Array:
    """Return ``|x|`` with the sign of ``y``, which may be that of a zero (torch.copysign)."""
    return np.asarray(np.copysign(np.asarray(x, np.float64), np.asarray(y, np.float64)))


def copied_sign_piece(x: Array, y: Array) -> Array:
    """Return ``|x|`` with the sign of ``y`` of complex numbers near real ones."""
    other = np.signbit(np.real(x)) != np.signbit(np.real(y))
    return np.asarray(np.where(other, -x, x) + 0 * y)


def negative_by_sign(x: Array) -> Array:
    """Return whether the sign is set, that of -0.0 included (torch.signbit)."""
    return np.asarray(np.signbit(x) if x.dtype.kind == "f" else x < 0)


def clamp(x: Array, min: Bound = None, max: Bound = None) -> Array:
    """Return ``min(max(x, lower), upper)``: the upper bound wins; nan stays (torch.clamp)."""
    above = x if min is None else np.maximum(x, min)
    return np.asarray(above if max is None else np.minimum(above, max))


def clamp_piece(x: Array, min: Bound = None, max: Bound = None) -> Array:
    """Return the clamped values of complex numbers near real ones."""
    above = x if min is None else larger_piece(x, min)
    return np.asarray(above if max is None else smaller_piece(above, max))


def larger_piece(x: Array, y: Array) -> Array:
    """Return the number with the larger real part."""
    return np.asarray(np.where(np.real(x) >= np.real(y), x, y))


def smaller_piece(x: Array, y: Array) -> Array:
    """Return the number with the smaller real part."""
    return np.asarray(np.where(np.real(x) <= np.real(y), x, y))


def heaviside(x: Array, values: Array) -> Array:
    """Return 0 below zero, 1 above it and ``values`` at it (torch.heaviside)."""
    return np.asarray(np.where(x == 0, values, np.asarray(x > 0).astype(np.result_type(values))))


def without_nonfinite(
    x: Array,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    largest: float = 0.0,
) -> Array:
    """Return ``x`` with nan and the infinities replaced (torch.nan_to_num).

    By 0, and by the largest and the least finite number, ``largest`` and its negative.
    """
    if x.dtype.kind != "f":
        return x
    above = largest if posinf is None else posinf
    below = -largest if neginf is None else neginf
    finite = np.where(np.isnan(x), 0.0 if nan is None else nan, x)
    return np.asarray(np.where(x == np.inf, above, np.where(x == -np.inf, below, finite)))


def identity_piece(x: Array, *_: float, **__: float) -> Array:
    """Return ``x``: what nan_to_num returns of finite numbers, and conj of real ones."""
    return np.asarray(x + 0)
