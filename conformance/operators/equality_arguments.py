"""Pairs of tensors that are equal, nearly so, or not at all."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.arithmetic_arguments import memory_changed
from conformance.operators.operator import Call
from strategies import dtypes, tensors
from strategies.layouts import WRITABLE

_TOLERANCES = st.sampled_from((0.0, 0.125, 0.5))


@st.composite
def tensor_pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a tensor, and itself, a copy, a copy with one element changed, or another tensor."""
    x = draw(tensors(values=draw(st.sampled_from(("few", "any")))))
    form = draw(st.sampled_from(("itself", "copy", "changed", "other rank", "other")))
    if form == "itself":
        return x, x
    if form == "other rank":
        return x, draw(_copies(x, changed=False)).unsqueeze(0)
    if form == "other":
        return x, draw(tensors(dtype=x.dtype, shape=tuple(x.shape)))
    return x, draw(_copies(x, changed=form == "changed"))


@st.composite
def _copies(draw: st.DrawFn, x: torch.Tensor, *, changed: bool) -> torch.Tensor:
    """Draw a tensor in a layout of its own with the values of another, but for one element."""
    y = draw(tensors(dtype=x.dtype, shape=tuple(x.shape), layouts=WRITABLE))
    y.copy_(x)
    if changed and y.numel():
        place = draw(st.integers(0, y.numel() - 1))
        index = torch.unravel_index(torch.tensor(place), y.shape) if y.dim() else ()
        y[index] = (y[index] == 0).to(y.dtype)
    return y


@st.composite
def close_calls(draw: st.DrawFn) -> Call:
    """Draw tensors some eighths apart, or equal, nan and infinities among them, and tolerances."""
    dtype = draw(dtypes("floating"))
    x = draw(operand(dtype, draw(st.sampled_from(("dyadic", "nonfinite")))))
    y = draw(_copies(x, changed=draw(st.booleans())))
    if draw(st.booleans()):
        memory_changed(y, lambda values: values + 0.125)
    options: dict[str, st.SearchStrategy[Any]] = {
        "rtol": _TOLERANCES,
        "atol": _TOLERANCES,
        "equal_nan": st.booleans(),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(options)), unique=True))
    return Call((x, y), {name: draw(options[name]) for name in chosen})
