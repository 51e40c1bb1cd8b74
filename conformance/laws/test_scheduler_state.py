"""Schedulers' state: what is saved, how a schedule goes on, what must not be forgotten."""

import warnings

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.schedulers import CLOSED_FORMS, halving, stepping
from conformance.scenarios.scheduling import (
    check_history,
    check_values,
    optimizer_over,
    rates_of,
    scheduler_class,
    scheduler_over,
    told_by,
    train,
)
from conformance.scenarios.transports import copied, through_file
from strategies import schedules
from strategies.schedulers import SCHEDULES

SCHEDULERS = {name: name for name in CLOSED_FORMS}
FUNCTIONS = ("lr_lambda", "scale_fn")
# Functions that a scheduler makes of its options, which no state can hold.
UNSAVED = ("optimizer", "anneal_func")


def schedule_of(case):
    return schedules(case)


def other_options(name, options):
    """The plainest options of a scheduler, but the functions that a user hands in."""
    plain = {key: values[0] for key, values in SCHEDULES[name].items()}
    return {**plain, **{key: options[key] for key in FUNCTIONS if key in options}}


def check_goes_on(target, case, schedule, taken, transport):
    """Stop after some steps, carry the state to a new pair made otherwise, follow it to the end."""
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    for _ in range(taken):
        train(optimizer)
        scheduler.step()
    states = transport((optimizer.state_dict(), scheduler.state_dict()))
    # What the old pair does from now on is not the state's concern.
    train(optimizer)
    scheduler.step()

    optimizer = optimizer_over([0.25] * len(schedule.rates), target.device)
    scheduler = scheduler_over(case, optimizer, other_options(case, schedule.options))
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    epochs, rates, told = [scheduler.last_epoch], [rates_of(optimizer)], [told_by(scheduler)]
    for _ in range(schedule.steps - taken):
        train(optimizer)
        scheduler.step()
        epochs.append(scheduler.last_epoch)
        rates.append(rates_of(optimizer))
        told.append(told_by(scheduler))
    compare.fact(epochs, list(range(taken, schedule.steps + 1)), "last_epoch, step by step")
    check_history(case, schedule, epochs, rates)
    compare.fact(told, rates, "get_last_lr, step by step")


@law("scheduler.state-goes-on", docs="torch.optim.lr_scheduler.LRScheduler", over=SCHEDULERS)
@given(schedule=schedule_of, taken=st.integers(0, 16))
def test_state_goes_on(target, case, schedule, taken):
    """A scheduler that loads another's state goes on where that one was, with its options.

    Together with the optimizer's state; functions that a user hands in are not saved.
    """
    check_goes_on(target, case, schedule, min(taken, schedule.steps), copied)


@law(
    "scheduler.state-through-file",
    docs="torch.optim.lr_scheduler.LRScheduler",
    level="should",
    over=SCHEDULERS,
)
@given(schedule=schedule_of, taken=st.integers(0, 16))
def test_state_through_file(target, case, schedule, taken):
    """A scheduler's state can be saved, and loaded with weights_only, and goes on."""
    check_goes_on(target, case, schedule, min(taken, schedule.steps), through_file)


@law("scheduler.state-entries", docs="torch.optim.lr_scheduler.LRScheduler", over=SCHEDULERS)
@given(schedule=schedule_of)
def test_state_entries(target, case, schedule):
    """state_dict has an entry for every variable of the scheduler that is not the optimizer.

    Public variables, their values as they are; what a function is, is no value.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    for _ in range(schedule.steps):
        scheduler.step()
    state = scheduler.state_dict()
    public = {key for key in vars(scheduler) if not key.startswith("_")} - set(UNSAVED)
    compare.fact({key for key in state if not key.startswith("_")}, public, "entries")
    for key in sorted(public - {"lr_lambdas"}):
        compare.fact(state[key], getattr(scheduler, key), f"entry {key}")


@law(
    "scheduler.loading-leaves-state",
    docs="torch.optim.lr_scheduler.LRScheduler",
    level="should",
    over=SCHEDULERS,
)
@given(schedule=schedule_of)
def test_loading_leaves_state(target, case, schedule):
    """load_state_dict leaves the dictionary as it is: it can be loaded again."""
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    state = scheduler.state_dict()
    keys = sorted(state)
    scheduler.load_state_dict(state)
    compare.fact(sorted(state), keys, "entries of the loaded state")
    scheduler.load_state_dict(state)
    compare.fact(scheduler.last_epoch, 0, "last_epoch")


class Scaling:
    """A function of an epoch that is an object: it has a state."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, epoch):
        return self.factor


