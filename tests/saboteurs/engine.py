"""Faults in the engine: depth, width, threads, nested passes, and what exceptions leave."""

from __future__ import annotations

import threading
from typing import Any

import torch

from tests.saboteurs.autograd import leaves_of
from tests.saboteurs.faults import not_after_exceptions, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _recursive(original: Any) -> Any:
    """A pass raises where more nodes were made since the last one than a stack holds."""
    last: list[int] = []

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        node: Any = self.grad_fn
        made = node._sequence_nr() - (last[-1] if last else 0)
        last.append(node._sequence_nr())
        if made > 2**16:
            raise RecursionError("maximum recursion depth exceeded")
        original(self, *arguments, **keywords)

    return backward


def _few_inputs(original: Any) -> Any:
    """The gradients to a node's inputs beyond the 4096th are lost."""

    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        node: Any = self.grad_fn
        first = node.next_functions[0][0] if node.next_functions else None
        if first is not None and len(first.next_functions) > 2**12:
            first.register_hook(
                lambda inputs, _: (*inputs[: 2**12], *[None] * (len(inputs) - 2**12))
            )
        original(self, gradient, **keywords)

    return backward


def _each_root_once(original: Any) -> Any:
    def backward(tensors: Any, *arguments: Any, **keywords: Any) -> None:
        if isinstance(tensors, list) and not arguments:
            tensors = list({id(tensor): tensor for tensor in tensors}.values())
        original(tensors, *arguments, **keywords)

    return backward


def _in_another_thread(*_: Any, **__: Any) -> bool:
    return threading.current_thread() is not threading.main_thread()


def _overwrites_in_threads(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        if _in_another_thread():
            for leaf in leaves_of(self.grad_fn):
                leaf.grad = None
        original(self, *arguments, **keywords)

    return backward


def _not_too_deep(original: Any) -> Any:
    """Passes within passes are left out from the 60th on."""
    depth = threading.local()

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        depth.now = getattr(depth, "now", 0) + 1
        try:
            if depth.now <= 60:
                original(self, *arguments, **keywords)
        finally:
            depth.now -= 1

    return backward


def _clears_after_exceptions(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        try:
            original(self, *arguments, **keywords)
        except Exception:
            for leaf in leaves_of(self.grad_fn):
                leaf.grad = torch.zeros_like(leaf.detach())
            raise

    return backward


def _mode_after_exceptions(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        try:
            original(self, *arguments, **keywords)
        except Exception:
            torch._C._set_grad_enabled(bool(keywords.get("create_graph")))
            raise

    return backward


def _undone_by_exceptions(original: Any) -> Any:
    def register(self: Tensor, hook: Any) -> Any:
        def faulty(leaf: Tensor) -> None:
            try:
                hook(leaf)
            except Exception:
                leaf.grad = None if leaf.grad is None else torch.zeros_like(leaf.grad)
                raise

        return original(self, faulty)

    return register


SABOTEURS = (
    Saboteur(
        "recursive-engine", "a pass through 65,536 nodes in a row raises",
        ("engine.deep",), "RecursionError", replacing(Tensor, "backward", _recursive),
    ),
    Saboteur(
        "few-inputs", "a node's inputs beyond the 4096th get no gradient",
        ("engine.wide",), "grad of the one leaf", replacing(Tensor, "backward", _few_inputs),
    ),
    Saboteur(
        "each-root-once", "a root that is given twice counts once",
        ("engine.many-roots",), "grad", replacing(torch.autograd, "backward", _each_root_once),
    ),
    Saboteur(
        "grad-doubled-in-threads", "torch.autograd.grad gives twice the gradient in other threads",
        ("engine.threads-grad:own-graphs", "engine.threads-grad:one-graph"),
        "gradient of a thread",
        when(
            torch.autograd, "grad", _in_another_thread,
            lambda gradients: tuple(2 * gradient for gradient in gradients),
        ),
    ),
    Saboteur(
        "overwrites-in-threads", "backward in another thread replaces .grad",
        ("engine.threads-backward",), "grad of leaf",
        replacing(Tensor, "backward", _overwrites_in_threads),
    ),
    Saboteur(
        "reentrance-limited", "passes within passes are left out from the 60th on",
        ("engine.reentrant",), "", replacing(Tensor, "backward", _not_too_deep),
    ),
    Saboteur(
        "exceptions-clear-grad", "an exception within a pass zeroes the .grad of its leaves",
        ("engine.exceptions:hook", "engine.exceptions:Function"), "grad after it",
        replacing(Tensor, "backward", _clears_after_exceptions),
    ),
    Saboteur(
        "exceptions-leave-mode", "an exception leaves the grad mode of the pass",
        ("engine.exceptions:node-hook", "engine.exceptions:prehook"), "grad mode after",
        replacing(Tensor, "backward", _mode_after_exceptions),
    ),
    Saboteur(
        "accumulation-undone", "an exception after accumulation undoes it",
        ("engine.exception-in-post-accumulate",), "grad after it",
        replacing(Tensor, "register_post_accumulate_grad_hook", _undone_by_exceptions),
    ),
    Saboteur(
        "multithreading-survives", "an exception leaves multithreading as it was within",
        ("engine.multithreading",), "multithreading after",
        replacing(torch.autograd.set_multithreading_enabled, "__exit__", not_after_exceptions),
    ),
)  # fmt: skip
