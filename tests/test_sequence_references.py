"""The references of sequences against loops, and of projected layers against their equations."""

from __future__ import annotations

import numpy as np

from conformance.reference import recurrent, sequences

RANDOM = np.random.default_rng(0)


def test_packing_goes_time_by_time() -> None:
    made = [np.array([1, 2, 3]), np.array([4, 5]), np.array([6])]
    data, counts = sequences.packed(made)
    assert (data.tolist(), counts) == ([1, 4, 6, 2, 5, 3], [3, 2, 1])


def test_padding_fills_the_side() -> None:
    made = [np.array([1.0]), np.array([2.0, 3.0])]
    assert sequences.padded(made, True, 9.0).tolist() == [[1, 9], [2, 3]]
    assert sequences.padded(made, True, 9.0, "left").tolist() == [[9, 1], [2, 3]]
    assert sequences.padded(made, length=3).tolist() == [[1, 2], [0, 3], [0, 0]]


def test_what_is_padded_on_the_right_changes_no_output_before_it() -> None:
    """A layer that goes forwards gives each sequence what it gives the padded batch."""
    weights = [[RANDOM.normal(size=(8, 2)), RANDOM.normal(size=(8, 2))]]
    made = [RANDOM.normal(size=(n, 2)) for n in (3, 1, 2)]
    state = [RANDOM.normal(size=(1, 3, 2)) for _ in range(2)]
    whole, _ = recurrent.layers("LSTM", sequences.padded(made), state, weights, 1)
    for number, sequence in enumerate(made):
        own = [part[:, number : number + 1] for part in state]
        output, _ = recurrent.layers("LSTM", sequence[:, None], own, weights, 1)
        assert np.allclose(output[:, 0], whole[: len(sequence), number], rtol=1e-12)


def test_a_projection_of_the_identity_is_none() -> None:
    x, state = RANDOM.normal(size=(2, 3)), [RANDOM.normal(size=(2, 4)) for _ in range(2)]
    weights = [RANDOM.normal(size=shape) for shape in ((16, 3), (16, 4), (16,), (16,))]
    plain = recurrent.step("LSTM", x, state, weights)
    same = recurrent.step("LSTM", x, state, [*weights, np.eye(4)])
    assert np.allclose(plain[0], same[0], rtol=1e-15)
    projection = RANDOM.normal(size=(4, 4))
    projected = recurrent.step("LSTM", x, state, [*weights, projection])
    assert np.allclose(projected[0], plain[0] @ projection.T, rtol=1e-13)
    assert (projected[1] == plain[1]).all()
