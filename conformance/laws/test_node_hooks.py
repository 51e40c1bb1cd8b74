"""Hooks of the graph's nodes: before and after a node, and among the other hooks."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import dyadics, polynomials, squares, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=18), result=result_kind)
NODES = {"register_prehook": "register_prehook", "register_hook": "register_hook"}


def page(name):
    """The page of a method of nodes."""
    return f"torch.autograd.graph.Node.{name}"


def factored(gradients, factor):
    """What a hook of a node returns: each gradient times the factor, or None for no change."""
    if factor is None:
        return None
    return tuple(None if gradient is None else gradient * factor for gradient in gradients)


@law("node-hooks.order", docs=hooks.EXECUTION)
@given(
    problem=PROBLEMS,
    other=dyadics(),
    program=st.lists(
        st.tuples(
            st.sampled_from(["tensor", "before", "after"]),
            st.sampled_from(hooks.FACTORS),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_order(target, problem, other, program):
    """Hooks of a tensor run first, then prehooks of its node, the node itself, and its hooks.

    Hooks of one kind in order of registration; each gets what those before it returned. A
    node's hook gets the gradients of the node's inputs and, as its prehooks left them, those of
    its outputs. The node here is that of the product p q, with inputs of gradients g q and g p.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    p = target.run(f, *leaves)
    q = torch.full_like(p.detach(), other).requires_grad_()
    product = p * q
    events = []

    def register(number, kind, factor):
        def tensor_hook(gradient):
            events.append((number, [gradient.clone()]))
            return None if factor is None else gradient * factor

        def prehook(outputs):
            events.append((number, [g.clone() for g in outputs]))
            return factored(outputs, factor)

        def hook(inputs, outputs):
            events.append((number, [g.clone() for g in (*inputs, *outputs)]))
            return factored(inputs, factor)

        if kind == "tensor":
            product.register_hook(tensor_hook)
        elif kind == "before":
            product.grad_fn.register_prehook(prehook)
        else:
            product.grad_fn.register_hook(hook)

    for number, (kind, factor) in enumerate(program):
        register(number, kind, factor)
    product.backward(cotangent)

    gradient = compare.to_numpy(cotangent)
    expected = []
    for stage in ("tensor", "before"):
        for number, (kind, factor) in enumerate(program):
            if kind == stage:
                expected.append((number, [gradient]))
                gradient = gradient if factor is None else gradient * factor
    inputs = [gradient * other, gradient * numpy_of(f)(*f.points)]
    for number, (kind, factor) in enumerate(program):
        if kind == "after":
            expected.append((number, [*inputs, gradient]))
            inputs = [g if factor is None else g * factor for g in inputs]
    order = [number for number, _ in expected]
    compare.fact([number for number, _ in events], order, "hooks called, by number")
    for (number, got), (_, want) in zip(events, expected, strict=True):
        compare.fact(len(got), len(want), f"gradients that hook {number} got")
        for tensor, value in zip(got, want, strict=True):
            what = f"gradient that hook {number} got"
            compare.close(tensor, value, bound=0.0, dtype=torch.float64, what=what)
    compare.close(q.grad, inputs[1], bound=0.0, dtype=torch.float64, what="grad of q")
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, inputs[0]), f.reaches)


@law("node-hooks.retain-grad", docs=hooks.EXECUTION)
@given(problem=PROBLEMS, factor=st.sampled_from(hooks.FACTORS), first=st.booleans())
def test_retain_grad(target, problem, factor, first):
    """retain_grad keeps the gradient that the prehooks of the tensor's node have left.

    Whether it was called before a prehook was registered, or after; hooks of the node itself
    run later and don't change it.
    """
    f, cotangent = problem
    middle = target.run(f, *f.leaves(target.device)) * 1
    if first:
        middle.retain_grad()
    middle.grad_fn.register_hook(lambda inputs, outputs: factored(inputs, 5.0))
    middle.grad_fn.register_prehook(lambda outputs: factored(outputs, factor))
    middle.retain_grad()
    middle.backward(cotangent)
    (_,), last = hooks.chain(compare.to_numpy(cotangent), [factor])
    compare.close(middle.grad, last, bound=0.0, dtype=torch.float64, what="retained grad")


