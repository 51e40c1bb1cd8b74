"""Gradient scaling: how a scale follows a history of gradients that overflow or do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Scale:
    """A scale factor, and how many unskipped iterations in a row it has seen."""

    value: float
    growth: float
    backoff: float
    interval: int
    streak: int = 0

    def update(self, overflowed: bool) -> None:
        """Shrink after an overflow; grow after ``interval`` iterations in a row without one."""
        if overflowed:
            self.value, self.streak = self.value * self.backoff, 0
            return
        self.streak += 1
        if self.streak == self.interval:
            self.value, self.streak = self.value * self.growth, 0
