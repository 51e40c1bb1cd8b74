"""A step: closures, gradients that are None or zero, hooks, and what it leaves alone."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.optim import optimizer as optimizer_module

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow
from conformance.scenarios.histories import (
    IMPLEMENTED,
    OPTIMIZERS,
    advance,
    check_equal,
    check_parameter,
    give,
    histories_of,
    no_loss,
    optimizer_of,
    options_of,
    page,
    run_through,
    seen,
    trained,
)
from strategies.optimizer_tables import OPTIONS

STEP = "torch.optim.Optimizer.step"
FOLLOWED = {name: case for name, case in OPTIMIZERS.items() if name in CLOSED_FORMS}
MAXIMIZING = {label: case for label, case in IMPLEMENTED.items() if "maximize" in OPTIONS[case[0]]}
ONCE = {name: case for name, case in OPTIMIZERS.items() if name != "LBFGS"}
READING = {
    **IMPLEMENTED,
    "SGD-foreach": ("SGD", {"foreach": True, "nesterov": False}),
    "SGD-foreach-nesterov": ("SGD", {"foreach": True, "nesterov": True, "momentum": 0.5}),
}
HOOKS = {
    "one": ("register_step_pre_hook", "register_step_post_hook"),
    "every": ("register_optimizer_step_pre_hook", "register_optimizer_step_post_hook"),
}


@law("optimizer.none-gradient-skips", docs=STEP, over=FOLLOWED)
@given(options=options_of, history=histories_of)
def test_none_gradient_skips(target, case, options, history):
    """A parameter whose ``.grad`` is None is left as it is, and gets no state.

    Adagrad alone makes its state before the first step; that stays as it was made.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    idle = torch.ones(2, 2, dtype=torch.float64, device=target.device, requires_grad=True)
    optimizer = optimizer_of(name, [*parameters, idle], **options)
    steps = [(*step, None) for step in history.steps]
    for _ in advance(name, optimizer, [*parameters, idle], steps):
        compare.equal(idle, np.ones((2, 2)), dtype=idle.dtype, what="idle")
    compare.fact(idle.grad, None, "grad of the idle parameter")
    state = optimizer.state.get(idle, {})
    if name == "Adagrad":
        compare.fact(float(state["step"]), 0.0, "steps of a parameter without gradient")
    else:
        compare.fact(len(state), 0, "entries of the state of a parameter without gradient")


@law("optimizer.zero-gradient-steps", docs="torch.optim.Optimizer.zero_grad", over=FOLLOWED)
@given(options=options_of, history=histories_of, count=st.integers(1, 3))
def test_zero_gradient_steps(target, case, options, history, count):
    """A gradient of zeros is stepped by: momentum, decay and counts go on.

    "``torch.optim`` optimizers have a different behavior if the gradient is 0 or None (in one
    case it does the step with a gradient of 0 and in the other it skips the step altogether)."
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    zeros = [tuple(np.zeros_like(start) for start in history.start)] * count
    run_through(name, optimizer, parameters, [*history.steps, *zeros])
    for number, parameter in enumerate(parameters):
        gradients = [step[number] for step in (*history.steps, *zeros)]
        states = follow(
            CLOSED_FORMS[name], history.start[number], seen(name, gradients), options, 2.0**-53
        )
        check_parameter(parameter, states[-1], f"parameter {number} after gradients of zero")
        if "step" in states[-1]:
            steps = float(optimizer.state[parameter]["step"])
            compare.fact(steps, float(states[-1]["step"]), f"steps of parameter {number}")


@law("optimizer.zero-grad", docs="torch.optim.Optimizer.zero_grad", over=OPTIMIZERS)
@given(history=histories_of, value=st.sampled_from((1.0, np.nan, np.inf)))
def test_zero_grad(target, case, history, value):
    """zero_grad sets every ``.grad`` to None, or with set_to_none=False to zeros, whatever it held.

    The zeros are in the tensor that was there; a parameter without gradient stays without.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    idle = torch.ones(2, 2, dtype=torch.float64, device=target.device, requires_grad=True)
    optimizer = optimizer_of(name, [*parameters, idle])
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, value)
    before = [parameter.grad for parameter in parameters]
    optimizer.zero_grad(set_to_none=False)
    for parameter, start, old in zip(parameters, history.start, before, strict=True):
        compare.equal(parameter.grad, abs(0 * start), dtype=parameter.dtype, what="grad")
        compare.fact(parameter.grad is old, True, "grad is the tensor that was there")
    compare.fact(idle.grad, None, "grad of a parameter without")
    optimizer.zero_grad()
    compare.fact([p.grad for p in parameters], [None] * len(parameters), "grad")


