"""Resizing of images, dimension by dimension: each result is a weighted sum along one of them.

Where a place of the result lies in the input, with pixels as squares of side 1: ``(i + 1/2) s -
1/2`` for a step s of input pixels; with aligned corners ``i (n - 1) / (m - 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sizes = int | Sequence[int] | None
Factors = float | Sequence[float] | None

LINEAR = ("linear", "bilinear", "trilinear")
_SHARP = -0.75  # Keys's parameter, as OpenCV has it
_SMOOTH = -0.5  # as Pillow has it


def tent(distance: Array) -> Array:
    """Return the weight of linear interpolation at a distance."""
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(distance)))


def keys(distance: Array, parameter: float = _SHARP) -> Array:
    """Return Keys's cubic convolution kernel: 1 at 0, 0 at all other integers and from 2 on."""
    x, a = np.abs(distance), parameter
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x - 1) * (x - 2) ** 2
    return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0.0)))


def factors_of(scale_factor: float | Sequence[float], rank: int) -> list[float]:
    """Return one factor for each dimension."""
    return [scale_factor] * rank if isinstance(scale_factor, float) else list(scale_factor)


def lengths_and_steps(
    sides: Sequence[int], size: Sizes, scale_factor: Factors, recompute: bool | None
) -> list[tuple[int, float]]:
    """Return the side of the result and the step in the input for each dimension."""
    rank = len(sides)
    if size is not None:
        chosen = [size] * rank if isinstance(size, int) else list(size)
        return [(m, n / m) for n, m in zip(sides, chosen, strict=True)]
    assert scale_factor is not None
    found = []
    for n, factor in zip(sides, factors_of(scale_factor, rank), strict=True):
        m = int(np.floor(n * factor))
        found.append((m, n / m if recompute else 1 / factor))
    return found


def weights(n: int, m: int, step: float, mode: str, align: bool, antialias: bool) -> Array:
    """Return the matrix that takes a row of n pixels to one of m."""
    places = np.arange(m)
    if mode in ("nearest", "nearest-exact"):
        chosen = np.floor((places + (0.5 if mode == "nearest-exact" else 0.0)) * step).astype(int)
        return np.asarray(np.eye(n)[np.minimum(chosen, n - 1)])
    if mode == "area":
        return _means(n, m)
    if antialias:
        return _antialiased(n, m, step, mode)
    if align:
        source = places * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        source = (places + 0.5) * step - 0.5
    kernel = tent if mode in LINEAR else keys
    matrix = np.zeros((m, n))
    for pixel in range(-3, n + 3 + int(source.max(initial=0))):
        matrix[:, min(max(pixel, 0), n - 1)] += kernel(source - pixel)
    return matrix


def _means(n: int, m: int) -> Array:
    """Return the means over windows that cover the row evenly."""
    matrix = np.zeros((m, n))
    for i in range(m):
        first, last = i * n // m, -((-(i + 1) * n) // m)
        matrix[i, first:last] = 1 / (last - first)
    return matrix


def _antialiased(n: int, m: int, step: float, mode: str) -> Array:
    """Return the kernel stretched by the step, cut at the edges and normalized, as Pillow does."""
    stretch = max(step, 1.0)
    reach = stretch * (1 if mode in LINEAR else 2)
    matrix = np.zeros((m, n))
    for i in range(m):
        center = (i + 0.5) * step
        first, last = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), n)
        distance = (np.arange(first, last) + 0.5 - center) / stretch
        row = tent(distance) if mode in LINEAR else keys(distance, _SMOOTH)
        matrix[i, first:last] = row / row.sum()
    return matrix


def interpolate(
    x: Array,
    size: Sizes = None,
    scale_factor: Factors = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    """Return an image resized, each dimension after those of batch and channel by its matrix."""
    sides = x.shape[2:]
    found = lengths_and_steps(sides, size, scale_factor, recompute_scale_factor)
    result = x
    for axis, (n, (m, step)) in enumerate(zip(sides, found, strict=True), start=2):
        matrix = weights(n, m, step, mode, bool(align_corners), antialias)
        result = np.moveaxis(np.tensordot(result, matrix, axes=(axis, 1)), -1, axis)
    return np.asarray(result.astype(x.dtype) if x.dtype.kind in "ui" else result)


def interpolate_size(x: Array, *rest: Any, **options: Any) -> Array:
    """Return the largest value of each channel: what an error of a weight is in units of."""
    result = interpolate(x, *rest, **options)
    largest = np.abs(x).max(axis=tuple(range(2, x.ndim)), keepdims=True)
    return np.broadcast_to(largest, result.shape)
