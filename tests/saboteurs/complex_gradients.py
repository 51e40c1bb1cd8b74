"""Faults in complex gradients: a conjugate that is missing, parts exchanged, one mode only."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from tests.saboteurs.autograd import leaves_of
from tests.saboteurs.faults import changed, when
from tests.saboteurs.func import transforming
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _complex_leaves(change: Any, condition: Any = None) -> Any:
    """Patch backward to change what it leaves in complex leaves."""

    def make(original: Any) -> Any:
        def backward(self: Tensor, *arguments: Any, **words: Any) -> None:
            leaves = {leaf for leaf in leaves_of(self.grad_fn) if leaf.is_complex()}
            before = {leaf: leaf.grad for leaf in leaves}
            original(self, *arguments, **words)
            for leaf in leaves:
                fits = condition is None or condition(self, leaf)
                if leaf.grad is not None and before[leaf] is None and fits:
                    leaf.grad = change(leaf.grad)

        return backward

    return replacing(Tensor, "backward", make)


def _conjugated(gradient: Tensor) -> Tensor:
    return gradient.conj().resolve_conj()


def _imaginary_off(gradient: Tensor) -> Tensor:
    return torch.complex(gradient.real, gradient.imag * 1.001)


def _real_root(root: Tensor, leaf: Tensor) -> bool:
    return not root.is_complex()


def _matrix(root: Tensor, leaf: Tensor) -> bool:
    return leaf.dim() == 2


class _Unconjugated(torch.autograd.Function):
    """A product whose gradient to the second factor is not conjugated."""

    @staticmethod
    def forward(context: Any, a: Tensor, b: Tensor) -> Tensor:
        context.save_for_backward(a, b)
        return torch.mul(a, b)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        a, b = context.saved_tensors
        to_b = torch.mul(cotangent, a).sum_to_size(b.shape)
        return torch.mul(cotangent, b.conj()).sum_to_size(a.shape), to_b


def _multiplies_complex(original: Any) -> Any:
    def multiply(a: Tensor, b: Any) -> Any:
        fits = isinstance(b, Tensor) and a.is_complex() and b.is_complex()
        return _Unconjugated.apply(a, b) if fits and b.requires_grad else original(a, b)

    return multiply


def _implicit_one(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **words: Any) -> None:
        if gradient is None and self.is_complex():
            gradient = torch.ones_like(self)
        original(self, gradient, **words)

    return backward


def _tangent_conjugated(original: Any) -> Any:
    """The tangent of a result with dimensions is conjugated."""

    def unpack_dual(tensor: Tensor, **words: Any) -> Any:
        found = original(tensor, **words)
        if found.tangent is None or not found.tangent.is_complex() or not tensor.dim():
            return found
        return forward_ad.UnpackedDualTensor(found.primal, found.tangent.conj())

    return unpack_dual


def _real_leaves_off(original: Any) -> Any:
    """A real leaf gets the modulus where the real part is due."""

    def backward(self: Tensor, *arguments: Any, **words: Any) -> None:
        original(self, *arguments, **words)
        for leaf in set(leaves_of(self.grad_fn)):
            if self.is_complex() and not leaf.is_complex() and leaf.grad is not None:
                leaf.grad = leaf.grad.abs()

    return backward


def _gradient_of_conjugated(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.is_conj()


def _of_part(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and isinstance(outputs, Tensor) and outputs.dim() == 0


def _turned(found: Any) -> Any:
    return changed(found, lambda gradient: gradient * 1j)


def _with_graph(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("create_graph"))


def _derivative_conjugated(found: Any) -> Any:
    """The same gradient, whose derivative counts 0.1 % more in its imaginary part."""

    def spoiled(gradient: Tensor) -> Tensor:
        return gradient + 0.001j * (gradient.imag - gradient.imag.detach())

    return changed(found, spoiled)


def _accepts_complex(original: Any) -> Any:
    def transform(function: Any, *arguments: Any, **words: Any) -> Any:
        transformed = original(function, *arguments, **words)

        def faulty(*points: Any) -> Any:
            if points[0].is_complex():
                points = tuple(torch.view_as_real(point.resolve_conj())[..., 0] for point in points)
            return transformed(*points)

        return faulty

    return transform


def _conjugate_last(found: Any) -> Any:
    return changed(found, lambda gradient: gradient.conj().resolve_conj(), -1)


SABOTEURS = (
    Saboteur(
        "complex-gradient-conjugated", "the gradient of a complex leaf is the other convention's",
        ("complex-gradients.conjugate-convention",), "gradient", _complex_leaves(_conjugated),
    ),
    Saboteur(
        "complex-gradient-of-matrix", "the imaginary part of a matrix's gradient is 0.1 % off",
        ("complex-gradients.conjugate-convention",), "gradient",
        _complex_leaves(_imaginary_off, _matrix),
    ),
    Saboteur(
        "complex-gradient-of-real-loss", "the gradient of a real loss is 0.1 % off in its imag",
        ("complex-gradients.real-loss",), "gradient", _complex_leaves(_imaginary_off, _real_root),
    ),
    Saboteur(
        "complex-implicit-one", "backward of a complex scalar starts from 1",
        ("complex-gradients.implicit-raises",), "raised nothing",
        replacing(Tensor, "backward", _implicit_one),
    ),
    Saboteur(
        "complex-tangent-conjugated", "a complex tangent with dimensions is conjugated",
        ("complex-gradients.jvp",), "tangent",
        replacing(forward_ad, "unpack_dual", _tangent_conjugated),
    ),
    Saboteur(
        "complex-product-unconjugated", "a product's gradient to its second factor lacks conj",
        ("complex-gradients.holomorphic", "complex-gradients.conjugate-convention"), "gradient",
        replacing(Tensor, "__mul__", _multiplies_complex),
    ),
    Saboteur(
        "complex-real-leaf-modulus", "a real leaf's gradient loses its sign",
        ("complex-gradients.real-leaf",), "gradient to r",
        replacing(Tensor, "backward", _real_leaves_off),
    ),
    Saboteur(
        "complex-gradient-of-conjugated-leaf", "the gradient to a conjugated leaf is turned",
        ("complex-gradients.parts:real", "complex-gradients.parts:conj"), "gradient",
        when(torch.autograd, "grad", _gradient_of_conjugated, _turned),
    ),
    Saboteur(
        "complex-part-of-scalar", "the gradient through a part without dimensions is turned",
        ("complex-gradients.parts:imag", "complex-gradients.parts:resolve_conj"), "gradient",
        when(torch.autograd, "grad", _of_part, _turned),
    ),
    Saboteur(
        "complex-func-grad-imaginary", "func.grad is 0.1 % off in imaginary parts",
        ("complex-gradients.func-grad",), "gradient",
        transforming("grad", lambda found: changed(found, _imaginary_off)),
    ),
    Saboteur(
        "complex-func-grad-last", "func.grad conjugates the last gradient",
        ("complex-gradients.func-grad",), "gradient", transforming("grad", _conjugate_last),
    ),
    Saboteur(
        "complex-jacobian-of-real-part", "func.jacrev takes the real part of complex inputs",
        ("complex-gradients.jacobian-refused:jacrev",), "raised nothing",
        replacing(torch.func, "jacrev", _accepts_complex),
    ),
    Saboteur(
        "complex-second-derivative", "a complex gradient's derivative is 0.1 % off in its imag",
        ("complex-gradients.second-derivative",), "second derivative",
        when(torch.autograd, "grad", _with_graph, _derivative_conjugated),
    ),
)  # fmt: skip
