"""``conformance script``: the stand-alone script of a violated law."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.commands.command import DONE, Command, CommandError
from conformance.commands.scripts import script_of
from conformance.records import read
from conformance.selection import matches, nearest


def counterexample_script(record: Path, law: str, target: str) -> str:
    """Return the first stand-alone script that a record holds for a law on a target glob."""
    places = [(verdict, run) for run in read(record).runs for verdict in run.verdicts]
    of_law = [(verdict, run) for verdict, run in places if matches(verdict.law, law)]
    found = [(verdict, run) for verdict, run in of_law if fnmatchcase(verdict.target, target)]
    if not of_law:
        ids = sorted({verdict.law for verdict, _ in places})
        raise CommandError(f"{record} has no verdict on {law!r}; {nearest(law, ids)}")
    if not found:
        targets = ", ".join(dict.fromkeys(verdict.target for verdict, _ in of_law))
        raise CommandError(f"{record} has {law!r} on {targets}, and not on {target!r}")
    script = next((text for verdict, run in found if (text := script_of(verdict, run))), "")
    if not script:
        kind = found[0][0].verdict
        raise CommandError(f"{record} holds no script for {found[0][0].law}: its verdict is {kind}")
    return script


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="RECORD", help="record of a run")
    parser.add_argument("law", metavar="LAW", help="id of a violated law, or a glob")
    parser.add_argument(
        "--target", default="*", metavar="GLOB", help="only of targets that match (default: *)"
    )


def _run(options: argparse.Namespace) -> int:
    print(counterexample_script(options.record, options.law, options.target), end="")
    return DONE


COMMAND = Command(
    name="script",
    summary="print the stand-alone script of a violated law",
    description="Print the script that shows how a law is violated, or how it ended its process.\n"
    "It needs torch and NumPy only.",
    examples=[
        ("conformance script run.jsonl scatter.values > repro.py", "the first counterexample"),
        ("conformance script run.jsonl 'scatter*' --target cuda:0", "one of a family of laws"),
    ],
    declare=_declare,
    run=_run,
)
