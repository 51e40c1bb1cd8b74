"""Custom functions: torch.autograd.Function and its contract."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import dyadics, polynomials, shapes, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind


class Scaled(torch.autograd.Function):
    """Identity whose backward multiplies by 3: no derivative of its forward."""

    @staticmethod
    def forward(context, tensor):
        return tensor.clone()

    @staticmethod
    def backward(context, cotangent):
        return cotangent * 3


class Product(torch.autograd.Function):
    """``a * b`` with saved tensors, and a factor that is not a tensor."""

    @staticmethod
    def forward(context, a, b, factor):
        context.save_for_backward(a, b)
        context.factor = factor
        return a * b * factor

    @staticmethod
    def backward(context, cotangent):
        a, b = context.saved_tensors
        needed = context.needs_input_grad
        to_a = cotangent * b * context.factor if needed[0] else None
        to_b = cotangent * a * context.factor if needed[1] else None
        return to_a, to_b, None


class Short(torch.autograd.Function):
    """Returns one gradient for two inputs."""

    @staticmethod
    def forward(context, a, b):
        return a + b

    @staticmethod
    def backward(context, cotangent):
        return cotangent


@law("custom-function.backward-decides", docs="torch.autograd.Function.backward")
@given(leaf=tensors(dtype="floating", requires_grad=True))
def test_backward_decides(target, leaf):
    """A custom Function's gradient is what its backward returns, whatever forward computes."""
    result = target.run(Scaled.apply, leaf)
    compare.equal(result, compare.to_numpy(leaf), dtype=leaf.dtype)
    result.backward(torch.ones_like(result))
    compare.equal(leaf.grad, 0 * compare.to_numpy(leaf.detach()) + 3, dtype=leaf.dtype, what="grad")


@law("custom-function.saved-tensors", docs="torch.autograd.function.FunctionCtx.save_for_backward")
@given(a=tensors(dtype=torch.float64, shape=(2, 3)), b=tensors(dtype=torch.float64, shape=(2, 3)))
def test_saved_tensors(target, a, b):
    """saved_tensors gives backward the tensors that forward saved; a non-tensor gets None."""
    a, b = a.detach().requires_grad_(), b.detach().requires_grad_()
    target.run(Product.apply, a, b, 2.0).sum().backward()
    compare.equal(a.grad, 2 * compare.to_numpy(b), dtype=torch.float64, what="grad of a")
    compare.equal(b.grad, 2 * compare.to_numpy(a), dtype=torch.float64, what="grad of b")


@law("custom-function.needs-input-grad", docs="torch.autograd.function.FunctionCtx")
@given(a=tensors(dtype=torch.float64, shape=(3,)), b=tensors(dtype=torch.float64, shape=(3,)))
def test_needs_input_grad(target, a, b):
    """needs_input_grad tells backward which inputs require a gradient."""
    seen = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(context, a, b):
            return a + b

        @staticmethod
        def backward(context, cotangent):
            seen.append(context.needs_input_grad)
            return cotangent, None

    a = a.detach().requires_grad_()
    Watched.apply(a, b).sum().backward()
    compare.fact(seen, [(True, False)], "needs_input_grad")
    compare.equal(a.grad, 0 * compare.to_numpy(b) + 1, dtype=torch.float64, what="grad")


@law("custom-function.gradient-count", docs="torch.autograd.Function.backward")
@given(shape=shapes())
def test_gradient_count(target, shape):
    """backward must return as many gradients as forward had inputs, else the pass raises."""
    a, b = (torch.ones(shape, device=target.device, requires_grad=True) for _ in range(2))
    Product.apply(a, b, 1.0).sum().backward()
    compare.fact((a.grad is None, b.grad is None), (False, False), "no grad after a legal pass")
    with compare.raises(RuntimeError, r"incorrect number of gradients \(expected 2, got 1\)"):
        Short.apply(a, b).sum().backward()


