"""Entries of ``torch.nn.functional``: what most of them have in common, and what they reject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from conformance.operators.operator import Calls, Operator, Reference, Rejection
from strategies.shapes import Shape

NORMALIZED: Mapping[str, Any] = {"normwise": True, "ulps": 16, "derivative_ulps": 256}
"""How near the functions come that divide by a deviation."""


def functional(
    name: str, calls: Calls, reference: Reference, size: Reference | None = None, **changes: Any
) -> Operator:
    """Return the entry of a function whose reference can be differentiated as it is.

    ``size`` is its magnitude.
    """
    given: dict[str, Any] = {
        "name": f"nn.functional.{name}", "calls": calls, "reference": reference,
        "analytic": reference, "magnitude": size, "kind": "dyadic", "ulps": 8,
        "derivative_ulps": 64,
    }  # fmt: skip
    return Operator(**{**given, **changes})


def rejecting(
    legal: str,
    illegal: str,
    error: str,
    message: str,
    **tensors: Shape | tuple[torch.dtype, Shape],
) -> Rejection:
    """Return the rejection of a call on tensors of these shapes, float32 unless given."""
    call, mistake = (f"torch.nn.functional.{text}" for text in (legal, illegal))
    named = {name: _typed(given) for name, given in tensors.items()}
    return Rejection(call, mistake, error, message, named)


def _typed(given: Any) -> tuple[torch.dtype, Shape]:
    return given if given and isinstance(given[0], torch.dtype) else (torch.float32, given)
