"""The commands that read records: what they merge, refuse, compare and list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from conformance.cli import main
from conformance.commands.diff import as_markdown
from conformance.deviations import ends_its_process, read_deviations
from conformance.difference import KINDS, differences
from conformance.examine import Examination
from conformance.law import shipped_laws
from conformance.records import RecordError, merged, read
from conformance.results import VERDICTS, Counterexample, Verdict
from conformance.selection import in_shard
from conformance.target import Target
from tests.records import HOLDS, VIOLATED, write_record
from tests.runs import RunLaws, run_laws

Captured = pytest.CaptureFixture[str]
OTHER = replace(HOLDS, law="sum.of-nothing")


def test_a_record_that_did_not_end_is_told(tmp_path: Path, capsys: Captured) -> None:
    whole = str(write_record(tmp_path / "whole.jsonl", [HOLDS]))
    killed = str(write_record(tmp_path / "killed.jsonl", [HOLDS], ended=False))
    for command in (["report", killed, "-o", str(tmp_path / "page")], ["diff", killed, whole]):
        assert main(command) == 0
        told = f"conformance {command[0]}: {killed}: the run did not end\n"
        assert capsys.readouterr().err == told
    assert main(["diff", whole, whole]) == 0
    assert capsys.readouterr().err == ""


# -- merge and shards ------------------------------------------------------------------------


def test_shards_merge_into_one_record(tmp_path: Path, capsys: Captured) -> None:
    parts = [
        str(write_record(tmp_path / f"{n}.jsonl", [verdict], shard=f"{n}/2"))
        for n, verdict in ((1, HOLDS), (2, OTHER))
    ]
    whole = tmp_path / "whole.jsonl"
    assert main(["merge", *parts, "-o", str(whole)]) == 0
    assert "2 verdicts on cpu" in capsys.readouterr().out
    record = read(whole)
    assert record.verdicts == {(v.law, "cpu"): v for v in (HOLDS, OTHER)}
    assert (record.ended, record.seconds) == (True, 3.0)
    assert [run.shard for run in record.runs] == ["1/2", "2/2"]
    again = tmp_path / "again.jsonl"
    assert main(["merge", str(whole), "-o", str(again)]) == 0
    assert again.read_text() == whole.read_text()


def test_of_two_equal_verdicts_that_on_more_examples_stays(tmp_path: Path) -> None:
    harder = replace(HOLDS, evidence={**HOLDS.evidence, "examples": 1_000})
    easy, hard = (
        read(write_record(tmp_path / f"{n}.jsonl", [v])) for n, v in enumerate((HOLDS, harder))
    )
    for order in ((easy, hard), (hard, easy)):
        lines = [json.loads(line) for line in merged(order)]
        (kept,) = [line for line in lines if line["kind"] == "verdict"]
        assert kept["evidence"]["examples"] == 1_000
        assert [line["kind"] for line in lines].count("run") == 2
        assert lines[-1]["verdicts"] == 1


CONTRADICTIONS: dict[str, tuple[Sequence[Verdict], dict[str, Any], str]] = {
    "verdicts": ([VIOLATED], {}, "sum.adds on cpu: holds in a.jsonl, and violated in b.jsonl"),
    "torch": ([OTHER], {"torch": "2.12.0"}, "cpu is of torch 2.13.0 in a.jsonl, and of torch 2.12"),
    "build": ([OTHER], {"torch_git": "def"}, "cpu is of torch_git abc in a.jsonl, and of"),
    "suite": ([OTHER], {"suite": "0.2"}, "cpu is of suite 0.1 in a.jsonl, and of suite 0.2"),
    "a shard missing": ([OTHER], {"shard": "2/3"}, "2 of 3 shards of cpu missing: 1/3, 3/3"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_refused(
    case: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    verdicts, facts, told = CONTRADICTIONS[case]
    write_record(Path("a.jsonl"), [HOLDS])
    write_record(Path("b.jsonl"), verdicts, **facts)
    assert main(["merge", "a.jsonl", "b.jsonl", "-o", "m.jsonl"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("m.jsonl").exists()


def test_other_targets_may_be_of_other_builds(tmp_path: Path) -> None:
    here = read(write_record(tmp_path / "a.jsonl", [HOLDS]))
    cuda = replace(VIOLATED, target="cuda:0")
    there = read(write_record(tmp_path / "b.jsonl", [cuda], torch="2.13.0+cu130"))
    assert len(merged([here, there])) == 5


def test_what_is_incomplete_is_merged_on_request_only(tmp_path: Path, capsys: Captured) -> None:
    killed = write_record(tmp_path / "killed.jsonl", [HOLDS], ended=False)
    rest = write_record(tmp_path / "rest.jsonl", [OTHER])
    arguments = ["merge", str(killed), str(rest), "-o", str(tmp_path / "m.jsonl")]
    assert main(arguments) == 2
    assert "killed.jsonl: the run did not end; give the whole" in capsys.readouterr().err
    assert main([*arguments, "--partial"]) == 0
    assert "m.jsonl is partial" in capsys.readouterr().err
    assert not read(tmp_path / "m.jsonl").ended
    assert len(read(tmp_path / "m.jsonl").verdicts) == 2


def test_a_law_is_in_one_shard() -> None:
    ids = [f"law-{number}" for number in range(1_000)]
    for count in (1, 2, 7):
        shards = [[i for i in ids if in_shard(i, f"{k}/{count}")] for k in range(1, count + 1)]
        assert sorted(i for shard in shards for i in shard) == sorted(ids)
        assert min(map(len, shards)) > 0.7 * len(ids) / count
    assert in_shard("law", None)


def test_shards_find_what_one_run_finds(tmp_path: Path) -> None:
    """Each law has the same verdict, evidence and counterexample, in one shard or in one run."""
    from tests.conftest import PREAMBLE

    (tmp_path / "test_subject.py").write_text(PREAMBLE + SUBJECT)
    command = ["test_subject.py", "--target", "cpu", "-n", "0", "--record"]
    run_laws([*command, "whole.jsonl"], tmp_path)
    parts = []
    for number in (1, 2):
        parts.append(tmp_path / f"{number}.jsonl")
        done = run_laws([*command, str(parts[-1]), "--shard", f"{number}/2"], tmp_path)
        assert done.code in (0, 1), done.out  # a shard without a law has nothing that fails
        assert read(parts[-1]).runs[0].shard == f"{number}/2"
    assert main(["merge", *map(str, parts), "-o", str(tmp_path / "m.jsonl")]) == 0
    whole, joined = (read(tmp_path / name).verdicts for name in ("whole.jsonl", "m.jsonl"))
    assert len(whole) == 6
    assert {k: v.verdict for k, v in joined.items()} == {k: v.verdict for k, v in whole.items()}
    for place, verdict in whole.items():
        assert joined[place].counterexample == verdict.counterexample
        assert joined[place].evidence["values"] == verdict.evidence["values"]


SUBJECT = '''
CASES = {str(number): number for number in range(5)}

@law("test.sums", docs="torch.add", over=CASES)
@given(x=tensors(dtype=torch.int64))
def test_sums(target, case, x):
    """A sum with a number is the same."""
    compare.equal(x + case, compare.to_numpy(x), dtype=x.dtype)

@law("test.alone", docs="torch.add")
@given(x=tensors(dtype=torch.int64))
def test_alone(target, x):
    """A sum with nothing is the same."""
    compare.equal(x + 0, compare.to_numpy(x), dtype=x.dtype)
'''


# -- diff ------------------------------------------------------------------------------------

STEPS: dict[str, tuple[str, ...]] = {
    "broken": (
        "holds violated", "holds deviates", "holds crashed", "holds timeout", "stale violated",
        "unsupported violated", "deviates violated", "deviates crashed", "stale deviates",
    ),
    "lost evidence": (
        "holds unsupported", "holds vacuous", "violated unsupported", "unsupported vacuous",
        "deviates vacuous",
    ),
    "fixed": ("violated holds", "unsupported holds", "deviates stale", "crashed holds"),
    "changed": (
        "violated deviates", "violated crashed", "holds stale", "stale holds",
        "unsupported deviates", "vacuous unsupported", "vacuous violated",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "step"), [(kind, step) for kind, steps in STEPS.items() for step in steps]
)
def test_a_step_is_of_a_kind(kind: str, step: str, tmp_path: Path) -> None:
    old, new = (
        read(write_record(tmp_path / f"{number}.jsonl", [replace(HOLDS, verdict=verdict)]))
        for number, verdict in enumerate(step.split())
    )
    (change,) = differences(old, new)
    assert (change.kind.name, change.step) == (kind, step.replace(" ", " -> "))


def test_nothing_is_no_difference_and_every_step_is_one(tmp_path: Path) -> None:
    records = {
        verdict: read(write_record(tmp_path / verdict, [replace(HOLDS, verdict=verdict)]))
        for verdict in VERDICTS
    }
    for old in VERDICTS:
        for new in VERDICTS:
            assert len(differences(records[old], records[new])) == (old != new)


THINNER = {
    "fewer values": {"values": 30},
    "unsupported": {"unsupported": 2, "missing": "no kernel for 'Half'"},
}
THICKER = {"as it was": {}, "fewer by chance": {"values": 80}, "unsupported": {"unsupported": 1}}


@pytest.mark.parametrize("evidence", [*THINNER.values(), *THICKER.values()])
def test_evidence_that_is_lost_is_noticed(evidence: dict[str, object], tmp_path: Path) -> None:
    thin = replace(HOLDS, evidence={**HOLDS.evidence, **evidence})
    old, new = write_record(tmp_path / "a", [HOLDS]), write_record(tmp_path / "b", [thin])
    kinds = [change.kind.name for change in differences(read(old), read(new))]
    assert kinds == (["lost evidence"] if evidence in THINNER.values() else [])


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older and a newer record between which something of everything happened."""
    monkeypatch.chdir(tmp_path)
    verdicts = {name: replace(HOLDS, law=f"sum.{name}") for name in "abcd"}
    broken = replace(VIOLATED, law="sum.a", message="`|<b>3</b>\n4")
    fixed = replace(VIOLATED, law="sum.b")
    write_record(Path("old"), [verdicts["a"], fixed, verdicts["c"]], torch="2.12.0")
    write_record(Path("new"), [broken, verdicts["b"], verdicts["d"]], torch="2.13.0")


