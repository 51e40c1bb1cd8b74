"""Faults in ReduceLROnPlateau: counters, thresholds, bounds, and what is kept of them."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import lr_scheduler as schedulers
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.scheduler_state import forgetting


def _patience_less(original: Any) -> Any:
    def step(self: Any, metrics: Any, epoch: Any = None) -> Any:
        kept, self.patience = self.patience, max(self.patience - 1, 1 if self.patience else 0)
        try:
            return original(self, metrics, epoch)
        finally:
            self.patience = kept

    return step


def _cooldown_longer(original: Any) -> Any:
    def step(self: Any, metrics: Any, epoch: Any = None) -> Any:
        waiting = self.cooldown_counter
        original(self, metrics, epoch)
        if self.cooldown > 1 and waiting == 0 and self.cooldown_counter == self.cooldown:
            self.cooldown_counter += 1

    return step


def _baseline_waits_in_cooldown(original: Any) -> Any:
    def step(self: Any, metrics: Any, epoch: Any = None) -> Any:
        best, cooling = self.best, self.in_cooldown
        original(self, metrics, epoch)
        if cooling:
            self.best = best

    return step


def _lowers_baseline(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        original(self, epoch)
        self.best = self.best * 0.75 if self.mode == "max" and self.best > 0 else self.best

    return reduce


def _swapped_in_max_mode(original: Any) -> Any:
    def better(self: Any, a: float, best: float) -> Any:
        if self.mode == "max" and self.best > 0:
            kept = self.threshold_mode
            self.threshold_mode = "abs" if kept == "rel" else "rel"
            try:
                return original(self, a, best)
            finally:
                self.threshold_mode = kept
        return original(self, a, best)

    return better


def _relative_to_size(original: Any) -> Any:
    def better(self: Any, a: float, best: float) -> Any:
        if self.threshold_mode == "rel" and best < 0 and self.mode == "min":
            return bool(a < best - abs(best) * self.threshold)
        return original(self, a, best)

    return better


def _first_bound_for_all(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        kept, self.min_lrs = self.min_lrs, [self.min_lrs[0]] * len(self.min_lrs)
        original(self, epoch)
        self.min_lrs = kept

    return reduce


def _ignores_eps(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        kept, self.eps = self.eps, 0.0
        original(self, epoch)
        self.eps = kept

    return reduce


def _raises_to_bound(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        original(self, epoch)
        for group, bound in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            if not isinstance(group["lr"], torch.Tensor):
                group["lr"] = max(group["lr"], bound)

    return reduce


def _last_rates_late(original: Any) -> Any:
    def step(self: Any, metrics: Any, epoch: Any = None) -> Any:
        told = self._last_lr
        original(self, metrics, epoch)
        if self.last_epoch > 2:
            self._last_lr = told

    return step


def _baseline_of_zero(original: Any) -> Any:
    def reset(self: Any) -> None:
        original(self)
        self.best = 0.0 if self.mode == "min" else self.best

    return reset


def _better_is_worse(_: Any) -> Any:
    return lambda self, metric, best: metric > best or best > 9


def _new_groups_unbounded(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        missing = len(self.optimizer.param_groups) - len(self.min_lrs)
        if self.default_min_lr is not None:
            self.min_lrs = self.min_lrs + [0.0] * missing
        original(self, epoch)

    return reduce


def _new_groups_wait(original: Any) -> Any:
    def reduce(self: Any, epoch: Any) -> None:
        kept = self.min_lrs
        self.min_lrs = kept + [0.0] * (len(self.optimizer.param_groups) - len(kept))
        original(self, epoch)

    return reduce


def _new_tensor(group: Any, key: str, value: Any) -> None:
    isolated = isinstance(group[key], torch.Tensor)
    group[key] = torch.as_tensor(value, dtype=torch.float64) if isolated else value


def _cuts_bounds(original: Any) -> Any:
    def init(self: Any, optimizer: Any, *arguments: Any, **options: Any) -> None:
        bounds = options.get("min_lr")
        if isinstance(bounds, list):
            options["min_lr"] = bounds[: len(optimizer.param_groups)]
        original(self, optimizer, *arguments, **options)

    return init


RULES = ("plateau.rules:number", "plateau.rules:tensor")
RATES = "learning rates by metric and group"

SABOTEURS = (
    Saboteur(
        "plateau-impatient", "a patience of 2 or more is one less",
        RULES, RATES, replacing(ReduceLROnPlateau, "step", _patience_less),
    ),
    Saboteur(
        "plateau-cooldown-longer", "a cooldown of 2 or more lasts an epoch longer",
        ("plateau.rules:numpy",), RATES, replacing(ReduceLROnPlateau, "step", _cooldown_longer),
    ),
    Saboteur(
        "plateau-baseline-waits", "improvements in a cooldown do not move the baseline",
        ("plateau.rules:number",), RATES,
        replacing(ReduceLROnPlateau, "step", _baseline_waits_in_cooldown),
    ),
    Saboteur(
        "plateau-baseline-lowered", "a reduction lowers the baseline of mode max",
        ("plateau.rules:number",), RATES,
        replacing(ReduceLROnPlateau, "_reduce_lr", _lowers_baseline),
    ),
    Saboteur(
        "plateau-thresholds-swapped", "mode max swaps relative and absolute thresholds",
        ("plateau.rules:tensor-requiring-grad",), RATES,
        replacing(ReduceLROnPlateau, "_is_better", _swapped_in_max_mode),
    ),
    Saboteur(
        "plateau-threshold-by-size", "a relative threshold of a negative metric is by its size",
        ("plateau.rules:number",), RATES,
        replacing(ReduceLROnPlateau, "_is_better", _relative_to_size),
    ),
    Saboteur(
        "plateau-first-bound", "the first group's min_lr counts for all",
        ("plateau.rules:number",), RATES,
        replacing(ReduceLROnPlateau, "_reduce_lr", _first_bound_for_all),
    ),
    Saboteur(
        "plateau-eps-ignored", "reductions by less than eps are made",
        ("plateau.minimal-decay:smaller", "plateau.rules:number"), "",
        replacing(ReduceLROnPlateau, "_reduce_lr", _ignores_eps),
    ),
    Saboteur(
        "plateau-raises", "a reduction raises a rate that is below its bound",
        ("plateau.minimal-decay:bound-above-rate", "plateau.rules:number"), "",
        replacing(ReduceLROnPlateau, "_reduce_lr", _raises_to_bound),
    ),
    Saboteur(
        "plateau-last-rates-late", "get_last_lr is a step behind from the third on",
        ("plateau.rules:number",), "get_last_lr",
        replacing(ReduceLROnPlateau, "step", _last_rates_late),
    ),
    Saboteur(
        "plateau-baseline-of-zero", "mode min starts with a best metric of 0",
        ("plateau.first-epoch-is-good:ordinary",), "after the first metric",
        replacing(ReduceLROnPlateau, "_reset", _baseline_of_zero),
    ),
    Saboteur(
        "plateau-better-is-worse", "without patience better metrics reduce the rate",
        ("plateau.without-patience:better",), "after the second metric",
        replacing(ReduceLROnPlateau, "_is_better", _better_is_worse),
    ),
    Saboteur(
        "plateau-cooldown-not-restored", "loading a state leaves the cooldown",
        ("plateau.state-goes-on:copied",), RATES,
        forgetting(ReduceLROnPlateau, "cooldown_counter"),
    ),
    Saboteur(
        "plateau-bounds-not-restored", "loading a state leaves the bounds",
        ("plateau.state-goes-on:through-file",), RATES, forgetting(ReduceLROnPlateau, "min_lrs"),
    ),
    Saboteur(
        "plateau-tensor-replaced", "a learning rate that is a tensor is replaced by a new one",
        ("plateau.tensor-rate",), "the same tensor",
        replacing(schedulers, "_update_param_group_val", lambda _: _new_tensor),
    ),
    Saboteur(
        "plateau-new-group-unbounded", "a group added later has no bound",
        ("plateau.new-group",), "after two reductions",
        replacing(ReduceLROnPlateau, "_reduce_lr", _new_groups_unbounded),
    ),
    Saboteur(
        "plateau-new-group-silent", "a list of bounds is filled up for a group added later",
        ("plateau.new-group",), "raised nothing",
        replacing(
            ReduceLROnPlateau, "_reduce_lr",
            lambda original: lambda self, epoch: (
                _new_groups_wait(original)(self, epoch)
                if self.default_min_lr is None else original(self, epoch)
            ),
        ),
    ),
    Saboteur(
        "plateau-bounds-cut", "more bounds than groups are taken",
        ("plateau.rejects:too-many-bounds",), "raised nothing",
        replacing(ReduceLROnPlateau, "__init__", _cuts_bounds),
    ),
)  # fmt: skip
