"""``conformance completion``: what a shell needs to complete the command line.

Written by shtab, of argparse's parser itself, so that nothing about the commands is said twice.
The script is static; for the names of laws, chapters and targets it asks ``conformance completion
laws``, which reads them from a file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from conformance.commands.command import DONE, Command, CommandError
from conformance.commands.names import KINDS, names

SHELLS = ("bash", "zsh", "tcsh")
NAMED = {"--law": "laws", "LAW": "laws", "--chapter": "chapters", "--target": "targets"}
"""Which names complete an option, or a word by what the help calls it."""
_FOLDERS = ("DIR",)

_BASH = """\
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}  # ids and targets hold colons
"""
_BASH_NAMES = """\
_conformance_{kind}() {{
  local names; names=$(conformance completion {kind} 2>/dev/null)
  case $1 in
    *:*) ;;
    *) [ {kind} != laws ] || names=$(grep -v : <<< "$names") ;;  # cases when one is asked for
  esac
  compgen -W "$names" -- "$1"
}}
"""
_ZSH_NAMES = """\
_conformance_{kind}() {{
  local -a names; names=(${{(f)"$(conformance completion {kind} 2>/dev/null)"}})
  compadd -a names
}}
"""


def completion_script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script that completes the command line in a shell."""
    try:
        shtab = import_module("shtab")
    except ImportError as error:
        raise CommandError(
            "shtab, which writes the script, is not installed; run: "
            "pip install 'autograd-conformance[completion]'"
        ) from error
    for action in _actions(parser):
        kind = NAMED.get(next(iter(action.option_strings), str(action.metavar)))
        if kind:
            action.complete = _completed(kind)  # type: ignore[attr-defined]
        elif action.type is Path:
            folder = action.metavar in _FOLDERS
            action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
    preamble = {
        "bash": "\n".join([_BASH, *(_BASH_NAMES.format(kind=kind) for kind in KINDS)]),
        "zsh": "\n".join(_ZSH_NAMES.format(kind=kind) for kind in KINDS),
    }
    text: str = shtab.complete(parser, shell=shell, preamble=preamble)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and word of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _completed(kind: str) -> dict[str, str]:
    return {
        "bash": f"_conformance_{kind}",
        "zsh": f"_conformance_{kind}",
        "tcsh": f"`conformance completion {kind}`",
    }


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=(*SHELLS, *KINDS), metavar="SHELL",
        help=f"the shell to complete in: {', '.join(SHELLS)}; the script itself asks for the "
        f"names of {', '.join(KINDS)}",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    if options.what in SHELLS:
        print(completion_script(options.what, options.parser))
    else:
        print("\n".join(names(options.what)))
    return DONE


COMMAND = Command(
    name="completion",
    summary="print what makes a shell complete the command line",
    description="Print the script that makes a shell complete commands, options and their values: "
    "ids of laws,\nchapters and targets among them. The names are kept in ~/.cache, and are listed "
    "anew when the\nsuite or torch changes, which takes seconds once.",
    examples=[
        (
            "conformance completion bash > ~/.local/share/bash-completion/completions/conformance",
            "for bash, once",
        ),
        ('conformance completion zsh > "${fpath[1]}/_conformance"', "for zsh, once"),
        ("conformance completion laws", "the ids that a shell would offer, one a line"),
    ],
    declare=_declare,
    run=_run,
)
