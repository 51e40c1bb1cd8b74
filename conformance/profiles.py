"""How hard a run tries: every profile is complete, none inherits from another.

Seeds are drawn per law from the run's seed and the law's id, so that a law sees the same
examples whatever runs beside it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import SystemRandom

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
