"""Which shapes to draw: one choice from an ordered table, simplest first.

A single choice keeps generation fast, and the table's order is the shrinking order: fewer
dimensions, then fewer elements, then smaller sides. One row in eight is empty. Sides are short,
but for one of them where :func:`lengthened` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import permutations as orders
from itertools import product
from math import prod
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import Place, current_target

Shape = tuple[int, ...]

MAX_RANK = 4
_SIDES_BY_RANK: tuple[tuple[int, ...], ...] = (
    (),
    (1, 2, 3, 5, 8),
    (1, 2, 3, 5),
    (1, 2, 3),
    (1, 2, 3),
)
_ROWS = 24  # every other rank fills as many rows of the table, so that each is drawn as often
_EMPTY_ROWS = 3
_SCALAR_ROWS = 8  # rank 0 has one shape, and less to go wrong in it


def _simplicity(shape: Shape) -> tuple[int, int, Shape]:
    return prod(shape), sum(shape), shape


def _spread(shapes: list[Shape], rows: int) -> list[Shape]:
    """Fill ``rows`` rows with shapes, simplest first, evenly over all of them."""
    ordered = sorted(shapes, key=_simplicity)
    return [ordered[row * len(ordered) // rows] for row in range(rows)]


@cache
def shape_table(min_rank: int, max_rank: int, min_side: int, max_elements: int) -> list[Shape]:
    """Return the rows that :func:`shapes` chooses from: simplest first, empty ones last."""
    table: list[Shape] = []
    for rank in range(min_rank, max_rank + 1):
        full = [s for s in product(_SIDES_BY_RANK[rank], repeat=rank) if prod(s) <= max_elements]
        empty = [s for s in product((0, 1, 3), repeat=rank) if prod(s) == 0]
        with_empty = min_side == 0 and bool(empty)
        rows = _ROWS - _EMPTY_ROWS * with_empty if rank else _SCALAR_ROWS
        table.extend(_spread(full, rows))
        table.extend(_spread(empty, _EMPTY_ROWS) if with_empty else [])
    return table


@contextmanager
def lengthened(side: int, place: int) -> Iterator[None]:
    """Within it, one side of each shape that is drawn is ``side``, unless the shape is empty.

    It is the side at ``place``, modulo the rank. Kernels have loops of their own for what is
    long: whole vectors, their remainder, blocks.
    """
    here = current_target.get()
    long = Place(here.device, getattr(here, "lacks", None), (side, place))
    token = current_target.set(long)
    try:
        yield
    finally:
        current_target.reset(token)


def as_long_as_asked(shape: Shape) -> Shape:
    """Return a shape with the side that :func:`lengthened` asks for; within it only."""
    long_side = getattr(current_target.get(), "long_side", None)
    if long_side is None or prod(shape) == 0 or not shape:
        return shape
    side, place = long_side
    dim = place % len(shape)
    return (*shape[:dim], side, *shape[dim + 1 :])


@cache
def _choice(
    min_rank: int, max_rank: int, min_side: int, max_elements: int
) -> st.SearchStrategy[Shape]:
    table = shape_table(min_rank, max_rank, min_side, max_elements)
    return st.sampled_from(table).map(as_long_as_asked)


def shapes(
    *, min_rank: int = 0, max_rank: int = MAX_RANK, min_side: int = 0, max_elements: int = 64
) -> st.SearchStrategy[Shape]:
    """Draw a shape of at most ``max_elements`` elements.

    Rank 0, sides of 1 and zero-sized sides are included unless ``min_rank`` or ``min_side``
    exclude them. Shrinks to the lowest rank and the fewest elements.

    Example::

        @given(shapes(min_rank=1))
        def test(shape): ...
    """
    if not 0 <= min_rank <= max_rank <= MAX_RANK:
        raise InvalidArgument(
            f"shapes(min_rank={min_rank}, max_rank={max_rank}): ranks must satisfy "
            f"0 <= min_rank <= max_rank <= {MAX_RANK}"
        )
    if min_side not in (0, 1):
        raise InvalidArgument(f"shapes(min_side={min_side}): use 0 (zero-sized sides) or 1 (none)")
    if max_elements < 1:
        raise InvalidArgument(f"shapes(max_elements={max_elements}): must be at least 1")
    return _choice(min_rank, max_rank, min_side, max_elements)


@cache
def dims(rank: int) -> st.SearchStrategy[int]:
    """Draw a dimension of a tensor of ``rank``, negative forms included.

    A tensor of rank 0 accepts -1 and 0, as torch documents. Shrinks to 0.

    Example::

        @given(dims(3))
        def test(dim): assert -3 <= dim < 3
    """
    if rank < 0:
        raise InvalidArgument(f"dims(rank={rank}): a rank is not negative")
    count = max(rank, 1)
    return st.sampled_from([*range(count), *range(-1, -count - 1, -1)])


def dim_tuples(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw distinct dimensions of a tensor of ``rank``, in any order, negative forms included.

    Two forms of one dimension never meet. Shrinks to ().

    Example::

        @given(dim_tuples(3))
        def test(dims): torch.zeros(2, 2, 2).sum(dims)
    """
    if not 0 <= rank <= MAX_RANK:
        raise InvalidArgument(f"dim_tuples(rank={rank}): use a rank of 0 to {MAX_RANK}")
    return _dim_tuples(rank)


