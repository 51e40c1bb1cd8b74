"""Faults in scatter and gather: values, in-place contract, rejections, gradients."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _negative_dim_is_zero(original: Any) -> Any:
    return lambda self, dim, *rest, **keywords: original(self, max(dim, 0), *rest, **keywords)


def _drops_last_row(original: Any) -> Any:
    def scatter_(self: Tensor, dim: int, index: Tensor, *rest: Any, **keywords: Any) -> Tensor:
        if index.dim() > 1 and index.shape[0] > 1:
            index = index[:-1]
        return original(self, dim, index, *rest, **keywords)

    return scatter_


def _truncates_value(original: Any) -> Any:
    def scatter(self: Tensor, dim: int, index: Tensor, *rest: Any, **keywords: Any) -> Tensor:
        if "value" in keywords:
            keywords["value"] = float(int(keywords["value"]))
        return original(self, dim, index, *rest, **keywords)

    return scatter


def _last_write_wins(original: Any) -> Any:
    def scatter_add(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        added = torch.gather(self, dim, index) + src[tuple(slice(s) for s in index.shape)]
        return (
            torch.scatter(self, dim, index, added)
            if index.dim()
            else original(self, dim, index, src)
        )

    return scatter_add


def _writes_to_a_copy(original: Any) -> Any:
    def scatter_add_(self: Tensor, *arguments: Any) -> Tensor:
        target = self if self.is_contiguous() else self.contiguous()
        return original(target, *arguments)

    return scatter_add_


def _reads_last_dim(original: Any) -> Any:
    def gather(source: Tensor, dim: int, index: Tensor) -> Tensor:
        legal = source.dim() == 3 and index.numel() and index.max() < source.shape[-1]
        fits = all(i <= s for i, s in zip(index.shape[:-1], source.shape[:-1], strict=True))
        return original(source, -1 if legal and fits and dim >= 0 else dim, index)

    return gather


def _returns_clone(original: Any) -> Any:
    return lambda *arguments, **keywords: original(*arguments, **keywords).clone()


def _writes_to_self(original: Any) -> Any:
    return lambda self, *arguments, **keywords: self.scatter_(*arguments, **keywords)


def _wraps_negative(original: Any) -> Any:
    def wrapped(self: Tensor, dim: int, index: Tensor, *rest: Any) -> Tensor:
        side = self.shape[dim] if self.dim() else 1
        return original(self, dim, index.where(index >= 0, index + side), *rest)

    return wrapped


def _gradient_of(function: Any) -> Any:
    """Patch a gather or scatter so that its gradient is what ``function`` says."""

    def make(original: Any) -> Any:
        class Sabotaged(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, self: Tensor, dim: int, index: Tensor, *rest: Any) -> Tensor:
                context.save_for_backward(self, index)
                context.dim = dim
                return original(self, dim, index, *rest)

            @staticmethod
            def backward(context: Any, cotangent: Tensor) -> Any:
                self, index = context.saved_tensors
                return function(self, context.dim, index, cotangent)

        return lambda self, dim, index, *rest: Sabotaged.apply(self, dim, index, *rest)

    return make


def _gather_last_cotangent(self: Tensor, dim: int, index: Tensor, cotangent: Tensor) -> Any:
    return torch.zeros_like(self).scatter_(dim, index, cotangent), None, None


def _scatter_keeps_cotangent(self: Tensor, dim: int, index: Tensor, cotangent: Tensor) -> Any:
    return cotangent, None, None, torch.gather(cotangent, dim, index)


def _scatter_add_per_mille(self: Tensor, dim: int, index: Tensor, cotangent: Tensor) -> Any:
    return cotangent, None, None, torch.gather(cotangent, dim, index) * 1.001


SABOTEURS = (
    Saboteur(
        "scatter-negative-dim", "scatter takes a negative dim for 0",
        ("scatter.values:scatter",), "out of bounds",
        replacing(torch, "scatter", _negative_dim_is_zero),
    ),
    Saboteur(
        "scatter-in-place-drops-row", "scatter_ ignores the last row of a matrix of indices",
        ("scatter.values:scatter_",), "result", replacing(Tensor, "scatter_", _drops_last_row),
    ),
    Saboteur(
        "scatter-truncates-value", "scatter truncates a number to an integer",
        ("scatter.scalar:scatter",), "result", replacing(torch, "scatter", _truncates_value),
    ),
    Saboteur(
        "scatter-add-last-wins", "scatter_add keeps one of several duplicates",
        ("scatter_add.values:scatter_add",), "result",
        replacing(torch, "scatter_add", _last_write_wins),
    ),
    Saboteur(
        "scatter-add-writes-to-a-copy", "scatter_add_ loses writes to a non-contiguous self",
        ("scatter.in-place:scatter_add_",), "returns self",
        replacing(Tensor, "scatter_add_", _writes_to_a_copy),
    ),
    Saboteur(
        "gather-last-of-three-dims", "gather of rank 3 reads along the last dim where it can",
        ("gather.values:function",), "result", replacing(torch, "gather", _reads_last_dim),
    ),
    Saboteur(
        "scatter-in-place-returns-clone", "scatter_ returns a clone of self",
        ("scatter.in-place:scatter_",), "returns self",
        replacing(Tensor, "scatter_", _returns_clone),
    ),
    Saboteur(
        "scatter-in-place-writes-nothing", "scatter_ returns self as it was",
        ("scatter.in-place:scatter_",), "self",
        replacing(Tensor, "scatter_", lambda original: lambda self, *arguments: self),
    ),
    Saboteur(
        "scatter-writes-to-self", "scatter writes to its input",
        ("scatter.out-of-place:scatter",), "self", replacing(torch, "scatter", _writes_to_self),
    ),
    Saboteur(
        "scatter-wraps-negative", "scatter accepts a negative index",
        ("scatter.index-out-of-range:scatter",), "raised nothing",
        replacing(torch, "scatter", _wraps_negative),
    ),
    Saboteur(
        "gather-wraps-negative", "gather accepts a negative index",
        ("gather.index-out-of-range:function",), "raised nothing",
        replacing(torch, "gather", _wraps_negative),
    ),
    Saboteur(
        "gather-gradient-last-wins", "gather's gradient keeps one of several duplicates",
        ("gather.gradient:function",), "gradient to input",
        replacing(torch, "gather", _gradient_of(_gather_last_cotangent)),
    ),
    Saboteur(
        "scatter-gradient-not-masked", "scatter passes gradient to what it overwrote",
        ("scatter.gradient",), "gradient to self",
        replacing(torch, "scatter", _gradient_of(_scatter_keeps_cotangent)),
    ),
    Saboteur(
        "scatter-add-gradient-per-mille", "scatter_add's gradient to src is 0.1 % too large",
        ("scatter_add.gradient",), "gradient to src",
        replacing(torch, "scatter_add", _gradient_of(_scatter_add_per_mille)),
    ),
)  # fmt: skip
