"""Bags of embeddings: sums, means and maxima of rows of a table, with and without weights."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.layers import of_weights
from conformance.operators.operator import Call, Calls, Operator, Rejection
from conformance.reference import bags as reference
from strategies.devices import current_device

_INDICES = st.sampled_from((torch.int64, torch.int32))


def _integers(numbers: list[Any], dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(numbers, dtype=dtype, device=current_device())


def _flat(draw: st.DrawFn, rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, Any, bool]:
    """Indices with offsets of their bags, some of them empty; whether the end is told too."""
    indices = draw(st.lists(st.integers(0, rows - 1), max_size=6))
    inner = draw(st.lists(st.integers(0, len(indices)), max_size=3))
    last = draw(st.booleans())
    offsets = [0, *sorted(inner), *([len(indices)] if last else [])]
    return _integers(indices, dtype), _integers(offsets, dtype), last


def _square(draw: st.DrawFn, rows: int, dtype: torch.dtype) -> torch.Tensor:
    """A matrix of indices, whose rows are bags."""
    count, length = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    each = st.lists(st.integers(0, rows - 1), min_size=length, max_size=length)
    return _integers([draw(each) for _ in range(count)], dtype)


def _calls(mode: str, weighted: bool = False) -> Calls:
    """Bags of either form, of indices of either dtype, with a padding index or none."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rows, columns, integer = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(_INDICES)
        keywords: dict[str, Any] = {} if mode == "mean" and draw(st.booleans()) else {"mode": mode}
        weight = draw(operand(dtype, kind, (rows, columns)))
        if draw(st.integers(0, 2)):
            indices, offsets, last = _flat(draw, rows, integer)
            arguments: tuple[Any, ...] = (indices, weight, offsets)
            if last or draw(st.booleans()):
                keywords["include_last_offset"] = last
        else:
            indices = _square(draw, rows, integer)
            arguments = (indices, weight)
        if draw(st.booleans()):
            keywords["padding_idx"] = draw(st.integers(-rows, rows - 1))
        if weighted:
            keywords["per_sample_weights"] = draw(operand(dtype, kind, tuple(indices.shape)))
        return Call(arguments, keywords)

    return calls


def _bag(variant: str, calls: Calls, **changes: Any) -> Operator:
    given: dict[str, Any] = {
        "name": "nn.functional.embedding_bag",
        "variant": variant,
        "calls": calls,
        "reference": reference.embedding_bag,
        "analytic": reference.embedding_bag,
        "magnitude": reference.embedding_bag_size,
        "kind": "dyadic",
        "result": of_weights,
        "ulps": 8,
        "derivative_ulps": 32,
        "excused": {"vmap": "offsets begin with 0: elements of a batch cannot differ in them"},
    }
    return Operator(**{**given, **changes})


def _rejecting(legal: str, illegal: str, message: str, error: str = "ValueError") -> Rejection:
    call, mistake = (f"torch.nn.functional.embedding_bag({text})" for text in (legal, illegal))
    named = {
        "i": (torch.int64, (4,)), "m": (torch.int64, (2, 3)), "o": (torch.int64, (2,)),
        "w": (torch.float32, (3, 2)), "f": (torch.float32, (4,)),
    }  # fmt: skip
    return Rejection(call, mistake, error, message, named)


OPERATORS = (
    _bag(
        "sum", _calls("sum"),
        rejections={
            "offsets": _rejecting(
                "i, w, o", "i, w", "offsets has to be a 1D Tensor but got None"),
            "offsets-of-a-matrix": _rejecting(
                "m, w", "m, w, o", "offsets has to be None"),
            "rank": _rejecting(
                "m, w", "m.unsqueeze(0), w", "input has to be 1D or 2D Tensor"),
            "weights": _rejecting(
                "i, w, o, mode='sum', per_sample_weights=f",
                "i, w, o, mode='sum', per_sample_weights=f[:3]",
                "must have the same shape as the input"),
            "mode": _rejecting(
                "i, w, o, mode='max'", "i, w, o, mode='min'", "mode has to be one of sum, mean"),
            "padding": _rejecting(
                "i, w, o, padding_idx=-3", "i, w, o, padding_idx=-4",
                "padding_idx must be within", "RuntimeError"),
            "first-offset": _rejecting(
                "i, w, o", "i, w, o + 1", "offsets\\[0\\] has to be 0", "RuntimeError"),
        },
    ),
    _bag("mean", _calls("mean")),
    _bag("max", _calls("max"), kind="distinct", smooth="distinct", ulps=0, magnitude=None),
    _bag(
        "weighted", _calls("sum", weighted=True),
        excused={
            "vmap": "offsets begin with 0: elements of a batch cannot differ in them",
            "second-derivative": "torch's gradient to the weights of samples has none of its own",
        },
    ),
)  # fmt: skip
