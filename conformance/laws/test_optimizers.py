"""Optimizers: updates over whole histories of gradients, against their closed forms."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow
from conformance.scenarios.histories import (
    FUSED,
    Case,
    advance,
    check_parameter,
    check_state,
    histories_of,
    optimizer_of,
    options_of,
    page,
    paths_of,
    trained,
)
from strategies import arrays, optimizer_variants

SINGLE_ONLY = ("SparseAdam", "Muon")
DIFFERENTIABLE = (
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD",
    "Rprop",
)  # fmt: skip
MOVING = {"Adam": {"lr": 0.125}, "AdamW": {"lr": 0.125}}  # a rate of zero has a law of its own
OPTIMIZERS: dict[str, Case] = {name: (name, {}) for name in CLOSED_FORMS}
MANY = {name: case for name, case in OPTIMIZERS.items() if name not in SINGLE_ONLY}
VARIANTS = {
    **OPTIMIZERS,
    **{f"{name}-foreach": (name, {"foreach": True}) for name in MANY},
    **{f"{name}-for-loop": (name, {"foreach": False}) for name in MANY},
    **{f"{name}-fused": (name, {"fused": True}) for name in FUSED},
    **{
        f"{name}-differentiable": (name, {"differentiable": True, **MOVING.get(name, {})})
        for name in DIFFERENTIABLE
    },
}
LOW_PRECISION = {
    **{label: case for label, case in VARIANTS.items() if "differentiable" not in case[1]},
    # A variance that rounding makes negative has no root.
    **{
        label: (name, {**variant, "centered": False})
        for label, (name, variant) in VARIANTS.items()
        if name == "RMSprop"
    },
    "SGD-fused-vectors": ("SGD", {"fused": True, "momentum": 0.5, "dampening": 0.0}),
    **{f"Muon{suffix}": ("Muon", {"nesterov": nesterov})
                 for suffix, nesterov in (("", True), ("-without-nesterov", False))},
}  # fmt: skip
CLOSED = {**VARIANTS, "RMSprop-at-once": ("RMSprop", {"centered": True, "alpha": 0.0})}
LONG = {name: case for name, case in OPTIMIZERS.items() if name != "Muon"}
LONG |= {label: VARIANTS[label] for label in ("Adam-differentiable", "AdamW-differentiable")}
ROUNDED_NUMBERS = ("ASGD", "NAdam", "Adam-differentiable", "AdamW-differentiable")
IDLE_AT_ZERO = {
    label: (name, {**variant, "lr": 0.0})
    for label, (name, variant) in VARIANTS.items()
    if name not in ("Rprop", "SparseAdam")  # a least step size; a rate above zero
}


VECTORS = ((37,), (64,))
SMALL = ((), (1,), (3,), (2, 2), (1, 5), (0,))


def early_histories_of(case):
    return histories_of(case, late_starts=False)


def low_precision_histories_of(case):
    """Draw histories; fused SGD of torch 2.13 skips whole vectors, as a case of its own shows."""
    chosen = {"SGD-fused": SMALL, "SGD-fused-vectors": VECTORS}
    for label, shapes in chosen.items():
        if case == LOW_PRECISION[label]:
            return histories_of(case, late_starts=False, shapes=shapes)
    return early_histories_of(case)


def late_histories_of(case):
    return histories_of(case, late_starts=True)


def variants_of(case):
    return optimizer_variants(case[0])


def moving_options_of(case):
    return options_of((case[0], MOVING.get(case[0], {})))


def check_history(case, history, options, dtype, device):
    """Compare every parameter after every step with its closed form."""
    name, _ = case
    parameters = trained(history, dtype, device, options)
    optimizer = optimizer_of(name, parameters, **options)
    paths = paths_of(name, history, options, dtype)
    for step in advance(name, optimizer, parameters, history.steps):
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")


@law("optimizer.closed-form", docs=page, over=CLOSED)
@given(
    options=options_of,
    history=early_histories_of,
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_closed_form(target, case, options, history, dtype):
    """Every step moves each parameter as the optimizer's documented formula says.

    Followed over a whole history of gradients, None among them, for every documented option;
    every implementation (for-loop, foreach, fused, differentiable) is held to the same formula.
    """
    check_history(case, history, options, dtype, target.device)


@law("optimizer.late-parameter", docs="torch.optim.Optimizer.step", over=VARIANTS)
@given(options=options_of, history=late_histories_of)
def test_late_parameter(target, case, options, history):
    """A parameter whose first gradient comes at a later step begins its own history there.

    Step counts and momentum buffers of the others do not reach it.
    """
    check_history(case, history, options, torch.float64, target.device)


@law("optimizer.drawn-variant", docs=page, over=OPTIMIZERS)
@given(options=moving_options_of, variant=variants_of, history=early_histories_of)
def test_drawn_variant(target, case, options, variant, history):
    """Every implementation that the device has, capturable ones too, follows the formula."""
    check_history(case, history, {**options, **variant}, torch.float64, target.device)


@law("optimizer.low-precision", docs=page, over=LOW_PRECISION)
@given(options=options_of, history=low_precision_histories_of)
def test_low_precision(target, case, options, history):
    """Parameters in bfloat16 follow the formula as far as their rounding explains."""
    check_history(case, history, options, torch.bfloat16, target.device)


@law("optimizer.state", docs="torch.optim.Optimizer.state_dict", level="should", over=VARIANTS)
@given(options=options_of, history=histories_of)
def test_state(target, case, options, history):
    """After every step the state of each parameter holds the formula's running quantities.

    By the names that checkpoints have: ``step``, ``exp_avg``, ``momentum_buffer`` and so on.
    A parameter that never had a gradient is not looked at.
    """
    name, _ = case
    parameters = trained(history, torch.float64, target.device, options)
    optimizer = optimizer_of(name, parameters, **options)
    paths = paths_of(name, history, options, torch.float64)
    for step in advance(name, optimizer, parameters, history.steps):
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            what = f"parameter {number} after step {step + 1}"
            check_parameter(parameter, path[step], what)
            if any(gradient is not None for gradient in history.of(number)[: step + 1]):
                check_state(optimizer.state.get(parameter, {}), path[step], parameter, what)


def check_long_history(case, options, rows, device, **precision):
    """Compare 50 steps of one parameter with the closed form, to 1e-12 of its size."""
    name, _ = case
    start, gradients = rows[0], list(rows[1:])
    parameter = torch.tensor(start, dtype=torch.float64, device=device, requires_grad=True)
    parameters = [parameter.clone() if options.get("differentiable") else parameter]
    optimizer = optimizer_of(name, parameters, **options)
    steps = [[gradient] for gradient in gradients]
    seen = [np.where(g == 0, np.nan, g) if name == "SparseAdam" else g for g in gradients]
    path = follow(CLOSED_FORMS[name], start, seen, {**options, **precision}, 2.0**-53)
    for step in advance(name, optimizer, parameters, steps):
        expected = path[step]["parameter"].value
        bound = 1e-12 * (1 + np.max([np.abs(s["parameter"].value) for s in path[: step + 1]]))
        what = f"parameter after step {step + 1}"
        compare.close(parameters[0], expected, bound=bound, dtype=torch.float64, what=what)


@law("optimizer.long-history", docs=page, over=LONG)
@given(options=options_of, rows=arrays(shape=(51, 3)))
def test_long_history(target, case, options, rows):
    """Over 50 steps in float64 the parameter stays within 1e-12 of the formula, relatively."""
    check_long_history(case, options, rows, target.device)


@law(
    "optimizer.long-history-in-double",
    docs=page,
    over={label: LONG[label] for label in ROUNDED_NUMBERS},
)
@given(options=options_of, rows=arrays(shape=(51, 3)))
def test_long_history_in_double(target, case, options, rows):
    """With float64 as default dtype, the numbers that the state keeps are as exact as parameters.

    Over 50 steps the parameter stays within 1e-12 of the formula, relatively.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        check_long_history(case, options, rows, target.device, scalar_unit=2.0**-53)
    finally:
        torch.set_default_dtype(before)


