"""Where generated tensors live: the device of the current target.

The one context variable of the whole project stands here. A run sets it to the
target under test; outside a run it is the CPU. Strategies read only ``device``.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch


class HasDevice(Protocol):
    """Whatever the context variable may hold: something that names a device."""

    @property
    def device(self) -> torch.device:
        """The device on which tensors are placed."""


@dataclass(frozen=True)
class Place:
    """A device and nothing else: the target outside a run."""

    device: torch.device


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
