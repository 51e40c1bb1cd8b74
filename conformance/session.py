"""A session of laws in the process that runs them: a worker, or pytest itself.

It opens the targets, refuses what the options name wrongly, examines laws and hands verdicts
to reports. A worker cannot end the run: it leaves its refusal, or the plan, in the run's folder,
where the controller reads it before any law is scheduled.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from os import getpid
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from conformance import absences as missing
from conformance import deviations as known
from conformance.deaths import of_the_dead
from conformance.essentials import IDS as ESSENTIALS
from conformance.essentials import blocking
from conformance.examine import identity
from conformance.isolation import Cells, Surroundings, Task
from conformance.journal import Journal, leave_plan
from conformance.law import Law, law_of, shipped_laws
from conformance.memory import limit_memory
from conformance.options import budget_of, is_worker, options_of
from conformance.probing import Ground, ProbingError, try_out
from conformance.profiles import DEFAULT, PROFILES, new_seed
from conformance.results import Verdict, describe_run, stamp
from conformance.selection import SelectionError, check_selection, in_shard, selected
from conformance.shrinking import Shrinking, Smallest
from conformance.target import Target, TargetError, open_target, parse_target


class LawSession:
    """All that a process needs to examine laws; made when the first law is collected."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options = options_of(config)
        self.profile = PROFILES[self.options["profile"] or DEFAULT]
        self.timeout: float = self.options["law_timeout"] or self.profile.timeout
        self.target_names = list(dict.fromkeys(self.options["target"] or ["cpu"]))
        self.refusal = ""
        self.seed = 0
        self.journal: Journal | None = None
        self._cells: Cells | None = None
        self._shrinking = Shrinking(budget_of(self.options))
        self._targets: dict[str, Target] = {}
        self._deviations: list[known.Deviation] = []
        self._absences: list[missing.Absence] = []
        self._broken: dict[str, dict[str, str]] = {}
        self._verdicts: dict[str, Verdict] = {}

    # -- before the first law ---------------------------------------------------------------

    def load_modules(self) -> None:
        """Import what ``--load`` names; a failure is kept until :meth:`prepare` can refuse."""
        for module in self.options["load"] or ():
            try:
                import_module(module)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                self.refusal = f"--load {module}: importing it failed ({reason})"

    def cases(self, law: Law) -> list[str]:
        """Return the cases of a law that are to run, or its first: every law is collected.

        Ten thousand items take longer to make than a few laws to run.
        """
        kept = [case for case in law.cases if self._selected(f"{law.id}:{case}", law.chapter)]
        return kept or [next(iter(law.cases))]

    def prepare(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Return the items to run. Refuses in one sentence what the options name wrongly."""
        try:
            return self._prepare(items)
        except (TargetError, SelectionError, known.DeviationsError, ProbingError) as error:
            if not is_worker(self.config):
                raise pytest.UsageError(str(error)) from error
            leave_plan(self._folder(), {"refusal": str(error)})
            return []

    def _prepare(self, items: list[pytest.Item]) -> list[pytest.Item]:
        if self.refusal:
            raise TargetError(self.refusal)
        if not items and self.config.option.file_or_dir:
            raise SelectionError(
                "no law was collected; run the laws with: pytest --pyargs conformance"
            )
        for name in self.target_names:
            parse_target(name)
        self._targets = {name: open_target(name) for name in self.target_names}
        laws = {law.id: law for law in [*map(_required_law, items), *self._shipped()]}
        ids = [(law_id, law.chapter) for law in laws.values() for law_id in law.ids()]
        patterns, chapters = self.options["law"] or (), self.options["chapter"] or ()
        check_selection(patterns, chapters, ids)
        given = [
            d for path in self.options["deviations"] or () for d in known.read_deviations(path)
        ]
        known.check_matches(given, [law_id for law_id, _ in ids])
        self._deviations = [*given, *known.read_deviations(known.SHIPPED)]
        self._read_absences([law_id for law_id, _ in ids])
        for name, target in self._targets.items():
            self._stand(name, target)
        kept = [
            item
            for item, found in zip(items, map(self._identity, items), strict=True)
            if self._selected(found["law"], found["chapter"])
        ]
        self._begin(kept)
        return sorted(kept, key=_after_essentials)

    def _read_absences(self, law_ids: list[str]) -> None:
        files = self.options["capabilities"] or ()
        given = [absence for path in files for absence in missing.read_absences(path)]
        missing.check_absences(given, law_ids)
        self._absences = [*given, *missing.read_absences(missing.SHIPPED)]

    def _stand(self, name: str, target: Target) -> None:
        """Find out what a target can do, and which essentials are broken there.

        The first process of a run does so, and leaves it to the others. Nothing needs to be found
        out of the CPU with its values: it has everything, and what it fails at is for the laws to
        say.
        """
        if target.device.type == "cpu" and not target.valueless:
            ground = Ground()
        elif (found := self._ground_file(name)) and found.exists():
            ground = Ground.from_json(found.read_text())
        else:
            ground = try_out(name, self.options["load"] or ())
            if found:
                draft = found.with_suffix(f".{getpid()}")
                draft.write_text(ground.to_json())
                draft.replace(found)
        target.capabilities = missing.without(ground.capabilities, self._absences, target.name)
        self._broken[name] = ground.broken

    def _ground_file(self, name: str) -> Path | None:
        if not is_worker(self.config):
            return None
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{crc32(name.encode()):08x}.ground"

    def _selected(self, law_id: str, chapter: str) -> bool:
        patterns, chapters = self.options["law"] or (), self.options["chapter"] or ()
        return selected(law_id, chapter, patterns, chapters) and in_shard(
            law_id, self.options["shard"]
        )

    def _shipped(self) -> list[Law]:
        """Every law of the package, where an option may name one that was not collected."""
        named = any(self.options[name] for name in ("law", "chapter", "deviations", "capabilities"))
        return shipped_laws() if named else []

    def _begin(self, items: list[pytest.Item]) -> None:
        worker = getattr(self.config, "workerinput", {})
        forced = self.config.getoption("--hypothesis-seed", default=None)
        drawn = 0 if self.profile.derandomized else worker.get("conformance_seed", new_seed())
        self.seed = int(forced) if forced is not None else drawn
        modules = {item.nodeid.partition("::")[0]: _module(item) for item in items}
        plan = {
            "run": describe_run(
                targets=[t.name for t in self._targets.values()],
                profile=self.profile.name,
                seed=self.seed,
                examples=self.options["max_examples"] or self.profile.examples,
                devices=[_device_name(t) for t in self._targets.values()],
                shard=self.options["shard"] or "",
                loaded=self.options["load"] or (),
                lacks={t.name: dict(t.capabilities.refused) for t in self._targets.values()},
            ),
            "words": {t.name: dict(t.capabilities.words) for t in self._targets.values()},
            "path": sys.path,
            "modules": modules,
            "laws": {item.nodeid: self._identity(item) for item in items},
            "listed": {
                item.nodeid: known.credit(listed)
                for item in items
                # Where an entry names its inputs, those are not what a process died of.
                if (listed := self._listed(item)) and not listed.inputs
            },
            "absent": {
                item.nodeid: absence.reason
                for item in items
                if (absence := self._absent(item)) and not absence.inputs
            },
        }
        if worker:
            leave_plan(self._folder(), plan)
            self.journal = Journal(self._folder(), worker["workerid"])
            limit_memory(self.options["law_memory"], worker.get("workercount", 1))
        else:
            self.config.hook.pytest_conformance_plan(plan=plan)
        if self.options["isolate"]:
            self._cells = self._isolation(sorted(set(modules.values())))

    def _isolation(self, modules: list[str]) -> Cells:
        worker = getattr(self.config, "workerinput", {})
        if not worker:
            self._own_folder = tempfile.TemporaryDirectory(prefix="conformance-")
        folder = self._folder() if worker else Path(self._own_folder.name)
        shipped = [name for name in modules if name.startswith("conformance.laws.")]
        return Cells(
            self._surroundings(),
            folder,
            f"{worker.get('workerid', 'main')}-cell",
            self.options["isolate"],
            shipped,
        )

    def _surroundings(self) -> Surroundings:
        processes = getattr(self.config, "workerinput", {}).get("workercount", 1)
        loaded, memory = self.options["load"] or (), self.options["law_memory"]
        return Surroundings.here(loaded, memory, processes)

    def _folder(self) -> Path:
        return Path(self.config.workerinput["conformance_folder"])  # type: ignore[attr-defined]

    # -- law by law -------------------------------------------------------------------------

    def examine(self, item: pytest.Function) -> None:
        """Run a law and keep its verdict until its report is made."""
        law = _required_law(item)
        blocked = blocking(law, self._broken[_target(item)])
        if blocked:
            self._verdicts[item.nodeid] = Verdict(
                **self._identity(item), verdict="blocked", message=blocked
            )
            return
        task = self._task(item)
        if self._cells is not None:
            self._verdicts[item.nodeid] = self._isolated(item, task, self._cells)
            return
        journal = self.journal
        if journal is not None:
            journal.begin(item.nodeid, self.timeout)

        def notify(number: int, inputs: str) -> None:
            if journal is not None:
                journal.example(item.nodeid, number, inputs)

        target = self._targets[_target(item)]
        self._verdicts[item.nodeid] = task.examination(law, target, notify).verdict()
        if journal is not None:
            journal.end(item.nodeid)

    def _task(self, item: pytest.Item) -> Task:
        target, law = _target(item), _required_law(item)
        return Task(
            nodeid=item.nodeid,
            module=_module(item),
            law=law.id,
            case=_case(item),
            target=target,
            examples=self.options["max_examples"] or self.profile.allotted(law),
            seed=self.seed,
            timeout=self.timeout,
            capabilities=self._targets[target].capabilities,
            explain=bool(self.options["explain"]),
            deviation=self._listed(item),
            absence=self._absent(item),
            loaded=tuple(self.options["load"] or ()),
        )

    def _isolated(self, item: pytest.Item, task: Task, cells: Cells) -> Verdict:
        """The verdict on a law from a process of its own, or of what it died of."""
        found = cells.examine(task)
        if isinstance(found, Verdict):
            return found

        def shrink(message: str) -> Smallest | None:
            return self._shrinking.smallest(task, cells.surroundings, found.example, message)

        listed, absent = task.deviation, task.absence
        return of_the_dead(
            self._identity(item),
            found,
            running=found.nodeid == item.nodeid,
            listed=known.credit(listed) if listed and not listed.inputs else None,
            absent=absent.reason if absent and not absent.inputs else None,
            shrink=shrink if self._shrinking.is_left() else None,
        )

    def complete(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Let a report carry the verdict, as text that every process can receive."""
        verdict = self._verdicts.pop(item.nodeid, None)
        if verdict is not None:
            stamp(report, verdict)

    def close(self) -> None:
        """Release the journal and whatever process there is."""
        if self._cells is not None:
            self._cells.close()
            self._cells = None
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _listed(self, item: pytest.Item) -> known.Deviation | None:
        found = self._identity(item)
        return known.covering(self._deviations, found["law"], found["target"], _torch_version())

    def _absent(self, item: pytest.Item) -> missing.Absence | None:
        found = self._identity(item)
        named = [absence for absence in self._absences if absence.law]
        return known.covering(named, found["law"], found["target"], _torch_version())

    def _identity(self, item: pytest.Item) -> dict[str, Any]:
        return identity(_required_law(item), _case(item), self._targets[_target(item)].name)


def _after_essentials(item: pytest.Item) -> int:
    law_id = _required_law(item).id
    return ESSENTIALS.index(law_id) if law_id in ESSENTIALS else len(ESSENTIALS)


def _required_law(item: pytest.Item) -> Law:
    found = law_of(getattr(item, "function", None))
    assert found is not None, item.nodeid
    return found


def _module(item: pytest.Item) -> str:
    return _required_law(item).function.__module__


def _parameter(item: pytest.Item, name: str) -> str | None:
    value: str | None = item.callspec.params.get(name)  # type: ignore[attr-defined]
    return value


def _case(item: pytest.Item) -> str | None:
    return _parameter(item, "case")


def _target(item: pytest.Item) -> str:
    target = _parameter(item, "target")
    assert target is not None
    return target


def _device_name(target: Target) -> str:
    import torch

    module = getattr(torch, target.device.type, None)
    name = getattr(module, "get_device_name", None)
    return name(target.device) if name else str(target.device)


def _torch_version() -> str:
    import torch

    return torch.__version__