@law("optimizer.zero-rate", docs=page, over=IDLE_AT_ZERO)
@given(options=options_of, history=histories_of)
def test_zero_rate(target, case, options, history):
    """A learning rate of zero moves no parameter, whatever the gradients."""
    name, _ = case
    parameters = trained(history, torch.float64, target.device, options)
    optimizer = optimizer_of(name, parameters, **options)
    for step in advance(name, optimizer, parameters, history.steps):
        for parameter, start in zip(parameters, history.start, strict=True):
            what = f"parameter after step {step + 1}"
            compare.close(parameter, start, bound=0.0, dtype=parameter.dtype, what=what)


EMPTY = {"SGD": (0,), "Adam": (0, 3), "RMSprop": (0,), "Adagrad": (3, 0), "Adadelta": (0,),
         "NAdam": (0,), "RAdam": (0,), "Adamax": (0,), "ASGD": (0,), "Rprop": (0,), "AdamW": (0,),
         "Adafactor": (0,), "Muon": (2, 0)}  # fmt: skip


@law(
    "optimizer.empty-parameter",
    docs=page,
    level="should",
    over={name: (name, {"shape": shape}) for name, shape in EMPTY.items()},
)
@given(history=histories_of)
def test_empty_parameter(target, case, history):
    """A parameter without elements is stepped over, and the others are moved as without it."""
    name, corner = case
    parameters = history.parameters(torch.float64, target.device)
    empty = torch.zeros(corner["shape"], dtype=torch.float64, device=target.device)
    optimizer = optimizer_of(name, [empty.requires_grad_(), *parameters], lr=0.125)
    alone = history.parameters(torch.float64, target.device)
    other = optimizer_of(name, alone, lr=0.125)
    steps = [(np.zeros(corner["shape"]), *step) for step in history.steps]
    both = advance(name, optimizer, [empty, *parameters], steps)
    for step, _ in zip(both, advance(name, other, alone, history.steps), strict=True):
        for number, (parameter, expected) in enumerate(zip(parameters, alone, strict=True)):
            what = f"parameter {number} after step {step + 1}"
            value = compare.to_numpy(expected)
            compare.equal(parameter, value, dtype=torch.float64, what=what)
    compare.fact(tuple(empty.shape), corner["shape"], "shape of the empty parameter")
