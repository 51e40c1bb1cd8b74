"""Faults around the backward of custom Functions: what it gets, and what it may return."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import BackwardCFunction, FunctionCtx

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def _backward(change: Any) -> Patch:
    """Patch what the engine calls so that ``change(node, gradients)`` is what comes out."""

    def make(original: Any) -> Any:
        return lambda self, *cotangents: change(self, original(self, *cotangents))

    return replacing(BackwardCFunction, "apply", make)


def _within(mode: Any) -> Any:
    def make(original: Any) -> Any:
        def apply(self: Any, *cotangents: Any) -> Any:
            with mode():
                return original(self, *cotangents)

        return apply

    return make


def _applied(change: Any) -> Any:
    def make(original: Any) -> Any:
        def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
            return change(arguments, original.__func__(cls, *arguments, **keywords))

        return classmethod(apply)

    return make


def _matrices_scaled(_: Any, result: Any) -> Any:
    if isinstance(result, Tensor) and result.dim() == 2 and result.requires_grad:
        result.register_hook(lambda gradient: gradient * (1 + 2.0**-50))
    return result


def _first_tensor_decides(arguments: Any, result: Any) -> Any:
    first = next(a for a in arguments if isinstance(a, Tensor))
    return result if first.requires_grad else result.detach()


def _reduced(node: Any, gradients: Any) -> Any:
    """Gradients of one element are expanded to the shape of another's."""
    if not isinstance(gradients, tuple):
        return gradients
    largest = max((g for g in gradients if isinstance(g, Tensor)), key=Tensor.numel)
    return tuple(
        g.expand_as(largest) if isinstance(g, Tensor) and g.numel() == 1 else g for g in gradients
    )


def _last_ones(node: Any, gradients: Any) -> Any:
    count = len(node.needs_input_grad)
    return gradients[-count:] if isinstance(gradients, tuple) else gradients


def _zeros_for_none(node: Any, gradients: Any) -> Any:
    if not isinstance(gradients, tuple):
        return gradients
    like = next(g for g in gradients if isinstance(g, Tensor))
    pairs = zip(gradients, node.needs_input_grad, strict=False)
    return tuple(torch.zeros_like(like) if g is None and needs else g for g, needs in pairs)


def _prefers_backward(self: Any) -> Any:
    cls = self._forward_cls
    own = cls.backward is not torch.autograd.Function.backward
    return cls.backward if own else cls.vjp


def _nothing_to_second(original: Any) -> Any:
    """The second input of a Function that writes to a result gets no gradient."""

    def apply(cls: Any, *inputs: Any) -> Any:
        if len(inputs) == 2 and all(isinstance(i, Tensor) for i in inputs):
            first, second = inputs
            return original.__func__(cls, first, second.detach() if first.requires_grad else second)
        return original.__func__(cls, *inputs)

    return classmethod(apply)


SABOTEURS = (
    Saboteur(
        "backward-never-records", "the backward of a Function is not recorded under create_graph",
        ("custom-function.legendre", "custom-function.second-order"), "require grad",
        replacing(BackwardCFunction, "apply", _within(torch.no_grad)),
    ),
    Saboteur(
        "function-of-matrix-scaled", "the gradient of a Function of a matrix is 2**-50 off",
        ("custom-function.in-functions",), "grad of leaf",
        replacing(torch.autograd.Function, "apply", _applied(_matrices_scaled)),
    ),
    Saboteur(
        "first-tensor-decides", "a result requires grad only if the first tensor does",
        ("custom-function.requires-grad",), "requires_grad",
        replacing(torch.autograd.Function, "apply", _applied(_first_tensor_decides)),
    ),
    Saboteur(
        "backward-always-records", "the backward of a Function is recorded without create_graph",
        ("custom-function.grad-mode",), "grad mode in forward and backward",
        replacing(BackwardCFunction, "apply", _within(torch.enable_grad)),
    ),
    Saboteur(
        "gradient-expanded", "a gradient of one element is expanded to another's shape",
        ("custom-function.invalid-gradient:narrow",), "raised nothing", _backward(_reduced),
    ),
    Saboteur(
        "last-gradients-count", "of too many gradients the last ones count",
        ("custom-function.trailing-none",), "different than None", _backward(_last_ones),
    ),
    Saboteur(
        "zeros-for-none", "None for what needs a gradient becomes zeros",
        ("custom-function.none-gradient",), "grad of leaf", _backward(_zeros_for_none),
    ),
    Saboteur(
        "backward-before-vjp", "a Function with vjp and backward uses backward",
        ("custom-function.vjp",), "raised nothing",
        replacing(BackwardCFunction, "_get_user_fn", lambda original: _prefers_backward),
    ),
    Saboteur(
        "always-materializes", "set_materialize_grads(False) does nothing",
        ("custom-function.materialize:off",), "cotangent of an unused output",
        replacing(FunctionCtx, "set_materialize_grads", lambda original: lambda self, value: None),
    ),
    Saboteur(
        "dirty-first-loses-second", "a Function writing to a result forgets its other input",
        ("custom-function.mark-dirty-beside",), "grad of leaf",
        replacing(torch.autograd.Function, "apply", _nothing_to_second),
    ),
)  # fmt: skip
