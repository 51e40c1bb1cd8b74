"""The graph: which operations are recorded, what a node leads to, and how long a graph lives."""

from itertools import product

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.cotangents import uneven
from conformance.scenarios.passes import PASSES, Recording
from conformance.target import resolve
from strategies import dtypes, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of

HISTORY = "notes/autograd.html#how-autograd-encodes-the-history"
SETTING = "notes/autograd.html#setting-requires-grad"
FLAGS = st.lists(st.booleans(), min_size=3, max_size=3)


def frozen(leaves, flags):
    """Leaves of the same values, of which only the flagged ones require grad."""
    made = [leaf.detach().clone() for leaf in leaves]
    return [m.requires_grad_(flag) for m, flag in zip(made, flags, strict=False)]


def each_alone(count):
    """Flags that choose each of so many leaves alone."""
    return [[place == number for place in range(count)] for number in range(count)]


@law("graph.recorded", docs=SETTING)
@given(f=polynomials(), flags=FLAGS)
def test_recorded(target, f, flags):
    """A result requires grad, and has a grad_fn, if grad mode is on and an input of it does.

    "During the forward pass, an operation is only recorded in the backward graph if at least
    one of its input tensors require grad." Results that are computed, not views of an input;
    values are the same either way.
    """

    def computed(*leaves):
        return f(*leaves) * 2

    expected = 2 * numpy_of(f)(*f.points)
    for chosen, enabled in product((flags, *each_alone(len(f.points))), (True, False)):
        leaves = frozen(f.leaves(target.device), chosen)
        with torch.set_grad_enabled(enabled):
            result = target.run(computed, *leaves)
        reached = [flag and reach for flag, reach in zip(chosen, f.reaches, strict=False)]
        got = (result.requires_grad, result.grad_fn is not None, not result.is_leaf)
        recorded = enabled and any(reached)
        compare.fact(got, (recorded,) * 3, "requires_grad, a grad_fn, not a leaf")
        compare.close(result, expected, bound=0.0, dtype=torch.float64)


@law("graph.constants", docs=SETTING)
@given(f=squares(), flags=FLAGS)
def test_constants(target, f, flags):
    """Inputs that don't require grad are constants: the others' gradients don't know of them."""
    expected = derivatives.gradient(numpy_of(f), f.points)
    for chosen in (flags, *each_alone(len(f.points))):
        wanted = [flag and reached for flag, reached in zip(chosen, f.reaches, strict=False)]
        leaves = frozen(f.leaves(target.device), wanted)
        if any(wanted):
            target.run(f, *leaves).backward()
        compare.gradients(leaves, expected, wanted)


NOT_DIFFERENTIABLE = {
    "gt": ("torch.gt", (0.5,)),
    "eq": ("torch.eq", (0.5,)),
    "isnan": ("torch.isnan", ()),
    "signbit": ("torch.signbit", ()),
    "logical_not": ("torch.logical_not", ()),
    "argmax": ("torch.argmax", ()),
    "argsort": ("torch.argsort", ()),
    "count_nonzero": ("torch.count_nonzero", ()),
    "nonzero": ("torch.nonzero", ()),
    "bucketize": ("torch.bucketize", (torch.tensor([0.25, 0.5]),)),
    "to-integer": ("torch.Tensor.to", (torch.int32,)),
    "to-bool": ("torch.Tensor.bool", ()),
}


@law("graph.not-differentiable", docs=SETTING, over=NOT_DIFFERENTIABLE)
@given(leaf=tensors(dtype=torch.float32, shape=shapes(min_side=1), requires_grad=True))
def test_not_differentiable(target, case, leaf):
    """A result that is neither floating nor complex never requires grad.

    Nor does a leaf's later gradient know of it: it is a constant wherever it is used.
    """
    name, arguments = case
    moved = [a.to(target.device) if isinstance(a, torch.Tensor) else a for a in arguments]
    result = target.run(name, leaf, *moved)
    got = (result.requires_grad, result.grad_fn is None, result.is_leaf)
    compare.fact(got, (False, True, True), "no requires_grad, no grad_fn, a leaf")
    weight = result.to(torch.float32).sum()
    (leaf * weight).sum().backward()
    expected = np.broadcast_to(compare.to_numpy(weight), tuple(leaf.shape))
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")


