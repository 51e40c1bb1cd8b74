"""Runs of laws in fresh processes, as users start them, and what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.results import read_record


@dataclass(frozen=True)
class Run:
    """A finished run: exit code, output, and the lines of its record."""

    code: int
    out: str
    err: str
    lines: list[dict[str, Any]]

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each law; fails if a law has two on the same target."""
        found = [(line["law"], line["target"]) for line in self.verdict_lines]
        assert len(set(found)) == len(found), found
        return {line["law"]: line["verdict"] for line in self.verdict_lines}

    @property
    def verdict_lines(self) -> list[dict[str, Any]]:
        """The record's lines that are verdicts."""
        return [line for line in self.lines if line["kind"] == "verdict"]

    def line(self, law: str) -> dict[str, Any]:
        """The record's line on one law."""
        (found,) = [line for line in self.verdict_lines if line["law"] == law]
        return found


RunLaws = Callable[..., Run]
"""Run laws given as source text, with options: what the ``laws`` fixture returns."""


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of a run of pytest with the interpreter of this process."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment without what an outer pytest put there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COLUMNS"))}


def run_laws(arguments: Sequence[str], folder: Path, timeout: float = 300) -> Run:
    """Run pytest in ``folder`` with a record, and return what came of it."""
    record = folder / "record.jsonl"
    recording = [] if "--record" in arguments else ["--record", str(record)]
    done = subprocess.run(
        command([*arguments, *recording]),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    lines = list(read_record(record)) if record.exists() else []
    return Run(done.returncode, done.stdout, done.stderr, lines)
