"""Higher order: gradients that are differentiated again."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from strategies import functions, polynomials, squares, with_cotangent
from strategies.functions import numpy_of, result_kind, weights


def directions_of(f):
    """The same weights for every leaf, as arrays."""
    return [np.arange(1.0, 1 + p.size).reshape(p.shape) / 8 for p in f.points]


def gradients_of(result, leaves, **words):
    """Gradients to all leaves, zeros where none reaches, also of a constant."""
    connected = result + sum((leaf * 0).sum() for leaf in leaves)
    return torch.autograd.grad(connected, leaves, **words)


def projected(gradients, device):
    """The sum of gradients weighted by distinct numbers."""
    return sum((g * weights(g.shape, device)).sum() for g in gradients)


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
    total = sum((g * x.detach()).sum() for g, x in zip(gradients, reached, strict=True))
    total.backward(inputs=reached)
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


@law("higher-order.second-smooth", docs="torch.autograd.grad")
@given(f=functions(scalar=True, max_steps=6))
def test_second_smooth(target, f):
    """The gradient of <gradient, v> is the Hessian times v for smooth functions too.

    As far as rounding allows, for distinct weights v of every entry of every leaf.
    """
    leaves = f.leaves(target.device)
    first = gradients_of(target.run(f, *leaves), leaves, create_graph=True)
    second = gradients_of(projected(first, target.device), leaves)
    expected = derivatives.hessian_product(numpy_of(f), f.points, directions_of(f))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    compare.nested(second, tuple(expected), bound=bound, what="H v for leaf")


@law("higher-order.third-smooth", docs="torch.autograd.grad")
@given(f=functions(scalar=True, max_leaves=2, max_steps=5))
def test_third_smooth(target, f):
    """Gradients taken three times, with create_graph=True before the last, are exact.

    As far as rounding allows, along the same weights twice.
    """
    leaves = f.leaves(target.device)
    first = gradients_of(target.run(f, *leaves), leaves, create_graph=True)
    second = gradients_of(projected(first, target.device), leaves, create_graph=True)
    third = gradients_of(projected(second, target.device), leaves)
    bound = jets.rounding(numpy_of(f), f.points, 3)
    along = directions_of(f), directions_of(f)
    for number, found in enumerate(third):
        expected = jets.derivative(numpy_of(f), f.points, number, *along)
        compare.nested(found, expected, bound=bound, what="third derivative")


@law("higher-order.third-polynomial", docs="torch.autograd.grad")
@given(f=squares(max_leaves=1, max_steps=3))
def test_third_polynomial(target, f):
    """The third derivative of a polynomial along a leaf's own values is exact."""
    (leaf,) = f.leaves(target.device)
    point = leaf.detach().clone()
    found = target.run(f, leaf)
    for order in (1, 2, 3):
        (gradient,) = gradients_of(found, [leaf], create_graph=order < 3)
        found = (gradient * point).sum()
    expected = jets.derivative(numpy_of(f), f.points, 0, f.points, f.points)
    bound = 8 * jets.rounding(numpy_of(f), f.points, 3)
    compare.nested(gradient, expected, bound=bound, what="third derivative")


@law("higher-order.symmetric", docs="torch.autograd.grad")
@given(f=squares(max_leaves=2, max_steps=3))
def test_symmetric(target, f):
    """The Hessian, row by row from gradients of the gradient's entries, is exact and symmetric."""
    leaves = f.leaves(target.device)
    first = gradients_of(target.run(f, *leaves), leaves, create_graph=True)
    entries = torch.cat([gradient.reshape(-1) for gradient in first])
    rows = []
    for entry in entries:
        row = gradients_of(entry, leaves, retain_graph=True)
        rows.append(torch.cat([part.reshape(-1) for part in row]))
    matrix = torch.stack(rows)
    blocks = jets.hessian(numpy_of(f), f.points)
    sizes = [point.size for point in f.points]
    expected = np.block(
        [
            [block.reshape(m, n) for block, n in zip(row, sizes, strict=True)]
            for row, m in zip(blocks, sizes, strict=True)
        ]
    )
    compare.nested(matrix, expected, what="Hessian")
    compare.nested(matrix, compare.to_numpy(matrix).T, what="transposed Hessian")


