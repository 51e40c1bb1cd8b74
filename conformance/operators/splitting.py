"""Splits: one tensor in several, which are views of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.moving import (
    calls_with,
    moved_operand,
    moving,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Calls, Operator
from conformance.reference import joining as reference
from strategies import dims
from strategies.shapes import Shape


def split_by_keyword(x: Any, size: Any, dim: int = 0) -> Any:
    """``x.split(size, dim=dim)``."""
    return x.split(size, dim=dim)


def _count_and_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return _and_dim(draw, draw(st.integers(1, 6)), shape)


def _and_dim(draw: st.DrawFn, sections: Any, shape: Shape) -> tuple[Any, ...]:
    dim = draw(dims(len(shape)))
    return (sections, dim) if dim or draw(st.booleans()) else (sections,)


def _lengths(draw: st.DrawFn, side: int) -> tuple[int, ...]:
    """Lengths that sum to a side, some of them 0."""
    ends = sorted(draw(st.lists(st.integers(0, side), max_size=3)))
    return tuple(end - start for start, end in zip([0, *ends], [*ends, side], strict=True))


def _listed_lengths(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    dim = draw(dims(len(shape)))
    lengths = _lengths(draw, shape[dim])
    return (lengths, dim) if dim or draw(st.booleans()) else (lengths,)


def _size_or_lengths(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    if draw(st.booleans()):
        return _listed_lengths(draw, shape)
    return _and_dim(draw, draw(st.integers(1, 5)), shape)


def _indices(draw: st.DrawFn) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(-4, 6), max_size=3)))


def _count_or_indices(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    sections = draw(st.integers(1, 5)) if draw(st.booleans()) else _indices(draw)
    return _and_dim(draw, sections, shape)


@st.composite
def _by_tensor(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(moved_operand(dtype, kind, sized(kind, min_rank=1)))
    sections = draw(st.integers(1, 5)) if draw(st.booleans()) else _indices(draw)
    rest = _and_dim(draw, torch.tensor(sections, dtype=torch.int64), tuple(x.shape))
    return Call((x, *rest), {})


def _divisors_or_indices(dim: Callable[[int], int]) -> Callable[..., tuple[Any, ...]]:
    def rest(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
        side = shape[dim(len(shape))]
        divisors = [n for n in range(1, 6) if side % n == 0]
        return (draw(st.sampled_from(divisors)) if draw(st.booleans()) else _indices(draw),)

    return rest


def _maybe_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return _and_dim(draw, None, shape)[1:]


def _splitting(name: str, calls: Calls, operation: Any, **fields: Any) -> Operator:
    return moving(name, calls, operation, **{"memory": "view", **fields})


SPLITS = (
    _splitting(
        "chunk", calls_with(_count_and_dim, min_rank=1), reference.in_chunks,
        spellings=("Tensor.chunk",),
        rejections={
            "count": rejecting((2, 3), "chunk expects `chunks` to be greater than 0",
                               "torch.chunk(x, 1)", "torch.chunk(x, 0)"),
            "scalar": rejecting((2,), "at least a 1-dimensional tensor", "torch.chunk(x, 1)",
                                "torch.chunk(x[0], 1)"),
            "dim": out_of_range("torch.chunk(x, 2, {})"),
        },
    ),
    _splitting(
        "split", calls_with(_size_or_lengths, min_rank=1), reference.in_sizes,
        spellings=("Tensor.split", split_by_keyword),
        rejections={
            "sum": rejecting((2, 3), "expects split_sizes to sum exactly to 3",
                             "torch.split(x, [1, 2], 1)", "torch.split(x, [1, 1], 1)"),
            "negative": rejecting((2, 3), "non-negative",
                                  "torch.split(x, 1)", "torch.split(x, -1)"),
            "zero": rejecting((2, 3), "split_size can only be 0 if dimension size is 0",
                              "torch.split(x, 1)", "torch.split(x, 0)"),
            "dim": out_of_range("torch.split(x, 2, {})"),
        },
    ),
    _splitting(
        "split_with_sizes", calls_with(_listed_lengths, min_rank=1), reference.in_lengths,
        spellings=("Tensor.split_with_sizes",), docs="tensor_view.html",
        rejections={
            "negative": rejecting((2, 3), "non-negative", "torch.split_with_sizes(x, [1, 1])",
                                  "torch.split_with_sizes(x, [3, -1])"),
        },
    ),
    _splitting(
        "tensor_split", calls_with(_count_or_indices, min_rank=1), reference.in_sections,
        spellings=("Tensor.tensor_split",),
        rejections={
            "count": rejecting((2, 3), "number of sections must be larger than 0",
                               "torch.tensor_split(x, 1)", "torch.tensor_split(x, 0)"),
            "scalar": rejecting((2,), "at least a 1-dimensional tensor",
                                "torch.tensor_split(x, 2)", "torch.tensor_split(x[0], 2)"),
        },
    ),
    _splitting(
        "tensor_split", _by_tensor, reference.in_sections, variant="by-tensor",
        excused=dict.fromkeys(
            ("vmap", "meta", "over-forward", "forward-over-reverse"),
            "sections in a tensor tell the results' shapes",
        ),
    ),
    _splitting(
        "hsplit", calls_with(_divisors_or_indices(lambda rank: 1 if rank > 1 else 0), min_rank=1),
        reference.in_columns, spellings=("Tensor.hsplit",),
        rejections={
            "uneven": rejecting((2, 3), "not divisible by the split_size", "torch.hsplit(x, 3)",
                                "torch.hsplit(x, 2)"),
            "rank": rejecting((2,), "at least 1 dimension", "torch.hsplit(x, 2)",
                              "torch.hsplit(x[0], 2)"),
        },
    ),
    _splitting(
        "vsplit", calls_with(_divisors_or_indices(lambda rank: 0), min_rank=2),
        reference.in_rows, spellings=("Tensor.vsplit",),
        rejections={
            "uneven": rejecting((2, 3), "not divisible by the split_size", "torch.vsplit(x, 2)",
                                "torch.vsplit(x, 3)"),
            "rank": rejecting((2, 3), "at least 2 dimension", "torch.vsplit(x, 1)",
                              "torch.vsplit(x[0], 1)"),
        },
    ),
    _splitting(
        "dsplit", calls_with(_divisors_or_indices(lambda rank: 2), min_rank=3),
        reference.in_layers, spellings=("Tensor.dsplit",),
        rejections={
            "uneven": rejecting((1, 2, 3), "not divisible by the split_size", "torch.dsplit(x, 3)",
                                "torch.dsplit(x, 2)"),
            "rank": rejecting((1, 2, 3), "at least 3 dimension", "torch.dsplit(x, 1)",
                              "torch.dsplit(x[0], 1)"),
        },
    ),
    _splitting(
        "unbind", calls_with(_maybe_dim, min_rank=1, min_side=1), reference.slices_along,
        spellings=("Tensor.unbind",),
        rejections={
            "dim": out_of_range("torch.unbind(x, {})"),
            "scalar": rejecting((2,), "Dimension specified as 0 but tensor has no dimensions",
                                "torch.unbind(x)", "torch.unbind(x[0])", error="IndexError"),
        },
    ),
)  # fmt: skip

OPERATORS = SPLITS
