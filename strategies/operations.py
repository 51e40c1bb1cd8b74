"""What a line of a random function may be: operations as data, each with its bound.

Texts are Python in which ``xp`` stands for torch or NumPy and ``{a}``, ``{b}`` for operands;
those that both libraries spell the same way are the ones to use.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from packaging.version import Version

from strategies.bounds import Bound, linear, product, smooth
from strategies.shapes import Shape

# A float64 holds 53 bits. The rest is for what laws do to an exact derivative: weigh it with a
# cotangent's entries, sum that, and pass through intermediate cotangents larger than the result's.
EXACT_BITS = 36

# Before torch 2.12 the gradient of the trace of a tall matrix is wrong. Every law that draws a
# function would tell of it: https://github.com/pytorch/pytorch/issues/171704
_TALL_TRACES = Version(torch.__version__).release >= (2, 12)


class Value(NamedTuple):
    """One line's result: name, text, the names it uses, shape, bound, the leaves under it.

    The text may go on with statements that write to the value in place.
    """

    name: str
    text: str
    uses: tuple[str, ...]
    shape: Shape
    bound: Bound
    depends: frozenset[int]


class Operation(NamedTuple):
    """One kind of line: text with ``{a}``, ``{b}``; legality, shape and bound of the result.

    ``then`` is a statement that writes in place to the result, ``{v}``; derivatives pass through
    the operands from number ``first_differentiable`` on: others only decide a branch.
    """

    text: str
    arity: int
    legal: Callable[..., bool]
    shape: Callable[..., Shape]
    bound: Callable[..., Bound]
    then: str = ""
    first_differentiable: int = 0


def is_exact(bound: Bound, bits: int = EXACT_BITS) -> bool:
    """Whether value and derivatives are multiples of a power of two that ``bits`` can hold."""
    largest = max(bound.size, bound.slope, bound.curve, 1.0)
    return bound.fraction is not None and largest * 2.0**bound.fraction <= 2.0**bits


def _always(*_: Value) -> bool:
    return True


def _broadcasts(a: Value, b: Value) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a.shape[::-1], b.shape[::-1], strict=False))


def _broadcast(a: Value, b: Value) -> Shape:
    return np.broadcast_shapes(a.shape, b.shape)


def _same(a: Value) -> Shape:
    return a.shape


def _multiplies(a: Value, b: Value) -> bool:
    return len(a.shape) == 2 and len(b.shape) in (1, 2) and a.shape[1] == b.shape[0]


def _has_dim(a: Value) -> bool:
    return len(a.shape) >= 1


def _keep(a: Value) -> Bound:
    return a.bound


def _has_rank(rank: int) -> Callable[[Value], bool]:
    return lambda a: len(a.shape) == rank


def _has_trace(a: Value) -> bool:
    """Whether it is a matrix whose trace has the right gradient; the laws on trace judge all."""
    return len(a.shape) == 2 and (_TALL_TRACES or a.shape[0] <= a.shape[1] + 1)


def _either(a: Value, b: Value) -> Bound:
    """Each entry is one of ``a``'s or one of ``b``'s."""
    return linear((a.bound, b.bound), 1, rounds=False)


def _sum_of(terms: Callable[[Value], int]) -> Callable[[Value], Bound]:
    return lambda a: linear((a.bound,), terms(a), rounds=False)


def _joins(a: Value, b: Value) -> bool:
    return len(a.shape) == len(b.shape) >= 1 and a.shape[1:] == b.shape[1:]


def _decides(*operands: Value) -> bool:
    """Operands that are compared must be exact, or rounding could choose the branch."""
    return all(is_exact(operand.bound) for operand in operands)


def _decides_together(a: Value, b: Value) -> bool:
    return _decides(a, b) and _broadcasts(a, b)


def _halved_and_shifted(a: Value) -> Bound:
    half, quarter = Bound(0.5, 0, 0, 0, 0, 1), Bound(0.25, 0, 0, 0, 0, 2)
    return linear((product(a.bound, half), quarter), 2, rounds=False)


POLYNOMIAL: tuple[Operation, ...] = (
    Operation(
        "{a} + {b}", 2, _broadcasts, _broadcast,
        lambda a, b: linear((a.bound, b.bound), 2, rounds=False),
    ),
    Operation("{a} * {b}", 2, _broadcasts, _broadcast, lambda a, b: product(a.bound, b.bound)),
    Operation(
        "{a} - {b}", 2, _broadcasts, _broadcast,
        lambda a, b: linear((a.bound, b.bound), 2, rounds=False),
    ),
    Operation("-{a}", 1, _always, _same, _keep),
    Operation("{a} * {a}", 1, _always, _same, lambda a: product(a.bound, a.bound)),
    Operation(
        "{a} * 0.5 + 0.25", 1, _always, _same,
        _halved_and_shifted,
    ),
    Operation(
        "{a}.sum()", 1, _always, lambda a: (),
        lambda a: linear((a.bound,), prod(a.shape), rounds=False),
    ),
    Operation(
        "{a}.sum(-1)", 1, _has_dim, lambda a: a.shape[:-1],
        lambda a: linear((a.bound,), a.shape[-1], rounds=False),
    ),
    Operation(
        "{a} @ {b}", 2, _multiplies, lambda a, b: (a.shape[0], *b.shape[1:]),
        lambda a, b: product(a.bound, b.bound, a.shape[1]),
    ),
    Operation("{a}.reshape(-1)", 1, _always, lambda a: (prod(a.shape),), _keep),
    Operation("xp.swapaxes({a}, 0, -1)", 1, _has_dim, lambda a: (
        a.shape[-1], *a.shape[1:-1], a.shape[0]) if len(a.shape) > 1 else a.shape, _keep),
    Operation("{a}[0]", 1, _has_dim, lambda a: a.shape[1:], _keep),
    Operation(
        "{a}[..., [0, -1, 0]]", 1, _has_dim, lambda a: (*a.shape[:-1], 3),
        _keep,
    ),
    Operation("xp.flip({a}, (0,))", 1, _has_dim, _same, _keep),
    Operation("{a}[..., None]", 1, lambda a: len(a.shape) < 3, lambda a: (*a.shape, 1), _keep),
    Operation(
        "xp.stack(({a}, {a} + {b}))", 2,
        lambda a, b: _broadcasts(a, b) and _broadcast(a, b) == a.shape and len(a.shape) < 3,
        lambda a, b: (2, *a.shape),
        lambda a, b: linear((a.bound, b.bound), 2, rounds=False),
    ),
    Operation("xp.concatenate(({a}, {b}))", 2, _joins,
              lambda a, b: (a.shape[0] + b.shape[0], *a.shape[1:]), _either),
    Operation("xp.moveaxis({a}, 0, -1)", 1, _has_dim, lambda a: (*a.shape[1:], a.shape[0]), _keep),
    Operation("xp.broadcast_to({a}, {wider})", 1, lambda a: len(a.shape) < 3,
              lambda a: (2, *a.shape), _keep),
    Operation("xp.roll({a}, 1)", 1, _has_dim, _same, _keep),
    Operation("xp.tile({a}, (2,))", 1, _has_dim, lambda a: (*a.shape[:-1], 2 * a.shape[-1]), _keep),
    Operation("{a}[::2]", 1, _has_dim, lambda a: ((a.shape[0] + 1) // 2, *a.shape[1:]), _keep),
    Operation("{a}[:, -1]", 1, _has_rank(2), lambda a: a.shape[:1], _keep),
    Operation("xp.tril({a})", 1, _has_rank(2), _same, _keep),
    Operation("xp.diagonal({a})", 1, _has_rank(2), lambda a: (min(a.shape),), _keep),
    Operation("xp.trace({a})", 1, _has_trace, lambda a: (), _sum_of(lambda a: min(a.shape))),
    Operation("xp.cumsum({a}, 0)", 1, _has_dim, _same, _sum_of(lambda a: a.shape[0])),
    Operation("xp.diff({a})", 1, lambda a: bool(a.shape) and a.shape[-1] > 1,
              lambda a: (*a.shape[:-1], a.shape[-1] - 1), _sum_of(lambda a: 2)),
    Operation("{a}[:, None] * {b}", 2, lambda a, b: len(a.shape) == len(b.shape) == 1,
              lambda a, b: a.shape + b.shape, lambda a, b: product(a.bound, b.bound)),
    Operation("xp.where({a}.real > 0, {a}, -{a})", 1, _decides, _same, _keep),
    Operation("{a} * ({a}.real > 0)", 1, _decides, _same, _keep),
    Operation("xp.where({a}.real > {b}.real, {a}, {b})", 2, _decides_together, _broadcast, _either),
    Operation("xp.where({a}.real > 0.5, {b}, {b} * 0.0)", 2, _decides_together, _broadcast,
              lambda a, b: b.bound, first_differentiable=1),
)  # fmt: skip

IN_PLACE: tuple[Operation, ...] = (
    Operation("{a} * 0.5", 1, _always, _same, _halved_and_shifted, then="{v} += 0.25"),
    Operation("{a} * 1.0", 1, _has_dim, _same, _halved_and_shifted, then="{v}[0] *= 0.5"),
    Operation("{a} * 1.0", 1, _has_dim, _same, _keep, then="{v}[-1] = {v}[0] * 1.0"),
    Operation("{a} * {b}", 2, lambda a, b: _broadcasts(a, b) and a.shape == b.shape, _broadcast,
              lambda a, b: linear((product(a.bound, b.bound), b.bound), 2, rounds=False),
              then="{v} -= {b}"),
)  # fmt: skip
"""Lines that go on to write to their result, through views of it too."""

COMPLEX: tuple[Operation, ...] = (
    Operation("xp.conj({a})", 1, _always, _same, _keep),
    Operation("xp.real({a}) * 1j", 1, _always, _same, _keep),
    Operation("xp.imag({a}) * (1 + 0j)", 1, _always, _same, _keep),
    Operation(
        "{a} * xp.conj({b})", 2, _broadcasts, _broadcast, lambda a, b: product(a.bound, b.bound)
    ),
    Operation("{a} * 0.5j + 0.25", 1, _always, _same, _halved_and_shifted),
)
"""Lines of complex numbers, most of them not holomorphic. Bounds are those of the modulus."""

DOUBLE = Operation(
    "{a} * 2.0", 1, _always, _same, lambda a: product(a.bound, Bound(2, 0, 0, 0, 0, 0))
)
SUM = next(o for o in POLYNOMIAL if o.text == "{a}.sum()")

SMOOTH: tuple[Operation, ...] = (
    Operation("xp.sin({a})", 1, _always, _same, lambda a: smooth(a.bound, 1, 1, 1)),
    Operation("xp.cos({a})", 1, _always, _same, lambda a: smooth(a.bound, 1, 1, 1)),
    Operation("xp.tanh({a})", 1, _always, _same, lambda a: smooth(a.bound, 1, 1, 0.77)),
    Operation(
        "xp.exp({a})", 1, lambda a: a.bound.size <= 4, _same,
        lambda a: smooth(a.bound, *[float(np.exp(a.bound.size))] * 3),
    ),
    Operation(
        "xp.sqrt({a} * {a} + 1)", 1, _always, _same,
        lambda a: smooth(a.bound, a.bound.size + 1, 1, 1),
    ),
    Operation(
        "xp.log({a} * {a} + 1)", 1, _always, _same,
        lambda a: smooth(a.bound, 2 * float(np.log1p(a.bound.size)), 1, 2),
    ),
    Operation(
        "{a} / ({b} * {b} + 1)", 2, _broadcasts, _broadcast,
        lambda a, b: product(a.bound, smooth(b.bound, 1, 0.65, 2)),
    ),
    Operation(
        "1 / (xp.exp(-{a}) + 1)", 1, lambda a: a.bound.size <= 16, _same,
        lambda a: smooth(a.bound, 1, 0.25, 0.1),
    ),
    Operation(
        "{a}.mean()", 1, _always, lambda a: (),
        lambda a: linear((a.bound,), 1, rounds=True),
    ),
    Operation(
        "{a}.mean(-1)", 1, _has_dim, lambda a: a.shape[:-1],
        lambda a: linear((a.bound,), 1, rounds=True),
    ),
    Operation("xp.exp(-({a} * {a}))", 1, _always, _same, lambda a: smooth(a.bound, 1, 0.86, 2)),
    Operation(
        "xp.sinh({a})", 1, lambda a: a.bound.size <= 4, _same,
        lambda a: smooth(a.bound, *[float(np.cosh(a.bound.size))] * 3),
    ),
    Operation(
        "xp.log(xp.exp({a}) + 1)", 1, lambda a: a.bound.size <= 4, _same,
        lambda a: smooth(a.bound, a.bound.size + 1, 1, 0.25),
    ),
    Operation(
        "({a} * {a} + 1) ** -0.5", 1, _always, _same, lambda a: smooth(a.bound, 1, 0.39, 1),
    ),
)  # fmt: skip
