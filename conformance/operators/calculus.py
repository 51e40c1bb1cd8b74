"""Exact derivatives of an operator at a call, from the analytic form of its reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.autograd import forward_ad

from conformance.evidence import tensors_in
from conformance.operators.forms import writable
from conformance.operators.judge import evaluated, operands, wide
from conformance.operators.operator import Call, Operator, replaced
from conformance.reference import derivatives

Array = npt.NDArray[Any]


def differentiable(case: Operator, call: Call) -> list[torch.Tensor]:
    """Return the call's tensors through which derivatives pass, in order."""
    floating = [t for t in tensors_in(call) if t.is_floating_point() or t.is_complex()]
    return [t for number, t in enumerate(floating) if number not in case.constants]


def outputs(case: Operator, call: Call) -> list[Array]:
    """Return the differentiable results that the analytic reference gives."""
    assert case.analytic is not None
    return evaluated(case.analytic, call, operands(call, None))


def along(
    case: Operator, call: Call, leaves: Sequence[bool]
) -> tuple[Callable[..., Array], list[Array]]:
    """Return the operator as a function of its leaves alone, to one flat array, and the leaves."""
    assert case.analytic is not None
    analytic = case.analytic
    chosen = _taking_part(case, call, leaves)
    tensors = list(tensors_in(call))
    places = [next(n for n, t in enumerate(tensors) if t is leaf) for leaf in chosen]
    arrays = operands(call, None)

    def function(*points: Array) -> Array:
        moved = list(arrays)
        for place, point in zip(places, points, strict=True):
            moved[place] = point
        return np.concatenate([r.ravel() for r in evaluated(analytic, call, moved)])

    return function, [arrays[place] for place in places]


def _taking_part(case: Operator, call: Call, leaves: Sequence[bool]) -> list[torch.Tensor]:
    return [t for t, leaf in zip(differentiable(case, call), leaves, strict=True) if leaf]


def with_leaves(
    case: Operator, call: Call, leaves: Sequence[bool]
) -> tuple[Call, list[torch.Tensor]]:
    """Return the call with chosen tensors as leaves that require grad, and those leaves."""
    return requiring_grad(call, _taking_part(case, call, leaves))


def requiring_grad(call: Call, chosen: Sequence[torch.Tensor]) -> tuple[Call, list[torch.Tensor]]:
    """Return the call with some of its tensors as leaves that require grad, and those leaves."""
    return _exchanged(call, chosen, [tensor.detach().requires_grad_() for tensor in chosen])


def with_tangents(
    case: Operator, call: Call, leaves: Sequence[bool], tangents: Sequence[torch.Tensor]
) -> Call:
    """Return the call with chosen tensors as dual numbers, within a dual level.

    An expanded tensor is copied: a tangent in its memory could not hold different values.
    """
    chosen = _taking_part(case, call, leaves)
    primals = [writable(tensor, tuple(tensor.shape)) for tensor in chosen]
    make_dual: Callable[..., torch.Tensor] = forward_ad.make_dual
    duals = [make_dual(p, t) for p, t in zip(primals, tangents, strict=True)]
    return _exchanged(call, chosen, duals)[0]


def moved_to(call: Call, tensors: Sequence[torch.Tensor]) -> Call:
    """Return the call with other tensors."""
    moved: Call = replaced(call, iter(tensors))
    return moved


def _exchanged(
    call: Call, old: Sequence[torch.Tensor], new: Sequence[torch.Tensor]
) -> tuple[Call, list[torch.Tensor]]:
    by_id = {id(tensor): other for tensor, other in zip(old, new, strict=True)}
    return replaced(call, (by_id.get(id(t), t) for t in tensors_in(call))), list(new)


def gradients_of(
    value: torch.Tensor, inputs: list[torch.Tensor], upstream: list[torch.Tensor]
) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """Return the gradients of a number to two lists of leaves; zeros where it has no graph."""
    leaves = [*inputs, *upstream]
    if value.requires_grad:
        found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    else:
        found = tuple(torch.zeros_like(leaf) for leaf in leaves)
    return found[: len(inputs)], found[len(inputs) :]


