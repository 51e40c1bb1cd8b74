"""Passes over the tape's graph: ``backward`` and ``grad``, what they free and where they end.

A pass walks from the roots to the leaves, each node once, after everything that uses it. What a
pass may not do is found before it begins; where an error comes in the middle of one, nothing is
promised of what it had done by then, and the nodes it could have met are marked ``failed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conformance.reference.tape import Mode, Tape
from conformance.reference.tape_operations import add, clone, scale
from conformance.reference.tape_tensors import (
    Hook,
    Illegal,
    Memory,
    Node,
    Saved,
    Tensor,
    Unspecified,
    fresh,
)

TWICE = "Trying to backward through the graph a second time"
MODIFIED = "modified (by an )?inplace"
UNUSED = "to not have been used in the graph"


@dataclass(frozen=True)
class Options:
    """A pass frees what it passed unless ``retain``; ``create`` records it, and retains."""

    retain: bool | None = None
    create: bool = False

    @property
    def keeps(self) -> bool:
        """Whether the graph can be passed again."""
        return self.create if self.retain is None else self.retain


def backward(
    tape: Tape,
    roots: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    options: Options,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add the roots' gradients to ``.grad`` of the leaves, or of those in ``inputs``."""
    _check_roots(roots, gradients)
    if inputs is not None and any(not t.is_leaf or not t.requires_grad for t in inputs):
        raise Unspecified
    targets = None if inputs is None else [_edge(t) for t in inputs]
    _Pass(tape, roots, gradients, targets, options, accumulates=True).run()


def grad(
    tape: Tape,
    roots: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    options: Options,
    allow_unused: bool,
) -> list[Tensor | None]:
    """Return the roots' gradients to each input, and leave every ``.grad`` as it is.

    What is returned may be anybody's memory.
    """
    wrong = ["does not require grad"] if any(not t.requires_grad for t in inputs) else []
    _check_roots(roots, gradients, wrong)
    if any(t.orphaned or t.multiple for t in inputs):
        raise Unspecified
    targets = [_edge(t) for t in inputs]
    going = _Pass(tape, roots, gradients, targets, options, accumulates=False)
    unused = any(target not in going.needed for target in targets)
    going.run([UNUSED] if unused and not allow_unused else [])
    return [_result(going.arrived.get(target)) for target in targets]


def _edge(tensor: Tensor) -> Node:
    assert tensor.edge is not None
    return tensor.edge


def _result(gradient: Tensor | None) -> Tensor | None:
    if gradient is None:
        return None
    made = fresh(gradient.values, gradient.node)
    made.owned = False
    return made


def _check_roots(
    roots: Sequence[Tensor], gradients: Sequence[Tensor | None], wrong: Sequence[str] = ()
) -> None:
    errors = list(wrong)
    for root, gradient in zip(roots, gradients, strict=True):
        if root.edge is None:
            errors.append("does not require grad and does not have a grad_fn")
        if gradient is None and np.size(root.values) != 1:
            errors.append("grad can be implicitly created only for scalar outputs")
        if gradient is not None and gradient.shape != root.shape:
            errors.append("Mismatch in shape")
    if errors:
        raise Illegal("|".join(errors))


