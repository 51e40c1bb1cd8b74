"""Linear algebra: products of matrices and what can be asked of one."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Operator
from conformance.reference import linalg as reference
from strategies import tensors


@st.composite
def _matrices(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rows, inner, columns = (draw(st.integers(0, 4)) for _ in range(3))
    return Call(
        (draw(operand(dtype, kind, (rows, inner))), draw(operand(dtype, kind, (inner, columns)))),
        {},
    )


OPERATORS = (
    Operator(
        name="mm",
        calls=_matrices,
        reference=np.matmul,
        analytic=np.matmul,
        dtypes=("floating", "complex"),
        kind="dyadic",
        ulps=8,
        magnitude=reference.matmul_magnitude,
        spellings=("Tensor.mm",),
        out="same",
    ),
)
