"""The references of layers against loops over single elements, and against each other."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from conformance.reference import layers, pooling, recurrent

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (3, 2, 2)])
def test_a_convolution_sums_its_formula(stride: int, padding: int, dilation: int) -> None:
    x, w, b = RANDOM.normal(size=(2, 4, 8)), RANDOM.normal(size=(6, 2, 2)), RANDOM.normal(size=6)
    got = layers.convolution(x, w, b, stride, padding, dilation, 2)
    for n, o, i in product(*(range(side) for side in got.shape)):
        places = [(c, k, stride * i + dilation * k - padding) for c in range(2) for k in range(2)]
        terms = [
            w[o, c, k] * x[n, c + 2 * (o // 3), p] for c, k, p in places if 0 <= p < x.shape[2]
        ]
        assert np.isclose(got[n, o, i], b[o] + sum(terms), rtol=1e-13)
    assert got.shape[2] == (8 + 2 * padding - dilation - 1) // stride + 1


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (2, 1, 3)])
def test_a_transposed_convolution_is_the_adjoint(stride: int, padding: int, dilation: int) -> None:
    w = RANDOM.normal(size=(4, 2, 3, 2))
    x = RANDOM.normal(size=(1, 4, 9, 9))
    y = layers.convolution(x, w, None, stride, padding, dilation, 2)
    v = RANDOM.normal(size=y.shape)
    reach = [(side - 1) * dilation + 1 for side in w.shape[2:]]
    extra = [(9 + 2 * padding - r) % stride for r in reach]
    back = layers.transposed_convolution(v, w, None, stride, padding, extra, 2, dilation)
    assert back.shape == x.shape
    assert np.isclose((y * v).sum(), (x * back).sum(), rtol=1e-12)


def test_same_padding_keeps_the_sides() -> None:
    x, w = RANDOM.normal(size=(1, 2, 5, 6)), RANDOM.normal(size=(2, 2, 3, 1))
    assert layers.convolution(x, w, None, 1, "same", (2, 1)).shape == x.shape


def test_normalized_values_have_the_moments() -> None:
    x = RANDOM.normal(size=(3, 4, 5))
    for y, axes in (
        (layers.layer_norm(x, (4, 5), eps=0.0), (1, 2)),
        (layers.batch_norm(x, None, None, training=True, eps=0.0), (0, 2)),
        (layers.group_norm(x, 4, eps=0.0), (2,)),
    ):
        assert np.allclose(y.mean(axis=axes), 0, atol=1e-14)
        assert np.allclose((y**2).mean(axis=axes), 1, rtol=1e-13)
    assert np.allclose((layers.rms_norm(x, (5,)) ** 2).mean(axis=-1), 1, rtol=1e-13)


def test_windows_in_ceil_mode_start_within_the_input_or_its_left() -> None:
    assert pooling.windows_along(5, 2, 2, 0, 1, False) == [range(2), range(2, 4)]
    assert pooling.windows_along(5, 2, 2, 0, 1, True)[-1] == range(4, 6)
    assert pooling.windows_along(4, 2, 3, 1, 1, True) == [range(-1, 1), range(2, 4)]


def test_pools_of_a_window_each_are_its_mean_and_maximum() -> None:
    x = RANDOM.normal(size=(2, 4, 6))
    blocks = x.reshape(2, 2, 2, 3, 2).swapaxes(2, 3).reshape(2, 2, 3, 4)
    assert np.allclose(pooling.avg_pool(x, 2, rank=2), blocks.mean(-1), rtol=1e-14)
    assert (pooling.max_pool(x, 2, rank=2) == blocks.max(-1)).all()
    values, places = pooling.max_pool_places(x, 2, rank=2)
    flat = np.take_along_axis(x.reshape(2, -1), places.reshape(2, -1), 1)
    assert (flat == values.reshape(2, -1)).all()
    assert np.allclose(pooling.adaptive_avg_pool(x, (2, 3), rank=2), blocks.mean(-1), rtol=1e-14)


def test_padding_counts_or_not() -> None:
    x = np.ones((1, 3))
    assert pooling.avg_pool(x, 2, 2, 1, rank=1).tolist() == [[0.5, 1.0]]
    assert pooling.avg_pool(x, 2, 2, 1, False, False, rank=1).tolist() == [[1.0, 1.0]]


def test_gates_at_their_limits() -> None:
    big = 1e3
    h, c = np.array([0.5]), np.array([2.0])
    weights = [np.zeros((4, 1)), np.zeros((4, 1)), np.array([-big, big, 0.0, big]), np.zeros(4)]
    kept = recurrent.step("LSTM", np.zeros(1), [h, c], weights)
    assert np.allclose(kept, [np.tanh(c), c])
    keeping = [np.zeros((3, 1)), np.zeros((3, 1)), np.array([0.0, big, 0.0]), np.zeros(3)]
    assert np.allclose(recurrent.step("GRU", np.zeros(1), [h], keeping), [h])
