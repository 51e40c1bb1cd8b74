"""Elementary functions: exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import mixed_calls, operand, pointwise_calls, unary_calls
from conformance.operators.arithmetic_arguments import memory_changed
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Dtypes, Operator, Reference
from conformance.operators.results import floating, real_part
from conformance.reference import elementary as reference

ULPS = 6
"""What good libraries of elementary functions are off by, at most: 4, and NumPy's own error."""

_COMPLEX = {"complex": "dyadic", "integral": "dyadic"}
"""C99's special values of complex functions are not promised; integers stay in their domain."""


def angle_dtypes(call: Call) -> Dtypes:
    """As ``floating``; of complex numbers the result is real."""
    dtypes = floating(call)
    is_complex = dtypes.results[0].is_complex
    return Dtypes(dtypes.computed, real_part(call).results if is_complex else dtypes.results)


def _elementary(
    name: str, function: Reference, smooth: str, *aliases: str, **changes: Any
) -> Operator:
    """An entry of one operand in any dtype, which has methods, in place too."""
    alias_methods = (f"Tensor.{alias}" for alias in aliases if "." not in alias)
    given: dict[str, Any] = {
        "name": name,
        "calls": unary_calls(kinds=_COMPLEX),
        "reference": function,
        "analytic": function,
        "dtypes": ("any",),
        "result": floating,
        "kind": "regimes",
        "ulps": ULPS,
        "smooth": smooth,
        "spellings": (f"Tensor.{name}", *aliases, *alias_methods),
        "in_place": f"Tensor.{name}_",
        "out": "cast",
    }
    return Operator(**{**given, **changes})


_ANYWHERE = "away-from-kinks"

_FUNCTIONS = (
    _elementary("exp", np.exp, _ANYWHERE),
    _elementary("exp2", np.exp2, _ANYWHERE, "special.exp2"),
    _elementary("expm1", np.expm1, _ANYWHERE, "special.expm1"),
    _elementary("log", np.log, "positive"),
    _elementary("log2", np.log2, "positive"),
    _elementary("log10", np.log10, "positive"),
    _elementary("log1p", np.log1p, "positive", "special.log1p"),
    _elementary("sin", np.sin, _ANYWHERE),
    _elementary("cos", np.cos, _ANYWHERE),
    _elementary("tan", np.tan, "unit"),
    _elementary("asin", np.arcsin, "unit", "arcsin"),
    _elementary("acos", np.arccos, "unit", "arccos"),
    _elementary("atan", np.arctan, _ANYWHERE, "arctan"),
    _elementary("sinh", np.sinh, _ANYWHERE),
    _elementary("cosh", np.cosh, _ANYWHERE),
    _elementary("tanh", np.tanh, _ANYWHERE),
    _elementary("asinh", np.arcsinh, _ANYWHERE, "arcsinh"),
    _elementary("acosh", np.arccosh, "above-one", "arccosh"),
    _elementary("atanh", np.arctanh, "unit", "arctanh"),
    _elementary(
        "sigmoid",
        reference.sigmoid,
        _ANYWHERE,
        "special.expit",
        magnitude=reference.sigmoid_magnitude,
    ),
    _elementary(
        "sinc",
        reference.sinc,
        _ANYWHERE,
        "special.sinc",
        magnitude=reference.sinc_magnitude,
        derivative_ulps=256,
    ),
    _elementary("deg2rad", reference.radians, _ANYWHERE, dtypes=("real", "boolean"), ulps=2),
    _elementary("rad2deg", reference.degrees, _ANYWHERE, dtypes=("real", "boolean"), ulps=2),
)

LOGIT = _elementary(
    "logit",
    reference.logit,
    "fraction",
    "special.logit",
    calls=unary_calls(options={"eps": st.sampled_from((0.125, 0.2, 0.0))}),
    analytic=reference.logit_piece,
    magnitude=reference.logit_magnitude,
    dtypes=("floating",),
)


def _clamped_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """Calls of logit with a bound that is between eighths, and cuts off some of them."""
    return operand(dtype, kind).map(lambda x: Call((x,), {"eps": 0.19}))


