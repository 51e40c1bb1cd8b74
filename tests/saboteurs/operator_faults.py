"""Ways to break an operator: in some of its calls, in its results, in its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing


class Scaled(torch.autograd.Function):
    """The identity, whose gradient and tangent are off by a part in a thousand."""

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> torch.Tensor:
        return cotangent * 1.001

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor) -> torch.Tensor:
        return tangent * 0.999


class InMemoryOrder(torch.autograd.Function):
    """A copy, whose gradient reads the cotangent's memory in its order, whatever the strides."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> torch.Tensor:
        if cotangent.is_contiguous() or 0 in cotangent.stride():
            return cotangent.clone()
        memory = torch.zeros(2 * cotangent.numel() + 1, dtype=cotangent.dtype)
        memory[: cotangent.numel()] = cotangent.flatten().flip(0)
        return memory[: cotangent.numel()].view(cotangent.shape)


def when(owner: Any, name: str, applies: Callable[..., Any], change: Callable[..., Any]) -> Patch:
    """Return the patch that calls ``change`` with the original first, where a call ``applies``."""

    def make(original: Any) -> Any:
        def changed(*arguments: Any, **keywords: Any) -> Any:
            if applies(*arguments, **keywords):
                return change(original, *arguments, **keywords)
            return original(*arguments, **keywords)

        return changed

    return replacing(owner, name, make)


def results(owner: Any, name: str, change: Callable[[Any], Any]) -> Patch:
    return replacing(owner, name, lambda original: lambda *a, **k: change(original(*a, **k)))


class Once(torch.autograd.Function):
    """The identity, whose gradient has no graph of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> torch.Tensor:
        return cotangent.detach()


def reading(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        getter = getattr(torch.Tensor, name).__get__
        monkeypatch.setattr(torch.Tensor, name, property(lambda x: change(getter(x))))

    return patch


def is_complex(x: torch.Tensor, *_: Any, **__: Any) -> bool:
    return x.is_complex()


def sizes_reversed(original: Any, x: Any, size: Any, dim: Any = 0) -> Any:
    return original(x, [*size][::-1], dim)


def multiplied(original: Any, x: torch.Tensor, *rest: Any, **keywords: Any) -> torch.Tensor:
    """A triangle by multiplication with ones and zeros."""
    return x * original(torch.ones_like(x), *rest, **keywords)


def out_replaced(original: Any) -> Any:
    def changed(tensors: Any, dim: int = 0, *, out: Any = None, **keywords: Any) -> torch.Tensor:
        if out is None:
            return original(tensors, dim, **keywords)
        result = original(tensors, dim)
        if out.shape != result.shape:
            return original(tensors, dim, out=out)
        if not out.is_contiguous():
            out.set_(result.clone())
        else:
            out.copy_(result)
        return out

    return changed


def uncounted(original: Any) -> Any:
    def changed(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        x.data = original(x.data, *rest)
        return x

    return changed


def fault(
    name: str, breaks: str, laws: str | tuple[str, ...], symptom: str, patch: Patch
) -> Saboteur:
    ids = (laws,) if isinstance(laws, str) else laws
    return Saboteur(name, breaks, tuple(f"operators.{law}" for law in ids), symptom, patch)


def owner_of(name: str) -> tuple[Any, str]:
    owner: Any = torch
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    return owner, last


def case(name: str, applies: Callable[..., Any], change: Callable[..., Any]) -> Patch:
    return when(*owner_of(name), applies, change)
