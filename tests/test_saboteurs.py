"""Every law is killed by a saboteur, and its stand-alone script fails as the law failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from conformance.deviations import SHIPPED, covering, read_deviations
from conformance.law import shipped_laws
from conformance.operators import OPERATORS
from tests.saboteurs import SABOTEURS, Saboteur
from tests.saboteurs.saboteur import find_law, raised_on_stock, try_saboteur

LISTED = read_deviations(SHIPPED)


def _deviates_on_stock(law_id: str, target: str) -> bool:
    """Whether a listed violation makes the law's scripts fail without a saboteur as well."""
    listed = covering(LISTED, law_id, target, torch.__version__)
    return listed is not None and not listed.inputs


def _claim(message: str) -> str:
    return message.partition(": got ")[0]


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.name)
def test_saboteur_is_caught(
    saboteur: Saboteur, record_property: Callable[[str, object], None]
) -> None:
    """Each named law is violated, says the symptom, and gives a script that says the same."""
    trials = try_saboteur(saboteur)
    for trial in trials:
        record_property("kill", trial.kill(saboteur))
    for trial in trials:
        assert trial.caught(saboteur), (
            f"{trial.verdict.law}: {trial.verdict.verdict}, {trial.verdict.message}"
        )
        assert trial.verdict.counterexample is not None
        # What a script got may differ where the fault is one of random numbers.
        assert _claim(trial.script_raised) == _claim(trial.verdict.counterexample.message)
        script = trial.verdict.counterexample.script
        assert "import conformance" not in script
        assert "import strategies" not in script
        if not _deviates_on_stock(trial.verdict.law, saboteur.target):
            assert raised_on_stock(script) == ""


def test_every_law_has_a_saboteur() -> None:
    killed = {find_law(law_id)[0].id for s in SABOTEURS for law_id in s.laws}
    assert {law.id for law in shipped_laws()} == killed


def test_names_are_unique() -> None:
    names = [saboteur.name for saboteur in SABOTEURS]
    assert len(set(names)) == len(names)


def test_many_operators_have_a_saboteur_of_their_own() -> None:
    cases = {law_id.partition(":")[2] for s in SABOTEURS for law_id in s.laws}
    owners = {
        key
        for key, operator in OPERATORS.items()
        if key in cases or any(f"{key}-{name}" in cases for name in operator.rejections)
    }
    assert len({OPERATORS[key].name for key in owners}) >= 120
