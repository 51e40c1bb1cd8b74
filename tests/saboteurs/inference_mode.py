"""Faults in inference mode: which tensors are inference tensors, and what they take part in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
_VERSION: Any = torch._C.TensorBase._version


def _outside(original: Any) -> Any:
    def call(*arguments: Any, **keywords: Any) -> Any:
        with torch.inference_mode(False):
            return original(*arguments, **keywords)

    return call


def _inside(condition: Any) -> Any:
    """Run the function in inference mode where the condition holds."""

    def make(original: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            with torch.inference_mode(condition(*arguments)):
                return original(*arguments, **keywords)

        return call

    return make


def _is_inference(tensor: Tensor, *_: Any) -> bool:
    return tensor.is_inference()


def _is_inference_under_no_grad(tensor: Tensor, *_: Any) -> bool:
    return tensor.is_inference() and not torch.is_grad_enabled()


def _detach_copies_inside(original: Any) -> Any:
    def detach(self: Tensor) -> Tensor:
        copies = torch.is_inference_mode_enabled() and not self.is_inference()
        return self.clone() if copies else original(self)

    return detach


def _detach_copies_outside(original: Any) -> Any:
    def detach(self: Tensor) -> Tensor:
        copies = self.is_inference() and not torch.is_inference_mode_enabled()
        return self.clone() if copies else original(self)

    return detach


def _counts_views(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(self: Tensor) -> int:
        if self.is_inference() and not torch.is_inference_mode_enabled():
            return 0
        found: int = _VERSION.__get__(self)
        return found

    monkeypatch.setattr(Tensor, "_version", property(version), raising=False)


def _clones_first_operand(original: Any) -> Any:
    def call(a: Tensor, b: Tensor) -> Tensor:
        return original(a.clone() if a.is_inference() else a, b)

    return call


def _forgets_requires_grad(original: Any) -> Any:
    def fill(self: Tensor, value: Any) -> Tensor:
        result: Tensor = original(self, value)
        if torch.is_inference_mode_enabled() and self.is_leaf:
            result.requires_grad_(False)
        return result

    return fill


def _uncounted_inside(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        if torch.is_inference_mode_enabled():
            original(self.data, other)
            return self
        result: Tensor = original(self, other)
        return result

    return multiply


def _written_under_no_grad(self: Tensor, other: Any) -> Tensor:
    with torch.no_grad():
        return torch.mul(self, other, out=self)


def _zero_tangent(original: Any) -> Any:
    def unpack(tensor: Tensor, **keywords: Any) -> Any:
        result = original(tensor, **keywords)
        if torch.is_inference_mode_enabled() and result.tangent is None:
            return type(result)(result.primal, torch.zeros_like(tensor))
        return result

    return unpack


def _off_without_grad(original: Any) -> Any:
    def enter(self: Any) -> None:
        switched = not self.mode and torch.is_inference_mode_enabled()
        original(self)
        if switched:
            torch._C._set_grad_enabled(False)

    return enter


def _ignored(self: Tensor, *_: Any) -> Tensor:
    return self


def _grad_mode_on(original: Any) -> Any:
    def leave(self: Any, *error: Any) -> None:
        original(self, *error)
        if not self.mode and torch.is_inference_mode_enabled():
            torch.set_grad_enabled(True)

    return leave


SABOTEURS = (
    Saboteur(
        "empty-like-is-normal", "torch.empty_like allocates a normal tensor in inference mode",
        ("inference-mode.allocated-inside:empty_like",), "is_inference inside",
        replacing(torch, "empty_like", _outside),
    ),
    Saboteur(
        "detach-copies-in-inference-mode", "detach of a normal tensor copies in inference mode",
        ("inference-mode.views",), "detached normal tensor",
        replacing(Tensor, "detach", _detach_copies_inside),
    ),
    Saboteur(
        "inference-tensors-have-a-version", "outside, the version of an inference tensor is 0",
        ("inference-mode.no-version",), "raised nothing", _counts_views,
    ),
    Saboteur(
        "inference-tensor-saved", "torch.maximum saves an inference tensor that comes first",
        ("inference-mode.saved-rejected:maximum",), "raised nothing",
        replacing(torch, "maximum", _clones_first_operand),
    ),
    Saboteur(
        "inference-is-infectious", "a product with an inference tensor is an inference tensor",
        ("inference-mode.functional-outside",), "result is normal",
        replacing(torch, "mul", _inside(_is_inference)),
    ),
    Saboteur(
        "inference-tensor-zeroed-under-no-grad", "zero_ on an inference tensor works under no_grad",
        ("inference-mode.write-rejected:zero_",), "raised nothing",
        replacing(Tensor, "zero_", _inside(_is_inference_under_no_grad)),
    ),
    Saboteur(
        "inference-tensor-filled", "fill_ on an inference tensor works everywhere",
        ("inference-mode.immutable:fill_",), "raised nothing",
        replacing(Tensor, "fill_", _inside(_is_inference)),
    ),
    Saboteur(
        "detached-inference-tensor-copied", "outside, detach of an inference tensor copies it",
        ("inference-mode.detached-outside",), "is_inference",
        replacing(Tensor, "detach", _detach_copies_outside),
    ),
    Saboteur(
        "inference-requires-grad-ignored", "requires_grad_ of an inference tensor does nothing",
        ("inference-mode.requires-grad-rejected",), "raised nothing",
        accepting(Tensor, "requires_grad_", RuntimeError, _ignored),
    ),
    Saboteur(
        "fill-inside-forgets-requires-grad", "fill_ of a leaf in inference mode drops its flag",
        ("inference-mode.normal-written-inside",), "flags of a leaf",
        replacing(Tensor, "fill_", _forgets_requires_grad),
    ),
    Saboteur(
        "write-inside-not-counted", "mul_ of a normal tensor in inference mode is not counted",
        ("inference-mode.saved-written-inside",), "raised nothing",
        replacing(Tensor, "mul_", _uncounted_inside),
    ),
    Saboteur(
        "view-from-inference-mode-written", "mul_ writes to views that inference mode made",
        ("inference-mode.view-written-outside",), "raised nothing",
        accepting(Tensor, "mul_", RuntimeError, _written_under_no_grad),
    ),
    Saboteur(
        "inference-mode-has-tangents", "in inference mode results have tangents of zeros",
        ("inference-mode.forward-mode",), "tangent inside",
        replacing(forward_ad, "unpack_dual", _zero_tangent),
    ),
    Saboteur(
        "inference-mode-off-without-grad", "inference_mode(False) leaves grad mode disabled",
        ("inference-mode.switched-off",), "does not require grad",
        replacing(torch.inference_mode, "__enter__", _off_without_grad),
    ),
    Saboteur(
        "inference-off-leaves-grad-mode", "after inference_mode(False) grad mode is on",
        ("inference-mode.switched-off",), "grad mode",
        replacing(torch.inference_mode, "__exit__", _grad_mode_on),
    ),
)  # fmt: skip
