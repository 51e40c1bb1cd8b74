"""Powers, roots and reciprocals, and the splitting of numbers into powers of two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.arguments import mixed_calls, pointwise_calls, unary_calls
from conformance.operators.arithmetic import WRAPPING
from conformance.operators.arithmetic_arguments import (
    exponent_calls,
    memory_changed,
    number_first_calls,
    number_power_calls,
    reflected_calls,
)
from conformance.operators.operator import VALUE_ALONE, Call, Dtypes, Operator, Rejection
from conformance.operators.results import floating, promoted, promoted_dtype
from conformance.reference import arithmetic as reference
from strategies import tensors

_SQUARES_BEYOND = {torch.float16: 9, torch.bfloat16: 80, torch.float32: 80, torch.float64: 600}
"""Powers of two whose squares are too large for a dtype, and those of their inverses too small."""


@st.composite
def _with_extreme_squares(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    call = draw(pointwise_calls(2)(dtype, kind))
    factor = 2.0 ** draw(st.sampled_from((_SQUARES_BEYOND[dtype], -_SQUARES_BEYOND[dtype])))
    for tensor in tensors_in(call):
        memory_changed(tensor, lambda values: values * factor)
    return call


_BASE = {"complex": "positive"}
_EXPONENT = {"integral": "probability", "complex": "dyadic"}


def double(call: Call) -> Dtypes:
    """Compute and return float64, or complex128 if an operand is complex."""
    dtype = torch.complex128 if promoted_dtype(call).is_complex else torch.float64
    return Dtypes(dtype, (dtype,))


def mantissa_and_exponent(call: Call) -> Dtypes:
    """The first in the operand's dtype, the second in int32."""
    return Dtypes(None, (next(tensors_in(call)).dtype, torch.int32))


def _wrapping_calls(dtype: torch.dtype, _: str) -> st.SearchStrategy[Call]:
    """A number to exponents of few bits, many of them in a scalar: the power does not fit."""
    shapes = st.sampled_from(((), (3,), (2, 2)))
    exponents = tensors(dtype=dtype, shape=shapes, values="nonnegative")
    return st.builds(lambda *arguments: Call(arguments, {}), st.integers(2, 7), exponents)


POW = Operator(
    name="pow",
    calls=pointwise_calls(2, kinds=(_BASE, _EXPONENT)),
    reference=np.power,
    analytic=np.power,
    dtypes=("numeric",),
    result=promoted,
    kind="any",
    ulps=4,
    smooth="positive",
    spellings=("Tensor.pow", "Tensor.__pow__"),
    in_place="Tensor.pow_",
    out="cast",
    mixed=mixed_calls(2, ("numeric",), kinds=("positive", "probability")),
)

SQUARE = Operator(
    name="square",
    calls=unary_calls(kinds=WRAPPING),
    reference=np.square,
    analytic=np.square,
    dtypes=("numeric",),
    ulps=1,
    spellings=("Tensor.square",),
    in_place="Tensor.square_",
    out="cast",
)

SQRT = replace(
    SQUARE,
    name="sqrt",
    calls=unary_calls(kinds={"complex": "positive"}),
    reference=np.sqrt,
    analytic=np.sqrt,
    dtypes=("any",),
    result=floating,
    smooth="positive",
    spellings=("Tensor.sqrt",),
    in_place="Tensor.sqrt_",
)

OPERATORS = (
    POW,
    replace(
        POW,
        variant="number",
        calls=number_power_calls,
        smooth="positive",
        mixed=None,
        rejections={
            "negative": Rejection(
                "torch.pow(x, 2)",
                "torch.pow(x, -1)",
                "RuntimeError",
                "Integers to negative integer powers are not allowed",
                {"x": (torch.int64, (3,))},
            ),
        },
    ),
    replace(
        POW,
        variant="of-number",
        calls=number_first_calls({**_EXPONENT}, {"differentiable": "positive"}),
        kind="dyadic",
        analytic=None,
        spellings=(),
        in_place="",
        out="same",
        mixed=None,
        excused={"constant": "differentiable in the exponent: __rpow__ asks for that derivative"},
    ),
    replace(
        POW,
        variant="of-number-wrapping",
        calls=_wrapping_calls,
        dtypes=(torch.uint8, torch.int8),
        kind="nonnegative",
        analytic=None,
        ulps=0,
        spellings=(),
        in_place="",
        mixed=None,
        excused=dict.fromkeys(
            ("long", "layout", "copy", "constant", "vmap", "meta"), "as for powers that fit"
        ),
    ),
    replace(
        POW,
        name="Tensor.__rpow__",
        calls=reflected_calls({**_EXPONENT}, {"differentiable": "positive"}),
        reference=reference.reflected_power,
        analytic=reference.reflected_power,
        kind="dyadic",
        spellings=(),
        in_place="",
        out="",
        mixed=None,
        docs="torch.pow",
    ),
    replace(
        POW,
        name="float_power",
        calls=pointwise_calls(2, scalar=True, kinds=(_BASE, {"complex": "dyadic"})),
        reference=reference.float_power,
        analytic=reference.float_power,
        dtypes=("any",),
        result=double,
        spellings=("Tensor.float_power",),
        in_place="",
        out="",
        mixed=mixed_calls(2, kinds=("positive", "probability")),
    ),
    SQUARE,
    SQRT,
    replace(
        SQRT,
        name="rsqrt",
        reference=reference.reciprocal_root,
        analytic=reference.reciprocal_root,
        ulps=3,
        spellings=("Tensor.rsqrt",),
        in_place="Tensor.rsqrt_",
    ),
    replace(
        SQRT,
        name="reciprocal",
        reference=reference.reciprocal,
        analytic=reference.reciprocal,
        smooth="away-from-kinks",
        spellings=("Tensor.reciprocal",),
        in_place="Tensor.reciprocal_",
    ),
    Operator(
        name="ldexp",
        calls=exponent_calls,
        reference=reference.ldexp,
        analytic=reference.ldexp,
        dtypes=("floating",),
        kind="nonfinite",
        ulps=1,
        spellings=("Tensor.ldexp",),
        in_place="Tensor.ldexp_",
        out="cast",
    ),
    Operator(
        name="frexp",
        calls=unary_calls(),
        reference=reference.frexp,
        analytic=reference.mantissa_piece,
        result=mantissa_and_exponent,
        kind="dyadic",
        spellings=("Tensor.frexp",),
        out="same",
    ),
    Operator(
        name="hypot",
        calls=pointwise_calls(2),
        reference=reference.hypotenuse,
        analytic=reference.hypotenuse,
        result=promoted,
        kind="dyadic",
        ulps=2,
        spellings=("Tensor.hypot",),
        in_place="Tensor.hypot_",
        out="cast",
        mixed=mixed_calls(2, ("floating",), numbers=False),
    ),
    Operator(
        name="hypot",
        variant="extreme",
        calls=_with_extreme_squares,
        reference=np.hypot,
        result=promoted,
        kind="dyadic",
        ulps=2,
        spellings=("Tensor.hypot",),
        excused=VALUE_ALONE,
    ),
)
