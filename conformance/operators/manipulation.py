"""Shapes and dimensions: the same elements in another shape, or with dimensions moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.moving import (
    IN_ORDER,
    ONE_A_RESULT,
    UNCONJUGATED,
    calls_with,
    moved_operand,
    moving,
    nothing,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Dtypes
from conformance.operators.results import real_part
from conformance.reference import manipulation as reference
from strategies import dim_tuples, dims, permutations, reshapes
from strategies.shapes import Shape

CONJUGATES = "tensors.html#torch.Tensor."


def permute_unpacked(x: Any, order: Any) -> Any:
    """``x.permute(0, 1)``."""
    return x.permute(*order) if order else x.permute(order)


def reshape_unpacked(x: Any, shape: Any) -> Any:
    """``x.reshape(2, 3)``."""
    return x.reshape(*shape) if shape else x.reshape(shape)


def view_unpacked(x: Any, shape: Any) -> Any:
    """``x.view(2, 3)``."""
    return x.view(*shape) if shape else x.view(shape)


def _one_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (draw(dims(len(shape))),)


def _two_dims(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return draw(dims(len(shape))), draw(dims(len(shape)))


def _order(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (draw(permutations(len(shape))),)


def _from_and_to(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    sources = draw(dim_tuples(len(shape)))
    destinations = draw(permutations(len(shape)))[: len(sources)]
    if len(sources) == 1 and draw(st.booleans()):
        return sources[0], destinations[0]
    return sources, destinations


def _new_shape(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (draw(reshapes(shape)),)


def _shape_in_place(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Split sides and insert sides of 1: a view of any strides. One side may be left to infer."""
    new: list[int] = []
    for side in shape:
        first = draw(st.sampled_from([n for n in (side, 1, 2, 3) if n and side % n == 0] or [1]))
        new += draw(st.sampled_from(((side,), (first, side // first), (side, 1))))
    inferred = draw(st.integers(-1, len(new) - 1))
    if inferred >= 0 and all(new[:inferred] + new[inferred + 1 :]):
        new[inferred] = -1
    return (tuple(new),)


def _range_of_dims(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    rank = len(shape)
    start = draw(dims(rank))
    last = draw(st.integers(start % max(rank, 1), max(rank, 1) - 1))
    end = draw(st.sampled_from((last, last - max(rank, 1))))
    return draw(st.sampled_from(((start, end), (start,), ())))


def _sizes_of_a_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    dim = draw(dims(len(shape)))
    return dim, draw(reshapes((shape[dim],))) or (1,)


def _squeezed_dims(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    form = draw(st.integers(0, 2)) if shape else 0
    return ((), _one_dim(draw, shape), (draw(dim_tuples(len(shape))),))[form]


def _new_dim(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    return (draw(st.integers(-len(shape) - 1, len(shape))),)


@st.composite
def _with_template(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A tensor, and another one of as many elements."""
    x = draw(moved_operand(dtype, kind, sized(kind), IN_ORDER))
    shape = np.empty(tuple(x.shape)).reshape(draw(reshapes(tuple(x.shape)))).shape
    return Call((x, draw(moved_operand(dtype, "dyadic", shape))), {})


@st.composite
def _pairs(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    shape = draw(sized(kind, max_rank=3, max_elements=12))
    return Call((draw(moved_operand(dtype, kind, (*shape, 2), ("contiguous",))),), {})


def _complex(call: Call) -> Dtypes:
    dtype = call.arguments[0].dtype
    return Dtypes(None, (torch.complex64 if dtype == torch.float32 else torch.complex128,))


@st.composite
def _any_shapes(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """One tensor, or several of any shapes, one by one or in one list."""
    small = sized(kind, max_elements=8)
    drawn = [draw(moved_operand(dtype, kind, small)) for _ in range(draw(st.integers(1, 3)))]
    form = draw(st.sampled_from((tuple(drawn), (tuple(drawn),))))
    return Call(form if len(drawn) > 1 else tuple(drawn), {})


_ALONE = calls_with(nothing)
_MATRICES = calls_with(nothing, min_rank=2)
_COMPLEX_ONLY = dict.fromkeys(("vjp", "jvp", "second-derivative"), "takes complex numbers alone")

_COMPLEX_RESULT = "the exact derivatives are those of functions with real results"


DIMENSIONS = (
    moving(
        "transpose", calls_with(_two_dims), reference.axes_swapped,
        spellings=("Tensor.transpose", "swapaxes", "swapdims", "Tensor.swapaxes",
                   "Tensor.swapdims"),
        memory="view",
        rejections={"dim": out_of_range("torch.transpose(x, 0, {})")},
    ),
    moving(
        "permute", calls_with(_order), np.transpose,
        spellings=("Tensor.permute", permute_unpacked), memory="view",
        rejections={
            "repeated": rejecting((2, 3), "duplicate dims|repeated dim", "torch.permute(x, (1, 0))",
                                  "torch.permute(x, (1, -1))"),
            "count": rejecting((2, 3), "do not match|does not match", "torch.permute(x, (1, 0))",
                               "torch.permute(x, (0,))"),
        },
    ),
    moving(
        "movedim", calls_with(_from_and_to), reference.axes_moved,
        spellings=("Tensor.movedim", "moveaxis", "Tensor.moveaxis"), memory="view",
        rejections={
            "repeated": rejecting((2, 3), "repeated dim in `source`",
                                  "torch.movedim(x, (0, 1), (1, 0))",
                                  "torch.movedim(x, (0, 0), (1, 0))"),
            "destination": rejecting((2, 3), "repeated dim in `destination`",
                                     "torch.movedim(x, (0, 1), (1, 0))",
                                     "torch.movedim(x, (0, 1), (1, -1))"),
            "count": rejecting((2, 3), "should contain the same number",
                               "torch.movedim(x, (0,), (1,))", "torch.movedim(x, (0, 1), (1,))"),
        },
    ),
    moving(
        "t", calls_with(nothing, max_rank=2), np.transpose, spellings=("Tensor.t",), memory="view",
        rejections={
            "rank": rejecting((2, 3), "expects a tensor with <= 2 dimensions", "torch.t(x)",
                              "torch.t(x.unsqueeze(0))"),
        },
    ),
    moving(
        "Tensor.T", calls_with(nothing, min_rank=2, max_rank=2), np.transpose, memory="view",
        docs=f"{CONJUGATES}T",
    ),
    moving(
        "Tensor.mT", _MATRICES, reference.matrices_transposed, memory="view",
        docs=f"{CONJUGATES}mT",
        rejections={
            "rank": rejecting((2, 3), "only supported on matrices or batches", "x.mT", "x[0].mT"),
        },
    ),
    moving(
        "Tensor.H", calls_with(nothing, min_rank=2, max_rank=2), reference.conjugate_transposed,
        analytic=reference.matrices_transposed, memory="either", docs=f"{CONJUGATES}H",
        rejections={
            "rank": rejecting((2, 3), "only supported on matrices", "x.H", "x.unsqueeze(0).H"),
        },
    ),
    moving(
        "adjoint", _MATRICES, reference.conjugate_transposed,
        analytic=reference.matrices_transposed, memory="either",
        spellings=("Tensor.adjoint", "Tensor.mH"),
        rejections={
            "rank": rejecting((2, 3), "only supported on matrices or batches",
                              "torch.adjoint(x)", "torch.adjoint(x[0])"),
        },
    ),
)  # fmt: skip

SHAPES = (
    moving(
        "reshape", calls_with(_new_shape), np.reshape, memory="either",
        spellings=("Tensor.reshape", reshape_unpacked),
        rejections={
            "size": rejecting((2, 3), "is invalid for input of size 6", "torch.reshape(x, (3, 2))",
                              "torch.reshape(x, (4, 2))"),
            "inferred": rejecting((2, 3), "only one dimension can be inferred",
                                  "torch.reshape(x, (3, -1))", "torch.reshape(x, (-1, -1))"),
            "indivisible": rejecting((2, 3), "is invalid for input of size 6",
                                     "torch.reshape(x, (3, -1))", "torch.reshape(x, (4, -1))"),
            "negative": rejecting((2, 3), "invalid shape dimension -2",
                                  "torch.reshape(x, (3, 2))", "torch.reshape(x, (3, -2))"),
        },
    ),
    moving(
        "Tensor.view", calls_with(_shape_in_place, max_rank=3), np.reshape, memory="view",
        spellings=(view_unpacked,),
        rejections={
            "size": rejecting((2, 3), "is invalid for input of size 6",
                              "x.contiguous().view(3, 2)", "x.contiguous().view(4, 2)"),
            "strides": rejecting((2, 3), "view size is not compatible",
                                 "x.contiguous().view(6)", "x.contiguous().t().view(6)"),
        },
    ),
    moving(
        "Tensor.view", calls_with(_new_shape, layouts=IN_ORDER), np.reshape, memory="view",
        variant="contiguous", spellings=(view_unpacked,),
    ),
    moving(
        "Tensor.view_as", _with_template, reference.reshaped_like, constants=(1,), memory="view",
    ),
    moving(
        "Tensor.reshape_as", _with_template, reference.reshaped_like, constants=(1,),
        memory="either",
    ),
    moving(
        "flatten", calls_with(_range_of_dims), reference.merged, memory="either",
        spellings=("Tensor.flatten",),
        rejections={
            "order": rejecting((2, 3), "start_dim cannot come after end_dim",
                               "torch.flatten(x, 0, 1)", "torch.flatten(x, 1, 0)"),
            "dim": out_of_range("torch.flatten(x, {})"),
        },
    ),
    moving(
        "unflatten", calls_with(_sizes_of_a_dim, min_rank=1), reference.unmerged, memory="view",
        spellings=("Tensor.unflatten",),
        rejections={
            "sizes": rejecting((2, 6), "don't multiply up to the size of dim",
                               "torch.unflatten(x, 1, (2, 3))", "torch.unflatten(x, 1, (2, 2))"),
            "inferred": rejecting((2, 6), "only one dimension can be inferred",
                                  "torch.unflatten(x, 1, (-1, 3))",
                                  "torch.unflatten(x, 1, (-1, -1))"),
            "dim": out_of_range("torch.unflatten(x, {}, (1, -1))"),
        },
    ),
    moving("ravel", _ALONE, np.ravel, memory="either", spellings=("Tensor.ravel",)),
    moving(
        "squeeze", calls_with(_squeezed_dims), reference.squeezed, memory="view",
        spellings=("Tensor.squeeze",),
        rejections={
            "dim": out_of_range("torch.squeeze(x, {})"),
            "dims": out_of_range("torch.squeeze(x, (0, {}))"),
        },
    ),
    moving(
        "squeeze", calls_with(_one_dim, max_rank=0), reference.squeezed, memory="view",
        variant="scalar",
    ),
    moving(
        "unsqueeze", calls_with(_new_dim), np.expand_dims, memory="view",
        spellings=("Tensor.unsqueeze",),
        rejections={
            "dim": rejecting((2, 3), "Dimension out of range", "torch.unsqueeze(x, -3)",
                             "torch.unsqueeze(x, -4)", error="IndexError"),
        },
    ),
    moving("atleast_1d", _any_shapes, reference.of_rank_1, memory="either", excused=ONE_A_RESULT),
    moving("atleast_2d", _any_shapes, reference.of_rank_2, memory="either", excused=ONE_A_RESULT),
    moving("atleast_3d", _any_shapes, reference.of_rank_3, memory="either", excused=ONE_A_RESULT),
)  # fmt: skip

COMPLEX_PARTS = (
    moving(
        "real", _ALONE, np.real, analytic=reference.itself, result=real_part, memory="either",
        spellings=("Tensor.real",),
    ),
    moving(
        "imag", _ALONE, np.imag, dtypes=("complex",), result=real_part, memory="either",
        spellings=("Tensor.imag",), excused=_COMPLEX_ONLY,
        rejections={
            "real": rejecting((2,), "imag is not implemented for tensors with non-complex dtypes",
                              "torch.imag(x + 0j)", "torch.imag(x)", error="TypeError from 2.15"),
        },
    ),
    moving(
        "view_as_real", calls_with(nothing, layouts=UNCONJUGATED), reference.parts_stacked,
        dtypes=("complex",), result=real_part, memory="either", excused=_COMPLEX_ONLY,
        rejections={
            "real": rejecting((2,), "only supported for complex tensors",
                              "torch.view_as_real(x + 0j)", "torch.view_as_real(x)",
                              error="TypeError from 2.15"),
        },
    ),
    moving(
        "view_as_complex", _pairs, reference.parts_joined, dtypes=("split",), result=_complex,
        memory="either",
        excused={
            **dict.fromkeys(("vjp", "jvp", "second-derivative"), _COMPLEX_RESULT),
            **dict.fromkeys(("layout", "vmap"), "needs a last dimension of stride 1"),
        },
    ),
)  # fmt: skip

OPERATORS = (*DIMENSIONS, *SHAPES, *COMPLEX_PARTS)
