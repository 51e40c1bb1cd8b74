"""Backward passes by every entry point of torch, and what a graph holds for them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch


def by_method(
    result: Any, leaves: Sequence[torch.Tensor], cotangent: Any = None, **options: Any
) -> None:
    """Run ``result.backward``."""
    result.backward(cotangent, **options)


def by_function(
    result: Any, leaves: Sequence[torch.Tensor], cotangent: Any = None, **options: Any
) -> None:
    """Run ``torch.autograd.backward`` on a list of one root."""
    torch.autograd.backward([result], [cotangent], **options)


def by_inputs(
    result: Any, leaves: Sequence[torch.Tensor], cotangent: Any = None, **options: Any
) -> None:
    """Run ``torch.autograd.backward`` with every leaf among its inputs."""
    torch.autograd.backward(result, cotangent, inputs=leaves, **options)


def by_grad(
    result: Any, leaves: Sequence[torch.Tensor], cotangent: Any = None, **options: Any
) -> None:
    """Run ``torch.autograd.grad`` and add what it returns to each leaf's ``.grad``.

    A first one is copied: its elements may share memory, which ``.grad`` must not, to be added to.
    """
    found = torch.autograd.grad(result, leaves, cotangent, allow_unused=True, **options)
    for leaf, gradient in zip(leaves, found, strict=True):
        if gradient is not None:
            with torch.enable_grad():  # a gradient that was recorded stays so, whatever the mode
                copied = gradient.clone(memory_format=torch.contiguous_format)
                leaf.grad = copied if leaf.grad is None else leaf.grad + gradient


PASSES: dict[str, Callable[..., None]] = {
    "Tensor-backward": by_method,
    "autograd-backward": by_function,
    "backward-inputs": by_inputs,
    "autograd-grad": by_grad,
}
"""Ways to run one backward pass: ``run(result, leaves, cotangent, **options)``, judged by .grad."""


class Held:
    """A tensor that a graph saved for its backward pass; it dies with what the graph holds."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Recording:
    """A record of what is saved while a function runs, which keeps none of it alive."""

    def __init__(self) -> None:
        self.held: list[weakref.ref[Held]] = []

    def pack(self, tensor: torch.Tensor) -> Held:
        """Take a tensor that is being saved."""
        held = Held(tensor)
        self.held.append(weakref.ref(held))
        return held

    def unpack(self, held: Held) -> torch.Tensor:
        """Give it back."""
        return held.tensor

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, recording what its graph saves."""
        with torch.autograd.graph.saved_tensors_hooks(self.pack, self.unpack):
            return function(*arguments)

    def alive(self) -> int:
        """Return how many saved tensors are still held."""
        return sum(reference() is not None for reference in self.held)
