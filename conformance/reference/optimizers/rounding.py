"""Arithmetic that carries a bound on what rounding may do to an implementation.

Beside each value stands how far an implementation of unit roundoff ``unit`` may be from it. The
bounds are rigorous where every operation of an implementation is allowed four roundings, each of
the size of what is added, so that it may also add in another order. A bound that is nan or
infinite says that rounding may do anything, as where a divisor is lost in its own error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ROUNDINGS = 4
DOUBLE = 2.0**-53
SINGLE = 2.0**-24


class Rounded:
    """A value, and how far rounding may have taken an implementation's from it."""

    __slots__ = ("error", "unit", "value")
    __array_ufunc__ = None  # an array on the left leaves the operation to this class

    def __init__(self, value: Any, error: Any, unit: float) -> None:
        self.value = value
        self.error = error
        self.unit = unit

    def __add__(self, other: Any) -> Rounded:
        b = rounded(other)
        unit = max(self.unit, b.unit)
        size = ROUNDINGS * unit * (abs(self.value) + abs(b.value))
        return Rounded(self.value + b.value, self.error + b.error + size, unit)

    def __neg__(self) -> Rounded:
        return Rounded(-self.value, self.error, self.unit)

    def __sub__(self, other: Any) -> Rounded:
        return self + -rounded(other)

    def __rsub__(self, other: Any) -> Rounded:
        return rounded(other) + -self

    def __mul__(self, other: Any) -> Rounded:
        b = rounded(other)
        unit = max(self.unit, b.unit)
        value = self.value * b.value
        error = abs(self.value) * b.error + (abs(b.value) + b.error) * self.error
        return Rounded(value, error + ROUNDINGS * unit * abs(value), unit)

    def __truediv__(self, other: Any) -> Rounded:
        b = rounded(other)
        unit = max(self.unit, b.unit)
        value = self.value / b.value
        least = np.maximum(abs(b.value) - b.error, 0.0)
        error = (self.error + abs(value) * b.error) / least
        return Rounded(value, error + ROUNDINGS * unit * abs(value), unit)

    def __rtruediv__(self, other: Any) -> Rounded:
        return rounded(other) / self

    __radd__ = __add__
    __rmul__ = __mul__


def exactly(value: Any, unit: float) -> Rounded:
    """Return a value that an implementation of roundoff ``unit`` holds without error."""
    return Rounded(value, 0.0 * abs(value), unit)


def rounded(value: Any) -> Rounded:
    """Return the operand of an operation: a number is held without error."""
    return value if isinstance(value, Rounded) else Rounded(value, 0.0, 0.0)


def stored(value: Any, unit: float) -> Rounded:
    """Return a number as it is after it has been kept with roundoff ``unit``."""
    a = rounded(value)
    return Rounded(a.value, a.error + ROUNDINGS * unit * abs(a.value), a.unit)


def square(a: Rounded) -> Rounded:
    """Return ``a a``."""
    return a * a


def root(a: Rounded) -> Rounded:
    """Return the square root of what cannot be negative."""
    value = np.sqrt(a.value)
    low = np.sqrt(np.maximum(np.real(a.value) - a.error, 0.0))
    high = np.sqrt(np.maximum(np.real(a.value), 0.0) + a.error)
    return Rounded(value, high - low + ROUNDINGS * a.unit * high, a.unit)


def larger(a: Rounded, b: Any) -> Rounded:
    """Return the larger one of two values, element by element."""
    other = rounded(b)
    value = np.where(np.real(a.value) >= np.real(other.value), a.value, other.value)
    return Rounded(value, np.maximum(a.error, other.error), max(a.unit, other.unit))


def smaller(a: Rounded, b: Any) -> Rounded:
    """Return the smaller one of two values, element by element."""
    return -larger(-a, -rounded(b))


def magnitude(a: Rounded) -> Rounded:
    """Return the absolute value, whose sign is decided by the real part."""
    return Rounded(np.where(np.real(a.value) < 0, -a.value, a.value), a.error, a.unit)


def blend(old: Rounded, new: Rounded, share: float) -> Rounded:
    """Return ``(1 - share) old + share new``, however it is computed.

    As ``old + share (new - old)`` it rounds the whole of both.
    """
    mixed = (1 - share) * old + share * new
    whole = ROUNDINGS * mixed.unit * (abs(old.value) + abs(new.value))
    return Rounded(mixed.value, mixed.error + whole, mixed.unit)


def mean(a: Rounded, axis: int | None = None) -> Rounded:
    """Return the mean over one axis, which stays with length 1, or over everything."""
    count = a.value.size if axis is None else a.value.shape[axis]
    value = np.mean(a.value, axis=axis, keepdims=axis is not None)
    size = np.mean(np.abs(a.value), axis=axis, keepdims=axis is not None)
    error = np.mean(a.error, axis=axis, keepdims=axis is not None)
    return Rounded(value, error + (ROUNDINGS + count) * a.unit * size, a.unit)


def limit(a: Rounded) -> Array:
    """Return the bound that a comparison takes: infinite where there is none."""
    return np.where(np.isnan(a.error), np.inf, a.error)
