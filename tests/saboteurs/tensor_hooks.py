"""Faults in hooks of tensors: who runs, in which order, on what, and what comes of it."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.hooks import RemovableHandle

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Hook = Callable[..., Any]


def _hooks(change: Callable[[Tensor, Hook], Hook], name: str = "register_hook") -> Patch:
    """Patch a registration so that it registers another hook than the one it is given."""
    return rewriting(Tensor, name, lambda self, hook: ((self, change(self, hook)), {}))


def _first_pass_only(tensor: Tensor, hook: Hook) -> Hook:
    passes: list[int] = []

    def faulty(gradient: Tensor) -> Any:
        passes.append(1)
        return hook(gradient) if len(passes) == 1 or not tensor.is_leaf else None

    return faulty


def _half_for_views(tensor: Tensor, hook: Hook) -> Hook:
    return (lambda gradient: hook(gradient / 2)) if tensor._is_view() else hook


def _rotate(registered: Any) -> None:
    """Put the newest of some hooks before all others."""
    *others, newest = registered.items()
    registered.clear()
    registered.update([newest, *others])


def _third_goes_first(original: Any) -> Any:
    def register(self: Tensor, hook: Hook) -> Any:
        handle = original(self, hook)
        if len(self._backward_hooks) >= 3:  # type: ignore[arg-type]
            _rotate(self._backward_hooks)
        return handle

    return register


def _ignored_where_grad_is(tensor: Tensor, hook: Hook) -> Hook:
    def faulty(gradient: Tensor) -> Any:
        result = hook(gradient)
        return None if tensor.is_leaf and tensor.grad is not None else result

    return faulty


def _second_removal_removes_another(original: Any) -> Any:
    def remove(self: RemovableHandle) -> None:
        hooks = self.hooks_dict_ref()
        if hooks and self.id not in hooks:
            hooks.popitem()
        original(self)

    return remove


def _not_within_a_pass(original: Any) -> Any:
    def remove(self: RemovableHandle) -> None:
        if torch._C._current_graph_task_id() == -1:
            original(self)

    return remove


def _dies_with_its_tensor(tensor: Tensor, hook: Hook) -> Hook:
    alive = weakref.ref(tensor)
    return lambda gradient: None if alive() is None else hook(gradient)


def _retain_grad_by_hook(self: Tensor) -> None:
    self.register_hook(lambda gradient: setattr(self, "grad", gradient))


def _detached_result(_: Tensor, hook: Hook) -> Hook:
    def faulty(gradient: Tensor) -> Any:
        result = hook(gradient)
        return None if result is None else result.detach()

    return faulty


def _grad_by_backward(original: Any) -> Any:
    """``torch.autograd.grad`` as a backward pass after which every .grad is put back."""

    def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, **keywords: Any) -> Any:
        if keywords.get("create_graph"):
            return original(outputs, inputs, grad_outputs, **keywords)
        before = [tensor.grad for tensor in inputs]
        for tensor in inputs:
            tensor.grad = None
            tensor.retain_grad()
        torch.autograd.backward(outputs, grad_outputs, retain_graph=True)
        results = tuple(tensor.grad for tensor in inputs)
        for tensor, old in zip(inputs, before, strict=True):
            tensor.grad = old
        return results

    return grad


def _casts(_: Tensor, hook: Hook) -> Hook:
    def faulty(gradient: Tensor) -> Any:
        result = hook(gradient)
        return result.to(gradient.dtype) if isinstance(result, Tensor) else result

    return faulty


def _never_records(_: Tensor, hook: Hook) -> Hook:
    def faulty(gradient: Tensor) -> Any:
        with torch.no_grad():
            return hook(gradient)

    return faulty


def _forgotten(*_: Any) -> RemovableHandle:
    return RemovableHandle(OrderedDict())


def _last_goes_first(original: Any) -> Any:
    def register(self: Tensor, hook: Hook) -> Any:
        handle = original(self, hook)
        _rotate(self._post_accumulate_grad_hooks)
        return handle

    return register


def _keeps_grad(_: Tensor, hook: Hook) -> Hook:
    def faulty(leaf: Tensor) -> None:
        gradient = leaf.grad
        hook(leaf)
        if leaf.grad is None:
            leaf.grad = gradient

    return faulty


def _adds_without_hooks(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        inputs = keywords.pop("inputs", None)
        if inputs is None:
            original(self, gradient, **keywords)
            return
        gradients = torch.autograd.grad(self, inputs, gradient, **keywords)
        for leaf, added in zip(inputs, gradients, strict=True):
            leaf.grad = added if leaf.grad is None else leaf.grad + added

    return backward


def _zeros_for_none(original: Any) -> Any:
    def register(tensors: Any, hook: Hook, *, mode: str = "all") -> Any:
        def faulty(gradients: Any) -> None:
            pairs = zip(tensors, gradients, strict=True)
            hook([torch.zeros_like(t) if g is None else g for t, g in pairs])

        return original(tensors, faulty if mode == "all" else hook, mode=mode)

    return register


def _any_once(original: Any) -> Any:
    def register(tensors: Any, hook: Hook, *, mode: str = "all") -> Any:
        called: list[bool] = []

        def faulty(gradient: Any) -> None:
            if not called:
                called.append(True)
                hook(gradient)

        return original(tensors, faulty if mode == "any" else hook, mode=mode)

    return register


def _removes_the_first(self: Any) -> None:
    self.handles[0].remove()


def _unknown_modes_are_any(tensors: Any, hook: Hook, *, mode: str = "all") -> Any:
    return (tensors, hook), {"mode": mode if mode in ("all", "any") else "any"}


def _multi_handle_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.autograd.graph._MultiHandle, "remove", _removes_the_first)


_POST = "register_post_accumulate_grad_hook"
_MULTI = "register_multi_grad_hook"

SABOTEURS = (
    Saboteur(
        "leaf-hook-first-pass-only", "a leaf's hook runs in the first pass only",
        ("hooks.total-gradient:leaf",), "hooks called", _hooks(_first_pass_only),
    ),
    Saboteur(
        "view-hook-gets-half", "the hook of a view gets half of the gradient",
        ("hooks.total-gradient:view-of-view", "hooks.total-gradient:view"),
        "gradient that hook", _hooks(_half_for_views),
    ),
    Saboteur(
        "third-hook-goes-first", "from the third on, hooks go before the others",
        ("hooks.order", "hooks.in-place"), "hooks called",
        replacing(Tensor, "register_hook", _third_goes_first),
    ),
    Saboteur(
        "leaf-hook-ignored-where-grad-is", "a leaf that has a .grad ignores what its hooks return",
        ("hooks.before-accumulation",), "grad", _hooks(_ignored_where_grad_is),
    ),
    Saboteur(
        "second-removal-removes-another", "removing a hook twice removes the newest one as well",
        ("hooks.removal",), "hooks called",
        replacing(RemovableHandle, "remove", _second_removal_removes_another),
    ),
    Saboteur(
        "no-removal-within-a-pass", "handle.remove() does nothing while a pass runs",
        ("hooks.remove-themselves", "hooks.post-accumulate-removal"), "hooks called",
        replacing(RemovableHandle, "remove", _not_within_a_pass),
    ),
    Saboteur(
        "hook-dies-with-its-tensor", "a hook no longer runs once its tensor is gone",
        ("hooks.outlive-the-tensor",), "hooks called", _hooks(_dies_with_its_tensor),
    ),
    Saboteur(
        "hook-without-gradient-accepted", "register_hook accepts tensors without gradient",
        ("hooks.requires-grad:register_hook",), "raised nothing",
        accepting(Tensor, "register_hook", RuntimeError, _forgotten),
    ),
    Saboteur(
        "retain-grad-is-a-hook", "retain_grad keeps what it finds at its place among the hooks",
        ("hooks.retain-grad-last", "hooks.in-place", "node-hooks.retain-grad"), "retained grad",
        replacing(Tensor, "retain_grad", lambda original: _retain_grad_by_hook),
    ),
    Saboteur(
        "hook-result-detached", "what a hook returns is cut from the graph",
        ("hooks.differentiable",), "require grad", _hooks(_detached_result),
    ),
    Saboteur(
        "grad-is-a-backward", "torch.autograd.grad runs a whole backward pass",
        (
            "hooks.grad-function:alone", "hooks.grad-function-leaves",
            "hooks.post-accumulate-inputs", "node-hooks.executed-only:register_hook",
        ),
        "", replacing(torch.autograd, "grad", _grad_by_backward),
    ),
    Saboteur(
        "hook-result-cast", "what a hook returns is cast to the gradient's dtype",
        ("hooks.result-checked:dtype",), "raised nothing", _hooks(_casts),
    ),
    Saboteur(
        "hook-never-records", "a hook runs with grad mode disabled, create_graph or not",
        ("hooks.grad-mode:tensor",), "grad mode within the hook", _hooks(_never_records),
    ),
    Saboteur(
        "post-accumulate-hooks-reversed", "hooks after accumulation run from last to first",
        ("hooks.post-accumulate",), "hooks called", replacing(Tensor, _POST, _last_goes_first),
    ),
    Saboteur(
        "post-accumulate-keeps-grad", "a .grad that such a hook set to None comes back",
        ("hooks.post-accumulate-optimizer",), "grad after the pass", _hooks(_keeps_grad, _POST),
    ),
    Saboteur(
        "post-accumulate-on-results", "results accept hooks after accumulation, which never run",
        ("hooks.post-accumulate-leaf",), "raised nothing",
        accepting(Tensor, _POST, RuntimeError, _forgotten),
    ),
    Saboteur(
        "inputs-skip-post-accumulate", "backward(inputs=) runs no hook after accumulation",
        ("hooks.post-accumulate-inputs",), "called by backward(inputs=)",
        replacing(Tensor, "backward", _adds_without_hooks),
    ),
    Saboteur(
        "multi-grad-zeros-for-none", "a hook over several tensors gets zeros for what is not there",
        ("hooks.multi-grad-all",), "not None",
        replacing(torch.autograd.graph, _MULTI, _zeros_for_none),
    ),
    Saboteur(
        "multi-grad-any-once", "in mode any the hook runs in the first pass only",
        ("hooks.multi-grad-any",), "calls", replacing(torch.autograd.graph, _MULTI, _any_once),
    ),
    Saboteur(
        "multi-grad-removes-the-first", "the handle removes the hook from the first tensor only",
        ("hooks.multi-grad-removal:any",), "after the removal", _multi_handle_removal,
    ),
    Saboteur(
        "multi-grad-any-mode", "every unknown mode stands for any",
        ("hooks.multi-grad-mode",), "raised nothing",
        rewriting(torch.autograd.graph, _MULTI, _unknown_modes_are_any),
    ),
)  # fmt: skip
