"""Faults in factory functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.saboteurs.saboteur import Saboteur, after, replacing


def _last_element_one(result: torch.Tensor) -> torch.Tensor:
    if result.numel() > 2:
        result.view(-1)[-1] = 1
    return result


def _half_becomes_single(original: Any) -> Any:
    def ones(*size: Any, dtype: Any = None, **keywords: Any) -> torch.Tensor:
        wider = torch.float32 if dtype == torch.float16 else dtype
        return original(*size, dtype=wider, **keywords)

    return ones


def _always_float32(original: Any) -> Any:
    return lambda *size, dtype=torch.float32, **keywords: original(*size, dtype=dtype, **keywords)


def _nan_is_zero(original: Any) -> Any:
    def full(size: Any, value: Any, **keywords: Any) -> torch.Tensor:
        return original(size, 0.0 if value != value else value, **keywords)

    return full


def _with_end(original: Any) -> Any:
    def arange(start: Any, end: Any = None, step: Any = 1, **keywords: Any) -> torch.Tensor:
        if end is None:
            return original(start, **keywords)
        return original(start, end + step / 2, step, **keywords)

    return arange


def _without_end(original: Any) -> Any:
    def linspace(start: Any, end: Any, steps: int, **keywords: Any) -> torch.Tensor:
        return (
            original(start, end, steps + 1, **keywords)[:-1]
            if steps > 1
            else original(start, end, steps, **keywords)
        )

    return linspace


def _floats_are_double(original: Any) -> Any:
    def tensor(data: Any, dtype: Any = None, **keywords: Any) -> torch.Tensor:
        result = original(data, dtype=dtype, **keywords)
        return result.double() if dtype is None and result.dtype == torch.float32 else result

    return tensor


def _shares_arrays(original: Any) -> Any:
    def tensor(data: Any, **keywords: Any) -> torch.Tensor:
        shared = isinstance(data, np.ndarray) and "dtype" not in keywords
        return torch.from_numpy(data) if shared else original(data, **keywords)

    return tensor


SABOTEURS = (
    Saboteur(
        "zeros-last-element", "zeros leaves a one in the last of three or more elements",
        ("creation.filled:zeros",), "got 1", after(torch, "zeros", _last_element_one),
    ),
    Saboteur(
        "ones-half-becomes-single", "ones ignores dtype=float16",
        ("creation.filled:ones",), "dtype", replacing(torch, "ones", _half_becomes_single),
    ),
    Saboteur(
        "zeros-ignores-default-dtype", "zeros is float32 whatever the default dtype",
        ("creation.default-dtype:zeros",), "dtype", replacing(torch, "zeros", _always_float32),
    ),
    Saboteur(
        "full-nan-is-zero", "full writes 0 for nan",
        ("creation.full",), "nan", replacing(torch, "full", _nan_is_zero),
    ),
    Saboteur(
        "zeros-like-contiguous", "zeros_like forgets the strides of its argument",
        ("creation.like:zeros_like",), "stride",
        after(torch, "zeros_like", lambda result: result.contiguous()),
    ),
    Saboteur(
        "arange-includes-end", "arange goes half a step beyond its end",
        ("creation.arange",), "shape", replacing(torch, "arange", _with_end),
    ),
    Saboteur(
        "arange-always-float", "arange of integers is float32",
        ("creation.arange-dtype",), "dtype", after(torch, "arange", lambda result: result.float()),
    ),
    Saboteur(
        "linspace-without-end", "linspace stops one step before its end",
        ("creation.linspace",), "result at index", replacing(torch, "linspace", _without_end),
    ),
    Saboteur(
        "tensor-floats-are-double", "tensor infers float64 for Python floats",
        ("creation.tensor",), "dtype", replacing(torch, "tensor", _floats_are_double),
    ),
    Saboteur(
        "tensor-shares-arrays", "tensor shares the memory of an array",
        ("creation.tensor-copies",), "result", replacing(torch, "tensor", _shares_arrays),
    ),
    Saboteur(
        "from-numpy-copies", "from_numpy copies",
        ("creation.from-numpy-shares",), "after a write",
        replacing(torch, "from_numpy", lambda original: lambda array: original(array.copy())),
    ),
)  # fmt: skip
