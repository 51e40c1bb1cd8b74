"""Faults in the state of modules: its entries, loading, hooks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.saboteur import Saboteur, after, replacing

Module = torch.nn.Module


def _copies_scalars(original: Any) -> Any:
    def save(self: Module, destination: Any, prefix: str, keep_vars: bool) -> None:
        original(self, destination, prefix, keep_vars)
        for name, entry in list(destination.items()):
            if isinstance(entry, torch.Tensor) and entry.dim() == 0 and not keep_vars:
                destination[name] = entry.clone()

    return save


def _saves_transient(original: Any) -> Any:
    def save(self: Module, destination: Any, prefix: str, keep_vars: bool) -> None:
        hidden = self._non_persistent_buffers_set
        self._non_persistent_buffers_set = set() if len(hidden) > 1 else hidden
        try:
            original(self, destination, prefix, keep_vars)
        finally:
            self._non_persistent_buffers_set = hidden

    return save


def _idle_silent(original: Any) -> Any:
    """A submodule without tensors tells no unexpected names."""

    def load(self: Module, state: Any, prefix: str, *rest: Any) -> None:
        unexpected = rest[3]
        told = len(unexpected)
        original(self, state, prefix, *rest)
        if prefix and not self._parameters and not self._buffers and not self._modules:
            del unexpected[told:]

    return load


def _loads(change: Any) -> Any:
    """Patch what a module loads: ``change(module, state, prefix)`` comes after it."""

    def make(original: Any) -> Any:
        def load(self: Module, state: Any, prefix: str, *rest: Any) -> None:
            original(self, state, prefix, *rest)
            change(self, state, prefix)

        return load

    return replacing(Module, "_load_from_state_dict", make)


def _takes_flag(module: Module, state: Any, prefix: str) -> None:
    for name, parameter in module._parameters.items():
        entry = state.get(prefix + name)
        if parameter is not None and entry is not None and entry.requires_grad:
            parameter.requires_grad_()


def _drops_grad(module: Module, state: Any, prefix: str) -> None:
    for name, parameter in module._parameters.items():
        if parameter is not None and prefix + name in state:
            parameter.grad = None


def _loads_through_data(original: Any) -> Any:
    """A scalar parameter takes the memory of the state."""

    def load(self: Module, state: Any, prefix: str, *rest: Any) -> None:
        original(self, state, prefix, *rest)
        for name, parameter in self._parameters.items():
            entry = state.get(prefix + name)
            kinds = [(t.dim(), t.dtype) for t in (parameter, entry) if t is not None]
            if (
                parameter is not None
                and len(kinds) == 2
                and kinds[0] == kinds[1]
                and kinds[0][0] == 0
            ):
                parameter.data = entry.detach()

    return load


def _first_missing_only(result: Any) -> Any:
    del result.missing_keys[1:]
    return result


def _silent_unexpected(result: Any) -> Any:
    result.unexpected_keys[:] = [k for k in result.unexpected_keys if k.count(".") < 2]
    return result


def _expands(original: Any) -> Any:
    """A state is expanded to a parameter's shape where that can be done."""

    def load(self: Module, state: Any, prefix: str, *rest: Any) -> None:
        for name, parameter in self._parameters.items():
            entry = state.get(prefix + name)
            if parameter is not None and entry is not None and tuple(entry.shape) == (1, 3):
                state[prefix + name] = entry.expand_as(parameter)
        original(self, state, prefix, *rest)

    return load


def _flattens(original: Any) -> Any:
    def load(self: Module, state: Any, prefix: str, *rest: Any) -> None:
        for name, parameter in self._parameters.items():
            entry = state.get(prefix + name)
            if parameter is not None and entry is not None and entry.dim() == 3:
                state[prefix + name] = entry.squeeze(0)
        original(self, state, prefix, *rest)

    return load


def _consumes(original: Any) -> Any:
    def load(self: Module, state: Any, strict: bool = True, assign: bool = False) -> Any:
        result = original(self, state, strict, assign)
        if not assign and not strict and isinstance(state, OrderedDict):
            state.clear()
        return result

    return load


def _mismatch_forgiven(original: Any) -> Any:
    def load(self: Module, state: Any, strict: bool = True, assign: bool = False) -> Any:
        try:
            return original(self, state, strict, assign)
        except RuntimeError:
            if strict:
                raise
            return None

    return load


def _reversed_hooks(original: Any) -> Any:
    def register(self: Module, hook: Any) -> Any:
        handle = original(self, hook)
        self._state_dict_hooks = OrderedDict(reversed(self._state_dict_hooks.items()))
        handle.hooks_dict_ref = __import__("weakref").ref(self._state_dict_hooks)
        return handle

    return register


def _child_prefix(original: Any) -> Any:
    def register(self: Module, hook: Any) -> Any:
        def faulty(module: Module, prefix: str, keep_vars: bool) -> None:
            hook(module, prefix.rpartition("net.")[2], keep_vars)

        return original(self, faulty)

    return register


