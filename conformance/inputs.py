"""The inputs of a law as a whole: moved to a device without values, or laid out anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

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


def without_values(value: Any) -> Any:
    """Return inputs on meta, with their strides and offsets.

    They are drawn on the CPU, since a law's reference needs their values: each tensor remembers
    those that were drawn for it.
    """
    return mapped(value, _on_meta)


def _on_meta(tensor: torch.Tensor) -> Any:
    if tensor.layout != torch.strided:
        return tensor.to("meta")
    if tensor.is_conj():
        twin = _on_meta(tensor.detach().conj()).conj()
    elif tensor.is_neg():
        twin = _on_meta(tensor.detach()._neg_view())._neg_view()
    else:
        length = tensor.untyped_storage().nbytes() // tensor.element_size()
        memory = torch.empty(length, dtype=tensor.dtype, device="meta")
        twin = memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    twin = twin.detach().requires_grad_(tensor.requires_grad)
    remember(twin, tensor)
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
