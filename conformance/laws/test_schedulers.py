"""Schedulers: the learning rate of every epoch, against closed forms."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.schedulers import (
    CLOSED_FORMS,
    MOMENTA,
    cosine,
    heavy_ball,
)
from conformance.scenarios.scheduling import (
    UNIT,
    check_history,
    check_values,
    optimizer_over,
    rates_of,
    scheduler_over,
    told_by,
    train,
)
from strategies import schedules

SCHEDULERS = {name: name for name in CLOSED_FORMS}
CYCLING = {name: name for name in MOMENTA}
JUMPING = {
    name: name
    for name in (
        "LambdaLR",
        "StepLR",
        "MultiStepLR",
        "ConstantLR",
        "LinearLR",
        "ExponentialLR",
        "PolynomialLR",
        "CosineAnnealingLR",
        "CosineAnnealingWarmRestarts",
        "CyclicLR",
    )
}
MULTIPLYING = {
    name: name
    for name in (
        "MultiplicativeLR",
        "StepLR",
        "MultiStepLR",
        "ConstantLR",
        "LinearLR",
        "ExponentialLR",
        "PolynomialLR",
    )
}
# Class, options, and the rates of a group that starts at 1.
DEGENERATE = {
    "no-milestones": ("MultiStepLR", {"milestones": [], "gamma": 0.5}, (1.0, 1.0, 1.0)),
    "milestone-zero": ("MultiStepLR", {"milestones": [0], "gamma": 0.5}, (0.5, 0.5, 0.5)),
    "factor-of-one": ("ConstantLR", {"factor": 1.0, "total_iters": 1}, (1.0, 1.0, 1.0)),
    "factor-of-zero": ("ConstantLR", {"factor": 0.0, "total_iters": 2}, (0.0, 0.0, 1.0)),
    "constant-for-no-epoch": ("ConstantLR", {"factor": 0.5, "total_iters": 0}, (1.0, 1.0, 1.0)),
    "linear-for-no-epoch": ("LinearLR", {"start_factor": 0.5, "total_iters": 0}, (1.0, 1.0, 1.0)),
    "rise-of-one-step": (
        "OneCycleLR",
        {
            "max_lr": 1.0,
            "total_steps": 4,
            "pct_start": 0.25,
            "anneal_strategy": "linear",
            "cycle_momentum": False,
            "div_factor": 2.0,
            "final_div_factor": 2.0,
        },
        (1.0, 0.75, 0.5, 0.25),
    ),
}
# T_0, T_mult, and how many restarts.
RESTARTS = {
    "second-of-doubled": (3, 2, 2),
    "fourth-of-tripled": (1, 3, 4),
    "fifth-of-tripled": (1, 3, 5),
    "third-of-tenfold": (2, 10, 3),
}


def schedule_of(case):
    return schedules(case)


def page(case):
    home = "swa_utils" if case == "SWALR" else "lr_scheduler"
    return f"torch.optim.{home}.{case}" if home == "lr_scheduler" else "optim.html#swalr"


def momentum_of(name, schedule, group, epoch):
    """The momentum of a group's SGD: cycled, or the optimizer's own."""
    options = schedule.options_of(group)
    return MOMENTA[name](epoch, **options) if options.get("cycle_momentum") else 0.0


@law("scheduler.closed-form", docs=page, over=SCHEDULERS)
@given(schedule=schedule_of)
def test_closed_form(target, case, schedule):
    """After each step every group's learning rate is the scheduler's documented formula.

    From the group's own initial rate and options; get_last_lr tells the same, before the first
    step too. Momentum that is cycled follows its formula, and stays the optimizer's own otherwise.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    epochs, rates, told, momenta = [scheduler.last_epoch], [rates_of(optimizer)], [], []
    for _ in range(schedule.steps):
        told.append(told_by(scheduler))
        momenta.append([group["momentum"] for group in optimizer.param_groups])
        scheduler.step()
        epochs.append(scheduler.last_epoch)
        rates.append(rates_of(optimizer))
    compare.fact(epochs, list(range(schedule.steps + 1)), "last_epoch, step by step")
    check_history(case, schedule, epochs, rates)
    compare.fact(told, rates[:-1], "get_last_lr, step by step")
    groups = range(len(schedule.rates))
    compare.close(
        torch.tensor(momenta, dtype=torch.float64),
        np.array(
            [[momentum_of(case, schedule, g, epoch) for g in groups] for epoch in epochs[:-1]]
        ),
        bound=16 * UNIT,
        dtype=torch.float64,
        what="momenta by step and group",
    )


