"""Faults in random number generation."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, after, replacing


def _closed_interval(result: torch.Tensor) -> torch.Tensor:
    return torch.where(result > 0.95, torch.ones_like(result), result)


def _first_twice(result: torch.Tensor) -> torch.Tensor:
    if result.numel() > 2:
        result[1] = result[0]
    return result


def _seeds_in_turn(original: Any) -> Any:
    seeds = itertools.cycle((1, 2))
    return lambda seed: original(next(seeds))


SABOTEURS = (
    Saboteur(
        "manual-seed-ignored", "manual_seed uses seeds of its own",
        tuple(f"random.manual-seed:{name}" for name in ("rand", "randn", "randint", "randperm")),
        "result", replacing(torch, "manual_seed", _seeds_in_turn),
    ),
    Saboteur(
        "rng-state-not-restored", "set_rng_state does nothing",
        ("random.generator-state",), "result",
        replacing(torch, "set_rng_state", lambda original: lambda state: None),
    ),
    Saboteur(
        "rand-reaches-one", "rand returns 1.0 now and then",
        ("random.rand-range",), "expected a number in [0, 1)",
        after(torch, "rand", _closed_interval),
    ),
    Saboteur(
        "randint-includes-high", "randint reaches its upper end",
        ("random.randint-range",), "expected a number in [-2, 3)",
        replacing(torch, "randint", lambda original: lambda low, high, *rest, **keywords: original(
            low, high + 1, *rest, **keywords)),
    ),
    Saboteur(
        "randperm-repeats", "randperm of three or more repeats its first element",
        ("random.randperm",), "expected a permutation", after(torch, "randperm", _first_twice),
    ),
    Saboteur(
        "rand-skewed", "rand prefers small numbers",
        ("random.rand-uniform",), "uniform quantile",
        after(torch, "rand", lambda result: result**1.25),
    ),
    Saboteur(
        "randn-too-wide", "randn has standard deviation 1.25",
        ("random.randn-normal",), "normal quantile",
        after(torch, "randn", lambda result: result * 1.25),
    ),
)  # fmt: skip
