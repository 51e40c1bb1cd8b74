"""Faults in bags of embeddings: empty ones, padding, weights, the last offset."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.operator_faults import Scaled, when
from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional


def _last_row_for_empty(original: Any) -> Any:
    """A bag that is empty at the end gets the first row of the table."""

    def bag(indices: Tensor, weight: Tensor, offsets: Any = None, **words: Any) -> Tensor:
        result: Tensor = original(indices, weight, offsets, **words)
        if offsets is None or words.get("include_last_offset") or len(offsets) < 2:
            return result
        empty = int(offsets[-1]) == len(indices)
        return torch.cat([result[:-1], weight[:1]]) if empty and len(indices) else result

    return bag


def _counts_padding(original: Any) -> Any:
    """Means are divided by the number of indices, padding too, in a matrix."""

    def bag(indices: Tensor, weight: Tensor, *rest: Any, **words: Any) -> Tensor:
        result: Tensor = original(indices, weight, *rest, **words)
        padding = words.get("padding_idx")
        if padding is None or indices.dim() == 1 or words.get("mode", "mean") != "mean":
            return result
        kept = (indices != padding % len(weight)).sum(1, keepdim=True)
        return result * kept / indices.shape[1]

    return bag


SABOTEURS = (
    Saboteur("bags-empty", "an empty bag at the end gets the first row",
             ("operators.value:embedding_bag-sum",), "result",
             replacing(functional, "embedding_bag", _last_row_for_empty)),
    Saboteur("bags-padding-counts", "padding counts in the means of a matrix",
             ("operators.value:embedding_bag-mean",), "result",
             replacing(functional, "embedding_bag", _counts_padding)),
    Saboteur("bags-negative-padding", "a negative padding_idx is ignored",
             ("operators.value:embedding_bag-max",), "result",
             dropping(functional, "embedding_bag", "padding_idx", lambda p: (p or 0) < 0)),
    Saboteur("bags-weights", "the gradient to the weights of samples is too large",
             ("operators.vjp:embedding_bag-weighted",), "gradient to leaf", rewriting(
                 functional, "embedding_bag", lambda *a, **k: (
                     a, {**k, "per_sample_weights": Scaled.apply(k["per_sample_weights"])}))),
    Saboteur("bags-narrow-indices", "indices of 32 bits beyond the second are shifted",
             ("operators.value:embedding_bag-weighted",), "result",
             when(functional, "embedding_bag",
                  lambda i, *a, **k: i.dtype == torch.int32 and i.dim() == 1 and len(i) > 2,
                  lambda original, i, *a, **k: original(i.roll(1), *a, **k))),
    Saboteur("bags-table-in-memory", "means of a table that lies with gaps are of other rows",
             ("operators.value:embedding_bag-mean",), "result",
             when(functional, "embedding_bag",
                  lambda i, w, *a, **k: k.get("mode", "mean") == "mean" and not w.is_contiguous(),
                  lambda original, i, w, *a, **k: original(i, w.flip(0), *a, **k))),
)  # fmt: skip
