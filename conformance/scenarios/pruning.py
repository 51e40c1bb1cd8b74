"""What laws about pruning share: a module with a weight to prune, and what pruning leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

from conformance import compare

SHAPES = st.sampled_from(((2, 3), (3, 2), (4, 1), (2, 2, 2), (3, 4)))


def host(
    shape: tuple[int, ...],
    seed: int,
    device: torch.device,
    dtype: torch.dtype = torch.float64,
) -> Any:
    """Return a module with a weight whose sizes are different powers of two, and a bias."""
    generator = torch.Generator().manual_seed(seed)
    count = math.prod(shape)
    order = torch.randperm(count, generator=generator)
    signs = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    module: Any = torch.nn.Module()
    weight = (signs * 2.0 ** (order.double() - 4)).reshape(shape)
    module.weight = torch.nn.Parameter(weight.to(device, dtype))
    module.bias = torch.nn.Parameter(torch.arange(1.0, 4.0, dtype=dtype, device=device))
    module.forward = lambda: module.weight
    return module


def check(module: Any, original: npt.NDArray[Any], mask: npt.NDArray[np.bool_], what: str) -> None:
    """Check the pruned weight, its mask and the original, and who holds them."""
    value, dtype = np.where(mask, original, 0.0), module.bias.dtype
    compare.equal(module.weight_mask, mask.astype(float), dtype=dtype, what=f"mask {what}")
    compare.equal(module.weight_orig, original, dtype=dtype, what=f"original {what}")
    compare.close(module.weight, value, bound=0.0, dtype=dtype, what=f"weight {what}")
    names = sorted(name for name, _ in module.named_parameters())
    compare.fact(names, ["bias", "weight_orig"], f"parameters {what}")
    compare.fact([n for n, _ in module.named_buffers()], ["weight_mask"], f"buffers {what}")
    compare.fact(sorted(module.state_dict()), ["bias", "weight_mask", "weight_orig"], "state")
