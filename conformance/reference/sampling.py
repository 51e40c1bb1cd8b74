"""Sampling an image at places of a grid, and grids of affine maps, from their documentation.

Places are normalized: -1 and 1 are the corners of the image or, with ``align_corners``, the centers
of its corner pixels. Arrays may be complex; where a place lies is decided on its real part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Number = Any
Weights = list[tuple[int, Number]]
CUBIC = -0.75
"""The parameter of the cubic convolution, as OpenCV and torch's bicubic modes have it."""


def coordinate(place: Number, side: int, align_corners: bool) -> Number:
    """Return the number of the pixel at a normalized place; between pixels, a fraction."""
    if align_corners:
        return (place + 1) / 2 * (side - 1)
    return ((place + 1) * side - 1) / 2


def kept_inside(at: Number, side: int, padding_mode: str, align_corners: bool) -> Number:
    """Return a coordinate moved into the image: to its border, reflected by it, or as it was."""
    if padding_mode == "reflection":
        at = _reflected(at, side, align_corners)
    if padding_mode == "zeros":
        return at
    return 0 * at if at.real < 0 else at * 0 + (side - 1) if at.real > side - 1 else at


def _reflected(at: Number, side: int, align_corners: bool) -> Number:
    """Reflect by the centers of the corner pixels, or by their outer edges, until inside."""
    low, high = (0.0, side - 1.0) if align_corners else (-0.5, side - 0.5)
    if high == low:
        return 0 * at
    while not low <= at.real <= high:
        at = 2 * low - at if at.real < low else 2 * high - at
    return at


def _linear(at: Number, inside: Callable[[Number], Number]) -> Weights:
    at = inside(at)
    first = math.floor(at.real)
    return [(first, first + 1 - at), (first + 1, at - first)]


def _nearest(at: Number, inside: Callable[[Number], Number]) -> Weights:
    return [(round(inside(at).real), 1.0)]


def _cubic(at: Number, inside: Callable[[Number], Number]) -> Weights:
    """Four pixels by the cubic convolution; each is moved into the image by itself."""
    first = math.floor(at.real)
    pixels = range(first - 1, first + 3)
    return [(int(inside(float(n)).real), _convolved(_size(at - n))) for n in pixels]


def _size(x: Number) -> Number:
    return -x if x.real < 0 else x


def _convolved(x: Number) -> Number:
    if x.real <= 1:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * CUBIC - 4 * CUBIC


_MODES = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}


def _weights(
    place: Number, side: int, mode: str, padding_mode: str, align_corners: bool
) -> Weights:
    """Return the pixels along one side that a place is made of, and how much of each."""

    def inside(at: Number) -> Number:
        return kept_inside(at, side, padding_mode, align_corners)

    known = -1.0 if np.isnan(place) else place
    return _MODES[mode](coordinate(known, side, align_corners), inside)


def grid_sample(
    x: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Array:
    """Return, for each place of the grid, what lies there between the pixels of the image.

    The last dimension of the grid is the place: along the last dimension of the image first. nan
    is -1.
    """
    sides = x.shape[2:]
    aligned = bool(align_corners)
    result = np.zeros((*x.shape[:2], *grid.shape[1:-1]), np.result_type(x, grid))
    for spot in np.ndindex(*grid.shape[:-1]):
        weights = [
            _weights(place, side, mode, padding_mode, aligned)
            for place, side in zip(grid[spot][::-1], sides, strict=True)
        ]
        for chosen in product(*weights):
            pixel = tuple(n for n, _ in chosen)
            if all(0 <= n < side for n, side in zip(pixel, sides, strict=True)):
                weight = math.prod((w for _, w in chosen), start=1.0 + 0j)
                weight = weight if result.dtype.kind == "c" else weight.real
                result[(spot[0], slice(None), *spot[1:])] += (
                    weight * x[(spot[0], slice(None), *pixel)]
                )
    return result


def sampled_size(x: Array, grid: Array, *rest: Any, **options: Any) -> Array:
    """Return what rounding is in units of: the largest pixel times the coordinates' size."""
    reach = 4 * (1 + np.abs(np.nan_to_num(grid)).max(initial=1.0)) * max(x.shape[2:])
    shape = (*x.shape[:2], *grid.shape[1:-1])
    return np.full(shape, np.abs(x).max(initial=0.0) * reach)


def affine_grid(theta: Array, size: Sequence[int], align_corners: bool | None = None) -> Array:
    """Return ``theta (x, y, 1)^T`` for the normalized place (x, y) of each pixel.

    With ``align_corners`` the only pixel of a side lies at 0.
    """
    sides = tuple(size)[2:]
    along = [_centers(side, bool(align_corners)) for side in sides]
    across = [*reversed(np.meshgrid(*along, indexing="ij")), np.ones(sides)]
    return np.asarray(np.einsum("...j,nij->n...i", np.stack(across, axis=-1), theta))


def _centers(side: int, align_corners: bool) -> Array:
    if align_corners:
        return np.linspace(-1, 1, side) if side > 1 else np.zeros(side)
    return (2 * np.arange(side) + 1) / side - 1


def affine_size(theta: Array, size: Sequence[int], align_corners: bool | None = None) -> Array:
    """Return the sum of the sizes of what :func:`affine_grid` adds, whatever the place."""
    whole = np.abs(theta).sum(axis=-1)
    sides = tuple(size)[2:]
    shaped = whole.reshape(len(theta), *[1] * len(sides), -1)
    return np.broadcast_to(shaped, (len(theta), *sides, whole.shape[-1]))
