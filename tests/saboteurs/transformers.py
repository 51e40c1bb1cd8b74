"""Faults in transformers: masks, orders of norms, stacks, the fast path."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import rewriting
from tests.saboteurs.operator_faults import Scaled
from tests.saboteurs.saboteur import Saboteur, replacing

nn = torch.nn
Layer = nn.TransformerEncoderLayer


def _hides_less(original: Any) -> Any:
    """The fast path of a batch forgets the padding where there is a mask too."""

    def merged(self: Any, attn_mask: Any, key_padding_mask: Any, query: Any) -> Any:
        if attn_mask is not None and key_padding_mask is not None:
            key_padding_mask = torch.zeros_like(key_padding_mask)
        return original(self, attn_mask, key_padding_mask, query)

    return merged


def _fast_after(original: Any) -> Any:
    def fast(*arguments: Any) -> Any:
        words = list(arguments)
        words[9] = 1e-5 if words[8] else words[9]  # the eps of the norms, with norm_first
        return original(*words)

    return fast


def _without_memory_mask(original: Any) -> Any:
    def attend(self: Any, x: Any, mem: Any, attn_mask: Any, *rest: Any, **words: Any) -> Any:
        return original(self, x, mem, attn_mask if self.norm_first else None, *rest, **words)

    return attend


def _without_memory_padding(*arguments: Any, **words: Any) -> Any:
    if not arguments[0].training:
        words.pop("memory_key_padding_mask", None)
    return arguments, words


def _shared(original: Any) -> Any:
    """Of three copies, the last is the first itself."""

    def copies(module: Any, count: int) -> Any:
        found = original(module, count)
        if count == 3:
            found[2] = found[0]
        return found

    return copies


def _trailing(original: Any) -> Any:
    """Padding is left out as if it came last, wherever it is."""

    def aligned(*arguments: Any) -> bool:
        return True

    return aligned


def _diagonal(original: Any) -> Any:
    def mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        return original(sz, device, dtype) + 0.0 * torch.eye(sz) - torch.eye(sz) * (sz == 2) * 1e-3

    return staticmethod(mask)


def _without_norm(original: Any, self: Any, *arguments: Any, **words: Any) -> Any:
    norm, self.norm = self.norm, None
    try:
        return original(self, *arguments, **words)
    finally:
        self.norm = norm


def _tanh_scaled(original: Any) -> Any:
    def fed(self: Any, x: Any) -> Any:
        if self.activation is torch.tanh:
            return Scaled.apply(original(self, x))
        return original(self, x)

    return fed


SABOTEURS = (
    Saboteur("transformers-mask", "an encoder layer with norm_first ignores its mask in training",
             ("transformers.encoder-layer:any",), "output",
             rewriting(Layer, "_sa_block", lambda self, x, mask, *rest, **words: (
                 (self, x, None if self.norm_first else mask, *rest),
                 {**words, "is_causal": False}))),
    Saboteur("transformers-fast-masks", "the fast path forgets padding where there is a mask",
             ("transformers.encoder-layer:fast",), "output",
             replacing(nn.MultiheadAttention, "merge_masks", _hides_less)),
    Saboteur("transformers-fast-eps", "the fast path has an eps of its own with norm_first",
             ("transformers.encoder-layer:fast",), "output",
             replacing(torch, "_transformer_encoder_layer_fwd", _fast_after)),
    Saboteur("transformers-memory-mask", "a decoder layer ignores the mask of its memory",
             ("transformers.decoder-layer",), "output",
             replacing(nn.TransformerDecoderLayer, "_mha_block", _without_memory_mask)),
    Saboteur("transformers-memory-padding", "in evaluation a decoder layer ignores padded memory",
             ("transformers.decoder-layer",), "output",
             rewriting(nn.TransformerDecoderLayer, "forward", _without_memory_padding)),
    Saboteur("transformers-shared", "the third layer of an encoder is the first one",
             ("transformers.encoder:any",), "parameters of all copies",
             replacing(nn.modules.transformer, "_get_clones", _shared)),
    Saboteur("transformers-aligned", "padding that is not trailing is left out as if it were",
             ("transformers.encoder:fast",), "output",
             replacing(torch, "_nested_tensor_from_mask_left_aligned", _trailing)),
    Saboteur("transformers-subsequent", "the diagonal of the subsequent mask of two is not 0",
             ("transformers.whole",), "subsequent mask",
             replacing(nn.Transformer, "generate_square_subsequent_mask", _diagonal)),
    Saboteur("transformers-final-norm", "a transformer has no norm after its decoder",
             ("transformers.whole",), "output",
             replacing(nn.TransformerDecoder, "forward", lambda original: lambda self, *a, **k: (
                 _without_norm(original, self, *a, **k)))),
    Saboteur("transformers-gradient", "the gradient through the feed-forward network is off",
             ("transformers.gradient",), "gradient to",
             replacing(Layer, "_ff_block", _tanh_scaled)),
    Saboteur("transformers-added", "a mask of numbers is added as its half",
             ("transformers.added-mask:mask",), "output",
             rewriting(nn.MultiheadAttention, "forward", lambda self, *a, attn_mask=None, **k: (
                 (self, *a), {**k, "attn_mask": None if attn_mask is None else attn_mask / 2}))),
)  # fmt: skip
