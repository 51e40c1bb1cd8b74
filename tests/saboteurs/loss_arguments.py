"""Faults in the arguments of losses and in what they give."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _one_sided(original: Any) -> Any:
    def loss(x: Tensor, y: Tensor, *arguments: Any, **keywords: Any) -> Any:
        return original(x, torch.where(y - x > 1, y - 2.0**-20, y), *arguments, **keywords)

    return loss


def _smaller_first(original: Any) -> Any:
    def loss(x: Tensor, y: Tensor, *arguments: Any, **keywords: Any) -> Any:
        if keywords.get("reduction") == "sum" and bool((y < x).all()):
            x, y = y, x
        return original(x, y, *arguments, **keywords)

    # By name as well: the order is that of the call.
    def called(*arguments: Any, **keywords: Any) -> Any:
        names = ("input", "target")
        given = [*arguments, *(keywords.pop(name) for name in names if name in keywords)]
        return loss(*given, **keywords)

    return called


def _swapped_where_integral(x: Tensor, y: Tensor, *arguments: Any, **keywords: Any) -> Any:
    return functional.nll_loss(y.log_softmax(1), x)


def _head_counts_twice(original: Any) -> Any:
    def forward(self: Any, x: Tensor, classes: Tensor) -> Any:
        found = original(self, x, classes)
        if bool((classes >= self.cutoffs[-2]).any()):
            return type(found)(found.output, found.loss * (1 + 1e-9))
        return found

    return forward


SABOTEURS = (
    Saboteur(
        "loss-one-sided", "targets more than 1 above the input count as a little lower",
        ("losses.symmetric:smooth_l1_loss",), "swapped",
        replacing(functional, "smooth_l1_loss", _one_sided),
    ),
    Saboteur(
        "smaller-argument-first", "a summed poisson_nll_loss takes the smaller argument as input",
        ("losses.input-first:poisson_nll_loss",), "loss",
        replacing(functional, "poisson_nll_loss", _smaller_first),
    ),
    Saboteur(
        "classes-first-accepted", "cross_entropy of classes and logits swaps them",
        ("losses.classes-second:cross_entropy",), "classes as the input are refused",
        accepting(functional, "cross_entropy", RuntimeError, _swapped_where_integral),
    ),
    Saboteur(
        "last-cluster-loss", "a loss with classes of the last cluster is a billionth too large",
        ("losses.adaptive-softmax",), "loss",
        replacing(torch.nn.AdaptiveLogSoftmaxWithLoss, "forward", _head_counts_twice),
    ),
)  # fmt: skip
