"""Rounding and signs: functions of one operand that is kept, cut or turned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from conformance.operators.arguments import mixed_calls, pointwise_calls, unary_calls
from conformance.operators.arithmetic_arguments import rounding_calls
from conformance.operators.operator import Operator, Reference, Rejection
from conformance.operators.results import floating, named, real_part, truth
from conformance.reference import arithmetic
from conformance.reference import rounding as reference

_TRUTHS = {"x": (torch.bool, (3,))}

CEIL = Operator(
    name="ceil",
    calls=unary_calls(),
    reference=reference.ceiling,
    analytic=reference.flat_piece,
    dtypes=("real",),
    spellings=("Tensor.ceil",),
    in_place="Tensor.ceil_",
    out="same",
)

ABS = replace(
    CEIL,
    name="abs",
    calls=unary_calls(),
    reference=np.abs,
    analytic=reference.absolute_piece,
    spellings=("Tensor.abs", "Tensor.__abs__", "absolute", "Tensor.absolute"),
    in_place="Tensor.abs_",
)

NEG = replace(
    CEIL,
    name="neg",
    calls=unary_calls(),
    reference=np.negative,
    analytic=np.negative,
    spellings=("Tensor.neg", "Tensor.__neg__", "negative", "Tensor.negative"),
    in_place="Tensor.neg_",
    rejections={
        "booleans": Rejection(
            "torch.neg(x.int())",
            "torch.neg(x)",
            "RuntimeError",
            "on a bool tensor is not supported",
            _TRUTHS,
        ),
    },
)


def _rounding(name: str, reference_of: Reference, *spellings: str) -> Operator:
    return replace(
        CEIL,
        name=name,
        reference=reference_of,
        spellings=(f"Tensor.{name}", *spellings),
        in_place=f"Tensor.{name}_",
    )


ROUND = _rounding("round", reference.rounded)


def _next_after(dtype: torch.dtype, variant: str) -> Operator:
    return Operator(
        name="nextafter",
        variant=variant,
        calls=pointwise_calls(2),
        reference=partial(arithmetic.next_after, spacing_of=named(dtype)),
        dtypes=(dtype,),
        ulps=0.25,
        spellings=("Tensor.nextafter",),
        in_place="Tensor.nextafter_",
        out="cast",
        excused={"constant": "torch documents no derivative, and refuses to take one"},
    )


OPERATORS = (
    CEIL,
    _rounding("floor", reference.floored),
    _rounding("trunc", reference.truncated, "fix", "Tensor.fix"),
    ROUND,
    replace(
        ROUND,
        variant="decimals",
        calls=rounding_calls,
        reference=reference.rounded,
        dtypes=("floating",),
        kind="dyadic",
        ulps=1,
    ),
    replace(
        CEIL,
        name="frac",
        reference=reference.fraction,
        analytic=reference.fraction,
        dtypes=("floating",),
        kind="nonfinite",
        ulps=0.25,
        spellings=("Tensor.frac",),
        in_place="Tensor.frac_",
    ),
    ABS,
    replace(
        ABS,
        variant="complex",
        dtypes=("complex",),
        result=real_part,
        kind="dyadic",
        ulps=1,
        in_place="",
    ),
    NEG,
    replace(NEG, variant="complex", dtypes=("complex",), kind="dyadic", ulps=0.25, rejections={}),
    replace(
        CEIL,
        name="positive",
        calls=unary_calls(),
        reference=np.positive,
        analytic=np.positive,
        dtypes=("numeric",),
        spellings=("Tensor.positive", "Tensor.__pos__"),
        in_place="",
        out="",
        memory="view",
        rejections={
            "booleans": Rejection(
                "torch.positive(x.int())", "torch.positive(x)", "RuntimeError", "bool", _TRUTHS
            ),
        },
    ),
    replace(
        CEIL,
        name="sign",
        reference=np.sign,
        kind="ordered",
        spellings=("Tensor.sign",),
        in_place="Tensor.sign_",
        ulps=0.25,
    ),
    replace(
        CEIL,
        name="sgn",
        calls=unary_calls(kinds={"complex": "dyadic"}),
        reference=reference.sgn,
        analytic=reference.flat_piece,
        dtypes=("numeric",),
        kind="ordered",
        ulps=2,
        spellings=("Tensor.sgn",),
        in_place="Tensor.sgn_",
    ),
    replace(
        CEIL,
        name="signbit",
        reference=reference.negative_by_sign,
        analytic=None,
        result=truth,
        spellings=("Tensor.signbit",),
        in_place="",
    ),
    Operator(
        name="copysign",
        calls=pointwise_calls(2, scalar=True),
        reference=reference.copied_sign,
        analytic=reference.copied_sign_piece,
        dtypes=("real",),
        result=floating,
        spellings=("Tensor.copysign",),
        in_place="Tensor.copysign_",
        out="cast",
        mixed=mixed_calls(2, ("real",)),
    ),
    replace(
        CEIL,
        name="conj_physical",
        reference=np.conjugate,
        analytic=reference.identity_piece,
        dtypes=("numeric",),
        spellings=("Tensor.conj_physical",),
        in_place="Tensor.conj_physical_",
        memory="either",
    ),
    replace(
        CEIL,
        name="conj",
        reference=np.conjugate,
        analytic=reference.identity_piece,
        dtypes=("any",),
        spellings=("Tensor.conj",),
        in_place="",
        out="",
        memory="either",
    ),
    _next_after(torch.float64, ""),
    _next_after(torch.float32, "single"),
    _next_after(torch.bfloat16, "bfloat16"),
)
