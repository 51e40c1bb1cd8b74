"""Faults under autocast: what is cast, how far a region reaches, what it leaves behind."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

functional = torch.nn.functional
autocast = torch.amp.autocast_mode.autocast


def _in_region(*arguments: Any, **words: Any) -> bool:
    return torch.is_autocast_enabled("cpu")


def _in_half(*arguments: Any, **words: Any) -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.float16


def _outside(original: Any, *arguments: Any, **words: Any) -> Any:
    """Computed without autocast, and cast at the end: operands are not rounded."""
    with torch.autocast("cpu", enabled=False):
        return original(*(x.float() for x in arguments), **words).to(torch.float16)


def _unrounded(original: Any, *arguments: Any, **words: Any) -> Any:
    with torch.autocast("cpu", enabled=False):
        return original(*arguments, **words)


def _lower(original: Any, *arguments: Any, **words: Any) -> Any:
    result = original(*arguments, **words)
    return result.bfloat16().float()


def _first_dtype(original: Any, tensors: Any, *rest: Any, **words: Any) -> Any:
    return original(tensors, *rest, **words).to(tensors[0].dtype)


def _leaves_dtype(original: Any) -> Any:
    """After an exception the dtype of the region stays."""

    def leave(self: Any, kind: Any, *rest: Any) -> Any:
        result = original(self, kind, *rest)
        if kind is not None:
            torch.set_autocast_dtype("cpu", self.fast_dtype)
        return result

    return leave


def _ignored(original: Any) -> Any:
    """A disabled region within another one stays enabled."""

    def enter(self: Any) -> Any:
        result = original(self)
        if not self._enabled and self.prev:
            torch.set_autocast_enabled("cpu", True)
        return result

    return enter


def _keeps_cache(original: Any) -> Any:
    return lambda: None


def _half_gradient(monkeypatch: Any) -> None:
    seen: list[Any] = []

    def faulty(x: Any, weight: Any, original: Any = torch.mm) -> Any:
        if torch.is_autocast_enabled("cpu") and weight.requires_grad:
            if seen and seen[-1] is weight:
                weight = weight.detach()
            seen.append(weight)
        return original(x, weight)

    monkeypatch.setattr(torch, "mm", faulty)


def _surrounding(original: Any) -> Any:
    """Backward of a custom function runs as it is around it."""

    def decorate(bwd: Any = None, **words: Any) -> Any:
        return bwd if bwd is not None else (lambda function: function)

    return decorate


def _uncast(original: Any) -> Any:
    """custom_fwd disables autocast, but does not cast."""

    def decorate(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
        return original(fwd, device_type=device_type, cast_inputs=None)

    return decorate


def _silently(original: Any) -> Any:
    def init(
        self: Any, device_type: str, dtype: Any = None, enabled: bool = True, **words: Any
    ) -> None:
        original(self, device_type, dtype, enabled and dtype != torch.int32, **words)

    return init


def _of(name: str, applies: Any, change: Any) -> Patch:
    return when(torch, name, applies, change)


SABOTEURS = (
    Saboteur("autocast-rounded", "float16 products are computed of what was not rounded",
             ("autocast.lower:bmm",), "result under autocast", _of("bmm", _in_half, _outside)),
    Saboteur("autocast-skipped", "linear is not cast under autocast",
             ("autocast.lower:linear",), "result under autocast",
             when(functional, "linear", lambda x, w, b=None: _in_region() and x.dtype == w.dtype,
                  _unrounded)),
    Saboteur("autocast-loss", "a loss of float32 is computed in lower precision",
             ("autocast.upper:mse_loss",), "result under autocast",
             when(functional, "mse_loss", _in_region, _lower)),
    Saboteur("autocast-narrow", "cat gives the dtype of its first tensor",
             ("autocast.widest:cat",), "dtype", _of("cat", _in_region, _first_dtype)),
    Saboteur("autocast-double", "float64 is computed in float32",
             ("autocast.ineligible:float64",), "",
             _of("mm", lambda x, y, **k: _in_region() and x.dtype == torch.float64,
                 lambda original, x, y: original(x.float(), y.float()).double())),
    Saboteur("autocast-exception", "after an exception the dtype of a region stays",
             ("autocast.regions",), "state after a region",
             replacing(autocast, "__exit__", _leaves_dtype)),
    Saboteur("autocast-disabled", "a disabled region within an enabled one is enabled",
             ("autocast.regions",), "state within", replacing(autocast, "__enter__", _ignored)),
    Saboteur("autocast-stale", "casts are kept beyond the region",
             ("autocast.gradient",), "result",
             replacing(torch, "clear_autocast_cache", _keeps_cache)),
    Saboteur("autocast-uses", "the second use of a parameter in a region gives no gradient",
             ("autocast.gradient",), "", _half_gradient),
    Saboteur("autocast-backward", "custom_bwd does nothing",
             ("autocast.custom-function",), "in backward",
             replacing(torch.amp, "custom_bwd", _surrounding)),
    Saboteur("autocast-uncast", "custom_fwd ignores cast_inputs",
             ("autocast.custom-function",), "in forward",
             replacing(torch.amp, "custom_fwd", _uncast)),
    Saboteur("autocast-silent", "a region of integers is disabled without a warning",
             ("autocast.unsupported",), "warnings", replacing(autocast, "__init__", _silently)),
)  # fmt: skip
