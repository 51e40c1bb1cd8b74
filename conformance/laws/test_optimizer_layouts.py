"""Layouts: orders, memory and numbers of parameters, gradients and options; parts of batches."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow
from conformance.scenarios.histories import (
    FUSED,
    IMPLEMENTED,
    advance,
    check_equal,
    check_parameter,
    check_state,
    give,
    histories_of,
    no_loss,
    optimizer_of,
    options_of,
    page,
    paths_of,
    run_through,
)
from strategies import arrays
from strategies.optimizers import GradientHistory

VARIANTS = {label: case for label, case in IMPLEMENTED.items() if case[0] != "LBFGS"}
IMPLEMENTATIONS = {
    "plain": {}, "for-loop": {"foreach": False}, "foreach": {"foreach": True},
    "fused": {"fused": True},
}  # fmt: skip
ADAM = {label: ("Adam", variant) for label, variant in IMPLEMENTATIONS.items()}
COMPLEX = {
    label: case
    for label, case in VARIANTS.items()
    if case[0] not in ("Adafactor", "SparseAdam", "Muon") and "fused" not in case[1]
}
NUMBERS_ONLY = ("Adam-foreach", "AdamW-foreach")
TENSOR_RATES = {label: case for label, case in VARIANTS.items() if label not in NUMBERS_ONLY}
LAYOUTS = {
    **{label: (*case, "any") for label, case in VARIANTS.items()},
    **{f"{name}-fused": (name, {"fused": True}, "its own") for name in FUSED},
    **{f"{name}-fused-mixed": (name, {"fused": True}, "any") for name in FUSED},
}
EXPANDED = {
    **VARIANTS,
    "SGD-foreach": ("SGD", {"foreach": True, "nesterov": False}),
    "SGD-foreach-nesterov": ("SGD", {"foreach": True, "nesterov": True, "momentum": 0.5}),
}


def matrices_of(case):
    return histories_of(case, shapes=[(2, 2), (2, 3), (3, 2), (1, 5)], late_starts=False)


def pairs_of(case):
    return histories_of(case, shapes=[(2,), (3, 2), (2, 2, 2)], late_starts=False)


def based_options_of(case):
    return options_of(case[:2])


def based_matrices_of(case):
    return matrices_of(case[:2])


def many_histories_of(case):
    return histories_of(case, max_parameters=4)


@law("optimizer.parameter-order", docs="torch.optim.Optimizer", over=VARIANTS)
@given(options=options_of, history=many_histories_of)
def test_parameter_order(target, case, options, history):
    """The order in which parameters are given changes nothing of where each goes, bit for bit."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    reversed_one = optimizer_of(name, others[::-1], **options)
    run_through(name, optimizer, parameters, history.steps)
    run_through(name, reversed_one, others, history.steps)
    check_equal(others, parameters, "given in reverse order")


@law("optimizer.complex-is-pairs", docs=page, level="should", over=COMPLEX)
@given(options=options_of, history=pairs_of)
def test_complex_is_pairs(target, case, options, history):
    """A complex parameter is moved as the pair of its real and imaginary parts; so is its state."""
    name, _ = case
    parameters = [
        torch.view_as_complex(torch.tensor(start, dtype=torch.float64, device=target.device))
        for start in history.start
    ]
    optimizer = optimizer_of(name, [p.requires_grad_() for p in parameters], **options)
    paths = paths_of(name, history, options, torch.float64)
    for step, gradients in enumerate(history.steps):
        for parameter, pairs in zip(parameters, gradients, strict=True):
            parts = None if pairs is None else torch.tensor(pairs, dtype=torch.float64)
            whole = None if parts is None else torch.view_as_complex(parts)
            parameter.grad = None if whole is None else whole.to(target.device)
        optimizer.step()
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            what = f"parameter {number} after step {step + 1}"
            pair = torch.view_as_real(parameter.detach())
            check_parameter(pair, path[step], what)
            kept = {
                entry: torch.view_as_real(value) if torch.is_complex(value) else value
                for entry, value in optimizer.state.get(parameter, {}).items()
            }
            check_state(kept, path[step], pair, what)


@law("optimizer.layouts", docs=page, over=LAYOUTS)
@given(
    options=based_options_of, history=based_matrices_of, mixed=st.booleans(), turned=st.booleans()
)
def test_layouts(target, case, options, history, mixed, turned):
    """Parameters and gradients are taken in any memory layout, each its own: strided, transposed.

    The parameter keeps its strides. Fused implementations have cases of their own for a
    gradient laid out otherwise than its parameter.
    """
    name, _, layout = case
    parameters = []
    for start in history.start:
        laid = start.T if turned else start
        held = torch.tensor(np.ascontiguousarray(laid), dtype=torch.float64, device=target.device)
        parameters.append((held.T if turned else held).requires_grad_())
    strides = [parameter.stride() for parameter in parameters]
    optimizer = optimizer_of(name, parameters, **options)
    paths = paths_of(name, history, options, torch.float64)
    for step, gradients in enumerate(history.steps):
        give(name, parameters, gradients)
        for parameter in parameters:
            if parameter.grad is not None and name != "SparseAdam":
                across = parameter.grad.T.contiguous().T
                along = turned if layout == "its own" else mixed
                parameter.grad = across if along else parameter.grad
        optimizer.step(no_loss)
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")
    compare.fact([parameter.stride() for parameter in parameters], strides, "strides")


