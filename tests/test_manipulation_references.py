"""References of shapes, joins, slices and padding, against loops over indices and SciPy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg

from conformance.reference import (
    columns,
    joining,
    manipulation,
    padding,
    rearrangement,
    slicing,
)

Array = npt.NDArray[Any]


def numbered(*shape: int) -> Array:
    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (1, 2), (-3, 1), (2, 2)])
def test_merging_keeps_the_order(start: int, end: int) -> None:
    a = numbered(2, 3, 4)
    merged = manipulation.merged(a, start, end)
    assert merged.ravel().tolist() == a.ravel().tolist()
    assert merged.ndim == 3 - (end % 3 - start % 3)


def test_unmerging_undoes_merging() -> None:
    a = numbered(2, 3, 4)
    for sizes in ((3, 4), (-1, 4), (3, -1)):
        assert np.array_equal(manipulation.unmerged(manipulation.merged(a, 1, 2), -1, sizes), a)


def test_squeezing_and_widening() -> None:
    a = numbered(1, 3, 1)
    assert manipulation.squeezed(a).shape == (3,)
    assert manipulation.squeezed(a, 1).shape == (1, 3, 1)
    assert manipulation.squeezed(a, (0, -1)).shape == (3,)
    assert manipulation.squeezed(np.array(1.0), -1).shape == ()
    wide = manipulation.widened(a, (2, -1, 3, 4))
    assert all(wide[i, 0, j, k] == a[0, j, 0] for i, j, k in np.ndindex(2, 3, 4))


def test_parts_join_to_the_complex_number() -> None:
    a = np.array([1 + 2j, complex(np.inf, -0.0)])
    assert np.array_equal(manipulation.parts_joined(manipulation.parts_stacked(a)), a)


def test_empty_vectors_join_with_anything() -> None:
    a = numbered(2, 3)
    assert np.array_equal(joining.joined([np.zeros(0), a, a], 1), np.hstack([a, a]))
    assert joining.joined([np.zeros(0)]).shape == (0,)


@pytest.mark.parametrize("side", range(8))
def test_sections_are_those_of_numpy(side: int) -> None:
    a = np.arange(side)
    for sections in (*range(1, 9), (), (2,), (1, 4), (-2, 3), (5, 1), (9,)):
        expected = np.array_split(a, sections)
        got = joining.in_sections(a, sections)
        assert [part.tolist() for part in got] == [part.tolist() for part in expected]


@pytest.mark.parametrize(("side", "count", "lengths"), [
    (11, 6, [2, 2, 2, 2, 2, 1]), (12, 6, [2] * 6), (13, 6, [3, 3, 3, 3, 1]), (0, 2, [0, 0]),
])  # fmt: skip
def test_chunks_are_those_of_the_documentation(side: int, count: int, lengths: list[int]) -> None:
    assert [len(part) for part in joining.in_chunks(np.arange(side), count)] == lengths


def test_pieces_join_to_the_whole() -> None:
    a = numbered(3, 5)
    for size in (1, 2, 3, 5, 9, [2, 0, 3]):
        assert np.array_equal(np.concatenate(joining.in_sizes(a, size, -1), axis=-1), a)
    assert np.array_equal(np.stack(joining.slices_along(a, 1), axis=1), a)


def test_blocks_are_those_of_scipy() -> None:
    blocks = (numbered(2, 3), numbered(2), np.array(7.0), numbered(1, 0))
    assert np.array_equal(joining.diagonal_blocks(*blocks), scipy.linalg.block_diag(*blocks))


def test_products_and_subsets() -> None:
    vectors = [np.array([1, 2]), np.array([3, 4, 5])]
    assert joining.tuples_of(*vectors).tolist() == [list(t) for t in product(*vectors)]
    assert joining.subsets_of(np.array([1, 2, 3]), 2).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert joining.subsets_of(np.array([1, 2]), 2, True).tolist() == [[1, 1], [1, 2], [2, 2]]
    assert joining.subsets_of(np.array([1]), 2).shape == (0, 2)


def test_rolling_moves_each_element() -> None:
    a = numbered(2, 3)
    rolled = rearrangement.rolled(a, (1, -2), (0, 1))
    assert all(rolled[(i + 1) % 2, (j - 2) % 3] == a[i, j] for i, j in np.ndindex(2, 3))
    assert rearrangement.rolled(a, 2).ravel().tolist() == [5, 6, 1, 2, 3, 4]


def test_windows_read_consecutive_elements() -> None:
    a = numbered(7, 2)
    seen = slicing.windows(a, 0, 3, 2)
    assert seen.shape == (3, 2, 3)
    assert all(seen[w, c, k] == a[2 * w + k, c] for w, c, k in np.ndindex(3, 2, 3))


@pytest.mark.parametrize("offset", range(-3, 4))
def test_a_diagonal_embedded_is_found_again(offset: int) -> None:
    a = numbered(2, 3)
    for first, second in ((0, 1), (1, 0), (-1, 0), (-2, -1), (2, 1)):
        matrices = slicing.on_diagonal(a, offset, first, second)
        assert np.array_equal(np.diagonal(matrices, offset, first, second), a)
        assert np.count_nonzero(matrices) == a.size
        replaced = slicing.with_diagonal(matrices * 0 + 9, a, offset, first, second)
        assert np.array_equal(np.diagonal(replaced, offset, first, second), a)
        assert np.count_nonzero(replaced == 9) == matrices.size - a.size


def test_slices_replaced_are_found_again() -> None:
    a = numbered(3, 4)
    assert np.array_equal(slicing.with_slice_at(a, np.zeros(3), -1, 2)[:, 2], np.zeros(3))
    replaced = slicing.with_slices(a, np.zeros((3, 2)), 1, -3, None, 2)
    assert np.count_nonzero(replaced) == 6
    assert not replaced[:, [1, 3]].any()
    assert a.all()


def test_strides_walk_through_memory() -> None:
    a = numbered(2, 5)
    read = slicing.by_strides(a, (2, 3), (4, 1), 2)
    assert read.tolist() == [[3, 4, 5], [7, 8, 9]]
    assert slicing.by_strides(a, (), (), 9) == 10


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_margins_read_the_element_that_their_mode_names(mode: str) -> None:
    a = numbered(1, 4)
    places: Any = {
        "constant": [None, None, 0, 1, 2, 3, None],
        "reflect": [2, 1, 0, 1, 2, 3, 2],
        "replicate": [0, 0, 0, 1, 2, 3, 3],
        "circular": [2, 3, 0, 1, 2, 3, 0],
    }
    expected = [0.5 if place is None else a[0, place] for place in places[mode]]
    value = 0.5 if mode == "constant" else None
    assert padding.padded(a, (2, 1), mode, value)[0].tolist() == expected


def test_pixels_go_where_the_documentation_says() -> None:
    a = numbered(2, 8, 3, 2)
    shuffled = padding.pixels_shuffled(a, 2)
    for n, c, h, w in np.ndindex(shuffled.shape):
        assert shuffled[n, c, h, w] == a[n, 4 * c + 2 * (h % 2) + w % 2, h // 2, w // 2]
    assert np.array_equal(padding.pixels_unshuffled(shuffled, 2), a)


def test_indicators() -> None:
    assert padding.indicators(np.array([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert padding.indicators(np.zeros((2, 0), dtype=np.int64), 4).shape == (2, 0, 4)


@pytest.mark.parametrize(("kernel", "dilation", "margin", "stride"), [
    (2, 1, 0, 1), ((2, 1), (1, 2), (1, 0), (2, 1)), ((2, 3), 2, 1, (1, 2)),
])  # fmt: skip
def test_columns(kernel: Any, dilation: Any, margin: Any, stride: Any) -> None:
    a = numbered(2, 2, 5, 6)
    got = columns.blocks_to_columns(a, kernel, dilation, margin, stride)
    k, d, p, s = (x if isinstance(x, tuple) else (x, x) for x in (kernel, dilation, margin, stride))
    count = [(a.shape[2 + n] + 2 * p[n] - d[n] * (k[n] - 1) - 1) // s[n] + 1 for n in range(2)]
    assert got.shape == (2, 2 * k[0] * k[1], count[0] * count[1])
    summed = np.zeros(a.shape)
    for n, c, i, j, row, column in np.ndindex(2, 2, *k, *count):
        h, w = row * s[0] - p[0] + i * d[0], column * s[1] - p[1] + j * d[1]
        inside = 0 <= h < 5 and 0 <= w < 6
        place = (n, (c * k[0] + i) * k[1] + j, row * count[1] + column)
        assert got[place] == (a[n, c, h, w] if inside else 0)
        if inside:
            summed[n, c, h, w] += got[place]
    folded = columns.columns_to_blocks(got, (5, 6), kernel, dilation, margin, stride)
    assert np.array_equal(folded, summed)
