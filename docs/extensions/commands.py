"""Parsers of the commands that the site shows: to try what it shows, and to describe options."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from conformance import cli
from conformance.options import add_options

TOOLS = ("pip", "tox", "python", "git", "cd", "python3")
"""Commands of others, whose options are not ours to check."""


class Mistake(ValueError):
    """A command line that the command would refuse."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Mistake(message)


class _Group:
    """What ``conformance.options`` takes for pytest's parser and for its group."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.addoption = parser.add_argument

    def getgroup(self, *_: str) -> _Group:
        return self


def plugin_parser() -> argparse.ArgumentParser:
    """Return a parser of our options of pytest, and of none else."""
    parser = _Parser(prog="pytest", add_help=False, allow_abbrev=False)
    add_options(_Group(parser))  # type: ignore[arg-type]
    return parser


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the ``conformance`` command."""
    return cli._parser()


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the commands of a parser by name."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments and options that a user may give."""
    for action in parser._actions:
        if not isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
            yield action


def check_command(line: str) -> None:
    """Raise :class:`Mistake` if a command line of ours would be refused."""
    words = shlex.split(line.partition(" > ")[0], comments=True)
    while words and "=" in words[0]:
        words = words[1:]
    name, *arguments = words
    if name == "pytest":
        parser = plugin_parser()
        for option in ("--pyargs", "-q", "--collect-only"):
            parser.add_argument(option, action="store_true")
        for option in ("-n", "-k", "--hypothesis-seed"):
            parser.add_argument(option)
        parser.add_argument("paths", nargs="*")
        parser.parse_args(arguments)
    elif name == "conformance":
        _check_ours(arguments)
    elif name not in TOOLS:
        raise Mistake(f"{name} is no command that can be tried")


def _check_ours(arguments: list[str]) -> None:
    parser = command_parser()
    try:
        parser.parse_args(arguments)
    except (SystemExit, Mistake) as error:
        raise Mistake(f"conformance {' '.join(arguments)}: refused ({error})") from error
