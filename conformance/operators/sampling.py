"""Sampling of images at the places of a grid, and the grids of affine maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator, Rejection
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
        "name": "nn.functional.grid_sample", "variant": variant, "calls": calls,
        "reference": reference.grid_sample, "analytic": reference.grid_sample,
        "magnitude": reference.sampled_size, "kind": "dyadic", "ulps": 4, "normwise": True,
        "derivative_ulps": 256, "slope": 8.0, "dtypes": ("split",),
    }  # fmt: skip
    return Operator(**{**given, **changes})


def _rejecting(legal: str, illegal: str, message: str, error: str, **shapes: Shape) -> Rejection:
    call, mistake = (f"torch.nn.functional.{text}" for text in (legal, illegal))
    named = {name: (torch.float32, shape) for name, shape in shapes.items()}
    return Rejection(call, mistake, error, message, named)


_IMAGE = {"x": (1, 1, 2, 2), "g": (1, 2, 2, 2)}
OPERATORS = (
    _sampling(
        "", _grid_calls("bilinear", (2, 2, 3)),
        rejections={
            "mode": _rejecting(
                "grid_sample(x, g, 'nearest', align_corners=False)",
                "grid_sample(x, g, 'linear', align_corners=False)",
                "mode to be 'bilinear', 'nearest' or 'bicubic'", "ValueError", **_IMAGE),
            "padding": _rejecting(
                "grid_sample(x, g, padding_mode='border', align_corners=False)",
                "grid_sample(x, g, padding_mode='reflect', align_corners=False)",
                "padding_mode to be 'zeros', 'border', or 'reflection'", "ValueError", **_IMAGE),
            "places": _rejecting(
                "grid_sample(x, g, align_corners=False)",
                "grid_sample(x, g[..., :1], align_corners=False)",
                "to have size 2 in last dimension|size 2 in last", "RuntimeError", **_IMAGE),
            "batch": _rejecting(
                "grid_sample(x, g, align_corners=False)",
                "grid_sample(x, torch.cat([g, g]), align_corners=False)",
                "same batch size", "RuntimeError", **_IMAGE),
            "cubic": _rejecting(
                "grid_sample(v, g, align_corners=False)",
                "grid_sample(v, g, 'bicubic', align_corners=False)",
                "bicubic interpolation only supports 4D", "RuntimeError",
                v=(1, 1, 2, 2, 2), g=(1, 1, 1, 1, 3)),
        },
    ),
    _sampling("nearest", _grid_calls("nearest", (2, 2, 3)), ulps=0.25, magnitude=None,
              derivative_ulps=16),
    _sampling("bicubic", _grid_calls("bicubic", (2,)), ulps=8, slope=16.0),
    _sampling("missing", _grid_calls("bilinear", (2,), missing=True), excused=VALUE_ALONE),
    _sampling("missing-nearest", _grid_calls("nearest", (2,), missing=True), excused=VALUE_ALONE),
    Operator(
        name="nn.functional.affine_grid", calls=_affine_calls, reference=reference.affine_grid,
        analytic=reference.affine_grid, magnitude=reference.affine_size, kind="dyadic", ulps=8,
        derivative_ulps=64, dtypes=("split",),
        rejections={
            "matrix": _rejecting(
                "affine_grid(t, (1, 1, 2, 2), align_corners=False)",
                "affine_grid(t[:, :1], (1, 1, 2, 2), align_corners=False)",
                "Nx2x3", "ValueError", t=(1, 2, 3)),
            "size": _rejecting(
                "affine_grid(t, (1, 1, 2, 2), align_corners=False)",
                "affine_grid(t, (1, 1, 2, 0), align_corners=False)",
                "non-zero, positive output size", "ValueError", t=(1, 2, 3)),
        },
    ),
)  # fmt: skip
