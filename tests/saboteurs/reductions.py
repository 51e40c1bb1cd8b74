"""Faults in reductions, scans and selections: dimensions, ties, nan, memory, derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from tests.saboteurs.faults import accepting, dropping, rewriting, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def _negative(x: Any, dim: Any = None, *rest: Any, **keywords: Any) -> bool:
    return isinstance(dim, int) and dim < 0 and getattr(x, "dim", int)() > 1


def _with_nan(x: Tensor, *rest: Any, **keywords: Any) -> bool:
    return x.is_floating_point() and bool(x.isnan().any())


def _strided(x: Tensor, *rest: Any, **keywords: Any) -> bool:
    return not x.is_contiguous()


def _of_rank_0(x: Any, *rest: Any, **keywords: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() == 0


def _empty(x: Tensor, *rest: Any, **keywords: Any) -> bool:
    return x.numel() == 0


def _batched(x: Any, *rest: Any, **keywords: Any) -> bool:
    return bool(torch._C._functorch.is_batchedtensor(x))


def _on_meta(x: Any, *rest: Any, **keywords: Any) -> bool:
    return isinstance(x, Tensor) and x.is_meta


def _differentiable(x: Tensor, *rest: Any, **keywords: Any) -> bool:
    return x.requires_grad


def _scaled(result: Tensor) -> Tensor:
    result.register_hook(lambda cotangent: cotangent * 1.001)
    return result


def _first_scaled(results: Any) -> Any:
    return (_scaled(results[0]), *results[1:])


def _first_order_only(result: Tensor) -> Tensor:
    result.register_hook(lambda cotangent: cotangent.detach())
    return result


def _tangent_scaled(result: Tensor) -> Tensor:
    primal, tangent = forward_ad.unpack_dual(result)
    if tangent is None:
        return result
    return forward_ad.make_dual(primal, tangent * 1.001)


def _is_dual(x: Tensor, *rest: Any, **keywords: Any) -> bool:
    return (
        forward_ad.unpack_dual(x).tangent is not None if forward_ad._current_level >= 0 else False
    )


def _without_grad(result: Tensor) -> Tensor:
    return result.detach()


def _places_lowered(results: Any) -> Any:
    values, places = results
    return values, (places - 1).clamp(min=0)


def _flat_at_the_end(original: Any) -> Any:
    """Take the last difference for the slope at the last place, whatever order is asked."""

    def gradient(x: torch.Tensor, **words: Any) -> Any:
        found = original(x, **words)
        if words.get("edge_order") != 2 or not isinstance(words.get("spacing"), list):
            return found
        first = original(x, **{**words, "edge_order": 1})
        if x.dim() > 1:
            return found
        return [torch.cat([a[:-1], b[-1:]]) for a, b in zip(found, first, strict=True)]

    return gradient


def _places_of_last(results: Any) -> Any:
    values, places = results
    return values, places.flip(-1) if places.dim() else places


def _aliasing(original: Any) -> Any:
    def largest(x: Tensor, dim: int, *rest: Any, **keywords: Any) -> Any:
        values, places = original(x, dim, *rest, **keywords)
        same = x.dim() and x.shape[dim] == 1 and not keywords.get("keepdim")
        return (x.select(dim, 0) if same else values), places

    return largest


def _last_dim_only(
    x: Tensor, dim: Any = None, *rest: Any, **keywords: Any
) -> tuple[tuple[Any, ...], Any]:
    several = isinstance(dim, (tuple, list)) and len(dim) > 1 and keywords.get("keepdim", False)
    return (x, dim[::-1][:1] if several else dim, *rest), keywords


def _without_first_dim(
    x: Tensor, dim: Any = None, *rest: Any, **keywords: Any
) -> tuple[tuple[Any, ...], Any]:
    return (x, dim[1:] if isinstance(dim, tuple) and len(dim) == 3 else dim, *rest), keywords


def _one_more(correction: int) -> bool:
    return correction >= 2


def _writes_to_copy(self: Tensor, *rest: Any, **keywords: Any) -> tuple[tuple[Any, ...], Any]:
    return (self if self.is_contiguous() else self.clone(), *rest), keywords


def _nothing(x: Tensor, *rest: Any, **keywords: Any) -> Tensor:
    return x[:1].clone()


def _uncounted_nan(original: Any) -> Any:
    """nan counts nothing."""

    def unique(x: Tensor, *options: Any, **keywords: Any) -> Any:
        result = original(x, *options, **keywords)
        if isinstance(result, Tensor):
            return result
        values, places, counts = result
        return values, places, counts.masked_fill(values.isnan(), 0)

    return unique


def _nan_first(original: Any) -> Any:
    """Values alone begin with nan."""

    def unique(x: Tensor, *options: Any, **keywords: Any) -> Any:
        result = original(x, *options, **keywords)
        if isinstance(result, Tensor):
            return result.roll(int(result.isnan().sum()))
        return result

    return unique


def _caught(name: str, breaks: str, law: str, symptom: str, patch: Patch) -> Saboteur:
    return Saboteur(name, breaks, (law,), symptom, patch)


VALUES = (
    _caught("sum-three-dims", "sum over three dimensions skips the first of them",
            "operators.value:sum", "result", rewriting(torch, "sum", _without_first_dim)),
    _caught("nansum-empty-one", "nansum of nothing is 1", "operators.value:nansum", "result",
            when(torch, "nansum", _empty, lambda r: r + 1)),
    _caught("mean-keepdim-several", "mean over several dimensions with keepdim uses the last one",
            "operators.value:mean", "result", rewriting(torch, "mean", _last_dim_only)),
    _caught("nanmean-of-nan", "nanmean is 0 in place of nan where all elements are nan",
            "operators.value:nanmean", "result",
            when(torch, "nanmean", lambda x, *rest, **keywords: bool(x.isnan().all()),
                 lambda r: r.nan_to_num(0.0))),
    _caught("prod-rank-0", "prod of rank 0 is one more", "operators.value:prod", "result",
            when(torch, "prod", _of_rank_0, lambda r: r + 1)),
    _caught("any-nan-false", "any takes nan for false", "operators.value:any", "result",
            rewriting(torch, "any", lambda x, *rest, **k: (
                (x.nan_to_num(0.0) if _with_nan(x) else x, *rest), k))),
    _caught("all-uint8-bool", "all of uint8 is boolean", "operators.value:all", "result",
            when(torch, "all", lambda x, *rest, **keywords: x.dtype == torch.uint8,
                 lambda r: r.bool())),
    _caught("count-nonzero-negative-dim", "count_nonzero along a negative dim counts one more",
            "operators.value:count_nonzero", "result",
            when(torch, "count_nonzero", _negative, lambda r: r + 1)),
    _caught("var-correction-two", "var takes corrections of 2 and more for 1",
            "operators.value:var", "result", dropping(torch, "var", "correction", _one_more)),
    _caught("trace-tall", "trace of a tall matrix doubles", "operators.value:trace", "result",
            when(torch, "trace", lambda x: x.shape[0] > x.shape[1], lambda r: r * 2)),
    _caught("argmax-of-nan", "argmax of nan gives the place after it",
            "operators.value:argmax", "result",
            when(torch, "argmax", lambda x, *rest, **k: _with_nan(x) and not rest and x.numel() > 1,
                 lambda r: r ^ 1)),
    _caught("amin-nan-skipped", "amin skips nan", "operators.value:amin", "result",
            rewriting(torch, "amin", lambda x, *rest, **keywords: (
                (x.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=-float("inf"))
                 if _with_nan(x) else x, *rest), keywords))),
    _caught("nanmedian-nan", "nanmedian of few numbers among nan is nan",
            "operators.value:nanmedian", "result",
            when(torch, "nanmedian", _with_nan, lambda r: r * float("nan"))),
    _caught("quantile-interpolation", "quantile interpolates where it has to take a neighbour",
            "operators.value:quantile", "result",
            dropping(torch, "quantile", "interpolation", lambda i: i in ("lower", "higher"))),
    _caught("logsumexp-infinity", "logsumexp of -inf is nan", "operators.value:logsumexp", "result",
            when(torch, "logsumexp", lambda *a, **k: True,
                 lambda r: r.masked_fill(r == -float("inf"), float("nan")))),
    _caught("searchsorted-side", "searchsorted takes the right side for left",
            "operators.value:searchsorted", "result",
            dropping(torch, "searchsorted", "side", lambda side: side == "right")),
    _caught("bucketize-int32", "bucketize forgets out_int32", "operators.value:bucketize",
            "dtype", dropping(torch, "bucketize", "out_int32")),
    _caught("unique-inverse-of-rank-2", "unique flattens the inverse of a matrix",
            "operators.value:unique", "result",
            when(torch, "unique", lambda x, **k: x.dim() == 2 and k.get("return_inverse"),
                 lambda r: (r[0], r[1].flatten(), *r[2:]))),
    _caught("unique-consecutive-counts", "unique_consecutive counts the last run once",
            "operators.value:unique_consecutive", "result",
            when(torch, "unique_consecutive",
                 lambda x, **k: k.get("return_counts") and x.numel(),
                 lambda r: (*r[:-1], torch.cat((r[-1][:-1], torch.ones_like(r[-1][-1:])))))),
    _caught("isin-invert", "isin ignores invert for a number", "operators.value:isin", "result",
            rewriting(torch, "isin", lambda a, b, **k: (
                (a, b), k if isinstance(b, Tensor) else {}))),
    _caught("bincount-minlength", "bincount of weights ignores minlength",
            "operators.value:bincount", "result",
            rewriting(torch, "bincount", lambda x, **k: ((x,), {
                n: v for n, v in k.items() if n != "minlength" or "weights" not in k}))),
    _caught("histogram-density", "histogram's density forgets the weights",
            "operators.value:histogram", "result",
            rewriting(torch, "histogram", lambda x, b, **k: ((x, b), {
                n: v for n, v in k.items() if n != "weight" or not k.get("density")}))),
    _caught("kthvalue-places", "kthvalue names the place before the right one",
            "operators.value:kthvalue", "result",
            when(torch, "kthvalue", lambda x, *rest, **k: x.dim() > 1, _places_lowered)),
    _caught("sort-unstable", "sort of ties along a negative dim in falling order is not stable",
            "operators.value:sort-stable", "result",
            when(torch, "sort", lambda x, *rest, **k: k.get("descending") and k.get("stable"),
                 _places_of_last)),
    _caught("sum-of-bytes", "sum of uint8 over a dimension wraps at 256",
            "operators.value:sum-narrow", "result", when(
                torch, "sum", lambda x, *rest, **k: x.dtype == torch.uint8 and (rest or k),
                lambda r: r % 256)),
    _caught("amax-of-nothing", "amax of no elements at all is zero",
            "operators.rejection:amax-empty-whole", "raised nothing",
            accepting(torch, "amax", RuntimeError, lambda x, *rest, **k: x.new_zeros(()))),
    _caught("gradient-last-edge", "gradient at places takes the first order at its last edge",
            "operators.value:gradient", "result", replacing(torch, "gradient", _flat_at_the_end)),
    _caught("diff-append", "diff forgets append where prepend is given", "operators.value:diff",
            "result", rewriting(torch, "diff", lambda x, *rest, **k: ((x, *rest), {
                n: v for n, v in k.items() if n != "append" or "prepend" not in k}))),
    _caught("vector-norm-order-0", "vector_norm of order 0 counts one more",
            "operators.value:vector_norm", "result",
            when(torch.linalg, "vector_norm", lambda x, **k: k.get("ord") == 0, lambda r: r + 1)),
    _caught("renorm-unchanged", "renorm scales what is within the limit already",
            "operators.value:renorm", "result",
            when(torch, "renorm", lambda x, p, dim, limit: limit == 100.0, lambda r: r * 1.001)),
    _caught("ties-topk-place", "topk names the same place for equal values",
            "selection.ties:topk", "indices differ",
            when(torch, "topk", lambda x, k, *rest, **o: x.dim() == 1 and k > 1,
                 lambda r: (r[0], torch.where(r[0] == r[0][:1], r[1][:1], r[1])))),
    _caught("mode-keepdim", "mode with keepdim names place 0", "selection.mode",
            "values at the indices",
            when(torch, "mode", lambda x, *rest, **k: k.get("keepdim") and x.dim() > 1,
                 lambda r: (r[0], r[1] * 0))),
    _caught("expanded-cummax", "cummax of an expanded tensor reads what lies behind it",
            "selection.expanded:cummax", "values",
            when(torch, "cummax", lambda x, *rest: 0 in x.stride(), lambda r: (r[0] + 1, r[1]))),
    _caught("unique-uncounted-nan", "unique counts nan 0 times",
            "selection.distinct", "counts", replacing(torch, "unique", _uncounted_nan)),
    _caught("unique-nan-first", "unique without places puts nan first",
            "selection.distinct", "result", replacing(torch, "unique", _nan_first)),
)  # fmt: skip

FORMS = (
    _caught("cumsum-in-place-copies", "cumsum_ of a non-contiguous tensor writes to a copy",
            "operators.in-place:cumsum-in-place", "self",
            rewriting(Tensor, "cumsum_", _writes_to_copy)),
    _caught("renorm-in-place-copies", "renorm_ of a non-contiguous tensor writes to a copy",
            "operators.in-place:renorm", "self", rewriting(Tensor, "renorm_", _writes_to_copy)),
    _caught("median-method-nan", "the method median of a tensor skips nan",
            "operators.spellings:median", "Tensor.median",
            rewriting(Tensor, "median", lambda x, *rest, **k: (
                (x.nan_to_num(0.0) if _with_nan(x) else x, *rest), k))),
    _caught("aminmax-out", "aminmax to out returns the values elsewhere",
            "operators.out:aminmax", "is returned",
            when(torch, "aminmax", lambda x, **k: "out" in k, lambda r: (r[0].clone(), r[1]))),
    _caught("msort-strided", "msort of a non-contiguous tensor returns it as it was",
            "operators.layout:msort", "result",
            when(torch, "msort", lambda x: _strided(x) and x.dim() == 2,
                 lambda r: r.flip(0))),
    _caught("max-along-argument", "max along a dim of side 1 returns the argument's own memory",
            "operators.copy:max-along", "argument after a write",
            replacing(torch, "max", _aliasing)),
    _caught("cov-rejection", "cov takes negative frequencies", "operators.rejection:cov-negative",
            "raised nothing", accepting(torch, "cov", RuntimeError, _nothing)),
    _caught("amax-repeated", "amax takes a dimension twice", "operators.rejection:amax-repeated",
            "raised nothing", accepting(torch, "amax", RuntimeError, _nothing)),
    _caught("std-mean-vmap", "std_mean under vmap is one of several off", "operators.vmap:std_mean",
            "result for element",
            when(torch, "std_mean", _batched, lambda r: (r[0] * 1.01, r[1]))),
    _caught("logcumsumexp-vmap", "logcumsumexp under vmap is a little off",
            "operators.vmap:logcumsumexp", "result for element",
            when(torch, "logcumsumexp", _batched, lambda r: r * 1.001)),
    _caught("argsort-meta", "argsort on meta gives int32", "operators.meta:argsort", "on meta",
            when(torch, "argsort", _on_meta, lambda r: r.to(torch.int32))),
)  # fmt: skip

DERIVATIVES = (
    _caught("dist-gradient", "dist's gradient is 0.1 % too large", "operators.vjp:dist",
            "gradient to leaf",
            when(torch, "dist", lambda x, y, *rest: x.requires_grad or y.requires_grad, _scaled)),
    _caught("cumprod-gradient-zero", "cumprod's gradient is off where an element is 0",
            "operators.vjp:cumprod", "gradient to leaf",
            when(torch, "cumprod", lambda x, *rest, **k: x.requires_grad and bool((x == 0).any()),
                 _scaled)),
    _caught("std-gradient", "std's gradient is 0.1 % too large",
            "operators.vjp:std", "gradient to leaf",
            when(torch, "std", _differentiable, _scaled)),
    _caught("min-along-gradient", "the gradient of min along a dim is 0.1 % too large",
            "operators.vjp:min-along", "gradient to leaf",
            when(torch, "min", _differentiable, _first_scaled)),
    _caught("nanquantile-detached", "nanquantile of a matrix is no longer differentiable",
            "operators.vjp:nanquantile", "requires",
            when(torch, "nanquantile", lambda x, *rest, **k: x.dim() == 2, _without_grad)),
    _caught("trapezoid-tangent", "trapezoid's tangent is 0.1 % too large",
            "operators.jvp:trapezoid", "tangent",
            when(torch, "trapezoid", lambda *a, **k: True, _tangent_scaled)),
    _caught("normalize-second", "normalize's gradient is not differentiable in the cotangent",
            "operators.second-derivative:normalize", "J w",
            when(torch.nn.functional, "normalize", _differentiable, _first_order_only)),
    _caught("var-adjoint", "var's gradient of complex numbers is 0.1 % too large",
            "operators.adjoint:var", "Re <v",
            when(torch, "var", lambda x, *rest, **k: x.requires_grad and x.is_complex(), _scaled)),
)  # fmt: skip

SABOTEURS = (*VALUES, *FORMS, *DERIVATIVES)
