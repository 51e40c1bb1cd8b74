"""Faults in elementary and special functions: tails, poles, special values, gradients, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.faults import accepting, dropping, when
from tests.saboteurs.gradients import (
    ConjugatedGradient,
    ScaledGradient,
    StridedGradientLost,
    WrongTangent,
    through,
)
from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing

Tensor = torch.Tensor
special = torch.special


def _of_double(x: Tensor, *_: Any, **__: Any) -> bool:
    return x.dtype == torch.float64


def _integral(x: Tensor, *_: Any, **__: Any) -> bool:
    return not x.dtype.is_floating_point


def _batched(x: Any, *_: Any, **__: Any) -> bool:
    return bool(torch._C._functorch.is_batchedtensor(x))


def _on_meta(x: Tensor, *_: Any, **__: Any) -> bool:
    return x.is_meta


def by_formula(owner: Any, name: str, formula: Callable[..., Tensor]) -> Patch:
    """Return the patch that computes by a formula, unless keywords ask for something special."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            if keywords or not torch.is_floating_point(arguments[0]):
                return original(*arguments, **keywords)
            return formula(original, *arguments)

        return faulty

    return replacing(owner, name, make)


def out_of_place(original: Any) -> Any:
    """Return the in-place function that writes to a copy of its first argument."""
    return lambda x, *rest, **keywords: original(x.clone(), *rest, **keywords)


def without_version(original: Any) -> Any:
    """Return the in-place function that writes where the version counter does not see it."""

    def faulty(x: Tensor, *rest: Any, **keywords: Any) -> Tensor:
        original(x.data, *rest, **keywords)
        return x

    return faulty


def _out_forgets_last(original: Any) -> Any:
    def faulty(*arguments: Any, out: Any = None) -> Any:
        if out is None:
            return original(*arguments)
        if out.dim() == 0 or out.is_contiguous():
            return original(*arguments, out=out)
        out[..., :-1].copy_(original(*arguments)[..., :-1])
        return out

    return faulty


def once_differentiable(result: Tensor) -> Tensor:
    """Cut the graph of the upstream gradient: the first derivative alone is right."""
    if result.requires_grad:
        result.register_hook(lambda cotangent: cotangent.detach())
    return result


def _shifted(x: Tensor, by: float) -> Tensor:
    return x * (1 + by)


