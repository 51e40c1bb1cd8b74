"""Connectionist temporal classification: the likelihood of all alignments of a label sequence.

The forward recursion of Graves et al., 2006 (doi:10.1145/1143844.1143891), in probabilities, which
suffice for sequences of a few steps. It is a polynomial: complex steps pass through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.losses import reduced

Array = npt.NDArray[Any]


def alignment_likelihood(probabilities: Array, labels: Sequence[int], blank: int) -> Any:
    """Return the probability that steps, of ``(T, C)``, spell the labels.

    Steps spell what is left once repetitions are merged and then blanks removed.
    """
    states = [blank]
    for label in labels:
        states += [label, blank]
    if not len(probabilities):
        return np.asarray(float(not labels))
    forward = np.zeros(len(states), dtype=probabilities.dtype)
    forward[:2] = probabilities[0, states[:2]]
    for step in probabilities[1:]:
        reached = forward.copy()
        reached[1:] += forward[:-1]
        for place in range(2, len(states)):
            if states[place] not in (blank, states[place - 2]):
                reached[place] += forward[place - 2]
        forward = reached * step[states]
    return forward[-2:].sum()


def separate_labels(targets: Array, lengths: Sequence[int]) -> list[list[int]]:
    """Return each sequence's labels, given in rows that are padded or one after the other."""
    if targets.ndim > 1:
        return [row[:length].tolist() for row, length in zip(targets, lengths, strict=True)]
    ends = np.cumsum([0, *lengths])
    return [targets[start:end].tolist() for start, end in pairwise(ends)]


def alignment_losses(
    logs: Array, targets: Array, steps: Sequence[int], lengths: Sequence[int], blank: int
) -> Array:
    """Return ``-log`` of the likelihood of each sequence of a batch of ``(T, N, C)``."""
    found = [
        -np.log(alignment_likelihood(np.exp(logs[:count, number]), labels, blank))
        for number, (count, labels) in enumerate(
            zip(steps, separate_labels(targets, lengths), strict=True)
        )
    ]
    return np.array(found, dtype=logs.dtype)


def alignment_loss(
    logs: Array,
    targets: Array,
    steps: Any,
    lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """Return the loss of a batch, or of one sequence of ``(T, C)`` (CTCLoss).

    The mean is that of the losses divided by the lengths of their targets.
    """
    alone = logs.ndim == 2
    counts = [int(count) for count in np.ravel(steps)]
    sizes = [int(size) for size in np.ravel(lengths)]
    losses = alignment_losses(logs[:, None] if alone else logs, targets, counts, sizes, blank)
    if zero_infinity:
        losses = np.where(np.isinf(np.real(losses)), 0, losses)
    if reduction == "mean":
        losses = losses / np.array(sizes)
    return reduced(losses[0] if alone and reduction == "none" else losses, reduction)


def alignment_loss_size(logs: Array, *rest: Any, **options: Any) -> Array:
    """Return the size of the logarithms that are added along an alignment."""
    reduction = options.get("reduction", "mean")
    size = np.asarray(np.abs(logs).max(initial=0.0) * len(logs) + len(logs) + 1)
    count = logs.shape[1] if logs.ndim > 2 else 1
    if reduction == "none":
        return np.broadcast_to(size, (count,) if logs.ndim > 2 else ())
    return np.asarray(size * (count if reduction == "sum" else 1))
