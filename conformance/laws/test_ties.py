"""Gradients of reductions and selections where elements tie."""

from math import inf

import numpy as np
import torch

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
