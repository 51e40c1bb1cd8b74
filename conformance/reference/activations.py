"""Activations, as the pages of torch.nn define them, for real and complex arrays.

Branches look at real parts alone, so that each function is its own analytic twin on the piece
where a point lies. ``..._magnitude`` functions tell what rounding is relative to; ``VANISHING`` is
added where exponentials of large numbers may underflow on the way to a result that does not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.error_functions import erf, erf_near

Array = npt.NDArray[Any]
VANISHING = 2.0**-100


def _logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def relu(x: Array) -> Array:
    """Return ``max(0, x)``."""
    return np.asarray(np.where(x.real <= 0, 0, x))


def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Return x cut off at both ends."""
    return np.asarray(np.where(x.real > max_val, max_val, np.where(x.real < min_val, min_val, x)))


def relu6(x: Array) -> Array:
    """Return ``min(max(0, x), 6)``."""
    return hardtanh(x, 0, 6)


def threshold(x: Array, limit: float, value: float) -> Array:
    """Return x above the limit, else the value."""
    return np.asarray(np.where(x.real > limit, x, value))


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Return x, times the slope below 0."""
    return np.asarray(np.where(x.real > 0, x, x * negative_slope))


def rrelu(x: Array, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Array:
    """Return x, times the middle of the slopes below 0: rrelu outside of training."""
    return leaky_relu(x, (lower + upper) / 2)


def prelu(x: Array, weight: Array) -> Array:
    """Return x, times the weight of its channel, the second dimension, below 0."""
    of_channels = (-1, *(1,) * (x.ndim - 2)) if weight.size > 1 else ()
    return np.asarray(np.where(x.real > 0, x, x * weight.reshape(of_channels)))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return x, below 0 ``alpha (exp(x) - 1)``."""
    return np.asarray(np.where(x.real > 0, x, alpha * np.expm1(np.where(x.real > 0, 0, x))))


def elu_magnitude(x: Array, alpha: float = 1.0) -> Array:
    """Return the size of the difference below 0."""
    return np.asarray(np.where(x > 0, np.abs(x), np.abs(alpha)))


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: Array) -> Array:
    """Return ``scale * elu(x, alpha)`` for the two numbers on torch.nn.SELU's page."""
    return np.asarray(SELU_SCALE * elu(x, SELU_ALPHA))


def selu_magnitude(x: Array) -> Array:
    """Return the size of the difference below 0."""
    return np.asarray(SELU_SCALE * elu_magnitude(x, SELU_ALPHA))


def celu(x: Array, alpha: float = 1.0) -> Array:
    """Return x, below 0 ``alpha (exp(x / alpha) - 1)``."""
    return np.asarray(np.where(x.real > 0, x, elu(x / alpha, 1) * alpha))


def gelu(x: Array, approximate: str = "none") -> Array:
    """Return x times the normal distribution function, or an estimate of it by a tanh."""
    if approximate == "tanh":
        return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    inner = x / math.sqrt(2)
    return np.asarray(x / 2 * (1 + (erf_near(inner) if np.iscomplexobj(x) else erf(inner))))


def gelu_magnitude(x: Array, approximate: str = "none") -> Array:
    """Return the size of what cancels below 0."""
    return np.abs(x)


def silu(x: Array) -> Array:
    """Return x times the logistic function."""
    return np.asarray(x * _logistic(x))


def silu_magnitude(x: Array) -> Array:
    """Return the size of ``silu``; more where its exponential may vanish."""
    return np.asarray(np.abs(silu(x)) + VANISHING)


def _log_of_sum(x: Array) -> Array:
    """``log(1 + exp(x))``, which does not overflow.

    By ``log(1 + y) = 2 artanh(y / (2 + y))``, since NumPy's log1p of complex numbers cancels.
    """
    small = np.exp(np.where(x.real > 0, -x, x))
    return np.asarray(2 * np.arctanh(small / (2 + small)) + np.where(x.real > 0, x, 0))


def mish(x: Array) -> Array:
    """Return ``x tanh(softplus(x))``."""
    return np.asarray(x * np.tanh(_log_of_sum(x)))


