"""How far steps go: bounds on them, what makes them shorter or longer, momentum and decay."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.histories import (
    IMPLEMENTED,
    advance,
    check_equal,
    histories_of,
    optimizer_of,
    options_of,
    page,
    run_through,
)
from strategies import arrays

ROUNDING = 2.0**-48
"""What float64 may lose in the few operations of a step, relatively."""

PLAIN = {"weight_decay": 0.0, "lr": 0.125}
BOUNDED = {
    label: (name, {**PLAIN, **overrides, **variant})
    for name, overrides in (
        ("Adam", {}), ("RMSprop", {"momentum": 0.0, "centered": False}), ("Adagrad", {}),
    )
    for label, variant in (
        (name, {}), (f"{name}-for-loop", {"foreach": False}), (f"{name}-foreach", {"foreach": True})
    )
}  # fmt: skip
DIVIDING = {
    label: (name, {"weight_decay": 0.0, "lr": 0.125, **variant})
    for label, (name, variant) in IMPLEMENTED.items()
    if name in ("Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad", "Adadelta")
}
SGD = {label: case for label, case in IMPLEMENTED.items() if case[0] == "SGD"}
RMSPROP = {label: case for label, case in IMPLEMENTED.items() if case[0] == "RMSprop"}
ADAGRAD = {label: case for label, case in IMPLEMENTED.items() if case[0] == "Adagrad"}
COUPLED = ("SGD", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD")
PENALIZED = {
    label: (name, {**variant, **({"decoupled_weight_decay": False} if name in ("NAdam", "RAdam")
                                 else {}), "maximize": False})
    for label, (name, variant) in IMPLEMENTED.items() if name in COUPLED
}  # fmt: skip


def longest(name, options, count):
    """The longest step that is possible after so many gradients, in units of the rate.

    Of Adam by the inequality of Cauchy and Schwarz, of the weighted sum of gradients by that of
    their squares; of the others since the last square is part of what is divided by.
    """
    if name == "RMSprop":
        return (1 - options["alpha"]) ** -0.5
    if name == "Adagrad":
        return 1.0
    first, second = options["betas"]
    ratios = sum((first**2 / second) ** k for k in range(count))
    corrected = (1 - first) / (1 - first**count)
    return corrected * ((1 - second**count) / (1 - second) * ratios) ** 0.5


@law("optimizer.bounded-steps", docs=page, over=BOUNDED)
@given(options=lambda case: options_of(case), history=lambda case: histories_of(case))
def test_bounded_steps(target, case, options, history):
    """However large gradients are, no step of Adam, RMSprop and Adagrad exceeds a multiple of lr.

    By element: of Adagrad lr, of RMSprop lr / sqrt(1 - alpha), of Adam after t gradients
    ``lr (1 - b1) / (1 - b1^t) sqrt((1 - b2^t) / (1 - b2) sum of (b1^2 / b2)^k for k < t)``.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    before = [compare.to_numpy(parameter) for parameter in parameters]
    counts = [0] * len(parameters)
    for step in advance(name, optimizer, parameters, history.steps):
        for number, parameter in enumerate(parameters):
            now = compare.to_numpy(parameter)
            if history.steps[step][number] is not None:
                counts[number] += 1
            count = max(counts[number], 1)
            limit = options["lr"] * longest(name, options, count) * (1 + ROUNDING)
            slack = ROUNDING * (np.abs(now) + np.abs(before[number]))
            within = np.abs(now - before[number]) <= limit + slack
            compare.every(within, parameter, f"a step {step + 1} no longer than {limit}")
            before[number] = now


