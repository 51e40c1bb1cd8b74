"""Faults in moves between devices, and in what ``to`` returns."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.conversion import casting
from tests.saboteurs.faults import accepting, dropping, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _copies_same(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    return self.clone() if self.dtype == dtype and not self.is_contiguous() else None


def _with_plain_zeros(host: Tensor) -> Tensor:
    plain = host.dtype in (torch.float32, torch.float64)
    return torch.where(host == 0, torch.zeros_like(host), host) if plain else host


def _copies_scalars(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(self, *arguments, **keywords)
        return result.clone() if keywords.get("non_blocking") and self.dim() == 0 else result

    return to


def _rank_zero_self(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        if self.dim() == 0 and keywords.get("copy"):
            return self
        return original(self, *arguments, **keywords)

    return to


def _contiguous_copy(self: Tensor, *_: Any, **keywords: Any) -> bool:
    plain = "memory_format" not in keywords and not self.is_meta
    return self.dim() > 2 and plain and not self.is_contiguous()


def _drops_bits(original: Any) -> Any:
    def cpu(self: Tensor) -> Tensor:
        result: Tensor = original(self)
        return result.clone() if result.is_conj() else result

    return cpu


def _flushes_on_the_way(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(self, *arguments, **keywords)
        if arguments == ("cpu",) and result.is_floating_point():
            return torch.where(result.abs() < torch.finfo(result.dtype).tiny, result * 0, result)
        return result

    return to


def _empty_of_meta(self: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.zeros(self.shape, dtype=self.dtype)


def _item_is_zero(self: Tensor) -> Any:
    return 0


def _like_float(self: Tensor, *_: Any, **__: Any) -> Tensor:
    return self.float()


def _to_meta_packed(self: Tensor, *arguments: Any, **_: Any) -> bool:
    return arguments == ("meta",) and self.dim() == 2


def _contiguous_on_meta(*_: Any, device: Any = None, **__: Any) -> bool:
    return device == "meta"


def _ignores_default(original: Any) -> Any:
    def arange(*arguments: Any, **keywords: Any) -> Tensor:
        return original(*arguments, **{"device": "cpu", **keywords})

    return arange


def _half_name(original: Any) -> Any:
    def type_(self: Tensor, *arguments: Any) -> Any:
        found = original(self, *arguments)
        return found.replace("BFloat16", "Half") if isinstance(found, str) else found

    return type_


def _nothing_to_cast(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(self, *arguments, **keywords)
        wanted = keywords.get("memory_format") == torch.contiguous_format
        return result.detach().add_(1) if wanted and self.dim() == 0 else result

    return to


SABOTEURS = (
    Saboteur(
        "to-copies-strided", "to the dtype that it has copies a tensor that is not contiguous",
        ("devices.identity:dtype", "devices.identity:keywords"), "returns self",
        casting(_copies_same),
    ),
    Saboteur(
        "to-copies-scalars", "to with non_blocking copies a tensor of rank 0",
        ("devices.nothing-asked",), "returns self", replacing(Tensor, "to", _copies_scalars),
    ),
    Saboteur(
        "to-copy-shares-scalars", "to with copy=True returns a tensor of rank 0 itself",
        ("devices.copy:other",), "original after a write", replacing(Tensor, "to", _rank_zero_self),
    ),
    Saboteur(
        "to-contiguous", "to makes a copy of rank 3 or more contiguous",
        ("devices.to-strides:dtype",), "geometry",
        when(Tensor, "to", _contiguous_copy, lambda result: result.contiguous()),
    ),
    Saboteur(
        "to-ignores-channels-last", "to ignores memory_format=torch.channels_last",
        ("devices.to-channels-last:device",), "channels_last",
        dropping(Tensor, "to", "memory_format", lambda wish: wish == torch.channels_last),
    ),
    Saboteur(
        "to-format-adds", "to a memory format changes the values of a tensor of rank 0",
        ("devices.format-of-same:to",), "", replacing(Tensor, "to", _nothing_to_cast),
    ),
    Saboteur(
        "cpu-copies-conjugated", "cpu copies a conjugated tensor that is on the CPU",
        ("devices.cpu",), "returns self", replacing(Tensor, "cpu", _drops_bits),
    ),
    Saboteur(
        "moving-flushes", "subnormal numbers become 0 on the way to the CPU",
        ("devices.round-trip",), "result", replacing(Tensor, "to", _flushes_on_the_way),
    ),
    Saboteur(
        "type-bfloat16-is-half", "type calls bfloat16 Half",
        ("devices.type-name:bfloat16",), "type", replacing(Tensor, "type", _half_name),
    ),
    Saboteur(
        "type-accepts-anything", "type of an unknown name is float",
        ("devices.type-rejected",), "raised nothing",
        accepting(Tensor, "type", ValueError, _like_float),
    ),
    Saboteur(
        "meta-contiguous", "to meta makes a matrix contiguous",
        ("devices.to-meta",), "geometry",
        when(Tensor, "to", _to_meta_packed, lambda result: result.contiguous()),
    ),
    Saboteur(
        "cpu-of-meta", "cpu of a tensor on meta is zeros",
        ("devices.out-of-meta:cpu",), "NotImplementedError",
        accepting(Tensor, "cpu", NotImplementedError, _empty_of_meta),
    ),
    Saboteur(
        "copy-from-meta", "copy_ from a tensor on meta does nothing",
        ("devices.copy-from-meta",), "NotImplementedError",
        accepting(Tensor, "copy_", NotImplementedError, lambda self, *_: self),
    ),
    Saboteur(
        "item-of-meta", "item of a tensor on meta is 0",
        ("devices.item-of-meta",), "raised nothing",
        accepting(Tensor, "item", RuntimeError, _item_is_zero),
    ),
    Saboteur(
        "meta-empty-strided", "empty_strided on meta is contiguous",
        ("devices.factories-on-meta:empty_strided",), "geometry",
        when(torch, "empty_strided", _contiguous_on_meta, lambda result: result.contiguous()),
    ),
    Saboteur(
        "meta-forgets-grad", "eye on meta ignores requires_grad",
        ("devices.factories-on-meta:eye",), "requires_grad",
        when(torch, "eye", lambda *_, **k: k.get("device") == torch.device("meta"),
             lambda result: result.detach()),
    ),
    Saboteur(
        "arange-default-device", "arange ignores the default device",
        ("devices.default-device:arange",), "device", replacing(torch, "arange", _ignores_default),
    ),
    Saboteur(
        "from-numpy-default-device", "from_numpy moves to the default device",
        ("devices.default-device:zeros",), "device of an array",
        after(torch, "from_numpy", lambda result: result.to(torch.get_default_device())),
    ),
    Saboteur(
        "cpu-loses-signed-zeros", "whatever is read from a device has no negative zeros",
        ("devices.values-arrive",), "sent to the device", after(Tensor, "cpu", _with_plain_zeros),
    ),
    Saboteur(
        "tensor-rounds-doubles", "tensor keeps of a float64 array of rank 2 what float32 can hold",
        ("creation.tensor-of-array:float64",), "result",
        when(torch, "tensor", lambda data, **_: str(getattr(data, "dtype", "")) == "float64"
             and data.ndim == 2, lambda result: result.float().double()),
    ),
)  # fmt: skip
