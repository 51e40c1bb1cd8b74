"""Sampling of images at the places of a grid, and the grids of affine maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator
from conformance.reference import sampling as reference
from strategies.devices import current_device
from strategies.shapes import Shape

_PADDING = st.sampled_from(("zeros", "border", "reflection"))
_SMOOTH_EIGHTHS = (2, 3, 5, 6)
"""Between pixels, where the weights have derivatives: neither a pixel nor midway, in eighths."""
_UNTIED_EIGHTHS = (0, 1, 2, 3, 5, 6, 7)


def _places(
    draw: st.DrawFn, kind: str, sides: Shape, aligned: bool, count: int
) -> np.ndarray[Any, Any]:
    """Normalized places of coordinates in eighths of pixels, up to two sides beyond the image."""
    eighths = _SMOOTH_EIGHTHS if kind in SMOOTH else _UNTIED_EIGHTHS
    columns = []
    for side in reversed(sides):
        pixels = draw(st.lists(st.integers(-2 * side, 3 * side), min_size=count, max_size=count))
        parts = draw(st.lists(st.sampled_from(eighths), min_size=count, max_size=count))
        at = np.array(pixels) + np.array(parts) / 8
        if aligned:
            columns.append(2 * at / max(side - 1, 1) - 1)
        else:
            columns.append((2 * at + 1) / side - 1)
    return np.stack(columns, axis=-1)


def _grid_calls(mode: str, ranks: tuple[int, ...], missing: bool = False) -> Calls:
    """Sides whose places have exact coordinates, so that it is sure between which pixels they are.

    Where ``missing``, some places are nan.
    """

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rank = draw(st.sampled_from(ranks))
        aligned = draw(st.booleans())
        lengths = st.sampled_from((2, 3, 5, 1) if aligned else (2, 4, 1))
        most = (3 if aligned else 2) if kind in SMOOTH or rank == 3 else 5
        sides = tuple(min(draw(lengths), most) for _ in range(rank))
        count, channels = draw(st.integers(1, 2)), draw(st.integers(1, 2))
        wanted = [draw(st.integers(1, 2)) for _ in range(rank)]
        places = _places(draw, kind, sides, aligned, count * int(np.prod(wanted)))
        if missing:
            flat = places.reshape(-1)
            flat[draw(st.integers(0, flat.size - 1)) :: 3] = np.nan
        grid = torch.tensor(places, dtype=dtype, device=current_device())
        keywords: dict[str, Any] = (
            {"align_corners": aligned} if aligned or draw(st.booleans()) else {}
        )
        if mode != "bilinear" or draw(st.booleans()):
            keywords["mode"] = mode
        if draw(st.booleans()):
            keywords["padding_mode"] = draw(_PADDING)
        x = draw(operand(dtype, kind, (count, channels, *sides)))
        return Call((x, grid.reshape(count, *wanted, rank)), keywords)

    return calls


@st.composite
def _affine_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rank, count = draw(st.sampled_from((2, 2, 3))), draw(st.integers(1, 2))
    most = 2 if kind in SMOOTH else 4
    sides = tuple(draw(st.integers(1, most)) for _ in range(rank))
    size = (count, draw(st.integers(1, 3)), *sides)
    theta = draw(operand(dtype, kind, (count, rank, rank + 1)))
    given = draw(st.sampled_from(({}, {"align_corners": True}, {"align_corners": False})))
    return Call((theta, torch.Size(size) if draw(st.booleans()) else list(size)), dict(given))


def _sampling(variant: str, calls: Calls, **changes: Any) -> Operator:
    given: dict[str, Any] = {
        "variant": variant, "magnitude": reference.sampled_size, "ulps": 4, "normwise": True,
        "derivative_ulps": 256, "slope": 8.0, "dtypes": ("split",),
    }  # fmt: skip
    return functional("grid_sample", calls, reference.grid_sample, **{**given, **changes})


_IMAGE = {"x": (1, 1, 2, 2), "g": (1, 2, 2, 2)}
OPERATORS = (
    _sampling(
        "", _grid_calls("bilinear", (2, 2, 3)),
        rejections={
            "mode": rejecting(
                "grid_sample(x, g, 'nearest', align_corners=False)",
                "grid_sample(x, g, 'linear', align_corners=False)",
                "ValueError", "mode to be 'bilinear', 'nearest' or 'bicubic'", **_IMAGE),
            "padding": rejecting(
                "grid_sample(x, g, padding_mode='border', align_corners=False)",
                "grid_sample(x, g, padding_mode='reflect', align_corners=False)",
                "ValueError", "padding_mode to be 'zeros', 'border', or 'reflection'", **_IMAGE),
            "places": rejecting(
                "grid_sample(x, g, align_corners=False)",
                "grid_sample(x, g[..., :1], align_corners=False)",
                "RuntimeError", "to have size 2 in last dimension|size 2 in last", **_IMAGE),
            "batch": rejecting(
                "grid_sample(x, g, align_corners=False)",
                "grid_sample(x, torch.cat([g, g]), align_corners=False)",
                "RuntimeError", "same batch size", **_IMAGE),
            "cubic": rejecting(
                "grid_sample(v, g, align_corners=False)",
                "grid_sample(v, g, 'bicubic', align_corners=False)",
                "RuntimeError", "bicubic interpolation only supports 4D",
                v=(1, 1, 2, 2, 2), g=(1, 1, 1, 1, 3)),
        },
    ),
    _sampling("nearest", _grid_calls("nearest", (2, 2, 3)), ulps=0.25, magnitude=None,
              derivative_ulps=16),
    _sampling("bicubic", _grid_calls("bicubic", (2,)), ulps=8, slope=16.0),
    _sampling("missing", _grid_calls("bilinear", (2,), missing=True), excused=VALUE_ALONE),
    _sampling("missing-nearest", _grid_calls("nearest", (2,), missing=True), excused=VALUE_ALONE),
    functional(
        "affine_grid", _affine_calls, reference.affine_grid, reference.affine_size,
        dtypes=("split",),
        rejections={
            "matrix": rejecting(
                "affine_grid(t, (1, 1, 2, 2), align_corners=False)",
                "affine_grid(t[:, :1], (1, 1, 2, 2), align_corners=False)",
                "ValueError", "Nx2x3", t=(1, 2, 3)),
            "size": rejecting(
                "affine_grid(t, (1, 1, 2, 2), align_corners=False)",
                "affine_grid(t, (1, 1, 2, 0), align_corners=False)",
                "ValueError", "non-zero, positive output size", t=(1, 2, 3)),
        },
    ),
)  # fmt: skip
