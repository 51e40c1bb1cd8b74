"""Hooks of tensors: when they run, what they are given, and what their results do."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from conformance.target import resolve
from strategies import dyadics, polynomials, squares, with_cotangent
from strategies.functions import numpy_of, result_kind

IN_PLACE = "notes/autograd.html#behavior-of-tensor-hooks-when-tensor-is-modified-in-place"


def leaf(tensor):
    """A new leaf with the tensor's values."""
    return tensor.detach().clone().requires_grad_()


def itself(tensor):
    """The result of a function, as it is."""
    return tensor


def view(tensor):
    """A view of a result."""
    return tensor.view(tensor.shape)


def view_of_view(tensor):
    """A view of a view of a result."""
    return tensor.unsqueeze(0)[0]


PLACES = {"leaf": leaf, "result": itself, "view": view, "view-of-view": view_of_view}


@law("hooks.total-gradient", docs="torch.Tensor.register_hook", over=PLACES)
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    uses=st.lists(dyadics(), min_size=1, max_size=4),
    together=st.booleans(),
)
def test_total_gradient(target, case, problem, uses, together):
    """A tensor's hook runs once a backward pass, with the gradient of all uses of the tensor.

    However many operations use it, whether they end in one root or in several.
    """
    f, cotangent = problem
    place = case(target.run(f, *f.leaves(target.device)))
    calls: hooks.Calls = []
    place.register_hook(hooks.watching(calls, 0))
    roots = [place * use for use in uses]
    if together:
        roots = [sum(roots)]
    total = sum(uses) * compare.to_numpy(cotangent)
    for _ in range(2):
        torch.autograd.backward(roots, [cotangent] * len(roots), retain_graph=True)
    hooks.same_calls(calls, [(0, total), (0, total)])


@law("hooks.order", docs=hooks.EXECUTION)
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    factors=hooks.lists_of_factors(),
)
def test_order(target, problem, factors):
    """Hooks run in order of registration; each gets what those before it returned.

    What the last returns is the gradient that goes on; a hook that returns None changes nothing.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    calls: hooks.Calls = []
    for number, factor in enumerate(factors):
        middle.register_hook(hooks.watching(calls, number, factor))
    upstream = compare.to_numpy(cotangent)
    seen, last = hooks.chain(upstream, factors)
    middle.backward(cotangent)
    hooks.same_calls(calls, list(enumerate(seen)))
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, last), f.reaches)
    compare.unchanged(cotangent, upstream, "gradient given to backward")


@law("hooks.before-accumulation", docs=hooks.EXECUTION)
@given(f=polynomials(scalar=True), factors=hooks.lists_of_factors(), old=dyadics())
def test_before_accumulation(target, f, factors, old):
    """A leaf's hooks change the gradient before it is added to .grad; what .grad held stays.

    The hooks of a leaf that the pass doesn't reach don't run.
    """
    leaves = f.leaves(target.device)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    for x, gradient, reached in zip(leaves, gradients, f.reaches, strict=True):
        calls: hooks.Calls = []
        for number, factor in enumerate(factors):
            x.register_hook(hooks.watching(calls, number, factor))
        x.grad = torch.full_like(x, old)
        target.run(f, *leaves).backward()
        seen, last = hooks.chain(gradient, factors)
        hooks.same_calls(calls, list(enumerate(seen)) if reached else [])
        expected = old + (last if reached else 0.0 * gradient)
        compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad")


@law("hooks.removal", docs="torch.Tensor.register_hook")
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    factors=hooks.lists_of_factors(),
    removed=st.lists(st.integers(0, 3), unique=True, max_size=3),
    times=st.integers(1, 2),
    late=st.sampled_from(hooks.FACTORS),
)
def test_removal(target, problem, factors, removed, times, late):
    """handle.remove() removes its hook and no other; removing it again does nothing.

    Hooks that stay keep their order, and one registered later comes last.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    calls: hooks.Calls = []
    handles = [
        middle.register_hook(hooks.watching(calls, number, factor))
        for number, factor in enumerate(factors)
    ]
    gone = {number for number in removed if number < len(factors)}
    for number in gone:
        for _ in range(times):
            handles[number].remove()
    middle.register_hook(hooks.watching(calls, len(factors), late))
    for number in gone:
        handles[number].remove()
    kept = [number for number in range(len(factors) + 1) if number not in gone]
    seen, last = hooks.chain(
        compare.to_numpy(cotangent), [(*factors, late)[number] for number in kept]
    )
    middle.backward(cotangent)
    hooks.same_calls(calls, list(zip(kept, seen, strict=True)))
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, last), f.reaches)


