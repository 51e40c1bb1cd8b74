"""Roots of a backward pass: several at once, leaves, constants, and the gradients given to them."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import dtypes, polynomials, squares, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind

ROOTS = {"value": 0, "square": 1, "triple": 2, "sum": 3}


def backward(roots, leaves, cotangents):
    """Run torch.autograd.backward; the gradients end in .grad."""
    torch.autograd.backward(roots, cotangents)


def backward_of_tuple(roots, leaves, cotangents):
    """Run torch.autograd.backward on tuples."""
    torch.autograd.backward(tuple(roots), grad_tensors=tuple(cotangents))


def grad(roots, leaves, cotangents):
    """Run torch.autograd.grad, whose results become .grad."""
    found = torch.autograd.grad(roots, leaves, cotangents, allow_unused=True)
    for leaf, gradient in zip(leaves, found, strict=True):
        leaf.grad = gradient


MANY_ROOTS = {"backward": backward, "tuple": backward_of_tuple, "grad": grad}


def roots_of(value):
    """Four roots that share a value: itself, its square, three times it, its sum."""
    return value, value * value, value * 3, value.sum()


def upstream_of(names, value, cotangent):
    """The sum of what such roots, each with that cotangent, send to the value."""
    each = {
        "value": cotangent,
        "square": 2 * value * cotangent,
        "triple": 3 * cotangent,
        "sum": np.full(np.shape(value), 2.0),
    }
    return sum((each[name] for name in names), np.zeros(np.shape(value)))


@law("backward.roots", docs="torch.autograd.backward", over=MANY_ROOTS)
@given(
    problem=with_cotangent(polynomials(significant_bits=18), result=result_kind),
    names=st.lists(st.sampled_from(list(ROOTS)), min_size=1, max_size=4),
)
def test_roots(target, case, problem, names):
    """Several roots at once give the sum of the gradients that each gives alone, each as weighed.

    In any order; a root may be given twice, and may lie below another in the graph.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)

    def computed(*leaves):
        return roots_of(f(*leaves))

    made = target.run(computed, *leaves)
    roots = [made[ROOTS[name]] for name in names]
    two = torch.tensor(2.0, dtype=torch.float64, device=target.device)
    case(roots, leaves, [two if name == "sum" else cotangent for name in names])
    upstream = upstream_of(names, numpy_of(f)(*f.points), compare.to_numpy(cotangent))
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


@law("backward.root-without-gradient", docs="torch.autograd.backward", over=MANY_ROOTS)
@given(f=squares(), weights=st.lists(st.integers(0, 4), min_size=2, max_size=4))
def test_root_without_gradient(target, case, f, weights):
    """A root of one element whose gradient is None starts from 1, beside others that have one.

    "None values can be specified for scalar Tensors"; 0 stands for None here, another number n
    for the gradient n.
    """
    leaves = f.leaves(target.device)

    def computed(*leaves):
        value = f(*leaves)
        return [(value * (n + 1)).reshape((1,) * n) for n in range(len(weights))]

    roots = target.run(computed, *leaves)
    cotangents = [
        torch.full_like(r, n).detach() if n else None for r, n in zip(roots, weights, strict=True)
    ]
    case(roots, leaves, cotangents)
    weight = sum((place + 1) * (n or 1) for place, n in enumerate(weights))
    expected = [weight * gradient for gradient in derivatives.gradient(numpy_of(f), f.points)]
    compare.gradients(leaves, expected, f.reaches)


CONSTANT_ROOTS = {"constant-tensor": torch.float64, "constant-integer": torch.int64}


@law("backward.root-ignored", docs="torch.autograd.backward", over=CONSTANT_ROOTS)
@given(f=squares(), first=st.booleans())
def test_root_ignored(target, case, f, first):
    """A root that doesn't require grad may come with None, and adds nothing to the gradients.

    "None values can be specified for scalar Tensors or ones that don't require grad."
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    constant = torch.ones(3, dtype=case, device=target.device)
    torch.autograd.backward([constant, value] if first else [value, constant], [None, None])
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


@law("backward.no-graph", docs="torch.autograd.backward", over=MANY_ROOTS)
@given(f=squares(), dtype=dtypes("any"))
def test_no_graph(target, case, f, dtype):
    """A pass from nothing but tensors that don't require grad raises."""
    leaves = f.leaves(target.device)
    with torch.no_grad():
        constant = target.run(f, *leaves).to(dtype)
    one = torch.ones_like(constant)
    with compare.raises(RuntimeError, "does not require grad and does not have a grad_fn"):
        case([constant], leaves, [one])
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    case([target.run(f, *leaves)], leaves, [None])
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


@law("backward.leaf-as-root", docs="torch.autograd.backward")
@given(
    leaf=tensors(dtype="differentiable", requires_grad=True),
    times=st.lists(st.integers(1, 3), min_size=1, max_size=2),
)
def test_leaf_as_root(target, leaf, times):
    """A leaf may be a root: its .grad gets the gradient given, once for each time it is a root.

    The gradient given stays as it is.
    """
    ones = torch.ones_like(leaf).detach()
    for count in times:
        torch.autograd.backward([leaf] * count, [ones] * count)
    expected = np.full(tuple(leaf.shape), float(sum(times)))
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")
    compare.equal(ones, np.ones_like(expected), dtype=leaf.dtype, what="gradient given")


