"""Faults in storages and in writes through views: resizing, counters, rejections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing
from tests.saboteurs.views import copying, method

Tensor = torch.Tensor


def uncounted(name: str, when: Callable[..., bool]) -> Patch:
    """The in-place method writes behind autograd's back when the arguments say so."""

    def fault(original: Any, self: Tensor, *a: Any) -> Tensor:
        if not when(self, *a):
            result: Tensor = original(self, *a)
            return result
        with torch.no_grad():
            original(self.data, *(x.detach() if isinstance(x, Tensor) else x for x in a))
        return self

    return method(name, fault)


def _without_offset(original: Any, self: Tensor) -> Any:
    offset = self.storage_offset() if self.element_size() == 1 else 0
    return original(self) - offset


def _as_strided(change: Callable[..., tuple[Any, ...]]) -> Patch:
    def make(original: Any) -> Any:
        return lambda tensor, *a: original(tensor, *change(*a))

    return replacing(torch, "as_strided", make)


def _offset_zero(shape: Any, stride: Any, offset: int | None = None) -> tuple[Any, ...]:
    return shape, stride, offset or 0


def _plain_ones(shape: Any, stride: Any, offset: int | None = None) -> tuple[Any, ...]:
    plain = tuple(1 if side == 1 else step for side, step in zip(shape, stride, strict=False))
    return shape, plain + tuple(stride[len(plain) :]), offset


def _absolute(shape: Any, stride: Any, offset: int | None = None) -> tuple[Any, ...]:
    return shape, tuple(abs(s) for s in stride), offset and offset - (min(stride, default=0) < 0)


def _view_dtype_of_aligned(original: Any, self: Tensor, *a: Any) -> Any:
    dtype = isinstance(a[0], torch.dtype) and a[0].itemsize > self.element_size()
    return original(self.clone() if dtype and self.storage_offset() % 2 else self, *a)


def _is_dtype(self: Tensor, *a: Any) -> bool:
    return isinstance(a[0], torch.dtype)


def _copy_function(name: str, when: Callable[[Tensor], bool]) -> Patch:
    def make(original: Any) -> Any:
        return lambda tensor: original(tensor).clone() if when(tensor) else original(tensor)

    return replacing(torch, name, make)


def _pairs_anyhow(original: Any) -> Any:
    return lambda tensor: original(tensor if tensor.stride(-1) == 1 else tensor.contiguous())


def _resize_same(original: Any, self: Tensor, shape: Any) -> Any:
    if tuple(shape) == tuple(self.shape) and self.numel() and not self.is_contiguous():
        return self.set_(self.contiguous())  # type: ignore[call-overload]
    return original(self, shape)


def _resize_shrinks(original: Any, self: Tensor, shape: Any) -> Any:
    result = original(self, shape)
    if result.numel() == 1 and self.storage_offset() == 0:
        self.untyped_storage().resize_(self.element_size())
    return result


def _resize_results(original: Any, self: Tensor, shape: Any) -> Any:
    return original(self if self.is_leaf else self.detach(), shape)


def _set_a_copy(original: Any, self: Tensor, *a: Any) -> Any:
    source = a[0].clone() if isinstance(a[0], Tensor) and not a[0].is_contiguous() else a[0]
    return original(self, source, *a[1:])


def _set_from_start(original: Any, self: Tensor, *a: Any) -> Any:
    return original(self, a[0], 0, a[2]) if len(a) == 3 else original(self, *a)


def _apart(original: Any, self: Tensor, *a: Any) -> Any:
    return original(self.detach() if self._is_view() else self, *a)


def _writes_zero(original: Any) -> Any:
    def summed(tensor: Tensor) -> Any:
        return original(tensor.add_(0) if tensor.dim() == 0 else tensor)

    return summed


def _data_counts(monkeypatch: Any) -> None:
    monkeypatch.setattr(Tensor, "data", property(lambda self: self.detach()))


def _leaf_view(self: Tensor, *_: Any) -> bool:
    return torch.is_grad_enabled() and self._is_view() and self.requires_grad


def _copy_over_overlap(original: Any, self: Tensor, source: Any) -> Any:
    shares = self.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    return original(self, source.clone() if shares else source)


def _writes_repeated(original: Any, self: Tensor, *a: Any) -> Any:
    return original(self[0] if self.dim() and self.stride(0) == 0 else self, *a)


