"""The report of records as one HTML file that needs no network: chapters by targets, law by law.

What a record holds is anybody's text. It enters the file as JSON in which nothing can end the
element around it, the page's script puts it into the document as text, and the page's policy
lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from conformance.records import Record, Run
from conformance.results import VERDICTS, Verdict

_PARTS = Path(__file__).with_name("page")
_DESCRIBED = (
    "torch", "torch_git", "suite", "numpy", "hypothesis", "python", "platform", "processor",
    "devices", "threads", "cpus", "profile", "examples", "seed", "command",
)  # fmt: skip
_COUNTED = ("examples", "rejected", "unsupported", "checks", "values")
_SEEN = ("dtypes", "ranks", "layouts")


def html_report(records: Sequence[Record]) -> str:
    """Return the page that shows all of these records, a column for each target of each."""
    script, style = (_PARTS.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("js", "css"))
    return Template(_PARTS.joinpath("report.html").read_text("utf-8")).substitute(
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
        data=harmless(json.dumps(report_data(records), separators=(",", ":"))),
    )


def harmless(data: str) -> str:
    """Return JSON that says the same, and that no HTML parser takes for markup."""
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _hash(text: str) -> str:
    """Return how a page's policy names the one script, or style, that it lets in."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


class _Texts:
    """Texts by number, so that what many verdicts say stands in the file once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def report_data(records: Sequence[Record]) -> dict[str, Any]:
    """Return all that the page shows, each text once."""
    texts = _Texts()
    laws: dict[str, list[int | str]] = {}
    numbers: dict[str, int] = {}
    rows = []
    columns = _columns(records)
    for index, record in enumerate(records):
        for verdict in record.verdicts.values():
            if verdict.law not in laws:
                numbers[verdict.law] = len(laws)
                laws[verdict.law] = [verdict.law, *_law(verdict, texts)]
            column = columns[index, verdict.target]["number"]
            rows.append([numbers[verdict.law], column, *_row(verdict, texts)])
    return {
        "verdicts": [{"name": name, "fails": fails} for name, fails in VERDICTS.items()],
        "columns": list(columns.values()),
        "records": [_described(record) for record in records],
        "laws": list(laws.values()),
        "rows": rows,
        "texts": list(texts.numbers),
    }


def _law(verdict: Verdict, texts: _Texts) -> list[int]:
    told = verdict.level, verdict.chapter, verdict.statement, verdict.documentation
    return [texts.number(text) for text in told]


def _row(verdict: Verdict, texts: _Texts) -> list[int | float]:
    evidence = verdict.evidence
    seen = (", ".join(map(str, evidence.get(name, ()))) for name in _SEEN)
    found, listed = verdict.counterexample, verdict.deviation or {}
    told = (
        verdict.message,
        *seen,
        *((found.inputs, found.script, found.explanation) if found else ("", "", "")),
        found.message if found and found.message != verdict.message else "",
        listed.get("reason", ""),
        listed.get("link", ""),
    )
    return [
        list(VERDICTS).index(verdict.verdict),
        round(verdict.seconds, 3),
        *(evidence.get(name, 0) for name in _COUNTED),
        *map(texts.number, told),
    ]


def _columns(records: Sequence[Record]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return a column for each target of each record, told apart by what differs."""
    places = [(index, target) for index, record in enumerate(records) for target in record.targets]
    versions = {place: _values(records[place[0]].runs, "torch") for place in places}
    columns: dict[tuple[int, str], dict[str, Any]] = {}
    for index, target in places:
        twins = [place for place in places if place[1] == target]
        notes = []
        if len({versions[place] for place in twins}) > 1:
            notes.append(f"torch {versions[index, target]}")
        if len({(place[1], versions[place]) for place in twins}) < len(twins):
            notes.append(records[index].path.name)
        columns[index, target] = {
            "number": len(columns),
            "target": target,
            "note": ", ".join(notes),
            "record": index,
        }
    return columns


def _described(record: Record) -> dict[str, Any]:
    return {
        "name": record.path.name,
        "ended": record.ended,
        "seconds": record.seconds,
        "targets": record.targets,
        "shards": ", ".join(run.shard for run in record.runs if run.shard),
        "facts": [[name, _values(record.runs, name)] for name in _DESCRIBED],
    }


def _values(runs: Sequence[Run], name: str) -> str:
    """Return a fact of the runs of a record; all its values, where they differ."""
    values = (_text(run.line, name) for run in runs)
    return "; ".join(dict.fromkeys(values))


def _text(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name, "unknown")
    separator = " " if name == "command" else ", "
    return separator.join(map(str, value)) if isinstance(value, list) else str(value)
