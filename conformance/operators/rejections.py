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
    """Return the function that an expression over ``torch`` and tensors by name stands for.

    Tensors that the expression makes are on the device of those that it names.
    """
    function: Callable[..., Any] = eval(f"lambda {', '.join(tensors)}: {text}", {"torch": torch})
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    if device.type == "cpu":
        return function

    def on_device(*arguments: Any) -> Any:
        with device:
            return function(*arguments)

    return on_device