MIXED_RESULTS = {
    "sort": ("torch.sort", (-1,)),
    "max": ("torch.max", (-1,)),
    "min": ("torch.min", (0,)),
    "topk": ("torch.topk", (1,)),
    "kthvalue": ("torch.kthvalue", (1,)),
    "median": ("torch.median", (0,)),
    "mode": ("torch.mode", (-1,)),
    "cummax": ("torch.cummax", (0,)),
}


@law("graph.mixed-results", docs=SETTING, over=MIXED_RESULTS)
@given(leaf=tensors(dtype=torch.float64, shape=shapes(min_rank=1, min_side=1), requires_grad=True))
def test_mixed_results(target, case, leaf):
    """Of an operation that returns values and indices, the values require grad and they don't.

    The gradient of the values' sum counts how often each place was chosen.
    """
    name, arguments = case
    values, indices = target.run(name, leaf, *arguments)
    compare.fact((values.requires_grad, indices.requires_grad), (True, False), "requires_grad")
    compare.fact((values.grad_fn is None, indices.grad_fn is None), (False, True), "no grad_fn")
    values.sum().backward()
    compare.fact(float(leaf.grad.sum()), float(values.numel()), "sum of the gradient")


@law("graph.conversion", docs="torch.Tensor.to")
@given(leaf=tensors(dtype="differentiable", requires_grad=True), dtype=dtypes("any"))
def test_conversion(target, leaf, dtype):
    """A conversion is recorded if the new dtype is floating or complex; .grad keeps the leaf's.

    The gradient is the cotangent, converted back; its real part if the leaf is real.
    """
    result = target.run("torch.Tensor.to", leaf, dtype)
    differentiable = dtype.is_floating_point or dtype.is_complex
    compare.fact(result.requires_grad, differentiable, "requires_grad")
    if differentiable:
        cotangent = uneven(result)
        result.backward(cotangent)
        values = compare.to_numpy(cotangent)
        expected = values if leaf.is_complex() else values.real
        compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")


OPERATIONS = {
    "add": "torch.add",
    "sub": "torch.sub",
    "mul": "torch.mul",
    "div": "torch.div",
    "atan2": "torch.atan2",
    "maximum": "torch.maximum",
    "dot": "torch.dot",
    "lerp": "torch.lerp",
    "addcmul": "torch.addcmul",
    "addcdiv": "torch.addcdiv",
    "stack": "torch.stack",
    "cat": "torch.cat",
    "block_diag": "torch.block_diag",
}
THREE_OPERANDS = ("lerp", "addcmul", "addcdiv", "stack", "cat", "block_diag")
KINDS = ("constant", "leaf", "result", "part")


def operand(kind, device):
    """A vector of three ones: a constant, a leaf, a result, or the second part of a tensor."""
    value = torch.ones(3, dtype=torch.float64, device=device, requires_grad=kind != "constant")
    if kind == "result":
        return value * 2
    return torch.stack((value, value * 2)).unbind()[1] if kind == "part" else value


def call(name, operands):
    """Call an operation on its operands, which some take as a list."""
    function = resolve(name)
    return function(operands) if name in ("torch.stack", "torch.cat") else function(*operands)


def edges(node):
    """The edges of a node that lead anywhere."""
    return [(child, index) for child, index in node.next_functions if child is not None]


def edge_of(tensor):
    """Node and number of the output that a tensor is, as any graph over it must name them."""
    found = torch.autograd.graph.get_gradient_edge(tensor)
    return found.node, found.output_nr


