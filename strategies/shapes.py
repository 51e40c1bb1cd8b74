"""Which shapes to draw: one choice from an ordered table, simplest first.

A single choice keeps generation fast, and the table's order is the shrinking order: fewer
dimensions, then fewer elements, then smaller sides. One row in eight is empty.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import prod

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

Shape = tuple[int, ...]

MAX_RANK = 4
_SIDES_BY_RANK: tuple[tuple[int, ...], ...] = (
    (),
    (1, 2, 3, 5, 8),
    (1, 2, 3, 5),
    (1, 2, 3),
    (1, 2, 3),
)
_ROWS = 24  # every rank fills as many rows of the table, so that each is drawn equally often
_EMPTY_ROWS = 3


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
        table.extend(_spread(full, _ROWS - _EMPTY_ROWS * with_empty))
        table.extend(_spread(empty, _EMPTY_ROWS) if with_empty else [])
    return table


@cache
def _choice(
    min_rank: int, max_rank: int, min_side: int, max_elements: int
) -> st.SearchStrategy[Shape]:
    return st.sampled_from(shape_table(min_rank, max_rank, min_side, max_elements))


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
