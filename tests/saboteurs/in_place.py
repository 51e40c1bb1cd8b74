"""Faults in in-place operations on leaves and results, by their spelling."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _masks_written_anyway(original: Any) -> Any:
    def write(self: Tensor, index: Any, value: Any) -> None:
        anyway = isinstance(index, Tensor) and index.dtype == torch.bool and self.is_leaf
        with torch.set_grad_enabled(torch.is_grad_enabled() and not anyway):
            original(self, index, value)

    return write


def _first_written_before_raising(original: Any) -> Any:
    def negate(tensors: Any) -> Any:
        if torch.is_grad_enabled() and any(t.requires_grad and t.is_leaf for t in tensors[1:]):
            tensors[0].neg_()
        return original(tensors)

    return negate


def _shape_of_a_leaf(original: Any) -> Any:
    def unsqueeze(self: Tensor, dim: int) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_leaf):
            result: Tensor = original(self, dim)
            return result

    return unsqueeze


def _drops_grad(original: Any) -> Any:
    def copy(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(self, *arguments, **keywords)
        if self.is_leaf and self.requires_grad:
            self.grad = None
        return result

    return copy


def _end_is_constant(original: Any) -> Any:
    return lambda self, end, weight: original(self, end.detach(), weight)


def _second_source_is_constant(original: Any) -> Any:
    def add(self: Tensor, dim: int, index: Tensor, source: Tensor, **keywords: Any) -> Tensor:
        result: Tensor = original(
            self, dim, index, source.detach() if self._version else source, **keywords
        )
        return result

    return add


def _out_without_grad(original: Any) -> Any:
    def call(*arguments: Any, **keywords: Any) -> Any:
        with torch.set_grad_enabled(torch.is_grad_enabled() and "out" not in keywords):
            return original(*arguments, **keywords)

    return call


def _tanh_by_exponentials(original: Any) -> Any:
    return lambda self: 1 - 2 / ((2 * self).exp() + 1) if self.requires_grad else original(self)


def _new_leaf_at_second_step(original: Any) -> Any:
    def subtract(self: Tensor, other: Any) -> Tensor:
        if self.is_leaf and self.requires_grad and self._version:
            return (self - other).requires_grad_()
        result: Tensor = original(self, other)
        return result

    return subtract


def _copy_of_views(original: Any) -> Any:
    """Save a copy of both operands where the first is a view."""
    return lambda self, other: original(self.clone() if self._is_view() else self, other.clone())


def _copy_of_first(original: Any) -> Any:
    """Save a copy of the first operand where it is a view."""
    return lambda self, other: original(self.clone() if self._is_view() else self, other)


SABOTEURS = (
    Saboteur(
        "mask-writes-to-leaf", "x[mask] = number goes through on a leaf that requires grad",
        ("in-place.leaf-rejected:setitem-mask",), "raised nothing",
        replacing(Tensor, "__setitem__", _masks_written_anyway),
    ),
    Saboteur(
        "foreach-writes-before-it-raises", "a foreach write changes the tensors before the leaf",
        ("in-place.leaf-rejected:foreach_neg_",), "was modified",
        replacing(torch, "_foreach_neg_", _first_written_before_raising),
    ),
    Saboteur(
        "leaf-unsqueezed-in-place", "unsqueeze_ goes through on a leaf that requires grad",
        ("in-place.leaf-rejected:unsqueeze_",), "raised nothing",
        replacing(Tensor, "unsqueeze_", _shape_of_a_leaf),
    ),
    Saboteur(
        "copy-drops-grad", "copy_ to a leaf drops its .grad",
        ("in-place.leaf-written:copy_",), "the same .grad",
        replacing(Tensor, "copy_", _drops_grad),
    ),
    Saboteur(
        "lerp-end-is-constant", "lerp_ gives its end no gradient",
        ("in-place.gradient:lerp_",), "grad", replacing(Tensor, "lerp_", _end_is_constant),
    ),
    Saboteur(
        "second-index-add-is-constant", "index_add_ gives its source no gradient the second time",
        ("in-place.gradient:index_add_",), "grad",
        replacing(Tensor, "index_add_", _second_source_is_constant),
    ),
    Saboteur(
        "cumsum-out-detaches", "cumsum with out= is computed without grad, silently",
        ("in-place.out-rejected:cumsum",), "raised nothing",
        replacing(torch, "cumsum", _out_without_grad),
    ),
    Saboteur(
        "tanh-saves-no-result", "tanh does not save what it returns: writes to it go unnoticed",
        ("in-place.saved-or-not:tanh",), "raised nothing",
        replacing(Tensor, "tanh", _tanh_by_exponentials),
    ),
    Saboteur(
        "second-update-makes-a-leaf", "the second -= under no_grad makes another leaf",
        ("in-place.update-loop",), "same memory",
        replacing(Tensor, "__isub__", _new_leaf_at_second_step),
    ),
    Saboteur(
        "matmul-copies-views", "matmul saves copies of views: writes to them go unnoticed",
        ("in-place.saved-or-not:matmul",), "raised nothing",
        replacing(Tensor, "__matmul__", _copy_of_views),
    ),
    Saboteur(
        "matmul-copies-first", "matmul saves a copy of the first operand where it is a view",
        ("in-place.saved-or-not:matmul-first",), "raised nothing",
        replacing(Tensor, "__matmul__", _copy_of_first),
    ),
)  # fmt: skip