@law(
    "optimizer.zero-grad-detaches",
    docs="torch.optim.Optimizer.zero_grad",
    over={label: IMPLEMENTED[label] for label in ("SGD", "SGD-foreach", "SGD-fused", "LBFGS")},
)
@given(history=histories_of, grouped=st.booleans())
def test_zero_grad_detaches(target, case, history, grouped):
    """Gradients that zero_grad(set_to_none=False) keeps belong to no graph any more."""
    name, variant = case
    parameters = history.parameters(torch.float64, target.device)
    split = grouped and name != "LBFGS"
    groups = [{"params": [parameter]} for parameter in parameters] if split else parameters
    optimizer = optimizer_of(name, groups, **variant)
    for parameter in parameters:
        (parameter * parameter * parameter).sum().backward(create_graph=True)
    compare.fact([p.grad.requires_grad for p in parameters], [True] * len(parameters), "before")
    optimizer.zero_grad(set_to_none=False)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.equal(parameter.grad, abs(0 * start), dtype=parameter.dtype, what="grad")
        compare.fact(parameter.grad.requires_grad, False, "grad requires grad")
        compare.fact(parameter.grad.grad_fn, None, "grad_fn of the grad")


@law("optimizer.step-returns-loss", docs=STEP, over=OPTIMIZERS)
@given(history=histories_of)
def test_step_returns_loss(target, case, history):
    """step calls its closure with grad enabled and returns the closure's loss.

    The very object that the first call returned; grad mode is afterwards as it was.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters)
    enabled, losses = [], []

    def closure():
        enabled.append(torch.is_grad_enabled())
        losses.append(torch.tensor(2.5))
        return losses[-1]

    for outside in (False, True):
        enabled.clear()
        losses.clear()
        give(name, parameters, [np.ones_like(start) for start in history.start])
        with torch.set_grad_enabled(outside):
            loss = optimizer.step(closure)
            compare.fact(torch.is_grad_enabled(), outside, "grad mode after the step")
        compare.equal(loss, np.array(2.5), dtype=torch.float32, what="loss")
        compare.fact(loss is losses[0], True, "loss is what the closure first returned")
        compare.fact(all(enabled), True, "grad mode in the closure")


@law("optimizer.closure-comes-first", docs=STEP, over=ONCE)
@given(options=options_of, history=histories_of)
def test_closure_comes_first(target, case, options, history):
    """step calls its closure once, before anything moves, and steps by the gradients it sets.

    Without a closure it returns None.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    plain = history.parameters(torch.float64, target.device)
    optimizer, other = (optimizer_of(name, group, **options) for group in (parameters, plain))
    for gradients in history.steps:
        calls: list[list[compare.Array]] = []

        def closure(calls=calls, gradients=gradients):
            calls.append([compare.to_numpy(parameter) for parameter in parameters])
            give(name, parameters, gradients)
            return 1.5

        compare.fact(optimizer.step(closure), 1.5, "loss")
        compare.fact(len(calls), 1, "calls of the closure")
        for number, (value, parameter) in enumerate(zip(calls[0], plain, strict=True)):
            compare.unchanged(parameter, value, f"parameter {number} when the closure ran")
        give(name, plain, gradients)
        compare.fact(other.step(), None, "loss without a closure")
        check_equal(parameters, plain, "stepped by a closure")


@law("optimizer.gradients-unchanged", docs=STEP, level="should", over=READING)
@given(options=options_of, history=histories_of)
def test_gradients_unchanged(target, case, options, history):
    """A step reads gradients and leaves them as they are: the tensors, and what they hold."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    for gradients in history.steps:
        give(name, parameters, gradients)
        before = [parameter.grad for parameter in parameters]
        optimizer.step(no_loss)
        for number, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            what = f"grad of parameter {number}"
            compare.fact(parameter.grad is before[number], True, f"{what} is the same tensor")
            if gradient is not None:
                kept = parameter.grad.to_dense()
                value = np.asarray(gradient) + (0.0 if name == "SparseAdam" else 0 * gradient)
                compare.close(kept, value, bound=0.0, dtype=torch.float64, what=what)


@law("optimizer.in-place", docs=STEP, over=IMPLEMENTED)
@given(options=options_of, history=histories_of)
def test_in_place(target, case, options, history):
    """A step writes to the parameter's own memory; it stays a leaf that requires grad.

    Shape, dtype and strides stay as well, and nothing of it is recorded.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    views = [parameter.detach() for parameter in parameters]
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps)
    for number, (parameter, view) in enumerate(zip(parameters, views, strict=True)):
        what = f"parameter {number}"
        value = compare.to_numpy(parameter)
        compare.equal(view, value, dtype=torch.float64, what=f"view of {what}")
        flags = (parameter.is_leaf, parameter.requires_grad, parameter.stride())
        compare.fact(flags, (True, True, view.stride()), f"leaf, requires grad, strides of {what}")
        kept = optimizer.state.get(parameter, {})
        recorded = [k for k, v in kept.items() if isinstance(v, torch.Tensor) and v.requires_grad]
        compare.fact(recorded, [], f"entries of the state of {what} that require grad")


