"""Leaves: which tensors are leaves, and what ``requires_grad_`` may change."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import dtypes, polynomials, squares, tensors
from strategies.functions import numpy_of
from strategies.layouts import WRITABLE

SETTING = "notes/autograd.html#setting-requires-grad"


def itself(x):
    """The tensor."""
    return x


def result(x):
    """The result of an operation."""
    return x * 2


def view(x):
    """A view."""
    return x.view_as(x)


def whole_slice(x):
    """All of it, by indexing."""
    return x[...]


def clone(x):
    """A clone."""
    return x.clone()


def same_dtype(x):
    """A conversion with nothing to convert, which returns its argument."""
    return x.to(x.dtype)


def same_device(x):
    """A move to where it is, which returns its argument."""
    return x.to(x.device)


def copied(x):
    """A conversion with nothing to convert that copies all the same."""
    return x.to(x.dtype, copy=True)


def other_dtype(x):
    """A conversion to another floating dtype."""
    return x.to(torch.float16 if x.dtype == torch.float64 else torch.float64)


def integer(x):
    """A conversion to integers."""
    return x.to(torch.int64)


def detached(x):
    """A detached tensor."""
    return x.detach()


def data(x):
    """Its data."""
    return x.data


def detached_again(x):
    """A detached tensor that requires grad again."""
    return x.detach().requires_grad_()


def detached_result(x):
    """A clone that was detached."""
    return x.clone().detach()


def under_no_grad(x):
    """A result under no_grad."""
    with torch.no_grad():
        return x * 2


def written_under_no_grad(x):
    """The tensor after it was written to in place under no_grad."""
    with torch.no_grad():
        return x.mul_(1)


def parameter(x):
    """A Parameter of the tensor."""
    return torch.nn.Parameter(x)


def parameter_of_result(x):
    """A Parameter of a result."""
    return torch.nn.Parameter(x * 2)


def constant_parameter(x):
    """A Parameter that doesn't require grad."""
    return torch.nn.Parameter(x, requires_grad=False)


def constant_like(x):
    """A new tensor like it."""
    return torch.zeros_like(x)


def new_like(x):
    """A new tensor like it that requires grad."""
    return torch.zeros_like(x, requires_grad=True)


def written_result(x):
    """A constant to which the tensor was added in place."""
    return torch.zeros_like(x).add_(x)


def detached_in_place(x):
    """A result that was detached in place."""
    return (x * 2).detach_()


WAYS = {
    # a tensor made of x: requires grad if x does, if it never does, or if it always does
    "itself": (itself, "leaf", None),
    "result": (result, "node", None),
    "view": (view, "node", None),
    "whole-slice": (whole_slice, "node", None),
    "clone": (clone, "node", None),
    "same-dtype": (same_dtype, "leaf", None),
    "same-device": (same_device, "leaf", None),
    "copied": (copied, "node", None),
    "other-dtype": (other_dtype, "node", None),
    "written-result": (written_result, "node", None),
    "integer": (integer, "leaf", False),
    "detached": (detached, "leaf", False),
    "data": (data, "leaf", False),
    "detached-again": (detached_again, "leaf", True),
    "detached-result": (detached_result, "leaf", False),
    "detached-in-place": (detached_in_place, "leaf", False),
    "under-no-grad": (under_no_grad, "leaf", False),
    "written-under-no-grad": (written_under_no_grad, "leaf", None),
    "parameter": (parameter, "leaf", True),
    "parameter-of-result": (parameter_of_result, "leaf", True),
    "constant-parameter": (constant_parameter, "leaf", False),
    "constant-like": (constant_like, "leaf", False),
    "new-like": (new_like, "leaf", True),
}


