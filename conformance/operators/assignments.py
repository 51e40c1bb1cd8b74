"""Signs that assign, such as ``+=``, each with the operator whose result it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from conformance.operators import OPERATORS
from conformance.operators.operator import Call, Operator
from conformance.operators.problems import value_calls

_OPERATOR_OF = {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "itruediv": "div",
    "ifloordiv": "floor_divide",
    "imod": "remainder",
    "ipow": "pow",
    "iand": "bitwise_and",
    "ior": "bitwise_or",
    "ixor": "bitwise_xor",
    "ilshift": "bitwise_left_shift",
    "irshift": "bitwise_right_shift",
}
_FAMILIES = {"itruediv": ("differentiable",)}  # true division cannot write to integers

ASSIGNMENTS: Mapping[str, Operator] = {
    f"__{sign}__": replace(
        OPERATORS[key],
        in_place=f"Tensor.__{sign}__",
        dtypes=_FAMILIES.get(sign, OPERATORS[key].dtypes),
    )
    for sign, key in _OPERATOR_OF.items()
}


def assignments(case: Operator) -> st.SearchStrategy[Call]:
    """Draw a call of two operands, without options."""
    return value_calls(case).map(lambda call: Call(call.arguments, {}))


def page(case: Operator) -> str:
    """Return the page of the operator's in-place method."""
    return f"torch.Tensor.{case.name}_"
