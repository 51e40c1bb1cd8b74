"""Scattering: what writes, adds or reduces into a tensor at the positions that an index holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.indexing_arguments import (
    INCLUDED,
    index_add_calls,
    index_fill_calls,
    index_put_calls,
    index_put_mask_calls,
    index_put_vector_calls,
    index_write_calls,
    number_of,
    put_calls,
    scalar_tensor,
    scatter_calls,
)
from conformance.operators.limits import SIZES_BY_VALUES
from conformance.operators.operator import VALUE_ALONE, Operator, Rejection
from conformance.reference import indexing as reference

_F, _I = torch.float32, torch.int64
_TENSORS: Mapping[str, Any] = {
    "x": (_F, (2, 3)), "row": (_F, (1, 3)), "column": (_F, (2, 1)), "short": (_F, (1, 2)),
    "i": (_I, (1,)), "m": (_I, (1, 3)), "n": (_I, (2, 3)),
}  # fmt: skip


def _rejections(call: str, mistakes: Mapping[str, tuple[dict[str, str], str, str]]) -> Any:
    """Return rejections of a call written with ``{name}`` fields, each mistake changing some."""
    fields = {"x": "x", "dim": "0", "i": "i", "m": "m", "row": "row", "mode": "'amax'"}
    return {
        name: Rejection(
            call.format(**fields), call.format(**{**fields, **changed}), error, text, _TENSORS
        )
        for name, (changed, error, text) in mistakes.items()
    }


_SCATTERED: dict[str, tuple[dict[str, str], str, str]] = {
    "above": ({"m": "m + 2"}, "RuntimeError", "out of bounds"),
    "below": ({"m": "m - 1"}, "RuntimeError", "out of bounds"),
    "rank": ({"m": "i"}, "RuntimeError", "same number of dimensions"),
    "source": ({"m": "n"}, "RuntimeError", "no larger size than src"),
    "self": ({"x": "column"}, "RuntimeError", "no larger than self"),
    "dim": ({"dim": "2"}, "IndexError", "Dimension out of range"),
}
_VECTOR: dict[str, tuple[dict[str, str], str, str]] = {
    "dim": ({"dim": "-3"}, "IndexError", "Dimension out of range"),
    "position": ({"i": "i + 2"}, "IndexError", "out of (range|bounds)"),
}
_SLICES: dict[str, tuple[dict[str, str], str, str]] = {
    **_VECTOR,
    "below": ({"i": "i - 3"}, "IndexError", "out of (range|bounds)"),
    "vector": ({"i": "m"}, "IndexError", "vector"),
    "length": ({"row": "x"}, "RuntimeError", "should be equal to source.size"),
    "side": ({"row": "short"}, "RuntimeError", "must match"),
    "reduction": ({"mode": "'median'"}, "RuntimeError", "Expected reduce to be one of"),
}

SCATTER = Operator(
    name="scatter",
    calls=scatter_calls(duplicates=False),
    reference=reference.scatter,
    analytic=reference.scatter,
    dtypes=("any",),
    spellings=("Tensor.scatter",),
    in_place="Tensor.scatter_",
    docs="torch.Tensor.scatter_",
)
NUMBER = replace(
    SCATTER,
    variant="value",
    calls=scatter_calls(number=True),
    reference=reference.scatter_value,
    analytic=reference.scatter_value,
)
_NO_DERIVATIVE = {"vjp": "torch has no derivative of scatter with reduce, which it deprecates"}
_REDUCING = replace(
    SCATTER,
    kind="nonfinite",
    dtypes=("floating", torch.int64, "complex"),
    reference=reference.scatter_by,
    analytic=None,
    excused=_NO_DERIVATIVE,
)


def _scatter_reduce(mode: str) -> Operator:
    extreme = mode in ("amax", "amin")
    return Operator(
        name="scatter_reduce",
        variant=mode,
        calls=scatter_calls(reduction=mode, options=INCLUDED),
        reference=reference.scatter_reduce,
        analytic=reference.scatter_reduce,
        dtypes=("floating", *_MORE_DTYPES[mode]),
        kind="nonfinite",
        smooth="distinct" if extreme else "away-from-kinks",
        ulps=_ULPS[mode],
        derivative_ulps=64,
        spellings=("Tensor.scatter_reduce",),
        in_place="Tensor.scatter_reduce_",
        rejections=_rejections(
            "torch.scatter_reduce({x}, {dim}, {m}, {row}, {mode})",
            {**_SCATTERED, "reduction": ({"mode": "'median'"}, "RuntimeError", "must be either")},
        )
        if mode == "amax"
        else {},
        excused={"adjoint": "torch says that it does not differentiate scatter_reduce of complex"},
        docs="torch.Tensor.scatter_reduce_",
    )


_MORE_DTYPES: dict[str, tuple[Any, ...]] = {
    "sum": ("integral", "complex"),
    "prod": (torch.int64, "complex"),  # products of the values drawn fit in 64 bits
    "mean": ("complex",),  # no word on how means of integers round
    "amax": ("integral", "boolean"),
    "amin": ("integral", "boolean"),
}
_ULPS = {"sum": 0.0, "prod": 12.0, "mean": 1.0, "amax": 0.0, "amin": 0.0}
"""A product of at most twelve factors rounds eleven times, an exact sum's mean once."""


def _index_reduce(mode: str) -> Operator:
    return replace(
        _scatter_reduce(mode),
        name="index_reduce",
        calls=index_write_calls(reduction=mode, options=INCLUDED, positions=torch.int64),
        reference=reference.index_reduce,
        analytic=reference.index_reduce,
        dtypes=("split",) if mode == "prod" else ("floating",),
        spellings=("Tensor.index_reduce",),
        in_place="Tensor.index_reduce_",
        out="same",
        rejections=_rejections("torch.index_reduce({x}, {dim}, {i}, {row}, {mode})", _SLICES)
        if mode == "amax"
        else {},
        excused={"jvp": "torch has no forward mode of index_reduce: it raises NotImplementedError"},
        docs="torch.Tensor.index_reduce_",
    )


