"""Joins and splits: several tensors in one, one tensor in several."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
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
from conformance.operators.operator import Call, Calls, Dtypes, Operator, tensors_in
from conformance.operators.results import dtype_named, named
from conformance.reference import joining as reference
from conformance.reference import promotion
from strategies import dims, tensors
from strategies.dtypes import FAMILIES
from strategies.shapes import Shape


def meshgrid_of_list(*vectors: Any, indexing: str) -> Any:
    """``meshgrid`` of a list."""
    return torch.meshgrid(list(vectors), indexing=indexing)


def split_by_keyword(x: Any, size: Any, dim: int = 0) -> Any:
    """``x.split(size, dim=dim)``."""
    return x.split(size, dim=dim)


def cat_by_keyword(operands: Any, dim: int = 0) -> Any:
    """``cat(tensors, axis=dim)``, NumPy's name for it."""
    return torch.cat(operands, axis=dim)  # type: ignore[call-overload]


def _joined(call: Call) -> Dtypes:
    """Compute in the dtype that all tensors promote to, each as one with dimensions; return it."""
    names = [named(tensor.dtype) for tensor in tensors_in(call)]
    dtype = dtype_named(promotion.result_type(names, [], []))
    return Dtypes(dtype, (dtype,))


Shapes = Callable[[st.DrawFn, str], tuple[list[Shape], tuple[Any, ...]]]
"""Draws the shapes of the tensors to join, and the arguments that follow."""


def _joins(choose: Shapes) -> Calls:
    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides, rest = choose(draw, kind)
        listed = [draw(moved_operand(dtype, kind, shape)) for shape in sides]
        return Call((tuple(listed), *rest), {})

    return drawn


@st.composite
def _mixed_joins(draw: st.DrawFn, choose: Shapes) -> Call:
    """Operands of several dtypes; complex ones do not meet half precision."""
    halves = (torch.float16, torch.bfloat16)
    without_half = tuple(d for d in FAMILIES["any"] if d not in halves)
    without_complex = tuple(d for d in FAMILIES["any"] if not d.is_complex)
    chosen = st.sampled_from(draw(st.sampled_from((without_half, without_complex))))
    sides, rest = choose(draw, "dyadic")
    return Call((tuple(draw(tensors(dtype=draw(chosen), shape=s)) for s in sides), *rest), {})


def _with_side(shape: Shape, dim: int, side: int) -> Shape:
    place = dim % len(shape)
    return (*shape[:place], side, *shape[place + 1 :])


def _alike_but_for(draw: st.DrawFn, kind: str, rank: int, dim: int) -> list[Shape]:
    shape = draw(sized(kind, min_rank=rank, max_rank=rank, max_elements=12))
    sides = [shape[dim], *draw(st.lists(st.integers(0, 3), max_size=2))]
    if prod(_with_side(shape, dim, sum(sides))) == 1:
        sides = [1]
    return [_with_side(shape, dim, side) for side in sides]


