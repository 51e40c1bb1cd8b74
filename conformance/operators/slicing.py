"""Slicing: slices, diagonals and windows of a tensor, and tensors with one of them replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.moving import (
    Replaced,
    calls_with,
    calls_with_part,
    moved_operand,
    moving,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call
from conformance.reference import columns
from conformance.reference import slicing as reference
from strategies import dims, permutations
from strategies.shapes import Shape


def _range_from_start(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """A dimension, a start and a length."""
    dim = draw(dims(len(shape)))
    first = draw(st.integers(0, shape[dim]))
    return dim, first, draw(st.integers(0, shape[dim] - first))


def _range_from_end(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """The same, where the start counts from the end."""
    dim = draw(dims(len(shape)))
    start = draw(st.integers(-shape[dim], -1))
    return dim, start, draw(st.integers(0, -start))


def _range_along(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """The same, from either end."""
    from_end = 0 not in shape and draw(st.booleans())
    return (_range_from_end if from_end else _range_from_start)(draw, shape)


@st.composite
def _starts_in_a_tensor(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(moved_operand(dtype, kind, sized(kind, min_rank=1)))
    dim, start, length = _range_along(draw, tuple(x.shape))
    return Call((x, dim, torch.tensor(start), length), {})


def _place(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    dim = draw(dims(len(shape)))
    return dim, draw(st.integers(-shape[dim], shape[dim] - 1))


def _windows(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Any step, or one after which a last window just fits."""
    dim = draw(dims(len(shape)))
    size = draw(st.integers(0, shape[dim]))
    rest = max(shape[dim] - size, 1)
    return dim, size, draw(st.sampled_from((1, rest, max(rest // 2, 1), 2, 3)))


def _strides(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """A geometry within as many elements as the tensor has: any overlaps, any offset."""
    count = int(np.prod(shape))
    offset = draw(st.integers(0, count - 1))
    left, new, steps = count - 1 - offset, [], []
    for _ in range(draw(st.integers(0, 3))):
        side = draw(st.integers(0, 3))
        step = draw(st.integers(0, left // max(side - 1, 1)))
        left -= max(side - 1, 0) * step
        new.append(side)
        steps.append(step)
    return tuple(new), tuple(steps), offset


def _offset_and_plane(draw: st.DrawFn, rank: int, offsets: st.SearchStrategy[int]) -> Any:
    """An offset and two dimensions; trailing ones are left to their defaults where they may."""
    offset = draw(offsets)
    first, second = draw(permutations(rank))[:2]
    return draw(st.sampled_from(((offset, first, second), (offset,), ())))


def _any_diagonal(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    chosen: tuple[Any, ...] = _offset_and_plane(draw, len(shape), st.integers(-3, 3))
    return chosen


def _embedding(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    chosen: tuple[Any, ...] = _offset_and_plane(draw, len(shape) + 1, st.integers(-2, 2))
    return chosen


def _offset(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return draw(st.sampled_from(((), *((k,) for k in (1, -1, 2, -2, 3, -3, 0)))))


def _replaced_diagonal(draw: st.DrawFn, shape: Shape) -> Replaced:
    rest = _any_diagonal(draw, shape)
    return np.diagonal(np.empty(shape), *rest).shape, rest


def _replaced_place(draw: st.DrawFn, shape: Shape) -> Replaced:
    dim, index = _place(draw, shape)
    return np.take(np.empty(shape), index, axis=dim).shape, (dim, index)


def _replaced_slices(draw: st.DrawFn, shape: Shape) -> Replaced:
    """One slice at least, where there is one; bounds may be left out."""
    dim = draw(dims(len(shape)))
    side = shape[dim]
    first = draw(st.integers(0, max(side - 1, 0)))
    last = draw(st.integers(min(first + 1, side), side))
    start = draw(st.sampled_from((first, first or None)))
    end = draw(st.sampled_from((last, None if last == side else last)))
    return _slices(shape, dim, start, end, draw(st.integers(1, 3)))


def _replaced_beyond(draw: st.DrawFn, shape: Shape) -> Replaced:
    """Bounds may count from the end, lie beyond either end, or one before the other."""
    bound = st.sampled_from((None, *range(-4, 5)))
    return _slices(shape, draw(dims(len(shape))), draw(bound), draw(bound), 1)


def _slices(shape: Shape, dim: int, start: Any, end: Any, step: int) -> Replaced:
    length = len(range(*slice(start, end, step).indices(shape[dim])))
    place = dim % len(shape)
    return (*shape[:place], length, *shape[place + 1 :]), (dim, start, end, step)


SLICES = (
    moving(
        "narrow", calls_with(_range_along, min_rank=1), reference.narrowed, memory="view",
        spellings=("Tensor.narrow",),
        rejections={
            "length": rejecting((2, 3), "exceeds dimension size", "torch.narrow(x, 1, 1, 2)",
                                "torch.narrow(x, 1, 1, 3)"),
            "negative": rejecting((2, 3), "length must be non-negative",
                                  "torch.narrow(x, 1, 1, 2)", "torch.narrow(x, 1, 1, -1)"),
            "start": rejecting((2, 3), "start out of range", "torch.narrow(x, 1, -3, 1)",
                               "torch.narrow(x, 1, -4, 1)", error="IndexError"),
            "scalar": rejecting((2,), "cannot be applied to a 0-dim tensor",
                                "torch.narrow(x, 0, 0, 1)", "torch.narrow(x[0], 0, 0, 1)"),
        },
    ),
    moving(
        "narrow", _starts_in_a_tensor, reference.narrowed, memory="view", variant="by-tensor",
        spellings=("Tensor.narrow",),
        excused=dict.fromkeys(("vmap", "meta"), "reads the start from a tensor"),
    ),
    moving(
        "narrow_copy", calls_with(_range_from_start, min_rank=1), reference.narrowed,
        out="same", spellings=("Tensor.narrow_copy",),
    ),
    moving(
        "narrow_copy", calls_with(_range_from_end, min_rank=1, min_side=1), reference.narrowed,
        variant="from-end",
    ),
    moving(
        "select", calls_with(_place, min_rank=1, min_side=1), reference.slice_at, memory="view",
        spellings=("Tensor.select",),
        rejections={
            "index": rejecting((2, 3), "index 3 out of range", "torch.select(x, 1, 2)",
                               "torch.select(x, 1, 3)", error="IndexError"),
            "negative": rejecting((2, 3), "index -4 out of range", "torch.select(x, 1, -3)",
                                  "torch.select(x, 1, -4)", error="IndexError"),
            "dim": out_of_range("torch.select(x, {}, 0)"),
            "scalar": rejecting((2,), "cannot be applied to a 0-dim tensor",
                                "torch.select(x, 0, 0)", "torch.select(x[0], 0, 0)",
                                error="IndexError"),
        },
    ),
    moving(
        "Tensor.unfold", calls_with(_windows, min_rank=1), reference.windows, memory="view",
        rejections={
            "size": rejecting((2, 3), "maximum size for tensor at dimension 1 is 3",
                              "x.unfold(1, 3, 1)", "x.unfold(1, 4, 1)"),
            "negative": rejecting((2, 3), "size is -1 but must be >= 0", "x.unfold(1, 1, 1)",
                                  "x.unfold(1, -1, 1)"),
            "step": rejecting((2, 3), "step is 0 but must be > 0", "x.unfold(1, 1, 1)",
                              "x.unfold(1, 1, 0)"),
        },
    ),
    moving(
        "as_strided", calls_with(_strides, layouts=("contiguous",), min_side=1),
        reference.by_strides, memory="view", spellings=("Tensor.as_strided",),
        excused={"vmap": "takes elements by their place in memory, which a batch changes"},
        rejections={
            "count": rejecting((6,), "mismatch in length of strides and shape",
                               "torch.as_strided(x, (2, 2), (2, 1))",
                               "torch.as_strided(x, (2, 2), (1,))"),
        },
    ),
)  # fmt: skip

DIAGONALS = (
    moving(
        "diagonal", calls_with(_any_diagonal, min_rank=2), np.diagonal, memory="view",
        spellings=("Tensor.diagonal",),
        rejections={
            "same": rejecting((2, 3), "diagonal dimensions cannot be identical",
                              "torch.diagonal(x, 0, 0, 1)", "torch.diagonal(x, 0, 1, -1)"),
            "dim": out_of_range("torch.diagonal(x, 0, 0, {})"),
        },
    ),
    moving(
        "diag", calls_with(_offset, min_rank=1, max_rank=2, max_elements=12), np.diag, out="same",
        spellings=("Tensor.diag",), memory="either",
        rejections={
            "rank": rejecting((1, 2, 3), "Supports 1D or 2D tensors", "torch.diag(x[0])",
                              "torch.diag(x)"),
        },
    ),
    moving(
        "diag_embed", calls_with(_embedding, min_rank=1, max_rank=3, max_elements=12),
        reference.on_diagonal, spellings=("Tensor.diag_embed",),
        rejections={
            "same": rejecting((2, 3), "diagonal dimensions cannot be identical",
                              "torch.diag_embed(x, 0, 0, 1)", "torch.diag_embed(x, 0, 1, -2)"),
        },
    ),
    moving(
        "diagflat", calls_with(_offset, max_elements=6), np.diagflat,
        spellings=("Tensor.diagflat",),
    ),
)  # fmt: skip

_REAL_DERIVATIVES = {"adjoint": "raises: no automatic differentiation of complex numbers"}
_OVERLAPPING = ("contiguous", "overlapping", "expanded")
_LAWS = ("long", "layout", "copy", "vjp", "jvp", "adjoint", "second-derivative", "vmap", "meta")
_AS_OTHERS = dict.fromkeys(_LAWS, "as for arguments that do not overlap themselves")

REPLACEMENTS = (
    moving(
        "diagonal_scatter", calls_with_part(_replaced_diagonal, min_rank=2),
        reference.with_diagonal, spellings=("Tensor.diagonal_scatter",),
        rejections={
            "size": rejecting((2, 3), "expected src to have a size equal to the slice",
                              "torch.diagonal_scatter(x, y)",
                              "torch.diagonal_scatter(x, y[:1])", others={"y": (2,)}),
        },
    ),
    moving(
        "select_scatter", calls_with_part(_replaced_place, min_rank=1, min_side=1),
        reference.with_slice_at, excused=_REAL_DERIVATIVES,
        spellings=("Tensor.select_scatter",),
        rejections={
            "size": rejecting((2, 3), "expected src to have a size equal to the slice",
                              "torch.select_scatter(x, y, 0, 0)",
                              "torch.select_scatter(x, y[:2], 0, 0)", others={"y": (3,)}),
            "index": rejecting((2, 3), "out of range", "torch.select_scatter(x, y, 0, 1)",
                               "torch.select_scatter(x, y, 0, 2)", error="IndexError",
                               others={"y": (3,)}),
        },
    ),
    moving(
        "slice_scatter", calls_with_part(_replaced_slices, min_rank=1), reference.with_slices,
        excused=_REAL_DERIVATIVES, spellings=("Tensor.slice_scatter",),
        rejections={
            "size": rejecting((2, 3), "expected src to have a size equal to the slice",
                              "torch.slice_scatter(x, y, 0, 0, 1)",
                              "torch.slice_scatter(x, y, 0, 0, 2)", others={"y": (1, 3)}),
            "step": rejecting((2, 3), "step must be positive|slice step must be positive",
                              "torch.slice_scatter(x, x, 0, 0, 2, 1)",
                              "torch.slice_scatter(x, x, 0, 0, 2, 0)"),
        },
    ),
    moving(
        "slice_scatter", calls_with_part(_replaced_beyond, min_rank=1), reference.with_slices,
        variant="beyond", excused={"vjp": "as for bounds within", **_REAL_DERIVATIVES},
    ),
    moving(
        "select_scatter",
        calls_with_part(_replaced_place, layouts=_OVERLAPPING, min_rank=1, min_side=1),
        reference.with_slice_at, variant="overlapping", excused=_AS_OTHERS,
    ),
    moving(
        "diagonal_scatter", calls_with_part(_replaced_diagonal, layouts=_OVERLAPPING, min_rank=2),
        reference.with_diagonal, variant="overlapping", excused=_AS_OTHERS,
    ),
    moving(
        "slice_scatter", calls_with_part(_replaced_slices, layouts=_OVERLAPPING, min_rank=1),
        reference.with_slices, variant="overlapping", excused=_AS_OTHERS,
    ),
)  # fmt: skip


def _one_or_two(draw: st.DrawFn, pair: tuple[int, int]) -> Any:
    """A pair, written as one number where both are the same."""
    return pair[0] if pair[0] == pair[1] and draw(st.booleans()) else pair


def _kernel(draw: st.DrawFn) -> tuple[list[tuple[int, int]], tuple[int, int], int]:
    """Kernel, dilation, padding and stride; sides that the kernel fits, how often it does."""
    kernel, dilation, padding, stride = (
        (draw(st.integers(least, 2)), draw(st.integers(least, 2))) for least in (1, 1, 0, 1)
    )
    sides, count = [], 1
    for dim in range(2):
        span = dilation[dim] * (kernel[dim] - 1) + 1
        side = max(span - 2 * padding[dim], 1) + draw(st.integers(0, 2))
        sides.append(side)
        count *= (side + 2 * padding[dim] - span) // stride[dim] + 1
    return [kernel, dilation, padding, stride], (sides[0], sides[1]), count


@st.composite
def _blocks(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    options, sides, _ = _kernel(draw)
    batch = draw(st.sampled_from(((), (1,), (2,))))
    x = draw(moved_operand(dtype, kind, (*batch, draw(st.integers(1, 2)), *sides)))
    return Call((x, *(_one_or_two(draw, option) for option in options)), {})


@st.composite
def _columns(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    options, sides, count = _kernel(draw)
    batch = draw(st.sampled_from(((), (1,), (2,))))
    rows = draw(st.integers(1, 2)) * options[0][0] * options[0][1]
    x = draw(moved_operand(dtype, kind, (*batch, rows, count)))
    return Call((x, *(_one_or_two(draw, option) for option in (sides, *options))), {})


_FLOATS = ("floating", "complex")

COLUMNS = (
    moving(
        "nn.functional.unfold", _blocks, columns.blocks_to_columns, variant="blocks",
        dtypes=_FLOATS,
        rejections={
            "kernel": rejecting((1, 1, 2, 2), "components must be at least one",
                                "torch.nn.functional.unfold(x, 2)",
                                "torch.nn.functional.unfold(x, 3)"),
            "rank": rejecting((1, 1, 2, 2), "Expected 3D or 4D",
                              "torch.nn.functional.unfold(x, 2)",
                              "torch.nn.functional.unfold(x[None], 2)"),
        },
    ),
    moving(
        "nn.functional.fold", _columns, columns.columns_to_blocks, dtypes=_FLOATS,
        kind="dyadic",
        rejections={
            "rows": rejecting((1, 4, 1), "divisible by the product of kernel_size",
                              "torch.nn.functional.fold(x, 2, 2)",
                              "torch.nn.functional.fold(x[:, :3], 2, 2)"),
            "columns": rejecting((1, 4, 1), "expected size of input's dimension 2",
                                 "torch.nn.functional.fold(x, 2, 2)",
                                 "torch.nn.functional.fold(x, 3, 2)"),
        },
    ),
)  # fmt: skip

OPERATORS = (*SLICES, *DIAGONALS, *REPLACEMENTS, *COLUMNS)
