"""The inputs of a law as a whole: moved to a device without values, or laid out anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from conformance.compare import to_numpy
from conformance.evidence import remember


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return a nest of tuples, lists, mappings and dataclasses with each tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple):
        parts = [mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [mapped(part, change) for part in value]
    if isinstance(value, dict):
        return {key: mapped(part, change) for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return replace(value, **{name: mapped(part, change) for name, part in own.items()})
    return value


def without_values(value: Any, device: torch.device) -> Any:
    """Return inputs on a device without values, or as fake ones, as they lay in memory.

    They are drawn on the CPU, since a law's reference needs their values: each tensor remembers
    those that were drawn for it.
    """
    return mapped(value, lambda tensor: _bare(tensor, device))


def _bare(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    with unset_fake_temporarily():
        if tensor.layout != torch.strided:
            if device.type != "meta":
                raise NotImplementedError(f"fake tensors of layout {tensor.layout}")
            return tensor.to(device)
        conjugated, negated = tensor.is_conj(), tensor.is_neg()
        plain = tensor.detach()
        plain = plain.conj() if conjugated else plain
        plain = torch._neg_view(plain) if negated else plain
        drawn = to_numpy(tensor)
    length = plain.untyped_storage().nbytes() // plain.element_size()
    memory = torch.empty(length, dtype=plain.dtype, device=device)
    twin = memory.as_strided(plain.shape, plain.stride(), plain.storage_offset())
    twin = twin.conj() if conjugated else twin
    twin = torch._neg_view(twin) if negated else twin
    twin = twin.detach().requires_grad_(tensor.requires_grad)
    remember(twin, drawn)
    return twin


def in_rows(value: Any) -> tuple[Any, bool]:
    """Return inputs with the same values in row-major memory, and whether that changes any."""
    changed = False

    def lay_out(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal changed
        if tensor.layout != torch.strided:
            return tensor
        strange = not tensor.is_contiguous() or tensor.storage_offset() or tensor.is_conj()
        if not strange and not tensor.is_neg():
            return tensor
        changed = True
        copied = tensor.detach().resolve_conj().resolve_neg()
        copied = copied.clone(memory_format=torch.contiguous_format)
        return copied.requires_grad_(tensor.requires_grad)

    return mapped(value, lay_out), changed
