"""Examining a law: run its examples on a target, count evidence, reach a verdict."""

from __future__ import annotations

import copy
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import torch
from hypothesis.errors import Flaky, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.statistics import collector

from conformance import ambient
from conformance.absences import Absence
from conformance.capabilities import DTYPES, word
from conformance.counterexample import stand_alone
from conformance.deviations import Deviation, credit
from conformance.evidence import Evidence
from conformance.generation import hypothesis_settings
from conformance.inputs import in_rows, without_values
from conformance.law import Law
from conformance.profiles import law_seed
from conformance.refusals import causes, missing_operation
from conformance.results import Counterexample, Verdict
from conformance.target import Target
from strategies.devices import HasDevice, Place, current_target
from strategies.source import arguments_source

Notify = Callable[[int, str], None]
"""Told the number and inputs of each example before it runs."""


def _unheard(number: int, inputs: str) -> None:
    """For an examination that nobody follows."""


@dataclass
class Examination:
    """One law, or one case of it, on one target.

    ``examples`` is how many to run, ``seed`` the run's; ``shrink`` whether to look for a smaller
    counterexample; ``deviation`` the entry that lists this law as violated, if any, and
    ``absence`` the one that says that the target does not have what the law is about;
    ``loaded`` the modules that the run imported first.
    """

    law: Law
    case: str | None
    target: Target
    examples: int
    seed: int = 0
    explain: bool = False
    shrink: bool = True
    deviation: Deviation | None = None
    absence: Absence | None = None
    loaded: Sequence[str] = ()
    notify: Notify = _unheard
    _failure: tuple[Mapping[str, Any], str, BaseException] | None = field(default=None, init=False)
    _excepting: Deviation | None = field(default=None, init=False)
    _present: int = field(default=0, init=False)  # examples that work though declared absent

    @property
    def law_id(self) -> str:
        """The id with the case, as users write it."""
        return self.law.id if self.case is None else f"{self.law.id}:{self.case}"

    def verdict(self) -> Verdict:
        """Run the law and return its verdict. Never raises for what the law or torch does.

        What torch warns of on the way is nobody's news; a law about a warning listens itself.
        """
        with self._apart():
            return self._examined()

    @contextmanager
    def _apart(self) -> Iterator[None]:
        with (
            warnings.catch_warnings(),
            ambient.kept(law_seed(self.seed, self.law_id)),
            self.target.setting.mode.session(),
        ):
            warnings.simplefilter("ignore")
            yield

    def _examined(self) -> Verdict:
        start, preparation = time.perf_counter(), self.target.setting.mode.preparation
        self.target.evidence = Evidence()
        if early := self.law.too_new(self.case, torch.__version__):
            self.target.evidence.missing = early
            self.deviation = None
            return self._verdict("unsupported", early, start)
        if limit := self.target.setting.limit(self.law_id):
            self.target.evidence.missing = limit
            self.deviation = None
            return self._verdict("unsupported", limit, start)
        lacking = self.target.capabilities.lacking(self.law.required(self.case))
        if lacking:
            return self._verdict("unsupported", lacking, start)
        prepared = preparation()
        token = current_target.set(self.target)
        try:
            if self.deviation and self.deviation.is_still_there(self.target):
                return self._elsewhere(self.deviation, start)
            if self.deviation and self.deviation.depends_on_machine:
                self.deviation = None  # not on this one
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

    def tally(self) -> list[Exception | None]:
        """Run every example, whatever becomes of the others; return what each raised, or None."""
        outcomes: list[Exception | None] = []
        judge = self._example

        def note(**drawn: Any) -> None:
            try:
                judge(**drawn)
            except UnsatisfiedAssumption:
                raise
            except Exception as error:
                outcomes.append(error)
            else:
                outcomes.append(None)

        error = self.seek(note)
        return outcomes or [error]

    def seek(self, example: Callable[..., None], blob: bytes | None = None) -> Exception | None:
        """Draw the examples for another judge; return what is left of what it raised.

        ``blob`` is Hypothesis's name of the only one to draw. Inputs are drawn as the run draws
        them, shrunk as it shrinks them.
        """
        self.target.evidence = Evidence()
        with self._apart(), _current(self.target):
            return self._search(example, blob)

    def _search(
        self, example: Callable[..., None] | None = None, blob: bytes | None = None
    ) -> Exception | None:
        """Run the examples; return what refuted the law, if anything did."""
        example = example or self._example
        # A target without values gets copies of what is drawn on the CPU, where it has values.
        drawing = Place(torch.device("cpu")) if self.target.valueless else self.target
        try:
            with _current(drawing), collector.with_value(self._count):  # type: ignore[arg-type]
                if self.law.strategies:
                    self._quantified(example, blob)()
                else:
                    example()
        except Exception as error:
            if self._failure is None and not isinstance(error, Unsatisfiable):
                return self._undrawn(error)
            return error
        return None

    def _undrawn(self, error: Exception) -> Exception | None:
        """Say whether inputs could not be drawn because of what the target lacks."""
        if self.absence and not self.absence.inputs:
            self.target.evidence.declared += 1
            return None
        missing = self._missing(error)
        if missing is None or self.target.complete:
            return error
        self.target.evidence.unsupported += 1
        self.target.evidence.missing = missing
        self.target.evidence.values = 0  # the search has ended before its time
        return None

    def _quantified(self, example: Callable[..., None], blob: bytes | None) -> Callable[[], None]:
        def test(**drawn: Any) -> None:
            example(**drawn)

        if blob is not None:
            test = hypothesis.reproduce_failure(hypothesis.__version__, blob)(test)
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
        evidence.unjudged = ""
        inputs = arguments_source(drawn)  # before the law runs, which may write to its inputs
        declared = self.absence is not None and self.absence.excepts(drawn)
        self.notify(evidence.examples, inputs)
        try:
            self.apply(drawn)
        except UnsatisfiedAssumption:
            raise
        except Exception as error:
            missing = self._missing(error)
            if declared:
                evidence.declared += 1
            elif missing is None or self.target.complete:
                self._failure = (drawn, inputs, error)
                raise
            else:
                if missing == missing_operation(error, self.target.setting):
                    self._check_layouts(drawn, inputs, error)
                evidence.unsupported += 1
            evidence.missing = evidence.missing or missing or word(error)
        else:
            self._present += declared
            if evidence.unjudged:
                evidence.unsupported += 1
                lacking = self.target.capabilities.lacking((evidence.unjudged,))
                evidence.missing = evidence.missing or lacking
        evidence.saw_all(drawn)

    def apply(self, drawn: Mapping[str, Any]) -> None:
        """Run the law on inputs, on the target."""
        with _current(self.target), ambient.dispatching(), self.target.surrounded():
            given = without_values(drawn, self.target.device) if self.target.valueless else drawn
            self.law.function(self.target, **self.law.arguments(self.case), **given)
            self.target.synchronize()

    def _check_layouts(self, drawn: Mapping[str, Any], inputs: str, error: Exception) -> None:
        """Raise if the operation is there after all, for the same inputs in row-major memory.

        Operations are documented for tensors of any strides; half of one is no design choice.
        """
        laid_out, changed = in_rows(drawn)
        if not changed:
            return
        kept, self.target.evidence = self.target.evidence, copy.deepcopy(self.target.evidence)
        try:
            self.apply(laid_out)
        except Exception:
            return
        finally:
            self.target.evidence = kept
        told = f"{word(error)} (for inputs in row-major memory it works)"
        cause = NotImplementedError(told.partition(": ")[2])
        self._failure = (drawn, inputs, cause)
        raise cause from error

    def _missing(self, error: BaseException) -> str | None:
        """Return the target's word that it lacks what an example needs, or None."""
        refused = map(self.target.capabilities.refusal, causes(error))
        return next(filter(None, refused), None) or missing_operation(error, self.target.setting)

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
            if self.target.lacks:
                lacks = ", ".join(sorted(self.target.lacks & set(DTYPES) or self.target.lacks))
                return self._verdict("unsupported", f"no inputs without {lacks}", start)
            return self._verdict("vacuous", f"no example satisfied its conditions: {error}", start)
        if error is not None:
            return self._refuted(error, start)
        if self.absence and evidence.declared:
            return self._absent(self.absence, start)
        if evidence.values == 0 and evidence.unsupported:
            return self._verdict("unsupported", evidence.missing, start)
        if evidence.values == 0:
            return self._verdict("vacuous", "it ran, and nothing was compared", start)
        if self.absence and self._present and self.absence.means(self.target):
            told = f"declared absent at {self.absence.where}, but it is there: remove the entry"
            return self._verdict("stale", told, start)
        if self.deviation and self.deviation.means(self.target):
            return self._verdict(
                "stale", f"listed at {self.deviation.where}, but it holds: remove the entry", start
            )
        self.deviation = None
        in_part = f"in part: {evidence.unsupported} of {evidence.examples} examples unsupported"
        message = f"{in_part}, {evidence.missing}" if evidence.unsupported else ""
        return self._verdict("holds", message, start)

    def _absent(self, absence: Absence, start: float) -> Verdict:
        """Judge a law some of whose examples fail as declared."""
        evidence = self.target.evidence
        told = f"declared: {absence.reason}"
        if not absence.inputs or evidence.values == 0:
            return self._verdict("unsupported", told, start)
        return self._verdict(
            "holds", f"in part: {evidence.declared} of {evidence.examples} examples {told}", start
        )

    def _refuted(self, error: Exception, start: float) -> Verdict:
        drawn, inputs, cause = self._failure or ({}, "", error)
        message = _message(cause)
        if isinstance(error, Flaky):
            message += " (not on every run of the same inputs)"
        notes = "\n".join(getattr(error, "__notes__", []))
        blob = re.search(r"reproduce_failure\('[^']*', (b'[^']*')\)", notes)
        script = self.script(drawn, inputs, message)
        counterexample = Counterexample(
            message, inputs, script, blob[1] if blob else "", notes if self.explain else ""
        )
        kind = "deviates" if self.deviation else "violated"
        return self._verdict(kind, message, start, counterexample)

    def script(self, drawn: Mapping[str, Any], inputs: str, message: str) -> str:
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


@contextmanager
def _current(place: HasDevice) -> Iterator[None]:
    """Let strategies draw on that device meanwhile, and comparisons be counted for it."""
    token = current_target.set(place)
    try:
        yield
    finally:
        current_target.reset(token)


def identity(law: Law, case: str | None, target: str) -> dict[str, Any]:
    """Return the part of a verdict that is known before the law runs."""
    return {
        "law": law.id if case is None else f"{law.id}:{case}",
        "level": law.level,
        "chapter": law.chapter,
        "statement": law.statement,
        "documentation": law.documentation(case),
        "since": law.first_release(case),
        "target": target,
    }


def _message(error: BaseException) -> str:
    text = str(error).strip()
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"
