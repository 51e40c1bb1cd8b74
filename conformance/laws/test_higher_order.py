"""Higher order: gradients that are differentiated again."""

import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import squares
from strategies.functions import numpy_of


@law("higher-order.hessian-product", docs="torch.autograd.grad")
@given(f=squares(max_steps=4))
def test_hessian_product(target, f):
    """The gradient of <gradient, v> taken with create_graph=True is the Hessian times v.

    Of a square, so that every reached leaf has a second derivative; v holds the leaves' own
    values.
    """
    leaves = f.leaves(target.device)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    gradients = torch.autograd.grad(target.run(f, *leaves), reached, create_graph=True)
    projected = sum((g * x.detach()).sum() for g, x in zip(gradients, reached, strict=True))
    projected.backward(inputs=reached)
    direction = [p * reaches for p, reaches in zip(f.points, f.reaches, strict=True)]
    expected = derivatives.hessian_product(numpy_of(f), f.points, direction)
    compare.gradients(leaves, expected, f.reaches)


@law("higher-order.create-graph-flag", docs="torch.autograd.grad")
@given(f=squares(max_steps=4))
def test_create_graph_flag(target, f):
    """Gradients can be differentiated again only if they were taken with create_graph=True."""
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    (plain,) = torch.autograd.grad(target.run(f, *leaves), [leaves[chosen]])
    (graph,) = torch.autograd.grad(target.run(f, *leaves), [leaves[chosen]], create_graph=True)
    compare.fact((plain.requires_grad, graph.requires_grad), (False, True), "requires_grad")
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(graph, expected, bound=0.0, dtype=torch.float64, what="gradient")
