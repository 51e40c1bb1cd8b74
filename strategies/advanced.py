"""Advanced indices: tensors, masks and lists in ``x[...]``, among slices, None and Ellipsis.

By NumPy's rule the dimensions of what was read stand where the advanced ones stood if those are
next to each other, and first otherwise. Two of its consequences torch does not share, so that
they are drawn on request alone: whole numbers apart from the positions, and an Ellipsis for no
dimension between them.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.indices import index_tensor
from strategies.shapes import Shape
from strategies.subscripts import crossed, masks, slices, together, validate_shape

Index = Any
"""What stands in the brackets: one item or a tuple of them."""

_WHOLE = slice(None)


def _is_run(dims: tuple[int, ...]) -> bool:
    return dims[-1] - dims[0] == len(dims) - 1


@st.composite
def _as_item(draw: st.DrawFn, positions: torch.Tensor) -> Any:
    """Leave a tensor as it is, or write it as a list, which needs an element to be one of int."""
    listed = positions.dim() > 0 and positions.numel() > 0 and draw(st.integers(0, 2)) == 2
    return positions.tolist() if listed else positions


@st.composite
def _advanced_items(draw: st.DrawFn, shape: Shape, duplicates: bool) -> dict[int, Any]:
    """Draw an item for each advanced dimension; a mask stands at the first that it covers."""
    ranks = range(1, min(len(shape), 3) + 1)
    chosen = draw(
        st.sampled_from([dims for n in ranks for dims in combinations(range(len(shape)), n)])
    )
    if _is_run(chosen) and draw(st.integers(0, 3)) == 3:
        mask = draw(masks(shape[chosen[0] : chosen[-1] + 1]))
        item = mask.tolist() if len(chosen) == 1 and len(mask) and draw(st.booleans()) else mask
        return {chosen[0]: item, **dict.fromkeys(chosen[1:])}
    arrangement = draw(st.sampled_from((together, crossed)))
    arrays = draw(arrangement(tuple(shape[d] for d in chosen), duplicates))
    drawn = [index_tensor(array.reshape(-1) if not array.ndim else array) for array in arrays]
    return {d: draw(_as_item(p)) for d, p in zip(chosen, drawn, strict=True)}


def _plain_end(items: list[Any], step: int) -> int:
    """Count the whole slices at the start (step 1) or at the end (step -1) of an index."""
    whole = [isinstance(item, slice) and item == _WHOLE for item in items[::step]]
    return whole.index(False) if False in whole else len(whole)


@st.composite
def _advanced_indices(draw: st.DrawFn, shape: Shape, duplicates: bool) -> Index:
    advanced = draw(_advanced_items(shape, duplicates))
    dims = tuple(advanced)
    items: list[Any] = []
    kinds, form, new_axis = draw(st.binary(min_size=3, max_size=3))
    for d, side in enumerate(shape):
        beside = _is_run(dims) and d in (dims[0] - 1, dims[-1] + 1) and side
        kind = kinds >> 2 * d & 3
        if d in advanced:
            items += [advanced[d]] if advanced[d] is not None else []
        elif beside and kind == 3:
            items.append(draw(st.integers(-side, side - 1)))
        else:
            items.append(draw(slices(side)) if kind == 2 else _WHOLE)
    if form % 4 == 1:  # leave out what is whole at the end
        items = items[: len(items) - _plain_end(items, -1)]
    elif form % 4 == 2:
        items = [*items[: len(items) - _plain_end(items, -1)], ...]
    elif form % 4 == 3:
        items = [..., *items[_plain_end(items, 1) :]]
    if new_axis % 4 == 3:
        items.insert(len(items) * (new_axis // 4 % 2), None)
    nested = isinstance(items[0], list) and isinstance(items[0][0], list)
    return items[0] if len(items) == 1 and not nested else tuple(items)


def advanced_indices(shape: Shape, *, duplicates: bool = True) -> st.SearchStrategy[Index]:
    """Draw an index with positions or a mask in it, legal for a tensor of ``shape`` of rank 1 to 4.

    Up to three dimensions have positions, which broadcast, as tensors or lists, from either end;
    or consecutive ones share a mask. The others have slices, whole numbers beside the positions
    included, None or Ellipsis. ``duplicates=False`` names no place twice.

    Example::

        @given(advanced_indices((2, 3)))
        def test(index): x[index]
    """
    sides = validate_shape("advanced_indices", shape)
    if not 1 <= len(sides) <= 4:
        raise InvalidArgument(f"advanced_indices(shape={shape!r}): use a rank of 1 to 4")
    return _advanced_indices(sides, duplicates)
