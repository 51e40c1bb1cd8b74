"""The reference of bags of embeddings against products with the matrix that counts them."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.reference import bags

RANDOM = np.random.default_rng(0)
INDICES = np.array([1, 3, 3, 0, 2, 1, 0])
OFFSETS = np.array([0, 2, 2, 6, 7])
BAGS = [[1, 3], [], [3, 0, 2, 1], [0], []]


@pytest.mark.parametrize("padding", [None, 0, -1])
def test_sums_and_means_are_products_with_counts(padding: int | None) -> None:
    weight, factors = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=7)
    counts, weighted = np.zeros((5, 4)), np.zeros((5, 4))
    place = 0
    for number, bag in enumerate(BAGS):
        for index in bag:
            if padding is None or index != padding % 4:
                counts[number, index] += 1
                weighted[number, index] += factors[place]
            place += 1
    got = bags.embedding_bag(INDICES, weight, OFFSETS, "sum", padding_idx=padding)
    assert np.allclose(got, counts @ weight, rtol=1e-13)
    got = bags.embedding_bag(INDICES, weight, OFFSETS, padding_idx=padding)
    each = np.maximum(counts.sum(1, keepdims=True), 1)
    assert np.allclose(got, counts @ weight / each, rtol=1e-13)
    options = {"per_sample_weights": factors, "padding_idx": padding}
    got = bags.embedding_bag(INDICES, weight, OFFSETS, "sum", **options)  # type: ignore[arg-type]
    assert np.allclose(got, weighted @ weight, rtol=1e-13)


def test_maxima_are_those_of_what_is_left() -> None:
    weight = RANDOM.normal(size=(4, 3))
    got = bags.embedding_bag(INDICES, weight, OFFSETS, "max", padding_idx=3)
    left = [[1], [], [0, 2, 1], [0], []]
    expected = [np.max(weight[bag], axis=0) if bag else np.zeros(3) for bag in left]
    assert (got == np.array(expected)).all()


def test_rows_of_a_matrix_are_bags_and_the_end_may_be_told() -> None:
    weight, matrix = RANDOM.normal(size=(4, 3)), np.array([[1, 2], [3, 3]])
    flat = bags.embedding_bag(matrix.ravel(), weight, np.array([0, 2]))
    assert (bags.embedding_bag(matrix, weight) == flat).all()
    ended = bags.embedding_bag(matrix.ravel(), weight, np.array([0, 2, 4]), "mean", None, True)
    assert (ended == flat).all()
