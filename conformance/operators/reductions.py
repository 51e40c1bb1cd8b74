"""Reductions: sums and extremes over some dimensions or all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from conformance.operators.arguments import along_calls
from conformance.operators.operator import Operator
from conformance.operators.results import summed
from conformance.reference import reductions as reference

OPERATORS = (
    Operator(
        name="sum",
        calls=along_calls(dim="several", options={"keepdim": st.booleans()}),
        reference=reference.sum_over,
        analytic=reference.sum_over,
        dtypes=("any",),
        result=summed,
        kind="nonfinite",
        ulps=64,
        magnitude=reference.sum_magnitude,
        spellings=("Tensor.sum",),
        out="",
    ),
)
