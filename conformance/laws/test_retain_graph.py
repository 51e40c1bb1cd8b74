"""Retaining the graph: what a second backward pass through it may do."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.passes import PASSES, Recording
from strategies import polynomials, squares, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind

SECOND_TIME = "backward through the graph a second time"
BACKWARD = "torch.autograd.backward"


@law("retain-graph.freed-raises", docs="torch.Tensor.backward")
@given(f=squares())
def test_freed_raises(target, f):
    """A second backward pass through a graph whose saved tensors were freed raises.

    The graph saves tensors: the result is a square. The gradients of the first pass stay.
    """
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    result.backward()
    with compare.raises(RuntimeError, "backward through the graph a second time"):
        result.backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("retain-graph.retained-repeats", docs="torch.Tensor.backward")
@given(f=squares(), times=st.integers(1, 3))
def test_retained_repeats(target, f, times):
    """With retain_graph=True each further pass through the graph gives the same gradient."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    for _ in range(times):
        result.backward(retain_graph=True)
    result.backward()
    gradients = derivatives.gradient(numpy_of(f), f.points)
    expected = [(times + 1) * gradient for gradient in gradients]
    compare.gradients(leaves, expected, f.reaches)


OPTIONS = {
    "default": ({}, False),
    "retain-none": ({"retain_graph": None}, False),
    "retain-false": ({"retain_graph": False}, False),
    "retain-true": ({"retain_graph": True}, True),
    "create-graph": ({"create_graph": True}, True),
    "create-graph-retain-none": ({"create_graph": True, "retain_graph": None}, True),
    "create-graph-retain-false": ({"create_graph": True, "retain_graph": False}, False),
    "create-graph-retain-true": ({"create_graph": True, "retain_graph": True}, True),
    "retain-true-create-false": ({"create_graph": False, "retain_graph": True}, True),
}


@law("retain-graph.options", docs=BACKWARD, over=OPTIONS)
@given(f=squares(), kinds=st.tuples(*[st.sampled_from(list(PASSES))] * 2))
def test_options(target, case, f, kinds):
    """retain_graph alone decides whether the graph is freed; left out, create_graph does.

    "Defaults to the value of create_graph." Whichever entry points the first pass and the second
    go through.
    """
    options, retained = case
    first, second = kinds
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    PASSES[first](value, leaves, **options)
    compare.gradients(leaves, gradients, f.reaches)
    if retained:
        PASSES[second](value, leaves)
        compare.gradients(leaves, [2 * gradient for gradient in gradients], f.reaches)
    else:
        with compare.raises(RuntimeError, SECOND_TIME):
            PASSES[second](value, leaves)
        compare.gradients(leaves, gradients, f.reaches)
    for leaf in leaves:
        leaf.grad = None


@law("retain-graph.lets-go", docs=BACKWARD, over=OPTIONS)
@given(f=squares(), kind=st.sampled_from(list(PASSES)))
def test_lets_go(target, case, f, kind):
    """A pass that frees the graph lets go of what was saved; one that retains it keeps it all.

    "If False, the graph used to compute the grads will be freed", though the result lives.
    """
    options, retained = case
    leaves = f.leaves(target.device)
    recording = Recording()
    value = recording.run(target.run, f, *leaves)
    saved = recording.alive()
    compare.fact(saved > 0, True, "tensors are saved")
    PASSES[kind](value, leaves, **options)
    for leaf in leaves:
        leaf.grad = None
    compare.fact(recording.alive(), saved if retained else 0, "saved tensors that are held")
    compare.close(value, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64, what="result")


def added(x):
    """Sum with a constant and with itself."""
    return x + 1.5 + x


def negated(x):
    """Negation."""
    return -x


def flattened(x):
    """A view in one dimension."""
    return x.reshape(-1)


def summed(x):
    """The sum of all elements."""
    return x.sum()


def moved(x):
    """Dimensions in another order."""
    return x.permute(tuple(reversed(range(x.dim()))))


def expanded(x):
    """Two copies, of one memory."""
    return x.expand(2, *x.shape)


def cloned(x):
    """A clone."""
    return x.clone()


def stacked(x):
    """A stack with itself."""
    return torch.stack((x, x))


def converted(x):
    """A conversion."""
    return x.to(torch.float32)


SAVES_NOTHING = {
    "added": added,
    "negated": negated,
    "flattened": flattened,
    "summed": summed,
    "moved": moved,
    "expanded": expanded,
    "cloned": cloned,
    "stacked": stacked,
    "converted": converted,
}
COPIES = {added: 2, negated: -1, expanded: 2, stacked: 2}


