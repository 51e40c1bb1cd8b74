"""Faults in modules: registration, traversal, modes, flags, gradients, copies."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, dropping, rewriting
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Module = torch.nn.Module


def _children_last(original: Any) -> Any:
    def named(
        self: Module, memo: Any = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Any:
        found = list(original(self, memo, prefix, remove_duplicate))
        return iter([*found[1:], *found[:1]] if len(found) > 2 else found)

    return named


def _forgets_duplicates(original: Any) -> Any:
    """Parameters that are shared are yielded again where they are in different modules."""

    def members(self: Module, get: Any, prefix: str = "", recurse: bool = True,
                remove_duplicate: bool = True) -> Any:  # fmt: skip
        seen: set[Any] = set()
        own = self.named_modules(prefix=prefix) if recurse else [(prefix, self)]
        for path, module in own:
            for name, member in get(module):
                if member is None or (remove_duplicate and (path, member) in seen):
                    continue
                seen.add((path, member))
                yield f"{path}.{name}" if path else name, member

    return members


def _moves_to_the_end(original: Any) -> Any:
    def assign(self: Module, name: str, value: Any) -> None:
        table = self.__dict__.get("_parameters")
        if table and isinstance(value, torch.nn.Parameter) and name in table:
            del table[name]
        original(self, name, value)

    return assign


def _keeps_buffer(original: Any) -> Any:
    """A parameter that takes a buffer's name leaves the buffer registered."""

    def assign(self: Module, name: str, value: Any) -> None:
        buffers = self.__dict__.get("_buffers") or {}
        former = buffers.get(name) if isinstance(value, torch.nn.Parameter) else None
        original(self, name, value)
        if former is not None:
            buffers[name] = former

    return assign


def _deletes_children_only(original: Any) -> Any:
    def delete(self: Module, name: str) -> None:
        if name in self._buffers:
            self._buffers[name] = None
            return
        original(self, name)

    return delete


def _trains_children_only(original: Any) -> Any:
    def train(self: Module, mode: bool = True) -> Any:
        own = self.training
        original(self, mode)
        if not mode and len(list(self.children())) > 1:
            self.training = own
        return self

    return train


def _two_levels(original: Any) -> Any:
    def train(self: Module, mode: bool = True) -> Any:
        self.training = mode
        for child in self.children():
            child.training = mode
        return self

    return train


def _parents_first(original: Any) -> Any:
    def apply(self: Module, function: Any) -> Any:
        function(self)
        for child in self.children():
            child.apply(function)
        return self

    return apply


def _only_own(original: Any) -> Any:
    def requires(self: Module, requires_grad: bool = True) -> Any:
        for parameter in self.parameters(recurse=requires_grad):
            parameter.requires_grad_(requires_grad)
        return self

    return requires


def _buffers_too(original: Any) -> Any:
    def requires(self: Module, requires_grad: bool = True) -> Any:
        original(self, requires_grad)
        for buffer in self.buffers():
            if buffer.is_floating_point():
                buffer.requires_grad_(requires_grad)
        return self

    return requires


