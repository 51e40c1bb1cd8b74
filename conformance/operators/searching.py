"""Searching: sets of values, and places of values among sorted ones."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand, scalar_of
from conformance.operators.limits import NO_GRADIENT, SIZES_BY_VALUES
from conformance.operators.operator import Call, Calls, Dtypes, Operator
from conformance.operators.reduction_arguments import (
    BOOLEANS,
    draw_options,
    limited,
    out_of_range,
    rejecting,
)
from conformance.reference import searching as reference
from strategies import current_device, dims, permuted_ranges, tensors
from strategies.shapes import Shape

_ANY = ("real", "boolean")
_SIDES = {"right": BOOLEANS, "out_int32": BOOLEANS}
_FLAGS = {"return_inverse": BOOLEANS, "return_counts": BOOLEANS}
_RISING = {"vmap": "what is searched has to rise, which it does not in a batch that is reversed"}
_BY_DATA = {"vmap": SIZES_BY_VALUES, "constant": NO_GRADIENT}


def _sets(*, by_dim: bool, flags: dict[str, Any]) -> Calls:
    """``op(x, return_inverse=..., return_counts=..., dim=...)`` on few values, so that they tie."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        limits = {"min_rank": 1, "min_side": 1} if by_dim else {}
        shape = draw(limited(kind, **limits))
        keywords = draw_options(draw, flags, dtype)
        if by_dim:
            keywords["dim"] = draw(dims(len(shape)))
        codes = st.integers(0, 2) if draw(BOOLEANS) else st.integers(0, 9)
        count = prod(shape)
        values = draw(st.lists(codes, min_size=count, max_size=count))
        x = torch.tensor(values, device=current_device()).to(dtype).reshape(shape)
        return Call((x,), keywords)

    return drawn


def _set_dtypes(call: Call) -> Dtypes:
    flags = [call.keywords.get(name, False) for name in ("return_inverse", "return_counts")]
    return Dtypes(None, (call.arguments[0].dtype, *[torch.int64] * sum(map(bool, flags))))


def _rising(draw: st.DrawFn, dtype: torch.dtype, shape: Shape, strictly: bool) -> list[float]:
    """Rows of rising numbers, one after the other."""
    rows: list[float] = []
    for _ in range(prod(shape[:-1])):
        low = 0 if dtype == torch.uint8 else -6
        row = st.lists(st.integers(low, 8), min_size=shape[-1], max_size=shape[-1], unique=strictly)
        scale = 4 if dtype.is_floating_point else 1
        rows += [number / scale if scale > 1 else number for number in sorted(draw(row))]
    return rows


