"""Averaged models: equal and exponential weights, buffers, batch statistics, SWA's rate."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.averaging import (
    batch_statistics,
    equal_average,
    exponential_average,
)
from conformance.reference.schedulers import swa_annealing
from conformance.scenarios.scheduling import (
    UNIT,
    check_values,
    optimizer_over,
    scheduler_class,
    scheduler_over,
)
from conformance.scenarios.transports import copied, through_file
from conformance.target import resolve
from strategies import arrays, schedules

PAGE = "optim.html#weight-averaging-swa-and-ema"
SINGLE = torch.finfo(torch.float32).eps
DOUBLE = torch.finfo(torch.float64).eps
AVERAGED = "torch.optim.swa_utils.AveragedModel"
SIZES = {"matrix": (2, 2), "vector": (3,), "mean": (2,)}
ELEMENTS = 4 + 3 + 2


class Holder(torch.nn.Module):
    """Two parameters of two dtypes, a floating buffer and, if it counts, a whole number."""

    def __init__(self, device, counts=True):
        super().__init__()
        self.counts = counts
        self.matrix = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.float64, device=device))
        self.vector = torch.nn.Parameter(torch.zeros(3, dtype=torch.float32, device=device))
        self.register_buffer("mean", torch.zeros(2, dtype=torch.float64, device=device))
        if counts:
            self.register_buffer("count", torch.zeros((), dtype=torch.int64, device=device))

    def forward(self, x):
        return (self.matrix * x).sum() + self.vector.sum()


def parts_of(row):
    """The values of a holder's floating tensors, by name, out of one row of numbers."""
    first, second = 4, 4 + 3
    return {
        "matrix": row[:first].reshape(2, 2),
        "vector": row[first:second],
        "mean": row[second:],
    }


def fill(holder, row, count):
    """Give a holder the values of a row, as training would."""
    with torch.no_grad():
        for name, values in parts_of(row).items():
            getattr(holder, name).copy_(torch.tensor(values))
        if holder.counts:
            holder.count.fill_(count)


def histories():
    """Between two and six rows of values: one for each update."""
    return st.integers(2, 6).flatmap(lambda n: arrays(shape=(n, ELEMENTS)))


# The constructor's argument, the function that makes its value, and whether it has a decay.
AVERAGES = {
    "default": ("", "", False),
    "swa-one": ("avg_fn", "get_swa_avg_fn", False),
    "swa-many": ("multi_avg_fn", "get_swa_multi_avg_fn", False),
    "ema-one": ("avg_fn", "get_ema_avg_fn", True),
    "ema-many": ("multi_avg_fn", "get_ema_multi_avg_fn", True),
}


def averaged(case, model, decay, **options):
    """An averaged model of that kind."""
    argument, maker, decays = case
    if argument:
        make = resolve(f"torch.optim.swa_utils.{maker}")
        options[argument] = make(decay) if decays else make()
    return resolve(AVERAGED)(model, **options)


def expected_average(case, rows, decay):
    return exponential_average(rows, decay) if case[2] else equal_average(rows)


def check_average(case, model, rows, decay, use_buffers):
    """Compare an averaged model with the average of rows, buffers with it or with the last row.

    To single precision: whether float64 gets its own is a law by itself.
    """
    mean = parts_of(expected_average(case, rows, decay))
    last = parts_of(rows[-1])
    for name in SIZES:
        tensor = getattr(model.module, name)
        value = mean[name] if use_buffers or name != "mean" else last[name]
        # Values are at most 2, weights sum to 1: each update rounds a few times below 4.
        bound = 0.0 if value is last[name] else 16 * len(rows) * SINGLE
        compare.close(tensor, value, bound=bound, dtype=tensor.dtype, what=f"averaged {name}")
    compare.fact(int(model.n_averaged), len(rows), "n_averaged")


@law("averaging.average", docs=PAGE, over=AVERAGES)
@given(
    rows=histories(),
    decay=st.sampled_from([0.5, 0.9, 0.999, 0.0, 1.0]),
    use_buffers=st.booleans(),
)
def test_average(target, case, rows, decay, use_buffers):
    """update_parameters takes the model into the average, equally or exponentially weighted.

    The first update copies. Buffers are averaged with use_buffers, else those of the model. The
    model stays as it is; n_averaged counts the updates.
    """
    model = Holder(target.device, counts=not use_buffers)
    mean = averaged(case, model, decay, use_buffers=use_buffers)
    fill(mean.module, np.full(ELEMENTS, 9.0), 9)
    for number, row in enumerate(rows):
        fill(model, row, 3 + number)
        mean.update_parameters(model)
        check_average(case, mean, rows[: number + 1], decay, use_buffers)
        if not use_buffers:
            compare.fact(int(mean.module.count), 3 + number, "the averaged model's count")
        for name, values in parts_of(row).items():
            compare.unchanged(getattr(model, name), values, f"the model's {name}")


