"""Norms of vectors, and what divides by them."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import Call, Calls, Operator
from conformance.operators.reduction_arguments import (
    BOOLEANS,
    KEEPDIM,
    dimensions,
    limited,
    out_of_range,
    rejecting,
    repeated,
    signed_magnitudes,
)
from conformance.operators.results import real_part
from conformance.reference import reductions as reference
from strategies import broadcastable_shapes, dims
from strategies.shapes import Shape

ORDERS = (2, 1, 3, 0, math.inf, -math.inf, 2.0)
_BOUNDED_SHAPES: tuple[Shape, ...] = ((2, 3), (3, 2), (1, 4), (2, 1, 3), (2, 2, 2), (4, 1))
_LONG_SHAPES: tuple[Shape, ...] = ((2, 3), (3, 2), (2, 2, 2), (2, 4))
_CANCELLING = 512.0  # of the ulps of each term, what the difference of two such may be off


def _operand(dtype: torch.dtype, kind: str, shape: Shape) -> st.SearchStrategy[torch.Tensor]:
    """Values that differ in size from each other, and from 0, where derivatives are asked."""
    if kind in SMOOTH:
        return signed_magnitudes(dtype, shape)
    return operand(dtype, "dyadic" if dtype.is_complex else kind, shape)


def _norms(name: str, orders: tuple[Any, ...]) -> Calls:
    """``op(x, order, dim, keepdim=...)``; an extreme of nothing is not asked."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        order = draw(st.sampled_from([o for o in orders if o != 0 or kind not in SMOOTH]))
        bare = math.inf in (order, -order) if not isinstance(order, str) else False
        shape = draw(limited(kind, min_side=int(bare or kind in SMOOTH)))
        given = draw(dimensions("several", shape, False))
        if isinstance(order, str) and given and isinstance(given[0], (tuple, list)):
            given = (given[0][:2] if isinstance(given[0], tuple) else tuple(given[0][:2]),)
        keywords: dict[str, Any] = dict(draw(KEEPDIM)) if given else {}
        if given and given[0] is not None:
            keywords["dim"] = given[0]
        if order != orders[0] or draw(BOOLEANS):
            keywords[name] = order
        if given and given[0] is None:
            keywords.pop("keepdim", None)
        return Call((draw(_operand(dtype, kind, shape)),), keywords)

    return drawn


@st.composite
def _distances(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    sides = draw(broadcastable_shapes()).shapes
    order = draw(st.sampled_from((2, 1, 3, math.inf) if kind in SMOOTH else (2, 1, 3, 0, math.inf)))
    operands: tuple[torch.Tensor, ...]
    if kind in SMOOTH:
        shape = draw(limited(kind, min_side=1))
        first = draw(signed_magnitudes(dtype, shape))
        second = torch.full(shape, draw(st.sampled_from((0.0625, -0.0625))), dtype=dtype)
        operands = (first, second.to(first.device))
    elif 0 in (*sides[0], *sides[1]) and order == math.inf:
        operands = tuple(draw(operand(dtype, kind, ())) for _ in sides)
    else:
        operands = tuple(draw(operand(dtype, kind, side)) for side in sides)
    return Call((*operands, order) if order != 2 else operands, {})


@st.composite
def _normalized(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    shape = draw(st.sampled_from(_LONG_SHAPES) if kind in SMOOTH else limited(kind, min_rank=2))
    keywords: dict[str, Any] = {}
    if draw(BOOLEANS):
        keywords["p"] = draw(st.sampled_from((1, 2.0, 3)))
    if draw(BOOLEANS):
        keywords["dim"] = draw(st.one_of(dims(len(shape)), st.sampled_from(((0, 1), (-1, 0)))))
    if kind not in SMOOTH and draw(BOOLEANS):
        keywords["eps"] = draw(st.sampled_from((0.5, 2.0)))
    return Call((draw(_operand(dtype, kind, shape)),), keywords)


@st.composite
def _renormalized(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Norms far from the limit on both sides of it, where the result has a kink."""
    limits = (0.25, 100.0) if kind in SMOOTH else (0.25, 1.0, 2.5, 100.0)
    shape = draw(st.sampled_from(_LONG_SHAPES if kind in SMOOTH else _BOUNDED_SHAPES))
    order, limit = draw(st.sampled_from((2, 1, 3.0))), draw(st.sampled_from(limits))
    return Call((draw(_operand(dtype, kind, shape)), order, draw(dims(len(shape))), limit), {})


OPERATORS = (
    Operator(
        name="norm",
        calls=_norms("p", ("fro", 2, 1, 3, 0, math.inf, -math.inf, 2.0)),
        reference=reference.general_norm,
        analytic=reference.analytic_general_norm,
        dtypes=("differentiable",),
        result=real_part,
        kind="nonfinite",
        ulps=6,
        spellings=("Tensor.norm",),
    ),
    Operator(
        name="linalg.vector_norm",
        calls=_norms("ord", ORDERS),
        reference=reference.vector_norm,
        analytic=reference.analytic_vector_norm,
        dtypes=("split", "complex"),
        result=real_part,
        kind="nonfinite",
        ulps=6,
        out="same",
        rejections={
            **out_of_range("torch.linalg.vector_norm(x, 2, {})"),
            **repeated("torch.linalg.vector_norm(x, 2, {})"),
            "integral": rejecting(
                "torch.linalg.vector_norm(x.double())",
                "torch.linalg.vector_norm(x)",
                "floating point or complex",
                x=(torch.int64, (3,)),
            ),
            "empty": rejecting(
                "torch.linalg.vector_norm(x[:, :1], float('inf'), 1)",
                "torch.linalg.vector_norm(x[:, :0], float('inf'), 1)",
                "does not have an identity",
            ),
        },
    ),
    Operator(
        name="dist",
        calls=_distances,
        reference=reference.distance,
        analytic=reference.analytic_distance,
        dtypes=("split", "complex"),
        result=real_part,
        kind="dyadic",
        ulps=6,
        spellings=("Tensor.dist",),
    ),
    Operator(
        name="nn.functional.normalize",
        calls=_normalized,
        reference=reference.normalized,
        analytic=reference.analytic_normalized,
        dtypes=("split", "complex"),
        kind="dyadic",
        ulps=6,
        derivative_ulps=_CANCELLING,
        out="same",
    ),
    Operator(
        # torch adds 1e-7 to the norm that it divides by, which single precision does not tell
        name="renorm",
        calls=_renormalized,
        reference=reference.renormalized,
        analytic=reference.analytic_renormalized,
        dtypes=(torch.float32, torch.complex64),
        kind="dyadic",
        ulps=16,
        derivative_ulps=_CANCELLING,
        spellings=("Tensor.renorm",),
        in_place="Tensor.renorm_",
        out="same",
        rejections={
            **out_of_range("torch.renorm(x, 2, {}, 1.0)"),
            "maxnorm": rejecting(
                "torch.renorm(x, 2, 0, 0.0)", "torch.renorm(x, 2, 0, -1.0)", "maxnorm"
            ),
            "p": rejecting(
                "torch.renorm(x, 1, 0, 1.0)",
                "torch.renorm(x, -1, 0, 1.0)",
                "non-negative-valued|positive",
            ),
        },
    ),
)
