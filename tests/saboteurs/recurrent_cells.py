"""Faults in recurrent cells and in the statistics of instance norms."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.operator_faults import Scaled
from tests.saboteurs.saboteur import Saboteur, replacing

nn = torch.nn


def _leaky(original: Any) -> Any:
    """Without a bias, where the sum is negative a little of it is let through."""

    def step(self: Any, x: Any, hx: Any = None) -> Any:
        result = original(self, x, hx)
        if self.nonlinearity != "relu" or self.bias or hx is None:
            return result
        return result + 1e-3 * (hx * (result == 0))

    return step


def _hidden_bias(original: Any) -> Any:
    """The bias of the state gets a gradient that is off where there is a batch of two."""

    def cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        off = b_hh is not None and x.dim() == 2 and len(x) == 2
        return original(x, h, w_ih, w_hh, b_ih, Scaled.apply(b_hh) if off else b_hh)

    return cell


def _constant_cell(original: Any) -> Any:
    """The old cell state is a constant."""

    def cell(x: Any, state: Any, *weights: Any) -> Any:
        return original(x, (state[0], state[1].detach()), *weights)

    return cell


SABOTEURS = (
    Saboteur("cells-leaky", "an RNN cell with ReLU and no bias lets negative sums through",
             ("cells.gradient:RNNCell-relu",), "state",
             replacing(nn.RNNCell, "forward", _leaky)),
    Saboteur("cells-hidden-bias", "the gradient to a GRU cell's second bias is off for two",
             ("cells.gradient:GRUCell",), "gradient to bias_hh",
             replacing(torch._VF, "gru_cell", _hidden_bias)),
    Saboteur("cells-constant-cell", "the cell state of an LSTM cell is a constant",
             ("cells.gradient:LSTMCell",), "gradient to",
             replacing(torch._VF, "lstm_cell", _constant_cell)),
    Saboteur("cells-accepting", "an RNN cell takes a state of another batch",
             ("cells.refused:RNNCell",), "raised nothing",
             accepting(nn.RNNCell, "forward", RuntimeError, lambda self, x, hx: x)),
    Saboteur("instance-momentum", "a momentum of a half is ignored",
             ("layers.instance-momentum:InstanceNorm2d",), "running mean",
             rewriting(nn.functional, "instance_norm", lambda *a, **k: (
                 (*a[:6], 0.1 if a[6] == 0.5 else a[6], *a[7:]), k))),
)  # fmt: skip
