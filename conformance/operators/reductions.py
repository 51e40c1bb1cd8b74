"""Reductions: sums, products and counts, over some dimensions or all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator
from conformance.operators.reduction_arguments import (
    KEEPDIM,
    NONFINITE,
    along,
    averaged,
    casts,
    counted_as,
    floating_casts,
    limited,
    out_of_range,
    real_casts,
    rejecting,
    repeated,
    with_zeros,
)
from conformance.operators.results import floating, positions, summed
from conformance.reference import reductions as reference
from conformance.reference.reductions import axes
from strategies import dim_tuples

_REAL_KINDS = {"integral": "any"}
_PRODUCT: dict[str, Any] = {"max_elements": 8}  # small enough for half precision, in whatever order


def sum_by_name(x: Any, dim: Any = None, **keywords: Any) -> Any:
    """``op(x, dim=dim)``: the dimension by name."""
    return torch.sum(x, dim=dim, **keywords)


_MEANS = along("several", {"dtype": real_casts}, filled_when_smooth=True)


@st.composite
def _with_numbers(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Calls where, if derivatives are asked, some elements are nan, but not all of a mean's."""
    call = draw(_MEANS(dtype, kind))
    if kind not in SMOOTH:
        return call
    x, *given = call.arguments
    reduced = axes(compare.to_numpy(x), given[0] if given else None)
    later = sum((n for axis, n in enumerate(np.indices(x.shape)) if axis in reduced), np.zeros(()))
    dropped = (later > 0) & (np.arange(x.numel()).reshape(x.shape) % draw(st.integers(2, 4)) == 1)
    mask = torch.from_numpy(np.asarray(dropped)).to(x.device)
    return Call((torch.where(mask, math.nan, x), *given), call.keywords)


