"""Faults in initialization: fans, gains, distributions, what is zero."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import init

from tests.saboteurs.faults import dropping
from tests.saboteurs.faults import when as changed
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, replacing


def _swapped(original: Any) -> Any:
    def fans(tensor: torch.Tensor) -> Any:
        inputs, outputs = original(tensor)
        return (outputs, inputs) if tensor.dim() > 2 else (inputs, outputs)

    return fans


def _without_kernel(original: Any) -> Any:
    def fans(tensor: torch.Tensor) -> Any:
        inputs, _ = original(tensor)
        return inputs, tensor.shape[0]

    return fans


def _rows_for_columns(original: Any) -> Any:
    def fill(tensor: torch.Tensor, *rest: Any, **words: Any) -> torch.Tensor:
        result = original(tensor, *rest, **words)
        if tensor.dim() == 3:
            result.detach().flatten(1)[:, 0].neg_()
            result.detach().view(-1)[0].mul_(1.01)
        return result

    return fill


def _padding_random(original: Any) -> Any:
    def reset(self: Any) -> None:
        original(self)
        if self.padding_idx is not None and self.padding_idx > 5:
            self.weight.detach()[self.padding_idx].fill_(0.1)

    return reset


def _with_first(tensor: torch.Tensor, value: float) -> torch.Tensor:
    with torch.no_grad():
        tensor.view(-1)[0] = value
    return tensor


SABOTEURS = (
    Saboteur("init-fans-swapped", "fans of filters with a kernel are swapped",
             ("init.distribution:kaiming_uniform_-slope",), "expected",
             replacing(init, "_calculate_fan_in_and_fan_out", _swapped)),
    Saboteur("init-fan-out-kernel", "fan_out leaves out the sides of the kernel",
             ("init.distribution:kaiming_uniform_-out",), "expected",
             replacing(init, "_calculate_fan_in_and_fan_out", _without_kernel)),
    Saboteur("init-gain-selu", "the gain of selu is 1", ("init.gain:selu",), "gain",
             when(init, "calculate_gain", lambda n, *a: n == "selu", lambda original, *a: 1.0)),
    Saboteur("init-gain-slope", "a negative slope is ignored",
             ("init.gain:leaky_relu-negative",), "gain",
             when(init, "calculate_gain", lambda n, p=None: p is not None and p < 0,
                  lambda original, n, p: original(n))),
    Saboteur("init-gain-tanh", "the gain of tanh is 1.6", ("init.gain:tanh",), "gain",
             when(init, "calculate_gain", lambda n, *a: n == "tanh", lambda original, *a: 1.6)),
    Saboteur("init-xavier-std", "xavier_normal_ is 5 percent too wide",
             ("init.distribution:xavier_normal_",), "squares",
             when(init, "xavier_normal_", lambda t, *a: not t.detach().mul_(1).sum(),
                  lambda original, t, *a: original(t, 1.05))),
    Saboteur("init-kaiming-half", "kaiming_uniform_ misses the upper 1 percent",
             ("init.distribution:kaiming_uniform_",), "draws come near both",
             changed(init, "kaiming_uniform_", lambda *a: True,
                     lambda t: t.detach().clamp_(max=0.99 * float(t.max())) is not None and t)),
    Saboteur("init-linear-bias", "the bias of Linear is drawn within 1.02 of its bound",
             ("init.layers:Linear-bias",), "element",
             changed(torch.nn.init, "uniform_", lambda t, *a: t.dim() == 1,
                     lambda t: t.detach().mul_(1.02) is not None and t)),
    Saboteur("init-orthogonal", "orthogonal_ of a filter is off in one element",
             ("init.orthogonal",), "identity", replacing(init, "orthogonal_", _rows_for_columns)),
    Saboteur("init-orthogonal-gain", "orthogonal_ ignores gains below 1",
             ("init.orthogonal",), "identity",
             when(init, "orthogonal_", lambda t, *a, **k: bool(a) and a[0] < 1,
                  lambda original, t, *a, **k: original(t))),
    Saboteur("init-dirac-middle", "dirac_ of groups takes the first place of the kernel",
             ("init.dirac",), "expected",
             when(init, "dirac_", lambda t, g=1: g > 1 and t.shape[-1] == 2,
                  lambda original, t, g: t.copy_(original(t, g).flip(-1)))),
    Saboteur("init-sparse-down", "sparse_ rounds the number of zeros down",
             ("init.sparse",), "zeros of each column",
             when(init, "sparse_", lambda t, s, *a: s * len(t) % 1 > 0,
                  lambda original, t, s, *a: original(t, int(s * len(t)) / len(t), *a))),
    Saboteur("init-truncated", "trunc_normal_ clamps", ("init.truncated",), "as many draws",
             when(init, "trunc_normal_", lambda *a: True,
                  lambda original, t, m, s, a, b: t.normal_(m, s).clamp_(a, b))),
    Saboteur("init-padding", "the last row of an embedding is not zero as padding",
             ("init.embedding",), "row of padding",
             replacing(torch.nn.Embedding, "reset_parameters", _padding_random)),
    Saboteur("init-generator", "xavier_uniform_ ignores the generator",
             ("init.generator:xavier_uniform_",), "same seed",
             dropping(init, "xavier_uniform_", "generator")),
    Saboteur("init-outlier", "trunc_normal_ of a small deviation draws the upper end once",
             ("init.truncated-far",), "within ten deviations",
             when(init, "trunc_normal_", lambda t, m=0.0, s=1.0, *a: s < 0.05,
                  lambda original, t, *a: _with_first(original(t, *a), 2.0))),
)  # fmt: skip
