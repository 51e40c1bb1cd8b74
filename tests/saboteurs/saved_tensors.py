"""Faults in saved tensors: what hooks get, when they are called, and which apply."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.autograd.function import FunctionCtx

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]
_GRAPH = torch.autograd.graph
_SAVED: Any = torch._C._autograd.SavedTensor


def _hooks(change: Callable[[Any, Any], Hooks]) -> Patch:
    """Patch saved_tensors_hooks to set the pair that ``change`` makes of the given one."""

    def make(original: Any) -> Any:
        def begin(self: Any, pack: Any, unpack: Any) -> None:
            original(self, *change(pack, unpack))

        return begin

    return replacing(_GRAPH.saved_tensors_hooks, "__init__", make)


def _in_single_precision(pack: Any, unpack: Any) -> Hooks:
    def unpacking(packed: Any) -> Tensor:
        tensor: Tensor = unpack(packed)
        double = tensor.dtype == torch.float64
        return tensor.to(torch.float32).to(torch.float64) if double else tensor

    return pack, unpacking


def _copies_packed(pack: Any, unpack: Any) -> Hooks:
    return pack, lambda packed: unpack(copy.copy(packed))


def _packs_twice(pack: Any, unpack: Any) -> Hooks:
    def packing(tensor: Tensor) -> Any:
        pack(tensor)
        return pack(tensor)

    return packing, unpack


def _ignores_unpacked(pack: Any, unpack: Any) -> Hooks:
    def packing(tensor: Tensor) -> Any:
        return tensor.detach(), pack(tensor)

    def unpacking(packed: Any) -> Tensor:
        unpack(packed[1])
        return packed[0]

    return packing, unpacking


_last: list[Any] = []


def _unpacks_by_last(pack: Any, unpack: Any) -> Hooks:
    _last[:] = [unpack]
    return pack, lambda packed: _last[0](packed)


def _keeps_alias(pack: Any, unpack: Any) -> Hooks:
    def packing(tensor: Tensor) -> Any:
        pack(tensor)
        return tensor.data

    return packing, lambda packed: packed


def _packs_no_gradients(pack: Any, unpack: Any) -> Hooks:
    """Leave out what is saved while gradients are computed."""

    def packing(tensor: Tensor) -> Any:
        during = torch._C._current_graph_task_id() != -1
        return (tensor, None) if during else (None, pack(tensor))

    return packing, lambda packed: unpack(packed[1]) if packed[0] is None else packed[0]


_kept: list[Any] = []


def _keeps_packed(pack: Any, unpack: Any) -> Hooks:
    def packing(tensor: Tensor) -> Any:
        _kept.append(pack(tensor))
        return _kept[-1]

    return packing, unpack


def _zeros_for_nothing(pack: Any, unpack: Any) -> Hooks:
    def unpacking(packed: Any) -> Tensor:
        tensor = unpack(packed)
        return torch.zeros(2, dtype=torch.float64) if tensor is None else tensor

    return pack, unpacking


def _packs_a_clone(pack: Any, unpack: Any) -> Hooks:
    return lambda tensor: pack(tensor.clone()), unpack


def _swallows(pack: Any, unpack: Any) -> Hooks:
    def packing(tensor: Tensor) -> Any:
        with contextlib.suppress(Exception):
            return pack(tensor)
        return tensor.detach()

    return packing, unpack


def _stays_after_exception(original: Any) -> Any:
    def leave(self: Any, *rest: Any) -> None:
        if rest[0] is None:
            original(self, *rest)

    return leave


def _packs_under_no_grad(original: Any) -> Any:
    def enter(self: Any) -> None:
        original(self)
        if not torch.is_grad_enabled():
            self.pack_hook(torch.zeros(()))

    return enter


def _saves_one_more(original: Any) -> Any:
    return lambda self, *tensors: original(self, *tensors, tensors[0])


def _saves_a_clone(original: Any) -> Any:
    return lambda x, exponent: original(x.clone() if x.requires_grad else x, exponent)


def _returns_other_memory(original: Any) -> Any:
    def call(x: Tensor) -> Tensor:
        result: Tensor = original(x)
        result.data = result.data.clone()
        return result

    return call


def _retains_where_asked_before(original: Any) -> Any:
    def backward(self: Tensor, gradient: Any = None, **keywords: Any) -> None:
        original(self, gradient, **{**keywords, "retain_graph": True})

    return backward


def _registers_later(original: Any) -> Any:
    def register(self: Any, pack: Any, unpack: Any) -> None:
        pack_twice, unpack_same = _packs_twice(pack, unpack)
        original(self, pack_twice, unpack_same)

    return register


def _ignores_second_pair(original: Any) -> Any:
    def register(self: Any, pack: Any, unpack: Any) -> None:
        with contextlib.suppress(RuntimeError):
            original(self, pack, unpack)

    return register


def _single_precision_on_cpu(original: Any) -> Any:
    def begin(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        self.pack_hook, self.unpack_hook = _in_single_precision(self.pack_hook, self.unpack_hook)

    return begin


def _enables_at_inner_end(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def disable(message: str) -> Iterator[None]:
        torch._C._autograd._saved_tensors_hooks_disable(message)
        try:
            yield
        finally:
            torch._C._autograd._saved_tensors_hooks_enable()

    monkeypatch.setattr(_GRAPH, "disable_saved_tensors_hooks", disable)


_HOOKS = _GRAPH.saved_tensors_hooks
SABOTEURS = (
    Saboteur(
        "unpacked-in-single-precision", "unpacked tensors pass through float32",
        ("saved-tensors.round-trip:array",), "grad", _hooks(_in_single_precision),
    ),
    Saboteur(
        "packed-objects-copied", "unpack gets a copy of what pack returned",
        ("saved-tensors.calls",), "the very objects packed", _hooks(_copies_packed),
    ),
    Saboteur(
        "packed-twice", "pack is called twice for each saved tensor",
        ("saved-tensors.packed-values",), "values packed", _hooks(_packs_twice),
    ),
    Saboteur(
        "unpacked-ignored", "unpack is called, and the original is used",
        ("saved-tensors.unpacked-is-used",), "gradient", _hooks(_ignores_unpacked),
    ),
    Saboteur(
        "hooks-stay-after-exception", "a pair of hooks applies after an exception ended its block",
        ("saved-tensors.nesting",), "packed by each pair",
        replacing(_HOOKS, "__exit__", _stays_after_exception),
    ),
    Saboteur(
        "unpacked-by-last-pair", "the pair that was made last unpacks everything",
        ("saved-tensors.pair-of-forward",), "", _hooks(_unpacks_by_last),
    ),
    Saboteur(
        "packed-under-no-grad", "something is packed under no_grad",
        ("saved-tensors.nothing-to-save",), "requires_grad, packed",
        replacing(_HOOKS, "__enter__", _packs_under_no_grad),
    ),
    Saboteur(
        "packed-by-reference", "the graph keeps the original, not what pack returned",
        ("saved-tensors.written-after-packing",), "gradient", _hooks(_keeps_alias),
    ),
    Saboteur(
        "gradients-not-packed", "what a backward pass saves is not packed",
        ("saved-tensors.higher-order",), "packed during backward", _hooks(_packs_no_gradients),
    ),
    Saboteur(
        "one-more-saved", "save_for_backward saves its first tensor twice",
        ("saved-tensors.custom-function",), "tensors packed",
        replacing(FunctionCtx, "save_for_backward", _saves_one_more),
    ),
    Saboteur(
        "packed-never-released", "what was packed outlives the graph",
        ("saved-tensors.released",), "does not retain", _hooks(_keeps_packed),
    ),
    Saboteur(
        "pow-saves-a-clone", "pow saves a copy of its input",
        ("saved-tensors.input-of-node",), "", replacing(torch, "pow", _saves_a_clone),
    ),
    Saboteur(
        "exp-returns-other-memory", "what exp saves is not the memory that it returns",
        ("saved-tensors.output-of-node:exp",), "data_ptr",
        replacing(torch, "exp", _returns_other_memory),
    ),
    Saboteur(
        "saved-never-freed", "saved tensors can be accessed after a pass that frees them",
        ("saved-tensors.freed:tanh",), "raised nothing",
        replacing(Tensor, "backward", _retains_where_asked_before),
    ),
    Saboteur(
        "raw-packed-twice", "hooks on a saved tensor pack it twice",
        ("saved-tensors.raw-hooks",), "calls at registration",
        replacing(_SAVED, "register_hooks", _registers_later),
    ),
    Saboteur(
        "second-raw-pair-ignored", "a second pair of hooks on a saved tensor is ignored",
        ("saved-tensors.raw-hooks-once",), "raised nothing",
        replacing(_SAVED, "register_hooks", _ignores_second_pair),
    ),
    Saboteur(
        "saved-on-cpu-in-single-precision", "save_on_cpu keeps float32",
        ("saved-tensors.on-cpu",), "grad",
        replacing(_GRAPH.save_on_cpu, "__init__", _single_precision_on_cpu),
    ),
    Saboteur(
        "nothing-unpacked-is-zeros", "an unpack that returns None stands for zeros",
        ("saved-tensors.unpack-type:nothing",), "raised nothing", _hooks(_zeros_for_nothing),
    ),
    Saboteur(
        "pack-gets-a-clone", "a pack hook writes to its input unnoticed",
        ("saved-tensors.pack-in-place",), "raised nothing", _hooks(_packs_a_clone),
    ),
    Saboteur(
        "pack-errors-swallowed", "an exception of pack is swallowed",
        ("saved-tensors.hook-raises",), "pack was to raise", _hooks(_swallows),
    ),
    Saboteur(
        "inner-disabling-enables", "the end of an inner block without hooks allows them again",
        ("saved-tensors.disabled",), "raised nothing", _enables_at_inner_end,
    ),
)  # fmt: skip