SABOTEURS = (
    Saboteur(
        "data-ptr-without-offset", "data_ptr of one-byte dtypes is that of the storage",
        ("views.addresses",), "data_ptr", method("data_ptr", _without_offset),
    ),
    Saboteur(
        "as-strided-from-start", "as_strided without an offset starts at 0",
        ("views.as-strided",), "geometry", _as_strided(_offset_zero),
    ),
    Saboteur(
        "as-strided-plain-ones", "as_strided gives sides of 1 the stride 1",
        ("views.as-strided",), "geometry", _as_strided(_plain_ones),
    ),
    Saboteur(
        "as-strided-backwards", "as_strided takes negative strides without their sign",
        ("views.as-strided-rejected:negative-stride",), "raised ", _as_strided(_absolute),
    ),
    Saboteur(
        "expand-copies", "expand to more than 8 elements copies",
        ("views.expand-memory",), "stride",
        method("expand", lambda original, self, *a: (
            original(self, *a).contiguous() if original(self, *a).numel() > 8
            else original(self, *a)
        )),
    ),
    Saboteur(
        "dtype-view-copies-strided", "view(dtype) copies what is not contiguous",
        ("views.dtype:int64-float64",), "st",
        copying("view", lambda self, *a: _is_dtype(self, *a) and not self.is_contiguous()),
    ),
    Saboteur(
        "dtype-view-copies-offset", "view of a narrower dtype copies from an offset on",
        ("views.dtype-resized:float32-uint8",), "storage_offset",
        copying("view", lambda self, *a: _is_dtype(self, *a) and self.storage_offset() > 0),
    ),
    Saboteur(
        "dtype-view-aligns", "view of a wider dtype copies what is not aligned",
        ("views.dtype-rejected:offset",), "raised nothing", method("view", _view_dtype_of_aligned),
    ),
    Saboteur(
        "imag-copies-scalars", "imag of rank 0 is a copy",
        ("views.complex-parts:imag",), "storage", _copy_function("imag", lambda x: x.dim() == 0),
    ),
    Saboteur(
        "as-real-copies-strided", "view_as_real copies what is not contiguous",
        ("views.as-real",), "st",
        _copy_function("view_as_real", lambda x: not x.is_contiguous()),
    ),
    Saboteur(
        "as-complex-copies-double", "view_as_complex of float64 is a copy",
        ("views.as-complex",), "sto",
        _copy_function("view_as_complex", lambda x: x.dtype == torch.float64),
    ),
    Saboteur(
        "as-complex-of-any-stride", "view_as_complex copies pairs that are not neighbours",
        ("views.as-complex-rejected:last-stride",), "raised nothing",
        replacing(torch, "view_as_complex", _pairs_anyhow),
    ),
    Saboteur(
        "resize-same-size", "resize_ to the same size makes contiguous",
        ("views.resize",), "geometry", method("resize_", _resize_same),
    ),
    Saboteur(
        "resize-shrinks", "resize_ to one element frees the rest of the storage",
        ("views.resize",), "storage", method("resize_", _resize_shrinks),
    ),
    Saboteur(
        "resize-results", "resize_ accepts results that require grad",
        ("views.resize-rejected:result",), "raised nothing", method("resize_", _resize_results),
    ),
    Saboteur(
        "set-copies-strided", "set_ copies a source that is not contiguous",
        ("views.set",), "", method("set_", _set_a_copy),
    ),
    Saboteur(
        "set-forgets-offset", "set_ without strides starts at 0",
        ("views.set-storage",), "storage_offset", method("set_", _set_from_start),
    ),
    Saboteur(
        "view-of-view-apart", "a view of a view has no base",
        ("views.base",), "views the base", method("unsqueeze", _apart),
    ),
    Saboteur(
        "neg-on-views-uncounted", "neg_ on a view does not count",
        ("views.version-counter:neg_",), "versions of base and views",
        uncounted("neg_", lambda self: self._is_view()),
    ),
    Saboteur(
        "zero-of-empty-uncounted", "zero_ of an empty tensor does not count",
        ("views.version-counter:zero_",), "versions of base and views",
        uncounted("zero_", lambda self: self.numel() == 0),
    ),
    Saboteur(
        "sum-counts", "sum of rank 0 counts as a write",
        ("views.version-unchanged:sum",), "versions afterwards",
        replacing(torch, "sum", _writes_zero),
    ),
    Saboteur(
        "detach-of-views-apart", "detach of a view has a counter of its own",
        ("views.version-of-detached",), "versions after",
        method("detach", lambda original, self: (
            self.data if self._is_view() and self.requires_grad else original(self)
        )),
    ),
    Saboteur(
        "data-counts", "x.data shares the version counter",
        ("views.version-of-data",), "versions after a write to data", _data_counts,
    ),
    Saboteur(
        "write-through-view-unrecorded", "mul_ on a view of an intermediate is not recorded",
        ("views.gradient-through-view:mul_",), "grad of leaf",
        uncounted("mul_", lambda self, *_: _leaf_view(self) and self.dim() > 1),
    ),
    Saboteur(
        "copy-to-base-unrecorded", "copy_ to a base is not recorded",
        ("views.gradient-through-base:copy_",), "grad of leaf",
        uncounted("copy_", lambda self, *_: self.requires_grad and not self._is_view()),
    ),
    Saboteur(
        "leaf-view-filled", "fill_ on a view of a leaf goes through",
        ("views.leaf-view-write-rejected:fill_",), "raised nothing",
        uncounted("fill_", _leaf_view),
    ),
    Saboteur(
        "no-grad-view-clamped", "clamp_ on a view made under no_grad goes through",
        ("views.no-grad-view-write-rejected:clamp_",), "raised nothing",
        uncounted("clamp_", _leaf_view),
    ),
    Saboteur(
        "several-views-written", "mul_ on one of several views goes through",
        ("views.several-views-write-rejected:unbind",), "raised nothing",
        uncounted("mul_", _leaf_view),
    ),
    Saboteur(
        "expanded-written", "neg_ on a tensor expanded in front writes its memory once",
        ("views.expanded-write-rejected:neg_",), "raised nothing",
        method("neg_", _writes_repeated),
    ),
    Saboteur(
        "overlap-copied", "copy_ between overlapping tensors copies the source first",
        ("views.overlapping-write-rejected:copy_",), "raised nothing",
        method("copy_", _copy_over_overlap),
    ),
)  # fmt: skip
