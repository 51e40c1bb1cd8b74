"""Composed schedulers: one after the other, several at once, and what cannot be composed."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.schedulers import CLOSED_FORMS, ROUNDINGS
from conformance.scenarios.scheduling import (
    UNIT,
    check_values,
    closed_form,
    optimizer_over,
    rates_of,
    roundings,
    scheduler_class,
    scheduler_over,
    told_by,
    train,
)
from conformance.scenarios.transports import copied, through_file
from strategies import compositions, schedules
from strategies.schedulers import SCHEDULES

CHAINABLE = (
    "StepLR",
    "MultiplicativeLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
)
SEQUENTIAL = (
    "StepLR",
    "LambdaLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
)
SECOND = {name: name for name in (*SEQUENTIAL, "MultiplicativeLR", "CyclicLR")}
GAPS = st.tuples(st.integers(0, 5), st.integers(1, 5))
PAGES = {
    "SequentialLR": "torch.optim.lr_scheduler.SequentialLR",
    "ChainedScheduler": "torch.optim.lr_scheduler.ChainedScheduler",
}


def plain_parts(parts):
    """The same schedulers with their plainest options, but the functions that a user hands in."""
    return [
        (
            name,
            {
                key: schedule.options[key] if key in ("lr_lambda", "scale_fn") else values[0]
                for key, values in SCHEDULES[name].items()
            },
        )
        for name, schedule in parts
    ]


def joined(kind, optimizer, members, milestones):
    """The composition of schedulers; a chain has no milestones."""
    if kind == "SequentialLR":
        return scheduler_class(kind)(optimizer, members, milestones)
    return scheduler_class(kind)(members, optimizer=optimizer)


def made(kind, optimizer, parts, milestones):
    """The composition of schedulers given by name and options."""
    members = [scheduler_over(name, optimizer, options) for name, options in parts]
    return joined(kind, optimizer, members, milestones)


def milestones_of(gaps, parts):
    """Milestones between the parts; the first may be 0, later ones follow."""
    first, second = gaps
    return [first, first + second][: len(parts) - 1]


def part_at(epoch, milestones):
    """Which part is at work, and its own epoch: it starts at 0 at its milestone."""
    number = sum(milestone <= epoch for milestone in milestones)
    return number, epoch - ([0, *milestones][number])


def sequential_rates(parts, milestones, epochs):
    """Rates by epoch and group, and their bounds."""
    rates, bounds = [], []
    for epoch in epochs:
        number, own = part_at(epoch, milestones)
        name, schedule = parts[number]
        rates += closed_form(name, schedule, [own])
        bounds += roundings(name, schedule, [own], 2 * UNIT)
    return np.array(rates), np.array(bounds)


def chained_rates(parts, epochs):
    """Rates by epoch and group: the product of all factors; and their bounds, likewise."""
    bases = parts[0][1].rates
    rates, bounds = np.ones((len(epochs), len(bases))), np.zeros((len(epochs), len(bases)))
    for row, epoch in enumerate(epochs):
        for group, base in enumerate(bases):
            own = [(name, schedule.options_of(group)) for name, schedule in parts]
            factors = [CLOSED_FORMS[name](1.0, epoch, **options) for name, options in own]
            parts_of_steps = [options.get("total_iters", 1) for _, options in own]
            rates[row, group] = base * np.prod(factors)
            # A linear factor that ends at 0 gets there but for its own roundings.
            ends = [o.get("end_factor") == 0 for _, o in own]
            size = np.prod([max(f, 1.0) if any(ends) else f for f in factors])
            bounds[row, group] = ROUNDINGS * (epoch + 1) * sum(parts_of_steps) * UNIT * base * size
    return rates, bounds


def expected_of(kind, parts, milestones, epochs):
    if kind == "SequentialLR":
        return sequential_rates(parts, milestones, epochs)
    return chained_rates(parts, epochs)


def check_composition(kind, parts, milestones, epochs, rates, told):
    """Compare the rates that all groups had at some epochs, and what get_last_lr told then."""
    expected, bound = expected_of(kind, parts, milestones, epochs)
    compare.close(
        torch.tensor(rates, dtype=torch.float64),
        expected,
        bound=bound,
        dtype=torch.float64,
        what="learning rates by step and group",
    )
    compare.fact(told, rates, "get_last_lr, step by step")


def follow(scheduler, optimizer, steps):
    """Rates, and what get_last_lr tells, before and after each of some steps."""
    rates, told = [rates_of(optimizer)], [told_by(scheduler)]
    for _ in range(steps):
        train(optimizer)
        scheduler.step()
        rates.append(rates_of(optimizer))
        told.append(told_by(scheduler))
    return rates, told


@law("scheduler.sequential", docs=PAGES["SequentialLR"])
@given(parts=compositions(SEQUENTIAL), gaps=GAPS, steps=st.integers(1, 14))
def test_sequential(target, parts, gaps, steps):
    """At each milestone the next scheduler takes over, from its own start at the initial rates.

    At epoch t the n-th scheduler is at work, n being how many milestones t has reached, at its
    own epoch t - milestone. A first milestone of 0 leaves the first scheduler no epoch.
    """
    milestones = milestones_of(gaps, parts)
    optimizer = optimizer_over(parts[0][1].rates, target.device)
    own = [(name, schedule.options) for name, schedule in parts]
    scheduler = made("SequentialLR", optimizer, own, milestones)
    rates, told = follow(scheduler, optimizer, steps)
    check_composition("SequentialLR", parts, milestones, range(steps + 1), rates, told)
    compare.fact(scheduler.last_epoch, steps, "last_epoch")


@law("scheduler.sequential-second", docs=PAGES["SequentialLR"], level="should", over=SECOND)
@given(schedule=lambda case: schedules(case), milestone=st.integers(1, 5), steps=st.integers(1, 9))
def test_sequential_second(target, case, schedule, milestone, steps):
    """A scheduler that comes second starts from its beginning, whatever rate the first left."""
    optimizer = optimizer_over(schedule.rates, target.device)
    options = {**schedule.options}
    if case == "CyclicLR":
        options["cycle_momentum"] = False
    first = {"factor": 0.25, "total_iters": 100}
    own = [("ConstantLR", first), (case, options)]
    scheduler = made("SequentialLR", optimizer, own, [milestone])
    rates, told = follow(scheduler, optimizer, milestone + steps)
    second = [(case, schedule)]
    check_composition(
        "SequentialLR", second, [], range(steps + 1), rates[milestone:], told[milestone:]
    )


@law("scheduler.chained", docs=PAGES["ChainedScheduler"])
@given(parts=compositions(CHAINABLE), steps=st.integers(1, 10))
def test_chained(target, parts, steps):
    """Chained schedulers all step at once: the rate is the initial one by all their factors."""
    optimizer = optimizer_over(parts[0][1].rates, target.device)
    own = [(name, schedule.options) for name, schedule in parts]
    scheduler = made("ChainedScheduler", optimizer, own, [])
    rates, told = follow(scheduler, optimizer, steps)
    check_composition("ChainedScheduler", parts, [], range(steps + 1), rates, told)


TRANSPORTS = {
    "sequential": ("SequentialLR", copied),
    "sequential-through-file": ("SequentialLR", through_file),
    "chained": ("ChainedScheduler", copied),
    "chained-through-file": ("ChainedScheduler", through_file),
}


@law("scheduler.composed-state", docs=lambda case: PAGES[case[0]], over=TRANSPORTS)
@given(
    parts=lambda case: compositions(SEQUENTIAL if case[0] == "SequentialLR" else CHAINABLE),
    gaps=GAPS,
    taken=st.integers(0, 9),
    steps=st.integers(1, 9),
)
def test_composed_state(target, case, parts, gaps, taken, steps):
    """The state of a composition holds those of its schedulers, and goes on where it was.

    In a new composition of the same schedulers, made with other options and milestones.
    """
    kind, transport = case
    milestones = milestones_of(gaps, parts)
    optimizer = optimizer_over(parts[0][1].rates, target.device)
    own = [(name, schedule.options) for name, schedule in parts]
    scheduler = made(kind, optimizer, own, milestones)
    follow(scheduler, optimizer, taken)
    states = transport((optimizer.state_dict(), scheduler.state_dict()))
    keys = sorted(states[1])

    optimizer = optimizer_over([0.25] * len(parts[0][1].rates), target.device)
    others = [n + 11 for n in range(len(parts) - 1)]
    scheduler = made(kind, optimizer, plain_parts(parts), others)
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    compare.fact(sorted(states[1]), keys, "entries of the loaded state")
    rates, told = follow(scheduler, optimizer, steps)
    epochs = range(taken, taken + steps + 1)
    check_composition(kind, parts, milestones, epochs, rates, told)


def chain_of(optimizer):
    """Two schedulers at once, their rates at epochs 0 to 4 from 1."""
    parts = [("ExponentialLR", {"gamma": 0.5}), ("ConstantLR", {"factor": 0.25, "total_iters": 2})]
    return made("ChainedScheduler", optimizer, parts, []), (0.25, 0.125, 0.25, 0.125, 0.0625)


def sequence_of(optimizer):
    """Two schedulers in turn, their rates at epochs 0 to 4 from 1."""
    parts = [
        ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
        ("ExponentialLR", {"gamma": 0.5}),
    ]
    return made("SequentialLR", optimizer, parts, [2]), (0.25, 0.25, 1.0, 0.5, 0.25)


NESTED = {
    "chain-first": (chain_of, "SequentialLR", 0),
    "chain-second": (chain_of, "SequentialLR", 3),
    "chain-in-chain": (chain_of, "ChainedScheduler", 0),
    "sequence-first": (sequence_of, "SequentialLR", 0),
    "sequence-second": (sequence_of, "SequentialLR", 3),
    "sequence-in-chain": (sequence_of, "ChainedScheduler", 0),
}


@law("scheduler.nested", docs=lambda case: PAGES[case[1]], level="should", over=NESTED)
@given(base=st.sampled_from([1.0, 0.5, 2.0]))
def test_nested(target, case, base):
    """A composition is a scheduler: inside another one its rates are what they are on their own.

    Alone in a chain or a sequence, or after a milestone.
    """
    compose, kind, begin = case
    alone = optimizer_over([base], target.device)
    scheduler, expected = compose(alone)
    rates, _ = follow(scheduler, alone, 4)
    path = [[base * rate] for rate in expected]
    compare.fact(rates, path, "rates of the composition alone")
    optimizer = optimizer_over([base], target.device)
    before = [scheduler_over("LambdaLR", optimizer, {"lr_lambda": "halving"})] if begin else []
    members = [*before, compose(optimizer)[0]]
    try:
        rates, _ = follow(
            joined(kind, optimizer, members, [begin][: len(before)]), optimizer, begin + 4
        )
    except NotImplementedError:
        # From a method that a composition lacks: no word of the target about an operation.
        raise AssertionError("rates of the composition in another: it cannot step") from None
    compare.fact(rates[begin:], path, "rates of the composition in another")


def decay(optimizer):
    return scheduler_over("StepLR", optimizer, {"step_size": 2, "gamma": 0.5})


def on_another(optimizer):
    return decay(optimizer_over([1.0], torch.device("cpu")))


def on_a_plateau(optimizer):
    return scheduler_over("ReduceLROnPlateau", optimizer, {})


def no_scheduler(optimizer):
    return 0.5


# The schedulers, the milestones, the error.
REJECTED = {
    "sequence-of-none": ("SequentialLR", (), [], ValueError, "at least one scheduler"),
    "sequence-without-milestone": (
        "SequentialLR",
        (decay, decay),
        [],
        ValueError,
        "one more than the number of milestone points",
    ),
    "sequence-with-too-many-milestones": (
        "SequentialLR",
        (decay, decay),
        [1, 2],
        ValueError,
        "one more than the number of milestone points",
    ),
    "sequence-of-two-optimizers": (
        "SequentialLR",
        (decay, on_another),
        [1],
        ValueError,
        "expects all schedulers to belong to the same optimizer.* at index 1",
    ),
    "sequence-with-plateau": (
        "SequentialLR",
        (decay, on_a_plateau),
        [1],
        ValueError,
        "does not support `ReduceLROnPlateau`.*at index 1",
    ),
    "sequence-of-numbers": (
        "SequentialLR",
        (decay, no_scheduler),
        [1],
        TypeError,
        "at index 1 should have `optimizer`",
    ),
    "chain-of-none": ("ChainedScheduler", (), [], ValueError, "at least one scheduler"),
    "chain-of-two-optimizers": (
        "ChainedScheduler",
        (decay, on_another),
        [],
        ValueError,
        "expects all schedulers to belong to the same optimizer.* at index 1",
    ),
    "chain-with-plateau": (
        "ChainedScheduler",
        (on_a_plateau, decay),
        [],
        ValueError,
        "does not support `ReduceLROnPlateau`.*at index 0",
    ),
    "chain-of-numbers": (
        "ChainedScheduler",
        (decay, no_scheduler),
        [],
        TypeError,
        "at index 1 should have `optimizer`",
    ),
}


@law("scheduler.composition-rejects", docs=lambda case: PAGES[case[0]], over=REJECTED)
@given(rate=st.sampled_from([1.0, 0.5, 0.1]))
def test_composition_rejects(target, case, rate):
    """A composition takes schedulers of its own optimizer that step without metrics, and enough.

    One milestone fewer than schedulers.
    """
    kind, makers, milestones, error, message = case
    optimizer = optimizer_over([rate], target.device)
    legal = joined(kind, optimizer, [decay(optimizer), decay(optimizer)], [1])
    compare.fact(told_by(legal), [rate], "get_last_lr of a legal composition")
    members = [make(optimizer) for make in makers]
    with compare.raises(error, message):
        joined(kind, optimizer, members, milestones)
    check_values(optimizer, "lr", [rate], [0.0], "after the rejection")
