"""Elementary functions of one operand: exponentials, logarithms, trigonometric functions."""

from __future__ import annotations

import numpy as np

from conformance.operators.arguments import unary_calls
from conformance.operators.operator import Operator
from conformance.operators.results import floating

OPERATORS = (
    Operator(
        name="sin",
        calls=unary_calls(),
        reference=np.sin,
        analytic=np.sin,
        dtypes=("any",),
        result=floating,
        kind="dyadic",
        ulps=4,
        spellings=("Tensor.sin",),
        in_place="Tensor.sin_",
        out="cast",
    ),
)
