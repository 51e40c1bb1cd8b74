"""Faults in grad modes, in-place checks and custom functions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd.function import BackwardCFunction, FunctionCtx

from tests.saboteurs.faults import not_after_exceptions
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _without_grad_mode(original: Any) -> Any:
    def method(self: Tensor, *arguments: Any) -> Tensor:
        with torch.no_grad():
            return original(self, *arguments)

    return method


def _writes_before_it_raises(original: Any) -> Any:
    def method(self: Tensor, *arguments: Any) -> Tensor:
        if self.requires_grad and torch.is_grad_enabled():
            with torch.no_grad():
                original(self, *arguments)
                self += 1
        return original(self, *arguments)

    return method


def _through_data(original: Any) -> Any:
    def method(self: Tensor, *arguments: Any) -> Tensor:
        original(self.data, *arguments)
        return self

    return method


def _view_that_requires_grad(original: Any) -> Any:
    return lambda self, dim: original(self.detach(), dim).requires_grad_()


def _applies_scaled(original: Any) -> Any:
    def apply(cls: Any, *arguments: Any) -> Any:
        result = original.__func__(cls, *arguments)
        if result.requires_grad:
            result.register_hook(lambda gradient: gradient * 1.5)
        return result

    return classmethod(apply)


def _saves_reversed(self: Any, *tensors: Tensor) -> None:
    self.to_save = tensors[::-1]


def _everything_needs_grad(monkeypatch: pytest.MonkeyPatch) -> None:
    read = property(lambda self: (True, True))
    monkeypatch.setattr(BackwardCFunction, "needs_input_grad", read, raising=False)


def _pads_gradients(original: Any) -> Any:
    def apply(self: Any, *cotangents: Any) -> Any:
        result = original(self, *cotangents)
        return result if isinstance(result, tuple) else (result,) * len(self.needs_input_grad)

    return apply


def _enters_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("__enter__", "__exit__"):
        monkeypatch.setattr(torch.no_grad, name, lambda self, *rest: None)


SABOTEURS = (
    Saboteur(
        "in-place-on-leaf-allowed", "add_ on a leaf that requires grad goes through",
        ("in-place.leaf-raises:add_",), "raised nothing",
        replacing(Tensor, "add_", _without_grad_mode),
    ),
    Saboteur(
        "in-place-writes-before-it-raises", "mul_ on a leaf raises after it has written",
        ("in-place.leaf-raises:mul_",), "was modified",
        replacing(Tensor, "mul_", _writes_before_it_raises),
    ),
    Saboteur(
        "version-not-incremented", "fill_ leaves the version counter alone",
        ("in-place.version-counter:fill_",), "version of the base",
        replacing(Tensor, "fill_", _through_data),
    ),
    Saboteur(
        "saved-tensor-not-checked", "add_ on a saved tensor goes unnoticed",
        ("in-place.saved-tensor-modified",), "raised nothing",
        replacing(Tensor, "add_", _through_data),
    ),
    Saboteur(
        "no-grad-records", "no_grad does nothing",
        ("grad-mode.records-nothing:no_grad",), "is_grad_enabled inside", _enters_without_effect,
    ),
    Saboteur(
        "no-grad-view-requires-grad", "a view taken under no_grad requires grad",
        ("grad-mode.views:no_grad",), "history",
        replacing(torch, "unsqueeze", _view_that_requires_grad),
    ),
    Saboteur(
        "no-grad-survives-exception", "an exception leaves grad mode disabled",
        ("grad-mode.restored-after-exception:no_grad",), "after the exception",
        replacing(torch.no_grad, "__exit__", not_after_exceptions),
    ),
    Saboteur(
        "enable-grad-stays", "leaving enable_grad leaves grad mode enabled",
        ("grad-mode.enable-grad-nested",), "recorded",
        replacing(torch.enable_grad, "__exit__", lambda original: lambda self, *rest: None),
    ),
    Saboteur(
        "no-grad-decorator-does-nothing", "a function decorated with no_grad records",
        ("grad-mode.decorator",), "history",
        replacing(torch.no_grad, "__call__", lambda original: lambda self, function: function),
    ),
    Saboteur(
        "custom-gradient-scaled", "a custom Function's gradient is multiplied by 1.5",
        ("custom-function.backward-decides",), "grad",
        replacing(torch.autograd.Function, "apply", _applies_scaled),
    ),
    Saboteur(
        "saved-tensors-reversed", "saved_tensors come in the wrong order",
        ("custom-function.saved-tensors",), "grad of",
        replacing(FunctionCtx, "save_for_backward", lambda original: _saves_reversed),
    ),
    Saboteur(
        "every-input-needs-grad", "needs_input_grad is always true",
        ("custom-function.needs-input-grad",), "needs_input_grad", _everything_needs_grad,
    ),
    Saboteur(
        "missing-gradients-repeated", "a backward that returns too few gradients goes through",
        ("custom-function.gradient-count",), "raised nothing",
        replacing(BackwardCFunction, "apply", _pads_gradients),
    ),
)  # fmt: skip
