"""The arguments of a backward pass: their order, what stands for what, and what is refused."""

import functools
import warnings
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import broadcastable_shapes, polynomials, squares, with_cotangent
from strategies.functions import numpy_of, result_kind

BACKWARD = "torch.autograd.backward"


def by_function(result, leaves, *cotangent):
    """Run torch.autograd.backward on a list of one root."""
    given: Any = [[tensor] for tensor in cotangent]
    torch.autograd.backward([result], *given)


def by_method(result, leaves, *cotangent):
    """Run Tensor.backward."""
    result.backward(*cotangent)


def by_grad(result, leaves, *cotangent):
    """Run torch.autograd.grad, whose results become .grad."""
    grad: Any = torch.autograd.grad  # its overloads know no variable number of arguments
    found = grad(result, leaves, *cotangent, allow_unused=True)
    for leaf, gradient in zip(leaves, found, strict=True):
        leaf.grad = gradient


PASSES = {"function": by_function, "method": by_method, "grad": by_grad}


def function_by_position(result, leaves, cotangent, retained, recorded):
    """Call torch.autograd.backward with every argument by position."""
    return torch.autograd.backward([result], [cotangent], retained, recorded, None, leaves)


def method_by_position(result, leaves, cotangent, retained, recorded):
    """Call Tensor.backward with every argument by position."""
    return result.backward(cotangent, retained, recorded, leaves)


def grad_by_position(result, leaves, cotangent, retained, recorded):
    """Call torch.autograd.grad with every argument by position, and fill each .grad."""
    found = torch.autograd.grad(
        [result], leaves, [cotangent], retained, recorded, True, True, False, False
    )
    for leaf, gradient in zip(leaves, found, strict=True):
        leaf.grad = gradient


POSITIONAL = {
    "function": (function_by_position, BACKWARD),
    "method": (method_by_position, "torch.Tensor.backward"),
    "grad": (grad_by_position, "torch.autograd.grad"),
}


@law("backward.by-position", docs=lambda case: case[1], over=POSITIONAL)
@given(
    problem=with_cotangent(polynomials(significant_bits=18), result=result_kind),
    retained=st.booleans(),
    recorded=st.booleans(),
)
def test_by_position(target, case, problem, retained, recorded):
    """A pass takes its arguments by position, in the documented order; backward returns None.

    torch.autograd.backward takes tensors, grad_tensors, retain_graph, create_graph,
    grad_variables and inputs; Tensor.backward takes gradient, retain_graph, create_graph and
    inputs; torch.autograd.grad takes outputs, inputs, grad_outputs, retain_graph, create_graph,
    only_inputs, allow_unused, is_grads_batched and materialize_grads.
    """
    call, _ = case
    f, cotangent = problem
    leaves = f.leaves(target.device)
    idle = torch.ones(2, device=target.device, requires_grad=True)
    chosen = f.reaches.index(True)
    result = target.run(f, *leaves)
    square = result * result  # something to free, and gradients to be recorded
    inputs = [leaves[chosen], idle]
    compare.fact(call(square, inputs, cotangent, retained, recorded), None, "what it returns")
    upstream = 2 * numpy_of(f)(*f.points) * compare.to_numpy(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, upstream)
    compare.gradients(leaves, expected, [number == chosen for number in range(len(leaves))])
    compare.fact(idle.grad, None, "grad of an input that is not used")
    flag = leaves[chosen].grad.requires_grad
    compare.fact(flag, recorded, "requires_grad of the gradient")
    leaves[chosen].grad = None
    if retained:
        square.backward(cotangent)
        compare.gradients(leaves, expected, f.reaches)
    else:
        with compare.raises(RuntimeError, "backward through the graph a second time"):
            square.backward(cotangent)


COUNTS = ((), (1,), (1, 1), (2,), (0,), (1, 3), (2, 0))