@law("graph.next-functions", docs=HISTORY, level="should", over=OPERATIONS)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=3, max_size=3))
def test_next_functions(target, case, kinds):
    """A node's next_functions lead to the inputs that require grad, in order, and to no others.

    To a leaf's AccumulateGrad node, to a result's grad_fn and the number of that output.
    """
    count = 3 if case.removeprefix("torch.") in THREE_OPERANDS else 2
    kinds = ["leaf", *kinds[1:count]]
    operands = [operand(kind, target.device) for kind in kinds]
    node = call(case, operands).grad_fn
    tracked = [o for o in operands if o.requires_grad]
    compare.fact(len(edges(node)), len(tracked), "edges that lead anywhere")
    for (child, index), tensor in zip(edges(node), tracked, strict=True):
        found, number = edge_of(tensor)
        compare.fact((child is found, index), (True, number), "edge to an input that requires grad")
        end = getattr(child, "variable", None)
        compare.fact(end is tensor, tensor.is_leaf, "the edge ends in the input itself")


def ends(node, seen):
    """The AccumulateGrad nodes that a node leads to, each once."""
    if node is None or any(node is other for other in seen):
        return []
    seen.append(node)
    if hasattr(node, "variable"):
        return [node]
    return [end for child, _ in node.next_functions for end in ends(child, seen)]


@law("graph.ends-in-leaves", docs=HISTORY, level="should")
@given(f=polynomials())
def test_ends_in_leaves(target, f):
    """A graph ends in one AccumulateGrad node for each leaf that the result depends on.

    "A directed acyclic graph whose leaves are the input tensors and roots are the output
    tensors", however often a leaf is used.
    """
    leaves = f.leaves(target.device)
    found = ends(f(*leaves).grad_fn, [])
    counts = tuple(sum(node.variable is leaf for node in found) for leaf in leaves)
    compare.fact(counts, tuple(int(reached) for reached in f.reaches), "nodes of each leaf")
    compare.fact(len(found), sum(f.reaches), "AccumulateGrad nodes")
    compare.fact([node.next_functions for node in found], [()] * len(found), "what they lead to")


STEPS = {"double": (2, 0), "negate": (-1, 0), "again": (1, 1), "halve": (0.5, 0)}


@law("graph.recorded-afresh", docs=HISTORY)
@given(
    f=squares(),
    programs=st.lists(st.lists(st.sampled_from(list(STEPS)), max_size=4), min_size=2, max_size=3),
    backwards=st.booleans(),
)
def test_recorded_afresh(target, f, programs, backwards):
    """Every call records a graph of its own, with the control flow that this call took.

    "The graph is recreated from scratch at every iteration, and this is exactly what allows
    for using arbitrary Python control flow statements." In whatever order they are used.
    """
    leaves = f.leaves(target.device)

    def call_with(steps):
        value = f(*leaves)
        for factor, calls in (STEPS[step] for step in steps):
            value = value * factor + f(*leaves) if calls else value * factor
        return value

    gradients = derivatives.gradient(numpy_of(f), f.points)
    results = [target.run(call_with, steps) for steps in programs]
    pairs = list(zip(results, programs, strict=True))
    for result, steps in pairs[::-1] if backwards else pairs:
        weight = 1.0
        for factor, calls in (STEPS[step] for step in steps):
            weight = weight * factor + calls
        for leaf in leaves:
            leaf.grad = None
        result.backward()
        compare.gradients(leaves, [weight * gradient for gradient in gradients], f.reaches)


@law("graph.holds-what-it-saved", docs="torch.autograd.graph.saved_tensors_hooks")
@given(f=squares())
def test_holds_what_it_saved(target, f):
    """What a graph saved for backward lives as long as the result, and is let go with it.

    Without a collection of garbage: a graph is no cycle. Nothing else needs to be kept alive:
    the gradient is exact though every intermediate value is out of scope.
    """
    leaves = f.leaves(target.device)
    kept, dropped = Recording(), Recording()
    result = kept.run(f, *leaves)
    other = dropped.run(f, *leaves)
    saved = dropped.alive()
    compare.fact((saved > 0, kept.alive()), (True, saved), "saved tensors are held")
    del other
    compare.fact(dropped.alive(), 0, "saved tensors that outlive their result")
    compare.fact(kept.alive(), saved, "saved tensors of the result that is kept")
    result.backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


