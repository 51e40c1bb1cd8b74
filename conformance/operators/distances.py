"""Distances and similarities: of vectors side by side, and of all pairs of rows."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import Call, Calls, Operator, Rejection
from conformance.operators.reduction_arguments import powers_of_two, signed_magnitudes
from conformance.operators.results import floating
from conformance.reference import distances as reference
from strategies import tensors
from strategies.shapes import Shape

_ORDERS = st.sampled_from((2.0, 1.0, 3.0, math.inf, 0.5))
_COUNTED = st.sampled_from((2.0, 1.0, 0.0, 3.0, math.inf))
_BATCHES: tuple[tuple[Shape, Shape], ...] = (
    ((), ()), ((2,), (2,)), ((2,), ()), ((1,), (2,)), ((2, 1), (2,)),
)  # fmt: skip


def _near_zero(draw: st.DrawFn, dtype: torch.dtype, shape: Shape) -> torch.Tensor:
    """Numbers smaller than half of what the sizes of the other operand differ by."""
    values = tensors(dtype=dtype, shape=shape, values="signs", layouts=("contiguous",))
    return draw(values) * draw(st.sampled_from((1 / 16, 3 / 32)))


def _pair(
    draw: st.DrawFn, dtype: torch.dtype, kind: str, first: Shape, second: Shape
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two operands, whose differences are all of other sizes where derivatives are asked."""
    if kind in SMOOTH:
        return draw(signed_magnitudes(dtype, first)), _near_zero(draw, dtype, second)
    return draw(operand(dtype, kind, first)), draw(operand(dtype, kind, second))


@st.composite
def _pairwise_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    batch = draw(st.sampled_from(((2,), (3,), (), (1,))))
    shape = (*batch, draw(st.integers(1, 3)))
    keywords: dict[str, Any] = {}
    if draw(st.booleans()):
        keywords["p"] = draw(_ORDERS)
    if draw(st.booleans()):
        keywords["eps"] = draw(st.sampled_from((0.125, 0.0)))
    if draw(st.booleans()):
        keywords["keepdim"] = draw(st.booleans())
    return Call(_pair(draw, dtype, kind, shape, shape), keywords)


def _all_pairs_calls(rows: st.SearchStrategy[int]) -> Calls:
    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        before, behind = draw(st.sampled_from(_BATCHES))
        smooth = kind in SMOOTH
        p, r = (draw(st.integers(1, 2)) if smooth else draw(rows) for _ in range(2))
        m = draw(st.integers(1, 2 if smooth else 3))
        order = draw(_ORDERS if smooth else _COUNTED)
        keywords: dict[str, Any] = {}
        if order != 2 or draw(st.booleans()):
            keywords["p"] = order
        if draw(st.booleans()):
            keywords["compute_mode"] = draw(st.sampled_from((
                "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist",
                "use_mm_for_euclid_dist_if_necessary",
            )))  # fmt: skip
        return Call(_pair(draw, dtype, kind, (*before, p, m), (*behind, r, m)), keywords)

    return calls


@st.composite
def _pdist_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    smooth = kind in SMOOTH
    shape = (draw(st.integers(2 if smooth else 0, 4)), draw(st.integers(1, 2 if smooth else 3)))
    x = draw(powers_of_two(dtype, shape) if smooth else operand(dtype, kind, shape))
    order = draw(_ORDERS if smooth else _COUNTED)
    return Call((x,), {"p": order} if order != 2 or draw(st.booleans()) else {})


def _sides(draw: st.DrawFn) -> tuple[Shape, Shape, int]:
    """Two shapes that broadcast, and the dimension of the vectors in the common one."""
    first, second, dims = draw(st.sampled_from((
        ((2, 3), (2, 3), (1, 0, -1)), ((2, 3), (1, 3), (1, -2)), ((2, 1, 2), (2, 3, 2), (1, -1)),
        ((2,), (3, 2), (-1, 1, 0)), ((3,), (3,), (0, -1)), ((2, 2, 2), (2, 2, 2), (1, 2, 0)),
        ((0, 3), (0, 3), (1,)),
    )))  # fmt: skip
    return first, second, draw(st.sampled_from(dims))


def _similar_calls(epsilons: tuple[float, ...]) -> Calls:
    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        first, second, dim = _sides(draw)
        keywords: dict[str, Any] = {"dim": dim} if dim != 1 or draw(st.booleans()) else {}
        if draw(st.booleans()):
            keywords["eps"] = draw(st.sampled_from(epsilons))
        x, y = (draw(operand(dtype, kind, shape)) for shape in (first, second))
        return Call((x, y), keywords)

    return calls


