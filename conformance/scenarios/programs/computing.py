"""Moves that make tensors: leaves, operations, views."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from conformance.reference import tape_operations as operations
from conformance.reference.tape_operations import Operation, Shape
from conformance.reference.tape_tensors import Geometry, Tensor, Window, is_contiguous
from conformance.scenarios.programs.writer import Picks, Plan, Writer, literal, numbers

SHAPES: tuple[Shape, ...] = ((2,), (2, 2), (), (2, 3), (3,), (1,), (2, 2), (3, 1), (1, 2))


def leaf(writer: Writer, picks: Picks) -> Plan:
    """A tensor from numbers; three of four require grad."""
    values = numbers(picks.option, SHAPES[picks.first % len(SHAPES)])
    requires_grad = picks.second < 192 and not writer.tape.mode.inference
    (name,) = writer.new()
    text = f"{name} = {literal(values, requires_grad=requires_grad)}"
    return Plan(text, lambda: writer.tape.leaf(values, requires_grad), (name,))


class Unary(NamedTuple):
    """A statement's right side, the shapes it is for, and what it does."""

    text: str
    legal: Callable[[Shape], bool]
    operation: Callable[[Shape], Operation]


def _any(_: Shape) -> bool:
    return True


UNARY = (
    Unary("{a} * 2.0", _any, lambda _: operations.scale(2.0)),
    Unary("{a}.sum()", _any, operations.total),
    Unary("-{a}", _any, lambda _: operations.negate()),
    Unary("{a} + 1.0", _any, lambda _: operations.shift(1.0)),
    Unary("{a}.clone()", _any, lambda _: operations.clone()),
    Unary("{a}.mul(0.5)", _any, lambda _: operations.scale(0.5)),
    Unary("torch.sum({a}, 0)", lambda s: len(s) > 0, lambda s: operations.sum_over(s, 0)),
    Unary("{a}.sum(-1)", lambda s: len(s) > 0, lambda s: operations.sum_over(s, len(s) - 1)),
    Unary("torch.neg({a})", _any, lambda _: operations.negate()),
    Unary("torch.clone({a})", _any, lambda _: operations.clone()),
)


def unary(writer: Writer, picks: Picks) -> Plan | None:
    """An operation on one tensor."""
    a = writer.pick(picks.first, writer.usable())
    if a is None:
        return None
    tensor = writer.tensors[a]
    kinds = [kind for kind in UNARY if kind.legal(tensor.shape)]
    kind = kinds[picks.option % len(kinds)]
    (name,) = writer.new()
    operation = kind.operation(tensor.shape)
    text = f"{name} = {kind.text.format(a=a)}"
    return Plan(text, lambda: writer.tape.apply(operation, tensor), (name,))


def total(writer: Writer, picks: Picks) -> Plan | None:
    """The sum of a tensor's elements: a root that needs no gradient given."""
    a = writer.pick(picks.first, writer.usable())
    if a is None:
        return None
    tensor = writer.tensors[a]
    (name,) = writer.new()
    operation = operations.total(tensor.shape)
    return Plan(f"{name} = {a}.sum()", lambda: writer.tape.apply(operation, tensor), (name,))


class Binary(NamedTuple):
    """A statement's right side, the shapes it is for, and what it does."""

    text: str
    legal: Callable[[Shape, Shape], bool]
    operation: Callable[[Shape, Shape], Operation]


def broadcasts(a: Shape, b: Shape) -> bool:
    """Whether two shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def _matrices(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) == 2 and a[1] == b[0]


# Products come more often: they alone save something.
_PRODUCT = Binary("{a} * {b}", broadcasts, operations.multiply)
BINARY = (
    _PRODUCT,
    Binary("{a} @ {b}", _matrices, lambda a, b: operations.matmul()),
    Binary("{a} + {b}", broadcasts, operations.add),
    _PRODUCT,
    Binary("{a} - {b}", broadcasts, lambda a, b: operations.add(a, b, -1.0)),
    Binary("{a}.mul({b})", broadcasts, operations.multiply),
    Binary("torch.mul({a}, {b})", broadcasts, operations.multiply),
    _PRODUCT,
    Binary("torch.add({a}, {b})", broadcasts, operations.add),
    Binary("{a}.add({b}, alpha=2.0)", broadcasts, lambda a, b: operations.add(a, b, 2.0)),
    Binary("torch.mm({a}, {b})", _matrices, lambda a, b: operations.matmul()),
)


def binary(writer: Writer, picks: Picks) -> Plan | None:
    """An operation on two tensors, which may be the same one."""
    a = writer.pick(picks.first, writer.usable())
    if a is None:
        return None
    first = writer.tensors[a]
    fitting = [
        name
        for name, tensor in writer.usable().items()
        if broadcasts(first.shape, tensor.shape) or _matrices(first.shape, tensor.shape)
    ]
    b: str | None = a if picks.second < 48 else writer.pick(picks.second, fitting)
    assert b is not None
    second = writer.tensors[b]
    kinds = [kind for kind in BINARY if kind.legal(first.shape, second.shape)]
    kind = kinds[picks.option % len(kinds)]
    (name,) = writer.new()
    operation = kind.operation(first.shape, second.shape)
    text = f"{name} = {kind.text.format(a=a, b=b)}"
    return Plan(text, lambda: writer.tape.apply(operation, first, second), (name,))


class View(NamedTuple):
    """A statement's right side, the tensors it is for, and the window it opens on them."""

    text: str
    legal: Callable[[Tensor], bool]
    window: Window