def inner_product(
    first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
) -> tuple[float, float]:
    """Return the real part of two lists' inner product, and the inner product of their sizes."""
    a, b = (np.concatenate([wide(t).ravel() for t in tensors]) for tensors in (first, second))
    return float(np.real(np.vdot(a, b))), float(np.abs(a) @ np.abs(b))


def flattened(tensors: Sequence[torch.Tensor]) -> Array:
    """Return the values of several tensors as one flat array, wide."""
    return np.concatenate([np.zeros(0), *(wide(tensor).ravel() for tensor in tensors)])


def products(
    case: Operator, jacobians: Sequence[Array], cotangent: Array, dtype: torch.dtype
) -> tuple[list[Array], list[Array]]:
    """Return ``J^T v`` for each leaf, and what rounding in ``dtype`` may add to it.

    An entry sums the products that are not zero: each is off by ``derivative_ulps`` of its
    own size, or by a subnormal number, and each addition by one.
    """
    epsilon, subnormal = torch.finfo(dtype).eps, _smallest(dtype)
    values, bounds = [], []
    for jacobian in jacobians:
        terms = jacobian * cotangent.reshape((-1,) + (1,) * (jacobian.ndim - 1))
        count = np.count_nonzero(terms, axis=0)
        values.append(terms.sum(axis=0))
        sizes = _sizes(case, np.abs(terms).sum(axis=0)) + case.slope * np.abs(cotangent).sum()
        bounds.append((case.derivative_ulps + count) * epsilon * sizes + count * subnormal)
    return values, bounds


def pushed_forward(
    case: Operator, jacobians: Sequence[Array], tangents: Sequence[Array], dtype: torch.dtype
) -> tuple[Array, Array]:
    """Return ``J u`` as a flat array, and what rounding in ``dtype`` may add to it."""
    rows = [j.reshape(len(j), u.size) * u.ravel() for j, u in zip(jacobians, tangents, strict=True)]
    terms = np.concatenate(rows, axis=1)
    count = np.count_nonzero(terms, axis=1)
    margin = (case.derivative_ulps + count) * torch.finfo(dtype).eps
    moved = sum(np.abs(u).sum() for u in tangents)
    sizes = _sizes(case, np.abs(terms).sum(axis=1)) + case.slope * moved
    return terms.sum(axis=1), margin * sizes + count * _smallest(dtype)


def _smallest(dtype: torch.dtype) -> float:
    """The smallest subnormal number, in units of which what is smaller than normal is rounded."""
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps


def _sizes(case: Operator, sizes: Array) -> Array:
    return np.full(sizes.shape, sizes.max(initial=0.0)) if case.normwise else sizes


def curvature(
    case: Operator,
    function: Callable[..., Array],
    points: Sequence[Array],
    cotangent: Array,
    directions: Sequence[Sequence[Array]],
    dtype: torch.dtype,
) -> tuple[float, float]:
    """Return ``u^T H w`` for the Hessian of ``<v, f>``, and the error's bound, by polarization.

    ``4 u^T H w = (u + w)^T H (u + w) - (u - w)^T H (u - w)``. Within the function, values as
    large as the points may cancel.
    """
    first, second = directions
    plus = [u + w for u, w in zip(first, second, strict=True)]
    minus = [u - w for u, w in zip(first, second, strict=True)]
    sum_value, sum_size = derivatives.second_derivative(function, points, plus)
    difference_value, difference_size = derivatives.second_derivative(function, points, minus)
    size = sum_size + difference_size
    largest = max(np.abs(point[np.isfinite(point)]).max(initial=0.0) for point in points)
    integral = 8 * np.finfo(np.float64).eps / derivatives.RADIUS**2 * (size + 2 * largest)
    rounding = 4 * case.derivative_ulps * torch.finfo(dtype).eps
    terms = np.abs(sum_value) + np.abs(difference_value) + 4 * size
    bound = np.abs(cotangent) @ (integral + rounding * terms)
    return float(cotangent @ (sum_value - difference_value)) / 4, float(bound) / 4


def split(flat: Array, originals: Sequence[Array]) -> list[Array]:
    """Return a flat array cut and shaped like others."""
    ends = np.cumsum([original.size for original in originals])[:-1]
    return [
        part.reshape(original.shape)
        for part, original in zip(np.split(flat, ends), originals, strict=True)
    ]
