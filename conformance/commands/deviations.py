"""``conformance deviations``: a record's failing verdicts as the entries of a deviations file."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.version import InvalidVersion, Version

from conformance.commands.command import DONE, Command, CommandError, write_text
from conformance.commands.scripts import script_of
from conformance.records import Record, Run, read
from conformance.results import Verdict
from conformance.selection import matches

_NOT_LISTABLE = {
    "vacuous": "nothing was compared, which no entry excuses",
    "stale": "an entry lists it, and it holds: remove that entry",
    "blocked": "an essential is broken, which no entry excuses",
}
_MOST_NAMED = 5
_HEADER = """\
# Known violations, from {record}.
# Say in each reason what is wrong, link the issue, and widen law and target where one cause has
# many entries. Name the inputs of those that fail for some only: without, the law judges nothing.
# An entry that no longer holds is stale, and fails the run, so nothing here is forgotten.
"""


def entries(record: Record, laws: Sequence[str], target: str) -> tuple[list[str], list[Verdict]]:
    """Return the entries of what fails among these laws and targets, and what can have none."""
    listed, left = [], []
    for run in record.runs:
        for verdict in run.verdicts:
            named = not laws or any(matches(verdict.law, pattern) for pattern in laws)
            if not (verdict.fails and named and fnmatchcase(verdict.target, target)):
                continue
            if verdict.verdict in _NOT_LISTABLE:
                left.append(verdict)
            else:
                listed.append(entry(verdict, run))
    return listed, left


def entry(verdict: Verdict, run: Run) -> str:
    """Return the entry of one verdict, as TOML."""
    found = {
        "law": _as_glob(verdict.law),
        "target": _as_glob(verdict.target),
        "torch": _since(str(run.line.get("torch", ""))),
        "reason": _reason(verdict),
        "link": "",
    }
    found |= _replayed(verdict, run)
    lines = [f"{key} = {toml_text(value)}" for key, value in found.items()]
    return "\n".join(["[[deviation]]", *lines, ""])


def _as_glob(text: str) -> str:
    """Return the glob that matches this text only."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _since(torch_version: str) -> str:
    """Return the range of versions from this one on; all, where a record does not tell."""
    try:
        return f">={Version(torch_version).public}"
    except InvalidVersion:
        return ""


def _reason(verdict: Verdict) -> str:
    first = verdict.message.strip().partition("\n")[0].removeprefix(f"{verdict.verdict}: ")
    return f"{verdict.verdict}: {first}" if first else verdict.verdict


def _replayed(verdict: Verdict, run: Run) -> dict[str, str]:
    """Return the script that the next run replays first, under its key; nothing without one."""
    from conformance.counterexample import for_any_target

    script = script_of(verdict, run)
    try:
        says = compile(script, "script", "exec", dont_inherit=True).co_names
    except (SyntaxError, ValueError):
        return {}
    if not says:  # a comment alone says nothing
        return {}
    if verdict.verdict == "violated":
        return {"counterexample": for_any_target(script)}
    return {"crash": script}


def toml_text(text: str) -> str:
    """Return a text as TOML, on several lines, as it is, where it has several."""
    plain = all(c.isprintable() or c in "\n\t" for c in text)
    if "\n" in text and plain and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="RECORD", help="record of a run")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE",
        help="the deviations file to write; - for standard output",
    )  # fmt: skip
    parser.add_argument(
        "--law", action="append", default=[], metavar="GLOB",
        help="only laws whose id matches; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--target", default="*", metavar="GLOB", help="only targets that match (default: *)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it is there")


def _run(options: argparse.Namespace) -> int:
    from conformance.deviations import read_deviations

    listed, left = entries(read(options.record), options.law, options.target)
    text = "\n".join([_HEADER.format(record=options.record.name), *listed])
    if str(options.output) == "-":
        print(text, end="")
        return DONE
    if options.output.exists() and not options.force:
        raise CommandError(
            f"{options.output}: is there already, and may hold reasons that somebody wrote; name "
            "another file, or say --force"
        )
    write_text(options.output, text)
    read_deviations(options.output)  # what a run could not read shall not be left unsaid
    noun = "entry" if len(listed) == 1 else "entries"
    print(f"{options.output}: {len(listed):,} {noun}")
    print(f"use with: conformance run --deviations {options.output}")
    for sentence in _unlisted(left):
        print(sentence, file=sys.stderr)
    return DONE


def _unlisted(left: Sequence[Verdict]) -> Iterator[str]:
    """Say what fails and has no entry, and why."""
    for kind, why in _NOT_LISTABLE.items():
        places = [f"{v.law} on {v.target}" for v in left if v.verdict == kind]
        if places:
            more = f" and {len(places) - _MOST_NAMED:,} more" if len(places) > _MOST_NAMED else ""
            named = ", ".join(places[:_MOST_NAMED])
            yield f"no entry for what is {kind} ({why}): {named}{more}"


COMMAND = Command(
    name="deviations",
    summary="write a deviations file of all that fails, to start a new backend",
    description="Write the entries of a deviations file for every verdict that fails, so that the "
    "next run\nfails on news only. Counterexamples are kept, and replayed first.",
    examples=[
        ("conformance deviations run.jsonl -o mine.toml", "everything that fails"),
        ("conformance deviations run.jsonl -o - --law 'scatter*'", "some, to look at"),
        ("conformance run --target my_device --deviations mine.toml", "the next run"),
    ],
    declare=_declare,
    run=_run,
)
