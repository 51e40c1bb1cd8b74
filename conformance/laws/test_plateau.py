"""ReduceLROnPlateau: when a rate falls, how far, and what the scheduler keeps of it."""

from math import inf, isfinite, nan

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.plateau import plateau_rates, reduced_rate
from conformance.scenarios.scheduling import (
    UNIT,
    check_values,
    optimizer_over,
    rates_of,
    scheduler_over,
    told_by,
    train,
)
from conformance.scenarios.transports import TRANSPORTS
from strategies import metric_histories, schedules

PAGE = "torch.optim.lr_scheduler.ReduceLROnPlateau"
PLATEAUS = schedules("ReduceLROnPlateau")


def expected_rates(schedule, metrics):
    """The rate of every group after each metric."""
    paths = [
        plateau_rates(base, metrics, **schedule.options_of(n))
        for n, base in enumerate(schedule.rates)
    ]
    return np.array(paths).T


def check_rates(rates, schedule, metrics):
    """Compare rates by step and group with the reference; each reduction rounds once."""
    expected = expected_rates(schedule, metrics)[-len(rates) :]
    compare.close(
        torch.tensor(rates, dtype=torch.float64),
        expected,
        bound=4 * len(metrics) * UNIT * expected,
        dtype=torch.float64,
        what="learning rates by metric and group",
    )


def as_number(metric):
    return metric


def as_tensor(metric):
    return torch.tensor(metric, dtype=torch.float64)


def as_array(metric):
    return np.float64(metric)


def as_leaf(metric):
    return torch.tensor(metric, dtype=torch.float32, requires_grad=True)


METRICS = {
    "number": as_number,
    "tensor": as_tensor,
    "numpy": as_array,
    "tensor-requiring-grad": as_leaf,
}


