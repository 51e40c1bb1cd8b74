"""Sequences of several lengths in one array: padded, and packed time by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def padded(
    sequences: Sequence[Array],
    batch_first: bool = False,
    value: float = 0.0,
    side: str = "right",
    length: int | None = None,
) -> Array:
    """Return the sequences beside each other, filled up to the longest, or to a length."""
    longest = max(len(s) for s in sequences) if length is None else length
    result = np.full((len(sequences), longest, *sequences[0].shape[1:]), value)
    for number, sequence in enumerate(sequences):
        start = longest - len(sequence) if side == "left" else 0
        result[number, start : start + len(sequence)] = sequence
    return result if batch_first else result.swapaxes(0, 1)


def packed(sequences: Sequence[Array]) -> tuple[Array, list[int]]:
    """Return the elements time by time, of sequences from longest to shortest, and how many each.

    At one time come those of all sequences that are long enough, in their order.
    """
    longest = len(sequences[0])
    counts = [sum(len(s) > time for s in sequences) for time in range(longest)]
    return np.stack([s[t] for t, n in enumerate(counts) for s in sequences[:n]]), counts
