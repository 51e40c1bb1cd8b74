"""Schedules of learning rates: the options of every scheduler, groups with rates, steps.

The values of each option are ones that the class documents and accepts, the plainest first.
Functions of an epoch (``lr_lambda``, ``scale_fn``) are drawn by name. Options in ``PER_GROUP``
may be a list, one value for each parameter group. What stays out, because documentation and
formula leave it open or torch fails there: no iterations at all, a factor of 0 that would be
undone, and a one-cycle policy whose rise has one step or less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.values import raw_bytes

Options = dict[str, Any]

PER_GROUP = ("lr_lambda", "base_lr", "max_lr", "base_momentum", "max_momentum", "swa_lr", "min_lr")
"""Options that may differ from group to group."""

_RATES = (0.5, 0.125, 0.1, 1.0, 0.003)
_GAMMAS = (0.5, 0.1, 1.0, 2.0, 0.0)
_FLOORS = (0.0, 0.05, 0.75)
_FUNCTIONS = ("halving", "warming", "stepping", "vanishing")
_STRATEGIES = ("linear", "cos")
_MOST_STEPS = 16
_MOST_GROUPS = 3
_MOST_METRICS = 24

SCHEDULES: dict[str, dict[str, tuple[Any, ...]]] = {
    "LambdaLR": {"lr_lambda": _FUNCTIONS},
    "MultiplicativeLR": {"lr_lambda": _FUNCTIONS},
    "StepLR": {"step_size": (2, 1, 3, 5), "gamma": _GAMMAS},
    "MultiStepLR": {
        "milestones": ([2], [], [1, 4], [3, 3], [0, 2], [2, 2, 2, 6], [5, 9]),
        "gamma": _GAMMAS,
    },
    "ConstantLR": {"factor": (0.5, 1 / 3, 1.0, 0.1), "total_iters": (2, 1, 5, 9, 20)},
    "LinearLR": {
        "start_factor": (0.5, 1 / 3, 0.05, 1.0),
        "end_factor": (1.0, 0.5, 0.0, 0.1),
        "total_iters": (5, 1, 2, 8),
    },
    "ExponentialLR": {"gamma": (0.5, 0.9, 1.0, 0.0, 1.25)},
    "PolynomialLR": {"total_iters": (5, 1, 2, 9), "power": (1.0, 2.0, 0.5, 0.0, 0.9)},
    "CosineAnnealingLR": {"T_max": (5, 1, 2, 3, 10, 30), "eta_min": _FLOORS},
    "CosineAnnealingWarmRestarts": {
        "T_0": (2, 1, 3, 5),
        "T_mult": (1, 2, 3),
        "eta_min": _FLOORS,
    },
    "CyclicLR": {
        "base_lr": (0.1, 0.001, 0.0625),
        "max_lr": (0.5, 1.0, 0.25),
        "step_size_up": (2, 1, 3, 4),
        "step_size_down": (None, 1, 2, 5),
        "mode": ("triangular", "triangular2", "exp_range"),
        "gamma": (1.0, 0.9, 0.5),
        "scale_fn": (None, None, *_FUNCTIONS),
        "scale_mode": ("cycle", "iterations"),
        "cycle_momentum": (False, True),
        "base_momentum": (0.8, 0.5),
        "max_momentum": (0.9, 0.95),
    },
    "OneCycleLR": {
        "max_lr": (1.0, 0.1, 0.5),
        "total_steps": (10, 6, 7, 14),
        "pct_start": (0.5, 0.3, 0.25, 0.75),
        "anneal_strategy": _STRATEGIES,
        "cycle_momentum": (False, True),
        "base_momentum": (0.85, 0.5),
        "max_momentum": (0.95, 0.875),
        "div_factor": (25.0, 4.0, 1.0),
        "final_div_factor": (1e4, 10.0),
        "three_phase": (False, True),
    },
    "SWALR": {
        "swa_lr": (0.05, 0.5, 1.0, 0.0),
        "anneal_epochs": (5, 10, 1, 0, 3),
        "anneal_strategy": _STRATEGIES,
    },
    "ReduceLROnPlateau": {
        "mode": ("min", "max"),
        "factor": (0.5, 0.75, 0.1, 0.0),
        "patience": (0, 1, 2, 0),
        "threshold": (0.125, 1e-4, 0.5, 0.0),
        "threshold_mode": ("rel", "abs"),
        "cooldown": (0, 1, 2, 3),
        "min_lr": (0.0, 0.01, 0.0, 0.3, 0.0, 2.0),
        "eps": (1e-8, 0.03, 0.0),
    },
}
"""Values by option by the name of the class."""


def _phases_fit(options: Options) -> Options:
    """Rise and fall of three phases are equally long: together they end before the cycle does."""
    if options["three_phase"]:
        options["pct_start"] = min(options["pct_start"], 0.5)
    return options


RESOLVE: dict[str, Callable[[Options], Options]] = {"OneCycleLR": _phases_fit}
"""What makes a combination legal, by the name of the class, where not every one is."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """The learning rates of some parameter groups, a scheduler's options, and how many steps."""

    rates: tuple[float, ...]
    options: Options
    steps: int

    def options_of(self, group: int) -> Options:
        """Return the options as they are for one group."""
        return {
            name: value[group] if name in PER_GROUP and isinstance(value, list) else value
            for name, value in self.options.items()
        }


