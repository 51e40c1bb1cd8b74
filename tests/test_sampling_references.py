"""The references of samplings, distances, masks and scales against second derivations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from conformance.reference import channels, distances, layers, pooling, pruning, sampling, scaling
from conformance.reference import transformers as network
from conformance.reference.activations import relu

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("aligned", [False, True])
def test_bilinear_sampling_sums_hats_around_each_pixel(aligned: bool) -> None:
    x, grid = RANDOM.normal(size=(1, 2, 3, 4)), RANDOM.uniform(-1.5, 1.5, size=(1, 2, 2, 2))
    got = sampling.grid_sample(x, grid, align_corners=aligned)
    for h, w in itertools.product(range(2), range(2)):
        across, down = grid[0, h, w]
        column = (across + 1) / 2 * 3 if aligned else ((across + 1) * 4 - 1) / 2
        row = (down + 1) / 2 * 2 if aligned else ((down + 1) * 3 - 1) / 2
        hats = np.maximum(0, 1 - np.abs(np.arange(3) - row))[:, None] * np.maximum(
            0, 1 - np.abs(np.arange(4) - column)
        )
        assert np.allclose(got[0, :, h, w], (x[0] * hats).sum(axis=(1, 2)), rtol=1e-12)


def test_cubic_weights_sum_to_one_and_are_those_of_pixels_at_pixels() -> None:
    x = RANDOM.normal(size=(1, 1, 1, 12))
    places = np.linspace(-1, 1, 12)
    grid = np.stack([places, np.zeros(12)], axis=-1).reshape(1, 1, 12, 2)
    at_pixels = sampling.grid_sample(x, grid, "bicubic", "border", True)
    assert np.allclose(at_pixels, x, rtol=1e-12)
    between = sampling.grid_sample(np.ones_like(x), grid * 0.9, "bicubic", "border", True)
    assert np.allclose(between, 1, rtol=1e-12)


@pytest.mark.parametrize(("place", "wanted"), [(-3.5, 0.5), (1.5, 0.5), (-1.25, -0.75)])
def test_reflection_is_by_the_borders(place: float, wanted: float) -> None:
    at = sampling.coordinate(place, 5, True)
    kept = sampling.kept_inside(at, 5, "reflection", True)
    assert kept == sampling.coordinate(wanted, 5, True)


def test_the_identity_map_samples_every_pixel() -> None:
    x = RANDOM.normal(size=(1, 2, 2, 3, 4))
    theta = np.eye(3, 4)[None]
    for aligned in (False, True):
        grid = sampling.affine_grid(theta, x.shape, aligned)
        assert np.allclose(sampling.grid_sample(x, grid, align_corners=aligned), x, rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, math.inf])
def test_distances_of_pairs_are_those_of_vectors(p: float) -> None:
    x, y = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(2, 3))
    every = distances.cdist(x, y, p)
    for i, j in itertools.product(range(4), range(2)):
        size = np.abs(x[i] - y[j])
        direct = {0.0: 3.0, math.inf: size.max()}.get(p)
        expected = (size**p).sum() ** (1 / p) if direct is None else direct
        assert np.isclose(every[i, j], expected, rtol=1e-13)
        alone = distances.pairwise_distance(x[i], y[j], p, 0.0)
        assert np.isclose(every[i, j], alone, rtol=1e-13)
    assert np.allclose(distances.pdist(x, p), distances.cdist(x, x, p)[np.triu_indices(4, 1)])


def test_similarity_is_a_cosine() -> None:
    x, y = RANDOM.normal(size=(2, 5)), RANDOM.normal(size=(2, 5))
    pairs = zip(x, y, strict=True)
    angles = [math.acos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
    assert np.allclose(np.arccos(distances.cosine_similarity(x, y)), angles, rtol=1e-12)
    assert np.isclose(distances.cosine_similarity(x[0], x[0], 0, 1e9), (x[0] ** 2).sum() / 1e18)


def test_unpooling_undoes_pooling() -> None:
    x = RANDOM.permutation(2 * 4 * 6).reshape(1, 2, 4, 6) + 1.0
    values, places = pooling.max_pool_places(x, 2, rank=2)
    back = pooling.max_unpool(values, places, 2, rank=2)
    assert back.shape == x.shape
    assert np.array_equal(back[back != 0], x[back != 0])
    assert np.array_equal(pooling.max_pool(back, 2, rank=2), values)


def test_powers_are_between_sums_and_maxima() -> None:
    x = RANDOM.uniform(0.5, 1, size=(1, 1, 6))
    sums, most = (pooling.power_pool(x, p, 3, rank=1) for p in (1, 200))
    assert np.allclose(sums, x.reshape(1, 1, 2, 3).sum(axis=-1))
    assert np.allclose(most, pooling.power_pool(x, math.inf, 3, rank=1), rtol=2e-2)


def test_neighbours_are_summed_channel_by_channel() -> None:
    x = RANDOM.normal(size=(2, 5, 3))
    got = channels.local_response_norm(x, 3, 0.5, 2.0, 1.5)
    for c in range(5):
        near = (x[:, max(0, c - 1) : c + 2] ** 2).sum(axis=1)
        assert np.allclose(got[:, c], x[:, c] / (1.5 + 0.5 / 3 * near) ** 2, rtol=1e-12)


def test_shuffled_channels_go_back_by_the_other_factor() -> None:
    x = RANDOM.normal(size=(1, 6, 2))
    assert np.array_equal(channels.channel_shuffle(channels.channel_shuffle(x, 2), 3), x)
    assert channels.channel_shuffle(np.arange(6.0)[None, :, None], 2).ravel().tolist() == [
        0, 3, 1, 4, 2, 5,
    ]  # fmt: skip


def test_masks_keep_the_largest() -> None:
    scores, whole = np.array([[3.0, -1.0], [0.5, 2.0]]), np.ones((2, 2), bool)
    assert pruning.entries(scores, whole, 2).tolist() == [[True, False], [False, True]]
    left = np.array([[True, True], [False, False]])
    assert pruning.slices(scores, left, 1, 2, 0).tolist() == [[False, False], [False, False]]
    assert pruning.slices(scores, whole, 1, 1, 1).tolist() == [[True, False], [True, False]]


def test_a_scale_grows_after_its_interval_only() -> None:
    scale = scaling.Scale(8.0, 2.0, 0.5, 2)
    seen = []
    for overflowed in (False, True, False, False, False):
        scale.update(overflowed)
        seen.append(scale.value)
    assert seen == [8.0, 4.0, 4.0, 8.0, 8.0]


def test_an_encoder_layer_without_weights_is_its_norms() -> None:
    zeros = {
        "self_attn.in_proj_weight": np.zeros((12, 4)),
        "self_attn.out_proj.weight": np.zeros((4, 4)),
        "linear1.weight": np.zeros((3, 4)), "linear2.weight": np.zeros((4, 3)),
        "norm1.weight": np.ones(4), "norm2.weight": np.ones(4),
    }  # fmt: skip
    x = RANDOM.normal(size=(2, 3, 4))
    twice = layers.layer_norm(layers.layer_norm(x, (4,)), (4,))
    assert np.allclose(network.encoder_layer(x, zeros, network.Options(2, relu)), twice)
    first = network.encoder_layer(x, zeros, network.Options(2, relu, norm_first=True))
    assert np.allclose(first, x)
