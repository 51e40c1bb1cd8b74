"""Custom functions: torch.autograd.Function and its contract."""

import torch

from conformance import compare
from conformance.law import given, law
from strategies import shapes, tensors


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
