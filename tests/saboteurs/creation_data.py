"""Faults in tensors made of Python numbers, NumPy arrays, buffers and other tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from tests.saboteurs.faults import accepting, dropping, rewriting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor
_FROM_NUMPY = torch.from_numpy


def _has_bool_first(data: Any, **_: Any) -> bool:
    found = data
    while isinstance(found, (list, tuple)) and found:
        found = found[0]
    return isinstance(found, bool)


def _as_bool(result: Tensor) -> Tensor:
    return result.bool() if result.dtype == torch.int64 else result


def _rounds_half(data: Any, dtype: Any = None, **keywords: Any) -> tuple[Any, Any]:
    if dtype in (torch.int64, torch.int32) and isinstance(data, float):
        data = round(data)
    return (data,), {"dtype": dtype, **keywords}


def _nan_is_false(original: Any) -> Any:
    def tensor(data: Any, dtype: Any = None, **keywords: Any) -> Tensor:
        if dtype == torch.bool and isinstance(data, list):
            data = [item if item == item else False for item in data]
        return original(data, dtype=dtype, **keywords)

    return tensor


def _wrapping(original: Any) -> Any:
    def tensor(data: Any, dtype: Any = None, **keywords: Any) -> Tensor:
        if dtype in (torch.int16, torch.int32):
            return original(data, **keywords).to(dtype)
        return original(data, dtype=dtype, **keywords)

    return tensor


def _padded(data: Any, **_: Any) -> Tensor:
    return torch.zeros(len(data), max(map(len, data)))


def _scalar_is_float(data: Any, **_: Any) -> bool:
    return isinstance(data, np.generic) and not isinstance(data, (np.bool_, np.float64))


def _sharing_tensor(original: Any) -> Any:
    def tensor(*arguments: Any, **keywords: Any) -> Tensor:
        data = arguments[-1]
        if isinstance(data, Tensor) and not keywords:
            return data.detach()
        return original(*arguments, **keywords)

    return tensor


def _silent(original: Any) -> Any:
    def tensor(*arguments: Any, **keywords: Any) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(*arguments, **keywords)

    return tensor


def _detached_copy(original: Any) -> Any:
    def as_tensor(data: Any, dtype: Any = None, **keywords: Any) -> Tensor:
        if isinstance(data, Tensor) and dtype not in (None, data.dtype):
            data = data.detach()
        return original(data, dtype=dtype, **keywords)

    return as_tensor


def _gapped(array: Any, **_: Any) -> bool:
    return isinstance(array, np.ndarray) and array.strides[-1] > array.itemsize


def _reinterprets(original: Any) -> Any:
    def as_tensor(data: Any, dtype: Any = None, **keywords: Any) -> Tensor:
        if isinstance(data, np.ndarray) and data.dtype == np.float32 and dtype is torch.float64:
            shared = data.view()
            return _Late(shared).tensor()
        return original(data, dtype=dtype, **keywords)

    return as_tensor


class _Late:
    """An array that stands in for a copy that is never made."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def tensor(self) -> Tensor:
        self.array += 1.0
        return _FROM_NUMPY(self.array.astype(np.float64))


def _truncated_resize(original: Any) -> Any:
    def resize_(self: Tensor, *size: Any, **keywords: Any) -> Tensor:
        try:
            return original(self, *size, **keywords)
        except RuntimeError:
            return self

    return resize_


def _from_any_array(original: Any) -> Any:
    def from_numpy(array: Any) -> Tensor:
        if isinstance(array, np.ndarray) and min(array.strides, default=0) < 0:
            array = array.copy()
        return original(array)

    return from_numpy


def _never_copies(obj: Any, *, copy: Any = None, **keywords: Any) -> tuple[Any, Any]:
    scalar = isinstance(obj, Tensor) and obj.dim() == 0
    return (obj,), {"copy": None if scalar else copy, **keywords}


def _copies_anyway(obj: Any, *, copy: Any = None, **keywords: Any) -> tuple[Any, Any]:
    return (obj,), {"copy": copy or None, **keywords}


def _whole_elements(buffer: Any, *, offset: int = 0, **keywords: Any) -> tuple[Any, Any]:
    width = keywords["dtype"].itemsize
    return (buffer,), {"offset": offset // width * width, **keywords}


def legacy(change: Any) -> Any:
    """Replace the class torch.Tensor by a function, for those who call it by its name in torch."""

    def make(original: Any) -> Any:
        class Legacy(type(original)):  # type: ignore[misc]
            def __call__(cls, *arguments: Any) -> Any:
                return change(original, *arguments)

            def __instancecheck__(cls, instance: Any) -> bool:
                return isinstance(instance, original)

        return Legacy("Tensor", (original,), {})

    return make


def _always_single(original: Any, *arguments: Any) -> Any:
    return original(*arguments).float()


def _two_numbers_are_a_size(original: Any, *arguments: Any) -> Any:
    data = arguments[0] if arguments else None
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], int):
        return original(*data)
    return original(*arguments)


