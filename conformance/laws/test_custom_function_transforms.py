"""Custom Functions under transforms: setup_context, forward mode, torch.func, vmap."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.cubic import Cubic, slope
from conformance.target import resolve
from strategies import dyadics, polynomials, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind
from strategies.layouts import WRITABLE

PROBLEMS = with_cotangent(polynomials(significant_bits=12), result=result_kind)
PAGE = "notes/extending.func.html"


@law("custom-function.setup-context", docs="torch.autograd.Function.forward")
@given(problem=PROBLEMS, factor=dyadics())
def test_setup_context(target, problem, factor):
    """setup_context gets a context, all inputs of forward as they are, and forward's output.

    What it saves is what backward reads.
    """
    seen: list[Any] = []

    class Weighted(torch.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(context, inputs, output):
            seen.append((inputs, output))
            context.factor = inputs[1]

        @staticmethod
        def backward(context, cotangent):
            return cotangent * context.factor, None

    f, cotangent = problem
    x = target.run(f, *f.leaves(target.device)).detach().clone().requires_grad_()
    result = Weighted.apply(x, factor)
    compare.fact(len(seen), 1, "calls of setup_context")
    (inputs, output), value = seen[0], factor * compare.to_numpy(x)
    compare.fact((type(inputs), len(inputs), inputs[0] is x), (tuple, 2, True), "inputs")
    compare.fact(inputs[1], factor, "input that is no tensor")
    for tensor in (output, result):
        compare.close(tensor, value, bound=0.0, dtype=torch.float64)
    result.backward(cotangent)
    expected = factor * compare.to_numpy(cotangent)
    compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad")


@law("custom-function.jvp", docs="torch.autograd.Function.jvp")
@given(problem=PROBLEMS)
def test_jvp(target, problem):
    """In forward mode a custom Function's tangent is what its jvp returns.

    With what save_for_forward saved; a plain tensor has no tangent.
    """
    f, direction = problem
    x = target.run(f, *f.leaves(target.device)).detach().clone()
    with forward_ad.dual_level():
        result = Cubic.apply(forward_ad.make_dual(x, direction))
        primal, tangent = forward_ad.unpack_dual(result)
        plain = forward_ad.unpack_dual(Cubic.apply(x)).tangent
    point = numpy_of(f)(*f.points)
    value = (point * point * point * 5 - point * 3) * 0.5
    compare.close(primal, value, bound=0.0, dtype=torch.float64, what="primal")
    expected = compare.to_numpy(direction) * slope(point)
    compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what="tangent")
    compare.fact(plain, None, "tangent of a plain tensor's result")


MATERIALIZE = {"default": None, "on": True, "off": False}


@law(
    "custom-function.jvp-arguments",
    docs="torch.autograd.function.FunctionCtx.set_materialize_grads",
    over=MATERIALIZE,
)
@given(problem=PROBLEMS, first=st.booleans(), factor=dyadics())
def test_jvp_arguments(target, case, problem, first, factor):
    """jvp gets a tangent for each input: zeros for a tensor without one, None for no tensor.

    Or None for either after set_materialize_grads(False).
    """
    seen: list[Any] = []

    class Weighted(torch.autograd.Function):
        @staticmethod
        def forward(context, a, factor, b):
            if case is not None:
                context.set_materialize_grads(case)
            context.factor = factor
            return a * factor + b

        @staticmethod
        def backward(context, cotangent):
            return cotangent * context.factor, None, cotangent

        @staticmethod
        def jvp(context, to_a, to_factor, to_b):
            seen.extend((to_a, to_factor, to_b))
            return to_a * context.factor if first else to_b.clone()

    f, direction = problem
    x = target.run(f, *f.leaves(target.device)).detach().clone()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, direction)
        arguments = (dual, factor, x) if first else (x, factor, dual)
        tangent = forward_ad.unpack_dual(Weighted.apply(*arguments)).tangent
    moved = compare.to_numpy(direction)
    expected = moved * factor if first else moved
    compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what="tangent")
    compare.fact((len(seen), seen[1]), (3, None), "tangent of what is no tensor")
    given_one, other = (seen[0], seen[2]) if first else (seen[2], seen[0])
    compare.close(given_one, moved, bound=0.0, dtype=torch.float64, what="tangent of an input")
    if case is False:
        compare.fact(other, None, "tangent of an input without one")
    else:
        compare.close(other, 0 * moved, bound=0.0, dtype=torch.float64, what="tangent of neither")


TRANSFORMS = {
    "grad": ("torch.func.grad", True, 1),
    "jacrev": ("torch.func.jacrev", False, 1),
    "jacfwd": ("torch.func.jacfwd", False, 1),
    "hessian": ("torch.func.hessian", True, 2),
}


def whole(x):
    """The sum of the cubic."""
    return Cubic.apply(x).sum()


@law("custom-function.func-transforms", docs=PAGE, over=TRANSFORMS)
@given(f=polynomials(significant_bits=12))
def test_func_transforms(target, case, f):
    """A Function with setup_context goes through the transforms of torch.func, exactly."""
    name, scalar, order = case
    x = target.run(f, *f.leaves(target.device)).detach().clone()
    point = numpy_of(f)(*f.points)
    got = resolve(name)(whole if scalar else Cubic.apply)(x)
    derivative = slope(point) if order == 1 else 15 * point
    if name != "torch.func.grad":
        derivative = np.diag(np.ravel(derivative)).reshape(2 * np.shape(point))
    compare.close(got, derivative, bound=0.0, dtype=torch.float64, what="derivative")


class Combined(torch.autograd.Function):
    """Twice its argument, with a context in forward."""

    @staticmethod
    def forward(context, x):
        return x * 2

    @staticmethod
    def backward(context, cotangent):
        return cotangent * 2


def combined_sum(x):
    """The sum of it."""
    return Combined.apply(x).sum()


NEEDING = {
    "grad": ("torch.func.grad", combined_sum),
    "vmap": ("torch.func.vmap", Combined.apply),
    "vjp": ("torch.func.jacrev", Combined.apply),
}


@law("custom-function.needs-setup-context", docs=PAGE, over=NEEDING)
@given(f=polynomials(max_leaves=1))
def test_needs_setup_context(target, case, f):
    """A transform of a Function whose forward takes the context raises; without one it works."""
    name, function = case
    x = torch.stack([target.run(f, *f.leaves(target.device)).detach()] * 2)
    with compare.raises(RuntimeError, "must override the setup_context"):
        resolve(name)(function)(x)
    value = 2 * np.stack([numpy_of(f)(*f.points)] * 2)
    compare.close(Combined.apply(x), value, bound=0.0, dtype=torch.float64)


@law("custom-function.vmap", docs="torch.autograd.Function.vmap")
@given(
    a=tensors(dtype=torch.float64, shape=(2, 3)),
    b=tensors(dtype=torch.float64, shape=(2, 3)),
    dims=st.sampled_from([(0, 0), (1, 1), (0, None), (None, 0), (1, None)]),
    out=st.integers(0, 1),
    randomness=st.sampled_from(["error", "same", "different"]),
)
def test_vmap(target, a, b, dims, out, randomness):
    """vmap calls the Function's vmap: the batch size, the randomness, which dimension is mapped.

    None for an argument that is not mapped; what it returns with its out_dim is the result.
    """
    seen: list[Any] = []

    class Weighted(torch.autograd.Function):
        @staticmethod
        def forward(a, factor, b):
            return a * factor + b

        @staticmethod
        def setup_context(context, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, a, factor, b):
            seen.append((info.batch_size, info.randomness, tuple(in_dims)))
            first, second = (
                t.unsqueeze(0) if dim is None else t.movedim(dim, 0)
                for t, dim in ((a, in_dims[0]), (b, in_dims[2]))
            )
            return (first * factor + second).movedim(0, out), out

    # A row of each where it is not mapped, so that rows of both have the same length.
    along = 1 if 1 in dims else 0
    mapped = [t.select(along, 0) if dim is None else t for t, dim in zip((a, b), dims, strict=True)]
    in_dims = (dims[0], None, dims[1])
    got = torch.func.vmap(Weighted.apply, in_dims=in_dims, randomness=randomness)(
        mapped[0], 2.0, mapped[1]
    )
    size = (2, 3)[along]
    compare.fact(seen, [(size, randomness, in_dims)], "what the Function's vmap got")
    values = [compare.to_numpy(t) for t in mapped]
    rows = [
        [v if dim is None else v.take(row, dim) for v, dim in zip(values, dims, strict=True)]
        for row in range(size)
    ]
    expected = np.stack([2 * x + y for x, y in rows])
    compare.close(got, expected, bound=0.0, dtype=torch.float64)


class Spread(torch.autograd.Function):
    """``x * sum(x)``: every element of a result depends on all elements of its argument."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x.sum()

    @staticmethod
    def setup_context(context, inputs, output):
        context.save_for_backward(*inputs)
        context.save_for_forward(*inputs)

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return cotangent * x.sum() + (cotangent * x).sum()

    @staticmethod
    def jvp(context, tangent):
        (x,) = context.saved_tensors
        return tangent * x.sum() + x * tangent.sum()


