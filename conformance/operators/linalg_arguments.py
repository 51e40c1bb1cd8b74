"""Operands of linear algebra: shapes that products of vectors, matrices and batches take."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Calls
from strategies import tensors
from strategies.shapes import Shape, as_long_as_asked

_SIDES = st.sampled_from((1, 2, 3, 0, 4))
_BATCHES: tuple[tuple[Shape, Shape], ...] = (
    ((), ()), ((2,), ()), ((), (3,)), ((2, 1), (3,)), ((1,), (2,)), ((0,), (1,)), ((2,), (2,)),
)  # fmt: skip


def _sides_of(draw: st.DrawFn, letters: set[str], sides: st.SearchStrategy[int]) -> dict[str, int]:
    """A side for each letter."""
    ordered = sorted(letters)
    drawn = as_long_as_asked(tuple(draw(sides) for _ in ordered))
    return dict(zip(ordered, drawn, strict=True))


def products_of(*shapes: str) -> Calls:
    """Draw operands whose shapes are spelled by letters, each letter a side."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = _sides_of(draw, set("".join(shapes)), _SIDES)
        of = [tuple(sides[letter] for letter in shape) for shape in shapes]
        return Call(tuple(draw(operand(dtype, kind, shape)) for shape in of), {})

    return drawn


def weighted_products(base: str, *shapes: str) -> Calls:
    """Draw a product's operands, and before them one that is added to it, with weights.

    It may be expanded from sides of 1, but for a product of nothing: entries of their own.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = _sides_of(draw, set("".join(shapes)), _SIDES)
        full = tuple(sides[letter] for letter in base)
        ones = draw(st.integers(0, 2 ** (len(base) + 1) - 1)) if all(sides.values()) else 0
        narrow = tuple(1 if ones >> n & 1 else side for n, side in enumerate(full))
        of = [tuple(sides[letter] for letter in shape) for shape in shapes]
        operands = [draw(operand(dtype, kind, shape)) for shape in (narrow, *of)]
        weights = {"beta": st.sampled_from((0, 1, 2)), "alpha": st.integers(0, 3)}
        keywords = {k: draw(v) for k, v in weights.items() if draw(st.booleans())}
        return Call(tuple(operands), keywords)

    return drawn


def products_ignoring_base(base: str, *shapes: str) -> Calls:
    """Draw a product's operands and a first one of nan, infinities and numbers, weighed by 0."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(weighted_products(base, *shapes)(dtype, kind))
        ignored = draw(operand(dtype, "nonfinite", tuple(call.arguments[0].shape)))
        return Call((ignored, *call.arguments[1:]), {**call.keywords, "beta": 0})

    return drawn


