"""Backward passes: vector-Jacobian products, and which tensors a pass accumulates into.

Roots and the gradients given to them have a chapter of their own, ``roots``.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.passes import PASSES
from conformance.target import resolve
from strategies import functions, polynomials, squares, with_cotangent
from strategies.functions import numpy_of, result_kind


@law("backward.vjp-exact", docs="torch.Tensor.backward")
@given(problem=with_cotangent(polynomials(in_place=True), result=result_kind))
def test_vjp_exact(target, problem):
    """backward(v) leaves the vector-Jacobian product J^T v in each leaf.

    For polynomials at dyadic points, where nothing rounds, whatever the layout of v.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)


@law("backward.vjp-smooth", docs="torch.Tensor.backward")
@given(problem=with_cotangent(functions(in_place=True, max_steps=10), result=result_kind))
def test_vjp_smooth(target, problem):
    """backward(v) leaves J^T v in each leaf of a smooth function, as near as rounding allows."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, upstream)
    bound = 4 * (f.rounding + 1) * np.finfo(np.float64).eps * np.abs(upstream).sum()
    compare.gradients(leaves, expected, f.reaches, bound=bound)


@law("backward.non-scalar-raises", docs="torch.Tensor.backward")
@given(f=polynomials())
def test_non_scalar_raises(target, f):
    """backward without a gradient raises if the tensor has more than one element.

    With a gradient the same call goes through.
    """

    def twice(*leaves):
        value = f(*leaves)
        return torch.stack((value, value))

    leaves = f.leaves(target.device)
    result = target.run(twice, *leaves)
    with compare.raises(RuntimeError, "grad can be implicitly created only for scalar outputs"):
        result.backward()
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    result.backward(torch.zeros_like(result))
    compare.fact(tuple(leaf.grad is not None for leaf in leaves), f.reaches, "leaves reached")


@law("backward.one-element-implicit", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True))
def test_one_element_implicit(target, f):
    """backward without a gradient starts from 1 if the tensor has one element, of any rank."""

    def matrix(*leaves):
        return f(*leaves).reshape(1, 1)

    leaves = f.leaves(target.device)
    target.run(matrix, *leaves).backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("backward.gradient-shape", docs="torch.Tensor.backward")
@given(f=polynomials())
def test_gradient_shape(target, f):
    """The gradient given to backward must have the tensor's shape: it is not broadcast."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    wrong = torch.ones((2, *result.shape), dtype=result.dtype, device=target.device)
    with compare.raises(RuntimeError, "Mismatch in shape"):
        result.backward(wrong)
    result.backward(wrong[0])
    compare.fact(tuple(leaf.grad is not None for leaf in leaves), f.reaches, "leaves reached")


@law("backward.inputs", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True))
def test_inputs(target, f):
    """backward(inputs=...) accumulates into those leaves only."""
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    target.run(f, *leaves).backward(inputs=[leaves[chosen]])
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(leaves[chosen].grad, expected, bound=0.0, dtype=torch.float64, what="grad")
    others = [leaf.grad for number, leaf in enumerate(leaves) if number != chosen]
    compare.fact(others, [None] * len(others), "grad of the other leaves")


@law("backward.cotangent-unchanged", docs="torch.Tensor.backward", level="should")
@given(problem=with_cotangent(polynomials(), result=result_kind))
def test_cotangent_unchanged(target, problem):
    """backward does not write to the gradient that it is given, on this pass or on later ones."""
    f, cotangent = problem
    before = compare.to_numpy(cotangent)
    leaves = f.leaves(target.device)
    for _ in range(2):
        target.run(f, *leaves).backward(cotangent)
        compare.unchanged(cotangent, before, "gradient given to backward")


@law("backward.inputs-subset", docs="torch.autograd.backward")
@given(f=squares(), chosen=st.lists(st.booleans(), min_size=3, max_size=3), single=st.booleans())
def test_inputs_subset(target, f, chosen, single):
    """backward(inputs=...) adds to .grad of each tensor given, and ignores all other tensors.

    "All other Tensors will be ignored": their .grad stays the tensor that it was. A leaf may be
    given on its own, not in a list.
    """
    leaves = f.leaves(target.device)
    first = f.reaches.index(True)
    chosen = [n == first or (use and not single) for n, use in enumerate(chosen[: len(leaves)])]
    before = [torch.full_like(leaf, 5.0).detach() for leaf in leaves]
    for leaf, gradient in zip(leaves, before, strict=True):
        leaf.grad = gradient
    inputs = [leaf for leaf, use in zip(leaves, chosen, strict=True) if use]
    target.run(f, *leaves).backward(inputs=inputs[0] if single else inputs)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    expected = [5.0 + g * use for g, use in zip(gradients, chosen, strict=True)]
    compare.gradients(leaves, expected, [True] * len(leaves))
    kept = [leaf.grad is gradient for leaf, gradient in zip(leaves, before, strict=True)]
    compare.fact(kept, [True] * len(leaves), "grad is the tensor it was")


