"""Faults in activations and softmax: edges, options, dimensions, dtypes, memory, gradients."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.elementary import by_formula, once_differentiable, without_version
from tests.saboteurs.faults import accepting, dropping, when
from tests.saboteurs.gradients import ScaledGradient, StridedGradientLost, WrongTangent, through
from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing

Tensor = torch.Tensor
F = torch.nn.functional


def _saboteur(name: str, breaks: str, law: str, symptom: str, patch: Patch) -> Saboteur:
    return Saboteur(name, breaks, (f"operators.{law}",), symptom, patch)


def _itself_if_positive(original: Any) -> Any:
    return lambda x, *a, **k: x if x.numel() and bool((x > 0).all()) else original(x, *a, **k)


def _from_storage(original: Any) -> Any:
    """Read a column-major tensor as if it were row-major."""

    def faulty(x: Tensor, *rest: Any, **keywords: Any) -> Tensor:
        turned = x.permute(tuple(range(x.dim() - 1, -1, -1)))
        if not x.is_contiguous() and turned.is_contiguous():
            x = turned.reshape(x.shape)
        result: Tensor = original(x, *rest, **keywords)
        return result

    return faulty


def _first_dimension(original: Any) -> Any:
    def faulty(x: Tensor, dim: int, **keywords: Any) -> Tensor:
        result: Tensor = original(x, dim if dim >= -1 else 0, **keywords)
        return result

    return faulty


def _reaching(original: Any) -> Any:
    """Softplus that is linear from the threshold on, where it should be beyond."""

    def faulty(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
        result: Tensor = original(x, beta=beta, threshold=threshold)
        return torch.where(x * beta >= threshold, x, result)

    return faulty


SABOTEURS = (
    _saboteur("relu-itself", "relu of positive numbers returns its argument",
              "copy:relu", "argument after a write", replacing(F, "relu", _itself_if_positive)),
    _saboteur("relu6-gradient", "relu6 passes no gradient that is not contiguous",
              "vjp:relu6", "gradient", after(F, "relu6", StridedGradientLost.apply)),
    _saboteur("leaky-relu-version", "leaky_relu_ does not count a version",
              "in-place:leaky_relu", "version", replacing(F, "leaky_relu_", without_version)),
    _saboteur("hardtanh-crossed", "hardtanh takes limits in any order",
              "rejection:hardtanh-crossed", "raised nothing",
              accepting(F, "hardtanh", ValueError,
                        lambda x, low, high: x.clamp(min(low, high), max(low, high)))),
    _saboteur("hardshrink-ends", "hardshrink keeps what is at its limits",
              "value:hardshrink", "result",
              replacing(F, "hardshrink", lambda o: lambda x, lambd=0.5: torch.where(
                  x.abs() == lambd, x, o(x, lambd)))),
    _saboteur("softshrink-lambda", "softshrink moves by a half where lambd is 1",
              "value:softshrink", "result",
              when(F, "softshrink", lambda x, lambd=0.5: lambd == 1.0,
                   lambda r: r + 0.5 * r.sign())),
    _saboteur("threshold-ends", "threshold keeps what is at the threshold",
              "value:threshold", "result",
              replacing(F, "threshold", lambda o: lambda x, limit, value: torch.where(
                  x == limit, x, o(x, limit, value)))),
    _saboteur("hardswish-gradient", "hardswish's gradient is 0.1 % too large",
              "vjp:hardswish", "gradient", after(F, "hardswish", ScaledGradient.apply)),
    _saboteur("elu-alpha", "elu takes an alpha of 2 for 1", "value:elu", "result",
              dropping(F, "elu", "alpha", lambda alpha: alpha == 2.0)),
    _saboteur("celu-alpha", "celu does not scale its exponent", "value:celu", "result",
              replacing(F, "celu", lambda o: lambda x, alpha=1.0: F.elu(x, alpha))),
    _saboteur("selu-tangent", "selu halves tangents", "jvp:selu", "tangent",
              replacing(F, "selu", through(WrongTangent))),
    _saboteur("gelu-approximate", "gelu does not approximate", "value:gelu", "result",
              dropping(F, "gelu", "approximate")),
    _saboteur("gelu-gradient", "gelu's gradient is 0.1 % too large",
              "vjp:gelu", "gradient", after(F, "gelu", ScaledGradient.apply)),
    _saboteur("silu-once", "the gradient of silu is a constant to its upstream gradient",
              "second-derivative:silu", "J w", after(F, "silu", once_differentiable)),
    _saboteur("mish-by-storage", "mish reads column-major tensors as if they were row-major",
              "layout:mish", "inputs", replacing(F, "mish", _from_storage)),
    _saboteur("softplus-threshold", "softplus is linear from its threshold on",
              "value:softplus", "result", replacing(F, "softplus", _reaching)),
    _saboteur("logsigmoid-tail", "logsigmoid underflows in its tail",
              "value:logsigmoid", "result",
              by_formula(F, "logsigmoid", lambda o, x: torch.sigmoid(x).log())),
    _saboteur("prelu-gradient", "prelu's gradient is 0.1 % too large",
              "vjp:prelu", "gradient", after(F, "prelu", ScaledGradient.apply)),
    _saboteur("glu-odd", "glu drops the middle of odd sides",
              "rejection:glu-odd", "raised nothing",
              accepting(F, "glu", RuntimeError,
                        lambda x, dim=-1: F.glu(x.narrow(dim, 0, x.shape[dim] - 1), dim))),
    _saboteur("softmax-negative-dim", "softmax takes dimensions below -1 for the first",
              "value:softmax", "result", replacing(F, "softmax", _first_dimension)),
    _saboteur("log-softmax-dtype", "log_softmax ignores dtype",
              "dtype:log_softmax", "", dropping(F, "log_softmax", "dtype")),
    _saboteur("softmin-half", "softmin computes in half precision what it casts",
              "dtype:softmin", "result",
              replacing(F, "softmin", lambda o: lambda x, dim, dtype=None: (
                  o(x, dim, dtype=torch.float16).to(dtype) if dtype else o(x, dim)))),
)  # fmt: skip
