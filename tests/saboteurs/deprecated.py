"""Faults in deprecated spellings: what they compute, and whether they warn."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _silent_by_position(original: Any) -> Any:
    def addcdiv(start: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        if len(arguments) == 3:
            keywords["value"], *arguments = arguments  # type: ignore[assignment]
        result: Tensor = original(start, *arguments, **keywords)
        return result

    return addcdiv


class _Copying(type):
    """Calls copy the tensor; every tensor is an instance."""

    def __call__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        return data.detach().clone().requires_grad_(requires_grad)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class _Variable(metaclass=_Copying):
    pass


def _silent(original: Any) -> Any:
    def script(module: torch.nn.Module) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(module)

    return script


def _doubles_threshold(original: Any) -> Any:
    return lambda module: original(torch.nn.Softshrink(module.lambd * 2))


SABOTEURS = (
    Saboteur(
        "positional-factor-silent", "addcdiv takes its factor by position without a warning",
        ("deprecated.positional-number:addcdiv",), "warnings by position",
        replacing(torch, "addcdiv", _silent_by_position),
    ),
    Saboteur(
        "variable-copies", "Variable copies the tensor that it is given",
        ("deprecated.variable",), "data_ptr",
        replacing(torch.autograd, "Variable", lambda original: _Variable),
    ),
    Saboteur(
        "script-other-constant", "a scripted Softshrink has twice the threshold",
        ("deprecated.script:script",), "compiled",
        replacing(torch.jit, "script", _doubles_threshold),
    ),
    Saboteur(
        "script-silent", "scripting a module does not warn",
        ("deprecated.script-warns:script",), "warned of deprecation",
        replacing(torch.jit, "script", _silent),
    ),
)  # fmt: skip
