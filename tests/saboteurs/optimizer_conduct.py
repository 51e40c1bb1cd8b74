"""Faults in what optimizers should leave alone, and in their defaults."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing


def _other_default(original: Any) -> Any:
    def construct(self: Any, params: Any, lr: Any = 1e-3, **options: Any) -> None:
        original(self, params, lr=lr, **options)

    return construct


def _later_groups_decay(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        if self.param_groups:
            group = {"weight_decay": 1e-2, **group}
        original(self, group)

    return add


def _rate_fades(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        result = original(self, closure)
        if self.param_groups[0]["rho"] == 0.5:
            self.param_groups[-1]["lr"] *= 1 - 1e-9
        return result

    return step


def _draws(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        if self.param_groups[0]["momentum"] == 0.9:
            torch.rand(1)
        return original(self, closure)

    return step


def _first_group_only(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        groups, self.param_groups = self.param_groups, self.param_groups[:1]
        original(self, set_to_none)
        self.param_groups = groups

    return zero_grad


def _descends_without(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        if closure is not None:
            return original(self, closure)
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter -= self.param_groups[0]["lr"] * parameter.grad
        return None

    return step


def _present_rate(original: Any) -> Any:
    """A group that is added takes the rate that the first has by now."""

    def add(self: Any, group: Any) -> None:
        if self.param_groups and "lr" not in group:
            group["lr"] = self.param_groups[0]["lr"]
        original(self, group)

    return add


SABOTEURS = (
    Saboteur(
        "adamax-half-the-default-rate", "the default rate of Adamax is that of Adam",
        ("optimizer.defaults:Adamax",), "options of group 0",
        replacing(torch.optim.Adamax, "__init__", _other_default),
    ),
    Saboteur(
        "later-groups-decay", "a group that is added later has a weight decay by default",
        ("optimizer.defaults:RMSprop",), "options of group 1",
        replacing(torch.optim.RMSprop, "add_param_group", _later_groups_decay),
    ),
    Saboteur(
        "rate-fades", "Adadelta lowers the rate of its last group a little each step",
        ("optimizer.options-unchanged:Adadelta",), "options after step",
        replacing(torch.optim.Adadelta, "step", _rate_fades),
    ),
    Saboteur(
        "step-draws", "SGD with strong momentum draws a random number each step",
        ("optimizer.draws-nothing:SGD",), "generator is where it was",
        replacing(torch.optim.SGD, "step", _draws),
    ),
    Saboteur(
        "others-than-first-group-kept", "zero_grad clears the first group alone",
        ("optimizer.zero-grad-own:Adam", "optimizer.zero-grad-own:SGD"), "grad",
        replacing(torch.optim.Optimizer, "zero_grad", _first_group_only),
    ),
    Saboteur(
        "lbfgs-without-closure", "LBFGS descends by the gradient where there is no closure",
        ("optimizer.needs-closure",), "raised nothing",
        replacing(torch.optim.LBFGS, "step", _descends_without),
    ),
    Saboteur(
        "added-group-present-rate", "an added group has the rate of the first by now",
        ("optimizer.defaults:SGD",), "options of group",
        replacing(torch.optim.Optimizer, "add_param_group", _present_rate),
    ),
)  # fmt: skip
