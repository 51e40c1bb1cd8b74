"""torch.autograd.functional: Jacobians and Hessians, in each way of computing them."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from strategies import functions, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of, weights
from strategies.layouts import LAZY, WRITABLE

PLAIN = tuple(name for name in WRITABLE if name not in LAZY)
FORWARD = (("strategy", "forward-mode"), ("vectorize", True))
JACOBIANS = {
    "reverse": (),
    "create-graph": (("create_graph", True),),
    "vectorized": (("vectorize", True),),
    "vectorized-create-graph": (("vectorize", True), ("create_graph", True)),
    "forward": FORWARD,
}
HESSIANS = {
    "reverse": (),
    "create-graph": (("create_graph", True),),
    "vectorized": (("vectorize", True),),
    "vectorized-create-graph": (("vectorize", True), ("create_graph", True)),
    "forward": (("outer_jacobian_strategy", "forward-mode"), ("vectorize", True)),
}
DIFFERENTIABLE = {
    "reverse": (("create_graph", True),),
    "vectorized": (("vectorize", True), ("create_graph", True)),
}


def page(case):
    return f"torch.autograd.functional.{case}"


def without_lists(f):
    """Return the function with its subscripts that are lists written as stacked entries."""
    entries = r"xp.stack((\1[..., 0], \1[..., -1], \1[..., 0]), -1)"
    return replace(f, body=re.sub(r"(\w+)\[\.\.\., \[0, -1, 0\]\]", entries, f.body))


def squares_for(case):
    """Draw squares for a variant of hessian: subscripts in forward mode have a law of their own."""
    drawn = squares(max_leaves=2, max_steps=3)
    return drawn.map(without_lists) if case == HESSIANS["forward"] else drawn


def functions_for(case):
    """Draw smooth functions for a variant of hessian, as above."""
    drawn = functions(scalar=True, max_leaves=2, max_steps=5)
    return drawn.map(without_lists) if case == HESSIANS["forward"] else drawn


def repeated_entries(tensor):
    return (tensor[[0, -1, 0]] * tensor).sum()


def as_tuples(found):
    """Return a structure with tuples for lists: what holds them is a law of its own."""
    return found if isinstance(found, torch.Tensor) else tuple(as_tuples(part) for part in found)


def two_results(f, *leaves):
    """A result of the function's shape and one of another, which weighs it."""
    value = f(*leaves)
    return value * 2.0, (value * value)[None]


def cubes(tensor):
    return tensor * tensor * tensor


def sum_of_cubes(tensor):
    return (tensor * tensor * tensor).sum()


@law("functional.jacobian", docs="torch.autograd.functional.jacobian", over=JACOBIANS)
@given(f=polynomials())
def test_jacobian(target, case, f):
    """jacobian of a function of a tuple gives the tuple of exact Jacobians to each input.

    Each of the shape of the result followed by that of the input; zeros to inputs that the
    result does not depend on.
    """
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(derivatives.jacobian(numpy_of(f), f.points))
    compare.nested(as_tuples(found), expected, what="Jacobian to input")


