"""Hooks that write down what they are called with, and what a chain of them does to a gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.reference import derivatives
from strategies.functions import Function, numpy_of

EXECUTION = "notes/autograd.html#backward-hooks-execution"
"""Where torch says which hooks run, and in which order."""

MODULE = "generated/torch.nn.Module.html#torch.nn.Module."
"""Where the methods of modules are documented; the method's name is to follow."""

Array = npt.NDArray[Any]
Factor = float | None
Calls = list[tuple[int, torch.Tensor]]
"""The number of each hook that was called, with the gradient that it got."""

Expected = list[tuple[int, Array]]
"""The same as it should be."""

FACTORS: tuple[Factor, ...] = (None, 2.0, -1.0, 0.5, 3.0)
"""What a hook multiplies its gradient by; None for one that only looks, and returns None."""


def lists_of_factors(*, max_size: int = 4) -> st.SearchStrategy[list[Factor]]:
    """Draw the factors of some hooks, in the order in which they are registered."""
    return st.lists(st.sampled_from(FACTORS), min_size=1, max_size=max_size)


def watching(
    calls: Calls, number: int, factor: Factor = None
) -> Callable[[torch.Tensor], torch.Tensor | None]:
    """Return a hook that notes its calls, and multiplies by ``factor`` unless that is None."""

    def hook(gradient: torch.Tensor) -> torch.Tensor | None:
        calls.append((number, gradient.detach().clone()))
        return None if factor is None else gradient * factor

    return hook


def chain(gradient: Array, factors: Sequence[Factor]) -> tuple[list[Array], Array]:
    """Return what each of the hooks gets, and what the last of them leaves."""
    seen = []
    for factor in factors:
        seen.append(gradient)
        gradient = gradient if factor is None else gradient * factor
    return seen, gradient


def same_calls(calls: Calls, expected: Expected) -> None:
    """Check which hooks were called, in which order, and with which float64 gradients exactly."""
    order = [number for number, _ in expected]
    compare.fact([number for number, _ in calls], order, "hooks called, by number")
    for (number, got), (_, want) in zip(calls, expected, strict=True):
        what = f"gradient that hook {number} got"
        compare.close(got, np.asarray(want), bound=0.0, dtype=torch.float64, what=what)


def check_multiplied(product: torch.Tensor, leaf: torch.Tensor, f: Function, chosen: int) -> None:
    """Check the gradient g of a function to one of its leaves x, which a hook multiplied by x.

    It is g x, and the derivative of its sum is H x + g.
    """
    first = derivatives.gradient(numpy_of(f), f.points)[chosen]
    point = f.points[chosen]
    compare.close(product, first * point, bound=0.0, dtype=torch.float64, what="gradient")
    (second,) = torch.autograd.grad(product.sum(), [leaf])
    direction = [p * (number == chosen) for number, p in enumerate(f.points)]
    expected = derivatives.hessian_product(numpy_of(f), f.points, direction)[chosen] + first
    compare.close(second, expected, bound=0.0, dtype=torch.float64, what="second derivative")


class Applied(torch.nn.Module):
    """A function as a module, of the tensors among its arguments."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Any) -> torch.Tensor:
        """Apply the function to the tensors among the arguments."""
        return self.function(*(a for a in arguments if isinstance(a, torch.Tensor)))
