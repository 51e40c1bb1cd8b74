"""Rearrangement: elements in another order, repeated, copied, or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.moving import (
    calls_with,
    moved_operand,
    moving,
    nothing,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Operator
from conformance.reference import manipulation
from conformance.reference import rearrangement as reference
from strategies import dim_tuples, dims
from strategies.shapes import Shape


def flip_unpacked(x: Any, several: Any) -> Any:
    """``x.flip(0, 1)``."""
    return x.flip(*several) if several else x.flip(several)


def tile_unpacked(x: Any, counts: Any) -> Any:
    """``x.tile(2, 3)``."""
    return x.tile(*counts) if counts else x.tile(counts)


def repeat_unpacked(x: Any, counts: Any) -> Any:
    """``x.repeat(2, 3)``."""
    return x.repeat(*counts) if counts else x.repeat(counts)


def rot90_by_keyword(x: Any, k: int = 1, turned: Any = (0, 1)) -> Any:
    """``x.rot90(k=1, dims=[0, 1])``."""
    return x.rot90(k=k, dims=list(turned))


def _several_dims(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (draw(dim_tuples(len(shape))),)


def _shifts(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Along all dimensions as one, along one or several; farther than they are long, too."""
    shift = st.integers(-7, 7)
    form = draw(st.integers(0, 2))
    if form == 0 or not shape:
        return (draw(shift),)
    if form == 1:
        return draw(shift), draw(dims(len(shape)))
    several = _some_dims(draw, len(shape))
    return tuple(draw(shift) for _ in several), several


def _some_dims(draw: st.DrawFn, rank: int) -> tuple[int, ...]:
    several: tuple[int, ...] = draw(dim_tuples(rank))
    return several or (draw(dims(rank)),)