@law("functional.jacobian-smooth", docs="torch.autograd.functional.jacobian", over=JACOBIANS)
@given(f=functions(max_steps=8))
def test_jacobian_smooth(target, case, f):
    """jacobian of a smooth function is exact as far as rounding allows."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(derivatives.jacobian(numpy_of(f), f.points))
    bound = jets.rounding(numpy_of(f), f.points, 1)
    compare.nested(as_tuples(found), expected, bound=bound, what="Jacobian to input")


@law("functional.jacobian-several-results", docs=page("jacobian"), over=JACOBIANS)
@given(f=polynomials(max_leaves=2, max_steps=4, significant_bits=18))
def test_jacobian_several_results(target, case, f):
    """If inputs and results are tuples, Jacobian[i][j] is that of result i to input j."""
    inputs = tuple(f.leaves(target.device))
    run = partial(target.run, two_results, f)
    found = torch.autograd.functional.jacobian(run, inputs, **dict(case))
    (first, second) = derivatives.jacobian(numpy_of(f), f.points), numpy_of(f)(*f.points)
    rank = len(f.shape)
    expected = (
        tuple(2 * block for block in first),
        tuple(
            (2 * second.reshape(f.shape + (1,) * (block.ndim - rank)) * block)[None]
            for block in first
        ),
    )
    compare.nested(as_tuples(found), expected, what="Jacobian of result")


@law("functional.jacobian-structure", docs=page("jacobian"), over=JACOBIANS)
@given(f=polynomials(max_steps=3))
def test_jacobian_structure(target, case, f):
    """Jacobians to a tuple of inputs come in a tuple; of a tuple of results, a tuple of those."""
    inputs = tuple(f.leaves(target.device))
    one = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    run = partial(target.run, two_results, f)
    two = torch.autograd.functional.jacobian(run, inputs, **dict(case))
    compare.fact(len(one), len(inputs), "number of Jacobians")
    compare.fact([type(part) for part in (one, two, *two)], [tuple] * 4, "types of what holds them")


@law("functional.jacobian-of-expanded", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1)))
def test_jacobian_of_expanded(target, case, point):
    """The Jacobian is the same if elements of the input share memory."""
    point = point.expand(2, *point.shape)
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("functional.jacobian-of-nothing", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=st.sampled_from([(0,), (0, 2), (2, 0)])))
def test_jacobian_of_nothing(target, case, point):
    """A result without elements has a Jacobian without elements, of the joined shape."""
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    compare.nested(found, np.zeros(2 * tuple(point.shape)), what="Jacobian")
    compare.fact(tuple(found.shape), 2 * tuple(point.shape), "shape of the Jacobian")


@law("functional.jacobian-of-tensor", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=PLAIN))
def test_jacobian_of_tensor(target, case, point):
    """jacobian of a function of one tensor is one tensor, for every shape and layout.

    Rank 0 included: the diagonal of an elementwise function.
    """
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("functional.jacobian-dtype", docs=page("jacobian"), over=JACOBIANS)
@given(
    point=tensors(dtype=torch.float32, shape=shapes(min_side=1), layouts=PLAIN),
    other=tensors(dtype=torch.float64, shape=()),
)
def test_jacobian_dtype(target, case, point, other):
    """A Jacobian has the dtype of the input; in forward mode, that of the result."""

    def product(a, b):
        return a.to(torch.float64) * b

    found = torch.autograd.functional.jacobian(
        partial(target.run, product), (point, other), **dict(case)
    )
    values, weight = compare.to_numpy(point), compare.to_numpy(other)
    expected = np.diag(np.full(values.size, weight)).reshape(2 * values.shape)
    dtype = torch.float64 if dict(case).get("strategy") else torch.float32
    compare.nested(found[0], expected, dtype=dtype, what="Jacobian to the first input")
    compare.nested(found[1], values, what="Jacobian to the second input")


@law("functional.jacobian-differentiable", docs=page("jacobian"), over=DIFFERENTIABLE)
@given(f=squares(max_leaves=2, max_steps=3))
def test_jacobian_differentiable(target, case, f):
    """A Jacobian taken with create_graph=True can be differentiated: it gives the exact Hessian.

    Here the gradient of its sum weighted by distinct numbers, which is the Hessian times them.
    """
    leaves = f.leaves(target.device)
    found = torch.autograd.functional.jacobian(partial(target.run, f), tuple(leaves), **dict(case))
    factors = [weights(leaf.shape, target.device) for leaf in leaves]
    sum((block * w).sum() for block, w in zip(found, factors, strict=True)).backward()
    direction = [compare.to_numpy(factor) for factor in factors]
    expected = derivatives.hessian_product(numpy_of(f), f.points, direction)
    for leaf, value in zip(leaves, expected, strict=True):
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        compare.close(gradient, value, bound=0.0, dtype=torch.float64, what="derivative")


@law("functional.hessian", docs=page("hessian"), over=HESSIANS)
@given(f=squares_for)
def test_hessian(target, case, f):
    """hessian of a function of a tuple gives Hessian[i][j], exact, for inputs i and j."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.hessian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(tuple(row) for row in jets.hessian(numpy_of(f), f.points))
    compare.nested(as_tuples(found), expected, what="Hessian")


