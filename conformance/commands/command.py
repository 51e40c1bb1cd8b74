"""What a command is: its words for the help, its options, and the function that does it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

DONE, REFUSED = 0, 2


class CommandError(ValueError):
    """What the user asked for cannot be done; one sentence says what, where, and what to write."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the help is; end with the code of what cannot be done."""
        self.exit(REFUSED, f"{self.prog}: {message}; see {self.prog} --help\n")


@dataclass(frozen=True)
class Command:
    """One command of ``conformance``.

    ``summary`` is its line in the list of commands, ``description`` what its help says first.
    ``examples`` pairs a command line with what it does. ``exit_codes`` are those beside 0, and
    2 for what cannot be done. ``declare`` adds its options; ``run`` does it and returns the code.
    A command that ``forwards`` hands options that it does not know to somebody who may.
    """

    name: str
    summary: str
    description: str
    examples: Sequence[tuple[str, str]]
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    exit_codes: Mapping[int, str] = field(default_factory=dict)
    forwards: bool = False

    @property
    def epilog(self) -> str:
        """Examples and exit codes, for the end of its help."""
        lines = ["examples:"]
        for line, meaning in self.examples:
            lines += [f"  {line}", f"      {meaning}"]
        codes = {DONE: "done", REFUSED: "it cannot be done; a sentence on stderr says why"}
        lines += ["", "exit codes:"]
        lines += [
            f"  {code}  {told}" for code, told in sorted({**codes, **self.exit_codes}.items())
        ]
        return "\n".join(lines)

    def add_to(self, commands: Any, width: int | None) -> Parser:
        """Declare the command to argparse's table of commands, with help of this width."""
        parser: Parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=self.description,
            epilog=self.epilog,
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
            allow_abbrev=False,
        )
        self.declare(parser)
        parser.set_defaults(chosen=self)
        return parser


def as_json(value: object) -> str:
    """Return a value as JSON for a program: the same text for the same value."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def write_text(path: Path, text: str) -> None:
    """Write a file whole. Raises :class:`CommandError` where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{path}: cannot be written ({error.strerror}); name a file in an existing folder"
        ) from error


def warn(name: str, sentences: Iterable[str]) -> None:
    """Say on standard error what a command has done its work in spite of."""
    for sentence in sentences:
        print(f"conformance {name}: {sentence}", file=sys.stderr)


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines whose columns stand below each other, the last one as long as it is."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
