"""The terminal: a live line while laws run, a table of verdicts, then what fails the run."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.results import VERDICTS, Verdict

_COLOURS = {"holds": "green", "unsupported": "yellow", "deviates": "yellow"}
_SECONDS_BETWEEN_LINES = 10.0
_LONGEST_INPUTS = 1_600
_LONGEST_GAP = 100
_MOST_GAPS = 8


def colour(verdict: str) -> dict[str, bool]:
    """Return the markup of a verdict, for pytest's terminal writer."""
    return {_COLOURS.get(verdict, "red"): True}


class Terminal:
    """Writes through pytest's terminal reporter, so that its options for colour hold."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.laws: dict[str, dict[str, Any]] = {}
        self.run: dict[str, Any] = {}
        self.active: list[str] = []
        self.done = 0
        self.failing = 0
        self.verbosity = 0
        self._shown = 0.0
        self._live = False

    @property
    def _reporter(self) -> Any:
        return self.config.pluginmanager.getplugin("terminalreporter")

    def begin(self, plan: dict[str, Any]) -> None:
        """Say what is about to run."""
        self.laws, self.run = plan["laws"], plan["run"]
        reporter = self._reporter
        if reporter is None:
            return
        self.verbosity = reporter.verbosity
        self._live = bool(getattr(reporter, "isatty", False)) and self.verbosity == 0
        reporter.showfspath = False
        # pytest would name each item by file and function; laws are named by their ids.
        self.config.option.verbose = min(self.verbosity, 0)
        self._shown = time.monotonic()
        if self.verbosity >= 0:
            reporter.ensure_newline()
            reporter.write_line(f"{len(self.laws)} laws on {_run_line(self.run)}")

    def running(self, nodeid: str) -> None:
        """A law begins."""
        if nodeid in self.laws:
            self.active.append(nodeid)
            self._progress()

    def finished(self, nodeid: str, verdict: Verdict) -> None:
        """A law ended."""
        self.done += 1
        self.failing += verdict.fails
        if nodeid in self.active:
            self.active.remove(nodeid)
        if self._reporter is not None and self.verbosity > 0:
            self._verbose(verdict)
        else:
            self._progress()

    def _verbose(self, verdict: Verdict) -> None:
        evidence = verdict.evidence
        figures = f"{evidence.get('examples', 0)} examples, {evidence.get('values', 0)} values"
        self._reporter.write(f"{verdict.verdict:<12}", **colour(verdict.verdict))
        self._reporter.write_line(
            f"{verdict.law} [{verdict.target}]  {figures}, {verdict.seconds:.2f} s"
        )

    def _progress(self) -> None:
        reporter = self._reporter
        if reporter is None or self.verbosity != 0:
            return
        now = time.monotonic()
        due = now - self._shown >= _SECONDS_BETWEEN_LINES
        if not self._live and not due:
            return
        self._shown = now
        names = ", ".join(self.laws[nodeid]["law"] for nodeid in self.active[:2])
        text = f"{self.done}/{len(self.laws)} laws, {self.failing} failing"
        text += f"; running {names}" if names else ""
        if self._live:
            width = reporter._tw.fullwidth - 1
            reporter.rewrite(text[:width].ljust(width))
        else:
            reporter.write_line(text)

    def summary(self, verdicts: Sequence[Verdict], record: Path | None) -> None:
        """Print the table, then each verdict that fails the run."""
        reporter = self._reporter
        if reporter is None or not self.laws or self.config.option.collectonly:
            return
        if self._live:
            reporter.rewrite("", erase=True)
        reporter.section("laws of PyTorch", sep="=")
        reporter.write_line(_run_line(self.run))
        for target in self.run["targets"]:
            own = [v for v in verdicts if v.target == target]
            self._table(target, own)
            self._gaps(self.run["lacks"].get(target, {}), own)
        self._blocked([v for v in verdicts if v.verdict == "blocked"])
        failing = [v for v in verdicts if v.fails and v.verdict != "blocked"]
        for verdict in sorted(failing, key=lambda v: (v.target, v.chapter, v.law)):
            self._failure(verdict, record)
        if record is not None:
            reporter.write_line(f"record: {record}")
            reporter.write_line(f"as a page: conformance report {record} -o report")
        lost = len(self.laws) - len(verdicts)
        if lost > 0:
            reporter.write_line(f"{lost} laws without a verdict: the run ended early", red=True)

    def _table(self, target: str, verdicts: Sequence[Verdict]) -> None:
        kinds = [k for k in VERDICTS if k == "holds" or any(v.verdict == k for v in verdicts)]
        chapters = sorted({law["chapter"] for law in self.laws.values()})
        width = max([len(c) for c in chapters] + [len(target), 5])
        reporter = self._reporter
        reporter.write_line("")
        reporter.write_line(f"{target:<{width}}  " + "".join(f"{k:>12}" for k in kinds), bold=True)
        for chapter in [*chapters, "total"]:
            counts = Counter(v.verdict for v in verdicts if chapter in (v.chapter, "total"))
            reporter.write(f"{chapter:<{width}}  ", bold=chapter == "total")
            for kind in kinds:
                markup = colour(kind) if counts[kind] else {}
                reporter.write(f"{counts[kind] or '-':>12}", **markup)
            reporter.write_line("")
        values = sum(v.evidence.get("values", 0) for v in verdicts)
        examples = sum(v.evidence.get("examples", 0) for v in verdicts)
        reporter.write_line(f"{examples:,} examples, {values:,} values compared")

    def _gaps(self, lacks: Mapping[str, str], verdicts: Sequence[Verdict]) -> None:
        """Say what the target lacks, and what it has for a part of the inputs only."""
        reporter = self._reporter
        if lacks:
            reporter.write_line(textwrap.fill(f"lacks {', '.join(lacks)}", 88), yellow=True)
        partly = [v for v in verdicts if v.verdict == "holds" and v.evidence.get("unsupported")]
        missing = Counter(v.evidence["missing"][:_LONGEST_GAP] for v in partly)
        if missing:
            reporter.write_line(
                f"{len(partly)} laws hold in part: for the rest, it says", yellow=True
            )
        for text, count in missing.most_common(_MOST_GAPS):
            reporter.write_line(f"  {text} ({count} laws)")
        if len(missing) > _MOST_GAPS:
            reporter.write_line(f"  and {len(missing) - _MOST_GAPS} more, in the record")

    def _blocked(self, verdicts: Sequence[Verdict]) -> None:
        """Say once what keeps laws from being judged."""
        for (target, message), count in Counter((v.target, v.message) for v in verdicts).items():
            self._reporter.write_line("")
            self._reporter.write("blocked", bold=True, **colour("blocked"))
            self._reporter.write_line(f"  {count} laws  [{target}]", bold=True)
            self._reporter.write_line(textwrap.indent(message, "  "), red=True)

    def _failure(self, verdict: Verdict, record: Path | None) -> None:
        reporter = self._reporter
        reporter.write_line("")
        reporter.write(verdict.verdict, bold=True, **colour(verdict.verdict))
        reporter.write_line(f"  {verdict.law}  [{verdict.target}]  {verdict.level}", bold=True)
        reporter.write_line(textwrap.indent(textwrap.fill(verdict.statement, 88), "  "))
        counterexample = verdict.counterexample
        if counterexample is not None and counterexample.inputs:
            inputs = counterexample.inputs
            if len(inputs) > _LONGEST_INPUTS:
                inputs = inputs[:_LONGEST_INPUTS] + " ..."
            reporter.write_line("  for")
            reporter.write_line(textwrap.indent(inputs, "    "))
        reporter.write_line(textwrap.indent(verdict.message, "  "), red=True)
        if counterexample is not None and counterexample.explanation:
            reporter.write_line(textwrap.indent(counterexample.explanation, "  "))
        reporter.write_line(f"  {verdict.documentation}")
        if counterexample is not None and counterexample.script:
            hint = f"conformance script {record} {verdict.law}" if record else "add --record FILE"
            reporter.write_line(f"  stand-alone script: {hint}")


def _run_line(run: dict[str, Any]) -> str:
    return (
        f"{', '.join(run['targets'])}: torch {run['torch']}, profile {run['profile']} "
        f"({run['examples']} examples a law, seed {run['seed']})"
    )
