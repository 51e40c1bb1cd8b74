"""All the memory under a tensor, where the current target's device lets one see it.

A device without storages that tensors can be set to has tensors that are all of their memory, as
far as anyone can tell: what is read there is the tensor itself, in rows.
"""

from __future__ import annotations

import torch

from strategies.devices import lacks


def whole_storage(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a tensor's storage as a flat tensor, which shares it, of its dtype or another.

    Where the device has no storages, the values of the tensor.
    """
    if lacks("storage"):
        flat = tensor.detach().reshape(-1)
        return flat if dtype is None else flat.view(dtype)
    empty = torch.empty(0, dtype=dtype or tensor.dtype, device=tensor.device)
    return empty.set_(tensor.untyped_storage())


def elements_stored(tensor: torch.Tensor) -> int:
    """Return how many elements a tensor's storage has; those of the tensor, where it has none."""
    if lacks("storage"):
        return tensor.numel()
    return tensor.untyped_storage().nbytes() // tensor.element_size()