@law("leaf.definition", docs="torch.Tensor.is_leaf", over=WAYS)
@given(tensor=tensors(dtype="floating", layouts=WRITABLE), requires_grad=st.booleans())
def test_definition(target, case, tensor, requires_grad):
    """A tensor is a leaf if it does not require grad, or if it is not the result of an operation.

    "All Tensors that have requires_grad which is False will be leaf Tensors by convention. For
    Tensors that have requires_grad which is True, they will be leaf Tensors if they were created
    by the user": "they are not the result of an operation and so grad_fn is None".
    """
    make, place, always = case
    tensor.requires_grad_(requires_grad)
    made = target.run(make, tensor)
    requires = requires_grad if always is None else always
    compare.fact(made.requires_grad, requires, "requires_grad")
    compare.fact(made.is_leaf, place == "leaf" or not requires, "is_leaf")
    compare.fact(made.grad_fn is None, made.is_leaf, "no grad_fn")
    got = (tensor.requires_grad, tensor.is_leaf, tensor.grad_fn is None)
    compare.fact(got, (requires_grad, True, True), "flags of the tensor it was made of")


LEAVES = {name: way for name, way in WAYS.items() if way[1] == "leaf" and way[2] is not False}


@law("leaf.collects-grad", docs="torch.Tensor.is_leaf", over=LEAVES)
@given(tensor=tensors(dtype="floating", layouts=WRITABLE), cotangent=st.integers(-3, 3))
def test_collects_grad(target, case, tensor, cotangent):
    """A leaf that requires grad has .grad populated by backward, however it was made.

    What it was made of has not, unless it is the same tensor: the leaf's history begins with it.
    """
    make, _, _ = case
    tensor.requires_grad_()
    leaf = target.run(make, tensor)
    (leaf * 2).sum().backward(torch.tensor(float(cotangent), dtype=leaf.dtype).to(target.device))
    expected = compare.to_numpy(tensor) * 0 + 2.0 * cotangent
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")
    if leaf is not tensor:
        compare.fact(tensor.grad, None, "grad of what it was made of")


@law("leaf.parameter", docs="torch.nn.parameter.Parameter")
@given(tensor=tensors(dtype="any", layouts=WRITABLE), requires_grad=st.booleans())
def test_parameter(target, tensor, requires_grad):
    """A Parameter holds the memory of its tensor, with the flag that it was given.

    Only one of a floating or complex dtype may require grad.
    """
    differentiable = tensor.dtype.is_floating_point or tensor.dtype.is_complex
    parameter = torch.nn.Parameter(tensor, requires_grad=requires_grad and differentiable)
    compare.fact(parameter.requires_grad, requires_grad and differentiable, "requires_grad")
    same = (parameter.data_ptr(), parameter.stride()) == (tensor.data_ptr(), tensor.stride())
    compare.fact((same, parameter.is_leaf), (True, True), "memory is the tensor's, is_leaf")
    compare.fact(tensor.requires_grad, False, "requires_grad of the tensor")
    compare.equal(parameter, compare.to_numpy(tensor), dtype=tensor.dtype, what="parameter")
    if not differentiable:
        with compare.raises(RuntimeError, "floating point and complex dtype can require grad"):
            torch.nn.Parameter(tensor)


def by_method(tensor, flag):
    """Set the flag by the method; return what it returns."""
    return tensor.requires_grad_(flag)


def by_attribute(tensor, flag):
    """Set the flag by the attribute; return the tensor."""
    tensor.requires_grad = flag
    return tensor


def by_default(tensor, flag):
    """Set the flag by the method, which sets True if nothing is said."""
    return tensor.requires_grad_() if flag else tensor.requires_grad_(requires_grad=False)


SETTERS = {"method": by_method, "attribute": by_attribute, "default": by_default}


