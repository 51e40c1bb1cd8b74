"""Gradients of norms, deviations, products and distances where they or their parts vanish."""

from math import inf, nan

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import subgradients
from conformance.scenarios import cotangents
from strategies import shapes
from strategies.kinks import reduction_problems, tensors_among

NOTE = "notes/autograd.html#gradients-for-non-differentiable-functions"
SIDES = shapes(min_rank=1, max_rank=1, min_side=1)

NORMS = {
    "vector_norm-1": ("torch.linalg.vector_norm", 1.0),
    "vector_norm-2": ("torch.linalg.vector_norm", 2.0),
    "vector_norm-3": ("torch.linalg.vector_norm", 3.0),
    "vector_norm-inf": ("torch.linalg.vector_norm", inf),
    "norm-1": ("torch.norm", 1.0),
    "norm-2": ("torch.norm", 2.0),
    "norm-inf": ("torch.norm", inf),
}


@law("subgradients.norm", docs=NOTE, over=NORMS)
@given(problem=reduction_problems((0.0, 2.0, -2.0, -0.0, 1.0)))
def test_norm(target, case, problem):
    """The gradient of a norm is 0 where the norm is, and so is that of order 1 to each zero.

    Of order inf it is shared evenly between equal extremes. The subgradients of minimum norm.
    """
    operation, order = case
    tensor, dims, keepdim, cotangent = problem
    leaf = cotangents.leaf_of(tensor)
    target.run(operation, leaf, order, dims, keepdim).backward(cotangent)
    values = compare.to_numpy(tensor).astype(np.float64)
    expected = cotangents.kept(cotangent, tensor.shape, dims) * subgradients.norm_slopes(
        values, order, dims
    )
    # powers and a root, each of which rounds, and the norm itself over up to 64 elements
    bound = cotangents.rounded(expected, tensor.dtype, 16)
    compare.close(leaf.grad, expected, bound=bound, dtype=tensor.dtype, what="gradient")


MATRIX_NORMS = {"fro": "fro", "1": 1, "inf": inf, "nuc": "nuc", "2": 2}


@law("subgradients.matrix-norm", docs=NOTE, over=MATRIX_NORMS)
@given(tensor=tensors_among((0.0, -0.0), dtype="split", shape=shapes(min_rank=2, min_side=1)))
def test_matrix_norm(target, case, tensor):
    """The gradient of a matrix norm at a matrix of zeros is 0: norms are convex, least there."""
    leaf = cotangents.leaf_of(tensor)
    result = target.run("torch.linalg.matrix_norm", leaf, case)
    compare.equal(result, np.zeros(tuple(tensor.shape[:-2])), dtype=tensor.dtype, what="norm")
    result.backward(torch.full_like(result, 1.5))
    zeros = np.zeros(tuple(tensor.shape))
    compare.close(leaf.grad, zeros, bound=0, dtype=tensor.dtype, what="gradient")


CONSTANT = {
    "std": ("torch.std", 1),
    "std-biased": ("torch.std", 0),
    "var": ("torch.var", 1),
    "var-biased": ("torch.var", 0),
}


@law("subgradients.constant-rows", docs=NOTE, over=CONSTANT)
@given(problem=reduction_problems((1.0, 0.0, -2.0, 0.5), several=False))
def test_constant_rows(target, case, problem):
    """The gradients of a variance and of a standard deviation at equal elements are 0.

    The variance is differentiable; the standard deviation is convex and has its minimum there.
    """
    operation, correction = case
    tensor, (dim,), keepdim, cotangent = problem
    row = tensor.narrow(dim, 0, 1)
    leaf = cotangents.leaf_of(torch.cat((row, row, row), dim))
    result = target.run(operation, leaf, dim, correction=correction, keepdim=keepdim)
    zeros = np.zeros(tuple(cotangent.shape))
    compare.close(result, zeros, bound=0, dtype=tensor.dtype, what="deviation")
    result.backward(cotangent)
    expected = np.zeros(tuple(leaf.shape))
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


POWERS_OF_TWO = (0.0, 1.0, -1.0, 2.0, -0.0, -2.0)


@law("subgradients.product", docs=NOTE, over={"prod": "torch.prod"})
@given(problem=reduction_problems(POWERS_OF_TWO, dtype="split", several=False))
def test_product(target, case, problem):
    """The gradient of a product to each factor is the product of all others, zeros or not."""
    tensor, (dim,), keepdim, cotangent = problem
    leaf = cotangents.leaf_of(tensor)
    target.run(case, leaf, dim, keepdim).backward(cotangent)
    slopes = subgradients.product_slopes(compare.to_numpy(tensor), dim)
    expected = cotangents.kept(cotangent, tensor.shape, (dim,)) * slopes
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


