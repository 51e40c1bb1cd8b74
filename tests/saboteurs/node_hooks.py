"""Faults in hooks of nodes: planted where a tensor hands out its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Hook = Callable[..., Any]
_GRAD_FN: Any = torch._C.TensorBase.grad_fn
_REGISTRATIONS = ("register_hook", "register_prehook")


class _Node:
    """A node whose registrations go through ``change(name, number, hook)``."""

    def __init__(self, node: Any, change: Callable[[str, int, Hook], Hook]) -> None:
        self.node, self.change = node, change

    def __getattr__(self, name: str) -> Any:
        if name not in _REGISTRATIONS:
            return getattr(self.node, name)

        def register(hook: Hook) -> Any:
            counts = self.node.metadata.setdefault("registered", {})
            counts[name] = counts.get(name, 0) + 1
            return getattr(self.node, name)(self.change(name, counts[name], hook))

        return register


def _nodes(change: Callable[[str, int, Hook], Hook]) -> Patch:
    def read(tensor: Tensor) -> Any:
        node = _GRAD_FN.__get__(tensor)
        return None if node is None else _Node(node, change)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Tensor, "grad_fn", property(read), raising=False)

    return patch


def _second_prehook_ignored(name: str, number: int, hook: Hook) -> Hook:
    def faulty(*gradients: Any) -> Any:
        result = hook(*gradients)
        return None if name == "register_prehook" and number == 2 else result

    return faulty


def _zeros_for_none(name: str, number: int, hook: Hook) -> Hook:
    def filled(gradients: Any) -> Any:
        like = next(g for g in gradients if g is not None)
        return tuple(torch.zeros_like(like) if g is None else g for g in gradients)

    return lambda *gradients: hook(*map(filled, gradients))


def _detached(name: str, number: int, hook: Hook) -> Hook:
    def faulty(*gradients: Any) -> Any:
        result = hook(*gradients)
        return None if result is None else tuple(None if g is None else g.detach() for g in result)

    return faulty


def _fitted(name: str, number: int, hook: Hook) -> Hook:
    def faulty(*gradients: Any) -> Any:
        result = hook(*gradients)
        return result[: len(gradients[0])] if isinstance(result, tuple) else result

    return faulty


def _before_accumulation(original: Any) -> Any:
    """Hooks after accumulation run before it, on what .grad will be."""

    def register(self: Tensor, hook: Hook) -> Any:
        def faulty(gradient: Tensor) -> None:
            before = self.grad
            self.grad = gradient.clone() if before is None else before + gradient
            hook(self)
            self.grad = before

        return self.register_hook(faulty)

    return register


class _Undying:
    """A handle that removes nothing."""

    def remove(self) -> None:
        """Do nothing."""


class _Keeping(_Node):
    """A node whose second prehook stays."""

    def __getattr__(self, name: str) -> Any:
        register = super().__getattr__(name)
        if name != "register_prehook":
            return register

        def registered(hook: Hook) -> Any:
            handle = register(hook)
            return _Undying() if self.node.metadata["registered"][name] == 2 else handle

        return registered


def _second_prehook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(tensor: Tensor) -> Any:
        node = _GRAD_FN.__get__(tensor)
        return None if node is None else _Keeping(node, lambda name, number, hook: hook)

    monkeypatch.setattr(Tensor, "grad_fn", property(read), raising=False)


SABOTEURS = (
    Saboteur(
        "second-prehook-ignored", "what the second prehook of a node returns is ignored",
        ("node-hooks.order",), "grad", _nodes(_second_prehook_ignored),
    ),
    Saboteur(
        "second-prehook-stays", "the second prehook of a node cannot be removed",
        ("node-hooks.removal:register_prehook",), "after the removal", _second_prehook_stays,
    ),
    Saboteur(
        "node-hook-gets-zeros", "hooks of nodes get zeros for gradients that are not there",
        ("node-hooks.absent-gradients",), "not None", _nodes(_zeros_for_none),
    ),
    Saboteur(
        "node-hook-detached", "what hooks of nodes return is cut from the graph",
        ("node-hooks.differentiable:register_hook", "node-hooks.differentiable:register_prehook"),
        "require grad", _nodes(_detached),
    ),
    Saboteur(
        "node-hook-fitted", "gradients that a node's hook returns too many are dropped",
        ("node-hooks.result-checked:register_hook-count",), "raised nothing", _nodes(_fitted),
    ),
    Saboteur(
        "post-accumulate-too-early", "hooks after accumulation run with the hooks of the tensor",
        ("node-hooks.leaf-order",), "hooks called",
        replacing(Tensor, "register_post_accumulate_grad_hook", _before_accumulation),
    ),
)  # fmt: skip
