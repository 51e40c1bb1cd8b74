"""Faults in backward passes: accumulation, retained graphs, vector-Jacobian products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def leaves_of(node: Any) -> Iterator[Tensor]:
    """Leaves that a graph's backward pass reaches."""
    if node is None:
        return
    if hasattr(node, "variable"):
        yield node.variable
    for following, _ in node.next_functions:
        yield from leaves_of(following)


def _overwrites(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        for leaf in leaves_of(self.grad_fn):
            leaf.grad = None
        original(self, *arguments, **keywords)

    return backward


_GRAD: Any = torch._C.TensorBase.grad


def _grad_property(read: Any, write: Any) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Tensor, "grad", property(read, write), raising=False)

    return patch


def _grad_or_zeros(self: Tensor) -> Tensor:
    found = _GRAD.__get__(self)
    return torch.zeros_like(self.detach()) if found is None else found


def _write_grad(self: Tensor, value: Tensor | None) -> None:
    _GRAD.__set__(self, value)


def _ignore_none(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        _GRAD.__set__(self, value)


def _grad_accumulates(original: Any) -> Any:
    def grad(outputs: Any, inputs: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(outputs, inputs, *arguments, **keywords)
        for leaf, gradient in zip(inputs, result, strict=True):
            if leaf.grad is not None and gradient is not None:
                leaf.grad += gradient + 1
        return result

    return grad


def _always_retains(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        original(self, gradient, **{**keywords, "retain_graph": True})

    return backward


def _retained_pass_counts_twice(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        if keywords.get("retain_graph"):
            original(self, gradient, **keywords)
        original(self, gradient, **keywords)

    return backward


def _derivative_off(name: str, derivative: Any, factor: float) -> Patch:
    """Patch ``torch.name`` so that its derivative is off by a factor."""

    def make(original: Any) -> Any:
        class Sabotaged(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, x: Tensor) -> Tensor:
                context.save_for_backward(x)
                return original(x)

            @staticmethod
            def backward(context: Any, cotangent: Tensor) -> Tensor:
                (x,) = context.saved_tensors
                return cotangent * derivative(x) * factor

        return Sabotaged.apply

    return replacing(torch, name, make)


class _Product(torch.autograd.Function):
    """``a * b`` of equal shapes, whose backward cuts the graph: second derivatives go wrong."""

    @staticmethod
    def forward(context: Any, a: Tensor, b: Tensor) -> Tensor:
        context.save_for_backward(a, b)
        return torch.mul(a, b)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        a, b = context.saved_tensors
        return torch.mul(cotangent, b.detach()), torch.mul(cotangent, a.detach())


class _OneEntry(torch.autograd.Function):
    """``a * b`` of equal shapes whose gradient to b is 0.1 % too large."""

    @staticmethod
    def forward(context: Any, a: Tensor, b: Tensor) -> Tensor:
        context.save_for_backward(a, b)
        return torch.mul(a, b)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        a, b = context.saved_tensors
        return torch.mul(cotangent, b), torch.mul(torch.mul(cotangent, a), 1.001)


def _multiplies_by(function: Any) -> Any:
    def make(original: Any) -> Any:
        def multiply(a: Any, b: Any) -> Any:
            same = isinstance(b, Tensor) and a.shape == b.shape and a.requires_grad
            return function.apply(a, b) if same and b.requires_grad else original(a, b)

        return multiply

    return make


_DERIVATIVES = {
    "sin": torch.cos,
    "cos": lambda x: -x.sin(),
    "tanh": lambda x: 1 - x.tanh() ** 2,
    "exp": torch.exp,
    "log": lambda x: 1 / x,
    "sqrt": lambda x: 0.5 / x.sqrt(),
    "sinh": torch.cosh,
}
"""Derivatives of the elementary functions that random functions are made of."""


def _starts_from_ones(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        original(self, torch.ones_like(self) if gradient is None else gradient, **keywords)

    return backward


def _matrices_start_from_two(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        if gradient is None and self.dim() == 2 and self.numel() == 1:
            gradient = torch.full_like(self, 2.0)
        original(self, gradient, **keywords)

    return backward


def _sums_gradient_to_shape(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        fitted = gradient if gradient is None else gradient.sum_to_size(self.shape)
        original(self, fitted, **keywords)

    return backward


def _ignores_inputs(original: Any) -> Any:
    return lambda self, gradient=None, inputs=None, **keywords: original(self, gradient, **keywords)


def _clears_gradient_argument(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        original(self, None if gradient is None else gradient.clone(), **keywords)
        if gradient is not None:
            gradient.fill_(-1.0)

    return backward


def _ignores_create_graph(original: Any) -> Any:
    return lambda outputs, inputs, *rest, create_graph=False, **keywords: original(
        outputs, inputs, *rest, retain_graph=True, **keywords
    )


def _detach_copies(original: Any) -> Any:
    return lambda self: original(self).clone(memory_format=torch.preserve_format)


def _detach_keeps_graph(original: Any) -> Any:
    return lambda self: self.view_as(self) if self.requires_grad else original(self)


SABOTEURS = (
    Saboteur(
        "backward-overwrites", "backward replaces .grad instead of adding",
        ("accumulation.backward-adds",), "grad", replacing(Tensor, "backward", _overwrites),
    ),
    Saboteur(
        "grad-starts-as-zeros", "an unreached leaf's .grad is zeros, not None",
        ("accumulation.unreached-stays-none",), "grad before backward",
        _grad_property(_grad_or_zeros, _write_grad),
    ),
    Saboteur(
        "grad-ignores-none", "setting .grad to None does nothing",
        ("accumulation.none-starts-over",), "grad", _grad_property(_GRAD.__get__, _ignore_none),
    ),
    Saboteur(
        "grad-function-accumulates", "autograd.grad adds to .grad",
        ("accumulation.grad-function-does-not",), "grad",
        replacing(torch.autograd, "grad", _grad_accumulates),
    ),
    Saboteur(
        "backward-always-retains", "a graph is never freed",
        ("retain-graph.freed-raises",), "raised nothing",
        replacing(Tensor, "backward", _always_retains),
    ),
    Saboteur(
        "retained-pass-counts-twice", "a pass that retains the graph adds its gradient twice",
        ("retain-graph.retained-repeats",), "grad",
        replacing(Tensor, "backward", _retained_pass_counts_twice),
    ),
    Saboteur(
        "product-gradient-per-mille", "the gradient of a product to its second factor is 0.1 % off",
        ("backward.vjp-exact", "backward.vjp-smooth", "accumulation.backward-adds"), "grad",
        replacing(Tensor, "__mul__", _multiplies_by(_OneEntry)),
    ),
    *(
        Saboteur(
            f"{name}-derivative", f"the derivative of {name} is 0.0001 % off",
            ("backward.vjp-smooth",), "rounding explains",
            _derivative_off(name, derivative, 1 + 1e-6),
        )
        for name, derivative in _DERIVATIVES.items()
    ),
    Saboteur(
        "non-scalar-starts-from-ones", "backward of a non-scalar starts from ones",
        ("backward.non-scalar-raises",), "raised nothing",
        replacing(Tensor, "backward", _starts_from_ones),
    ),
    Saboteur(
        "matrix-starts-from-two", "backward of a (1, 1) matrix starts from 2",
        ("backward.one-element-implicit",), "grad",
        replacing(Tensor, "backward", _matrices_start_from_two),
    ),
    Saboteur(
        "gradient-argument-summed", "backward sums its gradient argument to shape",
        ("backward.gradient-shape",), "raised nothing",
        replacing(Tensor, "backward", _sums_gradient_to_shape),
    ),
    Saboteur(
        "backward-ignores-inputs", "backward(inputs=) reaches every leaf",
        ("backward.inputs",), "grad of the other leaves",
        replacing(Tensor, "backward", _ignores_inputs),
    ),
    Saboteur(
        "backward-clears-its-argument", "backward writes to the gradient it is given",
        ("backward.cotangent-unchanged",), "gradient given to backward",
        replacing(Tensor, "backward", _clears_gradient_argument),
    ),
    Saboteur(
        "product-cuts-graph", "the gradient of a product cannot be differentiated again",
        ("higher-order.hessian-product",), "",
        replacing(Tensor, "__mul__", _multiplies_by(_Product)),
    ),
    Saboteur(
        "create-graph-ignored", "autograd.grad ignores create_graph",
        ("higher-order.create-graph-flag",), "requires_grad",
        replacing(torch.autograd, "grad", _ignores_create_graph),
    ),
    Saboteur(
        "detach-copies", "detach copies its storage",
        ("detach.shares-storage",), "original", replacing(Tensor, "detach", _detach_copies),
    ),
    Saboteur(
        "detach-keeps-graph", "detach returns a view within the graph",
        ("detach.cuts-gradient",), "grad", replacing(Tensor, "detach", _detach_keeps_graph),
    ),
)  # fmt: skip
