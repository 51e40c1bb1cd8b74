"""Where generated tensors live: the device of the current target.

The one context variable of the whole project stands here. A run sets it to the
target under test; outside a run it is the CPU. Strategies read its ``device``, what it
``lacks``, and its ``long_side``.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensor


class HasDevice(Protocol):
    """Whatever the context variable may hold: something that names a device."""

    @property
    def device(self) -> torch.device:
        """The device on which tensors are placed."""


@dataclass(frozen=True)
class Place:
    """Where to draw and nothing else: outside a run, or while inputs are drawn within one.

    ``lacks`` is what the device was found to lack, None if nobody has tried; ``long_side`` the
    length of one side of each shape, and the number of that side modulo the rank.
    """

    device: torch.device
    lacks: frozenset[str] | None = None
    long_side: tuple[int, int] | None = None


current_target: ContextVar[HasDevice] = ContextVar(
    "current_target",
    default=Place(torch.device("cpu")),  # noqa: B039 (frozen)
)


def current_device() -> torch.device:
    """Return the device on which strategies place the tensors they draw.

    Example::

        >>> current_device()
        device(type='cpu')
    """
    return current_target.get().device


def lacks(capability: str) -> bool:
    """Tell whether the current target was found to lack a capability; outside a run nothing is.

    Example::

        >>> lacks("strides")
        False
    """
    return capability in (getattr(current_target.get(), "lacks", None) or ())


def holds_values(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds values: one on meta does not, and a fake one neither.

    ``is_meta`` is true of some that hold them.

    Example::

        >>> holds_values(torch.zeros(1, device="meta"))
        False
    """
    return tensor.device.type != "meta" and not isinstance(tensor, FakeTensor)


def check_dtype(dtype: torch.dtype) -> None:
    """Raise ``NotImplementedError`` where the current target was found to lack a dtype."""
    if lacks(str(dtype).removeprefix("torch.")):
        raise NotImplementedError(f"the device has no {dtype}")


class DevicePair(NamedTuple):
    """Where a tensor comes from and where it is moved to; they may be the same."""

    source: torch.device
    destination: torch.device


@st.composite
def _device_pairs(draw: st.DrawFn) -> DevicePair:
    current = current_device()
    cpu, meta = torch.device("cpu"), torch.device("meta")
    pairs = [
        DevicePair(current, current),
        DevicePair(current, cpu),
        DevicePair(cpu, current),
        DevicePair(current, meta),
    ]
    return draw(st.sampled_from(pairs))


def devices() -> st.SearchStrategy[torch.device]:
    """Draw the current target's device.

    Example::

        @given(devices())
        def test(device): assert torch.zeros(1, device=device).device == device
    """
    return st.builds(current_device)


def device_pairs() -> st.SearchStrategy[DevicePair]:
    """Draw a move between devices: within the target's, to and from the CPU, and to meta.

    Nothing moves away from meta, which has no values. Shrinks to no move.

    Example::

        @given(device_pairs())
        def test(pair): torch.zeros(1, device=pair.source).to(pair.destination)
    """
    return _device_pairs()