OBJECTS = {name: name for name in ("LambdaLR", "MultiplicativeLR", "CyclicLR")}


def made_with(name, target, *functions):
    """A scheduler over two groups by a function for each; CyclicLR takes the object for both."""
    (scaling,) = (function for function in functions if isinstance(function, Scaling))
    optimizer = optimizer_over([1.0, 1.0], target.device)
    options = (
        {"base_lr": 0.0, "max_lr": 1.0, "step_size_up": 1, "scale_fn": scaling}
        if name == "CyclicLR"
        else {"lr_lambda": list(functions)}
    )
    more = {"cycle_momentum": False} if name == "CyclicLR" else {}
    return optimizer, scheduler_class(name)(optimizer, **options, **more)


@law(
    "scheduler.function-objects",
    docs=lambda case: f"torch.optim.lr_scheduler.{case}",
    over=OBJECTS,
)
@given(
    saved=st.sampled_from([0.5, 0.25, 1.0]),
    own=st.sampled_from([0.125, 0.75]),
    order=st.sampled_from([1, -1]),
)
def test_function_objects(target, case, saved, own, order):
    """The state of functions is saved if they are callable objects, and not if functions.

    It is a copy: what the object does later, the saved state does not.
    """
    scaling = Scaling(saved)
    _, scheduler = made_with(case, target, *(scaling, halving)[::order])
    state = scheduler.state_dict()
    scaling.factor = 7.0
    receiver = Scaling(own)
    optimizer, scheduler = made_with(case, target, *(receiver, stepping)[::order])
    scheduler.load_state_dict(copied(state))
    compare.fact(receiver.factor, saved, "state of the function object after loading")
    scheduler.step()
    second = saved if case == "CyclicLR" else stepping(1)
    rates = [saved, second][::order]
    check_values(optimizer, "lr", rates, [0.0, 0.0], "after loading and one step")


@law("scheduler.resumes", docs="torch.optim.lr_scheduler.LRScheduler", over=SCHEDULERS)
@given(schedule=schedule_of, taken=st.integers(1, 16))
def test_resumes(target, case, schedule, taken):
    """A scheduler made with last_epoch goes on from the epoch after it.

    In the documented order: the scheduler is made, then the optimizer's state loaded, which
    brings the rates. The groups must know their initial rates before.
    """
    taken = min(taken, schedule.steps)
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    for _ in range(taken):
        scheduler.step()
    state = copied(optimizer.state_dict())

    optimizer = optimizer_over([0.25] * len(schedule.rates), target.device)
    optimizer.load_state_dict(copied(state))
    scheduler = scheduler_over(case, optimizer, schedule.options, last_epoch=taken - 1)
    optimizer.load_state_dict(state)
    epochs, rates = [scheduler.last_epoch], [rates_of(optimizer)]
    for _ in range(schedule.steps - taken):
        scheduler.step()
        epochs.append(scheduler.last_epoch)
        rates.append(rates_of(optimizer))
    compare.fact(epochs, list(range(taken, schedule.steps + 1)), "last_epoch, step by step")
    check_history(case, schedule, epochs, rates)


