"""Faults in extremes and bounds, element by element, and in what stands for nan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.gradients import StridedGradientLost, through, where
from tests.saboteurs.saboteur import Saboteur, replacing


def _minimum_wins(original: Any, x: Any, min: Any = None, max: Any = None, **keywords: Any) -> Any:
    if isinstance(min, (int, float)) and isinstance(max, (int, float)) and min > max:
        max = min
    return original(x, min, max, **keywords)


def _nan_of_second_lost(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    if not y.is_floating_point():
        return original(x, y, **keywords)
    result = original(x, y, **keywords)
    return torch.where(y.isnan() & ~x.isnan(), x, result)


def _nan_of_first_kept(original: Any, x: Any, y: Any, **keywords: Any) -> Any:
    result = original(x, y, **keywords)
    return torch.where(x.isnan(), x, result) if x.is_floating_point() else result


def _of_two(extreme: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes an extreme of two tensors one that drops nan."""

    def make(original: Any) -> Any:
        def found(x: torch.Tensor, *others: Any, **keywords: Any) -> Any:
            if len(others) == 1 and isinstance(others[0], torch.Tensor) and x.is_floating_point():
                return extreme(x, others[0])
            return original(x, *others, **keywords)

        return found

    return make


SABOTEURS = (
    Saboteur(
        "maximum-drops-nan", "maximum drops a nan of its second operand",
        ("operators.value:maximum",), "nan",
        replacing(torch, "maximum", where(lambda *_, **k: not k, _nan_of_second_lost)),
    ),
    Saboteur(
        "max-of-two-drops-nan", "max of two tensors drops a nan",
        ("operators.spellings:maximum",), "max", replacing(torch, "max", _of_two(torch.fmax)),
    ),
    Saboteur(
        "min-of-two-drops-nan", "min of two tensors drops a nan",
        ("operators.spellings:minimum",), "min",
        replacing(torch.Tensor, "min", _of_two(torch.fmin)),
    ),
    Saboteur(
        "fmin-keeps-nan", "fmin gives nan where its first operand is nan",
        ("operators.value:fmin",), "result",
        replacing(torch, "fmin", where(lambda *_, **k: not k, _nan_of_first_kept)),
    ),
    Saboteur(
        "minimum-gradient", "the gradient of minimum is lost where it does not lie contiguously",
        ("operators.vjp:minimum",), "gradient",
        replacing(torch, "minimum", through(StridedGradientLost)),
    ),
    Saboteur(
        "clamp-lower-bound-wins", "where min is above max, clamp gives min",
        ("operators.value:clamp",), "result",
        replacing(torch, "clamp", where(
            lambda x, min=None, max=None, **_: isinstance(min, (int, float)), _minimum_wins)),
    ),
    Saboteur(
        "clamp-keeps-integers", "clamp of integers by one number that is none stays of integers",
        ("operators.dtype:clamp",), "dtype",
        replacing(torch, "clamp", where(
            lambda x, min=None, max=None, **_: not x.is_floating_point() and None in (min, max),
            lambda original, x, *a, **k: original(x, *a, **k).to(x.dtype))),
    ),
    Saboteur(
        "clamp-keeps-dtype", "clamp with tensors gives the dtype of its first operand",
        ("operators.dtype:clamp-tensors",), "dtype",
        replacing(torch, "clamp", lambda original: lambda x, *a, **k: original(x, *a, **k)
                  .to(x.dtype)),
    ),
    Saboteur(
        "heaviside-of-negative-zero", "heaviside of -0.0 is 0",
        ("operators.value:heaviside",), "result",
        replacing(torch, "heaviside", where(
            lambda x, y, **k: x.is_floating_point() and not k,
            lambda original, x, y: torch.where((x == 0) & x.signbit(), 0, original(x, y))
            .to(x.dtype))),
    ),
    Saboteur(
        "nan-to-num-half-as-bfloat16", "nan_to_num replaces inf in half precision by 2**15",
        ("operators.value:nan_to_num-half",), "result",
        replacing(torch, "nan_to_num", where(
            lambda x, posinf=None, **_: x.dtype == torch.float16 and posinf is None,
            lambda original, x, **k: original(x, **{**k, "posinf": 2.0**15}))),
    ),
)  # fmt: skip