def _rank(least: int) -> Callable[[Tensor], bool]:
    return lambda t: len(t.shape) >= least


def _longer(size: int) -> Callable[[Tensor], bool]:
    return lambda t: len(t.shape) > 0 and t.shape[0] > size


VIEWS = (
    View("{a}[0]", _rank(1), lambda o, s, t: (o, s[1:], t[1:])),
    View("{a}[:]", _rank(1), lambda o, s, t: (o, s, t)),
    View("{a}[1:]", _longer(1), lambda o, s, t: (o + t[0], (s[0] - 1, *s[1:]), t)),
    View("{a}[-1]", _rank(1), lambda o, s, t: (o + (s[0] - 1) * t[0], s[1:], t[1:])),
    View("{a}[::2]", _longer(1), lambda o, s, t: (
        o, ((s[0] + 1) // 2, *s[1:]), (2 * t[0], *t[1:]))),
    View("{a}.narrow(0, 0, 1)", _rank(1), lambda o, s, t: (o, (1, *s[1:]), t)),
    View("{a}.select(-1, 0)", _rank(1), lambda o, s, t: (o, s[:-1], t[:-1])),
    View("{a}[..., 1:]", lambda t: len(t.shape) > 0 and t.shape[-1] > 1,
         lambda o, s, t: (o + t[-1], (*s[:-1], s[-1] - 1), t)),
    View("{a}.transpose(0, -1)", _rank(2), lambda o, s, t: (o, s[::-1], t[::-1])),
    View("{a}.t()", lambda t: len(t.shape) == 2, lambda o, s, t: (o, s[::-1], t[::-1])),
    View("{a}.unsqueeze(0)", lambda t: len(t.shape) < 2, lambda o, s, t: (
        o, (1, *s), (s[0] * t[0] if s else 1, *t))),
    View("{a}.view(-1)", is_contiguous, lambda o, s, t: (o, (int(np.prod(s)),), (1,))),
    View("{a}.squeeze(0)", lambda t: len(t.shape) > 0 and t.shape[0] == 1,
         lambda o, s, t: (o, s[1:], t[1:])),
    View("{a}.diagonal()", lambda t: len(t.shape) == 2,
         lambda o, s, t: (o, (min(s),), (t[0] + t[1],))),
    View("{a}.expand(2, *{a}.shape)", lambda t: len(t.shape) < 2,
         lambda o, s, t: (o, (2, *s), (0, *t))),
)  # fmt: skip


def viewable(tensor: Tensor) -> bool:
    """Whether it is known what a view of a tensor is: its memory's order, and no overlap."""
    return tensor.memory.laid_out and not (tensor.base or tensor).overlaps_itself


def view(writer: Writer, picks: Picks) -> Plan | None:
    """A view, of a view perhaps."""
    if writer.tape.mode.inference:
        return None
    names = [n for n, t in writer.usable().items() if viewable(t) and not t.inference]
    results = [n for n in names if not writer.tensors[n].flag]  # views that may be written to
    a = writer.pick(picks.first, results if results and picks.second < 160 else names)
    if a is None:
        return None
    tensor = writer.tensors[a]
    kinds = [kind for kind in VIEWS if kind.legal(tensor)]
    if not kinds:
        return None
    kind = kinds[picks.option % len(kinds)]
    (name,) = writer.new()
    text = f"{name} = {kind.text.format(a=a)}"
    return Plan(text, lambda: writer.tape.view(tensor, kind.window), (name,))


def _entry(number: int, offset: int, shape: Shape, strides: tuple[int, ...]) -> Geometry:
    return offset + number * strides[0], shape[1:], strides[1:]


def unbind(writer: Writer, picks: Picks) -> Plan | None:
    """Several views at once."""
    if not writer.tape.mode.records:
        return None
    names = [n for n, t in writer.usable().items() if viewable(t) and not t.inference]
    a = writer.pick(picks.first, [n for n in names if writer.tensors[n].shape])
    if a is None:
        return None
    tensor = writer.tensors[a]
    results = writer.new(tensor.shape[0])
    text = f"{', '.join(results)}{',' if len(results) == 1 else ''} = {a}.unbind()"

    def action() -> list[Tensor]:
        windows = [partial(_entry, number) for number in range(tensor.shape[0])]
        return [writer.tape.view(tensor, window, multiple=True) for window in windows]

    return Plan(text, action, results)