@law("hooks.remove-themselves", docs="torch.Tensor.register_hook", level="should")
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    count=st.integers(1, 4),
    leaving=st.lists(st.integers(0, 3), unique=True, max_size=3),
)
def test_remove_themselves(target, problem, count, leaving):
    """A hook may remove itself while it runs: the others run in this pass and in the next."""
    f, cotangent = problem
    middle = target.run(f, *f.leaves(target.device))
    calls: hooks.Calls = []
    handles: list[Any] = []

    def registered(number):
        note = hooks.watching(calls, number)

        def hook(gradient):
            note(gradient)
            if number in leaving:
                handles[number].remove()

        return middle.register_hook(hook)

    handles.extend(registered(number) for number in range(count))
    upstream = compare.to_numpy(cotangent)
    for _ in range(2):
        middle.backward(cotangent, retain_graph=True)
    order = [*range(count), *(number for number in range(count) if number not in leaving)]
    hooks.same_calls(calls, [(number, upstream) for number in order])


@law("hooks.outlive-the-tensor", docs="torch.Tensor.register_hook", level="should")
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    factor=st.sampled_from(hooks.FACTORS),
)
def test_outlive_the_tensor(target, problem, factor):
    """The hooks of a result run as long as the graph does, whoever still holds the tensor.

    Their handles still remove them.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    calls: hooks.Calls = []
    middle = target.run(f, *leaves)
    handles = [middle.register_hook(hooks.watching(calls, n, factor)) for n in range(2)]
    root = middle * 1
    del middle
    handles[1].remove()
    upstream = compare.to_numpy(cotangent)
    (_,), last = hooks.chain(upstream, [factor])
    root.backward(cotangent)
    hooks.same_calls(calls, [(0, upstream)])
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, last), f.reaches)


REGISTRATIONS = {
    "register_hook": "torch.Tensor.register_hook",
    "register_post_accumulate_grad_hook": "torch.Tensor.register_post_accumulate_grad_hook",
}


@law("hooks.requires-grad", docs=lambda name: name, over=REGISTRATIONS)
@given(f=polynomials(scalar=True))
def test_requires_grad(target, case, f):
    """Registering a hook raises for a tensor that doesn't require grad.

    A plain tensor, a detached one, the result of a computation without gradient. Where the
    tensor requires grad afterwards, the rejected hook does not run.
    """
    leaves = f.leaves(target.device)
    calls = []

    def note(argument):
        calls.append(argument)

    resolve(case)(leaves[f.reaches.index(True)], note)
    target.run(f, *leaves).backward()
    compare.fact(len(calls), 1, "calls of the hook of a tensor that requires grad")
    with torch.no_grad():
        computed = leaves[0] * 2
    for tensor in (torch.ones(2, device=target.device), leaves[0].detach(), computed):
        with compare.raises(RuntimeError, "hook on a tensor that doesn't require grad"):
            resolve(case)(tensor, note)
        tensor.requires_grad_().sum().backward()
    compare.fact(len(calls), 1, "calls of hooks, those that were rejected included")


ACTIONS = ("hook", "retain_grad", 2.0, -1.0, 3.0, 0.5)


@law("hooks.in-place", docs=IN_PLACE)
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6),
)
def test_in_place(target, problem, actions):
    """A hook gets the gradient to the values that its tensor had when it was registered.

    Whatever in-place operations, here multiplications, came before or after; retain_grad
    keeps the gradient to the last values, wherever it was called.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves) * 1
    calls: hooks.Calls = []
    for number, action in enumerate(actions):
        if action == "hook":
            middle.register_hook(hooks.watching(calls, number))
        elif action == "retain_grad":
            middle.retain_grad()
        else:
            middle.mul_(action)
    middle.backward(cotangent)
    gradient = compare.to_numpy(cotangent)
    if "retain_grad" in actions:
        compare.close(middle.grad, gradient, bound=0.0, dtype=torch.float64, what="retained grad")
    # The pass comes to the last values first; hooks on the same values run as registered.
    expected: hooks.Expected = []
    together: hooks.Expected = []
    for number, action in reversed(list(enumerate(actions))):
        if action == "hook":
            together.insert(0, (number, gradient))
        elif action != "retain_grad":
            expected += together
            together, gradient = [], gradient * action
    hooks.same_calls(calls, [*expected, *together])
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


