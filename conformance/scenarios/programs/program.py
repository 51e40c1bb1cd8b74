"""A program: torch statements, each with what is true after it; and how to follow one.

This is all that a counterexample's script needs: what is true was worked out by the tape, the
model of autograd, when the program was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

import torch

from conformance import compare


@dataclass(frozen=True)
class Step:
    """One statement; from then on each expression in ``then`` has that value, ``...`` any.

    ``written`` names the tensors whose version moves. A statement that is to fail has in
    ``raises`` the text of its RuntimeError, a regular expression.
    """

    text: str
    then: dict[str, Any]
    written: tuple[str, ...] = ()
    raises: str = ""


@dataclass(frozen=True)
class Program:
    """Statements in order."""

    steps: tuple[Step, ...]

    def source_text(self) -> str:
        """Return the program as Python text, one statement a line, then what it changes."""
        lines = []
        for step in self.steps:
            then = "".join(f"\n        {key!r}: {value!r}," for key, value in step.then.items())
            then += "\n    " if then else ""
            rest = f", written={step.written}" if step.written else ""
            rest += f", raises={step.raises!r}" if step.raises else ""
            lines.append(f"    Step({step.text!r}, {{{then}}}{rest}),")
        return "Program((\n" + "\n".join(lines) + "\n))"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text("\n".join(step.text for step in self.steps))


@cache
def compiled(text: str, kind: str) -> CodeType:
    """Compile a statement ('exec') or an expression ('eval'), once."""
    return compile(text, text, kind)


def memory(tensor: torch.Tensor) -> int:
    """Return where a tensor's storage begins."""
    return tensor.untyped_storage().data_ptr()


def version(value: Any) -> int | None:
    """Return a tensor's version; an inference tensor has none, nor has what is no tensor."""
    counts = isinstance(value, torch.Tensor) and not value.is_inference()
    return value._version if counts else None


def follow(program: Program) -> None:
    """Run the statements one by one; after each, compare everything that is known to be true.

    Grad mode is put back, whatever happens.
    """
    names: dict[str, Any] = {"torch": torch, "memory": memory, "modes": []}
    expected: dict[str, Any] = {}
    enabled = torch.is_grad_enabled()
    try:
        for number, step in enumerate(program.steps, 1):
            where = f"step {number}, {step.text}"
            versions = {name: version(value) for name, value in names.items()}
            perform(step, where, names)
            for name, before in versions.items():
                moved = version(names[name]) != before
                if moved or name in step.written:
                    what = f"after {where}, whether the version of {name} moved"
                    compare.fact(moved, name in step.written, what)
            expected.update(step.then)
            for text, value in expected.items():
                if value is not ...:
                    got = evaluated(text, names)
                    if text in step.then or got != value:  # what stays as it was counts once
                        compare.fact(got, value, f"after {where}, {text}")
    finally:
        while names["modes"]:
            names["modes"].pop().__exit__(None, None, None)
        torch.set_grad_enabled(enabled)


def perform(step: Step, where: str, names: dict[str, Any]) -> None:
    """Run a statement, which raises what it is said to raise, or nothing."""
    code = compiled(step.text, "exec")
    if step.raises:
        try:
            with compare.raises(RuntimeError, step.raises):
                exec(code, names)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        return
    try:
        exec(code, names)
    except NotImplementedError:
        raise
    except Exception as error:
        text = str(error).partition("\n")[0]
        raise AssertionError(
            f"{where}: got {type(error).__name__} {text!r}, expected none"
        ) from error


def evaluated(text: str, names: dict[str, Any]) -> Any:
    """Return an expression's value; an error is a value as well, and no expected one."""
    try:
        return eval(compiled(text, "eval"), names)
    except NotImplementedError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0]