def mish_magnitude(x: Array) -> Array:
    """Return the size of ``mish``; more where its exponential may vanish."""
    return np.asarray(np.abs(mish(x)) + VANISHING)


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Return ``log(1 + exp(beta x)) / beta``, x where ``beta x`` is above the threshold."""
    return np.asarray(np.where(x.real * beta > threshold, x, _log_of_sum(beta * x) / beta))


def softplus_magnitude(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Return the size of ``softplus``; more where its exponential may vanish."""
    return np.asarray(np.abs(softplus(x, beta, threshold)) + VANISHING)


def logsigmoid(x: Array) -> Array:
    """Return the logarithm of the logistic function."""
    return np.asarray(-_log_of_sum(-x))


def logsigmoid_magnitude(x: Array) -> Array:
    """Return the size of ``logsigmoid``; more where its exponential may vanish."""
    return np.asarray(np.abs(logsigmoid(x)) + VANISHING)


def softsign(x: Array) -> Array:
    """Return ``x / (1 + |x|)``."""
    return np.asarray(x / (1 + np.where(x.real < 0, -x, x)))


def hardsigmoid(x: Array) -> Array:
    """Return ``(x + 3) / 6``, cut off at 0 and 1."""
    return np.asarray(hardtanh(x + 3, 0, 6) / 6)


def hardswish(x: Array) -> Array:
    """Return ``x (x + 3) / 6`` between -3 and 3, 0 before and x after."""
    return np.asarray(np.where(x.real >= 3, x, np.where(x.real <= -3, 0, x * (x + 3) / 6)))


def hardshrink(x: Array, lambd: float = 0.5) -> Array:
    """Return x, 0 from -lambd to lambd."""
    return np.asarray(np.where((x.real > lambd) | (x.real < -lambd), x, 0))


def softshrink(x: Array, lambd: float = 0.5) -> Array:
    """Return x moved towards 0 by lambd, 0 from -lambd to lambd."""
    moved = np.where(x.real > 0, x - lambd, x + lambd)
    return np.asarray(np.where(np.abs(x.real) > lambd, moved, 0))


def tanhshrink(x: Array) -> Array:
    """Return ``x - tanh(x)``."""
    return np.asarray(x - np.tanh(x))


def tanhshrink_magnitude(x: Array) -> Array:
    """Return the size of what cancels near 0."""
    return np.abs(x)


def glu(x: Array, dim: int = -1) -> Array:
    """Return the first half along ``dim`` times the logistic function of the second."""
    first, second = np.split(x, 2, axis=dim)
    return np.asarray(first * _logistic(second))


def _from_highest(x: Array, dim: int) -> Array:
    """Return x less the highest of each row: a constant to derivatives."""
    if not x.size:
        return x
    real = x.real if np.iscomplexobj(x) else x
    return np.asarray(x - np.max(real, axis=dim if x.ndim else None, keepdims=True))


def softmax(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return ``exp(x)`` over its sum along ``dim``."""
    raised = np.exp(_from_highest(x, dim))
    return np.asarray(raised / np.sum(raised, axis=dim if x.ndim else None, keepdims=True))


def softmax_magnitude(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return the size of ``softmax``, whose exponents are rounded in proportion to their size."""
    return np.asarray(softmax(x, dim) * (1 + np.abs(_from_highest(x, dim))) + VANISHING)


def log_softmax(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return the logarithm of ``softmax``."""
    moved = _from_highest(x, dim)
    total = np.sum(np.exp(moved), axis=dim if x.ndim else None, keepdims=True)
    return np.asarray(moved - np.log(total))


def log_softmax_raised(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return 8 and ``log_softmax``, which has the same derivatives.

    The constant makes the size tell what cancels, in a row of one element all of it.
    """
    return 8 + log_softmax(x, dim)


def log_softmax_magnitude(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return the size of what ``log_softmax`` subtracts from each other."""
    return np.asarray(np.abs(_from_highest(x, dim)) + 1 + np.log(max(np.shape(x), default=1) + 1))


def softmin(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return ``softmax(-x)``."""
    return softmax(-x, dim)


def softmin_magnitude(x: Array, dim: int, dtype: Any = None) -> Array:
    """Return the size of ``softmin``, as that of ``softmax``."""
    return softmax_magnitude(-x, dim)
