"""Sparse tensors in COO layout: what they hold, what memory it takes, what can be done with it."""

import re

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import shapes, sparse_coo_tensors, tensors

COO = "sparse.html#sparse-coo-tensors"
RANKED = shapes(min_rank=1, max_rank=3)


def itself(sparse):
    return (sparse,)


def nothing(sparse):
    return ()


def half(sparse):
    return (0.5,)


def ones_beside(sparse):
    return (torch.ones(sparse.shape[1], 2, dtype=sparse.dtype, device=sparse.device),)


def array_of_ones(array):
    return (np.ones((array.shape[1], 2)),)


def array_half(array):
    return (0.5,)


def array_nothing(array):
    return ()


def array_itself(array):
    return (array,)


# The operation, its further arguments, NumPy's function and its arguments; all exact.
OPERATIONS = {
    "neg": ("torch.neg", nothing, np.negative, array_nothing),
    "abs": ("torch.abs", nothing, np.abs, array_nothing),
    "t": ("torch.t", nothing, np.transpose, array_nothing),
    "sum": ("torch.sum", nothing, np.sum, array_nothing),
    "mul-number": ("torch.mul", half, np.multiply, array_half),
    "add": ("torch.add", itself, np.add, array_itself),
    "mul": ("torch.mul", itself, np.multiply, array_itself),
    "mm": ("torch.mm", ones_beside, np.matmul, array_of_ones),
}
REFUSED = {
    "view": ("torch.Tensor.view", (-1,), "aten::view"),
    "reshape": ("torch.Tensor.reshape", (-1,), "reshape is not implemented for sparse"),
    "as_strided": ("torch.Tensor.as_strided", ((1,), (1,)), "aten::as_strided"),
    "storage": ("torch.Tensor.untyped_storage", (), "Cannot access storage"),
    "data_ptr": ("torch.Tensor.data_ptr", (), "Cannot access data pointer"),
}


def refusal(name, *arguments):
    """What an operation says that raises RuntimeError, or NotImplementedError, which is one."""
    try:
        resolve(name)(*arguments)
    except RuntimeError as error:
        return str(error)
    return ""


def entries(sparse):
    """The indices and values that a COO tensor holds, as they are, coalesced or not."""
    return compare.to_numpy(sparse._indices()), compare.to_numpy(sparse._values())


def summed(positions, values):
    """The distinct positions in row-major order, and the sum of the values at each."""
    distinct, place = np.unique(positions, axis=1, return_inverse=True)
    sums = np.zeros(distinct.shape[1], dtype=np.float64)
    np.add.at(sums, np.ravel(place), values)
    return distinct, sums


@law("sparse.to-sparse", docs="torch.Tensor.to_sparse")
@given(dense=tensors(dtype="real", shape=RANKED))
def test_to_sparse(target, dense):
    """to_sparse holds the elements that are not zero, row by row, and to_dense gives all back."""
    values = compare.to_numpy(dense)
    result = target.run("torch.Tensor.to_sparse", dense)
    compare.fact((result.layout, result.is_coalesced()), (torch.sparse_coo, True), "layout")
    compare.equal(result.indices(), np.argwhere(values).T, dtype=torch.int64, what="indices")
    compare.equal(result.values(), values[values != 0], dtype=dense.dtype, what="values")
    back = np.where(values == 0, np.zeros_like(values), values)
    compare.equal(result.to_dense(), back, dtype=dense.dtype, what="to_dense")


@law("sparse.specified", docs=COO)
@given(sparse=sparse_coo_tensors(dtype="floating"))
def test_specified(target, sparse):
    """A COO tensor holds what was specified, zeros too; coalesce adds up what shares a position.

    "Specified elements" are not "non-zero elements": coalesce removes no zero.
    """
    positions, values = entries(sparse)
    compare.fact(sparse._nnz(), len(values), "number of specified elements")
    result = target.run("torch.Tensor.coalesce", sparse)
    distinct, sums = summed(positions, values.astype(np.float64))
    compare.equal(result.indices(), distinct, dtype=torch.int64, what="indices")
    compare.close(result.values(), sums, bound=0.0, dtype=sparse.dtype, what="values")
    dense = np.zeros(tuple(sparse.shape))
    dense[tuple(distinct)] = sums
    compare.close(sparse.to_dense(), dense, bound=0.0, dtype=sparse.dtype, what="to_dense")


@law("sparse.explicit-zeros", docs=COO)
@given(values=tensors(dtype="floating", shape=(4,)))
def test_explicit_zeros(target, values):
    """A zero that is specified is held like any number: its index and its value take memory."""
    indices = torch.tensor([[3, 0, 1, 2]], device=target.device)
    zeros = torch.zeros_like(values)
    for held in (values, zeros):
        sparse = torch.sparse_coo_tensor(indices, held, (9,), check_invariants=True)
        result = target.run("torch.Tensor.coalesce", sparse)
        expected = compare.to_numpy(held)[[1, 2, 3, 0]]
        compare.equal(result.values(), expected, dtype=values.dtype, what="values")
        compare.fact(result._nnz(), 4, "number of specified elements")


@law("sparse.memory", docs=COO)
@given(sparse=sparse_coo_tensors(dtype="any"))
def test_memory(target, sparse):
    """A COO tensor takes 8 bytes a dimension and one element for each element specified.

    "At least (ndim * 8 + <size of element type in bytes>) * nse bytes": less than
    the dense tensor if few are specified, and more if many are.
    """
    count, size = sparse._nnz(), sparse.element_size()
    found = sum(
        part.numel() * part.element_size() for part in (sparse._indices(), sparse._values())
    )
    compare.fact(found, count * (8 * sparse.dim() + size), "bytes of indices and values")
    full = target.run("torch.Tensor.to_sparse", torch.ones_like(sparse.to_dense()))
    held = full.indices().nbytes + full.values().nbytes
    compare.fact(held, sparse.numel() * (8 * sparse.dim() + size), "bytes of a full tensor")


@law("sparse.operations", docs="sparse.html#supported-operations", over=OPERATIONS)
@given(
    dense=tensors(dtype=torch.float64, shape=shapes(min_rank=2, max_rank=2)), twice=st.booleans()
)
def test_operations(target, case, dense, twice):
    """What is supported of sparse tensors gives the numbers that it gives of dense ones.

    Also where positions are named twice, with one value of opposite sign.
    """
    name, further, reference, of_array = case
    sparse = dense.to_sparse()
    values = compare.to_numpy(dense)
    if twice:
        indices = torch.cat([sparse.indices(), sparse.indices()], 1)
        parts = torch.cat([3 * sparse.values(), -2 * sparse.values()])
        shape = tuple(dense.shape)
        sparse = torch.sparse_coo_tensor(indices, parts, shape, check_invariants=True)
    result = target.run(name, sparse, *further(sparse))
    expected = np.asarray(reference(values, *of_array(values)))
    found = result.to_dense() if result.is_sparse else result
    compare.close(found, expected, bound=0.0, dtype=torch.float64)


@law("sparse.refused", docs="sparse.html", level="should", over=REFUSED)
@given(sparse=sparse_coo_tensors(dtype="floating"))
def test_refused(target, case, sparse):
    """What needs strides or a storage is refused for a sparse tensor: it has neither.

    The dense tensor takes it.
    """
    name, arguments, message = case
    dense = torch.ones(2, 3, device=target.device)
    resolve(name)(dense, *arguments)
    said = refusal(name, sparse, *arguments)
    compare.fact(re.search(message, said) is not None, True, f"is refused, saying {message}")
