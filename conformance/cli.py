"""The ``conformance`` command: run the laws, and read what runs have found."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from conformance import __version__
from conformance.commands import (
    completion,
    deviations,
    diff,
    explain,
    listing,
    merge,
    report,
    run,
    script,
)
from conformance.commands.command import REFUSED, Command, CommandError, Parser

COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    report.COMMAND,
    diff.COMMAND,
    merge.COMMAND,
    explain.COMMAND,
    listing.COMMAND,
    deviations.COMMAND,
    script.COMMAND,
    completion.COMMAND,
)
"""Every command, in the order of the help."""


def parsers(width: int | None = None) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the whole command line, and that of each command by its name.

    ``width`` is that of the help; None takes the terminal's.
    """
    whole = Parser(
        prog="conformance",
        description="Run the laws of PyTorch, and read what runs have found.",
        epilog="conformance COMMAND --help tells more, with examples.",
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"autograd-conformance {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    return whole, {command.name: command.add_to(commands, width) for command in COMMANDS}


def reference() -> str:
    """Return the help of every command as MyST, a section each, for the documentation."""
    _, by_name = parsers(width=80)
    return "\n\n".join(
        f"## conformance {command.name}\n\n```text\n{by_name[command.name].format_help()}```"
        for command in COMMANDS
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 2 if it could not be done."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    whole, by_name = parsers()
    options, unknown = whole.parse_known_args(given)
    command: Command = options.chosen
    options.given = given[1:]
    options.parser, options.unknown = whole, unknown
    options.known = list(by_name[command.name]._option_string_actions)
    try:
        if unknown and not command.forwards:
            raise CommandError(
                f"there is no option {unknown[0]!r}; see conformance {command.name} --help"
            )
        code = command.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads has read enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        print(f"conformance {command.name}: {error}", file=sys.stderr)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
