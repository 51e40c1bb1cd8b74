"""Jacobians by autograd.grad: rows, all rows at once, linearity and the chain rule."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from strategies import functions, polynomials, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind


def reached_leaves(f, leaves):
    return [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]


def reached_blocks(f):
    """The Jacobian to each leaf that the result depends on."""
    blocks = derivatives.jacobian(numpy_of(f), f.points)
    return [block for block, reaches in zip(blocks, f.reaches, strict=True) if reaches]


def one_hot(result):
    """Cotangents with a single one, in the order of the result's elements."""
    size = result.numel()
    basis = torch.eye(size, dtype=result.dtype, device=result.device)
    return basis.reshape(size, *result.shape)


@law("jacobian.rows", docs="torch.autograd.grad")
@given(f=functions(in_place=True, max_steps=8))
def test_rows(target, f):
    """grad with a one-hot cotangent is a row of the Jacobian, one pass for each over one graph."""
    leaves = f.leaves(target.device)
    inputs, result = reached_leaves(f, leaves), target.run(f, *leaves)
    rows = [torch.autograd.grad(result, inputs, v, retain_graph=True) for v in one_hot(result)]
    bound = jets.rounding(numpy_of(f), f.points, 1)
    for number, block in enumerate(reached_blocks(f)):
        stacked = torch.stack([row[number] for row in rows]).reshape(block.shape)
        compare.close(stacked, block, bound=bound, dtype=torch.float64, what="Jacobian")


@law("jacobian.rows-at-once", docs="torch.autograd.grad")
@given(f=functions(max_steps=8))
def test_rows_at_once(target, f):
    """grad with is_grads_batched=True maps over the first dimension of the cotangents.

    With all one-hot cotangents it gives all rows; with one it gives that row, in a batch of one.
    """
    leaves = f.leaves(target.device)
    inputs, result = reached_leaves(f, leaves), target.run(f, *leaves)
    bound = jets.rounding(numpy_of(f), f.points, 1)
    basis, size = one_hot(result), result.numel()
    for rows in (slice(None), slice(size - 1, size)):
        found = torch.autograd.grad(
            result, inputs, basis[rows], is_grads_batched=True, retain_graph=True
        )
        for gradient, block in zip(found, reached_blocks(f), strict=True):
            expected = block.reshape(size, *block.shape[len(f.shape) :])[rows]
            compare.close(gradient, expected, bound=bound, dtype=torch.float64, what="Jacobian")


