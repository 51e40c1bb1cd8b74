"""A model of eager autograd: what a tensor is, what is recorded, what a write does.

It is written to be read as the specification. A *tensor* is a window (offset, shape, strides) on
a *memory*, with a *counter* of the writes to it. Its history is a *node*: the operation that
made it, edges to the nodes of its operands, and the operands' values that gradients read. A leaf
that requires grad has an accumulating node in its place. Passes over the graph are in
:mod:`conformance.reference.tape_passes`.

Where the documentation promises nothing, the model says so: ``Unspecified`` is raised before
anything changed, and flags of tensors (``unspecified``, ``orphaned`` ...) name what not to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.reference.tape_operations import (
    Array,
    Operation,
    Shape,
    clone,
    gather,
    patch,
    positions_of,
)

Geometry = tuple[int, Shape, tuple[int, ...]]
"""Offset, shape and strides of a window on memory."""
Window = Callable[[int, Shape, tuple[int, ...]], Geometry]
"""What a view makes of a geometry."""

LARGEST, FINEST = 2.0**16, 2.0**-8  # products of two such numbers, and sums of them, are exact


class Illegal(Exception):
    """The step raises ``RuntimeError`` with a text in which ``says``, an expression, is found."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


class Unspecified(Exception):
    """Nothing promises what the step does. The model is as before."""


class Inexact(Exception):
    """A number outgrew what float64 adds and multiplies exactly. The model is of no more use."""


@dataclass(eq=False)
class Memory:
    """Numbers that tensors look at, and how often they were written to, by whatever tensor.

    ``laid_out``: whether their order in torch is known.
    """

    numbers: Array
    laid_out: bool = True
    writes: int = 0


@dataclass(eq=False)
class Counter:
    """Counts writes. Views and detached tensors share it; ``.data`` starts one of its own.

    ``views`` are those whose history is made anew when it moves.
    """

    version: int = 0
    views: list[Tensor] = field(default_factory=list)


@dataclass(eq=False)
class Saved:
    """An operand as it was when it was saved, and the tensor it was; None for a copy of its own.

    A pass that reads it compares counters. A write that they did not count, through ``.data``,
    goes unnoticed, and what the pass then reads is anybody's guess.
    """

    operand: Tensor
    source: Tensor | None
    version: int
    writes: int
    cuts: int

    @property
    def modified(self) -> bool:
        """Whether the counter says that the memory was written to since."""
        return self.source is not None and self.source.counter.version != self.version

    @property
    def spoiled(self) -> bool:
        """Whether it was written to, and the counter does not say so; or detached in place."""
        if self.source is None:
            return False
        written = self.source.memory.writes != self.writes
        return self.source.cuts != self.cuts or (written and not self.modified)


@dataclass(eq=False)
class Node:
    """A recorded operation, or, with ``leaf``, where that leaf's gradient is accumulated.

    ``hooks`` run on the gradient in order of registration; then ``retainer`` keeps it.
    ``failed``: a pass ended in an error here, and how far it got is not known.
    """

    operation: Operation | None
    edges: tuple[Node | None, ...] = ()
    saved: dict[int, Saved] = field(default_factory=dict)
    leaf: Tensor | None = None
    hooks: list[Hook] = field(default_factory=list)
    retainer: Tensor | None = None
    freed: bool = False
    failed: bool = False


@dataclass(eq=False)
class Hook:
    """A function of a tensor's gradient: keeps a record of it, and multiplies it by ``factor``."""

    factor: float | None
    seen: list[Any] = field(default_factory=list)
    removed: bool = False
    unspecified: bool = False


