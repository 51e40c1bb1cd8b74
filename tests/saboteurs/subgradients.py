"""Faults in gradients at kinks, ties and ends of domains."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import torch
import torch.nn.functional as functional

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Mask = Callable[[Tensor], Tensor]


class _Leak(torch.autograd.Function):
    """The first argument, with a slope by the second that it does not have."""

    @staticmethod
    def forward(ctx: Any, result: Tensor, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return result.view_as(result)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (slope,) = ctx.saved_tensors
        return gradients[0], gradients[0] * slope, None


class Scaled(torch.autograd.Function):
    """The argument, with its gradient multiplied where a mask says so."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (mask,) = ctx.saved_tensors
        return torch.where(mask, gradients[0] * ctx.factor, gradients[0]), None, None


def leaking(owner: Any, name: str, where: Mask, slope: float) -> Patch:
    """An elementwise function has ``slope`` more where the mask says so."""

    def make(original: Any) -> Any:
        def faulty(x: Tensor, *a: Any, **k: Any) -> Any:
            return _Leak.apply(original(x, *a, **k), x, where(x) * slope)

        return faulty

    return replacing(owner, name, make)


def scaling(owner: Any, name: str, where: Mask, factor: float) -> Patch:
    """A function's gradient to its first argument is multiplied where the mask says so."""

    def make(original: Any) -> Any:
        return lambda x, *a, **k: original(Scaled.apply(x, where(x), factor), *a, **k)

    return replacing(owner, name, make)


def _negative_zero(x: Tensor) -> Tensor:
    return (x == 0) & x.signbit()


def _only(dtype: torch.dtype, at: float) -> Mask:
    return lambda x: (x == at) & (x.dtype == dtype)


def _whole(x: Tensor) -> Tensor:
    return x == x.round()


def _tie_to_first(zeros_only: bool) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def faulty(a: Tensor, b: Tensor) -> Any:
            tie = (a == b) & (
                (a.signbit() != b.signbit()) if zeros_only else torch.ones_like(a) > 0
            )
            once = _Leak.apply(original(a, b), a, tie * 0.5)
            return _Leak.apply(once, b, tie * -0.5)

        return faulty

    return make


def _loss_leaks(difference: float, slope: float) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def faulty(a: Tensor, b: Tensor, **k: Any) -> Any:
            return _Leak.apply(original(a, b, **k), a, (a - b == difference) * slope)

        return faulty

    return make


def _unselected_nan(original: Any) -> Any:
    return lambda c, x, y: original(c, Scaled.apply(x, x.isnan(), nan), y)


def zeros(x: Tensor) -> Tensor:
    """Where an element is 0, of either sign."""
    return x == 0


