"""Faults in views: geometry, sharing, storages, version counters, rejected writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing

Tensor = torch.Tensor
When = Callable[..., bool]


def method(name: str, fault: Callable[..., Any]) -> Patch:
    """Replace a method of tensors by ``fault(original, self, *arguments)``."""

    def make(original: Any) -> Any:
        return lambda self, *a, **k: fault(original, self, *a, **k)

    return replacing(Tensor, name, make)


def copying(name: str, when: When) -> Patch:
    """The method returns a copy of its view when the arguments say so."""

    def fault(original: Any, self: Tensor, *a: Any, **k: Any) -> Any:
        result = original(self, *a, **k)
        return result.clone() if when(self, *a) else result

    return method(name, fault)


def _to_start(self: Tensor) -> Tensor:
    """The same view, from the start of the storage."""
    return self.as_strided(self.shape, self.stride(), 0)


def _transpose_from_start(original: Any, self: Tensor, *dims: int) -> Any:
    return original(_to_start(self) if self.storage_offset() == 2 else self, *dims)


def _diagonal_one_off(original: Any, self: Tensor, offset: int, *dims: int) -> Any:
    return original(self, offset + 1 if offset == -2 else offset, *dims)


def _unfold_without_gaps(original: Any, self: Tensor, dim: int, size: int, step: int) -> Any:
    return original(self, dim, size, min(step, size + 1))


def _squeeze_all(original: Any, self: Tensor, *dims: Any) -> Any:
    return original(self) if dims and isinstance(dims[0], tuple) and dims[0] else original(
        self, *dims
    )  # fmt: skip


def _unsqueeze_before_last(original: Any, self: Tensor, dim: int) -> Any:
    return original(self, dim - 1 if dim == -1 and self.dim() > 1 else dim)


def _chunk_evenly(original: Any, self: Tensor, count: int, dim: int) -> Any:
    return self.tensor_split(count, dim)


def _view_of_contiguous(original: Any, self: Tensor, *shape: Any) -> Any:
    plain = not isinstance(shape[0], torch.dtype)
    if plain and not self.is_contiguous() and self.numel() and tuple(shape[0]) != self.shape:
        raise RuntimeError("view size is not compatible with input tensor's size and stride")
    return original(self, *shape)


def _view_copies(original: Any, self: Tensor, *shape: Any) -> Any:
    try:
        return original(self, *shape)
    except RuntimeError:
        return original(self.contiguous(), *shape)


def _reshape_in_memory_order(original: Any) -> Any:
    def reshape(tensor: Tensor, shape: Any) -> Any:
        if tensor.dim() == 2 and tensor.t().is_contiguous() and not tensor.is_contiguous():
            return original(tensor.t(), shape).clone()
        return original(tensor, shape)

    return reshape


def _flatten_anew(result: Tensor) -> Tensor:
    return result.view(result.shape)


def _copy_of_rank_zero(original: Any) -> Any:
    return lambda x, *dims: original(x, *dims).clone() if x.dim() == 0 else original(x, *dims)


def _strides_of_ones_matter(original: Any, self: Tensor, **keywords: Any) -> Any:
    ones = any(
        side == 1 and step not in (1, 2, 3) for side, step in zip(self.shape, self.stride(),
                                                               strict=True)
    )  # fmt: skip
    return original(self, **keywords) and not ones


def _contiguous_again(original: Any, self: Tensor, **keywords: Any) -> Any:
    return original(self, **keywords).clone() if self.numel() == 0 else original(self, **keywords)


def _contiguous_of_any_rank(original: Any, self: Tensor, **keywords: Any) -> Any:
    format_ = keywords.get("memory_format", torch.contiguous_format)
    rank = {torch.channels_last: 4, torch.channels_last_3d: 5}.get(format_, self.dim())
    return original(self, **keywords) if rank == self.dim() else original(self)


def _forgets_channels_last(result: Tensor) -> Tensor:
    return result.contiguous() if result.dim() == 4 else result


def _clone_of_repeated(original: Any) -> Any:
    def clone(tensor: Tensor, **keywords: Any) -> Any:
        return tensor.view(tensor.shape) if 0 in tensor.stride() else original(tensor, **keywords)

    return clone


def _is_large_transpose(tensor: Tensor) -> bool:
    return tensor.dim() == 2 and tensor.numel() >= 3600 and tensor.stride(0) == 1


def _last_row_left(result: Tensor) -> Tensor:
    result[-1] = result[0]
    return result


def _spoilt_copy(original: Any, self: Tensor, *a: Any, **k: Any) -> Any:
    """Copies of large transposed matrices end in the first row."""
    source = a[0] if a and isinstance(a[0], Tensor) else self
    result = original(self, *a, **k)
    return _last_row_left(result) if _is_large_transpose(source) else result


def _spoilt_clone(original: Any) -> Any:
    return lambda tensor, **k: _spoilt_copy(original, tensor, **k)


def _clones(change: Callable[[Tensor], Tensor], when: When) -> Patch:
    """clone in a memory format clones a changed tensor when the tensor and the format say so."""

    def make(original: Any) -> Any:
        def clone(tensor: Tensor, *, memory_format: Any = None) -> Tensor:
            if memory_format is None:
                return original(tensor)
            other = change(tensor) if when(tensor, memory_format) else tensor
            return original(other, memory_format=memory_format)

        return clone

    return replacing(torch, "clone", make)


SABOTEURS = (
    Saboteur(
        "permute-copies-negative-dims", "permute copies where a dimension is negative",
        ("views.geometry:permute",), "view shares storage",
        copying("permute", lambda _, dims: any(dim < 0 for dim in dims)),
    ),
    Saboteur(
        "transpose-forgets-offset", "transpose of a view that starts at 2 starts at 0",
        ("views.geometry:transpose",), "storage_offset", method("transpose", _transpose_from_start),
    ),
    Saboteur(
        "movedim-reverses", "movedim of two dimensions moves them to each other's places",
        ("views.geometry:movedim",), "of the view",
        method("movedim", lambda original, self, a, b: original(self, a, b[::-1])),
    ),
    Saboteur(
        "select-copies-last", "select copies the last slice, named from the end",
        ("views.geometry:select",), "view shares storage",
        copying("select", lambda self, dim, index: index == -1),
    ),
    Saboteur(
        "narrow-copies-whole", "narrow to the whole side copies",
        ("views.geometry:narrow",), "view shares storage",
        copying("narrow", lambda self, dim, start, length: self.shape[dim] == length),
    ),
    Saboteur(
        "clone-format-unconjugated", "a contiguous clone of a conjugate view is not conjugated",
        ("views.clone-format:contiguous_format",), "result",
        _clones(torch.conj, lambda tensor, wanted: tensor.is_conj()),
    ),
    Saboteur(
        "clone-format-negated", "clone in channels_last forgets that a view is negated",
        ("views.clone-format:channels_last",), "result",
        _clones(torch.neg, lambda tensor, wanted: tensor.is_neg()),
    ),
    Saboteur(
        "clone-format-3d-flipped", "clone in channels_last_3d reverses the last dimension of gaps",
        ("views.clone-format:channels_last_3d",), "result",
        _clones(lambda tensor: tensor.flip(-1), lambda tensor, wanted: tensor.stride(-1) == 2),
    ),
    Saboteur(
        "copy-transposed-blocks", "copy_ of a large transposed matrix leaves its last row",
        ("views.transposed-copy:copy_",), "result", method("copy_", _spoilt_copy),
    ),
    Saboteur(
        "contiguous-transposed-blocks", "contiguous of a large transposed matrix: the last row",
        ("views.transposed-copy:contiguous",), "result", method("contiguous", _spoilt_copy),
    ),
    Saboteur(
        "clone-transposed-blocks", "a contiguous clone of a large transposed matrix: the last row",
        ("views.transposed-copy:clone",), "result", replacing(torch, "clone", _spoilt_clone),
    ),
    Saboteur(
        "reshape-transposed-blocks", "reshape of a large transposed matrix ends in zeros",
        ("views.transposed-copy:reshape",), "result", method("reshape", lambda o, self, *a: (
            o(self, *a).index_fill_(0, torch.tensor([self.numel() - 1]), 9)
            if _is_large_transpose(self) else o(self, *a))),
    ),
    Saboteur(
        "diagonal-off-by-one", "diagonal with offset -2 returns the one of offset -1",
        ("views.geometry:diagonal",), "of the view", method("diagonal", _diagonal_one_off),
    ),
    Saboteur(
        "unfold-without-gaps", "unfold leaves out at most one element between windows",
        ("views.geometry:unfold",), "of the view", method("unfold", _unfold_without_gaps),
    ),
    Saboteur(
        "unsqueeze-before-last", "unsqueeze(-1) inserts before the last dimension",
        ("views.geometry:unsqueeze",), "of the view", method("unsqueeze", _unsqueeze_before_last),
    ),
    Saboteur(
        "squeeze-all", "squeeze of several dimensions squeezes all",
        ("views.geometry:squeeze",), "shape of the view", method("squeeze", _squeeze_all),
    ),
    Saboteur(
        "unflatten-copies-strided", "unflatten copies a tensor that is not contiguous",
        ("views.geometry:unflatten",), "view shares storage",
        copying("unflatten", lambda self, *_: not self.is_contiguous()),
    ),
    Saboteur(
        "index-copies-long-steps", "x[::3] is a copy",
        ("views.geometry:index",), "view shares storage",
        copying("__getitem__", lambda _, index: ", 3)" in str(index)),
    ),
    Saboteur(
        "expand-copies-minus-one", "expand copies where a side is -1",
        ("views.geometry:expand",), "view",
        copying("expand", lambda _, sizes: -1 in sizes),
    ),
    Saboteur(
        "chunk-evenly", "chunk cuts pieces of almost equal length",
        ("views.pieces:chunk",), "view", method("chunk", _chunk_evenly),
    ),
    Saboteur(
        "unbind-copies-last-dim", "unbind along -1 returns copies",
        ("views.pieces:unbind",), "shares storage",
        method("unbind", lambda original, self, dim: tuple(
            piece.clone() if dim == -1 else piece for piece in original(self, dim)
        )),
    ),
    Saboteur(
        "view-of-contiguous-only", "view rejects what is not contiguous but could be viewed",
        ("views.view",), "view size is not compatible", method("view", _view_of_contiguous),
    ),
    Saboteur(
        "view-copies", "view copies where it cannot view",
        ("views.view",), "raised nothing", method("view", _view_copies),
    ),
    Saboteur(
        "reshape-copies-strided", "reshape copies what is not contiguous",
        ("views.reshape:method",), "view",
        method("reshape", lambda original, self, *a: original(self.contiguous(), *a)),
    ),
    Saboteur(
        "reshape-view-in-memory-order", "reshape of a column-major matrix reads it in memory order",
        ("views.reshape:function",), "copy", replacing(torch, "reshape", _reshape_in_memory_order),
    ),
    Saboteur(
        "flatten-returns-a-view", "flatten of one dimension returns a view",
        ("views.flatten",), "returns its input", after(torch, "flatten", _flatten_anew),
    ),
    Saboteur(
        "flatten-copies-scalars", "flatten copies a tensor of rank 0",
        ("views.flatten",), "view shares storage", replacing(torch, "flatten", _copy_of_rank_zero),
    ),
    Saboteur(
        "ravel-copies-scalars", "ravel copies a tensor of rank 0",
        ("views.ravel",), "shares storage", replacing(torch, "ravel", _copy_of_rank_zero),
    ),
    Saboteur(
        "strides-of-ones-matter", "is_contiguous looks at strides of sides of 1",
        ("views.is-contiguous:contiguous_format",), "is_contiguous",
        method("is_contiguous", _strides_of_ones_matter),
    ),
    Saboteur(
        "contiguous-copies-empty", "contiguous copies an empty tensor",
        ("views.contiguous:contiguous_format",), "returns self",
        method("contiguous", _contiguous_again),
    ),
    Saboteur(
        "contiguous-of-any-rank", "contiguous in channels_last accepts rank 3",
        ("views.format-rank:channels_last",), "raised nothing",
        method("contiguous", _contiguous_of_any_rank),
    ),
    Saboteur(
        "clone-forgets-channels-last", "clone of rank 4 is row-major",
        ("views.preserve-format:clone",), "stride", after(torch, "clone", _forgets_channels_last),
    ),
    Saboteur(
        "conversion-forgets-strides", "a conversion to another dtype of rank 4 is row-major",
        ("views.preserve-format:to-dtype",), "stride", after(Tensor, "to", _forgets_channels_last),
    ),
    Saboteur(
        "clone-shares-repeated", "clone of an expanded tensor shares its memory",
        ("views.preserve-format-else",), "result",
        replacing(torch, "clone", _clone_of_repeated),
    ),
    Saboteur(
        "neg-forgets-channels-last", "neg of rank 4 is row-major",
        ("views.elementwise-strides:neg",), "stride", after(torch, "neg", _forgets_channels_last),
    ),
)  # fmt: skip
