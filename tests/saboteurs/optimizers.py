"""Faults in optimizers: one term of an update, one implementation, one option."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import adam, sgd

from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def _overriding(module: Any, name: str, **overrides: Any) -> Patch:
    """Patch an implementation so that an option always has one value."""

    def make(original: Any) -> Any:
        return lambda *arguments, **keywords: original(*arguments, **{**keywords, **overrides})

    return replacing(module, name, make)


def _scaling(module: Any, name: str, option: str, factor: float) -> Patch:
    """Patch an implementation so that an option is off by a factor."""

    def make(original: Any) -> Any:
        def step(*arguments: Any, **keywords: Any) -> Any:
            return original(*arguments, **{**keywords, option: keywords[option] * factor})

        return step

    return replacing(module, name, make)


def _late_parameters_wait(original: Any) -> Any:
    def step(parameters: Any, gradients: Any, buffers: Any, *rest: Any, **keywords: Any) -> Any:
        some = any(buffer is not None for buffer in buffers)
        for number, buffer in enumerate(buffers):
            if some and buffer is None:
                gradients[number] = torch.zeros_like(gradients[number])
        return original(parameters, gradients, buffers, *rest, **keywords)

    return step


def _none_is_zero(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        return original(self, closure)

    return step


def _always_zeros(original: Any) -> Any:
    return lambda self, set_to_none=True: original(self, set_to_none=False)


def _drops_grad_mode(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        def silent() -> Any:
            with torch.no_grad():
                return closure()

        return original(self, None if closure is None else silent)

    return step


def _clamps_lr(original: Any) -> Any:
    def make(self: Any, parameters: Any, lr: Any = 1e-3, **options: Any) -> None:
        original(self, parameters, lr=abs(lr), **options)

    return make


SABOTEURS = (
    Saboteur(
        "sgd-without-dampening", "plain SGD ignores dampening",
        ("optimizer.closed-form:SGD", "optimizer.closed-form:SGD-for-loop"), "after step",
        _overriding(sgd, "_single_tensor_sgd", dampening=0.0),
    ),
    Saboteur(
        "sgd-foreach-without-nesterov", "foreach SGD ignores nesterov",
        ("optimizer.closed-form:SGD-foreach",), "after step",
        _overriding(sgd, "_multi_tensor_sgd", nesterov=False),
    ),
    Saboteur(
        "sgd-fused-lr-per-mille", "fused SGD's learning rate is 0.1 % too large",
        ("optimizer.closed-form:SGD-fused",), "after step",
        _scaling(sgd, "_fused_sgd", "lr", 1.001),
    ),
    Saboteur(
        "adam-without-amsgrad", "plain Adam ignores amsgrad",
        ("optimizer.closed-form:Adam", "optimizer.closed-form:Adam-for-loop"), "after step",
        _overriding(adam, "_single_tensor_adam", amsgrad=False),
    ),
    Saboteur(
        "adam-foreach-eps", "foreach Adam's eps is ten times too large",
        ("optimizer.closed-form:Adam-foreach",), "after step",
        _scaling(adam, "_multi_tensor_adam", "eps", 10.0),
    ),
    Saboteur(
        "adam-fused-decay", "fused Adam ignores weight decay",
        ("optimizer.closed-form:Adam-fused",), "after step",
        _overriding(adam, "_fused_adam", weight_decay=0.0),
    ),
    Saboteur(
        "sgd-late-parameter-unmoved", "foreach SGD ignores the first gradient of a late parameter",
        ("optimizer.late-parameter:SGD-foreach",), "after step",
        replacing(sgd, "_multi_tensor_sgd", _late_parameters_wait),
    ),
    Saboteur(
        "none-gradient-is-zero", "SGD takes a missing gradient for zero",
        ("optimizer.none-gradient-skips:SGD",), "idle",
        replacing(torch.optim.SGD, "step", _none_is_zero),
    ),
    Saboteur(
        "zero-grad-keeps-zeros", "zero_grad never sets None",
        ("optimizer.zero-grad:SGD", "optimizer.zero-grad:Adam"), "grad",
        replacing(torch.optim.Optimizer, "zero_grad", _always_zeros),
    ),
    Saboteur(
        "closure-without-grad", "step runs its closure with grad disabled",
        ("optimizer.step-returns-loss:SGD",), "grad mode in the closure",
        replacing(torch.optim.SGD, "step", _drops_grad_mode),
    ),
    Saboteur(
        "negative-lr-accepted", "SGD takes the magnitude of a negative learning rate",
        ("optimizer.bad-option-raises:negative-lr",), "raised nothing",
        replacing(torch.optim.SGD, "__init__", _clamps_lr),
    ),
)  # fmt: skip
