"""Differentiable steps: autograd goes through an optimizer, to gradients, start and rate."""

from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.reference.optimizers import CLOSED_FORMS, follow
from conformance.scenarios.histories import optimizer_of, options_of, page
from strategies import arrays

PLAIN: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.0, "nesterov": False},
    "RMSprop": {"centered": False},
    "Adam": {"lr": 0.125, "amsgrad": False},
    "AdamW": {"lr": 0.125, "amsgrad": False},
}
NAMES = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta",
         "ASGD", "Rprop")  # fmt: skip
LARGEST = {"lr": 0.125, "amsgrad": True, "weight_decay": 0.0}
DIFFERENTIABLE = {
    **{name: (name, {"weight_decay": 0.0, **PLAIN.get(name, {})}, 3) for name in NAMES},
    "Rprop": ("Rprop", {}, 3),
    "Rprop-once": ("Rprop", {}, 1),
    "Adamax-once": ("Adamax", {"weight_decay": 0.0}, 1),
    "Adam-amsgrad": ("Adam", LARGEST, 3),
    "AdamW-amsgrad": ("AdamW", LARGEST, 3),
    "SGD-decay": ("SGD", {"momentum": 0.0, "nesterov": False, "weight_decay": 0.1}, 3),
    "SGD-momentum": ("SGD", {"momentum": 0.5, "nesterov": False, "weight_decay": 0.0}, 3),
    "AdamW-decay": ("AdamW", {**PLAIN["AdamW"], "weight_decay": 0.1}, 3),
}
RATES = {
    "SGD": ("SGD", {"momentum": 0.0, "nesterov": False}),
    "Adam": ("Adam", {"lr": 0.125, "weight_decay": 0.0}),
    "AdamW": ("AdamW", {"lr": 0.125}),
}


def based_options_of(case):
    return options_of(case[:2])


@contextmanager
def double_by_default():
    """Make float64 the default dtype: step counts are kept in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def reached(name, start, gradients, options):
    """Return the parameter after the last step in closed form; its derivatives are the law's."""
    return follow(CLOSED_FORMS[name], start, gradients, options, 0.0)[-1]["parameter"].value


def trained_through(name, start, gradients, options):
    """Return the parameter after the last step, and with it the graph of all steps."""
    parameter = start.clone()
    optimizer = optimizer_of(name, [parameter], differentiable=True, **options)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter


def check_close(actual, expected, what):
    """Compare derivatives, to 1e-9 of their size: a few steps of smooth functions."""
    bound = 1e-9 * (1 + np.abs(expected))
    given_one = torch.zeros(expected.shape) if actual is None else actual
    compare.close(given_one, expected, bound=bound, dtype=torch.float64, what=what)


@law("optimizer.differentiable", docs=page, over=DIFFERENTIABLE)
@given(
    options=based_options_of, rows=arrays(shape=(5, 3), kind="above-one"), steps=st.integers(1, 3)
)
def test_differentiable(target, case, options, rows, steps):
    """The derivative of a trained parameter to its start and to each gradient is the formula's.

    By the complex step on the closed form. Gradients are distinct from zero, where roots have no
    derivative.
    """
    name, _, most = case
    start, weights, gradients = rows[0], rows[1], list(rows[2 : 2 + min(steps, most)])
    with double_by_default():
        leaves = [
            torch.tensor(value, device=target.device, requires_grad=True)
            for value in (start, *gradients)
        ]
        result = trained_through(name, leaves[0], leaves[1:], options)
        cotangent = torch.tensor(weights, device=target.device)
        found = torch.autograd.grad(result, leaves, cotangent, allow_unused=True)
        expected = derivatives.vjp(
            lambda first, *others: reached(name, first, others, options),
            [start, *gradients],
            weights,
        )
        for number, (actual, value) in enumerate(zip(found, expected, strict=True)):
            what = "gradient to the start" if number == 0 else f"to the gradient of step {number}"
            check_close(actual, value, what)


@law("optimizer.differentiable-rate", docs=page, over=RATES)
@given(options=options_of, rows=arrays(shape=(5, 3), kind="above-one"), steps=st.integers(1, 3))
def test_differentiable_rate(target, case, options, rows, steps):
    """The derivative of a trained parameter to a learning rate that is a leaf is the formula's."""
    name, _ = case
    start, weights, gradients = rows[0], rows[1], list(rows[2 : 2 + steps])
    with double_by_default():
        rate = torch.tensor(options["lr"], device=target.device, requires_grad=True)
        values = [torch.tensor(value, device=target.device) for value in (start, *gradients)]
        result = trained_through(name, values[0], values[1:], {**options, "lr": rate})
        cotangent = torch.tensor(weights, device=target.device)
        (actual,) = torch.autograd.grad(result, [rate], cotangent)
        (expected,) = derivatives.vjp(
            lambda lr: reached(name, start, gradients, {**options, "lr": lr}),
            [np.array(options["lr"])],
            weights,
        )
        check_close(actual, expected, "gradient to the rate")


@law("optimizer.not-differentiable", docs="torch.optim.SGD", over={n: (n, {}) for n in NAMES})
@given(options=options_of, rows=arrays(shape=(3, 3)))
def test_not_differentiable(target, case, options, rows):
    """Without ``differentiable`` a step runs without recording, also for gradients with a graph.

    "Otherwise, the step() function runs in a torch.no_grad() context."
    """
    name, _ = case
    parameter = torch.tensor(rows[0], device=target.device, requires_grad=True)
    source = torch.tensor(rows[1], device=target.device, requires_grad=True)
    optimizer = optimizer_of(name, [parameter], **options)
    for _ in range(2):
        parameter.grad = source * 1.0
        optimizer.step()
    compare.fact(parameter.is_leaf, True, "parameter is a leaf")
    compare.fact(parameter.grad_fn, None, "grad_fn of the parameter")
    recorded = [
        entry
        for entry, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor) and value.requires_grad
    ]
    compare.fact(recorded, [], "entries of the state that require grad")
