"""Elementary functions, as torch's pages and C99's special values define them.

Functions take real or complex arrays. ``..._piece`` functions are twins for complex arrays near
real ones: analytic, with branches on real parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))`` (torch.sigmoid, torch.special.expit)."""
    return np.asarray(1 / (1 + np.exp(-x)))


def logit(x: Array, eps: float | None = None) -> Array:
    """Return ``log(x / (1 - x))``, of x clamped to [eps, 1 - eps] if given (torch.logit).

    Where x lies outside of [0, 1] and nothing is clamped, nan.
    """
    clamped = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.asarray(np.log(clamped / (1 - clamped)))


def logit_piece(x: Array, eps: float | None = None) -> Array:
    """Return :func:`logit` near a point inside of (0, 1), a constant where it is clamped; plus 4.

    Derivatives do not see the 4, which makes the size tell what cancels at 1/2.
    """
    clamped = np.zeros(x.shape, bool) if eps is None else (x.real < eps) | (x.real > 1 - eps)
    inside = np.where(clamped, 0.5, x)
    return np.asarray(4 + np.where(clamped, 0, np.log(inside / (1 - inside))))


def logit_magnitude(x: Array, eps: float | None = None) -> Array:
    """Return what the rounding of ``logit`` is relative to: it is 0 at 1/2, by cancellation."""
    clamped = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.asarray(np.abs(logit(x, eps)) + 1 / np.maximum(np.abs(1 - clamped), 2.0**-60))


def sigmoid_magnitude(x: Array) -> Array:
    """Return the size of ``sigmoid``; where ``exp(-x)`` may overflow, what may vanish."""
    return np.asarray(sigmoid(x) + 2.0**-100)


def sinc(x: Array) -> Array:
    """Return ``sin(pi x) / (pi x)``, and 1 at 0 (torch.sinc)."""
    angle_of = np.pi * np.where(x == 0, 1, x)
    return np.asarray(np.where(x == 0, 1, np.sin(angle_of) / angle_of))


def sinc_magnitude(x: Array) -> Array:
    """Return what rounding ``pi x`` may change, relative to x: the slope of the sine."""
    turned = np.pi * x
    return np.asarray(np.abs(sinc(x)) + np.abs(np.cos(turned)))


def radians(x: Array) -> Array:
    """Return degrees in radians (torch.deg2rad)."""
    return np.asarray(x * (np.pi / 180))


def degrees(x: Array) -> Array:
    """Return radians in degrees (torch.rad2deg)."""
    return np.asarray(x * (180 / np.pi))


def angle(x: Array) -> Array:
    """Return the argument of a number: of a real one pi below zero, else 0; nan of nan."""
    if np.iscomplexobj(x):
        return np.asarray(np.arctan2(x.imag, x.real))
    return np.asarray(np.where(np.isnan(x), np.nan, np.where(x < 0, np.pi, 0.0)))


def angle_piece(x: Array) -> Array:
    """Return :func:`angle` of real numbers: it is constant on each side of 0."""
    return np.asarray(0 * x + np.where(x.real < 0, np.pi, 0))


def atan2_piece(y: Array, x: Array) -> Array:
    """Return the angle of the vector (x, y), neither of them 0."""
    flat = np.abs(x.real) >= np.abs(y.real)
    slope = np.where(flat, y / x, -x / y)
    turned = np.where(flat, np.where(x.real < 0, np.pi, 0), np.pi / 2)
    return np.asarray(np.arctan(slope) + np.where(y.real < 0, -turned, turned))


def logaddexp_piece(a: Array, b: Array) -> Array:
    """Return ``log(exp(a) + exp(b))`` for complex arrays near real ones."""
    first = a.real >= b.real
    high, low = np.where(first, a, b), np.where(first, b, a)
    return np.asarray(high + np.log1p(np.exp(low - high)))


def logaddexp_magnitude(a: Array, b: Array) -> Array:
    """Return the size of what ``logaddexp`` adds up: the larger operand and a logarithm."""
    return np.asarray(np.abs(np.maximum(a, b)) + np.log1p(np.exp(-np.abs(a - b))))


def logaddexp2_piece(a: Array, b: Array) -> Array:
    """Return ``log2(2**a + 2**b)`` for complex arrays near real ones."""
    return np.asarray(logaddexp_piece(a * np.log(2), b * np.log(2)) / np.log(2))


def logaddexp2_magnitude(a: Array, b: Array) -> Array:
    """Return the size of what ``logaddexp2`` adds up."""
    return np.asarray(np.abs(np.maximum(a, b)) + np.log1p(np.exp2(-np.abs(a - b))) / np.log(2))


def xlogy(x: Array, y: Array) -> Array:
    """Return ``x log(y)``; 0 where x is 0 and y is no nan (torch.xlogy)."""
    return np.asarray(np.where((x == 0) & ~np.isnan(y), 0, x * np.log(1.0 * y)))


def xlogy_piece(x: Array, y: Array) -> Array:
    """Return ``x log(y)`` where x is not 0."""
    return np.asarray(x * np.log(y))


def xlog1py(x: Array, y: Array) -> Array:
    """Return ``x log(1 + y)``; 0 where x is 0 and y is no nan (torch.special.xlog1py)."""
    return np.asarray(np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(1.0 * y)))


def xlog1py_piece(x: Array, y: Array) -> Array:
    """Return ``x log(1 + y)`` where x is not 0."""
    return np.asarray(x * np.log1p(y))


def entropy(x: Array) -> Array:
    """Return ``-x log(x)``, 0 at 0 and -inf below it (torch.special.entr)."""
    inside = np.where(x > 0, x, 1.0)
    outside = np.where(x == 0, 0.0, np.where(x < 0, -np.inf, x))
    return np.asarray(np.where(x > 0, -inside * np.log(inside), outside))


def entropy_piece(x: Array) -> Array:
    """Return ``-x log(x)`` above 0."""
    return np.asarray(-x * np.log(x))
