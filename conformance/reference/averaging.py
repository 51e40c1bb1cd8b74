"""Averages of models over training, and batch statistics over data, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def equal_average(snapshots: Sequence[Array]) -> Array:
    """Stochastic weight averaging: the mean of all snapshots (arXiv:1803.05407, section 3)."""
    return np.asarray(np.mean(np.array(snapshots, dtype=np.float64), axis=0))


def exponential_average(snapshots: Sequence[Array], decay: float) -> Array:
    """``decay^n x_0 + (1 - decay) (decay^(n-1) x_1 + ... + x_n)``.

    ``W_{t+1} = decay W_t + (1 - decay) x_{t+1}`` with ``W_0 = x_0``, written out. Source:
    https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.get_ema_avg_fn.html
    """
    last = len(snapshots) - 1
    weights = [(1 - decay if n else 1.0) * decay ** (last - n) for n in range(last + 1)]
    return np.asarray(np.tensordot(np.array(weights), np.array(snapshots, dtype=np.float64), 1))


def batch_statistics(batches: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and unbiased variance of each channel (dimension 1): every batch counts the same."""
    means, variances = [], []
    for batch in batches:
        channels = np.moveaxis(batch.astype(np.float64), 1, 0).reshape(batch.shape[1], -1)
        means.append(channels.mean(axis=1))
        variances.append(channels.var(axis=1, ddof=1))
    return np.mean(means, axis=0), np.mean(variances, axis=0)
