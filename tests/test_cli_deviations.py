"""Deviations and scripts made of records: what of a failure is kept, and that it reads back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conformance.cli import main
from conformance.deviations import ends_its_process, read_deviations
from conformance.examine import Examination
from conformance.law import shipped_laws
from conformance.results import Counterexample
from conformance.target import Target
from tests.records import VIOLATED, write_record
from tests.runs import RunLaws

Captured = pytest.CaptureFixture[str]

FAILING = '''
@law("test.wrong", docs="torch.add")
@given(x=tensors(dtype=torch.int64))
def test_wrong(target, x):
    """A sum with nothing is the same, whatever \'\'\' says."""
    compare.equal(target.run("add", x, 0), compare.to_numpy(x), dtype=x.dtype)

@law("test.dead", docs="torch.add")
@given(x=st.integers(0, 3))
def test_dead(target, x):
    """A number ends no process."""
    compare.fact(x, x, "x")
    os.abort()

@law("test.right", docs="torch.add")
@given(x=tensors(dtype=torch.int64))
def test_right(target, x):
    """A sum with nothing is the same."""
    compare.equal(x + 0, compare.to_numpy(x), dtype=x.dtype)

@law("test.empty", docs="torch.add")
def test_empty(target):
    """Nothing is compared."""
'''


def test_a_new_backend_begins_with_what_fails(
    laws: RunLaws, tmp_path: Path, capsys: Captured
) -> None:
    """The entries excuse all that fails; counterexamples are replayed, and judge nothing else."""
    faulty = "import torch\nplain = torch.add\ntorch.add = lambda x, y: plain(x, y) + 1\n"
    (tmp_path / "backend.py").write_text(faulty)
    first = laws(FAILING, "--load", "backend")
    assert (first.code, first.verdicts["test.right"]) == (1, "holds")
    entries = tmp_path / "mine.toml"
    assert main(["deviations", str(tmp_path / "record.jsonl"), "-o", str(entries)]) == 0
    out, err = capsys.readouterr()
    assert "2 entries" in out
    assert "no entry for what is vacuous (nothing was compared, which" in err
    assert "test.empty on cpu" in err
    found = {entry.law: entry for entry in read_deviations(entries)}
    assert found.keys() == {"test.wrong", "test.dead"}
    assert found["test.dead"].reason.startswith("crashed: Fatal Python error: Aborted")
    assert "target = " not in found["test.wrong"].counterexample
    listed = ("--load", "backend", "--deviations", str(entries))
    alive = ("--law", "test.[wr]*")
    second = laws(FAILING, *listed, *alive, processes="0")
    assert second.verdicts == {"test.wrong": "deviates", "test.right": "holds"}
    assert second.code == 0
    assert second.line("test.wrong")["message"] == "its recorded counterexample fails"
    (tmp_path / "backend.py").write_text("")
    third = laws(FAILING, *listed, *alive, processes="0")
    assert third.verdicts == {"test.wrong": "stale", "test.right": "holds"}


def test_texts_of_any_kind_survive_toml(tmp_path: Path) -> None:
    texts = ["'''", '"""', "a\\b", "tab\tquote'", "mixed \"\"\" and '''", "\x7f\x01\u2028é😀", "#"]
    scripts = [f"# {text.split(chr(0x2028))[0]}\nprint({text!r})\n" for text in texts]
    scripts += ["x = 1\r\nprint(x)", "print(1)\n# it's'"]
    verdicts = []
    for number, script in enumerate(scripts):
        counterexample = Counterexample("", script=script)
        message = texts[number % len(texts)]
        verdicts.append(
            replace(VIOLATED, law=f"sum.[a]*:{number}", message=message,
                    counterexample=counterexample)
        )  # fmt: skip
    record = write_record(tmp_path / "r.jsonl", verdicts, torch="2.14.0a0+git1")
    assert main(["deviations", str(record), "-o", str(tmp_path / "d.toml")]) == 0
    entries = read_deviations(tmp_path / "d.toml")
    assert [entry.counterexample for entry in entries] == scripts
    assert [entry.reason for entry in entries] == [f"violated: {v.message}" for v in verdicts]
    for entry, verdict in zip(entries, verdicts, strict=True):
        assert entry.covers(verdict.law, "cpu", "2.14.0a0+git1")
        assert not entry.covers(verdict.law.replace("[a]", "a"), "cpu", "2.14")


@pytest.mark.parametrize("law_id", ["detach.cuts-gradient", "operators.vjp:mul"])
def test_a_crash_gets_the_script_that_its_process_could_not_write(
    law_id: str, tmp_path: Path, capsys: Captured
) -> None:
    """Of the suite's own laws, the text of the inputs is enough."""
    inputs = _inputs_of(law_id)
    left = Counterexample("Segmentation fault", inputs)
    dead = replace(VIOLATED, law=law_id, verdict="crashed", message="died", counterexample=left)
    record = write_record(tmp_path / "r.jsonl", [dead], loaded=["colorsys"])
    assert main(["script", str(record), law_id]) == 0
    script = capsys.readouterr().out
    assert inputs in script
    assert "import colorsys\n" in script
    assert "conformance" not in script.replace(f"# {law_id}", "")
    exec(compile(script, law_id, "exec"), {"__name__": "__main__"})  # the law holds: nothing raises
    assert main(["deviations", str(record), "-o", str(tmp_path / "d.toml")]) == 0
    (entry,) = read_deviations(tmp_path / "d.toml")
    assert entry.crash == script
    assert not ends_its_process(entry.crash, "cpu")
    assert ends_its_process(entry.crash + "import os\nos.abort()\n", "cpu")


def _inputs_of(law_id: str) -> str:
    """The text of some inputs of a law, as a process leaves it when it dies."""
    (law,) = [law for law in shipped_laws() if law_id in law.ids()]
    heard: list[str] = []
    examination = Examination(
        law, law_id.partition(":")[2] or None, Target(torch.device("cpu")), 8,
        notify=lambda number, inputs: heard.append(inputs),
    )  # fmt: skip
    assert examination.verdict().verdict == "holds"
    return max(heard, key=len)


@pytest.mark.parametrize("law_id", ["no.such-law", "detach.cuts-gradient"])
def test_a_crash_without_its_inputs_is_listed_without_a_script(law_id: str, tmp_path: Path) -> None:
    left = Counterexample("died", "# f: no source text for a function")
    dead = replace(VIOLATED, law=law_id, verdict="timeout", message="died", counterexample=left)
    record = write_record(tmp_path / "r.jsonl", [dead])
    assert main(["script", str(record), law_id]) == 2
    assert main(["deviations", str(record), "-o", str(tmp_path / "d.toml")]) == 0
    (entry,) = read_deviations(tmp_path / "d.toml")
    assert (entry.reason, entry.crash, entry.counterexample) == ("timeout: died", "", "")
