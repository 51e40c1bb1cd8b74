"""Deviations: known violations, of all inputs or of some, and calls that end the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import RunLaws
from tests.test_verdicts import CRASHED, HOLDS, VIOLATED


def test_deviates_and_stale(laws: RunLaws, tmp_path: Path) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        """
        [[deviation]]
        law = "test.viol*"
        target = "cpu"
        torch = ">=2.0"
        reason = "one is not zero"
        link = "https://example.org/1"

        [[deviation]]
        law = "test.holds"
        target = "*"
        torch = ""
        reason = "long repaired"
        link = "https://example.org/2"

        [[deviation]]
        law = "test.holds"
        target = "cuda*"
        torch = ""
        reason = "of another target"
        link = "https://example.org/3"
        """
    )
    run = laws(HOLDS + VIOLATED, "--deviations", str(deviations))
    assert run.verdicts == {"test.holds": "stale", "test.violated": "deviates"}
    assert run.code == 1
    assert run.line("test.violated")["deviation"]["reason"] == "one is not zero"
    assert f"{deviations}:9" in run.line("test.holds")["message"]


def test_a_deviation_alone_does_not_fail_the_run(laws: RunLaws, tmp_path: Path) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        '[[deviation]]\nlaw="test.violated"\ntarget="*"\ntorch=""\nreason="r"\nlink=""\n'
        "counterexample='''assert 1 == 2'''\n"
    )
    run = laws(VIOLATED, "--deviations", str(deviations))
    assert run.code == 0
    assert run.verdicts == {"test.violated": "deviates"}
    assert run.line("test.violated")["evidence"]["examples"] == 0


_OF_RANK_0 = """
[[deviation]]
law = "test.partly"
target = "*"
torch = ""
reason = "a scalar grows"
link = ""
inputs = "x.dim() == 0"
counterexample = "assert 1 == 2"
"""

PARTLY = '''
@law("test.partly", docs="torch.add")
@given(x=tensors(dtype=torch.int64))
def test_partly(target, x):
    """A sum with zero is the same."""
    compare.equal(x + {added}, compare.to_numpy(x), dtype=x.dtype)
'''


@pytest.mark.parametrize(
    ("added", "verdict"),
    [("(x.dim() == 0)", "deviates"), ("(x.dim() in (0, 2))", "violated"), ("0", "deviates")],
)
def test_a_deviation_of_some_inputs_leaves_the_others_judged(
    laws: RunLaws, tmp_path: Path, added: str, verdict: str
) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(_OF_RANK_0)
    run = laws(PARTLY.format(added=added), "--deviations", str(deviations))
    assert run.verdicts == {"test.partly": verdict}
    evidence = run.line("test.partly")["evidence"]
    assert evidence["values"] > 0
    assert 0 not in evidence["ranks"]
    assert evidence["rejected"] > 0


@pytest.mark.parametrize(
    ("crash", "verdict"), [("import os; os.abort()", "deviates"), ("device", "crashed")]
)
def test_a_crash_of_some_inputs_leaves_the_others_judged(
    laws: RunLaws, tmp_path: Path, crash: str, verdict: str
) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        _OF_RANK_0.replace("x.dim() == 0", "number > 1000")
        .replace("test.partly", "test.crashed")
        .replace('counterexample = "assert 1 == 2"', f'crash = "{crash}"')
    )
    run = laws(CRASHED, "--law", "test.crashed", "--deviations", str(deviations))
    assert run.verdicts == {"test.crashed": verdict}
    assert (run.line("test.crashed").get("evidence", {}).get("values", 0) > 0) == (
        verdict == "deviates"
    )


@pytest.mark.parametrize(("processor", "verdict"), [("", "stale"), ("another one", "holds")])
def test_a_deviation_of_another_processor_says_nothing(
    laws: RunLaws, tmp_path: Path, processor: str, verdict: str
) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        '[[deviation]]\nlaw="test.holds"\ntarget="*"\ntorch=""\nreason="r"\nlink=""\n'
        f'counterexample="assert 1 == 1"\nprocessor="{processor}"\n'
    )
    run = laws(HOLDS, "--deviations", str(deviations))
    assert run.verdicts["test.holds"] == verdict


def test_a_deviation_that_leaves_no_inputs_says_so(laws: RunLaws, tmp_path: Path) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(_OF_RANK_0.replace("x.dim() == 0", "True"))
    run = laws(PARTLY.format(added="1"), "--deviations", str(deviations))
    assert run.verdicts == {"test.partly": "deviates"}
    assert "no other inputs came up" in run.line("test.partly")["message"]


def test_a_counterexample_that_cannot_run_proves_nothing(laws: RunLaws, tmp_path: Path) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        '[[deviation]]\nlaw="test.holds"\ntarget="*"\ntorch=""\nreason="r"\nlink=""\n'
        "counterexample='import torch; torch.no_such_function()'\n"
    )
    assert laws(HOLDS, "--deviations", str(deviations)).verdicts == {"test.holds": "stale"}


def test_a_listed_crash_deviates(laws: RunLaws, tmp_path: Path) -> None:
    deviations = tmp_path / "known.toml"
    deviations.write_text(
        '[[deviation]]\nlaw="test.aborted"\ntarget="*"\ntorch=""\nreason="r"\nlink=""\n'
    )
    run = laws(CRASHED + HOLDS, "--law", "test.[ah]*", "--deviations", str(deviations))
    assert run.verdicts == {"test.aborted": "deviates", "test.holds": "holds"}
    assert run.code == 0
