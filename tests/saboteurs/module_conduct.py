"""Faults in what a module class needs, in what becomes a member, and in modes."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Module = torch.nn.Module


def _starts_evaluating(original: Any) -> Any:
    def construct(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        if "__init__" not in vars(type(self)):
            self.training = False

    return construct


def _initializes_itself(original: Any) -> Any:
    def assign(self: Any, name: str, value: Any) -> None:
        if isinstance(value, torch.nn.Parameter) and "_parameters" not in vars(self):
            Module.__init__(self)
        original(self, name, value)

    return assign


def _one_argument_through(original: Any) -> Any:
    def forward(self: Any, *arguments: Any) -> Any:
        return arguments[0] if len(arguments) == 1 else original(self, *arguments)

    return forward


def _lists_registered(original: Any) -> Any:
    def assign(self: Any, name: str, value: Any) -> None:
        original(self, name, value)
        if isinstance(value, list) and isinstance(value[0], torch.nn.Parameter):
            self.register_parameter(f"{name}_0", value[0])

    return assign


def _frozen_left_out(original: Any) -> Any:
    def named(self: Any, prefix: str = "", recurse: bool = True, **keywords: Any) -> Any:
        for name, parameter in original(self, prefix, recurse, **keywords):
            if recurse or parameter.requires_grad or not parameter.is_floating_point():
                yield name, parameter

    return named


def _loading_trains(original: Any) -> Any:
    def load(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(self, *arguments, **keywords)
        for module in self.children():
            module.training = True
        return result

    return load


def _switching_writes(original: Any) -> Any:
    def train(self: Any, mode: bool = True) -> Any:
        if mode:
            for buffer in self.buffers(recurse=False):
                if buffer.is_floating_point():
                    buffer.add_(0)
        return original(self, mode)

    return train


def _evaluates_without_grad(original: Any) -> Any:
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.training):
            return original(self, *arguments, **keywords)

    return call


def _stays_hidden(original: Any) -> Any:
    def register(self: Any, name: str, tensor: Any, persistent: bool = True) -> None:
        hidden = name in self._non_persistent_buffers_set
        original(self, name, tensor, persistent)
        if hidden:
            self._non_persistent_buffers_set.add(name)

    return register


SABOTEURS = (
    Saboteur(
        "bare-modules-evaluate", "a module without __init__ of its own starts in evaluation mode",
        ("module.without-init",), "training mode",
        replacing(Module, "__init__", _starts_evaluating),
    ),
    Saboteur(
        "module-initializes-itself", "assigning a Parameter stands for the call of Module.__init__",
        ("module.init-not-called:parameter",), "raised nothing",
        replacing(Module, "__setattr__", _initializes_itself),
    ),
    Saboteur(
        "missing-forward-is-identity", "without forward a module returns its one argument",
        ("module.forward-missing",), "NotImplementedError",
        replacing(Module, "forward", _one_argument_through),
    ),
    Saboteur(
        "lists-registered", "a Parameter in a plain list becomes a member",
        ("module.plain-attributes:list",), "parameters",
        replacing(Module, "__setattr__", _lists_registered),
    ),
    Saboteur(
        "own-frozen-left-out", "without recursion frozen parameters are left out",
        ("module.frozen",), "parameters",
        replacing(Module, "named_parameters", _frozen_left_out),
    ),
    Saboteur(
        "loading-trains", "loading a state sets children to training mode",
        ("module.mode-stays",), "modes after load",
        replacing(Module, "load_state_dict", _loading_trains),
    ),
    Saboteur(
        "switching-writes", "train writes to the buffers of a module, what they hold",
        ("module.switching-keeps-state",), "flags of",
        replacing(Module, "train", _switching_writes),
    ),
    Saboteur(
        "evaluation-without-grad", "a module in evaluation mode is called without grad mode",
        ("module.evaluation-records",), "requires grad",
        replacing(Module, "__call__", _evaluates_without_grad),
    ),
    Saboteur(
        "buffer-stays-hidden", "a buffer that did not persist never does",
        ("module.buffer-again",), "names in the state dict",
        replacing(Module, "register_buffer", _stays_hidden),
    ),
)  # fmt: skip