@law("optimizer.first-zero-gradient", docs=page, over=DIVIDING)
@given(
    options=lambda case: options_of(case),
    start=arrays(shape=(3,)),
    first=st.sampled_from((0.0, 1.0)),
    steps=st.integers(1, 3),
)
def test_first_zero_gradient(target, case, options, start, first, steps):
    """Gradients of zero move nothing, as eps keeps them from being divided by zero: else it is nan.

    Elements whose gradients were zero from the first step on; beside them one may have another.
    """
    name, _ = case
    options = {**options, "initial_accumulator_value": 0.0} if name == "Adagrad" else options
    gradient = np.array([first, 0.0, 0.0])
    for eps, expected in ((options["eps"], start), (0.0, start * np.nan)):
        parameter = torch.tensor(start, device=target.device, requires_grad=True)
        optimizer = optimizer_of(name, [parameter], **{**options, "eps": eps})
        run_through(name, optimizer, [parameter], [[gradient]] * steps)
        rest = parameter.detach()[1:]
        what = f"parameter with eps {eps}"
        compare.close(rest, expected[1:], bound=0.0, dtype=torch.float64, what=what)


@law("optimizer.rmsprop-forgets", docs="torch.optim.RMSprop", over=RMSPROP)
@given(
    options=lambda case: options_of((case[0], {**case[1], **PLAIN, "momentum": 0.0,
                                               "centered": False})),
    gradient=arrays(shape=(3,)),
    zeros=st.integers(1, 4),
)  # fmt: skip
def test_rmsprop_forgets(target, case, options, gradient, zeros):
    """What RMSprop divides by falls where gradients do: a zero multiplies its square by alpha.

    So that the same gradient is stepped farther afterwards than it would have been at once.
    """
    alpha, eps = options["alpha"], options["eps"]
    lengths = []
    for pause in (0, zeros):
        parameter = torch.zeros(3, dtype=torch.float64, device=target.device, requires_grad=True)
        optimizer = optimizer_of("RMSprop", [parameter], **options)
        steps = [[gradient], *[[0 * gradient]] * pause]
        run_through("RMSprop", optimizer, [parameter], steps)
        square = (1 - alpha) * gradient**2 * alpha**pause
        kept, what = optimizer.state[parameter]["square_avg"], "average of squares"
        compare.close(kept, square, bound=ROUNDING * square, dtype=torch.float64, what=what)
        before = compare.to_numpy(parameter)
        run_through("RMSprop", optimizer, [parameter], [[gradient]])
        moved = compare.to_numpy(parameter) - before
        root = np.sqrt(alpha * square + (1 - alpha) * gradient**2)
        sign = 1 if options["maximize"] else -1
        expected = sign * options["lr"] * gradient / (root + eps)
        got = torch.tensor(moved, dtype=torch.float64)
        bound = ROUNDING * (np.abs(expected) + np.abs(before))
        compare.close(got, expected, bound=bound, dtype=torch.float64, what="step")
        lengths.append(np.abs(moved))
    longer = (lengths[1] > lengths[0]) | (gradient == 0)
    compare.every(longer, parameter, "a longer step after gradients of zero")


@law("optimizer.adagrad-rate-falls", docs="torch.optim.Adagrad", over=ADAGRAD)
@given(
    options=lambda case: options_of((case[0], {**case[1], **PLAIN})),
    history=lambda case: histories_of(case),
)
def test_adagrad_rate_falls(target, case, options, history):
    """The sum that Adagrad divides by never falls: no step is longer than its last rate makes it.

    That is ``lr / (sqrt(sum) + eps)`` times the gradient, with the sum before the step.
    """
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of("Adagrad", parameters, **options)
    zeros = [np.full(start.shape, options["initial_accumulator_value"]) for start in history.start]
    sums, before = zeros, [compare.to_numpy(parameter) for parameter in parameters]
    for step in advance("Adagrad", optimizer, parameters, history.steps):
        for number, parameter in enumerate(parameters):
            kept = compare.to_numpy(optimizer.state[parameter]["sum"])
            compare.every(kept >= sums[number], parameter, "a sum that does not fall")
            now, gradient = compare.to_numpy(parameter), history.steps[step][number]
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = options["lr"] / (np.sqrt(sums[number]) + options["eps"])
                longest_step = rate * np.abs(0.0 * now if gradient is None else gradient)
            slack = ROUNDING * (longest_step + np.abs(now) + np.abs(before[number]))
            within = np.abs(now - before[number]) <= longest_step + slack
            compare.every(within, parameter, f"a step {step + 1} by a rate that did not rise")
            sums[number], before[number] = kept, now


