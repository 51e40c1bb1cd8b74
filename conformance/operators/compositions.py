"""Second derivatives of an operator by each composition of forward and reverse mode that nests.

Each gives two lists of tensors, whose inner product is ``u^T H w`` for the Hessian H of ``<v, f>``.
Tensors are contiguous here: whether memory matters is asked of each mode by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from conformance.evidence import tensors_in
from conformance.operators import judge
from conformance.operators.calculus import differentiable, moved_to
from conformance.operators.operator import Call, Operator

Tensors = tuple[torch.Tensor, ...]
Mapped = Callable[..., Tensors]
Halves = tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]


def function_of(run: Callable[..., Any], case: Operator, call: Call) -> tuple[Mapped, Tensors]:
    """Return the operator as a function of its differentiable tensors, and copies of those.

    It returns the results through which derivatives pass.
    """
    points = differentiable(case, call)

    def function(*moved: torch.Tensor) -> Tensors:
        by_id = {id(old): new for old, new in zip(points, moved, strict=True)}
        shifted = moved_to(call, [by_id.get(id(tensor), tensor) for tensor in tensors_in(call)])
        results = judge.listed(run(case.name, *shifted.arguments, **shifted.keywords))
        return tuple(r for r in results if r.is_floating_point() or r.is_complex())

    return function, copied(points)


def copied(tensors: Sequence[torch.Tensor]) -> Tensors:
    """Return contiguous copies."""
    return tuple(torch.clone(t, memory_format=torch.contiguous_format) for t in tensors)


def _pushed(function: Mapped, directions: Tensors) -> Mapped:
    """Return the derivative along directions, in forward mode."""
    return lambda *points: torch.func.jvp(function, points, directions)[1]


def _pulled(function: Mapped, cotangents: Tensors) -> Mapped:
    """Return the gradients for cotangents, in reverse mode."""
    return lambda *points: torch.func.vjp(function, *points)[1](cotangents)


def forward_over_forward(f: Mapped, points: Tensors, v: Tensors, u: Tensors, w: Tensors) -> Halves:
    """Differentiate the tangent along w once more along u."""
    return v, _pushed(_pushed(f, w), u)(*points)


def forward_over_reverse(f: Mapped, points: Tensors, v: Tensors, u: Tensors, w: Tensors) -> Halves:
    """Differentiate the gradient along u."""
    return w, _pushed(_pulled(f, v), u)(*points)


def reverse_over_forward(f: Mapped, points: Tensors, v: Tensors, u: Tensors, w: Tensors) -> Halves:
    """Return the gradients of the tangent along w."""
    return u, _pulled(_pushed(f, w), v)(*points)


OVER_FORWARD: Mapping[str, Callable[..., Halves]] = {
    "forward": forward_over_forward,
    "reverse": reverse_over_forward,
}
