"""Examining a law: run its examples on a target, count evidence, reach a verdict."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from hypothesis.errors import Flaky, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.statistics import collector

from conformance import ambient
from conformance.counterexample import stand_alone
from conformance.deviations import Deviation, credit
from conformance.evidence import Evidence
from conformance.generation import hypothesis_settings
from conformance.law import Law
from conformance.modes import Setting
from conformance.profiles import law_seed
from conformance.results import Counterexample, Verdict
from conformance.target import Target
from strategies.devices import current_target
from strategies.source import arguments_source

Notify = Callable[[int, str], None]
"""Told the number and inputs of each example before it runs."""


def _unheard(number: int, inputs: str) -> None:
    """For an examination that nobody follows."""


@dataclass
class Examination:
    """One law, or one case of it, on one target.

    ``examples`` is how many to run, ``seed`` the run's; ``shrink`` whether to look for a smaller
    counterexample; ``deviation`` the entry that lists this law as violated, if any; ``loaded``
    the modules that the run imported first.
    """

    law: Law
    case: str | None
    target: Target
    examples: int
    seed: int = 0
    explain: bool = False
    shrink: bool = True
    deviation: Deviation | None = None
    loaded: Sequence[str] = ()
    notify: Notify = _unheard
    _failure: tuple[Mapping[str, Any], str, BaseException] | None = field(default=None, init=False)
    _excepting: Deviation | None = field(default=None, init=False)

    @property
    def law_id(self) -> str:
        """The id with the case, as users write it."""
        return self.law.id if self.case is None else f"{self.law.id}:{self.case}"

    def verdict(self) -> Verdict:
        """Run the law and return its verdict. Never raises for what the law or torch does.

        What torch warns of on the way is nobody's news; a law about a warning listens itself.
        """
        with (
            warnings.catch_warnings(),
            ambient.kept(law_seed(self.seed, self.law_id)),
            self.target.setting.mode.session(),
        ):
            warnings.simplefilter("ignore")
            return self._examined()

    def _examined(self) -> Verdict:
        start, preparation = time.perf_counter(), self.target.setting.mode.preparation
        self.target.evidence = Evidence()
        if limit := self.target.setting.limit(self.law_id):
            self.target.evidence.missing = limit
            self.deviation = None
            return self._verdict("unsupported", limit, start)
        prepared = preparation()
        token = current_target.set(self.target)
        try:
            if self.deviation and self.deviation.is_still_there(self.target):
                return self._elsewhere(self.deviation, start)
            if self.deviation and self.deviation.crash:
                self.deviation = None  # not on this machine
            error = self._search()
        finally:
            current_target.reset(token)
            self.target.evidence.compile_seconds = preparation() - prepared
        return self._judge(error, start)

    def _elsewhere(self, listed: Deviation, start: float) -> Verdict:
        """Hold the law to the inputs that the entry does not speak of, if it names its own."""
        told = "its recorded counterexample fails"
        if not listed.inputs:
            return self._verdict("deviates", told, start)
        self._excepting, self.deviation = listed, None
        error = self._search()
        if error is not None:
            return self._refuted(error, start)
        evidence = self.target.evidence
        if evidence.values == 0 and evidence.unsupported:
            return self._verdict("unsupported", evidence.missing, start)
        self.deviation = listed
        judged = self.target.evidence.values > 0
        others = "for other inputs it holds" if judged else "no other inputs came up"
        return self._verdict("deviates", f"{told}; {others}", start)

    def _search(self) -> Exception | None:
        """Run the examples; return what refuted the law, if anything did."""
        try:
            if not self.law.strategies:
                self._example()
            else:
                with collector.with_value(self._count):  # type: ignore[arg-type]
                    self._quantified()()
        except Exception as error:
            return error
        return None

    def _quantified(self) -> Callable[[], None]:
        def test(**drawn: Any) -> None:
            self._example(**drawn)

        settings = hypothesis_settings(
            self.examples, shrink=self.shrink and self.deviation is None, explain=self.explain
        )
        quantified = hypothesis.given(**self.law.quantified(self.case))(test)
        seeded = hypothesis.seed(law_seed(self.seed, self.law_id))(settings(quantified))
        run: Callable[[], None] = seeded
        return run

    def _example(self, **drawn: Any) -> None:
        evidence = self.target.evidence
        if self._excepting and self._excepting.excepts(drawn):
            evidence.rejected += 1
            return
        evidence.examples += 1
        inputs = arguments_source(drawn)  # before the law runs, which may write to its inputs
        self.notify(evidence.examples, inputs)
        try:
            with self.target.surrounded():
                self.law.function(self.target, **self.law.arguments(self.case), **drawn)
                self.target.synchronize()
        except UnsatisfiedAssumption:
            raise
        except Exception as error:
            missing = missing_operation(error, self.target.setting)
            if missing is None:
                self._failure = (drawn, inputs, error)
                raise
            evidence.unsupported += 1
            evidence.missing = evidence.missing or missing
        evidence.saw_all(drawn)

    def _count(self, statistics: Mapping[str, Any]) -> None:
        """Take from Hypothesis what only it knows: rejected draws, and time spent drawing."""
        evidence = self.target.evidence
        for name, phase in statistics.items():
            if not name.endswith("-phase"):
                continue
            for example in phase["test-cases"]:
                evidence.rejected += example["status"] == "invalid"
                evidence.draw_seconds += example["drawtime"]
                evidence.law_seconds += example["runtime"] - example["drawtime"]

    def _judge(self, error: Exception | None, start: float) -> Verdict:
        evidence = self.target.evidence
        if isinstance(error, Unsatisfiable):
            return self._verdict("vacuous", f"no example satisfied its conditions: {error}", start)
        if error is not None:
            return self._refuted(error, start)
        if evidence.values == 0 and evidence.unsupported:
            return self._verdict("unsupported", evidence.missing, start)
        if evidence.values == 0:
            return self._verdict("vacuous", "it ran, and nothing was compared", start)
        if self.deviation and self.deviation.means(self.target.setting.name):
            return self._verdict(
                "stale", f"listed at {self.deviation.where}, but it holds: remove the entry", start
            )
        self.deviation = None
        return self._verdict("holds", "", start)

    def _refuted(self, error: Exception, start: float) -> Verdict:
        drawn, inputs, cause = self._failure or ({}, "", error)
        message = _message(cause)
        if isinstance(error, Flaky):
            message += " (not on every run of the same inputs)"
        notes = "\n".join(getattr(error, "__notes__", []))
        blob = re.search(r"reproduce_failure\('[^']*', (b'[^']*')\)", notes)
        script = self._script(drawn, inputs, message)
        counterexample = Counterexample(
            message, inputs, script, blob[1] if blob else "", notes if self.explain else ""
        )
        kind = "deviates" if self.deviation else "violated"
        return self._verdict(kind, message, start, counterexample)

    def _script(self, drawn: Mapping[str, Any], inputs: str, message: str) -> str:
        """The stand-alone script; a verdict is not lost because a law cannot be written as one."""
        try:
            return stand_alone(
                self.law, self.case, self.target, drawn, inputs, message, self.loaded
            )
        except Exception as error:
            return f"# No stand-alone script of this law could be written: {error}\n"

    def _verdict(
        self,
        kind: str,
        message: str,
        start: float,
        counterexample: Counterexample | None = None,
    ) -> Verdict:
        listed = self.deviation
        return Verdict(
            **identity(self.law, self.case, self.target.name),
            verdict=kind,
            seconds=round(time.perf_counter() - start, 6),
            message=message,
            evidence=self.target.evidence.as_dict(),
            counterexample=counterexample,
            deviation=credit(listed) if listed else None,
        )


def identity(law: Law, case: str | None, target: str) -> dict[str, Any]:
    """Return the part of a verdict that is known before the law runs."""
    return {
        "law": law.id if case is None else f"{law.id}:{case}",
        "level": law.level,
        "chapter": law.chapter,
        "statement": law.statement,
        "documentation": law.documentation(case),
        "target": target,
    }


def missing_operation(error: BaseException, setting: Setting) -> str | None:
    """Return the target's own word that it has no such operation, or None.

    That word is NotImplementedError, which torch raises where no kernel is registered for a
    backend or dtype, here or as the cause of a compiler's error; or a refusal of the mode.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, NotImplementedError):
            return str(seen).strip().partition("\n")[0] or "NotImplementedError"
        if refusal := setting.refusal(seen):
            return refusal
        seen = seen.__cause__
    return None


def _message(error: BaseException) -> str:
    text = str(error).strip()
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"
