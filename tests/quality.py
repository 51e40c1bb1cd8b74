"""Measuring generators: the share of draws in a region, and what a failure shrinks to.

``pytest --draws N`` makes N draws where a test makes a few hundred.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.statistics import collector

from conformance.generation import hypothesis_settings

VARIABLE = "CONFORMANCE_DRAWS"
"""Environment variable by which ``--draws`` reaches every process of a run."""

INDEPENDENT = hypothesis_settings(int(os.environ.get(VARIABLE, "300")), shrink=False, explain=False)
MOST_SHRINKING_CALLS = 1_500

Predicate = Callable[[Any], bool]


def share(strategy: st.SearchStrategy[Any], predicate: Predicate) -> float:
    """Return the share of independent draws, the same in every run, that satisfy a predicate.

    Fails if one draw in a hundred, or more, is rejected by a filter.
    """
    found: list[bool] = []
    rejected = [0]

    def count(statistics: Mapping[str, Any]) -> None:
        cases = statistics["generate-phase"]["test-cases"]
        rejected[0] += sum(case["status"] == "invalid" for case in cases)

    @seed(0)
    @INDEPENDENT
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(bool(predicate(value)))

    with collector.with_value(count):  # type: ignore[arg-type]
        draw()
    assert rejected[0] <= len(found) / 100, f"{rejected[0]} draws rejected"
    return sum(found) / len(found)


def minimal(strategy: st.SearchStrategy[Any], predicate: Predicate) -> Any:
    """Return what a failure shrinks to under Hypothesis's own settings.

    Fails if that takes more than ``MOST_SHRINKING_CALLS`` calls after the first failure.
    """
    calls = [0]

    def counted(value: Any) -> bool:
        failed = bool(predicate(value))
        calls[0] += failed or calls[0] > 0
        return failed

    chosen = settings(
        max_examples=2000, database=None, derandomize=True, deadline=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    smallest = find(strategy, counted, settings=chosen)
    assert calls[0] <= MOST_SHRINKING_CALLS, f"{calls[0]} calls to shrink"
    return smallest
