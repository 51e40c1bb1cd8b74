"""Faults in functions that have a name of NumPy's, or stand for one of it."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _upper_median(original: Any) -> Any:
    def median(x: Tensor) -> Tensor:
        return -original(-x) if x.numel() % 2 == 0 else original(x)

    return median


def _open_above(x: Tensor, least: Any, most: Any) -> tuple[Any, Any]:
    return (x, least, most - 1), {}


SABOTEURS = (
    Saboteur(
        "clamp-open", "clamp takes its upper end for exclusive",
        ("numpy-names.agree:clip",), "result", rewriting(torch, "clamp", _open_above),
    ),
    Saboteur(
        "median-upper", "median of an even number of elements is the upper one",
        ("numpy-names.differ:median",), "result", replacing(torch, "median", _upper_median),
    ),
)  # fmt: skip
