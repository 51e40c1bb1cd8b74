"""How Hypothesis generates the examples of a law: every setting, and a backend of our own.

Examples are independent draws. Hypothesis's own generation makes most examples by mutating
earlier ones, which finds more where few inputs are interesting, and less where each example is
a check: of 50 scatters it made 32 of rank 0. Shrinking is Hypothesis's either way. Nothing here
touches the settings of a user's own tests.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.control import current_build_context
from hypothesis.core import encode_failure
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

BACKEND = "conformance-independent-draws"


class IndependentDraws(HypothesisProvider):
    """A Hypothesis backend that draws every example afresh from the run's seed."""

    def _maybe_draw_constant(self, *_: Any, **__: Any) -> None:
        """Never draw constants from the code at hand: they differ from machine to machine."""


def hypothesis_settings(examples: int, *, shrink: bool, explain: bool) -> settings:
    """Return every Hypothesis setting that a law runs under."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    phases += [Phase.shrink] if shrink else []
    phases += [Phase.explain] if shrink and explain else []
    AVAILABLE_PROVIDERS.setdefault(BACKEND, f"{__name__}.{IndependentDraws.__name__}")
    return settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        stateful_step_count=50,
        backend=BACKEND,
    )


def drawn_so_far() -> bytes:
    """Return what the running example was made of, for Hypothesis's ``reproduce_failure``."""
    return encode_failure(current_build_context().data.choices)
