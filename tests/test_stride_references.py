"""References for views against brute force and against NumPy's own views."""

from __future__ import annotations

from itertools import permutations, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import strides
from conformance.reference.strides import Strided

Array = npt.NDArray[Any]
SMALL = [shape for rank in range(4) for shape in product((1, 2, 3), repeat=rank)]


def _factorizations(count: int, rank: int) -> list[tuple[int, ...]]:
    return [new for new in product(range(1, count + 1), repeat=rank) if prod(new) == count]


def _affine(places: Array) -> bool:
    """Whether some strides give these places: those of the unit steps, if any do."""
    units = [tuple(int(d == dim) for d in range(places.ndim)) for dim in range(places.ndim)]
    first = places[(0,) * places.ndim]
    steps = [
        int(places[unit] - first) if side > 1 else 0
        for unit, side in zip(units, places.shape, strict=True)
    ]
    return np.array_equal(strides.addresses(Strided(places.shape, tuple(steps), first)), places)


@pytest.mark.parametrize("shape", SMALL)
def test_a_reshape_is_a_view_exactly_where_some_strides_do(shape: tuple[int, ...]) -> None:
    """Over all strides out of a few and all shapes of the same number of elements."""
    for stride in product((0, 1, 2, 3, 6), repeat=len(shape)):
        places = strides.addresses(Strided(shape, stride, 5))
        for new in [n for rank in range(4) for n in _factorizations(prod(shape), rank)]:
            found = strides.view(Strided(shape, stride, 5), new)
            assert (found is not None) == _affine(places.reshape(new))
            if found is not None:
                assert np.array_equal(strides.addresses(found), places.reshape(new))


def test_an_empty_reshape_is_a_view() -> None:
    assert strides.view_stride((2, 0), (5, 3), (0, 4)) is not None


def test_minus_one_is_completed() -> None:
    assert strides.completed((2, 3, 4), (4, -1)) == (4, 6)
    assert strides.completed((0, 3), (3, -1)) == (3, 0)
    assert strides.completed((2, 3), (6,)) == (6,)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 3, 1), (1, 4, 1, 1), (3, 2, 1, 2)])
def test_formats_are_numpys_contiguity_after_a_permutation(shape: tuple[int, ...]) -> None:
    for order in permutations(range(4)):
        view = Strided(shape, strides.packed(shape, order), 0)
        array = np.zeros([shape[dim] for dim in order]).transpose(np.argsort(order))
        assert strides.is_contiguous(view) == array.flags.c_contiguous
        moved = array.transpose(0, 2, 3, 1)
        assert strides.is_contiguous(view, "channels_last") == moved.flags.c_contiguous
        assert not strides.is_contiguous(view, "channels_last_3d")
        assert strides.is_dense(view)


def test_gaps_and_overlaps_are_not_dense() -> None:
    assert not strides.is_dense(Strided((2, 3), (6, 2), 0))
    assert not strides.is_dense(Strided((2, 3), (1, 1), 0))
    assert not strides.is_dense(Strided((2, 3), (0, 1), 0))
    assert strides.is_dense(Strided((2, 0), (9, 9), 3))


BASE = Strided((3, 4, 5), (40, 10, 2), 7)
MEMORY = np.arange(200)


def _numpy(view: Strided) -> Array:
    step = MEMORY.itemsize
    return np.lib.stride_tricks.as_strided(
        MEMORY[view.offset :], view.shape, [s * step for s in view.stride]
    )


