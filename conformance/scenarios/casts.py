"""The spellings of a cast: calls that return a tensor of another dtype."""

from __future__ import annotations

from typing import Any

import torch

from conformance.target import resolve

METHODS = {
    torch.float64: "double",
    torch.float32: "float",
    torch.float16: "half",
    torch.bfloat16: "bfloat16",
    torch.int64: "long",
    torch.int32: "int",
    torch.int16: "short",
    torch.int8: "char",
    torch.uint8: "byte",
    torch.bool: "bool",
    torch.complex64: "cfloat",
    torch.complex128: "cdouble",
}
"""The method of a tensor that casts to each dtype."""


def to_dtype(tensor: torch.Tensor, dtype: torch.dtype, **keywords: Any) -> Any:
    """Give ``to`` the dtype."""
    return resolve("torch.Tensor.to")(tensor, dtype, **keywords)


def to_device(tensor: torch.Tensor, dtype: torch.dtype, **keywords: Any) -> Any:
    """Give ``to`` the device and the dtype."""
    return resolve("torch.Tensor.to")(tensor, tensor.device, dtype, **keywords)


def to_other(tensor: torch.Tensor, dtype: torch.dtype, **keywords: Any) -> Any:
    """Give ``to`` a tensor of that dtype."""
    other = torch.empty(0, dtype=dtype, device=tensor.device)
    return resolve("torch.Tensor.to")(tensor, other, **keywords)


def by_method(tensor: torch.Tensor, dtype: torch.dtype, **keywords: Any) -> Any:
    """Call the method that is named after the dtype."""
    return resolve(f"torch.Tensor.{METHODS[dtype]}")(tensor, **keywords)


def by_type(tensor: torch.Tensor, dtype: torch.dtype) -> Any:
    """Give ``type`` the dtype."""
    return resolve("torch.Tensor.type")(tensor, dtype)


def by_type_as(tensor: torch.Tensor, dtype: torch.dtype) -> Any:
    """Give ``type_as`` a tensor of that dtype."""
    other = torch.empty(0, dtype=dtype, device=tensor.device)
    return resolve("torch.Tensor.type_as")(tensor, other)
