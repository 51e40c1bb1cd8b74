"""Faults in attention: masks, scales, groups, heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.saboteurs.faults import rewriting
from tests.saboteurs.operator_faults import Scaled, when
from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional
Heads = torch.nn.MultiheadAttention
NAME = "scaled_dot_product_attention"


def _lower_right(original: Any, q: Tensor, k: Tensor, v: Tensor, **words: Any) -> Tensor:
    """A causal mask of fewer queries than keys ends at the last key."""
    words.pop("is_causal")
    shape = (q.shape[-2], k.shape[-2])
    mask = torch.ones(shape, dtype=torch.bool).tril(shape[1] - shape[0])
    result: Tensor = original(q, k, v, attn_mask=mask, **words)
    return result


def _is_wide(q: Tensor, k: Tensor, *_: Any, **words: Any) -> Any:
    return words.get("is_causal") and q.shape[-2] < k.shape[-2]


def _interleaved(original: Any, q: Tensor, k: Tensor, v: Tensor, **words: Any) -> Tensor:
    """Heads of queries share keys in turn."""
    words.pop("enable_gqa")
    times = q.shape[-3] // k.shape[-3]
    k, v = (torch.cat([x] * times, dim=-3) for x in (k, v))
    result: Tensor = original(q, k, v, **words)
    return result


def _ignores_padding(original: Any) -> Any:
    """Padding of the second sequence is ignored beside a mask."""

    def forward(self: Any, *inputs: Tensor, **words: Any) -> Any:
        padding = words.get("key_padding_mask")
        if padding is not None and padding.dim() == 2 and words.get("attn_mask") is not None:
            padding = padding.clone()
            padding[1:] = False
        return original(self, *inputs, **{**words, "key_padding_mask": padding})

    return forward


def _first_head_only(original: Any) -> Any:
    """The weights of each head are all the first one's."""

    def forward(self: Any, *inputs: Tensor, **words: Any) -> Any:
        result, weights = original(self, *inputs, **words)
        if weights is not None and not words.get("average_attn_weights", True):
            weights = weights.select(-3, 0).unsqueeze(-3).expand_as(weights)
        return result, weights

    return forward


def _own_gradient(original: Any) -> Any:
    """The gradient of self-attention in evaluation is off, where no weights are needed."""

    def forward(self: Any, *inputs: Tensor, **words: Any) -> Any:
        result, weights = original(self, *inputs, **words)
        if inputs[0] is inputs[1] and not self.training and not words.get("need_weights", True):
            result = Scaled.apply(result)
        return result, weights

    return forward


SABOTEURS = (
    Saboteur("attention-own-gradient", "the gradient of self-attention is off in evaluation",
             ("attention.gradient",), "gradient to", replacing(Heads, "forward", _own_gradient)),
    Saboteur("attention-lower-right", "a causal mask of fewer queries ends at the last key",
             ("operators.value:scaled_dot_product_attention",), "result",
             when(functional, NAME, _is_wide, _lower_right)),
    Saboteur("attention-mask-inverted", "a boolean mask of all heads hides what it shows",
             ("operators.value:scaled_dot_product_attention-masked",), "result",
             rewriting(functional, NAME, lambda *a, **k: (
                 a, {**k, "attn_mask": k["attn_mask"] ^ (k["attn_mask"].dim() == 2)}))),
    Saboteur("attention-mask-scaled", "an added mask is scaled too",
             ("operators.value:scaled_dot_product_attention-added",), "result",
             rewriting(functional, NAME, lambda *a, **k: (
                 a, {**k, "attn_mask": k["attn_mask"] * k.get("scale", 1.0)}))),
    Saboteur("attention-groups", "grouped heads share keys in turn",
             ("operators.value:scaled_dot_product_attention-grouped",), "result",
             when(functional, NAME, lambda *a, **k: k.get("enable_gqa"), _interleaved)),
    Saboteur("attention-keys-gradient", "the gradient to the keys is too large",
             ("operators.vjp:scaled_dot_product_attention",), "gradient",
             rewriting(functional, NAME, lambda q, k, v, **w: ((q, Scaled.apply(k), v), w))),
    Saboteur("attention-padding", "padding of a second sequence is ignored beside a mask",
             ("attention.heads",), "output", replacing(Heads, "forward", _ignores_padding)),
    Saboteur("attention-head-weights", "the weights of all heads are the first one's",
             ("attention.heads",), "weights", replacing(Heads, "forward", _first_head_only)),
    Saboteur("attention-hint", "the causal hint takes the place of the mask where none is needed",
             ("attention.causal-hint",), "raised nothing", rewriting(
                 Heads, "forward", lambda self, *a, **k: (
                     (self, *a), k if k.get("attn_mask") is not None
                     else {**k, "is_causal": False}))),
)  # fmt: skip