@law("averaging.double-precision", docs=PAGE, over=AVERAGES)
@given(rows=histories(), decay=st.sampled_from([0.5, 0.9, 0.999]))
def test_double_precision(target, case, rows, decay):
    """The average of float64 parameters has the precision of float64."""
    model = Holder(target.device)
    mean = averaged(case, model, decay)
    for row in rows:
        fill(model, row, 0)
        mean.update_parameters(model)
    expected = parts_of(expected_average(case, rows, decay))["matrix"]
    bound = 16 * len(rows) * DOUBLE
    got = mean.module.matrix
    compare.close(got, expected, bound=bound, dtype=torch.float64, what="averaged matrix")


@law("averaging.integer-buffers", docs=PAGE, over=AVERAGES)
@given(rows=histories(), count=st.sampled_from([0, 4, 64]))
def test_integer_buffers(target, case, rows, count):
    """With use_buffers an integer buffer that stays as it is, as its average does.

    Batch normalization has one: how many batches it has seen.
    """
    model = Holder(target.device)
    mean = averaged(case, model, 0.5, use_buffers=True)
    for number, row in enumerate(rows):
        fill(model, row, count)
        mean.update_parameters(model)
        compare.equal(mean.module.count, np.array(count), dtype=torch.int64, what="count")
        compare.fact(int(mean.n_averaged), number + 1, "n_averaged")


def largest(average, current, number):
    """An average of one's own: the elementwise maximum."""
    SEEN.append(int(number))
    return torch.maximum(average, current)


def largest_of_all(averages, currents, number):
    """The same for lists, in place."""
    SEEN.append(int(number))
    for average, current in zip(averages, currents, strict=True):
        average.copy_(torch.maximum(average, current))


SEEN: list[int] = []
CUSTOM = {"one": ("avg_fn", largest), "many": ("multi_avg_fn", largest_of_all)}


@law("averaging.custom-function", docs=PAGE, over=CUSTOM)
@given(rows=histories())
def test_custom_function(target, case, rows):
    """A function of one's own gets the average, the model and how many were averaged before.

    For every update but the first; once for each parameter, or for lists of parameters.
    """
    argument, function = case
    model = Holder(target.device)
    mean = resolve(AVERAGED)(model, **{argument: function})
    SEEN.clear()
    for row in rows:
        fill(model, row, 0)
        mean.update_parameters(model)
    expected = parts_of(rows.max(axis=0))
    for name in ("matrix", "vector"):
        tensor = getattr(mean.module, name)
        compare.close(tensor, expected[name], bound=0.0, dtype=tensor.dtype, what=name)
    # Two parameters; lists come by dtype, of which there are two.
    numbers = [n for n in range(1, len(rows)) for _ in ("matrix", "vector")]
    compare.fact(SEEN, numbers, "n_averaged as the function got it")


@law("averaging.copies-the-model", docs=PAGE, needs=("data_ptr",))
@given(row=arrays(shape=(ELEMENTS,)), other=arrays(shape=(ELEMENTS,)))
def test_copies_the_model(target, row, other):
    """An averaged model begins as a copy of the model, in memory of its own, and runs like it."""
    model = Holder(target.device)
    fill(model, row, 5)
    mean = resolve(AVERAGED)(model)
    places = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    own = {tensor.data_ptr() for tensor in (*mean.parameters(), *mean.buffers())}
    compare.fact(places & own, set(), "memory that both have")
    x = torch.ones(2, 2, dtype=torch.float64, device=target.device)
    compare.equal(mean(x), compare.to_numpy(model(x)), dtype=torch.float64, what="its forward")
    fill(model, other, 6)
    for name, values in parts_of(row).items():
        compare.unchanged(getattr(mean.module, name), values, f"the averaged {name}")
    compare.fact(int(mean.n_averaged), 0, "n_averaged")


@law("averaging.state-goes-on", docs=PAGE, over=AVERAGES)
@given(
    rows=histories(),
    taken=st.integers(0, 5),
    transport=st.sampled_from(["copied", "file"]),
    use_buffers=st.booleans(),
)
def test_state_goes_on(target, case, rows, taken, transport, use_buffers):
    """The state holds the averages and their count, not the function; loaded, it goes on."""
    taken = min(taken, len(rows) - 1)
    model = Holder(target.device, counts=not use_buffers)
    mean = averaged(case, model, 0.75, use_buffers=use_buffers)
    for row in rows[:taken]:
        fill(model, row, 0)
        mean.update_parameters(model)
    carry = copied if transport == "copied" else through_file
    state = carry(mean.state_dict())
    names = {"n_averaged", *(f"module.{name}" for name in model.state_dict())}
    compare.fact(set(state), names, "entries of the state")

    fresh = Holder(target.device, counts=not use_buffers)
    mean = averaged(case, fresh, 0.75, use_buffers=use_buffers)
    mean.load_state_dict(state)
    for row in rows[taken:]:
        fill(model, row, 0)
        mean.update_parameters(model)
    check_average(case, mean, rows, 0.75, use_buffers)


REJECTED = {
    "negative-decay": ("get_ema_avg_fn", -0.125, 0.0),
    "decay-above-one": ("get_ema_avg_fn", 1.125, 1.0),
    "negative-decay-of-many": ("get_ema_multi_avg_fn", -0.125, 0.0),
    "decay-above-one-of-many": ("get_ema_multi_avg_fn", 1.125, 1.0),
}


