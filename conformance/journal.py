"""What a process is running, written before it runs: all that a crash leaves behind.

Each process that runs laws owns two files in the run's folder: ``<process>.running`` holds the
law and the inputs of the current example, ``<process>.stacks`` what the interpreter's fault
handler says when the process dies or overstays its time. Both outlive the process. Beside them
lies the plan: what the processes are about to run, or why they refuse to.
"""

from __future__ import annotations

import faulthandler
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST_STACKS = 6_000
_PLAN = "plan.json"


def leave_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write the plan whole or not at all; every process of a run leaves the same one."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{_PLAN}.{os.getpid()}"
    draft.write_text(json.dumps(plan))
    draft.replace(folder / _PLAN)


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Return the plan that a process left, or None if there is none."""
    try:
        plan: dict[str, Any] = json.loads((folder / _PLAN).read_text())
    except FileNotFoundError:
        return None
    return plan


class Journal:
    """The writing side, in the process that runs laws."""

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._running = os.open(folder / f"{process}.running", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._stacks = (folder / f"{process}.stacks").open("w")
        self._before = ""
        faulthandler.enable(self._stacks)

    def begin(self, nodeid: str, timeout: float) -> None:
        """A law begins; past ``timeout`` seconds the process dumps its stacks and exits.

        The fault handler's watchdog needs neither the interpreter's lock nor a signal, so a
        hang inside a kernel ends as well.
        """
        self._write({"nodeid": nodeid, "example": 0, "inputs": "", "before": self._before})
        faulthandler.dump_traceback_later(timeout, exit=True, file=self._stacks)

    def example(self, nodeid: str, number: int, inputs: str) -> None:
        """An example of the law begins, on these inputs."""
        before = self._before
        self._write({"nodeid": nodeid, "example": number, "inputs": inputs, "before": before})

    def end(self, nodeid: str) -> None:
        """The law ended; nothing is running."""
        faulthandler.cancel_dump_traceback_later()
        self._before = nodeid
        self._write({"before": nodeid})

    def close(self) -> None:
        """Give the fault handler back."""
        faulthandler.enable()
        self._stacks.close()
        os.close(self._running)

    def _write(self, entry: dict[str, Any]) -> None:
        data = json.dumps(entry).encode()
        os.pwrite(self._running, data, 0)
        os.ftruncate(self._running, len(data))


@dataclass(frozen=True)
class LastWords:
    """The reading side: what a dead process was doing, and which law it had run before."""

    nodeid: str
    example: int
    inputs: str
    stacks: str
    before: str = ""

    @property
    def timed_out(self) -> bool:
        """Whether the watchdog ended it, rather than a fault."""
        return self.stacks.startswith("Timeout")


def last_words(folder: Path, process: str) -> LastWords:
    """Return what ``process`` was running when it died; fields are empty where unknown."""
    running, stacks = folder / f"{process}.running", folder / f"{process}.stacks"
    try:
        entry = json.loads(running.read_text())
    except (OSError, ValueError):
        entry = {}
    text = stacks.read_text(errors="replace") if stacks.exists() else ""
    return LastWords(
        entry.get("nodeid", ""),
        entry.get("example", 0),
        entry.get("inputs", ""),
        text[:_LONGEST_STACKS],
        entry.get("before", ""),
    )
