"""Faults in layers: convolutions, pooling, normalizations, recurrence, embeddings, dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _biased(original: Any) -> Any:
    """Running variances become those of the batch, biased."""

    def norm(x: Tensor, mean: Any, variance: Any, *rest: Any, **words: Any) -> Tensor:
        training = rest[2] if len(rest) > 2 else words.get("training", False)
        result: Tensor = original(x, mean, variance, *rest, **words)
        if training and variance is not None and rest[3] == 1.0:
            count = x.numel() // x.shape[1]
            variance.mul_((count - 1) / count)
        return result

    return norm


def _counts_evaluation(original: Any) -> Any:
    def forward(self: Any, x: Tensor) -> Tensor:
        result: Tensor = original(self, x)
        if not self.training and self.num_batches_tracked is not None and self.affine:
            self.num_batches_tracked.add_(1)
        return result

    return forward


def _keeps_count(original: Any) -> Any:
    def reset(self: Any) -> None:
        count = None if self.num_batches_tracked is None else self.num_batches_tracked.clone()
        original(self)
        if count is not None and self.momentum is None:
            self.num_batches_tracked.copy_(count)

    return reset


def _backwards_forward(original: Any) -> Any:
    """The final state of the backward direction is swapped with the forward one's."""

    def forward(self: Any, x: Tensor, state: Any = None) -> Any:
        output, last = original(self, x, state)
        if self.bidirectional and self.num_layers == 2:
            last = last.roll(1, 0)
        return output, last

    return forward


def _state_first(original: Any) -> Any:
    def forward(self: Any, x: Tensor, state: Any = None) -> Any:
        output, last = original(self, x, state)
        if state is not None and not self.bias:
            output = output + 1e-9
        return output, last

    return forward


def _evaluates_twice(original: Any) -> Any:
    def forward(self: Any, x: Tensor) -> Tensor:
        if not self.training:
            torch.rand(1)
        return original(self, x)

    return forward


def _tracks_all_the_same(original: Any) -> Any:
    def faulty(self: Any, x: torch.Tensor) -> Any:
        if not self.track_running_stats and self.running_mean is not None:
            self.running_mean.mul_(0.9)
        return original(self, x)

    return faulty


