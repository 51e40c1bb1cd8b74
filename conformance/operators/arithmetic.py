"""Arithmetic: sums, products, quotients and remainders of operands that broadcast and promote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from conformance.operators.arguments import mixed_calls, pointwise_calls
from conformance.operators.arithmetic_arguments import (
    infinite_divisor_calls,
    number_first_calls,
    reflected_calls,
    remainder_calls,
    weighted_calls,
    weighted_numbers,
)
from conformance.operators.operator import Operator, Reference, Rejection
from conformance.operators.results import floating, promoted
from conformance.reference import arithmetic as reference

WRAPPING = {"integral": "any", "complex": "dyadic"}
"""Integers wrap around; of complex numbers only finite parts."""
NONZERO = {"integral": "away-from-kinks"}
_NO_DERIVATIVE = "torch documents no derivative, and refuses to take one"
_PAIR = {"x": (torch.float32, (2, 3)), "y": (torch.float32, (3,)), "z": (torch.float32, (2,))}
_INTEGERS = {"x": (torch.int64, (3,)), "y": (torch.int64, (3,))}
_TRUTHS = {"x": (torch.bool, (3,)), "y": (torch.bool, (3,))}


def _mismatch(name: str) -> dict[str, Rejection]:
    """Shapes that do not broadcast."""
    legal, illegal = f"torch.{name}(x, y)", f"torch.{name}(x, z)"
    return {"shapes": Rejection(legal, illegal, "RuntimeError", "must match the size", _PAIR)}


ADD = Operator(
    name="add",
    calls=weighted_calls(2, "alpha", scalar=True, kinds=(WRAPPING, WRAPPING)),
    reference=reference.add,
    analytic=reference.add,
    dtypes=("numeric",),
    result=promoted,
    kind="nonfinite",
    ulps=1,
    magnitude=reference.add_magnitude,
    spellings=("Tensor.add", "Tensor.__add__", "Tensor.__radd__"),
    in_place="Tensor.add_",
    out="cast",
    mixed=mixed_calls(2, ("numeric",)),
    rejections={
        **_mismatch("add"),
        "alpha": Rejection(
            "torch.add(x, y, alpha=2)",
            "torch.add(x, y, alpha=1.5)",
            "RuntimeError",
            "alpha must not be a floating point number",
            _INTEGERS,
        ),
    },
)

ADD_NUMBERS = replace(
    ADD,
    variant="alpha-of-numbers",
    calls=weighted_numbers("alpha"),
    dtypes=("floating",),
    in_place="",
    out="",
    mixed=None,
    rejections={},
)

MUL = replace(
    ADD,
    name="mul",
    calls=pointwise_calls(2, scalar=True, kinds=(WRAPPING, WRAPPING)),
    reference=reference.mul,
    analytic=reference.mul,
    magnitude=None,
    dtypes=("any",),
    mixed=mixed_calls(2),
    spellings=(
        "Tensor.mul", "Tensor.__mul__", "Tensor.__rmul__", "multiply", "Tensor.multiply",
    ),
    in_place="Tensor.mul_",
    rejections=_mismatch("mul"),
)  # fmt: skip

DIV = replace(
    MUL,
    name="div",
    calls=pointwise_calls(2, scalar=True, kinds=({"complex": "dyadic"}, {"complex": "positive"})),
    reference=reference.div,
    analytic=reference.div,
    ulps=1.5,
    result=floating,
    mixed=mixed_calls(2, kinds=("dyadic", "positive")),
    spellings=(
        "Tensor.div", "Tensor.__truediv__", "divide", "Tensor.divide", "true_divide",
        "Tensor.true_divide",
    ),
    in_place="Tensor.div_",
    rejections=_mismatch("div"),
)  # fmt: skip

FLOOR_DIVIDE = replace(
    DIV,
    name="floor_divide",
    calls=pointwise_calls(2, scalar=True, kinds=({}, NONZERO)),
    reference=reference.divided_downward,
    analytic=None,
    dtypes=("real",),
    result=promoted,
    kind="dyadic",
    ulps=0.25,
    mixed=mixed_calls(2, ("real",), kinds=("dyadic", "positive")),
    spellings=("Tensor.floor_divide", "Tensor.__floordiv__"),
    in_place="Tensor.floor_divide_",
    rejections=_mismatch("floor_divide"),
    excused={"constant": _NO_DERIVATIVE},
)


def _rounding_mode(mode: str, rounded: Reference) -> Operator:
    fixed = {"rounding_mode": mode}
    drawn = pointwise_calls(2, scalar=True, kinds=({}, NONZERO), fixed=fixed)
    return replace(
        FLOOR_DIVIDE,
        name="div",
        variant=mode,
        calls=remainder_calls(drawn, scalar=True, fixed=fixed),
        reference=rounded,
        analytic=reference.constant_piece,
        mixed=mixed_calls(2, ("real",), kinds=("dyadic", "positive"), fixed=fixed),
        spellings=("Tensor.div", "divide", "Tensor.divide"),
        in_place="Tensor.div_",
        rejections={},
        excused={},
    )


REMAINDER = replace(
    FLOOR_DIVIDE,
    name="remainder",
    calls=remainder_calls(pointwise_calls(2, scalar=True, kinds=({}, NONZERO)), scalar=True),
    reference=reference.remainder,
    analytic=reference.remainder_piece,
    spellings=("Tensor.remainder", "Tensor.__mod__"),
    in_place="Tensor.remainder_",
    rejections=_mismatch("remainder"),
    excused={},
)

FMOD = replace(
    REMAINDER,
    name="fmod",
    reference=np.fmod,
    analytic=reference.fmod_piece,
    kind="regimes",
    spellings=("Tensor.fmod",),
    in_place="Tensor.fmod_",
    rejections={
        "zero": Rejection(  # documented for the CPU alone
            "torch.fmod(x.cpu(), y.cpu() + 1)",
            "torch.fmod(x.cpu(), y.cpu())",
            "RuntimeError",
            "ZeroDivisionError",
            _INTEGERS,
        ),
    },
)


def _huge_quotients(base: Operator) -> Operator:
    """Dividends so large that the quotient overflows, though the remainder is small."""
    elsewhere = "the entry without a variant answers it"
    return replace(
        base,
        variant="huge-quotients",
        kind="any",
        analytic=None,
        spellings=(),
        in_place="",
        out="",
        mixed=None,
        rejections={},
        excused=dict.fromkeys(("constant", "copy", "meta", "vmap"), elsewhere),
    )


def _infinite_divisors(base: Operator) -> Operator:
    """Divisors that are infinite: the dividend, or infinite where the signs differ."""
    return replace(_huge_quotients(base), variant="infinite-divisors", kind="dyadic",
                   calls=infinite_divisor_calls, dtypes=("floating",))  # fmt: skip


def _reflected(sign: str, base: Operator, **changes: Any) -> Operator:
    """``number <sign> x``: Python asks the tensor to the right of the sign."""
    return replace(
        base,
        name=f"Tensor.{sign}",
        spellings=(),
        in_place="",
        out="",
        mixed=None,
        rejections={},
        docs=base.page,
        **changes,
    )


SUB = replace(
    ADD,
    name="sub",
    reference=reference.subtract,
    analytic=reference.subtract,
    spellings=("Tensor.sub", "Tensor.__sub__", "subtract", "Tensor.subtract"),
    in_place="Tensor.sub_",
    rejections={
        **_mismatch("sub"),
        "booleans": Rejection(
            "torch.sub(x.int(), y.int())",
            "torch.sub(x, y)",
            "RuntimeError",
            "with two bool tensors is not supported",
            _TRUTHS,
        ),
    },
)

OPERATORS = (
    ADD,
    ADD_NUMBERS,
    replace(
        ADD,
        variant="booleans",
        calls=pointwise_calls(2, scalar=True),
        dtypes=("boolean",),
        analytic=None,
        mixed=None,
        rejections={},
    ),
    SUB,
    MUL,
    DIV,
    FLOOR_DIVIDE,
    _rounding_mode("trunc", reference.divided_toward_zero),
    _rounding_mode("floor", reference.divided_downward),
    REMAINDER,
    replace(
        REMAINDER,
        variant="number",
        calls=number_first_calls(NONZERO, {}),
        analytic=None,
        spellings=(),
        in_place="",
        out="",
        mixed=None,
        rejections={},
        excused={"constant": _NO_DERIVATIVE},
    ),
    _huge_quotients(REMAINDER),
    _infinite_divisors(REMAINDER),
    FMOD,
    _huge_quotients(FMOD),
    _reflected(
        "__rsub__",
        SUB,
        calls=reflected_calls(WRAPPING, {}),
        reference=reference.reflected_subtract,
        analytic=reference.reflected_subtract,
    ),
    _reflected(
        "__rtruediv__",
        DIV,
        calls=reflected_calls({"complex": "positive"}, {}),
        reference=reference.reflected_div,
        analytic=reference.reflected_div,
    ),
    _reflected(
        "__rfloordiv__",
        FLOOR_DIVIDE,
        calls=reflected_calls(NONZERO, {}),
        reference=reference.reflected_floor_divide,
    ),
    _reflected(
        "__rmod__",
        REMAINDER,
        calls=reflected_calls(NONZERO, {}),
        reference=reference.reflected_remainder,
        analytic=None,
        excused={"constant": _NO_DERIVATIVE},
    ),
)
