"""What faults are made of: functions that answer otherwise where a condition holds, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

HALF = (torch.float16, torch.bfloat16)


def where(applies: Callable[..., bool], instead: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return what makes of a function one that answers otherwise where a condition holds.

    ``instead`` is called with the original function first.
    """

    def make(original: Any) -> Any:
        def function(*arguments: Any, **keywords: Any) -> Any:
            if applies(*arguments, **keywords):
                return instead(original, *arguments, **keywords)
            return original(*arguments, **keywords)

        return function

    return make


def of_dtype(*dtypes: torch.dtype) -> Callable[..., bool]:
    """Return the condition that the first argument is a tensor of one of some dtypes."""
    return lambda x, *_, **__: isinstance(x, torch.Tensor) and x.dtype in dtypes


class ScaledGradient(torch.autograd.Function):
    """The identity, with a gradient that is a tenth of a percent too large."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 1.001


class StridedGradientLost(torch.autograd.Function):
    """The identity, which loses a gradient that does not lie contiguously."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] if gradients[0].is_contiguous() else gradients[0] * 0


class WrongTangent(torch.autograd.Function):
    """The identity, whose forward mode gives half of the tangent."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]

    @staticmethod
    def jvp(_: Any, *tangents: torch.Tensor) -> torch.Tensor:
        return tangents[0] / 2


class RootOnce(torch.autograd.Function):
    """``1 / sqrt(x)`` whose gradient takes x for a constant."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(x)
        return x**-0.5

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = context.saved_tensors
        return gradients[0] * (-0.5 * x.detach() ** -1.5)


class ConjugatedGradient(torch.autograd.Function):
    """The identity, whose gradient is conjugated."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].conj()

    @staticmethod
    def jvp(_: Any, *tangents: torch.Tensor) -> torch.Tensor:
        return tangents[0].clone()


def through(function: Any) -> Callable[[Any], Any]:
    """Return what passes the results of a function on through an autograd function."""
    return lambda original: lambda *a, **k: function.apply(original(*a, **k))
