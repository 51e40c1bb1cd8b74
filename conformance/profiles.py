"""How hard a run tries: every profile is complete, none inherits from another.

Seeds are drawn per law from the run's seed and the law's id, so that a law sees the same
examples whatever runs beside it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.law import Law

DEFAULT = "ci"


@dataclass(frozen=True)
class Profile:
    """``examples`` a law, ``dear`` a dear one; a fixed seed if ``derandomized``.

    ``timeout`` is the seconds that a law may take.
    """

    name: str
    examples: int
    dear: int
    derandomized: bool
    timeout: float

    def allotted(self, law: Law) -> int:
        """Return how many examples of a law are tried."""
        return self.dear if law.dear else self.examples


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", examples=10, dear=10, derandomized=True, timeout=300),
        Profile("ci", examples=50, dear=20, derandomized=True, timeout=600),
        Profile("thorough", examples=1_000, dear=1_000, derandomized=False, timeout=3_600),
        Profile("fuzz", examples=100_000, dear=100_000, derandomized=False, timeout=86_400),
    )
}


def new_seed() -> int:
    """Return a seed for a run that is not derandomized; the record shows it."""
    return SystemRandom().getrandbits(32)


def law_seed(seed: int, law_id: str) -> int:
    """Return the seed for one law of a run."""
    return zlib.crc32(f"{seed}:{law_id}".encode())
