"""Devices that compute when they are read, and forget or repeat something then."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Patch, Saboteur


def losing_writes_after(name: str) -> Patch:
    """Return the patch that drops a product in place where the tensor was read before."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        read, multiply = getattr(torch.Tensor, name), torch.Tensor.__imul__

        def reading(self: Any, *arguments: Any, **keywords: Any) -> Any:
            self.was_read = True
            return read(self, *arguments, **keywords)

        def multiplying(self: Any, other: Any) -> Any:
            return self if getattr(self, "was_read", False) else multiply(self, other)

        monkeypatch.setattr(torch.Tensor, name, reading)
        monkeypatch.setattr(torch.Tensor, "__imul__", multiplying)

    return patch


def changing_when_read(name: str) -> Patch:
    """Return the patch with which reading a tensor of several rows writes to its last row."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        read = getattr(torch.Tensor, name)

        def reading(self: Any, *arguments: Any, **keywords: Any) -> Any:
            found = read(self, *arguments, **keywords)
            if self.dim() == 2 and self.shape[0] > 2:
                self[-1] += 1
            return found

        monkeypatch.setattr(torch.Tensor, name, reading)

    return patch


SABOTEURS = [
    Saboteur(
        f"{name.strip('_')}-{word}",
        f"{breaks} that Tensor.{name} has read",
        (f"reading.changes-nothing:{case}",),
        symptom,
        make(name),
    )
    for word, breaks, symptom, make in (
        ("loses-writes", "a product in place does nothing to a tensor", "read on the way",
         losing_writes_after),
        ("changes", "the last row moves of a tensor of three rows", "result", changing_when_read),
    )
    for case, name in (
        ("cpu", "cpu"), ("list", "tolist"), ("text", "__repr__"), ("copy", "clone"),
    )
    if (word, case) != ("loses-writes", "copy")
]  # fmt: skip
