"""Hooks of modules around backward: what they get and change, and when they run."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import dyadics, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=24), result=result_kind)


@law("module-hooks.backward", docs=f"{hooks.MODULE}register_full_backward_hook")
@given(
    problem=PROBLEMS,
    before=st.lists(st.sampled_from(hooks.FACTORS), max_size=2),
    after=hooks.lists_of_factors(max_size=2),
    number_first=st.booleans(),
)
def test_backward(target, problem, before, after, number_first):
    """Hooks around backward get the gradients of a module's outputs and positional inputs.

    What a hook before returns takes the place of grad_output, what one after returns that of
    grad_input; None changes nothing. An argument that is no tensor has the entry None.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    module = hooks.Applied(lambda *tensors: target.run(f, *tensors))
    outputs_seen, inputs_seen, absent = [], [], []
    place = 0 if number_first else len(leaves)

    def scaled(gradients, factor):
        if factor is None:
            return None
        return tuple(None if g is None else g * factor for g in gradients)

    def register_before(factor):
        def hook(_, outputs):
            outputs_seen.append(outputs[0].clone())
            return scaled(outputs, factor)

        module.register_full_backward_pre_hook(hook)

    def register_after(factor):
        def hook(_, inputs, outputs):
            absent.append((len(inputs), inputs[place], len(outputs)))
            outputs_seen.append(outputs[0].clone())
            inputs_seen.append([g for n, g in enumerate(inputs) if n != place])
            return scaled(inputs, factor)

        module.register_full_backward_hook(hook)

    for factor in before:
        register_before(factor)
    for factor in after:
        register_after(factor)
    module(*leaves[:place], "no tensor", *leaves[place:]).backward(cotangent)

    seen, gradient = hooks.chain(compare.to_numpy(cotangent), before)
    compare.fact(absent, [(len(leaves) + 1, None, 1)] * len(after), "entries of grad_input")
    expected = [*seen, *([gradient] * len(after))]
    compare.fact(len(outputs_seen), len(expected), "hooks called")
    for got, want in zip(outputs_seen, expected, strict=True):
        compare.close(got, want, bound=0.0, dtype=torch.float64, what="grad_output")
    gradients = derivatives.vjp(numpy_of(f), f.points, gradient)
    for number, reached in enumerate(f.reaches):
        if reached:
            wanted, last = hooks.chain(gradients[number], after)
            for got, want in zip(inputs_seen, wanted, strict=True):
                compare.close(got[number], want, bound=0.0, dtype=torch.float64, what="grad_input")
            compare.close(leaves[number].grad, last, bound=0.0, dtype=torch.float64, what="grad")


@law("module-hooks.backward-fires", docs=f"{hooks.MODULE}register_full_backward_hook")
@given(
    problem=PROBLEMS,
    inside=st.booleans(),
    outside=st.booleans(),
    recording=st.booleans(),
)
def test_backward_fires(target, problem, inside, outside, recording):
    """A full backward hook runs if an output requires grad, also where no input does.

    Then with None for the gradient of every input. Under no_grad it does not run. Here the
    output depends on an argument, a parameter, or both.
    """
    f, cotangent = problem
    weight = torch.ones((), dtype=torch.float64, device=target.device, requires_grad=inside)
    argument = target.run(f, *f.leaves(target.device)).detach().requires_grad_(outside)
    module = hooks.Applied(lambda x: x * weight)
    calls: list[Any] = []
    module.register_full_backward_hook(lambda _, inputs, outputs: calls.append((inputs, outputs)))
    with torch.set_grad_enabled(recording):
        result = module(argument)
    expected = recording and (inside or outside)
    compare.fact(result.requires_grad, expected, "requires_grad of the output")
    if expected:
        result.backward(cotangent)
    compare.fact(len(calls), int(expected), "calls of the hook")
    upstream = compare.to_numpy(cotangent)
    for inputs, outputs in calls:
        compare.fact(tuple(g is not None for g in inputs), (outside,), "grad_input is not None")
        compare.close(outputs[0], upstream, bound=0.0, dtype=torch.float64, what="grad_output")
        if outside:
            compare.close(inputs[0], upstream, bound=0.0, dtype=torch.float64, what="grad_input")


KINDS = {
    "full_backward_pre": "full_backward_pre_hook",
    "full_backward": "full_backward_hook",
}


@law("module-hooks.in-place", docs=lambda kind: f"{hooks.MODULE}register_{kind}", over=KINDS)
@given(f=polynomials(), within=st.booleans())
def test_in_place(target, case, f, within):
    """Writing in place to what a module with backward hooks gets or returns raises.

    Without such a hook the same module and the same write are fine.
    """
    middle = target.run(f, *f.leaves(target.device)) * 1

    def written(x):
        return x.mul_(2) if within else x * 2

    module = hooks.Applied(written)
    module(middle.clone()).mul_(2)
    getattr(module, f"register_{case}")(lambda *_: None)
    with compare.raises(RuntimeError, "is a view and is being modified inplace"):
        module(middle.clone()).mul_(2)


COUNTS = {
    "full_backward": ("full_backward_hook", "invalid number of grad_input, got 2, but expected 1"),
    "full_backward_pre": (
        "full_backward_pre_hook",
        "invalid number of grad_output, got 2, but expected 1",
    ),
}


@law(
    "module-hooks.count",
    docs=lambda case: f"{hooks.MODULE}register_{case[0]}",
    level="should",
    over=COUNTS,
)
@given(value=dyadics())
def test_count(target, case, value):
    """A hook around backward that returns another number of gradients ends the pass.

    Without it the module works as before.
    """
    name, message = case
    module = hooks.Applied(torch.neg)
    x = torch.full((2,), value, device=target.device, requires_grad=True)
    handle = getattr(module, f"register_{name}")(lambda _, gradients, *rest: gradients * 2)
    with compare.raises(RuntimeError, message):
        module(x).sum().backward()
    compare.fact(x.grad, None, "grad after the error")
    handle.remove()
    module(x).sum().backward()
    compare.equal(x.grad, 0 * compare.to_numpy(x) - 1, dtype=torch.float32, what="grad")
