"""``conformance run``: the laws, run by pytest, with its options and the plugin's."""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
from collections.abc import Sequence

from conformance.commands.command import Command, CommandError
from conformance.options import declare


def _processes(text: str) -> str:
    if not (text.isdecimal() or text in ("auto", "logical")):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; write 4, auto or 0")
    return text


def _declare(parser: argparse.ArgumentParser) -> None:
    laws = parser.add_argument_group("laws of PyTorch")
    declare(laws.add_argument)
    processes = parser.add_argument_group("processes")
    processes.add_argument(
        "-n", dest="processes", metavar="N", type=_processes,
        help="worker processes: a number, auto for one a core (default), or 0 for none, which "
        "suits a debugger but lets a crash end the run",
    )  # fmt: skip


def pytest_arguments(given: Sequence[str], processes: str | None) -> list[str]:
    """Return pytest's arguments for the options of the command as the user gave them."""
    spread = ["-n", "auto"] if processes is None else []
    return ["--pyargs", "conformance", *spread, *given]


def check_spelling(unknown: Sequence[str], ours: Sequence[str]) -> None:
    """Raise :class:`CommandError` for an option that is nearly one of ours, and none of pytest's.

    pytest refuses it as well, and says less.
    """
    for word in (word.partition("=")[0] for word in unknown if word.startswith("--")):
        near = difflib.get_close_matches(word, ours, n=1, cutoff=0.8)
        if near and not _pytest_has(word):
            raise CommandError(f"there is no option {word!r}; did you mean {near[0]}?")


def _pytest_has(option: str) -> bool:
    command = [sys.executable, "-m", "pytest", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return option in told.stdout.replace("=", " ").replace(",", " ").split()


def _run(options: argparse.Namespace) -> int:
    check_spelling(options.unknown, options.known)
    command = [sys.executable, "-m", "pytest"]
    command += pytest_arguments(options.given, options.processes)
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)  # signals and the exit code are pytest's own
    return subprocess.call(command)  # elsewhere execv gives the prompt back at once


COMMAND = Command(
    name="run",
    summary="run the laws on one or more targets",
    description="Run the laws on one or more targets: pytest --pyargs conformance -n auto.\n"
    "Options that are not listed here, such as -v, -x or --hypothesis-seed, go to pytest.",
    examples=[
        ("conformance run", "every law on this machine's CPU"),
        ("conformance run --target cuda:0 --record run.jsonl", "on a GPU; keep the verdicts"),
        (
            "conformance run --load my_backend --target my_device --deviations mine.toml",
            "on a device of your own; excuse what is known",
        ),
        ("conformance run --law 'scatter*' --profile thorough", "a few laws, tried harder"),
        ("conformance run --law accumulation.backward-adds -n 0 --pdb", "one law in a debugger"),
        ("conformance run --shard 2/8 --record shard2.jsonl", "the second eighth of the laws"),
    ],
    declare=_declare,
    run=_run,
    exit_codes={
        0: "no verdict fails",
        1: "a verdict fails: violated, vacuous, stale, crashed, timeout or blocked",
        2: "an option cannot be read, or the run was interrupted",
        3: "pytest failed",
        4: "an option is wrong: a target, law, file or module that is not there",
        5: "no law was run",
    },
    forwards=True,
)
