"""What is under test: a device and a mode of execution, written ``DEVICE[/MODE]``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from conformance.capabilities import Capabilities
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
    """A device and a mode. Laws know nothing more of either than these attributes.

    ``asked`` is the device as the user wrote it, who may have left out its index; ``drawn`` what
    was drawn on the CPU for inputs without values, by the version at which they got it.
    """

    device: torch.device
    setting: Setting = field(default_factory=lambda: Setting(EAGER))
    evidence: Evidence = field(default_factory=Evidence)
    capabilities: Capabilities = field(default_factory=Capabilities)
    asked: str = ""
    drawn: Any = field(default_factory=WeakTensorKeyDictionary, repr=False)

    @property
    def complete(self) -> bool:
        """Whether the target has every operation: then one that is missing refutes a law."""
        return self.device.type == "cpu" and self.setting.name == EAGER.name

    @property
    def judges_words(self) -> bool:
        """Whether the words of errors are judged: types are documented, and the words the CPU's."""
        return self.device.type == "cpu" and not self.setting.mode.rewords

    @property
    def valueless(self) -> bool:
        """Whether its tensors hold no values: it is judged on shapes, dtypes, flags and errors."""
        return self.device.type == "meta" or self.setting.mode.valueless

    @property
    def lacks(self) -> frozenset[str]:
        """Names of the capabilities that the device lacks, for strategies."""
        return frozenset(self.capabilities.refused)

    @property
    def name(self) -> str:
        """The target as users write it: ``cpu``, ``cuda:0``, ``cpu/compile:aot_eager``."""
        mode, device = self.setting.name, self.asked or str(self.device)
        return device if mode == EAGER.name else f"{device}/{mode}"

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
        hint = f"did you mean {near[0]!r}?" if near else f"torch knows {known or 'none such'}."
        raise TargetError(
            f"--target {text}: no device {name!r}; {hint} Those of this machine: "
            "conformance list targets"
        ) from error
    try:
        device = torch.zeros(1).to(device).device  # with its index, as tensors name it
    except Exception as error:  # the type depends on the backend
        reason = str(error).partition("\n")[0]
        raise TargetError(
            f"--target {text}: device {name!r} is not available here ({reason}); "
            "use a device of this machine, such as cpu"
        ) from error
    return Target(device, setting, asked=name)
