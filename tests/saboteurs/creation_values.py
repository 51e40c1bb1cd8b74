"""Faults in what factory functions compute: ranges, matrices, complex numbers, given data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from tests.saboteurs.faults import accepting, dropping, rewriting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor
_FROM_NUMPY = torch.from_numpy


def _long_step(start: Any, end: Any = None, step: Any = 1, **_: Any) -> bool:
    return end is not None and abs(step) > 1 and (end - start) % step != 0


def _through_double(original: Any) -> Any:
    def arange(*arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*arguments, **keywords)
        return result.double().long() if result.dtype == torch.int64 else result

    return arange


def _infers_from_ends(original: Any) -> Any:
    def arange(start: Any, end: Any = None, step: Any = 1, **keywords: Any) -> Tensor:
        if end is None:
            return original(start, **keywords)
        whole = isinstance(start, int) and isinstance(end, int) and "dtype" not in keywords
        more = {"dtype": torch.int64} if whole else {}
        return original(start, end, step, **keywords, **more)

    return arange


def _starts_at_one(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return ((1, *arguments) if len(arguments) == 1 and arguments[0] > 1 else arguments), keywords


def _last_repeated(result: Tensor) -> Tensor:
    if len(result) > 2:
        result[-1] = result[-2]
    return result


def _falls(start: Any, end: Any, *_: Any, **__: Any) -> bool:
    return not isinstance(start, complex) and start > end


def _accumulated(original: Any) -> Any:
    """The step is rounded down to a whole number once, and the end is not corrected."""

    def linspace(start: Any, end: Any, steps: int, **keywords: Any) -> Tensor:
        dtype = keywords.get("dtype")
        if dtype is None or dtype.is_floating_point or dtype.is_complex or steps < 2:
            return original(start, end, steps, **keywords)
        step = int((end - start) / (steps - 1) - 0.5)
        return torch.tensor([start + i * step for i in range(steps)], dtype=dtype)

    return linspace


def _base_e_tenth(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return arguments, {"base": 9.99, **keywords}


def _slight(result: Tensor) -> Tensor:
    return result * (1 + 64 * torch.finfo(result.dtype).eps)


def _wrong_dtype_kept(original: Any) -> Any:
    def complex_(real: Tensor, imag: Tensor, **keywords: Any) -> Tensor:
        return original(real, imag.to(real.dtype), **keywords)

    return complex_


def _nan_imaginary_is_zero(original: Any) -> Any:
    def complex_(real: Tensor, imag: Tensor, **keywords: Any) -> Tensor:
        floating = imag.is_floating_point()
        return original(real, imag.nan_to_num(0.0, torch.inf, -torch.inf) if floating else imag)

    return complex_


def _absolute_angle(abs: Tensor, angle: Tensor, **_: Any) -> tuple[Any, Any]:
    return (abs, angle.abs() if angle.dim() == 0 else angle), {}


def _off_by_one(row: int, col: int, offset: int = 0, **keywords: Any) -> tuple[Any, Any]:
    return (row, col, offset + (offset < -1)), keywords


def _main_only(n: int, m: int | None = None, **keywords: Any) -> tuple[Any, Any]:
    return ((n,) if m is None or m > n > 2 else (n, m)), keywords


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


def _legacy(change: Any) -> Any:
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
        "arange-integers-through-double", "arange of integers computes in float64",
        ("creation.arange-integers",), "result at index",
        replacing(torch, "arange", _through_double),
    ),
    Saboteur(
        "arange-short", "arange leaves out its last value where the step does not divide the range",
        ("creation.arange-asked-dtype",), "shape",
        when(torch, "arange", _long_step, lambda result: result[:-1]),
    ),
    Saboteur(
        "arange-starts-at-one", "arange with an end alone starts at 1",
        ("creation.arange-defaults",), "shape", rewriting(torch, "arange", _starts_at_one),
    ),
    Saboteur(
        "arange-dtype-from-ends", "arange does not look at its step to infer the dtype",
        ("creation.arange-inferred:step",), "dtype", replacing(torch, "arange", _infers_from_ends),
    ),
    Saboteur(
        "arange-against-step", "arange against the sign of its step is empty",
        ("creation.rejected:arange-falling", "creation.rejected:arange-rising"), "raised nothing",
        accepting(torch, "arange", RuntimeError, lambda *_, **__: torch.empty(0)),
    ),
    Saboteur(
        "linspace-repeats-last", "linspace of falling values repeats the last but one",
        ("creation.linspace-exact",), "result at index",
        when(torch, "linspace", _falls, _last_repeated),
    ),
    Saboteur(
        "linspace-integer-step", "linspace of integers rounds its step down",
        ("creation.linspace-integers",), "result", replacing(torch, "linspace", _accumulated),
    ),
    Saboteur(
        "logspace-slight", "logspace is off by 64 roundings where it falls",
        ("creation.logspace",), "rounding explains", when(torch, "logspace", _falls, _slight),
    ),
    Saboteur(
        "logspace-base", "the default base of logspace is 9.99",
        ("creation.logspace-base",), "result", rewriting(torch, "logspace", _base_e_tenth),
    ),
    Saboteur(
        "linspace-real-start", "linspace infers its dtype from its start",
        ("creation.spaced-dtype:linspace",), "dtype",
        when(torch, "linspace", lambda start, *_, **__: not isinstance(start, complex),
             lambda result: result.real),
    ),
    Saboteur(
        "logspace-tensor-end", "logspace of a tensor as its end stops one value short",
        ("creation.tensor-ends:logspace-end",), "result at index",
        when(torch, "logspace", lambda _, end, *__, **___: isinstance(end, Tensor), _last_repeated),
    ),
    Saboteur(
        "eye-wide", "eye with more columns than rows is square",
        ("creation.eye",), "shape", rewriting(torch, "eye", _main_only),
    ),
    Saboteur(
        "tril-indices-offset", "tril_indices with an offset below -1 is off by one",
        ("creation.triangle-indices:tril",), "shape",
        rewriting(torch, "tril_indices", _off_by_one),
    ),
    Saboteur(
        "triu-indices-columns", "triu_indices lists its indices by columns",
        ("creation.triangle-indices:triu",), "result at index",
        after(torch, "triu_indices", lambda r: r[:, r[1].argsort(stable=True)]),
    ),
    Saboteur(
        "complex-nan-imaginary", "complex makes a nan imaginary part 0",
        ("creation.complex",), "result", replacing(torch, "complex", _nan_imaginary_is_zero),
    ),
    Saboteur(
        "polar-scalar-angle", "polar takes the absolute value of an angle without dimensions",
        ("creation.polar",), "result", rewriting(torch, "polar", _absolute_angle),
    ),
    Saboteur(
        "complex-converts", "complex converts its imaginary part to the dtype of the real one",
        ("creation.complex-rejected:complex-dtypes",), "raised nothing",
        replacing(torch, "complex", _wrong_dtype_kept),
    ),
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
        ("creation.legacy-size",), "dtype", replacing(torch, "Tensor", _legacy(_always_single)),
    ),
    Saboteur(
        "legacy-list-is-size", "torch.Tensor takes a list of one integer for a size",
        ("creation.legacy-data",), "result",
        replacing(torch, "Tensor", _legacy(_two_numbers_are_a_size)),
    ),
    Saboteur(
        "asarray-dropped-grad", "asarray ignores requires_grad=False",
        ("creation.asarray",), "requires_grad",
        dropping(torch, "asarray", "requires_grad", lambda wish: wish is False),
    ),
)  # fmt: skip