@law("backward.inputs-results", docs="torch.autograd.backward")
@given(
    problem=with_cotangent(polynomials(significant_bits=18), result=result_kind),
    with_leaves=st.booleans(),
    passes=st.integers(1, 2),
)
def test_inputs_results(target, problem, with_leaves, passes):
    """A result among the inputs has its gradient added to .grad, as a leaf has.

    The result's is cotangent * 2 * result; leaves get theirs if they are inputs too, and stay
    None otherwise. So does what lies between them.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    between = value * value
    root = between * 1
    inputs = [value, *[x for x, r in zip(leaves, f.reaches, strict=True) if r and with_leaves]]
    for _ in range(passes):
        torch.autograd.backward(root, cotangent, inputs=inputs, retain_graph=True)
    at = numpy_of(f)(*f.points)
    upstream = 2 * compare.to_numpy(cotangent) * at * passes
    compare.close(value.grad, upstream, bound=0.0, dtype=torch.float64, what="grad of the result")
    reached = [reaches and with_leaves for reaches in f.reaches]
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), reached)
    compare.fact((between.grad, root.grad), (None, None), "grad of results that are no inputs")


@law("backward.inputs-unreached", docs="torch.autograd.backward")
@given(f=squares(), filled=st.booleans())
def test_inputs_unreached(target, f, filled):
    """A tensor among the inputs that the root does not depend on keeps its .grad, and is no error.

    Beside one that it depends on, whose gradient is as ever.
    """
    leaves = f.leaves(target.device)
    other = torch.ones(2, dtype=torch.float64, device=target.device, requires_grad=True)
    gradient = torch.full_like(other, 3.0).detach() if filled else None
    other.grad = gradient
    target.run(f, *leaves).backward(inputs=[other, *leaves, other * 2])
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
    compare.fact(other.grad is gradient, True, "grad of a tensor apart is what it was")
    if filled:
        compare.close(gradient, np.full(2, 3.0), bound=0.0, dtype=torch.float64, what="grad apart")


def backward_to(root, inputs):
    """Accumulate into the inputs' .grad by the method."""
    root.backward(inputs=inputs)


def function_to(root, inputs):
    """Accumulate into the inputs' .grad by the function."""
    torch.autograd.backward(root, inputs=inputs)


def grad_to(root, inputs):
    """Return the inputs' gradients, which the caller finds in .grad."""
    for leaf, gradient in zip(inputs, torch.autograd.grad(root, inputs), strict=True):
        leaf.grad = gradient


WITH_INPUTS = {"Tensor-backward": backward_to, "autograd-backward": function_to, "grad": grad_to}


@law("backward.inputs-empty", docs="torch.autograd.backward", level="should", over=WITH_INPUTS)
@given(f=squares(), empty=st.sampled_from(([], ())))
def test_inputs_empty(target, case, f, empty):
    """A pass with respect to an empty sequence of inputs raises, rather than reach every leaf.

    The graph is not freed by it.
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    with compare.raises(RuntimeError, "cannot be empty"):
        case(value, empty)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    case(value, [leaf for leaf, reached in zip(leaves, f.reaches, strict=True) if reached])
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)


MODES_OF_CALL = {
    "no_grad": "torch.no_grad",
    "enable_grad": "torch.enable_grad",
}


@law("backward.grad-mode", docs="torch.autograd.backward", level="should", over=MODES_OF_CALL)
@given(
    f=squares(),
    kind=st.sampled_from(list(PASSES)),
    create_graph=st.booleans(),
)
def test_grad_mode(target, case, f, kind, create_graph):
    """The grad mode around a backward pass has no say in it: create_graph alone records it.

    Gradients require grad if they were asked to, and the mode is what it was afterwards.
    """
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    with resolve(case)():
        PASSES[kind](value, leaves, create_graph=create_graph)
        compare.fact(torch.is_grad_enabled(), case == "torch.enable_grad", "mode within")
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    flags = [leaf.grad.requires_grad for leaf in reached]
    compare.fact(flags, [create_graph] * len(flags), "requires_grad of the gradients")
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
    for leaf in leaves:
        leaf.grad = None
