"""Relations: between optimizers, between orders and layouts of parameters, between batches."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.histories import (
    advance,
    available,
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
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow
from strategies import arrays
from strategies.optimizer_tables import OPTIONS
from strategies.optimizers import GradientHistory

OPTIMIZERS = available({name: (name, {}) for name in OPTIONS})
MANY = [name for name in OPTIMIZERS if name not in ("SparseAdam", "Muon", "LBFGS")]
FUSED = ["SGD", "Adam", "AdamW", "Adagrad"]
VARIANTS = {
    **{name: case for name, case in OPTIMIZERS.items() if name != "LBFGS"},
    **{f"{name}-foreach": (name, {"foreach": True}) for name in MANY},
    **{f"{name}-fused": (name, {"fused": True}) for name in FUSED},
}
IMPLEMENTATIONS = {
    "plain": {}, "for-loop": {"foreach": False}, "foreach": {"foreach": True},
    "fused": {"fused": True},
}  # fmt: skip
SGD = {label: ("SGD", variant) for label, variant in IMPLEMENTATIONS.items()}
ADAM = {label: ("Adam", variant) for label, variant in IMPLEMENTATIONS.items()}
ADAGRAD = {label: ("Adagrad", variant) for label, variant in IMPLEMENTATIONS.items()}
COMPLEX = {
    label: case
    for label, case in VARIANTS.items()
    if case[0] not in ("Adafactor", "SparseAdam", "Muon") and "fused" not in case[1]
}
COMPLEX |= {f"{n}-for-loop": (n, {"foreach": False}) for n, _ in COMPLEX.values()}
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
UNUSED = {label: case for label, case in UNUSED.items() if hasattr(torch.optim, case[0])}


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


def matrices_of(case):
    return histories_of(case, shapes=[(2, 2), (2, 3), (3, 2), (1, 5)], late_starts=False)


def pairs_of(case):
    return histories_of(case, shapes=[(2,), (3, 2), (2, 2, 2)], late_starts=False)


def based_options_of(case):
    return options_of(case[:2])


def based_histories_of(case):
    return histories_of(case[:2])


def based_matrices_of(case):
    return matrices_of(case[:2])


def many_histories_of(case):
    return histories_of(case, max_parameters=4)


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
            bound = 2 * paths[number][step]["parameter"].error
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
            bound = 2 * paths[number][step]["parameter"].error
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
    """A gradient whose elements share memory moves the parameter as one that is written out.

    As the sum of a parameter gives: one number, expanded.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    optimizer, other = (optimizer_of(name, group, **options) for group in (parameters, others))
    for gradients in history.steps:
        corners = [None if g is None else np.full_like(g, g[0, 0]) for g in gradients]
        give(name, others, corners)
        give(name, parameters, corners)
        for parameter, gradient in zip(parameters, corners, strict=True):
            if gradient is not None and name != "SparseAdam":
                # More memory follows the number: who reads past it reads something else.
                held = torch.full((gradient.size,), 7.0, dtype=torch.float64)
                held[0] = gradient[0, 0]
                parameter.grad = held.to(target.device)[:1].expand(parameter.shape)
        optimizer.step(no_loss)
        other.step(no_loss)
        check_equal(parameters, others, "with an expanded gradient")


@law("optimizer.unused-option", docs=page, over=UNUSED)
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
                weight.grad = weight.grad.to_sparse()
        first, second = (weight.grad.to_dense() for weight in weights)
        value = compare.to_numpy(first)
        compare.close(second, value, bound=0.0, dtype=torch.float64, what="accumulated gradient")
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
