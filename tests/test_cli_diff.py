"""What changed between two records: of which kind it is, and how it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.commands.diff import as_markdown
from conformance.difference import KINDS, differences
from conformance.records import read
from conformance.results import VERDICTS
from tests.records import HOLDS, VIOLATED, write_record

Captured = pytest.CaptureFixture[str]

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