@law("averaging.decay-rejects", docs=PAGE, over=REJECTED)
def test_decay_rejects(target, case):
    """A decay is a number between 0 and 1, both included; others raise ValueError."""
    maker, bad, legal = case
    make = resolve(f"torch.optim.swa_utils.{maker}")
    compare.fact(callable(make(legal)), True, "a function for a legal decay")
    with compare.raises(ValueError, "Invalid decay value"):
        make(bad)


@law("averaging.one-function", docs=PAGE, level="should")
def test_one_function(target):
    """An averaged model takes one function or one for lists; both raise AssertionError."""
    model = Holder(target.device)
    for argument, function in CUSTOM.values():
        compare.fact(int(resolve(AVERAGED)(model, **{argument: function}).n_averaged), 0, "n")
    with compare.raises(AssertionError, "Only one of avg_fn and multi_avg_fn"):
        resolve(AVERAGED)(model, avg_fn=largest, multi_avg_fn=largest_of_all)


class Normalizing(torch.nn.Module):
    """Two batch normalizations of the same data, the second of its double."""

    def __init__(self, kind, momenta, device):
        super().__init__()
        make = resolve(f"torch.nn.{kind}")
        first, second = (make(2, momentum=m, dtype=torch.float64, device=device) for m in momenta)
        self.first = first
        self.inner = torch.nn.Sequential(torch.nn.Identity(), second)

    def forward(self, x):
        return self.first(x) + self.inner(2 * x)


def alone(batch):
    return batch


def in_tuple(batch):
    return (batch, torch.zeros(1))


def in_list(batch):
    return [batch, torch.zeros(1)]


# The class, the shape of a batch, and what the loader gives.
LOADERS = {
    "1d": ("BatchNorm1d", (4, 2), alone),
    "1d-with-length": ("BatchNorm1d", (2, 2, 3), in_tuple),
    "2d": ("BatchNorm2d", (2, 2, 3, 1), in_list),
    "3d": ("BatchNorm3d", (1, 2, 2, 1, 3), alone),
}


@law("averaging.batch-statistics", docs=PAGE, over=LOADERS)
@given(
    batches=lambda case: st.lists(arrays(shape=case[1]), min_size=1, max_size=4),
    momenta=st.tuples(*[st.sampled_from([0.125, None, 1.0])] * 2),
    training=st.booleans(),
)
def test_batch_statistics(target, case, batches, momenta, training):
    """update_bn sets every batch normalization's statistics to those of one pass over the data.

    The equally weighted mean over batches of mean and unbiased variance, whatever was before.
    Momenta and training mode are as before.
    """
    kind, _, given_as = case
    model = Normalizing(kind, momenta, target.device)
    model(torch.full(case[1], 5.0, dtype=torch.float64, device=target.device))
    model.train(training)
    data = [given_as(torch.tensor(batch, device=target.device)) for batch in batches]
    resolve("torch.optim.swa_utils.update_bn")(data, model)
    mean, variance = batch_statistics(batches)
    for factor, norm in ((1, model.first), (2, model.inner[1])):
        bound = 64 * UNIT * len(batches) * 16 * factor**2
        for name, expected in (
            ("running_mean", factor * mean),
            ("running_var", factor**2 * variance),
        ):
            compare.close(
                getattr(norm, name), expected, bound=bound, dtype=torch.float64, what=name
            )
        tracked: Any = norm.num_batches_tracked
        compare.fact(int(tracked), len(batches), "num_batches_tracked")
    compare.fact((model.first.momentum, model.inner[1].momentum), momenta, "momenta afterwards")
    compare.fact([m.training for m in model.modules()], [training] * 5, "training mode afterwards")


@law("averaging.rate-from-current", docs="optim.html#swa-learning-rate-schedules")
@given(
    schedule=schedules("SWALR"),
    before=st.integers(0, 5),
    gamma=st.sampled_from([0.5, 0.9, 0.25]),
)
def test_rate_from_current(target, schedule, before, gamma):
    """SWALR takes over from another scheduler: it anneals from the rates of that moment.

    Both made at the beginning; the other one's steps come first.
    """
    optimizer = optimizer_over(schedule.rates, target.device)
    other = scheduler_class("ExponentialLR")(optimizer, gamma)
    averaging = scheduler_over("SWALR", optimizer, schedule.options)
    if schedule.options["anneal_epochs"]:  # without annealing it has taken over by now
        for _ in range(before):
            other.step()
    start = [float(group["lr"]) for group in optimizer.param_groups]
    for epoch in range(1, schedule.steps + 1):
        averaging.step()
        expected = [
            swa_annealing(rate, epoch, **schedule.options_of(n)) for n, rate in enumerate(start)
        ]
        bound = [64 * (epoch + 1) * UNIT * max(1.0, rate) for rate in start]
        check_values(optimizer, "lr", expected, bound, f"at step {epoch} of SWALR")
