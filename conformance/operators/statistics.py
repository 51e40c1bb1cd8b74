"""Statistics: variances, covariances, quantiles and histograms."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.limits import NO_GRADIENT, SIZES_BY_VALUES
from conformance.operators.operator import Call, Dtypes, Operator, Reference
from conformance.operators.reduction_arguments import (
    BOOLEANS,
    KEEPDIM,
    UNSIGNED_ZERO,
    dimensions,
    limited,
    out_of_range,
    powers_of_two,
    rejecting,
    repeated,
)
from conformance.operators.results import real_part
from conformance.reference import statistics as reference
from strategies import current_device
from strategies.shapes import Shape

_CURVED: tuple[Shape, ...] = ((2,), (3,), (5,), (2, 3), (3, 2), (4,))


@st.composite
def _spread(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Any correction, more than the count of samples included; less where derivatives are asked."""
    smooth = kind in SMOOTH
    shape = draw(st.sampled_from(_CURVED) if smooth else limited(kind))
    plain = "dyadic" if dtype.is_complex else kind
    x = draw(powers_of_two(dtype, shape) if smooth else operand(dtype, plain, shape))
    given = draw(dimensions("several", shape, False))
    keywords: dict[str, Any] = {}
    if draw(BOOLEANS):
        keywords["correction"] = draw(st.integers(0, 1 if smooth or dtype.is_complex else 3))
    if given:
        keywords |= draw(KEEPDIM)
    return Call((x, *given), keywords)


def _real_and_same(call: Call) -> Dtypes:
    return Dtypes(None, (*real_part(call).results, call.arguments[0].dtype))


