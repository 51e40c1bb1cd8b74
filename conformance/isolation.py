"""Laws in processes of their own: what such a process is told, and what became of it.

A cell is a process that examines laws and may die of it; the next law gets a new one. Cells are
forked from a server that has imported torch and the suite and has touched no device, so that a
new one costs a fraction of a second. Where nothing can be forked, they start afresh.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.journal import Journal, LastWords, last_words
from conformance.memory import limit_memory

if TYPE_CHECKING:
    from conformance.absences import Absence
    from conformance.capabilities import Capabilities
    from conformance.deviations import Deviation
    from conformance.examine import Examination, Notify
    from conformance.law import Law
    from conformance.results import Verdict
    from conformance.target import Target

_AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"
_TO_START = 300.0
_GRACE = 10.0  # after the watchdog of the process should have ended it


@dataclass(frozen=True)
class Task:
    """One law, or one case of it, on one target: all that an examination needs, as data.

    ``module`` is the one that declares the law, ``capabilities`` are the target's.
    """

    nodeid: str
    module: str
    law: str
    case: str | None
    target: str
    examples: int
    seed: int
    timeout: float
    capabilities: Capabilities
    explain: bool = False
    deviation: Deviation | None = None
    absence: Absence | None = None
    loaded: tuple[str, ...] = ()

    def find_law(self) -> Law:
        """Return the law, whose module this process may have to import."""
        from conformance.law import laws_in

        return next(law for law in laws_in(import_module(self.module)) if law.id == self.law)

    def open_target(self) -> Target:
        """Return the target, with what is known of its capabilities."""
        from conformance.target import open_target

        target = open_target(self.target)
        target.capabilities = self.capabilities
        return target

    def examination(self, law: Law, target: Target, notify: Notify) -> Examination:
        """Return the examination of the law on the target."""
        from conformance.examine import Examination

        return Examination(
            law,
            self.case,
            target,
            self.examples,
            self.seed,
            explain=self.explain,
            deviation=self.deviation,
            absence=self.absence,
            loaded=self.loaded,
            notify=notify,
        )


@dataclass(frozen=True)
class Surroundings:
    """What a new process must find: where to import from, what to import, how much memory."""

    path: tuple[str, ...]
    loaded: tuple[str, ...] = ()
    autoload: bool = True
    memory: float | None = None
    processes: int = 1

    @classmethod
    def here(cls, loaded: Iterable[str], memory: float | None, processes: int) -> Surroundings:
        """Return those of this process."""
        autoload = os.environ.get(_AUTOLOAD, "1") == "1"
        return cls(tuple(sys.path), tuple(loaded), autoload, memory, processes)

    def enter(self) -> None:
        """Let this process import what that one could."""
        sys.path[:] = self.path

    def load(self) -> None:
        """Limit the memory of this process, then import the modules that bring devices."""
        limit_memory(self.memory, self.processes)
        import torch

        if self.autoload and os.environ.get(_AUTOLOAD) == "0":
            os.environ[_AUTOLOAD] = "1"
            torch._import_device_backends()  # type: ignore[no-untyped-call]
        for module in self.loaded:
            import_module(module)


def processes(preload: Iterable[str] = ()) -> Any:
    """Return the kind of processes that know nothing of this one's devices.

    ``preload`` names the modules that all of them need; the first call decides.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conformance.session", "conformance.shrinking", *preload])
    return context


@contextmanager
def without_devices() -> Iterator[None]:
    """Keep torch from loading backends in a server that starts meanwhile: they may be threaded."""
    before = os.environ.get(_AUTOLOAD)
    os.environ[_AUTOLOAD] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_AUTOLOAD]
        else:
            os.environ[_AUTOLOAD] = before


class Cells:
    """The side that sends laws into cells, ``laws`` into each before the next is opened."""

    def __init__(
        self, surroundings: Surroundings, folder: Path, name: str, laws: int, preload: Iterable[str]
    ) -> None:
        self.surroundings, self.folder, self.name, self.laws = surroundings, folder, name, laws
        self._context = processes(preload)
        self._process: Any = None
        self._connection: Connection | None = None
        self._served = 0

    def examine(self, task: Task) -> Verdict | LastWords:
        """Return the verdict on a law, or the last words of the process that died of it."""
        connection = self._connection or self._open()
        self._served += 1
        verdict: Verdict | None = None
        try:
            connection.send(task)
            patience = _TO_START + task.timeout + _GRACE
            wait([connection, self._process.sentinel], patience)
            verdict = connection.recv() if connection.poll() else None
        except (EOFError, OSError):  # it died
            pass
        if verdict is None or self._served >= self.laws:
            self.close()
        return verdict or last_words(self.folder, self.name)

    def close(self) -> None:
        """End the process; it may hang at its own end, so it is not asked."""
        if self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = self._connection = None

    def _open(self) -> Connection:
        self._connection, other = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(other, self.surroundings, self.folder, self.name)
        )
        with without_devices():
            self._process.start()
        other.close()
        self._served = 0
        assert self._connection is not None
        return self._connection


def _serve(
    connection: Connection, surroundings: Surroundings, folder: Path, name: str
) -> None:  # in the cell
    surroundings.enter()
    journal = Journal(folder, name)
    surroundings.load()
    targets: dict[str, Target] = {}
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            os._exit(0)
        journal.begin(task.nodeid, task.timeout)

        def notify(number: int, inputs: str, nodeid: str = task.nodeid) -> None:
            journal.example(nodeid, number, inputs)

        if task.target not in targets:
            targets[task.target] = task.open_target()
        verdict = task.examination(task.find_law(), targets[task.target], notify).verdict()
        journal.end(task.nodeid)
        connection.send(verdict)
