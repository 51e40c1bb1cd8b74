"""Losses of classes, as the pages of torch.nn define them: likelihood, entropy and margins.

Classes are the second dimension, or the only one. All take complex numbers and branch on real
parts alone. ``..._size`` functions tell what rounding is relative to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.losses import log_of_logistic, reduced

Array = npt.NDArray[Any]


def _classes_last(x: Array) -> Array:
    return np.moveaxis(x, 1 if x.ndim > 1 else 0, -1)


def _weights(x: Array, weight: Any) -> Array:
    """The weights of classes, by default all 1."""
    return np.ones(x.shape[-1]) if weight is None else weight


def likelihood_loss(
    x: Array,
    target: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Return ``-w[y] x[y]`` of log-probabilities x, 0 where y is to be ignored (NLLLoss).

    The mean divides by the sum of the weights of the targets that are not ignored.
    """
    return _of_indices(_classes_last(x), target, weight, ignore_index, reduction, 0.0)


def likelihood_loss_size(x: Array, target: Array, **options: Any) -> Array:
    """Return the size of what is added."""
    return likelihood_loss(-np.abs(x), target, **options)


def _of_indices(
    logs: Array, target: Array, weight: Any, ignored: int, reduction: str, smoothing: float
) -> Array:
    """The mixture of the target's class and all classes alike, of log-probabilities."""
    counted = target != ignored
    places = np.where(counted, target, 0)
    weights = _weights(logs, weight)
    own = weights[places]
    losses = -own * np.take_along_axis(logs, places[..., None], -1)[..., 0]
    if smoothing:
        even = -(weights * logs).sum(-1) / logs.shape[-1]
        losses = (1 - smoothing) * losses + smoothing * even
    return reduced(np.where(counted, losses, 0), reduction, (own * counted).sum())


def entropy_loss(
    x: Array,
    target: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Return the cross entropy of softmax(x) and classes, or probabilities (CrossEntropyLoss).

    Smoothing mixes the target with the uniform distribution. The mean over probabilities
    divides by the number of samples.
    """
    logs = log_softmax_of_rows(_classes_last(x))
    if not _is_distribution(target):
        return _of_indices(logs, target, weight, ignore_index, reduction, label_smoothing)
    mixed = (1 - label_smoothing) * _classes_last(target) + label_smoothing / logs.shape[-1]
    return reduced(-(_weights(logs, weight) * logs * mixed).sum(-1), reduction)


def entropy_loss_raised(x: Array, target: Array, **options: Any) -> Array:
    """Return 8 and ``entropy_loss``, which has the same derivatives.

    The constant makes the size tell what cancels, of one class all of it.
    """
    return 8 + entropy_loss(x, target, **options)


def _is_distribution(target: Array) -> bool:
    return target.dtype.kind in "fc"


def log_softmax_of_rows(x: Array) -> Array:
    """Return the logarithm of the softmax along the last dimension."""
    moved = x - np.real(x).max(-1, keepdims=True) if x.size else x
    return np.asarray(moved - np.log(np.exp(moved).sum(-1, keepdims=True)))


def entropy_loss_size(x: Array, target: Array, **options: Any) -> Array:
    """Return the loss where each logarithm is as large as any of its row, rounded with a unit."""
    logs = _classes_last(x)
    spread = (np.abs(logs).max(-1, keepdims=True) if logs.size else logs) + 1 + np.log(x.size + 1)
    sizes = 2 * np.broadcast_to(spread, logs.shape)
    weight = options.get("weight")
    mixed = options.get("label_smoothing", 0.0)
    reduction = options.get("reduction", "mean")
    if not _is_distribution(target):
        ignored = options.get("ignore_index", -100)
        return _of_indices(-sizes, target, weight, ignored, reduction, mixed)
    parts = (1 - mixed) * _classes_last(target) + mixed / logs.shape[-1]
    return reduced((_weights(logs, weight) * sizes * parts).sum(-1), reduction)


def margin_loss(
    x: Array,
    target: Array,
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Array:
    """Return ``sum_i w[y] max(0, margin - x[y] + x[i])^p / C`` for i other than y.

    Of C classes (MultiMarginLoss).
    """
    own = np.take_along_axis(x, target[..., None], -1)
    others = np.arange(x.shape[-1]) != target[..., None]
    gaps = margin - own + x
    hinges = np.where(others & ~(np.real(gaps) <= 0), gaps, 0)
    return reduced(_weights(x, weight)[target] * (hinges**p).sum(-1) / x.shape[-1], reduction)


def margin_loss_size(x: Array, target: Array, **options: Any) -> Array:
    """Return the loss of gaps as large as what they subtract."""
    gap = abs(options.get("margin", 1.0)) + 2 * np.abs(x).max(-1, initial=0.0)
    weights = _weights(x, options.get("weight"))[target]
    return reduced(weights * gap ** options.get("p", 1), options.get("reduction", "mean"))


def labels_margin_loss(x: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Return ``sum_ij max(0, 1 - x[y[j]] + x[i]) / C`` for i that are no label.

    Labels y are those before the first that is negative (MultiLabelMarginLoss).
    """
    leading = np.cumprod(target >= 0, axis=-1).astype(bool)
    numbers = np.arange(x.shape[-1])
    given = np.where(leading, target, -1)
    unlabelled = ~(given[..., None, :] == numbers[:, None]).any(-1)
    own = np.take_along_axis(x, np.where(leading, target, 0), -1)
    gaps = 1 - own[..., None] + x[..., None, :]
    counted = leading[..., None] & unlabelled[..., None, :] & ~(np.real(gaps) <= 0)
    return reduced(np.where(counted, gaps, 0).sum((-1, -2)) / x.shape[-1], reduction)


def labels_margin_loss_size(x: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Return the size of the gaps that are summed."""
    return reduced((1 + 2 * np.abs(x).max(-1, initial=0.0)) * x.shape[-1], reduction)


def labels_entropy_loss(
    x: Array, target: Array, *, weight: Any = None, reduction: str = "mean"
) -> Array:
    """Return the mean over classes of ``-w (y log s(x) + (1 - y) log s(-x))``, s the logistic.

    (MultiLabelSoftMarginLoss)
    """
    losses = -(target * log_of_logistic(x) + (1 - target) * log_of_logistic(-x))
    return reduced((_weights(x, weight) * losses).sum(-1) / x.shape[-1], reduction)


def labels_entropy_loss_size(
    x: Array, target: Array, *, weight: Any = None, reduction: str = "mean"
) -> Array:
    """Return the size of the losses, whose exponentials may vanish in few digits."""
    sizes = _weights(x, weight) * (labels_entropy_loss_terms(x, target) + 2.0**-100)
    return reduced(sizes.sum(-1) / x.shape[-1], reduction)


def labels_entropy_loss_terms(x: Array, target: Array) -> Array:
    """Return the losses of labels, times the size of the exponents."""
    losses = -(target * log_of_logistic(x) + (1 - target) * log_of_logistic(-x))
    return np.asarray(losses * (1 + np.abs(x)))
