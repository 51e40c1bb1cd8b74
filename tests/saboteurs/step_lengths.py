"""Faults in how far steps go: sums that fall, averages that do not, momentum that restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import adagrad

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Spoil = Callable[[Any, Tensor, dict[str, Any]], None]


def _each_after_step(cls: type, spoil: Spoil) -> Patch:
    """Patch a class so that each parameter with a gradient is spoiled after the step."""

    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            before = {
                p: {k: v.clone() for k, v in self.state[p].items() if isinstance(v, Tensor)}
                for group in self.param_groups
                for p in group["params"]
            }
            result = original(self, closure)
            with torch.no_grad():
                for parameter, state in before.items():
                    if parameter.grad is not None:
                        spoil(self, parameter, state)
            return result

        return step

    return replacing(cls, "step", make)


def _huge_escapes(self: Any, parameter: Tensor, _: dict[str, Any]) -> None:
    huge = parameter.grad.abs() > 2.0**40  # type: ignore[union-attr]
    parameter -= huge * self.param_groups[0]["lr"] / 2


def _never_forgets(self: Any, parameter: Tensor, before: dict[str, Any]) -> None:
    average = self.state[parameter]["square_avg"]
    if "square_avg" in before:
        zero = torch.eq(parameter.grad, 0)  # type: ignore[arg-type]
        average.copy_(torch.where(zero, before["square_avg"], average))


def _fades(self: Any, parameter: Tensor, _: dict[str, Any]) -> None:
    state = self.state[parameter]
    if float(state["step"]) == 3:
        state["sum"] *= 1 - 1e-6


def _restarts(self: Any, parameter: Tensor, _: dict[str, Any]) -> None:
    buffer = self.state[parameter].get("momentum_buffer")
    if buffer is not None:
        buffer.copy_(torch.where(buffer * parameter.grad < 0, 0 * buffer, buffer))


def _eps_lost(original: Any) -> Any:
    def update(*arguments: Any, **keywords: Any) -> Any:
        eps = keywords["eps"]
        return original(*arguments, **{**keywords, "eps": 0.0 if eps < 1e-9 else eps})

    return update


def _decays_more(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        (group,) = self.param_groups
        decay = group["weight_decay"]
        if any(float(state["step"]) == 2 for state in self.state.values()):
            group["weight_decay"] = decay * (1 + 1e-9)
        result = original(self, closure)
        group["weight_decay"] = decay
        return result

    return step


SABOTEURS = (
    Saboteur(
        "huge-gradients-escape", "Adam goes farther by half a rate where a gradient is huge",
        ("optimizer.bounded-steps:Adam",), "no longer than",
        _each_after_step(torch.optim.Adam, _huge_escapes),
    ),
    Saboteur(
        "adagrad-small-eps-lost", "Adagrad takes an eps below 1e-9 for zero",
        ("optimizer.first-zero-gradient:Adagrad",), "parameter with eps",
        replacing(adagrad, "adagrad", _eps_lost),
    ),
    Saboteur(
        "average-never-forgets", "a gradient of zero leaves the average of RMSprop",
        ("optimizer.rmsprop-forgets:RMSprop",), "average of squares",
        _each_after_step(torch.optim.RMSprop, _never_forgets),
    ),
    Saboteur(
        "adagrad-sum-fades", "the sum of Adagrad loses a millionth at the third step",
        ("optimizer.adagrad-rate-falls:Adagrad",), "does not fall",
        _each_after_step(torch.optim.Adagrad, _fades),
    ),
    Saboteur(
        "momentum-restarts-at-turns", "momentum restarts where it points against the gradient",
        ("optimizer.momentum-overshoots:SGD",), "parameter after step",
        _each_after_step(torch.optim.SGD, _restarts),
    ),
    Saboteur(
        "momentum-grows-a-little", "momentum grows by a billionth from the second step on",
        ("optimizer.momentum-alternates:SGD-foreach",), "step",
        _each_after_step(torch.optim.SGD, lambda self, p, before: self.state[p][
            "momentum_buffer"].mul_(1 + 1e-9 * ("momentum_buffer" in before))),
    ),
    Saboteur(
        "third-step-decays-more", "NAdam decays a little more at its third step",
        ("optimizer.decay-is-penalty:NAdam",), "with the decay as a penalty",
        replacing(torch.optim.NAdam, "step", _decays_more),
    ),
)  # fmt: skip
