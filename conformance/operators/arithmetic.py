"""Arithmetic: sums, products and quotients of operands that broadcast and promote."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import mixed_calls, pointwise_calls
from conformance.operators.operator import Operator, Rejection
from conformance.operators.results import floating, promoted
from conformance.reference import arithmetic as reference

_PAIR = {"x": (torch.float32, (2, 3)), "y": (torch.float32, (3,)), "z": (torch.float32, (2,))}

ADD = Operator(
    name="add",
    calls=pointwise_calls(2, scalar=True, options={"alpha": st.integers(0, 3)}),
    reference=reference.add,
    analytic=reference.add,
    dtypes=("numeric",),
    result=promoted,
    kind="nonfinite",
    ulps=1,
    magnitude=reference.add_magnitude,
    spellings=("Tensor.add", "Tensor.__add__"),
    in_place="Tensor.add_",
    out="cast",
    mixed=mixed_calls(2, ("numeric",)),
    rejections={
        "shapes": Rejection(
            "torch.add(x, y)", "torch.add(x, z)", "RuntimeError", "must match the size", _PAIR
        ),
    },
)

OPERATORS = (
    ADD,
    replace(
        ADD,
        name="mul",
        calls=pointwise_calls(2, scalar=True),
        reference=reference.mul,
        analytic=reference.mul,
        magnitude=None,
        dtypes=("any",),
        mixed=mixed_calls(2),
        spellings=("Tensor.mul", "Tensor.__mul__", "multiply", "Tensor.multiply"),
        in_place="Tensor.mul_",
        rejections={},
    ),
    replace(
        ADD,
        name="div",
        calls=pointwise_calls(2),
        reference=reference.div,
        analytic=reference.div,
        magnitude=None,
        dtypes=("floating", "complex"),
        kind="away-from-kinks",
        result=floating,
        mixed=None,
        spellings=("Tensor.div", "Tensor.__truediv__", "divide", "true_divide"),
        in_place="Tensor.div_",
        rejections={},
    ),
)