@law("functional.hessian-smooth", docs=page("hessian"), over=HESSIANS)
@given(f=functions_for)
def test_hessian_smooth(target, case, f):
    """hessian of a smooth function is exact as far as rounding allows."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.hessian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(tuple(row) for row in jets.hessian(numpy_of(f), f.points))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    compare.nested(as_tuples(found), expected, bound=bound, what="Hessian")


@law("functional.hessian-of-tensor", docs=page("hessian"), over=HESSIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=PLAIN))
def test_hessian_of_tensor(target, case, point):
    """hessian of a function of one tensor is one tensor, for every shape and layout."""
    run = partial(target.run, sum_of_cubes)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(6 * values.reshape(-1)).reshape(2 * values.shape)
    compare.nested(found, expected, what="Hessian")


@law("functional.hessian-of-negated", docs=page("hessian"), over=HESSIANS)
@given(numbers=tensors(dtype=torch.complex128, shape=shapes(min_side=1), layouts=("contiguous",)))
def test_hessian_of_negated(target, case, numbers):
    """The Hessian is the same where the input is a view that negates: the conjugate's imag."""
    point = numbers.conj().imag
    run = partial(target.run, sum_of_cubes)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    values = -compare.to_numpy(numbers).imag
    expected = np.diag(6 * values.reshape(-1)).reshape(2 * values.shape)
    compare.nested(found, expected, what="Hessian")


@law("functional.hessian-of-subscript", docs=page("hessian"), over=HESSIANS)
@given(point=tensors(dtype=torch.float64, shape=(3,), layouts=PLAIN))
def test_hessian_of_subscript(target, case, point):
    """The Hessian is exact through a subscript that is a list, with repeated entries."""
    run = partial(target.run, repeated_entries)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    # x0^2 + x2 x1 + x0 x2
    compare.nested(found, np.array([[2.0, 0, 1], [0, 0, 1], [1, 1, 0]]), what="Hessian")


@law("functional.hessian-differentiable", docs=page("hessian"), over=DIFFERENTIABLE)
@given(f=squares(max_leaves=2, max_steps=2))
def test_hessian_differentiable(target, case, f):
    """A Hessian taken with create_graph=True gives the third derivative when differentiated.

    Here along the inputs' own values and distinct weights.
    """
    leaves = f.leaves(target.device)
    found = torch.autograd.functional.hessian(partial(target.run, f), tuple(leaves), **dict(case))
    total = torch.zeros((), dtype=torch.float64, device=target.device, requires_grad=True)
    for row, first in zip(found, leaves, strict=True):
        for block, second in zip(row, leaves, strict=True):
            one = weights(first.shape, target.device).reshape(first.shape + (1,) * second.dim())
            total = total + (block * one * second.detach()).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    first = [compare.to_numpy(weights(p.shape, target.device)) for p in f.points]
    bound = 16 * jets.rounding(numpy_of(f), f.points, 3)
    for number, gradient in enumerate(gradients):
        third = jets.derivative(numpy_of(f), f.points, number, first, f.points)
        compare.close(gradient, third, bound=bound, dtype=torch.float64, what="derivative")


REFUSED = {
    "strict-vectorized": ((("strict", True), ("vectorize", True)), "not supported together"),
    "unknown-strategy": ((("strategy", "sideways"),), "Expected strategy to be either"),
}


@law("functional.refused-options", docs=page("jacobian"), over=REFUSED)
@given(f=polynomials(max_leaves=1))
def test_refused_options(target, case, f):
    """jacobian refuses an unknown strategy, and strict=True together with vectorize=True."""
    options, message = case
    (leaf,) = f.leaves(target.device)
    run = partial(target.run, f)
    (expected,) = derivatives.jacobian(numpy_of(f), f.points)
    compare.nested(torch.autograd.functional.jacobian(run, leaf), expected, what="Jacobian")
    with (
        compare.raises(RuntimeError, message)
        if len(options) > 1
        else compare.raises(AssertionError, message)
    ):
        torch.autograd.functional.jacobian(run, leaf, **dict(options))
