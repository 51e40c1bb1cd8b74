"""``conformance deviations``: a record's failing verdicts as the entries of a deviations file."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.version import InvalidVersion, Version

from conformance.commands.command import DONE, Command, CommandError, write_text
from conformance.records import Record, Run, read
from conformance.results import Verdict
from conformance.selection import matches

_LISTABLE = ("violated", "crashed", "timeout")
_NOT_LISTABLE = {
    "vacuous": "nothing was compared, which no entry excuses",
    "stale": "an entry lists it, and it holds: remove that entry",
}
_HEADER = """\
# Known violations, from {record}.
# Say in each reason what is wrong, link the issue, and widen law and target where one cause has
# many entries. Name the inputs of those that fail for some only: without, the law judges nothing.
# An entry that no longer holds is stale, and fails the run, so nothing here is forgotten.
"""


def entries(record: Record, laws: Iterable[str], target: str) -> tuple[str, int, list[str]]:
    """Return a file's text, the number of its entries, and what could not be listed, and why."""
    patterns = list(laws)
    tables, left = [], []
    for run in record.runs:
        for verdict in run.verdicts:
            named = not patterns or any(matches(verdict.law, pattern) for pattern in patterns)
            if not (verdict.fails and named and fnmatchcase(verdict.target, target)):
                continue
            if verdict.verdict in _LISTABLE:
                tables.append(entry(verdict, run))
            else:
                why = _NOT_LISTABLE[verdict.verdict]
                left.append(f"{verdict.law} on {verdict.target} is {verdict.verdict}: {why}")
    header = _HEADER.format(record=record.path.name)
    return "\n".join([header, *tables]), len(tables), left


def entry(verdict: Verdict, run: Run) -> str:
    """Return the entry of one verdict, as TOML."""
    found = {
        "law": _as_glob(verdict.law),
        "target": _as_glob(verdict.target),
        "torch": _since(str(run.line.get("torch", ""))),
        "reason": _reason(verdict),
        "link": "",
    }
    script = _replayable(verdict)
    if script:
        found["counterexample"] = script
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
    first = verdict.message.strip().partition("\n")[0]
    return f"{verdict.verdict}: {first}" if first else verdict.verdict


def _replayable(verdict: Verdict) -> str:
    """Return the script that the next run replays first; empty where there is none that could."""
    from conformance.counterexample import for_any_target

    script = verdict.counterexample.script if verdict.counterexample else ""
    try:
        code = compile(script, "script", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return ""
    return for_any_target(script) if code.co_names else ""  # a comment alone says nothing


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
    text, count, left = entries(read(options.record), options.law, options.target)
    for sentence in left:
        print(f"conformance deviations: {sentence}", file=sys.stderr)
    if str(options.output) == "-":
        print(text, end="")
        return DONE
    if options.output.exists() and not options.force:
        raise CommandError(
            f"{options.output}: is there already, and may hold reasons that somebody wrote; name "
            "another file, or say --force"
        )
    from conformance.deviations import read_deviations

    write_text(options.output, text)
    read_deviations(options.output)  # what a run could not read shall not be left unsaid
    noun = "entry" if count == 1 else "entries"
    print(f"{options.output}: {count} {noun}; use with: conformance run --deviations FILE")
    return DONE


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