def _windows(array: Array, dim: int, size: int, step: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(array, size, axis=dim)
    kept = [slice(None)] * windows.ndim
    kept[dim % array.ndim] = slice(None, None, step)
    return windows[tuple(kept)]


INDICES: list[Any] = [
    (), ..., None, 2, -1, slice(1, None), slice(None, None, 2), slice(5, 1), (1, ..., -2),
    (None, slice(-2, None), None, 3), (..., None), (slice(0, 3, 2), 1, slice(2, 9, 3)),
    (..., slice(1, 2), None),
]  # fmt: skip
CASES: list[tuple[str, tuple[Any, ...], Any]] = [
    *[("permute", (dims,), np.transpose(_numpy(BASE), dims)) for dims in permutations(range(3))],
    ("permute", ((-1, 0, 1),), np.transpose(_numpy(BASE), (2, 0, 1))),
    ("transpose", (0, -1), np.swapaxes(_numpy(BASE), 0, -1)),
    ("transpose", (1, 1), _numpy(BASE)),
    ("movedim", ((0,), (-1,)), np.moveaxis(_numpy(BASE), 0, -1)),
    ("movedim", ((2, 0), (0, 1)), np.moveaxis(_numpy(BASE), (2, 0), (0, 1))),
    ("expand", ((2, 3, -1, 5),), np.broadcast_to(_numpy(BASE), (2, 3, 4, 5))),
    ("select", (1, -2), _numpy(BASE)[:, -2]),
    ("narrow", (-1, 1, 3), _numpy(BASE)[..., 1:4]),
    ("narrow", (0, -2, 2), _numpy(BASE)[-2:]),
    ("narrow", (1, 4, 0), _numpy(BASE)[:, 4:]),
    *[
        ("diagonal", (k, a, b), np.diagonal(_numpy(BASE), k, a, b))
        for k in range(-6, 7)
        for a, b in permutations(range(-3, 0), 2)
    ],
    ("unfold", (1, 2, 2), _windows(_numpy(BASE), 1, 2, 2)),
    ("unfold", (-1, 3, 1), _windows(_numpy(BASE), -1, 3, 1)),
    ("unsqueeze", (-1,), _numpy(BASE)[..., None]),
    ("unsqueeze", (1,), _numpy(BASE)[:, None]),
    ("unflatten", (1, (2, -1)), _numpy(BASE).reshape(3, 2, 2, 5)),
    *[("index", (index,), _numpy(BASE)[index]) for index in INDICES],
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CASES)
def test_views_are_numpys(name: str, arguments: tuple[Any, ...], expected: Array) -> None:
    found = strides.OPERATIONS[name](BASE, *arguments)
    assert found.shape == expected.shape
    if expected.size:
        assert np.array_equal(MEMORY[strides.addresses(found)], expected)


def test_squeeze_and_rank_zero() -> None:
    base = Strided((1, 3, 1), (9, 2, 5), 1)
    assert strides.squeeze(base) == Strided((3,), (2,), 1)
    assert strides.squeeze(base, -1) == Strided((1, 3), (9, 2), 1)
    assert strides.squeeze(base, (0, 1)) == Strided((3, 1), (2, 5), 1)
    point = Strided((), (), 4)
    assert strides.squeeze(point) == strides.transpose(point, 0, -1) == point
    assert strides.flattened((), 0, -1) == (1,)
    assert strides.flattened((2, 3, 4), 1, -1) == (2, 12)


def test_pieces_are_numpys() -> None:
    array = _numpy(BASE)
    for kind, dim, sections, expected in [
        ("tensor_split", 1, 3, np.array_split(array, 3, 1)),
        ("split", 2, 2, [array[..., :2], array[..., 2:4], array[..., 4:]]),
        ("split", -1, (1, 0, 4), np.split(array, [1, 1], -1)),
        ("chunk", 2, 4, [array[..., :2], array[..., 2:4], array[..., 4:]]),
        ("unbind", 0, None, list(array)),
    ]:
        found = strides.pieces(BASE, kind, dim, sections)
        assert len(found) == len(expected)
        for piece, want in zip(found, expected, strict=True):
            assert piece.shape == want.shape
            assert np.array_equal(MEMORY[strides.addresses(piece)], want)


def test_the_bits_of_another_dtype() -> None:
    one = np.array([[1.0], [2.0]], dtype=np.float32)
    assert strides.reinterpreted(one, np.int32).tolist() == [[0x3F800000], [0x40000000]]
    assert strides.reinterpreted(one, np.uint8).shape == (2, 4)
    assert strides.reinterpreted(np.array(1.0), np.int64).shape == ()
