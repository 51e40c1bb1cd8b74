"""Faults where transforms are nested, or tensors are long."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur


def _nested(*_: Any, **__: Any) -> bool:
    """Whether a transform runs within another one."""
    return (torch._C._functorch.maybe_current_level() or 0) >= 2


def _straightened(original: Any, x: torch.Tensor) -> torch.Tensor:
    """Return tanh's value and slope, without its curvature."""
    fixed = x.detach()
    value = original(fixed)
    return value + (x - fixed) * (1 - value * value)


def _restarted(original: Any, x: torch.Tensor, dim: int, **keywords: Any) -> torch.Tensor:
    """Sum the elements from the 65th on by themselves."""
    parts = x.split(64, dim)
    return torch.cat([original(part, dim, **keywords) for part in parts], dim)


def _is_long(x: Any, dim: Any = None, **keywords: Any) -> bool:
    return isinstance(dim, int) and x.dim() > 0 and x.shape[dim] > 64 and "out" not in keywords


def _is_long_and_unitary(x: Any, *_: Any, **keywords: Any) -> bool:
    length = keywords.get("n") or x.shape[keywords.get("dim", -1)]
    return bool(keywords.get("norm") == "ortho" and length > 16)


SABOTEURS = (
    Saboteur(
        "tanh-straight-where-nested", "tanh loses its second derivative under nested transforms",
        ("operators.over-forward:tanh", "operators.forward-over-reverse:tanh"), "u^T H w",
        when(torch, "tanh", _nested, _straightened),
    ),
    Saboteur(
        "cumsum-restarts", "cumsum starts anew after 64 elements",
        ("operators.long:cumsum",), "result", when(torch, "cumsum", _is_long, _restarted),
    ),
    Saboteur(
        "long-inverse-normalized", "ifft of more than 16 numbers divides by all for norm='ortho'",
        ("operators.long:ifft",), "result",
        when(torch.fft, "ifft", _is_long_and_unitary,
             lambda original, *a, **k: original(*a, **{**k, "norm": "backward"})),
    ),
)  # fmt: skip
