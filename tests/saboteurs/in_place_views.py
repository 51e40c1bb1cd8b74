"""Faults in writes through views: histories, versions, and the writes that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _unrecorded_in_views_without_dimensions(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        if self._is_view() and self.dim() == 0:
            original(self.data, other)
            return self
        result: Tensor = original(self, other)
        return result

    return multiply


def _uncounted_in_views(original: Any) -> Any:
    def subtract(self: Tensor, other: Any) -> Tensor:
        original(self.data if self._is_view() else self, other)
        return self

    return subtract


def _constant_for_plain_bases(original: Any) -> Any:
    def write(self: Tensor, index: Any, value: Any) -> None:
        joins = isinstance(value, Tensor) and self._is_view() and not self.requires_grad
        original(self, index, value.detach() if joins else value)

    return write


def _numbers_are_constants(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        constant = isinstance(other, Tensor) and other.dim() == 0 and not self.requires_grad
        result: Tensor = original(self, other.detach() if constant else other)
        return result

    return multiply


def _products_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = torch.autograd.graph._CloneArgBeforeMutateMode
    watch = mode.__torch_dispatch__

    def dispatch(self: Any, function: Any, *rest: Any, **keywords: Any) -> Any:
        if function is torch.ops.aten.mul_.Tensor:
            arguments = rest[1] if len(rest) > 1 else ()
            return function(*arguments, **(rest[2] if len(rest) > 2 else {}))
        return watch(self, function, *rest, **keywords)

    monkeypatch.setattr(mode, "__torch_dispatch__", dispatch)


def _strided_unwritten_without_grad(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        if not torch.is_grad_enabled() and not self.is_contiguous():
            return self
        result: Tensor = original(self, other)
        return result

    return multiply


def _unbinds_by_selecting(original: Any) -> Any:
    return lambda self, dim=0: tuple(self.select(dim, i) for i in range(self.shape[dim]))


def _out_is_no_write(original: Any) -> Any:
    """What out= overwrites is not kept for the backward pass."""

    def dispatch(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "out" in (kwargs or {}):
            return func(*args, **kwargs)
        return original(self, func, types, args, kwargs)

    return dispatch


SABOTEURS = (
    Saboteur(
        "out-unnoticed", "allow_mutation_on_saved_tensors does not see what out= overwrites",
        ("in-place.mutation-without-record:out",), "gradient",
        replacing(
            torch.autograd.graph._CloneArgBeforeMutateMode, "__torch_dispatch__", _out_is_no_write
        ),
    ),
    Saboteur(
        "writes-to-elements-unrecorded", "*= of a view without dimensions is not recorded",
        ("in-place.view-programs",), "grad",
        replacing(Tensor, "__imul__", _unrecorded_in_views_without_dimensions),
    ),
    Saboteur(
        "writes-to-views-uncounted", "-= of a view does not count as a write",
        ("in-place.modified-since",), "raised nothing",
        replacing(Tensor, "__isub__", _uncounted_in_views),
    ),
    Saboteur(
        "plain-base-does-not-join", "[] writing to a view of a plain base gives no gradient",
        ("in-place.base-joins",), "", replacing(Tensor, "__setitem__", _constant_for_plain_bases),
    ),
    Saboteur(
        "factor-of-plain-base-constant", "*= of a plain tensor gives a single number no gradient",
        ("in-place.joined-view-written",), "does not require grad",
        replacing(Tensor, "__imul__", _numbers_are_constants),
    ),
    Saboteur(
        "multiplied-over-saved", "allow_mutation_on_saved_tensors does not see mul_",
        ("in-place.mutation-allowed:from-start",), "grad", _products_are_not_watched,
    ),
    Saboteur(
        "strided-views-unwritten", "mul_ under no_grad leaves strided views as they were",
        ("in-place.hidden-by-no-grad",), "base",
        replacing(Tensor, "mul_", _strided_unwritten_without_grad),
    ),
    Saboteur(
        "unbound-rows-written", "what unbind returns may be written to",
        ("in-place.multi-output-views:unbind",), "raised nothing",
        replacing(Tensor, "unbind", _unbinds_by_selecting),
    ),
    Saboteur(
        "multiplied-over-saved-view", "allow_mutation_on_saved_tensors sees no mul_ of a view",
        ("in-place.mutation-allowed:any-view",), "grad", _products_are_not_watched,
    ),
)  # fmt: skip
