"""What is done to channels, the second dimension, from the formulas of their documentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference import layers

Array = npt.NDArray[Any]


def channel_shuffle(x: Array, groups: int) -> Array:
    """Return channels (group, place) in the order (place, group)."""
    each = x.shape[1] // groups
    order = [group * each + place for place in range(each) for group in range(groups)]
    return x[:, order]


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Return ``a_c (k + alpha / n sum of a_c'^2)^-beta`` over c' from c - n/2 to c + n/2."""
    channels, half = x.shape[1], size // 2
    near = [range(max(0, c - half), min(channels - 1, c + half) + 1) for c in range(channels)]
    sums = np.stack([(x[:, list(own)] ** 2).sum(axis=1) for own in near], axis=1)
    return np.asarray(x * (k + alpha / size * sums) ** -beta)


def instance_norm(x: Array, **affine: Any) -> Array:
    """Return each channel of each sample normalized by its own mean and variance."""
    return layers.group_norm(x, x.shape[1], **affine)


def instance_norm_size(x: Array, **affine: Any) -> Array:
    """Return the sizes that rounding of :func:`instance_norm` is in units of."""
    return layers.group_norm_size(x, x.shape[1], **affine)


def instance_norm_running(
    x: Array, mean: Array, variance: Array, *, use_input_stats: bool, **affine: Any
) -> Array:
    """Return each channel normalized by the statistics that are given."""
    assert not use_input_stats
    return layers.batch_norm(x, mean, variance, **affine)


def instance_norm_running_size(
    x: Array, mean: Array, variance: Array, *, use_input_stats: bool, **affine: Any
) -> Array:
    """Return the sizes that rounding of :func:`instance_norm_running` is in units of."""
    assert not use_input_stats
    return layers.batch_norm_size(x, mean, variance, **affine)


def time_convolution(x: Array, weight: Array, bias: Array, pad: int = 0) -> Array:
    """Return a convolution of (time, batch, channels) by (time, channels in, channels out)."""
    ordered, filters = x.transpose(1, 2, 0), weight.transpose(2, 1, 0)
    return layers.convolution(ordered, filters, bias, padding=pad).transpose(2, 0, 1)


def time_convolution_size(x: Array, weight: Array, bias: Array, pad: int = 0) -> Array:
    """Return the sum of the sizes of what :func:`time_convolution` adds."""
    return time_convolution(np.abs(x), np.abs(weight), np.abs(bias), pad)
