"""Comparison: results that are true or false, of pairs of operands and of single numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from conformance.operators.arguments import mixed_calls, pointwise_calls, unary_calls
from conformance.operators.operator import Operator, Reference
from conformance.operators.results import truth
from conformance.reference import comparison as reference

EQ = Operator(
    name="eq",
    calls=pointwise_calls(2, scalar=True),
    reference=np.equal,
    dtypes=("any",),
    result=truth,
    spellings=("Tensor.eq", "Tensor.__eq__"),
    in_place="Tensor.eq_",
    out="cast",
    mixed=mixed_calls(2),
)


def _ordering(name: str, of: np.ufunc, alias: str, *families: str) -> Operator:
    return replace(
        EQ,
        name=name,
        reference=of,
        dtypes=families,
        spellings=(f"Tensor.{name}", f"Tensor.__{name}__", alias, f"Tensor.{alias}"),
        in_place=f"Tensor.{name}_",
        mixed=mixed_calls(2, families),
    )


def _property(name: str, of: Reference, out: str = "") -> Operator:
    return Operator(
        name=name,
        calls=unary_calls(),
        reference=of,
        dtypes=("real", "boolean") if out else ("any",),
        result=truth,
        spellings=(f"Tensor.{name}",),
        out=out,
    )


_TOLERANCES = st.sampled_from((0.0, 0.125, 0.5, 1.0))

ISCLOSE = Operator(
    name="isclose",
    calls=pointwise_calls(
        2,
        options={"rtol": _TOLERANCES, "atol": _TOLERANCES, "equal_nan": st.booleans()},
        kinds=({"complex": "dyadic", "integral": "dyadic"},) * 2,
    ),
    reference=reference.near,
    dtypes=("any",),
    result=truth,
    kind="nonfinite",
    spellings=("Tensor.isclose",),
)

OPERATORS = (
    EQ,
    _ordering("ne", np.not_equal, "not_equal", "any"),
    _ordering("lt", np.less, "less", "real", "boolean"),
    _ordering("le", np.less_equal, "less_equal", "real", "boolean"),
    _ordering("gt", np.greater, "greater", "real", "boolean"),
    _ordering("ge", np.greater_equal, "greater_equal", "real", "boolean"),
    ISCLOSE,
    replace(
        ISCLOSE,
        variant="equal-nan",
        calls=pointwise_calls(2, fixed={"equal_nan": True}),
        dtypes=("floating",),
    ),
    _property("isnan", np.isnan),
    _property("isinf", reference.is_infinite),
    _property("isfinite", reference.is_finite),
    _property("isreal", reference.has_no_imaginary_part),
    _property("isposinf", reference.is_positive_infinite, "same"),
    _property("isneginf", reference.is_negative_infinite, "same"),
)
