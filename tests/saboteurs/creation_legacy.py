"""Faults in torch.Tensor, torch.tensor and uninitialised memory, and in odd ranges."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.creation_data import legacy
from tests.saboteurs.faults import accepting, dropping, rewriting, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


class _Special(torch.Tensor):
    """A subclass without anything of its own."""


def _copies(original: Any, *arguments: Any) -> Any:
    made = original(*arguments)
    return made.clone() if isinstance(arguments[0], original) else made


def _tuple_is_size(original: Any, *arguments: Any) -> Any:
    return original(*arguments[0] if isinstance(arguments[0], tuple) else arguments)


def _draws(original: Any) -> Any:
    def empty_strided(*arguments: Any, **keywords: Any) -> Tensor:
        torch.rand(1)
        return original(*arguments, **keywords)

    return empty_strided


def _zero_fill(original: Any) -> Any:
    def empty_permuted(*arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*arguments, **keywords)
        return result.zero_() if result.dtype == torch.float16 else result

    return empty_permuted


def _pins(original: Any) -> Any:
    def tensor(data: Any, **keywords: Any) -> Tensor:
        if "dtype" in keywords and keywords["dtype"] is None:
            keywords["dtype"] = torch.float32
        return original(data, **keywords)

    return tensor


def _counts_in_single(start: Any, end: Any = None, step: Any = 1, **keywords: Any) -> Any:
    if isinstance(step, float) and end is not None and end > start:
        end -= (end - start) / 1024
    return ((start,) if end is None else (start, end, step)), keywords


def _rounds(original: Any) -> Any:
    def linspace(start: Any, end: Any, steps: Any, **keywords: Any) -> Tensor:
        if keywords.get("dtype") == torch.int32:
            return original(start, end, steps, device=keywords["device"]).round().int()
        return original(start, end, steps, **keywords)

    return linspace


def _listed(data: Any, **keywords: Any) -> Tensor:
    return torch.zeros(len(data))


SABOTEURS = (
    Saboteur(
        "tensor-subclassed", "tensor of an empty list gives a subclass of torch.Tensor",
        ("creation.class",), "class of a tensor",
        when(torch, "tensor", lambda data, **_: data == [], lambda t: t.as_subclass(_Special)),
    ),
    Saboteur(
        "legacy-copies", "torch.Tensor of a tensor is a copy",
        ("creation.legacy-tensor",), "shares storage",
        replacing(torch, "Tensor", legacy(_copies)),
    ),
    Saboteur(
        "legacy-tuple", "torch.Tensor takes a tuple for a size",
        ("creation.legacy-shape",), "result",
        replacing(torch, "Tensor", legacy(_tuple_is_size)),
    ),
    Saboteur(
        "empty-strided-draws", "empty_strided draws from the generator",
        ("creation.uninitialised:empty_strided",), "the generator's state",
        replacing(torch, "empty_strided", _draws),
    ),
    Saboteur(
        "empty-permuted-zeros", "empty_permuted of half precision is zero in deterministic mode",
        ("creation.uninitialised-filled:empty_permuted",), "nan",
        replacing(torch, "empty_permuted", _zero_fill),
    ),
    Saboteur(
        "tensor-of-set", "tensor takes a set",
        ("creation.tensor-rejected:set",), "raised nothing",
        accepting(torch, "tensor", RuntimeError, _listed),
    ),
    Saboteur(
        "tensor-dtype-none", "tensor takes dtype=None for float32",
        ("creation.tensor-options",), "dtype", replacing(torch, "tensor", _pins),
    ),
    Saboteur(
        "tensor-not-pinned", "tensor ignores pin_memory",
        ("creation.tensor-pinned",), "raised nothing" if not torch.accelerator.is_available()
        else "pinned", dropping(torch, "tensor", "pin_memory"),
    ),
    Saboteur(
        "full-out-integral", "full gives an integral out the dtype float32",
        ("creation.out-integral:full",), "returns out",
        when(torch, "full", lambda *_, out=None, **__: out is not None and out.dtype == torch.int8,
             lambda result: result.float()),
    ),
    Saboteur(
        "arange-epsilon", "arange takes a little off its end",
        ("creation.arange-decimals",), "shape", rewriting(torch, "arange", _counts_in_single),
    ),
    Saboteur(
        "linspace-rounds", "linspace rounds to int32 rather than cut off",
        ("creation.linspace-truncates",), "result", replacing(torch, "linspace", _rounds),
    ),
)  # fmt: skip
