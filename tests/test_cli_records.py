"""The commands that read records: what of them is told, merged and refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import main
from conformance.records import RecordError, merged, read
from conformance.results import Verdict
from conformance.selection import in_shard
from tests.records import HOLDS, VIOLATED, write_record
from tests.runs import run_laws

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


def test_records_of_nothing_are_refused() -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read(Path("no such file"))
