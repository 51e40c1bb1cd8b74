"""Code of the documentation, run in a process of its own: what it prints, or why it fails.

Documents and counterexamples may change global state, or end their process; none of them reaches
another one. Their processes are forked off a server, ``python -m conformance.report.examples``,
that has imported torch once: it takes a JSON list of blocks a line, and answers with an outcome.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import multiprocessing
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

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
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(list(blocks)) + "\n")
    server.stdin.flush()
    output, failures = json.loads(server.stdout.readline())
    return Outcome(output, tuple((number, text) for number, text in failures))


@cache
def _server() -> subprocess.Popen[str]:
    """The process that others are forked off; it ends when ours does."""
    command = [sys.executable, "-m", __name__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    _import_what_examples_need()
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    for line in sys.stdin:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(json.loads(line), sender))
        process.start()
        sender.close()
        try:
            outcome: Outcome = receiver.recv()
        except EOFError:
            outcome = Outcome("", ((0, "the process died"),))
        process.join()
        print(json.dumps(outcome), flush=True)


def _import_what_examples_need() -> None:
    """Import torch, and what its first step of an optimizer imports; the children have it then."""
    import torch

    parameter = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([parameter], lr=0.1).step()


def _answer(blocks: Sequence[str], sender: Connection) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what C code prints is no answer
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


if __name__ == "__main__":
    _serve()
