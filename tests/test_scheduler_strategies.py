"""What the strategies for schedules draw: legal, everything documented, small when shrunk."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest
import torch
from hypothesis.errors import InvalidArgument

import strategies as s
from strategies.schedulers import PER_GROUP, SCHEDULES, Schedule
from tests.quality import minimal, share

COMPOSED_ELSEWHERE = {"SequentialLR", "ChainedScheduler", "LRScheduler"}


def class_of(name: str) -> Any:
    home = torch.optim.swa_utils if name == "SWALR" else torch.optim.lr_scheduler
    return getattr(home, name)


def test_every_scheduler_has_a_table() -> None:
    assert set(torch.optim.lr_scheduler.__all__) - COMPOSED_ELSEWHERE <= set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_documented_option_is_drawn(name: str) -> None:
    documented = set(signature(class_of(name)).parameters) - {"optimizer", "last_epoch"}
    other_ways = {"epochs", "steps_per_epoch"}  # of giving total_steps
    assert set(SCHEDULES[name]) == documented - other_ways


@pytest.mark.parametrize("name", SCHEDULES)
def test_groups_have_options_of_their_own(name: str) -> None:
    def differs(schedule: Schedule) -> bool:
        groups = [schedule.options_of(n) for n in range(len(schedule.rates))]
        return any(options != groups[0] for options in groups)

    several = share(s.schedules(name), lambda schedule: len(schedule.rates) > 1)
    assert several > 0.4
    if set(SCHEDULES[name]) & set(PER_GROUP):
        assert share(s.schedules(name), differs) > 0.15


def test_what_a_failure_shrinks_to() -> None:
    found = minimal(s.schedules("StepLR"), lambda schedule: schedule.steps > 2)
    assert (found.rates, found.steps) == ((0.5,), 3)
    assert found.options == {"step_size": 2, "gamma": 0.5}
    assert minimal(s.metric_histories(), lambda metrics: len(metrics) > 1) == [1.0, 1.0]
    parts = minimal(s.compositions(["StepLR", "ExponentialLR"]), lambda parts: len(parts) > 1)
    assert [name for name, _ in parts] == ["StepLR", "StepLR"]


def test_parts_of_a_composition_share_their_groups() -> None:
    def shares(parts: list[tuple[str, Schedule]]) -> bool:
        return len({schedule.rates for _, schedule in parts}) == 1

    assert share(s.compositions(["StepLR", "LambdaLR"]), shares) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.schedules("Step"), r"schedules\('Step'\): no such table; use one of LambdaLR"),
        (lambda: s.compositions([]), r"compositions\(\[\]\): no such table"),
        (lambda: s.compositions(["Step"]), r"compositions\(\['Step'\]\): no such table"),
        (lambda: s.compositions(["StepLR"], most=0), r"compositions\(most=0\): at least 1"),
    ],
)
def test_mistakes_are_named(call: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call()
