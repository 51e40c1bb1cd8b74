"""Writing a program: moves are tried on the tape, which says what must be true after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from conformance.reference.tape import Tape
from conformance.reference.tape_operations import Array, Shape
from conformance.reference.tape_tensors import Hook, Illegal, Inexact, Tensor, Unspecified
from conformance.scenarios.programs.program import Program, Step
from strategies.devices import current_device

NUMBERS = (1.0, 2.0, -1.0, 0.5, 3.0, -2.0, 0.25)


class Picks(NamedTuple):
    """Three bytes that decide what a move does; 0 is the simplest."""

    first: int
    second: int
    option: int


class Plan(NamedTuple):
    """A statement, what it does to the tape, and the names of the tensors that it makes."""

    text: str
    action: Callable[[], Sequence[Tensor | None] | Tensor | None]
    names: tuple[str, ...] = ()


Move = Callable[["Writer", Picks], "Plan | None"]
"""A kind of step: from the program so far and three bytes, what to do, or None."""


class Writer:
    """A program under construction, with the tape as it is after the last step."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.tensors: dict[str, Tensor] = {}
        self.hooks: dict[str, Hook] = {}
        self.identities: dict[str, Callable[[], bool]] = {}
        self.steps: list[Step] = []
        self.known: dict[str, Any] = {}
        self.touched: dict[str, int] = {}
        self.made = 0

    def program(self) -> Program:
        """Return what was written so far."""
        return Program(tuple(self.steps))

    def add(self, move: Move, picks: Picks) -> None:
        """Make a move, unless there is nothing to make it with, or nothing says what it does.

        Raises ``Inexact`` where a number outgrows the program.
        """
        plan = move(self, picks)
        if plan is None:
            return
        raises = ""
        before = {name: tensor.counter.version for name, tensor in self.tensors.items()}
        try:
            made = plan.action()
        except Unspecified:
            return
        except Illegal as error:
            raises = error.says
        else:
            results = [made] if made is None or isinstance(made, Tensor) else made
            named = zip(plan.names, results, strict=False)
            new = {name: t for name, t in named if t is not None}
            self.tensors.update(new)
            self.touched.update(dict.fromkeys(new, len(self.steps)))
            self.made += len(plan.names)
        written = [n for n, version in before.items() if self._counts(n, version)]
        self.touched.update(dict.fromkeys(written, len(self.steps)))
        self._note(plan.text, raises, tuple(written))

    def new(self, count: int = 1) -> tuple[str, ...]:
        """Return names for results."""
        return tuple(f"x{self.made + number}" for number in range(count))

    def pick(self, pick: int, names: Iterable[str]) -> str | None:
        """Choose one of some names; the last made or written more often than any other."""
        newest = sorted(names, key=lambda name: self.touched.get(name, 0))[::-1]
        return newest[max(pick - 64, 0) % len(newest)] if newest else None

    def usable(self) -> dict[str, Tensor]:
        """The tensors of which it is said what operations do with them in this mode."""
        return {
            name: tensor
            for name, tensor in self.tensors.items()
            if not (self.tape.mode.records and tensor.unspecified)
        }

    def _counts(self, name: str, version: int) -> bool:
        tensor = self.tensors[name]
        return tensor.counter.version > version and not tensor.inference

    def _note(self, text: str, raises: str, written: tuple[str, ...]) -> None:
        now = dict(self._observations())
        gone = {
            key: ... for key, value in self.known.items() if key not in now and value is not ...
        }
        new = {key: value for key, value in now.items() if self.known.get(key, gone) != value}
        self.steps.append(Step(text, {**new, **gone}, written, raises))
        self.known.update({**new, **gone})

    def _observations(self) -> Iterable[tuple[str, Any]]:
        yield "torch.is_grad_enabled()", self.tape.mode.records
        yield "torch.is_inference_mode_enabled()", self.tape.mode.inference
        for name, tensor in self.tensors.items():
            yield from observations(name, tensor)
        yield from self._sharing()
        for name, hook in self.hooks.items():
            if not hook.unspecified:
                yield name, [seen.tolist() for seen in hook.seen]
        for text, holds in self.identities.items():
            yield text, holds()

    def _sharing(self) -> Iterable[tuple[str, bool]]:
        first: dict[int, str] = {}
        for name, tensor in self.tensors.items():
            if not tensor.owned:
                continue
            home = first.get(id(tensor.memory))
            if home is not None:
                yield f"memory({name}) == memory({home})", True
            else:
                if first:
                    others = ", ".join(first.values())
                    yield f"memory({name}) in map(memory, [{others}])", False
                first[id(tensor.memory)] = name


def observations(name: str, tensor: Tensor) -> Iterable[tuple[str, Any]]:
    """Yield what is known of a tensor, as expressions with their values."""
    yield f"{name}.tolist()", tensor.values.tolist()
    if tensor.memory.laid_out:
        if 1 not in tensor.shape:  # the stride along one element is nobody's promise
            yield f"{name}.stride()", tensor.strides
        yield f"{name}.storage_offset()", tensor.offset
    if tensor.inference:
        yield f"{name}.is_inference()", True
        yield f"{name}.requires_grad", tensor.requires_grad
        return
    if tensor.owned:
        yield f"{name}._is_view()", tensor.base is not None
    if not tensor.unspecified:
        yield f"{name}.requires_grad", tensor.requires_grad
        yield f"{name}.is_leaf", tensor.is_leaf
        yield f"{name}.grad_fn is None", tensor.is_leaf
        yield f"{name}.retains_grad", tensor.retains
        yield from _gradient(name, tensor)


def _gradient(name: str, tensor: Tensor) -> Iterable[tuple[str, Any]]:
    if not tensor.grad_known or tensor.multiple:
        return
    yield f"{name}.grad is None", tensor.grad is None
    if tensor.grad is not None:
        yield f"{name}.grad.tolist()", tensor.grad.values.tolist()
        if tensor.is_leaf:
            yield f"{name}.grad.requires_grad", tensor.grad.requires_grad
            yield f"{name}.grad.is_leaf", tensor.grad.is_leaf


def numbers(pick: int, shape: Shape) -> Array:
    """Return small numbers, where they begin depending on the pick."""
    count = int(np.prod(shape))
    return np.array([NUMBERS[(pick + n) % len(NUMBERS)] for n in range(count)]).reshape(shape)


def literal(values: Array, *, requires_grad: bool = False) -> str:
    """Return the text of a new tensor."""
    device = str(current_device())
    place = "" if device == "cpu" else f", device={device!r}"
    flag = ", requires_grad=True" if requires_grad else ""
    return f"torch.tensor({values.tolist()}, dtype=torch.float64{place}{flag})"


def written(moves: Sequence[Move], first: Move, ending: Move, raw: bytes) -> Program:
    """Return the program that bytes stand for, four a move: 0 is none, others go by the table.

    The move ``first`` opens it, ``ending`` closes it as often as it still does something.
    """
    writer = Writer()
    try:
        writer.add(first, Picks(0, 0, raw[-1]))
        for start in range(0, len(raw) - 3, 4):
            kind, *picks = raw[start : start + 4]
            if kind:
                writer.add(moves[(kind - 1) % len(moves)], Picks(*picks))
        for _ in list(writer.tape.outer):
            writer.add(ending, Picks(0, 0, 0))
    except Inexact:
        pass
    return writer.program()
