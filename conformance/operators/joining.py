"""Joins: several tensors in one, and all choices of elements of several."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.moving import (
    ONE_A_RESULT,
    calls_with,
    moved_operand,
    moving,
    out_of_range,
    rejecting,
    sized,
)
from conformance.operators.operator import Call, Calls, Dtypes, Operator
from conformance.operators.results import dtype_named, named
from conformance.reference import joining as reference
from conformance.reference import promotion
from strategies import dims, tensors
from strategies.dtypes import FAMILIES
from strategies.shapes import Shape


def meshgrid_of_list(*vectors: Any, indexing: str) -> Any:
    """``meshgrid`` of a list."""
    return torch.meshgrid(list(vectors), indexing=indexing)


def cat_by_keyword(operands: Any, dim: int = 0) -> Any:
    """``cat(tensors, axis=dim)``, NumPy's name for it."""
    return torch.cat(operands, axis=dim)  # type: ignore[call-arg]


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
    return chosen, ()


def _one_element(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
    """A tensor of one element, and empty ones beside it."""
    rank = draw(st.integers(2, 3))
    dim = draw(dims(rank))
    without = _with_side((1,) * rank, dim, 0)
    return draw(st.permutations([(1,) * rank, without])), (dim,)


def _beyond_one_element(choose: Shapes) -> Shapes:
    """Twice the tensors where one element is all they have: that is ``cat-one-element``."""

    def chosen_shapes(draw: st.DrawFn, kind: str) -> tuple[list[Shape], tuple[Any, ...]]:
        chosen, rest = choose(draw, kind)
        return chosen * (2 if sum(map(prod, chosen)) == 1 else 1), rest

    return chosen_shapes


def _joining(name: str, choose: Shapes, operation: Any, **fields: Any) -> Operator:
    given = {
        "out": "same", "result": _joined, "mixed": _mixed_joins(choose=choose), **fields,
    }  # fmt: skip
    return moving(name, _joins(choose), operation, **given)


def _stacking(name: str, choose: Shapes, operation: Any, **fields: Any) -> Operator:
    return _joining(name, _beyond_one_element(choose), operation, **fields)


_THREE = {"y": (2, 3), "z": (2, 4)}

JOINS = (
    _stacking(
        "cat", _along_a_dim, reference.joined, spellings=("concat", "concatenate", cat_by_keyword),
        rejections={
            "none": rejecting((2, 3), "expected a non-empty list", "torch.cat([x])",
                              "torch.cat([])", error="ValueError"),
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.cat([x, z], 1)",
                               "torch.cat([x, z], 0)", others=_THREE),
            "ranks": rejecting((2, 3), "must have same number of dimensions",
                               "torch.cat([x, y])", "torch.cat([x, y[0]])", others=_THREE),
            "scalar": rejecting((2,), "zero-dimensional tensor", "torch.cat([x, x])",
                                "torch.cat([x[0], x[0]])"),
            "dim": out_of_range("torch.cat([x, x], {})"),
        },
    ),
    _joining("cat", _one_element, reference.joined, variant="one-element"),
    _stacking(
        "stack", _one_shape, np.stack,
        rejections={
            "none": rejecting((2, 3), "expects a non-empty", "torch.stack([x])",
                              "torch.stack([])"),
            "sizes": rejecting((2, 3), "expects each tensor to be equal size",
                               "torch.stack([x, y])", "torch.stack([x, z])", others=_THREE),
            "dim": rejecting((2, 3), "Dimension out of range", "torch.stack([x, y], 2)",
                             "torch.stack([x, y], 3)", error="IndexError", others=_THREE),
        },
    ),
    _stacking(
        "hstack", _in_columns, np.hstack,
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.hstack([x, z])",
                               "torch.hstack([x, z[:1]])", others=_THREE),
        },
    ),
    _stacking(
        "vstack", _in_rows, np.vstack, spellings=("row_stack",),
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.vstack([x, y])",
                               "torch.vstack([x, z])", others=_THREE),
        },
    ),
    _stacking(
        "dstack", _in_layers, np.dstack,
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.dstack([x, y])",
                               "torch.dstack([x, z])", others=_THREE),
        },
    ),
    _stacking(
        "column_stack", _as_columns, np.column_stack,
        excused={"vmap": "has no batching rule"},
        rejections={
            "sizes": rejecting((2, 3), "Sizes of tensors must match", "torch.column_stack([x, z])",
                               "torch.column_stack([x, z[:1]])", others=_THREE),
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
    return draw(st.sampled_from(((r, again), (r, again), (r,), ())))


_DATA_DEPENDENT = "selects by a mask, whose number of elements it takes for data"

PRODUCTS = (
    moving(
        "meshgrid", _grid_vectors, np.meshgrid, memory="either", spellings=(meshgrid_of_list,),
        excused=ONE_A_RESULT,
        rejections={
            "indexing": rejecting((2,), "indexing must be one of \"xy\" or \"ij\"",
                                  "torch.meshgrid(x, y, indexing='xy')",
                                  "torch.meshgrid(x, y, indexing='yx')", others={"y": (3,)}),
            "rank": rejecting((2,), "Expected 0D or 1D tensor",
                              "torch.meshgrid(x, y[0], indexing='ij')",
                              "torch.meshgrid(x, y, indexing='ij')", others={"y": (1, 2)}),
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

OPERATORS = (*JOINS, *PRODUCTS)
