"""Trying out a target before a run, in processes that may crash or hang.

The steps, which are probes and essentials, run one after another in one process. Each is announced
before it runs; where the process dies or keeps silent, the step that it had announced is answered
by that, and the next process goes on after it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from conformance.capabilities import PROBES, Capabilities, try_probe, word
from conformance.essentials import IDS

_PATIENCE = 60.0
_TO_START = 300.0
_EXAMPLES = 20


class ProbingError(RuntimeError):
    """A target that could not be tried out at all: the process died before the first step."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on: the target's capabilities, and the essentials broken there."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    broken: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return text from which another process makes the same."""
        return json.dumps({"refused": dict(self.capabilities.refused), "broken": self.broken})

    @staticmethod
    def from_json(text: str) -> Ground:
        """Return what :meth:`to_json` wrote."""
        found = json.loads(text)
        return Ground(Capabilities(found["refused"]), found["broken"])


def try_out(
    target: str,
    load: Sequence[str] = (),
    *,
    essentials: Sequence[str] = IDS,
    patience: float = _PATIENCE,
) -> Ground:
    """Run every probe and essential of a target; each may take ``patience`` seconds.

    ``load`` names the modules to import first. Raises :class:`ProbingError` where no process
    comes to its first step.
    """
    steps = [*PROBES, *essentials]
    answers: dict[str, str] = {}
    while len(answers) < len(steps):
        left = [step for step in steps if step not in answers]
        found = dict(_answers(target, load, left, patience))
        if not found:
            raise ProbingError(f"{target}: trying it out failed before its first step")
        answers |= found
    refused = {name: answers[name] for name in PROBES if answers[name]}
    broken = {name: answers[name] for name in essentials if answers[name]}
    return Ground(Capabilities(refused), broken)


def _answers(
    target: str, load: Sequence[str], steps: Sequence[str], patience: float
) -> Iterator[tuple[str, str]]:
    """Yield step and answer, an empty one where all is well, until the process ends."""
    task = {"target": target, "load": list(load), "path": sys.path, "steps": list(steps)}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(task)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    announced, wait = "", _TO_START
    try:
        while True:
            try:
                line = lines.get(timeout=wait)
            except queue.Empty:
                if announced:
                    yield announced, f"hangs: no answer within {patience:g} s"
                return
            if not line:
                if announced:
                    yield announced, _death(process.wait())
                return
            entry = json.loads(line)
            announced, wait = entry["step"], patience
            if "answer" in entry:
                yield announced, entry["answer"]
                announced = ""
    finally:
        process.kill()
        process.wait()


def _read(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _death(code: int) -> str:
    if code >= 0:
        return f"crashed: the process ended with code {code}"
    return f"crashed: {signal.Signals(-code).name}"


# -- in the process that runs the steps ---------------------------------------------------------


def _run(task: dict[str, Any], out: IO[str]) -> None:
    from importlib import import_module

    sys.path[:] = task["path"]
    for module in task["load"]:
        import_module(module)
    from conformance.target import open_target

    target = open_target(task["target"])

    def tell(**entry: str) -> None:
        out.write(json.dumps(entry) + "\n")
        out.flush()

    refused: dict[str, str] = {}
    for step in task["steps"]:
        tell(step=step)
        if step in PROBES:
            with target.surrounded():
                answer = try_probe(step, target.device)
            refused |= {step: answer} if answer else {}
        else:
            target.capabilities = Capabilities(refused)
            answer = _broken(step, target)
        tell(step=step, answer=answer)


def _broken(law_id: str, target: Any) -> str:
    """Return what is wrong with an essential if it fails for most of its examples."""
    from conformance.examine import Examination
    from conformance.law import shipped_laws

    (law,) = (law for law in shipped_laws() if law.id == law_id)
    tally = Examination(law, None, target, _EXAMPLES).tally()
    wrong = [error for error in tally if error is not None]
    return word(wrong[0]) if 2 * len(wrong) > len(tally) else ""


def main() -> None:
    """Run the steps that the one argument tells of; answer on the standard output, alone there."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _run(json.loads(sys.argv[1]), out)
    out.flush()
    os._exit(0)  # a backend that hangs at exit has answered all the same


if __name__ == "__main__":
    main()
