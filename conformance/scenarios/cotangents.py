"""Steps that laws about gradients share: leaves, cotangents, bounds for what rounds."""

from __future__ import annotations

import numpy as np
import torch

from conformance.compare import Array, to_numpy


def leaf_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a leaf that requires grad and views the tensor's memory, in the same layout."""
    return tensor.detach().requires_grad_()


def uneven(result: torch.Tensor) -> torch.Tensor:
    """Return a cotangent of the result's shape: quarters between -3/4 and 3/4, seven in turn."""
    turns = torch.arange(result.numel(), device=result.device) % 7 - 3
    return (turns / 4).reshape(result.shape).to(result.dtype)


def kept(cotangent: torch.Tensor, shape: torch.Size, dims: tuple[int, ...]) -> Array:
    """Return a reduction's cotangent in float64, the reduced dimensions kept as sides of 1."""
    gone = {dim % len(shape) for dim in dims}
    sides = tuple(1 if dim in gone else side for dim, side in enumerate(shape))
    return to_numpy(cotangent).astype(np.float64).reshape(sides)


def rounded(expected: Array, dtype: torch.dtype, times: int) -> Array:
    """Return the bound for values that are rounded so many times in a dtype."""
    bound: Array = times * torch.finfo(dtype).eps * np.abs(expected)
    return bound