def spread_sum(x):
    """The sum of it, which is the square of the sum."""
    return Spread.apply(x).sum()


@law("custom-function.vmap-rule", docs=PAGE)
@given(
    x=tensors(dtype=torch.float64, shape=(2, 3, 2), layouts=WRITABLE),
    dims=st.permutations(range(3)),
)
def test_vmap_rule(target, x, dims):
    """With generate_vmap_rule=True vmap maps forward, backward and jvp like a loop.

    Also twice, and under torch.func.grad: a gradient for each element of the batch.
    """
    outer, inner = dims[0], dims[1] - (dims[1] > dims[0])
    values = np.moveaxis(compare.to_numpy(x), (dims[0], dims[1]), (0, 1))
    sums = values.sum(axis=2, keepdims=True)
    mapped = torch.func.vmap(torch.func.vmap(Spread.apply, in_dims=inner), in_dims=outer)
    compare.close(mapped(x), values * sums, bound=0.0, dtype=torch.float64)
    per_row = torch.func.vmap(torch.func.grad(spread_sum), in_dims=inner)
    gradients = torch.func.vmap(per_row, in_dims=outer)(x)
    expected = 2 * sums + 0 * values
    compare.close(gradients, expected, bound=0.0, dtype=torch.float64, what="gradients")
    tangent: Any = torch.func.jvp(mapped, (x,), (torch.ones_like(x),))[1]
    expected = sums + values.shape[2] * values
    compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what="tangent")


class Unmapped(Spread):
    """A Function with neither way to be mapped."""

    generate_vmap_rule = False


class Twice(Spread):
    """A Function with both ways to be mapped."""

    @staticmethod
    def vmap(info, in_dims, x):
        return x, in_dims[0]


REJECTED = {
    "neither": (Unmapped, "does not have vmap support"),
    "both": (Twice, "it has both generate_vmap_rule=True and an overridden vmap"),
}


@law("custom-function.vmap-rejected", docs="torch.autograd.Function.vmap", over=REJECTED)
@given(x=tensors(dtype=torch.float64, shape=(2, 3)))
def test_vmap_rejected(target, case, x):
    """vmap of a Function with neither vmap nor generate_vmap_rule=True raises, and with both.

    Without vmap the Function works.
    """
    function, message = case
    with compare.raises(RuntimeError, message):
        torch.func.vmap(function.apply)(x)
    values = compare.to_numpy(x)
    got = function.apply(x)
    compare.close(got, values * values.sum(), bound=0.0, dtype=torch.float64)
