"""A model of eager autograd: what is recorded, what a write does, which step is an error.

It is written to be read as the specification. :mod:`conformance.reference.tape_tensors` says
what a tensor is, :mod:`conformance.reference.tape_passes` what a backward pass does.

Where the documentation promises nothing, the model says so: ``Unspecified`` is raised before
anything changed, and flags of tensors (``unspecified``, ``orphaned`` ...) name what not to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.reference.tape_operations import Array, Operation, clone, gather, patch
from conformance.reference.tape_tensors import (
    Counter,
    Hook,
    Illegal,
    Inexact,
    Node,
    Saved,
    Tensor,
    Unspecified,
    Window,
    fresh,
    is_contiguous,
    places,
    set_node,
    snapshot,
    strides_of,
)

__all__ = ["Illegal", "Inexact", "Mode", "Tape", "Tensor", "Unspecified"]


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
        tensor.cuts += 1

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
            errors.append("do not allow the output views to be modified inplace")
        base = tensor.base or tensor
        if tensor.flag or (base.flag and base.is_leaf):
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
