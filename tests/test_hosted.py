"""The suite on a device that is not the CPU, as it should be and with faults of a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.probing import try_out
from tests.runs import Run, environment, run_laws

HOSTED = ["--pyargs", "conformance", "--profile", "smoke", "--target", "hosted"]
STOCK = ["--load", "tests.backends.hosted"]
LACKS = {"numpy", "dlpack", "generators", "sparse", "sparse_csr", "nested"}

# Fault, the law that must see it, its verdict, and what it says.
SILENT = {
    "wrong-index": ("operators.value:flip", "violated", "index=1"),
    "copy-for-view": ("views.geometry:unfold", "violated", "shares storage"),
    "copy-of-an-offset": ("views.gradient-through-view:mul_", "violated", "base at index"),
    "stale-read": ("operators.in-place:add", "violated", "self"),
    "missing": ("operators.value:gather", "unsupported", "hosted has no aten.gather"),
    "missing-for-strides": ("operators.value:gather", "violated", "row-major memory it works"),
    "missing-for-bfloat16": ("operators.value:gather", "holds", "in part: "),
}
DEADLY = {
    "abort": ("crashed", "Abort"),
    "segmentation-fault": ("crashed", "Segmentation fault"),
    "abort-elsewhere": ("crashed", "Abort"),
    "hang": ("timeout", "Timeout"),
}


def run(options: list[str], folder: Path) -> Run:
    return run_laws([*HOSTED, *options], folder)


def planted(fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write the module that plants a fault; return the options that load it."""
    (folder / "faulty.py").write_text(
        f"from tests.backends.faults import plant\nplant({fault!r})\n"
    )
    monkeypatch.syspath_prepend(folder)
    paths = os.pathsep.join((str(folder), str(Path(__file__).parents[1])))
    monkeypatch.setenv("PYTHONPATH", paths)
    return ["--load", "faulty"]


@pytest.fixture(scope="module")
def silent() -> dict[str, tuple[str, str]]:
    """The verdict and message on each fault of SILENT, by a process that tries them all."""
    trials = [f"{fault}={law}" for fault, (law, _, _) in SILENT.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends", *trials],
        capture_output=True, text=True, check=True, env=environment(), timeout=300,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {fault: (verdict, message) for fault, verdict, message in found}


@pytest.mark.parametrize("fault", SILENT)
def test_a_silent_fault_is_seen(fault: str, silent: dict[str, tuple[str, str]]) -> None:
    _, verdict, says = SILENT[fault]
    assert silent[fault][0] == verdict
    assert says in silent[fault][1]


@pytest.mark.parametrize("fault", DEADLY)
def test_a_deadly_fault_ends_a_law_and_not_the_run(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, says = DEADLY[fault]
    options = ["--law", "gather.values:function", "--law", "scatter.values:scatter"]
    options += ["--law-timeout", "10" if fault == "hang" else "60", "-n", "2"]
    options += [] if fault == "abort-elsewhere" else ["--crash-budget", "0"]
    done = run([*options, *planted(fault, tmp_path, monkeypatch)], tmp_path)
    assert done.verdicts == {"gather.values:function": verdict, "scatter.values:scatter": "holds"}
    line = done.line("gather.values:function")
    assert says in line["message"]
    assert "hosted" in line["counterexample"]["inputs"]
    assert ("; smallest of " in line["message"]) == (fault == "abort-elsewhere")


def test_a_sound_device_gets_sensible_verdicts(tmp_path: Path) -> None:
    laws = ("operators.v*:mul", "backward.*", "creation.*", "init.generator:*")
    done = run([*STOCK, *(o for law in laws for o in ("--law", law))], tmp_path)
    assert {line["target"] for line in done.verdict_lines} == {"hosted"}
    verdicts = list(done.verdicts.values())
    assert verdicts.count("holds") > 100
    assert "crashed" not in verdicts
    assert done.lines[0]["lacks"]["hosted"].keys() == LACKS
    generated = done.line("init.generator:uniform_")
    assert generated["verdict"] == "unsupported"
    assert generated["message"].startswith("needs generators: NotImplementedError: You should")


def test_a_broken_essential_blocks_what_stands_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for processes in ("0", "2"):
        options = ["--law", "devices.values-arrive", "--law", "gather.*", "-n", processes]
        done = run([*options, *planted("unread", tmp_path, monkeypatch)], tmp_path)
        assert done.code == 1
        found[processes] = done.verdicts
    assert found["0"] == found["2"]
    assert found["0"].pop("devices.values-arrive") == "violated"
    assert set(found["0"].values()) == {"blocked"}
    assert (
        "blocked by devices.values-arrive: AssertionError: "
        in done.line("gather.values:function")["message"]
    )
    assert done.out.count("blocked by devices.values-arrive") == 1


def test_a_capability_file_says_what_is_not_claimed(tmp_path: Path) -> None:
    declared = tmp_path / "mine.toml"
    declared.write_text(
        '[[absent]]\nlaw = "views.geometry:t*"\ntarget = "hosted"\ntorch = ""\n'
        'reason = "views are over"\nlink = ""\n'
        '[[absent]]\ncapability = "float16"\ntarget = "hosted"\ntorch = ""\n'
        'reason = "no half"\nlink = ""\n'
    )
    options = ["--law", "views.geometry:t*", "--law", "operators.value:abs"]
    done = run([*STOCK, *options, "--capabilities", str(declared)], tmp_path)
    assert done.verdicts.pop("operators.value:abs") == "holds"
    assert "float16" not in done.line("operators.value:abs")["evidence"]["dtypes"]
    assert done.lines[0]["lacks"]["hosted"]["float16"] == "declared: no half"
    assert done.line("views.geometry:transpose")["verdict"] == "stale"


def test_probes_survive_a_crash_and_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = planted("random-abort", tmp_path, monkeypatch)[1:]
    ground = try_out("hosted", load, essentials=())
    assert ground.capabilities.refused.keys() == {*LACKS, "random", "seeding"}
    assert ground.capabilities.refused["random"] == "crashed: SIGABRT"
    load = planted("hang", tmp_path, monkeypatch)[1:]
    assert try_out("hosted", load, essentials=()).capabilities.refused.keys() == LACKS


def test_a_hanging_probe_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeping.py").write_text(
        "from tests.backends import faults\nfaults.KERNELS['aten::uniform_'] = faults.hanging\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ground = try_out("hosted", ["sleeping"], essentials=(), patience=5)
    assert ground.capabilities.refused["random"] == "hangs: no answer within 5 s"
    assert "views" not in ground.capabilities.refused
