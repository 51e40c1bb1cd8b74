"""Calls as text that must raise, or that must not, as functions of the tensors they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

ERRORS: dict[str, type[Exception]] = {
    "IndexError": IndexError,
    "RuntimeError": RuntimeError,
    "TypeError": TypeError,
    "ValueError": ValueError,
    "LinAlgError": getattr(torch.linalg, "LinAlgError"),  # noqa: B009 (not in its stubs)
}
"""The exceptions that entries name."""


def spoken(text: str, tensors: Mapping[str, torch.Tensor]) -> Callable[..., Any]:
    """Return the function that an expression over ``torch`` and tensors by name stands for."""
    function: Callable[..., Any] = eval(f"lambda {', '.join(tensors)}: {text}", {"torch": torch})
    return function