@law("optimizer.expanded-gradient", docs=page, over=EXPANDED)
@given(options=options_of, history=matrices_of)
def test_expanded_gradient(target, case, options, history):
    """A gradient whose elements share memory moves the parameter as the formula says.

    As the sum of a parameter gives: one number, expanded.
    """
    name, _ = case
    steps = [
        tuple(None if g is None else np.full_like(g, g[0, 0]) for g in step)
        for step in history.steps
    ]
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    paths = paths_of(name, GradientHistory(history.start, tuple(steps)), options, torch.float64)
    for step, gradients in enumerate(steps):
        give(name, parameters, gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None and name != "SparseAdam":
                # More memory follows the number: who reads past it reads something else.
                held = torch.full((gradient.size,), 7.0, dtype=torch.float64)
                held[0] = gradient[0, 0]
                parameter.grad = held.to(target.device)[:1].expand(parameter.shape)
        optimizer.step(no_loss)
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")


@law("optimizer.tensor-rate", docs=page, over=TENSOR_RATES)
@given(options=options_of, history=histories_of, shape=st.sampled_from([(), (1,)]))
def test_tensor_rate(target, case, options, history, shape):
    """A learning rate given as a tensor of one element is the number it holds, and stays so.

    A tensor written to between steps counts from the next step on.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    rate = torch.full(shape, options["lr"], dtype=torch.float64)
    optimizer = optimizer_of(name, parameters, **{**options, "lr": rate})
    schedule = [{**options, "lr": options["lr"] / 2**n} for n in range(len(history.steps))]
    paths = paths_of(name, history, schedule, torch.float64)
    for step in advance(name, optimizer, parameters, history.steps):
        expected = np.full(shape, schedule[step]["lr"])
        compare.equal(rate, expected, dtype=torch.float64, what="learning rate")
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")
        rate.div_(2)


@law("optimizer.batches-agree", docs="torch.optim.Optimizer.step", over=VARIANTS)
@given(data=arrays(shape=(8, 4)), start=arrays(shape=(3, 1)), size=st.sampled_from([1, 2, 4]))
def test_batches_agree(target, case, data, start, size):
    """Gradients accumulated over batches, each a part of the mean, step as the full batch does.

    For linear regression of dyadic data; exactly, since every sum is.
    """
    name, variant = case
    features, values = (
        torch.tensor(part, device=target.device) for part in (data[:, :3], data[:, 3:])
    )
    weights = [
        torch.tensor(start, dtype=torch.float64, device=target.device, requires_grad=True)
        for _ in range(2)
    ]
    optimizers = [optimizer_of(name, [weight], lr=0.125, **variant) for weight in weights]
    for _ in range(3 if name == "SGD" else 1):
        for weight, batch in zip(weights, (8, size), strict=True):
            weight.grad = None
            for first in range(0, 8, batch):
                rows = slice(first, first + batch)
                error = features[rows] @ weight - values[rows]
                ((error * error).sum() / 8).backward()
            if name == "SparseAdam":
                weight.grad = torch.as_tensor(weight.grad).to_sparse()
        once, often = (torch.as_tensor(weight.grad).to_dense() for weight in weights)
        value = compare.to_numpy(once)
        compare.close(often, value, bound=0.0, dtype=torch.float64, what="accumulated gradient")
        for optimizer in optimizers:
            optimizer.step(no_loss)
    value = compare.to_numpy(weights[0])
    compare.close(weights[1], value, bound=0.0, dtype=torch.float64, what="weights")


@law("optimizer.tensor-betas", docs="torch.optim.Adam", over={
    label: ("Adam" if name == "Adam" else name, variant)
    for label, (name, variant) in {**ADAM, "AdamW": ("AdamW", {})}.items() if label != "foreach"
})  # fmt: skip
@given(options=options_of, history=histories_of)
def test_tensor_betas(target, case, options, history):
    """Betas given as tensors of one element are the numbers they hold."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    betas = tuple(torch.tensor([beta], dtype=torch.float64) for beta in options["betas"])
    optimizer = optimizer_of(name, parameters, **{**options, "betas": betas})
    unit = 2.0**-53
    for step in advance(name, optimizer, parameters, history.steps):
        for number, parameter in enumerate(parameters):
            gradients = history.of(number)[: step + 1]
            path = follow(CLOSED_FORMS[name], history.start[number], gradients, options, unit)
            check_parameter(parameter, path[-1], f"parameter {number} after step {step + 1}")
