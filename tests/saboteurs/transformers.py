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


def _in_evaluation(original: Any) -> Any:
    """Attention weights are dropped in evaluation too, where there is a mask."""

    def attend(*arguments: Any, **words: Any) -> Any:
        if words.get("attn_mask") is not None:
            words["training"] = True
        return original(*arguments, **words)

    return attend


def _off(condition: Any) -> Any:
    """Results that are off by a part in a thousand, where a call is so."""

    def make(original: Any) -> Any:
        def faulty(self: Any, *arguments: Any, **words: Any) -> Any:
            result = original(self, *arguments, **words)
            return result * 1.001 if condition(self, *arguments, **words) else result

        return faulty

    return make


def _has_mask_of_heads(self: Any, src: Any, src_mask: Any = None, *_: Any, **__: Any) -> bool:
    return src_mask is not None and src_mask.dim() == 3


def _has_hidden_target(self: Any, *_: Any, **words: Any) -> bool:
    return words.get("tgt_key_padding_mask") is not None


def _padded_gradient(original: Any) -> Any:
    def forward(self: Any, src: Any, mask: Any = None, padding: Any = None, **words: Any) -> Any:
        result = original(self, src, mask, padding, **words)
        return result if padding is None else Scaled.apply(result)

    return forward


def _constant_memory(original: Any) -> Any:
    def forward(self: Any, tgt: Any, memory: Any, *rest: Any, **words: Any) -> Any:
        return original(self, tgt, memory.detach() if self.norm_first else memory, *rest, **words)

    return forward


def _fast_though_leaf(original: Any) -> Any:
    """The fast path is taken where all parameters are frozen, though the input is not."""

    def forward(self: Any, src: Any, *rest: Any, **words: Any) -> Any:
        frozen = not self.training and not any(p.requires_grad for p in self.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            return original(self, src, *rest, **words)

    return forward


def _unheard(original: Any) -> Any:
    """In evaluation without gradients hooks of norms are not called."""

    def forward(self: Any, *arguments: Any, **words: Any) -> Any:
        if torch.is_grad_enabled() or self.training:
            return original(self, *arguments, **words)
        held = [(norm, norm._forward_hooks) for norm in (self.norm1, self.norm2)]
        for norm, hooks in held:
            norm._forward_hooks = type(hooks)()
        try:
            return original(self, *arguments, **words)
        finally:
            for norm, hooks in held:
                norm._forward_hooks = hooks

    return forward


SABOTEURS = (
    Saboteur("transformers-evaluated-dropout", "masked attention drops weights in evaluation",
             ("transformers.encoder-layer:any", "transformers.decoder-layer",
              "transformers.decoder"), "output",
             replacing(nn.functional, "multi_head_attention_forward", _in_evaluation)),
    Saboteur("transformers-head-masks", "an encoder layer with a mask for each head is off",
             ("transformers.encoder-layer:fast",), "output",
             replacing(Layer, "forward", _off(_has_mask_of_heads))),
    Saboteur("transformers-hidden-target", "a decoder with a padded target is off",
             ("transformers.whole", "transformers.decoder"), "output",
             replacing(nn.TransformerDecoder, "forward", _off(_has_hidden_target))),
    Saboteur("transformers-unbatched-target", "a decoder layer of one sequence is off",
             ("transformers.decoder-layer",), "output",
             replacing(nn.TransformerDecoderLayer, "forward",
                       _off(lambda self, tgt, *_, **__: tgt.dim() == 2))),
    Saboteur("transformers-padded-gradient", "the gradient through a padded encoder layer is off",
             ("transformers.gradient",), "gradient to",
             replacing(Layer, "forward", _padded_gradient)),
    Saboteur("transformers-constant-memory", "with norm_first memory gets no gradient",
             ("transformers.decoder-gradient",), "whether there is a gradient to memory",
             replacing(nn.TransformerDecoderLayer, "forward", _constant_memory)),
    Saboteur("transformers-frozen-input", "frozen layers in evaluation give no gradient either",
             ("transformers.frozen:any",), "gradient to input",
             replacing(Layer, "forward", _fast_though_leaf)),
    Saboteur("transformers-unheard", "hooks of norms are not called on the fast path",
             ("transformers.hooks",), "calls of the hook",
             replacing(Layer, "forward", _unheard)),
    Saboteur("transformers-single", "an encoder layer of long sequences in float32 is off",
             ("transformers.single:fast",), "output",
             replacing(Layer, "forward", _off(
                 lambda self, src, *_, **__: src.dtype == torch.float32 and src.shape[1] > 8))),
    Saboteur("transformers-undropped", "a decoder layer does not drop what it attends to",
             ("transformers.dropped",), "output",
             replacing(nn.TransformerDecoderLayer, "_mha_block", lambda original: (
                 lambda self, *a, **k: self.multihead_attn(a[0], a[1], a[1])[0]))),
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
