"""Faults in what is recorded, kept, converted or said: of detach, no_grad, modules and leaves."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _remembers_origin(original: Any) -> Any:
    def detach(self: Tensor) -> Tensor:
        result: Tensor = original(self)
        result.origin = self  # type: ignore[attr-defined]
        return result

    return detach


def _says_has_been(original: Any) -> Any:
    def zero(self: Tensor) -> Tensor:
        try:
            result: Tensor = original(self)
        except RuntimeError as error:
            raise RuntimeError(str(error).replace("is being", "has been")) from None
        return result

    return zero


def _never_fast(original: Any) -> Any:
    def forward(self: Any, *arguments: Any, **keywords: Any) -> Tensor:
        enabled = torch.is_grad_enabled()
        with torch.enable_grad():
            result: Tensor = original(self, *arguments, **keywords)
        return result if enabled else result.detach()

    return forward


def _leaves_frozen_alone(original: Any) -> Any:
    def half(self: Any) -> Any:
        result = original(self)
        for parameter in self.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.float()
        return result

    return half


def _requires_grad(self: Tensor) -> bool:
    return self.requires_grad


SABOTEURS = (
    Saboteur(
        "detached-keeps-graph", "a detached tensor keeps the graph of its original alive",
        ("detach.after-recording:method",), "saved tensors are held",
        replacing(Tensor, "detach", _remembers_origin),
    ),
    Saboteur(
        "leaf-error-too-late", "zero_ of a leaf says that it has been used, as torch 1 did",
        ("in-place.leaf-message:zero_",), "another message",
        replacing(Tensor, "zero_", _says_has_been),
    ),
    Saboteur(
        "encoder-never-fast", "an encoder goes the same way under no_grad as elsewhere",
        ("grad-mode.fast-path:no_grad",), "result unrecorded",
        replacing(torch.nn.TransformerEncoder, "forward", _never_fast),
    ),
    Saboteur(
        "half-spares-frozen", "half leaves parameters that do not require grad as they are",
        ("module.converted:half",), "frozen",
        replacing(torch.nn.Module, "half", _leaves_frozen_alone),
    ),
    Saboteur(
        "cpu-copies-leaves", "cpu copies a tensor that requires grad",
        ("interop.detached-array",), "memory by",
        when(Tensor, "cpu", _requires_grad, lambda result: result.clone()),
    ),
)  # fmt: skip
