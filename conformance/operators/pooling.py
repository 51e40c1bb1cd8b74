"""Pooling: windows that slide over an input, or cover it evenly, and what is made of each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.arguments import operand
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import Call, Calls, Dtypes, Operator, Rejection
from conformance.reference import pooling as reference
from strategies import tensors
from strategies.shapes import as_long_as_asked

_MOSTLY = st.sampled_from((True, True, False))
BEFORE_THREE = st.sampled_from(((2, 2), (1, 2), (2, 1), (1, 1)))
BEFORE = st.sampled_from(((2, 3), (2,), (1, 2), (1,)))


def each_side(draw: st.DrawFn, rank: int, least: int, most: list[int]) -> Any:
    """One number for all dimensions that suits each, or one for each."""
    if draw(st.booleans()):
        return draw(st.integers(least, min(most)))
    return tuple(draw(st.integers(least, m)) for m in most)


def sizes_of(kernel: Any, rank: int) -> list[int]:
    """Return the number for each dimension."""
    return [kernel] * rank if isinstance(kernel, int) else list(kernel)


def _sliding_calls(rank: int, *, dilates: bool, divides: bool = False) -> Calls:
    """Windows that fit into the input, with every option given or left out."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        kernel = each_side(draw, rank, 1, [3 if rank < 3 else 2] * rank)
        sizes, keywords = sizes_of(kernel, rank), {}
        dilation = [1] * rank
        if dilates and draw(st.booleans()):
            keywords["dilation"] = each_side(draw, rank, 1, [2] * rank)
            dilation = sizes_of(keywords["dilation"], rank)
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, sizes, strict=True)]
        fitting = (r + draw(st.integers(0, 4 if rank == 1 else 2)) for r in reach)
        shape = as_long_as_asked(tuple(fitting))
        if draw(st.booleans()):
            keywords["stride"] = each_side(draw, rank, 1, [3] * rank)
        if draw(st.integers(0, 3)):
            keywords["padding"] = each_side(
                draw, rank, min(1, min(sizes) // 2), [k // 2 for k in sizes]
            )
        if draw(st.integers(0, 3)):
            keywords["ceil_mode"] = draw(_MOSTLY)
        if not dilates and draw(st.integers(0, 3)):
            keywords["count_include_pad"] = not draw(_MOSTLY)
        if divides and draw(st.integers(0, 3)) == 3:
            keywords["divisor_override"] = draw(st.sampled_from((1, 2, 3, -2)))
        before = draw(BEFORE if rank < 3 else BEFORE_THREE)
        return Call((draw(operand(dtype, kind, (*before, *shape))), kernel), keywords)

    return calls


@st.composite
def _unbatched_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Contiguous images of three dimensions without a batch."""
    call = draw(_sliding_calls(3, dilates=True)(dtype, kind))
    shape = tuple(call.arguments[0].shape[-4:])
    x = draw(tensors(dtype=dtype, shape=shape, values=kind, layouts=("contiguous",)))
    return Call((x, *call.arguments[1:]), call.keywords)


def _places_of(plain: Calls) -> Calls:
    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(plain(dtype, kind))
        return Call(call.arguments, {**call.keywords, "return_indices": True})

    return calls


def _adaptive_calls(rank: int) -> Calls:
    """Any number of windows; None keeps a side, where there are several."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        most = 5 if rank == 1 else 3
        shape = [draw(st.integers(1, most)) for _ in range(rank)]
        wanted: Any = each_side(draw, rank, 1, [most + 1] * rank)
        if rank > 1 and isinstance(wanted, tuple) and draw(st.booleans()):
            wanted = (None, *wanted[1:])
        return Call((draw(operand(dtype, kind, (*draw(BEFORE), *shape))), wanted), {})

    return calls


def with_places(call: Call) -> Dtypes:
    """Return the tensor's dtype, and int64 for the places."""
    return Dtypes(None, (next(tensors_in(call)).dtype, torch.int64))


def _pooling(name: str, calls: Calls, function: Any, **changes: Any) -> Operator:
    return functional(name, calls, function, **{"ulps": 4, "derivative_ulps": 16, **changes})


def _rejection(name: str, legal: str, illegal: str, message: str, rank: int) -> Rejection:
    call, mistake = f"{name}({legal})", f"{name}({illegal})"
    return rejecting(call, mistake, "RuntimeError", message, x=(1, 2, *[4] * rank))


def _of_rank(rank: int) -> tuple[Operator, ...]:
    greatest, mean = f"max_pool{rank}d", f"avg_pool{rank}d"
    most, average = (partial(f, rank=rank) for f in (reference.max_pool, reference.avg_pool))
    even = partial(reference.adaptive_avg_pool, rank=rank)
    distinct = {"kind": "distinct", "smooth": "distinct", "ulps": 0.25}
    return (
        _pooling(
            greatest, _sliding_calls(rank, dilates=True), most, smooth="distinct", ulps=0.25,
            excused={"meta": "how the result lies in memory depends on the device's kernel"},
            rejections={
                "padding": _rejection(
                    greatest, "x, 2, padding=1", "x, 2, padding=2", "at most half", rank),
                "stride": _rejection(
                    greatest, "x, 2, stride=1", "x, 2, stride=0", "stride (should|must)", rank),
            },
        ),
        _pooling(
            greatest, _places_of(_sliding_calls(rank, dilates=True)),
            partial(reference.max_pool_places, rank=rank),
            analytic=partial(reference.max_pool_values, rank=rank), variant="places",
            result=with_places, **distinct,
        ),
        _pooling(
            mean, _sliding_calls(rank, dilates=False, divides=rank > 1), average,
            magnitude=partial(reference.average_size, pool=average),
            rejections={
                "padding": _rejection(
                    mean, "x, 2, padding=1", "x, 2, padding=2", "at most half", rank),
            },
        ),
        _pooling(
            f"adaptive_avg_pool{rank}d", _adaptive_calls(rank), even,
            magnitude=partial(reference.average_size, pool=even),
        ),
        _pooling(
            f"adaptive_max_pool{rank}d", _adaptive_calls(rank),
            partial(reference.adaptive_max_pool, rank=rank), smooth="distinct", ulps=0.25,
        ),
        _pooling(
            f"adaptive_max_pool{rank}d", _places_of(_adaptive_calls(rank)),
            partial(reference.adaptive_max_pool_places, rank=rank),
            analytic=partial(reference.adaptive_max_pool_values, rank=rank), variant="places",
            result=with_places, **distinct,
        ),
    )  # fmt: skip


_BY_RANK = tuple(operator for rank in (1, 2, 3) for operator in _of_rank(rank))
_UNBATCHED = tuple(
    replace(entry, calls=_unbatched_calls, variant="unbatched", rejections={})
    for entry in _BY_RANK
    if entry.key == "max_pool3d"
)

OPERATORS = (*_BY_RANK, *_UNBATCHED)
