"""Faults in bags of embeddings: shares, norms, options that are ignored or accepted."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import Scaled
from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional


def _dense(original: Any) -> Any:
    """A mean has a dense gradient, sparse or not."""

    def bag(*arguments: Any, **words: Any) -> Any:
        names = list(arguments)
        if len(names) > 7 and names[6] == "mean" and names[7]:
            names[7] = False
        return original(*names, **words)

    return bag


def _padding_halves(original: Any) -> Any:
    """Means are halved where there is a padding index and the end of the last bag is told."""

    def bag(*arguments: Any, **words: Any) -> Any:
        result = original(*arguments, **words)
        if len(arguments) < 11 or arguments[6] != "mean":
            return result
        return result * 0.5 if arguments[9] and arguments[10] is not None else result

    return bag


def _unscaled(original: Any) -> Any:
    def bag(input: Any, weight: Any, offsets: Any = None, max_norm: Any = None,
            norm_type: float = 2.0, *rest: Any, **words: Any) -> Any:  # fmt: skip
        if words.get("mode") == "max":
            max_norm = None
        return original(input, weight, offsets, max_norm, norm_type, *rest, **words)

    return bag


def _scaled_weights(original: Any) -> Any:
    def bag(input: Any, weight: Any, *rest: Any, **words: Any) -> Any:
        if weight.requires_grad and len(rest) > 6 and rest[6] is not None:
            weight = Scaled.apply(weight)
        return original(input, weight, *rest, **words)

    return bag


def _half_by_frequency(original: Any) -> Any:
    def bag(input: Any, weight: Any, *rest: Any, **words: Any) -> Any:
        by_frequency = rest[3] if len(rest) > 3 else words.get("scale_grad_by_freq")
        if weight.requires_grad and by_frequency:
            weight = Scaled.apply(weight)
        return original(input, weight, *rest, **words)

    return bag


def _thawed(original: Any) -> Any:
    def pretrained(cls: Any, embeddings: Any, freeze: bool = True, *rest: Any, **words: Any) -> Any:
        padding = words.get("padding_idx")
        return original.__func__(cls, embeddings, freeze and padding is None, *rest, **words)

    return classmethod(pretrained)


def _patch_pretrained(monkeypatch: Any) -> None:
    owner = torch.nn.EmbeddingBag
    monkeypatch.setattr(owner, "from_pretrained", _thawed(vars(owner)["from_pretrained"]))


def _accepts_means(original: Any) -> Any:
    def bag(*arguments: Any, **words: Any) -> Any:
        try:
            return original(*arguments, **words)
        except NotImplementedError:
            return None

    return bag


def _scaled_twice(original: Any) -> Any:
    """With max_norm the gradient is off."""

    def bag(*arguments: Any, **words: Any) -> Any:
        result = original(*arguments, **words)
        return Scaled.apply(result) if words.get("max_norm") and result.requires_grad else result

    return bag


def _long_rows(original: Any) -> Any:
    """The last of more than 32 columns is off in bfloat16, by the third bit."""

    def bag(indices: Any, weight: Any, *rest: Any, **words: Any) -> Any:
        result = original(indices, weight, *rest, **words)
        if weight.dtype == torch.bfloat16 and weight.shape[1] > 32:
            result[:, 32] *= 1.125
        return result

    return bag


SABOTEURS = (
    Saboteur("bags-norm-gradient", "with max_norm the gradient is off", ("bags.norm-gradient",),
             "gradient", replacing(torch.nn.functional, "embedding_bag", _scaled_twice)),
    Saboteur("bags-long", "the last column of long rows in bfloat16 is off", ("bags.wide",),
             "result", replacing(torch.nn.functional, "embedding_bag", _long_rows)),
    Saboteur("bags-dense", "the gradient of a mean is dense",
             ("bags.gradient:mean-sparse",), "gradient is sparse",
             replacing(functional, "embedding_bag", _dense)),
    Saboteur("bags-padding", "a mean with padding and its end told is halved",
             ("bags.gradient:mean",), "result",
             replacing(functional, "embedding_bag", _padding_halves)),
    Saboteur("bags-weighted-gradient", "the gradient through weighted bags is off",
             ("bags.gradient:sum",), "gradient",
             replacing(functional, "embedding_bag", _scaled_weights)),
    Saboteur("bags-frequency", "the gradient by frequency is off",
             ("bags.gradient:sum-by-frequency",), "gradient",
             replacing(functional, "embedding_bag", _half_by_frequency)),
    Saboteur("bags-norm", "max_norm is ignored where maxima are taken",
             ("bags.norm",), "", replacing(functional, "embedding_bag", _unscaled)),
    Saboteur("bags-thawed", "from_pretrained with padding_idx does not freeze",
             ("bags.module",), "requires_grad", _patch_pretrained),
    Saboteur("bags-weighted-mean", "weights of samples are accepted for means",
             ("bags.refused:weighted-mean",), "it is refused",
             replacing(functional, "embedding_bag", _accepts_means)),
)  # fmt: skip
