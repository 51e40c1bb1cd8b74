"""Shrinking a crash: the smallest inputs on which a law ends a process of its own.

Hypothesis draws and shrinks here, on the CPU, as it did in the process that died; whether
a candidate still crashes, a fork of this process tells, which alone opens the target.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from conformance.isolation import Surroundings, Task, processes, without_devices

_PATIENCE = 20.0  # seconds after which a candidate counts as no crash
_GRACE = 30.0


@dataclass(frozen=True)
class Smallest:
    """The smallest inputs found, the script that crashes, and how many candidates were tried."""

    inputs: str
    script: str
    tried: int


UNKNOWN = Smallest("", "", 0)
"""Time was up before anything crashed, or before all was tried."""


class Died(Exception):
    """A candidate ended its process."""


class Shrinking:
    """Shrinks the crashes of a run as long as its seconds last, a quarter of them on one."""

    def __init__(self, seconds: float) -> None:
        forks = "fork" in multiprocessing.get_all_start_methods()
        self._left = seconds if forks else 0.0
        self._most = seconds / 4

    def is_left(self) -> bool:
        """Whether another crash can be shrunk."""
        return self._left > 0

    def smallest(
        self, task: Task, surroundings: Surroundings, example: int, message: str
    ) -> Smallest | None:
        """Return the smallest inputs of a law that crash, sought among its examples from one on.

        None if none of them crashes in a process of its own, ``UNKNOWN`` if the time did not
        suffice to tell. ``message`` is for the script.
        """
        start = time.monotonic()
        found = _sought(task, surroundings, example, message, min(self._left, self._most))
        self._left -= time.monotonic() - start
        return found


def _sought(
    task: Task, surroundings: Surroundings, example: int, message: str, seconds: float
) -> Smallest | None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    seeker = processes().Process(
        target=_seek, args=(sender, task, surroundings, example, message, seconds)
    )
    with without_devices():
        seeker.start()
    sender.close()
    found: Smallest | None = UNKNOWN
    try:
        if receiver.poll(seconds + _GRACE):
            found = receiver.recv()
    except EOFError:  # it died itself
        pass
    seeker.kill()
    seeker.join()
    return found


# -- in the process that seeks ------------------------------------------------------------------


def _seek(
    sender: Connection,
    task: Task,
    surroundings: Surroundings,
    example: int,
    message: str,
    seconds: float,
) -> None:
    surroundings.enter()
    import torch

    from conformance.generation import drawn_so_far
    from conformance.target import Target
    from strategies.source import arguments_source

    torch.set_num_threads(1)  # what forks must have no other threads
    deadline = time.monotonic() + seconds
    law = task.find_law()
    asked = tried = 0
    best: tuple[bytes | None, str] | None = None

    def ask(**drawn: Any) -> None:
        nonlocal asked, tried, best
        asked += 1
        if asked < example or time.monotonic() > deadline:
            return
        tried += 1
        blob = drawn_so_far() if law.strategies else None
        if _ends(_crash, task, surroundings, blob):
            best = blob, arguments_source(drawn)
            raise Died

    on_cpu = Target(torch.device("cpu"), capabilities=task.capabilities)
    task.examination(law, on_cpu, lambda number, inputs: None).seek(ask)
    found = None if time.monotonic() < deadline else UNKNOWN
    if best is not None:
        blob, inputs = best
        told = _told_by_a_fork(task, surroundings, blob, message)
        found = Smallest(*(told or (inputs, "")), tried)
    sender.send(found)


def _ends(act: Callable[..., None], *arguments: Any) -> bool:
    """Do something in a fork of this process; return whether that dies of it."""
    fork = _forked(act, *arguments)
    fork.join(_PATIENCE)
    hangs = fork.is_alive()
    if hangs:
        fork.kill()
        fork.join()
    return not hangs and fork.exitcode != 0


def _told_by_a_fork(*arguments: Any) -> tuple[str, str] | None:
    """Return inputs and script as they are on the device, if making them there is no crash."""
    receiver, teller = multiprocessing.Pipe(duplex=False)
    fork = _forked(_describe, *arguments, teller)
    teller.close()
    try:
        told: tuple[str, str] | None = receiver.recv() if receiver.poll(_PATIENCE) else None
    except EOFError:
        told = None
    fork.kill()
    fork.join()
    return told


def _forked(act: Callable[..., None], *arguments: Any) -> Any:
    fork = multiprocessing.get_context("fork").Process(target=_quietly, args=(act, *arguments))
    fork.start()
    return fork


# -- in the fork --------------------------------------------------------------------------------


def _quietly(act: Callable[..., None], task: Task, surroundings: Surroundings, *more: Any) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        surroundings.load()
        act(task, *more)
    finally:
        os._exit(0)  # whatever was raised is no crash, and a hang at exit is none either


def _crash(task: Task, blob: bytes | None) -> None:
    law, target = task.find_law(), task.open_target()
    examination = task.examination(law, target, lambda number, inputs: None)
    examination.seek(lambda **drawn: examination.apply(drawn), blob)


def _describe(task: Task, blob: bytes | None, message: str, teller: Connection) -> None:
    from strategies.source import arguments_source

    law, target = task.find_law(), task.open_target()
    examination = task.examination(law, target, lambda number, inputs: None)

    def tell(**drawn: Any) -> None:
        inputs = arguments_source(drawn)
        teller.send((inputs, examination.script(drawn, inputs, message)))

    examination.seek(tell, blob)
