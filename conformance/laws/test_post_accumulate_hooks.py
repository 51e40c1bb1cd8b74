"""Hooks that run after a leaf's gradient was accumulated: an optimizer within backward."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import dyadics, polynomials
from strategies.functions import numpy_of

PAGE = "torch.Tensor.register_post_accumulate_grad_hook"


@law("hooks.post-accumulate", docs=PAGE)
@given(
    f=polynomials(scalar=True),
    count=st.integers(1, 3),
    uses=st.integers(1, 3),
    factor=st.sampled_from(hooks.FACTORS),
)
def test_post_accumulate(target, f, count, uses, factor):
    """After a leaf's .grad was updated its hooks run, once a pass, with the leaf itself.

    In order of registration; .grad holds what earlier passes left, and what this one added
    with all uses of the leaf and after the hooks of tensors.
    """
    leaves = f.leaves(target.device)
    number = f.reaches.index(True)
    x = leaves[number]
    noted = []

    def registered(place):
        def hook(leaf):
            noted.append((place, leaf is x, leaf.grad.clone()))

        x.register_post_accumulate_grad_hook(hook)

    for place in range(count):
        registered(place)
    x.register_hook(hooks.watching([], 0, factor))
    for _ in range(2):
        sum(target.run(f, *leaves) for _ in range(uses)).backward()
    order = [place for place, _, _ in noted]
    compare.fact(order, 2 * list(range(count)), "hooks called, by number")
    compare.fact(all(same for _, same, _ in noted), True, "the argument is the leaf")
    (_,), added = hooks.chain(uses * derivatives.gradient(numpy_of(f), f.points)[number], [factor])
    for position, (_, _, grad) in enumerate(noted):
        passes = 1 + position // count
        compare.close(grad, passes * added, bound=0.0, dtype=torch.float64, what="grad within")
    compare.close(x.grad, 2 * added, bound=0.0, dtype=torch.float64, what="grad afterwards")


@law("hooks.post-accumulate-optimizer", docs=PAGE)
@given(f=polynomials(scalar=True, significant_bits=18), rate=dyadics(), steps=st.integers(1, 2))
def test_post_accumulate_optimizer(target, f, rate, steps):
    """A hook after accumulation may update its leaf and set .grad to None: both stay so.

    A step of gradient descent within the pass: x - rate times the gradient, and no .grad left.
    """
    leaves = f.leaves(target.device)
    roots = [target.run(f, *leaves) for _ in range(steps)]

    def descend(leaf):
        leaf.data.sub_(leaf.grad, alpha=rate)
        leaf.grad = None

    for x in leaves:
        x.register_post_accumulate_grad_hook(descend)
    whole = sum(roots)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    whole.backward()
    for x, point, gradient, reached in zip(leaves, f.points, gradients, f.reaches, strict=True):
        compare.fact(x.grad, None, "grad after the pass")
        expected = point - rate * steps * gradient * reached
        compare.close(x, expected, bound=0.0, dtype=torch.float64, what="leaf after the pass")


@law("hooks.post-accumulate-leaf", docs=PAGE)
@given(f=polynomials(scalar=True))
def test_post_accumulate_leaf(target, f):
    """A hook after accumulation is for leaves only: for a result registering it raises.

    Also where the result retains its grad. The hook of a leaf works in the same pass.
    """
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    root = target.run(f, *leaves)
    root.retain_grad()
    called: list[Any] = []
    x.register_post_accumulate_grad_hook(called.append)
    with compare.raises(RuntimeError, "cannot be registered on non-leaf tensors"):
        root.register_post_accumulate_grad_hook(called.append)
    root.backward()
    compare.fact([leaf is x for leaf in called], [True], "tensors whose hook was called")


@law("hooks.post-accumulate-removal", docs=PAGE)
@given(
    f=polynomials(scalar=True),
    removed=st.lists(st.integers(0, 2), unique=True),
    inside=st.booleans(),
)
def test_post_accumulate_removal(target, f, removed, inside):
    """handle.remove() removes a hook after accumulation, and no other, also from within it."""
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    called: list[Any] = []
    handles: list[Any] = []

    def registered(number):
        def hook(leaf):
            called.append(number)
            if inside and number in removed:
                handles[number].remove()

        return x.register_post_accumulate_grad_hook(hook)

    handles.extend(registered(number) for number in range(3))
    if inside:
        target.run(f, *leaves).backward()
        compare.fact(called, [0, 1, 2], "hooks called, by number")
        called.clear()
    else:
        for number in removed:
            handles[number].remove()
    target.run(f, *leaves).backward()
    kept = [number for number in range(3) if number not in removed]
    compare.fact(called, kept, "hooks called after the removal, by number")


@law("hooks.post-accumulate-inputs", docs=hooks.EXECUTION)
@given(f=polynomials(scalar=True))
def test_post_accumulate_inputs(target, f):
    """backward(inputs=) runs the hooks after accumulation of those leaves; autograd.grad none."""
    leaves = f.leaves(target.device)
    called = []

    def register(number):
        leaves[number].register_post_accumulate_grad_hook(lambda _: called.append(number))

    for number in range(len(leaves)):
        register(number)
    root = target.run(f, *leaves)
    chosen = f.reaches.index(True)
    torch.autograd.grad(root, [leaves[chosen]], retain_graph=True)
    compare.fact(called, [], "hooks called by torch.autograd.grad")
    root.backward(inputs=[leaves[chosen]], retain_graph=True)
    compare.fact(called, [chosen], "hooks called by backward(inputs=)")
    root.backward()
    reached = [number for number, reaches in enumerate(f.reaches) if reaches]
    compare.fact(sorted(called[1:]), reached, "hooks called by backward()")
