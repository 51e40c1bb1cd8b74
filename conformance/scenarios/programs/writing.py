"""Moves that write in place, detach, and set flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from conformance.reference import tape_operations as operations
from conformance.reference.tape_operations import Operation, Shape
from conformance.reference.tape_tensors import Tensor
from conformance.scenarios.programs.computing import VIEWS, broadcasts, viewable
from conformance.scenarios.programs.writer import Picks, Plan, Writer


class Write(NamedTuple):
    """A statement, and what replaces the old values, of the shapes of target and operand."""

    text: str
    operation: Callable[[Shape, Shape], Operation]


WRITES = (
    Write("{a}.mul_(2.0)", lambda a, b: operations.scale(2.0)),
    Write("{a}.add_(1.0)", lambda a, b: operations.shift(1.0)),
    Write("{a}.zero_()", lambda a, b: operations.constant(np.zeros(a))),
    Write("{a}.fill_(3.0)", lambda a, b: operations.constant(np.full(a, 3.0))),
    Write("{a}.neg_()", lambda a, b: operations.negate()),
    Write("{a} *= 0.5", lambda a, b: operations.scale(0.5)),
    Write("{a} += 1.0", lambda a, b: operations.shift(1.0)),
    Write("{a}[...] = 2.0", lambda a, b: operations.constant(np.full(a, 2.0))),
)
"""Writes of numbers."""

WRITES_OF_TENSORS = (
    Write("{a}.mul_({b})", operations.multiply),
    Write("{a}.add_({b})", operations.add),
    Write("{a}.copy_({b})", operations.overwrite),
    Write("{a}.sub_({b})", lambda a, b: operations.add(a, b, -1.0)),
    Write("{a} *= {b}", operations.multiply),
    Write("{a} += {b}", operations.add),
    Write("{a}.add_({b}, alpha=2.0)", lambda a, b: operations.add(a, b, 2.0)),
    Write("{a}[...] = {b}", operations.overwrite),
)

RARE = 200  # a pick from here on takes what is illegal as well


def _target(writer: Writer, picks: Picks) -> str | None:
    """A tensor to write to; one that may be written to, more often than not."""
    names = {n: t for n, t in writer.usable().items() if t.owned}
    allowed = [n for n, t in names.items() if not _refused(writer, t)]
    views = [n for n in allowed if names[n].base is not None]
    allowed = views if views and picks.option < 128 else allowed
    return writer.pick(picks.first, allowed if allowed and picks.second < RARE else names)


def _refused(writer: Writer, tensor: Tensor) -> bool:
    base = tensor.base or tensor
    guarded = (base.is_leaf and base.flag) or tensor.flag or tensor.multiple
    return tensor.overlaps_itself or (writer.tape.mode.records and guarded)


def _apart(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have no element in common."""
    if a.memory is not b.memory:
        return a.owned or b.owned
    return not np.isin(a.positions, b.positions).any()


def _operand(writer: Writer, target: Tensor, pick: int) -> str | None:
    """A tensor that fits into the target: another memory, other elements, or the same tensor."""
    fitting = [
        name
        for name, tensor in writer.usable().items()
        if broadcasts(target.shape, tensor.shape)
        and np.broadcast_shapes(target.shape, tensor.shape) == target.shape
        and (_apart(target, tensor) or tensor is target)
    ]
    return writer.pick(pick, fitting)


def write_number(writer: Writer, picks: Picks) -> Plan | None:
    """Change a tensor by a number."""
    a = _target(writer, picks)
    if a is None:
        return None
    tensor, kind = writer.tensors[a], WRITES[picks.option % len(WRITES)]
    operation = kind.operation(tensor.shape, ())
    return Plan(kind.text.format(a=a), lambda: writer.tape.write(tensor, operation))


def write_tensor(writer: Writer, picks: Picks) -> Plan | None:
    """Change a tensor by another one, or by itself."""
    a = _target(writer, picks)
    if a is None:
        return None
    target = writer.tensors[a]
    b = _operand(writer, target, picks.second)
    if b is None:
        return None
    other = writer.tensors[b]
    kinds: tuple[Write, ...] = WRITES_OF_TENSORS
    if other is target:  # what a copy to itself records is not promised
        kinds = tuple(kind for kind in kinds if kind.operation is not operations.overwrite)
    kind = kinds[picks.option % len(kinds)]
    operation = kind.operation(target.shape, other.shape)
    return Plan(kind.text.format(a=a, b=b), lambda: writer.tape.write(target, operation, other))


def write_item(writer: Writer, picks: Picks) -> Plan | None:
    """Change a part of a tensor, through a view that has no name."""
    a = _target(writer, picks)
    if a is None or writer.tape.mode.inference:
        return None
    target = writer.tensors[a]
    if not viewable(target) or target.inference:
        return None
    # Whether a gradient that is always zero has a history, as after x[:] = 3.0, nobody promises.
    texts = [view for view in VIEWS if view.text[3] == "[" and view.text != "{a}[:]"]
    kinds = [view for view in texts if view.legal(target)]
    if not kinds:
        return None
    kind = kinds[picks.second % len(kinds)]
    number = (3.0, 0.0, -1.0)[picks.option % 3]

    def action() -> None:
        part = writer.tape.view(target, kind.window)
        writer.tape.write(part, operations.constant(np.full(part.shape, number)))

    return Plan(f"{kind.text.format(a=a)} = {number}", action)


def _settable(writer: Writer) -> list[str]:
    tensors = writer.tensors.items()
    return [
        n for n, t in tensors if t.owned and not t.unspecified and not writer.tape.mode.inference
    ]


def detach(writer: Writer, picks: Picks) -> Plan | None:
    """The same memory outside the graph, with or without its counter."""
    names = [n for n in _settable(writer) if not writer.tensors[n].overlaps_itself]
    a = writer.pick(picks.first, [n for n in names if not writer.tensors[n].inference])
    if a is None:
        return None
    tensor = writer.tensors[a]
    (name,) = writer.new()
    if picks.option < 176:
        return Plan(f"{name} = {a}.detach()", lambda: writer.tape.detach(tensor), (name,))
    return Plan(f"{name} = {a}.data", lambda: writer.tape.data(tensor), (name,))


def detach_in_place(writer: Writer, picks: Picks) -> Plan | None:
    """Cut a tensor out of its graph."""
    a = writer.pick(picks.first, _settable(writer))
    if a is None:
        return None
    tensor = writer.tensors[a]
    return Plan(f"{a}.detach_()", lambda: writer.tape.detach_in_place(tensor))


FLAG_TEXTS = (
    ("{a}.requires_grad_()", True),
    ("{a}.requires_grad_(False)", False),
    ("{a}.requires_grad = True", True),
    ("{a}.requires_grad = False", False),
)


def flag(writer: Writer, picks: Picks) -> Plan | None:
    """Say whether a tensor requires grad."""
    a = writer.pick(picks.first, _settable(writer))
    if a is None:
        return None
    text, value = FLAG_TEXTS[picks.option % len(FLAG_TEXTS)]
    tensor = writer.tensors[a]
    if "=" in text and not tensor.is_leaf and value:  # whether that is a change is not said
        return None
    return Plan(text.format(a=a), lambda: writer.tape.require_grad(tensor, value))