def _turns(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    order = draw(st.permutations(range(len(shape))))[:2]
    plane = tuple(draw(st.sampled_from((dim, dim - len(shape)))) for dim in order)
    k = draw(st.integers(-5, 5))
    return draw(st.sampled_from(((k, plane), (k,), ())))


def _counts(draw: st.DrawFn, least: int) -> tuple[int, ...]:
    count = st.sampled_from((1, 2, 0, 3))
    return tuple(draw(st.lists(count, min_size=least, max_size=max(least, 2) + 1)))


def _tile_counts(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (_counts(draw, 0),)


def _repeat_counts(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (_counts(draw, len(shape)),)


def _count_and_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    counts: tuple[Any, ...] = (draw(st.integers(0, 3)),)
    along_one = bool(shape) and draw(st.booleans())
    return (*counts, draw(dims(len(shape)))) if along_one else counts


@st.composite
def _counts_in_a_tensor(draw: st.DrawFn, dtype: torch.dtype, kind: str, told: bool = False) -> Call:
    """A count for each slice or element, or one for all; ``told`` how many there will be."""
    x = draw(moved_operand(dtype, kind, sized(kind, max_elements=12)))
    rest = (draw(dims(x.dim())),) if x.dim() and (told or draw(st.booleans())) else ()
    side = x.shape[rest[0]] if rest else x.numel()
    length = draw(st.sampled_from((side, 1)))
    counts = draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
    total = sum(counts) if length == side else counts[0] * side
    index = draw(st.sampled_from((torch.int64, torch.int32)))
    keywords = {"output_size": total} if told else {}
    return Call((x, torch.tensor(counts, dtype=index, device=x.device), *rest), keywords)


def _told_counts(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    return _counts_in_a_tensor(dtype, kind, told=True)


def _diagonal(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return draw(st.sampled_from(((), *((k,) for k in range(-5, 6)))))


_ALONE = calls_with(nothing)
_DATA_DEPENDENT = "the counts tell the result's shape"

ORDERS = (
    moving(
        "flip", calls_with(_several_dims), np.flip, spellings=("Tensor.flip", flip_unpacked),
        rejections={
            "dim": out_of_range("torch.flip(x, (0, {}))"),
            "repeated": rejecting((2, 3), "dim 1 appears multiple times", "torch.flip(x, (0, 1))",
                                  "torch.flip(x, (1, -1))"),
        },
    ),
    moving(
        "fliplr", calls_with(nothing, min_rank=2), np.fliplr, spellings=("Tensor.fliplr",),
        rejections={
            "rank": rejecting((2, 3), "must be >= 2-d", "torch.fliplr(x)", "torch.fliplr(x[0])"),
        },
    ),
    moving(
        "flipud", calls_with(nothing, min_rank=1), np.flipud, spellings=("Tensor.flipud",),
        rejections={
            "rank": rejecting((2,), "must be >= 1-d", "torch.flipud(x)", "torch.flipud(x[0])"),
        },
    ),
    moving(
        "roll", calls_with(_shifts), reference.rolled, spellings=("Tensor.roll",),
        rejections={
            "count": rejecting((2, 3), "shifts and dimensions must align",
                               "torch.roll(x, (1, 2), (0, 1))", "torch.roll(x, (1, 2), (0,))"),
            "dim": out_of_range("torch.roll(x, 1, {})"),
        },
    ),
    moving(
        "rot90", calls_with(_turns, min_rank=2), np.rot90,
        spellings=("Tensor.rot90", rot90_by_keyword),
        rejections={
            "same": rejecting((2, 3), "expected rotation dims to be different",
                              "torch.rot90(x, 1, (0, 1))", "torch.rot90(x, 1, (0, 0))"),
            "count": rejecting((2, 3), "expected total rotation dims == 2",
                               "torch.rot90(x, 1, (0, 1))", "torch.rot90(x, 1, (0,))"),
            "rank": rejecting((2, 3), "expected total dims >= 2", "torch.rot90(x, 1, (0, 1))",
                              "torch.rot90(x[0], 1, (0, 1))"),
        },
    ),
)  # fmt: skip

REPETITIONS = (
    moving(
        "tile", calls_with(_tile_counts, max_elements=12), np.tile,
        spellings=("Tensor.tile", tile_unpacked),
    ),
    moving(
        "Tensor.repeat", calls_with(_repeat_counts, max_rank=3, max_elements=12), np.tile,
        spellings=(repeat_unpacked,),
        rejections={
            "rank": rejecting((2, 3), "can not be smaller than number of dimensions",
                              "x.repeat(2, 1)", "x.repeat(2)"),
            "negative": rejecting((2, 3), "invalid negative dimension|negative",
                                  "x.repeat(2, 1)", "x.repeat(2, -1)"),
        },
    ),
    moving(
        "repeat_interleave", calls_with(_count_and_dim, max_elements=24),
        reference.each_repeated, spellings=("Tensor.repeat_interleave",),
        rejections={
            "negative": rejecting((2, 3), "(?i)repeats must be non-negative",
                                  "torch.repeat_interleave(x, 1)",
                                  "torch.repeat_interleave(x, -1)"),
            "dim": out_of_range("torch.repeat_interleave(x, 2, {})"),
        },
    ),
    moving(
        "repeat_interleave", _counts_in_a_tensor, reference.each_repeated, variant="by-tensor",
        spellings=("Tensor.repeat_interleave",),
        excused=dict.fromkeys(("vmap", "meta"), _DATA_DEPENDENT),
        rejections={
            "negative": rejecting((2,), "repeats can not be negative",
                                  "torch.repeat_interleave(x, torch.tensor([1, 2]))",
                                  "torch.repeat_interleave(x, torch.tensor([1, -2]))"),
            "count": rejecting((2,), "repeats must have the same size as input along dim",
                               "torch.repeat_interleave(x, torch.tensor([1, 2]), 0)",
                               "torch.repeat_interleave(x, torch.tensor([1, 2, 3]), 0)"),
            "rank": rejecting((2,), "repeats must be 0-dim or 1-dim tensor",
                              "torch.repeat_interleave(x, torch.tensor([1, 2]))",
                              "torch.repeat_interleave(x, torch.tensor([[1, 2]]))"),
        },
    ),
    moving(
        "repeat_interleave", _told_counts, reference.each_repeated, variant="of-known-size",
        spellings=("Tensor.repeat_interleave",), excused={"vmap": _DATA_DEPENDENT},
        rejections={
            "size": rejecting((2,), "allocated size does not match required size",
                              "torch.repeat_interleave(x, torch.tensor([1, 2]), output_size=3)",
                              "torch.repeat_interleave(x, torch.tensor([1, 2]), output_size=4)"),
        },
    ),
)  # fmt: skip


def _same_values(name: str, **fields: Any) -> Operator:
    return moving(name, _ALONE, manipulation.itself, **fields)


COPIES = (
    _same_values("clone", spellings=("Tensor.clone",)),
    _same_values("Tensor.contiguous", memory="either"),
    _same_values("resolve_conj", memory="either", spellings=("Tensor.resolve_conj",)),
    _same_values("resolve_neg", memory="either", spellings=("Tensor.resolve_neg",)),
)  # fmt: skip


def _triangle(name: str, operation: Any) -> Operator:
    rank = rejecting(
        (2, 3), "must have at least 2 dimensions", f"torch.{name}(x)", f"torch.{name}(x[0])"
    )
    return moving(
        name, calls_with(_diagonal, min_rank=2, max_rank=3), operation,
        spellings=(f"Tensor.{name}",), in_place=f"Tensor.{name}_", out="same",
        rejections={"rank": rank},
    )  # fmt: skip


_TRIANGLE = (_triangle("tril", np.tril), _triangle("triu", np.triu))
TRIANGLES = (
    *_TRIANGLE,
    *(
        replace(
            entry, variant="batches", calls=calls_with(_diagonal, min_rank=4), rejections={}
        )
        for entry in _TRIANGLE
    ),
)  # fmt: skip


OPERATORS = (*ORDERS, *REPETITIONS, *COPIES, *TRIANGLES)
