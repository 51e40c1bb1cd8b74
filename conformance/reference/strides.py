"""Where the elements of a view lie: shapes, strides and storage offsets, counted in elements.

Element ``(i, j, ...)`` lies ``offset + i * stride[0] + j * stride[1] + ...`` elements into the
storage. Each function of the table states one view operation of torch's page on tensor views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Item = int | slice | EllipsisType | None


class Strided(NamedTuple):
    """The geometry of a tensor: shape, strides and storage offset."""

    shape: Shape
    stride: Shape
    offset: int


def addresses(view: Strided) -> Array:
    """Return an int64 array of the view's shape: the place of each element in the storage."""
    result: Array = np.full((), view.offset, dtype=np.int64)
    for side, step in zip(view.shape, view.stride, strict=True):
        result = result[..., None] + np.arange(side) * step
    return result


def storage_needed(view: Strided) -> int:
    """Return how many elements a storage must have for the view to lie in it."""
    return int(addresses(view).max()) + 1 if prod(view.shape) else 0


def significant(view: Strided) -> tuple[int | None, ...]:
    """Return the strides that say where elements lie: those of sides above 1, if none is 0."""
    empty = 0 in view.shape
    return tuple(
        None if empty or side == 1 else step
        for side, step in zip(view.shape, view.stride, strict=True)
    )


def packed(shape: Shape, order: Sequence[int] | None = None) -> Shape:
    """Return the strides of a tensor without gaps, its dimensions from outer to inner.

    By default in their own order: row-major. A side of 0 counts as 1.
    """
    stride = [0] * len(shape)
    step = 1
    for dim in reversed(range(len(shape)) if order is None else order):
        stride[dim] = step
        step *= max(shape[dim], 1)
    return tuple(stride)


FORMATS: dict[str, tuple[int, ...] | None] = {
    "contiguous_format": None,
    "channels_last": (0, 2, 3, 1),
    "channels_last_3d": (0, 2, 3, 4, 1),
}
"""Memory format by name: the dimensions from outer to inner, None for their own order."""


def is_contiguous(view: Strided, memory_format: str = "contiguous_format") -> bool:
    """Tell whether the elements lie without gaps in the order of a memory format.

    Strides of sides of 1 say nothing, and an empty tensor is contiguous.
    """
    order = FORMATS[memory_format]
    if order is not None and len(order) != len(view.shape):
        return False
    ideal = view._replace(stride=packed(view.shape, order))
    return significant(view) == significant(ideal)


def is_dense(view: Strided) -> bool:
    """Tell whether the view is "non-overlapping and dense": no gaps, in some order of its dims."""
    places = np.unique(addresses(view)) - view.offset
    count = prod(view.shape)
    return bool(np.array_equal(places, np.arange(count)))


def completed(shape: Shape, new: Shape) -> Shape:
    """Return ``new`` with its -1, if any, replaced by the side that keeps the element count."""
    if -1 not in new:
        return new
    known = -prod(new)
    return tuple(prod(shape) // known if side == -1 else side for side in new)


def _blocks(shape: Shape, stride: Shape) -> list[tuple[int, int]]:
    """Element count and innermost stride of each run of dimensions that is laid out as one."""
    blocks: list[tuple[int, int]] = []
    for side, step in zip(shape, stride, strict=True):
        if side == 1:
            continue
        if blocks and blocks[-1][1] == side * step:
            blocks[-1] = (blocks[-1][0] * side, step)
        else:
            blocks.append((side, step))
    return blocks


def view_stride(shape: Shape, stride: Shape, new: Shape) -> Shape | None:
    """Return the strides of ``view(new)``, or None where only a copy has that shape.

    torch.Tensor.view: each new dimension is a subspace of an original one, or spans original
    dimensions for which ``stride[i] = stride[i + 1] * size[i + 1]``.
    """
    if prod(shape) == 0:
        return packed(new)
    blocks = _blocks(shape, stride)
    remaining, step = 1, 1
    result = []
    for side in reversed(new):
        if side > 1 and remaining == 1:
            remaining, step = blocks.pop()
        if remaining % side:
            return None
        result.append(step)
        step *= side
        remaining //= side
    return tuple(reversed(result))


def view(base: Strided, new: Shape) -> Strided | None:
    """Return the geometry of ``view(new)``, -1 included, or None where it takes a copy."""
    full = completed(base.shape, new)
    stride = view_stride(base.shape, base.stride, full)
    return None if stride is None else Strided(full, stride, base.offset)


def flattened(shape: Shape, start: int, end: int) -> Shape:
    """Return the shape of ``flatten(start, end)``; rank 0 becomes rank 1."""
    if not shape:
        return (1,)
    first, last = start % len(shape), end % len(shape)
    return (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])


