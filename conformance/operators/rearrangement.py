"""Rearrangement: elements in another order, repeated, padded, copied, or left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import scalar_of
from conformance.operators.moving import (
    IN_ORDER,
    calls_with,
    moved_operand,
    moving,
    nothing,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Operator, Rejection
from conformance.operators.results import positions
from conformance.reference import manipulation, rearrangement as reference
from strategies import dim_tuples, dims
from strategies.layouts import LAYOUTS
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
    """Of all elements as one dimension, of one dimension, or of several; beyond their length too."""
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
    count = draw(st.integers(0, 3))
    return (count, draw(dims(len(shape)))) if shape and draw(st.booleans()) else (count,)


@st.composite
def _counts_in_a_tensor(
    draw: st.DrawFn, dtype: torch.dtype, kind: str, told: bool = False
) -> Call:
    """A count for each slice or element, or one for all; ``told`` how many there will be."""
    x = draw(moved_operand(dtype, kind, sized(kind, max_elements=12)))
    rest = (draw(dims(x.dim())),) if x.dim() and (told or draw(st.booleans())) else ()
    side = x.shape[rest[0]] if rest else x.numel()
    length = draw(st.sampled_from((side, 1)))
    counts = draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
    total = sum(counts) if length == side else counts[0] * side
    index = draw(st.sampled_from((torch.int64, torch.int32)))
    keywords = {"output_size": total} if told else {}
    return Call((x, torch.tensor(counts, dtype=index), *rest), keywords)


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
        excused={law: _DATA_DEPENDENT for law in ("vmap", "meta")},
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
    moving(
        "conj", _ALONE, np.conj, analytic=manipulation.itself, memory="either",
        spellings=("Tensor.conj",),
    ),
    *(
        _same_values(
            name, memory="either", spellings=(f"Tensor.{name}",),
            excused={"meta": "without data there is no bit to resolve"},
        )
        for name in ("resolve_conj", "resolve_neg")
    ),
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


def _margins(draw: st.DrawFn, most: list[int]) -> tuple[int, ...]:
    """Numbers to add before and after each of the last dimensions, the last one first."""
    return tuple(draw(st.integers(0, side)) for side in reversed(most) for _ in range(2))


@st.composite
def _constant_pads(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(moved_operand(dtype, kind, sized(kind, max_elements=12)))
    pad = _margins(draw, [2] * draw(st.integers(0, min(x.dim(), 3))))
    value = draw(scalar_of(dtype))
    return Call((x, pad, *draw(st.sampled_from(((), ("constant",), ("constant", value))))), {})


def _pads(mode: str, reach: int) -> Any:
    """Pads of the last one to three dimensions, with one or two before them.

    A margin is at most as long as its side, less ``reach``; empty sides can not be continued.
    """

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        count = draw(st.integers(1, 3))
        rank = count + draw(st.integers(1, 2))
        sides = st.integers(1, 3)
        padded = [draw(sides) for _ in range(count)]
        before = [draw(st.integers(1, 2)) for _ in range(rank - count)]
        x = draw(moved_operand(dtype, kind, (*before, *padded)))
        most = [min(side - reach, 2) for side in padded] if reach < 2 else [2] * count
        return Call((x, _margins(draw, most), mode), {})

    return calls


_PAD = "torch.nn.functional.pad(x, {}, {!r})"


def _pad_rejection(mode: str, message: str, legal: Any, illegal: Any) -> Rejection:
    return rejecting((1, 2, 3), message, _PAD.format(legal, mode), _PAD.format(illegal, mode))


def _padding(mode: str, reach: int, **fields: Any) -> Operator:
    return moving(
        "nn.functional.pad", _pads(mode, reach), reference.padded, variant=mode, **fields
    )


_FLOATS = ("floating", "complex")

PADS = (
    moving(
        "nn.functional.pad", _constant_pads, reference.padded, memory="copy",
        rejections={
            "odd": _pad_rejection("constant", "must be divisible by 2|must be an even|even", (1, 1), (1, 1, 1)),
            "count": _pad_rejection("constant", "no more than twice|exceed|should be", (1, 1), (1,) * 8),
        },
    ),
    _padding(
        "reflect", 1, dtypes=_FLOATS,
        rejections={
            "reach": _pad_rejection("reflect", "less than the corresponding input dimension",
                                    (2, 2), (3, 2)),
        },
    ),
    _padding("replicate", 2, dtypes=_FLOATS),
    _padding(
        "circular", 0,
        rejections={
            "reach": _pad_rejection("circular", "wrapping around more than once", (3, 3),
                                    (4, 3)),
        },
    ),
)  # fmt: skip


def _shuffles(apart: bool, *batches: Shape, layouts: tuple[str, ...] = tuple(LAYOUTS)) -> Any:
    """Images whose channels, or whose sides, are multiples of the factor's."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        factor = draw(st.integers(1, 3))
        batch = draw(st.sampled_from(batches))
        channels, height, width = (draw(st.integers(1, 2)) for _ in range(3))
        shape = (
            (channels, height * factor, width * factor)
            if apart
            else (channels * factor**2, height, width)
        )
        return Call((draw(moved_operand(dtype, kind, (*batch, *shape), layouts)), factor), {})

    return calls


