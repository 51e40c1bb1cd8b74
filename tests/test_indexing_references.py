"""References of what indexes against loops over elements and NumPy's own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import indexing

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(0)
SHAPE = (3, 4, 2)
DIMS = (0, 1, 2, -1, -3)
WHAT: dict[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "prod": lambda values: float(np.prod(values)),
    "mean": lambda values: sum(values) / len(values),
    "amax": max,
    "amin": min,
}


def numbers(*shape: int) -> Array:
    return RANDOM.integers(-8, 9, shape) / 8


def written_by_loops(
    x: Array, dim: int, index: Array, source: Array, mode: str, include_self: bool
) -> Array:
    """Collect what is written to each place, element by element, and reduce the collection."""
    collected: dict[tuple[int, ...], list[Any]] = {}
    for position in np.ndindex(index.shape):
        addressed = list(position)
        addressed[dim] = int(index[position])
        collected.setdefault(tuple(addressed), []).append(source[position])
    result = x.copy()
    for place, values in collected.items():
        result[place] = WHAT[mode]([*values, *([x[place]] if include_self else [])])
    return result


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("mode", WHAT)
def test_scatter_reduce_is_a_loop(mode: str, include_self: bool, dim: int) -> None:
    x, source = numbers(*SHAPE), numbers(3, 4, 2)
    index = RANDOM.integers(0, SHAPE[dim], (2, 3, 2))
    expected = written_by_loops(x, dim, index, source, mode, include_self)
    got = indexing.scatter_reduce(x, dim, index, source, mode, include_self=include_self)
    assert np.allclose(got, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("mode", WHAT)
def test_index_reduce_is_scatter_reduce_by_slices(mode: str, include_self: bool, dim: int) -> None:
    x = numbers(*SHAPE)
    index = RANDOM.integers(0, SHAPE[dim], 5)
    shape = tuple(5 if d == dim % 3 else side for d, side in enumerate(SHAPE))
    source = numbers(*shape)
    everywhere = np.broadcast_to(index.reshape([5 if d == dim % 3 else 1 for d in range(3)]), shape)
    expected = written_by_loops(x, dim, everywhere, source, mode, include_self)
    got = indexing.index_reduce(x, dim, index, source, mode, include_self=include_self)
    assert np.allclose(got, expected, rtol=1e-15, atol=0)
    if mode == "sum" and include_self:
        assert np.array_equal(indexing.index_add(x, dim, index, source), expected)
        negated = indexing.index_add(x, dim, index, -source, alpha=-1)
        assert np.array_equal(negated, expected)


@pytest.mark.parametrize("dim", DIMS)
def test_slices(dim: int) -> None:
    x, index = numbers(*SHAPE), np.array([1, 0])
    read = indexing.index_select(x, dim, index)
    assert np.array_equal(read, np.take(x, index, axis=dim))
    assert np.array_equal(indexing.index_copy(x, dim, index, read), x)
    filled = indexing.index_fill(x, dim, index, 9.0)
    assert np.array_equal(indexing.index_select(filled, dim, index), np.full(read.shape, 9.0))
    assert (filled == 9).sum() == read.size


@pytest.mark.parametrize("dim", DIMS)
def test_take_along_dim_is_numpys_and_broadcasts(dim: int) -> None:
    x = numbers(*SHAPE)
    index = np.argsort(x, axis=dim)
    assert np.array_equal(indexing.take_along_dim(x, index, dim), np.take_along_axis(x, index, dim))
    one = np.zeros((1, 1, 1), dtype=np.int64)
    expected = np.take(x, [0], axis=dim)
    assert np.array_equal(indexing.take_along_dim(x, one, dim), expected)
    assert np.array_equal(indexing.take_along_dim(x, np.array([5, 0])), x.ravel()[[5, 0]])


def test_take_and_put_count_flat() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(indexing.take(x, np.array([[5], [-6]])), [[5], [0]])
    put = indexing.put(x, np.array([1, 1]), np.array([[10.0], [20.0]]), accumulate=True)
    assert np.array_equal(put, [[0, 31, 2], [3, 4, 5]])
    expected = x.copy()
    np.put(expected, [4, 0], [7, 8])
    assert np.array_equal(indexing.put(x, np.array([4, 0]), np.array([7.0, 8.0])), expected)


def test_masks() -> None:
    x, mask = np.arange(6.0).reshape(2, 3), np.array([[True], [False]])
    assert np.array_equal(indexing.masked_select(x, mask), [0, 1, 2])
    assert np.array_equal(indexing.masked_fill(x, mask, np.array(9.0)), [[9, 9, 9], [3, 4, 5]])
    source = np.array([[7.0, 8.0], [9.0, 10.0]])
    assert np.array_equal(indexing.masked_scatter(x, mask, source), [[7, 8, 9], [3, 4, 5]])
    assert np.array_equal(indexing.where(mask, x, -x), [[0, 1, 2], [-3, -4, -5]])


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (3, 0, 2), (2, 2, 3)])
def test_nonzero_is_numpys(shape: tuple[int, ...]) -> None:
    x = np.asarray(RANDOM.integers(-1, 2, shape))
    assert np.array_equal(indexing.nonzero(x), np.argwhere(x))
    for got, expected in zip(
        indexing.nonzero_of_each(x), np.nonzero(np.atleast_1d(x)), strict=True
    ):
        assert np.array_equal(got, expected)


def test_complex_sources_make_complex_results() -> None:
    """Derivatives are taken of these functions by complex steps into any operand."""
    x, index, step = numbers(3), np.array([1]), np.array([1j])
    for result in (
        indexing.scatter(x, 0, index, step),
        indexing.scatter_add(x, 0, index, step),
        indexing.index_copy(x, 0, index, step),
        indexing.index_put(x, (index,), step),
        indexing.masked_scatter(x, np.array([False, True, False]), step),
        indexing.masked_fill(x, np.array([False, True, False]), np.array(1j)),
    ):
        assert result[1].imag == 1