@law("plateau.rules", docs=PAGE, over=METRICS)
@given(schedule=PLATEAUS, metrics=metric_histories())
def test_rules(target, case, schedule, metrics):
    """The rates fall when more than ``patience`` epochs in a row brought no improvement.

    By ``factor``, not below a group's ``min_lr``, and by at least ``eps``; not in ``cooldown``.
    An improvement passes the best metric by the relative or absolute threshold.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, schedule.options)
    compare.fact(told_by(scheduler), list(schedule.rates), "get_last_lr before the first metric")
    rates, told = [], []
    for metric in metrics:
        train(optimizer)
        scheduler.step(case(metric))
        rates.append(rates_of(optimizer))
        told.append(told_by(scheduler))
    check_rates(rates, schedule, metrics)
    compare.fact(told, rates, "get_last_lr, step by step")
    compare.fact(scheduler.last_epoch, len(metrics), "last_epoch")


# The first metric, and the threshold.
FIRST = {
    "ordinary": (1.0, 0.0),
    "infinite": (inf, 0.0),
    "not-a-number": (nan, 0.0),
    "threshold-of-one": (1.0, 1.0),
}


@law("plateau.first-epoch-is-good", docs=PAGE, over=FIRST)
@given(rate=st.sampled_from([0.5, 0.1, 1.0]))
def test_first_epoch_is_good(target, case, rate):
    """The first epoch is always considered good, as there is no previous baseline."""
    metric, threshold = case
    optimizer = optimizer_over([rate], target.device)
    options = {"patience": 0, "factor": 0.5, "threshold": threshold}
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, options)
    scheduler.step(metric)
    check_values(optimizer, "lr", [rate], [0.0], "after the first metric")
    if isfinite(metric):
        scheduler.step(metric + 1.0)
        check_values(optimizer, "lr", [rate / 2], [0.0], "after a worse metric")


# Where later metrics stand, and whether the rate is then reduced.
LATER = {"better": (0.5, False), "worse": (1.5, True), "the-same": (1.0, False)}


@law("plateau.without-patience", docs=PAGE, over=LATER)
@given(rate=st.sampled_from([0.5, 0.1, 1.0]), threshold_mode=st.sampled_from(["rel", "abs"]))
def test_without_patience(target, case, rate, threshold_mode):
    """With no patience a worse epoch reduces the rate; a better or equal one does not."""
    part, reduced = case
    optimizer = optimizer_over([rate], target.device)
    options = {"patience": 0, "factor": 0.5, "threshold_mode": threshold_mode}
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, options)
    for metric in (1.0, part):
        scheduler.step(metric)
    expected = [rate / 2 if reduced else rate]
    check_values(optimizer, "lr", expected, [0.0], "after the second metric")


# The rate, the lower bound, and eps, for a factor of 1/2.
DECAYS = {
    "larger": (1.0, 0.0, 0.25),
    "smaller": (1.0, 0.0, 0.75),
    "equal": (1.0, 0.0, 0.5),
    "smaller-by-bound": (1.0, 0.875, 0.25),
    "bound-above-rate": (0.25, 0.5, 0.0),
}


@law("plateau.minimal-decay", docs=PAGE, over=DECAYS)
@given(other=st.sampled_from([1.0, 4.0]))
def test_minimal_decay(target, case, other):
    """A reduction by less than eps is ignored, for each group by itself; others count."""
    rate, lowest, eps = case
    optimizer = optimizer_over([rate, other], target.device)
    options = {"patience": 0, "factor": 0.5, "min_lr": [lowest, 0.0], "eps": eps}
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, options)
    for metric in (1.0, 2.0):
        scheduler.step(metric)
    expected = [
        reduced_rate(base, factor=0.5, min_lr=bound, eps=eps)
        for base, bound in ((rate, lowest), (other, 0.0 * lowest))
    ]
    check_values(optimizer, "lr", expected, [0.0, 0.0], "after a reduction")


@law("plateau.state-goes-on", docs=PAGE, over=TRANSPORTS)
@given(schedule=PLATEAUS, metrics=metric_histories(), taken=st.integers(0, 15))
def test_state_goes_on(target, case, schedule, metrics, taken):
    """A scheduler that loads another's state goes on where that one was, with its options.

    Best metric, bad epochs and cooldown among them. state_dict has an entry for every variable.
    """
    taken = min(taken, len(metrics) - 1)
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, schedule.options)
    for metric in metrics[:taken]:
        scheduler.step(metric)
    states = case((optimizer.state_dict(), scheduler.state_dict()))
    compare.fact(set(states[1]), set(vars(scheduler)) - {"optimizer"}, "entries of the state")

    optimizer = optimizer_over([0.25] * len(schedule.rates), target.device)
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, {"mode": "max", "patience": 9})
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    compare.fact(told_by(scheduler), rates_of(optimizer), "get_last_lr after loading")
    rates = []
    for metric in metrics[taken:]:
        scheduler.step(metric)
        rates.append(rates_of(optimizer))
    check_rates(rates, schedule, metrics)
    compare.fact(scheduler.last_epoch, len(metrics), "last_epoch")


@law("plateau.tensor-rate", docs=PAGE)
@given(schedule=PLATEAUS, metrics=metric_histories())
def test_tensor_rate(target, schedule, metrics):
    """A learning rate that is a tensor stays that tensor, with new values; get_last_lr copies."""
    tensors = [
        torch.tensor(rate, dtype=torch.float64, device=target.device) for rate in schedule.rates
    ]
    optimizer = optimizer_over(tensors, target.device)
    scheduler = scheduler_over("ReduceLROnPlateau", optimizer, schedule.options)
    rates = []
    for metric in metrics:
        for copy_of_rate in scheduler.get_last_lr():
            copy_of_rate.fill_(7.0)
        scheduler.step(metric)
        rates.append(rates_of(optimizer))
    check_rates(rates, schedule, metrics)
    same = [g["lr"] is t for g, t in zip(optimizer.param_groups, tensors, strict=True)]
    compare.fact(same, [True] * len(tensors), "each group's rate is the same tensor")


@law("plateau.new-group", docs=PAGE, level="should")
@given(
    lowest=st.sampled_from([0.0, 0.4, 0.1]),
    rates=st.lists(st.sampled_from([1.0, 0.5, 0.3]), min_size=2, max_size=3),
    waits=st.integers(0, 3),
)
def test_new_group(target, lowest, rates, waits):
    """A group added later is reduced with the others, down to a min_lr that is for all.

    A list of bounds does not reach it: the next reduction raises RuntimeError.
    """
    metrics = [1.0 + n for n in range(waits + 3)]
    for bound in (lowest, [lowest]):
        optimizer = optimizer_over(rates[:1], target.device)
        options = {"patience": 0, "factor": 0.5, "min_lr": bound}
        scheduler = scheduler_over("ReduceLROnPlateau", optimizer, options)
        for metric in metrics[: waits + 1]:
            scheduler.step(metric)
        first = rates_of(optimizer)[0]
        for rate in rates[1:]:
            optimizer.add_param_group({"params": [torch.zeros(1)], "lr": rate})
        if bound == [lowest]:
            with compare.raises(RuntimeError, "number of param groups in the `optimizer`"):
                scheduler.step(metrics[-2])
            check_values(optimizer, "lr", [first, *rates[1:]], [0.0] * len(rates), "as before")
            continue
        for metric in metrics[-2:]:
            scheduler.step(metric)
        expected = [first, *rates[1:]]
        for _ in range(2):
            expected = [reduced_rate(r, factor=0.5, min_lr=lowest, eps=1e-8) for r in expected]
        check_values(optimizer, "lr", expected, [0.0] * len(rates), "after two reductions")


REJECTED = {
    "factor-of-one": ({"factor": 1.0}, "Factor should be < 1.0"),
    "unknown-mode": ({"mode": "middle"}, "mode middle is unknown"),
    "unknown-threshold-mode": ({"threshold_mode": "log"}, "threshold mode log is unknown"),
    "too-few-bounds": ({"min_lr": [0.1]}, r"expected 2 min_lrs, got 1"),
    "too-many-bounds": ({"min_lr": [0.1, 0.1, 0.1]}, r"expected 2 min_lrs, got 3"),
}


@law("plateau.rejects", docs=PAGE, over=REJECTED)
@given(rates=st.lists(st.sampled_from([1.0, 0.5, 0.3]), min_size=2, max_size=2))
def test_rejects(target, case, rates):
    """A factor that does not reduce, an unknown mode, or bounds for other groups raise ValueError.

    The groups stay as they are.
    """
    bad, message = case
    optimizer = optimizer_over(rates, target.device)
    scheduler_over("ReduceLROnPlateau", optimizer, {"factor": 0.5, "min_lr": [0.1, 0.2]})
    with compare.raises(ValueError, message):
        scheduler_over("ReduceLROnPlateau", optimizer, bad)
    check_values(optimizer, "lr", rates, [0.0, 0.0], "after the rejection")