INDEX_COPY = replace(
    SCATTER,
    name="index_copy",
    calls=index_write_calls(duplicates=False),
    reference=reference.index_copy,
    analytic=reference.index_copy,
    spellings=("Tensor.index_copy",),
    in_place="Tensor.index_copy_",
    out="same",
    docs="torch.Tensor.index_copy_",
)
INDEX_ADD = replace(
    INDEX_COPY,
    name="index_add",
    calls=index_add_calls(),
    reference=reference.index_add,
    analytic=reference.index_add,
    dtypes=("numeric",),
    kind="nonfinite",
    spellings=("Tensor.index_add",),
    in_place="Tensor.index_add_",
    docs="torch.Tensor.index_add_",
)
INDEX_FILL = replace(
    INDEX_COPY,
    name="index_fill",
    calls=index_fill_calls(number_of),
    reference=reference.index_fill,
    analytic=reference.index_fill,
    spellings=("Tensor.index_fill",),
    in_place="Tensor.index_fill_",
    out="",
    rejections=_rejections(
        "torch.index_fill({x}, {dim}, {i}, 2.0)",
        {
            **_VECTOR,
            "vector": ({"i": "m"}, "RuntimeError", "vector"),
            "dtype": ({"i": "i.float()"}, "IndexError", "Expected dtype int64"),
        },
    ),
    docs="torch.Tensor.index_fill_",
)
INDEX_PUT = replace(
    INDEX_COPY,
    name="index_put",
    calls=index_put_calls(arrangement="crossed"),
    reference=reference.index_put,
    analytic=reference.index_put,
    spellings=("Tensor.index_put",),
    in_place="Tensor.index_put_",
    out="",
    docs="torch.Tensor.index_put_",
)
PUT = replace(
    INDEX_PUT,
    name="Tensor.put",
    calls=partial(put_calls, accumulate=False),
    reference=reference.put,
    analytic=reference.put,
    spellings=(),
    in_place="Tensor.put_",
    rejections={
        name: Rejection("x.clone().put_(i, i.float())", f"x.put_({bad})", error, text, _TENSORS)
        for name, bad, error, text in (
            ("position", "i + 6, i.float()", "IndexError", "out of range"),
            ("below", "i - 7, i.float()", "IndexError", "out of range"),
            ("count", "i, x", "IndexError", "same number of elements"),
            ("dtype", "i.float(), i.float()", "RuntimeError", "Expected a long tensor"),
        )
    },
    docs="torch.Tensor.put_",
)
_ACCUMULATED: dict[str, Any] = {"kind": "nonfinite", "dtypes": ("numeric",), "rejections": {}}

OPERATORS = (
    SCATTER,
    NUMBER,
    replace(_REDUCING, variant="add", calls=scatter_calls(reduction="add")),
    replace(_REDUCING, variant="multiply", calls=scatter_calls(reduction="multiply"), ulps=12),
    replace(_REDUCING, variant="value-add", calls=scatter_calls(reduction="add", number=True)),
    replace(
        _REDUCING,
        variant="value-multiply",
        calls=scatter_calls(reduction="multiply", number=True),
        ulps=12,
    ),
    replace(
        SCATTER,
        name="scatter_add",
        calls=scatter_calls(),
        reference=reference.scatter_add,
        analytic=reference.scatter_add,
        dtypes=("numeric",),
        kind="nonfinite",
        spellings=("Tensor.scatter_add",),
        in_place="Tensor.scatter_add_",
        docs="torch.Tensor.scatter_add_",
    ),
    *map(_scatter_reduce, ("sum", "prod", "mean", "amax", "amin")),
    INDEX_ADD,
    replace(
        INDEX_ADD,
        variant="complex",
        calls=index_add_calls(alphas=(1j, 2 - 1j)),
        dtypes=("complex",),
        excused=dict.fromkeys(("vjp", "jvp", "second-derivative"), "of complex numbers alone"),
    ),
    INDEX_COPY,
    *map(_index_reduce, ("prod", "mean", "amax", "amin")),
    replace(
        _index_reduce("prod"),
        variant="prod-half",
        dtypes=(torch.float16, torch.bfloat16),
        excused={
            **VALUE_ALONE,
            **dict.fromkeys(
                ("spellings", "in-place", "out"), "one law suffices to show what it breaks"
            ),
        },
    ),
    replace(
        _index_reduce("mean"),
        variant="mean-int32",
        calls=index_write_calls(
            reduction="mean", options={"include_self": st.just(False)}, positions=torch.int32
        ),
    ),
    INDEX_FILL,
    replace(INDEX_FILL, variant="tensor", calls=index_fill_calls(scalar_tensor), rejections={}),
    INDEX_PUT,
    replace(
        INDEX_PUT,
        variant="together",
        calls=index_put_calls(arrangement="together"),
        excused={"vmap": "indices reversed one by one, as a batch's are, may name a place twice"},
    ),
    replace(
        INDEX_PUT, variant="accumulate", calls=index_put_calls(accumulate=True), **_ACCUMULATED
    ),
    replace(INDEX_PUT, variant="vector", calls=index_put_vector_calls),
    replace(
        INDEX_PUT,
        variant="mask",
        calls=index_put_mask_calls,
        excused={"vmap": SIZES_BY_VALUES},
    ),
    PUT,
    replace(PUT, variant="accumulate", calls=partial(put_calls, accumulate=True), **_ACCUMULATED),
)
