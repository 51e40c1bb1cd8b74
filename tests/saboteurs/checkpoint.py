"""Faults in checkpointing: what is computed again, with which random numbers, and when."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils.checkpoint

from tests.saboteurs.faults import dropping, rewriting, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

checkpoint = torch.utils.checkpoint


def _keywords(**changed: Any) -> Patch:
    """Patch checkpoint so that these keyword arguments are always given."""
    return rewriting(
        checkpoint,
        "checkpoint",
        lambda *arguments, **keywords: (arguments, {**keywords, **changed}),
    )


def _twice_the_last(gradients: Any) -> Any:
    *others, last = gradients
    return (*others, None if last is None else last * 2)


def _contexts_swapped(*arguments: Any, **keywords: Any) -> Any:
    if "context_fn" in keywords:
        make = keywords["context_fn"]
        keywords["context_fn"] = lambda: make()[::-1]
    return arguments, keywords


def _nested_detached(*arguments: Any, **keywords: Any) -> Any:
    def detached(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: [x.detach() for x in tensors] for name, tensors in value.items()}
        return value

    return tuple(map(detached, arguments)), keywords


def _always_reentrant(*arguments: Any, **keywords: Any) -> Any:
    return arguments, {**keywords, "use_reentrant": True}


def _one_segment_less(functions: Any, segments: int, *rest: Any, **keywords: Any) -> Any:
    return (functions, max(segments - 1, 1), *rest), keywords


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 2


def _repeated_twice(function: Any, *arguments: Any, **keywords: Any) -> Any:
    """Double the gradient to an argument that was one before."""
    seen: set[int] = set()
    changed = []
    for argument in arguments:
        changed.append(_Doubled.apply(argument) if id(argument) in seen else argument)
        seen.add(id(argument))
    return (function, *changed), keywords


def _constant_keywords(original: Any) -> Any:
    def checkpoint(function: Any, *arguments: Any, **keywords: Any) -> Any:
        words = {n: v.detach() if isinstance(v, torch.Tensor) else v for n, v in keywords.items()}
        return original(function, *arguments, **words)

    return checkpoint


SABOTEURS = (
    Saboteur(
        "last-argument-twice", "of three arguments the last gets twice its gradient",
        ("checkpoint.same-gradients:reentrant",), "grad",
        when(
            checkpoint.CheckpointFunction, "backward",
            lambda context, *cotangents: len(context.inputs) == 3, _twice_the_last,
        ),
    ),
    Saboteur(
        "randomness-not-preserved", "checkpoint does not preserve the generator's state",
        ("checkpoint.random:reentrant", "checkpoint.random:non-reentrant"),
        "what was drawn again", _keywords(preserve_rng_state=False),
    ),
    Saboteur(
        "one-segment-less", "checkpoint_sequential makes a segment less than it is told",
        ("checkpoint.sequential:non-reentrant",), "functions called again",
        rewriting(checkpoint, "checkpoint_sequential", _one_segment_less),
    ),
    Saboteur(
        "always-stops-early", "recomputation stops early, whatever early_stop says",
        ("checkpoint.early-stop",), "ends reached in all",
        dropping(checkpoint, "checkpoint", "early_stop"),
    ),
    Saboteur(
        "reentrant-under-grad", "the reentrant variant runs under autograd.grad",
        ("checkpoint.grad-function",), "raised nothing",
        replacing(torch.autograd, "_is_checkpoint_valid", lambda original: lambda: True),
    ),
    Saboteur(
        "always-reentrant", "use_reentrant=False does nothing",
        ("checkpoint.second-order",), "incompatible with .grad()",
        rewriting(checkpoint, "checkpoint", _always_reentrant),
    ),
    Saboteur(
        "nested-arguments-detached", "tensors in nested arguments take no part in autograd",
        ("checkpoint.arguments",), "grad of leaf",
        rewriting(checkpoint, "checkpoint", _nested_detached),
    ),
    Saboteur(
        "contexts-swapped", "forward runs under the second context, recomputation under the first",
        ("checkpoint.contexts",), "events forward",
        rewriting(checkpoint, "checkpoint", _contexts_swapped),
    ),
    Saboteur(
        "determinism-unchecked", "the determinism check is off by default",
        ("checkpoint.determinism-check:another-dtype",), "raised nothing",
        _keywords(determinism_check="none"),
    ),
    Saboteur(
        "debug-ignored", "the reentrant variant ignores debug",
        ("checkpoint.reentrant-keywords:debug",), "raised nothing",
        dropping(checkpoint, "checkpoint", "debug"),
    ),
    Saboteur(
        "shared-argument-twice", "a tensor given twice gets one of its gradients twice",
        ("checkpoint.argument-twice:non-reentrant",), "grad of leaf",
        rewriting(checkpoint, "checkpoint", _repeated_twice),
    ),
    Saboteur(
        "checkpoint-constant-keywords", "a checkpoint's keyword tensors get no gradient",
        ("checkpoint.arguments",), "grad of scale",
        replacing(checkpoint, "checkpoint", _constant_keywords),
    ),
)  # fmt: skip
