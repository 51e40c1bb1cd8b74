"""Faults in anomaly mode: what it finds, tells, and leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.faults import not_after_exceptions
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
detect, setting = torch.autograd.detect_anomaly, torch.autograd.set_detect_anomaly


def _twice_within(original: Any) -> Any:
    """Within the mode a pass is made twice, to look closer."""

    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        if torch.is_anomaly_enabled():
            original(self, gradient, retain_graph=True)
        original(self, gradient, **keywords)

    return backward


def _nan_unchecked(original: Any) -> Any:
    def initialize(self: Any, check_nan: bool = True) -> None:
        original(self, False)

    return initialize


def _mode_off_in_the_pass(original: Any) -> Any:
    """A pass that is not looked at for nan runs without the mode."""

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        before = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
        torch.set_anomaly_enabled(False, before[1])
        try:
            original(self, *arguments, **keywords)
        finally:
            torch.set_anomaly_enabled(*before)

    return backward


def _checks_nan_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(self: Any, *_: Any) -> None:
        torch.set_anomaly_enabled(self.prev, True)

    monkeypatch.setattr(setting, "__exit__", leave)


SABOTEURS = (
    Saboteur(
        "anomaly-passes-twice", "in anomaly mode every pass is made twice",
        ("anomaly.same-gradients",), "grad", replacing(Tensor, "backward", _twice_within),
    ),
    Saboteur(
        "nan-unchecked", "detect_anomaly does not look for nan",
        ("anomaly.nan",), "raised nothing", replacing(detect, "__init__", _nan_unchecked),
    ),
    Saboteur(
        "mode-off-in-the-pass", "anomaly mode is off while a pass runs",
        ("anomaly.forward-line:exception",), "warnings with a traceback",
        replacing(Tensor, "backward", _mode_off_in_the_pass),
    ),
    Saboteur(
        "checks-nan-again", "leaving set_detect_anomaly turns the check for nan on",
        ("anomaly.restored",), "mode and check_nan after", _checks_nan_again,
    ),
    Saboteur(
        "anomaly-survives-exceptions", "an exception that leaves detect_anomaly leaves it on",
        ("anomaly.detect-restores",), "mode and check_nan after",
        replacing(detect, "__exit__", not_after_exceptions),
    ),
)  # fmt: skip