@law("subgradients.product-whole", docs=NOTE)
@given(tensor=tensors_among(POWERS_OF_TWO, dtype="split", shape=shapes(min_side=1)))
def test_product_whole(target, tensor):
    """The gradient of the product of a whole tensor is exact with one zero, with two, with more."""
    leaf = cotangents.leaf_of(tensor)
    result = target.run("torch.prod", leaf)
    result.backward(torch.full_like(result, 1.5))
    flat = compare.to_numpy(tensor).reshape(-1)
    expected = 1.5 * subgradients.product_slopes(flat, 0).reshape(tuple(tensor.shape))
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


@law("subgradients.cumulative-product", docs=NOTE)
@given(problem=reduction_problems(POWERS_OF_TWO, dtype="split", several=False))
def test_cumulative_product(target, problem):
    """The gradient of a cumulative product is that of products, zeros or not."""
    tensor, (dim,), _, _ = problem
    leaf = cotangents.leaf_of(tensor)
    result = target.run("torch.cumprod", leaf, dim)
    cotangent = cotangents.uneven(result)
    result.backward(cotangent)
    values, upstream = compare.to_numpy(tensor), compare.to_numpy(cotangent)
    expected = subgradients.cumulative_product_vjp(values, dim, upstream)
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


ORDERS = {"1": 1.0, "2": 2.0, "3": 3.0, "inf": inf}
LINE = (0.0, 1.0, -2.0, 3.0)


@law("subgradients.distance", docs=NOTE, over=ORDERS)
@given(
    x=tensors_among(LINE, dtype="split", shape=shapes(min_rank=1, min_side=1)),
    step=st.sampled_from((0.0, 2.0, -1.0)),
)
def test_distance(target, case, x, step):
    """The gradient of dist(x, x) is 0 to both; where one coordinate differs, its sign.

    For every order of at least 1: distances are convex, and least between equal points.
    """
    moved = np.zeros(tuple(x.shape))
    moved.flat[-1] = step
    other = x + torch.from_numpy(moved).to(device=x.device, dtype=x.dtype)
    leaves = [cotangents.leaf_of(x), cotangents.leaf_of(other)]
    result = target.run("torch.dist", *leaves, case)
    result.backward(torch.full_like(result, 1.5))
    expected = 1.5 * np.sign(moved)
    bound = 16 * torch.finfo(x.dtype).eps  # powers and roots that round
    compare.gradients(leaves, (-expected, expected), (True, True), bound=bound)


CDIST = {
    **{name: (order, "use_mm_for_euclid_dist_if_necessary") for name, order in ORDERS.items()},
    "2-mm": (2.0, "use_mm_for_euclid_dist"),
    "2-plain": (2.0, "donot_use_mm_for_euclid_dist"),
}


@law("subgradients.pairwise-distances", docs=NOTE, over=CDIST)
@given(
    line=st.tuples(*[tensors_among(LINE, dtype="split", shape=SIDES)] * 2),
    width=st.integers(1, 3),
    axis=st.integers(0, 2),
)
def test_pairwise_distances(target, case, line, width, axis):
    """The gradient of cdist between equal points is 0; along one axis it is a sum of signs."""
    order, mode = case
    along = [values.to(line[0].dtype) for values in line]
    leaves = [cotangents.leaf_of(on_axis(values, width, axis % width)) for values in along]
    distances = target.run("torch.cdist", *leaves, p=order, compute_mode=mode)
    cotangent = cotangents.uneven(distances)
    distances.backward(cotangent)
    slopes = subgradients.distance_slopes(*(compare.to_numpy(values) for values in along))
    upstream = compare.to_numpy(cotangent)
    for number, leaf in enumerate(leaves):
        expected = np.zeros(tuple(leaf.shape))
        expected[:, axis % width] = (upstream * slopes[number]).sum(axis=1 - number)
        what = f"gradient to argument {number}"
        bound = 16 * torch.finfo(leaf.dtype).eps * np.abs(upstream).sum()
        compare.close(leaf.grad, expected, bound=bound, dtype=leaf.dtype, what=what)


def on_axis(values, width, axis):
    """Points on one axis of a space, as rows."""
    points = torch.zeros((values.numel(), width), dtype=values.dtype, device=values.device)
    points[:, axis] = values
    return points


