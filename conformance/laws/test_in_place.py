"""In-place operations and autograd: leaves, saved tensors, version counters."""

import torch

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import shapes, tensors
from strategies.layouts import WRITABLE

METHODS = {
    "add_": ("torch.Tensor.add_", (1.0,)),
    "mul_": ("torch.Tensor.mul_", (2.0,)),
    "zero_": ("torch.Tensor.zero_", ()),
    "fill_": ("torch.Tensor.fill_", (3.0,)),
}


@law(
    "in-place.leaf-raises",
    docs="notes/autograd.html#in-place-operations-with-autograd",
    over=METHODS,
)
@given(leaf=tensors(dtype="floating", layouts=WRITABLE, requires_grad=True))
def test_leaf_raises(target, case, leaf):
    """An in-place operation on a leaf that requires grad raises and leaves the tensor unchanged.

    The same call is legal under no_grad, where the leaf stays a leaf.
    """
    method, arguments = case
    before = compare.to_numpy(leaf)
    with compare.raises(RuntimeError, "leaf Variable that requires grad"):
        resolve(method)(leaf, *arguments)
    compare.unchanged(leaf, before, "leaf")
    with torch.no_grad():
        resolve(method)(leaf, *arguments)
    compare.fact((leaf.is_leaf, leaf.requires_grad), (True, True), "is_leaf and requires_grad")


@law(
    "in-place.version-counter", docs="notes/autograd.html#in-place-correctness-checks", over=METHODS
)
@given(tensor=tensors(dtype="floating", layouts=WRITABLE))
def test_version_counter(target, case, tensor):
    """Every in-place operation increments the version counter, which views share with the base."""
    method, arguments = case
    view = tensor.view(tensor.shape)
    before = tensor._version
    resolve(method)(view, *arguments)
    compare.fact(tensor._version > before, True, "version of the base increased")
    compare.fact(view._version, tensor._version, "version of the view")


@law("in-place.saved-tensor-modified", docs="notes/autograd.html#in-place-correctness-checks")
@given(leaf=tensors(dtype="floating", shape=shapes(min_side=1), requires_grad=True))
def test_saved_tensor_modified(target, leaf):
    """backward raises if a tensor saved for it was modified in place since.

    The same backward pass without the modification goes through.
    """
    intermediate = leaf * 2
    (intermediate * intermediate).sum().backward(retain_graph=True)
    gradient = compare.to_numpy(leaf.grad)
    compare.equal(leaf.grad, 8 * compare.to_numpy(leaf), dtype=leaf.dtype, what="gradient")
    loss = (intermediate * intermediate).sum()
    intermediate.add_(1.0)
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        loss.backward()
    compare.unchanged(leaf.grad, gradient, "gradient")
