"""Special functions: error integrals, the gamma function and its kin, Bessel functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import mixed_calls, operand, pointwise_calls, unary_calls
from conformance.operators.operator import Call, Calls, Operator, Reference, Rejection
from conformance.operators.results import floating
from conformance.reference import bessel
from conformance.reference import error_functions as errors
from conformance.reference import special as reference
from strategies import shapes

_SHAPES = shapes(max_elements=18)
_REAL = ("real", "boolean")
_DOUBLE = ("split", "integral", "boolean")
"""Where there is no half precision."""


def page_of(name: str) -> str:
    """Return the page that describes a function, where it is not one of its own."""
    return f"special.html#torch.{name}" if name.startswith("special.") else ""


def _special(
    name: str, function: Reference, near: Reference | None, *aliases: str, **changes: Any
) -> Operator:
    """An entry of one real operand; those outside of ``torch.special`` have methods."""
    methods = () if name.startswith("special.") else (f"Tensor.{name}",)
    given: dict[str, Any] = {
        "name": name,
        "calls": unary_calls(shape=_SHAPES),
        "reference": function,
        "analytic": near,
        "dtypes": _REAL,
        "result": floating,
        "kind": "regimes",
        "ulps": 8,
        "derivative_ulps": 64,
        "spellings": (*methods, *aliases),
        "in_place": f"{methods[0]}_" if methods else "",
        "out": "cast",
        "docs": page_of(name),
    }
    return Operator(**{**given, **changes})


_NINE_DIGITS = 2.0**23
"""In units of the last place of float64. Series cut for single precision are not better there."""


def in_double(operator: Operator, **changes: Any) -> tuple[Operator, Operator]:
    """The entry in all dtypes but float64, and its variant for that with other bounds."""
    others = tuple(dtype for dtype in operator.supported if dtype != torch.float64)
    variant = f"{operator.variant}-double".lstrip("-")
    double = replace(
        operator, variant=variant, dtypes=(torch.float64,), mixed=None, rejections={}, **changes
    )
    return replace(operator, dtypes=others), double


_ERRORS = (
    _special(
        "erf", errors.erf, errors.erf_near, "special.erf", magnitude=errors.erf_magnitude
    ),
    _special("erfc", errors.erfc, errors.erfc_near, "special.erfc"),
    _special("erfinv", errors.erfinv, errors.erfinv_near, "special.erfinv", smooth="unit"),
    _special(
        "special.erfcx",
        errors.erfcx,
        errors.erfcx_near,
        magnitude=errors.erfcx_magnitude,
        dtypes=_DOUBLE,
    ),
    _special(
        "special.ndtr", errors.ndtr, errors.ndtr_near, magnitude=errors.ndtr_magnitude
    ),
    _special("special.ndtri", errors.ndtri, errors.ndtri_near, dtypes=_DOUBLE,
             smooth="fraction"),
    _special(
        "special.log_ndtr",
        errors.log_ndtr,
        errors.log_ndtr_near,
        magnitude=errors.log_ndtr_magnitude,
        dtypes=_DOUBLE,
    ),
)  # fmt: skip


def _with_number(number: st.SearchStrategy[int], *, first: bool) -> Calls:
    """``op(x, n)`` or ``op(n, x)`` for a drawn number."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x, n = draw(operand(dtype, kind, _SHAPES)), draw(number)
        return Call((n, x) if first else (x, n), {})

    return calls


_ONE = {"x": (torch.float32, (2, 3))}
_ORDERS = st.integers(0, 4)

