"""Calls for transformed operators: a batch of calls for vmap, a call without data for meta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from conformance.evidence import tensors_in
from conformance.operators.operator import Call, Operator, replaced

SIZE = 2


class Batch(NamedTuple):
    """A call, and where each of its tensors gets the batch's dimension: first, last, nowhere."""

    call: Call
    places: tuple[int | None, ...]


def element(batch: Batch, number: int) -> Call:
    """Return one call of the batch: tensors that have the dimension are reversed in the second.

    Reversed along all dimensions, so that positive definite matrices stay so.
    """
    tensors = zip(tensors_in(batch.call), batch.places, strict=True)
    chosen = [t if place is None else _variant(t, number) for t, place in tensors]
    call: Call = replaced(batch.call, iter(chosen))
    return call


def _variant(tensor: torch.Tensor, number: int) -> torch.Tensor:
    return tensor.flip(tuple(range(tensor.dim()))) if number else tensor


def function_of(
    run: Callable[..., Any], case: Operator, batch: Batch
) -> tuple[Callable[..., Any], list[torch.Tensor], tuple[int | None, ...]]:
    """Return the operator as a function of its tensors, those tensors as batches, and places."""

    def function(*tensors: torch.Tensor) -> Any:
        arguments, keywords = replaced(batch.call, iter(tensors))
        return run(case.name, *arguments, **keywords)

    stacked = [
        t if place is None else torch.stack([_variant(t, n) for n in range(SIZE)], dim=place)
        for t, place in zip(tensors_in(batch.call), batch.places, strict=True)
    ]
    return function, stacked, batch.places


def without_data(call: Call) -> Call:
    """Return the call with meta tensors of the same shapes, strides, dtypes and lazy bits."""
    without: Call = replaced(call, (_bare(tensor) for tensor in tensors_in(call)))
    return without


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    bare = bare.conj() if tensor.is_conj() else bare
    return torch._neg_view(bare) if tensor.is_neg() else bare


def lie_alike(call: Call) -> bool:
    """Whether the tensors of a call have the same shape and the same strides that matter."""
    return len({(tensor.shape, strides(tensor)) for tensor in tensors_in(call)}) == 1


def strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the strides that matter: those of sides longer than 1, where there are elements."""
    if not tensor.numel():
        return ()
    return tuple(s for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1)