@law("leaf.set-flag", docs="torch.Tensor.requires_grad_", over=SETTERS)
@given(
    tensor=tensors(dtype="differentiable"),
    flags=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_set_flag(target, case, tensor, flags):
    """Setting requires_grad of a leaf changes that flag in place and nothing else.

    Any number of times; the method returns this tensor. Its values, version and .grad stay; what
    is computed next follows it.
    """
    before, version = compare.to_numpy(tensor), tensor._version
    gradient = torch.ones_like(tensor)
    tensor.grad = gradient
    for flag in flags:
        compare.fact(case(tensor, flag) is tensor, True, "returns the tensor")
        compare.fact((tensor.requires_grad, tensor.is_leaf), (flag, True), "requires_grad, is_leaf")
        compare.fact(target.run("torch.neg", tensor).requires_grad, flag, "flag of a result")
    compare.unchanged(tensor, before, "tensor")
    compare.fact((tensor._version, tensor.grad is gradient), (version, True), "version, same grad")


@law("leaf.flag-of-integers", docs="torch.Tensor.requires_grad_", over=SETTERS)
@given(dtype=st.one_of(dtypes("integral"), dtypes("boolean")))
def test_flag_of_integers(target, case, dtype):
    """A tensor of integers or booleans cannot require grad: setting the flag raises.

    Setting it to False goes through, and so does either with a floating tensor.
    """
    tensor = torch.ones(2, dtype=dtype, device=target.device)
    case(torch.ones(2, device=target.device), True)
    case(tensor, False)
    with compare.raises(RuntimeError, "only Tensors of floating point"):
        case(tensor, True)
    compare.fact((tensor.requires_grad, tensor.is_leaf), (False, True), "requires_grad, is_leaf")


@law("leaf.flag-of-results", docs=SETTING, over=SETTERS)
@given(f=squares())
def test_flag_of_results(target, case, f):
    """requires_grad of a tensor that is not a leaf cannot be set to False.

    It can where the tensor is detached, which makes it a leaf; the history stays either way.
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    detached = value.detach()
    compare.fact(case(case(detached, True), False).requires_grad, False, "flag when detached")
    with compare.raises(RuntimeError, "only change requires_grad flags of leaf"):
        case(value, False)
    compare.fact((value.requires_grad, value.is_leaf), (True, False), "requires_grad, is_leaf")
    value.backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


@law("leaf.flag-changed-later", docs=SETTING, level="should")
@given(f=squares(), frozen=st.lists(st.booleans(), min_size=3, max_size=3))
def test_flag_changed_later(target, f, frozen):
    """Changing a leaf's flag does not reach what was computed from it before.

    Results that required grad still do, with the same gradients for the leaves whose flag
    stayed; results of constants stay constants.
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    node = value.grad_fn
    frozen[f.reaches.index(True)] = False
    for leaf, freeze in zip(leaves, frozen, strict=False):
        leaf.requires_grad_(not freeze)
    compare.fact(
        (value.requires_grad, value.grad_fn is node), (True, True), "history of the result"
    )
    value.backward()
    kept = [r and not freeze for r, freeze in zip(f.reaches, frozen, strict=False)]
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), kept)


def computed(f, leaves):
    """What f makes of constants, in memory of its own."""
    return f(*leaves) * 2


def viewed(f, leaves):
    """A view of the first leaf."""
    return leaves[0].view_as(leaves[0])


@law("leaf.flag-set-later", docs="torch.Tensor.requires_grad_",
     over={"computed": computed, "view": viewed})  # fmt: skip
@given(f=polynomials(scalar=True))
def test_flag_set_later(target, case, f):
    """A leaf that comes to require grad is recorded from then on: earlier results are constants.

    "requires_grad_()'s main use case is to tell autograd to begin recording operations"; it "sets
    this tensor's requires_grad attribute".
    """
    leaves = [leaf.detach().clone() for leaf in f.leaves(target.device)]
    constant = target.run(case, f, leaves)
    for leaf in leaves:
        leaf.requires_grad_()
    compare.fact((constant.requires_grad, constant.grad_fn is None), (False, True), "no history")
    (target.run(f, *leaves) + constant.sum()).backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
