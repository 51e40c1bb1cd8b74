"""Recurrent layers step by step, from the equations of their documentation.

Weights are those of one layer and direction: ``w_ih``, ``w_hh``, both biases if any, and the
projection of an LSTM's output, if any: an odd number of weights has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``."""
    return np.asarray(1 / (1 + np.exp(-x)))


def step(kind: str, x: Array, state: Sequence[Array], weights: Sequence[Array]) -> list[Array]:
    """Return the state after one step: h, and c for an LSTM.

    ``GRU``: r, z, n; ``LSTM``: i, f, g, o, are the blocks of rows of the weights, in this order.
    """
    h = state[0]
    from_input = x @ weights[0].T + (weights[2] if len(weights) > 3 else 0)
    from_state = h @ weights[1].T + (weights[3] if len(weights) > 3 else 0)
    if kind in ("tanh", "relu"):
        total = from_input + from_state
        return [np.tanh(total) if kind == "tanh" else np.where(np.real(total) > 0, total, 0)]
    if kind == "GRU":
        (ri, zi, ni), (rh, zh, nh) = (
            np.split(part, 3, axis=-1) for part in (from_input, from_state)
        )
        reset, update = sigmoid(ri + rh), sigmoid(zi + zh)
        new = np.tanh(ni + reset * nh)
        return [(1 - update) * new + update * h]
    i, f, g, o = np.split(from_input + from_state, 4, axis=-1)
    cell = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    output = sigmoid(o) * np.tanh(cell)
    return [output @ weights[-1].T if len(weights) % 2 else output, cell]


def layers(
    kind: str, x: Array, state: Sequence[Array], weights: Sequence[Sequence[Array]], directions: int
) -> tuple[Array, list[Array]]:
    """Return the last layer's output at each time and the final state of every layer.

    ``x`` is time, batch, feature; each part of the state is (layers * directions), batch, hidden;
    so are the weights listed. The second direction goes backwards in time, and a layer's output is
    both of theirs, side by side.
    """
    final: list[list[Array]] = []
    for layer in range(len(weights) // directions):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            now = [part[number] for part in state]
            steps = []
            for element in x[:: -1 if direction else 1]:
                now = step(kind, element, now, weights[number])
                steps.append(now[0])
            final.append(now)
            outputs.append(np.stack(steps[:: -1 if direction else 1]))
        x = np.concatenate(outputs, axis=-1)
    return x, [np.stack(part) for part in zip(*final, strict=True)]
