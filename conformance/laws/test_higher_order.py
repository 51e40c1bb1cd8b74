"""Higher order: gradients that are differentiated again."""

import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials
from strategies.functions import numpy_of


@law("higher-order.hessian-product", docs="torch.autograd.grad")
@given(f=polynomials(scalar=True, max_steps=4))
def test_hessian_product(target, f):
    """The gradient of <gradient, v> taken with create_graph=True is the Hessian times v.

    Of the function's square, so that every reached leaf has a second derivative; v holds the
    leaves' own values.
    """

    def square(*leaves):
        value = f(*leaves)
        return value * value

    leaves = f.leaves(target.device)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    gradients = torch.autograd.grad(target.run(square, *leaves), reached, create_graph=True)
    directions = [leaf.detach() for leaf in reached]
    projected = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    products = torch.autograd.grad(projected, reached)
    f_numpy = numpy_of(f)
    exact = derivatives.hessian_product(
        lambda *x: f_numpy(*x) * f_numpy(*x),
        f.points,
        [p * reaches for p, reaches in zip(f.points, f.reaches, strict=True)],
    )
    expected = [e for e, reaches in zip(exact, f.reaches, strict=True) if reaches]
    for got, want in zip(products, expected, strict=True):
        compare.close(got, want, bound=0.0, dtype=torch.float64, what="Hessian product")


@law("higher-order.create-graph-flag", docs="torch.autograd.grad")
@given(f=polynomials(scalar=True, max_steps=4))
def test_create_graph_flag(target, f):
    """Gradients can be differentiated again only if they were taken with create_graph=True."""

    def square(*leaves):
        value = f(*leaves)
        return value * value

    leaves = f.leaves(target.device)
    leaf = leaves[f.reaches.index(True)]
    (plain,) = torch.autograd.grad(target.run(square, *leaves), [leaf])
    (graph,) = torch.autograd.grad(target.run(square, *leaves), [leaf], create_graph=True)
    compare.fact((plain.requires_grad, graph.requires_grad), (False, True), "requires_grad")
    compare.equal(graph, compare.to_numpy(plain), dtype=torch.float64, what="gradient")
