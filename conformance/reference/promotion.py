"""Type promotion by dtype names, as torch's documentation states it.

https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc: operands with
dimensions decide, unless an operand without dimensions, or after those a Python number, is of a
higher category: boolean < integral < floating < complex.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

CATEGORIES: tuple[tuple[str, ...], ...] = (
    ("bool",),
    ("uint8", "int8", "int16", "int32", "int64"),
    ("float16", "bfloat16", "float32", "float64"),
    ("complex32", "complex64", "complex128"),
)
_COMPLEX_OF = {"float16": "complex32", "float32": "complex64", "float64": "complex128"}
_BCOMPLEX = "bcomplex32"  # parts of bfloat16; torch has it since 2.14, and does not compute in it
_PART_OF = {whole: part for part, whole in _COMPLEX_OF.items()}


def category(dtype: str) -> int:
    """Return 0 for boolean, 1 for integral, 2 for floating, 3 for complex."""
    if dtype == _BCOMPLEX:
        return 3
    return next(number for number, names in enumerate(CATEGORIES) if dtype in names)


def complex_of(floating: str) -> str:
    """Return the complex dtype whose parts are of a floating dtype."""
    return _COMPLEX_OF.get(floating, _BCOMPLEX)


def promote(first: str, second: str) -> str:
    """Return the smallest dtype that is not smaller, nor of a lower category, than either."""
    low, high = sorted((first, second), key=category)
    if category(low) < category(high) < 3 or low == high:
        return high
    if category(high) == 3:
        return _promoted_complex(low, high)
    if category(high) == 2:
        return "float32" if {low, high} == {"float16", "bfloat16"} else _later(low, high, 2)
    if low != high and "uint8" in (low, high):  # no integer of 8 bits holds both
        other = high if low == "uint8" else low
        return "int16" if other == "int8" else other
    return _later(low, high, 1)


def _promoted_complex(low: str, high: str) -> str:
    if category(low) < 2:
        return high
    part = low if category(low) == 2 else _PART_OF[low]
    widest = promote(part, _PART_OF[high])
    return _COMPLEX_OF[widest]


def _later(first: str, second: str, group: int) -> str:
    return max(first, second, key=CATEGORIES[group].index)


def result_type(
    dimensioned: Iterable[str], zero_dimensional: Iterable[str], numbers: Iterable[str]
) -> str:
    """Return the dtype to which operands promote.

    The dtypes of tensors with dimensions, of tensors without, and those that Python numbers
    stand for: bool, int64, the default dtype, its complex counterpart.
    """
    found = ""
    for group in (dimensioned, zero_dimensional, numbers):
        names = list(group)
        if names:
            found = _raised(found, reduce(promote, names))
    return found


def _raised(found: str, weaker: str) -> str:
    """What a group that decided becomes beside one that counts only for its category.

    A floating group keeps its size beside complex numbers, as the rule for Python numbers has it;
    for tensors without dimensions the documentation says otherwise (pytorch/pytorch#60941): the
    law promotion.rank-zero-complex holds torch to that.
    """
    if not found or category(weaker) <= category(found):
        return found or weaker
    if category(weaker) == 3 and category(found) == 2:
        return complex_of(found)
    return weaker
