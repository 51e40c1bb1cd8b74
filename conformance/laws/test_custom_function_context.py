"""The context of a custom Function: saved tensors, marks, and what is checked of them."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import dyadics, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=18), result=result_kind)
CONTEXT = "torch.autograd.function.FunctionCtx."


class Square(torch.autograd.Function):
    """``x * x``; saves what ``kept`` names: its input, its output, or a tensor of its own."""

    @staticmethod
    def forward(context, x, kept):
        result = x * x
        saved = {"input": x, "output": result, "neither": x * 2}[kept]
        context.kept = kept
        context.save_for_backward(None, saved)
        return result

    @staticmethod
    def backward(context, cotangent):
        nothing, saved = context.saved_tensors
        slope = {"input": 2 * saved, "output": 2 * saved.sqrt(), "neither": saved}[context.kept]
        return cotangent * slope if nothing is None else nothing, None


KEPT = {"input": "input", "output": "output", "neither": "neither"}


def positive(f):
    """The function's values made positive powers of two, so that roots of squares are exact."""
    return 2.0 ** np.clip(np.round(numpy_of(f)(*f.points)), -8, 8)


@law("custom-function.saved-kinds", docs=f"{CONTEXT}save_for_backward", over=KEPT)
@given(problem=PROBLEMS, times=st.integers(1, 3))
def test_saved_kinds(target, case, problem, times):
    """What is saved comes back with the values it had: inputs, outputs, intermediates, None.

    In every pass through a retained graph. After the last one access to it raises.
    """
    f, cotangent = problem
    point = positive(f)
    x = torch.tensor(point, device=target.device, requires_grad=True)
    result = Square.apply(x, case)
    for _ in range(times):
        result.backward(cotangent, retain_graph=True)
    result.backward(cotangent)
    with compare.raises(RuntimeError, "Trying to backward through the graph a second time"):
        result.backward(cotangent)
    expected = (times + 1) * 2 * point * compare.to_numpy(cotangent)
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad")


MODIFIED = {"input": "input", "output": "output", "view-of-the-input": "view"}


@law("custom-function.saved-modified", docs=f"{CONTEXT}save_for_backward", over=MODIFIED)
@given(problem=PROBLEMS, same=st.booleans())
def test_saved_modified(target, case, problem, same):
    """If a saved tensor was modified in place since, reading it in backward raises.

    Whatever wrote to it, also with the same values, and through a view. A Function that was
    applied to what was not modified still works, and no .grad has changed.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves) * 1
    untouched = Square.apply(target.run(f, *leaves), "input")
    result = Square.apply(x, "output" if case == "output" else "input")
    written = {"input": x, "output": result, "view": x[...]}[case]
    with torch.no_grad():
        written.add_(0 if same else 1)
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        result.backward(cotangent)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    untouched.backward(cotangent)
    gradient = 2 * numpy_of(f)(*f.points) * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


@law("custom-function.saved-hooks", docs="torch.autograd.graph.saved_tensors_hooks")
@given(problem=PROBLEMS)
def test_saved_hooks(target, problem):
    """What a Function saves goes through saved_tensors_hooks, once in and once out a pass.

    What unpacking returns is what backward gets.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves)
    events = []

    def pack(tensor):
        events.append("pack")
        return tensor.detach() * 4

    def unpack(packed):
        events.append("unpack")
        return packed * 2

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = Square.apply(x, "input")
    for _ in range(2):
        result.backward(cotangent, retain_graph=True)
    compare.fact(events, ["pack", "unpack", "unpack"], "hooks called")
    gradient = 2 * 8 * 2 * numpy_of(f)(*f.points) * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


def saves_number(context, x):
    """Save a number for backward."""
    context.save_for_backward(2.0)


def saves_number_for_forward(context, x):
    """Save a number for jvp."""
    context.save_for_forward(2.0)


def marks_number(context, x):
    """Mark a number as written to."""
    context.mark_dirty(2.0)


def marks_number_out(context, x):
    """Mark a number as not differentiable."""
    context.mark_non_differentiable(2.0)


