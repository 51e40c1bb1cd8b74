"""What the tape records: linear maps and products, each with its gradient in the same operations.

An operation computes an array from arrays. Its gradient to each operand is a composition of
operations too, so that a gradient can be recorded and differentiated again. Two of them carry
every view, sum and broadcast: ``gather`` picks elements by position, ``spread`` adds them back,
and each is the other's gradient. A write through a view is ``patch``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Apply = Callable[..., Any]
Gradient = Callable[[Apply, Any, dict[int, Any]], Any]
"""Of a way to apply operations, the result's gradient, and the operands that were saved."""


@dataclass(frozen=True)
class Operation:
    """``forward`` of the operands' arrays, and the gradient to each operand.

    ``reads[i]`` numbers the operands whose values the gradient to operand i is made of: they
    are what has to be saved. ``repeatable`` says what is known of a second pass where nothing
    has to be: True if it succeeds, None if nobody promises it. ``moves`` are operations
    whose gradient may be the same memory as the result's, looked at differently.
    """

    name: str
    forward: Callable[..., Array]
    gradients: tuple[Gradient, ...]
    reads: tuple[tuple[int, ...], ...] = ((),)
    repeatable: bool | None = True
    moves: bool = False


def positions_of(shape: Shape) -> Array:
    """Number the elements of a shape, row by row."""
    return np.arange(prod(shape)).reshape(shape)


def gather(positions: Array, shape: Shape) -> Operation:
    """Elements of an operand of ``shape`` by their positions: every view is one."""
    return Operation(
        "gather",
        lambda x: x.reshape(-1)[positions],
        (lambda apply, g, _: apply(spread(positions, shape), g),),
        moves=True,
    )


def spread(positions: Array, shape: Shape) -> Operation:
    """Add each element to its position in zeros of ``shape``: every sum is one."""

    def forward(x: Array) -> Array:
        result = np.zeros(prod(shape))
        np.add.at(result, positions.reshape(-1), x.reshape(-1))
        return result.reshape(shape)

    gradient: Gradient = lambda apply, g, _: apply(gather(positions, shape), g)  # noqa: E731
    return Operation("spread", forward, (gradient,), moves=True)


def total(shape: Shape) -> Operation:
    """The sum of all elements of an operand of ``shape``."""
    return spread(np.zeros(shape, dtype=int), ())


def sum_over(shape: Shape, axis: int) -> Operation:
    """The sum along one axis of an operand of ``shape``."""
    kept = positions_of(shape[:axis] + shape[axis + 1 :])
    return spread(np.broadcast_to(np.expand_dims(kept, axis), shape), kept.shape)


def reduced(apply: Apply, gradient: Any, shape: Shape) -> Any:
    """Sum a gradient down to the shape of an operand that was broadcast."""
    if gradient.shape == shape:
        return gradient
    return apply(spread(np.broadcast_to(positions_of(shape), gradient.shape), shape), gradient)


def add(a: Shape, b: Shape, factor: float = 1.0) -> Operation:
    """``x + factor * y`` of operands of shapes a and b, broadcast."""

    def to_second(apply: Apply, g: Any, _: dict[int, Any]) -> Any:
        return reduced(apply, g if factor == 1 else apply(scale(factor), g), b)

    return Operation(
        "add", lambda x, y: x + factor * y,
        (lambda apply, g, _: reduced(apply, g, a), to_second),
        reads=((), ()), repeatable=True if abs(factor) == 1 else None, moves=True,
    )  # fmt: skip


def multiply(a: Shape, b: Shape) -> Operation:
    """``x * y`` of operands of shapes a and b, broadcast."""

    def product(apply: Apply, g: Any, other: Any) -> Any:
        return apply(multiply(g.shape, other.shape), g, other)

    return Operation(
        "multiply", lambda x, y: x * y,
        (lambda apply, g, saved: reduced(apply, product(apply, g, saved[1]), a),
         lambda apply, g, saved: reduced(apply, product(apply, g, saved[0]), b)),
        reads=((1,), (0,)), repeatable=None,
    )  # fmt: skip


def matmul() -> Operation:
    """``x @ y`` of two matrices."""

    def transposed(apply: Apply, x: Any) -> Any:
        return apply(gather(positions_of(x.shape).T, x.shape), x)

    return Operation(
        "matmul", lambda x, y: x @ y,
        (lambda apply, g, saved: apply(matmul(), g, transposed(apply, saved[1])),
         lambda apply, g, saved: apply(matmul(), transposed(apply, saved[0]), g)),
        reads=((1,), (0,)), repeatable=None,
    )  # fmt: skip


def scale(factor: float) -> Operation:
    """The operand times a number. Whether the number is saved is nobody's promise."""
    return Operation(
        "scale", lambda x: x * factor, (lambda apply, g, _: apply(scale(factor), g),),
        repeatable=None,
    )  # fmt: skip


def negate() -> Operation:
    """The operand's negative."""
    return Operation("negate", lambda x: -x, (lambda apply, g, _: apply(negate(), g),))


def shift(number: float) -> Operation:
    """The operand plus a number."""
    return Operation("shift", lambda x: x + number, (lambda apply, g, _: g,), moves=True)


def clone() -> Operation:
    """The same values in memory of their own."""
    return Operation("clone", lambda x: x.copy(), (lambda apply, g, _: g,), moves=True)


def constant(values: Array) -> Operation:
    """Values that depend on no operand; those it has get zeros for a gradient."""
    return Operation(
        "constant", lambda *_: values.copy(),
        (lambda apply, g, _: apply(constant(np.zeros(values.shape))),),
    )  # fmt: skip


def overwrite(shape: Shape, source: Shape) -> Operation:
    """The second operand, of shape ``source``, broadcast to ``shape`` in the first one's place."""
    return Operation(
        "overwrite", lambda _, y: np.broadcast_to(y, shape).copy(),
        (lambda apply, g, _: apply(constant(np.zeros(shape))),
         lambda apply, g, _: reduced(apply, g, source)),
        reads=((), ()), moves=True,
    )  # fmt: skip


def patch(positions: Array, part: Shape) -> Operation:
    """The first operand with the elements at ``positions`` replaced by the second's."""

    def forward(whole: Array, new: Array) -> Array:
        result = whole.reshape(-1).copy()
        result[positions] = new
        return result.reshape(whole.shape)

    def to_whole(apply: Apply, g: Any, _: dict[int, Any]) -> Any:
        return apply(patch(positions, part), g, apply(constant(np.zeros(part))))

    return Operation(
        "patch", forward,
        (to_whole, lambda apply, g, _: apply(gather(positions, g.shape), g)),
        reads=((), ()), repeatable=None,
    )  # fmt: skip
