"""Result dtypes: the rules that entries name, from a call's operands to dtypes."""

from __future__ import annotations

from typing import Any

import torch

from conformance.evidence import tensors_in
from conformance.operators.operator import Call, Dtypes
from conformance.reference import promotion


def named(dtype: torch.dtype) -> str:
    """Return a dtype's name, as the references take it: ``float32``."""
    return str(dtype).removeprefix("torch.")


def dtype_named(name: str) -> torch.dtype:
    """Return the dtype of a name; complex64 stands for bcomplex32 before torch 2.14."""
    if name == "bcomplex32" and not hasattr(torch, name):
        return torch.complex64
    found: torch.dtype = getattr(torch, name)
    return found


def category_of(dtype: torch.dtype) -> int:
    """Return 0 for boolean, 1 for integral, 2 for floating, 3 for complex."""
    return promotion.category(named(dtype))


def promoted_dtype(call: Call) -> torch.dtype:
    """Return the dtype to which a call's positional tensors and numbers promote."""
    tensors = list(tensors_in(call.arguments))
    numbers = [a for a in call.arguments if isinstance(a, (bool, int, float, complex))]
    return dtype_named(
        promotion.result_type(
            [named(t.dtype) for t in tensors if t.dim()],
            [named(t.dtype) for t in tensors if not t.dim()],
            [_dtype_of_number(number) for number in numbers],
        )
    )


def _dtype_of_number(number: Any) -> str:
    default = named(torch.get_default_dtype())
    # The default complex dtype beside bfloat16 is complex64, also where torch has bcomplex32.
    whole = "complex64" if default == "bfloat16" else promotion.complex_of(default)
    kinds = {bool: "bool", int: "int64", float: default, complex: whole}
    return kinds[type(number)]


def promoted(call: Call) -> Dtypes:
    """Compute in the promoted dtype, and return it."""
    dtype = promoted_dtype(call)
    return Dtypes(dtype, (dtype,))


def floating(call: Call) -> Dtypes:
    """As :func:`promoted`, integers and booleans becoming the default dtype."""
    dtype = promoted_dtype(call)
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.get_default_dtype()
    return Dtypes(dtype, (dtype,))


def truth(call: Call) -> Dtypes:
    """Compare in the promoted dtype; the result is boolean."""
    return Dtypes(promoted_dtype(call), (torch.bool,))


def positions(call: Call) -> Dtypes:
    """Take operands as they are; the result counts or points, in int64."""
    return Dtypes(None, (torch.int64,))


def real_part(call: Call) -> Dtypes:
    """Compute in the promoted dtype; of complex numbers the result is real."""
    dtype = promoted_dtype(call)
    parts = {torch.complex64: torch.float32, torch.complex128: torch.float64}
    return Dtypes(dtype, (parts.get(dtype, dtype),))


def summed(call: Call) -> Dtypes:
    """As the first tensor, integers and booleans becoming int64; ``dtype=`` says otherwise."""
    dtype = call.keywords.get("dtype") or next(tensors_in(call)).dtype
    if "dtype" not in call.keywords and not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.int64
    return Dtypes(dtype, (dtype,))


def same_and_positions(call: Call) -> Dtypes:
    """Values in the first tensor's dtype, and where they are, in int64."""
    return Dtypes(None, (next(tensors_in(call)).dtype, torch.int64))
