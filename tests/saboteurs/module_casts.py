"""Faults in the conversion of modules: what is converted, in place, with which gradients."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Module = torch.nn.Module


def _converting(change: Any) -> Patch:
    """Patch what a conversion does to one tensor: ``change(convert, tensor)`` stands for it."""

    def make(original: Any) -> Any:
        def apply(self: Module, convert: Any, recurse: bool = True) -> Module:
            result: Module = original(self, lambda tensor: change(convert, tensor), recurse)
            return result

        return apply

    return replacing(Module, "_apply", make)


def _afterwards(change: Any) -> Patch:
    """Patch the state that a conversion leaves: ``change(module)`` comes after each module's."""

    def make(original: Any) -> Any:
        def apply(self: Module, convert: Any, recurse: bool = True) -> Module:
            result: Module = original(self, convert, recurse)
            change(self)
            return result

        return apply

    return replacing(Module, "_apply", make)


def _drops_scalar_gradients(module: Module) -> None:
    for parameter in module._parameters.values():
        if parameter is not None and parameter.dim() == 0:
            parameter.grad = None


def _thaws_complex(module: Module) -> None:
    for parameter in module._parameters.values():
        if parameter is not None and parameter.is_complex():
            parameter.requires_grad_()


def _forgets_transient(module: Module) -> None:
    if len(module._buffers) > 1:
        module._non_persistent_buffers_set = set()


def _splits_shared(original: Any) -> Any:
    def convert(self: Module) -> Module:
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            result: Module = original(self)
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)
        return result

    return convert


def _skips_grandchildren(original: Any) -> Any:
    def apply(self: Module, convert: Any, recurse: bool = True) -> Module:
        deep = [c for child in self.children() for c in child.children()]
        alone = {id(c): c._buffers for c in deep}
        for child in deep:
            child._buffers = {}
        try:
            result: Module = original(self, convert, recurse)
        finally:
            for child in deep:
                child._buffers = alone[id(child)]
        return result

    return apply


def _drops_former_gradient(original: Any) -> Any:
    """Where parameters are replaced, the former one loses its gradient."""

    def apply(self: Module, convert: Any, recurse: bool = True) -> Module:
        former = list(self._parameters.values())
        result: Module = original(self, convert, recurse)
        for parameter, now in zip(former, self._parameters.values(), strict=True):
            if parameter is not None and parameter is not now:
                parameter.grad = None
        return result

    return apply


SABOTEURS = (
    Saboteur("casts-scalar-gradient", "a conversion drops the gradients of scalars",
             ("module.cast:double",), "gradient of", _afterwards(_drops_scalar_gradients)),
    Saboteur("casts-thaws", "a conversion makes complex parameters require grad",
             ("module.cast:to-dtype",), "requires grad", _afterwards(_thaws_complex)),
    Saboteur("casts-persistence", "a conversion makes buffers persistent",
             ("module.cast:to-device",), "names in the state", _afterwards(_forgets_transient)),
    Saboteur("casts-bool", "to converts boolean buffers",
             ("module.cast:to-tensor",), "buffer", _converting(
                 lambda convert, t: convert(t.float()) if t.dtype == torch.bool else convert(t))),
    Saboteur("casts-complex", "float converts complex numbers",
             ("module.cast:float",), "dtype", replacing(
                 Module, "float", lambda original: lambda self: self.to(torch.float32))),
    Saboteur("casts-type", "type leaves integers",
             ("module.cast:type",), "dtype", replacing(
                 Module, "type", lambda original: lambda self, kind: self.to(kind))),
    Saboteur("casts-shared", "half replaces the parameters",
             ("module.cast:half",), "dtype", replacing(Module, "half", _splits_shared)),
    Saboteur("casts-grandchildren", "buffers two levels below are left",
             ("module.cast:bfloat16",), "buffer", replacing(
                 Module, "_apply", _skips_grandchildren)),
    Saboteur("casts-format-with-dtype", "memory_format is ignored beside a dtype",
             ("module.memory-format:channels_last",), "lies so", rewriting(
                 Module, "to", lambda self, *a, **k: (
                     (self, *a), {n: k[n] for n in k if n == "dtype" or "dtype" not in k}))),
    Saboteur("casts-integers-stay", "integral tensors do not move",
             ("module.to-meta",), "device, shape", _converting(
                 lambda convert, t: t if t.dtype == torch.int64 and t.dim() else convert(t))),
    Saboteur("casts-empty-recurse", "to_empty goes below in any case",
             ("module.to-empty",), "device, shape", dropping(Module, "to_empty", "recurse")),
    Saboteur("casts-empty-flag", "to_empty makes frozen weights require grad",
             ("module.to-empty",), "requires grad", when(
                 Module, "to_empty", lambda *a, **k: True,
                 lambda original, self, **k: original(self, **k).requires_grad_())),
    Saboteur("casts-former-gradient", "parameters that are replaced lose their gradients",
             ("module.cast-overwrites",), "gradient",
             replacing(Module, "_apply", _drops_former_gradient)),
)  # fmt: skip
