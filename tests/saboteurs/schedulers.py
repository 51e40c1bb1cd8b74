"""Faults in closed forms of schedules: an epoch off by one, one group, one phase, one option."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import SWALR

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


def second_group_scaled(factor: float, condition: Test = always) -> Any:
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


def _momentum_of_first_group(original: Any) -> Any:
    def rates(self: Any) -> Any:
        found = original(self)
        groups = self.optimizer.param_groups
        if self.cycle_momentum and not self.use_beta1:
            groups[-1]["momentum"] = groups[0]["momentum"]
        return found

    return rates


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
        off(schedulers.LinearLR, second_group_scaled(1.000001, lambda s: s.last_epoch == 2)),
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
)  # fmt: skip