@cache
def _dim_tuples(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    chosen = [order for size in range(rank + 1) for order in orders(range(rank), size)]
    signed = [
        tuple(dim - rank if negative else dim for dim, negative in zip(order, signs, strict=True))
        for order in chosen
        for signs in product((False, True), repeat=len(order))
    ]
    return st.sampled_from(signed)


@cache
def permutations(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw an order of a tensor's dimensions, some of them in negative form.

    Shrinks to the order that changes nothing.

    Example::

        @given(permutations(3))
        def test(order): torch.zeros(1, 2, 3).permute(order)
    """
    if not 0 <= rank <= MAX_RANK:
        raise InvalidArgument(f"permutations(rank={rank}): use a rank of 0 to {MAX_RANK}")
    plain = list(orders(range(rank)))
    negative = [tuple(d - rank if d % 2 else d for d in order) for order in plain]
    return st.sampled_from(plain + negative)


class Broadcast(NamedTuple):
    """Shapes that broadcast together, and the shape that they broadcast to."""

    shapes: tuple[Shape, ...]
    result: Shape


def _narrowed(result: Shape, pick: int) -> Shape:
    """Drop leading sides of a shape, or make some of its sides 1, as one byte says."""
    rank = len(result)
    dropped = max(pick % 16 - 12, 0)
    ones = pick // 16
    sides = [1 if ones >> dim & 1 else side for dim, side in enumerate(result)]
    return tuple(sides[min(dropped, rank) :])


@st.composite
def _broadcastable_shapes(draw: st.DrawFn, count: int) -> Broadcast:
    widest = draw(shapes())
    picks = draw(st.binary(min_size=count, max_size=count))
    narrowed = tuple(_narrowed(widest, pick) for pick in picks)
    result = tuple(
        next((side for side in sides if side != 1), 1)
        for sides in _columns(narrowed, max(map(len, narrowed)))
    )
    return Broadcast(narrowed, result)


def _columns(narrowed: tuple[Shape, ...], rank: int) -> list[list[int]]:
    """The sides that meet in each dimension, shapes aligned at their ends."""
    padded = [(1,) * (rank - len(shape)) + shape for shape in narrowed]
    return [[shape[dim] for shape in padded] for dim in range(rank)]


def broadcastable_shapes(count: int = 2) -> st.SearchStrategy[Broadcast]:
    """Draw ``count`` mutually broadcastable shapes and the shape they broadcast to.

    Sides of 1 against longer ones and against zero, and missing leading sides, are included.
    Shrinks to shapes of rank 0.

    Example::

        @given(broadcastable_shapes(3))
        def test(drawn): assert torch.broadcast_shapes(*drawn.shapes) == drawn.result
    """
    if count < 1:
        raise InvalidArgument(f"broadcastable_shapes(count={count}): at least 1")
    return _broadcastable_shapes(count)


def _factorizations(elements: int, rank: int) -> list[Shape]:
    if rank == 0:
        return [()] if elements == 1 else []
    if elements == 0:
        tails = product((0, 1, 2), repeat=rank)
        return [tail for tail in tails if prod(tail) == 0]
    return [
        (side, *rest)
        for side in range(1, elements + 1)
        if elements % side == 0
        for rest in _factorizations(elements // side, rank - 1)
    ]


@cache
def reshapes(shape: Shape) -> st.SearchStrategy[Shape]:
    """Draw a shape that ``reshape`` accepts for a tensor of ``shape``, -1 in one place included.

    -1 stands only where the other sides determine it. Shrinks to the flat shape.

    Example::

        @given(reshapes((2, 3)))
        def test(new): assert torch.zeros(2, 3).reshape(new).numel() == 6
    """
    elements = prod(shape)
    ranks = [1, 0, 2, 3, 4]
    plain = [new for rank in ranks for new in _factorizations(elements, rank)]
    inferred = [
        (*new[:dim], -1, *new[dim + 1 :])
        for new in plain
        for dim in range(len(new))
        if prod(new[:dim] + new[dim + 1 :]) != 0
    ]
    return st.sampled_from(plain + inferred)