@dataclass(eq=False)
class Tensor:
    """A window on a memory, its place in the graph, and its gradient.

    ``flag`` is what ``requires_grad_`` sets. ``base`` is what it is a view of, never a view
    itself; ``within`` are the numbers of its elements there, ``base_edge`` the base's history
    when its own was made. ``owned``: nobody else's memory, as far as is promised.
    ``orphaned``: a view whose history was made anew, so that graphs may hold an older one.
    ``unspecified``: a view whose place in the graph nothing promises. ``cuts`` counts
    ``detach_``.
    """

    memory: Memory
    offset: int
    shape: Shape
    strides: tuple[int, ...]
    counter: Counter
    flag: bool = False
    node: Node | None = None
    accumulator: Node | None = None
    grad: Tensor | None = None
    grad_known: bool = True
    retains: bool = False
    base: Tensor | None = None
    within: Array | None = None
    base_edge: Node | None = None
    multiple: bool = False
    subviews: bool = False
    owned: bool = True
    orphaned: bool = False
    unspecified: bool = False
    inference: bool = False
    cuts: int = 0

    @property
    def positions(self) -> Array:
        """Where in memory each element lies."""
        return places(self.geometry)

    @property
    def geometry(self) -> Geometry:
        """Offset, shape and strides."""
        return self.offset, self.shape, self.strides

    @property
    def values(self) -> Array:
        """The elements, copied."""
        copied: Array = self.memory.numbers[self.positions]
        return copied

    @property
    def is_leaf(self) -> bool:
        """Nothing recorded made it."""
        return self.node is None

    @property
    def requires_grad(self) -> bool:
        """A leaf requires grad if told so, anything else because something recorded made it."""
        return self.flag or self.node is not None

    @property
    def edge(self) -> Node | None:
        """Where its gradient goes: the node that made it, or the one that accumulates."""
        if self.node is None and self.flag:
            self.accumulator = self.accumulator or Node(None, leaf=self)
            return self.accumulator
        return self.node

    @property
    def overlaps_itself(self) -> bool:
        """Whether two elements are one place in memory, as after ``expand``."""
        return len(np.unique(self.positions)) < self.positions.size


def places(geometry: Geometry) -> Array:
    """Where each element of a window lies."""
    offset, shape, strides = geometry
    found = np.full(shape, offset)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        steps = np.arange(size) * stride
        found = found + steps.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return found


def strides_of(shape: Shape) -> tuple[int, ...]:
    """Row by row without gaps."""
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def snapshot(tensor: Tensor) -> Tensor:
    """Return a tensor of the same values and history in a memory that nobody writes to."""
    return fresh(tensor.values, tensor.edge)


def fresh(values: Array, node: Node | None = None, *, laid_out: bool = False) -> Tensor:
    """Return a tensor with memory of its own. Raises ``Inexact`` for unfit numbers."""
    if values.size and np.abs(values).max() > LARGEST or np.any(values % FINEST):
        raise Inexact
    memory = Memory(np.array(values, dtype=float).reshape(-1), laid_out)
    return Tensor(memory, 0, values.shape, strides_of(values.shape), Counter(), node=node)


@dataclass(frozen=True)
class Mode:
    """Whether operations are recorded, and whether new tensors are inference tensors."""

    records: bool
    inference: bool = False