@law("retain-graph.nothing-saved", docs=BACKWARD, level="should", over=SAVES_NOTHING)
@given(
    leaf=tensors(dtype=torch.float64, requires_grad=True),
    kinds=st.lists(st.sampled_from(list(PASSES)), min_size=2, max_size=3),
)
def test_nothing_saved(target, case, leaf, kinds):
    """A graph that saved no tensors may be passed through again, though it was not retained.

    What a freed graph cannot do is give back "saved intermediate values"; here are none. Each
    pass adds its gradient. It speaks of torch's operations: a compiled function is a single one.
    """
    value = case(leaf)
    for kind in kinds:
        PASSES[kind](value, [leaf], torch.ones_like(value).detach())
    expected = np.full(tuple(leaf.shape), float(len(kinds) * COPIES.get(case, 1)))
    compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="grad")


@law("retain-graph.part-of-the-graph", docs=BACKWARD)
@given(f=squares(), g=squares(), functional=st.booleans(), first=st.integers(0, 1))
def test_part_of_the_graph(target, f, g, functional, first):
    """A pass with respect to some inputs frees what leads to them, and nothing else.

    "The graph used to compute the grad will be freed": of a sum of f and g, with leaves of
    their own, the pass to the leaves of one leaves the other's part, which serves once as well.
    """
    sides = [(f, f.leaves(target.device)), (g, g.leaves(target.device))]
    recordings = [Recording(), Recording()]
    parts = [r.run(target.run, h, *own) for r, (h, own) in zip(recordings, sides, strict=True)]
    total = parts[0] + parts[1]
    order = [first, 1 - first]
    for place, number in enumerate(order):
        h, leaves = sides[number]
        saved = [recording.alive() for recording in recordings]
        inputs = [leaf for leaf, reached in zip(leaves, h.reaches, strict=True) if reached]
        PASSES["autograd-grad" if functional else "backward-inputs"](total, inputs)
        compare.gradients(leaves, derivatives.gradient(numpy_of(h), h.points), h.reaches)
        kept = saved[1 - number] if place == 0 else 0
        compare.fact(recordings[1 - number].alive(), kept, "saved tensors of the other part")
        compare.fact(recordings[number].alive(), 0, "saved tensors of the part passed through")
    with compare.raises(RuntimeError, SECOND_TIME):
        total.backward()


@law("retain-graph.shared-part", docs=BACKWARD)
@given(f=squares(), retain=st.booleans(), kinds=st.tuples(*[st.sampled_from(list(PASSES))] * 2))
def test_shared_part(target, f, retain, kinds):
    """A part of two results' graphs is freed by the pass from either, unless that one retains it.

    Then the pass from the other raises; otherwise the gradients of both add up.
    """
    leaves = f.leaves(target.device)
    shared = target.run(f, *leaves)
    one, other = shared * 2, shared * 3
    gradients = derivatives.gradient(numpy_of(f), f.points)
    PASSES[kinds[0]](one, leaves, retain_graph=retain)
    if retain:
        PASSES[kinds[1]](other, leaves)
    else:
        with compare.raises(RuntimeError, SECOND_TIME):
            PASSES[kinds[1]](other, leaves)
    weight = 5 if retain else 2
    compare.gradients(leaves, [weight * gradient for gradient in gradients], f.reaches)


@law("retain-graph.several-passes", docs="torch.autograd.grad")
@given(
    problem=with_cotangent(polynomials(), result=result_kind),
    weights=st.lists(st.integers(-2, 2), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(list(PASSES)), min_size=4, max_size=4),
)
def test_several_passes(target, problem, weights, kinds):
    """Every pass through a retained graph is one of its own, with the gradient it is given.

    Multiples of one cotangent, by entry points in turn; only the last pass frees the graph.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    for number, weight in enumerate(weights):
        retain = number + 1 < len(weights)
        PASSES[kinds[number]](value, leaves, cotangent * weight, retain_graph=retain)
    upstream = sum(weights) * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


def wrong_shape(value):
    """A cotangent of another shape."""
    return torch.ones((2, *value.shape), dtype=value.dtype, device=value.device)


def wrong_kind(value):
    """A complex cotangent."""
    return torch.ones(value.shape, dtype=torch.complex128, device=value.device)


REJECTED = {
    "shape": (wrong_shape, "Mismatch in shape"),
    "complex": (wrong_kind, "required to have the same dtype"),
}


@law("retain-graph.rejected-call", docs=BACKWARD, level="should", over=REJECTED)
@given(f=squares(), kind=st.sampled_from(list(PASSES)))
def test_rejected_call(target, case, f, kind):
    """A call that is rejected for its arguments frees nothing: a legal one may follow."""
    make, message = case
    leaves = f.leaves(target.device)
    recording = Recording()
    value = recording.run(target.run, f, *leaves)
    saved = recording.alive()
    with compare.raises(RuntimeError, message):
        PASSES[kind](value, leaves, make(value))
    compare.fact(recording.alive(), saved, "saved tensors after the error")
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    PASSES[kind](value, leaves)
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