@law("node-hooks.leaf-order", docs=hooks.EXECUTION)
@given(
    f=polynomials(scalar=True, significant_bits=24),
    order=st.permutations(["tensor", "before", "accumulated", "after"]),
)
def test_leaf_order(target, f, order):
    """At a leaf: its hooks, the prehooks of its node, .grad, hooks after accumulation, node hooks.

    Whatever the order of registration. The hooks of the tensor and of the node before it change
    what is accumulated.
    """
    leaves = f.leaves(target.device)
    number = f.reaches.index(True)
    x = leaves[number]
    node = torch.autograd.graph.get_gradient_edge(x).node
    events = []

    def tensor_hook(gradient):
        events.append(("tensor", x.grad is None, gradient.clone()))
        return gradient * 2

    def prehook(outputs):
        events.append(("before", x.grad is None, outputs[0].clone()))
        return (outputs[0] * 3,)

    def accumulated(leaf):
        events.append(("accumulated", leaf.grad is None, leaf.grad.clone()))

    def hook(inputs, outputs):
        events.append(("after", x.grad is None, outputs[0].clone()))

    registrations = {
        "tensor": lambda: x.register_hook(tensor_hook),
        "before": lambda: node.register_prehook(prehook),
        "accumulated": lambda: x.register_post_accumulate_grad_hook(accumulated),
        "after": lambda: node.register_hook(hook),
    }
    for kind in order:
        registrations[kind]()
    target.run(f, *leaves).backward()
    stages = [("tensor", True), ("before", True), ("accumulated", False), ("after", False)]
    compare.fact([event[:2] for event in events], stages, "hooks called, and whether grad is None")
    gradient = derivatives.gradient(numpy_of(f), f.points)[number]
    for (kind, _, got), factor in zip(events, (1, 2, 6, 6), strict=True):
        what = f"gradient at stage {kind}"
        compare.close(got, factor * gradient, bound=0.0, dtype=torch.float64, what=what)
    compare.close(x.grad, 6 * gradient, bound=0.0, dtype=torch.float64, what="grad")


@law("node-hooks.removal", docs=page, over=NODES)
@given(problem=PROBLEMS, removed=st.lists(st.integers(0, 2), unique=True), times=st.integers(1, 2))
def test_removal(target, case, problem, removed, times):
    """handle.remove() removes a node's hook and no other, at once and for later passes."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves) * 1
    called = []

    def registered(number):
        def hook(*gradients):
            called.append(number)
            return factored(gradients[0], 2.0)

        return getattr(middle.grad_fn, case)(hook)

    handles = [registered(number) for number in range(3)]
    middle.backward(torch.zeros_like(middle), retain_graph=True)
    compare.fact(called, [0, 1, 2], "hooks called before the removal")
    called.clear()
    for x in leaves:
        x.grad = None
    for number in removed:
        for _ in range(times):
            handles[number].remove()
    middle.backward(cotangent)
    kept = [number for number in range(3) if number not in removed]
    compare.fact(called, kept, "hooks called after the removal")
    gradient = compare.to_numpy(cotangent) * 2.0 ** len(kept)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


@law("node-hooks.executed-only", docs=hooks.EXECUTION, over=NODES)
@given(problem=PROBLEMS)
def test_executed_only(target, case, problem):
    """A node's hooks run when the node is executed, and only then.

    Not for a node beyond the inputs of torch.autograd.grad, nor for one of another branch.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    beyond = torch.autograd.graph.get_gradient_edge(x).node
    middle = target.run(f, *leaves)
    executed, branch = middle * 2, middle * 3
    called = []
    for name, node in (("leaf", beyond), ("root", executed.grad_fn), ("other", branch.grad_fn)):

        def hook(*gradients, name=name):
            called.append(name)

        getattr(node, case)(hook)
    torch.autograd.grad(executed, [middle], cotangent, retain_graph=True)
    compare.fact(called, ["root"], "nodes whose hooks autograd.grad ran")
    called.clear()
    torch.autograd.backward([executed], [cotangent])
    compare.fact(called, ["root", "leaf"], "nodes whose hooks backward ran")


