"""Faults in the dtype of what two operands make, of tensors with and without dimensions."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur


def _integers_and_double(x: Any, y: Any, **_: Any) -> bool:
    return not x.is_floating_point() and x.dim() > 0 and y.dim() == 0 and y.dtype == torch.float64


def _half_and_complex(x: Any, y: Any, **_: Any) -> bool:
    return x.dtype == torch.float16 and isinstance(y, complex)


SABOTEURS = (
    Saboteur(
        "rank-zero-double-counts-single", "integers and a double of rank 0 make single precision",
        ("promotion.every-pair:add",), "dtype for",
        when(torch, "add", _integers_and_double,
             lambda original, x, y, **k: original(x, y, **k).float()),
    ),
    Saboteur(
        "half-and-complex-number-single", "float16 times a complex number makes complex64",
        ("promotion.complex-number:mul",), "dtype",
        when(torch, "mul", _half_and_complex,
             lambda original, x, y, **k: original(x.float(), y, **k)),
    ),
)  # fmt: skip
