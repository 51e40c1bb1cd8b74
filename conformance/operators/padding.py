"""Padding: margins around a tensor, channels turned into pixels, numbers into indicators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import scalar_of
from conformance.operators.moving import IN_ORDER, moved_operand, moving, rejecting, sized
from conformance.operators.operator import Call, Operator, Rejection
from conformance.operators.results import positions
from conformance.reference import padding as reference
from strategies.layouts import LAYOUTS
from strategies.shapes import Shape


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
    return moving("nn.functional.pad", _pads(mode, reach), reference.padded, variant=mode, **fields)


_FLOATS = ("floating", "complex")

PADS = (
    moving(
        "nn.functional.pad", _constant_pads, reference.padded, memory="copy",
        rejections={
            "odd": _pad_rejection("constant", "must be divisible by 2|even",
                                  (1, 1), (1, 1, 1)),
            "count": _pad_rejection("constant", "no more than twice|exceed|should be",
                                    (1, 1), (1,) * 8),
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

_LAWS = ("long", "spellings", "copy", "vjp", "jvp", "adjoint", "second-derivative", "vmap", "meta")
_AS_OTHERS = dict.fromkeys(_LAWS, "as for one dimension of batches, or none")


def _pixels(name: str, apart: bool, operation: Any, **rejections: Rejection) -> Iterator[Operator]:
    """Entries for no or one dimension of batches; for more; and for none of them left."""
    yield moving(
        f"nn.functional.{name}",
        _shuffles(apart, (), (1,), (2,)),
        operation,
        spellings=(name,),
        rejections=rejections,
    )
    yield moving(
        f"nn.functional.{name}",
        _shuffles(apart, (2, 1), (1, 2), (2, 2), layouts=IN_ORDER),
        operation,
        variant="batches",
        excused=_AS_OTHERS,
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
        excused=dict.fromkeys(("vmap", "meta"), "the largest number tells the shape"),
    ),
)  # fmt: skip

OPERATORS = (*PADS, *PIXELS, *CLASSES)
