"""Operations that are missing for a part of their inputs: on the CPU nothing may be."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import Condition
from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def missing(owner: Any, name: str, condition: Condition) -> Patch:
    """Return the patch that lacks a function where the condition on its arguments holds."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            if condition(*arguments, **keywords):
                raise NotImplementedError(f"{name!r} not implemented for these inputs")
            return original(*arguments, **keywords)

        return faulty

    return replacing(owner, name, make)


SABOTEURS = [
    Saboteur(
        "gather-lacks-bfloat16",
        "gather has no kernel for bfloat16",
        ("operators.value:gather",),
        "NotImplementedError: 'gather' not implemented",
        missing(torch, "gather", lambda x, *_, **__: x.dtype == torch.bfloat16),
    ),
    Saboteur(
        "gather-lacks-negative-dim",
        "gather has no kernel for dimensions counted from the end",
        ("operators.value:gather",),
        "NotImplementedError: 'gather' not implemented",
        missing(torch, "gather", lambda x, dim, *_, **__: dim < 0),
    ),
    Saboteur(
        "flip-lacks-rank-0",
        "flip has no kernel for tensors without dimensions",
        ("operators.value:flip",),
        "NotImplementedError: 'flip' not implemented",
        missing(torch, "flip", lambda x, *_, **__: x.dim() == 0),
    ),
    Saboteur(
        "cumsum-lacks-gaps",
        "cumsum has no kernel for tensors with gaps in memory",
        ("operators.layout:cumsum",),
        "NotImplementedError: 'cumsum' not implemented",
        missing(torch, "cumsum", lambda x, *_, **__: x.dim() > 0 and x.stride(-1) > 1),
    ),
    Saboteur(
        "avg-pool3d-lacks-double",
        "avg_pool3d, declared to lack half precision, has no kernel for float64 either",
        ("operators.value:avg_pool3d",),
        "NotImplementedError: 'avg_pool3d' not implemented",
        missing(torch.nn.functional, "avg_pool3d", lambda x, *_, **__: x.dtype == torch.float64),
    ),
    Saboteur(
        "i1-lacks-single-precision",
        "the backward of i1 is missing in single precision as well",
        ("operators.vjp:i1",),
        "NotImplementedError: 'i1' not implemented",
        missing(
            torch.special, "i1", lambda x, *_, **__: x.requires_grad and x.dtype == torch.float32
        ),
    ),
]
