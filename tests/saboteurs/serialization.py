"""Faults in serialization: what is lost between torch.save and torch.load."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import accepting, changed, rewriting
from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def _each(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """A nest of what torch.save takes, with each tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) is dict:
        return {key: _each(item, change) for key, item in value.items()}
    return type(value)(_each(v, change) for v in value) if type(value) in (list, tuple) else value


def _loading(change: Callable[[torch.Tensor], Any]) -> Patch:
    """The patch that changes every tensor that is loaded."""
    return replacing(
        torch, "load", lambda original: lambda *a, **k: _each(original(*a, **k), change)
    )


def _saving(change: Callable[[torch.Tensor], Any]) -> Patch:
    """The patch that changes every tensor that is saved."""
    return replacing(
        torch, "save", lambda original: lambda v, f, **k: original(_each(v, change), f, **k)
    )


def _with_flag(tensor: torch.Tensor, flag: bool) -> torch.Tensor:
    return tensor.detach().requires_grad_(flag) if type(tensor) is torch.Tensor else tensor


def _contiguous(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.layout == torch.strided and tensor.dim() > 1 and tensor.numel()
    return tensor.contiguous() if plain and not tensor.requires_grad else tensor


def _positive_zeros(tensor: torch.Tensor) -> torch.Tensor:
    return tensor + 0 if tensor.dtype == torch.float16 and tensor.is_contiguous() else tensor


def _resolved(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.resolve_conj() if tensor.is_conj() else tensor


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach() if isinstance(tensor, torch.nn.Parameter) else tensor


def _cloned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.layout == torch.strided and tensor._is_view() else tensor


def _coalesced(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.coalesce() if tensor.layout == torch.sparse_coo else tensor


def _without_zeros(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_dense().to_sparse_csr() if tensor.layout == torch.sparse_csr else tensor


def _trusting(*arguments: Any, weights_only: bool = False, **keywords: Any) -> Any:
    return arguments, {**keywords, "weights_only": weights_only}


def _here(*arguments: Any, map_location: Any = None, **keywords: Any) -> Any:
    kept = None if isinstance(map_location, str) and map_location == "meta" else map_location
    return arguments, {**keywords, "map_location": kept}


def _untagged(*arguments: Any, map_location: Any = None, **keywords: Any) -> Any:
    if callable(map_location):
        located = map_location
        keywords["map_location"] = lambda storage, _: located(storage, str(storage.device) + ":0")
    elif map_location is not None:
        keywords["map_location"] = map_location
    return arguments, keywords


def _trusting_for_ever(original: Any) -> Any:
    return type("safe_globals", (original,), {"__exit__": lambda *_: None})


def _unmapped(*arguments: Any, **keywords: Any) -> Any:
    keywords.pop("mmap", None)
    arguments[0].seek(0)
    return torch.load(*arguments, **keywords)


def _writes_through(_: pytest.MonkeyPatch) -> None:
    torch.serialization.set_default_mmap_options(mmap.MAP_SHARED)


def _sorted_keys(original: Any) -> Any:
    def load(*arguments: Any, **keywords: Any) -> Any:
        found = original(*arguments, **keywords)
        return dict(sorted(found.items())) if type(found) is dict else found

    return load


def _shuffled(state: torch.Tensor) -> torch.Tensor:
    return state.flip(0).flip(0) if state.dtype != torch.uint8 or state.dim() != 1 else _next(state)


def _next(state: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator()
    if state.numel() != generator.get_state().numel():
        return state
    generator.set_state(state)
    torch.rand(1, generator=generator)
    return generator.get_state()


def _whole(file: Any, **_: Any) -> torch.Tensor:
    return torch.zeros(())


class _Kept:
    """A torch.load that gives later tensors of a dtype the storage of the first."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.original = original
        self.first: torch.Tensor | None = None

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        loaded = self.original(*arguments, **keywords)
        first, self.first = self.first, loaded if isinstance(loaded, torch.Tensor) else None
        if first is None or self.first is None or first.dtype != loaded.dtype:
            return loaded
        if first.untyped_storage().nbytes() != loaded.untyped_storage().nbytes():
            return loaded
        return loaded.set_(first.untyped_storage(), loaded.storage_offset(), *_size(loaded))


def _size(tensor: torch.Tensor) -> tuple[Any, Any]:
    return tensor.shape, tensor.stride()


def _flag_forgotten(original: Any) -> Any:
    def faulty(*arguments: Any, **keywords: Any) -> Any:
        loaded = original(*arguments, **keywords)
        if isinstance(keywords.get("map_location"), dict):
            return changed(loaded, lambda tensor: tensor.detach())
        return loaded

    return faulty


SABOTEURS = (
    Saboteur(
        "saved-without-negative-zero", "contiguous float16 tensors lose -0.0 when they are saved",
        ("serialization.round-trip:buffer",), "loaded",
        _saving(_positive_zeros),
    ),
    Saboteur(
        "loaded-contiguous", "tensors of rank 2 and more are loaded contiguous",
        ("serialization.round-trip:buffer", "serialization.round-trip:mmap"), "strides",
        _loading(_contiguous),
    ),
    Saboteur(
        "loaded-resolved", "a conjugated tensor is loaded with its values resolved",
        ("serialization.round-trip:file",), "conjugate and negative bits", _loading(_resolved),
    ),
    Saboteur(
        "loaded-frozen", "what is loaded does not require grad",
        ("serialization.flags:buffer",), "requires_grad", _loading(lambda t: _with_flag(t, False)),
    ),
    Saboteur(
        "parameter-loaded-as-tensor", "a Parameter is loaded as a tensor",
        ("serialization.parameters:buffer",), "Parameter, requires_grad", _loading(_plain),
    ),
    Saboteur(
        "views-saved-apart", "a view is saved with a storage of its own",
        ("serialization.views-share:buffer", "serialization.views-share:mmap"), "shares storage",
        _saving(_cloned),
    ),
    Saboteur(
        "storage-cut-when-saved", "a view is saved without the rest of its storage",
        ("serialization.whole-storage",), "storage of a loaded view", _saving(_cloned),
    ),
    Saboteur(
        "keys-sorted", "a dictionary is loaded with its keys sorted",
        ("serialization.objects",), "keys in order", replacing(torch, "load", _sorted_keys),
    ),
    Saboteur(
        "weights-only-off", "torch.load trusts files unless it is told otherwise",
        ("serialization.weights-only",), "raised nothing", rewriting(torch, "load", _trusting),
    ),
    Saboteur(
        "safe-globals-stay", "what safe_globals lists stays listed after its block",
        ("serialization.weights-only",), "raised nothing",
        replacing(torch.serialization, "safe_globals", _trusting_for_ever),
    ),
    Saboteur(
        "map-location-meta-ignored", "map_location='meta' is ignored",
        ("serialization.map-location:name",), "loaded without data",
        rewriting(torch, "load", _here),
    ),
    Saboteur(
        "location-tag-numbered", "a function given as map_location sees the tag 'cpu:0'",
        ("serialization.map-location-function",), "calls with the storages' tags",
        rewriting(torch, "load", _untagged),
    ),
    Saboteur(
        "mmap-of-buffer", "mmap=True is ignored for what is no path",
        ("serialization.mmap-needs-path",), "raised nothing",
        accepting(torch, "load", ValueError, _unmapped),
    ),
    Saboteur(
        "mmap-shared", "what is mapped into memory writes through to the file",
        ("serialization.mmap-is-private",), "file", _writes_through,
    ),
    Saboteur(
        "sparse-loaded-coalesced", "a sparse tensor is loaded coalesced",
        ("serialization.sparse:coo",), "coalesced", _loading(_coalesced),
    ),
    Saboteur(
        "sparse-loaded-as-csc", "a CSR tensor is loaded as its CSC counterpart",
        ("serialization.sparse:csr",), "layout",
        _loading(lambda t: t.to_sparse_csc() if t.layout == torch.sparse_csr else t),
    ),
    Saboteur(
        "generator-state-behind", "a saved state of a generator is one number further",
        ("serialization.generator-state",), "numbers after", _saving(_shuffled),
    ),
    Saboteur(
        "cut-off-file-loaded", "a file that cannot be read is loaded as zero",
        ("serialization.cut-off",), "a file cut off is refused",
        accepting(torch, "load", RuntimeError, _whole),
    ),
    Saboteur(
        "loads-share-one-storage", "two files of one tensor are loaded into one storage",
        ("serialization.apart",), "a view saved alone", replacing(torch, "load", _Kept),
    ),
    Saboteur(
        "mapped-without-flag", "a dictionary as map_location forgets requires_grad",
        ("serialization.map-location:dictionary",), "device, flag",
        replacing(torch, "load", _flag_forgotten),
    ),
)  # fmt: skip
