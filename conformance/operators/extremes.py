"""Extremes and bounds of operands, element by element, and what stands for nan and infinities."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from conformance.operators.arguments import mixed_calls, pointwise_calls, unary_calls
from conformance.operators.arithmetic_arguments import (
    apart_calls,
    mixed_number_bounds,
    number_bounds_calls,
    tensor_bounds_calls,
    weighted_calls,
)
from conformance.operators.operator import Call, Dtypes, Operator, Rejection
from conformance.operators.results import promoted
from conformance.reference import arithmetic
from conformance.reference import rounding as reference
from strategies import dyadics

_COMPLEX = {"x": (torch.complex64, (3,)), "y": (torch.complex64, (3,))}


def _extreme(
    name: str, of: np.ufunc, *, smaller: bool, spellings: tuple[str, ...] = ()
) -> Operator:
    legal, illegal = f"torch.{name}(x.real, y.real)", f"torch.{name}(x, y)"
    refusal = "not implemented for complex"
    return Operator(
        name=name,
        calls=apart_calls(2, pointwise_calls(2)),
        reference=of,
        analytic=reference.smaller_piece if smaller else reference.larger_piece,
        dtypes=("real", "boolean"),
        result=promoted,
        ulps=0.25,
        spellings=(f"Tensor.{name}", *spellings),
        out="cast",
        mixed=mixed_calls(2, ("real", "boolean"), numbers=False),
        rejections={"complex": Rejection(legal, illegal, "TypeError from 2.15", refusal, _COMPLEX)},
    )


def _with_bounds(call: Call) -> Dtypes:
    """The dtype to which a tensor and its bounds promote, which may be given by name."""
    return promoted(Call((*call.arguments, *call.keywords.values()), {}))


CLAMP = Operator(
    name="clamp",
    calls=number_bounds_calls,
    reference=reference.clamp,
    analytic=reference.clamp_piece,
    dtypes=("real",),
    ulps=0.25,
    spellings=("Tensor.clamp", "clip", "Tensor.clip"),
    in_place="Tensor.clamp_",
    out="same",
    result=_with_bounds,
    mixed=mixed_number_bounds(),
    rejections={
        "unbounded": Rejection(
            "torch.clamp(x, 0)",
            "torch.clamp(x)",
            "RuntimeError",
            "At least one of 'min' or 'max' must not be None",
            {"x": (torch.float32, (3,))},
        ),
    },
)

_REPLACEMENTS = {name: dyadics() for name in ("nan", "posinf", "neginf")}


def _nan_to_num(dtype: torch.dtype, variant: str, *families: str) -> Operator:
    return Operator(
        name="nan_to_num",
        variant=variant,
        calls=unary_calls(options=_REPLACEMENTS),
        reference=partial(reference.without_nonfinite, largest=torch.finfo(dtype).max),
        analytic=reference.identity_piece,
        dtypes=(dtype, *families),
        spellings=("Tensor.nan_to_num",),
        in_place="Tensor.nan_to_num_",
        out="same",
    )


LERP = Operator(
    name="lerp",
    calls=pointwise_calls(3, scalar=True),
    reference=arithmetic.lerp,
    analytic=arithmetic.lerp,
    dtypes=("differentiable",),
    kind="dyadic",
    ulps=2,
    magnitude=arithmetic.lerp_magnitude,
    spellings=("Tensor.lerp",),
    in_place="Tensor.lerp_",
    out="same",
)

ADDCMUL = Operator(
    name="addcmul",
    calls=weighted_calls(3, "value"),
    reference=arithmetic.addcmul,
    analytic=arithmetic.addcmul,
    dtypes=("numeric",),
    result=promoted,
    kind="dyadic",
    ulps=2,
    magnitude=arithmetic.addcmul_magnitude,
    spellings=("Tensor.addcmul",),
    in_place="Tensor.addcmul_",
    out="cast",
    mixed=mixed_calls(3, ("numeric",), numbers=False),
)

OPERATORS = (
    _extreme("maximum", np.maximum, smaller=False, spellings=("max", "Tensor.max")),
    _extreme("minimum", np.minimum, smaller=True, spellings=("min", "Tensor.min")),
    _extreme("fmax", np.fmax, smaller=False),
    _extreme("fmin", np.fmin, smaller=True),
    CLAMP,
    replace(
        CLAMP,
        variant="tensors",
        calls=tensor_bounds_calls,
        result=promoted,
        mixed=mixed_calls(3, ("real",), numbers=False),
        rejections={},
    ),
    Operator(
        name="heaviside",
        calls=pointwise_calls(2),
        reference=reference.heaviside,
        dtypes=("real", "boolean"),
        kind="ordered",
        ulps=0.25,
        spellings=("Tensor.heaviside",),
        in_place="Tensor.heaviside_",
        out="same",
        excused={"constant": "torch documents no derivative, and refuses to take one"},
    ),
    _nan_to_num(torch.float32, "", "integral", "boolean"),
    _nan_to_num(torch.float64, "double"),
    _nan_to_num(torch.float16, "half"),
    _nan_to_num(torch.bfloat16, "bfloat16"),
    LERP,
    ADDCMUL,
    replace(
        ADDCMUL,
        name="addcdiv",
        calls=weighted_calls(3, "value", kinds=({}, {}, {"differentiable": "positive"})),
        reference=arithmetic.addcdiv,
        analytic=arithmetic.addcdiv,
        magnitude=arithmetic.addcdiv_magnitude,
        dtypes=("differentiable",),
        ulps=3,
        spellings=("Tensor.addcdiv",),
        in_place="Tensor.addcdiv_",
        mixed=mixed_calls(
            3, ("differentiable",), numbers=False, kinds=("dyadic", "dyadic", "positive")
        ),
        rejections={
            "integers": Rejection(
                "torch.addcdiv(x.float(), x.float(), x.float())",
                "torch.addcdiv(x, x, x)",
                "RuntimeError",
                "Integer division with addcdiv is no longer supported",
                {"x": (torch.int64, (3,))},
            ),
        },
    ),
)
