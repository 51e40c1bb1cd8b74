"""Code of the documentation, run in a process of its own: what it prints, or why it fails.

Documents and counterexamples may change global state, or end their process; none of them reaches
another one. The processes are forked off a server that has imported torch once.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import multiprocessing
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

PROMPT = ">>>"
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Outcome(NamedTuple):
    """What a document's blocks printed, and for each that failed its number and why."""

    output: str
    failures: tuple[tuple[int, str], ...] = ()


def run_blocks(blocks: Sequence[str]) -> Outcome:
    """Run blocks of one document in order, in one namespace and a new process.

    A block that begins with a prompt is a doctest: its output must be as it says.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["torch", "numpy", "__main__"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(list(blocks), sender))
    process.start()
    sender.close()
    try:
        outcome: Outcome = receiver.recv()
    except EOFError:
        outcome = Outcome("", ((0, "the process died"),))
    process.join()
    return outcome


def _serve(blocks: Sequence[str], sender: Connection) -> None:
    sender.send(_outcome(blocks))


def _outcome(blocks: Sequence[str]) -> Outcome:
    printed = io.StringIO()
    failures = []
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            failure = _doctest(block, names) if is_doctest(block) else _script(block, names)
        if failure:
            failures.append((number, failure))
    return Outcome(printed.getvalue(), tuple(failures))


def is_doctest(block: str) -> bool:
    """Whether a block is a dialogue whose output is to be compared."""
    return block.lstrip().startswith(PROMPT)


def _doctest(block: str, names: dict[str, str]) -> str:
    test = doctest.DocTestParser().get_doctest(block + "\n", names, "example", None, 0)
    runner = doctest.DocTestRunner(verbose=False, optionflags=_FLAGS)
    report = io.StringIO()
    test.globs = names
    runner.run(test, out=report.write, clear_globs=False)
    return report.getvalue()


def _script(block: str, names: dict[str, str]) -> str:
    try:
        exec(compile(block, "example", "exec"), names)
    except BaseException:
        return traceback.format_exc()
    return ""
