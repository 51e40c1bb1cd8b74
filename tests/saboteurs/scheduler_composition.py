"""Faults in composed schedulers: milestones, turns, parts that are forgotten."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import pytest
from torch.optim import lr_scheduler as schedulers
from torch.optim.lr_scheduler import ChainedScheduler, SequentialLR

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing


def _milestone_late(original: Any) -> Any:
    def step(self: Any) -> None:
        kept = self._milestones
        self._milestones = [kept[0], *(m + 1 for m in kept[1:])] if kept else kept
        try:
            original(self)
        finally:
            self._milestones = kept

    return step


def _zero_is_no_milestone(original: Any) -> Any:
    def init(self: Any, optimizer: Any, members: Any, milestones: Any, **more: Any) -> None:
        original(self, optimizer, members, milestones, **more)
        if milestones and milestones[0] == 0:
            members[0]._initial_step()
            self._last_lr = members[0].get_last_lr()

    return init


def _goes_on_from_there(original: Any) -> Any:
    def step(self: Any) -> None:
        before = [float(group["lr"]) for group in self.optimizer.param_groups]
        original(self)
        if self.last_epoch in self._milestones[1:]:
            self.optimizer.param_groups[-1]["lr"] = before[-1]

    return step


def _first_does_not_rest(original: Any) -> Any:
    def step(self: Any) -> None:
        original(self)
        at = bisect_left(self._milestones, self.last_epoch)
        if at > 1:
            self._schedulers[at - 1].step()

    return step


def _tells_first_group(original: Any) -> Any:
    def step(self: Any) -> None:
        original(self)
        self._last_lr = [self._last_lr[0]] * len(self._last_lr)

    return step


def _without_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(schedulers.CosineAnnealingLR, "_get_closed_form_lr")


def _last_steps_twice(original: Any) -> Any:
    def step(self: Any) -> None:
        original(self)
        if len(self._schedulers) > 2:
            self._schedulers[-1].step()

    return step


def _rates_before_last(original: Any) -> Any:
    def step(self: Any) -> None:
        before = [float(group["lr"]) for group in self.optimizer.param_groups]
        original(self)
        if len(self._schedulers) > 1:
            self._last_lr = before

    return step


def _loads_first_two(original: Any) -> Any:
    def load(self: Any, state: Any) -> None:
        parts = state["_schedulers"]
        state["_schedulers"] = parts[:-1] if len(parts) > 1 else parts
        original(self, state)
        state["_schedulers"] = parts

    return load


def _keeps_milestones(original: Any) -> Any:
    def load(self: Any, state: Any) -> None:
        kept = self._milestones
        original(self, state)
        self._milestones = kept

    return load


def _inner_steps_twice(original: Any) -> Any:
    def step(self: Any) -> None:
        original(self)
        if any(isinstance(part, SequentialLR) for part in self._schedulers):
            self._schedulers[0].step()

    return step


def _first_of_any(self: Any, *arguments: Any, **keywords: Any) -> None:
    """Stands for a constructor that takes anything."""


SABOTEURS = (
    Saboteur(
        "second-milestone-late", "the second milestone is an epoch late",
        ("scheduler.sequential",), "learning rates",
        replacing(SequentialLR, "step", _milestone_late),
    ),
    Saboteur(
        "milestone-zero-unseen", "a first milestone of 0 leaves the first scheduler an epoch",
        ("scheduler.sequential",), "learning rates",
        replacing(SequentialLR, "__init__", _zero_is_no_milestone),
    ),
    Saboteur(
        "sequence-goes-on", "at the second milestone the last group keeps its rate",
        ("scheduler.sequential",), "learning rates",
        replacing(SequentialLR, "step", _goes_on_from_there),
    ),
    Saboteur(
        "sequence-does-not-rest", "a scheduler goes on after the second milestone",
        ("scheduler.sequential",), "learning rates",
        replacing(SequentialLR, "step", _first_does_not_rest),
    ),
    Saboteur(
        "sequence-tells-first-group", "get_last_lr of a sequence tells the first group's rate",
        ("scheduler.sequential",), "get_last_lr",
        replacing(SequentialLR, "step", _tells_first_group),
    ),
    Saboteur(
        "second-cosine-from-there", "a cosine that comes second starts from the current rate",
        ("scheduler.sequential-second:CosineAnnealingLR",), "learning rates", _without_closed_form,
    ),
    Saboteur(
        "chain-last-twice", "the last of three chained schedulers steps twice",
        ("scheduler.chained",), "learning rates",
        replacing(ChainedScheduler, "step", _last_steps_twice),
    ),
    Saboteur(
        "chain-tells-before", "get_last_lr of a chain is a step behind",
        ("scheduler.chained",), "get_last_lr",
        replacing(ChainedScheduler, "step", _rates_before_last),
    ),
    Saboteur(
        "sequence-last-not-restored", "a sequence does not restore its last scheduler",
        ("scheduler.composed-state:sequential",), "learning rates",
        replacing(SequentialLR, "load_state_dict", _loads_first_two),
    ),
    Saboteur(
        "milestones-not-restored", "a sequence keeps the milestones that it was made with",
        ("scheduler.composed-state:sequential-through-file",), "learning rates",
        replacing(SequentialLR, "load_state_dict", _keeps_milestones),
    ),
    Saboteur(
        "chain-last-not-restored", "a chain does not restore its last scheduler",
        ("scheduler.composed-state:chained", "scheduler.composed-state:chained-through-file"),
        "learning rates", replacing(ChainedScheduler, "load_state_dict", _loads_first_two),
    ),
    Saboteur(
        "inner-sequence-twice", "a sequence in a chain steps twice",
        ("scheduler.nested:sequence-in-chain",), "rates of the composition in another",
        replacing(ChainedScheduler, "step", _inner_steps_twice),
    ),
    Saboteur(
        "chain-of-anything", "a chain takes whatever it gets",
        ("scheduler.composition-rejects:chain-with-plateau",), "raised nothing",
        accepting(ChainedScheduler, "__init__", ValueError, _first_of_any),
    ),
    Saboteur(
        "sequence-of-anything", "a sequence takes schedulers of another optimizer",
        ("scheduler.composition-rejects:sequence-of-two-optimizers",), "raised nothing",
        accepting(SequentialLR, "__init__", ValueError, _first_of_any),
    ),
)  # fmt: skip
