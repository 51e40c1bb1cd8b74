"""Faults in how tensors become NumPy arrays, DLPack capsules, lists and Python numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.saboteurs.faults import accepting, rewriting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor
_NUMPY = Tensor.numpy


def _wide_half(original: Any) -> Any:
    def numpy(self: Tensor, **keywords: Any) -> Any:
        array = original(self, **keywords)
        return array.astype(np.float32) if self.dtype == torch.float16 else array

    return numpy


def _copies_offset(self: Tensor, **_: Any) -> bool:
    return self.storage_offset() > 0


def _of_detached(self: Tensor, **_: Any) -> Any:
    return _NUMPY(self.detach().resolve_conj())


def _zeros_of_meta(self: Tensor, **_: Any) -> Any:
    return np.zeros(tuple(self.shape), dtype=np.float32)


def _forgets_negative(self: Tensor, force: bool = False) -> Any:
    if force and self.is_neg():
        return _NUMPY(torch._neg_view(self.detach()), force=True)
    return _NUMPY(self, force=force)


def _short_is_positive(original: Any) -> Any:
    def array(self: Tensor, dtype: Any = None) -> Any:
        found = original(self, dtype)
        short = dtype is not None and np.dtype(dtype) == np.int16
        return np.asarray(np.abs(found)) if short else found

    return array


def _gapped(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.dim() > 0 and tensor.stride(-1) == 2


def _bool_is_a_copy(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.dtype == torch.bool


def _fortran_is_copied(array: Any) -> Any:
    fortran = isinstance(array, np.ndarray) and not array.flags.c_contiguous
    return (np.ascontiguousarray(array) if fortran else array,), {}


def _detaches(self: Tensor, **keywords: Any) -> Any:
    return (self.detach(),), keywords


def _host_is_gpu(_: Any) -> Any:
    return (2, 0)


def _matrix_with_gaps(self: Tensor) -> bool:
    return self.dim() > 1 and not self.is_contiguous()


def _first_element(self: Tensor) -> Any:
    return self.reshape(-1)[0].item() if self.numel() else 0


def _rounds(original: Any) -> Any:
    def to_int(self: Tensor) -> int:
        return (
            round(self.item()) if self.is_floating_point() and self.numel() == 1 else original(self)
        )

    return to_int


def _truncated_index(original: Any) -> Any:
    def index(self: Tensor) -> int:
        return int(self.item()) if self.is_floating_point() else original(self)

    return index


def _nan_is_false(original: Any) -> Any:
    def truth(self: Tensor) -> bool:
        result: bool = original(self)
        return result and not (self.is_floating_point() and bool(original(self.isnan())))

    return truth


def _last_rows_swapped(original: Any) -> Any:
    def iterate(self: Tensor) -> Any:
        rows = list(original(self))
        if len(rows) == 5:
            rows[-1], rows[-2] = rows[-2], rows[-1]
        return iter(rows)

    return iterate


SABOTEURS = (
    Saboteur(
        "numpy-half-is-single", "numpy of float16 is float32",
        ("interop.numpy",), "dtype", replacing(Tensor, "numpy", _wide_half),
    ),
    Saboteur(
        "numpy-copies-offset", "numpy copies a tensor with an offset",
        ("interop.numpy-shares:numpy", "interop.numpy-shares:force"), "after a write",
        when(Tensor, "numpy", _copies_offset, lambda array: array.copy()),
    ),
    Saboteur(
        "numpy-detaches", "numpy detaches and conjugates by itself",
        ("interop.numpy-rejected:requires-grad", "interop.numpy-rejected:conjugated"),
        "raised nothing", accepting(Tensor, "numpy", RuntimeError, _of_detached),
    ),
    Saboteur(
        "numpy-of-meta", "numpy of a tensor on meta is zeros",
        ("interop.numpy-of-meta",), "raised nothing",
        accepting(Tensor, "numpy", TypeError, _zeros_of_meta),
    ),
    Saboteur(
        "numpy-force-negative", "numpy with force=True forgets the negative bit",
        ("interop.numpy-force",), "result", replacing(Tensor, "numpy", lambda _: _forgets_negative),
    ),
    Saboteur(
        "array-short-is-positive", "numpy.asarray to int16 makes numbers positive",
        ("interop.array-dtype",), "result", replacing(Tensor, "__array__", _short_is_positive),
    ),
    Saboteur(
        "dlpack-packs", "from_dlpack makes a tensor with gaps contiguous",
        ("interop.dlpack:tensor",), "stride",
        when(torch, "from_dlpack", _gapped, lambda result: result.contiguous()),
    ),
    Saboteur(
        "dlpack-copies-bool", "from_dlpack copies a tensor of bool",
        ("interop.dlpack-shares:tensor",), "after a write",
        when(torch, "from_dlpack", _bool_is_a_copy, lambda result: result.clone()),
    ),
    Saboteur(
        "dlpack-copies-arrays", "from_dlpack copies an array that is not contiguous",
        ("interop.dlpack-numpy",), "after a write",
        rewriting(torch, "from_dlpack", _fortran_is_copied),
    ),
    Saboteur(
        "dlpack-device", "the CPU says that it is CUDA",
        ("interop.dlpack-device",), "device", after(Tensor, "__dlpack_device__", _host_is_gpu),
    ),
    Saboteur(
        "dlpack-detaches", "__dlpack__ detaches what requires grad",
        ("interop.dlpack-rejected:requires-grad",), "raised nothing",
        rewriting(Tensor, "__dlpack__", _detaches),
    ),
    Saboteur(
        "dlpack-negated-half", "from_dlpack of a negated tensor is contiguous and of another dtype",
        ("interop.dlpack-negated",), "dtype",
        when(torch, "from_dlpack", lambda tensor: tensor.is_neg(), lambda made: made.half()),
    ),
    Saboteur(
        "tolist-reverses", "tolist of a matrix that is not contiguous gives its last row first",
        ("interop.tolist",), "list",
        when(Tensor, "tolist", _matrix_with_gaps, lambda rows: rows[::-1]),
    ),
    Saboteur(
        "item-of-uint8", "item of uint8 is a float",
        ("interop.item",), "number",
        when(Tensor, "item", lambda self: self.dtype == torch.uint8, float),
    ),
    Saboteur(
        "item-takes-first", "item of several elements is the first",
        ("interop.item-rejected",), "raised nothing",
        accepting(Tensor, "item", RuntimeError, _first_element),
    ),
    Saboteur(
        "int-rounds", "int of a floating tensor rounds",
        ("interop.number:int",), "number", replacing(Tensor, "__int__", _rounds),
    ),
    Saboteur(
        "index-truncates", "a floating tensor serves as an index",
        ("interop.index",), "raised nothing", replacing(Tensor, "__index__", _truncated_index),
    ),
    Saboteur(
        "nan-is-not-true", "a tensor of nan is false",
        ("interop.truth",), "truth", replacing(Tensor, "__bool__", _nan_is_false),
    ),
    Saboteur(
        "len-counts-elements", "len of a matrix with one row is its number of elements",
        ("interop.length",), "len",
        replacing(Tensor, "__len__", lambda original: lambda self: (
            self.numel() if self.dim() == 2 and self.size(0) == 1 else original(self))),
    ),
    Saboteur(
        "iteration-swaps", "iteration over five rows swaps the last two",
        ("interop.iteration",), "row 3", replacing(Tensor, "__iter__", _last_rows_swapped),
    ),
)  # fmt: skip