def _first_dtype(original: Any) -> Any:
    def faulty(x: Any, y: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(x, y, **keywords)
        keeps = isinstance(x, Tensor) and x.is_floating_point() and not keywords
        return result.to(x.dtype) if keeps else result

    return faulty


def _saboteur(name: str, breaks: str, law: str, symptom: str, patch: Patch) -> Saboteur:
    return Saboteur(name, breaks, (f"operators.{law}",), symptom, patch)


ELEMENTARY = (
    Saboteur(
        "log1p-of-a-sum", "log1p is the logarithm of a sum",
        ("operators.value:log1p-near-zero",), "result",
        replacing(torch, "log1p", lambda original: lambda x, **k: (
            torch.log(1 + x) if x.dtype == torch.float32 and not k else original(x, **k))),
    ),
    _saboteur("exp-last-digits", "exp of float64 is off in its last two digits",
              "value:exp", "result", when(torch, "exp", _of_double, lambda r: _shifted(r, 1e-14))),
    _saboteur("log-negative", "log of negative numbers is -inf",
              "value:log", "result",
              by_formula(torch, "log", lambda o, x: o(x.clamp(min=0)))),
    _saboteur("log1p-naive", "log1p adds before it takes the logarithm",
              "value:log1p", "result",
              by_formula(torch, "log1p", lambda o, x: torch.log(1 + x))),
    _saboteur("expm1-naive", "expm1 subtracts after it exponentiates",
              "layout:expm1", "inputs",
              by_formula(torch, "expm1", lambda o, x: torch.exp(x) - 1)),
    _saboteur("sin-large", "sin of numbers beyond 30 is taken of a rounded remainder",
              "value:sin", "result",
              by_formula(torch, "sin", lambda o, x: o(torch.where(
                  x.abs() > 30, x.remainder(6.2832), x)))),
    _saboteur("atan2-negative-zero", "atan2 takes -0.0 for 0.0",
              "value:atan2", "result",
              by_formula(torch, "atan2", lambda o, y, x: o(torch.where(y == 0, y.abs(), y), x))),
    _saboteur("tanh-in-place-copy", "tanh_ writes to a copy of self",
              "in-place:tanh", "self", replacing(Tensor, "tanh_", out_of_place)),
    _saboteur("sinh-in-place-version", "sinh_ does not count a version",
              "in-place:sinh", "version", replacing(Tensor, "sinh_", without_version)),
    _saboteur("arccos-alias", "arccos, the alias of acos, has the other sign",
              "spellings:acos", "arccos",
              after(torch, "arccos", torch.neg)),
    _saboteur("cosh-out-strided", "cosh leaves the last column of an out with strides alone",
              "out:cosh", "out (stepped)", replacing(torch, "cosh", _out_forgets_last)),
    _saboteur("tan-out-cast", "tan writes to integers, rounding",
              "out-cast:tan", "raised nothing",
              accepting(torch, "tan", RuntimeError,
                        lambda x, *, out: out.copy_(torch.tan(x).real))),
    _saboteur("sinc-gradient", "sinc's gradient is 0.1 % too large",
              "vjp:sinc", "gradient", after(torch, "sinc", ScaledGradient.apply)),
    _saboteur("asinh-strided-gradient", "asinh loses a gradient that is not contiguous",
              "vjp:asinh", "gradient", after(torch, "asinh", StridedGradientLost.apply)),
    _saboteur("cos-tangent", "cos halves tangents", "jvp:cos", "tangent",
              replacing(torch, "cos", through(WrongTangent))),
    _saboteur("exp2-conjugated", "exp2's gradient is conjugated", "adjoint:exp2", "Re <v, J u>",
              replacing(torch, "exp2", through(ConjugatedGradient))),
    _saboteur("sigmoid-once", "the gradient of sigmoid is a constant to its upstream gradient",
              "second-derivative:sigmoid", "J w", after(torch, "sigmoid", once_differentiable)),
    _saboteur("logit-eps", "logit does not clamp", "value:logit", "result",
              dropping(torch, "logit", "eps")),
    _saboteur("deg2rad-integers", "deg2rad of integers is float64",
              "layout:deg2rad", "dtype", when(torch, "deg2rad", _integral, Tensor.double)),
    _saboteur("angle-nan", "the angle of nan is 0", "value:angle", "result",
              by_formula(torch, "angle", lambda o, x: o(x.nan_to_num(0.0)))),
    _saboteur("logaddexp-infinities", "logaddexp of two infinities is nan",
              "value:logaddexp", "result",
              by_formula(torch, "logaddexp",
                         lambda o, a, b: o(a, b) + torch.where(a.isinf() & b.isinf(), a - b, 0))),
    _saboteur("logaddexp2-tail", "logaddexp2 drops addends below a thousandth",
              "value:logaddexp2", "result",
              by_formula(torch, "logaddexp2", lambda o, a, b: torch.where(
                  (a - b).abs() > 10, torch.maximum(a, b), o(a, b)))),
    _saboteur("xlogy-zeros", "xlogy of two zeros is nan", "value:xlogy", "result",
              by_formula(torch, "xlogy", lambda o, x, y: x * torch.as_tensor(y).log())),
    _saboteur("xlog1py-first-dtype", "xlog1py keeps the first operand's dtype",
              "dtype:xlog1py", "dtype", replacing(special, "xlog1py", _first_dtype)),
    _saboteur("entr-zero", "entr of 0 is nan", "value:entr", "result",
              by_formula(special, "entr", lambda o, x: torch.where(x == 0, -x * x.log(), o(x)))),
)  # fmt: skip

SPECIAL = (
    _saboteur("erf-meta", "erf on meta tensors is contiguous", "meta:erf", "on meta",
              when(torch, "erf", _on_meta, lambda r: torch.empty(r.shape, device="meta",
                                                                dtype=r.dtype))),
    _saboteur("erfc-cancels", "erfc is 1 - erf", "value:erfc", "result",
              by_formula(torch, "erfc", lambda o, x: 1 - torch.erf(x))),
    _saboteur("erfinv-ends", "erfinv of 1 is nan", "value:erfinv", "result",
              after(torch, "erfinv", lambda r: torch.where(r == torch.inf, torch.nan, r))),
    _saboteur("log-ndtr-tail", "log_ndtr underflows", "value:log_ndtr", "result",
              by_formula(special, "log_ndtr", lambda o, x: special.ndtr(x).log())),
    _saboteur("erfcx-gradient", "erfcx's gradient is 0.1 % too large", "vjp:erfcx", "gradient",
              after(special, "erfcx", ScaledGradient.apply)),
    _saboteur("lgamma-negative", "lgamma of negative numbers is that of their size",
              "value:lgamma", "result", by_formula(torch, "lgamma", lambda o, x: o(x.abs()))),
    _saboteur("digamma-zero", "digamma of 0 is nan", "value:digamma", "result",
              after(torch, "digamma", lambda r: torch.where(r == -torch.inf, torch.nan, r))),
    _saboteur("polygamma-sign", "polygamma of order 2 is positive", "value:polygamma", "result",
              when(torch, "polygamma", lambda n, *_, **__: n == 2, torch.abs)),
    _saboteur("polygamma-accepts", "polygamma takes the size of a negative order",
              "rejection:polygamma-negative-order", "raised nothing",
              replacing(torch, "polygamma", lambda o: lambda n, x, **k: o(abs(n), x, **k))),
    _saboteur("mvlgamma-constant", "mvlgamma forgets a part of its constant for p = 3",
              "value:mvlgamma", "result",
              when(torch, "mvlgamma", lambda x, p, **_: p == 3, lambda r: r - 0.01)),
    _saboteur("igammac-zero", "igammac(a, 0) is 0", "value:igammac", "result",
              by_formula(torch, "igammac", lambda o, a, x: torch.where(x == 0, 0 * x, o(a, x)))),
    _saboteur("igamma-gradient", "igamma's gradient is 0.1 % too large", "vjp:igamma", "gradient",
              after(torch, "igamma", ScaledGradient.apply)),
    _saboteur("zeta-mapped", "zeta is doubled under vmap", "vmap:zeta", "result for element",
              when(special, "zeta", _batched, lambda r: 2 * r)),
    _saboteur("i1-even", "i1 is even", "value:i1", "result",
              by_formula(special, "i1", lambda o, x: o(x.abs()))),
    _saboteur("bessel-y0-negative", "y0 of a negative number is that of its size",
              "value:bessel_y0", "result",
              by_formula(special, "bessel_y0", lambda o, x: o(x.abs()))),
)  # fmt: skip

SABOTEURS = (*ELEMENTARY, *SPECIAL)
