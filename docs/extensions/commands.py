"""The command lines that the site shows, read by the parsers that they are for."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import PurePath
from typing import NoReturn

from conformance.cli import parsers
from conformance.options import declare

TOOLS = ("pip", "tox", "python", "python3", "git", "cd")
"""Commands of others, whose options are not ours to check."""
FLAGS = ("--pyargs", "-q", "-v", "-x", "--pdb", "--collect-only")
VALUED = ("-n", "-k", "--hypothesis-seed")
"""Options of pytest that the site may show, without a value and with one."""


class Mistake(ValueError):
    """A command line that the command would refuse."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Mistake(message)


def plugin_parser() -> argparse.ArgumentParser:
    """Return a parser of our options of pytest, and of none else."""
    parser = _Parser(prog="pytest", add_help=False, allow_abbrev=False)
    declare(parser.add_argument)
    return parser


def check_command(line: str) -> None:
    """Raise :class:`Mistake` if a command line of ours would be refused."""
    for part in line.split(" && "):
        _check_part(part)


def _check_part(line: str) -> None:
    words = shlex.split(re.split(r" (?:>>?|\|) ", line)[0], comments=True)
    while words and "=" in words[0]:
        words = words[1:]
    name, *arguments = PurePath(words[0]).name, *words[1:]
    if name == "pytest":
        _pytest_parser().parse_args(arguments)
    elif name == "conformance":
        _check_ours(arguments)
    elif name not in TOOLS:
        raise Mistake(f"{name} is no command that can be tried")


def _pytest_parser() -> argparse.ArgumentParser:
    parser = plugin_parser()
    for option in FLAGS:
        parser.add_argument(option, action="store_true")
    for option in VALUED:
        parser.add_argument(option)
    parser.add_argument("paths", nargs="*")
    return parser


def _check_ours(arguments: list[str]) -> None:
    whole, _ = parsers()
    try:
        options, unknown = whole.parse_known_args(arguments)
    except SystemExit as error:
        raise Mistake(f"conformance {' '.join(arguments)} would be refused") from error
    if unknown and not options.chosen.forwards:
        raise Mistake(f"conformance {options.chosen.name} has no option {unknown[0]}")
    _pytest_parser().parse_args(unknown)