@law("higher-order.mixed-partial", docs="torch.autograd.grad")
@given(f=squares(max_steps=4), choice=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_mixed_partial(target, f, choice):
    """A gradient to one leaf differentiated to another is the mixed block of the Hessian."""
    leaves = f.leaves(target.device)
    first, second = (number % len(leaves) for number in choice)
    (gradient,) = gradients_of(target.run(f, *leaves), [leaves[first]], create_graph=True)
    total = (gradient * weights(gradient.shape, target.device)).sum()
    (found,) = gradients_of(total, [leaves[second]])
    direction = [np.zeros(point.shape) for point in f.points]
    direction[first] = directions_of(f)[first]
    expected = jets.derivative(numpy_of(f), f.points, second, direction)
    compare.nested(found, expected, what="mixed second derivative")


@law("higher-order.gradient-penalty", docs="torch.autograd.grad")
@given(f=squares(max_leaves=2, max_steps=3), factor=st.sampled_from([0.5, 2.0, -1.0]))
def test_gradient_penalty(target, f, factor):
    """backward of a loss plus the gradient's squared norm adds twice the Hessian's product.

    grad(f + c |grad f|^2) = grad f + 2 c H grad f, in one pass.
    """
    leaves = f.leaves(target.device)
    loss = target.run(f, *leaves)
    gradients = gradients_of(loss, leaves, create_graph=True)
    reached = sum((leaf * 0).sum() for leaf in leaves)
    (loss + factor * sum((g * g).sum() for g in gradients) + reached).backward()
    first = derivatives.gradient(numpy_of(f), f.points)
    product = derivatives.hessian_product(numpy_of(f), f.points, first)
    largest = max(1.0, *(float(np.abs(g).max(initial=0.0)) for g in first))
    bound = 16 * largest * jets.rounding(numpy_of(f), f.points, 2)
    for number, leaf in enumerate(leaves):
        expected = first[number] + 2 * factor * product[number]
        compare.nested(leaf.grad, expected, bound=bound, what="gradient with penalty")


@law("higher-order.backward-create-graph", docs="torch.Tensor.backward")
@given(f=squares(max_steps=4))
def test_backward_create_graph(target, f):
    """backward(create_graph=True) leaves gradients that can be differentiated, and exact.

    The pass through them adds to .grad, as any other.
    """
    leaves = f.leaves(target.device)
    (target.run(f, *leaves) + sum((leaf * 0).sum() for leaf in leaves)).backward(create_graph=True)
    gradients = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None  # or leaf and gradient would keep each other alive
    second = gradients_of(projected(gradients, target.device), leaves)
    first = derivatives.gradient(numpy_of(f), f.points)
    compare.nested(tuple(gradients), tuple(first), what="gradient of leaf")
    product = derivatives.hessian_product(numpy_of(f), f.points, directions_of(f))
    compare.nested(second, tuple(product), what="H v for leaf")


@law("higher-order.to-cotangent", docs="torch.autograd.grad")
@given(problem=with_cotangent(polynomials(max_steps=4, significant_bits=18), result=result_kind))
def test_to_cotangent(target, problem):
    """J^T v differentiated to v gives J: reverse mode twice is forward mode."""
    f, v = problem
    leaves = f.leaves(target.device)
    v = v.detach().requires_grad_()
    first = gradients_of((target.run(f, *leaves) * v).sum(), leaves, create_graph=True)
    (found,) = gradients_of(projected(first, target.device), [v])
    expected = jets.differential(numpy_of(f), f.points, directions_of(f))
    compare.nested(found, expected, what="J u")


def reverse_over_reverse(f, leaves, tangents):
    first = gradients_of(f(*leaves), leaves, create_graph=True)
    return gradients_of(sum((g * u).sum() for g, u in zip(first, tangents, strict=True)), leaves)


def forward_over_reverse(f, leaves, tangents):
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(leaves, tangents, strict=True)]
        first = gradients_of(f(*duals), duals, create_graph=True)
        parts = [forward_ad.unpack_dual(gradient) for gradient in first]
        zeros = [torch.zeros_like(part.primal) for part in parts]
        found = [z if p.tangent is None else p.tangent for p, z in zip(parts, zeros, strict=True)]
        return tuple(tangent.detach() for tangent in found)


def reverse_over_forward(f, leaves, tangents):
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(leaves, tangents, strict=True)]
        pushed = forward_ad.unpack_dual(f(*duals)).tangent
        return gradients_of(pushed, leaves)


ORDERS = {
    "reverse-over-reverse": reverse_over_reverse,
    "forward-over-reverse": forward_over_reverse,
    "reverse-over-forward": reverse_over_forward,
}


@law("higher-order.modes", docs="torch.autograd.forward_ad.make_dual", over=ORDERS)
@given(f=functions(scalar=True, max_steps=6))
def test_modes(target, case, f):
    """The Hessian times a vector is the same in reverse over reverse, forward over reverse and
    reverse over forward mode, and exact.

    As far as rounding allows, for distinct weights of every entry of every leaf.
    """

    def run(*arguments):
        return target.run(f, *arguments)

    leaves = f.leaves(target.device)
    tangents = [weights(leaf.shape, target.device) for leaf in leaves]
    found = case(run, leaves, tangents)
    expected = derivatives.hessian_product(numpy_of(f), f.points, directions_of(f))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    compare.nested(found, tuple(expected), bound=bound, what="H v for leaf")


@law("higher-order.create-graph-retains", docs="torch.autograd.grad")
@given(f=squares(max_leaves=1, max_steps=3))
def test_create_graph_retains(target, f):
    """create_graph=True retains the graph by default: further passes give the same gradient."""
    (leaf,) = f.leaves(target.device)
    result = target.run(f, leaf)
    (expected,) = derivatives.gradient(numpy_of(f), f.points)
    for _ in range(2):
        (found,) = torch.autograd.grad(result, leaf, create_graph=True)
        compare.nested(found, expected, what="gradient")
    (last,) = torch.autograd.grad(result, leaf)
    compare.nested(last, expected, what="gradient")
    with compare.raises(RuntimeError, "backward through the graph a second time"):
        torch.autograd.grad(result, leaf)
