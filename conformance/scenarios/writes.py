"""Every way to spell a write to a tensor, with the same write to a NumPy array.

A write is a statement in which ``x`` is written to, ``y`` is an operand of its shape, ``m`` a mask
of its shape and ``i`` the index 0 in a tensor. ``x`` has at least one dimension and one element.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]

WRITES: dict[str, tuple[str, str]] = {
    "add_": ("x.add_(1.5)", "x += 1.5"),
    "add_-tensor": ("x.add_(y, alpha=2)", "x += 2 * y"),
    "sub_": ("x.sub_(y)", "x -= y"),
    "mul_": ("x.mul_(y)", "x *= y"),
    "div_": ("x.div_(2.0)", "x /= 2.0"),
    "neg_": ("torch.neg_(x)", "x *= -1.0"),
    "square_": ("x.square_()", "x *= x"),
    "relu_": ("torch.nn.functional.relu(x, inplace=True)", "x *= x.real > 0"),
    "addcmul_": ("x.addcmul_(y, y, value=2)", "x += 2 * y * y"),
    "lerp_": ("x.lerp_(y, 0.5)", "x += 0.5 * (y - x)"),
    "fill_": ("x.fill_(1.5)", "x[...] = 1.5"),
    "zero_": ("x.zero_()", "x[...] = 0.0"),
    "copy_": ("x.copy_(y)", "x[...] = y"),
    "cumsum_": ("x.cumsum_(0)", "x[...] = np.cumsum(x, 0)"),
    "masked_fill_": ("x.masked_fill_(m, 1.5)", "x[m] = 1.5"),
    "masked_scatter_": ("x.masked_scatter_(m, y)", "x[m] = y.reshape(-1)[: m.sum()]"),
    "index_fill_": ("x.index_fill_(0, i, 1.5)", "x[0] = 1.5"),
    "index_add_": ("x.index_add_(0, i, y[:1], alpha=2)", "x[0] += 2 * y[0]"),
    "index_copy_": ("x.index_copy_(0, i, y[:1])", "x[0] = y[0]"),
    "index_put_": ("x.index_put_((i,), y[:1], accumulate=True)", "x[0] += y[0]"),
    "scatter_": ("x.scatter_(0, torch.zeros_like(m[:1], dtype=torch.int64), y[:1])", "x[0] = y[0]"),
    "put_": ("x.put_(i, y.reshape(-1)[:1])", "x.reshape(-1)[0] = y.reshape(-1)[0]"),
    "iadd": ("x += y", "x += y"),
    "isub": ("x -= 1.5", "x -= 1.5"),
    "imul": ("x *= y", "x *= y"),
    "itruediv": ("x /= -2.0", "x /= -2.0"),
    "setitem-int": ("x[0] = 1.5", "x[0] = 1.5"),
    "int-iadd": ("x[-1] += y[0]", "x[-1] += y[0]"),
    "setitem-slice": ("x[:1] = y[:1]", "x[:1] = y[:1]"),
    "slice-imul": ("x[::2] *= 2.0", "x[::2] *= 2.0"),
    "setitem-ellipsis": ("x[...] = y", "x[...] = y"),
    "setitem-none": ("x[None] = y", "x[...] = y"),
    "setitem-mask": ("x[m] = 1.5", "x[m] = 1.5"),
    "mask-imul": ("x[m] *= y[m]", "x[m] *= y[m]"),
    "setitem-tensor": ("x[i] = y[:1]", "x[0] = y[0]"),
    "list-iadd": ("x[[0]] += 1.5", "x[0] += 1.5"),
    "view-of-view": ("x[:1][0].mul_(2.0)", "x[0] *= 2.0"),
    "diagonal": ("x.unsqueeze(0).diagonal(0, 0, 1).add_(1.5)", "x[0] += 1.5"),
    "foreach_add_": ("torch._foreach_add_([x], 1.5)", "x += 1.5"),
    "foreach_mul_": ("torch._foreach_mul_([z, x], [z, y])", "x *= y"),
    "foreach_neg_": ("torch._foreach_neg_([z, x])", "x *= -1.0"),
}
"""Statement under torch, and the same under NumPy; ``z`` is one more tensor that is written to."""

RANDOM: dict[str, str] = {
    "normal_": "x.normal_()",
    "uniform_": "x.uniform_()",
    "random_": "x.random_(5)",
    "bernoulli_": "x.bernoulli_(0.5)",
    "exponential_": "x.exponential_()",
    "geometric_": "x.geometric_(0.5)",
    "cauchy_": "x.cauchy_()",
    "log_normal_": "x.log_normal_()",
}

WITHOUT_CHANGE: dict[str, str] = {
    "mul_-by-one": "x.mul_(1.0)",
    "iadd-zero": "x += 0.0",
    "copy_-equal": "x.copy_(x.clone())",
    "masked_fill_-none": "x.masked_fill_(m & ~m, 1.5)",
    "setitem-nothing": "x[:0] = 1.5",
    "index_fill_-nothing": "x.index_fill_(0, i[:0], 1.5)",
}
"""Writes that leave every value as it is."""


def operands(x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    """Return what the names of a write stand for."""
    mask = torch.arange(x.numel(), device=x.device).reshape(x.shape) % 2 == 0
    index = torch.zeros(1, dtype=torch.int64, device=x.device)
    return {"torch": torch, "x": x, "y": y, "z": y.detach().clone(), "m": mask, "i": index}


def write(statement: str, names: Mapping[str, Any]) -> None:
    """Execute a write."""
    exec(statement, dict(names))


def written(statement: str, x: Array, y: Array) -> Array:
    """Return what NumPy's statement makes of a copy of ``x``."""
    copy = np.array(np.broadcast_to(x, x.shape), dtype=np.result_type(x, y), order="C")
    mask = np.arange(x.size).reshape(x.shape) % 2 == 0
    exec(statement, {"np": np, "x": copy, "y": y, "m": mask})
    return copy
