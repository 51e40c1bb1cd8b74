"""The controlling side of a run of laws: record, terminal, and the verdicts of the dead.

Lives in the process that the user started. Verdicts arrive in reports, from workers or from
this process; each is written to the record once, as it arrives.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from conformance.capabilities import Capabilities
from conformance.deaths import of_the_dead
from conformance.isolation import Surroundings, Task
from conformance.journal import last_words, read_plan
from conformance.options import asks_for_laws, budget_of, options_of
from conformance.report.terminal import Terminal
from conformance.results import SCHEMA, Record, Verdict, stamp
from conformance.shrinking import Shrinking, Smallest


class Hooks:
    """The hook by which a process that runs laws itself hands over its plan."""

    @pytest.hookspec
    def pytest_conformance_plan(self, plan: dict[str, Any]) -> None:
        """Targets are open and laws selected: the run is about to begin."""


class Controller:
    """Collects verdicts; one in a run of laws, never in a worker."""

    def __init__(self, config: pytest.Config) -> None:
        config.pluginmanager.add_hookspecs(Hooks)
        self.config = config
        self.options = options_of(config)
        self.folder = Path(tempfile.gettempdir()) / f"conformance-{uuid.uuid4().hex}"
        self.plan: dict[str, Any] | None = None
        self.verdicts: list[Verdict] = []
        self.started = time.perf_counter()
        self.seed = SystemRandom().getrandbits(32)
        self.record = self._open_record()
        self.terminal = Terminal(config)
        self.shrinking = Shrinking(budget_of(self.options))

    def _open_record(self) -> Record | None:
        path: Path | None = self.options["record"]
        if path is None:
            return None
        try:
            return Record(path)
        except OSError as error:
            raise pytest.UsageError(
                f"--record {path}: cannot be written ({error.strerror}); name a file in an "
                "existing folder"
            ) from error

    # -- before the first law ---------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where the run's folder is."""
        node.workerinput["conformance_folder"] = str(self.folder)
        node.workerinput["conformance_seed"] = self.seed

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """Read what the first worker to have collected left: a plan, or a refusal."""
        plan = read_plan(self.folder) if self.plan is None else None
        if plan is not None:
            if "refusal" in plan:
                raise pytest.UsageError(plan["refusal"])
            self.pytest_conformance_plan(plan)

    def pytest_conformance_plan(self, plan: dict[str, Any]) -> None:
        """Begin the record and the display."""
        self.plan = plan
        arguments = list(self.config.invocation_params.args)
        plan["run"]["command"] = ["pytest", *map(str, arguments)]
        if self.record is not None:
            self.record.append(json.dumps(plan["run"]))
        self.terminal.begin(plan)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """End the run if a worker died before it could run any law: others would die too."""
        if error and self.plan is None and asks_for_laws(self.config):
            words = last_words(self.folder, node.gateway.id)
            detail = words.stacks.partition("\n")[0] or str(error).strip().rpartition("\n")[2]
            raise pytest.UsageError(
                f"a process died while it opened the target or collected the laws: {detail}"
            )

    # -- law by law -------------------------------------------------------------------------

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show what runs."""
        self.terminal.running(nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Give the law during which a worker died its verdict."""
        law = (self.plan or {}).get("laws", {}).get(crashitem)
        if law is not None:
            stamp(report, self._verdict_on_the_dead(law, crashitem, report.node.gateway.id))

    def _verdict_on_the_dead(self, law: dict[str, Any], nodeid: str, process: str) -> Verdict:
        assert self.plan is not None
        words = last_words(self.folder, process)
        task, surroundings = self._task(nodeid, law["law"], law["target"]), self._surroundings()

        def shrink(message: str) -> Smallest | None:
            return self.shrinking.smallest(task, surroundings, words.example, message)

        return of_the_dead(
            law,
            words,
            running=words.nodeid == nodeid,
            listed=self.plan["listed"].get(nodeid),
            absent=self.plan["absent"].get(nodeid),
            shrink=shrink if self.shrinking.is_left() else None,
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the verdict that a report carries."""
        line = getattr(report, "conformance", None)
        if line is not None:
            if self.record is not None:
                self.record.append(line)
            verdict = Verdict.from_json(line)
            self.verdicts.append(verdict)
            self.terminal.finished(report.nodeid, verdict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count a law under its verdict; the display of laws is ours."""
        line = getattr(report, "conformance", None)
        if line is None:
            return None
        verdict = json.loads(line)["verdict"]
        category = {"holds": "passed", "unsupported": "skipped", "deviates": "xfailed"}
        return category.get(verdict, verdict), "", ""

    def _task(self, nodeid: str, law_id: str, target: str) -> Task:
        assert self.plan is not None
        run = self.plan["run"]
        law, _, case = law_id.partition(":")
        return Task(
            nodeid=nodeid,
            module=self.plan["modules"][nodeid.partition("::")[0]],
            law=law,
            case=case or None,
            target=target,
            examples=run["examples"],
            seed=run["seed"],
            timeout=0.0,
            capabilities=Capabilities(run["lacks"][target], self.plan["words"][target]),
            loaded=tuple(run["loaded"]),
        )

    def _surroundings(self) -> Surroundings:
        assert self.plan is not None
        processes = getattr(self.config.option, "numprocesses", 1) or 1
        there = Surroundings.here(self.plan["run"]["loaded"], self.options["law_memory"], processes)
        return replace(there, path=tuple(self.plan["path"]))

    # -- after the last law -----------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the record: its last line says that the run came to its end.

        A shard may be left without laws where few are asked for: nothing failed then.
        """
        if self.options["shard"] and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if self.record is not None:
            if self.plan is not None:
                seconds = round(time.perf_counter() - self.started, 3)
                end = {"schema": SCHEMA, "kind": "end", "seconds": seconds}
                end["verdicts"] = len(self.verdicts)
                self.record.append(json.dumps(end))
            self.record.close()

    def pytest_terminal_summary(self) -> None:
        """Print the table of verdicts, then whatever fails the run."""
        self.terminal.summary(self.verdicts, self.options["record"])

    def pytest_unconfigure(self) -> None:
        """Remove the run's folder."""
        for path in sorted(self.folder.glob("*")):
            path.unlink()
        if self.folder.exists():
            self.folder.rmdir()
