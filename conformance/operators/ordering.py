"""Extremes and order: maxima and minima, medians, sorting, and where they were found."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Calls, Operator, Reference
from conformance.operators.reduction_arguments import (
    BOOLEANS,
    UNSIGNED_ZERO,
    along,
    dimensions,
    draw_options,
    limited,
    out_of_range,
    rejecting,
    repeated,
)
from conformance.operators.results import positions, same_and_positions
from conformance.reference import ordering as reference

_EMPTY = "no identity|non-zero size|not have an identity|size 0|is zero|numel\\(\\) == 0"
_NUMBERS = ("real",)
_ANY = ("real", "boolean")


def _ranked(options: dict[str, Any], *, kinds: Any = None, smallest_k: int | None = None) -> Calls:
    """``op(x, [k,] [dim,] **options)``; ``smallest_k`` is the least ``k``, None for no ``k``."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        shape = draw(limited(kind))
        if smallest_k and 0 in shape:
            shape = tuple(side or 1 for side in shape)
        given = draw(dimensions("optional", shape, False))
        arguments: list[Any] = [draw(operand(dtype, kind, shape))]
        if smallest_k is not None:
            length = shape[given[0] if given else -1] if shape else 1
            arguments.append(draw(st.integers(smallest_k if shape else 1, length)))
        return Call((*arguments, *given), draw_options(draw, options, dtype))

    return drawn


def _picking(name: str, **attributes: Any) -> Operator:
    """An entry whose results are among its inputs: exact, but for the sign of a zero."""
    return Operator(
        name=name,
        kind="any",
        smooth="distinct",
        ulps=UNSIGNED_ZERO,
        derivative_ulps=0,
        spellings=(f"Tensor.{name}",),
        **attributes,
    )


def _extreme(
    name: str, reference_of: Reference, along_dim: Reference, places: Reference
) -> tuple[Operator, ...]:
    """The entries of max or min: of all values, and along one dimension with indices."""
    return (
        _picking(
            name,
            calls=along("none", min_side=1),
            reference=reference_of,
            analytic=reference_of,
            dtypes=_ANY,
            out="same",
            rejections={"empty": rejecting(f"torch.{name}(x)", f"torch.{name}(x[:0])", _EMPTY)},
        ),
        _picking(
            name,
            variant="along",
            calls=along("one", full=True),
            reference=along_dim,
            analytic=reference_of,
            dtypes=_ANY,
            result=same_and_positions,
            out="same",
            rejections={
                **out_of_range(f"torch.{name}(x, {{}})"),
                "empty": rejecting(
                    f"torch.{name}(x[:, :1], 1)", f"torch.{name}(x[:, :0], 1)", _EMPTY, "IndexError"
                ),
            },
        ),
        _picking(
            f"a{name}",
            calls=along("several", full=True),
            reference=reference_of,
            analytic=reference_of,
            dtypes=_ANY,
            out="same",
            rejections={
                **out_of_range(f"torch.a{name}(x, {{}})"),
                **repeated(f"torch.a{name}(x, {{}})"),
                "empty": rejecting(
                    f"torch.a{name}(x[:, :1], 1)",
                    f"torch.a{name}(x[:, :0], 1)",
                    _EMPTY,
                    "IndexError",
                ),
                "empty-whole": rejecting(f"torch.a{name}(x)", f"torch.a{name}(x[:0])", _EMPTY),
            },
        ),
        Operator(
            name=f"arg{name}",
            variant="whole",
            calls=along("null", min_side=1, keepdim=False, required={"keepdim": BOOLEANS}),
            reference=places,
            dtypes=_NUMBERS,
            result=positions,
            kind="any",
            spellings=(f"Tensor.arg{name}",),
        ),
        Operator(
            name=f"arg{name}",
            calls=along("optional", full=True),
            reference=places,
            dtypes=_NUMBERS,
            result=positions,
            kind="any",
            spellings=(f"Tensor.arg{name}",),
            out="same",
            rejections={
                **out_of_range(f"torch.arg{name}(x, {{}})"),
                "empty": rejecting(
                    f"torch.arg{name}(x)", f"torch.arg{name}(x[:0])", _EMPTY, "IndexError"
                ),
            },
        ),
    )


def _middle(
    name: str, of_all: Reference, with_place: Reference, values: Reference
) -> tuple[Operator, ...]:
    """The entries of a median: of all values, and along one dimension with indices."""
    return (
        _picking(
            name,
            calls=along("none", min_side=1),
            reference=of_all,
            analytic=of_all,
            dtypes=_NUMBERS,
        ),
        Operator(
            name=name,
            variant="along",
            calls=along("one", full=True),
            reference=with_place,
            analytic=values,
            dtypes=_NUMBERS,
            result=same_and_positions,
            kind="distinct",
            smooth="distinct",
            derivative_ulps=0,
            spellings=(f"Tensor.{name}",),
            out="same",
            rejections=out_of_range(f"torch.{name}(x, {{}})"),
        ),
    )