def _clamped_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """Vectors all of which are shorter than eps."""
    calls = _similar_calls((1e-8,))(dtype, kind)
    return calls.map(lambda call: Call(call.arguments, {**call.keywords, "eps": 64.0}))


@st.composite
def _mixed_calls(draw: st.DrawFn) -> Call:
    first, second = draw(st.sampled_from((
        (torch.float32, torch.float64), (torch.float64, torch.float32),
        (torch.bfloat16, torch.float32),
    )))  # fmt: skip
    return Call(tuple(draw(operand(d, "dyadic", (2, 3))) for d in (first, second)), {})


def _distance(name: str, calls: Calls, function: Any, **changes: Any) -> Operator:
    given: dict[str, Any] = {
        "name": name, "calls": calls, "reference": function, "analytic": function,
        "kind": "dyadic", "ulps": 8, "derivative_ulps": 64, "dtypes": ("split",),
    }  # fmt: skip
    return Operator(**{**given, **changes})


def _rejecting(
    legal: str, illegal: str, message: str, error: str = "RuntimeError", **shapes: Shape
) -> Rejection:
    return Rejection(
        legal, illegal, error, message, {n: (torch.float32, s) for n, s in shapes.items()}
    )


_CLAMPED = dict.fromkeys(
    ("value", "spellings", "layout", "copy", "vmap", "meta", "dtype"), "covered by the entry itself"
)

OPERATORS = (
    _distance(
        "nn.functional.pairwise_distance", _pairwise_calls, reference.pairwise_distance,
        magnitude=reference.difference_size, spellings=("pairwise_distance",),
        docs="torch.nn.PairwiseDistance",
    ),
    _distance(
        "cdist", _all_pairs_calls(st.integers(0, 3)), reference.cdist,
        rejections={
            "features": _rejecting(
                "torch.cdist(x, x)", "torch.cdist(x, x[:, :2])", "same number of columns",
                x=(2, 3)),
            "rank": _rejecting(
                "torch.cdist(x, x)", "torch.cdist(x[0], x)", "at least 2D tensors", x=(2, 3)),
            "order": _rejecting(
                "torch.cdist(x, x, p=0.0)", "torch.cdist(x, x, p=-1.0)", "non-negative", x=(2, 3)),
            "mode": _rejecting(
                "torch.cdist(x, x, compute_mode='use_mm_for_euclid_dist')",
                "torch.cdist(x, x, compute_mode='use_mm')",
                "use_mm is not a valid value for compute_mode", "ValueError", x=(2, 3)),
        },
    ),
    _distance(
        "cdist", _all_pairs_calls(st.integers(24, 27)), reference.cdist, variant="many",
        excused={"vjp": "covered by the entry itself", "jvp": "covered by the entry itself",
                 "second-derivative": "covered by the entry itself",
                 "vmap": "covered by the entry itself", "meta": "covered by the entry itself"},
    ),
    _distance(
        "nn.functional.pdist", _pdist_calls, reference.pdist, spellings=("pdist",),
        rejections={
            "rank": _rejecting(
                "torch.nn.functional.pdist(x)", "torch.nn.functional.pdist(x[0])",
                "only supports 2D tensors", x=(2, 3)),
            "order": _rejecting(
                "torch.nn.functional.pdist(x, 0.0)", "torch.nn.functional.pdist(x, -1.0)",
                "non-negative", x=(2, 3)),
        },
    ),
    _distance(
        "nn.functional.cosine_similarity", _similar_calls((0.25, 1e-8)),
        reference.cosine_similarity, magnitude=reference.similarity_size,
        spellings=("cosine_similarity",), result=floating, mixed=_mixed_calls(),
        derivative_ulps=256, normwise=True, slope=4.0,
        rejections={
            "shapes": _rejecting(
                "torch.nn.functional.cosine_similarity(x, x)",
                "torch.nn.functional.cosine_similarity(x, x[:, :2])", "must match", x=(2, 3)),
            "dim": _rejecting(
                "torch.nn.functional.cosine_similarity(x, x, 1)",
                "torch.nn.functional.cosine_similarity(x, x, 2)", "Dimension out of range",
                "IndexError", x=(2, 3)),
        },
    ),
    _distance(
        "nn.functional.cosine_similarity", _clamped_calls, reference.cosine_similarity,
        variant="clamped", derivative_ulps=256, normwise=True, slope=4.0,
        excused={k: v for k, v in _CLAMPED.items() if k != "value"},
    ),
)  # fmt: skip
