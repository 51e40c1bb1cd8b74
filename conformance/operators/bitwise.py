"""Logic and bits: truth values of any numbers, bits of integers, common divisors and multiples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.operators.arguments import mixed_calls, pointwise_calls, unary_calls
from conformance.operators.arithmetic_arguments import shift_calls
from conformance.operators.operator import Operator, Reference, same
from conformance.operators.results import promoted, truth
from conformance.reference import arithmetic as reference

_WHOLE = ("integral", "boolean")


def _logical(name: str, of: np.ufunc) -> Operator:
    return Operator(
        name=f"logical_{name}",
        calls=pointwise_calls(2),
        reference=of,
        dtypes=("any",),
        result=truth,
        spellings=(f"Tensor.logical_{name}",),
        in_place=f"Tensor.logical_{name}_",
        out="cast",
        mixed=mixed_calls(2, numbers=False),
    )


def _bitwise(name: str, of: np.ufunc) -> Operator:
    signs = (f"Tensor.__{name}__", f"Tensor.__r{name}__")
    return Operator(
        name=f"bitwise_{name}",
        calls=pointwise_calls(2, scalar=True),
        reference=of,
        dtypes=_WHOLE,
        result=promoted,
        spellings=(f"Tensor.bitwise_{name}", *signs),
        in_place=f"Tensor.bitwise_{name}_",
        out="cast",
        mixed=mixed_calls(2, _WHOLE),
    )


NOT = replace(
    _bitwise("not", np.invert),
    calls=unary_calls(),
    result=same,
    spellings=("Tensor.bitwise_not", "Tensor.__invert__"),
    out="same",
    mixed=None,
)


def _shift(name: str, sign: str, of: np.ufunc) -> Operator:
    return replace(
        _bitwise(name, of),
        name=f"bitwise_{name}_shift",
        calls=shift_calls(),
        dtypes=("integral",),
        spellings=(f"Tensor.bitwise_{name}_shift", f"Tensor.__{sign}__"),
        in_place=f"Tensor.bitwise_{name}_shift_",
        mixed=mixed_calls(2, ("integral",), kinds=("dyadic", "probability"), numbers=False),
    )


def _number_shifted(name: str, sign: str, of: Reference) -> Operator:
    return Operator(
        name=f"Tensor.__r{sign}__",
        calls=shift_calls(number="first"),
        reference=of,
        dtypes=("integral",),
        docs=f"torch.bitwise_{name}_shift",
    )


def _divisor(name: str, of: np.ufunc) -> Operator:
    return Operator(
        name=name,
        calls=pointwise_calls(2),
        reference=of,
        dtypes=("integral",),
        result=promoted,
        kind="dyadic",
        spellings=(f"Tensor.{name}",),
        in_place=f"Tensor.{name}_",
        out="cast",
        mixed=mixed_calls(2, ("integral",), numbers=False),
    )


OPERATORS = (
    _logical("and", np.logical_and),
    _logical("or", np.logical_or),
    _logical("xor", np.logical_xor),
    replace(_logical("not", np.logical_not), calls=unary_calls(), mixed=None),
    _bitwise("and", np.bitwise_and),
    _bitwise("or", np.bitwise_or),
    _bitwise("xor", np.bitwise_xor),
    NOT,
    _shift("left", "lshift", np.left_shift),
    _shift("right", "rshift", np.right_shift),
    _number_shifted("left", "lshift", reference.reflected_left_shift),
    _number_shifted("right", "rshift", reference.reflected_right_shift),
    _divisor("gcd", np.gcd),
    _divisor("lcm", np.lcm),
)
