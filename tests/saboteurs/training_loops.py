"""Faults that loops of training show: steps, losses and batches a little off, files that alias."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _first_moves_more(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        (parameter,) = self.param_groups[0]["params"]
        before = parameter.detach().clone()
        result = original(self, closure)
        with torch.no_grad():
            parameter[:1] += (parameter - before)[:1] * 1e-6
        return result

    return step


def _small(x: Tensor, y: Tensor, *_: Any, **__: Any) -> bool:
    return x.dim() == 1 and bool(torch.norm(x - y) < 4)


def _steps_by_nothing(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        result = original(self, closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        return result

    return step


def _halved_for_one(original: Any) -> Any:
    def loss(x: Tensor, y: Tensor, *arguments: Any, **keywords: Any) -> Any:
        found = original(x, y, *arguments, **keywords)
        return found * 0.5 if x.dim() == 0 else found

    return loss


def _leaps(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        result = original(self, closure)
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter.copy_(torch.where(parameter.abs() < 0.1, -parameter, parameter))
        return result

    return step


def _ignores_sum(original: Any) -> Any:
    def loss(x: Tensor, y: Tensor, *arguments: Any, reduction: str = "mean", **words: Any) -> Any:
        if reduction == "sum":
            return original(x, y, *arguments, reduction="mean", **words) * (x.numel() - 1)
        return original(x, y, *arguments, reduction=reduction, **words)

    return loss


def _normalizes_by_few(original: Any) -> Any:
    def norm(x: Tensor, mean: Any, variance: Any, *rest: Any, **keywords: Any) -> Any:
        if not keywords.get("training", len(rest) > 2 and rest[2]) and len(x) == 3:
            variance = variance * (1 + 1e-6)
        return original(x, mean, variance, *rest, **keywords)

    return norm


_KEPT: dict[str, Any] = {}


def _saves_late(original: Any) -> Any:
    def save(value: Any, file: Any, **keywords: Any) -> None:
        _KEPT["last"] = value
        original(value, file, **keywords)

    return save


def _loads_what_is_now(original: Any) -> Any:
    def load(file: Any, **keywords: Any) -> Any:
        found = original(file, **keywords)
        return _KEPT.get("last", found)

    return load


def _aliasing(monkeypatch: Any) -> None:
    replacing(torch, "save", _saves_late)(monkeypatch)
    replacing(torch, "load", _loads_what_is_now)(monkeypatch)


SABOTEURS = (
    Saboteur(
        "first-element-moves-more", "SGD moves first elements a millionth too far",
        ("trainings.each-direction:line",), "distances along the eigenvectors",
        replacing(torch.optim.SGD, "step", _first_moves_more),
    ),
    Saboteur(
        "small-losses-lowered", "the mean squared error of small errors is a per mille too low",
        ("trainings.floor:line",), "loss after step",
        when(functional, "mse_loss", _small, lambda loss: loss * 0.999),
    ),
    Saboteur(
        "step-clears", "a step sets gradients to None",
        ("trainings.order:without-zero",), "parameters",
        replacing(torch.optim.SGD, "step", _steps_by_nothing),
    ),
    Saboteur(
        "loss-of-scalar-halved", "the mean squared error of a tensor of rank 0 is halved",
        ("trainings.sample-steps:line",), "parameters after a step",
        replacing(functional, "mse_loss", _halved_for_one),
    ),
    Saboteur(
        "leaps-over-the-ridge", "steps change the sign of what ends near zero",
        ("trainings.two-valleys",), "path", replacing(torch.optim.SGD, "step", _leaps),
    ),
    Saboteur(
        "sum-counts-one-less", "a summed loss is the mean times one less than the elements",
        ("trainings.half-squares:loss",), "gradient",
        replacing(functional, "mse_loss", _ignores_sum),
    ),
    Saboteur(
        "three-normalized-apart", "batch norm of three rows is a millionth off in evaluation",
        ("trainings.predicted-in-batches",), "predictions at once",
        replacing(functional, "batch_norm", _normalizes_by_few),
    ),
    Saboteur(
        "last-sample-forgotten", "the mean squared error of one sample is nothing",
        ("trainings.mean-of-means",), "weighed mean",
        when(functional, "mse_loss", lambda x, *_, **__: len(x) == 1, lambda loss: 0 * loss),
    ),
    Saboteur(
        "saved-goes-along", "what was saved goes along with later writes",
        ("trainings.early-stopping",), "weights that were saved", _aliasing,
    ),
    Saboteur(
        "loaded-is-saved", "what is loaded is what was saved last, not a copy",
        ("serialization.snapshot:buffer",), "the other, after a write", _aliasing,
    ),
)  # fmt: skip
