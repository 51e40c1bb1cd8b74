"""Conversion of values between dtypes, named as torch names them, in exact integer arithmetic.

Every finite number is a ratio of integers, so that rounding needs no floating point. Values of
bfloat16 are held in float32, those of other dtypes in the NumPy dtype of the same name.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Format(NamedTuple):
    """A binary floating-point format: bits of its fraction, and exponents of normal numbers."""

    fraction: int
    least: int
    greatest: int


FLOATS: dict[str, Format] = {
    "float16": Format(10, -14, 15),
    "bfloat16": Format(7, -126, 127),
    "float32": Format(23, -126, 127),
    "float64": Format(52, -1022, 1023),
}

INTEGERS: dict[str, tuple[int, bool]] = {
    "int64": (64, True),
    "int32": (32, True),
    "int16": (16, True),
    "int8": (8, True),
    "uint8": (8, False),
}
"""Bits of each integer dtype, and whether it is signed."""

_PARTS = {"complex64": "float32", "complex128": "float64"}


def nearest(value: float, dtype: str) -> float:
    """Return the number of a floating dtype that is nearest to an integer or a float.

    The even one of two that are as near; infinity from half a step above the greatest on.
    """
    if value == 0 or not math.isfinite(value):
        return float(value)
    form = FLOATS[dtype]
    numerator, denominator = abs(value).as_integer_ratio()
    exponent = numerator.bit_length() - denominator.bit_length()
    exponent -= numerator << max(-exponent, 0) < denominator << max(exponent, 0)
    step = max(exponent, form.least) - form.fraction
    numerator, denominator = numerator << max(-step, 0), denominator << max(step, 0)
    whole, rest = divmod(numerator, denominator)
    whole += 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    over = whole.bit_length() + step - 1 > form.greatest
    return math.copysign(math.inf if over else math.ldexp(whole, step), value)


def wrapped(value: int, dtype: str) -> int:
    """Return the integer of an integral dtype that differs by a multiple of ``2 ** bits``."""
    bits, signed = INTEGERS[dtype]
    remainder = value % (1 << bits)
    return remainder - (1 << bits) if signed and remainder >> (bits - 1) else remainder


def convert(values: Array, dtype: str) -> Array:
    """Return the values that torch's conversion to ``dtype`` gives, of the same shape.

    To bool: whether they are not zero, nan included. To integers: truncated towards zero, then
    modulo ``2 ** bits``. To floats: the nearest. From complex to real: the real parts.
    """
    if dtype == "bool":
        return np.asarray(values != 0)
    if dtype in _PARTS:
        return _complex(values, _PARTS[dtype])
    numbers = values.real.ravel().tolist()
    if dtype in INTEGERS:
        whole = [wrapped(int(number), dtype) for number in numbers]
        return np.array(whole, dtype=dtype).reshape(values.shape)
    rounded = [nearest(number, dtype) for number in numbers]
    holder = "float32" if dtype == "bfloat16" else dtype
    return np.array(rounded, dtype=holder).reshape(values.shape)


def _complex(values: Array, part: str) -> Array:
    result = np.empty(values.shape, dtype="complex64" if part == "float32" else "complex128")
    result.real = convert(values.real, part)
    result.imag = convert(values.imag, part)
    return result
