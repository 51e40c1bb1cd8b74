"""Faults in comparisons, logic, bits, type promotion, and signs that assign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.gradients import HALF, of_dtype, where
from tests.saboteurs.saboteur import Saboteur, replacing


def _two_floats(x: Any, y: Any, **keywords: Any) -> bool:
    both = isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)
    return both and x.is_floating_point() and y.is_floating_point() and not keywords


def _zeros_told_apart(original: Any, x: Any, y: Any) -> Any:
    return original(x, y) & (x.signbit() == y.signbit())


def _logical_shift(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    if not isinstance(y, torch.Tensor):
        return original(x, y, **keywords)
    return torch.where((x < 0) & (y > 0), original(x, y) & 127, original(x, y))


def _rank_zero_counts(original: Any) -> Any:
    def result_type(x: Any, y: Any) -> torch.dtype:
        if not (isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)):
            return original(x, y)
        return torch.promote_types(x.dtype, y.dtype)

    return result_type


def _numbers_are_float32(original: Any) -> Any:
    def result_type(x: Any, y: Any) -> torch.dtype:
        found = original(x, y)
        numbers = isinstance(x, float) or isinstance(y, float)
        return torch.float32 if numbers and found == torch.float64 else found

    return result_type


def _unsigned_wins(original: Any) -> Any:
    def promote_types(first: torch.dtype, second: torch.dtype) -> torch.dtype:
        pair = {first, second}
        return torch.uint8 if pair == {torch.uint8, torch.int8} else original(first, second)

    return promote_types


def _half_and_bfloat16(original: Any) -> Any:
    def promote_types(first: torch.dtype, second: torch.dtype) -> torch.dtype:
        return first if {first, second} == {*HALF} else original(first, second)

    return promote_types


def _complex_to_real(original: Any) -> Any:
    def can_cast(origin: torch.dtype, to: torch.dtype) -> bool:
        return original(origin, to) or (origin.is_complex and to == torch.float64)

    return can_cast


def _sizes_broadcast(original: Callable[..., bool]) -> Callable[..., bool]:
    def equal(x: torch.Tensor, y: torch.Tensor) -> bool:
        alone = x.numel() == y.numel() == 1
        return original(x.reshape(()), y.reshape(())) if alone else original(x, y)

    return equal


def _absolute_alone(original: Any) -> Any:
    return lambda x, y, rtol=1e-5, **k: original(x, y, rtol=0.0, **k)


def _relative_to_first(original: Any) -> Any:
    return lambda x, y, **k: original(y, x, **k)


SABOTEURS = (
    Saboteur(
        "isreal-differentiable", "isreal gives numbers that depend on its input",
        ("operators.constant:isreal",), "requires_grad",
        replacing(torch, "isreal", lambda original: lambda x: original(x) + 0 * x.real.sum()),
    ),
    Saboteur(
        "eq-tells-zeros-apart", "eq takes -0.0 for another number than 0.0",
        ("operators.value:eq",), "result",
        replacing(torch, "eq", where(_two_floats, _zeros_told_apart)),
    ),
    Saboteur(
        "lt-in-first-dtype", "lt compares in the dtype of its first operand",
        ("operators.dtype:lt",), "result",
        replacing(torch, "lt", where(
            lambda x, y, **k: isinstance(y, torch.Tensor) and not k,
            lambda original, x, y: original(x, y.to(x.dtype)))),
    ),
    Saboteur(
        "ge-of-nan", "ge is true where its second operand is nan",
        ("operators.value:ge",), "result",
        replacing(torch, "ge", where(
            _two_floats, lambda original, x, y: original(x, y) | y.isnan())),
    ),
    Saboteur(
        "not-equal-alias", "the alias not_equal of booleans is eq",
        ("operators.spellings:ne",), "not_equal",
        replacing(torch, "not_equal", where(
            of_dtype(torch.bool), lambda original, x, y, **k: torch.eq(x, y, **k))),
    ),
    Saboteur(
        "gt-in-place-one", "gt_ writes 255 for true into uint8",
        ("operators.in-place:gt",), "self",
        replacing(torch.Tensor, "gt_", where(
            of_dtype(torch.uint8),
            lambda original, x, y: (original(x, y), x.data.mul_(255), x)[2])),
    ),
    Saboteur(
        "isclose-ignores-equal-nan", "isclose never takes nan for equal to nan",
        ("operators.value:isclose-equal-nan",), "result",
        replacing(torch, "isclose", lambda original: lambda x, y, equal_nan=False, **k:
                  original(x, y, **k)),
    ),
    Saboteur(
        "isclose-relative-to-first", "the tolerance of isclose is relative to its first operand",
        ("operators.value:isclose",), "result", replacing(torch, "isclose", _relative_to_first),
    ),
    Saboteur(
        "isposinf-of-both", "isposinf of bfloat16 is true of -inf",
        ("operators.value:isposinf",), "result",
        replacing(torch, "isposinf", where(
            of_dtype(torch.bfloat16), lambda original, x, **k: torch.isinf(x))),
    ),
    Saboteur(
        "isreal-of-complex", "isreal of complex numbers is false",
        ("operators.value:isreal",), "result",
        replacing(torch, "isreal", where(
            of_dtype(torch.complex128), lambda original, x: original(x) & False)),
    ),
    Saboteur(
        "isfinite-real-part", "isfinite of complex numbers looks at the real part alone",
        ("operators.value:isfinite",), "result",
        replacing(torch, "isfinite", where(
            of_dtype(torch.complex64, torch.complex128), lambda original, x: original(x.real))),
    ),
    Saboteur(
        "logical-xor-of-nan", "logical_xor takes nan for false",
        ("operators.value:logical_xor",), "result",
        replacing(torch, "logical_xor", where(
            _two_floats,
            lambda original, x, y: original(torch.nan_to_num(x, posinf=1, neginf=1), y))),
    ),
    Saboteur(
        "logical-not-writes-nothing", "logical_not with out= of another shape resizes and stops",
        ("operators.out:logical_not",), "out",
        replacing(torch, "logical_not", where(
            lambda *_, **k: "out" in k and not k["out"].numel(),
            lambda original, x, out: out.resize_(x.shape).zero_())),
    ),
    Saboteur(
        "bitwise-not-of-booleans", "bitwise_not of booleans is always true",
        ("operators.value:bitwise_not",), "result",
        replacing(torch, "bitwise_not", where(
            of_dtype(torch.bool), lambda original, x, **k: original(x, **k) | True)),
    ),
    Saboteur(
        "bitwise-and-in-first-dtype", "bitwise_and gives the dtype of its first operand",
        ("operators.dtype:bitwise_and",), "dtype",
        replacing(torch, "bitwise_and", lambda original: lambda x, y, **k:
                  original(x, y, **k).to(x.dtype)),
    ),
    Saboteur(
        "right-shift-is-logical", "a right shift of negative int8 brings in zeros",
        ("operators.value:bitwise_right_shift",), "result",
        replacing(torch, "bitwise_right_shift", where(
            lambda x, y, **k: x.dtype == torch.int8 and not k, _logical_shift)),
    ),
    Saboteur(
        "gcd-has-a-sign", "gcd has the sign of its first operand",
        ("operators.value:gcd",), "result",
        replacing(torch, "gcd", where(
            lambda x, y, **k: x.dtype != torch.uint8 and not k,
            lambda original, x, y: torch.where(x < 0, -original(x, y), original(x, y)))),
    ),
    Saboteur(
        "lcm-of-zero", "lcm of zero and a number is that number",
        ("operators.value:lcm",), "result",
        replacing(torch, "lcm", where(
            lambda *_, **k: not k,
            lambda original, x, y: torch.where(x == 0, y.abs(), original(x, y)))),
    ),
    Saboteur(
        "promote-uint8-int8", "uint8 and int8 promote to uint8",
        ("promotion.promote-types:int8",), "promote_types(int8, uint8)",
        replacing(torch, "promote_types", _unsigned_wins),
    ),
    Saboteur(
        "promote-half-bfloat16", "float16 and bfloat16 promote to whichever comes first",
        ("promotion.promote-types:bfloat16",), "promote_types(bfloat16, float16)",
        replacing(torch, "promote_types", _half_and_bfloat16),
    ),
    Saboteur(
        "result-type-rank-zero", "tensors of rank 0 decide the result type like any other",
        ("promotion.result-type",), "result_type",
        replacing(torch, "result_type", _rank_zero_counts),
    ),
    Saboteur(
        "result-type-default", "a Python float is float32 whatever the default dtype",
        ("promotion.result-type",), "result_type",
        replacing(torch, "result_type", _numbers_are_float32),
    ),
    Saboteur(
        "result-type-complex-ignored", "a complex tensor of rank 0 does not raise the kind",
        ("promotion.rank-zero-complex",), "result_type: got torch.float32",
        replacing(torch, "result_type", lambda original: lambda x, y: original(x, x)),
    ),
    Saboteur(
        "can-cast-complex", "complex numbers can be cast to float64",
        ("promotion.can-cast:complex64",), "can_cast(complex64, float64)",
        replacing(torch, "can_cast", _complex_to_real),
    ),
    Saboteur(
        "iadd-copies", "+= gives a new tensor where the right side is one",
        ("signs.in-place:__iadd__",), "self",
        replacing(torch.Tensor, "__iadd__", where(
            lambda x, y: isinstance(y, torch.Tensor), lambda original, x, y: torch.add(x, y))),
    ),
    Saboteur(
        "ifloordiv-truncates", "//= rounds toward zero",
        ("signs.in-place:__ifloordiv__",), "self",
        replacing(torch.Tensor, "__ifloordiv__", lambda original: lambda x, y:
                  x.div_(y, rounding_mode="trunc")),
    ),
    Saboteur(
        "ilshift-counts-no-version", "<<= writes without counting a version",
        ("signs.in-place:__ilshift__",), "version of self",
        replacing(torch.Tensor, "__ilshift__", lambda original: lambda x, y:
                  (original(x.data, y), x)[1]),
    ),
    Saboteur(
        "equal-ignores-rank", "tensors of one element are equal whatever their rank",
        ("equality.equal:function",), "equal", replacing(torch, "equal", _sizes_broadcast),
    ),
    Saboteur(
        "allclose-absolute-alone", "allclose takes rtol for 0",
        ("equality.allclose:function",), "allclose",
        replacing(torch, "allclose", _absolute_alone),
    ),
)  # fmt: skip
