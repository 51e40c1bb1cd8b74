"""Which values to draw: NumPy arrays made from one draw of bytes.

Every element is one byte that indexes an ordered table, so that a whole array is one
choice for Hypothesis, and shrinking a byte towards 0 makes its element simpler.

``dyadic``
    small multiples of 1/8: sums, products and scatters of a few of them are exact in every
    floating dtype, so that equality is ``==``.
``any``, ``ordered``
    these and nan, infinities, -0.0, subnormals and the extremes of the dtype, for operations that
    only move data; ordered ones have no nan.
``bits``
    all bit patterns, nan payloads included.
``nonfinite``, ``few``
    dyadic values and -0.0, nan and infinities, for sums, which extremes would overflow; ``few``
    are 0.0, -0.0, nan and infinity alone, so that operands coincide often.
``regimes``, ``finite``, ``nonnegative``
    those and sizes from 2**-20 to 1000, among which special functions change their way of
    computing; all of them, the finite ones, those not below zero.
``away-from-kinks``, ``positive``, ``far``, ``missing``
    neither integers nor near zero, for derivatives; those above zero; those and sizes up to 24;
    those and nan.
``unit``, ``fraction``, ``above-one``
    in (-1, 1) without its middle, in (0, 1), above 1; at least 1/4 or 1/8 from the ends.
``probability``
    dyadic, in [0, 1], both ends included.
``signs``, ``truths``, ``whole``
    1 and -1; 0 and 1; whole numbers from -2 to 2.
``residues``, ``remote``
    values that differ by no whole number but 0; some beyond 5 that are not whole.
``distinct``
    values that differ from each other by at least 1/8 within one tensor.
"""

from __future__ import annotations

import math
from functools import cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import lacks
from strategies.dtypes import FAMILIES
from strategies.shapes import Shape

Array = npt.NDArray[Any]

_UNSIGNED_KINDS = ("positive", "probability", "fraction", "above-one", "nonnegative")
_LEAST_INTEGERS = {"away-from-kinks": 1, "positive": 1, "far": 1, "above-one": 2}
_BYTES = 256

NUMPY_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.bool: np.dtype(np.bool_),
    torch.uint8: np.dtype(np.uint8),
    torch.int8: np.dtype(np.int8),
    torch.int16: np.dtype(np.int16),
    torch.int32: np.dtype(np.int32),
    torch.int64: np.dtype(np.int64),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.uint16),  # NumPy has no bfloat16: its bit pattern
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
    torch.complex64: np.dtype(np.complex64),
    torch.complex128: np.dtype(np.complex128),
    torch.uint16: np.dtype(np.uint16),
    torch.uint32: np.dtype(np.uint32),
    torch.uint64: np.dtype(np.uint64),
    # NumPy has no float8 either: bit patterns
    torch.float8_e4m3fn: np.dtype(np.uint8),
    torch.float8_e5m2: np.dtype(np.uint8),
    torch.float8_e4m3fnuz: np.dtype(np.uint8),
    torch.float8_e5m2fnuz: np.dtype(np.uint8),
}

AS_BITS: dict[torch.dtype, torch.dtype] = {
    torch.bfloat16: torch.int16,
    **dict.fromkeys(FAMILIES["float8"], torch.uint8),
}
"""Dtypes that NumPy lacks, and the integer dtype under which torch takes their bits."""

_FLOAT8_FORMATS = {  # mantissa bits and exponent bias: arXiv:2209.05433, arXiv:2206.02915
    torch.float8_e4m3fn: (3, 7),
    torch.float8_e5m2: (2, 15),
    torch.float8_e4m3fnuz: (3, 8),
    torch.float8_e5m2fnuz: (2, 16),
}


