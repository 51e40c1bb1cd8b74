"""Accumulation: what repeated backward passes leave in ``.grad``."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials
from strategies.functions import numpy_of


@law("accumulation.backward-adds", docs="torch.Tensor.backward", claims=["accumulation.adds"])
@given(f=polynomials(scalar=True), times=st.integers(2, 4))
def test_backward_adds(target, f, times):
    """Every backward pass adds its gradient to what the leaf's ``.grad`` already holds."""
    leaves = f.leaves(target.device)
    for _ in range(times):
        target.run(f, *leaves).backward()
    gradients = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [times * gradient for gradient in gradients], f.reaches)


@law("accumulation.unreached-stays-none", docs="torch.Tensor.grad")
@given(f=polynomials(scalar=True))
def test_unreached_stays_none(target, f):
    """``.grad`` is None until a backward pass reaches the leaf, and stays None if none does."""
    leaves = f.leaves(target.device)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad before backward")
    target.run(f, *leaves).backward()
    reached = tuple(leaf.grad is not None for leaf in leaves)
    compare.fact(reached, f.reaches, "leaves that have a grad after backward")


@law("accumulation.none-starts-over", docs="torch.optim.Optimizer.zero_grad")
@given(f=polynomials(scalar=True))
def test_none_starts_over(target, f):
    """A leaf whose ``.grad`` was set to None holds the gradient of the next pass alone."""
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward()
    for leaf in leaves:
        leaf.grad = None
    target.run(f, *leaves).backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("accumulation.grad-function-does-not", docs="torch.autograd.grad")
@given(f=polynomials(scalar=True))
def test_grad_function_does_not(target, f):
    """torch.autograd.grad returns the gradients and leaves every ``.grad`` as it was."""
    leaves = f.leaves(target.device)
    for leaf in leaves:
        leaf.grad = torch.full_like(leaf, 3.0)
    result = target.run(f, *leaves)
    gradients = torch.autograd.grad(result, leaves, allow_unused=True)
    expected = derivatives.gradient(numpy_of(f), f.points)
    for leaf, got, want, reached in zip(leaves, gradients, expected, f.reaches, strict=True):
        compare.fact(got is not None, reached, "a gradient is returned")
        if reached:
            compare.close(got, want, bound=0.0, dtype=leaf.dtype, what="gradient")
        compare.close(leaf.grad, want * 0 + 3, bound=0.0, dtype=leaf.dtype, what="grad")
