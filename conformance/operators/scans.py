"""Scans: results that run along one dimension, and differences and integrals along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import Call, Dtypes, Operator, Reference
from conformance.operators.reduction_arguments import (
    BOOLEANS,
    NONFINITE,
    UNSIGNED_ZERO,
    along,
    casts,
    limited,
    out_of_range,
    real_casts,
    rejecting,
    with_zeros,
)
from conformance.operators.results import floating, same_and_positions, summed
from conformance.reference import scans as reference
from strategies import dims, tensors_holding

_STEPS = st.sampled_from((0.5, 2.0, -1.5, 3))


def _cast_result(call: Call) -> Dtypes:
    """Integers become the default dtype; of two operands the first one's dtype holds."""
    return floating(Call(call.arguments[:1], {}))


@st.composite
def _differences(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind, limited(kind, min_rank=1, min_side=1)))
    dim = draw(dims(x.dim()))
    keywords: dict[str, Any] = {}
    if draw(BOOLEANS):
        keywords["n"] = draw(st.integers(1, 3))
    if draw(BOOLEANS) or dim not in (-1, x.dim() - 1):
        keywords["dim"] = dim
    along_dim = keywords.get("dim", -1)
    for name in ("prepend", "append"):
        if draw(st.integers(0, 2)) == 2:
            shape = list(x.shape)
            shape[along_dim] = draw(st.sampled_from((1, 2, 0)))
            keywords[name] = draw(operand(dtype, kind, tuple(shape)))
    return Call((x,), keywords)


