"""How a custom Function is used: by apply of its class, under any name, never by an instance."""

import warnings
from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

EXTENDING = "notes/extending.html#how-to-use"
FUNCTION = "torch.autograd.Function"
PROBLEMS = with_cotangent(polynomials(significant_bits=18), result=result_kind)


def squared(context, x):
    """The square of x, which is saved."""
    context.save_for_backward(x)
    return x * x


def slope(context, cotangent):
    """Twice what was saved, times the cotangent."""
    (x,) = context.saved_tensors
    return 2 * x * cotangent


class Square(torch.autograd.Function):
    """The square, as it is documented to be written."""

    @staticmethod
    def forward(context, x):
        return squared(context, x)

    @staticmethod
    def backward(context, cotangent):
        return slope(context, cotangent)


Plain: Any = type("Plain", (torch.autograd.Function,), {"forward": squared, "backward": slope})
"""The same without the decorators."""


class Heir(Square):
    """One that inherits both."""


def check_gradient(target, function, problem):
    """Compare the gradient through a function that squares with that of the square."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    inner = target.run(f, *leaves)
    result = function(inner)
    result.backward(cotangent)
    upstream = 2 * numpy_of(f)(*f.points) * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


@law("custom-function.plain-methods", docs=FUNCTION, level="should")
@given(problem=PROBLEMS)
def test_plain_methods(target, problem):
    """forward and backward without @staticmethod do what they do with it: apply is of the class."""
    for function in (Square.apply, Plain.apply):
        check_gradient(target, function, problem)


@law("custom-function.node-name", docs="torch.autograd.graph.Node.name", level="should")
@given(problem=PROBLEMS)
def test_node_name(target, problem):
    """A result's grad_fn is named after the Function's class, whatever name apply goes by.

    With Backward appended; that of a subclass after the subclass.
    """
    f, _ = problem
    for owner, name in ((Square, "SquareBackward"), (Heir, "HeirBackward")):
        alias = owner.apply
        check_gradient(target, alias, problem)
        node = alias(target.run(f, *f.leaves(target.device))).grad_fn
        compare.fact((node.name(), type(node).__name__), (name, name), "name of the node")


@law("custom-function.instance-rejected", docs=FUNCTION, level="should")
@given(problem=PROBLEMS, arguments=st.integers(0, 2))
def test_instance_rejected(target, problem, arguments):
    """Calling an instance of a Function raises RuntimeError; apply of its class is the way."""
    f, _ = problem
    x = target.run(f, *f.leaves(target.device))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the instance, which is deprecated
        instance = Square()
        with compare.raises(RuntimeError, "Legacy autograd function with non-static forward"):
            instance(*[x] * arguments)
    check_gradient(target, Square.apply, problem)
