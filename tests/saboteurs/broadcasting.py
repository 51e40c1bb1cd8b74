"""Faults in broadcasting and in products, by the shapes and ranks of what they are given."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _second_is_stretched(a: Tensor, b: Tensor) -> bool:
    return 0 in b.stride() and b.numel() > 1


def _averages_rows(original: Any) -> Any:
    def add(a: Tensor, b: Tensor) -> Tensor:
        if b.requires_grad and b.is_leaf and a.dim() > b.dim():
            b.register_hook(lambda gradient: gradient / 2)
        result: Tensor = original(a, b)
        return result

    return add


def _keeps_self(self: Tensor, other: Tensor) -> Tensor:
    return self


def _vector_and_batch(a: Tensor, b: Tensor, dims: Any) -> bool:
    return a.dim() == 1 and b.dim() == 3


SABOTEURS = (
    Saboteur(
        "sub-of-expanded", "sub adds one where its second operand is expanded",
        ("broadcasting.expanded:sub",), "result",
        when(torch, "sub", _second_is_stretched, lambda result: result + 1),
    ),
    Saboteur(
        "add-halves-broadcast-gradient", "add halves the gradient of an operand of lower rank",
        ("broadcasting.gradient:add",), "gradient", replacing(torch, "add", _averages_rows),
    ),
    Saboteur(
        "copysign-in-place-ignores-shape", "copysign_ does nothing where self would be stretched",
        ("broadcasting.in-place-shape:copysign_",), "raised nothing",
        accepting(Tensor, "copysign_", RuntimeError, _keeps_self),
    ),
    Saboteur(
        "mm-broadcasts", "mm takes tensors of any rank, as matmul does",
        ("products.ranks:mm",), "raised nothing",
        accepting(torch, "mm", RuntimeError, torch.matmul),
    ),
    Saboteur(
        "tensordot-turned", "tensordot of a vector and a batch turns the rows around",
        ("products.numpy-dot",), "tensordot",
        when(torch, "tensordot", _vector_and_batch, lambda result: result.flip(0)),
    ),
)  # fmt: skip