def permute(base: Strided, dims: Sequence[int]) -> Strided:
    """Dimension ``i`` of the view is dimension ``dims[i]`` of the base."""
    shape = tuple(base.shape[dim] for dim in dims)
    return Strided(shape, tuple(base.stride[dim] for dim in dims), base.offset)


def transpose(base: Strided, first: int, second: int) -> Strided:
    """The two dimensions change places."""
    if not base.shape:
        return base
    dims = list(range(len(base.shape)))
    dims[first], dims[second] = dims[second], dims[first]
    return permute(base, dims)


def movedim(base: Strided, sources: Sequence[int], destinations: Sequence[int]) -> Strided:
    """The named dimensions go to their destinations, the others keep their order."""
    rank = len(base.shape)
    moved = {to % rank: origin % rank for origin, to in zip(sources, destinations, strict=True)}
    rest = iter(sorted(set(range(rank)) - set(moved.values())))
    return permute(base, [moved[dim] if dim in moved else next(rest) for dim in range(rank)])


def expand(base: Strided, sizes: Sequence[int]) -> Strided:
    """New leading dimensions, and sides of 1 that grow, have stride 0; -1 keeps a side."""
    added = len(sizes) - len(base.shape)
    sides = (1,) * added + base.shape
    shape = tuple(old if size == -1 else size for size, old in zip(sizes, sides, strict=True))
    inherited = (0,) * added + base.stride
    stride = [
        step if old == new else 0 for old, new, step in zip(sides, shape, inherited, strict=True)
    ]
    return Strided(shape, tuple(stride), base.offset)


def _without(values: Shape, dims: set[int]) -> Shape:
    return tuple(value for dim, value in enumerate(values) if dim not in dims)


def select(base: Strided, dim: int, index: int) -> Strided:
    """The dimension goes; the offset moves to the index, which may count from the end."""
    dim %= len(base.shape)
    offset = base.offset + index % base.shape[dim] * base.stride[dim]
    return Strided(_without(base.shape, {dim}), _without(base.stride, {dim}), offset)


def _sliced(base: Strided, dim: int, start: int, length: int, step: int) -> Strided:
    shape, stride = list(base.shape), list(base.stride)
    offset = base.offset + start * stride[dim]
    shape[dim], stride[dim] = length, step * stride[dim]
    return Strided(tuple(shape), tuple(stride), offset)


def narrow(base: Strided, dim: int, start: int, length: int) -> Strided:
    """``length`` slices along a dimension, from ``start``, which may count from the end."""
    dim %= len(base.shape)
    return _sliced(base, dim, start + base.shape[dim] if start < 0 else start, length, 1)


def diagonal(base: Strided, offset: int, first: int, second: int) -> Strided:
    """The diagonal of two dimensions becomes the last one; a positive offset moves along second."""
    rank = len(base.shape)
    first, second = first % rank, second % rank
    rows, columns = max(-offset, 0), max(offset, 0)
    side = max(min(base.shape[first] - rows, base.shape[second] - columns), 0)
    start = base.offset + rows * base.stride[first] + columns * base.stride[second]
    both = {first, second}
    shape = (*_without(base.shape, both), side)
    stride = (*_without(base.stride, both), base.stride[first] + base.stride[second])
    return Strided(shape, stride, start)


def unfold(base: Strided, dim: int, size: int, step: int) -> Strided:
    """Windows of ``size`` every ``step`` elements; the place in the window is the last dim."""
    dim %= len(base.shape)
    count = (base.shape[dim] - size) // step + 1
    windows = _sliced(base, dim, 0, count, step)
    return Strided((*windows.shape, size), (*windows.stride, base.stride[dim]), base.offset)


