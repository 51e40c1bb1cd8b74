"""Arithmetic of arrays that broadcast, as torch's pages of add, mul, div and their kin state it.

``..._magnitude`` functions tell what the rounding of a sum is relative to. ``..._piece``
functions are twins that take complex numbers, analytic on the piece where the real parts lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def add(a: Array, b: Array, *, alpha: float = 1) -> Array:
    """Return ``a + alpha * b`` (torch.add); of booleans, whether either is true."""
    return np.asarray(a + b * alpha)


def subtract(a: Array, b: Array, *, alpha: float = 1) -> Array:
    """Return ``a - alpha * b`` (torch.sub)."""
    return np.asarray(a - b * alpha)


def add_magnitude(a: Array, b: Array, *, alpha: float = 1) -> Array:
    """Return ``|a| + |alpha b|``."""
    return np.asarray(np.abs(a) + np.abs(b * alpha))


def mul(a: Array, b: Array) -> Array:
    """Return ``a * b``; of booleans, whether both are true."""
    return np.asarray(a * b)


def div(a: Array, b: Array) -> Array:
    """Return ``a / b``, true division."""
    return np.asarray(a / b)


def divided_downward(a: Array, b: Array, **_: str) -> Array:
    """Return ``a / b`` rounded down (torch.div with rounding_mode="floor", torch.floor_divide)."""
    return np.asarray(np.floor(a / b) if _is_floating(a, b) else np.floor_divide(a, b))


def divided_toward_zero(a: Array, b: Array, **_: str) -> Array:
    """Return ``a / b`` rounded toward zero (torch.div with rounding_mode="trunc").

    Of integers as C divides: the quotient of the sizes, with the sign of the exact quotient.
    """
    if _is_floating(a, b):
        return np.asarray(np.trunc(a / b))
    down = np.floor_divide(a, b)
    return np.asarray(down + ((down < 0) & (down * b != a)))


def _is_floating(a: Array, b: Array) -> bool:
    return np.result_type(a, b).kind == "f"


def constant_piece(a: Array, b: Array, **_: str) -> Array:
    """Return zeros with the shape of ``a / b``: the derivative of what is rounded to integers."""
    return np.asarray(0 * a + 0 * b)


def remainder(a: Array, b: Array) -> Array:
    """Return ``a - b * floor(a / b)``: Python's modulus, which has the divisor's sign."""
    return np.asarray(np.mod(a, b))


def remainder_piece(a: Array, b: Array) -> Array:
    """Return ``a - b * floor(a / b)`` for complex numbers near real ones."""
    return np.asarray(a - b * np.floor(np.real(a) / np.real(b)))


def fmod_piece(a: Array, b: Array) -> Array:
    """Return ``a - b * trunc(a / b)`` for complex numbers near real ones."""
    return np.asarray(a - b * np.trunc(np.real(a) / np.real(b)))


def float_power(a: Array, b: Array) -> Array:
    """Return ``a ** b`` in double precision."""
    double = np.complex128 if np.iscomplexobj(a) or np.iscomplexobj(b) else np.float64
    return np.asarray(np.power(np.asarray(a, dtype=double), np.asarray(b, dtype=double)))


def reflected_subtract(a: Array, b: Array) -> Array:
    """Return ``b - a``."""
    return np.asarray(b - a)


def reflected_div(a: Array, b: Array) -> Array:
    """Return ``b / a``."""
    return np.asarray(b / a)


def reflected_floor_divide(a: Array, b: Array) -> Array:
    """Return ``b / a`` rounded down."""
    return divided_downward(b, a)


def reflected_remainder(a: Array, b: Array) -> Array:
    """Return ``b`` modulo ``a``, with the sign of ``a``."""
    return np.asarray(np.mod(b, a))


def reflected_power(a: Array, b: Array) -> Array:
    """Return ``b ** a``."""
    return np.asarray(np.power(b, a))


def reflected_left_shift(a: Array, b: Array) -> Array:
    """Return ``b << a``."""
    return np.asarray(np.left_shift(b, a))


def reflected_right_shift(a: Array, b: Array) -> Array:
    """Return ``b >> a``."""
    return np.asarray(np.right_shift(b, a))


def lerp(start: Array, end: Array, weight: Array) -> Array:
    """Return ``start + weight * (end - start)`` (torch.lerp)."""
    return np.asarray(start + weight * (end - start))


def lerp_magnitude(start: Array, end: Array, weight: Array) -> Array:
    """Return what the roundings of a line between two points are relative to, in either form."""
    return np.asarray((np.abs(start) + np.abs(end)) * (2 + 2 * np.abs(weight)))


def addcmul(x: Array, a: Array, b: Array, *, value: float = 1) -> Array:
    """Return ``x + value * a * b`` (torch.addcmul)."""
    return np.asarray(x + value * a * b)


def addcmul_magnitude(x: Array, a: Array, b: Array, *, value: float = 1) -> Array:
    """Return ``|x| + |value a b|``."""
    return np.asarray(np.abs(x) + np.abs(value * a * b))


def addcdiv(x: Array, a: Array, b: Array, *, value: float = 1) -> Array:
    """Return ``x + value * a / b`` (torch.addcdiv)."""
    return np.asarray(x + value * a / b)


def addcdiv_magnitude(x: Array, a: Array, b: Array, *, value: float = 1) -> Array:
    """Return ``|x| + |value a / b|``."""
    return np.asarray(np.abs(x) + np.abs(value * a / b))


def ldexp(x: Array, exponent: Array) -> Array:
    """Return ``x * 2 ** exponent`` (torch.ldexp)."""
    return np.asarray(x * 2.0 ** np.real(exponent))


def frexp(x: Array) -> tuple[Array, Array]:
    """Return mantissa and exponent: ``x = mantissa * 2 ** exponent``, the first in [1/2, 1)."""
    mantissa, exponent = np.frexp(x)
    return np.asarray(mantissa), np.asarray(exponent)


def mantissa_piece(x: Array) -> Array:
    """Return the mantissa of complex numbers near real ones."""
    return np.asarray(x / 2.0 ** np.frexp(np.real(x))[1])


def hypotenuse(a: Array, b: Array) -> Array:
    """Return ``sqrt(a^2 + b^2)`` (torch.hypot), for complex numbers as well."""
    return np.asarray(np.sqrt(a * a + b * b))


def reciprocal(x: Array) -> Array:
    """Return ``1 / x``."""
    return np.asarray(1.0 / x)


def reciprocal_root(x: Array) -> Array:
    """Return ``1 / sqrt(x)`` (torch.rsqrt)."""
    return np.asarray(1.0 / np.sqrt(x))


def next_after(x: Array, y: Array, *, spacing_of: str = "float64") -> Array:
    """Return the neighbour of ``x`` toward ``y`` in a dtype; ``y`` where they are equal.

    bfloat16 is the upper half of float32: neighbours are a step of its last bit apart.
    """
    if spacing_of != "bfloat16":
        dtype = np.dtype(spacing_of)
        return np.asarray(np.nextafter(x.astype(dtype), y.astype(dtype)).astype(np.float64))
    a, b = np.broadcast_arrays(x.astype(np.float32), y.astype(np.float32))
    bits = np.ascontiguousarray(a).view(np.int32) >> 16
    place = np.where(bits < 0, -(bits & 0x7FFF), bits) + np.where(b > a, 1, -1)
    pattern = np.where(place < 0, 0x8000 | -place, place).astype(np.uint32) << np.uint32(16)
    moved = pattern.view(np.float32).reshape(a.shape)
    found = np.where(np.isnan(a) | np.isnan(b), np.nan, np.where(a == b, b, moved))
    return np.asarray(found.astype(np.float64))