@law(
    "scheduler.resuming-needs-initial-rate",
    docs="torch.optim.lr_scheduler.LRScheduler",
    over=SCHEDULERS,
)
@given(schedule=schedule_of, which=st.integers(0, 2))
def test_resuming_needs_initial_rate(target, case, schedule, which):
    """A scheduler made with last_epoch raises KeyError if a group knows no initial rate.

    The message names the group.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler_over(case, optimizer, schedule.options)
    resumed = scheduler_over(case, optimizer, schedule.options, last_epoch=0)
    compare.fact(resumed.last_epoch, 1, "last_epoch where all groups know their initial rate")
    missing = which % len(schedule.rates)
    del optimizer.param_groups[missing]["initial_lr"]
    with compare.raises(KeyError, rf"'initial_lr' is not specified in param_groups\[{missing}\]"):
        scheduler_over(case, optimizer, schedule.options, last_epoch=0)


@law(
    "scheduler.initial-rate-stays",
    docs="torch.optim.lr_scheduler.LRScheduler",
    level="should",
    over=SCHEDULERS,
)
@given(schedule=schedule_of, factor=st.sampled_from([0.5, 0.25]))
def test_initial_rate_stays(target, case, schedule, factor):
    """Groups record their initial rate; a scheduler made later starts from the recorded one."""
    optimizer = optimizer_over(schedule.rates, target.device)
    scheduler = scheduler_over(case, optimizer, schedule.options)
    initial = [
        CLOSED_FORMS[case](base, 0, **schedule.options_of(n))
        for n, base in enumerate(schedule.rates)
    ]
    replaced = case in ("CyclicLR", "OneCycleLR")  # these set the rates themselves
    expected = initial if replaced else list(schedule.rates)
    for _ in range(schedule.steps):
        scheduler.step()
    error = [1e-15 * rate for rate in expected]
    check_values(optimizer, "initial_lr", expected, error, "after all steps")
    scheduler_class("LambdaLR")(optimizer, Scaling(factor))
    later = [factor * rate for rate in expected]
    check_values(optimizer, "lr", later, error, "under a scheduler made later")
    check_values(optimizer, "initial_lr", expected, error, "under a scheduler made later")


@st.composite
def any_schedules(draw):
    name = draw(st.sampled_from([name for name in SCHEDULERS if "Warm" not in name]))
    return name, draw(schedules(name))


def steps_first(optimizer, scheduler):
    """A step of the scheduler before any of the optimizer."""
    scheduler.step()


def steps_in_order(optimizer, scheduler):
    """Steps in the documented order."""
    optimizer.step()
    scheduler.step()


def steps_replaced(optimizer, scheduler):
    """The optimizer's step is another function than when the scheduler was made."""
    optimizer.step = copied
    optimizer.step(None)
    scheduler.step()


def steps_to_epoch(optimizer, scheduler):
    """A step to a given epoch."""
    optimizer.step()
    scheduler.step(0)


def asks_for_rate(optimizer, scheduler):
    """get_lr between steps."""
    scheduler.get_lr()


def asks_for_last_rate(optimizer, scheduler):
    """get_last_lr between steps."""
    scheduler.get_last_lr()


WARNINGS = {
    "step-before-optimizer": (
        steps_first,
        steps_in_order,
        "`lr_scheduler.step()` before `optimizer.step()`",
    ),
    "optimizer-step-replaced": (steps_replaced, steps_in_order, "has been overridden after"),
    "epoch-given": (steps_to_epoch, steps_in_order, "epoch parameter in `scheduler.step()`"),
    "rate-between-steps": (asks_for_rate, asks_for_last_rate, "please use `get_last_lr()`"),
}


def warned(action, optimizer, scheduler):
    """The texts of UserWarnings that an action gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action(optimizer, scheduler)
    return [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


@law(
    "scheduler.warns", docs="optim.html#how-to-adjust-learning-rate", level="should", over=WARNINGS
)
@given(drawn=any_schedules())
def test_warns(target, case, drawn):
    """A scheduler used against its documentation warns, once, and not if used as documented.

    Steps before the optimizer's would skip the first rate; so may they if the optimizer's step
    has been replaced, which the scheduler cannot follow. Warm restarts take steps in any order.
    """
    (name, schedule), (action, documented, text) = drawn, case
    for done, expected in ((documented, 0), (action, 1)):
        optimizer = optimizer_over(schedule.rates, target.device)
        scheduler = scheduler_over(name, optimizer, schedule.options)
        texts = warned(done, optimizer, scheduler)
        compare.fact(sum(text in said for said in texts), expected, f"warnings: {done.__doc__}")
    if action is steps_first:
        compare.fact(warned(action, optimizer, scheduler), [], "warnings at the second step")
