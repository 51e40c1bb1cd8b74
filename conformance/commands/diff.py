"""``conformance diff``: what changed between two records, for people, reviews, programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from conformance.commands.command import DONE, Command, CommandError, aligned, as_json, warn
from conformance.difference import KINDS, Change, by_kind, differences
from conformance.records import Place, Record, incomplete, read
from conformance.report.text import page, table
from conformance.selection import matches

REGRESSION = 1
_COMPARED = ("torch", "suite", "numpy", "hypothesis", "python", "processor", "profile", "examples")
_LONGEST = 100
_MOST_ROWS = 100  # of a kind, in Markdown: a comment on a pull request holds 65,536 characters


def circumstances(old: Record, new: Record) -> list[tuple[str, str, str]]:
    """Return what else differs between the runs: name, older value, newer value."""

    def told(record: Record, name: str) -> str:
        values = (str(run.line.get(name, "unknown")) for run in record.runs)
        return ", ".join(dict.fromkeys(values))

    found = [("target", ", ".join(old.targets), ", ".join(new.targets))]
    found += [(name, told(old, name), told(new, name)) for name in _COMPARED]
    return [(name, first, second) for name, first, second in found if first != second]


def as_text(old: Record, new: Record, changes: Sequence[Change]) -> str:
    """Return the changes for a terminal."""
    blocks = [f"{old.path} -> {new.path}"]
    differing = circumstances(old, new)
    if differing:
        blocks[0] += "\n" + aligned([(f"  {n}", f"{a} -> {b}") for n, a, b in differing])
    for name, members in by_kind(changes).items():
        rows = [
            (f"  {c.verdict.law}", c.verdict.target, c.step, _shortened(c.detail)) for c in members
        ]
        blocks.append(f"{name} ({len(members):,}): {KINDS[name].meaning}\n{aligned(rows)}")
    blocks.append(summary(changes))
    return "\n\n".join(blocks)


def summary(changes: Sequence[Change]) -> str:
    """Return the counts in one sentence."""
    found = by_kind(changes)
    counts = ", ".join(f"{len(members):,} {name}" for name, members in found.items())
    worse = sum(change.kind.regression for change in changes)
    noun = "regression" if worse == 1 else "regressions"
    return (
        f"{format(worse, ',') if worse else 'no'} {noun}: {counts}" if counts else "no differences"
    )


def as_markdown(old: Record, new: Record, changes: Sequence[Change]) -> str:
    """Return the changes for a pull request; what is no regression is folded away."""
    blocks = [f"### {summary(changes)[0].upper()}{summary(changes)[1:]}"]
    differing = circumstances(old, new)
    if differing:
        rows = [tuple(map(_code, row)) for row in differing]
        blocks.append(table(("", _code(str(old.path)), _code(str(new.path))), rows))
    for name, members in by_kind(changes).items():
        lines = table(("law", "target", "verdict", "why"), map(_row, members[:_MOST_ROWS]))
        if len(members) > _MOST_ROWS:
            lines += f"\n\nand {len(members) - _MOST_ROWS:,} more"
        title = f"{name} ({len(members):,}): {KINDS[name].meaning}"
        if KINDS[name].regression:
            blocks.append(f"#### {title[0].upper()}{title[1:]}\n\n{lines}")
        else:
            summary_line = f"<summary>{title}</summary>"
            blocks.append(f"<details>{summary_line}\n\n{lines}\n\n</details>")
    return page(*blocks)


def _row(change: Change) -> tuple[str, ...]:
    found = change.verdict
    return _code(found.law), _code(found.target), change.step, _code(_shortened(change.detail))


def _code(text: str) -> str:
    """Return text that Markdown shows as it is, whatever a record holds."""
    text = " ".join(text.split())
    if not text:
        return ""
    ticks = "`" * (max((len(run) for run in _backticks(text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _backticks(text: str) -> list[str]:
    return "".join(c if c == "`" else " " for c in text).split()


def _shortened(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= _LONGEST else first[: _LONGEST - 3] + "..."


def as_data(old: Record, new: Record, changes: Sequence[Change]) -> dict[str, Any]:
    """Return the changes for a program."""
    return {
        "old": str(old.path),
        "new": str(new.path),
        "circumstances": {name: [a, b] for name, a, b in circumstances(old, new)},
        "regressions": sum(change.kind.regression for change in changes),
        "changes": [
            {
                "kind": change.kind.name,
                "regression": change.kind.regression,
                "law": change.verdict.law,
                "target": change.verdict.target,
                "detail": change.detail,
                "old": asdict(change.old) if change.old else None,
                "new": asdict(change.new) if change.new else None,
            }
            for change in changes
        ],
    }


_FORMS = {"text": as_text, "markdown": as_markdown}


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", type=Path, metavar="OLD", help="the older record")
    parser.add_argument("new", type=Path, metavar="NEW", help="the newer record")
    parser.add_argument(
        "--law", action="append", default=[], metavar="GLOB",
        help="compare only laws whose id matches; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--target", default="*", metavar="GLOB", help="compare only targets that match (default: *)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="print JSON, for a program")


def _run(options: argparse.Namespace) -> int:
    old, new = read(options.old), read(options.new)

    def chosen(place: Place) -> bool:
        law, target = place
        named = not options.law or any(matches(law, pattern) for pattern in options.law)
        return named and fnmatchcase(target, options.target)

    if not any(chosen(place) for record in (old, new) for place in record.verdicts):
        raise CommandError("neither record has a verdict on what --law and --target name")
    changes = differences(old, new, chosen)
    warn("diff", incomplete([old]) + incomplete([new]))
    if options.json:
        print(as_json(as_data(old, new, changes)))
    else:
        print(_FORMS["markdown" if options.markdown else "text"](old, new, changes))
    return REGRESSION if any(change.kind.regression for change in changes) else DONE


COMMAND = Command(
    name="diff",
    summary="say what changed between two records; fails on regressions",
    description="Say what changed between two records: "
    + ", ".join(KINDS)
    + ".\n\n"
    + aligned([(f"  {kind.name}", kind.meaning) for kind in KINDS.values()])
    + "\n\nTwo records of one target each are compared even if the targets have other names.",
    examples=[
        ("conformance diff torch-2.12.jsonl torch-2.13.jsonl", "two releases of torch"),
        ("conformance diff main.jsonl mine.jsonl --markdown >> $GITHUB_STEP_SUMMARY", "for review"),
        ("conformance diff cpu.jsonl cuda.jsonl --law 'scatter*'", "two devices, some laws"),
        ("conformance diff old.jsonl new.jsonl --json", "for a program"),
    ],
    declare=_declare,
    run=_run,
    exit_codes={
        0: "no regression",
        1: "a regression: something is broken, lost its evidence, or is gone",
    },
)
