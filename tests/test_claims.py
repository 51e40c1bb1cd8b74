"""The ledger of claims: what it may say, that its laws exist, and that its counterexamples run."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.claims import Claim, ClaimsError, read_claims, shown_by, unknown_laws
from conformance.law import shipped_laws

LEDGER = read_claims()
_HOLDS = """
[[claim]]
id = "sum.adds"
statement = "A sum adds."
sources = ["a.txt: 1"]
verdict = "holds"
truth = "It does."
versions = "2.13.0"
laws = ["operators.value:sum"]
"""
_REFUTED = _HOLDS.replace('"holds"', '"refuted"') + "counterexample = '''print(1 + 1)'''\n"
_UNTESTABLE = _HOLDS.replace('"holds"', '"untestable"').replace('"operators.value:sum"', "")
MISTAKES = {
    "not TOML": ("[[claim]\n", "not TOML"),
    "a key too few": (_HOLDS.replace('truth = "It does."\n', ""), "sum.adds: lacks truth"),
    "a key too many": (_HOLDS + "level = 1\n", "sum.adds: has no key 'level'"),
    "nothing said": (_HOLDS.replace("It does.", " "), "must be texts that say something"),
    "unknown verdict": (_HOLDS.replace('"holds"', '"true"'), "verdict 'true'; use one of holds"),
    "no law": (_HOLDS.replace('"operators.value:sum"', ""), "laws show whether it holds"),
    "a law of the untestable": (_HOLDS.replace('"holds"', '"untestable"'), "unless it is"),
    "no counterexample": (_HOLDS.replace('"holds"', '"refuted"'), "a counterexample belongs to"),
    "a needless one": (_HOLDS + "counterexample = 'pass'\n", "a counterexample belongs to"),
    "twice": (_HOLDS * 2, "twice in the ledger: sum.adds"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told(tmp_path: Path, text: str, message: str) -> None:
    ledger = tmp_path / "claims.toml"
    ledger.write_text(text)
    with pytest.raises(ClaimsError, match=message):
        read_claims(ledger)


def test_a_ledger_is_read(tmp_path: Path) -> None:
    ledger = tmp_path / "claims.toml"
    second, third = (
        text.replace("sum.adds", new)
        for text, new in ((_REFUTED, "sum.multiplies"), (_UNTESTABLE, "sum.is-nice"))
    )
    ledger.write_text(_HOLDS + second + third)
    adds, multiplies, nice = read_claims(ledger)
    assert (adds.is_contradicted, multiplies.is_contradicted) == (False, True)
    assert adds.area == "sum"
    assert shown_by([adds, nice], "operators.value:sum") == [adds]
    assert unknown_laws([adds, multiplies], ["operators.value:add"]) == {
        name: ["operators.value:sum"] for name in ("sum.adds", "sum.multiplies")
    }


def test_every_law_of_the_ledger_exists() -> None:
    assert not unknown_laws(LEDGER, [id for law in shipped_laws() for id in law.ids()])


@pytest.mark.parametrize(
    "claim", [claim for claim in LEDGER if claim.is_contradicted], ids=lambda claim: claim.id
)
def test_a_counterexample_shows_the_truth(claim: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    """It asserts what is true, and prints something for a reader to see."""
    exec(compile(claim.counterexample, claim.id, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()
    assert "assert " in claim.counterexample
