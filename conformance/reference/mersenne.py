"""Numbers out of the words of the Mersenne Twister MT19937, which NumPy has as well."""

from __future__ import annotations

from math import cos, log1p, pi, sin, sqrt

import numpy as np


def words(seed: int, count: int) -> list[int]:
    """Return the first words of the generator, 32 bits each; it is seeded with 32 bits alone."""
    generator = np.random.RandomState(seed & 0xFFFFFFFF)
    drawn = generator.randint(0, 2**32, size=count, dtype=np.uint32)
    return [int(word) for word in drawn]


def single(word: int) -> float:
    """Return the number in [0, 1) that the lower 24 bits of a word stand for."""
    return float((word & (2**24 - 1)) / 2**24)


def double(high: int, low: int) -> float:
    """Return the number in [0, 1) that the lower 53 bits of two words stand for."""
    return float((((high << 32) | low) & (2**53 - 1)) / 2**53)


def normal_pair(four: list[int]) -> tuple[float, float]:
    """Return two independent normal numbers out of four words, by the method of Box and Muller."""
    angle, tail = 2 * pi * double(*four[:2]), double(*four[2:])
    radius = sqrt(-2 * log1p(-tail))
    return radius * cos(angle), radius * sin(angle)
