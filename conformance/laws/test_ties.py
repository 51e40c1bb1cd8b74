"""Gradients of reductions and selections where elements tie."""

from math import inf

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import subgradients
from conformance.scenarios import cotangents
from strategies import shapes
from strategies.kinks import reduction_problems, tensors_among

FEW = (1.0, 0.0, -2.0, -0.0)
WITH_INFINITY = (*FEW, inf)


EXTREMES = {
    "amax": ("torch.amax", 1),
    "amin": ("torch.amin", -1),
}


@law("subgradients.evenly", docs="torch.amax", over=EXTREMES)
@given(problem=reduction_problems(FEW))
def test_evenly(target, case, problem):
    """amax and amin distribute gradients evenly between equal extreme values."""
    operation, sign = case
    tensor, dims, keepdim, cotangent = problem
    leaf = cotangents.leaf_of(tensor)
    target.run(operation, leaf, dims, keepdim).backward(cotangent)
    shares = subgradients.evenly(compare.to_numpy(tensor), dims, sign)
    expected = cotangents.kept(cotangent, tensor.shape, dims) * shares
    bound = cotangents.rounded(expected, tensor.dtype, 2)
    compare.close(leaf.grad, expected, bound=bound, dtype=tensor.dtype, what="gradient")


SIGNED = {"max": ("torch.max", 1), "min": ("torch.min", -1)}


@law("subgradients.evenly-whole", docs="torch.max", over=SIGNED)
@given(tensor=tensors_among(WITH_INFINITY, shape=shapes(min_side=1)))
def test_evenly_whole(target, case, tensor):
    """max and min of a whole tensor distribute the gradient evenly between equal extreme values."""
    operation, sign = case
    values = compare.to_numpy(tensor)
    leaf = cotangents.leaf_of(tensor)
    result = target.run(operation, leaf)
    result.backward(torch.full_like(result, 1.5))
    expected = 1.5 * subgradients.evenly(values, tuple(range(tensor.dim())), sign)
    bound = cotangents.rounded(expected, tensor.dtype, 2)
    compare.close(leaf.grad, expected, bound=bound, dtype=tensor.dtype, what="gradient")


@law("subgradients.first-index", docs="torch.max", over=SIGNED)
@given(problem=reduction_problems(FEW, several=False))
def test_first_index(target, case, problem):
    """max and min over a dimension propagate only to the first of equal extreme values.

    "Only propagate to the indexed element"; "the indices of the first maximal value are
    returned".
    """
    operation, sign = case
    tensor, (dim,), keepdim, cotangent = problem
    leaf = cotangents.leaf_of(tensor)
    result, index = target.run(operation, leaf, dim, keepdim)
    result.backward(cotangent)
    first = np.argmax(sign * compare.to_numpy(tensor), axis=dim)
    places = np.expand_dims(first, dim)
    compare.equal(index, places if keepdim else first, dtype=torch.int64, what="index")
    upstream = cotangents.kept(cotangent, tensor.shape, (dim,))
    expected = subgradients.scatter_rows(upstream, places, dim, tensor.shape[dim])
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


SELECTING = {
    "median": ("torch.median", ()),
    "nanmedian": ("torch.nanmedian", ()),
    "mode": ("torch.mode", ()),
    "kthvalue": ("torch.kthvalue", (1,)),
}


def check_selected(target, operation, arguments, tensor, dim):
    leaf = cotangents.leaf_of(tensor)
    result, index = target.run(operation, leaf, *arguments)
    cotangent = cotangents.uneven(result)
    result.backward(cotangent)
    places, values = compare.to_numpy(index), compare.to_numpy(tensor)
    read = np.take_along_axis(values, places, dim)
    compare.close(result, read, bound=0, dtype=tensor.dtype, what="values at the indices")
    upstream = compare.to_numpy(cotangent)
    expected = subgradients.scatter_rows(upstream, places, dim, tensor.shape[dim])
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


@law("subgradients.returned-index", docs="torch.median", level="should", over=SELECTING)
@given(problem=reduction_problems(FEW, several=False))
def test_returned_index(target, case, problem):
    """A selection along a dimension passes the gradient to the elements whose indices it returns.

    Of several elements with the selected value it is one, and the same for value and gradient.
    """
    operation, arguments = case
    tensor, (dim,), _, _ = problem
    check_selected(target, operation, (*arguments, dim, True), tensor, dim)


