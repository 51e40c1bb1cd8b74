"""``conformance completion``: what a shell needs to complete the command line.

Written by shtab, of argparse's parser itself: a static script, so that a press of the tab key
starts no Python, and nothing about the commands is said twice.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from conformance.commands.command import DONE, Command, CommandError

SHELLS = ("bash", "zsh", "tcsh")


def completion_script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script that completes the command line in a shell."""
    try:
        shtab = import_module("shtab")
    except ImportError as error:
        raise CommandError(
            "shtab, which writes the script, is not installed; run: "
            "pip install 'autograd-conformance[completion]'"
        ) from error
    text: str = shtab.complete(parser, shell=shell)
    return text


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


def _run(options: argparse.Namespace) -> int:
    print(completion_script(options.shell, options.parser))
    return DONE


COMMAND = Command(
    name="completion",
    summary="print what makes a shell complete the command line",
    description="Print the script that makes a shell complete commands, options and their values.",
    examples=[
        (
            "conformance completion bash > ~/.local/share/bash-completion/completions/conformance",
            "for bash, once",
        ),
        ('conformance completion zsh > "${fpath[1]}/_conformance"', "for zsh, once"),
    ],
    declare=_declare,
    run=_run,
)
