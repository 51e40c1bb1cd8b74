"""Essentials: the laws on which the others stand.

Where a device cannot make a tensor or give its values back, each other law would fail for a reason
that is not its own. Essentials are tried before a run begins, in a process of their own; where one
is broken, it is violated, and what stands on it is ``blocked``: one failure instead of thousands.
Broken is more than refuted: an essential that fails in a corner blocks nothing.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from conformance.law import Law


class Essential(NamedTuple):
    """A law that has no cases, and globs of the chapters that stand on it."""

    law: str
    chapters: tuple[str, ...]


_AUTOGRAD = (
    "accumulation", "anomaly", "autograd_*", "backward", "checkpoint", "complex_gradients",
    "custom_function*", "decompositions", "detach", "double_backward", "engine", "func*",
    "grad_*", "gradcheck", "gradient_clipping", "graph", "higher_order", "in_place",
    "in_place_views", "jacobian", "leaf_grad", "losses", "micro_batches", "module_backward_hooks",
    "multi_grad_hooks", "node_hooks", "operator_derivatives", "optimizer*",
    "post_accumulate_hooks", "retain_graph", "roots", "saved_*", "signs", "subgradients", "tape",
    "tensor_hooks", "ties", "trainings", "vanishing", "version_counter",
)  # fmt: skip

ESSENTIALS = (
    Essential("devices.values-arrive", ("*",)),
    Essential("backward.leaf-as-root", _AUTOGRAD),
)
"""Every essential, the most basic first."""

IDS = tuple(essential.law for essential in ESSENTIALS)


def blocking(law: Law, broken: dict[str, str]) -> str:
    """Return why a law cannot be judged where some essentials are broken; empty if it can be.

    ``broken`` says by essential what is wrong with it.
    """
    if law.id in IDS:
        return ""
    for essential, chapters in ESSENTIALS:
        if essential in broken and any(fnmatchcase(law.chapter, glob) for glob in chapters):
            return f"blocked by {essential}: {broken[essential]}"
    return ""
