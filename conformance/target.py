"""What is under test: a device and a mode of execution, written ``DEVICE[/MODE]``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch

from conformance.evidence import Evidence
from conformance.modes import EAGER, ModeError, Setting, find_mode

Function = Callable[..., Any]


def resolve(operation: str | Function) -> Function:
    """Return the function that torch exports under a dotted name; a function as it is.

    The name of an attribute, such as ``Tensor.mT``, stands for the function that reads it.
    Names are looked up when they are used, so that a law judges what torch holds then.
    """
    if isinstance(operation, str):
        found: Function = attrgetter(operation.removeprefix("torch."))(torch)
        return found if callable(found) else attrgetter(operation.rpartition(".")[2])
    return operation


class TargetError(ValueError):
    """A target that does not exist or cannot be used here; the message says what to write."""


@dataclass
class Target:
    """A device and a mode. Laws know nothing more of either than these attributes."""

    device: torch.device
    setting: Setting = field(default_factory=lambda: Setting(EAGER))
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def name(self) -> str:
        """The target as users write it: ``cpu``, ``cuda:0``, ``cpu/compile:aot_eager``."""
        mode = self.setting.name
        return str(self.device) if mode == EAGER.name else f"{self.device}/{mode}"

    def run(self, operation: str | Function, *arguments: Any, **keywords: Any) -> Any:
        """Call a function, or the one of that dotted name in torch, in this target's mode."""
        return self.setting.call(resolve(operation), arguments, keywords, self.device)

    def surrounded(self) -> AbstractContextManager[Any]:
        """Return the context in which this target's mode has a whole law run."""
        return self.setting.around(self.device)

    def synchronize(self) -> None:
        """Wait for the device, so that an asynchronous error names the example that caused it."""
        if self.device.type != "cpu":
            module = getattr(torch, self.device.type, None)
            wait = getattr(module, "synchronize", None)
            if wait is not None:
                wait()


def parse_target(text: str) -> tuple[str, Setting]:
    """Split ``DEVICE[/MODE]`` and find the mode; needs no device.

    Raises :class:`TargetError` for an unknown mode.
    """
    device, _, mode = text.partition("/")
    if not device:
        raise TargetError(f"--target {text!r}: names no device; write DEVICE[/MODE], such as cpu")
    try:
        return device, find_mode(mode or EAGER.name)
    except ModeError as error:
        raise TargetError(f"--target {text}: {error}") from error


def open_target(text: str) -> Target:
    """Return the target that ``text`` names, after showing that its device can hold a tensor.

    Raises :class:`TargetError` for an unknown or unavailable device, in one sentence.
    """
    name, setting = parse_target(text)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        known = str(error).partition("Expected one of ")[2].partition(" device type")[0]
        near = difflib.get_close_matches(name, known.split(", "), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"torch knows {known or 'it not'}"
        raise TargetError(f"--target {text}: no device {name!r}; {hint}") from error
    try:
        torch.zeros(1).to(device)
    except Exception as error:  # the type depends on the backend
        reason = str(error).partition("\n")[0]
        raise TargetError(
            f"--target {text}: device {name!r} is not available here ({reason}); "
            "use a device of this machine, such as cpu"
        ) from error
    return Target(device, setting)
