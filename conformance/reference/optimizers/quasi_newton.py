"""L-BFGS with steps of fixed length, on objectives that are evaluated with their rounding.

The documentation names the options and minFunc, on which the class is modelled; the directions
are those of Nocedal and Wright, Numerical Optimization, algorithm 7.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from conformance.reference.optimizers.rounding import ROUNDINGS, Array, Rounded, exactly

Objective = Callable[[Rounded], tuple[Rounded, Rounded]]
"""Value and gradient at a point."""

CURVATURE = 1e-10
"""A pair of a step and a change of the gradient counts if their product is above this."""


class Undecided(Exception):
    """Rounding may turn a decision of the algorithm: what follows cannot be told."""


def above(a: Rounded, bound: float) -> bool:
    """Return whether a number is above a bound. Raises :class:`Undecided` if rounding decides."""
    if not abs(a.value - bound) > a.error:
        raise Undecided
    return bool(a.value > bound)


def dot(a: Rounded, b: Rounded) -> Rounded:
    """Return the sum of products of two vectors."""
    product = a * b
    rounding = (ROUNDINGS + product.value.size) * a.unit * np.abs(product.value).sum()
    return Rounded(product.value.sum(), product.error.sum() + rounding, a.unit)


def largest(a: Rounded) -> Rounded:
    """Return the largest absolute value of a vector."""
    return Rounded(np.abs(a.value).max(), a.error.max(), a.unit)


def polynomial(matrix: Array, vector: Array, quartic: float) -> Objective:
    """Return ``x' matrix x / 2 - vector' x + quartic sum x^4 / 4`` for a symmetric matrix."""

    def objective(x: Rounded) -> tuple[Rounded, Rounded]:
        size = np.abs(matrix) @ np.abs(x.value)
        count = ROUNDINGS * (1 + len(vector)) * x.unit
        linear = Rounded(matrix @ x.value, np.abs(matrix) @ x.error + count * size, x.unit)
        cube = x * x * x
        value = dot(x, linear * 0.5 - vector) + dot(cube, x) * (quartic / 4)
        return value, linear - vector + cube * quartic

    return objective


class Memory(NamedTuple):
    """What is kept between iterations: pairs ``(s, y)``, and the last gradient and move."""

    pairs: tuple[tuple[Rounded, Rounded], ...]
    scale: Rounded | float
    gradient: Rounded
    move: Rounded


def direction(gradient: Rounded, memory: Memory) -> Rounded:
    """Return ``-H g``, where H starts from ``scale`` and is updated by each pair."""
    rest, shares = -gradient, []
    for s, y in reversed(memory.pairs):
        share = dot(s, rest) / dot(y, s)
        rest = rest - y * share
        shares.append(share)
    rest = rest * memory.scale
    for (s, y), share in zip(memory.pairs, reversed(shares), strict=True):
        rest = rest + s * (share - dot(y, rest) / dot(y, s))
    return rest


def with_newest(gradient: Rounded, memory: Memory, history_size: int) -> Memory:
    """Return the memory with the newest pair, if its curvature counts."""
    s, y = memory.move, gradient - memory.gradient
    curvature = dot(y, s)
    if not above(curvature, CURVATURE):
        return memory
    pairs = (*memory.pairs[-(history_size - 1) :], (s, y)) if history_size > 1 else ((s, y),)
    return memory._replace(pairs=pairs, scale=curvature / dot(y, y))


def lbfgs(
    objective: Objective, start: Array, options: Mapping[str, Any], steps: int, unit: float
) -> list[Rounded]:
    """Return the point after each step, as far as rounding leaves every decision clear.

    ``theta += t d``, where ``t = lr``, and at the very first iteration
    ``t = lr min(1, 1 / |g|_1)``; ``d = -H g``, by two loops over the last history_size pairs
    ``s = move`` and ``y = change of g``, of those whose ``y s > 1e-10``; ``q = -g``, then for each
    pair from the newest on ``a = s q / (y s)`` and ``q = q - a y``; ``q = (y s / (y y)) q`` by the
    newest pair, and ``d = q + s (a - y q / (y s))`` from the oldest on. A step has at most
    max_iter iterations and max_eval evaluations. It ends where no gradient is above
    tolerance_grad, and where the slope, the move or the change of the value is not above
    tolerance_change. Where line_search_fn is strong_wolfe, a search gives t, of which no more than
    its conditions is promised.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html, which names the
    options and minFunc, on which the class is modelled; the two loops are algorithm 7.4 of Nocedal
    and Wright, Numerical Optimization.
    """
    point, memory, reached = exactly(start, unit), None, []
    try:
        for _ in range(steps):
            point, memory = _step(objective, point, memory, options)
            reached.append(point)
    except Undecided:
        pass
    return reached


def _step(
    objective: Objective, point: Rounded, memory: Memory | None, options: Mapping[str, Any]
) -> tuple[Rounded, Memory | None]:
    value, gradient = objective(point)
    evaluations, least = 1, options["tolerance_change"]
    most = options["max_eval"] or options["max_iter"] * 5 // 4
    if not above(largest(gradient), options["tolerance_grad"]):
        return point, memory
    for iteration in range(1, options["max_iter"] + 1):
        rate: Rounded | float = options["lr"]
        if memory is None:
            way = -gradient
            length = dot(gradient, exactly(np.sign(gradient.value), gradient.unit))
            rate = rate / length if above(length, 1.0) else rate
            memory = Memory((), 1.0, gradient, way * 0.0)
        else:
            memory = with_newest(gradient, memory, options["history_size"])
            way = direction(gradient, memory)
        move = way * rate
        memory = memory._replace(gradient=gradient, move=move)
        if above(dot(gradient, way), -least):
            break
        point = point + move
        if iteration == options["max_iter"]:
            break
        before = value
        value, gradient = objective(point)
        evaluations += 1
        change = value - before
        ended = (
            evaluations >= most
            or not above(largest(gradient), options["tolerance_grad"])
            or not above(largest(move), least)
            or not above(Rounded(abs(change.value), change.error, change.unit), least)
        )
        if ended:
            break
    return point, memory
