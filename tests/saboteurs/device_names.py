"""Faults in devices by name, and in what refuses tensors of two devices."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _forgets_index(original: Any) -> Any:
    def device(type: Any, index: Any = None) -> Any:
        text = type if isinstance(type, str) else ""
        kind = text.removesuffix(":12") or type
        return original(kind) if index is None else original(kind, index)

    return device


def _first_alone(tensors: list[Tensor]) -> Tensor:
    return tensors[0].clone()


def _number_first(a: Tensor, b: Tensor) -> bool:
    return a.dim() == 0 and b.is_meta


def _on_cpu(result: Tensor) -> Tensor:
    return torch.empty(result.shape, dtype=result.dtype)


def _zero(x: Any) -> Tensor:
    return torch.zeros(1)


def _converts_numbers_in_place(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(self, *arguments, **keywords)
        if self.dim() == 0 and result.dtype == torch.float64 and not result.is_meta:
            self.data = result.detach()
        return result

    return to


SABOTEURS = (
    Saboteur(
        "device-forgets-index", "a device of index 12 has no index",
        ("devices.repr",), "repr", replacing(torch, "device", _forgets_index),
    ),
    Saboteur(
        "cat-across-devices", "cat of tensors on two devices is the first of them",
        ("devices.mixed:cat",), "raised nothing",
        accepting(torch, "cat", RuntimeError, _first_alone),
    ),
    Saboteur(
        "number-takes-tensor-along", "a number from the CPU takes the product to the CPU",
        ("devices.number-from-cpu:mul",), "device, shape and dtype",
        when(torch, "mul", _number_first, _on_cpu),
    ),
    Saboteur(
        "relu-of-anything", "relu of what is no tensor is zero",
        ("devices.not-a-tensor:relu",), "raised nothing",
        accepting(torch, "relu", TypeError, _zero),
    ),
    Saboteur(
        "to-in-place", "a conversion to float64 of a tensor of rank 0 changes the tensor itself",
        ("devices.original-stays:dtype",), "dtype, device, memory",
        replacing(Tensor, "to", _converts_numbers_in_place),
    ),
    Saboteur(
        "short-tensor-is-int", "torch.ShortTensor is the class of int32",
        ("devices.type-classes:int16",), "names",
        replacing(torch, "ShortTensor", lambda original: torch.IntTensor),
    ),
)  # fmt: skip