def bfloat16_bits(values: Array) -> Array:
    """Return the bfloat16 bit patterns (uint16) of values that bfloat16 holds exactly."""
    return (values.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def _float8_bits(value: float, dtype: torch.dtype) -> int | None:
    """The bits of a normal number or zero in a float8 format, None if it has no such number."""
    if value == 0:
        return 0
    mantissa_bits, bias = _FLOAT8_FORMATS[dtype]
    fraction, exponent = math.frexp(abs(value))  # value = fraction * 2**exponent, 0.5 <= fraction
    mantissa = (2 * fraction - 1) * 2**mantissa_bits
    if mantissa != int(mantissa):
        return None
    sign = 0x80 if value < 0 else 0
    return sign | (exponent - 1 + bias) << mantissa_bits | int(mantissa)


# Exact in every floating dtype of 16 bits or more.
_REGIMES = (
    2.5, 3.25, 4.75, 5.5, 7.25, 8.5, 10.25, 12.5, 17, 20.5, 25, 33, 50, 87, 100, 170, 500, 1000,
    2.0**-4, 2.0**-7, 2.0**-12, 2.0**-20,
)  # fmt: skip
_UNUSUAL = 2 * [-0.0, math.inf, -math.inf, math.nan]
_FAR = (0.25, 2.25, 2.75, 3.25, 3.75, 4.25, 5.25, 5.75, 6.25, 7.25, 8.25, 10.25, 16.25, 24.25)


def _kinkless_values() -> list[float]:
    """Multiples of 1/16 between 1/2 and 2 but for 1, both signs: no integer, no half, no zero."""
    return [sign * n / 16 for n in (24, *range(9, 16), *range(17, 32)) for sign in (1, -1)]


def _dyadic_values() -> list[float]:
    """Multiples of 1/8 up to 2: whole numbers first, then falling, so that shrinking a byte
    in steps passes through values of one kind."""
    eighths = [0, 8, 16, *range(15, 8, -1), *range(7, 0, -1)]
    return [sign * n / 8 for n in eighths for sign in ((1, -1) if n else (1,))]


_DYADIC = _dyadic_values()
_KINKLESS = _kinkless_values()
_FINITE = _DYADIC + [sign * size for size in _REGIMES for sign in (1, -1)]

_REAL_VALUES: dict[str, list[float]] = {
    "dyadic": _DYADIC,
    "distinct": _DYADIC,  # of booleans and complex numbers' parts
    "probability": [n / 8 for n in (0, 8, 4, 2, 6, 1, 3, 5, 7)],
    "away-from-kinks": _KINKLESS,
    "positive": [value for value in _KINKLESS if value > 0],
    "unit": [sign * n / 16 for n in (8, *range(1, 8), *range(9, 13)) for sign in (1, -1)],
    "fraction": [n / 16 for n in (8, 4, 12, 5, 6, 7, 9, 10, 11)],
    "missing": [*_KINKLESS, *10 * [math.nan]],
    "above-one": [n / 8 for n in range(10, 33)],
    "signs": [1.0, -1.0],
    "truths": [0.0, 1.0],
    "whole": [0.0, 1.0, -1.0, 2.0, -2.0],
    "residues": [n / 16 + (0, 1, -2, 2, -1)[n % 5] for n in range(16)],
    "remote": [5.25, -5.5, 6.25, -6.75, 7.5, -8.25],
    "far": _KINKLESS + [sign * size for size in _FAR for sign in (1, -1)],
    "few": [0.0, -0.0, math.nan, math.inf],
    "nonfinite": _DYADIC + _UNUSUAL,
    "regimes": _FINITE + _UNUSUAL,
    "finite": _FINITE,
    "nonnegative": [value for value in _FINITE if value >= 0],
}
"""Values by kind, the simplest first, where they are the same in every dtype."""


KINDS = ("any", "ordered", "bits", *_REAL_VALUES)


def _real_values(dtype: torch.dtype, kind: str) -> list[float]:
    if kind in ("any", "ordered"):
        return _DYADIC + 3 * _specials(dtype)[: -1 if kind == "ordered" else None]
    return _REAL_VALUES[kind]


def _specials(dtype: torch.dtype) -> list[float]:
    """The telling values of a floating dtype, ordered by how startling they are."""
    info = torch.finfo(dtype)
    return [
        -0.0,
        info.max,
        info.min,
        info.tiny,
        -info.tiny,
        info.smallest_normal * info.eps,  # the smallest subnormal
        1 + info.eps,
        float("inf"),
        float("-inf"),
        float("nan"),
    ]


def _spread(values: list[Any]) -> list[Any]:
    """Repeat ``values`` over all bytes, keeping the order within the first round."""
    return [values[byte % len(values)] for byte in range(_BYTES)]


@cache
def value_table(dtype: torch.dtype, kind: str) -> Array:
    """Return the 256 values that bytes stand for, simplest first."""
    if dtype == torch.bool:
        return np.array(_spread([False, True]), dtype=np.bool_)
    if dtype.is_complex:
        real = torch.float64 if dtype == torch.complex128 else torch.float32
        parts = value_table(real, kind)[: _BYTES // 4].astype(np.float64)
        order = (np.arange(_BYTES) * 7) % len(parts)  # pairs each real part with another one
        table = np.empty(_BYTES, dtype=np.complex128)
        table.real = np.resize(parts, _BYTES)
        table.imag = np.where(np.arange(_BYTES) < len(parts), 0.0, parts[order])
        return table.astype(NUMPY_DTYPES[dtype])
    if not dtype.is_floating_point:
        info = torch.iinfo(dtype)
        least = _LEAST_INTEGERS.get(kind, 0)
        signs = (1, -1) if info.min < 0 and kind not in _UNSIGNED_KINDS else (1,)
        small = [sign * n for n in range(least, 9) for sign in (signs if n else (1,))]
        wide = kind in ("any", "ordered")
        extremes = [info.max, info.min, info.max - 1, info.min + 1] if wide else []
        small = small[: len(signs) + 1] if kind == "few" else small
        return np.array(_spread(small + extremes), dtype=NUMPY_DTYPES[dtype])
    if dtype in _FLOAT8_FORMATS:
        if kind == "any":
            return np.arange(_BYTES, dtype=np.uint8)  # each of the 256 numbers once
        encoded = [_float8_bits(value, dtype) for value in _real_values(dtype, kind)]
        return np.array(_spread([bits for bits in encoded if bits is not None]), dtype=np.uint8)
    values = _real_values(dtype, kind)
    if dtype == torch.bfloat16:
        return bfloat16_bits(np.array(_spread(values), dtype=np.float64))
    return np.array(_spread(values), dtype=NUMPY_DTYPES[dtype])


@cache
def raw_bytes(count: int) -> st.SearchStrategy[bytes]:
    """Draw exactly ``count`` bytes: one choice, shrinking towards zeros."""
    return st.binary(min_size=count, max_size=count)


def bytes_for(elements: int, dtype: torch.dtype, kind: str) -> st.SearchStrategy[bytes]:
    """Draw the bytes from which :func:`decode` makes ``elements`` elements."""
    width = NUMPY_DTYPES[dtype].itemsize if kind == "bits" else 1
    return raw_bytes(elements * width)


def decode(raw: bytes, dtype: torch.dtype, kind: str) -> Array:
    """Return the flat array that drawn bytes stand for.

    For a device that takes subnormal numbers for zero, zeros stand for them.
    """
    values = _decoded(raw, dtype, kind)
    return without_subnormals(values, dtype) if lacks("subnormals") else values


def without_subnormals(values: Array, dtype: torch.dtype) -> Array:
    """Return values, in NumPy's own dtype for ``dtype``, with zeros for the subnormal ones.

    Of float16 and float8 all numbers stay: devices compute with them in float32.
    """
    if dtype == torch.bfloat16:
        return np.where(values & 0x7F80, values, values & 0x8000)
    if values.dtype.kind not in "fc" or values.dtype.itemsize < 4:
        return values
    parts = values.reshape(-1).view(values.real.dtype)
    normal = ~(np.abs(parts) < np.finfo(parts.dtype).tiny)
    kept = np.where(normal, parts, np.copysign(parts.dtype.type(0), parts))
    return kept.view(values.dtype).reshape(values.shape)


def _decoded(raw: bytes, dtype: torch.dtype, kind: str) -> Array:
    if kind == "bits" and dtype != torch.bool:  # a bool has two legal patterns
        return np.frombuffer(raw, dtype=NUMPY_DTYPES[dtype])
    if kind == "distinct" and dtype != torch.bool:  # a bool has two values
        return _distinct(np.frombuffer(raw, dtype=np.uint8), dtype)
    chosen: Array = value_table(dtype, kind)[np.frombuffer(raw, dtype=np.uint8)]
    return chosen


def _distinct(keys: Array, dtype: torch.dtype) -> Array:
    """The stable ranks of the keys, around zero where the dtype has negative numbers."""
    ranks = np.argsort(np.argsort(keys, kind="stable"), kind="stable")
    if dtype == torch.uint8:
        return ranks.astype(np.uint8)
    centred = ranks - len(keys) // 2
    if not (dtype.is_floating_point or dtype.is_complex):
        return centred.astype(NUMPY_DTYPES[dtype])
    eighths = centred / 8
    return (
        bfloat16_bits(eighths) if dtype == torch.bfloat16 else eighths.astype(NUMPY_DTYPES[dtype])
    )


@st.composite
def _arrays(draw: st.DrawFn, dtype: torch.dtype, shape: Shape, kind: str) -> Array:
    return decode(draw(bytes_for(prod(shape), dtype, kind)), dtype, kind).reshape(shape).copy()


def arrays(
    *, dtype: torch.dtype = torch.float64, shape: Shape = (), kind: str = "dyadic"
) -> st.SearchStrategy[Array]:
    """Draw a NumPy array of ``shape`` with values of ``kind``, as the module lists them.

    Arrays of bfloat16 and float8 come as bit patterns, since NumPy has no such dtypes.

    Example::

        @given(arrays(dtype=torch.float32, shape=(2, 3)))
        def test(array): ...
    """
    if dtype not in NUMPY_DTYPES:
        raise InvalidArgument(
            f"arrays(dtype={dtype}): no value table for it; use one of "
            f"{', '.join(map(str, NUMPY_DTYPES))}"
        )
    if kind not in KINDS:
        raise InvalidArgument(f"arrays(kind={kind!r}): use one of {', '.join(KINDS)}")
    return _arrays(dtype, tuple(shape), kind)


def dyadics() -> st.SearchStrategy[float]:
    """Draw one multiple of 1/8 between -4 and 4, as a Python float. Shrinks to 0.0.

    Example::

        @given(dyadics())
        def test(number): assert number * 8 == int(number * 8)
    """
    return st.integers(-32, 32).map(lambda eighths: eighths / 8)


def seeds() -> st.SearchStrategy[int]:
    """Draw a seed that every generator of torch accepts. Shrinks to 0.

    Example::

        @given(seeds())
        def test(seed): torch.manual_seed(seed)
    """
    return st.integers(0, 2**31 - 1)


@st.composite
def _permuted_ranges(draw: st.DrawFn, count: int) -> Array:
    remaining = list(range(count))
    picks = draw(raw_bytes(count))  # a Lehmer code: each picks among what remains
    return np.array([remaining.pop(p % len(remaining)) for p in picks], dtype=np.int64)


def permuted_ranges(count: int) -> st.SearchStrategy[Array]:
    """Draw the numbers 0 to ``count - 1`` in any order, as int64. Shrinks to ascending order.

    Example::

        @given(permuted_ranges(4))
        def test(order): assert sorted(order) == [0, 1, 2, 3]
    """
    if count < 0:
        raise InvalidArgument(f"permuted_ranges(count={count}): a count is not negative")
    return _permuted_ranges(count)