@law("jacobian.one-input-at-a-time", docs="torch.autograd.grad")
@given(
    problem=with_cotangent(polynomials(in_place=True), result=result_kind),
    order=st.permutations(range(3)),
)
def test_one_input_at_a_time(target, problem, order):
    """grad to some of the leaves, in any order, gives each what grad to all gives it."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    numbers = [number for number in order if number < len(leaves) and f.reaches[number]]
    result = target.run(f, *leaves)
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    for chosen in [[number] for number in numbers] + [numbers]:
        inputs = [leaves[number] for number in chosen]
        found = torch.autograd.grad(result, inputs, cotangent, retain_graph=True)
        compare.nested(found, tuple(expected[number] for number in chosen), what="gradient")


@law("jacobian.linear-in-cotangent", docs="torch.autograd.grad")
@given(
    problem=with_cotangent(polynomials(), result=result_kind),
    weights=st.tuples(*2 * [st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.0])]),
)
def test_linear_in_cotangent(target, problem, weights):
    """J^T (a v + b w) is a J^T v + b J^T w; J^T 0 is zeros, not None."""
    f, v = problem
    leaves = f.leaves(target.device)
    inputs, result = reached_leaves(f, leaves), target.run(f, *leaves)
    a, b = weights
    w = torch.flip(v, tuple(range(v.dim()))) + 1
    products = [
        torch.autograd.grad(result, inputs, cotangent, retain_graph=True)
        for cotangent in (v, w, a * v + b * w, 0 * v)
    ]
    for to_v, to_w, to_both, to_zero in zip(*products, strict=True):
        expected = a * compare.to_numpy(to_v) + b * compare.to_numpy(to_w)
        compare.close(to_both, expected, bound=0.0, dtype=torch.float64, what="J^T (a v + b w)")
        compare.close(to_zero, 0 * expected, bound=0.0, dtype=torch.float64, what="J^T 0")


def squared(tensor):
    return tensor * tensor


def running(tensor):
    return torch.cumsum(tensor.reshape(-1), 0) * tensor.sum()


def scaled_by_last(tensor):
    return tensor * tensor.reshape(-1)[-1]


def outer(tensor):
    flat = tensor.reshape(-1)
    return flat[:, None] * flat * 0.5


OUTER = {"squared": squared, "running": running, "scaled-by-last": scaled_by_last, "outer": outer}


@law("jacobian.chain-rule", docs="torch.autograd.grad", over=OUTER)
@given(f=polynomials(max_steps=4, significant_bits=16))
def test_chain_rule(target, case, f):
    """The gradient through a composition is the inner one's product with the outer one's.

    J_{g f}^T v = J_f^T J_g^T v: of one graph, and of two graphs joined by hand.
    """
    leaves = f.leaves(target.device)
    inputs = reached_leaves(f, leaves)

    def composed(*arguments):
        return case(f(*arguments))

    whole = target.run(composed, *leaves)
    v = torch.arange(1.0, 1 + whole.numel(), dtype=torch.float64).to(target.device)
    v = v.reshape(whole.shape)
    through = torch.autograd.grad(whole, inputs, v)
    inner = target.run(f, *leaves)
    cut = inner.detach().requires_grad_()
    (to_inner,) = torch.autograd.grad(target.run(case, cut), cut, v)
    by_hand = torch.autograd.grad(inner, inputs, to_inner)
    upstream = compare.to_numpy(to_inner)
    expected = tuple(np.tensordot(upstream, block, len(f.shape)) for block in reached_blocks(f))
    compare.nested(through, expected, what="gradient through one graph")
    compare.nested(by_hand, expected, what="gradient through two graphs")


@law("jacobian.several-results", docs="torch.autograd.grad")
@given(problem=with_cotangent(polynomials(max_steps=4), result=result_kind))
def test_several_results(target, problem):
    """grad of several results is the sum of each one's product with its own cotangent."""
    f, cotangent = problem

    def results(*leaves):
        value = f(*leaves)
        return value * 2.0, value.sum() * 3.0, value

    leaves = f.leaves(target.device)
    inputs = reached_leaves(f, leaves)
    outputs = target.run(results, *leaves)
    to_sum = torch.tensor(-0.5, dtype=torch.float64, device=target.device)
    cotangents = [cotangent, to_sum, torch.ones_like(outputs[2])]
    found = torch.autograd.grad(outputs, inputs, cotangents)
    upstream = 2.0 * compare.to_numpy(cotangent) - 1.5 + 1.0
    expected = [np.tensordot(upstream, block, len(f.shape)) for block in reached_blocks(f)]
    compare.nested(found, tuple(expected), what="gradient")


@law("jacobian.of-shapes", docs="torch.autograd.grad")
@given(leaf=tensors(dtype=torch.float64), upstream=st.sampled_from(["ones", "expanded", "given"]))
def test_of_shapes(target, leaf, upstream):
    """The gradient of an elementwise function has the leaf's shape, whatever that is.

    Rank 0, sides of 0 and every layout included, of the leaf and of the cotangent.
    """

    def function(tensor):
        return tensor * tensor * 0.5 + tensor

    leaf = leaf.detach().requires_grad_()
    result = target.run(function, leaf)
    cotangents = {
        "ones": torch.ones_like(result).detach(),
        "expanded": torch.ones((), dtype=torch.float64, device=target.device).expand(leaf.shape),
        "given": leaf.detach(),
    }
    (found,) = torch.autograd.grad(result, leaf, cotangents[upstream])
    values = compare.to_numpy(leaf)
    expected = (values + 1) * (values if upstream == "given" else 1.0)
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")
    compare.fact(tuple(found.shape), tuple(leaf.shape), "shape of the gradient")