_SHUFFLE = "torch.nn.functional.pixel_{}(x, {})"

_LAWS = ("spellings", "copy", "vjp", "jvp", "adjoint", "second", "vmap", "meta")
_AS_OTHERS = {law: "as for one dimension of batches, or none" for law in _LAWS}


def _pixels(name: str, apart: bool, operation: Any, **rejections: Rejection) -> Iterator[Operator]:
    """Entries for no or one dimension of batches; for more; and for none of them left."""
    yield moving(
        f"nn.functional.{name}", _shuffles(apart, (), (1,), (2,)), operation, spellings=(name,),
        rejections=rejections,
    )
    yield moving(
        f"nn.functional.{name}", _shuffles(apart, (2, 1), (1, 2), (2, 2), layouts=IN_ORDER),
        operation, variant="batches", excused=_AS_OTHERS,
    )
    yield moving(
        f"nn.functional.{name}", _shuffles(apart, (0,), (0, 2)), operation, variant="empty",
        excused={**_AS_OTHERS, "layout": "there are no elements"},
    )  # fmt: skip


PIXELS = (
    *_pixels(
        "pixel_shuffle", False, reference.pixels_shuffled,
        channels=rejecting((4, 2, 2), "divisible by the square of upscale_factor",
                           _SHUFFLE.format("shuffle", 2), _SHUFFLE.format("shuffle", 3)),
        rank=rejecting((4, 1, 1), "at least 3 dimensions", _SHUFFLE.format("shuffle", 2),
                       "torch.nn.functional.pixel_shuffle(x[0], 2)"),
        factor=rejecting((4, 1, 1), "positive upscale_factor", _SHUFFLE.format("shuffle", 2),
                         _SHUFFLE.format("shuffle", 0)),
    ),
    *_pixels(
        "pixel_unshuffle", True, reference.pixels_unshuffled,
        sides=rejecting((1, 4, 4), "to be divisible by downscale_factor",
                        _SHUFFLE.format("unshuffle", 2), _SHUFFLE.format("unshuffle", 3)),
    ),
)  # fmt: skip


@st.composite
def _classes(draw: st.DrawFn, dtype: torch.dtype, kind: str, told: bool = True) -> Call:
    classes = draw(st.integers(1, 4))
    x = draw(moved_operand(torch.int64, "bits", sized(kind, min_side=0 if told else 1))) % classes
    return Call((x, classes) if told else (x,), {})


def _untold_classes(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    return _classes(dtype, kind, told=False)


_ONE_HOT = "torch.nn.functional.one_hot(torch.tensor([0, {}]), {})"

CLASSES = (
    Operator(
        name="nn.functional.one_hot", calls=_classes, reference=reference.indicators,
        dtypes=(torch.int64,), result=positions,
        rejections={
            "beyond": rejecting((1,), "smaller than num_classes", _ONE_HOT.format(2, 3),
                                _ONE_HOT.format(3, 3)),
            "negative": rejecting((1,), "must be non-negative|non-negative", _ONE_HOT.format(2, 3),
                                  _ONE_HOT.format(-1, 3)),
        },
    ),
    Operator(
        name="nn.functional.one_hot", variant="counted", calls=_untold_classes,
        reference=reference.indicators, dtypes=(torch.int64,), result=positions,
        excused={law: "the largest number tells the shape" for law in ("vmap", "meta")},
    ),
)  # fmt: skip

OPERATORS = (*ORDERS, *REPETITIONS, *COPIES, *TRIANGLES, *PADS, *PIXELS, *CLASSES)
