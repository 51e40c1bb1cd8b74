"""Blocks of images as columns of a matrix, and back, in NumPy: what a convolution slides over."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value


def _grid(sides: Pair, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> list[range]:
    """Where a kernel's first element lies along each padded side."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    reach = [s + 2 * p - n for s, p, n in zip(sides, padding, spans, strict=True)]
    return [range(0, last + 1, step) for last, step in zip(reach, stride, strict=True)]


def blocks_to_columns(
    a: Array,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Array:
    """Return each block that a kernel slides over as a column: (N, C, H, W) to (N, C k, L)."""
    kernel, dilated, margin, step = map(_pair, (kernel_size, dilation, padding, stride))
    sides: Any = a.shape[-2:]
    rows, columns = _grid(sides, kernel, dilated, margin, step)
    widths = [(0, 0)] * (a.ndim - 2) + [(m, m) for m in margin]
    wide_a = np.pad(a, widths)
    blocks = [
        wide_a[..., r : r + dilated[0] * kernel[0] : dilated[0], c : c + dilated[1] * kernel[1] :
               dilated[1]]
        for r, c in product(rows, columns)
    ]  # fmt: skip
    channels = a.shape[-3]
    flat = [block.reshape((*a.shape[:-3], channels * kernel[0] * kernel[1])) for block in blocks]
    return np.stack(flat, axis=-1)


def columns_to_blocks(
    a: Array,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Array:
    """Sum columns into the blocks that they came from: (N, C k, L) to (N, C, H, W)."""
    kernel, dilated, margin, step = map(_pair, (kernel_size, dilation, padding, stride))
    height, width = _pair(output_size)
    rows, columns = _grid((height, width), kernel, dilated, margin, step)
    channels = a.shape[-2] // (kernel[0] * kernel[1])
    padded_sides = (height + 2 * margin[0], width + 2 * margin[1])
    result = np.zeros((*a.shape[:-2], channels, *padded_sides), dtype=a.dtype)
    for number, (r, c) in enumerate(product(rows, columns)):
        block = a[..., number].reshape((*a.shape[:-2], channels, *kernel))
        for i, j in product(*map(range, kernel)):
            result[..., r + i * dilated[0], c + j * dilated[1]] += block[..., i, j]
    return result[..., margin[0] : margin[0] + height, margin[1] : margin[1] + width]
