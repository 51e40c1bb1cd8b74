"""In-place changes of shape: dimensions of self moved, added or dropped, its memory as it was."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import manipulation
from conformance.target import resolve
from strategies import dim_tuples, dims, shapes, tensors
from strategies.layouts import WRITABLE


@st.composite
def two_dims(draw, rank):
    return draw(dims(rank)), draw(dims(rank))


def no_arguments(rank):
    return st.just(())


def new_dim(rank):
    return st.integers(-rank - 1, rank).map(lambda dim: (dim,))


def dropped_dims(rank):
    one = dims(rank).map(lambda dim: (dim,))
    several = dim_tuples(rank).map(lambda chosen: (chosen,))
    return st.one_of(st.just(()), one, several)


ARGUMENTS = {
    "transpose_": two_dims,
    "swapaxes_": two_dims,
    "swapdims_": two_dims,
    "t_": no_arguments,
    "squeeze_": dropped_dims,
    "unsqueeze_": new_dim,
}
FORMS = {name: f"torch.Tensor.{name}" for name in ARGUMENTS}


def out_of_place(operation):
    """What NumPy has for an in-place form."""
    others = {
        "torch.Tensor.t_": np.transpose,
        "torch.Tensor.squeeze_": manipulation.squeezed,
        "torch.Tensor.unsqueeze_": np.expand_dims,
    }
    return others.get(operation, manipulation.axes_swapped)


def page(case):
    return case


@st.composite
def calls_of(draw, case, dtype="any", values="any"):
    """Draw a tensor that may be written to, and the arguments of a call on it."""
    shape = shapes(max_rank=2 if case == FORMS["t_"] else 4, max_elements=24)
    tensor = draw(tensors(dtype=dtype, shape=shape, values=values, layouts=WRITABLE))
    return tensor, draw(ARGUMENTS[case.rpartition(".")[2]](tensor.dim()))


@st.composite
def differentiated_calls(draw, case):
    """Draw a call, and a cotangent in the shape of its result."""
    tensor, arguments = draw(calls_of(case, dtype="floating", values="dyadic"))
    shape = out_of_place(case)(np.empty(tuple(tensor.shape)), *arguments).shape
    return tensor, arguments, draw(tensors(dtype=tensor.dtype, shape=shape))


@law("shape-in-place.result", docs=page, over=FORMS)
@given(call=calls_of)
def test_result(target, case, call):
    """The in-place form gives self the new shape, in the memory that it had, and returns self.

    What is written to self afterwards is seen through another view of that memory.
    """
    tensor, arguments = call
    values, other = compare.to_numpy(tensor), tensor.view(tensor.shape)
    version, place = tensor._version, (tensor.data_ptr(), tensor.storage_offset())
    result = target.run(case, tensor, *arguments)
    compare.fact(result is tensor, True, "returns self")
    expected = out_of_place(case)(values, *arguments)
    compare.equal(tensor, expected, dtype=tensor.dtype, what="self")
    compare.fact((tensor.data_ptr(), tensor.storage_offset()), place, "place in memory")
    compare.fact(tensor._version, version + 1, "version")
    compare.unchanged(other, values, "another view")
    tensor.zero_()
    compare.equal(other, np.zeros_like(values), dtype=other.dtype, what="another view, after zero_")


@law("shape-in-place.gradient", docs=page, over=FORMS)
@given(problem=differentiated_calls)
def test_gradient(target, case, problem):
    """Through the in-place form the gradient is that of the same change out of place."""
    tensor, arguments, cotangent = problem
    leaf = tensor.detach().requires_grad_()

    def changed(x):
        copy = x.clone()
        return resolve(case)(copy, *arguments)

    result = target.run(changed, leaf)
    numbers = np.arange(tensor.numel()).reshape(tuple(tensor.shape))
    moved = out_of_place(case)(numbers, *arguments)
    compare.fact(tuple(result.shape), moved.shape, "shape")
    (gradient,) = torch.autograd.grad(result, leaf, cotangent)
    expected = np.zeros(tensor.numel(), dtype=np.float64)
    expected[moved.ravel()] = compare.to_numpy(cotangent).ravel()
    compare.equal(gradient, expected.reshape(tuple(tensor.shape)), dtype=leaf.dtype)


@law("shape-in-place.dim-rejected", docs=page, over=FORMS)
@given(tensor=tensors(shape=(2, 3), layouts=WRITABLE))
def test_dim_rejected(target, case, tensor):
    """A dimension out of range, or a rank above 2 for t_, is rejected and self keeps its shape."""
    illegal = {"squeeze_": (2,), "unsqueeze_": (3,), "t_": ()}
    name = case.rpartition(".")[2]
    legal = {"t_": (), "squeeze_": (1,), "unsqueeze_": (2,)}.get(name, (0, 1))
    target.run(case, tensor.clone(), *legal)
    refused = tensor.unsqueeze(0) if name == "t_" else tensor
    shape, values = tuple(refused.shape), compare.to_numpy(refused)
    error = (RuntimeError, "expects a tensor with <= 2") if name == "t_" else (IndexError, "out of")
    with compare.raises(*error):
        target.run(case, refused, *illegal.get(name, (0, 2)))
    compare.fact(tuple(refused.shape), shape, "shape after a rejection")
    compare.unchanged(refused, values, "self after a rejection")
