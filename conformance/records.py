"""Records read whole, and put together: what the shards and machines of one run have found.

A record that was put together holds several runs: each run's line, then its verdicts. Nothing
that a verdict depends on is lost that way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.results import SCHEMA, VERDICTS, Verdict, read_record

Place = tuple[str, str]
"""What a verdict is on: a law's id and a target."""

_OF_ONE_TORCH = ("torch", "torch_git", "suite")


class RecordError(ValueError):
    """A record that cannot be used; the message names the file, and the line if there is one."""


@dataclass(frozen=True)
class Run:
    """One run: the line that describes it, and the verdicts that follow it."""

    line: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]

    @property
    def shard(self) -> str:
        """Which part of the laws it ran, as ``K/N``; empty for all."""
        return str(self.line.get("shard", ""))

    @property
    def targets(self) -> list[str]:
        """Every target it has a verdict on, in order."""
        return list(dict.fromkeys(verdict.target for verdict in self.verdicts))


@dataclass(frozen=True)
class Record:
    """A record read whole. ``ended`` unless the run was killed."""

    path: Path
    runs: tuple[Run, ...]
    seconds: float
    ended: bool

    @property
    def verdicts(self) -> dict[Place, Verdict]:
        """The verdict on each law on each target."""
        return {(v.law, v.target): v for run in self.runs for v in run.verdicts}

    @property
    def targets(self) -> list[str]:
        """Every target it has a verdict on, in order."""
        return list(dict.fromkeys(target for run in self.runs for target in run.targets))


def read(path: Path) -> Record:
    """Read a record whole. Raises :class:`RecordError` for what a run of laws did not write."""
    runs: list[tuple[dict[str, Any], list[Verdict]]] = []
    seconds, ended = 0.0, False
    for number, line in enumerate(_lines(path), 1):
        try:
            if line["schema"] != SCHEMA:
                raise RecordError(
                    f"{path}:{number}: has schema {line['schema']}, and this suite reads {SCHEMA}; "
                    "read it with the suite that wrote it"
                )
            if line["kind"] == "run":
                runs.append((line, []))
            elif line["kind"] == "verdict":
                verdict = Verdict.from_json(line)
                if verdict.verdict not in VERDICTS or not runs:
                    raise KeyError(verdict.verdict)
                runs[-1][1].append(verdict)
            ended, seconds = line["kind"] == "end", line.get("seconds", 0.0)
        except (KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                f"{path}:{number}: not a line of a record ({type(error).__name__}: {error}); "
                "write records with: conformance run --record FILE"
            ) from error
    if not runs:
        raise RecordError(f"{path}: holds no run; write one with: conformance run --record {path}")
    parts = tuple(Run(line, tuple(verdicts)) for line, verdicts in runs)
    return Record(path, parts, seconds if ended else 0.0, ended)


def _lines(path: Path) -> Iterator[Any]:
    try:
        yield from read_record(path)
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror}); name a file written by "
            "conformance run --record FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: is no text in UTF-8, so it is no record") from error


def merged(records: Sequence[Record], *, partial: bool = False) -> list[str]:
    """Return the lines of the record that holds what all of these hold.

    Where two of them have the same verdict on a law, that on more examples stays. Raises
    :class:`RecordError` where they contradict each other, or, unless ``partial``, where a run
    did not end or a shard is missing; a partial record lacks the line that says it ended.
    """
    kept = _best(records)
    _check_versions(records)
    lacking = incomplete(records)
    if lacking and not partial:
        raise RecordError(f"{lacking[0]}; give the whole of it, or say --partial")
    lines = []
    for record in records:
        for run in record.runs:
            lines.append(json.dumps(run.line))
            chosen = (v for v in run.verdicts if kept[v.law, v.target] is v)
            lines.extend(verdict.to_json() for verdict in chosen)
    if not lacking:
        end = {
            "schema": SCHEMA,
            "kind": "end",
            "seconds": round(sum(r.seconds for r in records), 3),
        }
        lines.append(json.dumps({**end, "verdicts": len(kept)}))
    return lines


def _best(records: Sequence[Record]) -> dict[Place, Verdict]:
    kept: dict[Place, Verdict] = {}
    home: dict[Place, Path] = {}
    for record in records:
        for run in record.runs:
            for verdict in run.verdicts:
                place = verdict.law, verdict.target
                other = kept.setdefault(place, verdict)
                if other.verdict != verdict.verdict:
                    raise RecordError(
                        f"{verdict.law} on {verdict.target}: {other.verdict} in "
                        f"{home[place]}, and {verdict.verdict} in {record.path}; leave one of the "
                        "records out, or run the law again"
                    )
                if _examples(verdict) > _examples(other):
                    kept[place] = verdict
                home.setdefault(place, record.path)
    return kept


def _examples(verdict: Verdict) -> int:
    return int(verdict.evidence.get("examples", 0))


def _check_versions(records: Sequence[Record]) -> None:
    """Refuse one target under two builds of torch: no verdict could say which one it is of."""
    seen: dict[tuple[str, str], tuple[Any, Path]] = {}
    for record in records:
        for run in record.runs:
            for target in run.targets:
                for name in _OF_ONE_TORCH:
                    value = run.line.get(name)
                    first, home = seen.setdefault((target, name), (value, record.path))
                    if first != value:
                        raise RecordError(
                            f"{target} is of {name} {first} in {home}, and of {name} {value} in "
                            f"{record.path}; keep them apart: conformance report and "
                            "conformance diff take both"
                        )


def incomplete(records: Sequence[Record]) -> list[str]:
    """Return what is missing of these records: sentences, none if they are whole."""
    lacking = [f"{record.path}: the run did not end" for record in records if not record.ended]
    shards: dict[tuple[str, str], set[str]] = {}
    for run in (run for record in records for run in record.runs):
        count = run.shard.partition("/")[2]
        if count.isdecimal():
            about = ", ".join(run.line.get("targets", ()))
            shards.setdefault((about, count), set()).add(run.shard)
    for (about, count), found in shards.items():
        every = [f"{number}/{count}" for number in range(1, int(count) + 1)]
        missing = [shard for shard in every if shard not in found]
        if missing:
            named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            lacking.append(f"{len(missing)} of {count} shards of {about} missing: {named}")
    return lacking
