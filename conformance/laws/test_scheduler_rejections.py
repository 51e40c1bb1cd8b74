"""What schedulers reject: options outside their documented range, and too many steps."""

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.schedulers import CLOSED_FORMS
from conformance.scenarios.scheduling import (
    optimizer_over,
    rates_of,
    scheduler_class,
    scheduler_over,
    told_by,
    train,
)
from strategies import schedules
from strategies.schedulers import SCHEDULES

SCHEDULERS = {name: name for name in (*CLOSED_FORMS, "ReduceLROnPlateau")}
LENGTH = "must have the same length as optimizer.param_groups. {} has 1 values, param_groups has 2"
NO_MOMENTUM = "optimizer must support momentum or beta1 with `cycle_momentum`"
START = "Starting multiplicative factor expected to be greater than 0"
END = "Ending multiplicative factor expected to be between 0 and 1"
FACTOR = "Constant multiplicative factor expected to be between 0 and 1"
PERCENTAGE = "Expected float between 0 and 1 pct_start"
STRATEGY = "one of 'cos' or 'linear'"
NO_LENGTH = {"total_steps": None}
# Class, what is wrong with its options, and the message of the ValueError. There are two groups.
REJECTED = {
    "lambda-for-one-group": ("LambdaLR", {"lr_lambda": ["halving"]}, "Expected 2 lr_lambdas"),
    "factor-for-one-group": (
        "MultiplicativeLR",
        {"lr_lambda": ["halving"]},
        "Expected 2 lr_lambdas",
    ),
    "constant-above-one": ("ConstantLR", {"factor": 1.125}, FACTOR),
    "constant-negative": ("ConstantLR", {"factor": -0.125}, FACTOR),
    "linear-from-zero": ("LinearLR", {"start_factor": 0.0}, START),
    "linear-from-above-one": ("LinearLR", {"start_factor": 1.125}, START),
    "linear-to-negative": ("LinearLR", {"end_factor": -0.125}, END),
    "linear-to-above-one": ("LinearLR", {"end_factor": 1.125}, END),
    "restart-at-zero": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 0},
        "Expected positive integer T_0, but got 0",
    ),
    "restart-at-fraction": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 2.5},
        "Expected positive integer T_0, but got 2.5",
    ),
    "shrinking-periods": (
        "CosineAnnealingWarmRestarts",
        {"T_mult": 0},
        "Expected integer T_mult >= 1, but got 0",
    ),
    "fractional-growth": (
        "CosineAnnealingWarmRestarts",
        {"T_mult": 1.5},
        "Expected integer T_mult >= 1, but got 1.5",
    ),
    "text-for-a-rate": (
        "CosineAnnealingWarmRestarts",
        {"eta_min": "0"},
        "Expected float or int eta_min",
    ),
    "cyclic-mode": ("CyclicLR", {"mode": "square", "scale_fn": None}, "mode is invalid"),
    "cyclic-base-for-one-group": ("CyclicLR", {"base_lr": [0.1]}, "base_lr " + LENGTH),
    "cyclic-peak-for-one-group": ("CyclicLR", {"max_lr": [0.5]}, "max_lr " + LENGTH),
    "cycle-of-no-steps": (
        "OneCycleLR",
        {"total_steps": 0},
        "Expected positive integer total_steps, but got 0",
    ),
    "cycle-of-fractional-steps": (
        "OneCycleLR",
        {"total_steps": 2.5},
        "Expected positive integer total_steps, but got 2.5",
    ),
    "cycle-of-unknown-length": ("OneCycleLR", NO_LENGTH, "must define either total_steps OR"),
    "cycle-of-epochs-alone": (
        "OneCycleLR",
        {"total_steps": None, "epochs": 2},
        "must define either total_steps OR",
    ),
    "cycle-of-no-epochs": (
        "OneCycleLR",
        {"total_steps": None, "epochs": 0, "steps_per_epoch": 2},
        "Expected positive integer epochs, but got 0",
    ),
    "cycle-of-empty-epochs": (
        "OneCycleLR",
        {"total_steps": None, "epochs": 2, "steps_per_epoch": 0},
        "Expected positive integer steps_per_epoch, but got 0",
    ),
    "rise-above-one": ("OneCycleLR", {"pct_start": 1.125}, PERCENTAGE),
    "rise-negative": ("OneCycleLR", {"pct_start": -0.125}, PERCENTAGE),
    "cycle-strategy": ("OneCycleLR", {"anneal_strategy": "cubic"}, STRATEGY),
    "cycle-peak-for-one-group": ("OneCycleLR", {"max_lr": [0.5]}, "max_lr " + LENGTH),
    "averaging-strategy": ("SWALR", {"anneal_strategy": "cubic"}, STRATEGY),
    "averaging-negative-epochs": (
        "SWALR",
        {"anneal_epochs": -1},
        "anneal_epochs must be equal or greater than 0",
    ),
    "averaging-rate-for-one-group": ("SWALR", {"swa_lr": [0.5]}, "swa_lr " + LENGTH),
}


