"""What records of runs say of the laws: verdicts with their evidence, target and version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.report.text import badge, prose
from conformance.results import read_record

Line = Mapping[str, Any]
"""A verdict of a record; its key ``torch`` is the version that the run was of."""

MARKS = {"holds": "✓", "deviates": "≠", "unsupported": "○"}
"""Before verdicts in text; all others are failures, with a cross."""
_PLURALS = {"holds": "hold", "deviates": "deviate"}


@dataclass(frozen=True)
class Verified:
    """All verdicts of one or several runs, by the id of their law."""

    runs: tuple[Mapping[str, Any], ...]
    verdicts: Mapping[str, Sequence[Line]]

    def lines(self, law_ids: Iterable[str]) -> list[Line]:
        """Return the verdicts on all these laws."""
        return [line for law_id in law_ids for line in self.verdicts.get(law_id, ())]

    def note(self) -> str:
        """Return what was run, a sentence a run."""
        return "\n".join(
            f"*Verified with torch {run['torch']}, NumPy {run['numpy']}, Python "
            f"{run['python'].split()[0]} on {run['processor']} ({run['platform']}); profile "
            f"{run['profile']}, {run['examples']} examples a law, seed {run['seed']}.*"
            for run in self.runs
        )


def read_verified(records: Sequence[Path], law_ids: Iterable[str]) -> Verified:
    """Read records. Raises ``ValueError`` where the first lacks a verdict on one of the laws.

    A page says only what the runs that it is from have shown.
    """
    runs, verdicts = [], dict[str, list[Line]]()
    for number, record in enumerate(records):
        lines = list(read_record(record))
        run = next(line for line in lines if line["kind"] == "run")
        runs.append(run)
        for line in lines:
            if line["kind"] == "verdict":
                verdicts.setdefault(line["law"], []).append({**line, "torch": run["torch"]})
        missing = [law_id for law_id in law_ids if law_id not in verdicts]
        if missing and number == 0:
            raise ValueError(f"{record} has no verdict on {', '.join(missing)}; run all laws")
    return Verified(tuple(runs), verdicts)


def verdict_badge(verdict: str) -> str:
    """Return a verdict as a coloured word."""
    return badge(f"{MARKS.get(verdict, '✗')} {verdict}", "verdict", verdict)


def counted(lines: Iterable[Line]) -> str:
    """Return how many verdicts there are of each kind, the most frequent first."""
    counts = Counter(line["verdict"] for line in lines)
    return ", ".join(
        f"{count:,} {_PLURALS.get(kind, kind)}" for kind, count in counts.most_common()
    )


def counted_badges(lines: Iterable[Line]) -> str:
    """Return how many verdicts there are of each kind, in colour; of one verdict only the kind."""
    counts = Counter(line["verdict"] for line in lines)
    if counts.total() == 1:
        return verdict_badge(*counts)
    return " ".join(
        badge(f"{MARKS.get(kind, '✗')} {count:,} {_PLURALS.get(kind, kind)}", "verdict", kind)
        for kind, count in counts.most_common()
    )


def evidence(line: Line) -> str:
    """Return what a verdict rests on."""
    found = line["evidence"]
    if line["verdict"] == "deviates" and not found.get("examples"):
        return "its recorded counterexample fails"
    parts = [
        f"{found['examples']:,} examples",
        f"{found['values']:,} values compared",
        *([f"{found['rejected']:,} rejected"] if found["rejected"] else []),
        *([f"{found['unsupported']:,} unsupported"] if found["unsupported"] else []),
        ", ".join(found["dtypes"]),
        f"ranks {', '.join(map(str, found['ranks']))}" if found["ranks"] else "",
        ", ".join(found["layouts"]),
    ]
    return "; ".join(part for part in parts if part)


def reason(line: Line) -> str:
    """Return why a verdict is not that the law holds, if the record says it."""
    text = line["deviation"]["reason"] if line["deviation"] else line["message"]
    return "" if line["verdict"] == "holds" else prose(text.partition("\n")[0])
