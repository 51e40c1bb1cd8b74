"""``.grad``: where it may be read and written, and how tensors that are no leaves come to it."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind
from strategies.layouts import WRITABLE


def reading_grad(tensor):
    """What reading .grad gives, and how often it warns that the tensor is no leaf."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gradient = tensor.grad
    texts = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return gradient, sum("not a leaf Tensor is being accessed" in text for text in texts)


@law("leaf.grad-of-results", docs="torch.Tensor.is_leaf")
@given(f=polynomials())
def test_grad_of_results(target, f):
    """Only leaves have .grad populated: reading that of another tensor warns and gives None.

    "Only leaf Tensors will have their grad populated during a call to backward."
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    (value * value).sum().backward()
    compare.fact(reading_grad(value), (None, 1), "grad of a result, warnings")
    for leaf, reached in zip(leaves, f.reaches, strict=True):
        gradient, count = reading_grad(leaf)
        compare.fact((gradient is not None, count), (reached, 0), "a leaf has a grad, warnings")


@law("leaf.retain-grad", docs="torch.Tensor.retain_grad")
@given(
    problem=with_cotangent(polynomials(significant_bits=18), result=result_kind),
    calls=st.integers(1, 3),
    passes=st.integers(1, 2),
)
def test_retain_grad(target, problem, calls, passes):
    """retain_grad on a result has its .grad populated by backward, and added to by later passes.

    Asking more than once changes nothing; .grad holds the gradient of what the result was used
    in, here cotangent * result * result. The leaves' gradients stay as they are without it.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    compare.fact(value.retains_grad, False, "retains_grad before")
    for _ in range(calls):
        compare.fact(value.retain_grad(), None, "what retain_grad returns")
    compare.fact((value.retains_grad, value.grad), (True, None), "retains_grad, grad before")
    weighed = (cotangent * value * value).sum()
    for _ in range(passes):
        weighed.backward(retain_graph=True)
    at = numpy_of(f)(*f.points)
    upstream = 2 * compare.to_numpy(cotangent) * at * passes
    gradient, count = reading_grad(value)
    compare.close(gradient, upstream, bound=0.0, dtype=torch.float64, what="grad of the result")
    compare.fact((count, value.is_leaf), (0, False), "warnings, is_leaf")
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


@law("leaf.retain-grad-of-leaf", docs="torch.Tensor.retain_grad")
@given(f=polynomials(scalar=True))
def test_retain_grad_of_leaf(target, f):
    """retain_grad does nothing to a leaf that requires grad, and raises on other tensors.

    "This is a no-op for leaf tensors": retains_grad stays False.
    """
    leaves = f.leaves(target.device)
    for leaf in leaves:
        leaf.retain_grad()
        compare.fact(leaf.retains_grad, False, "retains_grad")
    target.run(f, *leaves).backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
    constant = leaves[0].detach()
    with compare.raises(RuntimeError, "can't retain_grad on Tensor that has requires_grad=False"):
        constant.retain_grad()
    compare.fact((constant.retains_grad, constant.grad), (False, None), "retains_grad, grad")


@law("leaf.assign-grad", docs="autograd.html#manual-gradient-layouts")
@given(
    leaf=tensors(dtype="floating", requires_grad=True, shape=(2, 3)),
    gradient=tensors(dtype="floating", shape=(2, 3), layouts=WRITABLE),
)
def test_assign_grad(target, leaf, gradient):
    """A tensor assigned to .grad is .grad: backward accumulates into it, in its own layout.

    "If you need manual control over .grad's strides, assign param.grad = a zeroed tensor with
    desired strides before the first backward(), and never reset it to None."
    """
    gradient = torch.empty_strided(
        (2, 3), gradient.stride(), dtype=leaf.dtype, device=target.device
    ).copy_(gradient)
    before, strides = compare.to_numpy(gradient), gradient.stride()
    leaf.grad = gradient
    compare.fact(leaf.grad is gradient, True, "grad is what was assigned")
    target.run("torch.mul", leaf, 2).sum().backward()
    compare.fact(leaf.grad is gradient, True, "grad is what was assigned, after backward")
    compare.close(gradient, before + 2, bound=0.0, dtype=leaf.dtype, what="what was assigned")
    compare.fact(gradient.stride(), strides, "its stride")