@law("scheduler.rate-is-used", docs="torch.optim.lr_scheduler.LRScheduler", over=SCHEDULERS)
@given(schedule=schedule_of)
def test_rate_is_used(target, case, schedule):
    """The optimizer's next step uses the learning rate and momentum that the scheduler has set.

    Under SGD with gradients of 1: ``theta_t = theta_{t-1} - rate_t v_t``.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    for _ in range(schedule.steps):
        train(optimizer)
        scheduler.step()
    for number, (group, base) in enumerate(
        zip(optimizer.param_groups, schedule.rates, strict=True)
    ):
        options = schedule.options_of(number)
        epochs = range(schedule.steps)
        rates = [CLOSED_FORMS[case](base, epoch, **options) for epoch in epochs]
        momenta = [momentum_of(case, schedule, number, epoch) for epoch in epochs]
        # A velocity stays below 20 (momentum is 0.95 at most); rates round as closed-form says.
        size = 20 * schedule.steps * max(1.0, *map(abs, rates))
        compare.close(
            group["params"][0],
            np.array([heavy_ball(rates, momenta)]),
            bound=1000 * schedule.steps * UNIT * size,
            dtype=torch.float64,
            what=f"parameter of group {number}",
        )


@law("scheduler.degenerate", docs=lambda case: page(case[0]), over=DEGENERATE)
def test_degenerate(target, case):
    """A schedule without a part of its course, as its options allow, has all other parts.

    A constant or linear factor for no epochs is over at the first; a rise of one step is at its
    peak with that step.
    """
    name, options, expected = case
    optimizer = optimizer_over([1.0], target.device)
    scheduler = scheduler_over(name, optimizer, options)
    for epoch, rate in enumerate(expected):
        check_values(optimizer, "lr", [rate], [16 * UNIT], f"at epoch {epoch}")
        train(optimizer)
        if epoch + 1 < len(expected):
            scheduler.step()


@law("scheduler.step-to-epoch", docs="torch.optim.lr_scheduler.LRScheduler", over=JUMPING)
@given(schedule=schedule_of, epochs=st.lists(st.integers(0, 16), min_size=1, max_size=4))
def test_step_to_epoch(target, case, schedule, epochs):
    """step(epoch) sets last_epoch and the formula's rate there, forwards or back; step goes on.

    The step after ``step(26)`` is that to epoch 27.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    reached, last, rates, told = [], [], [], []
    for epoch in epochs:
        for ahead in range(3):
            scheduler.step(*([] if ahead else [epoch]))
            reached.append(epoch + ahead)
            last.append(scheduler.last_epoch)
            rates.append(rates_of(optimizer))
            told.append(told_by(scheduler))
    compare.fact(last, reached, "last_epoch, step by step")
    compare.fact(told, rates, "get_last_lr, step by step")
    check_history(case, schedule, reached, rates, 16 * UNIT)


