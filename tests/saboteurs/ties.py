"""Faults in gradients of reductions and selections: ties, zeros, equal arguments."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import torch
import torch.nn.functional as functional

from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.subgradients import Scaled, scaling, zeros

Tensor = torch.Tensor


def _one_by_one(original: Any) -> Any:
    def amax(x: Tensor, dims: Any = (), keepdim: bool = False) -> Any:
        if not isinstance(dims, tuple) or len(dims) < 2:
            return original(x, dims, keepdim)
        for dim in dims:
            x = original(x, dim, True)
        return x if keepdim else x.squeeze(dims)

    return amax


def _whole_is_flat(original: Any) -> Any:
    return lambda x, *a: original(x, *a) if a or x.dim() < 2 else original(x.flatten(), 0)[0]


def _evenly(original: Any) -> Any:
    def faulty(x: Tensor, *a: Any) -> Any:
        if not a:
            return original(x)
        values, indices = original(x.detach(), *a)
        return x.amin(*a).view_as(values), indices

    return faulty


def _kth_evenly(original: Any) -> Any:
    def kthvalue(x: Tensor, k: int, dim: int, keepdim: bool) -> Any:
        return x.amin(dim, keepdim), original(x, k, dim, keepdim)[1]

    return kthvalue


def _top_evenly(original: Any) -> Any:
    return lambda x, k, dim: (x.amax(dim, True), original(x, k, dim)[1])


def _turned_round(original: Any) -> Any:
    def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        values, indices = original(x, dim=dim, stable=stable)
        return (values.flip(dim), indices.flip(dim)) if descending else (values, indices)

    return sort


def _root_of_squares(original: Any) -> Any:
    def norm(x: Tensor, order: Any = 2.0, dims: Any = None, keepdim: bool = False, **k: Any) -> Any:
        if order != 2.0 or isinstance(order, str) or x.is_complex():
            return original(x, order, dims, keepdim, **k)
        return x.square().sum(dims, keepdim).sqrt()

    return norm


def _frobenius_root(original: Any) -> Any:
    return lambda x, order: (
        x.square().sum((-2, -1)).sqrt() if order == "fro" else original(x, order)
    )


def _root_of_variance(original: Any) -> Any:
    return lambda x, dim, **k: torch.var(x, dim, **k).sqrt()


def _counts_from_zero(original: Any) -> Any:
    return lambda x, dim, correction, keepdim: original(
        Scaled.apply(x, torch.ones_like(x) > 0, nan if correction == 0 else 1.0),
        dim, correction=correction, keepdim=keepdim,
    )  # fmt: skip


def _one_zero(x: Tensor) -> Tensor:
    return (x == 0) & ((x == 0).sum() == 1) & torch.tensor(x.dim() > 1)


def _after_zeros(x: Tensor) -> Tensor:
    return (x == 0) & (x.numel() > 1)


def _dist_root(original: Any) -> Any:
    return lambda a, b, p: (a - b).square().sum().sqrt() if p == 2 else original(a, b, p)


def _cdist_root(original: Any) -> Any:
    def cdist(a: Tensor, b: Tensor, p: float, compute_mode: str) -> Any:
        if compute_mode == "use_mm_for_euclid_dist":
            return (a[:, None] - b[None]).square().sum(-1).sqrt()
        return original(a, b, p=p, compute_mode=compute_mode)

    return cdist


def _whole_for_each(original: Any) -> Any:
    """Multiply the gradient to the source by the number of equal values at its place."""

    def faulty(self: Any, dim: int, index: Any, source: Any, mode: str, **keywords: Any) -> Any:
        result = original(self, dim, index, source, mode, **keywords)
        extreme = (result.detach().gather(dim, index) == source).to(source.dtype)
        tied = torch.zeros_like(self).scatter_add(dim, index, extreme).gather(dim, index)
        scaled = Scaled.apply(source, torch.ones_like(source) > 0, tied.clamp(min=1).detach())
        return original(self, dim, index, scaled, mode, **keywords)

    return faulty


def _ties_reversed(original: Any) -> Any:
    """Sort more than 16 elements downwards by sorting them upwards, from the end."""

    def faulty(x: Any, **keywords: Any) -> Any:
        if not keywords.get("descending") or x.shape[-1] <= 16:
            return original(x, **keywords)
        values, index = original(x, **{**keywords, "descending": False})
        return values.flip(-1), index.flip(-1)

    return faulty


SABOTEURS = (
    Saboteur(
        "amax-one-by-one", "amax shares gradients one dimension after the other",
        ("subgradients.evenly:amax",), "gradient", replacing(torch, "amax", _one_by_one),
    ),
    Saboteur(
        "max-to-first", "max of a whole matrix passes the gradient to the first maximum only",
        ("subgradients.evenly-whole:max",), "gradient", replacing(torch, "max", _whole_is_flat),
    ),
    Saboteur(
        "min-dim-evenly", "min over a dimension shares the gradient between equal values",
        ("subgradients.first-index:min",), "gradient", replacing(torch, "min", _evenly),
    ),
    Saboteur(
        "kthvalue-evenly", "kthvalue shares the gradient between equal values",
        ("subgradients.returned-index:kthvalue",), "gradient",
        replacing(torch, "kthvalue", _kth_evenly),
    ),
    Saboteur(
        "topk-evenly", "topk shares the gradient between equal values",
        ("subgradients.returned-indices:topk",), "gradient",
        replacing(torch, "topk", _top_evenly),
    ),
    Saboteur(
        "stable-sort-turned-round", "a descending stable sort is the ascending one turned round",
        ("subgradients.stable-sort:descending",), "indices",
        replacing(torch, "sort", _turned_round),
    ),
    Saboteur(
        "norm-root-of-squares", "the gradient of vector_norm of order 2 is nan at 0",
        ("subgradients.norm:vector_norm-2",), "gradient",
        replacing(torch.linalg, "vector_norm", _root_of_squares),
    ),
    Saboteur(
        "norm-inf-doubled", "norm of order inf of rank 3 doubles the gradient to the extremes",
        ("subgradients.norm:norm-inf",), "gradient",
        scaling(torch, "norm", lambda x: (x.abs() == x.abs().max()) & (x.ndim > 2), 2.0),
    ),
    Saboteur(
        "frobenius-nan", "the gradient of the Frobenius norm is nan at 0",
        ("subgradients.matrix-norm:fro",), "gradient",
        replacing(torch.linalg, "matrix_norm", _frobenius_root),
    ),
    Saboteur(
        "std-root-of-variance", "the gradient of std is nan at equal elements",
        ("subgradients.constant-rows:std",), "gradient",
        replacing(torch, "std", _root_of_variance),
    ),
    Saboteur(
        "biased-variance-nan", "the gradient of a biased variance is nan",
        ("subgradients.constant-rows:var-biased",), "gradient",
        replacing(torch, "var", _counts_from_zero),
    ),
    Saboteur(
        "prod-nothing-to-zeros", "prod over a dimension passes no gradient to zeros",
        ("subgradients.product:prod",), "gradient", scaling(torch, "prod", zeros, 0.0),
    ),
    Saboteur(
        "prod-nothing-to-one-zero", "prod of a matrix passes no gradient to its only zero",
        ("subgradients.product-whole",), "gradient", scaling(torch, "prod", _one_zero, 0.0),
    ),
    Saboteur(
        "cumprod-nothing-to-zeros", "cumprod passes no gradient to zeros",
        ("subgradients.cumulative-product",), "gradient",
        scaling(torch, "cumprod", _after_zeros, 0.0),
    ),
    Saboteur(
        "dist-root", "the gradient of dist of order 2 is nan at equal arguments",
        ("subgradients.distance:2",), "grad of leaf", replacing(torch, "dist", _dist_root),
    ),
    Saboteur(
        "cdist-root", "the gradient of cdist by matrix products is nan at equal points",
        ("subgradients.pairwise-distances:2-mm",), "gradient to argument",
        replacing(torch, "cdist", _cdist_root),
    ),
    Saboteur(
        "nansum-zeros", "nansum passes no gradient to zeros",
        ("subgradients.nansum",), "gradient", scaling(torch, "nansum", zeros, 0.0),
    ),
    Saboteur(
        "logsumexp-nan", "logsumexp passes nan to -inf",
        ("subgradients.logsumexp",), "gradient",
        scaling(torch, "logsumexp", lambda x: x == -inf, nan),
    ),
    Saboteur(
        "normalize-nothing-to-zeros", "normalize passes no gradient to zeros",
        ("subgradients.normalize",), "gradient", scaling(functional, "normalize", zeros, 0.0),
    ),
    Saboteur(
        "cosine-nothing-to-zeros", "cosine_similarity passes no gradient to a vector of zeros",
        ("subgradients.cosine-similarity",), "grad of leaf 0",
        scaling(functional, "cosine_similarity", zeros, 0.0),
    ),
    Saboteur(
        "scatter-amax-whole", "scatter_reduce gives each of the tied largest the whole gradient",
        ("subgradients.scattered-evenly:scatter_reduce-amax",), "gradient",
        replacing(torch, "scatter_reduce", _whole_for_each),
    ),
    Saboteur(
        "long-sort-unstable", "a stable sort downwards of more than 16 elements reverses ties",
        ("subgradients.long-stable-sort:descending",), "indices",
        replacing(torch, "sort", _ties_reversed),
    ),
)  # fmt: skip
