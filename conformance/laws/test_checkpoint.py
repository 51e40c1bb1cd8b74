"""Checkpointing: forwards computed again in the backward pass, with the same gradients."""

from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.utils.checkpoint
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.target import resolve
from strategies import dyadics, functions, polynomials, seeds, squares, with_cotangent
from strategies.functions import numpy_of, result_kind

PAGE = "checkpoint.html#torch.utils.checkpoint."
CHECKPOINT = f"{PAGE}checkpoint"
PROBLEMS = with_cotangent(polynomials(significant_bits=24), result=result_kind)
VARIANTS = {"reentrant": True, "non-reentrant": False}


def checkpoint(*arguments, **keywords):
    """Call torch.utils.checkpoint.checkpoint, as it is now."""
    return resolve("torch.utils.checkpoint.checkpoint")(*arguments, **keywords)


@law("checkpoint.same-gradients", docs=CHECKPOINT, over=VARIANTS)
@given(
    problem=with_cotangent(functions(in_place=True), result=result_kind),
    nested=st.booleans(),
    preserve=st.booleans(),
)
def test_same_gradients(target, case, problem, nested, preserve):
    """A checkpointed function has the value and the gradients that it has without.

    Also where a checkpoint is within another. It is called once forward, and once again in
    the pass.
    """
    f, cotangent = problem
    calls = []

    def counted(*leaves):
        calls.append(torch.is_grad_enabled())
        return f(*leaves)

    def within(*leaves):
        return checkpoint(counted, *leaves, use_reentrant=case, preserve_rng_state=preserve)

    leaves = f.leaves(target.device)
    function = within if nested else counted
    result = checkpoint(function, *leaves, use_reentrant=case, preserve_rng_state=preserve)
    bare = f.leaves(target.device)
    wanted = f(*bare)
    compare.equal(result, compare.to_numpy(wanted), dtype=torch.float64)
    compare.fact(len(calls), 1, "calls in forward")
    result.backward(cotangent)
    wanted.backward(cotangent)
    if f.rounding == 0:
        expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
        compare.gradients(leaves, expected, f.reaches)
    for got, want in zip(leaves, bare, strict=True):
        if want.grad is not None:
            exact = compare.to_numpy(want.grad)
            compare.close(got.grad, exact, bound=0.0, dtype=torch.float64, what="grad")


@law("checkpoint.random", docs=CHECKPOINT, over=VARIANTS)
@given(value=dyadics(), seed=seeds(), disturbed=st.booleans())
def test_random(target, case, value, seed, disturbed):
    """What a checkpointed function draws is drawn alike in the pass, whatever was drawn since.

    The pass leaves the state of the generator as it found it.
    """
    drawn = []

    def noisy(x):
        mask = torch.rand(8, device=target.device)
        drawn.append(mask)
        return x * mask * x

    x = torch.full((8,), value, device=target.device, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        result = checkpoint(noisy, x, use_reentrant=case)
        if disturbed:
            torch.rand(5)
        state = torch.get_rng_state()
        result.sum().backward()
        after = torch.get_rng_state()
    mask = compare.to_numpy(drawn[0])
    compare.fact(len(drawn), 2, "calls of the function")
    compare.equal(drawn[1], mask, dtype=torch.float32, what="what was drawn again")
    expected = 2 * np.float32(value) * mask
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float32, what="grad")
    compare.equal(after, compare.to_numpy(state), dtype=torch.uint8, what="state of the generator")


