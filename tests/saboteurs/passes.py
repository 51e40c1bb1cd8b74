"""Faults in the entry points of backward passes, which see every argument by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, replacing

Tensor = torch.Tensor
Call = dict[str, Any]


def leaves_of(node: Any) -> Iterator[Tensor]:
    """Leaves that a graph's backward pass reaches, some of them more than once."""
    if node is None:
        return
    if hasattr(node, "variable"):
        yield node.variable
    for following, _ in node.next_functions:
        yield from leaves_of(following)


def leaves_under(roots: Any) -> list[Tensor]:
    """Leaves under one root or several, each once."""
    found: dict[int, Tensor] = {}
    for root in roots if isinstance(roots, (list, tuple)) else [roots]:
        for leaf in [root] if root.grad_fn is None else leaves_of(root.grad_fn):
            found[id(leaf)] = leaf
    return list(found.values())


def listed(value: Any) -> list[Any]:
    """A sequence, or the list of one tensor."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def in_backward(fault: Callable[[Callable[..., None], Call], None]) -> Patch:
    """Return the patch of ``torch.autograd.backward``, through which ``Tensor.backward`` goes.

    The fault gets the original and the call's arguments: ``tensors``, ``grad_tensors``,
    ``retain_graph``, ``create_graph``, ``inputs``.
    """

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def backward(
            tensors: Any,
            grad_tensors: Any = None,
            retain_graph: bool | None = None,
            create_graph: bool = False,
            grad_variables: Any = None,
            inputs: Any = None,
        ) -> None:
            fault(
                original,
                {
                    "tensors": tensors,
                    "grad_tensors": grad_tensors,
                    "retain_graph": retain_graph,
                    "create_graph": create_graph,
                    "inputs": inputs,
                },
            )

        return backward

    return replacing(torch.autograd, "backward", make)


def in_grad(fault: Callable[[Callable[..., Any], Call], Any]) -> Patch:
    """Return the patch of ``torch.autograd.grad``; the fault returns what it returns.

    The call's arguments: ``outputs``, ``inputs``, ``grad_outputs``, and the options given.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> Any:
            call = {"outputs": outputs, "inputs": inputs, "grad_outputs": grad_outputs}
            return fault(original, {**call, **options})

        return grad

    return replacing(torch.autograd, "grad", make)


def both(*patches: Patch) -> Patch:
    """Return the patch that applies several."""

    def patch(monkeypatch: Any) -> None:
        for each in patches:
            each(monkeypatch)

    return patch
