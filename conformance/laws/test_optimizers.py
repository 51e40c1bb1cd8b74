"""Optimizers: updates over whole histories of gradients, against their closed forms."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS
from conformance.target import resolve
from strategies import gradient_histories, optimizer_options

VARIANTS = {
    f"{name}{suffix}": (name, variant)
    for name in CLOSED_FORMS
    for suffix, variant in (
        ("", {}),
        ("-foreach", {"foreach": True}),
        ("-for-loop", {"foreach": False}),
        ("-fused", {"fused": True}),
    )
}
OPTIMIZERS = {"SGD": "torch.optim.SGD", "Adam": "torch.optim.Adam"}
REJECTED = {
    "negative-lr": ("SGD", {"lr": -1.0}, "Invalid learning rate"),
    "negative-momentum": ("SGD", {"momentum": -0.5}, "Invalid momentum value"),
    "negative-weight-decay": ("SGD", {"weight_decay": -0.5}, "Invalid weight_decay value"),
    "nesterov-without-momentum": (
        "SGD",
        {"nesterov": True, "momentum": 0.0},
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    "beta-of-one": ("Adam", {"betas": (1.0, 0.5)}, "Invalid beta parameter at index 0"),
    "negative-eps": ("Adam", {"eps": -1.0}, "Invalid epsilon value"),
}


def follow(optimizer, parameters, history):
    """Yield after each step of the history: gradients are set, then the optimizer steps."""
    for step in history.steps:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = (
                None
                if gradient is None
                else torch.tensor(gradient, dtype=parameter.dtype, device=parameter.device)
            )
        yield optimizer.step()


def check_history(optimizer, parameters, history, closed_form, options):
    """Compare every parameter after every step with its closed form."""
    unit = torch.finfo(parameters[0].dtype).eps / 2
    paths = [
        closed_form(start, history.of(number), options, unit)
        for number, start in enumerate(history.start)
    ]
    for step, _ in enumerate(follow(optimizer, parameters, history)):
        for number, parameter in enumerate(parameters):
            value, error = paths[number][step]
            what = f"parameter {number} after step {step + 1}"
            compare.close(parameter, value, bound=error, dtype=parameter.dtype, what=what)


def options_of(case):
    name, _ = case
    return optimizer_options(name)


@law("optimizer.closed-form", docs="torch.optim.SGD", over=VARIANTS)
@given(
    options=options_of,
    history=gradient_histories(late_starts=False),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_closed_form(target, case, options, history, dtype):
    """Every step moves each parameter as the optimizer's documented formula says.

    Followed over a whole history of gradients, None among them, for every documented option;
    every implementation (for-loop, foreach, fused) is held to the same formula.
    """
    name, variant = case
    parameters = history.parameters(dtype, target.device)
    optimizer = resolve(OPTIMIZERS[name])(parameters, **options, **variant)
    check_history(optimizer, parameters, history, CLOSED_FORMS[name], options)


@law("optimizer.late-parameter", docs="torch.optim.Optimizer.step", over=VARIANTS)
@given(options=options_of, history=gradient_histories())
def test_late_parameter(target, case, options, history):
    """A parameter whose first gradient comes at a later step begins its own history there.

    Step counts and momentum buffers of the others do not reach it.
    """
    name, variant = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = resolve(OPTIMIZERS[name])(parameters, **options, **variant)
    check_history(optimizer, parameters, history, CLOSED_FORMS[name], options)


@law("optimizer.none-gradient-skips", docs="torch.optim.Optimizer.step", over=OPTIMIZERS)
@given(history=gradient_histories())
def test_none_gradient_skips(target, case, history):
    """A parameter whose ``.grad`` is None is left as it is, and gets no state."""
    parameters = history.parameters(torch.float64, target.device)
    idle = torch.ones(2, dtype=torch.float64, device=target.device, requires_grad=True)
    optimizer = resolve(case)([*parameters, idle], lr=0.125, weight_decay=0.5)
    for _ in follow(optimizer, parameters, history):
        compare.equal(idle, 0 * idle.detach().cpu().numpy() + 1, dtype=idle.dtype, what="idle")
    compare.fact(idle in optimizer.state, False, "state of a parameter without gradient")


@law("optimizer.zero-grad", docs="torch.optim.Optimizer.zero_grad", over=OPTIMIZERS)
@given(history=gradient_histories())
def test_zero_grad(target, case, history):
    """zero_grad sets every ``.grad`` to None, or with set_to_none=False to zeros."""
    parameters = history.parameters(torch.float64, target.device)
    optimizer = resolve(case)(parameters, lr=0.0)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.zero_grad(set_to_none=False)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.equal(parameter.grad, abs(0 * start), dtype=parameter.dtype, what="grad")
    optimizer.zero_grad()
    compare.fact([p.grad for p in parameters], [None] * len(parameters), "grad")


@law("optimizer.step-returns-loss", docs="torch.optim.Optimizer.step", over=OPTIMIZERS)
@given(history=gradient_histories())
def test_step_returns_loss(target, case, history):
    """step calls its closure with grad enabled and returns the closure's loss."""
    parameters = history.parameters(torch.float64, target.device)
    optimizer = resolve(case)(parameters, lr=0.0)
    enabled = []

    def closure():
        enabled.append(torch.is_grad_enabled())
        return torch.tensor(2.5)

    with torch.no_grad():
        loss = optimizer.step(closure)
    compare.equal(loss, np.array(2.5), dtype=torch.float32, what="loss")
    compare.fact(enabled, [True], "grad mode in the closure")


@law("optimizer.bad-option-raises", docs="torch.optim.SGD", over=REJECTED)
@given(history=gradient_histories())
def test_bad_option_raises(target, case, history):
    """An option outside its documented range is rejected with ValueError, before any change."""
    name, bad, message = case
    parameters = history.parameters(torch.float64, target.device)
    with compare.raises(ValueError, message):
        resolve(OPTIMIZERS[name])(parameters, **bad)
    resolve(OPTIMIZERS[name])(parameters)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.unchanged(parameter, start, "parameter")