def marks_unreturned(context, x):
    """Mark as written to what is not returned."""
    context.mark_dirty(x)


MISUSES = {
    "save": (saves_number, "save_for_backward", TypeError, "can only save variables"),
    "save-forward": (
        saves_number_for_forward,
        "save_for_forward",
        AssertionError,
        "expects all arguments to be tensors",
    ),
    "dirty": (marks_number, "mark_dirty", RuntimeError, "mark_dirty can only accept variables"),
    "not-differentiable": (
        marks_number_out,
        "mark_non_differentiable",
        RuntimeError,
        "mark_non_differentiable only accepts variable arguments",
    ),
    "dirty-not-returned": (
        marks_unreturned,
        "mark_dirty",
        RuntimeError,
        "inputs that are modified inplace must all be outputs",
    ),
}


class Misusing(torch.autograd.Function):
    """Twice its argument, after something was done to the context."""

    @staticmethod
    def forward(context, x, misuse):
        if misuse is not None:
            misuse(context, x)
        return x * 2

    @staticmethod
    def backward(context, cotangent):
        return cotangent * 2, None


@law("custom-function.misuse", docs=lambda case: CONTEXT + case[1], level="should", over=MISUSES)
@given(problem=PROBLEMS)
def test_misuse(target, case, problem):
    """Saving or marking what is no tensor, or no output, raises when the Function is applied.

    The same Function without it works before and after.
    """
    misuse, _, error, message = case
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves) * 1
    Misusing.apply(x, None).backward(cotangent, retain_graph=True)
    with compare.raises(error, message):
        Misusing.apply(x, misuse)
    Misusing.apply(x, None).backward(cotangent)
    gradient = 2 * 2 * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


class Scale(torch.autograd.Function):
    """``x * factor`` by an attribute of the context; in place where asked for."""

    @staticmethod
    def forward(context, x, factor, in_place):
        context.factor = factor
        if not in_place:
            return x * factor
        context.mark_dirty(x)
        x.data.mul_(factor)  # which the version counter does not see: marking makes it count
        return x

    @staticmethod
    def backward(context, cotangent):
        return cotangent * context.factor, None, None


@law("custom-function.own-context", docs="torch.autograd.Function.forward")
@given(
    f=polynomials(scalar=True, significant_bits=18),
    factors=st.lists(dyadics(), min_size=1, max_size=3),
    backwards=st.booleans(),
)
def test_own_context(target, f, factors, backwards):
    """Each application has a context of its own, in whatever order backward comes to it."""
    leaves = f.leaves(target.device)
    root = target.run(f, *leaves)
    results = [Scale.apply(root, factor, False) for factor in factors]
    total = 0.0
    gradients = derivatives.gradient(numpy_of(f), f.points)
    for number in range(len(factors))[:: -1 if backwards else 1]:
        results[number].backward(retain_graph=True)
        total += factors[number]
        compare.gradients(leaves, [total * g for g in gradients], f.reaches)


