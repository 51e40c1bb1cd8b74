"""Results: one JSON line a verdict, after one line that says what was run and on what.

A record is JSON lines: first ``{"kind": "run", ...}``, then a ``{"kind": "verdict", ...}`` for
each law on each target as it ends, at last ``{"kind": "end", ...}``, which a killed run lacks.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

SCHEMA = 1

VERDICTS: dict[str, bool] = {
    "holds": False,
    "unsupported": False,
    "deviates": False,
    "violated": True,
    "vacuous": True,
    "stale": True,
    "crashed": True,
    "timeout": True,
    "blocked": True,
}
"""Every verdict, and whether it fails the run."""


@dataclass(frozen=True)
class Counterexample:
    """What refutes a law: the message, the inputs, and a script that needs no suite.

    ``inputs`` is Python text, one assignment a line. ``script`` fails in the same way with
    torch and NumPy alone. ``blob`` is Hypothesis's, for its ``@reproduce_failure``, and
    ``explanation`` what its explain phase found, if it was asked for.
    """

    message: str
    inputs: str = ""
    script: str = ""
    blob: str = ""
    explanation: str = ""


@dataclass(frozen=True)
class Verdict:
    """One law on one target; ``since`` is the first torch that promises it, if not every one."""

    law: str
    level: str
    chapter: str
    statement: str
    documentation: str
    target: str
    verdict: str
    seconds: float = 0.0
    message: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    counterexample: Counterexample | None = None
    deviation: dict[str, str] | None = None
    since: str = ""

    @property
    def fails(self) -> bool:
        """Whether this verdict fails a run."""
        return VERDICTS[self.verdict]

    def to_json(self) -> str:
        """Return the record's line for this verdict."""
        return json.dumps({"schema": SCHEMA, "kind": "verdict", **asdict(self)})

    @staticmethod
    def from_json(line: str | dict[str, Any]) -> Verdict:
        """Return the verdict that a line holds."""
        data: dict[str, Any] = dict(json.loads(line) if isinstance(line, str) else line)
        data.pop("schema"), data.pop("kind")
        if data["counterexample"]:
            data["counterexample"] = Counterexample(**data["counterexample"])
        return Verdict(**data)


def describe_run(
    *,
    targets: list[str],
    profile: str,
    seed: int,
    examples: int,
    devices: list[str],
    lacks: dict[str, dict[str, str]],
    shard: str = "",
    loaded: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the record's first line: all that a verdict may depend on.

    ``devices`` names the targets' accelerators; ``lacks`` says of each target with which words it
    refused which capabilities; ``shard`` is which part of the laws was run, as ``K/N``, or empty
    for all of them; ``loaded`` the modules imported first. Needs torch imported.
    """
    import torch

    return {
        "schema": SCHEMA,
        "kind": "run",
        "suite": version("autograd-conformance"),
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "torch_config": torch.__config__.show(),
        "numpy": version("numpy"),
        "hypothesis": version("hypothesis"),
        "python": sys.version,
        "platform": platform.platform(),
        "processor": _processor(),
        "devices": devices,
        "lacks": lacks,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "targets": targets,
        "profile": profile,
        "examples": examples,
        "seed": seed,
        "shard": shard,
        "loaded": list(loaded),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def stamp(report: pytest.TestReport, verdict: Verdict) -> None:
    """Make ``report`` say what ``verdict`` says: failed, skipped or passed, and why."""
    report.conformance = verdict.to_json()  # type: ignore[attr-defined]
    if verdict.fails:
        report.outcome = "failed"
        report.longrepr = f"{verdict.law} [{verdict.target}] {verdict.verdict}: {verdict.message}"
    elif verdict.verdict == "holds":
        report.outcome = "passed"
    else:
        report.outcome = "skipped"
        report.longrepr = ("", 0, f"{verdict.verdict}: {verdict.message}")


class Record:
    """A record file being written: each line is on disk before the next law ends.

    Raises ``OSError`` where the path cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def append(self, line: str) -> None:
        """Write one line and flush it."""
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_record(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a record; a last line cut short by a kill is left out.

    Raises ``ValueError`` naming file and line where an earlier one is not JSON.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise ValueError(f"{path}:{number}: not a line of a record: {error}") from error
