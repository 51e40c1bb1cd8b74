"""Resizing of images: interpolation by every mode, to a size or by factors."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator, Rejection
from conformance.reference import interpolation as reference

_FACTORS = st.sampled_from((2.0, 0.5, 1.5, 0.75, 3.0, 1.25, 0.25, 2.5))
_SMALLER = st.sampled_from((0.5, 0.75, 0.25, 1.0))
RANKS = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
"""The numbers of dimensions of space of the modes that take but one."""


def _each(draw: st.DrawFn, choices: list[Any]) -> Any:
    """One choice for all dimensions, if it is one for each, or all."""
    return choices[0] if draw(st.booleans()) and len(set(choices)) == 1 else tuple(choices)


def _factor(draw: st.DrawFn, n: int, factors: st.SearchStrategy[float]) -> float:
    """A factor that leaves a side of at least 1, and of another length unless it is 1."""
    factor = draw(factors)
    return factor if int(n * factor) not in (0, n) else 1.0


def _lengths(draw: st.DrawFn, sides: list[int], antialias: bool) -> dict[str, Any]:
    """A size or factors, larger or smaller than the input; smaller where antialiased."""
    most = [n if antialias else 6 for n in sides]
    same = draw(st.booleans())
    if draw(st.booleans()):
        least = draw(st.integers(1, min(most)))
        return {"size": _each(draw, [least if same else draw(st.integers(1, m)) for m in most])}
    each = _SMALLER if antialias else _FACTORS
    first = _factor(draw, min(sides), each)
    if same and len(set(sides)) == 1:
        factors = [first] * len(sides)
    else:
        factors = [_factor(draw, n, each) for n in sides]
    options: dict[str, Any] = {"scale_factor": _each(draw, factors)}
    if draw(st.booleans()):
        options["recompute_scale_factor"] = draw(st.booleans())
    return options


def _image(draw: st.DrawFn, dtype: torch.dtype, kind: str, sides: list[int]) -> Any:
    before = draw(st.sampled_from(((1, 1), (2, 1), (1, 2), (2, 3))))
    return draw(operand(dtype, kind, (*before, *sides)))


def _sides(draw: st.DrawFn, mode: str) -> list[int]:
    rank = draw(st.sampled_from(RANKS.get(mode, (1, 2, 3))))
    return [draw(st.integers(1, {1: 7, 2: 4, 3: 2}[rank])) for _ in range(rank)]


def _calls(mode: str) -> Calls:
    """Images of the ranks that a mode takes, with every option given or left out."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = _sides(draw, mode)
        options = _lengths(draw, sides, antialias=False)
        if mode != "nearest" or draw(st.booleans()):
            options["mode"] = mode
        if mode in RANKS and draw(st.integers(0, 3)):
            options["align_corners"] = draw(st.booleans())
        return Call((_image(draw, dtype, kind, sides),), options)

    return calls


def _antialiased_calls(mode: str) -> Calls:
    """Images that get smaller, to two columns or more."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = [draw(st.integers(1, 5)), draw(st.integers(4, 6))]
        options = _lengths(draw, sides, antialias=True)
        if "size" in options:
            columns = draw(st.integers(2, sides[1]))
            options["size"] = (draw(st.integers(1, sides[0])), columns)
        elif int(sides[1] * reference.factors_of(options["scale_factor"], 2)[1]) < 2:
            options["scale_factor"] = 1.0
        words = {**options, "mode": mode, "antialias": True}
        return Call((_image(draw, dtype, kind, sides),), words)

    return calls


@st.composite
def _column_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Images that get smaller, to one column."""
    sides = [draw(st.integers(2, 5)), draw(st.integers(1, 4))]
    mode = draw(st.sampled_from(("bilinear", "bicubic")))
    options = {"size": (draw(st.integers(1, sides[0])), 1), "mode": mode, "antialias": True}
    return Call((_image(draw, dtype, kind, sides),), options)


@st.composite
def _kept_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Images whose sides stay the same, though the factor is not 1."""
    mode = draw(st.sampled_from(("linear", "bilinear", "trilinear", "bicubic", "nearest-exact")))
    side = draw(st.integers(2, 3))
    options = {"scale_factor": 1.25, "mode": mode}
    rank = RANKS.get(mode, (2,))[0]
    return Call((_image(draw, dtype, kind, [side] * rank),), options)


def _entry(variant: str, calls: Calls, **changes: Any) -> Operator:
    given: dict[str, Any] = {
        "variant": variant,
        "magnitude": reference.interpolate_size,
        "ulps": 16,
        "normwise": True,
    }
    return functional("interpolate", calls, reference.interpolate, **{**given, **changes})


def _rejecting(legal: str, illegal: str, message: str, error: str = "ValueError") -> Rejection:
    call, mistake = f"interpolate({legal})", f"interpolate({illegal})"
    return rejecting(call, mistake, error, message, x=(1, 2, 4, 3))


_EXACT: dict[str, Any] = {"ulps": 0, "magnitude": None, "dtypes": ("floating", torch.uint8)}
OPERATORS = (
    _entry(
        "nearest", _calls("nearest"), **_EXACT,
        rejections={
            "both": _rejecting(
                "x, 3", "x, 3, 2.0", "only one of size or scale_factor"),
            "neither": _rejecting(
                "x, scale_factor=2.0", "x", "either size or scale_factor should be defined"),
            "align": _rejecting(
                "x, 3", "x, 3, align_corners=True", "align_corners option can only be set"),
            "sizes": _rejecting(
                "x, (3, 2)", "x, (3, 2, 2)", "same number of spatial dimensions"),
            "factors": _rejecting(
                "x, scale_factor=(3.0, 2.0)", "x, scale_factor=(3.0,)",
                "same number of spatial dimensions"),
            "recompute": _rejecting(
                "x, scale_factor=2.0, recompute_scale_factor=True",
                "x, 3, recompute_scale_factor=True",
                "recompute_scale_factor is not meaningful with an explicit size"),
            "fraction": _rejecting(
                "x, (3, 2)", "x, (3, 2.5)", "expected size to be one of int", "TypeError"),
            "antialias": _rejecting(
                "x, 3, mode='bilinear', antialias=True", "x, 3, antialias=True",
                "Anti-alias option is"),
        },
    ),
    _entry("nearest-exact", _calls("nearest-exact"), **_EXACT),
    *(_entry(mode, _calls(mode)) for mode in ("linear", "bilinear", "trilinear", "area")),
    _entry("bicubic", _calls("bicubic"), ulps=64),
    _entry("bilinear-antialiased", _antialiased_calls("bilinear")),
    _entry("bicubic-antialiased", _antialiased_calls("bicubic"), ulps=64),
    _entry("column-antialiased", _column_calls, ulps=64, excused=VALUE_ALONE),
    _entry("kept", _kept_calls, ulps=64, excused=VALUE_ALONE),
)  # fmt: skip