def unsqueeze(base: Strided, dim: int) -> Strided:
    """A new side of 1 at ``dim``."""
    place = dim % (len(base.shape) + 1)
    shape = (*base.shape[:place], 1, *base.shape[place:])
    return Strided(shape, (*base.stride[:place], 1, *base.stride[place:]), base.offset)


def squeeze(base: Strided, dims: int | Sequence[int] | None = None) -> Strided:
    """The sides of 1 among ``dims``, by default among all, go."""
    rank = len(base.shape)
    named = range(rank) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {dim % rank for dim in named if rank and base.shape[dim] == 1}
    return Strided(_without(base.shape, gone), _without(base.stride, gone), base.offset)


def unflatten(base: Strided, dim: int, sizes: Shape) -> Strided:
    """One dimension becomes several, row-major within it."""
    dim %= len(base.shape)
    inner = completed(base.shape[dim : dim + 1], sizes)
    steps = tuple(step * base.stride[dim] for step in packed(inner))
    shape = (*base.shape[:dim], *inner, *base.shape[dim + 1 :])
    return Strided(shape, (*base.stride[:dim], *steps, *base.stride[dim + 1 :]), base.offset)


def _items(rank: int, index: Item | tuple[Item, ...]) -> list[Item]:
    """A basic index with its Ellipsis written out as full slices."""
    items = list(index) if isinstance(index, tuple) else [index]
    missing = rank - sum(item is not None and item is not ... for item in items)
    place = items.index(...) if ... in items else len(items)
    return [*items[:place], *[slice(None)] * missing, *items[place + 1 :]]


def basic_index(base: Strided, index: Item | tuple[Item, ...]) -> Strided:
    """Basic indexing: whole numbers, slices, None and Ellipsis."""
    result, dim = base, 0
    for item in _items(len(base.shape), index):
        if isinstance(item, int):
            result = select(result, dim, item)
            continue
        if isinstance(item, slice):
            start, stop, step = item.indices(result.shape[dim])
            result = _sliced(result, dim, start, len(range(start, stop, step)), step)
        else:
            result = unsqueeze(result, dim)
        dim += 1
    return result


OPERATIONS: dict[str, Callable[..., Strided]] = {
    "permute": permute,
    "transpose": transpose,
    "movedim": movedim,
    "expand": expand,
    "select": select,
    "narrow": narrow,
    "diagonal": diagonal,
    "unfold": unfold,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "unflatten": unflatten,
    "index": basic_index,
}
"""View operations that never copy: the geometry of the view from its base and arguments."""


def split_sections(side: int, sections: int | Sequence[int]) -> list[int]:
    """Lengths of the pieces of ``split``: of that size but for a smaller last, or as listed."""
    if not isinstance(sections, int):
        return list(sections)
    return [min(sections, side - start) for start in range(0, side, sections)] or [0]


def chunk_sections(side: int, chunks: int) -> list[int]:
    """Lengths of the pieces of ``chunk``: equal but for a smaller last, so perhaps fewer."""
    return split_sections(side, max(-(-side // chunks), 1))


def tensor_split_sections(side: int, count: int) -> list[int]:
    """Lengths of the pieces of ``tensor_split``: the first ``side % count`` are one longer."""
    return [side // count + (piece < side % count) for piece in range(count)]


SECTIONS: dict[str, Callable[[int, Any], list[int]]] = {
    "split": split_sections,
    "chunk": chunk_sections,
    "tensor_split": tensor_split_sections,
}
"""How operations that return several views cut a side into lengths."""


def pieces(base: Strided, kind: str, dim: int, sections: Any) -> list[Strided]:
    """Return the geometries of the views that split, chunk, tensor_split or unbind return."""
    side = base.shape[dim]
    if kind == "unbind":
        return [select(base, dim, index) for index in range(side)]
    lengths = SECTIONS[kind](side, sections)
    starts = np.cumsum([0, *lengths]).tolist()
    return [
        narrow(base, dim, start, length) for start, length in zip(starts, lengths, strict=False)
    ]


def reinterpreted(array: Array, dtype: npt.DTypeLike) -> Array:
    """Return the array's bits as another dtype; the last dimension grows or shrinks to fit."""
    return np.ascontiguousarray(array).reshape(array.shape).view(dtype)
