"""What is under test: a device and a mode of execution, written ``DEVICE[/MODE]``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch

from conformance.capabilities import Capabilities
from conformance.evidence import Evidence

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


def eager(function: Function) -> Function:
    """Run the function as it is."""
    return function


def aot_eager(function: Function) -> Function:
    """Compile the function with ``torch.compile(backend="aot_eager")``.

    A recompilation limit that is hit raises, since torch would otherwise go on in eager mode.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    torch.compiler.reset()
    limits = {"recompile_limit": 64, "fail_on_recompile_limit_hit": True}
    with torch._dynamo.config.patch(limits):
        return torch.compile(call, backend="aot_eager", dynamic=False)


MODES: dict[str, Callable[[Function], Function]] = {"eager": eager, "aot_eager": aot_eager}
"""Mode by name: turns a function into one that is executed in that mode."""


@dataclass
class Target:
    """A device and a mode. Laws know nothing more of either than these attributes.

    ``asked`` is the device as the user wrote it, who may have left out its index.
    """

    device: torch.device
    mode: str = "eager"
    evidence: Evidence = field(default_factory=Evidence)
    capabilities: Capabilities = field(default_factory=Capabilities)
    asked: str = ""

    @property
    def complete(self) -> bool:
        """Whether the target has every operation: then one that is missing refutes a law."""
        return self.device.type == "cpu" and self.mode == "eager"

    @property
    def valueless(self) -> bool:
        """Whether its tensors hold no values: it is judged on shapes, dtypes, flags and errors."""
        return self.device.type == "meta"

    @property
    def lacks(self) -> frozenset[str]:
        """Names of the capabilities that the device lacks, for strategies."""
        return frozenset(self.capabilities.refused)

    @property
    def name(self) -> str:
        """The target as users write it: ``cpu``, ``cuda:0``, ``cpu/aot_eager``."""
        device = self.asked or str(self.device)
        return device if self.mode == "eager" else f"{device}/{self.mode}"

    def run(self, operation: str | Function, *arguments: Any, **keywords: Any) -> Any:
        """Call a function, or the one of that dotted name in torch, in this target's mode."""
        return MODES[self.mode](resolve(operation))(*arguments, **keywords)

    def synchronize(self) -> None:
        """Wait for the device, so that an asynchronous error names the example that caused it."""
        if self.device.type != "cpu":
            module = getattr(torch, self.device.type, None)
            wait = getattr(module, "synchronize", None)
            if wait is not None:
                wait()


def parse_target(text: str) -> tuple[str, str]:
    """Split ``DEVICE[/MODE]`` and check the mode; needs no device.

    Raises :class:`TargetError` for an unknown mode.
    """
    device, _, mode = text.partition("/")
    mode = mode or "eager"
    if not device:
        raise TargetError(f"--target {text!r}: names no device; write DEVICE[/MODE], such as cpu")
    if mode not in MODES:
        near = difflib.get_close_matches(mode, MODES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"modes are {', '.join(MODES)}"
        raise TargetError(f"--target {text}: no mode {mode!r}; {hint}")
    return device, mode


def open_target(text: str) -> Target:
    """Return the target that ``text`` names, after showing that its device can hold a tensor.

    Raises :class:`TargetError` for an unknown or unavailable device, in one sentence.
    """
    name, mode = parse_target(text)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        known = str(error).partition("Expected one of ")[2].partition(" device type")[0]
        near = difflib.get_close_matches(name, known.split(", "), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"torch knows {known or 'it not'}"
        raise TargetError(f"--target {text}: no device {name!r}; {hint}") from error
    try:
        device = torch.zeros(1).to(device).device  # with its index, as tensors name it
    except Exception as error:  # the type depends on the backend
        reason = str(error).partition("\n")[0]
        raise TargetError(
            f"--target {text}: device {name!r} is not available here ({reason}); "
            "use a device of this machine, such as cpu"
        ) from error
    return Target(device, mode, asked=name)
