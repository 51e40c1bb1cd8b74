"""Derivatives of operators: reverse, forward and second, each against the exact one."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.evidence import tensors_in
from conformance.law import given, law
from conformance.operators import calculus, compositions, excluding, judge, page
from conformance.operators.problems import (
    adjoint_problems,
    jvp_problems,
    second_problems,
    value_calls,
    vjp_problems,
)
from conformance.reference import derivatives


def is_differentiable(operator):
    return operator.analytic is not None and any(d.is_floating_point for d in operator.supported)


def is_differentiable_twice(operator):
    return is_differentiable(operator) and bool(
        {torch.float32, torch.float64} & {*operator.supported}
    )


def is_complex(operator):
    return operator.analytic is not None and torch.complex128 in operator.supported


def is_constant(operator):
    return operator.analytic is None and "vjp" not in operator.excused


def smooth_results(results):
    found = judge.listed(results)
    return [r for r in found if r.is_floating_point() or r.is_complex()]


@law("operators.vjp", docs=page, over=excluding("vjp", is_differentiable))
@given(problem=vjp_problems)
def test_vjp(target, case, problem):
    """The gradient to each input is J^T v for the exact Jacobian J, whatever v and its memory.

    For every subset of the inputs that requires grad. J comes from complex steps on the
    reference; in each dtype, the bound is a few units in the last place of the products summed.
    """
    call, leaves, cotangents = problem
    traced, inputs = calculus.with_leaves(case, call, leaves)
    results = smooth_results(target.run(case.name, *traced.arguments, **traced.keywords))
    compare.fact([r.requires_grad for r in results], [any(leaves)] * len(cotangents), "requires")
    if not any(leaves):
        return
    before = [compare.to_numpy(cotangent) for cotangent in cotangents]
    gradients = torch.autograd.grad(results, inputs, cotangents)
    function, points = calculus.along(case, call, leaves)
    jacobians = derivatives.jacobian(function, points)
    cotangent, dtype = calculus.flattened(cotangents), inputs[0].dtype
    expected, bounds = calculus.products(case, jacobians, cotangent, dtype)
    for number, gradient in enumerate(gradients):
        what = f"gradient to leaf {number}"
        compare.close(gradient, expected[number], bound=bounds[number], dtype=dtype, what=what)
    for cotangent, values in zip(cotangents, before, strict=True):
        compare.unchanged(cotangent, values, "cotangent")


@law("operators.jvp", docs=page, over=excluding("jvp", is_differentiable_twice), dear=True)
@given(problem=jvp_problems)
def test_jvp(target, case, problem):
    """Forward mode gives J u for the exact Jacobian J, whatever the tangent u and its memory.

    With J^T v in reverse mode exact as well, the two are adjoint: <v, J u> = <J^T v, u>.
    """
    call, leaves, tangents = problem
    function, points = calculus.along(case, call, leaves)
    with forward_ad.dual_level():
        dual = calculus.with_tangents(case, call, leaves, tangents)
        results = smooth_results(target.run(case.name, *dual.arguments, **dual.keywords))
        parts = [forward_ad.unpack_dual(result) for result in results]
    jacobians, moves = derivatives.jacobian(function, points), [judge.wide(t) for t in tangents]
    expected, bound = calculus.pushed_forward(case, jacobians, moves, tangents[0].dtype)
    shapes = [np.zeros(tuple(result.shape)) for result in results]
    compare.fact(sum(shape.size for shape in shapes), expected.size, "number of values")
    values, margins = calculus.split(expected, shapes), calculus.split(bound, shapes)
    for part, value, margin in zip(parts, values, margins, strict=True):
        tangent = torch.zeros_like(part.primal) if part.tangent is None else part.tangent
        compare.close(tangent, value, bound=margin, dtype=part.primal.dtype, what="tangent")


@law("operators.adjoint", docs=page, over=excluding("adjoint", is_complex), dear=True)
@given(problem=adjoint_problems)
def test_adjoint(target, case, problem):
    """For complex inputs, reverse and forward mode are adjoint: Re <v, J u> = Re <J^H v, u>.

    torch's convention for the gradient of complex numbers makes this so
    (https://docs.pytorch.org/docs/stable/notes/autograd.html#autograd-for-complex-numbers).
    """
    call, cotangents, tangents = problem
    leaves = [True] * len(tangents)
    traced, inputs = calculus.with_leaves(case, call, leaves)
    results = smooth_results(target.run(case.name, *traced.arguments, **traced.keywords))
    gradients = torch.autograd.grad(results, inputs, cotangents)
    with forward_ad.dual_level():
        dual = calculus.with_tangents(case, call, leaves, tangents)
        moved = smooth_results(target.run(case.name, *dual.arguments, **dual.keywords))
        pushed = [forward_ad.unpack_dual(result).tangent for result in moved]
    forward, forward_size = calculus.inner_product(cotangents, pushed)
    reverse, reverse_size = calculus.inner_product(gradients, tangents)
    epsilon = torch.finfo(inputs[0].dtype).eps
    bound = 4 * case.derivative_ulps * epsilon * (forward_size + reverse_size)
    difference = torch.tensor(forward - reverse, dtype=torch.float64)
    what = "Re <v, J u> - Re <J^H v, u>"
    compare.close(difference, np.zeros(()), bound=bound, dtype=torch.float64, what=what)


@law(
    "operators.second-derivative",
    docs=page,
    over=excluding("second-derivative", is_differentiable_twice),
    dear=True,
)
@given(problem=second_problems)
def test_second_derivative(target, case, problem):
    """Differentiating the gradient J^T v once more gives u^T H w for the inputs and J w for v.

    H is the Hessian of <v, f>, along two drawn directions; exact to the error of Cauchy's
    integral on the reference and of rounding.
    """
    call, cotangents, first, second = problem
    leaves = [True] * len(first)
    traced, inputs = calculus.with_leaves(case, call, leaves)
    upstream = [cotangent.detach().requires_grad_() for cotangent in cotangents]
    results = smooth_results(target.run(case.name, *traced.arguments, **traced.keywords))
    gradients = torch.autograd.grad(results, inputs, upstream, create_graph=True)
    projected = sum((g * w).sum() for g, w in zip(gradients, second, strict=True))
    to_inputs, to_upstream = calculus.gradients_of(projected, inputs, upstream)
    function, points = calculus.along(case, call, leaves)
    directions = [[judge.wide(t) for t in tangents] for tangents in (first, second)]
    cotangent, dtype = calculus.flattened(cotangents), inputs[0].dtype
    expected, bound = calculus.curvature(case, function, points, cotangent, directions, dtype)
    measured, size = calculus.inner_product(to_inputs, first)
    bound += 8 * case.derivative_ulps * torch.finfo(dtype).eps * size
    curvature = torch.tensor(measured, dtype=torch.float64)
    compare.close(curvature, np.array(expected), bound=bound, dtype=torch.float64, what="u^T H w")
    jacobians = derivatives.jacobian(function, points)
    pushed, margin = calculus.pushed_forward(case, jacobians, directions[1], dtype)
    flat = torch.from_numpy(calculus.flattened(to_upstream))
    compare.close(flat, pushed, bound=margin, dtype=torch.float64, what="J w")


def check_curvature(target, case, problem, composition):
    call, cotangents, first, second = problem
    operator, inputs = compositions.function_of(target.run, case, call)
    tensors = [compositions.copied(part) for part in (cotangents, first, second)]
    halves = composition(operator, inputs, *tensors)
    measured, size = calculus.inner_product(*halves)
    function, points = calculus.along(case, call, [True] * len(inputs))
    directions = [[judge.wide(t) for t in tangents] for tangents in (first, second)]
    cotangent, dtype = calculus.flattened(cotangents), inputs[0].dtype
    expected, bound = calculus.curvature(case, function, points, cotangent, directions, dtype)
    bound += 8 * case.derivative_ulps * torch.finfo(dtype).eps * size
    curvature = torch.tensor(measured, dtype=torch.float64)
    compare.close(curvature, np.array(expected), bound=bound, dtype=torch.float64, what="u^T H w")


def nested(law_name):
    """The operators judged in forward mode and twice, but for those excused from a law."""
    judged = excluding("second-derivative", is_differentiable_twice)
    needed = {"jvp", law_name}
    return {key: entry for key, entry in judged.items() if not needed & {*entry.excused}}


@law(
    "operators.forward-over-reverse",
    docs="torch.func.jvp",
    over=nested("forward-over-reverse"),
    dear=True,
)
@given(problem=second_problems)
def test_forward_over_reverse(target, case, problem):
    """Forward mode over the gradient J^T v gives u^T H w, for the Hessian H of <v, f>."""
    check_curvature(target, case, problem, compositions.forward_over_reverse)


@law("operators.over-forward", docs="torch.func.jvp", over=nested("over-forward"), dear=True)
@given(
    problem=second_problems,
    composition=st.sampled_from([*compositions.OVER_FORWARD]),
)
def test_over_forward(target, case, problem, composition):
    """Differentiating the tangent J w once more, in either mode, gives u^T H w.

    H is the Hessian of <v, f>, as in reverse over reverse: transforms compose.
    """
    check_curvature(target, case, problem, compositions.OVER_FORWARD[composition])


@law("operators.constant", docs=page, over=excluding("constant", is_constant))
@given(call=value_calls)
def test_constant(target, case, call):
    """Results that are not differentiable never require grad, though the inputs do."""
    leaves = [t for t in tensors_in(call) if t.is_floating_point() or t.is_complex()]
    traced, _ = calculus.requiring_grad(call, leaves)
    results = judge.listed(target.run(case.name, *traced.arguments, **traced.keywords))
    compare.fact([r.requires_grad for r in results], [False] * len(results), "requires_grad")
