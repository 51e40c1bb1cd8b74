"""The verdict on a law whose process died: what it ran stands in its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.journal import LastWords
from conformance.results import Counterexample, Verdict
from conformance.shrinking import UNKNOWN, Smallest

Shrink = Callable[[str], Smallest | None]
"""Seeks the smallest inputs that crash with a message; None if the law alone does not crash."""


def of_the_dead(
    law: dict[str, Any],
    words: LastWords,
    *,
    running: bool,
    listed: dict[str, str] | None = None,
    absent: str | None = None,
    shrink: Shrink | None = None,
) -> Verdict:
    """Return the verdict on a law during which a process died.

    ``law`` is what is known of it beforehand; ``running`` whether the words are about it, which
    they are not if the process died before it could begin. ``listed`` and ``absent`` are what
    entries say about it. A crash that nothing expects is shrunk.
    """
    if absent is not None:
        return Verdict(**law, verdict="unsupported", message=f"declared: {absent}")
    kind = "timeout" if running and words.timed_out else "crashed"
    reason = words.stacks.partition("\n")[0] or "the process ended without a word"
    where = f" in example {words.example}" if running and words.example else ""
    message = f"{kind}: {reason}{where}"
    inputs, script = words.inputs if running else "", ""
    if kind == "crashed" and shrink is not None and listed is None:
        found = shrink(message)
        if found is None:
            message += "; in a process of its own this law does not crash"
            message += f": suspect {words.before}, which ran before" if words.before else ""
        elif found != UNKNOWN:
            inputs, script = found.inputs, found.script
            message += f"; smallest of {found.tried} inputs tried in processes of their own"
    return Verdict(
        **law,
        verdict="deviates" if listed else kind,
        message=message,
        deviation=listed,
        evidence={"examples": words.example if running else 0},
        counterexample=Counterexample(f"{message}\n{words.stacks}", inputs, script),
    )
