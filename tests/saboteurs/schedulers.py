"""Faults in schedulers: an epoch off by one, one group, one phase, one option of a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import SWALR

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Test = Callable[[Any], Any]


def shifted(kind: Any, by: int, condition: Test, method: str = "get_lr") -> Patch:
    """Patch a scheduler so that it takes another epoch's rate where a condition on it holds."""

    def make(original: Any) -> Any:
        def rates(self: Any) -> Any:
            if not condition(self):
                return original(self)
            self.last_epoch += by
            try:
                return original(self)
            finally:
                self.last_epoch -= by

        return rates

    return replacing(kind, method, make)


def with_attribute(
    kind: Any, name: str, value: Test, condition: Test, method: str = "get_lr"
) -> Patch:
    """Patch a scheduler so that it computes with another value of an option, on a condition."""

    def make(original: Any) -> Any:
        def rates(self: Any) -> Any:
            if not condition(self):
                return original(self)
            kept = getattr(self, name)
            setattr(self, name, value(self))
            try:
                return original(self)
            finally:
                setattr(self, name, kept)

        return rates

    return replacing(kind, method, make)


def off(kind: Any, change: Callable[[Any, list[Any]], list[Any]], method: str = "get_lr") -> Patch:
    """Patch a scheduler so that its rates are changed."""

    def make(original: Any) -> Any:
        return lambda self: change(self, original(self))

    return replacing(kind, method, make)


def always(_: Any) -> bool:
    return True


def _second_group_scaled(factor: float, condition: Test = always) -> Any:
    def change(self: Any, rates: list[Any]) -> list[Any]:
        if len(rates) > 1 and condition(self):
            rates[1] = rates[1] * factor
        return rates

    return change


def _multiplies_at_once(self: Any, rates: list[Any]) -> list[Any]:
    if not self._is_initial:
        return rates
    return [rate * f(0) for rate, f in zip(rates, self.lr_lambdas, strict=True)]


def _repeated_counts_once(self: Any) -> Any:
    return type(self.milestones)(dict.fromkeys(self.milestones, 1))


def _keeps_changing(self: Any, rates: list[Any]) -> list[Any]:
    step = (self.end_factor - self.start_factor) / self.total_iters
    if self.last_epoch == self.total_iters + 1 and self.end_factor:
        return [rate * (1 + step / self.end_factor) for rate in rates]
    return rates


def _forgets_floor(self: Any, rates: list[Any]) -> list[Any]:
    return [0.0 for _ in rates] if self.last_epoch == self.T_max else rates


def _stays_down(self: Any, rates: list[Any]) -> list[Any]:
    return [self.eta_min for _ in rates] if self.last_epoch == 2 * self.T_max + 1 else rates


def _scales_by_cycle(original: Any) -> Any:
    def scale(self: Any, x: float) -> Any:
        if self._scale_fn_custom is not None and self.scale_mode == "iterations":
            x = math.floor(1 + self.last_epoch / self.total_size)
        return original(self, x)

    return scale


def _late_halving(_: Any) -> Any:
    return staticmethod(lambda x: 1 / (2.0 ** max(x - 2, 0)))


def _last_phase_linear(original: Any) -> Any:
    def anneal(self: Any, start: Any, end: Any, part: Any) -> Any:
        if (
            len(self._schedule_phases) == 3
            and self.last_epoch > self._schedule_phases[1]["end_step"]
        ):
            return start + (end - start) * part
        return original(self, start, end, part)

    return anneal


def _one_divisor(self: Any, rates: list[Any]) -> list[Any]:
    for group in self.optimizer.param_groups[1:]:
        group["min_lr"] = self.optimizer.param_groups[0]["min_lr"]
    return rates


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


def _momentum_of_first_group(original: Any) -> Any:
    def rates(self: Any) -> Any:
        found = original(self)
        groups = self.optimizer.param_groups
        if self.cycle_momentum and not self.use_beta1:
            groups[-1]["momentum"] = groups[0]["momentum"]
        return found

    return rates


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


def _past_the_second_restart(self: Any) -> bool:
    return bool(self.T_i > self.T_0 * self.T_mult and self.T_mult > 1)


def _second_gamma(self: Any, rates: list[Any]) -> list[Any]:
    if len(rates) > 1 and not self._is_initial:
        rates[1] = rates[1] * self.gamma
    return rates


def _after(epoch: int) -> Test:
    return lambda self: self.last_epoch > epoch


def form(*names: str) -> tuple[str, ...]:
    return tuple(f"scheduler.closed-form:{name}" for name in names)


RATES = "learning rates by step and group"