SABOTEURS = (
    Saboteur(
        "tensor-first-decides", "tensor of integers is bool if the first number is a bool",
        ("creation.tensor-inferred",), "dtype", when(torch, "tensor", _has_bool_first, _as_bool),
    ),
    Saboteur(
        "tensor-rounds", "tensor rounds a number of rank 0 to an integer",
        ("creation.tensor-asked-dtype",), "got", rewriting(torch, "tensor", _rounds_half),
    ),
    Saboteur(
        "tensor-nan-is-false", "tensor of nan as bool is false",
        ("creation.tensor-nan-is-true",), "result at index",
        replacing(torch, "tensor", _nan_is_false),
    ),
    Saboteur(
        "tensor-wraps", "tensor wraps integers that do not fit into int16 or int32",
        ("creation.tensor-overflow",), "raised nothing", replacing(torch, "tensor", _wrapping),
    ),
    Saboteur(
        "tensor-pads", "tensor pads ragged lists with zeros",
        ("creation.ragged:shorter",), "raised nothing",
        accepting(torch, "tensor", ValueError, _padded),
    ),
    Saboteur(
        "tensor-numpy-scalar", "tensor of a NumPy number is float64",
        ("creation.tensor-of-array:float32", "creation.tensor-of-array:int8"), "dtype",
        when(torch, "tensor", _scalar_is_float, lambda result: result.double()),
    ),
    Saboteur(
        "tensor-shares-tensors", "tensor shares the memory of a tensor",
        ("creation.tensor-of-tensor:tensor",), "the original",
        replacing(torch, "tensor", _sharing_tensor),
    ),
    Saboteur(
        "new-tensor-shares-tensors", "new_tensor shares the memory of a tensor",
        ("creation.tensor-of-tensor:new_tensor",), "the original",
        replacing(Tensor, "new_tensor", _sharing_tensor),
    ),
    Saboteur(
        "tensor-silent", "tensor of a tensor does not warn",
        ("creation.tensor-of-tensor-warns",), "warning", replacing(torch, "tensor", _silent),
    ),
    Saboteur(
        "as-tensor-detaches", "as_tensor loses the history where it converts",
        ("creation.as-tensor-identity",), "requires_grad",
        replacing(torch, "as_tensor", _detached_copy),
    ),
    Saboteur(
        "as-tensor-copies-gapped", "as_tensor copies an array with gaps",
        ("creation.shares-array:as_tensor",), "after writes",
        when(torch, "as_tensor", _gapped, lambda result: result.clone()),
    ),
    Saboteur(
        "as-tensor-writes", "as_tensor computes the copy in place",
        ("creation.as-tensor-copies:as_tensor",), "result",
        replacing(torch, "as_tensor", _reinterprets),
    ),
    Saboteur(
        "from-numpy-contiguous", "from_numpy of an array in another order is contiguous",
        ("creation.from-numpy-dtype:int16",), "stride",
        after(torch, "from_numpy", lambda result: result.contiguous()),
    ),
    Saboteur(
        "resize-gives-up", "resize_ of memory that is not resizable does nothing",
        ("creation.from-numpy-resize",), "raised nothing",
        replacing(Tensor, "resize_", _truncated_resize),
    ),
    Saboteur(
        "from-numpy-negative-stride", "from_numpy copies an array with negative strides",
        ("creation.from-numpy-rejected:reversed",), "raised nothing",
        replacing(torch, "from_numpy", _from_any_array),
    ),
    Saboteur(
        "asarray-ignores-copy", "asarray with copy=True shares the memory of a scalar tensor",
        ("creation.asarray",), "shares memory", rewriting(torch, "asarray", _never_copies),
    ),
    Saboteur(
        "asarray-copies-anyway", "asarray copies where copy=False forbids it",
        ("creation.asarray-rejected",), "raised nothing",
        rewriting(torch, "asarray", _copies_anyway),
    ),
    Saboteur(
        "frombuffer-aligns", "frombuffer rounds its offset down to whole elements",
        ("creation.frombuffer",), "result", rewriting(torch, "frombuffer", _whole_elements),
    ),
    Saboteur(
        "legacy-single", "torch.Tensor of a size is float32 whatever the default dtype",
        ("creation.legacy-size",), "dtype", replacing(torch, "Tensor", legacy(_always_single)),
    ),
    Saboteur(
        "legacy-list-is-size", "torch.Tensor takes a list of one integer for a size",
        ("creation.legacy-data",), "result",
        replacing(torch, "Tensor", legacy(_two_numbers_are_a_size)),
    ),
    Saboteur(
        "asarray-dropped-grad", "asarray ignores requires_grad=False",
        ("creation.asarray",), "requires_grad",
        dropping(torch, "asarray", "requires_grad", lambda wish: wish is False),
    ),
)  # fmt: skip