@st.composite
def _searches(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    batch = draw(st.sampled_from(((), (2,), (1, 2))))
    length = draw(st.sampled_from((3, 1, 5, 0)))
    shape = (*batch, length)
    numbers = _rising(draw, dtype, shape, strictly=False)
    sequence = torch.tensor(numbers, dtype=dtype, device=current_device()).reshape(shape)
    keywords: dict[str, Any] = {}
    if draw(BOOLEANS) and length:
        order = draw(permuted_ranges(length))
        places = torch.from_numpy(order).to(current_device()).expand(shape)
        sequence = torch.empty_like(sequence).scatter_(-1, places, sequence)
        keywords["sorter"] = places.contiguous()
    form = draw(st.sampled_from(("tensor", "number", "equal", "equal")))
    if form == "number" and not batch:
        values: Any = draw(scalar_of(dtype))
    elif form == "equal":
        grid = _rising(draw, dtype, (*batch, 4), strictly=False)
        values = torch.tensor(grid, dtype=dtype, device=current_device()).reshape(*batch, 4)
    else:
        values = draw(operand(dtype, kind, (*batch, draw(st.sampled_from((4, 1, 0))))))
    forms: tuple[dict[str, Any], ...] = (
        {},
        {"right": True},
        {"right": False},
        {"side": "left"},
        {"side": "right"},
    )
    keywords |= draw(st.sampled_from(forms))
    if draw(BOOLEANS):
        keywords["out_int32"] = draw(BOOLEANS)
    return Call((sequence, values), keywords)


@st.composite
def _buckets(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    shape = (draw(st.sampled_from((3, 1, 5, 0))),)
    numbers = _rising(draw, dtype, shape, strictly=True)
    boundaries = torch.tensor(numbers, dtype=dtype, device=current_device())
    values = draw(operand(dtype, kind, limited(kind)))
    return Call((values, boundaries), draw_options(draw, _SIDES, dtype))


@st.composite
def _buckets_of_numbers(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    call = draw(_buckets(dtype, kind))
    return Call((draw(scalar_of(dtype)), *call.arguments[1:]), call.keywords)


def _place_dtype(call: Call) -> Dtypes:
    return Dtypes(None, (torch.int32 if call.keywords.get("out_int32") else torch.int64,))


@st.composite
def _memberships(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Two tensors, of few elements and of many; or one of them and a number."""
    elements: Any = draw(operand(dtype, kind, limited(kind)))
    others = tensors(dtype=dtype, shape=limited(kind), values=kind, layouts=("contiguous",))
    among: Any = draw(others)
    form = draw(st.integers(0, 5))
    if form == 0:
        elements = draw(scalar_of(dtype))
    if form == 1:
        among = draw(scalar_of(dtype))
    return Call((elements, among), draw_options(draw, {"invert": BOOLEANS}, dtype))


def _truth(call: Call) -> Dtypes:
    return Dtypes(None, (torch.bool,))


_SETS = tuple(
    Operator(
        name=name,
        variant="dim" if by_dim else "",
        calls=_sets(by_dim=by_dim, flags=flags),
        reference=of,
        dtypes=_ANY,
        result=_set_dtypes,
        kind="dyadic",
        spellings=(f"Tensor.{name}",),
        excused=_BY_DATA,
        rejections=out_of_range(f"torch.{name}(x, dim={{}})") if by_dim else {},
    )
    for name, of, flags in (
        ("unique", reference.distinct_values, {**_FLAGS, "sorted": st.just(True)}),
        ("unique_consecutive", reference.distinct_neighbours, _FLAGS),
    )
    for by_dim in (False, True)
)

_PLACES = (
    Operator(
        name="searchsorted",
        calls=_searches,
        reference=reference.insertion_places,
        dtypes=("real",),
        result=_place_dtype,
        kind="dyadic",
        out="same",
        excused=_RISING,
        rejections={
            "side": rejecting(
                "torch.searchsorted(x, x, side='right', right=True)",
                "torch.searchsorted(x, x, side='left', right=True)",
                "side and right can't be set to opposites",
                x=(torch.int64, (3,)),
            ),
            "side-name": rejecting(
                "torch.searchsorted(x, x, side='left')",
                "torch.searchsorted(x, x, side='middle')",
                "side can only be 'left' or 'right'",
                x=(torch.int64, (3,)),
            ),
            "shape": rejecting(
                "torch.searchsorted(x, x)",
                "torch.searchsorted(x, x[:1])",
                "first N-1 dimensions",
                x=(torch.int64, (2, 3)),
            ),
            "sorter": rejecting(
                "torch.searchsorted(x, x, sorter=x)",
                "torch.searchsorted(x, x, sorter=x[:2])",
                "same size",
                x=(torch.int64, (3,)),
            ),
        },
    ),
    Operator(
        name="bucketize",
        calls=_buckets,
        reference=reference.buckets,
        dtypes=("real",),
        result=_place_dtype,
        kind="dyadic",
        out="same",
        excused=_RISING,
        rejections={
            "rank": rejecting(
                "torch.bucketize(x, x[0])",
                "torch.bucketize(x, x)",
                "1 dimension",
                x=(torch.int64, (2, 3)),
            ),
        },
    ),
    Operator(
        name="bucketize",
        variant="number",
        calls=_buckets_of_numbers,
        reference=reference.buckets,
        dtypes=("real",),
        result=_place_dtype,
        kind="dyadic",
        excused=_RISING,
    ),
    Operator(
        name="isin",
        calls=_memberships,
        reference=reference.membership,
        dtypes=("real",),
        result=_truth,
        kind="ordered",
    ),
)

OPERATORS = (*_SETS, *_PLACES)