@law("optimizer.momentum-alternates", docs="torch.optim.SGD", over=SGD)
@given(gradient=arrays(shape=(3,)), momentum=st.sampled_from((0.5, 0.9)), steps=st.integers(1, 9))
def test_momentum_alternates(target, case, gradient, momentum, steps):
    """Gradients whose sign alternates are damped by momentum: steps go to lr g / (1 + momentum).

    The t-th is ``lr g (1 - (-momentum)^t) / (1 + momentum)``, of the sign of its gradient.
    """
    _, variant = case
    parameter = torch.zeros(3, dtype=torch.float64, device=target.device, requires_grad=True)
    optimizer = optimizer_of("SGD", [parameter], lr=0.125, momentum=momentum, **variant)
    signs = [(-1.0) ** step for step in range(steps)]
    before = np.zeros(3)
    for step in advance("SGD", optimizer, [parameter], [[sign * gradient] for sign in signs]):
        now = compare.to_numpy(parameter)
        damping = (1 - (-momentum) ** (step + 1)) / (1 + momentum)
        expected = -0.125 * signs[step] * gradient * damping
        moved = torch.tensor(now - before, dtype=torch.float64)
        bound = ROUNDING * np.abs(gradient)
        what = f"step {step + 1}"
        compare.close(moved, expected, bound=bound, dtype=torch.float64, what=what)
        before = now


@law("optimizer.momentum-overshoots", docs="torch.optim.SGD", over=SGD)
@given(
    start=st.sampled_from((1.0, -3.0, 0.5)),
    curvature=st.sampled_from((1.0, 0.5, 4.0)),
    product=st.sampled_from((0.125, 0.25, 0.5, 0.75)),
    momentum=st.sampled_from((0.5, 0.9)),
)
def test_momentum_overshoots(target, case, start, curvature, product, momentum):
    """On a parabola momentum passes the minimum that plain descent of the same rate only nears.

    With ``h = lr curvature < 1`` plain steps multiply by 1 - h; with momentum the path is
    ``x' = (1 - h) x + momentum (x - previous x)``, and changes its side as ``(1 + momentum - h)^2``
    is below 4 momentum.
    """
    _, variant = case
    for weight in (0.0, momentum):
        x = torch.tensor(start, dtype=torch.float64, device=target.device, requires_grad=True)
        options = {"lr": product / curvature, "momentum": weight, **variant}
        optimizer = optimizer_of("SGD", [x], **options)
        path = [start, start]
        for step in range(30):
            optimizer.zero_grad()
            target.run("torch.mul", x * x, curvature / 2).backward()
            optimizer.step()
            path.append((1 - product) * path[-1] + weight * (path[-1] - path[-2]))
            bound, what = 1e-12 * abs(start), f"parameter after step {step + 1}"
            expected = np.array(path[-1])
            compare.close(x, expected, bound=bound, dtype=torch.float64, what=what)
        passes = min(place / start for place in path) < 0
        compare.fact(passes, weight > 0, f"with momentum {weight} the path changes its side")


@law("optimizer.decay-is-penalty", docs=page, over=PENALIZED)
@given(
    options=lambda case: options_of(case),
    slopes=arrays(shape=(5, 3)),
    decay=st.sampled_from((0.125, 0.5)),
)
def test_decay_is_penalty(target, case, options, slopes, decay):
    """weight_decay is a penalty of half of it times the squared norm, bit for bit.

    Of the classes that add it to the gradient, when minimizing; powers of 2, so that the gradient
    of the penalty is exact.
    """
    name, _ = case
    trained = []
    for own, penalty in ((decay, 0.0), (0.0, decay)):
        parameter = torch.tensor(slopes[0], device=target.device, requires_grad=True)
        optimizer = optimizer_of(name, [parameter], **{**options, "weight_decay": own})
        for slope in torch.tensor(slopes[1:], device=target.device):
            optimizer.zero_grad()
            loss = (slope * parameter).sum() + penalty / 2 * parameter.square().sum()
            loss.backward()
            optimizer.step()
        trained.append(parameter)
    check_equal(trained[:1], trained[1:], "with the decay as a penalty")