@st.composite
def _observations(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Variables as rows, or one of them; with weights there are two observations or more."""
    count = draw(st.integers(2, 5))
    shape = draw(st.sampled_from(((2, count), (count,), (3, count), (1, count))))
    keywords: dict[str, Any] = {"correction": draw(st.integers(0, 1))} if draw(BOOLEANS) else {}
    weighing = st.lists(st.integers(1, 4), min_size=count, max_size=count)
    if draw(BOOLEANS):
        keywords["fweights"] = torch.tensor(draw(weighing), device=current_device())
    if draw(BOOLEANS):
        real = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32
        keywords["aweights"] = torch.tensor(draw(weighing), dtype=real, device=current_device())
    return Call((draw(operand(dtype, kind, shape)),), keywords)


@st.composite
def _variables(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    shape = draw(st.sampled_from(((2, 3), (3,), (3, 4), (2, 5))))
    return Call((draw(operand(dtype, "distinct", shape)),), {})


_INTERPOLATIONS = ("", "linear", "lower", "higher", "nearest", "midpoint")


@st.composite
def _shares(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Shares as a number, a tensor of it, or several of them; exact in every dtype."""
    shape = draw(limited(kind, min_side=1, max_elements=24))
    given = draw(dimensions("nullable", shape, False))
    share = st.integers(0, 8).map(lambda eighths: eighths / 8)
    q = draw(st.one_of(share, st.lists(share, min_size=1, max_size=3)))
    form = draw(BOOLEANS) or isinstance(q, list)
    drawn: Any = torch.tensor(q, dtype=dtype, device=current_device()) if form else q
    keywords: dict[str, Any] = {}
    interpolation = draw(st.sampled_from(_INTERPOLATIONS))
    if interpolation:
        keywords["interpolation"] = interpolation
    keywords |= draw(KEEPDIM)
    if given:
        keywords["dim"] = given[0]
    own = draw(st.sampled_from(("distinct", kind)))
    return Call((draw(operand(dtype, own, shape)), drawn), keywords)


@st.composite
def _counted(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    values = draw(st.lists(st.integers(0, 6), max_size=8))
    weighed = bool(values) and draw(BOOLEANS)
    x = torch.tensor(values, dtype=dtype, device=current_device())
    keywords: dict[str, Any] = {}
    if weighed:
        weight = st.sampled_from((torch.float32, torch.float64))
        keywords["weights"] = draw(operand(draw(weight), "dyadic", (len(values),)))
    if draw(BOOLEANS):
        keywords["minlength"] = draw(st.integers(0, 9))
    return Call((x,), keywords)


def _weighed(call: Call) -> Dtypes:
    weights = call.keywords.get("weights")
    return Dtypes(None, (torch.int64 if weights is None else weights.dtype,))


_BINS = ((4, 0, 2), (8, -1, 1), (2, -2, 2), (16, -2, 2), (1, 0, 1), (3, -1.5, 1.5))


@st.composite
def _binned(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    bins, low, high = draw(st.sampled_from(_BINS))
    x = draw(operand(dtype, kind, limited(kind)))
    return Call((x,), {"bins": bins, "min": low, "max": high})


@st.composite
def _histograms(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    bins, low, high = draw(st.sampled_from(_BINS))
    shape = draw(limited(kind, min_side=1))
    keywords: dict[str, Any] = {}
    arguments: list[Any] = [draw(operand(dtype, kind, shape)), bins]
    if draw(BOOLEANS):
        edges = torch.tensor(
            draw(st.sampled_from(((-1.0, 0.5, 2.0), (0.0, 1.0), (-2.0, 0.0, 0.25))))
        )
        arguments[1] = edges.to(device=current_device(), dtype=dtype)
    else:
        keywords["range"] = (float(low), float(high))
    if draw(BOOLEANS):
        keywords["weight"] = draw(operand(dtype, "positive", shape))
    if draw(BOOLEANS):
        keywords["density"] = True
    return Call(tuple(arguments), keywords)


def _spreading(name: str, of: Reference, analytic: Reference, size: Reference) -> Operator:
    pair = name.endswith("_mean")
    return Operator(
        name=name,
        calls=_spread,
        reference=of,
        analytic=analytic,
        dtypes=("floating", "complex"),
        result=_real_and_same if pair else real_part,
        kind="missing" if pair else "nonfinite",
        smooth="distinct",
        ulps=4,
        magnitude=size,
        derivative_ulps=256,
        spellings=() if pair else (f"Tensor.{name}",),
        out="" if pair else "same",
        rejections={**out_of_range(f"torch.{name}(x, {{}})"), **repeated(f"torch.{name}(x, {{}})")},
    )


def _quantile(name: str, of: Reference, smooth: str) -> Operator:
    return Operator(
        name=name,
        calls=_shares,
        reference=of,
        analytic=of,
        dtypes=("split",),
        kind="missing",
        smooth=smooth,
        ulps=UNSIGNED_ZERO,
        constants=(1,),
        spellings=(f"Tensor.{name}",),
        out="same",
        rejections={
            **out_of_range(f"torch.{name}(x, 0.5, {{}})"),
            "range": rejecting(
                f"torch.{name}(x, 1.0)", f"torch.{name}(x, 1.5)", "range \\[0, 1\\]"
            ),
            "rank": rejecting(
                f"torch.{name}(x, torch.ones(1))",
                f"torch.{name}(x, torch.ones(1, 1))",
                "scalar or 1D tensor",
            ),
            "interpolation": rejecting(
                f"torch.{name}(x, 0.5, interpolation='lower')",
                f"torch.{name}(x, 0.5, interpolation='low')",
                "interpolation must be one of",
            ),
        },
    )


_BY_DATA = {"vmap": SIZES_BY_VALUES, "constant": NO_GRADIENT}
_CLIPPED = "clipped at 1, and constant on the diagonal, where terms cancel"
_RISING = "bins' edges have to rise, which they do not in a batch that is reversed"

OPERATORS = (
    _spreading(
        "var", reference.variance, reference.analytic_variance, reference.variance_magnitude
    ),
    _spreading(
        "std", reference.deviation, reference.analytic_deviation, reference.deviation_magnitude
    ),
    _spreading(
        "var_mean", reference.variance_and_mean, reference.analytic_variance_and_mean,
        reference.variance_and_mean_magnitude,
    ),
    _spreading(
        "std_mean", reference.deviation_and_mean, reference.analytic_deviation_and_mean,
        reference.deviation_and_mean_magnitude,
    ),
    _quantile("quantile", reference.quantiles, "distinct"),
    _quantile("nanquantile", reference.quantiles_of_numbers, "distinct"),
    Operator(
        name="cov",
        calls=_observations,
        reference=reference.covariance,
        analytic=reference.analytic_covariance,
        dtypes=("split", "complex"),
        kind="dyadic",
        ulps=8,
        magnitude=reference.covariance_magnitude,
        derivative_ulps=256,
        normwise=True,  # one distance to the mean may cancel to nothing, but not all of them
        smooth="distinct",
        constants=(1,),
        spellings=("Tensor.cov",),
        excused={"vmap": "weights are checked by their values, which vmap does not know"},
        rejections={
            "rank": rejecting("torch.cov(x)", "torch.cov(x[None])", "two or fewer dimensions"),
            "fweights": rejecting(
                "torch.cov(x, fweights=torch.ones(3, dtype=torch.int64))",
                "torch.cov(x, fweights=torch.ones(2, dtype=torch.int64))",
                "same numel",
            ),
            "floating": rejecting(
                "torch.cov(x, fweights=torch.ones(3, dtype=torch.int64))",
                "torch.cov(x, fweights=torch.ones(3))",
                "integral dtype",
            ),
            "negative": rejecting(
                "torch.cov(x, fweights=torch.ones(3, dtype=torch.int64))",
                "torch.cov(x, fweights=-torch.ones(3, dtype=torch.int64))",
                "cannot be negative",
            ),
        },
    ),
    Operator(
        name="corrcoef",
        calls=_variables,
        reference=reference.correlation,
        analytic=reference.analytic_correlation,
        dtypes=("split", "complex"),
        kind="distinct",
        smooth="distinct",
        ulps=8,
        magnitude=reference.correlation_magnitude,
        spellings=("Tensor.corrcoef",),
        excused=dict.fromkeys(("vjp", "jvp", "second-derivative", "adjoint"), _CLIPPED),
        rejections={
            "rank": rejecting("torch.corrcoef(x)", "torch.corrcoef(x[None])", "two or fewer dim"),
        },
    ),
    Operator(
        name="bincount",
        calls=_counted,
        reference=reference.bin_counts,
        dtypes=("integral",),
        result=_weighed,
        ulps=1,
        magnitude=reference.bin_sizes,
        spellings=("Tensor.bincount",),
        excused=_BY_DATA,
        rejections={
            "negative": rejecting(
                "torch.bincount(x)", "torch.bincount(x - 1)", "non-negative", x=(torch.int64, (3,))
            ),
            "rank": rejecting(
                "torch.bincount(x[0])", "torch.bincount(x)", "1-d non-negative",
                x=(torch.int64, (2, 3)),
            ),
            "weights": rejecting(
                "torch.bincount(x, y)", "torch.bincount(x, y[:2])", "same length",
                x=(torch.int64, (3,)), y=(torch.float32, (3,)),
            ),
            "minlength": rejecting(
                "torch.bincount(x, minlength=0)", "torch.bincount(x, minlength=-1)",
                "minlength should be >= 0", x=(torch.int64, (3,)),
            ),
        },
    ),
    Operator(
        name="histc",
        calls=_binned,
        reference=reference.equal_bins,
        dtypes=("split",),
        kind="nonfinite",
        spellings=("Tensor.histc",),
        out="same",
        excused={"constant": NO_GRADIENT},
        rejections={
            "bins": rejecting(
                "torch.histc(x, 1, 0, 1)", "torch.histc(x, 0, 0, 1)", "bins must be > 0"
            ),
            "range": rejecting(
                "torch.histc(x, 1, 0, 1)", "torch.histc(x, 1, 1, 0)", "max must be larger than min"
            ),
        },
    ),
    Operator(
        name="histogram",
        calls=_histograms,
        reference=reference.histogram_and_edges,
        dtypes=("split",),
        kind="dyadic",
        ulps=4,
        spellings=("Tensor.histogram",),
        out="same",
        excused={"constant": NO_GRADIENT, "vmap": _RISING},
        rejections={
            "bins": rejecting(
                "torch.histogram(x, 1, range=(0.0, 1.0))",
                "torch.histogram(x, 0, range=(0.0, 1.0))",
                "bins must be > 0",
            ),
            "weight": rejecting(
                "torch.histogram(x, 1, range=(0.0, 1.0), weight=x)",
                "torch.histogram(x, 1, range=(0.0, 1.0), weight=x[0])",
                "same shape",
            ),
            "dtype": rejecting(
                "torch.histogram(x, torch.arange(3.0))",
                "torch.histogram(x, torch.arange(3.0).double())",
                "expected.* to have the same dtype|same dtype",
            ),
        },
    ),
)  # fmt: skip