CLAMPED_LOGIT = replace(
    LOGIT, variant="clamped", calls=_clamped_calls, kind="probability", smooth="probability"
)

ANGLE = _elementary(
    "angle",
    reference.angle,
    _ANYWHERE,
    analytic=reference.angle_piece,
    result=angle_dtypes,
    in_place="",
)

ENTROPY = _elementary(
    "special.entr",
    reference.entropy,
    "positive",
    analytic=reference.entropy_piece,
    dtypes=("real", "boolean"),
    spellings=(),
    in_place="",
    docs="special.html#torch.special.entr",
)


def _pairs(*, scalar: bool = False) -> Calls:
    """Calls on two operands, of all sizes or, half of them, small and infinite ones that meet."""
    drawn = pointwise_calls(2, scalar=scalar)

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        if kind != "regimes":
            return drawn(dtype, kind)
        return st.one_of(drawn(dtype, "nonfinite"), drawn(dtype, kind))

    return calls


def _of_two(name: str, function: Reference, analytic: Reference, **changes: Any) -> Operator:
    """An entry of two operands that broadcast and promote."""
    given: dict[str, Any] = {
        "calls": _pairs(),
        "analytic": analytic,
        "dtypes": ("real", "boolean"),
        "mixed": mixed_calls(2, ("real", "boolean"), numbers=False),
    }
    return _elementary(name, function, **{"smooth": _ANYWHERE, **given, **changes})


ATAN2 = _of_two(
    "atan2",
    np.arctan2,
    reference.atan2_piece,
    spellings=("Tensor.atan2", "arctan2", "Tensor.arctan2"),
)
LOGADDEXP = _of_two(
    "logaddexp",
    np.logaddexp,
    reference.logaddexp_piece,
    magnitude=reference.logaddexp_magnitude,
    dtypes=("floating",),
    mixed=mixed_calls(2, ("floating",), numbers=False),
    in_place="",
)
LOGADDEXP2 = _of_two(
    "logaddexp2",
    np.logaddexp2,
    reference.logaddexp2_piece,
    magnitude=reference.logaddexp2_magnitude,
    dtypes=("floating",),
    mixed=mixed_calls(2, ("floating",), numbers=False),
    in_place="",
)
XLOGY = _of_two(
    "xlogy",
    reference.xlogy,
    reference.xlogy_piece,
    smooth="positive",
    spellings=("Tensor.xlogy", "special.xlogy"),
    calls=_pairs(scalar=True),
    mixed=mixed_calls(2, ("real", "boolean")),
)
XLOG1PY = _of_two(
    "special.xlog1py",
    reference.xlog1py,
    reference.xlog1py_piece,
    smooth="positive",
    spellings=(),
    calls=_pairs(scalar=True),
    mixed=mixed_calls(2, ("real", "boolean")),
    in_place="",
    docs="special.html#torch.special.xlog1py",
)

_LAST_BITS = {torch.float16: 9, torch.bfloat16: 6, torch.float32: 22, torch.float64: 51}
"""How far below 1 the last bits of a dtype are, as powers of two."""


@st.composite
def _near_zero(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Numbers of which a sum with 1 keeps a digit or two."""
    tensor = draw(operand(dtype, kind))
    memory_changed(tensor, lambda values: values * 2.0 ** -_LAST_BITS[dtype])
    return Call((tensor,), {})


NEAR_ZERO = tuple(
    Operator(
        name=name, variant="near-zero", calls=_near_zero, reference=function, kind="dyadic",
        ulps=ULPS, excused=VALUE_ALONE,
    )
    for name, function in (("log1p", np.log1p), ("expm1", np.expm1))
)  # fmt: skip

OPERATORS = (
    *NEAR_ZERO, *_FUNCTIONS, LOGIT, CLAMPED_LOGIT, ANGLE, ENTROPY, ATAN2, LOGADDEXP, LOGADDEXP2,
    XLOGY, XLOG1PY,
)  # fmt: skip
