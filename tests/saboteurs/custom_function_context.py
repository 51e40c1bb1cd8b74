"""Faults in the context of custom Functions: saved tensors and marks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd.function import BackwardCFunction, FunctionCtx

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
_SAVED: Any = torch._C._FunctionBase.saved_tensors


def _saving(change: Any) -> Patch:
    """Patch save_for_backward so that it saves ``change(tensors)``."""

    def make(original: Any) -> Any:
        return lambda self, *tensors: original(self, *change(tensors))

    return replacing(FunctionCtx, "save_for_backward", make)


def _without_none(tensors: Any) -> Any:
    return tuple(tensor for tensor in tensors if tensor is not None)


def _copies(tensors: Any) -> Any:
    return tuple(t.clone() if isinstance(t, Tensor) else t for t in tensors)


def _saved_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors are kept on the context, where no saved_tensors_hooks see them."""

    def save(self: Any, *tensors: Any) -> None:
        self.kept_aside = tensors

    monkeypatch.setattr(FunctionCtx, "save_for_backward", save)
    read = property(lambda self: self.kept_aside)
    monkeypatch.setattr(BackwardCFunction, "saved_tensors", read, raising=False)


def _tensors_only(name: str) -> Patch:
    def make(original: Any) -> Any:
        return lambda self, *marked: original(self, *(t for t in marked if isinstance(t, Tensor)))

    return replacing(FunctionCtx, name, make)


def _shared_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    last: list[Any] = [None]

    def write(self: Any, value: Any) -> None:
        last[0] = value

    shared = property(lambda self: last[0], write)
    monkeypatch.setattr(BackwardCFunction, "factor", shared, raising=False)


def _leaves_unmarked(original: Any) -> Any:
    def mark(self: Any, *tensors: Tensor) -> None:
        original(self, *(t for t in tensors if not (t.is_leaf and t.requires_grad)))

    return mark


def _does_nothing(original: Any) -> Any:
    return lambda self, *tensors: None


def _inputs_themselves(original: Any) -> Any:
    """Of several results, one that is an input is that very tensor."""

    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        results = original.__func__(cls, *arguments, **keywords)
        if not isinstance(results, tuple):
            return results
        inputs = {id(given): given for given in arguments if isinstance(given, Tensor)}
        bases = [result._base for result in results]
        return tuple(
            inputs[id(base)] if id(base) in inputs and base.shape == result.shape else result
            for result, base in zip(results, bases, strict=True)
        )

    return classmethod(apply)


def _copied_views(original: Any) -> Any:
    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original.__func__(cls, *arguments, **keywords)
        viewed = isinstance(result, Tensor) and result._is_view()
        return result.clone() if viewed else result

    return classmethod(apply)


SABOTEURS = (
    Saboteur(
        "saved-none-dropped", "None is not among the saved tensors",
        ("custom-function.saved-kinds:input",), "values to unpack", _saving(_without_none),
    ),
    Saboteur(
        "saved-as-copies", "save_for_backward saves copies, which nobody modifies",
        (
            "custom-function.saved-modified:input",
            "custom-function.saved-modified:view-of-the-input",
        ),
        "raised nothing", _saving(_copies),
    ),
    Saboteur(
        "saved-aside", "saved tensors don't go through saved_tensors_hooks",
        ("custom-function.saved-hooks",), "hooks called", _saved_aside,
    ),
    Saboteur(
        "numbers-marked-dirty", "mark_dirty ignores what is no tensor",
        ("custom-function.misuse:dirty",), "raised nothing", _tensors_only("mark_dirty"),
    ),
    Saboteur(
        "numbers-not-differentiable", "mark_non_differentiable ignores what is no tensor",
        ("custom-function.misuse:not-differentiable",), "raised nothing",
        _tensors_only("mark_non_differentiable"),
    ),
    Saboteur(
        "contexts-share-attributes", "the newest context's attribute is every context's",
        ("custom-function.own-context",), "grad of leaf", _shared_attribute,
    ),
    Saboteur(
        "dirty-ignored", "mark_dirty does nothing",
        ("custom-function.mark-dirty",), "the same tensor",
        replacing(FunctionCtx, "mark_dirty", _does_nothing),
    ),
    Saboteur(
        "dirty-leaves-ignored", "mark_dirty leaves out leaves that require grad",
        ("custom-function.mark-dirty-leaf",), "raised nothing",
        replacing(FunctionCtx, "mark_dirty", _leaves_unmarked),
    ),
    Saboteur(
        "non-differentiable-ignored", "mark_non_differentiable does nothing",
        ("custom-function.non-differentiable",), "requires_grad of the outputs",
        replacing(FunctionCtx, "mark_non_differentiable", _does_nothing),
    ),
    Saboteur(
        "once-is-more", "once_differentiable does nothing",
        ("custom-function.once-differentiable:that-requires-grad",), "raised nothing",
        replacing(torch.autograd.function, "once_differentiable", lambda original: lambda f: f),
    ),
    Saboteur(
        "returned-input-copied", "a Function that returns a view of its input returns a copy",
        ("custom-function.returns-input",), "a view",
        replacing(torch.autograd.Function, "apply", _copied_views),
    ),
    Saboteur(
        "returned-input-itself", "a Function gives an input that it returns beside others as it is",
        ("custom-function.returns-input",), "a view",
        replacing(torch.autograd.Function, "apply", _inputs_themselves),
    ),
    Saboteur(
        "first-mark-alone", "mark_non_differentiable heeds the first of its arguments alone",
        ("custom-function.non-differentiable",), "requires_grad of the outputs",
        replacing(FunctionCtx, "mark_non_differentiable",
                  lambda original: lambda self, *outputs: original(self, *outputs[:1])),
    ),
)  # fmt: skip
