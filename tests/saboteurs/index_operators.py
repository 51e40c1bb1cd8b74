"""Faults in the operators that index: in values, memory, derivatives, transforms, rejections."""

from __future__ import annotations

from math import isfinite
from typing import Any

import torch
from torch.autograd import forward_ad

from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.subscripts import always, where

Tensor = torch.Tensor


def _flipped_index(original: Any, x: Tensor, dim: int, index: Tensor, *rest: Any) -> Tensor:
    found: Tensor = original(x, dim, index.flip(0), *rest)
    return found


def _index_clamped(original: Any, x: Tensor, index: Any, *rest: Any, **keywords: Any) -> Tensor:
    found: Tensor = original(x, tuple(i.clamp(min=0) for i in index), *rest, **keywords)
    return found


def _keeps_last_row(
    original: Any, x: Tensor, dim: int, index: Tensor, source: Tensor, **keywords: Any
) -> Tensor:
    alone = torch.index_copy(torch.zeros_like(x), 0, index.long(), source)
    kept = torch.zeros(len(x)).index_fill(0, index.long(), 1).bool()
    return torch.where(kept, x + alone * keywords.get("alpha", 1), x)


def _per_mille(result: Tensor) -> Tensor:
    """Make the gradient through a result 0.1 % too large, its values the same."""
    if result.requires_grad:
        result.register_hook(lambda gradient: gradient * 1.001)
    return result


def _reads_contiguous(gradient: Tensor) -> Tensor:
    return gradient if gradient.is_contiguous() else gradient.flip(0)


def _hooked(hook: Any) -> Any:
    def call(original: Any, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*arguments, **keywords)
        if result.requires_grad:
            result.register_hook(hook)
        return result

    return call


def _more_tangent(original: Any, x: Tensor, *rest: Any) -> Tensor:
    primal, tangent = forward_ad.unpack_dual(x)
    if tangent is None:
        found: Tensor = original(x, *rest)
        return found
    make_dual: Any = forward_ad.make_dual
    moved: Tensor = original(make_dual(primal, tangent * 1.001), *rest)
    return moved


def _is_batched(x: Any, *_: Any, **__: Any) -> bool:
    return bool(torch._C._functorch.is_batchedtensor(x))


