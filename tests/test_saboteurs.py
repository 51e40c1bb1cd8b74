"""Every law is killed by a saboteur, and its stand-alone script fails as the law failed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from conformance.law import shipped_laws
from tests.saboteurs import SABOTEURS, Saboteur
from tests.saboteurs.saboteur import find_law, in_fork, run_script, try_saboteur

# What stock torch violates: their scripts fail without a saboteur as well.
DEVIATE_ON_STOCK = (
    "grad-mode.views",
    "backward.cotangent-unchanged",
    "creation.new-tensor-lazy",
    "devices.format-of-same",
    "interop.dlpack-negated",
    "random.negative-seed",
    "random.normal-shapes",
    "random.seed-range",
    "views.preserve-format-else",
)


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
        if not trial.verdict.law.startswith(DEVIATE_ON_STOCK):
            assert in_fork(partial(run_script, script)) == ""


def test_every_law_has_a_saboteur() -> None:
    killed = {find_law(law_id)[0].id for s in SABOTEURS for law_id in s.laws}
    assert {law.id for law in shipped_laws()} == killed


def test_names_are_unique() -> None:
    names = [saboteur.name for saboteur in SABOTEURS]
    assert len(set(names)) == len(names)
