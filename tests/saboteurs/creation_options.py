"""Faults in the options of factory functions, and in tensors made after a model."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, dropping, rewriting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _grouped(*size: Any, **keywords: Any) -> tuple[Any, Any]:
    if size and isinstance(size[0], list):
        size = (size[0][::-1],)
    return size, keywords


def _reordered(size: Any, order: Any, **keywords: Any) -> tuple[Any, Any]:
    return (size, tuple(sorted(range(len(order)), key=order.__getitem__))), keywords


def _packed(size: Any, stride: Any, **keywords: Any) -> tuple[Any, Any]:
    gapped = len(size) == 1 and stride[0] > 1
    return (size, (1,) if gapped else stride), keywords


def _no_negative(*size: Any, **keywords: Any) -> Tensor:
    del size
    return torch.zeros(0, **keywords)


def _follows_grad_mode(*_: Any, requires_grad: bool = False, **__: Any) -> bool:
    return requires_grad and not torch.is_grad_enabled()


def _channels_last(*_: Any, memory_format: Any = None, **__: Any) -> bool:
    return memory_format in (torch.channels_last_3d, torch.channels_last)


def _without_format(*size: Any, **keywords: Any) -> Tensor:
    keywords.pop("memory_format")
    return torch.zeros(*size, **keywords)


def _loses_dtype(original: Any) -> Any:
    def zeros(*size: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*size, **keywords)
        return result.float() if result.is_sparse and result.dtype == torch.bool else result

    return zeros


def _writes_a_copy(original: Any) -> Any:
    def eye(*arguments: Any, out: Any = None, **keywords: Any) -> Tensor:
        if out is None or out.is_contiguous():
            return original(*arguments, **keywords, **({} if out is None else {"out": out}))
        original(*arguments, out=out.contiguous(), **keywords)
        return out

    return eye


def _spills(original: Any) -> Any:
    def linspace(*arguments: Any, out: Any = None, **keywords: Any) -> Tensor:
        if out is None:
            return original(*arguments, **keywords)
        result: Tensor = original(*arguments, out=out, **keywords)
        if result.stride()[0] > 1:
            result.as_strided((1,), (1,), result.storage_offset() + 1).fill_(0.5)
        return result

    return linspace


def _keeps_columns(original: Any) -> Any:
    def full(size: Any, fill: Any, *, out: Any = None, **keywords: Any) -> Tensor:
        if out is not None and out.dim() == 2 and out.numel() == 0:
            out.resize_(0)
            original((3, 2), fill, out=out, **keywords)
            return out
        return original(size, fill, **keywords, **({} if out is None else {"out": out}))

    return full


def _ignores_dtype_with_out(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    if "out" in keywords:
        keywords.pop("dtype", None)
    return arguments, keywords


def _half_default(*_: Any, **keywords: Any) -> bool:
    return torch.get_default_dtype() == torch.float16 and "dtype" not in keywords


def _complex_single(original: Any) -> Any:
    def full(size: Any, fill: Any, **keywords: Any) -> Tensor:
        more = {"dtype": torch.complex64} if isinstance(fill, complex) else {}
        return original(size, fill, **{**more, **keywords})

    return full


def _filled_by_default(original: Any) -> Any:
    def full(size: Any, fill: Any, **keywords: Any) -> Tensor:
        if isinstance(fill, bool) and torch.get_default_dtype() == torch.float64:
            keywords.setdefault("dtype", torch.float64)
        return original(size, fill, **keywords)

    return full


def _expanded(model: Tensor, *_: Any, **keywords: Any) -> bool:
    return 0 in model.stride() and model.numel() > 1 and "memory_format" not in keywords


def _rounds_fill(model: Tensor, fill: Any, **keywords: Any) -> tuple[Any, Any]:
    dtype = keywords.get("dtype") or model.dtype
    if dtype == torch.int8 and isinstance(fill, float):
        fill = round(fill)
    return (model, fill), keywords


def _shares_layout(model: Tensor, size: Any, *_: Any, **keywords: Any) -> bool:
    return model.dim() == 2 and not model.is_contiguous() and not keywords


def _column_major(result: Tensor) -> Tensor:
    return result.mT.contiguous().mT if result.dim() == 2 else result


def _rank_of_owner(owner: Tensor, *size: Any, **keywords: Any) -> tuple[Any, Any]:
    if size and isinstance(size[0], list) and len(size[0]) == 1:
        size = ((size[0][0], 1),)
    return (owner, *size), keywords


def _inferred_data(original: Any) -> Any:
    def new_tensor(self: Tensor, data: Any, **keywords: Any) -> Tensor:
        if self.dtype == torch.bool and "dtype" not in keywords:
            keywords["dtype"] = torch.uint8
        return original(self, data, **keywords)

    return new_tensor


def _shared_data(original: Any) -> Any:
    def new_tensor(self: Tensor, source: Any, **keywords: Any) -> Tensor:
        if isinstance(source, Tensor) and source.dtype == keywords.get("dtype"):
            return source.detach()
        made: Tensor = original(self, source, **keywords)
        return made

    return new_tensor


SABOTEURS = (
    Saboteur(
        "zeros-reverses-lists", "zeros reverses a size given as a list",
        ("creation.size-spellings:zeros",), "shape", rewriting(torch, "zeros", _grouped),
    ),
    Saboteur(
        "empty-unsigned", "empty of uint16 is int16",
        ("creation.empty",), "dtype",
        when(torch, "empty", lambda *_, dtype=None, **__: dtype == torch.uint16,
             lambda result: result.view(torch.int16)),
    ),
    Saboteur(
        "empty-strided-packs", "empty_strided of one dimension ignores its stride",
        ("creation.empty-strided",), "geometry", rewriting(torch, "empty_strided", _packed),
    ),
    Saboteur(
        "empty-permuted-inverse", "empty_permuted takes the inverse of the order",
        ("creation.empty-permuted",), "geometry", rewriting(torch, "empty_permuted", _reordered),
    ),
    Saboteur(
        "empty-negative", "empty of a negative size is empty",
        ("creation.negative-size:empty",), "raised nothing",
        accepting(torch, "empty", RuntimeError, _no_negative),
    ),
    Saboteur(
        "ones-follows-grad-mode", "ones under no_grad ignores requires_grad=True",
        ("creation.requires-grad:ones",), "a leaf that requires grad",
        when(torch, "ones", _follows_grad_mode, lambda result: result.detach()),
    ),
    Saboteur(
        "arange-leaf-with-history", "arange makes a leaf and returns its double",
        ("creation.requires-grad:arange",), "a leaf that requires grad",
        when(torch, "arange", lambda *_, requires_grad=False, **__: requires_grad,
             lambda result: result * 1),
    ),
    Saboteur(
        "eye-integral-leaf", "eye ignores requires_grad=True for int16",
        ("creation.requires-grad-rejected:eye",), "raised nothing",
        accepting(torch, "eye", RuntimeError,
                  lambda n, **k: torch.zeros(n, n, dtype=k["dtype"])),
    ),
    Saboteur(
        "empty-contiguous", "empty ignores channels_last",
        ("creation.memory-format",), "stride",
        dropping(torch, "empty", "memory_format", lambda wish: wish == torch.channels_last),
    ),
    Saboteur(
        "empty-any-rank", "empty ignores channels_last where it does not fit",
        ("creation.memory-format-rejected",), "raised nothing",
        accepting(torch, "empty", RuntimeError, _without_format),
    ),
    Saboteur(
        "sparse-zeros-bool", "sparse zeros of bool are float32",
        ("creation.sparse-layout:zeros",), "dtype", replacing(torch, "zeros", _loses_dtype),
    ),
    Saboteur(
        "pin-memory-ignored", "ones ignores pin_memory",
        ("creation.pin-memory:ones",), "raised nothing" if not torch.accelerator.is_available()
        else "pinned", dropping(torch, "ones", "pin_memory"),
    ),
    Saboteur(
        "eye-out-copies", "eye writes to a copy of an out that is not contiguous",
        ("creation.out:eye",), "memory of out", replacing(torch, "eye", _writes_a_copy),
    ),
    Saboteur(
        "linspace-out-spills", "linspace writes between the elements of out",
        ("creation.out:linspace",), "memory of out", replacing(torch, "linspace", _spills),
    ),
    Saboteur(
        "zeros-out-new", "zeros returns a new tensor beside out",
        ("creation.out:zeros",), "returns out",
        when(torch, "zeros", lambda *_, **k: "out" in k, lambda result: result.view_as(result)),
    ),
    Saboteur(
        "full-out-transposed", "full resizes an empty out of rank 2 to the transposed size",
        ("creation.out-resized:full",), "shape", replacing(torch, "full", _keeps_columns),
    ),
    Saboteur(
        "arange-out-dtype", "arange ignores dtype beside out",
        ("creation.out-dtype-rejected:arange",), "raised nothing",
        rewriting(torch, "arange", _ignores_dtype_with_out),
    ),
    Saboteur(
        "linspace-half-default", "linspace is float32 where the default dtype is float16",
        ("creation.default-dtype-floats:linspace",), "dtype",
        when(torch, "linspace", _half_default, lambda result: result.float()),
    ),
    Saboteur(
        "empty-list-is-single", "tensor of an empty list is float32",
        ("creation.default-dtype-floats:tensor-empty",), "dtype",
        when(torch, "tensor", lambda data, **_: data == [], lambda result: result.float()),
    ),
    Saboteur(
        "full-complex-single", "full of a complex number is complex64",
        ("creation.default-dtype-complex:full",), "dtype",
        replacing(torch, "full", _complex_single),
    ),
    Saboteur(
        "full-bool-double", "full of a bool is float64 where that is the default dtype",
        ("creation.default-dtype-others:full-bool",), "dtype",
        replacing(torch, "full", _filled_by_default),
    ),
    Saboteur(
        "default-dtype-integral", "set_default_dtype ignores an integral dtype",
        ("creation.default-dtype-rejected",), "raised nothing",
        accepting(torch, "set_default_dtype", TypeError, lambda _: None),
    ),
    Saboteur(
        "like-keeps-grad", "ones_like requires grad where its model does",
        ("creation.like-options:ones_like",), "requires_grad",
        when(torch, "ones_like", lambda model, **k: model.requires_grad and not k,
             lambda result: result.requires_grad_()),
    ),
    Saboteur(
        "rand-like-ignores-dtype", "rand_like ignores dtype=torch.float64",
        ("creation.like-options:rand_like",), "dtype",
        dropping(torch, "rand_like", "dtype", lambda dtype: dtype == torch.float64),
    ),
    Saboteur(
        "empty-like-integral-leaf", "empty_like ignores requires_grad for integral models",
        ("creation.like-integral-leaf:empty_like",), "raised nothing",
        accepting(torch, "empty_like", RuntimeError, lambda model, **_: model.clone()),
    ),
    Saboteur(
        "full-like-contiguous", "full_like of a model of rank 3 or more is contiguous",
        ("creation.like-strides:full_like",), "geometry",
        when(torch, "full_like", lambda model, *_, **__: model.dim() > 2,
             lambda result: result.contiguous()),
    ),
    Saboteur(
        "empty-like-expanded", "empty_like of an expanded model is expanded",
        ("creation.like-dense:empty_like",), "non-overlapping",
        when(torch, "empty_like", _expanded, lambda result: result[:1].expand(result.shape)),
    ),
    Saboteur(
        "zeros-like-format", "zeros_like ignores channels_last_3d",
        ("creation.like-memory-format:zeros_like",), "stride",
        dropping(torch, "zeros_like", "memory_format", lambda f: f == torch.channels_last_3d),
    ),
    Saboteur(
        "full-like-rounds", "full_like rounds its value for int8",
        ("creation.full-like",), "got", rewriting(torch, "full_like", _rounds_fill),
    ),
    Saboteur(
        "zeros-like-densifies", "zeros_like of a sparse model is dense",
        ("creation.like-sparse",), "layout",
        after(torch, "zeros_like", lambda made: made.to_dense() if made.is_sparse else made),
    ),
    Saboteur(
        "new-ones-follows-model", "new_ones of a model that is not contiguous is column-major",
        ("creation.new:new_ones",), "geometry",
        when(Tensor, "new_ones", _shares_layout, _column_major),
    ),
    Saboteur(
        "new-full-ignores-dtype", "new_full ignores dtype=torch.bfloat16",
        ("creation.new-options:new_full",), "dtype",
        dropping(Tensor, "new_full", "dtype", lambda dtype: dtype == torch.bfloat16),
    ),
    Saboteur(
        "new-empty-list", "new_empty of a list of one side has two dimensions",
        ("creation.new-sizes:new_empty",), "shape", rewriting(Tensor, "new_empty", _rank_of_owner),
    ),
    Saboteur(
        "new-empty-strided-half", "new_empty_strided of a half tensor is float32",
        ("creation.new-empty-strided",), "dtype",
        when(Tensor, "new_empty_strided", lambda self, *_, **k: self.dtype == torch.half and not k,
             lambda result: result.float()),
    ),
    Saboteur(
        "new-tensor-bool", "new_tensor of a bool tensor is uint8",
        ("creation.new-tensor",), "dtype", replacing(Tensor, "new_tensor", _inferred_data),
    ),
    Saboteur(
        "new-tensor-lazy", "new_tensor of a complex tensor makes lists of zeros",
        ("creation.new-tensor-lazy",), "result",
        replacing(Tensor, "new_tensor", lambda _: lambda self, data: self.new_zeros(len(data))),
    ),
    Saboteur(
        "new-tensor-shares", "new_tensor of a tensor shares its memory",
        ("creation.new-tensor",), "copy of a tensor",
        replacing(Tensor, "new_tensor", _shared_data),
    ),
)  # fmt: skip