class Tape:
    """The machine: the mode, and everything that makes, writes or flags a tensor."""

    def __init__(self) -> None:
        self.mode = Mode(True)
        self.outer: list[Mode] = []

    # Modes: a block puts back, however it is left, the mode that was when it was entered.

    def enter(self, mode: Mode) -> None:
        """Begin a block of ``no_grad``, ``enable_grad``, ``inference_mode`` ..."""
        self.outer.append(self.mode)
        self.mode = mode

    def leave(self) -> None:
        """End the innermost block."""
        self.mode = self.outer.pop()

    # Computing: the result requires grad if an operand does and operations are recorded.

    def leaf(self, values: Array, requires_grad: bool) -> Tensor:
        """Make a tensor out of numbers."""
        made = fresh(values, laid_out=True)
        made.flag, made.inference = requires_grad, self.mode.inference
        return made

    def records(self, *operands: Tensor) -> bool:
        """Whether an operation on these operands becomes a node."""
        return self.mode.records and any(operand.requires_grad for operand in operands)

    def apply(self, operation: Operation, *operands: Tensor) -> Tensor:
        """Compute, in a memory of its own; save what the gradients that are needed will read."""
        laid_out = all(o.memory.laid_out and is_contiguous(o) for o in operands)
        values = operation.forward(*(operand.values for operand in operands))
        node = self._node(operation, operands) if self.records(*operands) else None
        made = fresh(values, node, laid_out=laid_out)
        made.inference = self.mode.inference
        return made

    def _node(self, operation: Operation, operands: Sequence[Tensor]) -> Node:
        edges = tuple(operand.edge for operand in operands)
        needed = {
            number
            for edge, reads in zip(edges, operation.reads, strict=True)
            if edge is not None
            for number in reads
        }
        strange = {number for number, operand in enumerate(operands) if operand.inference}
        if strange & needed:
            raise Illegal("Inference tensors cannot be saved for backward")
        if strange:
            raise Unspecified
        saved = {
            number: Saved(snapshot(o), o, o.counter.version, o.memory.writes, o.cuts)
            for number, o in enumerate(operands)
            if number in needed
        }
        return Node(operation, edges, saved)

    # Views: the same memory, and a history of one ``gather``.

    def view(self, tensor: Tensor, window: Window, *, multiple: bool = False) -> Tensor:
        """Look at some of a tensor's elements. A view of a view has the first one's base.

        ``multiple``: it is one of several that one operation returned.
        """
        base = tensor.base or tensor
        made = Tensor(tensor.memory, *window(*tensor.geometry), tensor.counter)
        made.base, made.owned, made.inference = base, tensor.owned, tensor.inference
        made.multiple = multiple or tensor.multiple
        there = places(window(0, tensor.shape, strides_of(tensor.shape)))
        made.within = there if tensor.within is None else tensor.within.reshape(-1)[there]
        tensor.subviews = True
        made.base_edge = base.edge
        made.unspecified = not self.mode.records or tensor.unspecified
        if self.records(tensor):
            made.node = Node(gather(there, tensor.shape), (tensor.edge,))
        tensor.counter.views.append(made)
        return made

    def detach(self, tensor: Tensor) -> Tensor:
        """The same memory and counter, outside the graph, and no view."""
        made = Tensor(tensor.memory, *tensor.geometry, tensor.counter)
        made.owned, made.inference = tensor.owned, tensor.inference
        return made

    def data(self, tensor: Tensor) -> Tensor:
        """The same memory outside the graph, with a counter of its own: writes go unnoticed."""
        made = self.detach(tensor)
        made.counter = Counter()
        return made

    # Flags

    def require_grad(self, tensor: Tensor, flag: bool) -> None:
        """Set the flag of a leaf. A view's flag is its base's business: nothing is promised."""
        if tensor.inference and flag and not self.mode.inference:
            raise Illegal("requires_grad=True on inference tensor outside InferenceMode")
        if tensor.node is not None and not flag:
            raise Illegal("you can only change requires_grad flags of leaf variables")
        if tensor.requires_grad == flag:
            return
        if tensor.inference or tensor.base or tensor.subviews or tensor.accumulator:
            raise Unspecified
        tensor.flag = flag

    def detach_in_place(self, tensor: Tensor) -> None:
        """Make a tensor a leaf that requires no grad; of a view, illegal."""
        if tensor.base is not None:
            raise Illegal("Can't detach views in-place")
        if tensor.subviews or tensor.retains or tensor.inference or tensor.accumulator:
            raise Unspecified
        tensor.cuts += tensor.node is not None
        tensor.flag, tensor.node = False, None

    def retain_grad(self, tensor: Tensor) -> None:
        """Have a tensor's ``.grad`` filled by passes; a leaf's is anyway."""
        if not tensor.requires_grad:
            raise Illegal("can't retain_grad on Tensor that has requires_grad=False")
        if tensor.node is not None and not tensor.retains:
            tensor.retains, tensor.node.retainer = True, tensor

    def hook(self, tensor: Tensor, factor: float | None) -> Hook:
        """Register a hook with the value that the tensor has now, not with the tensor."""
        if tensor.edge is None:
            raise Illegal("cannot register a hook on a tensor that doesn't require gradient")
        made = Hook(factor)
        tensor.edge.hooks.append(made)
        return made

    # Writes

    def write(self, tensor: Tensor, operation: Operation, *others: Tensor) -> None:
        """Replace a tensor's elements by those of an operation on their old values and others.

        Everything that looks at the memory sees it, and everything with the same counter that
        it was written to. If it is recorded, the tensor's history is the operation's; a write
        through a view is recorded in the base, as a ``patch``.
        """
        self._check_writable(tensor, operation, others)
        before = snapshot(tensor)
        result = self.apply(operation, before, *others)
        if result.node is not None and 0 in result.node.saved:
            result.node.saved[0].source = None  # the old values are kept in a copy
        self.store(tensor, result.values)
        if result.node is not None:
            self._rebase(tensor, result.node)
        self._renew_views(tensor.counter)

    def store(self, tensor: Tensor, values: Array) -> None:
        """Put numbers into memory, and count it."""
        tensor.memory.numbers[tensor.positions] = values
        tensor.memory.writes += 1
        tensor.counter.version += 1

    def store_unrecorded(self, tensor: Tensor, values: Array) -> None:
        """Write without a history, as passes do to ``.grad``."""
        self.store(tensor, values)
        self._renew_views(tensor.counter)

    def _check_writable(
        self, tensor: Tensor, operation: Operation, others: Sequence[Tensor]
    ) -> None:
        errors = []
        if tensor.inference and not self.mode.inference:
            raise Unspecified  # it raises, but whether it writes before it does is not promised
        if self.records(tensor, *others):
            errors += self._errors_of_recorded_write(tensor)
            if tensor.unspecified:
                raise Unspecified
        if tensor.overlaps_itself:
            errors.append("more than one element of the written-to tensor")
            if operation.name == "constant" and len(errors) == 1:
                raise Unspecified
        if errors:
            raise Illegal("|".join(errors))

    def _errors_of_recorded_write(self, tensor: Tensor) -> list[str]:
        errors = []
        if tensor.multiple:
            errors.append("is a view and is being modified inplace")
        if (tensor.base or tensor).is_leaf and (tensor.base or tensor).flag or tensor.flag:
            errors.append("leaf Variable that requires grad is being used in an in-place operation")
        return errors

    def _rebase(self, tensor: Tensor, node: Node) -> None:
        if tensor.base is None:
            set_node(tensor, node)
        else:
            assert tensor.within is not None
            operation = patch(tensor.within, tensor.shape)
            set_node(tensor.base, Node(operation, (tensor.base.edge, node)))

    def _renew_views(self, counter: Counter) -> None:
        for view in counter.views:
            if view.base is not None and (view.node is not None or view.base.requires_grad):
                _renew(view, view.base)

    def assign_grad(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """``.grad`` is an attribute: what was there is still what it was."""
        tensor.grad, tensor.grad_known = gradient, True

    def clone(self, tensor: Tensor) -> Tensor:
        """A copy, recorded."""
        return self.apply(clone(), tensor)


def _renew(view: Tensor, base: Tensor) -> None:
    """A view's history is what its base's is now, as a ``gather``.

    What an older history of the view is asked for after that, nobody promises.
    """
    if view.multiple or view.unspecified:
        view.unspecified = True
        return
    unrecorded = view.base_edge is base.edge
    view.orphaned = view.orphaned or unrecorded or view.subviews
    if view.orphaned and view.retains:
        view.grad_known = False
    if view.node is not None and not unrecorded:
        for hook in view.node.hooks:
            hook.unspecified = True
    assert view.within is not None
    set_node(view, Node(gather(view.within, base.shape), (base.edge,)))
    view.base_edge = base.edge


def set_node(tensor: Tensor, node: Node) -> None:
    """Give a tensor a new history. Hooks stay with the old value; retaining goes with the new."""
    if tensor.retains and tensor.node is not None:
        tensor.node.retainer = None
        node.retainer = tensor
    tensor.node = node


def is_contiguous(tensor: Tensor) -> bool:
    """Whether the elements follow each other row by row without gaps."""
    return bool(np.array_equal(tensor.positions, tensor.offset + positions_of(tensor.shape)))
