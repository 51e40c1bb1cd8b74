"""Pooling: the windows that slide over an input, and what is made of each.

Arrays may be complex; what is greatest is decided on real parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.layers import Sides, of_each

Array = npt.NDArray[Any]
Window = list[range]


def windows_along(
    length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Window:
    """Return the places that each window covers, in the input's coordinates.

    Places outside are padding. With ``ceil_mode`` a window may leave the padded input if it
    starts within the input or the padding on its left.
    """
    reach = dilation * (kernel - 1) + 1
    room = length + 2 * padding - reach
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1
    starts = [number * stride - padding for number in range(count)]
    return [range(start, start + reach, dilation) for start in starts]


def adaptive_along(length: int, count: int) -> Window:
    """Return the places of ``count`` windows that cover an input evenly, with least overlap."""
    ends = [(n * length // count, -(-(n + 1) * length // count)) for n in range(count)]
    return [range(first, last) for first, last in ends]


def _each(x: Array, windows: Sequence[Window]) -> Iterator[tuple[tuple[int, ...], list[range]]]:
    for place in np.ndindex(*(len(along) for along in windows)):
        yield place, [along[n] for along, n in zip(windows, place, strict=True)]


def _inside(covered: Sequence[range], sides: Sequence[int]) -> list[list[int]]:
    return [[p for p in r if 0 <= p < n] for r, n in zip(covered, sides, strict=True)]


def _pooled(x: Array, windows: Sequence[Window], reduce: Callable[..., Array]) -> Array:
    rank = len(windows)
    result = np.zeros((*x.shape[:-rank], *(len(along) for along in windows)), x.dtype)
    for place, covered in _each(x, windows):
        inside = _inside(covered, x.shape[-rank:])
        inner: Any = (..., *np.ix_(*inside))
        spot: Any = (..., *place)
        result[spot] = reduce(x[inner].reshape(*x.shape[:-rank], -1), covered)
    return result


def _sliding(
    x: Array, kernel: Sides, stride: Sides | None, padding: Sides, dilation: Sides, ceil: bool,
    rank: int,
) -> list[Window]:  # fmt: skip
    sizes = of_each(kernel, rank)
    steps = sizes if stride is None or stride == () else of_each(stride, rank)
    parts = zip(
        x.shape[-rank:], sizes, steps, of_each(padding, rank), of_each(dilation, rank),
        strict=True,
    )  # fmt: skip
    return [windows_along(*part, ceil) for part in parts]


def greatest(taken: Array, covered: Sequence[range]) -> Array:
    """Return the greatest of the last dimension, by real parts."""
    del covered
    best = np.argmax(taken.real, axis=-1)[..., None]
    return np.asarray(np.take_along_axis(taken, best, axis=-1)[..., 0])


def max_pool(
    x: Array,
    kernel_size: Sides,
    stride: Sides | None = None,
    padding: Sides = 0,
    dilation: Sides = 1,
    ceil_mode: bool = False,
    *,
    rank: int,
) -> Array:
    """Return the greatest element of each window over the last ``rank`` dimensions."""
    windows = _sliding(x, kernel_size, stride, padding, dilation, ceil_mode, rank)
    return _pooled(x, windows, greatest)


def max_pool_places(
    x: Array,
    kernel_size: Sides,
    stride: Sides | None = None,
    padding: Sides = 0,
    dilation: Sides = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
    *,
    rank: int,
) -> tuple[Array, Array]:
    """Return the same and where each lies: its number within the last ``rank`` dimensions."""
    del return_indices
    windows = _sliding(x, kernel_size, stride, padding, dilation, ceil_mode, rank)
    return _greatest_and_places(x, windows)


def _greatest_and_places(x: Array, windows: Sequence[Window]) -> tuple[Array, Array]:
    sides = x.shape[-len(windows) :]

    def place(taken: Array, covered: Sequence[range]) -> Array:
        inside = _inside(covered, sides)
        numbers = np.arange(int(np.prod(sides))).reshape(sides)[np.ix_(*inside)].ravel()
        return np.asarray(numbers[np.argmax(taken.real, axis=-1)])

    values = _pooled(x, windows, greatest)
    return values, _pooled(x, windows, place).real.astype(np.int64)


def max_pool_values(*arguments: Any, rank: int, **keywords: Any) -> Array:
    """Return what of :func:`max_pool_places` has a derivative."""
    return max_pool_places(*arguments, rank=rank, **keywords)[0]


def avg_pool(
    x: Array,
    kernel_size: Sides,
    stride: Sides | None = None,
    padding: Sides = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    rank: int,
) -> Array:
    """Return the mean of each window over the last ``rank`` dimensions.

    Padding counts as zeros if ``count_include_pad``; what is beyond it never.
    """
    windows = _sliding(x, kernel_size, stride, padding, 1, ceil_mode, rank)
    sides, margins = x.shape[-rank:], of_each(padding, rank)

    def mean(taken: Array, covered: Sequence[range]) -> Array:
        within = [
            sum(-m <= p < n + m for p in r) for r, n, m in zip(covered, sides, margins, strict=True)
        ]
        count = int(np.prod(within)) if count_include_pad else taken.shape[-1]
        return np.asarray(taken.sum(axis=-1) / (divisor_override or count))

    return _pooled(x, windows, mean)


def average(taken: Array, covered: Sequence[range]) -> Array:
    """Return the mean of the last dimension."""
    del covered
    return np.asarray(taken.mean(axis=-1))


def _adaptive(x: Array, output_size: Any, rank: int) -> list[Window]:
    """The windows of adaptive pooling; None is a side as it is."""
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    sides = x.shape[-rank:]
    return [adaptive_along(n, n if s is None else s) for s, n in zip(sizes, sides, strict=True)]


def adaptive_avg_pool(x: Array, output_size: Any, *, rank: int) -> Array:
    """Return the mean of each of a number of windows that cover the input evenly."""
    return _pooled(x, _adaptive(x, output_size, rank), average)


def adaptive_max_pool(x: Array, output_size: Any, *, rank: int) -> Array:
    """Return the greatest element of each of a number of windows that cover the input evenly."""
    return _pooled(x, _adaptive(x, output_size, rank), greatest)


def adaptive_max_pool_places(
    x: Array, output_size: Any, return_indices: bool = True, *, rank: int
) -> tuple[Array, Array]:
    """Return the same and where each lies: its number within the last ``rank`` dimensions."""
    del return_indices
    return _greatest_and_places(x, _adaptive(x, output_size, rank))


def adaptive_max_pool_values(*arguments: Any, rank: int, **keywords: Any) -> Array:
    """Return what of :func:`adaptive_max_pool_places` has a derivative."""
    return adaptive_max_pool_places(*arguments, rank=rank, **keywords)[0]


def power_pool(
    x: Array,
    norm_type: float,
    kernel_size: Sides,
    stride: Sides | None = None,
    ceil_mode: bool = False,
    *,
    rank: int,
) -> Array:
    """Return ``(sum of x^p)^(1/p)`` of each window; where p is infinite, its greatest ``|x|``."""
    windows = _sliding(x, kernel_size, stride, 0, 1, ceil_mode, rank)
    if np.isinf(norm_type):
        return _pooled(np.where(x.real < 0, -x, x), windows, greatest)

    def root(taken: Array, covered: Sequence[range]) -> Array:
        del covered
        return np.asarray((taken**norm_type).sum(axis=-1) ** (1 / norm_type))

    return _pooled(x, windows, root)


def power_size(x: Array, norm_type: float, *rest: Any, rank: int, **keywords: Any) -> Array:
    """Return the sum of the sizes that a power-average pooling adds, as it is rounded."""
    return power_pool(np.abs(x), norm_type, *rest, rank=rank, **keywords)


def max_unpool(
    x: Array,
    indices: Array,
    kernel_size: Sides,
    stride: Sides | None = None,
    padding: Sides = 0,
    output_size: Sequence[int] | None = None,
    *,
    rank: int,
) -> Array:
    """Return zeros but for each element at its place, a number within the last dimensions.

    Sides are ``(side - 1) stride - 2 padding + kernel_size``, or as ``output_size`` says.
    """
    sizes = of_each(kernel_size, rank)
    steps = sizes if stride is None else of_each(stride, rank)
    sides = [
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(x.shape[-rank:], steps, of_each(padding, rank), sizes, strict=True)
    ]
    if output_size is not None:
        sides = list(output_size)[-rank:]
    before = x.shape[:-rank]
    result = np.zeros((*before, int(np.prod(sides))), x.dtype)
    flat, places = x.reshape(*before, -1), indices.reshape(*before, -1)
    np.put_along_axis(result, places, flat, axis=-1)
    return result.reshape(*before, *sides)


def average_size(*arguments: Any, pool: Callable[..., Array], **keywords: Any) -> Array:
    """Return the mean of the sizes of what an average pooling adds."""
    return pool(np.abs(arguments[0]), *arguments[1:], **keywords)
