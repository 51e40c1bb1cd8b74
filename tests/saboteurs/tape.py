"""Faults in the rules of the tape: views, writes, versions, flags, detaching, modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.faults import Condition, accepting, not_after_exceptions, rewriting, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
GRADIENTS, PASSES, VIEWS = "tape.model:gradients", "tape.model:repeated-passes", "tape.model:views"
WRITES, VIEW_WRITES = "tape.model:writes", "tape.model:writes-through-views"
FLAGS, MODES, EVERYTHING = "tape.model:flags", "tape.model:modes", "tape.model:everything"


def is_view(tensor: Any, *_: Any, **__: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor._is_view()


def copied(tensor: Tensor) -> Tensor:
    return tensor.clone()


def without_history(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def instead(owner: Any, name: str, condition: Condition, other: Callable[..., Any]) -> Patch:
    """Return the patch that calls another function where the condition on arguments holds."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            if condition(*arguments, **keywords):
                return other(original, *arguments, **keywords)
            return original(*arguments, **keywords)

        return faulty

    return replacing(owner, name, make)


def uncounted(original: Any, tensor: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    """Write through ``.data``: no version, no history, no check."""
    original(tensor.data, *arguments, **keywords)
    return tensor


def unrecorded(original: Any, tensor: Tensor, *arguments: Any, **keywords: Any) -> Any:
    with torch.no_grad():
        return original(tensor, *arguments, **keywords)


def _always(*_: Any, **__: Any) -> bool:
    return True


def _history_but_no_view(tensor: Tensor, *_: Any) -> bool:
    return tensor.grad_fn is not None and not tensor._is_view()


def _second(condition: Condition) -> Condition:
    """A condition that holds from the second time on that it is met for the same tensor."""

    def met(tensor: Any, *arguments: Any, **keywords: Any) -> bool:
        if not condition(tensor, *arguments, **keywords):
            return False
        tensor.__dict__["met"] = tensor.__dict__.get("met", 0) + 1
        return bool(tensor.__dict__["met"] >= 2)

    return met


def _guarded_view(tensor: Any, *_: Any, **__: Any) -> bool:
    return is_view(tensor) and tensor._base.is_leaf and tensor._base.requires_grad


def _view_of_non_leaf(tensor: Any, *_: Any, **__: Any) -> bool:
    return is_view(tensor) and tensor._base.grad_fn is not None


def _lifted_base(tensor: Tensor) -> Tensor:
    """A view that forgets its base: the same memory, and a gradient of its own."""

    class Alias(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return x.detach()

        @staticmethod
        def backward(context: Any, cotangent: Tensor) -> Tensor:
            return cotangent

    return Alias.apply(tensor) if tensor.requires_grad else tensor.detach()


def _enables_on_leaving(original: Any) -> Any:
    def leave(self: Any, *rest: Any) -> None:
        original(self, *rest)
        torch._C._set_grad_enabled(True)

    return leave


def _forgets_nested(original: Any) -> Any:
    """Entering no_grad inside no_grad notes that recording was on outside."""

    def enter(self: Any) -> None:
        nested = not torch.is_grad_enabled()
        original(self)
        self.prev = self.prev or nested

    return enter


def _shared_with(tensor: Tensor) -> bool:
    return tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()


def _alpha_given(tensor: Any, other: Any, **keywords: Any) -> Any:
    if "alpha" in keywords and isinstance(other, Tensor) and other.requires_grad:
        keywords["alpha"] = keywords["alpha"] + 1
    return (tensor, other), keywords


def _bumps(tensor: Tensor) -> Tensor:
    torch.autograd.graph.increment_version(tensor)
    return tensor


SABOTEURS = (
    Saboteur(
        "tape-detach-copies", "detach of a view is a copy",
        (FLAGS,), "detach()", when(Tensor, "detach", is_view, copied),
    ),
    Saboteur(
        "tape-detach-own-counter", "a detached tensor has a version counter of its own",
        (WRITES,), "version", instead(Tensor, "detach", _always, lambda _, x: x.data),
    ),
    Saboteur(
        "tape-data-shares-counter", ".data is detach",
        (FLAGS,), "version",
        lambda patch: patch.setattr(Tensor, "data", property(lambda x: x.detach()), raising=False),
    ),
    Saboteur(
        "tape-detach-bumps", "detach of a tensor with history counts as a write",
        (FLAGS,), "version",
        instead(Tensor, "detach", _history_but_no_view, lambda call, x: call(_bumps(x))),
    ),
    Saboteur(
        "tape-mul-not-counted", "mul_ of a view does not move the version",
        (VIEWS,), "mul_", instead(Tensor, "mul_", is_view, uncounted),
    ),
    Saboteur(
        "tape-copy-not-counted", "copy_ goes through .data",
        (WRITES,), "copy_", instead(Tensor, "copy_", _always, uncounted),
    ),
    Saboteur(
        "tape-second-write-not-counted", "the second add_ to a tensor does not move the version",
        (WRITES,), "add_", instead(Tensor, "add_", _second(_always), uncounted),
    ),
    Saboteur(
        "tape-item-write-not-recorded", "x[0] = 3 leaves the history alone",
        (VIEW_WRITES,), "after", instead(Tensor, "__setitem__", _history_but_no_view, unrecorded),
    ),
    Saboteur(
        "tape-item-write-to-view-not-recorded", "x[0] = 3 leaves the history alone if x is a view",
        (VIEW_WRITES,), "grad.tolist()", instead(
            Tensor, "__setitem__", _view_of_non_leaf, unrecorded),
    ),
    Saboteur(
        "tape-view-of-view-copies", "[1:] of a view copies",
        (VIEWS,), "after step", when(Tensor, "__getitem__", is_view, copied),
    ),
    Saboteur(
        "tape-view-forgets-base", "view(-1) shares memory, but a write to it misses the base",
        (VIEW_WRITES,), "_is_view()", when(Tensor, "view", _always, _lifted_base),
    ),
    Saboteur(
        "tape-transpose-copies", "transpose of a view copies",
        (VIEWS,), "transpose",
        when(Tensor, "transpose", is_view, copied),
    ),
    Saboteur(
        "tape-expand-copies", "expand copies",
        (VIEWS,), "expand", when(Tensor, "expand", _always, copied),
    ),
    Saboteur(
        "tape-select-off", "select of a view with an offset forgets the offset",
        (VIEWS,), "tolist()",
        when(Tensor, "select", lambda x, *_: x.storage_offset() > 0,
             lambda x: x.as_strided(x.shape, x.stride(), 0)),
    ),
    Saboteur(
        "tape-view-of-leaf-written", "mul_ to a view of a leaf that requires grad goes through",
        (VIEWS,), "raised nothing", instead(Tensor, "mul_", _guarded_view, unrecorded),
    ),
    Saboteur(
        "tape-leaf-item-written", "x[...] = 2 on a leaf that requires grad goes through",
        (WRITES,), "raised nothing", instead(
            Tensor, "__setitem__", lambda x, *_: x.is_leaf and x.requires_grad, unrecorded),
    ),
    Saboteur(
        "tape-iadd-replaces", "x += 1 makes a new tensor where x has a history",
        (WRITES,), "version", instead(
            Tensor, "__iadd__", _history_but_no_view, lambda _, x, y: x + y),
    ),
    Saboteur(
        "tape-fill-keeps-history", "fill_ keeps the gradient to the old values",
        (VIEW_WRITES,), "grad.tolist()", instead(
            Tensor, "fill_", lambda x, _: x.grad_fn is not None and not _guarded_view(x),
            unrecorded),
    ),
    Saboteur(
        "tape-zero-keeps-history-of-views", "zero_ of a view keeps the gradient to the old values",
        (VIEW_WRITES,), "grad.tolist()", instead(Tensor, "zero_", _view_of_non_leaf, unrecorded),
    ),
    Saboteur(
        "tape-unbind-output-written", "what unbind returns may be written to",
        (VIEW_WRITES,), "_is_view()", instead(
            Tensor, "unbind", _always, lambda call, x: tuple(map(_lifted_base, call(x)))),
    ),
    Saboteur(
        "tape-alpha-in-place", "add_ with alpha adds more of an operand that requires grad",
        (WRITES,), "tolist()", rewriting(Tensor, "add_", _alpha_given),
    ),
    Saboteur(
        "tape-sub-of-view-not-recorded", "sub_ of a view is recorded in neither base nor view",
        ("tape.model:tensors-through-views",), "grad", instead(
            Tensor, "sub_", _view_of_non_leaf, unrecorded),
    ),
    Saboteur(
        "tape-clone-of-view-cut", "clone of a view has no history",
        (VIEWS,), "requires_grad", when(Tensor, "clone", is_view, without_history),
    ),
    Saboteur(
        "tape-non-leaf-flag", "requires_grad_(False) on what is no leaf goes through",
        (FLAGS,), "raised nothing",
        accepting(Tensor, "requires_grad_", RuntimeError, lambda x, flag=True: x),
    ),
    Saboteur(
        "tape-flag-of-detached", "requires_grad_ has no effect on a detached alias",
        (FLAGS,), "requires_grad", instead(
            Tensor, "requires_grad_", lambda x, *_: _shared_with(x), lambda _, x, *__: x),
    ),
    Saboteur(
        "tape-detach-in-place-of-view", "detach_ of a view goes through",
        (FLAGS,), "raised nothing",
        accepting(Tensor, "detach_", RuntimeError, lambda x: x),
    ),
    Saboteur(
        "tape-detach-in-place-keeps-flag", "detach_ of a leaf leaves it requiring grad",
        (FLAGS,), "requires_grad", instead(
            Tensor, "detach_", lambda x: x.is_leaf and not x._is_view(), lambda _, x: x),
    ),
    Saboteur(
        "tape-no-grad-after-exception", "an exception leaves grad mode disabled by no_grad",
        (MODES,), "is_grad_enabled",
        replacing(torch.no_grad, "__exit__", not_after_exceptions),
    ),
    Saboteur(
        "tape-set-grad-enabled-after-exception", "an exception leaves set_grad_enabled in force",
        (MODES,), "is_grad_enabled",
        replacing(torch.set_grad_enabled, "__exit__", not_after_exceptions),
    ),
    Saboteur(
        "tape-no-grad-leaves-enabled", "leaving no_grad enables, whatever was before",
        (MODES,), "is_grad_enabled", replacing(torch.no_grad, "__exit__", _enables_on_leaving),
    ),
    Saboteur(
        "tape-no-grad-nested", "leaving a no_grad inside no_grad enables",
        (MODES,), "is_grad_enabled", replacing(torch.no_grad, "__enter__", _forgets_nested),
    ),
    Saboteur(
        "tape-inference-is-no-grad", "inference_mode makes no inference tensors",
        (MODES,), "is_inference", lambda patch: patch.setattr(
            torch, "inference_mode",
            lambda mode=True: torch.no_grad() if mode else torch.enable_grad()),
    ),
    Saboteur(
        "tape-write-without-grad-makes-leaf", "a write under no_grad detaches what it writes to",
        (MODES,), "requires_grad", instead(
            Tensor, "mul_", lambda x, *_: not torch.is_grad_enabled() and x.grad_fn is not None
            and not x._is_view(), lambda call, x, *rest: call(x.detach_(), *rest)),
    ),
)  # fmt: skip