ORDERING = {
    "sort": ("torch.sort", ()),
    "topk": ("torch.topk", (1,)),
    "cummax": ("torch.cummax", ()),
    "cummin": ("torch.cummin", ()),
}


@law("subgradients.returned-indices", docs="torch.cummax", level="should", over=ORDERING)
@given(problem=reduction_problems(FEW, several=False))
def test_returned_indices(target, case, problem):
    """sort, topk, cummax and cummin pass gradients to the elements whose indices they return."""
    operation, arguments = case
    tensor, (dim,), _, _ = problem
    check_selected(target, operation, (*arguments, dim), tensor, dim)


@law("subgradients.stable-sort", docs="torch.sort", over={"ascending": 1, "descending": -1})
@given(problem=reduction_problems(FEW, several=False))
def test_stable_sort(target, case, problem):
    """The gradient of a stable sort goes to equal elements in their order, also descending."""
    tensor, (dim,), _, _ = problem
    leaf = cotangents.leaf_of(tensor)
    result, index = target.run("torch.sort", leaf, dim=dim, descending=case == -1, stable=True)
    upstream = cotangents.uneven(result)
    result.backward(upstream)
    order = np.argsort(case * compare.to_numpy(tensor), axis=dim, kind="stable")
    compare.equal(index, order, dtype=torch.int64, what="indices")
    rows = compare.to_numpy(upstream)
    expected = subgradients.scatter_rows(rows, order, dim, tensor.shape[dim])
    compare.close(leaf.grad, expected, bound=0, dtype=tensor.dtype, what="gradient")


SCATTERED = {
    f"{name}-{mode}": (f"torch.{name}", mode)
    for name in ("scatter_reduce", "index_reduce")
    for mode in ("amax", "amin")
}


@law(
    "subgradients.scattered-evenly",
    docs="notes/autograd.html#gradients-for-non-differentiable-functions",
    over=SCATTERED,
)
@given(
    tensor=tensors_among(FEW, dtype="floating", shape=st.sampled_from(((1,), (2,), (5,), (8,)))),
    places=st.lists(st.integers(0, 2), min_size=8, max_size=8),
    included=st.booleans(),
)
def test_scattered_evenly(target, case, tensor, places, included):
    """amax and amin by index distribute gradients evenly between all equal extreme values.

    The largest of several is convex: the subgradient of minimum norm. Of the values written to
    one place; with include_self=True, the one that was there is one of them.
    """
    operation, mode = case
    base = torch.zeros(3, dtype=tensor.dtype, device=target.device, requires_grad=True)
    source = cotangents.leaf_of(tensor)
    index = torch.tensor(places[: len(tensor)], device=target.device)
    result = target.run(operation, base, 0, index, source, mode, include_self=included)
    cotangent = cotangents.uneven(result)
    result.backward(cotangent)
    sign = 1 if mode == "amax" else -1
    written, upstream = compare.to_numpy(tensor), compare.to_numpy(cotangent)
    of_base, of_source = np.zeros(3), np.zeros(len(written))
    for place in range(3):
        here = np.array(places[: len(written)]) == place
        kept = included or not here.any()
        values = sign * np.append(written[here], [0.0] * kept)
        shares = upstream[place] * (values == values.max()) / (values == values.max()).sum()
        of_source[here] = shares[: here.sum()]
        of_base[place] = shares[here.sum() :].sum()
    for leaf, expected in ((base, of_base), (source, of_source)):
        bound = cotangents.rounded(expected, tensor.dtype, 2)
        compare.close(leaf.grad, expected, bound=bound, dtype=tensor.dtype, what="gradient")


@law("subgradients.long-stable-sort", docs="torch.sort", over={"ascending": 1, "descending": -1})
@given(tensor=tensors_among(FEW, shape=st.sampled_from(((17,), (40,), (3, 33), (130,)))))
def test_long_stable_sort(target, case, tensor):
    """A stable sort of many equal elements keeps their order, also descending."""
    values, index = target.run("torch.sort", tensor, dim=-1, descending=case == -1, stable=True)
    x = compare.to_numpy(tensor)
    order = np.argsort(case * x, axis=-1, kind="stable")
    compare.equal(index, order, dtype=torch.int64, what="indices")
    wanted = np.take_along_axis(x, order, -1)
    compare.equal(values, wanted, dtype=tensor.dtype, what="values")