@law("hooks.retain-grad-last", docs=hooks.EXECUTION)
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    factors=hooks.lists_of_factors(),
    place=st.integers(0, 4),
)
def test_retain_grad_last(target, problem, factors, place):
    """retain_grad keeps the gradient that all hooks have changed, wherever it was called."""
    f, cotangent = problem
    middle = target.run(f, *f.leaves(target.device))
    calls: hooks.Calls = []
    for number, factor in enumerate(factors):
        if number == place:
            middle.retain_grad()
        middle.register_hook(hooks.watching(calls, number, factor))
    if place >= len(factors):
        middle.retain_grad()
    seen, last = hooks.chain(compare.to_numpy(cotangent), factors)
    middle.backward(cotangent)
    hooks.same_calls(calls, list(enumerate(seen)))
    compare.close(middle.grad, last, bound=0.0, dtype=torch.float64, what="retained grad")


@law("hooks.differentiable", docs="torch.autograd.grad")
@given(f=squares(max_steps=4))
def test_differentiable(target, f):
    """Under create_graph=True what a hook computes is differentiated like the rest.

    The hook multiplies the gradient g by its leaf x: the derivative of sum(g x) is H x + g.
    """
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    x = leaves[chosen]
    handle = x.register_hook(lambda gradient: gradient * x)
    (product,) = torch.autograd.grad(target.run(f, *leaves), [x], create_graph=True)
    handle.remove()
    hooks.check_multiplied(product, x, f, chosen)


def shorter(gradient):
    """A gradient of another shape."""
    return torch.cat((gradient.flatten(), gradient.new_ones(1)))


def narrower(gradient):
    """A gradient of another dtype."""
    return gradient.float()


def tupled(gradient):
    """A tuple, as hooks of nodes return."""
    return (gradient,)


WRONG_RESULTS = {
    "shape": (shorter, RuntimeError, "has changed the size of value"),
    "dtype": (narrower, RuntimeError, "has changed the type of value"),
    "tuple": (tupled, TypeError, "expected Variable, but hook returned 'tuple'"),
}


@law(
    "hooks.result-checked",
    docs="torch.Tensor.register_hook",
    level="should",
    over=WRONG_RESULTS,
)
@given(f=polynomials(scalar=True))
def test_result_checked(target, case, f):
    """A hook that returns something else than a gradient like the one it got ends the pass.

    No .grad changes, and without that hook the same graph still gives the right gradients.
    """
    wrong, error, message = case
    leaves = f.leaves(target.device)
    root = target.run(f, *leaves) * 1
    calls: hooks.Calls = []
    root.register_hook(hooks.watching(calls, 0, 2.0))
    handle = root.register_hook(wrong)
    with compare.raises(error, message):
        root.backward(retain_graph=True)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    handle.remove()
    root.backward()
    expected = [2 * g for g in derivatives.gradient(numpy_of(f), f.points)]
    compare.gradients(leaves, expected, f.reaches)