_EXTREMES = (
    *_extreme("max", reference.largest, reference.largest_and_place, reference.where_largest),
    *_extreme("min", reference.smallest, reference.smallest_and_place, reference.where_smallest),
    Operator(
        name="aminmax",
        calls=along("optional", full=True, keyword=True),
        reference=reference.smallest_and_largest,
        analytic=reference.smallest_and_largest,
        dtypes=_ANY,
        kind="any",
        smooth="distinct",
        ulps=UNSIGNED_ZERO,
        derivative_ulps=0,
        spellings=("Tensor.aminmax",),
        out="same",
        rejections={
            **out_of_range("torch.aminmax(x, dim={})"),
            "empty": rejecting("torch.aminmax(x)", "torch.aminmax(x[:0])", _EMPTY),
        },
    ),
)

_RANKS = (
    *_middle(
        "median", reference.lower_median, reference.lower_median_and_place,
        reference.lower_median_along,
    ),
    *_middle(
        "nanmedian", reference.lower_median_of_numbers, reference.lower_nanmedian_and_place,
        reference.lower_nanmedian_along,
    ),
    Operator(
        name="kthvalue",
        calls=_ranked({"keepdim": BOOLEANS}, smallest_k=1),
        reference=reference.kth_and_place,
        analytic=reference.kth_smallest,
        dtypes=_NUMBERS,
        result=same_and_positions,
        kind="distinct",
        smooth="distinct",
        derivative_ulps=0,
        spellings=("Tensor.kthvalue",),
        out="same",
        rejections={
            **out_of_range("torch.kthvalue(x, 1, {})"),
            "large": rejecting("torch.kthvalue(x, 3)", "torch.kthvalue(x, 4)", "out of range"),
            "zero": rejecting("torch.kthvalue(x, 1)", "torch.kthvalue(x, 0)", "out of range"),
        },
    ),
    Operator(
        name="topk",
        calls=_ranked({"largest": BOOLEANS, "sorted": st.just(True)}, smallest_k=0),
        reference=reference.first_in_order,
        analytic=reference.first_values_in_order,
        dtypes=_NUMBERS,
        result=same_and_positions,
        kind="distinct",
        smooth="distinct",
        derivative_ulps=0,
        spellings=("Tensor.topk",),
        out="same",
        rejections={
            **out_of_range("torch.topk(x, 1, {})"),
            "large": rejecting("torch.topk(x, 3)", "torch.topk(x, 4)", "out of range"),
            "negative": rejecting("torch.topk(x, 0)", "torch.topk(x, -1)", "out of range"),
        },
    ),
)  # fmt: skip

_SORTED: dict[str, Any] = {"analytic": reference.values_in_order, "result": same_and_positions}
_STABLE: dict[str, Any] = {"stable": st.just(True)}

_SORTS = (
    Operator(
        name="sort",
        calls=_ranked({"descending": BOOLEANS}),
        reference=reference.in_order,
        dtypes=_NUMBERS,
        kind="distinct",
        smooth="distinct",
        derivative_ulps=0,
        spellings=("Tensor.sort",),
        out="same",
        rejections=out_of_range("torch.sort(x, {})"),
        **_SORTED,
    ),
    Operator(
        name="sort",
        variant="stable",
        calls=along("one", {"descending": BOOLEANS}, keepdim=False, keyword=True, required=_STABLE),
        reference=reference.in_order,
        dtypes=_ANY,
        kind="any",
        smooth="distinct",
        derivative_ulps=0,
        spellings=("Tensor.sort",),
        out="same",
        **_SORTED,
    ),
    Operator(
        name="argsort",
        calls=_ranked({"descending": BOOLEANS}),
        reference=reference.order_of,
        dtypes=_NUMBERS,
        result=positions,
        kind="distinct",
        spellings=("Tensor.argsort",),
        rejections=out_of_range("torch.argsort(x, {})"),
    ),
    Operator(
        name="argsort",
        variant="stable",
        calls=along("one", {"descending": BOOLEANS}, keepdim=False, keyword=True, required=_STABLE),
        reference=reference.order_of,
        dtypes=_ANY,
        result=positions,
        kind="any",
        spellings=("Tensor.argsort",),
    ),
    Operator(
        name="msort",
        calls=along("none", min_rank=1),
        reference=reference.rows_in_order,
        analytic=reference.rows_in_order,
        dtypes=_ANY,
        kind="any",
        smooth="distinct",
        ulps=UNSIGNED_ZERO,
        derivative_ulps=0,
        spellings=("Tensor.msort",),
        out="same",
    ),
)

OPERATORS = (*_EXTREMES, *_RANKS, *_SORTS)
