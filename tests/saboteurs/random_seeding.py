"""Faults in whose numbers a seed fixes, and in what samplers assume."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _seeds_numpy(original: Any) -> Any:
    def manual_seed(seed: int) -> Any:
        np.random.seed(int(seed) & 0xFFFFFFFF)
        return original(seed)

    return manual_seed


def _uses_all_bits(original: Any) -> Any:
    def manual_seed(seed: int) -> Any:
        return original(int(seed) ^ (int(seed) >> 32))

    return manual_seed


def _doubled_spread(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return ((*arguments, 2.0) if len(arguments) == 1 else arguments), keywords


def _is_leaf_of_integers(high: Any, *_: Any, requires_grad: bool = False, **__: Any) -> Tensor:
    return torch.zeros(2, 3, requires_grad=requires_grad)


SABOTEURS = (
    Saboteur(
        "manual-seed-numpy", "manual_seed seeds NumPy as well",
        ("random.seeds-apart",), "numbers", replacing(torch, "manual_seed", _seeds_numpy),
    ),
    Saboteur(
        "manual-seed-high-bits", "manual_seed mixes the upper 32 bits of a seed into the lower",
        ("random.cpu-stream",), "result", replacing(torch, "manual_seed", _uses_all_bits),
    ),
    Saboteur(
        "normal-std-two", "normal of means alone has a standard deviation of 2",
        ("random.normal-defaults",), "result", rewriting(torch, "normal", _doubled_spread),
    ),
    Saboteur(
        "randn-like-rounds", "randn_like of an integral model truncates normal numbers",
        ("random.like-integral:randn_like",), "is refused",
        accepting(torch, "randn_like", NotImplementedError,
                  lambda model: torch.randn(model.shape).to(model.dtype)),
    ),
    Saboteur(
        "randint-leaf", "randint turns to float32 where requires_grad=True is asked for",
        ("random.integral-leaf:randint",), "raised nothing",
        accepting(torch, "randint", RuntimeError, _is_leaf_of_integers),
    ),
)  # fmt: skip
