"""Faults in hooks of modules: prepending, keyword arguments, failing forwards, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.modules import module as modules
from torch.utils.hooks import BackwardHook

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing

Module = torch.nn.Module


def _registered(name: str, change: Any, owner: Any = Module) -> Patch:
    """Patch a registration so that it registers ``change(owner's first argument, hook)``."""

    def rewrite(*arguments: Any, **keywords: Any) -> Any:
        *subject, hook = arguments
        return (*subject, change(hook)), keywords

    return rewriting(owner, name, rewrite)


def _keywords_kept(original: Any) -> Any:
    """Keyword arguments that a hook returns are merged, those that it changed excepted."""

    def register(self: Module, hook: Any, *, with_kwargs: bool = False, **keywords: Any) -> Any:
        if not with_kwargs or not self._forward_pre_hooks:
            return original(self, hook, with_kwargs=with_kwargs, **keywords)

        def faulty(module: Module, arguments: Any, words: Any) -> Any:
            result = hook(module, arguments, words)
            return None if result is None else (result[0], words)

        return original(self, faulty, with_kwargs=True, **keywords)

    return register


def _none_drops_keywords(original: Any) -> Any:
    """A hook that gets keyword arguments and returns None leaves forward without them."""

    def register(self: Module, hook: Any, *, with_kwargs: bool = False, **keywords: Any) -> Any:
        def faulty(module: Module, arguments: Any, words: Any) -> Any:
            result = hook(module, arguments, words)
            return (arguments, {}) if result is None else result

        given = faulty if with_kwargs else hook
        return original(self, given, with_kwargs=with_kwargs, **keywords)

    return register


def _single_value_ignored(hook: Any) -> Any:
    def faulty(*arguments: Any) -> Any:
        result = hook(*arguments)
        return result if isinstance(result, tuple) else None

    return faulty


def _detached_output(original: Any) -> Any:
    def register(self: Module, hook: Any, **keywords: Any) -> Any:
        def faulty(*arguments: Any) -> Any:
            result = hook(*arguments)
            return result.detach() if isinstance(result, torch.Tensor) else result

        return original(self, faulty if self._forward_hooks else hook, **keywords)

    return register


def _only_the_first_always(original: Any) -> Any:
    def register(self: Module, hook: Any, *, always_call: bool = False, **keywords: Any) -> Any:
        first = not self._forward_hooks
        return original(self, hook, always_call=always_call and first, **keywords)

    return register


def _numbers_for_none(packed: Any) -> Any:
    return tuple(0.0 if gradient is None else gradient for gradient in packed)


def _ignored(hook: Any) -> Any:
    return lambda *arguments: (hook(*arguments), None)[1]


def _silent_without_inputs(original: Any) -> Any:
    def setup(self: BackwardHook, arguments: Any) -> Any:
        return arguments if self.input_tensors_index is None else original(self, arguments)

    return setup


def _copied(result: Any) -> Any:
    return result.clone() if isinstance(result, torch.Tensor) else result


def _not_for_containers(hook: Any) -> Any:
    def faulty(module: Module, *arguments: Any) -> Any:
        return None if list(module.children()) else hook(module, *arguments)

    return faulty


def _cut_to_length(hook: Any) -> Any:
    def faulty(module: Module, gradients: Any, *rest: Any) -> Any:
        result = hook(module, gradients, *rest)
        return None if result is None else result[: len(gradients)]

    return faulty


def _forward_runs_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = Module._call_impl
    within: list[bool] = []

    def call(self: Module, *arguments: Any, **keywords: Any) -> Any:
        within.append(True)
        try:
            return original(self, *arguments, **keywords)
        finally:
            within.pop()

    def read(self: Module, name: str) -> Any:
        if name == "forward" and not within:
            return lambda *a, **k: call(self, *a, **k)
        return object.__getattribute__(self, name)

    monkeypatch.setattr(Module, "_call_impl", call)
    monkeypatch.setattr(Module, "__getattribute__", read, raising=False)


SABOTEURS = (
    Saboteur(
        "prepend-ignored", "register_full_backward_hook ignores prepend",
        ("module-hooks.order:full_backward",), "hooks called",
        dropping(Module, "register_full_backward_hook", "prepend"),
    ),
    Saboteur(
        "prepend-ignored-before", "register_full_backward_pre_hook ignores prepend",
        ("module-hooks.order:full_backward_pre",), "hooks called",
        dropping(Module, "register_full_backward_pre_hook", "prepend"),
    ),
    Saboteur(
        "later-keywords-kept", "keyword arguments that a later hook returns are ignored",
        ("module-hooks.forward-pre",), "",
        replacing(Module, "register_forward_pre_hook", _keywords_kept),
    ),
    Saboteur(
        "none-drops-keywords", "a hook with keywords that returns None drops them",
        ("module-hooks.forward-pre",), "",
        replacing(Module, "register_forward_pre_hook", _none_drops_keywords),
    ),
    Saboteur(
        "single-value-ignored", "a single value that a hook before forward returns is ignored",
        ("module-hooks.forward-pre-wraps",), "result",
        _registered("register_forward_pre_hook", _single_value_ignored),
    ),
    Saboteur(
        "later-output-detached", "an output that a later hook returns is cut from the graph",
        ("module-hooks.forward",), "require grad",
        replacing(Module, "register_forward_hook", _detached_output),
    ),
    Saboteur(
        "only-the-first-always", "always_call is for a module's first hook only",
        ("module-hooks.always-call",), "hooks called",
        replacing(Module, "register_forward_hook", _only_the_first_always),
    ),
    Saboteur(
        "numbers-for-none", "grad_input has 0 for what is no tensor",
        ("module-hooks.backward",), "entries of grad_input",
        after(BackwardHook, "_pack_with_none", _numbers_for_none),
    ),
    Saboteur(
        "backward-pre-ignored", "what a hook before backward returns is ignored",
        ("module-hooks.backward",), "gra",
        _registered("register_full_backward_pre_hook", _ignored),
    ),
    Saboteur(
        "silent-without-inputs", "no hook around backward runs where no input requires grad",
        ("module-hooks.backward-fires",), "calls of the hook",
        replacing(BackwardHook, "setup_output_hook", _silent_without_inputs),
    ),
    Saboteur(
        "outputs-copied", "a module with backward hooks returns copies, which may be written to",
        ("module-hooks.in-place:full_backward",), "raised nothing",
        after(BackwardHook, "setup_output_hook", _copied),
    ),
    Saboteur(
        "forward-runs-hooks", "calling forward runs the hooks",
        ("module-hooks.forward-alone",), "hooks that forward runs", _forward_runs_hooks,
    ),
    Saboteur(
        "not-for-containers", "hooks of all modules leave out those that contain others",
        ("module-hooks.every-module",), "hooks called around forward",
        _registered("register_module_forward_pre_hook", _not_for_containers, modules),
    ),
    Saboteur(
        "gradients-cut-to-length", "gradients that a hook returns too many are dropped",
        ("module-hooks.count:full_backward",), "raised nothing",
        _registered("register_full_backward_hook", _cut_to_length),
    ),
)  # fmt: skip