SABOTEURS = (
    Saboteur(
        "lambda-one-epoch-late", "LambdaLR evaluates its functions an epoch late from the third",
        form("LambdaLR"), RATES, shifted(schedulers.LambdaLR, -1, _after(2)),
    ),
    Saboteur(
        "multiplicative-at-once", "MultiplicativeLR multiplies by lambda(0) when it is made",
        form("MultiplicativeLR"), RATES, off(schedulers.MultiplicativeLR, _multiplies_at_once),
    ),
    Saboteur(
        "step-decay-late", "StepLR's second decay and later ones come an epoch late",
        form("StepLR"), RATES,
        shifted(schedulers.StepLR, -1, lambda self: self.last_epoch > self.step_size + 1),
    ),
    Saboteur(
        "milestone-repeated-once", "MultiStepLR decays once at a milestone that is given twice",
        form("MultiStepLR"), RATES,
        with_attribute(schedulers.MultiStepLR, "milestones", _repeated_counts_once, always),
    ),
    Saboteur(
        "milestone-zero-ignored", "MultiStepLR ignores a milestone of 0",
        ("scheduler.degenerate:milestone-zero", *form("MultiStepLR")), "",
        with_attribute(
            schedulers.MultiStepLR, "milestones", lambda _: {}, lambda self: self.last_epoch == 0
        ),
    ),
    Saboteur(
        "constant-too-long", "ConstantLR ends an epoch late",
        form("ConstantLR"), RATES, shifted(schedulers.ConstantLR, -1, _after(1)),
    ),
    Saboteur(
        "linear-too-long", "LinearLR changes for one epoch more",
        form("LinearLR"), RATES, off(schedulers.LinearLR, _keeps_changing),
    ),
    Saboteur(
        "linear-second-group", "LinearLR's second group is off by one in a million",
        form("LinearLR"), RATES,
        off(schedulers.LinearLR, _second_group_scaled(1.000001, lambda s: s.last_epoch == 2)),
    ),
    Saboteur(
        "exponential-twice-for-second", "ExponentialLR decays the second group twice",
        form("ExponentialLR"), RATES, off(schedulers.ExponentialLR, _second_gamma),
    ),
    Saboteur(
        "polynomial-linear-at-last", "PolynomialLR ignores its power from the fourth epoch on",
        form("PolynomialLR"), RATES,
        with_attribute(schedulers.PolynomialLR, "power", lambda _: 1.0, _after(3)),
    ),
    Saboteur(
        "cosine-to-zero", "CosineAnnealingLR ends at 0 instead of eta_min",
        form("CosineAnnealingLR"), RATES, off(schedulers.CosineAnnealingLR, _forgets_floor),
    ),
    Saboteur(
        "cosine-stays-down", "CosineAnnealingLR is at its minimum after a whole period",
        form("CosineAnnealingLR"), RATES, off(schedulers.CosineAnnealingLR, _stays_down),
    ),
    Saboteur(
        "restarts-stop-growing", "periods of warm restarts grow at the first restart only",
        form("CosineAnnealingWarmRestarts"), RATES,
        with_attribute(
            schedulers.CosineAnnealingWarmRestarts, "T_i",
            lambda self: self.T_0 * self.T_mult, _past_the_second_restart,
        ),
    ),
    Saboteur(
        "cycle-symmetric", "CyclicLR falls as fast as it rises",
        form("CyclicLR"), RATES,
        with_attribute(schedulers.CyclicLR, "step_ratio", lambda _: 0.5, always),
    ),
    Saboteur(
        "cycle-halves-late", "triangular2 halves from the third cycle on",
        form("CyclicLR"), RATES,
        replacing(schedulers.CyclicLR, "_triangular2_scale_fn", _late_halving),
    ),
    Saboteur(
        "cycle-scale-mode-ignored", "CyclicLR's scale_fn always gets the cycle",
        form("CyclicLR"), RATES, replacing(schedulers.CyclicLR, "scale_fn", _scales_by_cycle),
    ),
    Saboteur(
        "cycle-momentum-of-first-group", "CyclicLR gives the last group the first one's momentum",
        form("CyclicLR"), "momenta",
        replacing(schedulers.CyclicLR, "get_lr", _momentum_of_first_group),
    ),
    Saboteur(
        "one-cycle-last-phase-linear", "the third phase of OneCycleLR is linear",
        form("OneCycleLR"), "",
        replacing(schedulers.OneCycleLR, "_anneal_func", _last_phase_linear),
    ),
    Saboteur(
        "one-cycle-one-end", "OneCycleLR takes all groups down to the first one's end",
        form("OneCycleLR"), RATES, off(schedulers.OneCycleLR, _one_divisor),
    ),
    Saboteur(
        "one-cycle-momentum-of-first-group", "OneCycleLR cycles the last group's as the first",
        form("OneCycleLR"), "momenta",
        replacing(schedulers.OneCycleLR, "get_lr", _momentum_of_first_group),
    ),
    Saboteur(
        "swa-anneals-too-long", "SWALR anneals for an epoch more",
        form("SWALR"), RATES,
        with_attribute(
            SWALR, "anneal_epochs", lambda self: self.anneal_epochs + 1,
            lambda self: self.anneal_epochs > 3,
        ),
    ),
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
        off(schedulers.CosineAnnealingLR, _second_group_scaled(1.00001), "_get_closed_form_lr"),
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
