"""What a saboteur is, and the trial of one: a fork, its patch, the laws that must see it."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
import torch._dynamo  # the first optimizer imports it, which takes seconds: not in every fork

from conformance import absences
from conformance.deviations import SHIPPED, covering, read_deviations
from conformance.examine import Examination
from conformance.law import Law, shipped_laws
from conformance.profiles import PROFILES
from conformance.results import Verdict
from conformance.target import open_target

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Saboteur:
    """A fault: what it breaks, the ids of the laws that must catch it, and its symptom.

    ``symptom`` is a part of the message with which each of the laws must refute it, on
    ``target``.
    """

    name: str
    breaks: str
    laws: tuple[str, ...]
    symptom: str
    patch: Patch
    target: str = "cpu"


@dataclass(frozen=True)
class Trial:
    """How one law met a saboteur: its verdict, and what its stand-alone script then raised."""

    verdict: Verdict
    script_raised: str

    def caught(self, saboteur: Saboteur) -> bool:
        """Whether the law saw the fault and said so."""
        return self.verdict.verdict == "violated" and saboteur.symptom in self.verdict.message

    def kill(self, saboteur: Saboteur) -> dict[str, str | bool]:
        """Return the kill table's row."""
        return {
            "saboteur": saboteur.name,
            "breaks": saboteur.breaks,
            "law": self.verdict.law,
            "caught": self.caught(saboteur),
            "message": self.verdict.message.partition("\n")[0][:160],
        }


def find_law(law_id: str) -> tuple[Law, str | None]:
    """Return the law of an id, and its case. Raises ``KeyError`` for an unknown id."""
    for law in shipped_laws():
        if law_id in law.ids():
            return law, law_id.partition(":")[2] or None
    raise KeyError(law_id)


def run_script(script: str) -> str:
    """Run a stand-alone script here; return what it raised, or an empty text."""
    try:
        exec(compile(script, "counterexample.py", "exec"), {"__name__": "__main__"})
    except Exception as error:
        return (
            str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        )
    return ""


def examine(law_id: str, symptom: str, target: str = "cpu") -> Trial:
    """Examine one law on a target in profile ci, in this process as it is.

    A counterexample that shows the symptom stays as it was found: shrinking takes half of the
    time. One that shows something else is shrunk, and has to show it then.
    """
    law, case = find_law(law_id)
    listed = covering(read_deviations(SHIPPED), law_id, target, torch.__version__)
    known = listed if listed and listed.inputs else None  # elsewhere a law says what it sees
    declared = [entry for entry in absences.read_absences(absences.SHIPPED) if entry.law]
    absence = covering(declared, law_id, "cpu", torch.__version__)
    for shrink in (False, True):
        examination = Examination(
            law,
            case,
            open_target(target),
            PROFILES["ci"].allotted(law),
            deviation=known,
            absence=absence,
            shrink=shrink,
        )
        verdict = examination.verdict()
        if verdict.verdict != "violated" or symptom in verdict.message:
            break
    script = verdict.counterexample.script if verdict.counterexample else ""
    return Trial(verdict, run_script(script))


def try_saboteur(saboteur: Saboteur) -> list[Trial]:
    """Apply the fault in a fresh process and examine the laws that must catch it there."""
    for law_id in saboteur.laws:
        find_law(law_id)  # imports all laws here, once, and not in every fork

    def sabotaged() -> list[Trial]:
        saboteur.patch(pytest.MonkeyPatch())
        return [examine(law_id, saboteur.symptom, saboteur.target) for law_id in saboteur.laws]

    trials: list[Trial] = in_fork(sabotaged)
    return trials


class ForkDied(RuntimeError):
    """A fork ended before it could say what its action returned."""


def raised_on_stock(script: str) -> str:
    """Return what a script raises on torch as it is, or nothing.

    In a fork, which is fast; where that dies, since threads of the engine do not survive a fork,
    in a process of its own.
    """
    try:
        return str(in_fork(partial(run_script, script)))
    except ForkDied:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # Threads may abort it after its end as well, which is not the script's doing.
        return done.stderr if "Traceback" in done.stderr else ""


def in_fork(action: Callable[[], Any]) -> Any:
    """Return what ``action`` returns in a fork of this process.

    Threads of the engine do not survive a fork, of which one in thousands dies: then another is
    made. Raises ``RuntimeError`` with its traceback where it raises, :class:`ForkDied` where the
    second dies too.
    """
    try:
        return _in_one_fork(action)
    except ForkDied:
        return _in_one_fork(action)


def _in_one_fork(action: Callable[[], Any]) -> Any:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        try:
            sender.send((action(), ""))
        except BaseException:
            sender.send((None, traceback.format_exc()))

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        result, failure = receiver.recv()
    except EOFError:
        process.join()
        raise ForkDied(f"the fork died with exit code {process.exitcode}") from None
    process.join()
    if failure:
        raise RuntimeError(failure)
    return result


def replacing(owner: Any, name: str, make: Callable[[Any], Any]) -> Patch:
    """Return the patch that replaces an attribute by what ``make`` makes of the original."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, name, make(getattr(owner, name)))

    return patch


def after(owner: Any, name: str, change: Callable[[Any], Any]) -> Patch:
    """Return the patch that changes what a function returns."""

    def make(original: Any) -> Any:
        return lambda *arguments, **keywords: change(original(*arguments, **keywords))

    return replacing(owner, name, make)
