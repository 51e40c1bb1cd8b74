"""Faults in formatting: a text that rounds before it is asked to."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing


def _rounds_first(original: Any) -> Any:
    def text(self: torch.Tensor, spec: str) -> str:
        if spec.endswith("e") and self.dim() == 0:
            return format(float(f"{self.item():.1e}"), spec)
        found: str = original(self, spec)
        return found

    return text


def _any_rank(original: Any) -> Any:
    def text(self: torch.Tensor, spec: str) -> str:
        if self.numel() == 1 and self.dtype == torch.float64:
            return format(self.item(), spec)
        found: str = original(self, spec)
        return found

    return text


SABOTEURS = (
    Saboteur(
        "format-rounds-twice", "with an exponent a tensor is rounded to two digits first",
        ("formatting.number:format",), "text",
        replacing(torch.Tensor, "__format__", _rounds_first),
    ),
    Saboteur(
        "format-of-any-rank", "a float64 tensor of one element is formatted whatever its rank",
        ("formatting.number:method",), "raised nothing",
        replacing(torch.Tensor, "__format__", _any_rank),
    ),
)  # fmt: skip
