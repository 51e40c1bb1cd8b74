"""Versions of torch: laws that an older one is not held to, and ranges in files of entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.commands import explain
from conformance.deviations import Deviation, covering
from conformance.law import law, law_of
from conformance.target import Target
from tests.runs import RunLaws

RELEASES = {"old": "", "new": "2.12"}


@law("test.releases", docs="torch.add", over=RELEASES, since=lambda release: release)
def releases(target: Target, case: str) -> None:
    """A law is promised from a release on."""


def test_an_older_torch_is_not_held_to_a_law() -> None:
    found = law_of(releases)
    assert found is not None
    assert [found.first_release(case) for case in found.cases] == ["", "2.12"]
    assert found.too_new("new", "2.11.1+cpu") == "since torch 2.12"
    for version in ("2.12.0", "2.12.0+cu130", "2.12.0.dev20260401", "2.13.0"):
        assert found.too_new("new", version) == ""
    assert found.too_new("old", "2.8.0") == ""


SINCE = '''
@law("test.since", docs="torch.add", over={"sooner": "2.8", "later": "99.1"}, since=str)
def test_since(target, case):
    """What torch 99 does is done."""
    compare.fact(case, "2.8", "case")
'''


def test_a_law_of_a_later_torch_is_unsupported(laws: RunLaws, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text(
        '[[deviation]]\nlaw = "test.since:later"\ntarget = "*"\ntorch = ""\nreason = "r"\n'
        "link = \"\"\ncounterexample = 'assert False'\n"
    )
    run = laws(SINCE, "--deviations", str(known))
    assert run.code == 0, run.out
    assert run.verdicts == {"test.since:sooner": "holds", "test.since:later": "unsupported"}
    line = run.line("test.since:later")
    assert (line["message"], line["since"]) == ("since torch 99.1", "99.1")
    assert run.line("test.since:sooner")["since"] == "2.8"


UNDRAWN = '''
@law("test.undrawn", docs="torch.add")
@given(x=st.just(1).map(lambda _: torch.not_there))
def test_undrawn(target, x):
    """A function that is not there is drawn."""
    compare.fact(x, x, "x")
'''


@pytest.mark.parametrize(("versions", "verdict"), [("<99", "unsupported"), (">=99", "violated")])
def test_what_cannot_be_drawn_may_be_declared_absent(
    laws: RunLaws, tmp_path: Path, versions: str, verdict: str
) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(
        f'[[absent]]\nlaw = "test.undrawn"\ntarget = "*"\ntorch = "{versions}"\n'
        'reason = "came with torch 99"\nlink = ""\n'
    )
    run = laws(UNDRAWN, "--capabilities", str(declared))
    assert run.verdicts == {"test.undrawn": verdict}
    if verdict == "unsupported":
        assert run.line("test.undrawn")["message"] == "declared: came with torch 99"


def test_an_entry_speaks_of_its_versions_alone() -> None:
    def entry(versions: str) -> Deviation:
        return Deviation("a.b", "*", versions, f"in {versions}", "", "here")

    entries = [entry("<2.10"), entry(">=2.14")]
    for version, reason in {
        "2.8.0+cpu": "in <2.10",
        "2.9.1": "in <2.10",
        "2.10.0+cu128": None,
        "2.13.0+cpu": None,
        "2.14.0.dev20260901": None,
        "2.14.0+cu130": "in >=2.14",
        "2.15.0+cu132": "in >=2.14",
    }.items():
        found = covering(entries, "a.b", "cpu", version)
        assert (found and found.reason) == reason, version


def test_explain_tells_the_first_release(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = law_of(releases)
    assert found is not None
    monkeypatch.setattr("conformance.law.shipped_laws", lambda: [found])
    monkeypatch.setattr(explain, "read_claims", list)
    assert main(["explain", "test.releases"]) == 0
    assert "torch 2.12, for new; an older one is not held to it" in capsys.readouterr().out
    assert main(["explain", "test.releases", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["since"] == {"test.releases:new": "2.12"}
