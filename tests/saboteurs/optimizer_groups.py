"""Faults in parameter groups: their options, their additions, their parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer, rmsprop, sgd

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Options = dict[str, Any]

AFTER = "after step"


def _like_the_first(cls: type, option: str) -> Patch:
    """Patch a class so that the second group is stepped with an option of the first."""

    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            groups = self.param_groups
            before = [group[option] for group in groups]
            for group in groups[1:]:
                group[option] = before[0]
            try:
                return original(self, closure)
            finally:
                for group, value in zip(groups, before, strict=True):
                    group[option] = value

        return step

    return replacing(cls, "step", make)


def _keeps_first_rate(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        group = self.param_groups[0]
        first = self.__dict__.setdefault("_first", {k: group[k] for k in ("eps", "weight_decay")})
        before = {name: group[name] for name in first}
        group.update(first)
        try:
            return original(self, closure)
        finally:
            group.update(before)

    return step


def _defaults_of_the_class(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        if self.param_groups:
            group.setdefault("weight_decay", 0.0)
        original(self, group)

    return add


def _added_group_inherits_state(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        steps = [s["step"] for s in self.state.values() if "step" in s]
        original(self, group)
        if steps and "betas" in group:
            for parameter in group["params"]:
                self.state[parameter].update(
                    step=steps[0].clone(), exp_avg=torch.zeros_like(parameter),
                    exp_avg_sq=torch.zeros_like(parameter),
                )  # fmt: skip
                if group.get("amsgrad"):
                    self.state[parameter]["max_exp_avg_sq"] = torch.zeros_like(parameter)

    return add


def _names_sorted(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        original(self, group)
        if "param_names" in group:
            group["param_names"] = group["param_names"][::-1]

    return add


def _parameters_copied(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        if not isinstance(group["params"], (list, Tensor, set)):
            group["params"] = list(group["params"])[::-1]
        original(self, group)

    return add


def _steps_empty(original: Any) -> Any:
    def update(params: Any, *rest: Any, **keywords: Any) -> None:
        if any(p.numel() == 0 for p in params):
            keywords = {**keywords, "lr": keywords["lr"] * 1.001}
        original(params, *rest, **keywords)

    return update


def _in_the_first_dtype(original: Any) -> Any:
    def update(params: Any, *rest: Any, **keywords: Any) -> None:
        original(params, *rest, **keywords)
        if params and params[0].dtype == torch.float32:
            with torch.no_grad():
                for parameter in params[1:]:
                    parameter.copy_(parameter.float())

    return update


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


def _second_keeps_its_own(original: Any) -> Any:
    def load(self: Any, state: Options) -> None:
        own = [group["lr"] for group in self.param_groups]
        original(self, state)
        for group, rate in list(zip(self.param_groups, own, strict=True))[1:]:
            group["lr"] = rate

    return load


def _later_groups_from_zero(original: Any) -> Any:
    def initialize(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        for group in self.param_groups[1:]:
            for parameter in group["params"]:
                self.state[parameter]["sum"].zero_()

    return initialize


SABOTEURS = (
    Saboteur(
        "second-group-betas", "Adam steps the second group with betas of the first",
        _all("groups-independent", "Adam") + _all("group-defaults", "Adam"), AFTER,
        _like_the_first(torch.optim.Adam, "betas"),
    ),
    Saboteur(
        "second-group-rate", "SGD steps the second group with the rate of the first",
        _all("groups-independent", "SGD", "SGD-foreach", "SGD-fused"), AFTER,
        _like_the_first(torch.optim.SGD, "lr"),
    ),
    Saboteur(
        "group-defaults-of-the-class", "a later group's decay is zero unless it is given",
        _all("group-defaults", "AdamW"), "weight_decay",
        replacing(Optimizer, "add_param_group", _defaults_of_the_class),
    ),
    Saboteur(
        "added-group-counts-on", "a group added to Adam takes over the count of steps",
        _all("added-group", "Adam"), "parameter",
        replacing(Optimizer, "add_param_group", _added_group_inherits_state),
    ),
    Saboteur(
        "options-of-the-first-step", "Adam keeps eps and decay of its first step",
        _all("changed-option", "Adam"), AFTER,
        replacing(torch.optim.Adam, "step", _keeps_first_rate),
    ),
    Saboteur(
        "names-reversed", "names of parameters are kept in reverse",
        _all("named-parameters", "SGD", "Rprop"), "param_names",
        replacing(Optimizer, "add_param_group", _names_sorted),
    ),
    Saboteur(
        "iterators-reversed", "parameters of an iterator are taken in reverse",
        _all("parameters-taken", "SGD", "Adam"), "kept parameters",
        replacing(Optimizer, "add_param_group", _parameters_copied),
    ),
    Saboteur(
        "float32-for-all", "SGD rounds to float32 what stands in a group after a float32 parameter",
        _all("mixed-dtypes", "SGD"), AFTER,
        replacing(sgd, "_single_tensor_sgd", _in_the_first_dtype),
    ),
    Saboteur(
        "empty-parameter-counts", "RMSprop's rate is off beside a parameter without elements",
        _all("empty-parameter", "RMSprop"), AFTER,
        replacing(rmsprop, "_single_tensor_rmsprop", _steps_empty),
    ),
    Saboteur(
        "second-group-not-loaded", "load_state_dict leaves the rate of the second group",
        _all("load-restores-groups", "SGD"), "lr of group 1",
        replacing(Optimizer, "load_state_dict", _second_keeps_its_own),
    ),
    Saboteur(
        "later-groups-from-zero", "Adagrad's sums of later groups begin with zero in any case",
        _all("group-defaults", "Adagrad-accumulator"), AFTER,
        replacing(torch.optim.Adagrad, "__init__", _later_groups_from_zero),
    ),
)  # fmt: skip
