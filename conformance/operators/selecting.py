"""Selecting: what reads a tensor at the positions that an index holds, and what finds them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand, unary_calls
from conformance.operators.indexing_arguments import (
    gather_calls,
    index_select_calls,
    take_along_dim_calls,
    take_calls,
)
from conformance.operators.limits import SIZES_BY_VALUES
from conformance.operators.operator import Call, Operator
from conformance.operators.results import positions
from conformance.reference import indexing as reference


def _as_tuple(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    return st.builds(lambda x: Call((x,), {"as_tuple": True}), operand(dtype, kind))


GATHER = Operator(
    name="gather",
    calls=gather_calls,
    reference=reference.gather,
    analytic=reference.gather,
    dtypes=("any",),
    spellings=("Tensor.gather",),
    out="same",
)
INDEX_SELECT = replace(
    GATHER,
    name="index_select",
    calls=index_select_calls,
    reference=reference.index_select,
    analytic=reference.index_select,
    spellings=("Tensor.index_select",),
)
TAKE = replace(
    GATHER,
    name="take",
    calls=take_calls,
    reference=reference.take,
    analytic=reference.take,
    spellings=("Tensor.take",),
    out="",
)
TAKE_ALONG_DIM = replace(
    GATHER,
    name="take_along_dim",
    calls=partial(take_along_dim_calls, flat=False),
    reference=reference.take_along_dim,
    analytic=reference.take_along_dim,
    spellings=("Tensor.take_along_dim",),
)
_UNKNOWN_COUNT = {"vmap": SIZES_BY_VALUES}
NONZERO = Operator(
    name="nonzero",
    calls=unary_calls(),
    reference=reference.nonzero,
    dtypes=("any",),
    result=positions,
    spellings=("Tensor.nonzero",),
    out="same",
    excused=_UNKNOWN_COUNT,
)
OF_EACH: dict[str, Any] = {"reference": reference.nonzero_of_each, "out": ""}

OPERATORS = (
    GATHER,
    INDEX_SELECT,
    TAKE,
    TAKE_ALONG_DIM,
    replace(TAKE_ALONG_DIM, variant="flat", calls=partial(take_along_dim_calls, flat=True)),
    NONZERO,
    replace(
        NONZERO,
        variant="tuple",
        calls=_as_tuple,
        **OF_EACH,
    ),
    replace(NONZERO, name="where", variant="condition", spellings=(), **OF_EACH),
    replace(NONZERO, name="argwhere", spellings=("Tensor.argwhere",), out=""),
)
