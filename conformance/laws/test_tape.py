"""The tape: random programs, every step of which ends as a small model of autograd says."""

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.programs import KINDS, follow, programs
from strategies import tensors
from strategies.layouts import WRITABLE

PAGES = {
    "gradients": "torch.autograd.backward",
    "repeated-passes": "torch.autograd.backward",
    "views": "tensor_view.html",
    "writes": "notes/autograd.html#in-place-correctness-checks",
    "writes-through-views": "notes/autograd.html#in-place-operations-with-autograd",
    "tensors-through-views": "notes/autograd.html#in-place-operations-with-autograd",
    "flags": "notes/autograd.html#setting-requires-grad",
    "modes": "notes/autograd.html#grad-modes",
    "higher-order": "torch.autograd.grad",
    "hooks": "notes/autograd.html#backward-hooks-execution",
    "everything": "notes/autograd.html",
}


def page(case):
    return PAGES[case]


@law("tape.model", docs=page, over={kind: kind for kind in KINDS})
@given(program=programs)
def test_model(target, case, program):
    """After every step of a random program, everything observable is as the tape says.

    Values, memory, versions, flags, histories, gradients, hooks' calls, modes, and errors. The
    tape is a model of eager autograd in NumPy: ``conformance/reference/tape.py``.
    """
    follow(program)


def added(x, y):
    return x + y


def added_as_views(x, y):
    return x.unsqueeze(0) + y.unsqueeze(0)


@law(
    "tape.separate-gradients",
    docs="torch.autograd.backward",
    over={"sum": added, "sum-of-views": added_as_views},
)
@given(leaf=tensors(dtype=torch.float64, layouts=WRITABLE, requires_grad=True))
def test_separate_gradients(target, case, leaf):
    """A pass adds to .grad of the leaves that it reaches, and to no other's.

    Also where an earlier pass gave two leaves equal gradients: each has a memory of its own.
    """
    other = leaf.detach().clone().requires_grad_()
    (target.run(case, leaf, other) * 3).sum().backward()
    for reached in (leaf, other):
        compare.equal(reached.grad, np.full(leaf.shape, 3.0), dtype=leaf.dtype, what="first")
    (leaf * 2).sum().backward()
    compare.equal(leaf.grad, np.full(leaf.shape, 5.0), dtype=leaf.dtype, what="grad of the reached")
    compare.equal(other.grad, np.full(leaf.shape, 3.0), dtype=leaf.dtype, what="grad of the other")


def doubled(gradient):
    return gradient * 2


@law(
    "tape.hooked-input",
    docs="torch.Tensor.register_hook",
    over={"alone": False, "with-its-leaf": True},
)
@given(leaf=tensors(dtype=torch.float64, layouts=WRITABLE, values="dyadic", requires_grad=True))
def test_hooked_input(target, case, leaf):
    """What a hook returns takes the place of the gradient that autograd.grad returns for a tensor.

    Whatever other inputs are asked for in the same call: "a new gradient which will be used in
    place of grad".
    """
    intermediate = leaf * 2
    intermediate.register_hook(doubled)
    root = (intermediate * intermediate).sum()
    inputs = [intermediate, leaf] if case else [intermediate]
    gradients = torch.autograd.grad(root, inputs)
    values = compare.to_numpy(leaf)
    for gradient, factor in zip(gradients, (8.0, 16.0), strict=False):
        compare.close(gradient, factor * values, bound=0.0, dtype=leaf.dtype, what="gradient")


def itself(tensor):
    return tensor


def whole_view(tensor):
    return tensor.view_as(tensor)


@law(
    "tape.hook-before-write",
    docs="notes/autograd.html#behavior-of-tensor-hooks-when-tensor-is-modified-in-place",
    over={"tensor": itself, "view": whole_view},
)
@given(leaf=tensors(dtype=torch.float64, layouts=WRITABLE, requires_grad=True))
def test_hook_before_write(target, case, leaf):
    """A hook registered before a tensor is modified in place gets the old values' gradient."""
    intermediate = leaf * 2
    subject = target.run(case, intermediate)
    seen = []
    subject.register_hook(lambda gradient: seen.append(compare.to_numpy(gradient).tolist()))
    subject.mul_(3.0)
    intermediate.sum().backward()
    compare.equal(leaf.grad, np.full(leaf.shape, 6.0), dtype=leaf.dtype, what="grad of the leaf")
    compare.fact(seen, [np.full(leaf.shape, 3.0).tolist()], "gradients that the hook saw")
