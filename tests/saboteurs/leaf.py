"""Faults in leaves: which tensors are leaves, their flags, and their ``.grad``."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import accepting, dropping, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
_GRAD: Any = torch._C.TensorBase.grad
_FLAG: Any = torch._C.TensorBase.requires_grad


def _property(name: str, of: Any, read: Any = None, write: Any = None) -> Patch:
    """Patch an attribute of tensors, as it is read or as it is written."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        found = property(read or of.__get__, write or of.__set__, of.__delete__)
        monkeypatch.setattr(Tensor, name, found, raising=False)

    return patch


def _same_dtype(self: Tensor, dtype: Any = None, *rest: Any, **words: Any) -> bool:
    return dtype is self.dtype and not words and self.requires_grad


def _parameters(make: Any) -> Patch:
    def replaced(original: Any) -> Any:
        def new(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
            return make(lambda *arguments: original(cls, *arguments), data, requires_grad)

        return staticmethod(new)

    return replacing(torch.nn.Parameter, "__new__", replaced)


def _parameter_of_copy(original: Any, data: Any, requires_grad: bool) -> Any:
    return original(data if data.is_contiguous() else data.contiguous(), requires_grad)


def _parameter_shares_leaf(original: Any, data: Any, requires_grad: bool) -> Any:
    made = original(data, requires_grad)
    if requires_grad and data.requires_grad and data.is_leaf:
        made.register_hook(lambda gradient: setattr(data, "grad", gradient.clone()))
    return made


def _setting(change: Any) -> Patch:
    """Patch ``requires_grad_``."""

    def make(original: Any) -> Any:
        def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
            result: Tensor = change(original, self, requires_grad)
            return result

        return requires_grad_

    return replacing(Tensor, "requires_grad_", make)


def _scalars_twice(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self, flag)
    if flag and self.dim() == 0 and self.is_leaf:
        made.register_hook(lambda gradient: gradient * 2)
    return made


def _keeps_flag_of_leaf_with_grad(original: Any, self: Tensor, flag: bool) -> Tensor:
    kept: Tensor = original(self, flag or (self.requires_grad and self.grad is not None))
    return kept


def _returns_alias(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self, flag)
    return made if flag else made.detach()


def _ignores_booleans(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self, flag and self.dtype != torch.bool)
    return made


def _detaches_results(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self.detach_(), flag) if self.grad_fn else original(self, flag)
    return made


def _vectors_stay_variable(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self, flag or self.dim() == 1)
    return made


def _numbers_stay_constant(original: Any, self: Tensor, flag: bool) -> Tensor:
    made: Tensor = original(self, flag and (self.dim() > 0 or self.requires_grad))
    return made


def _write_flag_of_floats(self: Tensor, flag: bool) -> None:
    if self.is_floating_point() or self.is_complex():
        _FLAG.__set__(self, flag)


def _write_flag_of_leaves(self: Tensor, flag: bool) -> None:
    if self.is_leaf:
        _FLAG.__set__(self, flag)


def _read_quietly(self: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _GRAD.__get__(self)


def _read_zeros_of_results(self: Tensor) -> Any:
    found = _GRAD.__get__(self)
    if found is None and self.requires_grad and not self.is_leaf and not self.retains_grad:
        return torch.zeros_like(self.detach())
    return found


def _retains_again(original: Any) -> Any:
    def retain_grad(self: Tensor) -> None:
        if self.retains_grad:
            self.register_hook(lambda gradient: gradient * 2)
        original(self)

    return retain_grad


def _retains_last_pass(original: Any) -> Any:
    def retain_grad(self: Tensor) -> None:
        if not self.is_leaf:
            self.register_hook(lambda gradient: setattr(self, "grad", None))
        original(self)

    return retain_grad


def _write_copy_of_strided(self: Tensor, value: Any) -> None:
    strided = isinstance(value, Tensor) and not value.is_contiguous()
    _GRAD.__set__(self, value.contiguous() if strided else value)


def _write_reshaped(self: Tensor, value: Any) -> None:
    fits = isinstance(value, Tensor) and value.numel() == self.numel()
    _GRAD.__set__(self, value.reshape(self.shape) if fits else value)


def _write_converted(self: Tensor, value: Any) -> None:
    _GRAD.__set__(self, value.to(self.dtype) if isinstance(value, Tensor) else value)


def _write_clears_first(self: Tensor, value: Any) -> None:
    _GRAD.__set__(self, None)
    _GRAD.__set__(self, value)


def _write_moved(self: Tensor, value: Any) -> None:
    elsewhere = isinstance(value, Tensor) and value.device != self.device
    _GRAD.__set__(self, torch.zeros_like(self) if elsewhere else value)


def _read_half_as_float(self: Tensor) -> Any:
    found = _GRAD.__get__(self)
    return found.float() if found is not None and found.dtype == torch.bfloat16 else found


def _read_empty_flat(self: Tensor) -> Any:
    found = _GRAD.__get__(self)
    return found.flatten() if found is not None and found.numel() == 0 else found


SABOTEURS = (
    Saboteur(
        "same-dtype-is-a-view", "to() of the dtype that a leaf has gives a view of it",
        ("leaf.definition:same-dtype",), "is_leaf",
        when(Tensor, "to", _same_dtype, lambda t: t.view_as(t)),
    ),
    Saboteur(
        "clone-is-a-leaf", "the clone of a vector is a leaf",
        ("leaf.definition:clone",), "is_leaf",
        when(
            Tensor, "clone", lambda t: t.requires_grad and t.dim() == 1,
            lambda t: t.detach().requires_grad_(),
        ),
    ),
    Saboteur(
        "detach-in-place-keeps-flag", "detach_ leaves requires_grad as it was",
        ("leaf.definition:detached-in-place",), "requires_grad",
        when(Tensor, "detach_", lambda t: True, lambda t: t.requires_grad_()),
    ),
    Saboteur(
        "zeros-like-ignores-flag", "zeros_like ignores requires_grad=True",
        ("leaf.definition:new-like",), "requires_grad",
        dropping(torch, "zeros_like", "requires_grad"),
    ),
    Saboteur(
        "parameter-passes-gradient-on", "a Parameter's gradient reaches the leaf it was made of",
        ("leaf.collects-grad:parameter",), "grad of what it was made of",
        _parameters(_parameter_shares_leaf),
    ),
    Saboteur(
        "number-counts-twice", "the gradient of a leaf without dimensions counts twice",
        ("leaf.collects-grad:detached-again",), "grad", _setting(_scalars_twice),
    ),
    Saboteur(
        "parameter-copies-strided", "a Parameter of a tensor that is not contiguous is a copy",
        ("leaf.parameter",), "memory is the tensor's", _parameters(_parameter_of_copy),
    ),
    Saboteur(
        "flag-stays-with-grad", "requires_grad_(False) does nothing to a leaf with a gradient",
        ("leaf.set-flag:method",), "requires_grad", _setting(_keeps_flag_of_leaf_with_grad),
    ),
    Saboteur(
        "flag-off-returns-alias", "requires_grad_(False) returns another tensor",
        ("leaf.set-flag:default",), "returns the tensor", _setting(_returns_alias),
    ),
    Saboteur(
        "booleans-ignore-flag", "requires_grad_() does nothing to booleans",
        ("leaf.flag-of-integers:default",), "raised nothing", _setting(_ignores_booleans),
    ),
    Saboteur(
        "integers-ignore-attribute", "requires_grad = True does nothing to integers",
        ("leaf.flag-of-integers:attribute",), "raised nothing",
        _property("requires_grad", _FLAG, write=_write_flag_of_floats),
    ),
    Saboteur(
        "results-detached-by-flag", "requires_grad_(False) detaches a result",
        ("leaf.flag-of-results:method",), "raised nothing", _setting(_detaches_results),
    ),
    Saboteur(
        "results-ignore-attribute", "requires_grad = False does nothing to a result",
        ("leaf.flag-of-results:attribute",), "raised nothing",
        _property("requires_grad", _FLAG, write=_write_flag_of_leaves),
    ),
    Saboteur(
        "vectors-stay-variable", "requires_grad_(False) does nothing to vectors",
        ("leaf.flag-changed-later",), "grad of leaf", _setting(_vectors_stay_variable),
    ),
    Saboteur(
        "numbers-stay-constant", "requires_grad_() does nothing to numbers",
        ("leaf.flag-set-later:computed",), "", _setting(_numbers_stay_constant),
    ),
    Saboteur(
        "grad-of-results-silent", "reading .grad of a result does not warn",
        ("leaf.grad-of-results",), "warnings", _property("grad", _GRAD, read=_read_quietly),
    ),
    Saboteur(
        "grad-of-results-zeros", "a result's .grad is zeros",
        ("leaf.grad-of-results",), "grad of a result",
        _property("grad", _GRAD, read=_read_zeros_of_results),
    ),
    Saboteur(
        "retain-grad-twice", "asking to retain the gradient twice doubles it",
        ("leaf.retain-grad",), "grad of", replacing(Tensor, "retain_grad", _retains_again),
    ),
    Saboteur(
        "retained-grad-overwritten", "a retained gradient is that of the last pass",
        ("leaf.retain-grad",), "grad of the result",
        replacing(Tensor, "retain_grad", _retains_last_pass),
    ),
    Saboteur(
        "retain-grad-of-constant", "retain_grad does nothing to a constant",
        ("leaf.retain-grad-of-leaf",), "raised nothing",
        accepting(Tensor, "retain_grad", RuntimeError, lambda self: None),
    ),
    Saboteur(
        "assigned-grad-copied", "a strided tensor assigned to .grad is copied",
        ("leaf.assign-grad",), "grad is what was assigned",
        _property("grad", _GRAD, write=_write_copy_of_strided),
    ),
    Saboteur(
        "assigned-grad-reshaped", "a tensor of as many elements is reshaped to be .grad",
        ("leaf.grad-refused:wider", "leaf.grad-refused:flat"), "raised nothing",
        _property("grad", _GRAD, write=_write_reshaped),
    ),
    Saboteur(
        "assigned-grad-converted", "a tensor of another dtype is converted to be .grad",
        ("leaf.grad-refused:other-dtype", "leaf.grad-refused:integers"), "raised nothing",
        _property("grad", _GRAD, write=_write_converted),
    ),
    Saboteur(
        "refused-grad-clears", "a refused .grad leaves None behind",
        ("leaf.grad-refused:number", "leaf.grad-refused:itself"), "grad is what it was",
        _property("grad", _GRAD, write=_write_clears_first),
    ),
    Saboteur(
        "assigned-grad-elsewhere", "a .grad on another device counts as zeros",
        ("leaf.grad-refused:other-device",), "raised nothing",
        _property("grad", _GRAD, write=_write_moved),
    ),
    Saboteur(
        "bfloat16-grad-widened", "the gradient of bfloat16 leaves is float32",
        ("leaf.grad-kind",), "dtype", _property("grad", _GRAD, read=_read_half_as_float),
    ),
    Saboteur(
        "empty-grad-flat", "the gradient of a leaf without elements has one dimension",
        ("leaf.grad-kind",), "shape", _property("grad", _GRAD, read=_read_empty_flat),
    ),
)  # fmt: skip