@law("scheduler.fractional-epoch", docs="torch.optim.lr_scheduler.CosineAnnealingWarmRestarts")
@given(
    schedule=schedules("CosineAnnealingWarmRestarts"),
    eighths=st.lists(st.integers(0, 160), min_size=1, max_size=4),
    ahead=st.integers(1, 4),
)
def test_fractional_epoch(target, schedule, eighths, ahead):
    """Warm restarts take fractions of an epoch, in any order, and steps go on from there.

    ``step(epoch + i / iterations)``; last_epoch is the whole part. A step without argument is
    one epoch further in the cycle, or starts the next one.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over("CosineAnnealingWarmRestarts", optimizer, schedule.options)
    reached, last, rates, told = [], [], [], []
    for eighth in eighths:
        for n in range(ahead):
            scheduler.step(*([] if n else [eighth / 8]))
            reached.append(eighth / 8 + n)
            last.append(scheduler.last_epoch)
            rates.append(rates_of(optimizer))
            told.append(told_by(scheduler))
    compare.fact(last, list(map(int, reached)), "last_epoch, step by step")
    compare.fact(told, rates, "get_last_lr, step by step")
    check_history("CosineAnnealingWarmRestarts", schedule, reached, rates)


@law(
    "scheduler.restart",
    docs="torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
    over=RESTARTS,
)
@given(base=st.sampled_from([1.0, 0.5, 0.1]), floor=st.sampled_from([0.0, 0.25]))
def test_restart(target, case, base, floor):
    """At a restart the rate is the initial one; half a period on, it is halfway down.

    The n-th restart is at epoch ``T_0 (1 + T_mult + ... + T_mult^(n-1))``.
    """
    first, factor, count = case
    epoch = sum(first * factor**n for n in range(count))
    period = first * factor**count
    optimizer = optimizer_over([base], target.device)
    options = {"T_0": first, "T_mult": factor, "eta_min": floor}
    scheduler = scheduler_over("CosineAnnealingWarmRestarts", optimizer, options)
    for part in (0.5, 0.0):
        scheduler.step(epoch + part * period)
        check_values(
            optimizer, "lr", [cosine(base, floor, part)], [64 * UNIT], f"{part} after the restart"
        )


@law("scheduler.first-beta-cycles", docs=page, over=CYCLING)
@given(schedule=schedule_of)
def test_first_beta_cycles(target, case, schedule):
    """Under an optimizer with betas, the first one cycles as a momentum; others keep theirs."""
    second = [0.5 + n / 8 for n in range(len(schedule.rates))]
    optimizer = optimizer_over(schedule.rates, target.device, "Adam")
    for group, beta in zip(optimizer.param_groups, second, strict=True):
        group["betas"] = (0.25, beta)
    options = {**schedule.options, "cycle_momentum": True}
    scheduler = scheduler_over(case, optimizer, options)
    for epoch in range(schedule.steps + 1):
        for number, group in enumerate(optimizer.param_groups):
            expected = MOMENTA[case](epoch, **schedule.options_of(number))
            compare.close(
                torch.tensor(group["betas"], dtype=torch.float64),
                np.array([expected, second[number]]),
                bound=np.array([16 * UNIT, 0.0]),
                dtype=torch.float64,
                what=f"betas of group {number} at epoch {epoch}",
            )
        train(optimizer)
        scheduler.step()


@law("scheduler.one-cycle-length", docs="torch.optim.lr_scheduler.OneCycleLR")
@given(
    epochs=st.integers(1, 4),
    length=st.integers(3, 5),
    strategy=st.sampled_from(["linear", "cos"]),
)
def test_one_cycle_length(target, epochs, length, strategy):
    """Epochs times steps per epoch make the same cycle as as many total steps.

    total_steps counts if all are given.
    """
    options = {"max_lr": 0.5, "pct_start": 0.5, "anneal_strategy": strategy}
    ways = (
        {"total_steps": epochs * length},
        {"epochs": epochs, "steps_per_epoch": length},
        {"total_steps": epochs * length, "epochs": epochs + 1, "steps_per_epoch": length + 1},
    )
    paths = []
    for way in ways:
        optimizer = optimizer_over([1.0], target.device)
        scheduler = scheduler_over("OneCycleLR", optimizer, options, **way)
        paths.append(list(scheduler.get_last_lr()))
        for _ in range(epochs * length - 1):
            train(optimizer)
            scheduler.step()
            paths[-1] += scheduler.get_last_lr()
    peak = max(paths[0])
    compare.fact(peak <= 0.5 and peak > 0.3, True, "a peak near max_lr")
    compare.fact(paths[1], paths[0], "rates by epochs and steps per epoch")
    compare.fact(paths[2], paths[0], "rates by total_steps, all given")


@law("scheduler.tensor-rate", docs="torch.optim.lr_scheduler.LRScheduler", over=SCHEDULERS)
@given(schedule=schedule_of, dtype=st.sampled_from([torch.float64, torch.float32]))
def test_tensor_rate(target, case, schedule, dtype):
    """A learning rate that is a tensor stays that tensor, with new values; get_last_lr copies.

    Writing to a copy changes neither the group's rate nor the initial one.
    """
    tensors = [torch.tensor(rate, dtype=dtype, device=target.device) for rate in schedule.rates]
    exact = type(schedule)(tuple(map(float, tensors)), schedule.options, schedule.steps)
    optimizer = optimizer_over(tensors, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    initial = [float(group["initial_lr"]) for group in optimizer.param_groups]
    rates, told, dtypes = [], [], []
    for _ in range(schedule.steps):
        copies = scheduler.get_last_lr()
        told.append(told_by(scheduler))
        dtypes += [copy.dtype for copy in copies]
        for copy in copies:
            copy.fill_(7.0)
        rates.append(rates_of(optimizer))
        scheduler.step()
    rates.append(rates_of(optimizer))
    kept = [float(group["initial_lr"]) for group in optimizer.param_groups]
    compare.fact(kept, initial, "initial rates after all steps")
    same = [g["lr"] is t for g, t in zip(optimizer.param_groups, tensors, strict=True)]
    compare.fact(same, [True] * len(tensors), "each group's rate is the same tensor")
    compare.fact(dtypes, [dtype] * len(dtypes), "dtypes of the rates from get_last_lr")
    check_history(case, exact, range(len(rates)), rates, torch.finfo(dtype).eps)
    compare.fact(told, rates[:-1], "get_last_lr, step by step")


@law("scheduler.outside-change", docs=page, over=MULTIPLYING)
@given(
    schedule=schedule_of,
    changes=st.lists(st.sampled_from([1.0, 0.5, 3.0]), min_size=16, max_size=16),
)
def test_outside_change(target, case, schedule, changes):
    """Decay happens together with changes of the learning rate from outside the scheduler."""
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    outside, rates = 1.0, []
    for change in changes[: schedule.steps]:
        for group in optimizer.param_groups:
            group["lr"] *= change
        scheduler.step()
        outside *= change
        rates.append([rate / outside for rate in rates_of(optimizer)])
    check_history(case, schedule, range(1, schedule.steps + 1), rates, 16 * UNIT)


class Fading(torch.optim.lr_scheduler.LRScheduler):
    """A scheduler of one's own: the initial rate over the number of the epoch."""

    def get_lr(self):
        return [base / (1 + self.last_epoch) for base in self.base_lrs]


class FadingInOneGo(Fading):
    """One that has a formula of its own for a given epoch."""

    def _get_closed_form_lr(self):
        return [base / (2 + self.last_epoch) for base in self.base_lrs]


@law("scheduler.subclass", docs="torch.optim.lr_scheduler.LRScheduler")
@given(schedule=schedules("ExponentialLR"), jump=st.integers(0, 9))
def test_subclass(target, schedule, jump):
    """A subclass that has get_lr is a scheduler; step(epoch) uses its closed form if it has one."""
    for kind, ahead in ((Fading, 1), (FadingInOneGo, 2)):
        optimizer = optimizer_over(schedule.rates, target.device)
        scheduler = kind(optimizer)
        for epoch in range(schedule.steps + 1):
            expected = [base / (1 + epoch) for base in schedule.rates]
            check_values(optimizer, "lr", expected, [0.0] * len(expected), f"at epoch {epoch}")
            train(optimizer)
            scheduler.step()
        scheduler.step(jump)
        expected = [base / (ahead + jump) for base in schedule.rates]
        check_values(optimizer, "lr", expected, [0.0] * len(expected), f"by step({jump})")
        compare.fact(told_by(scheduler), rates_of(optimizer), f"get_last_lr by step({jump})")
