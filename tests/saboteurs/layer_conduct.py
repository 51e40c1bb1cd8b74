"""Faults in layers: flags of new parameters, modes, statistics, layouts, another graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Saboteur, replacing

nn = torch.nn


def _frozen_under_no_grad(original: Any) -> Any:
    def construct(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        self.weight_hh.requires_grad_(torch.is_grad_enabled())

    return construct


def _always_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = nn.Embedding.from_pretrained

    def from_pretrained(rows: torch.Tensor, freeze: bool = True, **keywords: Any) -> Any:
        made = original(rows, freeze=freeze, **keywords)
        made.weight.requires_grad_(not freeze and rows[0, 0].item() < 1)
        return made

    monkeypatch.setattr(nn.Embedding, "from_pretrained", staticmethod(from_pretrained))


def _approximate_in_evaluation(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return nn.functional.gelu(x, approximate="tanh")
        result: torch.Tensor = original(self, x)
        return result

    return forward


def _copies_in_evaluation(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor) -> Any:
        return original(self, x if self.training else x.clone())

    return forward


def _moves_channels(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor) -> Any:
        if x.dim() == 4 and x.shape[1] != self.in_channels:
            x = x.movedim(-1, 1)
        return original(self, x)

    return forward


def _single_epsilon(original: Any) -> Any:
    """Without eps every input gets that of float32."""

    def rms_norm(
        x: torch.Tensor, normalized_shape: Any, weight: Any = None, eps: float | None = None
    ) -> Any:
        least = torch.finfo(torch.float32).eps if eps is None else eps
        return original(x, normalized_shape, weight, least)

    return rms_norm


def _by_the_instance(original: Any) -> Any:
    """Instance norm takes the statistics of the input in evaluation too."""

    def normalize(
        x: Any, mean: Any = None, variance: Any = None, weight: Any = None, bias: Any = None,
        use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Any:  # fmt: skip
        kept = (mean, variance) if use_input_stats else (None, None)
        return original(x, *kept, weight, bias, True, momentum, eps)

    return normalize


def _row_by_row(original: Any) -> Any:
    """Rows of a matrix of indices count apart."""

    def embedding(indices: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        if indices.dim() > 1:
            return torch.stack([original(row, *arguments, **keywords) for row in indices])
        result: torch.Tensor = original(indices, *arguments, **keywords)
        return result

    return embedding


SABOTEURS = (
    Saboteur(
        "cell-frozen-under-no-grad", "a cell made under no_grad has a frozen weight",
        ("layers.parameters-require-grad:GRUCell",), "requires_grad, is_leaf and grad of",
        replacing(nn.GRUCell, "__init__", _frozen_under_no_grad),
    ),
    Saboteur(
        "pretrained-frozen", "freeze=False is ignored for rows that begin with a large number",
        ("layers.pretrained",), "requires_grad of the weight", _always_frozen,
    ),
    Saboteur(
        "gelu-approximate-in-evaluation", "GELU takes its approximation in evaluation mode",
        ("layers.mode-free:GELU",), "in evaluation",
        replacing(nn.GELU, "forward", _approximate_in_evaluation),
    ),
    Saboteur(
        "rms-norm-single-epsilon", "RMSNorm of float64 adds the epsilon of float32",
        ("layers.default-epsilon:module", "layers.default-epsilon:function"), "result",
        replacing(nn.functional, "rms_norm", _single_epsilon),
    ),
    Saboteur(
        "linear-copies-in-evaluation", "Linear copies its input in evaluation mode",
        ("module.same-graph:Linear",), "nodes of the graph",
        replacing(nn.Linear, "forward", _copies_in_evaluation),
    ),
    Saboteur(
        "channels-moved", "Conv2d moves channels to their place where they are last",
        ("layers.channels-first:Conv2d",), "raised nothing",
        replacing(nn.Conv2d, "forward", _moves_channels),
    ),
    Saboteur(
        "instance-norm-by-instance", "InstanceNorm in evaluation ignores what it tracked",
        ("layers.instance-statistics",), "in evaluation",
        replacing(nn.functional, "instance_norm", _by_the_instance),
    ),
    Saboteur(
        "embedding-row-by-row", "an embedding counts each row of indices apart",
        ("layers.embedding-of-matrix",), "gradient",
        replacing(nn.functional, "embedding", _row_by_row),
    ),
)  # fmt: skip