@st.composite
def _integrals(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Heights; steps of 1, ``dx``, or points: of the heights' shape, or of one dimension."""
    y = draw(
        operand(
            dtype, kind, limited(kind, min_rank=1, min_side=int(kind in SMOOTH), max_elements=24)
        )
    )
    dim = draw(dims(y.dim()))
    keywords: dict[str, Any] = {"dim": dim}
    if dim in (-1, y.dim() - 1) and draw(BOOLEANS):
        keywords.pop("dim")
    form = draw(st.sampled_from(("plain", "dx", "points", "line")))
    if form == "dx":
        keywords["dx"] = draw(st.sampled_from((0.5, 2.0, -1.5, 0.0)))
    if form in ("plain", "dx"):
        return Call((y,), keywords)
    shape = tuple(y.shape) if form == "points" else (y.shape[dim],)
    return Call((y, draw(operand(dtype, kind, shape))), keywords)


@st.composite
def _sampled(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Values at places a step apart, one step a dimension, or at places of their own."""
    order = draw(st.sampled_from((1, 2)))
    sides = st.sampled_from((3, 4, 5) if order == 2 else (2, 3, 4))
    rank = draw(st.sampled_from((1, 2)))
    shape = tuple(draw(sides) for _ in range(rank))
    keywords: dict[str, Any] = {"edge_order": 2} if order == 2 else {}
    places = list(range(rank))
    if draw(BOOLEANS):
        places = draw(st.sampled_from(([-1], [0], [1, 0], [0, -1]) if rank == 2 else ([0], [-1])))
        single = len(places) == 1 and draw(BOOLEANS)
        keywords["dim"] = places[0] if single else tuple(places)
    form = draw(st.sampled_from(("plain", "step", "steps", "places")))
    if form == "step":
        keywords["spacing"] = draw(_STEPS)
    elif form == "steps":
        keywords["spacing"] = [draw(_STEPS) for _ in places]
    elif form == "places":
        real = torch.empty(0, dtype=dtype).real.dtype
        keywords["spacing"] = [draw(_rising(real, shape[place])) for place in places]
    return Call((draw(operand(dtype, kind, shape)),), keywords)


@st.composite
def _rising(draw: st.DrawFn, dtype: torch.dtype, count: int) -> torch.Tensor:
    """Places of uneven distances, to the right or to the left."""
    widths = np.asarray([draw(st.sampled_from((1.0, 0.5, 2.0))) for _ in range(count)])
    return draw(tensors_holding(np.cumsum(widths) * draw(st.sampled_from((1, -1))), dtype=dtype))


def _running_extreme(name: str, of: Reference, values: Reference) -> tuple[Operator, ...]:
    """Of distinct values, whose places are promised."""
    return (
        Operator(
            name=name,
            calls=along("one", keepdim=False),
            reference=of,
            analytic=values,
            dtypes=("real",),
            result=same_and_positions,
            kind="distinct",
            smooth="distinct",
            derivative_ulps=0,
            spellings=(f"Tensor.{name}",),
            out="same",
            rejections=out_of_range(f"torch.{name}(x, {{}})"),
        ),
    )


_SCANS = (
    Operator(
        name="cumsum",
        calls=along("one", {"dtype": casts}, keepdim=False, kinds={"integral": "any"}),
        reference=reference.running_sum,
        analytic=reference.running_sum,
        dtypes=("any",),
        result=summed,
        kind="nonfinite",
        ulps=1,
        magnitude=reference.running_size,
        derivative_ulps=0,
        spellings=("Tensor.cumsum",),
        out="same",
        rejections=out_of_range("torch.cumsum(x, {})"),
    ),
    Operator(
        name="cumsum",
        variant="in-place",
        calls=along("one", keepdim=False, kinds={"integral": "any"}),
        reference=reference.running_sum,
        analytic=reference.running_sum,
        dtypes=("floating", "complex", torch.int64),
        kind="dyadic",
        ulps=1,
        magnitude=reference.running_size,
        in_place="Tensor.cumsum_",
    ),
    Operator(
        name="cumprod",
        calls=with_zeros(
            along(
                "one",
                {"dtype": real_casts},
                keepdim=False,
                kinds=NONFINITE,
                smooth="dyadic",
                max_elements=8,
            ),
            "dyadic",
        ),
        reference=reference.running_product,
        analytic=reference.running_product,
        dtypes=("any",),
        result=summed,
        kind="nonfinite",
        smooth="dyadic",
        ulps=8,
        spellings=("Tensor.cumprod",),
        out="same",
        rejections=out_of_range("torch.cumprod(x, {})"),
    ),
    Operator(
        name="cumprod",
        variant="in-place",
        calls=along("one", keepdim=False, max_elements=8),
        reference=reference.running_product,
        analytic=reference.running_product,
        dtypes=("floating", "complex", torch.int64),
        kind="dyadic",
        ulps=8,
        in_place="Tensor.cumprod_",
    ),
    *_running_extreme("cummax", reference.running_largest, reference.running_largest_value),
    *_running_extreme("cummin", reference.running_smallest, reference.running_smallest_value),
    Operator(
        name="logcumsumexp",
        calls=along("one", keepdim=False, filled_when_smooth=True),
        reference=reference.running_log_sum_exp,
        analytic=reference.running_log_sum_exp,
        kind="nonfinite",
        ulps=32,
        magnitude=reference.running_log_magnitude,
        derivative_ulps=2.0**15,  # forward mode adds 1e-13 to what it takes the logarithm of
        spellings=("Tensor.logcumsumexp",),
        out="same",
        rejections=out_of_range("torch.logcumsumexp(x, {})"),
    ),
)

_DIFFERENCES = (
    Operator(
        name="diff",
        calls=_differences,
        reference=reference.differences,
        analytic=reference.differences,
        dtypes=("numeric",),
        kind="dyadic",
        ulps=UNSIGNED_ZERO,
        derivative_ulps=8,
        spellings=("Tensor.diff",),
        out="same",
        rejections={
            **out_of_range("torch.diff(x, dim={})"),
            "rank": rejecting(
                "torch.diff(x)", "torch.diff(x[0, 0])", "expects input to be at least one-dim"
            ),
            "order": rejecting("torch.diff(x, 1)", "torch.diff(x, -1)", "must be non-negative"),
            "shape": rejecting(
                "torch.diff(x, prepend=x)", "torch.diff(x, prepend=x[:1])", "match that of input"
            ),
        },
    ),
    Operator(
        name="trapezoid",
        calls=_integrals,
        reference=reference.integral,
        analytic=reference.integral,
        dtypes=("floating", "complex"),
        result=_cast_result,
        kind="dyadic",
        ulps=4,
        magnitude=reference.integral_magnitude,
        spellings=("trapz",),
        excused={"spellings": "trapz takes no dx"},
        rejections=out_of_range("torch.trapezoid(x, dim={})"),
    ),
    Operator(
        name="cumulative_trapezoid",
        calls=_integrals,
        reference=reference.running_integral,
        analytic=reference.running_integral,
        dtypes=("floating", "complex"),
        result=_cast_result,
        kind="dyadic",
        ulps=4,
        magnitude=reference.running_integral_magnitude,
        rejections=out_of_range("torch.cumulative_trapezoid(x, dim={})"),
    ),
    Operator(
        name="gradient",
        calls=_sampled,
        reference=reference.slopes,
        analytic=reference.slopes,
        dtypes=(torch.float64, torch.float32, "complex"),
        result=_cast_result,
        constants=(1, 2),
        kind="dyadic",
        ulps=8,
        magnitude=reference.slopes_magnitude,
    ),
)

OPERATORS = (*_SCANS, *_DIFFERENCES)
