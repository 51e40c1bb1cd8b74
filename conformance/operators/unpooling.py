"""Pooling by powers, and what puts the results of max pooling back to their places."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator
from conformance.operators.pooling import BEFORE, BEFORE_THREE, each_side, sizes_of
from conformance.reference import pooling as reference
from conformance.reference.layers import of_each
from strategies import current_device, permuted_ranges

_ANY_SIGN = st.sampled_from((2, 1, 2.0, 4))
_POSITIVE = st.sampled_from((3, 1.5, 0.5, 1, 2))


def _windows(draw: st.DrawFn, rank: int, least: int) -> Any:
    """One number for all dimensions, or one for each, where there are several."""
    most = 3 if rank < 3 else 2
    if rank == 1:
        return draw(st.integers(least, most))
    return each_side(draw, rank, least, [most] * rank)


def _power_calls(rank: int, orders: st.SearchStrategy[float], beyond: bool = False) -> Calls:
    """Windows that fit into the input; where ``beyond``, the last one leaves it."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        kernel = _windows(draw, rank, 1 + beyond)
        sizes = sizes_of(kernel, rank)
        shape = [k + draw(st.integers(0, 3 if rank == 1 else 2)) for k in sizes]
        keywords: dict[str, Any] = {}
        steps = sizes
        if not beyond and draw(st.booleans()):
            keywords["stride"] = _windows(draw, rank, 1)
            steps = sizes_of(keywords["stride"], rank)
        if beyond:
            shape[0] = sizes[0] + draw(st.integers(1, sizes[0] - 1))
            keywords["ceil_mode"] = True
        elif draw(st.booleans()):  # windows that end with the input, where it changes nothing
            keywords["ceil_mode"] = draw(st.booleans())
            shape = [k + s * draw(st.integers(0, 1)) for k, s in zip(sizes, steps, strict=True)]
        before = draw(BEFORE if rank < 3 else BEFORE_THREE)
        x = draw(operand(dtype, kind, (*before, *shape)))
        return Call((x, draw(orders), kernel), keywords)

    return calls


def _unpooling_calls(rank: int) -> Calls:
    """Elements at places that differ within a plane, of any size that the pooling could have."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        kernel = each_side(draw, rank, 2, [3] * rank)
        keywords: dict[str, Any] = {}
        steps = sizes_of(kernel, rank)
        if draw(st.booleans()):
            keywords["stride"] = each_side(draw, rank, 2, [3] * rank)
            steps = sizes_of(keywords["stride"], rank)
        if draw(st.booleans()):
            keywords["padding"] = draw(st.integers(0, 1))
        shape = [draw(st.integers(2 if keywords.get("padding") else 1, 2)) for _ in range(rank)]
        margin = of_each(keywords.get("padding", 0), rank)
        sides = [
            (n - 1) * s - 2 * p + k
            for n, s, p, k in zip(shape, steps, margin, sizes_of(kernel, rank), strict=True)
        ]
        before = draw(BEFORE)
        if draw(st.booleans()):
            sides = [
                max(n, side + draw(st.integers(1 - s, s - 1)))
                for n, side, s in zip(shape, sides, steps, strict=True)
            ]
            whole = draw(st.booleans()) and len(before) == 2
            keywords["output_size"] = (*before, *sides) if whole else tuple(sides)
        planes = [
            torch.from_numpy(draw(permuted_ranges(math.prod(sides)))).long()[: math.prod(shape)]
            for _ in range(math.prod(before))
        ]
        indices = torch.stack(planes).reshape(*before, *shape).to(current_device())
        return Call((draw(operand(dtype, kind, (*before, *shape))), indices, kernel), keywords)

    return calls


def _of_rank(rank: int) -> tuple[Operator, ...]:
    power, unpool = f"lp_pool{rank}d", f"max_unpool{rank}d"
    raised = partial(reference.power_pool, rank=rank)
    page = f"torch.nn.LPPool{rank}d"
    size = partial(reference.power_size, rank=rank)
    x = (torch.float32, (1, 2, *[2] * rank))
    i = (torch.int64, (1, 2, *[2] * rank))
    return (
        # Where a window's sum is zero the gradient is documented as zero, for want of a limit.
        functional(power, _power_calls(rank, _ANY_SIGN), raised, kind="dyadic", smooth="positive",
                 magnitude=size, docs=page),
        functional(power, _power_calls(rank, _POSITIVE), raised, kind="positive", smooth="positive",
                 variant="positive", docs=page, magnitude=size, excused=VALUE_ALONE),
        functional(power, _power_calls(rank, st.just(math.inf)), raised, kind="dyadic", ulps=0.25,
                 smooth="distinct", variant="infinite", docs=page, excused=VALUE_ALONE),
        functional(power, _power_calls(rank, _POSITIVE, beyond=True), raised, kind="positive",
                 smooth="positive", variant="beyond", docs=page, magnitude=size,
                 excused=VALUE_ALONE),
        functional(
            unpool, _unpooling_calls(rank), partial(reference.max_unpool, rank=rank), kind="any",
            ulps=0, derivative_ulps=0.0,
            rejections={
                "size": rejecting(
                    f"{unpool}(x, i, 2, output_size={(4,) * rank})",
                    f"{unpool}(x, i, 2, output_size={(7,) * rank})",
                    "ValueError", "invalid output_size", x=x, i=i),
                "length": rejecting(
                    f"{unpool}(x, i, 2, output_size={(4,) * rank})",
                    f"{unpool}(x, i, 2, output_size={(4,) * (rank + 1)})",
                    "ValueError", "output_size should be a sequence containing", x=x, i=i),
                "indices": rejecting(
                    f"{unpool}(x, i, 2)", f"{unpool}(x, i[..., :1], 2)", "RuntimeError",
                    "same|shape", x=x, i=i),
                "dtype": rejecting(
                    f"{unpool}(x, i, 2)", f"{unpool}(x, i.int(), 2)", "RuntimeError",
                    "int64", x=x, i=i),
                "beyond": rejecting(
                    f"{unpool}(x, i, 2)", f"{unpool}(x, i + 1000, 2)", "RuntimeError",
                    "invalid max index|[Ff]ound an invalid", x=x, i=i),
            },
        ),
    )  # fmt: skip


OPERATORS = tuple(operator for rank in (1, 2, 3) for operator in _of_rank(rank))