@cache
def _groups() -> st.SearchStrategy[list[float]]:
    return st.lists(st.sampled_from(_RATES), min_size=1, max_size=_MOST_GROUPS)


@cache
def _choice(name: str, option: str, groups: int) -> st.SearchStrategy[Any]:
    values = SCHEDULES[name][option]
    single = st.sampled_from(values)
    if option not in PER_GROUP:
        return single
    return single | st.lists(single, min_size=groups, max_size=groups)


@st.composite
def _schedules(draw: st.DrawFn, name: str, groups: st.SearchStrategy[list[float]]) -> Schedule:
    rates = draw(groups)
    options = {key: draw(_choice(name, key, len(rates))) for key in SCHEDULES[name]}
    options = RESOLVE[name](options) if name in RESOLVE else options
    steps = draw(st.sampled_from(range(1, _MOST_STEPS + 1)))
    return Schedule(tuple(rates), options, min(steps, options.get("total_steps", steps + 1) - 1))


def schedules(name: str) -> st.SearchStrategy[Schedule]:
    """Draw one to three groups' learning rates, the options of a scheduler, and 1 to 16 steps.

    ``name`` is that of a class in ``torch.optim.lr_scheduler``, or ``SWALR``. Functions are drawn
    by name. OneCycleLR takes as many steps as it has, at most. Shrinks to one group, the
    plainest options and one step.

    Example::

        @given(schedules("StepLR"))
        def test(schedule): torch.optim.lr_scheduler.StepLR(optimizer, **schedule.options)
    """
    if name not in SCHEDULES:
        raise InvalidArgument(
            f"schedules({name!r}): no such table; use one of {', '.join(SCHEDULES)}"
        )
    return _schedules(name, _groups())


@st.composite
def _compositions(draw: st.DrawFn, names: tuple[str, ...], most: int) -> list[tuple[str, Schedule]]:
    rates = st.just(draw(_groups()))
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=most))
    return [(name, draw(_schedules(name, rates))) for name in chosen]


def compositions(names: Sequence[str], *, most: int = 3) -> st.SearchStrategy[list[Any]]:
    """Draw one to ``most`` pairs of a scheduler's name and a schedule, all of the same groups.

    ``names`` are those that may be drawn, as :func:`schedules` takes them. Shrinks to one of the
    first name.

    Example::

        @given(compositions(["StepLR", "ExponentialLR"]))
        def test(parts): assert len({schedule.rates for _, schedule in parts}) == 1
    """
    unknown = [name for name in names if name not in SCHEDULES]
    if unknown or not names:
        raise InvalidArgument(
            f"compositions({list(names)!r}): no such table; use some of {', '.join(SCHEDULES)}"
        )
    if most < 1:
        raise InvalidArgument(f"compositions(most={most}): at least 1")
    return _compositions(tuple(names), most)


_METRICS = tuple(n / 8 for n in (8, 6, 7, 9, 4, 12, 2, 16, 0, -4, -8, 3, 5))


@st.composite
def _metric_histories(draw: st.DrawFn) -> list[float]:
    count = draw(st.sampled_from(range(1, _MOST_METRICS + 1)))
    return [_METRICS[byte % len(_METRICS)] for byte in draw(raw_bytes(count))]


def metric_histories() -> st.SearchStrategy[list[float]]:
    """Draw one to twenty-four values of a metric: few ones, so that they fall, rise and come again.

    Multiples of 1/8, zero and negative ones among them. Shrinks to ``[1.0]``.

    Example::

        @given(metric_histories())
        def test(metrics): assert all(8 * metric == int(8 * metric) for metric in metrics)
    """
    return _metric_histories()
