"""Margins around arrays, channels turned into pixels, numbers into indicators, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def padded(a: Array, pad: tuple[int, ...], mode: str = "constant", value: Any = None) -> Array:
    """Add elements before and after dimensions, given in pairs from the last dimension on."""
    pairs = [pad[place : place + 2] for place in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (a.ndim - len(pairs)) + pairs
    if not pad:
        return a
    if mode == "constant":
        return np.pad(a, widths, constant_values=0 if value is None else value)
    names: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(a, widths, mode=names[mode])


def pixels_shuffled(a: Array, factor: int) -> Array:
    """Turn channels into squares of pixels: (*, C r r, H, W) to (*, C, H r, W r)."""
    *batch, channels, height, width = a.shape
    split_up = a.reshape((*batch, channels // factor**2, factor, factor, height, width))
    order = (*range(len(batch) + 1), -2, -4, -1, -3)
    sides = channels // factor**2, height * factor, width * factor
    return split_up.transpose(order).reshape((*batch, *sides))


def pixels_unshuffled(a: Array, factor: int) -> Array:
    """Turn squares of pixels into channels: (*, C, H r, W r) to (*, C r r, H, W)."""
    *batch, channels, height, width = a.shape
    inner = (height // factor, factor, width // factor, factor)
    order = (*range(len(batch) + 1), -3, -1, -4, -2)
    split_up = a.reshape((*batch, channels, *inner)).transpose(order)
    return split_up.reshape((*batch, channels * factor**2, inner[0], inner[2]))


def indicators(a: Array, num_classes: int = -1) -> Array:
    """Return 1 at the place each number names along a new last dimension, and 0 elsewhere."""
    count = int(a.max()) + 1 if num_classes == -1 else num_classes
    found: Array = (a[..., None] == np.arange(count)).astype(np.int64)
    return found
