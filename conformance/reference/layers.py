"""What layers compute, from the formulas of their documentation: products, windows, statistics.

All take arrays, complex ones too, and branch on real parts only, so that derivatives may be taken
of them. Channels are the dimension before those of space; one before them, the batch, is optional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sides = int | Sequence[int]


def of_each(value: Sides, rank: int) -> tuple[int, ...]:
    """Return one number for each of ``rank`` dimensions."""
    if isinstance(value, int):
        return (value,) * rank
    return tuple(value) * (rank if len(value) == 1 else 1)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return ``x A^T + b``; a vector of weights gives one number for each input."""
    product = np.tensordot(x, weight, axes=(-1, -1))
    return np.asarray(product if bias is None else product + bias)


def linear_size(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return the sum of the sizes of what :func:`linear` adds."""
    return linear(np.abs(x), np.abs(weight), None if bias is None else np.abs(bias))


def bilinear(first: Array, second: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return ``x1^T A_k x2 + b_k`` for each k."""
    product = np.einsum("...i,kij,...j->...k", first, weight, second)
    return np.asarray(product if bias is None else product + bias)


def bilinear_size(first: Array, second: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return the sum of the sizes of what :func:`bilinear` adds."""
    others = [] if bias is None else [np.abs(bias)]
    return bilinear(np.abs(first), np.abs(second), np.abs(weight), *others)


def _batched(x: Array, rank: int) -> tuple[Array, bool]:
    """Return an input with a dimension for the batch, and whether it had none."""
    alone = x.ndim == rank + 1
    return (x[None] if alone else x), alone


def _margins(x: Array, before: Sequence[int], after: Sequence[int]) -> Array:
    """Pad the last dimensions by zeros."""
    widths = [(0, 0)] * (x.ndim - len(before)) + list(zip(before, after, strict=True))
    return np.pad(x, widths)


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sides = 1,
    padding: Sides | str = 0,
    dilation: Sides = 1,
    groups: int = 1,
) -> Array:
    """Return the cross-correlation of each group's channels with its filters, plus the bias.

    ``out[n, o, i] = b[o] + sum over c, k of w[o, c, k] x[n, c, stride i + dilation k - padding]``.
    """
    rank = weight.ndim - 2
    kernel, step, gap = weight.shape[2:], of_each(stride, rank), of_each(dilation, rank)
    reach = [d * (k - 1) for d, k in zip(gap, kernel, strict=True)]
    if isinstance(padding, str):
        total = reach if padding == "same" else [0] * rank
        before, after = [t // 2 for t in total], [t - t // 2 for t in total]
    else:
        before = after = list(of_each(padding, rank))
    whole, alone = _batched(x, rank)
    whole = _margins(whole, before, after)
    sides = [(n - r - 1) // s + 1 for n, r, s in zip(whole.shape[2:], reach, step, strict=True)]
    count, channels = whole.shape[:2]
    apart = whole.reshape(count, groups, channels // groups, *whole.shape[2:])
    filters = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    result = np.zeros((count, groups, filters.shape[1], *sides), np.result_type(x, weight))
    for place in np.ndindex(*kernel):
        spots = tuple(
            slice(d * k, d * k + s * (n - 1) + 1, s)
            for d, k, s, n in zip(gap, place, step, sides, strict=True)
        )
        taken = apart[(slice(None),) * 3 + spots]
        result = result + np.einsum("ngc...,goc->ngo...", taken, filters[(..., *place)])
    return _finished(result.reshape(count, weight.shape[0], *sides), bias, rank, alone)


def _finished(result: Array, bias: Array | None, rank: int, alone: bool) -> Array:
    if bias is not None:
        result = result + bias.reshape(-1, *[1] * rank)
    return result[0] if alone else result


def convolution_size(x: Array, weight: Array, bias: Array | None = None, *rest: Any) -> Array:
    """Return the sum of the sizes of what :func:`convolution` adds."""
    return convolution(np.abs(x), np.abs(weight), None if bias is None else np.abs(bias), *rest)


def transposed_convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sides = 1,
    padding: Sides = 0,
    output_padding: Sides = 0,
    groups: int = 1,
    dilation: Sides = 1,
) -> Array:
    """Return what the gradient of a convolution to its input computes, plus the bias.

    Each input element adds ``w[c, o, k] x[n, c, i]`` to ``out[n, o, stride i + dilation k -
    padding]``; sides are ``(i - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1``.
    """
    rank = weight.ndim - 2
    kernel, step, gap = weight.shape[2:], of_each(stride, rank), of_each(dilation, rank)
    cut, extra = of_each(padding, rank), of_each(output_padding, rank)
    whole, alone = _batched(x, rank)
    count, channels, *lengths = whole.shape
    canvas = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(lengths, step, gap, kernel, extra, strict=True)
    ]
    apart = whole.reshape(count, groups, channels // groups, *lengths)
    filters = weight.reshape(groups, channels // groups, *weight.shape[1:])
    result = np.zeros((count, groups, weight.shape[1], *canvas), np.result_type(x, weight))
    for place in np.ndindex(*kernel):
        spots = tuple(
            slice(d * k, d * k + s * (n - 1) + 1, s)
            for d, k, s, n in zip(gap, place, step, lengths, strict=True)
        )
        result[(slice(None),) * 3 + spots] += np.einsum(
            "ngc...,gco->ngo...", apart, filters[(..., *place)]
        )
    inner = tuple(slice(c, n - c) for c, n in zip(cut, canvas, strict=True))
    result = result[(slice(None),) * 3 + inner]
    return _finished(result.reshape(count, -1, *result.shape[3:]), bias, rank, alone)


def transposed_size(x: Array, weight: Array, bias: Array | None = None, *rest: Any) -> Array:
    """Return the sum of the sizes of what :func:`transposed_convolution` adds."""
    others = None if bias is None else np.abs(bias)
    return transposed_convolution(np.abs(x), np.abs(weight), others, *rest)


def _normalized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(variance + eps))


def _normalized_size(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """The size of what is subtracted and divided: rounding is in units of it."""
    variance = x.var(axis=axes, keepdims=True)
    size = np.abs(x) + np.abs(x).mean(axis=axes, keepdims=True)
    return np.asarray(size / np.sqrt(variance + eps))


def _affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _affine_size(x: Array, weight: Array | None, bias: Array | None) -> Array:
    sizes = [None if part is None else np.abs(part) for part in (weight, bias)]
    return _affine(x, *sizes)


def layer_norm(
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return ``(x - E[x]) / sqrt(Var[x] + eps) * w + b`` over the last dimensions."""
    return _affine(_normalized(x, _last(normalized_shape), eps), weight, bias)


def layer_norm_size(
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return the sizes that rounding of :func:`layer_norm` is in units of."""
    return _affine_size(_normalized_size(x, _last(normalized_shape), eps), weight, bias)


def _last(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(range(-len(shape), 0))


def rms_norm(
    x: Array, normalized_shape: Sequence[int], weight: Array | None = None, eps: float = 0.0
) -> Array:
    """Return ``x / sqrt(eps + mean of x^2) * w`` over the last dimensions."""
    square = (x**2).mean(axis=_last(normalized_shape), keepdims=True)
    return _affine(x / np.sqrt(square + eps), weight, None)


def _grouped(x: Array, groups: int) -> tuple[Array, tuple[int, ...]]:
    apart = x.reshape(x.shape[0], groups, -1)
    return apart, (2,)


def _by_channel(part: Array | None, rank: int) -> Array | None:
    return None if part is None else part.reshape(-1, *[1] * (rank - 2))


def group_norm(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return each group of channels of each sample normalized, then scaled by channel."""
    apart, axes = _grouped(x, num_groups)
    normal = _normalized(apart, axes, eps).reshape(x.shape)
    return _affine(normal, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim))


def group_norm_size(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return the sizes that rounding of :func:`group_norm` is in units of."""
    apart, axes = _grouped(x, num_groups)
    sizes = _normalized_size(apart, axes, eps).reshape(x.shape)
    return _affine_size(sizes, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim))


def _across_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _running(
    x: Array, running_mean: Array | None, running_var: Array | None, eps: float
) -> tuple[Array, Array]:
    mean, variance = _by_channel(running_mean, x.ndim), _by_channel(running_var, x.ndim)
    assert mean is not None
    assert variance is not None
    return mean, np.sqrt(variance + eps)


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Return each channel normalized: by its own statistics in training, else by those given."""
    del momentum
    if training:
        normal = _normalized(x, _across_channels(x), eps)
    else:
        mean, deviation = _running(x, running_mean, running_var, eps)
        normal = (x - mean) / deviation
    return _affine(normal, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim))


def batch_norm_size(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Return the sizes that rounding of :func:`batch_norm` is in units of."""
    del momentum
    if training:
        sizes = _normalized_size(x, _across_channels(x), eps)
    else:
        mean, deviation = _running(x, running_mean, running_var, eps)
        sizes = (np.abs(x) + np.abs(mean)) / deviation
    return _affine_size(sizes, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim))


def embedding(indices: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """Return the row of each index; the one at ``padding_idx`` like the others."""
    del padding_idx
    return np.asarray(weight[indices])


def embedding_learned(indices: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """Return the same, with the row at ``padding_idx`` a constant: it gets no gradient."""
    rows = np.array(weight)
    if padding_idx is not None:
        rows[padding_idx] = rows[padding_idx].real
    return np.asarray(rows[indices])
