"""Faults in an update: one parameter at a time, where a condition on it holds.

A fault calls the implementation for one parameter, with lists of length one, and may change the
options before, or the parameter and its state after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Patch, replacing

Lists = list[list[Any]]
Fault = Callable[[Any, int, Lists, dict[str, Any]], None]
When = Callable[[int, Lists, dict[str, Any]], bool]
Formula = Callable[[torch.Tensor, torch.Tensor, Lists, dict[str, Any]], torch.Tensor]


def always(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
    """Hold for every parameter and step."""
    return True


def second(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
    """Hold for all parameters but the first."""
    return index > 0


def decayed_uphill(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
    """Hold for a maximized objective with weight decay."""
    return bool(keywords["maximize"] and keywords["weight_decay"])


def many(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
    """Hold for parameters that fill vector registers."""
    return bool(lists[0][0].numel() >= 16)


def from_step(number: int) -> When:
    """Return the condition that holds from the step of that number on."""

    def holds(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
        return float(lists[-1][0]) >= number - 1

    return holds


def at_step(number: int) -> When:
    """Return the condition that holds at the step of that number alone."""

    def holds(index: int, lists: Lists, keywords: dict[str, Any]) -> bool:
        return float(lists[-1][0]) == number - 1

    return holds


def all_of(*patches: Patch) -> Patch:
    """Return the patch that is several ones."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for one in patches:
            one(monkeypatch)

    return patch


def each(module: Any, name: str, fault: Fault) -> Patch:
    """Return the patch that hands an implementation one parameter at a time to a fault."""

    def make(original: Any) -> Any:
        def update(*lists: Any, **keywords: Any) -> None:
            for index in range(len(lists[0])):
                one = [held[index : index + 1] for held in lists]
                fault(original, index, one, keywords)
                for held, part in zip(lists, one, strict=True):
                    held[index : index + 1] = part

        return update

    return replacing(module, name, make)


def changing(when: When = always, **changes: Callable[[Any], Any]) -> Fault:
    """Return the fault that changes options."""

    def fault(original: Any, index: int, lists: Lists, keywords: dict[str, Any]) -> None:
        chosen = dict(keywords)
        if when(index, lists, keywords):
            chosen.update({name: change(keywords[name]) for name, change in changes.items()})
        original(*lists, **chosen)

    return fault


def times(factor: float) -> Callable[[Any], Any]:
    """Return the change that multiplies an option."""
    return lambda value: value * factor


def always_is(value: Any) -> Callable[[Any], Any]:
    """Return the change that ignores what is given."""
    return lambda given: value


def respelled(formula: Formula, when: When = always) -> Fault:
    """Return the fault that moves the parameter by another formula, from the new state.

    The formula gets the parameter before, the gradient of what is minimized, and the state after.
    """

    def fault(original: Any, index: int, lists: Lists, keywords: dict[str, Any]) -> None:
        applies = when(index, lists, keywords)
        before = lists[0][0].detach().clone()
        original(*lists, **keywords)
        if applies:
            gradient = -lists[1][0] if keywords["maximize"] else lists[1][0]
            if keywords.get("weight_decay") and not keywords.get("decoupled_weight_decay"):
                gradient = gradient + keywords["weight_decay"] * before
            if keywords.get("weight_decay") and keywords.get("decoupled_weight_decay"):
                before = before * (1 - keywords["lr"] * keywords["weight_decay"])
            with torch.no_grad():
                lists[0][0].copy_(formula(before, gradient, lists, keywords))

    return fault


def afterwards(spoil: Callable[[Lists, dict[str, Any]], None], when: When = always) -> Fault:
    """Return the fault that spoils the state, or the parameter, after the update."""

    def fault(original: Any, index: int, lists: Lists, keywords: dict[str, Any]) -> None:
        applies = when(index, lists, keywords)
        original(*lists, **keywords)
        if applies:
            with torch.no_grad():
                spoil(lists, keywords)

    return fault


def beforehand(spoil: Callable[[Lists, dict[str, Any]], None], when: When = always) -> Fault:
    """Return the fault that spoils what the update is given."""

    def fault(original: Any, index: int, lists: Lists, keywords: dict[str, Any]) -> None:
        if when(index, lists, keywords):
            with torch.no_grad():
                spoil(lists, keywords)
        original(*lists, **keywords)

    return fault


def around_step(cls: type, spoil: Callable[[Any], None]) -> Patch:
    """Patch a class so that something happens to the optimizer after each step."""

    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            result = original(self, closure)
            with torch.no_grad():
                spoil(self)
            return result

        return step

    return replacing(cls, "step", make)


def parameters_of(optimizer: Any) -> list[torch.Tensor]:
    """Return its parameters, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]
