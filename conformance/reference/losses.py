"""Losses of each element and how they reduce, as the pages of torch.nn define them.

A loss is a function of operands to the losses of their elements; ``pointwise`` weighs and reduces
it. All take complex numbers and branch on real parts alone. ``..._size`` functions tell what
rounding is relative to, where parts of a loss cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def reduced(losses: Array, reduction: str = "mean", total: Any = None) -> Array:
    """Return the losses, their sum, or their mean: the sum over ``total``, by default the count.

    ``batchmean`` divides by the length of the first dimension. The mean of nothing is nan.
    """
    if reduction == "none":
        return np.asarray(losses)
    if reduction == "sum":
        return np.asarray(losses.sum())
    if reduction == "batchmean":
        total = losses.shape[0]
    return np.asarray(np.divide(losses.sum(), losses.size if total is None else total))


def pointwise(
    loss: Callable[..., Array],
    *operands: Any,
    reduction: str = "mean",
    weight: Any = None,
    **options: Any,
) -> Array:
    """Return the losses of each element times their weights, reduced."""
    losses = np.asarray(loss(*operands, **options))
    return reduced(losses if weight is None else losses * weight, reduction)


def _positive(x: Array) -> Array:
    """The number, 0 if it is below; nan stays."""
    return np.where(np.real(x) <= 0, 0, x)


def _absolute(x: Array) -> Array:
    return np.where(np.real(x) < 0, -x, x)


def squared_error(x: Array, y: Array) -> Array:
    """Return ``(x - y)^2`` (MSELoss)."""
    return np.asarray((x - y) ** 2)


def absolute_error(x: Array, y: Array) -> Array:
    """Return ``|x - y|`` (L1Loss)."""
    return np.asarray(_absolute(x - y))


def smooth_absolute_error(x: Array, y: Array, beta: float = 1.0) -> Array:
    """Return ``(x - y)^2 / 2 / beta`` below beta, ``|x - y| - beta / 2`` from it (SmoothL1Loss)."""
    distance = _absolute(x - y)
    near = np.real(distance) < beta
    return np.where(near, distance * distance / (2 * beta or 1), distance - beta / 2)


def huber_error(x: Array, y: Array, delta: float = 1.0) -> Array:
    """Return ``(x - y)^2 / 2`` below delta, ``delta (|x - y| - delta / 2)`` from it (HuberLoss)."""
    distance = _absolute(x - y)
    near = np.real(distance) < delta
    return np.where(near, distance * distance / 2, delta * (distance - delta / 2))


LEAST_LOG = -100.0


def _clamped_log(x: Array) -> Array:
    logarithm = np.log(x)
    return np.where(np.real(logarithm) > LEAST_LOG, logarithm, LEAST_LOG)


def binary_entropy(x: Array, y: Array) -> Array:
    """Return ``-(y log x + (1 - y) log(1 - x))``, logarithms not below -100 (BCELoss)."""
    return np.asarray(-(y * _clamped_log(x) + (1 - y) * _clamped_log(1 - x)))


def log_of_logistic(x: Array) -> Array:
    """Return ``log(1 / (1 + exp(-x)))`` without overflow: the exponent is never positive."""
    negative = np.real(x) < 0
    return np.where(negative, x, 0) - np.log1p(np.exp(np.where(negative, x, -x)))


def binary_entropy_of_logits(x: Array, y: Array, pos_weight: Any = 1.0) -> Array:
    """Return ``-(p y log s(x) + (1 - y) log(1 - s(x)))`` for the logistic s (BCEWithLogitsLoss)."""
    return np.asarray(-(pos_weight * y * log_of_logistic(x) + (1 - y) * log_of_logistic(-x)))


def binary_entropy_of_logits_size(x: Array, y: Array, pos_weight: Any = 1.0) -> Array:
    """Return the size of the linear and the logarithmic parts, which cancel where y is 0."""
    parts = 1 + np.abs(x)
    return np.asarray((1 - y) * parts + (1 - y + np.abs(pos_weight) * y) * parts)


def divergence(x: Array, y: Array, log_target: bool = False) -> Array:
    """Return ``y (log y - x)``, or ``exp(y) (y - x)`` where y is given by its log (KLDivLoss)."""
    if log_target:
        return np.asarray(np.exp(y) * (y - x))
    return np.asarray(y * (np.log(y) - x))


def divergence_size(x: Array, y: Array, log_target: bool = False) -> Array:
    """Return the size of what a divergence subtracts, whose logarithms are rounded."""
    if log_target:
        return np.asarray(np.exp(y) * (1 + np.abs(y)) * (np.abs(y) + np.abs(x)))
    return np.asarray(y * (1 + np.abs(np.log(y)) + np.abs(x)))


def poisson_error(
    x: Array, y: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Array:
    """Return ``exp(x) - y x``, or ``x - y log(x + eps)`` of what is no log (PoissonNLLLoss).

    ``full`` adds Stirling's ``y log y - y + log(2 pi y) / 2`` for targets above 1.
    """
    rate = np.exp(x) if log_input else x
    losses = rate - y * (x if log_input else np.log(x + eps))
    return np.asarray(losses + _stirling(y) if full else losses)


def _stirling(y: Array) -> Array:
    above = np.where(np.real(y) > 1, y, 2)
    terms = above * np.log(above) - above + np.log(2 * math.pi * above) / 2
    return np.where(np.real(y) > 1, terms, 0)


def poisson_error_size(
    x: Array, y: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Array:
    """Return the size of what the loss adds and subtracts."""
    rate = np.exp(x) * (1 + np.abs(x)) if log_input else x
    logarithm = np.abs(x) if log_input else 1 + np.abs(np.log(x + eps))
    return np.asarray(rate + y * logarithm + (y * (1 + y) + 1 if full else 0))


def gaussian_error(
    x: Array, y: Array, variance: Any, full: bool = False, eps: float = 1e-6
) -> Array:
    """Return ``(log v + (x - y)^2 / v) / 2`` for ``v = max(variance, eps)`` (GaussianNLLLoss).

    ``full`` adds ``log(2 pi) / 2``. A variance for each row has one dimension less. That it is
    clamped is ignored by derivatives: it moves as if it were not.
    """
    given = np.asarray(variance)
    if given.ndim and given.shape != x.shape and given.shape == x.shape[:-1]:
        given = given[..., None]
    clamped = given + np.where(np.real(given) < eps, eps - np.real(given), 0)
    losses = (np.log(clamped) + (x - y) ** 2 / clamped) / 2
    return np.asarray(losses + math.log(2 * math.pi) / 2 if full else losses)


def gaussian_error_size(
    x: Array, y: Array, variance: Any, full: bool = False, eps: float = 1e-6
) -> Array:
    """Return the size of the parts, of which the logarithm may be negative."""
    log_size = np.abs(gaussian_error(x, x, variance, False, eps))
    return np.asarray(np.abs(gaussian_error(x, y, variance, False, eps)) + 2 * log_size + 1)


def hinge_of_label(x: Array, y: Array, margin: float = 1.0) -> Array:
    """Return x where y is 1, ``max(0, margin - x)`` where y is -1 (HingeEmbeddingLoss)."""
    return np.where(np.real(y) > 0, x, _positive(margin - x))


def hinge_of_label_size(x: Array, y: Array, margin: float = 1.0) -> Array:
    """Return the size of the difference, and of x, which may be negative; 0 of the infinite."""
    return np.where(np.isfinite(x), np.abs(x) + abs(margin), 0)


def soft_margin_error(x: Array, y: Array) -> Array:
    """Return ``log(1 + exp(-y x))`` (SoftMarginLoss)."""
    return -log_of_logistic(y * x)


def soft_margin_error_size(x: Array, y: Array) -> Array:
    """Return the size of the loss, the exponential of which may vanish in few digits."""
    return np.asarray(soft_margin_error(x, y) * (1 + np.abs(x)) + 2.0**-100)


def ranking_error(x: Array, other: Array, y: Array, margin: float = 0.0) -> Array:
    """Return ``max(0, -y (x - other) + margin)`` (MarginRankingLoss)."""
    return _positive(-y * (x - other) + margin)


def ranking_error_size(x: Array, other: Array, y: Array, margin: float = 0.0) -> Array:
    """Return the size of what is added; 0 of the infinite."""
    gap = np.abs(x - other)
    return np.where(np.isfinite(gap), gap + abs(margin), 0)


def cosine_error(x: Array, other: Array, y: Array, margin: float = 0.0) -> Array:
    """Return ``1 - cos`` of two vectors where y is 1, else ``max(0, cos - margin)``.

    Of vectors that are not zero (CosineEmbeddingLoss).
    """
    lengths = np.sqrt((x * x).sum(-1)) * np.sqrt((other * other).sum(-1))
    cosine = (x * other).sum(-1) / lengths
    return np.where(np.real(y) > 0, 1 - cosine, _positive(cosine - margin))


def cosine_error_raised(x: Array, other: Array, y: Array, margin: float = 0.0) -> Array:
    """Return 8 and ``cosine_error``, which has the same derivatives.

    The constant makes the size tell what cancels, of parallel vectors all of it.
    """
    return 8 + cosine_error(x, other, y, margin)


def cosine_error_size(x: Array, other: Array, y: Array, margin: float = 0.0) -> Array:
    """Return the size of a cosine, of which a number is subtracted."""
    return np.ones(np.shape(y)) * (1 + abs(margin))


def distance(x: Array, other: Array, p: float = 2.0, eps: float = 1e-6) -> Array:
    """Return the p-norm of ``x - other + eps`` along the last dimension (PairwiseDistance)."""
    sizes = _absolute(x - other + eps)
    if p == 1:
        return np.asarray(sizes.sum(-1))
    return np.asarray((sizes**p).sum(-1) ** (1 / p))


def triplet_error(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Array:
    """Return ``max(d(a, p) - d(a, n) + margin, 0)`` of p-norms (TripletMarginLoss).

    ``swap`` takes ``min(d(a, n), d(p, n))`` for ``d(a, n)``.
    """
    far = distance(anchor, negative, p, eps)
    if swap:
        other = distance(positive, negative, p, eps)
        far = np.where(np.real(other) < np.real(far), other, far)
    return _positive(distance(anchor, positive, p, eps) - far + margin)


def triplet_error_size(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Array:
    """Return the size of the distances and the margin."""
    near, far = distance(anchor, positive, p, eps), distance(anchor, negative, p, eps)
    return np.asarray(near + far + margin)