class _Pass:
    """One walk. ``needed`` are the nodes whose gradient is computed, in the order of the walk."""

    def __init__(
        self,
        tape: Tape,
        roots: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        targets: Sequence[Node] | None,
        options: Options,
        accumulates: bool,
    ) -> None:
        self.tape, self.options, self.accumulates = tape, options, accumulates
        self.captured = [] if accumulates or targets is None else targets
        self.seeds = [
            (_edge(root), fresh(np.ones(root.shape)) if gradient is None else gradient)
            for root, gradient in zip(roots, gradients, strict=True)
        ]
        order = _topological([node for node, _ in self.seeds])
        self.needed = _leading_to(order, targets)
        self.reached = order
        self.arrived: dict[Node, Tensor] = {}
        self.origins: dict[Memory, tuple[Memory, bool]] = {}
        self.given: dict[Memory, list[tuple[Tensor, bool]]] = {}

    def run(self, errors: Sequence[str] = ()) -> None:
        """Walk, in the mode that ``create`` says; or fail, for these errors or others.

        Whether a root that leads to no target counts as met is not promised.
        """
        self._check(errors)
        for node, _ in self.seeds:
            if node not in self.needed:
                _doubt(node)
        mode = self.tape.mode
        self.tape.mode = Mode(self.options.create)
        for node, gradient in self.seeds:
            if node in self.needed:
                self._arrive(node, gradient)
        for node in self.needed:
            self._visit(node, self.arrived[node])
        self.tape.mode = mode

    def _goes_on(self, node: Node) -> list[int]:
        """The operands of a node to which the pass goes on."""
        return [n for n, edge in enumerate(node.edges) if edge is not None and edge in self.needed]

    def _check(self, others: Sequence[str]) -> None:
        errors = {self._error_at(node) for node in self.needed} - {""} | set(others)
        if errors:
            self.fail(sorted(errors))

    def _error_at(self, node: Node) -> str:
        if node.failed or (node.leaf is not None and not self._may_accumulate(node.leaf)):
            raise Unspecified
        if node.operation is None or not self._goes_on(node):
            return ""
        changing = [hook for hook in node.hooks if hook.factor and not hook.removed]
        if any(node in self.captured or self._passed_by(hook, node) for hook in changing):
            raise Unspecified
        reads = {read for number in self._goes_on(node) for read in node.operation.reads[number]}
        if node.freed:
            if reads:
                return TWICE
            if node.saved or node.operation.repeatable is None:
                raise Unspecified
        elif any(saved.spoiled for saved in node.saved.values()):
            raise Unspecified
        elif any(node.saved[number].modified for number in reads):
            return MODIFIED
        elif any(saved.modified for saved in node.saved.values()):
            raise Unspecified
        return ""

    def _passed_by(self, hook: Hook, node: Node) -> bool:
        """Whether nobody promises that gradients still pass a hook: its view has a new history."""
        return hook.unspecified and node.leaf is None

    def _may_accumulate(self, leaf: Tensor) -> bool:
        """Adding in place to a gradient that may be somebody else's memory is not specified."""
        return (
            not self.accumulates
            or self.options.create
            or leaf.grad is None
            or leaf.grad.owned
        )  # fmt: skip

    def fail(self, errors: Sequence[str]) -> None:
        """End in an error: nobody knows how far the pass came."""
        for node in self.reached:
            node.failed = node.leaf is None
            _doubt(node)
            if node.leaf is not None and self.accumulates:
                node.leaf.grad_known = False
        raise Illegal("|".join(errors))

    def _arrive(self, node: Node, gradient: Tensor) -> None:
        there = self.arrived.get(node)
        if there is not None:
            gradient = self.tape.apply(add(there.shape, gradient.shape), there, gradient)
        self.arrived[node] = gradient

    def _visit(self, node: Node, gradient: Tensor) -> None:
        gradient = self._hooked(node, gradient)
        self.arrived[node] = gradient
        if node.retainer is not None:
            self._retain(node.retainer, gradient)
        if node.leaf is not None:
            if self.accumulates:
                self._accumulate(node.leaf, gradient)
        elif self._goes_on(node):
            self._pass_on(node, gradient)
            node.freed = node.freed or not self.options.keeps

    def _hooked(self, node: Node, gradient: Tensor) -> Tensor:
        for hook in node.hooks:
            if not hook.removed:
                hook.seen.append(gradient.values)
                if hook.factor is not None:
                    gradient = self.tape.apply(scale(hook.factor), gradient)
        return gradient

    def _pass_on(self, node: Node, gradient: Tensor) -> None:
        assert node.operation is not None
        operands = {number: saved.operand for number, saved in _saved(node)}
        origin, viewed = self.origins.get(gradient.memory, (gradient.memory, False))
        for number in self._goes_on(node):
            edge = node.edges[number]
            assert edge is not None
            passed = node.operation.gradients[number](self.tape.apply, gradient, operands)
            if node.operation.moves:
                moved = viewed or passed is not gradient
                self.origins[passed.memory] = (origin, moved)
            self._arrive(edge, passed)

    def _retain(self, tensor: Tensor, gradient: Tensor) -> None:
        """What ``.grad`` of a tensor that is no leaf is after ``grad``, nobody promises."""
        if tensor.grad is None:
            tensor.grad = self.tape.apply(clone(), gradient)
        else:
            shape = tensor.shape
            tensor.grad = self.tape.apply(add(shape, shape), tensor.grad, gradient)
        tensor.grad_known = tensor.grad_known and self.accumulates

    def _accumulate(self, leaf: Tensor, gradient: Tensor) -> None:
        """The first gradient becomes ``.grad``; later ones are added to it.

        In place, so that everybody who holds ``.grad`` sees it, unless the pass is recorded.
        """
        if leaf.grad is None:
            leaf.grad = self.tape.apply(clone(), gradient)
            self._note_owner(leaf.grad, gradient)
        elif self.options.create:
            leaf.grad = self.tape.apply(add(leaf.shape, leaf.shape), leaf.grad, gradient)
        else:
            added = fresh(leaf.grad.values + gradient.values)
            self.tape.store_unrecorded(leaf.grad, added.values)
            return
        leaf.grad.memory.laid_out = False

    def _note_owner(self, made: Tensor, gradient: Tensor) -> None:
        """Two first gradients that are one, looked at differently, may share their memory."""
        if self.options.create:
            return
        origin, viewed = self.origins.get(gradient.memory, (gradient.memory, False))
        others = self.given.setdefault(origin, [])
        for other, other_viewed in others:
            if viewed or other_viewed:
                made.owned = other.owned = False
        others.append((made, viewed))


def _doubt(node: Node) -> None:
    """Expect nothing more of a node's hooks, nor of the gradient it retains."""
    for hook in node.hooks:
        hook.unspecified = True
    if node.retainer is not None:
        node.retainer.grad_known = False


def _saved(node: Node) -> list[tuple[int, Saved]]:
    return list(node.saved.items())


def _topological(roots: Sequence[Node]) -> list[Node]:
    """Every node that the roots lead to, each before those it leads to."""
    order: list[Node] = []
    seen: set[Node] = set()

    def visit(node: Node) -> None:
        if node not in seen:
            seen.add(node)
            for edge in node.edges:
                if edge is not None:
                    visit(edge)
            order.append(node)

    for root in roots:
        visit(root)
    return order[::-1]


def _leading_to(order: Sequence[Node], targets: Sequence[Node] | None) -> dict[Node, None]:
    """The nodes from which a target can be reached, targets among them; without targets, all."""
    found: set[Node] = set()
    for node in reversed(order):
        if targets is None or node in targets or any(edge in found for edge in node.edges):
            found.add(node)
    return {node: None for node in order if node in found}
