"""Faults in gradient clipping: norms, thresholds, errors."""

from __future__ import annotations

from math import inf
from typing import Any

import torch

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, after, replacing

CLIP = torch.nn.utils


def _each_alone(original: Any) -> Any:
    """Each gradient is clipped by its own norm, as it was in old frameworks."""

    def clip(parameters: Any, max_norm: float, *rest: Any, **words: Any) -> Any:
        several = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        norm = original(several, inf, *rest, **words)
        for parameter in several:
            original([parameter], max_norm, *rest, **words)
        return norm

    return clip


def _clips_then_raises(original: Any) -> Any:
    def clip(parameters: Any, max_norm: float, *rest: Any, **words: Any) -> Any:
        several = list(parameters)
        try:
            return original(several, max_norm, *rest, **words)
        except RuntimeError:
            for parameter in several:
                parameter.grad.mul_(0)
            raise

    return clip


def _replaces(original: Any) -> Any:
    def clip(parameters: Any, value: float, foreach: Any = None) -> None:
        several = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        original(several, value, foreach)
        for parameter in several:
            if parameter.grad is not None and parameter.grad.dim() == 0:
                parameter.grad = parameter.grad.clone()

    return clip


def _first_only(original: Any) -> Any:
    def clip(parameters: Any, *rest: Any, **words: Any) -> Any:
        if not isinstance(parameters, (list, tuple, torch.Tensor)):
            parameters = [next(iter(parameters))]
        return original(parameters, *rest, **words)

    return clip


SABOTEURS = (
    Saboteur("clip-each-alone", "each gradient is clipped by its own norm",
             ("clipping.norm:two",), "gradient",
             replacing(CLIP, "clip_grad_norm_", _each_alone)),
    Saboteur("clip-norm-after", "the norm returned is that after clipping",
             ("clipping.norm:one",), "norm",
             when(CLIP, "clip_grad_norm_", lambda *a, **k: k.get("norm_type") == 1.0,
                  lambda original, p, m, **k: original(p, m, **k).clamp(max=m))),
    Saboteur("clip-infinity-as-two", "the infinity norm is the largest norm",
             ("clipping.norm:infinity",), "norm",
             rewriting(CLIP, "clip_grad_norm_", lambda *a, **k: (
                 a, {**k, "norm_type": 64.0 if k.get("norm_type") == inf else k["norm_type"]}))),
    Saboteur("clip-foreach-half", "with foreach=True the norm is too large",
             ("clipping.norm:three",), "norm",
             when(CLIP, "clip_grad_norm_", lambda *a, **k: k.get("foreach"),
                  lambda original, *a, **k: original(*a, **k) * 1.0001)),
    Saboteur("clip-nonfinite-silent", "an infinite norm is no error",
             ("clipping.nonfinite:infinity",), "raised nothing",
             dropping(CLIP, "clip_grad_norm_", "error_if_nonfinite")),
    Saboteur("clip-nonfinite-changes", "the gradients are zeroed before the error",
             ("clipping.nonfinite:nan",), "after the error",
             replacing(CLIP, "clip_grad_norm_", _clips_then_raises)),
    Saboteur("clip-generator", "of an iterator one parameter is clipped",
             ("clipping.norm:half",), "norm", replacing(CLIP, "clip_grad_norm_", _first_only)),
    Saboteur("clip-total-scaled", "the total norm of several gradients is off",
             ("clipping.total-norm:three",), "norm",
             when(CLIP, "get_total_norm", lambda g, **k: len(list(g)) > 2,
                  lambda original, *a, **k: original(*a, **k) * 0.999)),
    Saboteur("clip-enlarges", "gradients below the limit are enlarged to it",
             ("clipping.total-norm:two",), "gradient",
             when(CLIP, "clip_grads_with_norm_", lambda p, m, n, **k: n < m,
                  lambda original, p, m, n, **k: [q.grad.mul_(m / n) for q in p
                                                  if q.grad is not None])),
    Saboteur("clip-value-above", "values are cut off above only",
             ("clipping.value",), "gradient",
             when(CLIP, "clip_grad_value_", lambda p, v, **k: v == 0.5,
                  lambda original, p, v, **k: [q.grad.clamp_(max=v) for q in p
                                               if q.grad is not None][:0] or None)),
    Saboteur("clip-value-copies", "a scalar gradient is replaced by its clipped copy",
             ("clipping.value",), "is the same tensor",
             replacing(CLIP, "clip_grad_value_", _replaces)),
    Saboteur("clip-value-returns", "clip_grad_value_ returns what it was given",
             ("clipping.value",), "returned",
             after(CLIP, "clip_grad_value_", lambda result: [])),
)  # fmt: skip