SABOTEURS = (
    Saboteur(
        "sinc-slope-at-zero", "the slope of sinc at 0 is 1",
        ("subgradients.sinc:first",), "derivative at 0", leaking(torch, "sinc", zeros, 1.0),
    ),
    Saboteur(
        "abs-slope-at-zero", "the slope of abs at 0 is 1",
        ("subgradients.elementwise:abs",), "gradient", leaking(torch, "abs", zeros, 1.0),
    ),
    Saboteur(
        "relu-slope-at-negative-zero", "the slope of relu at -0.0 is 1",
        ("subgradients.elementwise:relu",), "gradient",
        leaking(torch, "relu", _negative_zero, 1.0),
    ),
    Saboteur(
        "relu6-slope-at-six", "the slope of relu6 at 6 is 1",
        ("subgradients.elementwise:relu6",), "gradient",
        leaking(functional, "relu6", lambda x: x == 6, 1.0),
    ),
    Saboteur(
        "hardtanh-half-slope", "the slope of hardtanh at -1 is 1 in float16",
        ("subgradients.elementwise:hardtanh",), "gradient",
        leaking(functional, "hardtanh", _only(torch.float16, -1.0), 1.0),
    ),
    Saboteur(
        "hardsigmoid-slope", "the slope of hardsigmoid at 3 is 1/8",
        ("subgradients.elementwise:hardsigmoid",), "gradient",
        leaking(functional, "hardsigmoid", lambda x: x == 3, 0.125),
    ),
    Saboteur(
        "hardswish-between", "the slope of hardswish at 3 is 1.25, the mean of both",
        ("subgradients.elementwise:hardswish",), "gradient",
        leaking(functional, "hardswish", lambda x: x == 3, 0.25),
    ),
    Saboteur(
        "leaky-relu-slope-at-zero", "the slope of leaky_relu at 0 is 1",
        ("subgradients.elementwise:leaky_relu",), "gradient",
        leaking(functional, "leaky_relu", zeros, 0.75),
    ),
    Saboteur(
        "softshrink-slope", "the slope of softshrink at its upper bound is 1",
        ("subgradients.elementwise:softshrink",), "gradient",
        leaking(functional, "softshrink", lambda x: x == 0.5, 1.0),
    ),
    Saboteur(
        "elu-slope-at-zero", "the slope of elu at 0 is 1 whatever alpha",
        ("subgradients.elementwise:elu-flat",), "gradient",
        leaking(functional, "elu", zeros, 0.5),
    ),
    Saboteur(
        "frac-slope-at-integers", "the slope of frac at integers is 0",
        ("subgradients.elementwise:frac",), "gradient", leaking(torch, "frac", _whole, -1.0),
    ),
    Saboteur(
        "round-slope-at-halves", "the slope of round at halves is 1",
        ("subgradients.elementwise:round",), "gradient",
        leaking(torch, "round", lambda x: x - x.floor() == 0.5, 1.0),
    ),
    Saboteur(
        "fmod-slope-at-multiples", "the slope of fmod at multiples is 0",
        ("subgradients.elementwise:fmod",), "gradient",
        leaking(torch, "fmod", lambda x: x.remainder(2) == 0, -1.0),
    ),
    Saboteur(
        "copysign-slope-at-zero", "the slope of copysign at 0 is the sign",
        ("subgradients.elementwise:copysign-negative",), "gradient",
        leaking(torch, "copysign", zeros, -1.0),
    ),
    Saboteur(
        "sqrt-finite", "the slope of sqrt at 0 is 0",
        ("subgradients.elementwise:sqrt",), "gradient",
        replacing(torch, "sqrt", lambda original: lambda x: torch.where(
            x == 0, original(x.clamp(min=1)) * 0, original(x.clamp(min=0.5))
        )),
    ),
    Saboteur(
        "pow-zero-nan", "the slope of x ** 0 at 0 is nan",
        ("subgradients.elementwise:pow-0",), "gradient", scaling(torch, "pow", zeros, nan),
    ),
    Saboteur(
        "clamp-slope-inside", "the slope of clamp at -1/2 is 0",
        ("subgradients.elementwise:clamp-inside",), "gradient",
        scaling(torch, "clamp", lambda x: x == -0.5, 0.0),
    ),
    Saboteur(
        "nan-to-num-passes", "nan_to_num passes the gradient to infinities",
        ("subgradients.replaced:nan_to_num",), "gradient",
        leaking(torch, "nan_to_num", lambda x: x == inf, 1.0),
    ),
    Saboteur(
        "maximum-ties-to-first", "maximum passes the gradient to the first of equal arguments",
        ("subgradients.binary:maximum",), "gradient to argument",
        replacing(torch, "maximum", _tie_to_first(False)),
    ),
    Saboteur(
        "minimum-zeros-to-first", "minimum passes the gradient to the first of 0.0 and -0.0",
        ("subgradients.binary:minimum",), "gradient to argument",
        replacing(torch, "minimum", _tie_to_first(True)),
    ),
    Saboteur(
        "fmax-nan-to-both", "fmax passes the gradient to nan too",
        ("subgradients.binary:fmax-nan",), "gradient to argument 0",
        leaking(torch, "fmax", torch.isnan, 1.0),
    ),
    Saboteur(
        "logaddexp-nan", "logaddexp passes nan to -inf",
        ("subgradients.binary:logaddexp",), "gradient to argument 0",
        scaling(torch, "logaddexp", lambda x: x == -inf, nan),
    ),
    Saboteur(
        "l1-loss-slope-at-zero", "the slope of l1_loss at 0 is 1",
        ("subgradients.binary:l1_loss",), "gradient to argument 0",
        replacing(functional, "l1_loss", _loss_leaks(0.0, 1.0)),
    ),
    Saboteur(
        "huber-slope-at-joint", "the slope of huber_loss at delta is delta / 2",
        ("subgradients.binary:huber_loss",), "gradient to argument 0",
        replacing(functional, "huber_loss", _loss_leaks(2.0, -1.0)),
    ),
    Saboteur(
        "hypot-on-axis", "hypot passes nan to a first argument of 0",
        ("subgradients.binary:hypot-apart",), "gradient to argument 0",
        scaling(torch, "hypot", zeros, nan),
    ),
    Saboteur(
        "where-nan", "where passes nan to an unselected nan",
        ("subgradients.where",), "grad of leaf 0", replacing(torch, "where", _unselected_nan),
    ),
    Saboteur(
        "complex-abs-nan", "the gradient of abs at complex 0 is nan",
        ("subgradients.complex-zero:abs",), "gradient", scaling(torch, "abs", zeros, nan),
    ),
    Saboteur(
        "complex-norm-nan", "the gradient of vector_norm at complex 0 is nan",
        ("subgradients.complex-zero:vector_norm",), "gradient",
        scaling(torch.linalg, "vector_norm", zeros, nan),
    ),
)  # fmt: skip