@pytest.mark.usefixtures("two")
def test_a_comparison_is_read_by_people_and_programs(capsys: Captured) -> None:
    assert main(["diff", "old", "new"]) == 1
    text = capsys.readouterr().out
    assert "torch  2.12.0 -> 2.13.0" in text
    assert "broken (1): refuted now, and not before\n  sum.a  cpu  holds -> violated" in text
    assert text.splitlines()[-1] == "2 regressions: 1 broken, 1 gone, 1 fixed, 1 new"
    assert main(["diff", "old", "new", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["regressions"] == 2
    assert told["circumstances"] == {"torch": ["2.12.0", "2.13.0"]}
    kinds = {change["law"]: change["kind"] for change in told["changes"]}
    assert kinds == {"sum.a": "broken", "sum.b": "fixed", "sum.c": "gone", "sum.d": "new"}
    assert told["changes"][0]["new"]["counterexample"]["script"] == "print('here')\n"
    assert main(["diff", "old", "new", "--law", "sum.[bd]"]) == 0
    assert main(["diff", "new", "new"]) == 0


@pytest.mark.usefixtures("two")
def test_markdown_shows_what_a_record_says_as_it_is(capsys: Captured) -> None:
    assert main(["diff", "old", "new", "--markdown"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("### 2 regressions: 1 broken")
    assert "| `sum.a` | `cpu` | holds -> violated | `` `\\|<b>3</b> `` |" in text
    assert "<details><summary>fixed (1): satisfied now, and not before</summary>" in text


def test_markdown_fits_into_a_comment(tmp_path: Path) -> None:
    many = [replace(VIOLATED, law=f"sum.a-rather-long-id:{n}", message="m" * 500)
            for n in range(5_000)]  # fmt: skip
    old, new = write_record(tmp_path / "a", []), write_record(tmp_path / "b", many)
    text = as_markdown(read(old), read(new), differences(read(old), read(new)))
    assert len(text) < 65_536 / len(KINDS) * 2
    assert "and 4,900 more" in text


def test_two_devices_are_compared(tmp_path: Path, capsys: Captured) -> None:
    old = write_record(tmp_path / "cpu", [HOLDS])
    new = write_record(tmp_path / "cuda", [replace(VIOLATED, target="cuda:0")])
    assert main(["diff", str(old), str(new)]) == 1
    text = capsys.readouterr().out
    assert "target  cpu -> cuda:0" in text
    assert text.endswith("1 regression: 1 broken\n")


# -- deviations ------------------------------------------------------------------------------

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


def test_records_of_nothing_are_refused() -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read(Path("no such file"))
