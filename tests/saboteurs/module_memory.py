"""Faults in the memory of modules: vectors of parameters, modules without values, layouts."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

utils = torch.nn.utils
Module = torch.nn.Module


def _sorted_by_size(original: Any) -> Any:
    def flatten(parameters: Any) -> Any:
        found = list(parameters)
        return original(sorted(found, key=lambda p: p.numel() > 3) if len(found) > 2 else found)

    return flatten


def _aliases_one(original: Any) -> Any:
    """A single parameter is not copied."""

    def flatten(parameters: Any) -> Any:
        found = list(parameters)
        return found[0].view(-1) if len(found) == 1 else original(found)

    return flatten


def _backwards(original: Any) -> Any:
    """Blocks of numbers are flattened from their end."""

    def flatten(parameters: Any) -> Any:
        return original([p.flip(0, 1) if p.dim() > 1 else p for p in parameters])

    return flatten


def _trains_all(original: Any) -> Any:
    def restore(vec: Any, parameters: Any) -> None:
        found = list(parameters)
        original(vec, found)
        for parameter in found[2:]:
            parameter.requires_grad_(True)

    return restore


def _keeps_last(original: Any) -> Any:
    def restore(vec: Any, parameters: Any) -> None:
        found = list(parameters)
        original(vec.clone(), found[:-1])
        size = found[-1].numel()
        found[-1].data = vec.detach()[vec.numel() - size :].view_as(found[-1])

    return restore


def _initializes(original: Any) -> Any:
    def skip(module_cls: Any, *arguments: Any, **words: Any) -> Any:
        if module_cls is torch.nn.Embedding:
            return module_cls(*arguments, **words)
        return original(module_cls, *arguments, **words)

    return skip


def _strict_anyway(original: Any) -> Any:
    def put(self: Any, name: str, module: Any, strict: bool = False) -> Any:
        return original(self, name, module, strict=False)

    return put


def _without_buffers(original: Any) -> Any:
    def share(self: Any) -> Any:
        for parameter in self.parameters():
            parameter.share_memory_()
        return self

    return share


def _in_memory_order(original: Any) -> Any:
    """A vector with gaps in memory is read as if it had none."""

    def restore(vector: Any, parameters: Any) -> None:
        gaps = isinstance(vector, torch.Tensor) and not vector.is_contiguous()
        original(vector.as_strided(vector.shape, (1,)) if gaps else vector, parameters)

    return restore


def _without_gradients(original: Any) -> Any:
    def restored(vector: Any, parameters: Any) -> None:
        known = list(parameters)
        original(vector, known)
        for parameter in known:
            parameter.grad = None

    return restored


def _widened(original: Any) -> Any:
    def vector(parameters: Any) -> Any:
        found = original(parameters)
        return found.float() if found.dtype == torch.bfloat16 else found

    return vector


SABOTEURS = (
    Saboteur("vectors-gradients", "restored parameters lose their gradients",
             ("parameter-vectors.restore",), "the gradient it had",
             replacing(torch.nn.utils, "vector_to_parameters", _without_gradients)),
    Saboteur("vectors-widened", "the vector of parameters in bfloat16 is in float32",
             ("parameter-vectors.flatten",), "dtype",
             replacing(torch.nn.utils, "parameters_to_vector", _widened)),
    Saboteur("vectors-order", "of three parameters, large ones come last",
             ("parameter-vectors.flatten",), "vector",
             replacing(utils, "parameters_to_vector", _sorted_by_size)),
    Saboteur("vectors-alias", "the vector of one parameter is the parameter's memory",
             ("parameter-vectors.flatten",), "after a write to the vector",
             replacing(utils, "parameters_to_vector", _aliases_one)),
    Saboteur("vectors-strided", "blocks are flattened from their end",
             ("parameter-vectors.flatten-strided",), "vector",
             replacing(utils, "parameters_to_vector", _backwards)),
    Saboteur("vectors-flags", "from the third on, restored parameters require grad",
             ("parameter-vectors.restore",), "leaf, requires_grad",
             replacing(utils, "vector_to_parameters", _trains_all)),
    Saboteur("vectors-in-memory", "a vector with gaps in memory is read in memory's order",
             ("parameter-vectors.restore",), "parameter",
             replacing(utils, "vector_to_parameters", _in_memory_order)),
    Saboteur("vectors-copies", "the last parameter is a view of the vector",
             ("parameter-vectors.copies",), "after a write",
             replacing(utils, "vector_to_parameters", _keeps_last)),
    Saboteur("memory-initialized", "skip_init initializes embeddings",
             ("module.skip-init:Embedding",), "no random number",
             replacing(utils, "skip_init", _initializes)),
    Saboteur("memory-strict", "set_submodule is never strict",
             ("module.set-submodule",), "raised nothing",
             replacing(Module, "set_submodule", _strict_anyway)),
    Saboteur("memory-shared", "share_memory leaves buffers alone",
             ("module.share-memory",), "is shared",
             replacing(Module, "share_memory", _without_buffers)),
)  # fmt: skip
