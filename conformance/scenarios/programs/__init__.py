"""Random programs of torch statements, with what the tape says must be true after each."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from conformance.scenarios.programs.kinds import KINDS, MOVES
from conformance.scenarios.programs.modes import leave
from conformance.scenarios.programs.program import Program, Step, follow
from conformance.scenarios.programs.writer import Writer, written
from strategies.values import raw_bytes

STEPS = 18


@cache
def programs(kind: str) -> st.SearchStrategy[Program]:
    """Draw a program that consists of the moves of one kind. Shrinks to few, simple ones."""
    moves = [MOVES[name] for name, count in KINDS[kind].items() for _ in range(count)]
    return raw_bytes(4 * STEPS + 1).map(lambda raw: written(moves, MOVES["leaf"], leave, raw))


__all__ = ["KINDS", "Program", "Step", "Writer", "follow", "programs"]
