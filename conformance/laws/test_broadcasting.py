"""Broadcasting: operands of several shapes, by hand or by torch, and what of it is in place."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import broadcastable_shapes, current_device, tensors

DOCS = "notes/broadcasting.html"
IN_PLACE = "notes/broadcasting.html#in-place-semantics"
# The operator, NumPy's, and how a cotangent g reaches each operand of values x and y.
OPERATORS = {
    "add": ("torch.add", np.add, "g", "g"),
    "sub": ("torch.sub", np.subtract, "g", "-g"),
    "mul": ("torch.mul", np.multiply, "g * y", "g * x"),
}
WRITES = {
    "add_": ("torch.Tensor.add_", np.add),
    "sub_": ("torch.Tensor.sub_", np.subtract),
    "mul_": ("torch.Tensor.mul_", np.multiply),
    "fmod_": ("torch.Tensor.fmod_", np.fmod),
    "copysign_": ("torch.Tensor.copysign_", np.copysign),
    "copy_": ("torch.Tensor.copy_", lambda x, y: np.broadcast_to(y, x.shape)),
}


def whole(shape):
    """A tensor of whole numbers from 1 to 5: what is done here with them is exact in float64."""
    elements = int(np.prod(shape))
    values = np.resize(np.arange(1.0, 6.0), elements).reshape(shape)
    return torch.tensor(values, dtype=torch.float64, device=current_device())


def operands():
    """Draw two operands of shapes that broadcast, and the shape to which they do."""
    return broadcastable_shapes(2).flatmap(
        lambda drawn: st.tuples(
            *(tensors(dtype=torch.float64, shape=shape) for shape in drawn.shapes),
            st.just(drawn.result),
        )
    )


def by_hand(tensor, shape):
    """The tensor stretched to a shape, first by new dimensions in front and then by expand."""
    for _ in range(len(shape) - tensor.dim()):
        tensor = tensor.unsqueeze(0)
    return tensor.expand(shape)


def summed_to(gradient, shape):
    """The gradient summed over every dimension along which an operand was stretched."""
    leading = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(leading)))
    stretched = tuple(n for n, side in enumerate(shape) if side == 1 != gradient.shape[n])
    return gradient.sum(axis=stretched, keepdims=True)


@law("broadcasting.expanded", docs=DOCS, over=OPERATORS)
@given(drawn=operands())
def test_expanded(target, case, drawn):
    """Operands are broadcast as if each were expanded to the common shape by hand.

    "If a PyTorch operation supports broadcast, then its Tensor arguments can be automatically
    expanded to be of equal sizes (without making copies of the data)." The shape is NumPy's.
    """
    name, in_numpy, _, _ = case
    x, y, shape = drawn
    expected = in_numpy(compare.to_numpy(x), compare.to_numpy(y))
    implicit = target.run(name, x, y)
    compare.fact(tuple(implicit.shape), shape, "shape")
    compare.close(implicit, expected, bound=0.0, dtype=torch.float64)
    explicit = target.run(name, by_hand(x, shape), by_hand(y, shape))
    compare.close(explicit, expected, bound=0.0, dtype=torch.float64, what="result by hand")


@law("broadcasting.gradient", docs=DOCS, over=OPERATORS)
@given(drawn=operands(), explicit=st.booleans())
def test_gradient(target, case, drawn, explicit):
    """The gradient of an operand that was broadcast is summed over where it was stretched.

    It has the operand's shape; over no elements the sum is 0. So it is if expanded by hand.
    """
    name, _, *rules = case
    x, y, shape = drawn
    leaves = [x.detach().clone().requires_grad_(), y.detach().clone().requires_grad_()]
    given_to = [by_hand(leaf, shape) for leaf in leaves] if explicit else leaves
    result = target.run(name, *given_to)
    cotangent = whole(shape)
    result.backward(cotangent)
    names = {"x": compare.to_numpy(x), "y": compare.to_numpy(y), "g": compare.to_numpy(cotangent)}
    for leaf, rule in zip(leaves, rules, strict=True):
        full = np.broadcast_to(eval(rule, names), shape)
        expected = summed_to(full, tuple(leaf.shape))
        compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="gradient")


@law("broadcasting.in-place-shape", docs=IN_PLACE, over=WRITES)
@given(drawn=broadcastable_shapes(2))
def test_in_place_shape(target, case, drawn):
    """An in-place operation stretches its operand, and raises where self would be stretched.

    "In-place operations do not allow the in-place tensor to change shape as a result of the
    broadcast." Then neither tensor changes.
    """
    name, in_numpy = case
    for shapes in (drawn.shapes, drawn.shapes[::-1], (drawn.result, drawn.shapes[0])):
        written, operand = (whole(shape) for shape in shapes)
        values, others = compare.to_numpy(written), compare.to_numpy(operand)
        if tuple(written.shape) == drawn.result:
            target.run(name, written, operand)
            expected = np.asarray(in_numpy(values, others))
            compare.close(written, expected, bound=0.0, dtype=torch.float64, what="self")
        else:
            with compare.raises(RuntimeError, "doesn't match the broadcast shape"):
                resolve(name)(written, operand)
            compare.unchanged(written, values, "self after a rejection")
        compare.unchanged(operand, others, "operand")
