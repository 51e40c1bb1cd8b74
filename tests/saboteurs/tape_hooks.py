"""Faults in hooks of tensors and in gradients that are retained."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
HOOKS = "tape.model:hooks"


def _registers_twice(original: Any) -> Any:
    def register(self: Tensor, hook: Any) -> Any:
        original(self, hook)
        return original(self, hook)

    return register


def _first_hook_last(original: Any) -> Any:
    """The second hook of a tensor runs before the first."""

    def register(self: Tensor, hook: Any) -> Any:
        hooks = self.__dict__.setdefault("their_hooks", [])
        for handle, _ in hooks:
            handle.remove()
        mine = original(self, hook)
        hooks[:] = [(original(self, other), other) for _, other in hooks]
        hooks.append((mine, hook))
        return mine

    return register


def _unheard_when_recorded(original: Any) -> Any:
    """What a hook returns is ignored in a pass that is recorded."""

    def register(self: Tensor, hook: Any) -> Any:
        def called(gradient: Tensor) -> Any:
            result = hook(gradient)
            return None if torch.is_grad_enabled() else result

        return original(self, called)

    return register


def _retains_by_hook(original: Any) -> Any:
    """The gradient kept is the one to the value that the tensor had when retain_grad was called."""

    def retain(self: Tensor) -> None:
        if self.is_leaf or not self.requires_grad:
            original(self)
            return
        self.__dict__["retained"] = True

        def keep(gradient: Tensor) -> None:
            self.grad = gradient.detach().clone()

        self.register_hook(keep)

    return retain


def _moves_hooks(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        hooks: Any = self._backward_hooks or {}
        bound = list(hooks.values())
        hooks.clear()
        original(self, other)
        for hook in bound:
            self.register_hook(hook)
        return self

    return multiply


SABOTEURS = (
    Saboteur(
        "tape-hooks-twice", "a hook is called twice",
        (HOOKS,), "seen", replacing(Tensor, "register_hook", _registers_twice),
    ),
    Saboteur(
        "tape-hook-order", "a tensor's last hook is called first",
        (HOOKS,), "seen", replacing(Tensor, "register_hook", _first_hook_last),
    ),
    Saboteur(
        "tape-hook-ignored-when-recorded", "a recorded pass ignores what hooks return",
        ("tape.model:everything",), "", replacing(
            Tensor, "register_hook", _unheard_when_recorded),
    ),
    Saboteur(
        "tape-hook-not-removed", "remove() of a hook has no effect",
        (HOOKS,), "after step", replacing(
            torch.utils.hooks.RemovableHandle, "remove", lambda original: lambda self: None),
    ),
    Saboteur(
        "tape-retains-old-value", "retain_grad keeps the gradient to the old value",
        (HOOKS,), "retains_grad", replacing(Tensor, "retain_grad", _retains_by_hook),
    ),
    Saboteur(
        "tape-retain-without-grad", "retain_grad of what requires no grad goes through",
        (HOOKS,), "raised nothing",
        accepting(Tensor, "retain_grad", RuntimeError, lambda x: None),
    ),
    Saboteur(
        "tape-hooked-input", "autograd.grad returns the gradient from before the hooks",
        ("tape.hooked-input:alone",), "gradient", replacing(
            Tensor, "register_hook", lambda original: lambda self, hook: original(
                self, lambda g: None)),
    ),
    Saboteur(
        "tape-hook-moves", "a hook goes with the tensor to its new value",
        ("tape.hook-before-write:tensor",), "the hook saw", replacing(
            Tensor, "mul_", _moves_hooks),
    ),
)  # fmt: skip
