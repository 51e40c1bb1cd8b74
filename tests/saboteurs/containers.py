"""Faults in containers: order, names, registration, composition, what they refuse."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.operator_faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Module = torch.nn.Module
Sequential, ModuleList, ModuleDict = torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict
ParameterList, ParameterDict = torch.nn.ParameterList, torch.nn.ParameterDict


def _keeps_numbers(original: Any) -> Any:
    """After the deletion of one but the last the names have a gap."""

    def delete(self: Any, index: Any) -> None:
        names = list(self._modules)
        original(self, index)
        if isinstance(index, int) and len(names) == 3:
            kept = [name for n, name in enumerate(names) if n != index % 3]
            self._modules = OrderedDict(zip(kept, self._modules.values(), strict=True))

    return delete


def _once(original: Any) -> Any:
    """A module that occurs again right after itself is called once."""

    def forward(self: Any, x: Any) -> Any:
        before = None
        for module in self:
            if module is not before or len(self) > 3:
                x = module(x)
            before = module
        return x

    return forward


def _unpacked(original: Any) -> Any:
    def forward(self: Any, x: Any) -> Any:
        for module in self:
            x = module(*x) if isinstance(x, tuple) else module(x)
        return x

    return forward


def _copies_empty(original: Any) -> Any:
    return lambda self, x: original(self, x) if len(self) else x.clone()


def _detaches(original: Any) -> Any:
    """The parameter of a tensor has memory of its own."""

    def assign(self: Any, key: Any, value: Any) -> None:
        plain = isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)
        original(self, key, value.clone() if plain else value)

    return assign


def _frozen(original: Any) -> Any:
    def assign(self: Any, key: Any, value: Any) -> None:
        original(self, key, value)
        if isinstance(value, torch.Tensor) and value is not self[key]:
            self[key].requires_grad_(False)

    return assign


def _moves_to_the_end(original: Any) -> Any:
    def assign(self: Any, key: str, value: Any) -> None:
        if isinstance(key, str):
            self._modules.pop(key, None)
        original(self, key, value)

    return assign


def _sorted_update(original: Any) -> Any:
    def update(self: Any, found: Any) -> None:
        original(self, sorted(found.items()) if isinstance(found, OrderedDict) else found)

    return update


def _default_kept(original: Any) -> Any:
    """setdefault sets the key in any case."""

    def setdefault(self: Any, key: str, default: Any = None) -> Any:
        if len(self) == 2:
            self[key] = default
        return original(self, key, default)

    return setdefault


def _first_item(original: Any) -> Any:
    def popitem(self: Any) -> Any:
        if len(self) < 3:
            return original(self)
        key = next(iter(self))
        return key, self.pop(key)

    return popitem


def _registers_lists(original: Any) -> Any:
    """A list of modules that is assigned is registered."""

    def assign(self: Any, name: str, value: Any) -> None:
        plain = type(value) is list and value and isinstance(value[0], torch.nn.Parameter)
        original(self, name, ParameterList(value) if plain else value)

    return assign


def _renamed(original: Any) -> Any:
    def assign(self: Any, index: int, module: Module) -> None:
        if list(self._modules) == [str(n) for n in range(len(self))]:
            return original(self, index, module)
        pairs = list(self._modules.items())
        pairs[index] = (str(index % len(pairs)), module)
        self._modules = OrderedDict(pairs)
        return None

    return assign


def _prefix_of_a_dict(original: Any) -> Any:
    """Below a list in a dictionary the state has no names of the list."""

    def state(self: Any, *rest: Any, **words: Any) -> Any:
        found = original(self, *rest, **words)
        if isinstance(self, ModuleDict) and not rest and not words.get("prefix"):
            entries = [(name.replace(".1.0.", ".1."), t) for name, t in found.items()]
            found.clear()
            found.update(entries)
        return found

    return state


def _takes_half(self: Any, modules: Any) -> None:
    self.add_module(str(len(self)), Module())
    raise TypeError("should be called with an iterable")


def _unordered_slice(original: Any) -> Any:
    def part(self: Any, index: Any) -> Any:
        found = original(self, index)
        if isinstance(index, slice) and index.step == -1:
            return self.__class__(list(found)[::-1])
        return found

    return part


def _deletes_one_less(original: Any) -> Any:
    def delete(self: Any, index: Any) -> None:
        if isinstance(index, slice) and index.stop is not None and index.stop < 0:
            index = slice(index.start, index.stop - 1)
        original(self, index)

    return delete


def _lists_of_tuples(original: Any) -> Any:
    def assign(self: Any, key: Any, value: Any) -> None:
        original(self, key, list(value) if isinstance(value, tuple) else value)

    return assign


def _none_is_zero(original: Any) -> Any:
    def assign(self: Any, key: Any, value: Any) -> None:
        if value is None and key in self._parameters:
            value = torch.nn.Parameter(torch.zeros(()))
        original(self, key, value)

    return assign


def _shares_slices(original: Any) -> Any:
    """What is appended to a whole slice reaches the Sequential itself."""

    def part(self: Any, index: Any) -> Any:
        found = original(self, index)
        if isinstance(index, slice) and len(found) == len(self):
            found._modules = self._modules
        return found

    return part


SABOTEURS = (
    Saboteur("containers-names-gap", "of three modules one is deleted, and the names have a gap",
             ("containers.list:ModuleList",), "names of", replacing(
                 ModuleList, "__delitem__", _keeps_numbers)),
    Saboteur("containers-slice-backwards", "a slice with step -1 is in the order of the list",
             ("containers.list:ParameterList",), "result of", replacing(
                 ParameterList, "__getitem__", _unordered_slice)),
    Saboteur("containers-delete-slice", "deleting to a negative place leaves one more",
             ("containers.list:Sequential",), "elements", replacing(
                 Sequential, "__delitem__", _deletes_one_less)),
    Saboteur("containers-insert-last", "inserting at the end comes before the last",
             ("containers.list:ModuleList",), "elements", rewriting(
                 ModuleList, "insert", lambda self, n, m: (
                     (self, n - 1 if n == len(self) > 2 else n, m), {}))),
    Saboteur("containers-list-copies", "the parameter of a tensor has memory of its own",
             ("containers.list:ParameterList",), "elements", replacing(
                 ParameterList, "__setitem__", _detaches)),
    Saboteur("containers-dict-frozen", "the parameter of a tensor does not require grad",
             ("containers.dict:ParameterDict",), "items", replacing(
                 ParameterDict, "__setitem__", _frozen)),
    Saboteur("containers-overwritten-last", "a key that is overwritten comes last",
             ("containers.dict:ModuleDict",), "items", replacing(
                 ModuleDict, "__setitem__", _moves_to_the_end)),
    Saboteur("containers-update-sorted", "update sorts what is ordered",
             ("containers.dict:ModuleDict",), "items", replacing(
                 ModuleDict, "update", _sorted_update)),
    Saboteur("containers-setdefault", "setdefault overwrites among two",
             ("containers.dict:ParameterDict",), "result of", replacing(
                 ParameterDict, "setdefault", _default_kept)),
    Saboteur("containers-popitem", "popitem of three takes the first",
             ("containers.dict:ParameterDict",), "result of", replacing(
                 ParameterDict, "popitem", _first_item)),
    Saboteur("containers-sequential-once", "a module right after itself is called once",
             ("containers.sequential",), "grad of leaf", replacing(Sequential, "forward", _once)),
    Saboteur("containers-sequential-empty", "without modules a Sequential returns a copy",
             ("containers.sequential",), "returns its input", replacing(
                 Sequential, "forward", _copies_empty)),
    Saboteur("containers-sequential-unpacks", "a tuple is handed on as arguments",
             ("containers.sequential-input",), "arguments of a module", replacing(
                 Sequential, "forward", _unpacked)),
    Saboteur("containers-sequential-renamed", "what is assigned to a place is named by it",
             ("containers.ordered",), "names", replacing(Sequential, "__setitem__", _renamed)),
    Saboteur("containers-nested-names", "in a dict the names of nested lists are left out",
             ("containers.nested",), "names in the state", replacing(
                 Module, "state_dict", _prefix_of_a_dict)),
    Saboteur("containers-plain-list", "a plain list of parameters is registered",
             ("containers.plain:list",), "parameters", replacing(
                 Module, "__setattr__", _registers_lists)),
    Saboteur("containers-tuples", "a tuple in a ParameterDict becomes a list",
             ("containers.other-objects",), "no tensor", replacing(
                 ParameterDict, "__setitem__", _lists_of_tuples)),
    Saboteur("containers-half-extended", "a ModuleList that refuses to be extended has grown",
             ("containers.rejected:list-extend",), "contents after", accepting(
                 ModuleList, "extend", TypeError, _takes_half)),
    Saboteur("containers-missing-none", "popping a key that is not there returns None",
             ("containers.missing-key:ModuleDict",), "raised nothing", when(
                 ModuleDict, "pop", lambda self, key: key not in self,
                 lambda original, self, key: None)),
    Saboteur("containers-insert-negative", "inserting before the first counts from the other end",
             ("containers.insert-from-the-end:Sequential",), "elements", rewriting(
                 Sequential, "insert", lambda self, n, m: (
                     (self, len(self) if n == -len(self) and n < -1 else n, m), {}))),
    Saboteur("containers-slice-shares", "a slice of all is the Sequential's own table",
             ("containers.append-to-slice",), "the whole", replacing(
                 Sequential, "__getitem__", _shares_slices)),
    Saboteur("containers-none-parameter", "None in the place of a parameter is a zero",
             ("containers.replaced",), "set to None", replacing(
                 ParameterDict, "__setitem__", _none_is_zero)),
)  # fmt: skip