def _extra_without_prefix(original: Any) -> Any:
    """The extra state of the module that is asked leaves the prefix off its name."""

    def state_dict(self: Module, **words: Any) -> Any:
        found, under = original(self, **words), words.get("prefix", "")
        if under and f"{under}_extra_state" in found:
            found["_extra_state"] = found.pop(f"{under}_extra_state")
        return found

    return state_dict


def _hooks_of_the_root_alone(original: Any) -> Any:
    """Hooks after loading run for the module whose load_state_dict is called, and no other."""

    def load(self: Module, *rest: Any, **words: Any) -> Any:
        inner = [module for module in self.modules() if module is not self]
        kept = [module._load_state_dict_post_hooks for module in inner]
        for module in inner:
            module._load_state_dict_post_hooks = OrderedDict()
        try:
            return original(self, *rest, **words)
        finally:
            for module, hooks in zip(inner, kept, strict=True):
                module._load_state_dict_post_hooks = hooks

    return load


SABOTEURS = (
    Saboteur("state-extra-prefix", "the extra state's name lacks the prefix that is asked",
             ("module-state.extra",), "prefixed",
             replacing(Module, "state_dict", _extra_without_prefix)),
    Saboteur("state-load-hooks-of-root", "hooks after loading run for the outermost module alone",
             ("module-state.load-hooks",), "hooks after",
             replacing(Module, "load_state_dict", _hooks_of_the_root_alone)),
    Saboteur("state-copies-scalars", "the state holds copies of scalars",
             ("module-state.entries",), "in the member's memory",
             replacing(Module, "_save_to_state_dict", _copies_scalars)),
    Saboteur("state-transient", "a second buffer that does not persist is saved",
             ("module-state.entries",), "names",
             replacing(Module, "_save_to_state_dict", _saves_transient)),
    Saboteur("state-keep-vars", "keep_vars=True detaches behind a prefix",
             ("module-state.entries",), "the very tensor",
             rewriting(Module, "state_dict", lambda self, **k: (
                 (self,), {**k, "keep_vars": k.get("keep_vars", False) and not k.get("prefix")}))),
    Saboteur("state-new-destination", "a given destination is not filled",
             ("module-state.entries",), "the destination is returned",
             after(Module, "state_dict", lambda found: OrderedDict(found)
                   if "other" in found else found)),
    Saboteur("state-load-flag", "loading takes requires_grad from the state",
             ("module-state.copies",), "requires_grad", _loads(_takes_flag)),
    Saboteur("state-load-grad", "loading drops the gradients",
             ("module-state.copies",), "gradient is the same tensor", _loads(_drops_grad)),
    Saboteur("state-load-aliases", "a scalar parameter shares the state's memory once loaded",
             ("module-state.round-trip",), "shares the state's memory",
             replacing(Module, "_load_from_state_dict", _loads_through_data)),
    Saboteur("state-one-missing", "one missing name is told",
             ("module-state.keys",), "missing keys",
             after(Module, "load_state_dict", _first_missing_only)),
    Saboteur("state-idle-unexpected", "a submodule without tensors tells no unexpected names",
             ("module-state.keys",), "",
             replacing(Module, "_load_from_state_dict", _idle_silent)),
    Saboteur("state-deep-unexpected", "unexpected names of grandchildren are not told",
             ("module-state.keys",), "unexpected keys",
             after(Module, "load_state_dict", _silent_unexpected)),
    Saboteur("state-expands", "a row is expanded to a matrix",
             ("module-state.shapes:broadcastable",), "raised nothing",
             replacing(Module, "_load_from_state_dict", _expands)),
    Saboteur("state-squeezes", "a leading side of 1 is dropped",
             ("module-state.shapes:extra-side-of-one",), "raised nothing",
             replacing(Module, "_load_from_state_dict", _flattens)),
    Saboteur("state-consumed", "loading without strict empties the state",
             ("module-state.round-trip",), "names in the state that was loaded",
             replacing(Module, "load_state_dict", _consumes)),
    Saboteur("state-shape-forgiven", "without strict another shape is forgiven",
             ("module-state.shapes:longer",), "raised nothing",
             replacing(Module, "load_state_dict", _mismatch_forgiven)),
    Saboteur("state-assign-ignored", "assign=True copies",
             ("module-state.assigns",), "weight is the state's",
             dropping(Module, "load_state_dict", "assign")),
    Saboteur("state-hooks-reversed", "hooks after state_dict run in reverse order",
             ("module-state.hooks",), "hooks called",
             replacing(Module, "register_state_dict_post_hook", _reversed_hooks)),
    Saboteur("state-hook-prefix", "a hook before state_dict gets the path without its prefix",
             ("module-state.hooks",), "hooks called",
             replacing(Module, "register_state_dict_pre_hook", _child_prefix)),
)  # fmt: skip