@law("checkpoint.sequential", docs=f"{PAGE}checkpoint_sequential", over=VARIANTS)
@given(
    factors=st.lists(dyadics(), min_size=1, max_size=6),
    segments=st.integers(1, 6),
    value=dyadics(),
    modules=st.booleans(),
)
def test_sequential(target, case, factors, segments, value, modules):
    """checkpoint_sequential applies all functions in order, with the gradients of the chain.

    Given as a list or as a Sequential. All segments but the last are computed again in the pass.
    """
    segments = min(segments, len(factors))
    calls = []

    class Step(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            calls.append(self.number)
            return x * factors[self.number] + x * x * 0 + 1

    steps: Any = [Step(number) for number in range(len(factors))]
    x = torch.full((2,), value, dtype=torch.float64, device=target.device, requires_grad=True)
    chain = torch.nn.Sequential(*steps) if modules else steps
    run = resolve("torch.utils.checkpoint.checkpoint_sequential")
    result = run(chain, segments, x, use_reentrant=case)
    expected = np.full(2, value)
    for factor in factors:
        expected = expected * factor + 1
    compare.close(result, expected, bound=0.0, dtype=torch.float64)
    compare.fact(calls, list(range(len(factors))), "functions called forward")
    calls.clear()
    result.sum().backward()
    slope = np.full(2, np.prod(factors))
    compare.close(x.grad, slope, bound=0.0, dtype=torch.float64, what="grad")
    again = (len(factors) // segments) * (segments - 1)
    compare.fact(sorted(calls), list(range(again)), "functions called again")


@law("checkpoint.early-stop", docs=f"{PAGE}set_checkpoint_early_stop")
@given(x=dyadics(), stop=st.sampled_from([None, True, False]), argument=st.booleans())
def test_early_stop(target, x, stop, argument):
    """Recomputation ends with the last tensor that is needed, unless early stopping is off.

    By the argument early_stop, which set_checkpoint_early_stop overrides. Gradients are the same.
    """
    events = []

    def function(leaf):
        square = leaf * leaf
        events.append("end")
        return square

    leaf = torch.tensor(x, dtype=torch.float64, device=target.device, requires_grad=True)
    setting = resolve("torch.utils.checkpoint.set_checkpoint_early_stop")
    with nullcontext() if stop is None else setting(stop):
        result = checkpoint(function, leaf, use_reentrant=False, early_stop=argument)
    compare.fact(events, ["end"], "ends reached forward")
    result.backward()
    stopped = argument if stop is None else stop
    compare.fact(events, ["end"] * (1 if stopped else 2), "ends reached in all")
    compare.equal(leaf.grad, np.array(2 * x + 0.0), dtype=torch.float64, what="grad")


@law("checkpoint.grad-function", docs=CHECKPOINT)
@given(f=squares())
def test_grad_function(target, f):
    """The reentrant variant raises under autograd.grad and backward(inputs=); the other works.

    backward() without inputs works with both.
    """
    leaves = f.leaves(target.device)
    number = f.reaches.index(True)
    x = leaves[number]
    expected = derivatives.gradient(numpy_of(f), f.points)[number]
    result = checkpoint(f, *leaves, use_reentrant=False)
    (got,) = torch.autograd.grad(result, [x], retain_graph=True)
    compare.close(got, expected, bound=0.0, dtype=torch.float64, what="gradient")
    result.backward(inputs=[x])
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad")
    for _ in range(2):
        result = checkpoint(f, *leaves, use_reentrant=True)
        with compare.raises(RuntimeError, r"incompatible with \.grad\(\) or passing an `inputs`"):
            torch.autograd.grad(result, [x])
        result = checkpoint(f, *leaves, use_reentrant=True)
        with compare.raises(RuntimeError, r"incompatible with \.grad\(\) or passing an `inputs`"):
            result.backward(inputs=[x])
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad after the errors")
    checkpoint(f, *leaves, use_reentrant=True).backward()
    compare.close(x.grad, 2 * expected, bound=0.0, dtype=torch.float64, what="grad in the end")


@law("checkpoint.second-order", docs=CHECKPOINT)
@given(f=squares(max_steps=4))
def test_second_order(target, f):
    """Without reentrance a checkpointed function is differentiated twice."""
    leaves = f.leaves(target.device)
    reached = [x for x, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    result = checkpoint(f, *leaves, use_reentrant=False)
    gradients = torch.autograd.grad(result, reached, create_graph=True)
    projected = sum((g * x.detach()).sum() for g, x in zip(gradients, reached, strict=True))
    projected.backward(inputs=reached)
    direction = [p * reaches for p, reaches in zip(f.points, f.reaches, strict=True)]
    expected = derivatives.hessian_product(numpy_of(f), f.points, direction)
    compare.gradients(leaves, expected, f.reaches)


@law("checkpoint.arguments", docs=CHECKPOINT)
@given(problem=PROBLEMS, factor=dyadics(), times=st.integers(1, 2))
def test_arguments(target, problem, factor, times):
    """Without reentrance keyword arguments, nested structures and closures take part in gradients.

    And no argument needs to require grad; a retained graph may be passed through again.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    weight = torch.tensor(factor, dtype=torch.float64, device=target.device, requires_grad=True)
    twice = torch.full_like(weight.detach(), 2.0).requires_grad_()

    def function(nested, *, scale):
        return f(*nested["leaves"]) * scale + weight

    result = checkpoint(function, {"leaves": leaves}, scale=twice, use_reentrant=False)
    expected = 2.0 * numpy_of(f)(*f.points) + factor
    compare.close(result, expected, bound=0.0, dtype=torch.float64)
    for _ in range(times):
        result.backward(cotangent, retain_graph=True)
    upstream = times * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, 2.0 * upstream), f.reaches)
    compare.close(weight.grad, upstream.sum(), bound=0.0, dtype=torch.float64, what="grad")
    terms = upstream * numpy_of(f)(*f.points)
    bound = 1e-12 * np.abs(terms).sum()
    compare.close(twice.grad, terms.sum(), bound=bound, dtype=torch.float64, what="grad of scale")


@law("checkpoint.contexts", docs=CHECKPOINT)
@given(problem=PROBLEMS)
def test_contexts(target, problem):
    """context_fn gives two contexts: forward runs under the first, recomputation the second."""
    f, cotangent = problem
    events = []

    @contextmanager
    def noting(name):
        events.append(f"enter {name}")
        try:
            yield
        finally:
            events.append(f"leave {name}")

    def function(*leaves):
        events.append("run")
        result = f(*leaves)
        return result * result

    leaves = f.leaves(target.device)
    result = checkpoint(
        function,
        *leaves,
        use_reentrant=False,
        context_fn=lambda: (noting("forward"), noting("again")),
    )
    compare.fact(events, ["enter forward", "run", "leave forward"], "events forward")
    events.clear()
    result.backward(cotangent)
    compare.fact(events, ["enter again", "run", "leave again"], "events in the pass")


class Changing:
    """A function that squares when it is first called, and does something else then."""

    def __init__(self, change):
        self.change = change
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * x if self.calls == 1 else self.change(x)


def nothing(x):
    """Save no tensor."""
    return x + 1


def reshaped(x):
    """Save tensors of another shape."""
    return x.unsqueeze(0) * x.unsqueeze(0)


def rounded(x):
    """Save tensors of another dtype."""
    return x.half() * x.half()


CHANGES = {
    "fewer-tensors": (nothing, "A different number of tensors was saved"),
    "another-shape": (reshaped, "have different metadata"),
    "another-dtype": (rounded, "have different metadata"),
}


@law("checkpoint.determinism-check", docs=CHECKPOINT, over=CHANGES)
@given(value=dyadics())
def test_determinism_check(target, case, value):
    """A recomputation that saves tensors of other number, shape or dtype raises.

    .grad stays None, and a function that is always the same works.
    """
    change, message = case
    x = torch.full((2, 3), value, device=target.device, requires_grad=True)
    result = checkpoint(Changing(change), x, use_reentrant=False)
    with compare.raises(RuntimeError, message):
        result.sum().backward()
    compare.fact(x.grad, None, "grad after the error")
    checkpoint(torch.square, x, use_reentrant=False).sum().backward()
    expected = 2 * compare.to_numpy(x)
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float32, what="grad")


KEYWORDS = {
    "of-the-function": ("scale", 2.0, "Unexpected keyword arguments: scale"),
    "context_fn": ("context_fn", nullcontext, "only supported when use_reentrant=False"),
    "debug": ("debug", True, "only supported when use_reentrant=False"),
}


@law("checkpoint.reentrant-keywords", docs=CHECKPOINT, over=KEYWORDS)
@given(f=squares())
def test_reentrant_keywords(target, case, f):
    """The reentrant variant takes neither keyword arguments of the function nor these options."""
    name, value, message = case
    leaves = f.leaves(target.device)
    with compare.raises(ValueError, message):
        checkpoint(f, *leaves, use_reentrant=True, **{name: value})
    checkpoint(f, *leaves, use_reentrant=True).backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


@law("checkpoint.argument-twice", docs=CHECKPOINT, over=VARIANTS)
@given(problem=PROBLEMS)
def test_argument_twice(target, case, problem):
    """A tensor that is two arguments of a checkpointed function gets the sum of both gradients."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    inner = target.run(f, *leaves)

    def function(one, other):
        return one * 2 + other * 3

    checkpoint(function, inner, inner, use_reentrant=case).backward(cotangent)
    upstream = 5 * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)
