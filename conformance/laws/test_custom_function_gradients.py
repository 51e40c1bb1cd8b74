"""What the backward of a custom Function gets, and what it may return."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import dyadics, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=18), result=result_kind)


class Returning(torch.autograd.Function):
    """The sum of its tensors; its backward returns what ``answer`` makes of the cotangent."""

    @staticmethod
    def forward(context, answer, a, b):
        context.answer = answer
        return a + b

    @staticmethod
    def backward(context, cotangent):
        return context.answer(cotangent)


def right(cotangent):
    """A gradient for each input."""
    return None, cotangent, cotangent


def trailing(cotangent):
    """Some None more than there are inputs."""
    return None, cotangent, cotangent, None, None


def misshapen(cotangent):
    """A gradient that the input's shape is not compatible with."""
    return None, cotangent, cotangent.new_ones((*cotangent.shape, 3))


def narrow(cotangent):
    """A gradient that would have to be expanded to the input's shape."""
    return None, cotangent.sum().reshape(1), cotangent


def numbered(cotangent):
    """A number where a tensor belongs."""
    return None, cotangent, 1.0


def for_no_tensor(cotangent):
    """A gradient for an argument that is no tensor."""
    return cotangent, cotangent, cotangent


def too_many(cotangent):
    """A gradient more than there are inputs."""
    return None, cotangent, cotangent, cotangent


INVALID = {
    "shape": (misshapen, r"invalid gradient at index . - got \[2, 2, 3\] but expected shape"),
    "narrow": (narrow, r"invalid gradient at index . - got \[1\] but expected shape"),
    "number": (numbered, "expected Variable or None"),
    "no-tensor": (for_no_tensor, "gradient different than None at position 1"),
    "count": (too_many, r"incorrect number of gradients \(expected 3, got 4\)"),
}


@law("custom-function.invalid-gradient", docs="torch.autograd.Function.backward", over=INVALID)
@given(value=dyadics())
def test_invalid_gradient(target, case, value):
    """A backward that returns no gradient for what its inputs are ends the pass with an error.

    Of another shape, no tensor, for an argument that is no tensor, or one too many. No .grad
    changes. With the right gradients the same Function works.
    """
    wrong, message = case
    a, b = (torch.full((2, 2), value, device=target.device, requires_grad=True) for _ in range(2))
    Returning.apply(right, a, b).sum().backward()
    with compare.raises(RuntimeError, message):
        Returning.apply(wrong, a, b).sum().backward()
    for leaf in (a, b):
        expected = 0 * compare.to_numpy(leaf) + 1
        compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float32, what="grad")


@law("custom-function.trailing-none", docs="notes/extending.html#example")
@given(problem=PROBLEMS)
def test_trailing_none(target, problem):
    """Trailing None that backward returns, more than there are inputs, are ignored."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    Returning.apply(trailing, middle, middle.detach()).backward(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)


def first_only(cotangent):
    """No gradient for the second tensor."""
    return None, cotangent, None


@law("custom-function.none-gradient", docs="torch.autograd.Function.backward", level="should")
@given(problem=PROBLEMS, elsewhere=st.booleans())
def test_none_gradient(target, problem, elsewhere):
    """None for a tensor that requires grad adds nothing: other uses of it are all that counts.

    Without any, its .grad stays None.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    other = torch.zeros_like(middle.detach()).requires_grad_()
    result = Returning.apply(first_only, middle, other)
    if elsewhere:
        result = result + other * 3
    result.backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    compare.gradients([other], [3 * upstream], [elsewhere])
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


class Alias(torch.autograd.Function):
    """Three times its argument; the derivative is given as ``vjp``."""

    @staticmethod
    def forward(context, x):
        return x * 3

    @staticmethod
    def vjp(context, cotangent):
        return cotangent * 3


class Both(Alias):
    """The derivative is given twice."""

    @staticmethod
    def backward(context, cotangent):
        return cotangent * 3


@law("custom-function.vjp", docs="torch.autograd.Function.vjp")
@given(problem=PROBLEMS)
def test_vjp(target, problem):
    """A method vjp stands for backward; a Function with both raises."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    Alias.apply(middle).backward(cotangent, retain_graph=True)
    expected = derivatives.vjp(numpy_of(f), f.points, 3 * compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)
    with compare.raises(RuntimeError, "Implementing both 'backward' and 'vjp'"):
        Both.apply(middle).backward(cotangent)
    compare.gradients(leaves, expected, f.reaches)


MATERIALIZE = {"default": None, "on": True, "off": False}


@law(
    "custom-function.materialize",
    docs="torch.autograd.function.FunctionCtx.set_materialize_grads",
    over=MATERIALIZE,
)
@given(
    problem=PROBLEMS,
    other=dyadics(),
    used=st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_materialize(target, case, problem, other, used):
    """backward gets a cotangent for each output, for an unused one zeros like that output.

    Or None after set_materialize_grads(False). The outputs' order is that of forward.
    """
    seen: list[Any] = []

    class SumAndProduct(torch.autograd.Function):
        @staticmethod
        def forward(context, a, b):
            if case is not None:
                context.set_materialize_grads(case)
            context.save_for_backward(a, b)
            return a + b, a * b

        @staticmethod
        def backward(context, to_sum, to_product):
            seen.append((to_sum, to_product))
            a, b = context.saved_tensors
            if to_sum is None:
                return to_product * b, to_product * a
            if to_product is None:
                return to_sum, to_sum
            return to_sum + to_product * b, to_sum + to_product * a

    f, cotangent = problem
    leaves = f.leaves(target.device)
    a = target.run(f, *leaves)
    b = torch.full_like(a.detach(), other).requires_grad_()
    outputs = SumAndProduct.apply(a, b)
    roots = [o * (2 + n) for n, (o, use) in enumerate(zip(outputs, used, strict=True)) if use]
    torch.autograd.backward(roots, [cotangent] * len(roots))
    upstream = compare.to_numpy(cotangent)
    wanted = [(2 + n) * upstream * use for n, use in enumerate(used)]
    compare.fact(len(seen), 1, "calls of backward")
    for got, want, use in zip(seen[0], wanted, used, strict=True):
        if use or case is not False:
            compare.close(got, want, bound=0.0, dtype=torch.float64, what="cotangent")
        else:
            compare.fact(got, None, "cotangent of an unused output")
    gradient = wanted[0] + wanted[1] * numpy_of(f)(*f.points)
    compare.close(b.grad, gradient, bound=0.0, dtype=torch.float64, what="grad of b")
    gradient = wanted[0] + wanted[1] * other
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


class AddTo(torch.autograd.Function):
    """Add the second input to the first, in place."""

    @staticmethod
    def forward(context, x, other):
        context.mark_dirty(x)
        return x.add_(other)

    @staticmethod
    def backward(context, cotangent):
        return cotangent, 3.0 * cotangent


@law("custom-function.mark-dirty-beside", docs="torch.autograd.function.FunctionCtx.mark_dirty")
@given(problem=PROBLEMS)
def test_mark_dirty_beside(target, problem):
    """A Function that writes to its first input passes gradients to its other one as well."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves) * 1
    other = torch.ones_like(x.detach()).requires_grad_()
    result = AddTo.apply(x, other)
    compare.fact(result is x, True, "the same tensor")
    result.backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)
    compare.gradients([other], [3.0 * upstream], [True])
