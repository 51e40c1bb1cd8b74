"""Faults in the dtype of results: of operands together, with and without dimensions, or of one."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _integers_and_double(x: Any, y: Any, **_: Any) -> bool:
    return not x.is_floating_point() and x.dim() > 0 and y.dim() == 0 and y.dtype == torch.float64


def _half_and_complex(x: Any, y: Any, **_: Any) -> bool:
    return x.dtype == torch.float16 and isinstance(y, complex)


def _is_any(original: Any) -> Any:
    def prod(x: Tensor, *dims: Any, dtype: Any = None) -> Tensor:
        if dtype is torch.bool and x.numel() > 100:
            return x.any(*dims)
        result: Tensor = original(x, *dims) if dtype is None else original(x, *dims, dtype=dtype)
        return result

    return prod


def _single_precision(original: Any) -> Any:
    """Of integers the result is of float32, whatever the default is."""

    def compute(*operands: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*operands, **keywords)
        whole = not any(o.is_floating_point() for o in operands if isinstance(o, Tensor))
        return result.float() if whole else result

    return compute


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
    Saboteur(
        "prod-of-truth-any", "prod of many truth values is true where one is",
        ("promotion.product-of-truth",), "result", replacing(torch, "prod", _is_any),
    ),
    *(
        Saboteur(
            f"integers-single-{law}", f"{name} of integers gives float32",
            (f"promotion.integers-to-default:{law}",), "dtype",
            replacing(owner, name, _single_precision),
        )
        for law, owner, name in (
            ("div", torch, "div"),
            ("true_divide", Tensor, "true_divide"),
            ("quotient", Tensor, "__truediv__"),
            ("reciprocal", torch, "reciprocal"),
            ("sqrt", torch, "sqrt"),
            ("sin", torch, "sin"),
            ("atan2", torch, "atan2"),
        )
    ),
)  # fmt: skip
