"""Faults in what a view is as an object, in its sizes, and in the names of view and reshape."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _same_object(original: Any) -> Any:
    def view_as(self: Tensor, other: Tensor) -> Tensor:
        return self if other is self else original(self, other)

    return view_as


def _densified(found: Tensor) -> Tensor:
    return found.to_sparse() if found.dim() == 3 else found


def _counts_sides(self: Tensor) -> int:
    return len({*self.shape, self.dim()})


def _copied_apart(original: Any) -> Any:
    """deepcopy of a view that starts further in its storage copies that storage anew."""

    def deepcopy(self: Tensor, memo: Any) -> Tensor:
        made: Tensor = original(self, {} if self.storage_offset() else memo)
        memo[id(self)] = made
        return made

    return deepcopy


def _bits_copied(original: Any) -> Any:
    """Of two complex tensors, one conjugated lazily, the memory is copied as it is."""

    def copy(self: Tensor, source: Tensor) -> Tensor:
        differ = self.is_complex() and source.is_complex() and self.is_conj() != source.is_conj()
        result: Tensor = original(self, source.conj() if differ else source)
        return result

    return copy


def _bits_viewed(original: Any) -> Any:
    def view(self: Tensor, *shape: Any) -> Tensor:
        lazy = self.is_complex() and self.is_conj() and isinstance(shape[0], torch.dtype)
        result: Tensor = original(self.conj() if lazy else self, *shape)
        return result

    return view


SABOTEURS = (
    Saboteur(
        "lazy-bits-copied", "copy_ into a conjugated view copies the memory as it is",
        ("views.lazy-written:conjugated", "views.lazy-written:conjugated-turned"), "view",
        replacing(Tensor, "copy_", _bits_copied),
    ),
    Saboteur(
        "lazy-bits-viewed", "view of a conjugated tensor as real numbers shows its memory",
        ("views.lazy-not-reinterpreted:view",), "raised nothing",
        replacing(Tensor, "view", _bits_viewed),
    ),
    Saboteur(
        "view-as-self", "view_as of a tensor itself returns it",
        ("views.objects:view_as",), "is its base", replacing(Tensor, "view_as", _same_object),
    ),
    Saboteur(
        "contiguous-sparse", "contiguous of three dimensions is sparse",
        ("views.layout",), "layout", after(Tensor, "contiguous", _densified),
    ),
    Saboteur(
        "numel-of-nothing", "numel of a tensor without elements is 1",
        ("views.sizes",), "numel", after(torch, "numel", lambda count: count or 1),
    ),
    Saboteur(
        "reshape-copies", "reshape of two dimensions copies as a function",
        ("views.method-only",), "shares storage",
        when(torch, "reshape", lambda x, shape: len(shape) == 2, lambda found: found.clone()),
    ),
    Saboteur(
        "deepcopy-apart", "deepcopy of a view within its storage separates it from its base",
        ("views.copied-together",), "shares",
        replacing(Tensor, "__deepcopy__", _copied_apart),
    ),
)  # fmt: skip
