"""Faults in layers that draw: samples, slopes and windows, and what gradients take of them."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional


def _unstraight(original: Any) -> Any:
    def gumbel(logits: Any, tau: float = 1, hard: bool = False, *rest: Any, **words: Any) -> Any:
        result = original(logits, tau, hard, *rest, **words)
        if hard and tau != 1:
            soft = (logits / tau).softmax(-1)
            return result.detach() + soft - soft.detach()
        return result

    return gumbel


def _shifted(original: Any) -> Any:
    """A hard sample of single precision is that of the next category."""

    def gumbel(logits: Any, tau: float = 1, hard: bool = False, *rest: Any, **words: Any) -> Any:
        result = original(logits, tau, hard, *rest, **words)
        return result.roll(1, -1) if hard and logits.dtype == torch.float32 else result

    return gumbel


def _by_place(original: Any) -> Any:
    """At low temperature logits count half."""

    def gumbel(logits: Any, tau: float = 1, hard: bool = False, *rest: Any, **words: Any) -> Any:
        return original(logits * 0.5 if tau < 1 else logits, tau, hard, *rest, **words)

    return gumbel


def _one_slope(original: Any) -> Any:
    def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
              inplace: bool = False) -> Any:  # fmt: skip
        if not training or upper == lower:
            return original(input, lower, upper, training, inplace)
        slope = lower + (upper - lower) * torch.rand((), dtype=input.dtype)
        result = torch.where(input < 0, input * slope, input)
        return input.copy_(result) if inplace else result

    return rrelu


def _last_early(original: Any) -> Any:
    """The last window of a fractional pooling begins one place early."""

    def pool(input: Any, *arguments: Any, **words: Any) -> Any:
        return original(input[..., :-1, :] if input.shape[-2] > 4 else input, *arguments, **words)

    return pool


def _rounds_up(original: Any) -> Any:
    def pool(input: Any, kernel: Any, output_size: Any = None, output_ratio: Any = None,
             *rest: Any, **words: Any) -> Any:  # fmt: skip
        if isinstance(output_ratio, float) and output_ratio == 0.25:
            output_ratio = 0.5
        return original(input, kernel, output_size, output_ratio, *rest, **words)

    return pool


def _one_noise(original: Any) -> Any:
    """Along the first dimension all samples are drawn alike."""

    def gumbel(
        logits: Any, tau: float = 1, hard: bool = False, eps: float = 0.0, dim: int = -1
    ) -> Any:
        if dim != 0 or logits.dim() != 2:
            return original(logits, tau, hard, eps, dim)
        noise = -torch.empty_like(logits[:, :1]).exponential_().log()
        soft = ((logits + noise) / tau).softmax(0)
        straight = torch.zeros_like(soft).scatter_(0, soft.argmax(0, keepdim=True), 1.0)
        return straight - soft.detach() + soft if hard else soft

    return gumbel


def _out_of_place(original: Any) -> Any:
    def rrelu(x: Any, *rest: Any, inplace: bool = False, **words: Any) -> Any:
        return original(x, *rest, **words)

    return rrelu


def _second_sample(original: Any) -> Any:
    """In a batch the second sample is pooled from its negatives."""

    def pool(x: Any, *rest: Any, **words: Any) -> Any:
        if x.dim() < 4 or len(x) < 2 or x.shape[1] > 1:
            return original(x, *rest, **words)
        values, places = original(x, *rest, **words)
        return values.flip(0), places

    return pool


SABOTEURS = (
    Saboteur("random-gumbel-alike", "samples along the first dimension are all alike",
             ("random.gumbel-frequencies",), "counts",
             replacing(torch.nn.functional, "gumbel_softmax", _one_noise)),
    Saboteur("random-rrelu-copied", "rrelu never works in place", ("random.rrelu",),
             "returns its input", replacing(torch.nn.functional, "rrelu", _out_of_place)),
    Saboteur("random-fractional-batch", "samples of a pooled batch change places",
             ("random.fractional-pool:fractional_max_pool2d",), "maxima",
             replacing(torch.nn.functional, "fractional_max_pool2d", _second_sample)),
    Saboteur("random-gumbel-straight", "a hard sample has another gradient at other temperatures",
             ("random.gumbel-softmax",), "gradient of hard",
             replacing(functional, "gumbel_softmax", _unstraight)),
    Saboteur("random-gumbel-next", "a hard sample of single precision is of the next category",
             ("random.gumbel-softmax",), "likeliest",
             replacing(functional, "gumbel_softmax", _shifted)),
    Saboteur("random-gumbel-odds", "at low temperature logits count half",
             ("random.gumbel-frequencies",), "counts",
             replacing(functional, "gumbel_softmax", _by_place)),
    Saboteur("random-rrelu", "rrelu draws one slope for all",
             ("random.rrelu",), "different slopes", replacing(functional, "rrelu", _one_slope)),
    Saboteur("random-fractional-end", "the last window of a longer side ends early",
             ("random.fractional-pool:fractional_max_pool2d",), "",
             replacing(functional, "fractional_max_pool2d", _last_early)),
    Saboteur("random-fractional-fits", "windows that do not fit are fewer",
             ("random.fractional-fits",), "raised nothing",
             accepting(functional, "fractional_max_pool2d", RuntimeError, lambda x, *a, **k: x)),
    Saboteur("random-fractional-ratio", "a ratio of a quarter is a half",
             ("random.fractional-ratio:fractional_max_pool3d",), "shape",
             replacing(functional, "fractional_max_pool3d", _rounds_up)),
)  # fmt: skip
