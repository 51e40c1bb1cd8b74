"""Fixtures of the suite's own tests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from tests.runs import Run, RunLaws, run_laws

pytest_plugins = ["pytester"]


@pytest.fixture
def laws(tmp_path: Path) -> RunLaws:
    """Return a function that runs laws, given as source text, in a fresh process."""

    def run(source: str, *options: str, processes: str | None = None) -> Run:
        module = tmp_path / "test_subject.py"
        module.write_text(PREAMBLE + dedent(source))
        spread: Sequence[str] = () if processes is None else ("-n", processes)
        return run_laws([str(module), "--target", "cpu", *options, *spread], tmp_path)

    return run


PREAMBLE = """
import ctypes, os, signal, time
import torch
import numpy as np
from hypothesis import strategies as st
from conformance import compare
from conformance.law import given, law
from strategies import tensors
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--draws", type=int, metavar="N", help="draws a quality test makes (300)")
    parser.addoption(
        "--one-saboteur-a-law", action="store_true", help="try the first saboteur of each law only"
    )
    parser.addoption("--kill-table", type=Path, metavar="FILE", help="write the kill table as JSON")


def pytest_configure(config: pytest.Config) -> None:
    draws: int | None = config.getoption("--draws")
    if draws is not None:
        os.environ["CONFORMANCE_DRAWS"] = str(draws)  # before workers start and read it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the saboteurs of laws that have one already, if asked to."""
    if not config.getoption("--one-saboteur-a-law"):
        return
    seen: set[str] = set()
    dropped = []
    for item in items:
        saboteur = getattr(item, "callspec", None) and item.callspec.params.get("saboteur")  # type: ignore[attr-defined]
        if saboteur is not None:
            laws = {law_id.partition(":")[0] for law_id in saboteur.laws}
            if laws <= seen:
                dropped.append(item)
            seen |= laws
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in set(dropped)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which law caught which saboteur, and leave the table for the documentation."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)]
    rows = [value for r in reports for name, value in r.user_properties if name == "kill"]
    path: Path | None = terminalreporter.config.getoption("--kill-table")
    if path is not None:
        path.write_text(json.dumps(sorted(rows, key=lambda row: (row["law"], row["saboteur"]))))
    if rows:
        caught = sum(row["caught"] for row in rows)
        terminalreporter.section(f"saboteurs: {caught} of {len(rows)} caught")
        width = max(len(row["saboteur"]) for row in rows)
        for row in sorted(rows, key=lambda row: row["saboteur"]):
            word = "caught by" if row["caught"] else "MISSED BY"
            terminalreporter.write_line(f"{row['saboteur']:<{width}}  {word} {row['law']}")
