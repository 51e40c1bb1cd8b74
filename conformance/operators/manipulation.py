"""Manipulation: the same elements in another shape or order, as a view or a copy."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Operator
from strategies import dims

import torch


@st.composite
def _two_dims(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind))
    return Call((x, draw(dims(x.dim())), draw(dims(x.dim()))), {})


def _swapped(a, first, second):
    return np.swapaxes(a, first, second) if a.ndim else a


OPERATORS = (
    Operator(
        name="transpose",
        calls=_two_dims,
        reference=_swapped,
        analytic=_swapped,
        dtypes=("any",),
        spellings=("Tensor.transpose", "swapaxes", "swapdims"),
        memory="view",
    ),
)