def _along_a_dim(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    """Shapes that differ in one dimension alone; one may be the empty vector, of any rank."""
    rank = draw(st.integers(1, 4))
    dim = draw(dims(rank))
    found = _alike_but_for(draw, kind, rank, dim)
    if draw(st.integers(0, 5)) == 5:
        found.insert(draw(st.integers(0, len(found))), (0,))
    return found, draw(st.sampled_from(((dim,), ()) if dim in (0, -rank) else ((dim,),)))


def _one_shape(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(sized(kind, max_rank=3, max_elements=12))
    dim = draw(st.integers(-len(shape) - 1, len(shape)))
    rest = draw(st.sampled_from(((dim,), ()) if dim == 0 else ((dim,),)))
    return [shape] * draw(st.integers(1, 3)), rest


def _in_columns(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    rank = draw(st.integers(0, 3))
    if rank < 2:
        ranks = draw(st.lists(st.integers(0, 1), min_size=1, max_size=3))
        return [(draw(st.integers(0, 3)),) * each for each in ranks], ()
    return _alike_but_for(draw, kind, rank, 1), ()


def _in_rows(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    if draw(st.booleans()):
        side = draw(st.integers(0, 3))
        rows: tuple[Shape, ...] = ((side,), (1, side), (2, side), (0, side))
        if side == 1:
            rows = ((), *rows)
        return draw(st.lists(st.sampled_from(rows), min_size=1, max_size=3)), ()
    return _alike_but_for(draw, kind, draw(st.integers(2, 4)), 0), ()


def _in_layers(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    if draw(st.booleans()):
        side = draw(st.integers(0, 3))
        row: Shape = draw(st.sampled_from(((side,), (1, side), (1, side, 1), (1, side, 2))))
        vector = draw(st.sampled_from(((side,), (1, side))))
        return [row, vector], ()
    rank = draw(st.integers(2, 4))
    if rank == 2:
        shape = draw(sized(kind, min_rank=2, max_rank=2, max_elements=12))
        return [shape, (*shape, draw(st.integers(0, 2)))], ()
    return _alike_but_for(draw, kind, rank, 2), ()


def _as_columns(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    rows = draw(st.integers(0, 3))
    fitting: tuple[Shape, ...] = ((rows,), (rows, 1), (rows, 2), (rows, 0))
    if rows == 1:
        fitting = ((), *fitting)
    chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
    return (chosen if rows != 1 else [shape for shape in chosen if shape != (1, 0)] or [()]), ()


def _one_element(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    """A tensor of one element, and empty ones beside it."""
    rank = draw(st.integers(2, 3))
    dim = draw(dims(rank))
    without = _with_side((1,) * rank, dim, 0)
    return draw(st.permutations([(1,) * rank, without])), (dim,)


def _joining(name: str, choose: Shapes, operation: Any, **fields: Any) -> Operator:
    given = {
        "out": "same", "result": _joined, "mixed": _mixed_joins(choose=choose), **fields,
    }  # fmt: skip
    return moving(name, _joins(choose), operation, **given)


_THREE = {"y": (2, 3), "z": (2, 4)}

JOINS = (
    _joining(
        "cat", _along_a_dim, reference.joined, spellings=("concat", "concatenate", cat_by_keyword),
        rejections={
            "none": rejecting((2, 3), "expected a non-empty list", "torch.cat([x])",
                              "torch.cat([])", error="ValueError"),
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.cat([x, z], 1)",
                               "torch.cat([x, z], 0)", **_THREE),
            "ranks": rejecting((2, 3), "must have same number of dimensions",
                               "torch.cat([x, y])", "torch.cat([x, y[0]])", **_THREE),
            "scalar": rejecting((2,), "zero-dimensional tensor", "torch.cat([x, x])",
                                "torch.cat([x[0], x[0]])"),
            "dim": out_of_range("torch.cat([x, x], {})"),
        },
    ),
    _joining("cat", _one_element, reference.joined, variant="one-element"),
    _joining(
        "stack", _one_shape, np.stack,
        rejections={
            "none": rejecting((2, 3), "expects a non-empty", "torch.stack([x])",
                              "torch.stack([])"),
            "sizes": rejecting((2, 3), "expects each tensor to be equal size",
                               "torch.stack([x, y])", "torch.stack([x, z])", **_THREE),
            "dim": rejecting((2, 3), "Dimension out of range", "torch.stack([x, y], 2)",
                             "torch.stack([x, y], 3)", error="IndexError", **_THREE),
        },
    ),
    _joining(
        "hstack", _in_columns, np.hstack,
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.hstack([x, z])",
                               "torch.hstack([x, z[:1]])", **_THREE),
        },
    ),
    _joining(
        "vstack", _in_rows, np.vstack, spellings=("row_stack",),
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.vstack([x, y])",
                               "torch.vstack([x, z])", **_THREE),
        },
    ),
    _joining(
        "dstack", _in_layers, np.dstack,
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.dstack([x, y])",
                               "torch.dstack([x, z])", **_THREE),
        },
    ),
    _joining(
        "column_stack", _as_columns, np.column_stack,
        excused={"vmap": "has no batching rule"},
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.column_stack([x, z])",
                               "torch.column_stack([x, z[:1]])", **_THREE),
        },
    ),
)  # fmt: skip


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
    return Call((x, torch.tensor(sections, dtype=torch.int64), *_and_dim(draw, 0, tuple(x.shape))[1:]), {})


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
            "negative": rejecting((2, 3), "split_size(s)? be non-negative|non-negative entries|non-negative",
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
        excused={law: "sections in a tensor tell the results' shapes" for law in ("vmap", "meta")},
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


@st.composite
def _vectors(draw: st.DrawFn, dtype: torch.dtype, kind: str, indexing: bool = False) -> Call:
    least = 0 if indexing else 1
    count = draw(st.integers(1, 3))
    shape = sized(kind, min_rank=least, max_rank=1, max_elements=3)
    vectors = tuple(draw(moved_operand(dtype, kind, shape)) for _ in range(count))
    return Call(vectors, {"indexing": draw(st.sampled_from(("ij", "xy")))} if indexing else {})


def _grid_vectors(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    return _vectors(dtype, kind, indexing=True)


@st.composite
def _blocks(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Matrices, vectors that are not empty, and scalars."""
    count = draw(st.integers(1, 3))
    shapes = [draw(sized(kind, max_rank=2, max_elements=6)) for _ in range(count)]
    filled = [(1,) if shape == (0,) else shape for shape in shapes]
    return Call(tuple(draw(moved_operand(dtype, kind, shape)) for shape in filled), {})


@st.composite
def _blocks_and_nothing(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    first, last = (draw(sized(kind, max_rank=2, min_side=1, max_elements=4)) for _ in range(2))
    return Call(tuple(draw(moved_operand(dtype, kind, s)) for s in (first, (0,), last)), {})


def _choice(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    r, again = draw(st.integers(1, 3)), draw(st.booleans())
    return draw(st.sampled_from(((), (r,), (r, again))))


_DATA_DEPENDENT = "selects by a mask, whose number of elements it takes for data"

PRODUCTS = (
    moving(
        "meshgrid", _grid_vectors, np.meshgrid, memory="either", spellings=(meshgrid_of_list,),
        excused={"vjp": "each result has the graph of one input; see its second derivative"},
        rejections={
            "indexing": rejecting((2,), "indexing must be one of \"xy\" or \"ij\"",
                                  "torch.meshgrid(x, y, indexing='xy')",
                                  "torch.meshgrid(x, y, indexing='yx')", y=(3,)),
            "rank": rejecting((2,), "Expected 0D or 1D tensor",
                              "torch.meshgrid(x, y[0], indexing='ij')",
                              "torch.meshgrid(x, y, indexing='ij')", y=(1, 2)),
        },
    ),
    moving(
        "block_diag", _blocks, reference.diagonal_blocks, result=_joined,
        rejections={
            "rank": rejecting((1, 2, 3), "must have 2 or fewer dimensions",
                              "torch.block_diag(x[0])", "torch.block_diag(x)"),
        },
    ),
    moving(
        "block_diag", _blocks_and_nothing, reference.diagonal_blocks, result=_joined,
        variant="empty-vector",
    ),
    moving(
        "cartesian_prod", _vectors, reference.tuples_of, memory="either",
        rejections={
            "rank": rejecting((1, 2), "Expect a 1D vector", "torch.cartesian_prod(x[0], x[0])",
                              "torch.cartesian_prod(x, x)"),
        },
    ),
    moving(
        "combinations", calls_with(_choice, min_rank=1, max_rank=1, max_elements=5),
        reference.subsets_of, spellings=(), excused={"vmap": _DATA_DEPENDENT},
        rejections={
            "rank": rejecting((1, 2), "Expect a 1D vector", "torch.combinations(x[0])",
                              "torch.combinations(x)"),
            "negative": rejecting((2,), "Expect a non-negative number",
                                  "torch.combinations(x, 1)", "torch.combinations(x, -1)"),
        },
    ),
)  # fmt: skip

OPERATORS = (*JOINS, *SPLITS, *PRODUCTS)
