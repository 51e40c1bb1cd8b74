"""Mistakes a user can make: each ends the run before any law, in one sentence, with code 4."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.runs import Run, run_laws

USAGE_ERROR = 4

CASES: dict[str, tuple[list[str], str]] = {
    "unknown device": (["--target", "gpu"], "no device 'gpu'"),
    "devices there are": (["--target", "gpu"], "conformance list targets"),
    "device with a typo": (["--target", "cdua"], "did you mean 'cuda'?"),
    "unavailable device": (["--target", "xpu:7"], "device 'xpu:7' is not available here"),
    "no device": (["--target", "/eager"], "names no device"),
    "unknown mode": (["--target", "cpu/aot_eager"], "did you mean 'compile:aot_eager'?"),
    "unknown law": (["--law", "scater.values"], "nearest: scatter.values"),
    "glob without a match": (["--law", "nothing*"], "matches no law"),
    "unknown chapter": (["--chapter", "optimizer"], "nearest: optimizers"),
    "missing module": (["--load", "no_such_backend"], "no such module"),
    "module that fails": (["--load", "failing_backend"], "importing it failed (OSError: no card)"),
    "record in a missing folder": (["--record", "missing/record.jsonl"], "cannot be written"),
    "record that is a folder": (["--record", "."], "cannot be written"),
    "unreadable deviations": (["--deviations", "none.toml"], "none.toml: cannot be read"),
    "deviations not TOML": (["--deviations", "broken.toml"], "broken.toml:3: not TOML"),
    "deviation without reason": (["--deviations", "reasonless.toml"], "reasonless.toml:2: this"),
    "deviation of no law": (["--deviations", "lawless.toml"], "lawless.toml:2: law = 'scater.*'"),
    "deviation of all cases": (["--deviations", "cases.toml"], "write 'scatter.values:*'"),
    "version range": (["--deviations", "version.toml"], "'2.9 or so' is no version range"),
    "inputs": (["--deviations", "inputs.toml"], "inputs.toml:1: inputs is no expression"),
    "inputs alone": (["--deviations", "alone.toml"], "alone.toml:1: inputs needs a counterexample"),
    "crash beside": (["--deviations", "both.toml"], "both.toml:1: a counterexample or a crash"),
    "counterexample": (["--deviations", "script.toml"], "script.toml:1: counterexample is not"),
    "unknown profile": (["--profile", "quick"], "--profile"),
    "examples": (["--max-examples", "none"], "write 1 or more"),
    "shard": (["--shard", "0/2"], "'0/2' is no shard; write such as 2/8"),
    "time limit": (["--law-timeout", "0"], "is no number of seconds"),
    "memory limit": (["--law-memory", "0"], "is no size in GiB"),
    "unreadable capabilities": (["--capabilities", "none.toml"], "none.toml: cannot be read"),
    "absent law": (["--capabilities", "absent.toml"], "absent.toml:1: law = 'scater.*'"),
    "absent capability": (["--capabilities", "probe.toml"], "probe.toml:1: no capability 'float6'"),
    "absent nothing": (["--capabilities", "nothing.toml"], "name either a law or a capability or"),
    "no laws": (["--target", "cpu", "test_other.py"], "no law was collected"),
}  # fmt: skip

_ENTRY = '[[deviation]]\nlaw = "{law}"\ntarget = "*"\ntorch = "{torch}"\nreason = "r"\nlink = ""\n'
_ABSENT = '[[absent]]\ntarget = "*"\ntorch = ""\nreason = "r"\nlink = ""\n'
FILES = {
    "failing_backend.py": "raise OSError('no card')\n",
    "broken.toml": "[[deviation]]\nlaw = 'x'\ntarget = \n",
    "reasonless.toml": "# mine\n[[deviation]]\nlaw = 'scatter*'\n",
    "lawless.toml": "\n" + _ENTRY.format(law="scater.*", torch=""),
    "cases.toml": _ENTRY.format(law="scatter.values", torch=""),
    "version.toml": _ENTRY.format(law="scatter.*", torch="2.9 or so"),
    "script.toml": _ENTRY.format(law="scatter.*", torch="") + "counterexample = 'assert ='\n",
    "inputs.toml": _ENTRY.format(law="scatter.*", torch="") + "inputs = 'x ='\n",
    "alone.toml": _ENTRY.format(law="scatter.*", torch="") + "inputs = 'True'\n",
    "both.toml": _ENTRY.format(law="scatter.*", torch="") + "counterexample = ''\ncrash = ''\n",
    "absent.toml": _ABSENT + 'law = "scater.*"\n',
    "probe.toml": _ABSENT + 'capability = "float6"\n',
    "nothing.toml": _ABSENT,
    "test_other.py": "def test_other(): pass\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def run(options: list[str], folder: Path) -> Run:
    # One chapter, since what is refused does not depend on how many are collected.
    laws = [] if "test_other.py" in options else ["--pyargs", "conformance.laws.test_detach"]
    return run_laws([*laws, *options], folder)


@pytest.mark.parametrize("mistake", CASES)
def test_mistake(mistake: str, folder: Path) -> None:
    options, sentence = CASES[mistake]
    done = run(options, folder)
    assert done.code == USAGE_ERROR, done.out + done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    message = [line for line in done.err.splitlines() if sentence in line]
    assert len(message) == 1
    assert done.verdicts == {}


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_mistake_is_refused_whatever_the_processes(processes: str, folder: Path) -> None:
    done = run(["--law", "scater.values", "-n", processes], folder)
    assert done.code == USAGE_ERROR
    assert "nearest: scatter.values" in done.err
