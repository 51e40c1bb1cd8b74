"""Faults in what finds, reads and writes positions, seen where one is used on another."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _skips_last(original: Any) -> Any:
    def scatter(self: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
        if isinstance(source, Tensor) and index.dim() == 2 and index.numel() > 3:
            index, source = index[:-1], source[: len(index) - 1]
        return original(self, dim, index, source)

    return scatter


def _ignores_number_of_rank_one(original: Any) -> Any:
    def scatter(self: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
        if not isinstance(source, Tensor) and index.dim() == 1:
            index = index[:1]
        return original(self, dim, index, source)

    return scatter


def _adds(original: Any) -> Any:
    def scatter_(self: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
        result: Tensor = original(self, dim, index, source)
        return result + (index.numel() > 4)

    return scatter_


def _other_dimension(self: Tensor, dim: int, index: Tensor, source: Any) -> tuple[Any, Any]:
    square = self.dim() == 2 and self.shape[0] == self.shape[1] > 1
    return (self, 1 if square else dim, index, source), {}


def _smallest_first(x: Tensor, dim: int = -1, keepdim: bool = False) -> bool:
    return dim < 0 and x.dim() > 1


def _through_long(self: Tensor, dim: int, index: Tensor, *source: Tensor) -> Tensor:
    return torch.gather(self, dim, index.long())


def _is_expanded(self: Tensor, dim: int, index: Tensor, *_: Any) -> bool:
    return index.dim() > 1 and index.stride(0) > 0 and not any(index.stride()[1:])


def _one_row(self: Tensor, dim: int, index: Tensor, *further: Any) -> tuple[Any, Any]:
    if _is_expanded(self, dim, index):
        index = index[:1].expand_as(index)
    return (self, dim, index, *further), {}


def _largest_alone(
    self: Tensor, dim: int, index: Tensor, source: Tensor, mode: str
) -> tuple[Any, Any]:
    expanded = _is_expanded(self, dim, index)
    return (self, dim, index, source, mode), {"include_self": not expanded}


def _half_of_wide_rows(self: Tensor, dim: int, index: Tensor, *_: Any) -> bool:
    return _is_expanded(self, dim, index) and index[0].numel() >= 16


def _with_half_gradient(result: Tensor) -> Tensor:
    result.register_hook(lambda gradient: gradient / 2)
    return result


SABOTEURS = (
    Saboteur(
        "argmax-negative-dim", "argmax along a negative dimension finds the first",
        ("selection.taken-along:argmax",), "result",
        when(torch, "argmax", _smallest_first, lambda found: found * 0),
    ),
    Saboteur(
        "scatter-last-row", "scatter skips the last row of an index of two dimensions",
        ("scatter.gathered-back",), "result", replacing(torch, "scatter", _skips_last),
    ),
    Saboteur(
        "scatter-number-vector", "scatter of a number by a vector writes one element",
        ("scatter.mask",), "result", replacing(torch, "scatter", _ignores_number_of_rank_one),
    ),
    Saboteur(
        "scatter-one-hot", "scatter_ adds 1 to everything for more than four classes",
        ("scatter.one-hot",), "result", replacing(Tensor, "scatter_", _adds),
    ),
    Saboteur(
        "scatter-square", "scatter into a square goes along dimension 1",
        ("scatter.row",), "way", rewriting(torch, "scatter", _other_dimension),
    ),
    Saboteur(
        "gather-expanded-row", "gather by an expanded index reads its first row everywhere",
        ("gather.expanded-index:gather",), "result",
        rewriting(torch, "gather", _one_row),
    ),
    Saboteur(
        "scatter-add-expanded-row", "scatter_add by an expanded index adds to one row",
        ("gather.expanded-index:scatter_add",), "result",
        rewriting(torch, "scatter_add", _one_row),
    ),
    Saboteur(
        "scatter-reduce-expanded", "scatter_reduce by an expanded index leaves self out",
        ("gather.expanded-index:scatter_reduce-amax",), "result",
        rewriting(torch, "scatter_reduce", _largest_alone),
    ),
    Saboteur(
        "gather-expanded-gradient", "gather of rows of 16 passes half of the gradient",
        ("gather.expanded-index-gradient:gather",), "grad of leaf 0",
        when(torch, "gather", _half_of_wide_rows, _with_half_gradient),
    ),
    Saboteur(
        "scatter-add-expanded-gradient", "scatter_add of rows of 16 passes half of the gradient",
        ("gather.expanded-index-gradient:scatter_add",), "grad of leaf",
        when(torch, "scatter_add", _half_of_wide_rows, _with_half_gradient),
    ),
    Saboteur(
        "gather-narrow", "gather takes positions of any integral dtype",
        ("index-rejections.narrow-integers:gather",), "raised nothing",
        accepting(torch, "gather", RuntimeError, _through_long),
    ),
    Saboteur(
        "masked-select-bytes", "masked_select takes a mask of uint8",
        ("index-rejections.masks:masked_select",), "raised nothing",
        accepting(torch, "masked_select", RuntimeError,
                  lambda x, mask: x[mask.bool()]),
    ),
)  # fmt: skip