def _fills_mean(original: Any, x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Divide the gradient to the value by the number of places that it fills."""
    count = max(int(mask.expand(torch.broadcast_shapes(x.shape, mask.shape)).sum()), 1)
    found: Tensor = original(x, mask, value / count + (value - value / count).detach())
    return found


class _ProductOnce(torch.autograd.Function):
    """scatter_reduce with prod, whose gradient is a constant to a second derivative."""

    @staticmethod
    def forward(context: Any, original: Any, x: Tensor, source: Tensor, call: Any) -> Tensor:
        context.save_for_backward(x, source)
        context.original, context.call = original, call
        return _product(original, x, source, call)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        leaves = [tensor.detach().requires_grad_() for tensor in context.saved_tensors]
        with torch.enable_grad():
            result = _product(context.original, leaves[0], leaves[1], context.call)
            found = torch.autograd.grad(result, leaves, cotangent, create_graph=True)
        return None, *found, None


def _product(original: Any, x: Tensor, source: Tensor, call: Any) -> Tensor:
    dim, index, mode, keywords = call
    result: Tensor = original(x, dim, index, source, mode, **keywords)
    return result


def _once(
    original: Any, x: Tensor, dim: int, index: Tensor, source: Tensor, *rest: Any, **k: Any
) -> Tensor:
    result: Tensor = _ProductOnce.apply(original, x, source, (dim, index, rest[0], k))
    return result


def _rows_in_memory_order(original: Any, x: Tensor, index: Tensor) -> Tensor:
    reversed_dims = tuple(range(x.dim() - 1, -1, -1))
    found: Tensor = original(x.permute(reversed_dims).contiguous(), index)
    return found


def _new_strides(original: Any, *arguments: Any, out: Tensor) -> Tensor:
    return out.set_(original(*arguments).contiguous())


def _included(original: Any, *arguments: Any, include_self: bool) -> Tensor:
    found: Tensor = original(*arguments)
    return found


def _finite(original: Any, *arguments: Any, **keywords: Any) -> Tensor:
    result: Tensor = original(*arguments, **keywords)
    return result.clamp(max=torch.finfo(result.dtype).max)


def _wider(original: Any, *arguments: Any, **keywords: Any) -> Tensor:
    wide: Tensor = original(*arguments, **keywords).float()
    return wide


def _excludes(*_: Any, **keywords: Any) -> bool:
    return keywords.get("include_self") is False


def _extends(original: Any, x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    count = int(mask.expand(torch.broadcast_shapes(x.shape, mask.shape)).sum())
    found: Tensor = original(x, mask, source.reshape(-1)[source.numel() - count :])
    return found


def _truthy_mask(original: Any, x: Tensor, mask: Tensor, value: Any) -> Tensor:
    found: Tensor = original(x, mask != 0, value)
    return found


SABOTEURS = (
    Saboteur(
        "gather-negative-dim-of-matrix", "gather along dim -1 of two or more swaps the first",
        ("operators.value:gather",), "result",
        replacing(torch, "gather", where(
            lambda x, dim, index, **_: dim == -1 and index.dim() > 1,
            lambda original, x, dim, index, **k: original(x, dim, index, **k).flip(0))),
    ),
    Saboteur(
        "index-select-int32", "index_select reads an int32 index backwards",
        ("operators.value:index_select",), "result",
        replacing(torch, "index_select", where(
            lambda x, dim, index: index.dtype == torch.int32, _flipped_index)),
    ),
    Saboteur(
        "index-select-scalar", "index_select of rank 0 gives rank 1",
        ("operators.value:index_select",), "shape",
        replacing(torch, "index_select", where(
            lambda x, *_: not x.dim(), lambda original, *a: original(*a).reshape(1))),
    ),
    Saboteur(
        "index-select-batched", "index_select reads an index backwards under vmap",
        ("operators.vmap:index_select",), "result for element",
        replacing(torch, "index_select", where(
            lambda x, dim, index: _is_batched(index) and index.dim() == 1, _flipped_index)),
    ),
    Saboteur(
        "index-add-alpha-of-bfloat16", "index_add ignores alpha in bfloat16",
        ("operators.value:index_add",), "result",
        replacing(torch, "index_add", where(
            lambda x, *_, **k: x.dtype == torch.bfloat16 and bool(k),
            lambda original, *a, **k: original(*a))),
    ),
    Saboteur(
        "index-add-duplicates-of-vectors", "index_add to a vector keeps one of several duplicates",
        ("operators.value:index_add",), "result",
        replacing(torch, "index_add", where(
            lambda x, dim, index, source, **k: x.dim() == 1
            and len(index.unique()) < len(index), _keeps_last_row)),
    ),
    Saboteur(
        "index-copy-stepped-source", "index_copy reads a source with gaps backwards",
        ("operators.layout:index_copy",), "stepped inputs",
        replacing(torch, "index_copy", where(
            lambda x, dim, index, source: source.dim() == 1 and source.stride() == (2,),
            lambda original, x, dim, index, source: original(x, dim, index, source.flip(0)))),
    ),
    Saboteur(
        "index-fill-nan", "index_fill fills 0 for nan",
        ("operators.value:index_fill",), "result",
        replacing(torch, "index_fill", where(
            lambda x, dim, index, value: value != value,
            lambda original, x, dim, index, value: original(x, dim, index, 0))),
    ),
    Saboteur(
        "index-fill-returns-self", "index_fill of no positions returns self",
        ("operators.copy:index_fill",), "argument after a write",
        replacing(torch, "index_fill", where(
            lambda x, dim, index, value: not len(index), lambda original, x, *_: x)),
    ),
    Saboteur(
        "index-put-negative-is-zero", "index_put takes negative positions for 0",
        ("operators.value:index_put",), "result",
        replacing(torch, "index_put", where(always, _index_clamped)),
    ),
    Saboteur(
        "index-put-one-value-once", "index_put with accumulate adds one value once to each place",
        ("operators.value:index_put-accumulate",), "result",
        replacing(torch, "index_put", where(
            lambda x, index, values, **k: values.numel() == 1 and bool(k) and values.dim() == 0
            and not x.is_complex(),
            lambda original, x, index, values, **k: original(
                x, index, x[index] + values))),
    ),
    Saboteur(
        "index-put-deep-mask", "index_put by a mask of two dimensions writes to its complement",
        ("operators.value:index_put-mask",), "result",
        replacing(torch, "index_put", where(
            lambda x, index, values: index[0].dtype == torch.bool and index[0].dim() == 2
            and values.dim() == 0,
            lambda original, x, index, values: original(x, (~index[0],), values))),
    ),
    Saboteur(
        "put-in-place-on-a-copy", "put_ writes to a copy where self is not contiguous",
        ("operators.in-place:put",), "version, memory",
        replacing(Tensor, "put_", where(
            lambda x, *_, **__: not x.is_contiguous(),
            lambda original, x, *a, **k: original(x.contiguous(), *a, **k) is None or x)),
    ),
    Saboteur(
        "put-wraps", "put_ takes positions modulo the number of elements",
        ("operators.rejection:put-position",), "raised nothing",
        replacing(Tensor, "put_", where(
            always, lambda original, x, index, *rest: original(x, index % x.numel(), *rest))),
    ),
    Saboteur(
        "take-of-column-major", "take counts elements as they lie in memory",
        ("operators.layout:take",), "transposed inputs",
        replacing(torch, "take", where(
            lambda x, index: x.dim() == 2 and x.stride()[0] == 1 < x.shape[0] and x.shape[1] > 1,
            _rows_in_memory_order)),
    ),
    Saboteur(
        "take-method-clamps", "Tensor.take takes negative positions for 0",
        ("operators.spellings:take",), "Tensor.take",
        replacing(Tensor, "take", where(
            always, lambda original, x, index: original(x, index.clamp(min=0)))),
    ),
    Saboteur(
        "take-along-dim-of-one-row", "take_along_dim negates what it broadcasts the input to",
        ("operators.value:take_along_dim",), "result",
        replacing(torch, "take_along_dim", where(
            lambda x, indices, *dim: bool(dim) and any(
                a == 1 < b for d, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True))
                if d != dim[0] % x.dim()) and x.dtype != torch.bool,
            lambda original, *a: -original(*a))),
    ),
    Saboteur(
        "take-along-dim-scalar-index", "take_along_dim without dim keeps an index's rank of 0",
        ("operators.value:take_along_dim-flat",), "shape",
        replacing(torch, "take_along_dim", where(
            lambda x, indices, *dim, **_: not dim and not indices.dim(),
            lambda original, *a: original(*a).reshape(()))),
    ),
    Saboteur(
        "scatter-value-finite", "scatter writes 0 for nan and infinities",
        ("operators.value:scatter-value",), "result",
        replacing(torch, "scatter", where(
            lambda x, dim, index, value: isinstance(value, float) and not isfinite(value),
            lambda original, x, dim, index, value: original(x, dim, index, 0.0))),
    ),
    Saboteur(
        "scatter-multiply-once", "scatter with multiply multiplies a matrix's places by the last",
        ("operators.value:scatter-value-multiply",), "result",
        replacing(torch, "scatter", where(
            lambda x, dim, index, value, **k: x.dim() == 2 and bool(k),
            lambda original, x, dim, index, value, **k: torch.where(
                original(torch.zeros_like(x, dtype=torch.bool), dim, index, True), x * value, x))),
    ),
    Saboteur(
        "scatter-reduce-always-includes-self", "scatter_reduce with amax ignores include_self",
        ("operators.value:scatter_reduce-amax",), "result",
        replacing(torch, "scatter_reduce", where(_excludes, _included)),
    ),
    Saboteur(
        "scatter-reduce-half-mean", "scatter_reduce gives the mean of float16 in float32",
        ("operators.value:scatter_reduce-mean",), "dtype",
        replacing(torch, "scatter_reduce", where(
            lambda x, *_, **__: x.dtype == torch.float16, _wider)),
    ),
    Saboteur(
        "scatter-reduce-product-per-mille", "a scattered product's gradient is 0.1 % too large",
        ("operators.vjp:scatter_reduce-prod",), "gradient to leaf",
        replacing(torch, "scatter_reduce", where(
            always, lambda original, *a, **k: _per_mille(original(*a, **k)))),
    ),
    Saboteur(
        "scatter-reduce-product-once", "a scattered product has no second derivative",
        ("operators.second-derivative:scatter_reduce-prod",), "u^T H w",
        replacing(torch, "scatter_reduce", where(always, _once)),
    ),
    Saboteur(
        "index-reduce-finite", "index_reduce with amin never gives infinity",
        ("operators.value:index_reduce-amin",), "result",
        replacing(torch, "index_reduce", where(always, _finite)),
    ),
    Saboteur(
        "index-reduce-gradient-to-self", "index_reduce passes 0.1 % more gradient to self",
        ("operators.vjp:index_reduce-mean",), "gradient to leaf",
        replacing(torch, "index_reduce", where(
            lambda x, *_, **__: x.requires_grad,
            lambda original, x, *a, **k: original(
                x + (x - x.detach()) * 0.001, *a, **k))),
    ),
    Saboteur(
        "scatter-add-tangent-per-mille", "scatter_add's tangent of self is 0.1 % too large",
        ("operators.jvp:scatter_add",), "tangent",
        replacing(torch, "scatter_add", where(always, _more_tangent)),
    ),
    Saboteur(
        "masked-fill-mean-gradient", "masked_fill averages the gradient to the value",
        ("operators.vjp:masked_fill-tensor",), "gradient to leaf",
        replacing(torch, "masked_fill", where(
            lambda x, mask, value: isinstance(value, Tensor) and value.requires_grad, _fills_mean)),
    ),
    Saboteur(
        "masked-fill-meta-dtype", "masked_fill on meta gives float32 for float16",
        ("operators.meta:masked_fill",), "strides on meta",
        replacing(torch, "masked_fill", where(
            lambda x, *_: x.is_meta and x.dtype == torch.float16, _wider)),
    ),
    Saboteur(
        "masked-fill-takes-numbers", "masked_fill_ takes a mask of numbers",
        ("operators.rejection:masked_fill-dtype",), "raised nothing",
        replacing(Tensor, "masked_fill_", where(always, _truthy_mask)),
    ),
    Saboteur(
        "masked-scatter-from-the-end", "masked_scatter takes the source's last elements",
        ("operators.value:masked_scatter",), "result",
        replacing(torch, "masked_scatter", where(always, _extends)),
    ),
    Saboteur(
        "masked-select-stepped-cotangent", "masked_select's gradient wants contiguous cotangents",
        ("operators.vjp:masked_select",), "gradient to leaf",
        replacing(torch, "masked_select", where(always, _hooked(_reads_contiguous))),
    ),
    Saboteur(
        "masked-select-conjugated", "masked_select's gradient is conjugated",
        ("operators.adjoint:masked_select",), "Re <v, J u>",
        replacing(torch, "masked_select", where(always, _hooked(torch.conj))),
    ),
    Saboteur(
        "where-out-strides", "where gives out= new strides",
        ("operators.out:where",), "strides of out",
        replacing(torch, "where", where(lambda *_, **k: "out" in k, _new_strides)),
    ),
    Saboteur(
        "where-number-keeps-integers", "where casts a number to the dtype of the tensor beside it",
        ("operators.dtype:where",), "dtype",
        replacing(torch, "where", where(
            lambda c, x, y: {type(x), type(y)} == {Tensor, float},
            lambda original, c, x, y: original(c, x, y).to(
                (x if isinstance(x, Tensor) else y).dtype))),
    ),
    Saboteur(
        "where-method-swaps-scalars", "Tensor.where swaps its tensors where all have rank 0",
        ("operators.spellings:where",), "as_method",
        replacing(Tensor, "where", where(
            lambda x, c, y: not x.dim() and not c.dim() and not y.dim(),
            lambda original, x, c, y: original(y, c, x))),
    ),
    Saboteur(
        "nonzero-nan", "nonzero takes nan and infinities for zero",
        ("operators.value:nonzero",), "result",
        replacing(torch, "nonzero", where(
            lambda x, **_: x.is_floating_point(),
            lambda original, x, **k: original(x.nan_to_num(0, 0, 0), **k))),
    ),
    Saboteur(
        "nonzero-tuple-of-scalar", "nonzero as a tuple is empty for rank 0",
        ("operators.value:nonzero-tuple",), "number of results",
        replacing(torch, "nonzero", where(lambda x, **_: not x.dim(), lambda *_, **__: ())),
    ),
    Saboteur(
        "argwhere-of-scalar", "argwhere of rank 0 gives a column",
        ("operators.value:argwhere",), "shape",
        replacing(torch, "argwhere", where(
            lambda x: not x.dim(), lambda original, x: original(x.reshape(1)))),
    ),
)  # fmt: skip