def page(case):
    return "optim.html" if case[0] == "SWALR" else f"torch.optim.lr_scheduler.{case[0]}"


@law("scheduler.rejects", docs=page, over=REJECTED)
@given(schedule=lambda case: schedules(case[0]))
def test_rejects(target, case, schedule):
    """A scheduler rejects options outside their documented range with ValueError.

    Lists must have a value for each group. The optimizer can still be given a legal scheduler.
    """
    name, bad, message = case
    plain = {key: values[0] for key, values in SCHEDULES[name].items()}
    rates = [schedule.rates[0], schedule.rates[-1]]
    legal = scheduler_over(name, optimizer_over(rates, target.device), plain)
    compare.fact(legal.last_epoch, 0, "last_epoch with legal options")
    optimizer = optimizer_over(rates, target.device)
    with compare.raises(ValueError, message.replace("{}", next(iter(bad)))):
        scheduler_over(name, optimizer, {**plain, **bad})
    made = scheduler_over(name, optimizer, plain)
    compare.fact(told_by(made), told_by(legal), "get_last_lr of a legal one, after the rejection")


@law("scheduler.needs-functions", docs="torch.optim.lr_scheduler.MultiplicativeLR", level="should")
@given(rate=st.sampled_from([1.0, 0.5]))
def test_needs_functions(target, rate):
    """MultiplicativeLR takes functions of an epoch: others raise TypeError."""
    optimizer = optimizer_over([rate], target.device)
    scheduler_over("MultiplicativeLR", optimizer, {"lr_lambda": "halving"})
    with compare.raises(TypeError, "lr_lambda should be a function, but got float"):
        scheduler_class("MultiplicativeLR")(optimizer, lr_lambda=0.5)


@law(
    "scheduler.needs-optimizer",
    docs="torch.optim.lr_scheduler.LRScheduler",
    level="should",
    over=SCHEDULERS,
)
@given(schedule=lambda case: schedules(case))
def test_needs_optimizer(target, case, schedule):
    """A scheduler takes an optimizer: what only looks like one raises TypeError."""

    class Imitation:
        def __init__(self, groups):
            self.param_groups = groups
            self.defaults = {"momentum": 0.0}

    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    compare.fact(scheduler.optimizer is optimizer, True, "its optimizer")
    with compare.raises(TypeError, "Imitation is not an Optimizer"):
        scheduler_over(case, Imitation(optimizer.param_groups), schedule.options)


WITHOUT_MOMENTUM = {name: (name, "Adagrad") for name in ("CyclicLR", "OneCycleLR")}


@law("scheduler.needs-momentum", docs=page, over=WITHOUT_MOMENTUM)
@given(schedule=lambda case: schedules(case[0]))
def test_needs_momentum(target, case, schedule):
    """Momentum is cycled if the optimizer has one, or betas; else it raises ValueError.

    Without cycle_momentum any optimizer will do.
    """
    name, kind = case
    for legal, cycled in (("SGD", True), ("Adam", True), (kind, False)):
        optimizer = optimizer_over(schedule.rates, target.device, legal)
        made = scheduler_over(name, optimizer, {**schedule.options, "cycle_momentum": cycled})
        compare.fact(made.last_epoch, 0, f"last_epoch under {legal}")
    optimizer = optimizer_over(schedule.rates, target.device, kind)
    with compare.raises(ValueError, NO_MOMENTUM):
        scheduler_over(name, optimizer, {**schedule.options, "cycle_momentum": True})


@law("scheduler.no-negative-epoch", docs="torch.optim.lr_scheduler.CosineAnnealingWarmRestarts")
@given(schedule=schedules("CosineAnnealingWarmRestarts"), eighths=st.integers(1, 16))
def test_no_negative_epoch(target, schedule, eighths):
    """Warm restarts take an epoch from 0 on: a negative one raises ValueError, changing nothing."""
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over("CosineAnnealingWarmRestarts", optimizer, schedule.options)
    scheduler.step(eighths / 8)
    before = rates_of(optimizer)
    with compare.raises(ValueError, "Expected non-negative epoch"):
        scheduler.step(-eighths / 8)
    compare.fact(rates_of(optimizer), before, "rates after the rejection")
    compare.fact(told_by(scheduler), before, "get_last_lr after the rejection")
    compare.fact(scheduler.last_epoch, eighths // 8, "last_epoch after the rejection")


@law("scheduler.one-cycle-ends", docs="torch.optim.lr_scheduler.OneCycleLR", level="should")
@given(steps=st.integers(4, 8))
def test_one_cycle_ends(target, steps):
    """A cycle of n steps takes n steps, as a training loop does, and raises at the next."""
    optimizer = optimizer_over([1.0], target.device)
    scheduler = scheduler_over(
        "OneCycleLR", optimizer, {"max_lr": 0.5, "total_steps": steps, "pct_start": 0.5}
    )
    for _ in range(steps):
        train(optimizer)
        scheduler.step()
    with compare.raises(ValueError, f"Tried to step {steps + 1} times"):
        scheduler.step()
