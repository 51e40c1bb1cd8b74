"""A limit on the memory of a process of laws, so that no law takes the machine down.

The limit is one of the operating system's, where it has such a thing: an allocation beyond it
fails in the law that asked for it, and the process goes on. It counts what a process may write to,
not the addresses that an accelerator's driver reserves.
"""

from __future__ import annotations

import os

_SHARE = 0.75
_LEAST = 2.0
_GIBIBYTE = 2**30


def limit_memory(gibibytes: float | None, processes: int) -> None:
    """Limit this process to so many GiB, or to its share of the machine among ``processes``."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    if gibibytes is None:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIBIBYTE
        gibibytes = max(_LEAST, _SHARE * whole / processes)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(gibibytes * _GIBIBYTE)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