@law("graph.parts", docs="torch.unbind", over={n: n for n in ("unbind", "split", "chunk")})
@given(
    f=polynomials(),
    used=st.lists(st.booleans(), min_size=3, max_size=3),
    cotangent=tensors(dtype=torch.float64, shape=()),
)
def test_parts(target, case, f, used, cotangent):
    """Parts of an operation's result that go unused add nothing to the gradient.

    The parts are f, 2f and 3f; of those used, the sum of elements is taken.
    """
    leaves = f.leaves(target.device)

    def parted(*leaves):
        value = f(*leaves).sum()
        whole = torch.stack((value, value * 2, value * 3))
        if case == "unbind":
            return whole.unbind()
        return whole.split(1) if case == "split" else whole.chunk(3)

    parts = target.run(parted, *leaves)
    chosen = [part for part, use in zip(parts, used, strict=True) if use] or [parts[-1]]
    weight = sum(n + 1 for n, use in enumerate(used) if use) or 3
    torch.autograd.backward(chosen, [cotangent.reshape(part.shape) for part in chosen])
    upstream = weight * compare.to_numpy(cotangent)
    expected = derivatives.vjp(lambda *x: numpy_of(f)(*x).sum(), f.points, upstream)
    compare.gradients(leaves, expected, f.reaches)


@law("graph.edge", docs="torch.autograd.graph.get_gradient_edge")
@given(leaf=tensors(dtype="differentiable", shape=shapes(min_rank=1, min_side=1),
                    requires_grad=True))  # fmt: skip
def test_edge(target, leaf):
    """The gradient edge of a tensor names its grad_fn and which of its outputs the tensor is.

    That of a leaf names the node that accumulates into it. A tensor that does not require grad
    has none, and asking raises.
    """
    last = leaf.shape[0] - 1
    for tensor, number in ((leaf * 2, 0), (leaf.unbind()[last], last), (leaf.reshape(-1), 0)):
        edge = torch.autograd.graph.get_gradient_edge(tensor)
        compare.fact(edge.node is tensor.grad_fn, True, "the node is grad_fn")
        compare.fact(edge.output_nr, number, "output_nr")
    edge = torch.autograd.graph.get_gradient_edge(leaf)
    again = torch.autograd.graph.get_gradient_edge(leaf)
    variable = getattr(edge.node, "variable", None)
    compare.fact(variable is leaf, True, "the node accumulates into the leaf")
    compare.fact((edge.node is again.node, edge.output_nr), (True, 0), "the same edge each time")
    with compare.raises(RuntimeError, "Tensor that does not require grad"):
        torch.autograd.graph.get_gradient_edge(leaf.detach())


@law("graph.edge-as-root", docs="torch.autograd.backward", over={n: n for n in PASSES})
@given(f=squares())
def test_edge_as_root(target, case, f):
    """A pass from the gradient edge of a result is a pass from the result."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    edge = torch.autograd.graph.get_gradient_edge(result)
    cotangent = torch.full_like(result, 3.0).detach()
    if case == "Tensor-backward":
        torch.autograd.backward(edge, cotangent)
    else:
        PASSES[case](edge, leaves, cotangent)
    expected = [3 * gradient for gradient in derivatives.gradient(numpy_of(f), f.points)]
    compare.gradients(leaves, expected, f.reaches)


@law("graph.edge-as-input", docs="torch.autograd.graph.get_gradient_edge")
@given(f=squares(), functional=st.booleans())
def test_edge_as_input(target, f, functional):
    """Gradients with respect to gradient edges are those with respect to their tensors.

    Of the result's square; to the result's own edge, an output of a node, and the leaves'.
    """
    leaves = f.leaves(target.device)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    gradients = derivatives.gradient(numpy_of(f), f.points)
    value = target.run(f, *leaves)
    result = value * 3
    places = [torch.autograd.graph.get_gradient_edge(t) for t in (*reached, value)]
    if functional:
        *found, last = torch.autograd.grad(result, places)
        compare.close(last, np.array(3.0), bound=0.0, dtype=torch.float64, what="gradient of edge")
        for leaf, gradient in zip(reached, found, strict=True):
            compare.fact(leaf.grad, None, "grad after torch.autograd.grad")
            leaf.grad = gradient
    else:
        torch.autograd.backward(result, inputs=places[:-1])
    compare.gradients(leaves, [3 * gradient for gradient in gradients], f.reaches)
