"""Faults in how a custom Function is called, and in how its node is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.gradients import ScaledGradient
from tests.saboteurs.saboteur import Saboteur, replacing

Function: Any = torch.autograd.Function


def _plain_gradient_off(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Function.apply.__func__

    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        plain = "forward" in vars(cls) and not isinstance(vars(cls)["forward"], staticmethod)
        found = original(cls, *arguments, **keywords)
        return original(ScaledGradient, found) if plain else found

    monkeypatch.setattr(Function, "apply", classmethod(apply))


def _named_after_base(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Function.apply.__func__

    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        base = cls.__mro__[1]
        return original(cls if base is torch.autograd.Function else base, *arguments, **keywords)

    monkeypatch.setattr(Function, "apply", classmethod(apply))


def _instances_apply(original: Any) -> Any:
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return type(self).apply(*arguments) if len(arguments) == 1 else original(self, *arguments)

    return call


SABOTEURS = (
    Saboteur(
        "plain-backward-off", "without @staticmethod gradients are a tenth of a percent too large",
        ("custom-function.plain-methods",), "grad of leaf", _plain_gradient_off,
    ),
    Saboteur(
        "node-named-after-base", "an inherited Function's node has the name of the base",
        ("custom-function.node-name",), "name of the node", _named_after_base,
    ),
    Saboteur(
        "instances-apply", "an instance called with one argument applies its class",
        ("custom-function.instance-rejected",), "raised nothing",
        replacing(Function, "__call__", _instances_apply),
    ),
)  # fmt: skip
