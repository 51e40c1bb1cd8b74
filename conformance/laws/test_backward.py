"""Backward passes: vector-Jacobian products, and what backward demands of its arguments."""

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import functions, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind


@law("backward.vjp-exact", docs="torch.Tensor.backward")
@given(problem=with_cotangent(polynomials(in_place=True), result=result_kind))
def test_vjp_exact(target, problem):
    """backward(v) leaves the vector-Jacobian product J^T v in each leaf.

    For polynomials at dyadic points, where nothing rounds, whatever the layout of v.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)


@law("backward.vjp-smooth", docs="torch.Tensor.backward")
@given(problem=with_cotangent(functions(in_place=True, max_steps=10), result=result_kind))
def test_vjp_smooth(target, problem):
    """backward(v) leaves J^T v in each leaf of a smooth function, as near as rounding allows."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, upstream)
    bound = 4 * (f.rounding + 1) * np.finfo(np.float64).eps * np.abs(upstream).sum()
    compare.gradients(leaves, expected, f.reaches, bound=bound)


@law("backward.non-scalar-raises", docs="torch.Tensor.backward")
@given(f=polynomials())
def test_non_scalar_raises(target, f):
    """backward without a gradient raises if the tensor has more than one element.

    With a gradient the same call goes through.
    """

    def twice(*leaves):
        value = f(*leaves)
        return torch.stack((value, value))

    leaves = f.leaves(target.device)
    result = target.run(twice, *leaves)
    with compare.raises(RuntimeError, "grad can be implicitly created only for scalar outputs"):
        result.backward()
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    result.backward(torch.zeros_like(result))
    compare.fact(tuple(leaf.grad is not None for leaf in leaves), f.reaches, "leaves reached")


@law("backward.one-element-implicit", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True))
def test_one_element_implicit(target, f):
    """backward without a gradient starts from 1 if the tensor has one element, of any rank."""

    def matrix(*leaves):
        return f(*leaves).reshape(1, 1)

    leaves = f.leaves(target.device)
    target.run(matrix, *leaves).backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("backward.gradient-shape", docs="torch.Tensor.backward")
@given(f=polynomials())
def test_gradient_shape(target, f):
    """The gradient given to backward must have the tensor's shape: it is not broadcast."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    wrong = torch.ones((2, *result.shape), dtype=result.dtype, device=target.device)
    with compare.raises(RuntimeError, "Mismatch in shape"):
        result.backward(wrong)
    result.backward(wrong[0])
    compare.fact(tuple(leaf.grad is not None for leaf in leaves), f.reaches, "leaves reached")


@law("backward.inputs", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True))
def test_inputs(target, f):
    """backward(inputs=...) accumulates into those leaves only."""
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    target.run(f, *leaves).backward(inputs=[leaves[chosen]])
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(leaves[chosen].grad, expected, bound=0.0, dtype=torch.float64, what="grad")
    others = [leaf.grad for number, leaf in enumerate(leaves) if number != chosen]
    compare.fact(others, [None] * len(others), "grad of the other leaves")


@law("backward.cotangent-unchanged", docs="torch.Tensor.backward", level="should")
@given(problem=with_cotangent(polynomials(), result=result_kind))
def test_cotangent_unchanged(target, problem):
    """backward does not write to the gradient that it is given, on this pass or on later ones."""
    f, cotangent = problem
    before = compare.to_numpy(cotangent)
    leaves = f.leaves(target.device)
    for _ in range(2):
        target.run(f, *leaves).backward(cotangent)
        compare.unchanged(cotangent, before, "gradient given to backward")
