"""Faults in version counters: writes that are not counted, reads that are."""

from __future__ import annotations

import re
from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _uncounted_without_grad(original: Any) -> Any:
    def fill(self: Tensor, *arguments: Any) -> Tensor:
        original(self if torch.is_grad_enabled() else self.data, *arguments)
        return self

    return fill


def _nothing_is_not_written(original: Any) -> Any:
    def write(self: Tensor, index: Any, value: Any) -> None:
        if self[index].numel():
            original(self, index, value)

    return write


def _counts_sorting(original: Any) -> Any:
    def sort(self: Tensor, *arguments: Any, **keywords: Any) -> Any:
        torch.autograd.graph.increment_version(self.detach())
        return original(self, *arguments, **keywords)

    return sort


def _first_of_list(original: Any) -> Any:
    return lambda given: original(given if isinstance(given, Tensor) else list(given)[:1])


def _uncounted_foreach(original: Any) -> Any:
    return lambda tensors, *rest, **keywords: original([t.data for t in tensors], *rest, **keywords)


def _by_one_is_no_write(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        return self if isinstance(other, float) and other == 1.0 else original(self, other)

    return multiply


def _expected_version_is_zero(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        try:
            original(self, *arguments, **keywords)
        except RuntimeError as error:
            text = re.sub(r"expected version \d+", "expected version 0", str(error))
            raise RuntimeError(text) from error

    return backward


SABOTEURS = (
    Saboteur(
        "index-fill-uncounted-without-grad", "index_fill_ under no_grad is not counted",
        ("version-counter.every-write:index_fill_",), "version increased",
        replacing(Tensor, "index_fill_", _uncounted_without_grad),
    ),
    Saboteur(
        "empty-write-uncounted", "[] writing to nothing does not count as a write",
        ("version-counter.every-write:setitem-nothing",), "version increased",
        replacing(Tensor, "__setitem__", _nothing_is_not_written),
    ),
    Saboteur(
        "sorting-counts", "sort counts as a write to its input",
        ("version-counter.reading:sort",), "versions of x",
        replacing(Tensor, "sort", _counts_sorting),
    ),
    Saboteur(
        "increment-first-only", "increment_version increments the first tensor of a list",
        ("version-counter.increment-version",), "version of tensor",
        replacing(torch.autograd.graph, "increment_version", _first_of_list),
    ),
    Saboteur(
        "foreach-updates-uncounted", "_foreach_add_ does not count as a write",
        ("version-counter.updated-leaf:SGD-foreach",), "raised nothing",
        replacing(torch, "_foreach_add_", _uncounted_foreach),
    ),
    Saboteur(
        "times-one-uncounted", "mul_ by 1.0 does not count as a write",
        ("version-counter.between-passes",), "raised nothing",
        replacing(Tensor, "mul_", _by_one_is_no_write),
    ),
    Saboteur(
        "negation-counts-twice", "neg_ counts two versions",
        ("operators.in-place-version:neg",), "versions counted",
        replacing(Tensor, "neg_", lambda original: lambda x: original(original(original(x)))),
    ),
    Saboteur(
        "expected-version-zero", "the error always says that version 0 was expected",
        ("version-counter.message",), "another message",
        replacing(Tensor, "backward", _expected_version_is_zero),
    ),
)  # fmt: skip