def _new_zeros(original: Any) -> Any:
    def zero(self: Module, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else torch.zeros_like(parameter)

    return zero


def _shallow_for_frozen(original: Any) -> Any:
    def deepcopy(self: Any, memo: Any) -> Any:
        return original(self, memo) if self.requires_grad else self

    return deepcopy


def _thaws_scalars(original: Any) -> Any:
    def deepcopy(self: Any, memo: Any) -> Any:
        result = original(self, memo)
        return result.requires_grad_() if self.dim() == 0 else result

    return deepcopy


def _pickle_flag(original: Any) -> Any:
    def reduce(self: Any, protocol: int) -> Any:
        function, (data, _, hooks) = original(self, protocol)[:2]
        return function, (data, True, hooks)

    return reduce


def _second_child_again(original: Any) -> Any:
    def named(self: Module) -> Any:
        for name, child in self._modules.items():
            if child is not None:
                yield name, child

    return named


def _keeps_refused(original: Any) -> Any:
    def register(self: Module, name: str, tensor: Any, persistent: bool = True) -> None:
        try:
            original(self, name, tensor, persistent)
        except KeyError:
            self._buffers[name] = tensor
            raise

    return register


SABOTEURS = (
    Saboteur("modules-root-last", "named_modules yields the module itself last",
             ("module.submodules",), "named modules",
             replacing(Module, "named_modules", _children_last)),
    Saboteur("modules-shared-between", "a parameter shared between modules is yielded twice",
             ("module.tensors:parameters",), "parameters",
             replacing(Module, "_named_members", _forgets_duplicates)),
    Saboteur("modules-reassigned-last", "a parameter assigned again moves to the end",
             ("module.tensors:parameters",), "named parameters",
             replacing(Module, "__setattr__", _moves_to_the_end)),
    Saboteur("modules-two-kinds", "a parameter under a buffer's name leaves the buffer",
             ("module.tensors:buffers",), "named buffers",
             replacing(Module, "__setattr__", _keeps_buffer)),
    Saboteur("modules-deleted-stays", "a deleted buffer stays as None",
             ("module.attributes",), "has an attribute",
             replacing(Module, "__delattr__", _deletes_children_only)),
    Saboteur("modules-keep-duplicates", "named_parameters ignores remove_duplicate=False",
             ("module.tensors:parameters",), "named parameters",
             dropping(Module, "named_parameters", "remove_duplicate")),
    Saboteur("modules-no-prefix", "named_buffers ignores a prefix of several parts",
             ("module.tensors:buffers",), "named buffers",
             dropping(Module, "named_buffers", "prefix", lambda p: "." in p)),
    Saboteur("modules-recurse", "parameters(False) recurses",
             ("module.tensors:parameters",), "parameters",
             rewriting(Module, "parameters", lambda self, recurse=True: ((self,), {}))),
    Saboteur("modules-children-again", "named_children yields a shared child twice",
             ("module.submodules",), "named children",
             replacing(Module, "named_children", _second_child_again)),
    Saboteur("modules-eval-parent", "eval leaves a module with several children in training",
             ("module.train",), "modes", replacing(Module, "train", _trains_children_only)),
    Saboteur("modules-train-shallow", "train reaches direct children only",
             ("module.train",), "modes", replacing(Module, "train", _two_levels)),
    Saboteur("modules-apply-order", "apply calls the function with a parent first",
             ("module.apply",), "modules that the function got",
             replacing(Module, "apply", _parents_first)),
    Saboteur("modules-freeze-shallow", "requires_grad_(False) is not recursive",
             ("module.requires-grad",), "requires grad",
             replacing(Module, "requires_grad_", _only_own)),
    Saboteur("modules-freeze-buffers", "requires_grad_ reaches buffers",
             ("module.requires-grad",), "requires grad",
             replacing(Module, "requires_grad_", _buffers_too)),
    Saboteur("modules-zero-memory", "zero_grad(set_to_none=False) makes new gradients",
             ("module.zero-grad",), "is the same tensor",
             replacing(Module, "zero_grad", _new_zeros)),
    Saboteur("modules-copy-frozen", "a deep copy shares frozen parameters",
             ("module.copy:deepcopy",), "memory of its own",
             replacing(torch.nn.Parameter, "__deepcopy__", _shallow_for_frozen)),
    Saboteur("modules-copy-thaws", "a deep copy of a frozen scalar requires grad",
             ("module.copy:deepcopy",), "requires grad",
             replacing(torch.nn.Parameter, "__deepcopy__", _thaws_scalars)),
    Saboteur("modules-pickle-flag", "an unpickled parameter requires grad",
             ("module.copy:pickle",), "requires grad",
             replacing(torch.nn.Parameter, "__reduce_ex__", _pickle_flag)),
    Saboteur("modules-refused-but-kept", "a buffer under a parameter's name is kept, then refused",
             ("module.rejected:register-buffer-taken",), "members after the refusal",
             replacing(Module, "register_buffer", _keeps_refused)),
    Saboteur("modules-number-as-mode", "train takes any number",
             ("module.rejected:train-number",), "raised nothing",
             accepting(Module, "train", ValueError, lambda self, mode: self)),
    Saboteur("modules-call-keywords", "a call passes an argument by keyword too",
             ("module.call",), "arguments by keyword",
             when(Module, "_call_impl", lambda *a, **k: len(a) == 3 and "other" in k,
                  lambda original, self, *a, **k: original(self, *a, shift=a[1], **k))),
)  # fmt: skip
