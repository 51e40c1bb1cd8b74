"""Modes that change nothing but what surrounds a call: settings and modes that pass through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from conformance.modes.mode import Arguments, Function, Keywords, Limit, Mode, Refusal


@contextmanager
def deterministic_algorithms(device: torch.device) -> Iterator[None]:
    """Ask torch for deterministic algorithms alone."""
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


def default_device(device: torch.device) -> AbstractContextManager[Any]:
    """Make the target's device the one on which tensors are created."""
    return torch.device(device)


class DispatchPassThrough(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that hands every call on as it came."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operator."""
        return func(*args, **(kwargs or {}))


class FunctionPassThrough(TorchFunctionMode):
    """A function mode that hands every call on as it came."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function."""
        return func(*args, **(kwargs or {}))


def dispatch_pass_through(device: torch.device) -> AbstractContextManager[Any]:
    """Return a dispatch mode under which nothing changes."""
    return DispatchPassThrough()  # type: ignore[no-untyped-call]


def function_pass_through(device: torch.device) -> AbstractContextManager[Any]:
    """Return a function mode under which nothing changes."""
    return FunctionPassThrough()


def fake_tensors(device: torch.device) -> AbstractContextManager[Any]:
    """Return a mode under which every tensor that is made is a fake one."""
    return FakeTensorMode()


def autocast(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Call a function under autocast to bfloat16; what is computed from it later is not."""
    with torch.autocast(device.type, dtype=torch.bfloat16):
        return function(*arguments, **keywords)


_LOWERED = (
    "addbmm*", "addmm*", "baddbmm*", "bmm", "conv*", "linear", "matmul*", "mm", "multi_dot",
    "prelu*",
    # What torch computes through those.
    "bilinear", "corrcoef", "cov", "einsum*", "tensordot", "vecdot*",
)  # fmt: skip
"""Operators that autocast is documented to run in lower precision on a CPU."""

DETERMINISTIC = Mode(
    "deterministic",
    "torch.use_deterministic_algorithms(True) around each law",
    "torch.use_deterministic_algorithms",
    around=deterministic_algorithms,
    refusals=(
        Refusal(
            "RuntimeError",
            "does not have a deterministic implementation",
            "https://docs.pytorch.org/docs/stable/generated/"
            "torch.use_deterministic_algorithms.html",
        ),
    ),
)
DEFAULT_DEVICE = Mode(
    "default-device",
    "the target's device is the default one around each law",
    "torch.set_default_device",
    around=default_device,
)
DISPATCH_MODE = Mode(
    "dispatch-mode",
    "a TorchDispatchMode that hands every operator on, around each law",
    "https://dev-discuss.pytorch.org/t/torchdispatchmode-for-debugging-testing-and-more/717",
    around=dispatch_pass_through,
)
FUNCTION_MODE = Mode(
    "function-mode",
    "a TorchFunctionMode that hands every function on, around each law",
    "notes/extending.html#extending-all-torch-api-with-modes",
    around=function_pass_through,
)
AUTOCAST = Mode(
    "autocast",
    "torch.autocast to bfloat16 around each function that a law runs",
    "amp.html#autocast-op-reference",
    call=autocast,
    limits=(
        Limit(
            tuple(f"operators.*:{name}" for name in _LOWERED),
            "autocast computes it in bfloat16",
            "https://docs.pytorch.org/docs/stable/amp.html#cpu-ops-that-can-autocast-to-bfloat16",
        ),
    ),
)
_FAKE = "https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html"
FAKE = Mode(
    "fake",
    "fake tensors, which have no values, under a FakeTensorMode around each law",
    "torch.compiler_fake_tensor.html",
    around=fake_tensors,
    refusals=tuple(
        Refusal(type, text, _FAKE)
        for type, text in (
            ("DataDependentOutputException", ""),
            ("DynamicOutputShapeException", ""),
            ("UnsupportedFakeTensorException", ""),
            ("AssertionError", "Please convert all Tensors to FakeTensors first"),
            ("AssertionError", "Mixing fake modes NYI"),
        )
    ),
    limits=(
        Limit(
            ("engine.thread*", "grad-mode.threads:*"),
            "a FakeTensorMode is of one thread",
            "https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html",
        ),
    ),
    rewords=True,
    valueless=True,
)

MODES = (DETERMINISTIC, DEFAULT_DEVICE, DISPATCH_MODE, FUNCTION_MODE, AUTOCAST, FAKE)
