"""Faults in how passes take their arguments: order, defaults, shapes, deprecated names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _options_swapped(self: Tensor, gradient: Any = None, *rest: Any, **keywords: Any) -> Any:
    swapped = (rest[1], rest[0], *rest[2:]) if len(rest) > 1 else rest
    return (self, gradient, *swapped), keywords


def _inputs_by_name_only(*arguments: Any, **keywords: Any) -> Any:
    return arguments[:5], keywords


def _unused_not_by_position(*arguments: Any, **keywords: Any) -> Any:
    return arguments[:6], {**keywords, "materialize_grads": len(arguments) > 6}


def _ones_for_nothing(self: Tensor, gradient: Any = None, *rest: Any, **keywords: Any) -> Any:
    if gradient is None and self.numel() == 0:
        gradient = torch.ones_like(self)
    return (self, gradient, *rest), keywords


def _ones_for_vectors(outputs: Any, inputs: Any, *rest: Any, **keywords: Any) -> Any:
    if not rest and isinstance(outputs, Tensor) and outputs.dim() == 2 and outputs.numel() > 1:
        rest = (torch.ones_like(outputs),)
    return (outputs, inputs, *rest), keywords


def _expanded(self: Tensor, gradient: Any = None, *rest: Any, **keywords: Any) -> Any:
    if gradient is not None and gradient.dim() < self.dim():
        gradient = gradient.expand_as(self)
    return (self, gradient, *rest), keywords


def _expanded_in_list(tensors: Any, gradients: Any = None, *rest: Any, **keywords: Any) -> Any:
    if isinstance(gradients, list) and gradients[0].shape[-1:] == (1,):
        gradients = [gradients[0].expand_as(tensors[0])]
    return (tensors, gradients, *rest), keywords


def _prefers_grad_tensors(original: Any) -> Any:
    def backward(tensors: Any, grad_tensors: Any = None, *rest: Any, **keywords: Any) -> Any:
        if grad_tensors is not None:
            keywords.pop("grad_variables", None)
        return original(tensors, grad_tensors, *rest, **keywords)

    return backward


def _has_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "back", Tensor.backward, raising=False)


SABOTEURS = (
    Saboteur(
        "backward-options-swapped", "by position create_graph comes before retain_graph",
        ("backward.by-position:method",), "requires_grad of the gradient",
        rewriting(Tensor, "backward", _options_swapped),
    ),
    Saboteur(
        "inputs-by-name-only", "autograd.backward ignores inputs that are given by position",
        ("backward.by-position:function",), "grad of leaf",
        rewriting(torch.autograd, "backward", _inputs_by_name_only),
    ),
    Saboteur(
        "unused-materialized-by-position", "allow_unused by position materializes zeros",
        ("backward.by-position:grad",), "grad of an input that is not used",
        rewriting(torch.autograd, "grad", _unused_not_by_position),
    ),
    Saboteur(
        "nothing-starts-from-ones", "backward of no elements needs no gradient",
        ("backward.implicit:method",), "raised nothing",
        rewriting(Tensor, "backward", _ones_for_nothing),
    ),
    Saboteur(
        "matrix-starts-from-ones", "autograd.grad starts from ones at a matrix",
        ("backward.implicit:grad",), "raised nothing",
        rewriting(torch.autograd, "grad", _ones_for_vectors),
    ),
    Saboteur(
        "gradient-gets-leading-sides", "backward expands a gradient of lower rank",
        ("backward.gradient-not-broadcast:method",), "raised nothing",
        rewriting(Tensor, "backward", _expanded),
    ),
    Saboteur(
        "gradient-of-side-one-expanded", "autograd.backward expands a last side of 1",
        ("backward.gradient-not-broadcast:function",), "raised nothing",
        rewriting(torch.autograd, "backward", _expanded_in_list),
    ),
    Saboteur(
        "lone-input-ignored", "a lone tensor among the keywords does not restrict a pass",
        ("backward.lone-tensor",), "grad of leaf",
        dropping(torch.autograd, "backward", "inputs", lambda given: isinstance(given, Tensor)),
    ),
    Saboteur(
        "both-names-accepted", "grad_tensors wins over grad_variables without an error",
        ("backward.grad-variables",), "raised nothing",
        replacing(torch.autograd, "backward", _prefers_grad_tensors),
    ),
    Saboteur(
        "only-inputs-silent", "only_inputs=False is ignored without a warning",
        ("autograd-grad.only-inputs",), "warnings",
        dropping(torch.autograd, "grad", "only_inputs"),
    ),
    Saboteur(
        "tensor-has-back", "back is backward",
        ("backward.no-other-name:back",), "raised nothing", _has_back,
    ),
)  # fmt: skip
