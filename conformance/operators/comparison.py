"""Comparison and logic: results that are true or false."""

from __future__ import annotations

import numpy as np

from conformance.operators.arguments import mixed_calls, pointwise_calls
from conformance.operators.operator import Operator
from conformance.operators.results import truth

OPERATORS = (
    Operator(
        name="eq",
        calls=pointwise_calls(2, scalar=True),
        reference=np.equal,
        dtypes=("any",),
        result=truth,
        spellings=("Tensor.eq", "Tensor.__eq__"),
        in_place="Tensor.eq_",
        out="cast",
        mixed=mixed_calls(2),
    ),
)