SABOTEURS = (
    Saboteur("layers-conv-padding", "conv2d takes the first padding for both dimensions",
             ("operators.value:conv2d",), "result",
             rewriting(functional, "conv2d", lambda *a, **k: (
                 (*a[:4], a[4][0], *a[5:]) if len(a) > 4 and isinstance(a[4], tuple) else a, k))),
    Saboteur("layers-conv-groups", "conv1d swaps its groups' channels",
             ("operators.value:conv1d",), "result",
             when(functional, "conv1d", lambda *a, **k: len(a) > 6 and a[6] == 2 and a[5] == 2,
                  lambda original, x, *a, **k: original(x.flip(-2), *a, **k))),
    Saboteur("layers-conv-same", "with padding='same' and a dilation given the padding is uneven",
             ("operators.value:conv1d",), "result",
             when(functional, "conv1d", lambda *a, **k: len(a) > 5 and a[4] == "same"
                  and a[1].shape[-1] == 3,
                  lambda original, *a, **k: original(*a, **k).roll(1, -1))),
    Saboteur("layers-transposed-extra", "output_padding repeats the last element",
             ("operators.value:conv_transpose1d",), "result",
             when(functional, "conv_transpose1d", lambda *a, **k: len(a) > 5 and max(a[5]) > 1,
                  lambda original, *a, **k: original(*a, **k) + 0.125)),
    Saboteur("layers-pool-divisor", "count_include_pad=False counts padding in ceil mode",
             ("operators.value:avg_pool2d",), "result",
             rewriting(functional, "avg_pool2d", lambda *a, **k: (
                 a, {**k, "count_include_pad": True} if k.get("ceil_mode") else k))),
    Saboteur("layers-pool-padding", "maximum pooling pads with zeros",
             ("operators.value:max_pool1d",), "result",
             when(functional, "max_pool1d", lambda *a, **k: k.get("padding") and
                  "dilation" not in k, lambda original, *a, **k: original(*a, **k).clamp(min=0))),
    Saboteur("layers-pool-places", "places are those within the window for one channel",
             ("operators.value:max_pool2d-places",), "result 1",
             when(functional, "max_pool2d", lambda x, *a, **k: k.get("return_indices") and
                  "ceil_mode" in k, lambda original, *a, **k: (
                      lambda r: (r[0], r[1] // 2 * 2))(original(*a, **k)))),
    Saboteur("layers-adaptive", "adaptive windows do not overlap",
             ("operators.value:adaptive_avg_pool1d",), "result",
             when(functional, "adaptive_avg_pool1d", lambda x, n: x.shape[-1] == 5 and
                  n in (3, (3,)), lambda original, x, n: original(x[..., [0, 0, 2, 2, 4]], n))),
    Saboteur("layers-norm-eps", "layer_norm adds eps to the deviation",
             ("operators.value:layer_norm",), "result",
             when(functional, "layer_norm", lambda *a, **k: k.get("eps") == 2.0,
                  lambda original, *a, **k: original(*a, **{**k, "eps": 4.0}))),
    Saboteur("layers-group-weight", "group_norm reverses its weight",
             ("operators.value:group_norm",), "result",
             rewriting(functional, "group_norm", lambda *a, **k: (
                 a, {**k, "weight": k["weight"].flip(0)} if "bias" in k and "weight" in k else k))),
    Saboteur("layers-padding-gradient", "a negative padding_idx gets gradients",
             ("operators.vjp:embedding",), "gradient",
             dropping(functional, "embedding", "padding_idx", lambda p: p is not None and p < 0)),
    Saboteur("layers-variance-biased", "with momentum 1 the running variance is biased",
             ("layers.running-statistics:BatchNorm1d",), "variance",
             replacing(functional, "batch_norm", _biased)),
    Saboteur("layers-counts-evaluation", "evaluation counts as a batch",
             ("layers.running-statistics:BatchNorm2d",), "batches tracked",
             replacing(torch.nn.modules.batchnorm._BatchNorm, "forward", _counts_evaluation)),
    Saboteur("layers-reset-count", "a reset keeps the count of a cumulative average",
             ("layers.running-statistics:BatchNorm3d",), "batches tracked",
             replacing(torch.nn.modules.batchnorm._NormBase, "reset_running_stats", _keeps_count)),
    Saboteur("layers-final-state", "the final states of two bidirectional layers are rotated",
             ("layers.recurrent:GRU",), "final state",
             replacing(torch.nn.GRU, "forward", _backwards_forward)),
    Saboteur("layers-lstm-drift", "an LSTM without biases drifts from a given state",
             ("layers.recurrent:LSTM",), "output",
             replacing(torch.nn.LSTM, "forward", _state_first)),
    Saboteur("layers-dropout-draws", "dropout draws in evaluation",
             ("layers.dropout:Dropout2d",), "evaluation draws nothing",
             replacing(torch.nn.Dropout2d, "forward", _evaluates_twice)),
    Saboteur("layers-max-norm", "max_norm scales rows of norm 1 with norm_type 1",
             ("layers.embedding-norm",), "weight",
             when(functional, "embedding", lambda *a, **k: k.get("norm_type") == 1.0,
                  lambda original, *a, **k: original(*a, **{**k, "norm_type": 2.0}))),
    Saboteur("layers-replicate", "replicate padding reflects",
             ("layers.padding-mode:replicate",), "result",
             rewriting(functional, "pad", lambda *a, **k: (
                 a, {**k, "mode": "reflect"} if k.get("mode") == "replicate" else k))),
    Saboteur("layers-tracking", "batch norm tracks although it was told to stop",
             ("layers.tracking-stopped",), "running_mean",
             replacing(torch.nn.BatchNorm1d, "forward", _tracks_all_the_same)),
)  # fmt: skip