@st.composite
def _over_given_dims(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """One dimension, or a tuple of at least one, as logsumexp has to be told."""
    x = draw(operand(dtype, kind, limited(kind, min_rank=1, min_side=int(kind in SMOOTH))))
    some = dim_tuples(x.dim()).map(lambda chosen: chosen or 0)
    return Call((x, draw(some)), dict(draw(KEEPDIM)))


def _truths(*, keepdim: bool = True) -> Calls:
    """Elements of any value; or nearly all of them 0, or none, on which truth depends."""
    plain = along("several", keepdim=keepdim)

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(plain(dtype, kind))
        x = call.arguments[0]
        common = draw(st.sampled_from((0, 1, 0, 2)))
        if common == 2:
            return call
        numbers = [value for value in _TELLING if dtype.is_floating_point or value == value]
        rare = [0, *numbers] if common else numbers
        picks = draw(st.binary(min_size=x.numel(), max_size=x.numel()))
        values = [rare[p % len(rare)] if p % 3 == 2 else common for p in picks]
        number = torch.tensor(values, dtype=torch.float64).to(dtype)
        return Call((number.reshape(x.shape).to(x.device), *call.arguments[1:]), call.keywords)

    return drawn


_TELLING = (math.nan, 1.0, math.nan, -0.0)


@st.composite
def _matrix(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Square, tall and wide matrices."""
    return Call((draw(operand(dtype, kind, limited(kind, min_rank=2, max_rank=2))),), {})


SUMS = (
    Operator(
        name="sum",
        calls=along("several", {"dtype": casts}, kinds=_REAL_KINDS),
        reference=reference.sum_over,
        analytic=reference.sum_over,
        dtypes=("any",),
        result=summed,
        kind="dyadic",
        ulps=1,
        magnitude=reference.sum_magnitude,
        derivative_ulps=0,
        spellings=("Tensor.sum", sum_by_name),
        rejections={
            **out_of_range("torch.sum(x, {})"),
            **repeated("torch.sum(x, {})"),
        },
    ),
    Operator(
        name="sum",
        variant="narrow",
        calls=along("several", kinds={"integral": "any"}),
        reference=reference.sum_over,
        dtypes=(torch.uint8, torch.int8, torch.int16),
        result=summed,
        kind="any",
        spellings=("Tensor.sum",),
        excused=VALUE_ALONE,
    ),
    Operator(
        name="sum",
        variant="nonfinite",
        calls=along("several"),
        reference=reference.sum_over,
        kind="nonfinite",
        ulps=1,
        magnitude=reference.sum_magnitude,
        spellings=("Tensor.sum",),
        excused={"constant": "the entry without variant is differentiable"},
    ),
    Operator(
        name="nansum",
        calls=along("several", {"dtype": real_casts}, kinds=NONFINITE),
        reference=reference.nansum_over,
        analytic=reference.nansum_over,
        dtypes=("real", "boolean"),
        result=summed,
        kind="nonfinite",
        smooth="missing",
        ulps=1,
        magnitude=reference.nansum_magnitude,
        derivative_ulps=0,
        spellings=("Tensor.nansum",),
        rejections=out_of_range("torch.nansum(x, {})"),
    ),
    Operator(
        name="mean",
        calls=along("several", {"dtype": floating_casts}, kinds=NONFINITE, filled_when_smooth=True),
        reference=reference.mean_over,
        analytic=reference.mean_over,
        dtypes=("differentiable",),
        result=averaged,
        kind="nonfinite",
        ulps=2,
        magnitude=reference.mean_magnitude,
        derivative_ulps=2,
        spellings=("Tensor.mean",),
        rejections={
            **out_of_range("torch.mean(x, {})"),
            **repeated("torch.mean(x, {})"),
            "integral": rejecting(
                "torch.mean(x.float())",
                "torch.mean(x)",
                "could not infer output dtype|must be either a floating point or complex",
                x=(torch.int64, (3,)),
            ),
        },
    ),
    Operator(
        name="mean",
        variant="out",
        calls=along("one", {"dtype": floating_casts}, filled_when_smooth=True),
        reference=reference.mean_over,
        analytic=reference.mean_over,
        dtypes=("differentiable",),
        result=averaged,
        kind="dyadic",
        ulps=2,
        magnitude=reference.mean_magnitude,
        out="same",
    ),
    Operator(
        name="nanmean",
        calls=_with_numbers,
        reference=reference.nanmean_over,
        analytic=reference.nanmean_over,
        result=averaged,
        kind="nonfinite",
        ulps=3,
        magnitude=reference.nanmean_magnitude,
        derivative_ulps=4,
        spellings=("Tensor.nanmean",),
        out="same",
    ),
    Operator(
        name="prod",
        calls=with_zeros(
            along("optional", {"dtype": real_casts}, kinds=NONFINITE, smooth="dyadic", **_PRODUCT),
            "dyadic",
        ),
        reference=reference.product_over,
        analytic=reference.product_over,
        dtypes=("any",),
        result=summed,
        kind="nonfinite",
        smooth="dyadic",
        ulps=8,
        spellings=("Tensor.prod",),
        rejections=out_of_range("torch.prod(x, {})"),
        excused={"long": "products of many complex numbers overflow on the way"},
    ),
    Operator(
        name="logsumexp",
        calls=_over_given_dims,
        reference=reference.log_sum_exp,
        analytic=reference.log_sum_exp,
        dtypes=("real",),
        result=floating,
        kind="nonfinite",
        ulps=4,
        magnitude=reference.log_sum_exp_magnitude,
        spellings=("Tensor.logsumexp", "special.logsumexp"),
        out="same",
        rejections={**out_of_range("torch.logsumexp(x, {})"), **repeated("torch.logsumexp(x, {})")},
    ),
    Operator(
        name="trace",
        calls=_matrix,
        reference=reference.diagonal_sum,
        analytic=reference.diagonal_sum,
        dtypes=("numeric",),
        result=summed,
        kind="dyadic",
        ulps=1,
        magnitude=reference.diagonal_sum_magnitude,
        derivative_ulps=0,
        spellings=("Tensor.trace",),
        rejections={
            "rank": rejecting("torch.trace(x)", "torch.trace(x[0])", "expected a matrix"),
        },
    ),
)

COUNTS = (
    Operator(
        name="all",
        calls=_truths(),
        reference=reference.all_over,
        dtypes=("any",),
        result=counted_as,
        spellings=("Tensor.all",),
        out="same",
        rejections={**out_of_range("torch.all(x, {})"), **repeated("torch.all(x, {})")},
    ),
    Operator(
        name="any",
        calls=_truths(),
        reference=reference.any_over,
        dtypes=("any",),
        result=counted_as,
        spellings=("Tensor.any",),
        out="same",
        rejections={**out_of_range("torch.any(x, {})"), **repeated("torch.any(x, {})")},
    ),
    Operator(
        name="count_nonzero",
        calls=_truths(keepdim=False),
        reference=reference.nonzero_count,
        dtypes=("any",),
        result=positions,
        spellings=("Tensor.count_nonzero",),
        rejections={
            **out_of_range("torch.count_nonzero(x, {})"),
            **repeated("torch.count_nonzero(x, {})"),
        },
    ),
)

OPERATORS = (*SUMS, *COUNTS)