@law("custom-function.mark-dirty", docs=f"{CONTEXT}mark_dirty")
@given(problem=PROBLEMS, factor=dyadics())
def test_mark_dirty(target, problem, factor):
    """A Function that writes to its input and marks it returns it: the same tensor, a new history.

    The gradient goes through its backward, and the version counter counts one. What had been
    computed from the old values, and needs them, raises in backward.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves) * 1
    before = x * x
    version = x._version
    result = Scale.apply(x, factor, True)
    compare.fact((result is x, x._version - version), (True, 1), "the same tensor, writes counted")
    compare.close(x, factor * numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        before.backward(cotangent)
    x.backward(cotangent)
    gradient = factor * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


@law("custom-function.mark-dirty-leaf", docs=f"{CONTEXT}mark_dirty")
@given(factor=dyadics())
def test_mark_dirty_leaf(target, factor):
    """A Function that marks a leaf which requires grad as written to raises.

    A leaf that requires none is fine, and so is the result of a computation.
    """
    plain = torch.ones(2, device=target.device)
    compare.fact(Scale.apply(plain, factor, True) is plain, True, "the same tensor")
    leaf = torch.ones(2, device=target.device, requires_grad=True)
    Scale.apply(leaf * 1, factor, True).sum().backward()
    with compare.raises(RuntimeError, "a leaf Variable that requires grad"):
        Scale.apply(leaf, factor, True)
    expected = torch.full((2,), factor).numpy()
    compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float32, what="grad")


@law("custom-function.non-differentiable", docs=f"{CONTEXT}mark_non_differentiable")
@given(problem=PROBLEMS, first=st.booleans())
def test_non_differentiable(target, problem, first):
    """Outputs marked as not differentiable require no grad; backward gets zeros for them.

    So does an output of integers that was not marked: it cannot require grad.
    """
    seen: list[Any] = []

    class Marked(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            double, marked, whole = x * 2, x * 3, x.round().long()
            also = x.sum()
            context.mark_non_differentiable(marked, also)
            return (marked, double, whole, also) if first else (double, marked, whole, also)

        @staticmethod
        def backward(context, *cotangents):
            seen.extend(cotangents)
            return cotangents[1 if first else 0] * 2

    f, cotangent = problem
    leaves = f.leaves(target.device)
    outputs = Marked.apply(target.run(f, *leaves))
    differentiable = 1 if first else 0
    flags = tuple(output.requires_grad for output in outputs)
    expected = tuple(number == differentiable for number in range(4))
    compare.fact(flags, expected, "requires_grad of the outputs")
    outputs[differentiable].backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    wanted = [upstream * (n == differentiable) for n in range(2)]
    for got, want in zip(seen[:2], wanted, strict=True):
        compare.close(got, want, bound=0.0, dtype=torch.float64, what="cotangent")
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, 2 * upstream), f.reaches)


UPSTREAM = {"that-requires-grad": True, "that-is-constant": False}


@law(
    "custom-function.once-differentiable",
    docs="notes/extending.html#how-to-use",
    over=UPSTREAM,
)
@given(f=polynomials(scalar=True, significant_bits=18))
def test_once_differentiable(target, case, f):
    """With once_differentiable the first derivative is right, and taking a second one raises.

    Whether the upstream gradient requires grad or is a constant.
    """

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, cotangent):
            (x,) = context.saved_tensors
            return 2 * cotangent * x

    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    root = target.run(f, *leaves)
    square = Once.apply(root)
    if case:
        square = square * (root.detach() * 0 + 1).requires_grad_()
    (first,) = torch.autograd.grad(square, [x], create_graph=True)
    gradient = derivatives.gradient(numpy_of(f), f.points)[f.reaches.index(True)]
    expected = 2 * numpy_of(f)(*f.points) * gradient
    compare.close(first, expected, bound=0.0, dtype=torch.float64, what="first derivative")
    with compare.raises(RuntimeError, "marked with @once_differentiable"):
        ((first * x).sum() + x.sum()).backward()


@law("custom-function.returns-input", docs="torch.autograd.Function.forward", level="should")
@given(problem=PROBLEMS, viewed=st.booleans(), beside=st.booleans())
def test_returns_input(target, problem, viewed, beside):
    """A Function that returns its input as it is returns a view of it, with its own backward.

    Alone or beside another result. Writing to that view in place raises: it would override the
    backward.
    """

    class Unchanged(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            same = x.unsqueeze(0) if viewed else x
            return (x * 2, same) if beside else same

        @staticmethod
        def backward(context, *cotangents):
            same = cotangents[-1]
            return (same.squeeze(0) if viewed else same) * 3

    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = target.run(f, *leaves)
    results = Unchanged.apply(x)
    result = results[-1] if beside else results
    compare.fact((result is x, result.data_ptr() == x.data_ptr()), (False, True), "a view")
    with compare.raises(RuntimeError, "is a view and is being modified inplace"):
        result.mul_(2)
    result.backward(cotangent.unsqueeze(0) if viewed else cotangent)
    gradient = 3 * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)
