"""What the model of autograd is made of: memory, counters, nodes, tensors.

A *tensor* is a window (offset, shape, strides) on a *memory*, with a *counter* of the writes to
it. Its history is a *node*: the operation that made it, edges to the nodes of its operands, and
the operands' values that gradients read. A leaf that requires grad has an accumulating node in
its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from conformance.reference.tape_operations import Array, Operation, Shape, positions_of

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
        """Whether it was written to, and the counter does not say so; or its flag changed."""
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
    changes of its flag and ``detach_``, which graphs that saved it were not made for.
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

    @cached_property
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
    if (values.size and np.abs(values).max() > LARGEST) or np.any(values % FINEST):
        raise Inexact
    memory = Memory(np.array(values, dtype=float).reshape(-1), laid_out)
    return Tensor(memory, 0, values.shape, strides_of(values.shape), Counter(), node=node)


def set_node(tensor: Tensor, node: Node) -> None:
    """Give a tensor a new history. Hooks stay with the old value; retaining goes with the new."""
    if tensor.retains and tensor.node is not None:
        tensor.node.retainer = None
        node.retainer = tensor
    tensor.node = node


def is_contiguous(tensor: Tensor) -> bool:
    """Whether the elements follow each other row by row without gaps."""
    return bool(np.array_equal(tensor.positions, tensor.offset + positions_of(tensor.shape)))
