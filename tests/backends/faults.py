"""Faults of the device ``hosted``: each a kernel that stands for an operation's own.

``plant`` puts one into this process. A module that plants one is loaded by a run with ``--load``.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from tests.backends import hosted
from tests.backends.hosted import KERNELS, Kernel, stock

_reads: dict[tuple[Any, ...], torch.Tensor] = {}


def wrong_index(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    return hosted.under_index(stock(operation, *arguments, **keywords), 1)


def copy_for_view(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    return stock(operation, *arguments, **keywords).clone()


def copy_of_an_offset(
    operation: Any, tensor: torch.Tensor, *arguments: Any, **keywords: Any
) -> Any:
    view = stock(operation, tensor, *arguments, **keywords)
    return view.clone() if tensor.storage_offset() else view


def stale_read(operation: Any, source: torch.Tensor, target: torch.Tensor, *more: Any) -> Any:
    """Give what was read at this address before, as a device does that forgets its own writes."""
    if not hosted.on_device(source) or hosted.on_device(target):
        return hosted.copy_from(operation, source, target, *more)
    place = (source.data_ptr(), source.shape, source.stride(), source.dtype)
    if place not in _reads:
        hosted.copy_from(operation, source, target, *more)
        _reads[place] = target.clone()
    return target.copy_(_reads[place])


def unread(operation: Any, source: torch.Tensor, target: torch.Tensor, *more: Any) -> Any:
    if hosted.on_device(source) and not hosted.on_device(target):
        return target.zero_()
    return hosted.copy_from(operation, source, target, *more)


def aborting(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    os.abort()


def reading_nowhere(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    ctypes.string_at(1)


def aborting_elsewhere(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    thread = threading.Thread(target=os.abort)
    thread.start()
    thread.join()


def hanging(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    time.sleep(600)


def missing(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    raise NotImplementedError(f"hosted has no {operation}")


def missing_for_strides(
    operation: Any, tensor: torch.Tensor, *arguments: Any, **keywords: Any
) -> Any:
    if not tensor.is_contiguous():
        raise NotImplementedError(f"hosted has no {operation} of strided tensors")
    return stock(operation, tensor, *arguments, **keywords)


def missing_for_bfloat16(
    operation: Any, tensor: torch.Tensor, *arguments: Any, **keywords: Any
) -> Any:
    if tensor.dtype == torch.bfloat16:
        raise NotImplementedError(f"hosted has no {operation} of bfloat16")
    return stock(operation, tensor, *arguments, **keywords)


FAULTS: dict[str, tuple[str, Kernel]] = {
    "wrong-index": ("aten::flip", wrong_index),
    "copy-for-view": ("aten::unfold", copy_for_view),
    "copy-of-an-offset": ("aten::as_strided", copy_of_an_offset),
    "stale-read": ("aten::_copy_from", stale_read),
    "unread": ("aten::_copy_from", unread),
    "abort": ("aten::gather", aborting),
    "segmentation-fault": ("aten::gather", reading_nowhere),
    "abort-elsewhere": ("aten::gather", aborting_elsewhere),
    "hang": ("aten::gather", hanging),
    "missing": ("aten::gather", missing),
    "missing-for-strides": ("aten::gather", missing_for_strides),
    "missing-for-bfloat16": ("aten::gather", missing_for_bfloat16),
    "random-abort": ("aten::uniform_", aborting),
    "backward-abort": ("aten::ones_like", aborting),
}
"""The operation that is faulty, and its kernel, by name."""


def plant(name: str) -> Callable[[], None]:
    """Put a fault into this process; return what takes it out."""
    operation, kernel = FAULTS[name]
    before = KERNELS.get(operation)
    KERNELS[operation] = kernel

    def take_out() -> None:
        del KERNELS[operation]
        if before is not None:
            KERNELS[operation] = before

    return take_out
