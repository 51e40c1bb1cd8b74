"""Global state of torch that a law may find, and must not hand on to the next law.

A law that fails, or a torch that forgets to restore a mode, would otherwise change what every
later law of the process sees, and one fault would read as hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "grad mode": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch._C._set_deterministic_algorithms,  # the public one imports the compiler
    ),
    "autocast cache": (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    "autocast dtype": (
        lambda: torch.get_autocast_dtype("cpu"),
        lambda dtype: torch.set_autocast_dtype("cpu", dtype),
    ),
    "random state": (torch.default_generator.get_state, torch.default_generator.set_state),
}
"""What is kept, by name: how it is read, and how it is put back."""


_INCLUDED = torch._C._dispatch_tls_local_include_set()
_EXCLUDED = torch._C._dispatch_tls_local_exclude_set()


def dispatching() -> AbstractContextManager[Any]:
    """Return the context in which the dispatcher chooses kernels as it does at first.

    An error that leaves an operation of torch's may leave keys behind that were to be passed over,
    until then or when its traceback is given up: nothing would be recorded any more.
    """
    context: AbstractContextManager[Any] = torch._C._ForceDispatchKeyGuard(_INCLUDED, _EXCLUDED)
    return context


@contextmanager
def kept(seed: int) -> Iterator[None]:
    """Put the state back at the end; draws from torch's generator are the seed's meanwhile."""
    found = {name: read() for name, (read, _) in STATE.items()}
    torch.default_generator.manual_seed(seed)
    try:
        with dispatching():
            yield
    finally:
        for name, (_, write) in STATE.items():
            write(found[name])
