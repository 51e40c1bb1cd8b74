"""A custom Function known to be right in every mode; faulty ones derive from it."""

from __future__ import annotations

from typing import Any

import torch


class Cubic(torch.autograd.Function):
    """``(5 x^3 - 3 x) / 2``, the third Legendre polynomial, with a context set up apart."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        """Return the polynomial's values."""
        return (x * x * x * 5 - x * 3) * 0.5

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        """Keep the input for both modes."""
        context.save_for_backward(*inputs)
        context.save_for_forward(*inputs)

    @staticmethod
    def backward(context: Any, cotangent: Any) -> Any:
        """Return the cotangent times the slope."""
        (x,) = context.saved_tensors
        return cotangent * (x * x * 5 - 1) * 1.5

    @staticmethod
    def jvp(context: Any, tangent: Any) -> Any:
        """Return the tangent times the slope."""
        (x,) = context.saved_tensors
        return tangent * (x * x * 5 - 1) * 1.5


def slope(x: Any) -> Any:
    """Return the cubic's derivative."""
    return (x * x * 15 - 3) / 2