@st.composite
def sum_of_nothing(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A vector of one element, a matrix without columns, and a vector of nothing."""
    rows = draw(st.integers(0, 3))
    shapes: tuple[Shape, ...] = ((1,), (rows, 0), (0,))
    return Call(tuple(draw(operand(dtype, kind, shape)) for shape in shapes), {})


@st.composite
def matmul_operands(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Two operands of matmul, of any rank it takes but for a vector on the left."""
    rows, inner, columns = as_long_as_asked((draw(_SIDES), draw(_SIDES), draw(_SIDES)))
    first, second = draw(st.sampled_from(_BATCHES))
    left: Shape = (*first, rows, inner)
    right: Shape = (*second, inner, columns)
    left, right = draw(
        st.sampled_from(((left, right), (left, (inner,)), ((inner,), (inner,)), (left, right)))
    )
    return Call((draw(operand(dtype, kind, left)), draw(operand(dtype, kind, right))), {})


@st.composite
def vector_matmul_operands(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A vector and a matrix, or a batch of matrices."""
    inner, columns = as_long_as_asked((draw(_SIDES), draw(_SIDES)))
    right = (*draw(st.sampled_from(((), (2,), (1, 3), (0,)))), inner, columns)
    return Call((draw(operand(dtype, kind, (inner,))), draw(operand(dtype, kind, right))), {})


EQUATIONS = (
    "ij,jk->ik", "ij,kj", "ij->ji", "i,j->ij", "bij,bjk->bik", "...ij,...jk->...ik", "ijk,jil->kl",
    "ij->", "ii->i", "ii", "ab,ab->a", "i,i->", "ij,ij,ij->i", "ij,j,jk->ki", "...i->...",
    "aA,Ab->ab", "BA",
)  # fmt: skip


@st.composite
def einsum_operands(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """An equation and operands whose sides fit its letters."""
    equation = draw(st.sampled_from(EQUATIONS))
    letters = {c for c in equation if c.isalpha()}
    sides = _sides_of(draw, letters, st.sampled_from((2, 1, 3, 0)))
    ellipsis = draw(st.sampled_from(((), (2,), (2, 1))))
    operands = []
    for term in equation.partition("->")[0].split(","):
        head = ellipsis if "..." in term else ()
        shape = (*head, *(sides[c] for c in term.replace("...", "")))
        operands.append(draw(operand(dtype, kind, shape)))
    return Call((equation, *operands), {})


@st.composite
def pairs_of_any_rank(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Two contiguous tensors of rank 0 to 2."""
    shapes = st.sampled_from(((2, 3), (2,), (), (3, 2), (1, 3), (2, 1), (0, 2), (3,)))
    drawn = (
        tensors(dtype=dtype, shape=draw(shapes), values=kind, layouts=("contiguous",))
        for _ in range(2)
    )
    return Call(tuple(map(draw, drawn)), {})


def pairs_along(name: str | None, side: int | None = None) -> Calls:
    """Draw two operands of one shape, or of shapes that broadcast, and a dimension of theirs.

    ``name`` None: the dimension is given by position. ``side`` is the size along it.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rank = draw(st.integers(1, 3))
        axis = draw(st.integers(0, rank - 1))
        shape = [*as_long_as_asked(tuple(draw(st.sampled_from((2, 1, 3, 0))) for _ in range(rank)))]
        if side is not None:
            shape[axis] = side
        other = [1 if n != axis and draw(st.booleans()) else s for n, s in enumerate(shape)]
        operands = [draw(operand(dtype, kind, tuple(s))) for s in (shape, other)]
        dim = axis - rank if draw(st.booleans()) or axis == rank - 1 else axis
        given = {} if dim == -1 and draw(st.booleans()) else {name or "dim": dim}
        return Call(tuple(operands), given)

    return drawn


@st.composite
def tensordot_operands(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Two tensors and the dimensions they share: a number of them, or lists from either end."""
    free = draw(st.sampled_from((2, 1, 3)))
    shared = as_long_as_asked(tuple(draw(st.lists(st.sampled_from((2, 1, 3)), max_size=2))))
    form = draw(st.sampled_from(("number", "places", "from the end", "from the end")))
    if form == "number":
        shapes: tuple[Shape, Shape] = ((free, *shared), (*shared, free + 1))
        dims: Any = len(shared)
    else:
        ahead = draw(st.sampled_from(((free, 2), (free,), (2, 2))))
        shapes = ((*shared[::-1], free), (*ahead, *shared))
        first = range(len(shared))
        dims = (list(first), [len(ahead) + place for place in reversed(first)])
    if form == "from the end":
        ranks = [len(shape) for shape in shapes]
        dims = tuple([d - rank for d in side] for side, rank in zip(dims, ranks, strict=True))
    return Call(tuple(draw(operand(dtype, kind, shape)) for shape in shapes), {"dims": dims})


@st.composite
def chains(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Three to five matrices that can be multiplied, vectors at the ends included."""
    sides = as_long_as_asked(tuple(draw(_SIDES) for _ in range(draw(st.integers(3, 5)))))
    shapes: list[Shape] = list(pairwise(sides))
    if draw(st.integers(0, 3)) == 3:
        shapes[0] = shapes[0][1:]
    if draw(st.integers(0, 3)) == 3:
        shapes[-1] = shapes[-1][:1]
    return Call(([draw(operand(dtype, kind, shape)) for shape in shapes],), {})


def powers_of(least_rank: int, most_rank: int, *, increasing: bool) -> Calls:
    """Draw a tensor and how many powers of it, and in which order if ``increasing``."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rank = draw(st.integers(least_rank, most_rank))
        shape = tuple(draw(st.sampled_from((2, 3))) for _ in range(rank))
        keywords: dict[str, Any] = {}
        if draw(st.booleans()):
            keywords["N"] = draw(st.integers(2, 4))
        if increasing and draw(st.booleans()):
            keywords["increasing"] = draw(st.booleans())
        return Call((draw(operand(dtype, kind, shape)),), keywords)

    return drawn