@law("optimizer.maximize-mirrors", docs=page, over=MAXIMIZING)
@given(options=options_of, history=histories_of)
def test_maximize_mirrors(target, case, options, history):
    """Maximizing by gradients is minimizing by their negatives, bit for bit."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    mirrored = history.parameters(torch.float64, target.device)
    up = optimizer_of(name, parameters, **{**options, "maximize": True})
    down = optimizer_of(name, mirrored, **{**options, "maximize": False})
    negatives = [[None if g is None else -g for g in step] for step in history.steps]
    pairs = zip(
        advance(name, up, parameters, history.steps),
        advance(name, down, mirrored, negatives),
        strict=True,
    )
    for step, _ in pairs:
        for number, (one, other) in enumerate(zip(parameters, mirrored, strict=True)):
            what = f"parameter {number} after step {step + 1}"
            value = compare.to_numpy(other)
            compare.close(one, value, bound=0.0, dtype=torch.float64, what=what)


@law("optimizer.step-hooks", docs="torch.optim.Optimizer.register_step_pre_hook", over=OPTIMIZERS)
@given(history=histories_of, kind=st.sampled_from(sorted(HOOKS)))
def test_step_hooks(target, case, history, kind):
    """Pre hooks run before a step moves anything and post hooks after it, in their order.

    Each gets the optimizer, and the step's arguments; removed, it runs no more. Those of every
    optimizer are registered by functions of their own.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters)
    owner = optimizer if kind == "one" else optimizer_module
    register_before, register_after = (getattr(owner, name) for name in HOOKS[kind])
    calls = []

    def hook(label):
        def called(which, arguments, keywords):
            values = [compare.to_numpy(parameter) for parameter in parameters]
            calls.append((label, which is optimizer, arguments[-1:], keywords, values))

        return called

    handles = [register_before(hook("pre 1")), register_before(hook("pre 2"))]
    handles += [register_after(hook("post 1")), register_after(hook("post 2"))]
    try:
        for gradients in history.steps:
            calls.clear()
            start = [compare.to_numpy(parameter) for parameter in parameters]
            give(name, parameters, gradients)
            optimizer.step(no_loss)
            labels = [label for label, *_ in calls]
            compare.fact(labels, ["pre 1", "pre 2", "post 1", "post 2"], "order of the hooks")
            for label, same, arguments, keywords, values in calls:
                got = (same, arguments, keywords)
                compare.fact(got, (True, (no_loss,), {}), f"arguments of {label}")
                now = start if label.startswith("pre") else parameters
                for number, (value, held) in enumerate(zip(values, now, strict=True)):
                    expected = held if label.startswith("pre") else compare.to_numpy(held)
                    what = f"parameter {number} in {label}"
                    compare.equal(torch.tensor(value), expected, dtype=torch.float64, what=what)
    finally:
        for handle in handles:
            handle.remove()
    calls.clear()
    optimizer.step(no_loss)
    compare.fact(calls, [], "calls of removed hooks")


@law(
    "optimizer.pre-hook-replaces-arguments",
    docs="torch.optim.Optimizer.register_step_pre_hook",
    over=OPTIMIZERS,
)
@given(history=histories_of)
def test_pre_hook_replaces_arguments(target, case, history):
    """What a pre hook returns are the arguments that the step gets; anything but a pair raises."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters)
    other = torch.tensor(0.75)

    def replacing(which, arguments, keywords):
        return (which, lambda: other), keywords

    give(name, parameters, history.steps[0])
    handle = optimizer.register_step_pre_hook(replacing)
    compare.fact(optimizer.step(no_loss) is other, True, "loss is that of the hook's closure")
    handle.remove()
    before = [compare.to_numpy(parameter) for parameter in parameters]
    optimizer.register_step_pre_hook(lambda *_: "neither")
    with compare.raises(RuntimeError, "must return None or a tuple of"):
        optimizer.step(no_loss)
    for parameter, value in zip(parameters, before, strict=True):
        compare.unchanged(parameter, value, "parameter")


@law("optimizer.two-instances", docs="torch.optim.Optimizer", over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_two_instances(target, case, options, history):
    """Two optimizers of one class know nothing of each other: steps in turn are as alone."""
    name, _ = case
    lists = [history.parameters(torch.float64, target.device) for _ in range(3)]
    optimizers = [optimizer_of(name, each, **options) for each in lists]
    for gradients in history.steps:
        for parameters, optimizer in zip(lists[:2], optimizers[:2], strict=True):
            give(name, parameters, gradients)
            optimizer.step(no_loss)
    run_through(name, optimizers[2], lists[2], history.steps)
    check_equal(lists[0], lists[2], "of the first of two")
    check_equal(lists[1], lists[2], "of the second of two")


@law("optimizer.gradients-between-steps", docs=STEP, over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_gradients_between_steps(target, case, options, history):
    """Writing to a gradient after a step changes nothing of what the optimizer remembers."""
    name, _ = case
    parameters = trained(history, torch.float64, target.device, options)
    plain = history.parameters(torch.float64, target.device)
    optimizer, other = (optimizer_of(name, group, **options) for group in (parameters, plain))
    for _ in advance(name, optimizer, parameters, history.steps):
        for parameter in parameters:
            if parameter.grad is not None and name != "SparseAdam":
                parameter.grad.fill_(7.0)
    run_through(name, other, plain, history.steps)
    check_equal(parameters, plain, "whose old gradients were overwritten")
