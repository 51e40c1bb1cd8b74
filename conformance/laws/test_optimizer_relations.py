"""Relations: between optimizers, between orders and layouts of parameters, between batches."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import limit
from conformance.scenarios.histories import (
    advance,
    check_equal,
    give,
    histories_of,
    optimizer_of,
    options_of,
    page,
    paths_of,
    run_through,
)
from strategies import arrays
from strategies.optimizers import GradientHistory

IMPLEMENTATIONS = {
    "plain": {}, "for-loop": {"foreach": False}, "foreach": {"foreach": True},
    "fused": {"fused": True},
}  # fmt: skip
SGD = {label: ("SGD", variant) for label, variant in IMPLEMENTATIONS.items()}
ADAM = {label: ("Adam", variant) for label, variant in IMPLEMENTATIONS.items()}
ADAGRAD = {label: ("Adagrad", variant) for label, variant in IMPLEMENTATIONS.items()}
UNUSED = {
    "SGD-dampening": ("SGD", {"momentum": 0.0, "nesterov": False}, "dampening", 0.25),
    "SGD-nesterov": ("SGD", {"momentum": 0.0, "nesterov": False}, "nesterov", True),
    "Adam-decoupled": ("Adam", {"weight_decay": 0.0}, "decoupled_weight_decay", True),
    "NAdam-decoupled": ("NAdam", {"weight_decay": 0.0}, "decoupled_weight_decay", True),
    "RAdam-decoupled": ("RAdam", {"weight_decay": 0.0}, "decoupled_weight_decay", True),
    "ASGD-alpha": ("ASGD", {"lambd": 0.0}, "alpha", 0.25),
    "ASGD-start": ("ASGD", {"lr": 0.125}, "t0", 1.0),
    "Adafactor-clipping": ("Adafactor", {"d": 2.0**100}, "d", 2.0**90),
    "Muon-nesterov": ("Muon", {"momentum": 0.0}, "nesterov", True),
    "Muon-eps": ("Muon", {"ns_steps": 1}, "eps", 1e-30),
    "Rprop-limits": ("Rprop", {"step_sizes": (0.0, 1e6), "lr": 0.125}, "step_sizes", (1e-9, 1e7)),
    "Adagrad-decay": ("Adagrad", {"lr_decay": 0.0}, "lr_decay", 0),
    "RMSprop-momentum": ("RMSprop", {"momentum": 0.0}, "momentum", 0),
}


def scaled_eps(options, factor):
    return {**options, "eps": options["eps"] * factor}


def scaled_accumulator(options, factor):
    first = options["initial_accumulator_value"] * factor**2
    return {**options, "eps": options["eps"] * factor, "initial_accumulator_value": first}


def scaled_rate(options, factor):
    return {**options, "lr": options["lr"] / factor}


def as_they_are(options, factor):
    return options


COUPLED = {"weight_decay": 0.0}
SCALED = {
    "SGD": ("SGD", COUPLED, scaled_rate),
    "Adam": ("Adam", COUPLED, scaled_eps),
    "AdamW": ("AdamW", {}, scaled_eps),
    "Adamax": ("Adamax", COUPLED, scaled_eps),
    "NAdam": ("NAdam", {"decoupled_weight_decay": True}, scaled_eps),
    "RMSprop": ("RMSprop", COUPLED, scaled_eps),
    "Adagrad": ("Adagrad", COUPLED, scaled_accumulator),
    "Rprop": ("Rprop", {}, as_they_are),
    **{f"{name}-foreach": (name, {"foreach": True, **COUPLED}, scaled_eps)
       for name in ("Adam", "RMSprop", "Adamax")},
    "AdamW-fused": ("AdamW", {"fused": True}, scaled_eps),
}  # fmt: skip


def based_options_of(case):
    return options_of(case[:2])


def based_histories_of(case):
    return histories_of(case[:2])


def bare_histories(**keywords):
    return histories_of(("SGD", {}), late_starts=False, extremes=False, **keywords)


@law("optimizer.sgd-momentum-unrolls", docs="torch.optim.SGD", over=SGD)
@given(rows=arrays(shape=(7, 3)), nesterov=st.booleans(), dampening=st.sampled_from([0.0, 0.25]))
def test_sgd_momentum_unrolls(target, case, rows, nesterov, dampening):
    """With momentum 1/2 SGD moves to the start minus a sum of gradients with geometric weights.

    Without nesterov ``theta_T = theta_0 - lr sum over s of c_s g_s (1 + mu + ... + mu^(T - s))``
    where c is 1 at the first step and 1 - dampening later; nesterov adds the next power. Exactly,
    since every number is a small multiple of a power of 2.
    """
    _, variant = case
    kept = 1.0 if nesterov else 1 - dampening
    parameter = torch.tensor(rows[0], dtype=torch.float64, device=target.device, requires_grad=True)
    options = {"momentum": 0.5, "nesterov": nesterov, "dampening": 1 - kept}
    optimizer = optimizer_of("SGD", [parameter], lr=0.125, **options, **variant)
    gradients = rows[1:]
    for step in advance("SGD", optimizer, [parameter], [[g] for g in gradients]):
        moved = np.zeros(3)
        for s, gradient in enumerate(gradients[: step + 1]):
            powers = sum(0.5**k for k in range(step - s + 1))
            factor = 1.0 if s == 0 else kept
            moved += factor * gradient * (0.5 * powers + 1.0 if nesterov else powers)
        what = f"parameter after step {step + 1}"
        expected = rows[0] - 0.125 * moved
        compare.close(parameter, expected, bound=0.0, dtype=torch.float64, what=what)


@law("optimizer.adam-and-rmsprop", docs="torch.optim.Adam", over=ADAM)
@given(history=bare_histories(), beta=st.sampled_from([0.999, 0.5]))
def test_adam_and_rmsprop(target, case, history, beta):
    """Adam with beta1 = 0 is RMSprop whose rate and eps follow Adam's bias correction.

    At step t both are multiplied by ``sqrt(1 - beta2^t)``. None gradients would count apart.
    """
    _, variant = case
    steps = [step for step in history.steps if all(g is not None for g in step)]
    history = GradientHistory(history.start, tuple(steps))
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    adam = optimizer_of("Adam", parameters, lr=0.125, betas=(0.0, beta), eps=1e-3, **variant)
    rmsprop = optimizer_of("RMSprop", others, alpha=beta)
    options = {"lr": 0.125, "betas": (0.0, beta), "eps": 1e-3, "weight_decay": 0, "amsgrad": False}
    paths = paths_of("Adam", history, options, torch.float64)
    for step, gradients in enumerate(steps):
        correction = (1 - beta ** (step + 1)) ** 0.5
        rmsprop.param_groups[0].update(lr=0.125 * correction, eps=1e-3 * correction)
        for group, optimizer in ((parameters, adam), (others, rmsprop)):
            give("Adam", group, gradients)
            optimizer.step()
        for number, (one, other) in enumerate(zip(parameters, others, strict=True)):
            bound = 2 * limit(paths[number][step]["parameter"])
            what = f"parameter {number} after step {step + 1}"
            value = compare.to_numpy(other)
            compare.close(one, value, bound=bound, dtype=torch.float64, what=what)


@law("optimizer.adamw-decays-apart", docs="torch.optim.AdamW", over=ADAM)
@given(options=options_of(("AdamW", {})), history=bare_histories())
def test_adamw_decays_apart(target, case, options, history):
    """A step of AdamW is one of Adam without decay, from the parameter that was shrunk before.

    By the factor ``1 - lr weight_decay``, where the parameter has a gradient.
    """
    _, variant = case
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    adamw = optimizer_of("AdamW", parameters, **options, **variant)
    adam = optimizer_of("Adam", others, **{**options, "weight_decay": 0.0})
    paths = paths_of("AdamW", history, options, torch.float64)
    for step, gradients in enumerate(history.steps):
        give("AdamW", parameters, gradients)
        adamw.step()
        with torch.no_grad():
            for other, gradient in zip(others, gradients, strict=True):
                if gradient is not None:
                    other.mul_(1 - options["lr"] * options["weight_decay"])
        give("Adam", others, gradients)
        adam.step()
        for number, (one, other) in enumerate(zip(parameters, others, strict=True)):
            bound = 2 * limit(paths[number][step]["parameter"])
            what = f"parameter {number} after step {step + 1}"
            value = compare.to_numpy(other)
            compare.close(one, value, bound=bound, dtype=torch.float64, what=what)


@law("optimizer.adam-decoupled", docs="torch.optim.Adam", over=ADAM)
@given(options=options_of(("AdamW", {})), history=bare_histories())
def test_adam_decoupled(target, case, options, history):
    """Adam with decoupled_weight_decay is AdamW, bit for bit."""
    _, variant = case
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    adamw = optimizer_of("AdamW", others, **options, **variant)
    adam = optimizer_of("Adam", parameters, decoupled_weight_decay=True, **options, **variant)
    run_through("Adam", adam, parameters, history.steps)
    run_through("AdamW", adamw, others, history.steps)
    check_equal(parameters, others, "of decoupled Adam")


@law("optimizer.adagrad-slows-down", docs="torch.optim.Adagrad", over=ADAGRAD)
@given(gradient=arrays(shape=(3,)), first=st.sampled_from([0.0, 0.5]))
def test_adagrad_slows_down(target, case, gradient, first):
    """Under a constant gradient no step of Adagrad is longer than the one before.

    From an empty accumulator the t-th step is ``lr / sqrt(t)`` but for eps.
    """
    _, variant = case
    parameter = torch.zeros(3, dtype=torch.float64, device=target.device, requires_grad=True)
    chosen = {"lr": 1.0, "eps": 1e-10, "initial_accumulator_value": first}
    optimizer = optimizer_of("Adagrad", [parameter], **chosen, **variant)
    reached = [np.zeros(3)]
    for _ in advance("Adagrad", optimizer, [parameter], [[gradient]] * 8):
        reached.append(compare.to_numpy(parameter))
    steps = np.abs(np.diff(reached, axis=0))
    compare.every(steps[1:] <= steps[:-1], parameter.expand(7, 3), "a step no longer than before")
    if first == 0.0:
        counts = np.arange(1, 9)[:, None]
        expected = np.where(gradient == 0, 0.0, 1 / np.sqrt(counts))
        near = np.abs(steps - expected) <= 1e-9 * expected + 1e-15 * counts
        compare.every(near, parameter.expand(8, 3), "a step of lr / sqrt(t)")


@law("optimizer.scaled-gradients", docs=page, over=SCALED)
@given(
    options=based_options_of,
    history=bare_histories(),
    exponent=st.sampled_from([-8, -3, 5]),
)
def test_scaled_gradients(target, case, options, history, exponent):
    """Gradients times a power of 2 move parameters alike, bit for bit, if options are scaled too.

    eps by the same power, and Adagrad's accumulator by its square; SGD's rate by the inverse;
    Rprop sees the signs only.
    """
    name, _, scaled = case
    factor = 2.0**exponent
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    other = optimizer_of(name, others, **scaled(options, factor))
    steps = [[None if g is None else factor * g for g in step] for step in history.steps]
    run_through(name, optimizer, parameters, history.steps)
    run_through(name, other, others, steps)
    check_equal(others, parameters, "with scaled gradients")


@law(
    "optimizer.unused-option",
    docs=page,
    over=UNUSED,
)
@given(options=based_options_of, history=based_histories_of)
def test_unused_option(target, case, options, history):
    """An option that the others leave without effect changes nothing, bit for bit.

    Such as dampening without momentum, or the kind of a weight decay of zero.
    """
    name, _, option, value = case
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    changed = optimizer_of(name, others, **options)
    changed.param_groups[0][option] = value
    run_through(name, optimizer, parameters, history.steps)
    run_through(name, changed, others, history.steps)
    check_equal(others, parameters, f"with another {option}")
