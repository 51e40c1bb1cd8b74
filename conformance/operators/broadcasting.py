"""Broadcasting: sides of 1 that grow, and new leading ones, in memory as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.moving import (
    ONE_A_RESULT,
    Rest,
    calls_of_shapes,
    moved_operand,
    moving,
    nothing,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Calls
from conformance.reference import manipulation as reference
from strategies import broadcastable_shapes
from strategies.shapes import Shape


def expand_unpacked(x: Any, sizes: Any) -> Any:
    """``x.expand(2, -1)``."""
    return x.expand(*sizes) if sizes else x.expand(sizes)


def _sizes(draw: st.DrawFn, shape: Shape, keeping: tuple[int, ...]) -> tuple[Any, ...]:
    """Wider sizes, new leading ones among them; a kept side is written as one of ``keeping``."""
    added = draw(st.sampled_from(((), (1,), (2,), (0,), (2, 1))))
    kept = [draw(st.sampled_from([side, *keeping])) for side in shape]
    grown = [
        draw(st.sampled_from((*keeping, 1, 2, 3, 0))) if side == 1 else same
        for side, same in zip(shape, kept, strict=True)
    ]
    return ((*added, *grown),)


def _with_ones(draw: st.DrawFn, kind: str) -> Shape:
    """A shape some of whose sides have become 1."""
    shape = draw(sized(kind, max_elements=24))
    ones = draw(st.integers(0, 2 ** len(shape) - 1))
    return tuple(1 if ones >> dim & 1 else side for dim, side in enumerate(shape))


def _wider(sizes: Rest) -> Calls:
    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(moved_operand(dtype, kind, _with_ones(draw, kind)))
        return Call((x, *sizes(draw, tuple(x.shape))), {})

    return drawn


def _expanded_sizes(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return _sizes(draw, shape, (-1,))


def _broadcast_sizes(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return _sizes(draw, shape, ())


def _narrow_and_wide(draw: st.DrawFn) -> tuple[Shape, ...]:
    drawn = draw(broadcastable_shapes(2))
    return drawn.shapes[0], drawn.result


@st.composite
def _several(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    count = draw(st.integers(1, 3))
    shapes = draw(broadcastable_shapes(count)).shapes
    return Call(tuple(draw(moved_operand(dtype, kind, shape)) for shape in shapes), {})


OPERATORS = (
    moving(
        "Tensor.expand", _wider(_expanded_sizes), reference.widened, memory="view",
        spellings=(expand_unpacked,),
        rejections={
            "side": rejecting((2, 1), "must match the existing size", "x.expand(2, 4)",
                              "x.expand(3, 4)"),
            "rank": rejecting((2, 1), "must be greater or equal", "x.expand(2, 4)", "x.expand(4)"),
            "leading": rejecting((2, 1), "isn't allowed in a leading, non-existing dimension",
                                 "x.expand(3, -1, -1)", "x.expand(-1, 2, 1)"),
        },
    ),
    moving(
        "Tensor.expand_as", calls_of_shapes(_narrow_and_wide, nothing), reference.broadcast_like,
        constants=(1,), memory="view",
    ),
    moving(
        "broadcast_to", _wider(_broadcast_sizes), np.broadcast_to, memory="view",
        spellings=("Tensor.broadcast_to",),
        rejections={
            "side": rejecting((2, 1), "must match the existing size",
                              "torch.broadcast_to(x, (2, 4))", "torch.broadcast_to(x, (3, 4))"),
        },
    ),
    moving(
        "broadcast_tensors", _several, np.broadcast_arrays, memory="either", excused=ONE_A_RESULT,
        rejections={
            "shapes": rejecting((2, 3), "must match the size", "torch.broadcast_tensors(x, y)",
                                "torch.broadcast_tensors(x, z)", others={"y": (3,), "z": (2,)}),
        },
    ),
)  # fmt: skip
