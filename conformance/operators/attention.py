"""Attention: scaled products of queries and keys, with masks, causal, grouped."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import VALUE_ALONE, Call, Calls, Operator, Rejection
from conformance.reference import attention as reference
from strategies.devices import current_device
from strategies.shapes import Shape, as_long_as_asked

_BATCHES: tuple[Shape, ...] = ((1, 2), (2, 1), (2,), (), (1, 1, 2))
_GROUPS = st.sampled_from(((2, 1), (4, 2), (2, 2), (3, 1)))


def _mask(draw: st.DrawFn, shape: Shape) -> torch.Tensor:
    """A mask that leaves every query a key."""
    count = int(np.prod(shape))
    chosen = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mask = torch.tensor(chosen, dtype=torch.bool, device=current_device()).reshape(shape)
    mask[..., 0] = True
    return mask


def _calls(masked: str = "", grouped: bool = False, negative: bool = False) -> Calls:
    """Queries and keys of different counts, values of other features; each option or none."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        queries, keys = as_long_as_asked((draw(st.integers(1, 3)), draw(st.integers(1, 3))))
        features, others = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        before = draw(st.sampled_from(_BATCHES))
        behind = before
        keywords: dict[str, Any] = {}
        if grouped:
            many, few = draw(_GROUPS)
            before, behind = (1, many), (1, few)
            keywords["enable_gqa"] = True
        shapes = ((*before, queries, features), (*behind, keys, features), (*behind, keys, others))
        operands = [draw(operand(dtype, kind, shape)) for shape in shapes]
        shape = draw(st.sampled_from(((queries, keys), (*before, queries, keys))))
        if masked == "boolean":
            keywords["attn_mask"] = _mask(draw, shape)
        elif masked == "added":
            keywords["attn_mask"] = draw(operand(dtype, kind, shape))
        elif negative or draw(st.booleans()):
            keywords["is_causal"] = True
        if negative:
            keywords["scale"] = -0.5
        elif draw(st.booleans()):
            keywords["scale"] = draw(st.sampled_from((0.5, 2.0, 1.0)))
        return Call(tuple(operands), keywords)

    return calls


_NAME = "scaled_dot_product_attention"


def _attention(variant: str, calls: Calls, **changes: Any) -> Operator:
    given: dict[str, Any] = {
        "variant": variant,
        "magnitude": reference.attention_size,
        "dtypes": (torch.float32, torch.float64),
        "kind": "unit",
        "smooth": "unit",
        "normwise": True,
        "derivative_ulps": 256,
        "slope": 2.0,  # of a softmax whose values are below 1
        "excused": {"second-derivative": "torch's fused kernel has none; see the added mask"},
    }
    return functional(_NAME, calls, reference.scaled_dot_product_attention, **{**given, **changes})


def _rejecting(legal: str, illegal: str, message: str, error: str = "RuntimeError") -> Rejection:
    call, mistake = f"{_NAME}({legal})", f"{_NAME}({illegal})"
    return rejecting(call, mistake, error, message, x=(1, 2, 3, 4), m=(3, 3))


OPERATORS = (
    _attention(
        "", _calls(),
        rejections={
            "features": _rejecting("x, x, x", "x, x[..., :3], x", "size|same|must match"),
            "dropout": _rejecting(
                "x, x, x, dropout_p=0.0", "x, x, x, dropout_p=1.5", "dropout p.* has to be"),
            "both": _rejecting(
                "x, x, x, m", "x, x, x, m, is_causal=True",
                "is_causal"),
            "mask-dtype": _rejecting(
                "x, x, x, m > 0", "x, x, x, m.int()", "attn_mask dtype to be bool or"),
        },
    ),
    _attention("masked", _calls("boolean")),
    _attention("added", _calls("added"), excused={}),
    _attention("grouped", _calls(grouped=True)),
    _attention("negative-scale", _calls(negative=True), excused=VALUE_ALONE),
)  # fmt: skip