@law("backward.order", docs="torch.autograd.backward")
@given(
    problem=with_cotangent(polynomials(significant_bits=18), result=result_kind),
    order=st.permutations(list(ROOTS)),
    several=st.booleans(),
)
def test_order(target, problem, order, several):
    """Passes from several roots, one after another in any order, add up to one from all of them.

    ``several`` takes the first two at once. The graph that they share is retained.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)

    def computed(*leaves):
        return roots_of(f(*leaves))

    made = target.run(computed, *leaves)
    two = torch.tensor(2.0, dtype=torch.float64, device=target.device)
    # A copy for each pass: what torch does to a gradient that it was given is another law.
    pairs = [(made[ROOTS[n]], two if n == "sum" else cotangent.clone()) for n in order]
    start = 2 if several else 0
    if several:
        torch.autograd.backward([r for r, _ in pairs[:2]], [c for _, c in pairs[:2]], True)
    for root, weight in pairs[start:]:
        root.backward(weight, retain_graph=True)
    upstream = upstream_of(order, numpy_of(f)(*f.points), compare.to_numpy(cotangent))
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


@law("backward.gradient-converted", docs="torch.Tensor.backward", level="should")
@given(
    f=polynomials(significant_bits=18),
    dtype=dtypes("real"),
    number=st.integers(0, 3),
    strided=st.booleans(),
)
def test_gradient_converted(target, f, dtype, number, strided):
    """A real gradient of another dtype than its real root is converted to the root's dtype.

    What reaches the leaves is of their own dtype.
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    cotangent = torch.full(f.shape, number, dtype=dtype, device=target.device)
    if strided:
        cotangent = torch.full((), number, dtype=dtype, device=target.device).expand(f.shape)
    value.backward(cotangent)
    upstream = np.full(f.shape, float(number))
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


COMPLEX_OR_REAL = {
    "real-root": (torch.float64, torch.complex128),
    "complex-root": (torch.complex128, torch.float64),
    "single-complex-root": (torch.complex64, torch.float32),
}


@law("backward.gradient-complex", docs="torch.Tensor.backward", over=COMPLEX_OR_REAL)
@given(number=st.integers(-2, 2), rank=st.integers(0, 2))
def test_gradient_complex(target, case, number, rank):
    """The gradient given must be complex if the root is, and real if it is real."""
    dtype, other = case
    leaf = torch.ones((1,) * rank, dtype=dtype, device=target.device, requires_grad=True)
    value = target.run("torch.mul", leaf, 2)
    with compare.raises(RuntimeError, "required to have the same dtype"):
        value.backward(torch.full_like(leaf, number, dtype=other).detach())
    compare.fact(leaf.grad, None, "grad after the error")
    value.backward(torch.full_like(leaf, number).detach())
    expected = np.full((1,) * rank, 2.0 * number)
    compare.close(leaf.grad, expected, bound=0.0, dtype=dtype, what="grad")


@law("backward.complex-root", docs="torch.autograd.backward", level="should", over=MANY_ROOTS)
@given(dtype=dtypes("complex"), rank=st.integers(0, 2))
def test_complex_root(target, case, dtype, rank):
    """A complex root needs a gradient, of one element too: only real ones start from 1."""
    leaf = torch.ones((1,) * rank, dtype=dtype, device=target.device, requires_grad=True)
    with compare.raises(RuntimeError, "implicitly created only for real scalar outputs"):
        case([target.run("torch.mul", leaf, 2)], [leaf], [None])
    case([target.run("torch.mul", leaf, 2).real], [leaf], [None])
    expected = np.full((1,) * rank, 2.0)
    compare.close(leaf.grad, expected, bound=0.0, dtype=dtype, what="grad")


@law("backward.gradient-count", docs="torch.autograd.backward", over=MANY_ROOTS)
@given(f=squares(), count=st.integers(2, 3), missing=st.integers(1, 2))
def test_gradient_count(target, case, f, count, missing):
    """Fewer gradients than roots raise: it is "a sequence of matching length"."""
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    roots = [value * n for n in range(count)]
    ones = [torch.ones_like(value).detach()] * count
    with compare.raises(RuntimeError, f"got {count} tensors and {max(count - missing, 0)} grad"):
        case(roots, leaves, ones[missing:])
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    case(roots, leaves, ones)
    weight = sum(range(count))
    expected = [weight * gradient for gradient in derivatives.gradient(numpy_of(f), f.points)]
    compare.gradients(leaves, expected, f.reaches)


@law("backward.gradient-type", docs="torch.autograd.backward", over=MANY_ROOTS)
@given(f=squares(), wrong=st.sampled_from((1.0, 1, "1", [1.0])))
def test_gradient_type(target, case, f, wrong):
    """A gradient that is neither a tensor nor None raises: numbers are not converted."""
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    with compare.raises(TypeError, "gradients can be either Tensors or None"):
        case([value], leaves, [wrong])
    case([value], leaves, [torch.ones_like(value).detach()])
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
