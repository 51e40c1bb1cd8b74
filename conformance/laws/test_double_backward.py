"""Double backward: custom Functions that are differentiated again, and those that cannot be."""

import torch

from conformance import compare
from conformance.law import given, law
from strategies import shapes, tensors


class Cube(torch.autograd.Function):
    """``x^3`` whose backward is differentiable, since it computes with what was saved."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return 3 * x * x * cotangent


class CubeByParts(torch.autograd.Function):
    """``x^3`` whose backward is another Function, with a backward of its own."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return CubeSlope.apply(x, cotangent)


class CubeSlope(torch.autograd.Function):
    """``3 x^2 v``, linear in v."""

    @staticmethod
    def forward(context, x, v):
        context.save_for_backward(x, v)
        return 3 * x * x * v

    @staticmethod
    def backward(context, cotangent):
        x, v = context.saved_tensors
        return 6 * x * v * cotangent, 3 * x * x * cotangent


class CubeOfSaved(torch.autograd.Function):
    """``x^3`` from an intermediate result, saved and returned with it as the rule demands."""

    @staticmethod
    def forward(context, x):
        square = x * x
        context.save_for_backward(x, square)
        return square * x, square

    @staticmethod
    def backward(context, cotangent, to_square):
        x, square = context.saved_tensors
        return 3 * square * cotangent + 2 * x * to_square


def cube(x):
    return Cube.apply(x)


def cube_by_parts(x):
    return CubeByParts.apply(x)


def cube_of_saved(x):
    return CubeOfSaved.apply(x)[0]


CUSTOM = {"cube": cube, "cube-by-parts": cube_by_parts, "cube-of-saved": cube_of_saved}


@law("higher-order.custom-function", docs="torch.autograd.Function.backward", over=CUSTOM)
@given(leaf=tensors(dtype=torch.float64))
def test_custom_function(target, case, leaf):
    """A custom Function can be differentiated again if its backward is made of such operations.

    x^3 three times: 3 x^2, 6 x and 6, whatever backward saves, another Function included.
    """
    leaf = leaf.detach().requires_grad_()
    values = compare.to_numpy(leaf)
    found = target.run(case, leaf)
    expected = [3 * values**2, 6 * values, 0 * values + 6]
    for order, value in enumerate(expected):
        (found,) = torch.autograd.grad(found.sum(), leaf, create_graph=order < 2)
        compare.nested(found, value, what=f"derivative {order + 1}")


class OnceOnly(torch.autograd.Function):
    """``x^3`` that is declared not to be differentiable twice."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return 3 * x * x * cotangent


def second_backward(first, leaf):
    first.sum().backward(inputs=[leaf])


def second_grad(first, leaf):
    torch.autograd.grad(first.sum(), leaf)


def second_backward_to_all(first, _):
    first.sum().backward()


SECOND_PASSES = {
    "backward": second_backward_to_all,
    "backward-to-inputs": second_backward,
    "grad": second_grad,
}


@law("higher-order.once-differentiable", docs="notes/extending.html", over=SECOND_PASSES)
@given(leaf=tensors(dtype=torch.float64, shape=shapes(min_side=1)))
def test_once_differentiable(target, case, leaf):
    """The gradient of a Function marked once_differentiable is right, and raises if
    differentiated again.

    Where its cotangent is part of the graph as well; by each kind of second pass.
    """
    leaf = leaf.detach().requires_grad_()
    loss = (OnceOnly.apply(leaf) * leaf).sum()
    (first,) = torch.autograd.grad(loss, leaf, create_graph=True)
    compare.nested(first, 4 * compare.to_numpy(leaf) ** 3, what="gradient")
    with compare.raises(RuntimeError, "marked with @once_differentiable"):
        case(first, leaf)
