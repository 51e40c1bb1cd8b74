"""Calls as text that must raise, or that must not, as functions of the tensors they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from packaging.version import Version

_RELEASE = Version(Version(torch.__version__).base_version)

ERRORS: dict[str, type[Exception]] = {
    "IndexError": IndexError,
    "RuntimeError": RuntimeError,
    "TypeError": TypeError,
    "ValueError": ValueError,
    "LinAlgError": getattr(torch.linalg, "LinAlgError"),  # noqa: B009 (not in its stubs)
    "TypeError from 2.15": TypeError if Version("2.15") <= _RELEASE else RuntimeError,
}
"""The exceptions that entries name.

From 2.15 on torch refuses a dtype with TypeError where the operation is undefined for it, and with
NotImplementedError, a RuntimeError, where it is not there yet:
https://github.com/pytorch/pytorch/pull/192353
"""


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