class Legendre(torch.autograd.Function):
    """The cubic Legendre polynomial ``P(x) = (5 x^3 - 3 x) / 2``."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return (x * x * x * 5 - x * 3) * 0.5

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return cotangent * (x * x * 5 - 1) * 1.5


def legendre(x):
    """The same polynomial of an array, or of anything that is added and multiplied."""
    return (x * x * x * 5 - x * 3) * 0.5


@law("custom-function.legendre", docs="torch.autograd.Function")
@given(x=tensors(dtype=torch.float64, requires_grad=True))
def test_legendre(target, x):
    """A custom Function is differentiated as often as its backward is: here to the third order.

    The derivatives are (15 x^2 - 3) / 2, 15 x and 15, exactly.
    """
    point = compare.to_numpy(x)
    result = target.run(Legendre.apply, x)
    compare.close(result, legendre(point), bound=0.0, dtype=torch.float64)
    expected = ((15 * point * point - 3) / 2, 15 * point, 0 * point + 15)
    for order, want in enumerate(expected, 1):
        (result,) = torch.autograd.grad(result.sum(), [x], create_graph=True)
        what = f"derivative of order {order}"
        compare.close(result, want, bound=0.0, dtype=torch.float64, what=what)


@law("custom-function.in-functions", docs="torch.autograd.Function")
@given(problem=with_cotangent(polynomials(significant_bits=12), result=result_kind))
def test_in_functions(target, problem):
    """A custom Function within a function takes its part in the chain rule."""
    f, cotangent = problem

    def composed(*leaves):
        return Legendre.apply(f(*leaves))

    leaves = f.leaves(target.device)
    target.run(composed, *leaves).backward(cotangent)
    reference = numpy_of(f)
    upstream = compare.to_numpy(cotangent)
    expected = derivatives.vjp(lambda *points: legendre(reference(*points)), f.points, upstream)
    compare.gradients(leaves, expected, f.reaches)


@law("custom-function.second-order", docs="torch.autograd.Function")
@given(f=polynomials(scalar=True, significant_bits=12, max_steps=4))
def test_second_order(target, f):
    """A custom Function within a function is differentiated twice: the Hessian times a vector.

    The vector holds the leaves' own values.
    """
    leaves = f.leaves(target.device)
    reached = [x for x, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    root = Legendre.apply(target.run(f, *leaves))
    gradients = torch.autograd.grad(root, reached, create_graph=True)
    projected = sum((g * x.detach()).sum() for g, x in zip(gradients, reached, strict=True))
    got = torch.autograd.grad(projected, reached, allow_unused=True, materialize_grads=True)
    reference = numpy_of(f)
    direction = [p * reaches for p, reaches in zip(f.points, f.reaches, strict=True)]
    products = derivatives.hessian_product(
        lambda *points: legendre(reference(*points)), f.points, direction
    )
    expected = [p for p, reaches in zip(products, f.reaches, strict=True) if reaches]
    for tensor, want in zip(got, expected, strict=True):
        compare.close(tensor, want, bound=0.0, dtype=torch.float64, what="Hessian times vector")


@law("custom-function.requires-grad", docs="torch.autograd.function.FunctionCtx")
@given(flags=st.tuples(st.booleans(), st.booleans()), recording=st.booleans(), factor=dyadics())
def test_requires_grad(target, flags, recording, factor):
    """A result requires grad if an input does and grad mode is on; then it has a grad_fn.

    needs_input_grad tells which inputs require grad, in forward and in backward; an argument
    that is no tensor needs none.
    """
    seen = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(context, a, factor, b):
            seen.append(context.needs_input_grad)
            return a * factor + b

        @staticmethod
        def backward(context, cotangent):
            seen.append(context.needs_input_grad)
            needs = context.needs_input_grad
            return cotangent * factor if needs[0] else None, None, cotangent if needs[2] else None

    a, b = (torch.ones(2, device=target.device, requires_grad=flag) for flag in flags)
    with torch.set_grad_enabled(recording):
        result = Watched.apply(a, factor, b)
    recorded = recording and any(flags)
    facts = (result.requires_grad, result.grad_fn is not None, result.is_leaf)
    compare.fact(facts, (recorded, recorded, not recorded), "requires_grad, grad_fn, is_leaf")
    if recorded:
        result.sum().backward()
        needed = (flags[0], False, flags[1])
        compare.fact(seen[1:], [needed], "needs_input_grad in backward")
        compare.fact(seen[0], needed, "needs_input_grad in forward")
    compare.fact(len(seen), 1 + recorded, "calls of forward and backward")
    for tensor, flag, want in ((a, flags[0], factor), (b, flags[1], 1.0)):
        if recorded and flag:
            expected = torch.full((2,), want).numpy()
            compare.close(tensor.grad, expected, bound=0.0, dtype=torch.float32, what="grad")
        else:
            compare.fact(tensor.grad, None, "grad of what requires none")


@law("custom-function.grad-mode", docs="notes/extending.html#how-to-use", level="should")
@given(outside=st.booleans(), create_graph=st.booleans())
def test_grad_mode(target, outside, create_graph):
    """Nothing is recorded within forward; within backward if and only if a graph is created.

    Afterwards grad mode is what it was.
    """
    seen = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            seen.append((torch.is_grad_enabled(), (x * 2).requires_grad))
            return x * 2

        @staticmethod
        def backward(context, cotangent):
            seen.append((torch.is_grad_enabled(), False))
            return cotangent * 2

    x = torch.ones(2, device=target.device, requires_grad=True)
    root = Watched.apply(x).sum()
    with torch.set_grad_enabled(outside):
        torch.autograd.grad(root, [x], create_graph=create_graph)
        compare.fact(torch.is_grad_enabled(), outside, "grad mode after the pass")
    expected = [(False, False), (create_graph, False)]
    compare.fact(seen, expected, "grad mode in forward and backward, whether forward recorded")
