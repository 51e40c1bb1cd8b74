"""Masking: what reads or writes where a boolean tensor is true, and chooses by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from conformance.operators.indexing_arguments import (
    masked_fill_calls,
    masked_scatter_calls,
    masked_select_calls,
    mixed_where_calls,
    number_of,
    scalar_tensor,
    where_calls,
)
from conformance.operators.limits import SIZES_BY_VALUES
from conformance.operators.operator import Call, Dtypes, Operator, Rejection
from conformance.operators.results import promoted
from conformance.reference import indexing as reference

_TENSORS: Mapping[str, Any] = {
    "x": (torch.float32, (2, 3)),
    "mask": (torch.bool, (2, 1)),
    "wrong": (torch.bool, (2, 2)),
    "deep": (torch.bool, (2, 2, 3)),
}


def _rejections(legal: str, **mistakes: tuple[str, str, str]) -> dict[str, Rejection]:
    return {
        name: Rejection(legal, illegal, error, text, _TENSORS)
        for name, (illegal, error, text) in mistakes.items()
    }


def chosen(call: Call) -> Dtypes:
    """Promote what there is to choose from; the condition takes no part."""
    return promoted(Call(call.arguments[1:], call.keywords))


def as_method(condition: Any, first: torch.Tensor, second: Any) -> Any:
    """Call ``first.where(condition, second)``."""
    return first.where(condition, second)


MASKED_FILL = Operator(
    name="masked_fill",
    calls=masked_fill_calls(number_of),
    reference=reference.masked_fill,
    analytic=reference.masked_fill,
    dtypes=("any",),
    spellings=("Tensor.masked_fill",),
    in_place="Tensor.masked_fill_",
    rejections=_rejections(
        "x.clone().masked_fill_(mask, 1.0)",
        shape=("x.masked_fill_(wrong, 1.0)", "RuntimeError", "must match"),
        rank=("x.masked_fill_(deep, 1.0)", "RuntimeError", "doesn't match the broadcast shape"),
        dtype=("x.masked_fill_(x, 1.0)", "RuntimeError", "boolean masks"),
        value=("x.masked_fill_(mask, x)", "RuntimeError", "0-dimensional value"),
    ),
    docs="torch.Tensor.masked_fill_",
)
WHERE = replace(
    MASKED_FILL,
    name="where",
    calls=where_calls(numbers=False),
    reference=reference.where,
    analytic=reference.where,
    result=chosen,
    spellings=(as_method,),
    in_place="",
    out="same",
    mixed=mixed_where_calls(),
    rejections=_rejections(
        "torch.where(mask, x, x)",
        shape=("torch.where(wrong, x, x)", "RuntimeError", "must match"),
        dtype=("torch.where(x, x, x)", "RuntimeError", "condition to be a boolean"),
    ),
    docs="torch.where",
)

OPERATORS = (
    MASKED_FILL,
    replace(MASKED_FILL, variant="tensor", calls=masked_fill_calls(scalar_tensor), rejections={}),
    replace(
        MASKED_FILL,
        name="masked_scatter",
        calls=masked_scatter_calls,
        reference=reference.masked_scatter,
        analytic=reference.masked_scatter,
        spellings=("Tensor.masked_scatter",),
        in_place="Tensor.masked_scatter_",
        rejections=_rejections(
            "x.clone().masked_scatter_(mask, x)",
            shape=("x.masked_scatter_(wrong, x)", "RuntimeError", "must match"),
            rank=("x.masked_scatter_(deep, x)", "RuntimeError", "must be greater or equal"),
            dtype=("x.masked_scatter_(x, x)", "RuntimeError", "(?i)bool"),
            source=("x.masked_scatter_(x == x, x[0])", "RuntimeError", "Number of elements"),
        ),
        docs="torch.Tensor.masked_scatter_",
    ),
    replace(
        MASKED_FILL,
        name="masked_select",
        calls=masked_select_calls,
        reference=reference.masked_select,
        analytic=reference.masked_select,
        spellings=("Tensor.masked_select",),
        in_place="",
        out="same",
        rejections=_rejections(
            "torch.masked_select(x, mask)",
            shape=("torch.masked_select(x, wrong)", "RuntimeError", "must match"),
            dtype=("torch.masked_select(x, x)", "RuntimeError", "BoolTensor"),
        ),
        excused={"vmap": SIZES_BY_VALUES},
        docs="torch.masked_select",
    ),
    WHERE,
    replace(
        WHERE,
        variant="number",
        calls=where_calls(numbers=True),
        spellings=(),
        mixed=None,
        rejections={},
    ),
)
