"""How hard a run tries: every profile is complete, none inherits from another.

Seeds are drawn per law from the run's seed and the law's id, so that a law sees the same
examples whatever runs beside it. Nothing here touches Hypothesis's own profiles.

Examples are independent draws. Hypothesis's own generation makes most examples by mutating
earlier ones, which finds more where few inputs are interesting, and less where each example is
a check: of 50 scatters it made 32 of rank 0. Shrinking is Hypothesis's either way.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

DEFAULT = "ci"


@dataclass(frozen=True)
class Profile:
    """``examples`` a law; a fixed seed if ``derandomized``; ``timeout`` seconds a law."""

    name: str
    examples: int
    derandomized: bool
    timeout: float


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", examples=10, derandomized=True, timeout=300),
        Profile("ci", examples=50, derandomized=True, timeout=600),
        Profile("thorough", examples=1_000, derandomized=False, timeout=3_600),
        Profile("fuzz", examples=100_000, derandomized=False, timeout=86_400),
    )
}


def new_seed() -> int:
    """Return a seed for a run that is not derandomized; the record shows it."""
    return SystemRandom().getrandbits(32)


def law_seed(seed: int, law_id: str) -> int:
    """Return the seed for one law of a run."""
    return zlib.crc32(f"{seed}:{law_id}".encode())


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
