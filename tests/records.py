"""Records made up for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.results import SCHEMA, Counterexample, Verdict

HOLDS = Verdict(
    law="sum.adds",
    level="must",
    chapter="sums",
    statement="A ``sum`` adds.",
    documentation="https://docs.pytorch.org/docs/stable/generated/torch.sum.html",
    target="cpu",
    verdict="holds",
    seconds=0.5,
    evidence={
        "examples": 10, "rejected": 0, "unsupported": 0, "checks": 20, "values": 400,
        "dtypes": ["float32"], "ranks": [0, 1], "layouts": ["contiguous"], "missing": "",
    },
)  # fmt: skip
VIOLATED = replace(
    HOLDS,
    verdict="violated",
    message="3 where 4 is right",
    counterexample=Counterexample("3 where 4 is right", "x = 3", "print('here')\n"),
)


def run_line(**facts: Any) -> dict[str, Any]:
    """Return the line of a run with these facts."""
    common = {
        "schema": SCHEMA, "kind": "run", "suite": "0.1", "torch": "2.13.0", "torch_git": "abc",
        "numpy": "2.0", "hypothesis": "6", "python": "3.11", "platform": "Linux", "threads": 1,
        "processor": "a processor", "cpus": 2, "devices": ["cpu"], "targets": ["cpu"],
        "profile": "smoke", "examples": 10, "seed": 0, "shard": "", "loaded": [],
        "command": ["pytest"],
    }  # fmt: skip
    return {**common, **facts}


def write_record(
    path: Path, verdicts: Sequence[Verdict], *, ended: bool = True, **facts: Any
) -> Path:
    """Write a record of one run with these verdicts and facts; return its path."""
    end = {"schema": SCHEMA, "kind": "end", "seconds": 1.5, "verdicts": len(verdicts)}
    lines = [json.dumps(run_line(**facts)), *(verdict.to_json() for verdict in verdicts)]
    path.write_text("\n".join([*lines, *([json.dumps(end)] if ended else [])]) + "\n")
    return path