@law("subgradients.nansum", docs="torch.nansum")
@given(problem=reduction_problems((nan, 1.0, 0.0, -2.0)))
def test_nansum(target, problem):
    """nansum passes the gradient to what it sums, and 0 to nan, which counts as a constant 0."""
    tensor, dims, keepdim, cotangent = problem
    leaf = cotangents.leaf_of(tensor)
    target.run("torch.nansum", leaf, dims, keepdim).backward(cotangent)
    expected = cotangents.kept(cotangent, tensor.shape, dims) * ~np.isnan(compare.to_numpy(tensor))
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


@law("subgradients.logsumexp", docs=NOTE)
@given(problem=reduction_problems((-inf, 0.0, -0.0)))
def test_logsumexp(target, problem):
    """logsumexp passes nothing to -inf, and shares evenly between equal finite elements.

    Along one of the reduced dimensions an element of 0 comes first, so that one is finite.
    """
    tensor, dims, keepdim, cotangent = problem
    first = [
        slice(0, 1) if dim in {d % tensor.dim() for d in dims} else slice(None)
        for dim in range(tensor.dim())
    ]
    finite = tensor.clone()
    finite[tuple(first)] = 0.0
    leaf = cotangents.leaf_of(finite)
    target.run("torch.logsumexp", leaf, dims, keepdim).backward(cotangent)
    expected = cotangents.kept(cotangent, tensor.shape, dims) * subgradients.evenly(
        compare.to_numpy(finite), dims
    )
    # the logarithm of the count rounds by its own size, up to 4.2
    bound = cotangents.rounded(expected, tensor.dtype, 16)
    compare.close(leaf.grad, expected, bound=bound, dtype=tensor.dtype, what="gradient")


EPSILON = 0.5


@law("subgradients.normalize", docs="torch.nn.functional.normalize")
@given(
    problem=reduction_problems(
        (0.0, -0.0, 0.125), several=False, shape=shapes(min_rank=1, max_elements=8, min_side=1)
    )
)
def test_normalize(target, problem):
    """normalize divides by eps where the norm is below eps, so its gradient there is 1 / eps.

    ``v / max(norm(v), eps)`` is linear near 0.
    """
    tensor, (dim,), _, _ = problem
    leaf = cotangents.leaf_of(tensor)
    result = target.run("torch.nn.functional.normalize", leaf, dim=dim, eps=EPSILON)
    cotangent = cotangents.uneven(result)
    result.backward(cotangent)
    expected = compare.to_numpy(cotangent) / EPSILON
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


@law("subgradients.cosine-similarity", docs="torch.nn.functional.cosine_similarity")
@given(
    rows=tensors_among((2.0, -1.0, 4.0), dtype="split", shape=SIDES),
    width=st.integers(1, 3),
    axis=st.integers(0, 2),
)
def test_cosine_similarity(target, rows, width, axis):
    """The cosine similarity of 0 and y has the gradient y / (norm(y) * eps) to the first, else 0.

    ``x . y / (max(norm(x), eps) * max(norm(y), eps))`` is linear in x near 0.
    """
    y = on_axis(rows, width, axis % width)
    leaves = [cotangents.leaf_of(torch.zeros_like(y)), cotangents.leaf_of(y)]
    result = target.run("torch.nn.functional.cosine_similarity", *leaves, dim=1, eps=EPSILON)
    cotangent = cotangents.uneven(result)
    result.backward(cotangent)
    upstream = compare.to_numpy(cotangent)[:, None]
    expected = upstream * np.sign(compare.to_numpy(y)) / EPSILON
    compare.gradients(leaves, (expected, np.zeros_like(expected)), (True, True))


DERIVATIVES = {"first": 1, "second": 2}


@law("subgradients.sinc", docs="torch.sinc", over=DERIVATIVES)
@given(factor=st.sampled_from((1.0, -2.0, 0.5)), rank=st.integers(0, 2))
def test_sinc(target, case, factor, rank):
    """sinc, which is 1 at 0 by definition, is smooth there: its slope is 0, its curvature not.

    Its series is 1 - (pi x)^2 / 6 and so on: the second derivative is -pi^2 / 3.
    """
    leaf = torch.zeros((2,) * rank, dtype=torch.float64, device=target.device, requires_grad=True)
    result = target.run("torch.sinc", leaf) * factor
    (found,) = torch.autograd.grad(result.sum(), leaf, create_graph=True)
    expected = 0.0
    if case == 2:
        (found,) = torch.autograd.grad(found.sum(), leaf)
        expected = -factor * np.pi**2 / 3
    values = np.full(tuple(leaf.shape), expected)
    compare.close(found, values, bound=1e-14, dtype=torch.float64, what="derivative at 0")
