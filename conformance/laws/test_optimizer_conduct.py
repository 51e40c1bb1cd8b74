"""What an optimizer leaves alone: its options, random numbers, others' gradients; its defaults."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.histories import (
    OPTIMIZERS,
    advance,
    check_equal,
    histories_of,
    optimizer_of,
    options_of,
    page,
    run_through,
)

STEP = "torch.optim.Optimizer.step"
MOMENTS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False,
            "maximize": False},
    "Adam": {**MOMENTS, "amsgrad": False, "maximize": False},
    "AdamW": {**MOMENTS, "weight_decay": 1e-2, "amsgrad": False, "maximize": False},
    "Adamax": {**MOMENTS, "lr": 2e-3, "maximize": False},
    "NAdam": {**MOMENTS, "lr": 2e-3, "momentum_decay": 4e-3, "decoupled_weight_decay": False,
              "maximize": False},
    "RAdam": {**MOMENTS, "decoupled_weight_decay": False, "maximize": False},
    "SparseAdam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "maximize": False},
    "RMSprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0,
                "centered": False, "maximize": False},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0,
                "eps": 1e-10, "maximize": False},
    "Adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0, "maximize": False},
    "Adafactor": {"lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0,
                  "weight_decay": 0.0, "maximize": False},
    "ASGD": {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6, "weight_decay": 0,
             "maximize": False},
    "Rprop": {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50), "maximize": False},
    "LBFGS": {"lr": 1, "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-7,
              "tolerance_change": 1e-9, "history_size": 100, "line_search_fn": None},
    "Muon": {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True,
             "ns_coefficients": (3.4445, -4.775, 2.0315), "eps": 1e-7, "ns_steps": 5,
             "adjust_lr_fn": None},
}  # fmt: skip
"""The default of every option, as the page of each class documents it."""


@law("optimizer.defaults", docs=page,
     over={name: (name, options) for name, options in DEFAULTS.items()})  # fmt: skip
@given(history=histories_of)
def test_defaults(target, case, history):
    """Without options an optimizer has the documented defaults, the learning rate among them.

    In every group, the first ones and one that is added; it moves as one that is told them.
    """
    name, documented = case
    parameters, told, later = (history.parameters(torch.float64, target.device) for _ in range(3))
    optimizer = optimizer_of(name, parameters)
    other = optimizer_of(name, told, **documented)
    if name != "LBFGS":  # which takes one group
        first = optimizer.param_groups[0]
        own, first["lr"] = first["lr"], 0.625  # what it has by now is nothing to a new group
        optimizer.add_param_group({"params": later})
        first["lr"] = own
    for number, group in enumerate(optimizer.param_groups):
        given_ones = {option: group[option] for option in documented}
        compare.fact(given_ones == documented, True, f"options of group {number}: {given_ones}")
    steps = [(*step, *[None] * len(later)) for step in history.steps]
    run_through(name, optimizer, [*parameters, *later], steps)
    run_through(name, other, told, history.steps)
    check_equal(parameters, told, "by the documented defaults")


def described(optimizer):
    """The options of each group, by their text: numbers, pairs and tensors alike."""
    return [
        {option: repr(value) for option, value in group.items() if option != "params"}
        for group in optimizer.param_groups
    ]


@law("optimizer.options-unchanged", docs=STEP, level="should", over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_options_unchanged(target, case, options, history):
    """Steps change no option of any group, the learning rate included, whatever the gradients.

    What an optimizer adapts is in its state; schedulers, and who writes to param_groups, change
    options.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    before = described(optimizer)
    for step in advance(name, optimizer, parameters, history.steps):
        compare.fact(described(optimizer), before, f"options after step {step + 1}")
    ids = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    compare.fact(ids, [id(parameter) for parameter in parameters], "parameters of the groups")


@law("optimizer.draws-nothing", docs=STEP, level="should", over=OPTIMIZERS, needs=("seeding",))
@given(options=options_of, history=histories_of, seed=st.integers(0, 2**32))
def test_draws_nothing(target, case, options, history, seed):
    """An optimizer draws no random numbers: the generators stay where they were.

    Neither when it is made nor in its steps: stochastic is the choice of samples, which is not
    the optimizer's.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = compare.to_numpy(torch.rand(4, device=target.device))
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        optimizer = optimizer_of(name, parameters, **options)
        run_through(name, optimizer, parameters, history.steps)
        same = torch.equal(torch.get_rng_state(), before)
        compare.fact(same, True, "the host's generator is where it was")
        drawn = torch.rand(4, device=target.device)
        compare.equal(drawn, expected, dtype=drawn.dtype, what="what is drawn next")


@law("optimizer.zero-grad-own", docs="torch.optim.Optimizer.zero_grad", over=OPTIMIZERS)
@given(history=histories_of, to_none=st.booleans(), grouped=st.booleans())
def test_zero_grad_own(target, case, history, to_none, grouped):
    """zero_grad clears the gradients of its own parameters, of all groups, and of no others.

    "Reset the gradients of all optimized Tensors."
    """
    name, _ = case
    own = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    split = grouped and len(own) > 1 and name != "LBFGS"
    optimizer = optimizer_of(name, [{"params": [p]} for p in own] if split else own)
    kept = [torch.ones_like(other).detach() for other in others]
    for parameter, other, gradient in zip(own, others, kept, strict=True):
        parameter.grad, other.grad = torch.ones_like(parameter).detach(), gradient
    optimizer.zero_grad(set_to_none=to_none)
    for parameter, start in zip(own, history.start, strict=True):
        if to_none:
            compare.fact(parameter.grad, None, "grad")
        else:
            compare.equal(parameter.grad, abs(0 * start), dtype=parameter.dtype, what="grad")
    for other, start, gradient in zip(others, history.start, kept, strict=True):
        compare.fact(other.grad is gradient, True, "grad of another tensor is the same")
        compare.equal(gradient, 0 * abs(start) + 1, dtype=other.dtype, what="grad of another")


@law("optimizer.needs-closure", docs="torch.optim.LBFGS")
@given(history=histories_of(("LBFGS", {})))
def test_needs_closure(target, history):
    """step of LBFGS needs a closure that computes the loss: without one it raises TypeError."""
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of("LBFGS", parameters, max_iter=1, lr=1.0)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter).detach()
    before = [compare.to_numpy(parameter) for parameter in parameters]
    with compare.raises(TypeError, "closure"):
        optimizer.step()
    for parameter, value in zip(parameters, before, strict=True):
        compare.unchanged(parameter, value, "parameter after the error")

    def closure():
        loss = sum((p * p).sum() for p in parameters)
        for p in parameters:
            p.grad = 2 * p.detach()
        return loss

    optimizer.step(closure)
    compare.fact(optimizer.state[parameters[0]]["func_evals"], 1, "evaluations of the closure")