def wider(leaf):
    """A gradient that broadcasting would fit to the leaf."""
    return torch.ones((1, *leaf.shape), dtype=leaf.dtype, device=leaf.device)


def single(leaf):
    """A gradient that broadcasting would fit to the leaf, of one number."""
    return torch.ones((), dtype=leaf.dtype, device=leaf.device)


def longer(leaf):
    """A gradient with as many dimensions and more elements."""
    return torch.ones((*leaf.shape[:-1], leaf.shape[-1] + 1), dtype=leaf.dtype, device=leaf.device)


def flat(leaf):
    """A gradient with as many elements in other dimensions."""
    return torch.ones(leaf.shape[::-1], dtype=leaf.dtype, device=leaf.device)


def narrower(leaf):
    """A gradient of another floating dtype."""
    return torch.ones(tuple(leaf.shape), dtype=torch.float32, device=leaf.device)


def integers(leaf):
    """A gradient of integers."""
    return torch.ones(tuple(leaf.shape), dtype=torch.int64, device=leaf.device)


def elsewhere(leaf):
    """A gradient on another device."""
    return torch.ones(tuple(leaf.shape), dtype=leaf.dtype, device="meta")


def an_array(leaf):
    """A gradient that is no tensor."""
    return np.ones(tuple(leaf.shape))


def a_number(leaf):
    """A gradient that is a number."""
    return 1.0


def the_leaf(leaf):
    """The leaf as its own gradient."""
    return leaf


ANOTHER_DTYPE = "assign a gradient with dtype|has data of a different type"
REFUSED = {
    "wider": (wider, RuntimeError, "assign a gradient of size"),
    "single": (single, RuntimeError, "assign a gradient of size"),
    "longer": (longer, RuntimeError, "assign a gradient of size"),
    "flat": (flat, RuntimeError, "assign a gradient of size"),
    "other-dtype": (narrower, RuntimeError, ANOTHER_DTYPE),
    "integers": (integers, RuntimeError, ANOTHER_DTYPE),
    "other-device": (elsewhere, RuntimeError, "device"),
    "array": (an_array, TypeError, "Tensor or None"),
    "number": (a_number, TypeError, "Tensor or None"),
    "itself": (the_leaf, RuntimeError, "as its own grad"),
}


@law("leaf.grad-refused", docs="torch.Tensor.grad", level="should", over=REFUSED)
@given(leaf=tensors(dtype=torch.float64, shape=(2, 3), requires_grad=True), filled=st.booleans())
def test_grad_refused(target, case, leaf, filled):
    """.grad takes only a tensor of its own shape, dtype and device, other than itself, or None.

    A refusal leaves .grad as it was, whether None or a gradient.
    """
    make, error, message = case
    legal = torch.full((2, 3), 3.0, dtype=torch.float64, device=target.device)
    leaf.grad = legal if filled else None
    with compare.raises(error, message):
        leaf.grad = make(leaf)
    compare.fact(leaf.grad is legal, filled, "grad is what it was")
    compare.fact(leaf.grad is None, not filled, "grad is what it was: None")
    leaf.grad = legal
    compare.equal(leaf.grad, np.full((2, 3), 3.0), dtype=torch.float64, what="a legal grad")


@law("leaf.grad-kind", docs="torch.Tensor.grad")
@given(leaf=tensors(dtype="differentiable", requires_grad=True), wide=st.booleans())
def test_grad_kind(target, leaf, wide):
    """.grad has the leaf's shape, dtype and device, and no history, whatever the result's are.

    Of any rank, with no elements too; through a conversion and broadcasting, whose contributions
    add up.
    """
    dtype = torch.complex128 if leaf.is_complex() else torch.float64

    def twice(leaf):
        value = leaf.to(dtype) * 2
        return value.expand(3, *leaf.shape) if wide else value

    value = target.run(twice, leaf)
    value.backward(torch.ones_like(value).detach())
    expected = np.full(tuple(leaf.shape), 6.0 if wide else 2.0)
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")
    compare.fact(leaf.grad.device, leaf.device, "device of grad")
    compare.fact((leaf.grad.requires_grad, leaf.grad.grad_fn), (False, None), "history of grad")