@law("node-hooks.absent-gradients", docs="torch.autograd.graph.Node.register_hook", level="should")
@given(problem=PROBLEMS, first=st.booleans())
def test_absent_gradients(target, problem, first):
    """A node's hook gets None for an input without gradient and for an output that went unused."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    constant = torch.full_like(middle.detach(), 2.0)
    product = middle * constant if first else constant * middle
    pair = torch.stack((product, product)).unbind()
    used: Any = pair[0] if first else pair[1]
    seen: list[Any] = []
    product.grad_fn.register_hook(lambda inputs, outputs: seen.append(inputs))
    used.grad_fn.register_prehook(lambda outputs: seen.append(outputs))
    used.backward(cotangent)
    present = [tuple(gradient is not None for gradient in gradients) for gradients in seen]
    compare.fact(present, [(first, not first)] * 2, "gradients that are not None")
    upstream = compare.to_numpy(cotangent)
    for gradients, factor in zip(seen, (1, 2), strict=True):
        got = gradients[0 if first else 1]
        compare.close(got, factor * upstream, bound=0.0, dtype=torch.float64, what="gradient")
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, 2 * upstream), f.reaches)


@law("node-hooks.differentiable", docs="torch.autograd.grad", over=NODES)
@given(f=squares(max_steps=4))
def test_differentiable(target, case, f):
    """Under create_graph=True what a node's hook computes is differentiated like the rest.

    The hook multiplies the gradient of a leaf x by x: the derivative of sum(g x) is H x + g.
    """
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    x = leaves[chosen]
    same = x * 1

    def hook(*gradients):
        return tuple(None if g is None else g * x for g in gradients[0])

    handle = getattr(same.grad_fn, case)(hook)
    root = target.run(f, *(same if number == chosen else y for number, y in enumerate(leaves)))
    (product,) = torch.autograd.grad(root, [x], create_graph=True)
    handle.remove()
    hooks.check_multiplied(product, x, f, chosen)


KINDS = {
    "tensor": ("register_hook", "torch.Tensor.register_hook"),
    "accumulated": (
        "register_post_accumulate_grad_hook",
        "torch.Tensor.register_post_accumulate_grad_hook",
    ),
    "register_prehook": ("register_prehook", "torch.autograd.graph.Node.register_prehook"),
    "register_hook": ("register_hook", "torch.autograd.graph.Node.register_hook"),
}


@law("hooks.grad-mode", docs=lambda case: case[1], over=KINDS, level="should")
@given(f=polynomials(scalar=True), create_graph=st.booleans(), outside=st.booleans())
def test_grad_mode(target, case, f, create_graph, outside):
    """Within a hook grad mode is enabled if the pass creates a graph, and disabled otherwise.

    Whatever it is around the pass, which ends with the mode that it began with.
    """
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    root = target.run(f, *leaves)
    seen = []

    def hook(*gradients):
        seen.append(torch.is_grad_enabled())

    name, documentation = case
    subject = torch.autograd.graph.get_gradient_edge(x).node if "Node" in documentation else x
    getattr(subject, name)(hook)
    with torch.set_grad_enabled(outside):
        root.backward(create_graph=create_graph)
        compare.fact(torch.is_grad_enabled(), outside, "grad mode after the pass")
    compare.fact(seen, [create_graph], "grad mode within the hook")


def longer(*gradients):
    """A gradient too many."""
    return (*gradients[0], gradients[0][0])


def bare(*gradients):
    """A tensor where a tuple belongs."""
    return gradients[0][0]


COUNT = r"returned an incorrect number of values \(got 2, but expected 1\)"
WRONG_RESULTS = {
    f"{name}-{kind}": (name, wrong, error, message)
    for name in NODES
    for kind, wrong, error, message in (
        ("count", longer, RuntimeError, COUNT),
        ("tensor", bare, TypeError, "expected tuple, but hook returned 'Tensor'"),
    )
}


@law(
    "node-hooks.result-checked", docs=lambda case: page(case[0]), level="should", over=WRONG_RESULTS
)
@given(problem=PROBLEMS)
def test_result_checked(target, case, problem):
    """A node's hook that returns anything but a tuple of as many gradients ends the pass.

    No .grad changes, and without that hook the same graph still gives the right gradients.
    """
    registration, wrong, error, message = case
    f, cotangent = problem
    leaves = f.leaves(target.device)
    copied = target.run(f, *leaves).clone()
    handle = getattr(copied.grad_fn, registration)(wrong)
    with compare.raises(error, message):
        copied.backward(cotangent, retain_graph=True)
    compare.fact([x.grad for x in leaves], [None] * len(leaves), "grad after the error")
    handle.remove()
    copied.backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)
