"""Faults in arithmetic, powers and rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.gradients import (
    HALF,
    ConjugatedGradient,
    RootOnce,
    ScaledGradient,
    WrongTangent,
    of_dtype,
    through,
    where,
)
from tests.saboteurs.saboteur import Saboteur, replacing


def _saturated(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    if not isinstance(y, torch.Tensor) or y.dtype != x.dtype or keywords:
        return original(x, y, **keywords)
    limits = torch.iinfo(x.dtype)
    return original(x.long(), y.long()).clamp(limits.min, limits.max).to(x.dtype)


def _truncated(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    return torch.div(x, y, rounding_mode="trunc", **keywords)


def _floored_integers(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    integral = isinstance(x, torch.Tensor) and not x.is_floating_point()
    if keywords.get("rounding_mode") == "trunc" and integral:
        keywords = {**keywords, "rounding_mode": "floor"}
    return original(x, y, **keywords)


def _halves_away_from_zero(original: Any, x: Any, **keywords: Any) -> Any:
    if keywords or not x.is_floating_point():
        return original(x, **keywords)
    return torch.where((x.abs() % 1) == 0.5, x.trunc() + x.sign(), original(x))


def _is_batched(x: Any, *_: Any, **__: Any) -> bool:
    return bool(torch._C._functorch.is_batchedtensor(x))


def _contiguous_on_meta(original: Any, x: Any, **keywords: Any) -> Any:
    return original(x, **keywords).contiguous()


def _out_ignores_value(original: Any, *arguments: Any, **keywords: Any) -> Any:
    return original(*arguments, **{k: v for k, v in keywords.items() if k != "value"})


def _itself_if_positive(original: Any, x: Any, **keywords: Any) -> Any:
    return x if not keywords and bool((x >= 0).all()) else original(x, **keywords)


def _accepts_any_out(original: Any, *arguments: Any, out: Any, **keywords: Any) -> Any:
    return out.copy_(original(*arguments, **keywords))


def _rank_zero_decides(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    if not isinstance(y, torch.Tensor) or y.dim() or keywords:
        return original(x, y, **keywords)
    return original(x, y).to(torch.promote_types(x.dtype, y.dtype))


def _misread(original: Any, x: Any, y: Any, z: Any, **keywords: Any) -> Any:
    return original(x, y.as_strided(y.shape, torch.empty(y.shape).stride(), 0), z, **keywords)


def _dividend(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    """The remainder by an infinite divisor is the dividend, whatever its sign."""
    result = original(x, y, **keywords)
    if isinstance(y, torch.Tensor) and y.is_floating_point() and bool(y.isinf().any()):
        return torch.where(y.isinf(), x, result)
    return result


def _has_keyword(name: str) -> Callable[..., bool]:
    return lambda *_, **keywords: name in keywords


SABOTEURS = (
    Saboteur(
        "add-alpha-ignored-in-half", "add ignores alpha in half precision",
        ("operators.value:add",), "result",
        replacing(torch, "add", where(
            lambda x, *_, alpha=1, **__: x.dtype in HALF,
            lambda original, x, y, alpha=1, **k: original(x, y, **k))),
    ),
    Saboteur(
        "add-rank-zero-decides", "a tensor of rank 0 decides the dtype of a sum like any other",
        ("operators.dtype:add",), "dtype", replacing(torch, "add", where(
            lambda *_, **__: True, _rank_zero_decides)),
    ),
    Saboteur(
        "sub-alpha-twice-for-one-element", "sub takes alpha twice where the second has one element",
        ("operators.value:sub",), "result",
        replacing(torch, "sub", where(
            lambda x, y, **k: isinstance(y, torch.Tensor) and y.numel() == 1 and "alpha" in k,
            lambda original, x, y, alpha, **k: original(x, y, alpha=2 * alpha, **k))),
    ),
    Saboteur(
        "mul-saturates", "products of small integers saturate and do not wrap around",
        ("operators.value:mul",), "result",
        replacing(torch, "mul", where(of_dtype(torch.int8, torch.int16, torch.int32), _saturated)),
    ),
    Saboteur(
        "mul-out-takes-any-dtype", "mul with out= casts to a dtype of a lower kind",
        ("operators.out-cast:mul",), "raised nothing",
        replacing(torch, "mul", where(_has_keyword("out"), _accepts_any_out)),
    ),
    Saboteur(
        "true-divide-floors-integers", "the alias true_divide divides integers as integers",
        ("operators.spellings:div",), "dtype",
        replacing(torch, "true_divide", where(
            of_dtype(torch.int32), lambda original, x, y, **k: original(x, y, **k).trunc().int())),
    ),
    Saboteur(
        "floor-divide-truncates", "floor_divide rounds toward zero",
        ("operators.value:floor_divide",), "result",
        replacing(torch, "floor_divide", where(lambda *_, **__: True, _truncated)),
    ),
    Saboteur(
        "div-trunc-floors-integers", "div with rounding_mode='trunc' rounds integers down",
        ("operators.value:div-trunc",), "result",
        replacing(torch, "div", where(lambda *_, **__: True, _floored_integers)),
    ),
    Saboteur(
        "remainder-has-sign-of-dividend", "the remainder of floats has the dividend's sign",
        ("operators.value:remainder",), "result",
        replacing(torch, "remainder", where(
            of_dtype(torch.float32, torch.float64), lambda _, x, y, **k: torch.fmod(x, y, **k))),
    ),
    Saboteur(
        "remainder-of-infinite", "the remainder by an infinite divisor is the dividend",
        ("operators.value:remainder-infinite-divisors",), "result",
        replacing(torch, "remainder", where(lambda *_, **__: True, _dividend)),
    ),
    Saboteur(
        "remainder-constant-in-divisor", "remainder has no derivative to its divisor",
        ("operators.vjp:remainder",), "",
        replacing(torch, "remainder", where(
            lambda x, y, **_: isinstance(y, torch.Tensor) and isinstance(x, torch.Tensor),
            lambda original, x, y, **k: original(x, y.detach() + 0 * y, **k))),
    ),
    Saboteur(
        "fmod-of-infinite-divisor", "fmod by an infinity is nan",
        ("operators.value:fmod",), "nan",
        replacing(torch, "fmod", where(
            lambda x, y, **k: isinstance(y, torch.Tensor) and y.is_floating_point() and not k,
            lambda original, x, y: original(x, torch.where(y.isinf(), torch.nan, y).to(y.dtype)))),
    ),
    Saboteur(
        "fmod-by-zero-accepted", "fmod of integers by zero gives zero",
        ("operators.rejection:fmod-zero",), "raised nothing",
        replacing(torch, "fmod", where(
            of_dtype(torch.int64),
            lambda original, x, y, **k: torch.zeros_like(x) if (y == 0).any() else original(x, y))),
    ),
    Saboteur(
        "sub-accepts-booleans", "sub takes two boolean tensors",
        ("operators.rejection:sub-booleans",), "raised nothing",
        replacing(torch, "sub", where(
            of_dtype(torch.bool), lambda original, x, y, **k: torch.logical_xor(x, y))),
    ),
    Saboteur(
        "rsub-not-reflected-for-integers", "a number minus an integer tensor has the wrong sign",
        ("operators.value:__rsub__",), "result",
        replacing(torch.Tensor, "__rsub__", where(
            of_dtype(torch.int64), lambda original, x, y: x - y)),
    ),
    Saboteur(
        "pow-zero-to-zero", "0 to the power 0 is 0",
        ("operators.value:pow",), "result",
        replacing(torch, "pow", where(
            lambda x, y, **k: isinstance(y, torch.Tensor) and isinstance(x, torch.Tensor) and not k,
            lambda original, x, y: torch.where((x == 0) & (y == 0), 0, original(x, y))
            .to(original(x, y).dtype))),
    ),
    Saboteur(
        "pow-in-dtype-of-out", "a number to a scalar of 8 bits is computed in the dtype of out",
        ("operators.out-cast:pow-of-number-wrapping",), "out of torch.",
        replacing(torch, "pow", where(
            lambda x, y, out=None: out is not None and isinstance(y, torch.Tensor) and not y.dim(),
            lambda original, x, y, out: original(x, y.to(out.dtype), out=out))),
    ),
    Saboteur(
        "pow-root-gradient", "the gradient of a power is 0.1 % too large for fractional exponents",
        ("operators.vjp:pow-number",), "gradient",
        replacing(torch, "pow", where(
            lambda x, y, **_: not isinstance(y, torch.Tensor) and y != int(y),
            lambda original, x, y, **k: ScaledGradient.apply(original(x, y, **k)))),
    ),
    Saboteur(
        "float-power-single", "float_power of half precision is float32",
        ("operators.value:float_power",), "dtype",
        replacing(torch, "float_power", where(
            of_dtype(*HALF), lambda original, x, y, **k: original(x, y, **k).float())),
    ),
    Saboteur(
        "square-contiguous-on-meta", "square on the meta device forgets the strides",
        ("operators.meta:square",), "strides",
        replacing(torch, "square", where(lambda x, **_: x.is_meta, _contiguous_on_meta)),
    ),
    Saboteur(
        "rsqrt-differentiable-once", "the second derivative of rsqrt is zero",
        ("operators.second-derivative:rsqrt",), "u^T H w",
        replacing(torch, "rsqrt", where(
            lambda x, **k: x.is_floating_point() and not k,
            lambda original, x: RootOnce.apply(x))),
    ),
    Saboteur(
        "reciprocal-of-integers", "the reciprocal of int32 is truncated to integers",
        ("operators.value:reciprocal",), "dtype",
        replacing(torch, "reciprocal", where(
            of_dtype(torch.int32), lambda original, x, **k: original(x, **k).trunc().int())),
    ),
    Saboteur(
        "frexp-exponent-int64", "frexp counts in int64 for float64",
        ("operators.value:frexp",), "dtype",
        replacing(torch, "frexp", where(
            of_dtype(torch.float64),
            lambda original, x, **k: (original(x, **k)[0], original(x, **k)[1].long()))),
    ),
    Saboteur(
        "hypot-under-vmap", "hypot of a batch is 1 % too large",
        ("operators.vmap:hypot",), "result for element",
        replacing(torch, "hypot", where(
            _is_batched, lambda original, x, y, **k: original(x, y, **k) * 1.02)),
    ),
    Saboteur(
        "ceil-in-place-copies", "ceil_ returns a copy of self",
        ("operators.in-place:ceil",), "self",
        replacing(torch.Tensor, "ceil_", lambda original: lambda x: original(x).clone()),
    ),
    Saboteur(
        "round-halves-up", "round takes halves away from zero",
        ("operators.value:round",), "result",
        replacing(torch, "round", where(lambda *_, **__: True, _halves_away_from_zero)),
    ),
    Saboteur(
        "round-ignores-negative-decimals", "round takes a negative number of places for 0",
        ("operators.value:round-decimals",), "result",
        replacing(torch, "round", where(
            lambda x, decimals=0, **_: decimals < 0,
            lambda original, x, decimals, **k: original(x, **k))),
    ),
    Saboteur(
        "frac-tangent", "forward mode gives half of the tangent of frac",
        ("operators.jvp:frac",), "tangent", replacing(torch, "frac", through(WrongTangent)),
    ),
    Saboteur(
        "abs-returns-its-input", "abs of what is not negative is the input itself",
        ("operators.copy:abs",), "argument after a write",
        replacing(torch, "abs", where(lambda *_, **__: True, _itself_if_positive)),
    ),
    Saboteur(
        "positive-copies", "positive returns a copy",
        ("operators.view:positive",), "view after a write",
        replacing(torch, "positive", lambda original: lambda x: original(x).clone()),
    ),
    Saboteur(
        "sgn-of-imaginary", "sgn of complex numbers is the sign of their real part",
        ("operators.value:sgn",), "result",
        replacing(torch, "sgn", where(
            of_dtype(torch.complex64), lambda original, x, **k: x.real.sign().to(x.dtype))),
    ),
    Saboteur(
        "signbit-misses-negative-zero", "signbit of -0.0 is false",
        ("operators.value:signbit",), "result",
        replacing(torch, "signbit", where(
            lambda x, **k: x.is_floating_point() and not k, lambda original, x: x < 0)),
    ),
    Saboteur(
        "copysign-of-negative-zero", "copysign takes -0.0 for positive in float32 and float64",
        ("operators.value:copysign",), "result",
        replacing(torch, "copysign", where(
            lambda x, y, **_: isinstance(y, torch.Tensor) and y.dtype not in HALF,
            lambda original, x, y, **k: original(x, y + 0, **k))),
    ),
    Saboteur(
        "nextafter-stays-in-bfloat16", "nextafter from zero stays at zero in bfloat16",
        ("operators.value:nextafter-bfloat16",), "result",
        replacing(torch, "nextafter", where(
            of_dtype(torch.bfloat16),
            lambda original, x, y, **k: torch.where(x == 0, x, original(x, y, **k)))),
    ),
    Saboteur(
        "hypot-overflows", "hypot is the root of the sum of squares",
        ("operators.value:hypot-extreme",), "result",
        replacing(torch, "hypot", lambda original: lambda x, y, **k: (x * x + y * y).sqrt()),
    ),
    Saboteur(
        "lerp-weight-gradient", "the gradient of lerp is 0.1 % too large",
        ("operators.vjp:lerp",), "gradient", replacing(torch, "lerp", through(ScaledGradient)),
    ),
    Saboteur(
        "addcmul-out-ignores-value", "addcmul with out= ignores value",
        ("operators.out:addcmul",), "out",
        replacing(torch, "addcmul", where(_has_keyword("out"), _out_ignores_value)),
    ),
    Saboteur(
        "addcdiv-misreads-strides", "addcdiv reads its second operand as if it were contiguous",
        ("operators.layout:addcdiv",), "result for",
        replacing(torch, "addcdiv", where(
            lambda x, y, *_, **__: not y.is_contiguous()
            and y.untyped_storage().nbytes() >= y.numel() * y.element_size(),
            _misread)),
    ),
    Saboteur(
        "addcdiv-adjoint", "the gradient of addcdiv is conjugated for complex numbers",
        ("operators.adjoint:addcdiv",), "Re <v, J u>",
        replacing(torch, "addcdiv", through(ConjugatedGradient)),
    ),
)  # fmt: skip