LGAMMA = _special(
    "lgamma",
    reference.lgamma,
    reference.lgamma_near,
    "special.gammaln",
    magnitude=reference.lgamma_magnitude,
    smooth="positive",
    derivative_ulps=512,
)
DIGAMMA = _special(
    "digamma",
    reference.digamma,
    reference.digamma_near,
    "special.digamma",
    "special.psi",
    magnitude=reference.digamma_magnitude,
    smooth="positive",
)
POLYGAMMA = _special(
    "polygamma",
    reference.polygamma,
    reference.polygamma_near,
    "special.polygamma",
    calls=_with_number(_ORDERS, first=True),
    magnitude=reference.polygamma_magnitude,
    kind="nonnegative",
    smooth="positive",
    spellings=("special.polygamma",),
    in_place="",
    rejections={
        "negative-order": Rejection(
            "torch.polygamma(0, x)",
            "torch.polygamma(-1, x)",
            "RuntimeError",
            "does not support negative n",
            _ONE,
        )
    },
)
POLYGAMMA_METHOD = _special(
    "Tensor.polygamma",
    reference.polygamma_of,
    reference.polygamma_of_near,
    variant="method",
    calls=_with_number(_ORDERS, first=False),
    magnitude=reference.polygamma_of_magnitude,
    kind="nonnegative",
    smooth="positive",
    spellings=(),
    in_place="Tensor.polygamma_",
    out="",
)
MVLGAMMA = _special(
    "mvlgamma",
    reference.mvlgamma,
    reference.mvlgamma_near,
    "special.multigammaln",
    calls=_with_number(st.integers(1, 3), first=False),
    magnitude=reference.mvlgamma_magnitude,
    dtypes=("real",),
    kind="above-one",
    smooth="above-one",
    derivative_ulps=512,
    rejections={
        "dimension": Rejection(
            "torch.mvlgamma(x.abs() + 1, 1)",
            "torch.mvlgamma(x.abs() + 1, 0)",
            "RuntimeError",
            "p has to be greater than or equal to 1",
            _ONE,
        )
    },
)
IGAMMA = _special(
    "igamma",
    reference.igamma,
    reference.igamma_near,
    "special.gammainc",
    calls=pointwise_calls(2),
    magnitude=reference.igamma_magnitude,
    dtypes=("floating",),
    kind="nonnegative",
    smooth="positive",
    constants=(0,),
    ulps=16,
)
IGAMMAC = _special(
    "igammac",
    reference.igammac,
    reference.igammac_near,
    "special.gammaincc",
    calls=pointwise_calls(2),
    magnitude=reference.igammac_magnitude,
    dtypes=("floating",),
    kind="nonnegative",
    smooth="positive",
    constants=(0,),
    ulps=16,
)
ZETA = _special(
    "special.zeta",
    reference.zeta,
    reference.zeta_near,
    calls=pointwise_calls(2, kinds=({"real": "above-one"}, {"real": "nonnegative"})),
    dtypes=("split", "integral"),
    smooth="above-one",
    constants=(0,),
    mixed=mixed_calls(2, ("split", "integral"), kinds=("above-one", "positive")),
)

_NOT_DERIVED = {"constant": "torch marks the result as requiring grad and has no derivative of it"}

_MODIFIED = (
    _special("i0", bessel.i0, bessel.i0_near, "special.i0", kind="finite", ulps=32),
    _special("special.i0e", bessel.i0e, bessel.i0e_near, ulps=32),
    _special("special.i1", bessel.i1, bessel.i1_near, kind="finite", ulps=32),
    _special("special.i1e", bessel.i1e, bessel.i1e_near, ulps=32, derivative_ulps=512),
)

_OSCILLATING = tuple(
    entry
    for name, function, magnitude in (
        ("special.bessel_j0", bessel.j0, bessel.first_kind_magnitude),
        ("special.bessel_j1", bessel.j1, bessel.first_kind_magnitude),
        ("special.bessel_y0", bessel.y0, bessel.y0_magnitude),
        ("special.bessel_y1", bessel.y1, bessel.y1_magnitude),
    )
    for entry in in_double(
        _special(
            name,
            function,
            None,
            magnitude=magnitude,
            dtypes=_DOUBLE,
            kind="finite",
            excused=_NOT_DERIVED,
        ),
        ulps=2.0**31,
    )
)

_TRIGAMMA = {"second-derivative": "trigamma, its second derivative, is good to 9 digits"}

OPERATORS = (
    *_ERRORS,
    *in_double(
        LGAMMA,
        excused=_TRIGAMMA,
    ),
    *in_double(DIGAMMA, derivative_ulps=_NINE_DIGITS),
    *in_double(POLYGAMMA, ulps=_NINE_DIGITS, derivative_ulps=_NINE_DIGITS),
    *in_double(POLYGAMMA_METHOD, ulps=_NINE_DIGITS, derivative_ulps=_NINE_DIGITS),
    *in_double(
        MVLGAMMA,
        excused=_TRIGAMMA,
    ),
    *in_double(IGAMMA, ulps=_NINE_DIGITS),
    *in_double(IGAMMAC, ulps=_NINE_DIGITS),
    ZETA,
    *_MODIFIED,
    *_OSCILLATING,
)
