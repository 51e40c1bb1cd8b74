"""Runs as a whole: what survives a kill, what the terminal shows, what other runs notice."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conformance.results import read_record
from tests.runs import RunLaws, command, environment, run_laws

SLOW_CHAPTER = """
SLOW = {f"case-{number}": number for number in range(40)}

@law("test.slow", docs="torch.add", over=SLOW)
@given(x=tensors())
def test_slow(target, case, x):
    \"\"\"A slow law ends.\"\"\"
    time.sleep(0.02)
    compare.fact(case, case, "case")
"""


def test_a_killed_run_leaves_what_it_had(tmp_path: Path) -> None:
    from tests.conftest import PREAMBLE

    (tmp_path / "test_slow.py").write_text(PREAMBLE + SLOW_CHAPTER)
    record = tmp_path / "record.jsonl"
    options = ["test_slow.py", "--target", "cpu", "-n", "2", "--record", str(record)]
    process = subprocess.Popen(
        command(options), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while not (record.exists() and len(record.read_text().splitlines()) > 4):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    lines = list(read_record(record))
    assert lines[0]["kind"] == "run"
    assert len(lines) > 4
    assert all(line["verdict"] == "holds" for line in lines[1:])
    assert lines[-1]["kind"] == "verdict", "a killed run has no end"


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text('{"kind": "run"}\n{"kind": "verd')
    assert list(read_record(record)) == [{"kind": "run"}]
    record.write_text('{"kind": "run"\n{"kind": "verdict"}\n')
    with pytest.raises(ValueError, match=r"record\.jsonl:1: not a line of a record"):
        list(read_record(record))


def test_a_green_run_fits_on_one_screen_without_colour(tmp_path: Path) -> None:
    options = ["--profile", "smoke", "-n", "2", "--law", "creation.*", "--law", "operators.*:add"]
    run = run_laws(["--pyargs", "conformance", *options], tmp_path)
    assert run.code == 0, run.out
    assert len(run.out.splitlines()) <= 40
    assert "\x1b" not in run.out
    assert "\r" not in run.out
    assert len(run.verdicts) == run.lines[-1]["verdicts"] > 100


def test_a_terminal_gets_colour_and_a_live_line(tmp_path: Path) -> None:
    options = ["--pyargs", "conformance", "--profile", "smoke", "--chapter", "detach"]
    main, other = pty.openpty()
    process = subprocess.Popen(
        command(options), cwd=tmp_path, env={**environment(), "TERM": "xterm"},
        stdout=other, stderr=other,
    )  # fmt: skip
    os.close(other)
    shown = b""
    while process.poll() is None or select.select([main], [], [], 0)[0]:
        if select.select([main], [], [], 0.1)[0]:
            try:
                shown += os.read(main, 65536)
            except OSError:
                break
    text = shown.decode()
    assert process.wait() == 0, text
    assert re.search(r"\r\d+/\d+ laws, 0 failing; running detach\.", text)
    assert "\x1b[32m" in text


def test_a_verbose_run_names_laws_by_their_ids(tmp_path: Path) -> None:
    options = ["--pyargs", "conformance", "--profile", "smoke", "--chapter", "detach", "-v"]
    run = run_laws(options, tmp_path)
    assert "::" not in run.out
    assert "holds       detach.cuts-gradient [cpu]  10 examples, " in run.out


def test_options_select_by_id_and_chapter(tmp_path: Path) -> None:
    options = ["--law", "scatter*:scatter_", "--law", "detach.cuts-gradient", "--profile", "smoke"]
    run = run_laws(["--pyargs", "conformance", *options], tmp_path)
    assert set(run.verdicts) == {
        "detach.cuts-gradient",
        "scatter.in-place:scatter_",
        "scatter.index-out-of-range:scatter_",
        "scatter.scalar:scatter_",
        "scatter.values:scatter_",
    }
    chapters = run_laws(
        ["--pyargs", "conformance", "--chapter", "retain_graph", "--profile", "smoke"], tmp_path
    )
    assert {v["chapter"] for v in chapters.verdict_lines} == {"retain_graph"}


def test_a_law_does_not_know_its_mode(tmp_path: Path) -> None:
    options = ["--target", "cpu/compile:aot_eager", "--max-examples", "2", "-n", "2"]
    laws = ("scatter*", "backward.*", "accumulation.*", "detach.*", "grad-mode.*", "in-place.*")
    chosen = [option for law in (*laws, "operators.v*:mul") for option in ("--law", law)]
    run = run_laws(["--pyargs", "conformance", *options, *chosen], tmp_path)
    assert run.code == 0, run.out
    assert {v["target"] for v in run.verdict_lines} == {"cpu/compile:aot_eager"}


def test_loaded_modules_come_first(laws: RunLaws, tmp_path: Path) -> None:
    (tmp_path / "backend.py").write_text("import torch\ntorch.conformance_marker = 7\n")
    run = laws(
        """
        MARKER = torch.conformance_marker

        @law("test.loaded", docs="torch.add")
        def test_loaded(target):
            \"\"\"A loaded module is there before the laws are.\"\"\"
            compare.fact(MARKER, 8, "marker")
        """,
        "--load",
        "backend",
    )
    assert run.verdicts == {"test.loaded": "violated"}, run.err
    script = run.line("test.loaded")["counterexample"]["script"]
    assert "import backend\n" in script


def test_explain_is_asked_for(laws: RunLaws) -> None:
    source = """
    @law("test.explained", docs="torch.add")
    @given(x=st.integers(0, 99), y=st.integers(0, 99))
    def test_explained(target, x, y):
        \"\"\"A number is below ten.\"\"\"
        compare.fact(x < 10, True, "below ten")
    """
    plain, explained = laws(source), laws(source, "--explain")
    assert plain.line("test.explained")["counterexample"]["explanation"] == ""
    told = explained.line("test.explained")["counterexample"]["explanation"]
    assert "y=0,  # or any other generated value" in told
    assert "or any other generated value" in explained.out


def test_other_runs_notice_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_other():\n"
        "    heavy = {'torch', 'hypothesis.core', 'conformance.law', 'strategies'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_other.py"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "law" not in done.stdout.replace(str(tmp_path), "")


def test_a_crash_in_anothers_run_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("import os\ndef test_other(): os.abort()\n")
    done = subprocess.run(
        [*command(["test_other.py", "-n", "1", "--max-worker-restart", "0"])],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "crashed while running" in done.stdout


def test_users_hypothesis_settings_stay(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from hypothesis import given, settings, strategies as st\n"
        "import conformance.generation\n"
        "from conformance.examine import Examination\n"
        "def test_settings():\n"
        "    before = repr(settings())\n"
        "    conformance.generation.hypothesis_settings(5, shrink=True, explain=False)\n"
        "    assert repr(settings()) == before\n"
        "    assert settings().max_examples == 100\n"
    )
    done = subprocess.run(
        command(["test_mine.py"]), cwd=tmp_path, env=environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_run_without_options_of_ours(laws: RunLaws, tmp_path: Path) -> None:
    """Laws of somebody's own are run and shown by a bare pytest as well."""
    laws("")
    (tmp_path / "test_subject.py").write_text(
        (tmp_path / "test_subject.py").read_text()
        + '@law("mine.law", docs="torch.add")\n'
        + 'def test_mine(target):\n    """One is one."""\n    compare.fact(1, 1, "one")\n'
    )
    for options in ([], ["-n", "1"]):
        done = subprocess.run(
            command(["test_subject.py", *options]), cwd=tmp_path, env=environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "1 laws on cpu" in done.stdout


def test_processes_and_shards_give_the_same_verdicts(tmp_path: Path) -> None:
    chosen = ["--profile", "smoke", "--chapter", "double_backward", "--chapter", "reading"]

    def found(name: str, *options: str) -> list[dict[str, Any]]:
        record = ["--record", str(tmp_path / f"{name}.jsonl")]
        done = run_laws(["--pyargs", "conformance", *chosen, *options, *record], tmp_path)
        assert done.code == 0, done.out
        return [timeless(line) for line in read_record(tmp_path / f"{name}.jsonl")]

    def timeless(line: dict[str, Any]) -> dict[str, Any]:
        evidence = line.get("evidence", {})
        kept = {name: n for name, n in evidence.items() if not name.endswith("_seconds")}
        return {**line, "seconds": 0, "evidence": kept}

    def verdicts(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted((v for v in lines if v["kind"] == "verdict"), key=lambda v: str(v["law"]))

    alone = verdicts(found("alone", "-n", "0"))
    assert len(alone) > 10
    assert alone == verdicts(found("two", "-n", "2"))
    shards = [found(f"shard{n}", "-n", "0", "--shard", f"{n}/2") for n in (1, 2)]
    assert all(map(verdicts, shards))
    assert alone == verdicts([line for shard in shards for line in shard])
