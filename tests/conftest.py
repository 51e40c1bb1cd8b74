"""Fixtures of the suite's own tests."""

from __future__ import annotations

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
