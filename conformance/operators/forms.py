"""Forms of a call: other spellings and memory of its arguments, and destinations to write to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from conformance import compare
from conformance.evidence import tensors_in
from conformance.operators.judge import evaluated, expected, result_dtypes
from conformance.operators.operator import Call, Operator, replaced
from conformance.operators.results import category_of
from strategies.devices import lacks
from strategies.layouts import LAYOUTS
from strategies.storages import elements_stored, whole_storage
from strategies.tensors import layout_of

Array = npt.NDArray[Any]

LAYOUTS_TRIED = ("contiguous", "transposed", "offset", "stepped", "channels-last")
OTHER_DTYPES = (torch.float64, torch.float32, torch.complex128, torch.int64, torch.bool)


def spoken(case: Operator, call: Call) -> dict[str, str | Callable[..., Any]]:
    """Return, by name, what can say a call: a method needs a tensor, a sign no keywords."""
    is_method = isinstance(call.arguments[0], torch.Tensor)
    return {
        name: spelling
        for name, spelling in ((getattr(s, "__name__", str(s)), s) for s in case.spellings)
        if (is_method or not name.startswith("Tensor."))
        and not (call.keywords and name.endswith("__"))
    }


def laid_out(call: Call, layout: str) -> Call:
    """Return the call with its tensors copied to another layout, where their rank allows it."""
    laid: Call = replaced(call, (_in_layout(tensor, layout) for tensor in tensors_in(call)))
    return laid


def _in_layout(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    shape = tuple(tensor.shape)
    entry = LAYOUTS[layout if len(shape) >= LAYOUTS[layout].least_rank else "contiguous"]
    stride, offset, length = entry.geometry(shape)
    memory = torch.zeros(length, dtype=tensor.dtype, device=tensor.device)
    return memory.as_strided(shape, stride, offset).copy_(tensor)


def results_of(case: Operator, call: Call) -> tuple[list[tuple[int, ...]], list[torch.dtype]]:
    """Return shape and dtype of each result."""
    wanted = expected(case, call)
    return [value.shape for value in wanted], result_dtypes(case, call, len(wanted))


def with_self(call: Call, tensor: torch.Tensor) -> Call:
    """Return the call with another first argument."""
    return Call((tensor, *call.arguments[1:]), call.keywords)


def writable(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor itself if it has the shape and memory for each element, else a copy."""
    if tuple(tensor.shape) == shape and layout_of(tensor) not in ("expanded", "overlapping"):
        return tensor
    return tensor.expand(shape).clone(memory_format=torch.contiguous_format)


def around(tensor: torch.Tensor) -> list[Any]:
    """Return what lies in a tensor's storage outside of the tensor, bit by bit."""
    if lacks("storage"):
        return []
    whole = whole_storage(tensor, torch.uint8).cpu().numpy()
    size = tensor.element_size()
    places = np.arange(elements_stored(tensor))
    seen = (
        torch.as_strided(
            torch.from_numpy(places), tensor.shape, tensor.stride(), tensor.storage_offset()
        )
        if places.size
        else torch.zeros(0, dtype=torch.int64)
    )
    hidden = np.setdiff1d(places, seen.numpy())
    kept: list[Any] = whole.reshape(-1, size)[hidden].tolist()
    return kept


def can_hold(destination: torch.dtype, result: torch.dtype) -> bool:
    """Whether a result may be cast to a dtype: boolean < integral < floating < complex.

    https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    return category_of(destination) >= category_of(result)


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a tensor without elements, for out= to resize."""
    return torch.empty(0, dtype=dtype, device=device)


def filled(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a contiguous tensor of ones, for out= to overwrite."""
    return torch.full(shape, 1, dtype=dtype, device=device)


def stepped(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return every second element of a column-major tensor, for out= to keep to."""
    memory = torch.full((*shape[::-1], 2), 1, dtype=dtype, device=device)
    return memory[..., 1].permute(tuple(range(len(shape) - 1, -1, -1)))


OUT_FORMS = (empty, filled, stepped)


def places(case: Operator, call: Call) -> list[Array]:
    """Return, for each result of a view, the number of the base's element at each place."""
    base = call.arguments[0]
    numbers = np.arange(base.numel()).reshape(tuple(base.shape))
    others = [compare.to_numpy(t) for t in tensors_in(call.arguments[1:])]
    return evaluated(case.reference, call, [numbers, *others])


def counted(tensor: torch.Tensor) -> torch.Tensor:
    """Return small distinct numbers, none of them 0, in a tensor's shape, for writing to it."""
    numbers = torch.arange(1, tensor.numel() + 1, device=tensor.device)
    return numbers.reshape(tensor.shape).to(tensor.dtype)