@law("backward.implicit", docs=BACKWARD, over=PASSES)
@given(f=polynomials(scalar=True), shape=st.sampled_from(COUNTS))
def test_implicit(target, case, f, shape):
    """Without gradients a pass starts from 1 at a root of one element, and raises at any other.

    "None values can be specified for scalar Tensors": of any rank. One without elements is none.
    What raises leaves .grad and the graph as they were.
    """
    leaves = f.leaves(target.device)
    root = target.run(f, *leaves).expand(shape)
    count = root.numel()
    if count != 1:
        with compare.raises(RuntimeError, "grad can be implicitly created only for scalar outputs"):
            case(root, leaves)
        compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
        case(root, leaves, torch.ones(shape, dtype=root.dtype, device=target.device))
    else:
        case(root, leaves)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [count * gradient for gradient in gradients], f.reaches)


@law("backward.gradient-not-broadcast", docs="torch.Tensor.backward", over=PASSES)
@given(drawn=broadcastable_shapes(2))
def test_gradient_not_broadcast(target, case, drawn):
    """A gradient of a shape that would broadcast to the root's, and is another, is refused.

    "A tensor of matching type and shape": sides of 1, and leading sides, are not filled in.
    """
    leaf = torch.ones(drawn.result, dtype=torch.float64, device=target.device, requires_grad=True)
    root = target.run("torch.mul", leaf, 3)
    for shape in drawn.shapes:
        if shape != drawn.result:
            cotangent = torch.ones(shape, dtype=torch.float64, device=target.device)
            with compare.raises(RuntimeError, "Mismatch in shape: grad_output"):
                case(root, [leaf], cotangent)
            compare.fact(leaf.grad, None, "grad after the error")
    case(root, [leaf], torch.ones_like(leaf).detach())
    expected = 3 * np.ones(drawn.result)
    compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="grad")


@law("backward.lone-tensor", docs=BACKWARD)
@given(problem=with_cotangent(polynomials(), result=result_kind), by_name=st.booleans())
def test_lone_tensor(target, problem, by_name):
    """One tensor for tensors, grad_tensors or inputs of backward stands for a sequence of it."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    root = target.run(f, *leaves)
    if by_name:
        torch.autograd.backward(tensors=root, grad_tensors=cotangent, inputs=leaves[chosen])
    else:
        torch.autograd.backward(root, cotangent, inputs=leaves[chosen])
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    reached = [number == chosen for number in range(len(leaves))]
    compare.gradients(leaves, expected, reached)


def warned(call):
    """The kinds and texts of the warnings of a call, and what it returns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        returned = call()
    return returned, [(warning.category, str(warning.message)) for warning in caught]


@law("backward.grad-variables", docs=BACKWARD, level="should")
@given(problem=with_cotangent(polynomials(), result=result_kind))
def test_grad_variables(target, problem):
    """grad_variables is grad_tensors by its former name, warns, and excludes grad_tensors."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    root = target.run(f, *leaves)

    def by_former_name(**others):
        return torch.autograd.backward([root], grad_variables=[cotangent], **others)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with compare.raises(RuntimeError, "arguments both passed to"):
            by_former_name(grad_tensors=[cotangent])
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    _, told = warned(by_former_name)
    compare.fact([kind for kind, _ in told], [FutureWarning], "warnings")
    compare.fact("deprecated" in told[0][1], True, "the warning says that it is deprecated")
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)


@law("autograd-grad.only-inputs", docs="torch.autograd.grad", level="should")
@given(f=squares(), only=st.booleans())
def test_only_inputs(target, f, only):
    """only_inputs says nothing any more: grad computes for its inputs alone, False warns so."""
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    root = target.run(f, *leaves)
    call = functools.partial(torch.autograd.grad, root, [leaves[chosen]], only_inputs=only)
    found, told = warned(call)
    compare.fact([kind for kind, _ in told], [FutureWarning] * (not only), "warnings")
    compare.fact(len(found), 1, "gradients")
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(found[0], expected, bound=0.0, dtype=torch.float64, what="gradient")
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad of the leaves")


MISTAKEN = {name: name for name in ("back", "backwards", "backprop", "backpropagate", "grads")}


@law("backward.no-other-name", docs="torch.Tensor.backward", level="should", over=MISTAKEN)
@given(f=squares())
def test_no_other_name(target, case, f):
    """Names near those of autograd name nothing: reading one raises AttributeError."""
    leaves = f.leaves(target.device)
    root = target.run(f, *leaves)
    with compare.raises(AttributeError, f"'Tensor' object has no attribute '{case}'"):
        getattr(root, case)
    root.backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
