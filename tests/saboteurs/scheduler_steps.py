"""Faults in what schedulers do to an optimizer, in steps to an epoch, and in what they refuse."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import lr_scheduler as schedulers

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.schedulers import (
    RATES,
    always,
    off,
    second_group_scaled,
    shifted,
    with_attribute,
)


def _stale_rate(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        groups = self.param_groups[1:]
        kept = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = group.setdefault("seen_first", group["lr"])
        try:
            return original(self, closure)
        finally:
            for group, rate in zip(groups, kept, strict=True):
                group["lr"] = rate

    return step


def _momentum_of_first_step(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        group = self.param_groups[-1]
        kept = group["momentum"]
        group["momentum"] = group.setdefault("momentum_at_first", kept)
        try:
            return original(self, closure)
        finally:
            group["momentum"] = kept

    return step


def _second_beta_reset(original: Any) -> Any:
    def rates(self: Any) -> Any:
        found = original(self)
        if self.cycle_momentum and self.use_beta1 and self.last_epoch > 1:
            group = self.optimizer.param_groups[-1]
            group["betas"] = (group["betas"][0], 0.999)
        return found

    return rates


def _only_forwards(original: Any) -> Any:
    def step(self: Any, epoch: Any = None) -> Any:
        return original(self, epoch if epoch is None else max(epoch, self.last_epoch))

    return step


def _whole_epochs(original: Any) -> Any:
    def step(self: Any, epoch: Any = None) -> Any:
        late = epoch is not None and epoch > self.T_0 and self.T_mult > 1
        return original(self, math.floor(epoch) if late else epoch)

    return step


def _just_before_restart(original: Any) -> Any:
    def step(self: Any, epoch: Any = None) -> Any:
        restart = self.T_0 * (1 + self.T_mult)
        return original(self, epoch - 1e-9 if epoch == restart else epoch)

    return step


def _one_step_fewer(self: Any, *arguments: Any, **keywords: Any) -> Any:
    if keywords.get("epochs", 0) > 1 and "total_steps" not in keywords:
        keywords["total_steps"] = keywords["epochs"] * keywords["steps_per_epoch"] - 1
    return (self, *arguments), keywords


def _new_tensor(group: Any, key: str, value: Any) -> None:
    if isinstance(group[key], torch.Tensor):
        group[key] = torch.as_tensor(value, dtype=group[key].dtype)
    else:
        group[key] = value


def _aliases(optimizer: Any, key: str) -> list[Any]:
    return [group[key] for group in optimizer.param_groups]


def _aliases_last_rates(original: Any) -> Any:
    def values(optimizer: Any, key: str) -> Any:
        return _aliases(optimizer, key) if key == "lr" else original(optimizer, key)

    return values


def _aliases_initial_rate(original: Any) -> Any:
    def init(self: Any, optimizer: Any, last_epoch: int = -1) -> None:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        original(self, optimizer, last_epoch)

    return init


def _cycles_what_there_is(self: Any, optimizer: Any, **options: Any) -> Any:
    if not {"momentum", "betas"} & set(optimizer.defaults):
        options["cycle_momentum"] = False
    return (self, optimizer), options


def _from_base(self: Any, rates: list[Any]) -> list[Any]:
    return rates if self.last_epoch % self.step_size else self._get_closed_form_lr()


def _no_closed_form(original: Any) -> Any:
    def update(self: Any, epoch: Any = None) -> Any:
        if epoch is None:
            return original(self)
        self.last_epoch = epoch - 1
        return original(self)

    return update


SABOTEURS = (
    Saboteur(
        "rate-of-first-step", "SGD keeps the rate of its first step for all groups but one",
        ("scheduler.rate-is-used:StepLR", "scheduler.rate-is-used:OneCycleLR"),
        "parameter of group", replacing(torch.optim.SGD, "step", _stale_rate),
    ),
    Saboteur(
        "momentum-of-first-step", "SGD keeps the last group's momentum of its first step",
        ("scheduler.rate-is-used:CyclicLR",), "parameter of group",
        replacing(torch.optim.SGD, "step", _momentum_of_first_step),
    ),
    Saboteur(
        "second-beta-reset", "cycling the first beta resets the second one",
        ("scheduler.first-beta-cycles:OneCycleLR",), "betas of group",
        replacing(schedulers.OneCycleLR, "get_lr", _second_beta_reset),
    ),
    Saboteur(
        "cyclic-second-beta-reset", "cycling the first beta resets the second one",
        ("scheduler.first-beta-cycles:CyclicLR",), "betas of group",
        replacing(schedulers.CyclicLR, "get_lr", _second_beta_reset),
    ),
    Saboteur(
        "no-way-back", "step(epoch) does not go back",
        ("scheduler.step-to-epoch:ExponentialLR",), "last_epoch",
        replacing(schedulers.LRScheduler, "step", _only_forwards),
    ),
    Saboteur(
        "closed-milestones-late", "step(epoch) of MultiStepLR misses a milestone that it hits",
        ("scheduler.step-to-epoch:MultiStepLR",), RATES,
        shifted(
            schedulers.MultiStepLR, -1, lambda self: self.last_epoch in self.milestones,
            "_get_closed_form_lr",
        ),
    ),
    Saboteur(
        "closed-cosine-second-group", "step(epoch) of CosineAnnealingLR is off for one group",
        ("scheduler.step-to-epoch:CosineAnnealingLR",), RATES,
        off(schedulers.CosineAnnealingLR, second_group_scaled(1.00001), "_get_closed_form_lr"),
    ),
    Saboteur(
        "fractions-lost", "warm restarts drop fractions of an epoch once periods grow",
        ("scheduler.fractional-epoch",), "learning rates",
        replacing(schedulers.CosineAnnealingWarmRestarts, "step", _whole_epochs),
    ),
    Saboteur(
        "restart-missed", "a step to the second restart stays just before it",
        ("scheduler.restart:second-of-doubled",), "0.0 after the restart",
        replacing(schedulers.CosineAnnealingWarmRestarts, "step", _just_before_restart),
    ),
    Saboteur(
        "one-cycle-length-short", "epochs times steps make one step too few",
        ("scheduler.one-cycle-length",), "by epochs and steps",
        rewriting(schedulers.OneCycleLR, "__init__", _one_step_fewer),
    ),
    Saboteur(
        "tensor-rate-replaced", "a learning rate that is a tensor is replaced by a new one",
        ("scheduler.tensor-rate:StepLR", "scheduler.tensor-rate:CosineAnnealingWarmRestarts"),
        "the same tensor", replacing(schedulers, "_update_param_group_val", lambda _: _new_tensor),
    ),
    Saboteur(
        "last-rate-aliased", "get_last_lr gives the optimizer's own tensors",
        ("scheduler.tensor-rate:ExponentialLR", "scheduler.tensor-rate:LambdaLR"), RATES,
        replacing(schedulers, "_param_groups_val_list", _aliases_last_rates),
    ),
    Saboteur(
        "initial-rate-aliased", "a tensor rate and the initial one are the same object",
        ("scheduler.tensor-rate:LambdaLR",), "initial rates",
        replacing(schedulers.LRScheduler, "__init__", _aliases_initial_rate),
    ),
    Saboteur(
        "outside-change-undone", "StepLR's decay undoes what was changed from outside",
        ("scheduler.outside-change:StepLR",), RATES, off(schedulers.StepLR, _from_base),
    ),
    Saboteur(
        "own-closed-form-unused", "step(epoch) never uses a closed form",
        ("scheduler.subclass",), "by step(",
        replacing(schedulers.LRScheduler, "_update_lr", _no_closed_form),
    ),
    Saboteur(
        "cycle-has-no-end", "OneCycleLR goes on for ever",
        ("scheduler.one-cycle-ends",), "raised nothing",
        with_attribute(schedulers.OneCycleLR, "total_steps", lambda _: 10**9, always),
    ),
    Saboteur(
        "any-factor", "ConstantLR takes a factor above 1",
        ("scheduler.rejects:constant-above-one",), "raised nothing",
        rewriting(
            schedulers.ConstantLR, "__init__",
            lambda self, o, factor=0.5, **k: ((self, o), {"factor": min(factor, 1.0), **k}),
        ),
    ),
    Saboteur(
        "fractional-growth-rounded", "CosineAnnealingWarmRestarts rounds a fractional T_mult",
        ("scheduler.rejects:fractional-growth",), "raised nothing",
        rewriting(
            schedulers.CosineAnnealingWarmRestarts, "__init__",
            lambda self, o, T_mult=1, **k: ((self, o), {"T_mult": int(T_mult), **k}),  # noqa: N803
        ),
    ),
    Saboteur(
        "factors-uncalled", "MultiplicativeLR takes a number for a function",
        ("scheduler.needs-functions",), "raised nothing",
        rewriting(
            schedulers.MultiplicativeLR, "__init__",
            lambda self, o, lr_lambda: (
                (self, o), {"lr_lambda": (lambda _: 1.0) if lr_lambda == 0.5 else lr_lambda}
            ),
        ),
    ),
    Saboteur(
        "imitations-welcome", "schedulers take whatever has parameter groups",
        ("scheduler.needs-optimizer:StepLR",), "",
        replacing(schedulers, "Optimizer", lambda _: object),
    ),
    Saboteur(
        "cycles-no-momentum", "CyclicLR silently cycles no momentum where there is none",
        ("scheduler.needs-momentum:CyclicLR",), "raised nothing",
        rewriting(schedulers.CyclicLR, "__init__", _cycles_what_there_is),
    ),
    Saboteur(
        "negative-epoch-from-end", "warm restarts take a negative epoch as 0",
        ("scheduler.no-negative-epoch",), "raised nothing",
        rewriting(
            schedulers.CosineAnnealingWarmRestarts, "step",
            lambda self, epoch=None: ((self, None if epoch is None else max(epoch, 0)), {}),
        ),
    ),
)  # fmt: skip
