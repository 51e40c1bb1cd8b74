"""Illegal twins: a legal call and, beside it, the same call with one mistake in it.

A mistake is data: how to make it out of legal arguments, and what torch answers. What torch
documents about a rejection is the reason; the exception's type and text are torch 2.13's,
promised nowhere, so that a message is only the telling part. ``Exception`` stands for two types.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.indices import (
    DtypeOf,
    GatherArguments,
    IndexSelectArguments,
    IndexWriteArguments,
    ScatterArguments,
    TakeAlongDimArguments,
    index_tensor,
    positions_among,
    validate,
)
from strategies.layouts import WRITABLE
from strategies.shapes import Shape, dims, shapes
from strategies.subscripts import (
    BasicIndex,
    IndexPutArguments,
    TakeArguments,
    basic_indices,
    broadcastable_masks,
    validate_shape,
)
from strategies.tensors import tensors
from strategies.values import raw_bytes


class Illegal(NamedTuple):
    """The arguments of a legal call, those of an illegal one, and how it must be rejected.

    ``message`` is a regular expression; ``reason`` is a sentence that names the documentation.
    """

    legal: tuple[Any, ...]
    illegal: tuple[Any, ...]
    error: type[Exception]
    message: str
    reason: str


Spoil = Callable[[Any, int], Any]
"""Make illegal arguments out of legal ones; the number chooses where and how."""


class Mistake(NamedTuple):
    """How to spoil legal arguments, and the answer; ``min_rank`` is what the mistake needs."""

    spoil: Spoil
    error: type[Exception]
    message: str
    reason: str
    min_rank: int = 1


def _change(field: str, change: Callable[[Any], Any]) -> Spoil:
    return lambda arguments, _: arguments._replace(**{field: change(getattr(arguments, field))})


def _axis(arguments: Any) -> int:
    return int(arguments.dim) % int(arguments[0].dim())


def _other_axis(arguments: Any, pick: int) -> int:
    rank = int(arguments[0].dim())
    return (_axis(arguments) + 1 + pick % (rank - 1)) % rank


def _longer(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.narrow(axis, 0, 1)], dim=axis)


def _longer_elsewhere(*fields: str) -> Spoil:
    """Lengthen the fields by one, together, in a dimension other than dim."""

    def spoil(arguments: Any, pick: int) -> Any:
        axis = _other_axis(arguments, pick)
        return arguments._replace(**{f: _longer(getattr(arguments, f), axis) for f in fields})

    return spoil


def _longer_positions(arguments: Any, _: int) -> Any:
    return arguments._replace(positions=_longer(arguments.positions, _axis(arguments)))


def _two_against_three(arguments: Any, pick: int) -> Any:
    axis = _other_axis(arguments, pick)
    source = torch.cat([arguments.source.narrow(axis, 0, 1)] * 3, dim=axis)
    positions = torch.cat([arguments.positions.narrow(axis, 0, 1)] * 2, dim=axis)
    return arguments._replace(source=source, positions=positions)


def _with_position(positions: torch.Tensor, pick: int, value: int) -> torch.Tensor:
    spoiled = positions.clone()
    spoiled.view(-1)[pick % spoiled.numel()] = value
    return spoiled


def _along(*beyond: Callable[[int], int]) -> Spoil:
    """Put one position beyond the side of dim."""

    def spoil(arguments: Any, pick: int) -> Any:
        value = beyond[pick % len(beyond)](int(arguments[0].shape[_axis(arguments)]))
        return arguments._replace(positions=_with_position(arguments.positions, pick, value))

    return spoil


def _beyond(side: int, pick: int) -> int:
    return (side, -side - 1, side + 1, 2**40, -(2**40))[pick % 5]


def _beyond_all(arguments: Any, pick: int) -> Any:
    value = _beyond(arguments.source.numel(), pick)
    return arguments._replace(positions=_with_position(arguments.positions, pick, value))


def _beyond_one(arguments: Any, pick: int) -> Any:
    positions = list(arguments.positions)
    d = pick % len(positions)
    value = _beyond(arguments.destination.shape[d], pick)
    positions[d] = _with_position(positions[d], pick, value)
    return arguments._replace(positions=tuple(positions))


def _dim_beyond(arguments: Any, pick: int) -> Any:
    rank = arguments[0].dim()
    return arguments._replace(dim=(rank, -rank - 1)[pick % 2])


def _of_other_dtype(tensor: torch.Tensor) -> torch.Tensor:
    other = torch.float64 if tensor.dtype != torch.float64 else torch.float32
    return torch.zeros_like(tensor, dtype=other)


_above = _along(lambda side: side, lambda side: side + 1, lambda _: 2**40)
_below = _along(lambda _: -1, lambda side: -side - 1)
_floating = _change("positions", lambda p: p.to(torch.float32))
_unsqueezed = _change("positions", lambda p: p.unsqueeze(0))
_doubled = _change("positions", lambda p: torch.cat([p, p]))
_foreign_source = _change("source", _of_other_dtype)

_BETWEEN = "The values of index must be between 0 and self.size(dim) - 1 inclusive"
_LONG = "The index is a LongTensor"
_DIM = {"dim": Mistake(_dim_beyond, IndexError, "Dimension out of range",
                       "dim is the dimension along which to index")}  # fmt: skip
_ALONG_DIM: dict[str, Mistake] = {
    "position above": Mistake(_above, RuntimeError, "out of bounds", _BETWEEN),
    "position below": Mistake(_below, RuntimeError, "out of bounds", _BETWEEN),
    "floating positions": Mistake(_floating, RuntimeError, "Expected dtype int.* for index", _LONG),
    "rank of positions": Mistake(_unsqueezed, RuntimeError, "same number of dimensions",
        "The index has as many dimensions as what it indexes"),
    **_DIM,
}  # fmt: skip
_SCATTER: dict[str, Mistake] = {
    **_ALONG_DIM,
    "larger than source": Mistake(_longer_positions, RuntimeError, "no larger size than src",
        "index.size(d) <= src.size(d) is required for all d"),
    "larger than destination": Mistake(
        _longer_elsewhere("positions", "source"), RuntimeError, "no larger than self",
        "index.size(d) <= self.size(d) is required for all d != dim", min_rank=2),
    "dtype of source": Mistake(_foreign_source, RuntimeError, r"equal to src\.dtype",
        "self and src have one dtype, in every example"),
}  # fmt: skip


def _written(position: type[Exception], kind: str) -> dict[str, Mistake]:
    out = "out of (bounds|range)"
    inside = "Slices are written to the positions of self that index holds"
    return {
        "position above": Mistake(_above, position, out, inside),
        "position below": Mistake(_below, position, out, inside),
        "floating positions": Mistake(_floating, RuntimeError, "Expected .* for index", kind),
        "rank of positions": Mistake(_unsqueezed, IndexError, "vector|dimension 1",
            "The index must be a vector"),
        "length of source": Mistake(_doubled, Exception, "Number of indices .* should be equal",
            "source has as many slices along dim as index has elements"),
        "side of source": Mistake(_longer_elsewhere("source"), RuntimeError,
            "must (match|have same)", "All other dimensions of source must match self", min_rank=2),
        "dtype of source": Mistake(_foreign_source, RuntimeError, "same (scalar type|dtype)",
            "self and source have one dtype, in every example"),
        **_DIM,
    }  # fmt: skip


_EQUIVALENT = "index_put_ is equivalent to tensor[indices] = values"
_LIKE_NUMPY = "As NumPy's take_along_axis does, it broadcasts all dimensions but dim"

# No position out of range for take_along_dim: torch 2.13 wraps it around.
MISTAKES: dict[str, tuple[str, dict[str, Mistake]]] = {
    "scatter": ("torch.Tensor.scatter_", _SCATTER),
    "scatter_add": ("torch.Tensor.scatter_add_", _SCATTER),
    "gather": ("torch.gather", {
        **_ALONG_DIM,
        "larger than source": Mistake(
            _longer_elsewhere("positions"), RuntimeError, "no larger than self",
            "index.size(d) <= input.size(d) is required for all d != dim", min_rank=2),
    }),
    "index_select": ("torch.index_select", {
        **_ALONG_DIM,
        "position above": Mistake(_above, Exception, "out of (range|DATA bounds)",
            "The index holds positions along dim"),
        "position below": Mistake(_below, Exception, "out of (range|DATA bounds)",
            "The index holds positions along dim"),
        "floating positions": Mistake(_floating, RuntimeError, "Expected dtype int.* for index",
            "The index is an IntTensor or LongTensor"),
        "rank of positions": Mistake(_unsqueezed, IndexError, "vector",
            "The index is the 1-D tensor of positions"),
    }),
    "index_add": ("torch.Tensor.index_add_", _written(Exception, "The index is int64 or int32")),
    "index_copy": ("torch.Tensor.index_copy_", _written(IndexError, _LONG)),
    "take": ("torch.take", {
        "position": Mistake(_beyond_all, IndexError, "out of range",
            "The index holds positions in the input viewed as a 1-D tensor"),
        "floating positions": Mistake(_floating, RuntimeError, "Expected a long tensor", _LONG),
    }),
    "take_along_dim": ("torch.take_along_dim", {
        "floating positions": Mistake(_floating, RuntimeError, "dtype of indices should be Long",
            "The indices must have long dtype"),
        "rank of positions": Mistake(_unsqueezed, RuntimeError, "same number of dimensions",
            "As for NumPy's take_along_axis, indices and input have as many dimensions"),
        "side of positions": Mistake(
            _two_against_three, RuntimeError, "must match the size", _LIKE_NUMPY, min_rank=2),
        **_DIM,
    }),
    "index_put": ("torch.Tensor.index_put_", {
        "position": Mistake(_beyond_one, IndexError, "out of bounds", _EQUIVALENT),
        "floating positions": Mistake(
            _change("positions", lambda vectors: (vectors[0].float(), *vectors[1:])),
            IndexError, "tensors used as indices must be", "The indices are a tuple of LongTensor"),
        "too many positions": Mistake(_change("positions", lambda vectors: vectors + vectors[:1]),
            IndexError, "too many indices", _EQUIVALENT),
        "positions apart": Mistake(
            _change("positions", lambda vectors: tuple(vectors[0].new_zeros(n) for n in (2, 3))),
            IndexError, "could not be broadcast together", _EQUIVALENT, min_rank=2),
        "shape of values": Mistake(_change("values", lambda v: torch.cat([v, v, v])),
            RuntimeError, "cannot be broadcast", _EQUIVALENT),
        "dtype of values": Mistake(_change("values", _of_other_dtype),
            RuntimeError, "dtypes match", "values is a tensor of same dtype as self"),
    }),
}  # fmt: skip
"""Documentation and mistakes by operation; names are permanent, so that laws may ask for them."""


@st.composite
def _positions(draw: st.DrawFn, shape: Shape, side: int) -> torch.Tensor:
    return index_tensor(positions_among(shape, side, True, draw(raw_bytes(prod(shape)))))


@st.composite
def _legal(draw: st.DrawFn, operation: str, min_rank: int, dtype: DtypeOf) -> Any:
    """Draw legal arguments with positions to spoil: no side of 0, and no rank of 0."""
    shape = draw(shapes(min_rank=min_rank, max_rank=3, min_side=1, max_elements=27))
    main = draw(tensors(dtype=dtype, shape=shape, layouts=WRITABLE))
    other = draw(tensors(dtype=main.dtype, shape=shape))
    dim = draw(dims(len(shape)))
    if operation == "take":
        return TakeArguments(main, draw(_positions(shape, main.numel())))
    if operation == "index_put":
        vectors = tuple(draw(_positions(shape[:1], side)) for side in shape)
        return IndexPutArguments(main, vectors, other.reshape(shape[0], -1)[:, 0])
    if operation in ("index_select", "index_add", "index_copy"):
        vector = draw(_positions((shape[dim],), shape[dim]))
        selected = IndexSelectArguments(main, dim, vector)
        written = IndexWriteArguments(main, dim, vector, other)
        return selected if operation == "index_select" else written
    same = draw(_positions(shape, shape[dim]))
    if operation == "gather":
        return GatherArguments(main, dim, same)
    if operation == "take_along_dim":
        return TakeAlongDimArguments(main, same, dim)
    return ScatterArguments(main, dim, same, other)


@st.composite
def _illegal_arguments(
    draw: st.DrawFn, operation: str, names: tuple[str, ...], dtype: DtypeOf
) -> Illegal:
    documentation, mistakes = MISTAKES[operation]
    mistake = mistakes[draw(st.sampled_from(names))]
    legal = draw(_legal(operation, mistake.min_rank, dtype))
    illegal = mistake.spoil(legal, draw(st.integers(0, 59)))
    reason = f"{mistake.reason} ({documentation})."
    return Illegal(legal, illegal, mistake.error, mistake.message, reason)


def _chosen(call: str, mistake: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if mistake is not None and mistake not in known:
        raise InvalidArgument(
            f"{call}, mistake={mistake!r}): no such mistake here; use one of {', '.join(known)}"
        )
    return known if mistake is None else (mistake,)


def illegal_arguments(
    operation: str, *, mistake: str | None = None, dtype: DtypeOf = "any"
) -> st.SearchStrategy[Illegal]:
    """Draw a legal and an illegal call of ``operation``, which differ in one mistake.

    ``operation`` is a key of ``MISTAKES``, ``mistake`` one of its names, by default any.

    Example::

        @given(illegal_arguments("gather", mistake="position above"))
        def test(bad): ...
    """
    if operation not in MISTAKES:
        raise InvalidArgument(
            f"illegal_arguments({operation!r}): no such operation; use one of {', '.join(MISTAKES)}"
        )
    validate("illegal_arguments", dtype, "dyadic")
    names = _chosen(f"illegal_arguments({operation!r}", mistake, tuple(MISTAKES[operation][1]))
    return _illegal_arguments(operation, names, dtype)


_BROADCAST = "The shape of mask must be broadcastable with that of the tensor"


@st.composite
def _illegal_masks(draw: st.DrawFn, shape: Shape, names: tuple[str, ...]) -> Illegal:
    legal = draw(broadcastable_masks(shape))
    if draw(st.sampled_from(names)) == "dtype":
        reason = "The mask is a BoolTensor (torch.masked_select)."
        return Illegal((legal,), (legal.float(),), RuntimeError, "(?i)bool", reason)
    d = draw(st.sampled_from([d for d, side in enumerate(shape) if side != 1]))
    wrong = (*shape[:d], shape[d] + 1 if shape[d] else 2, *shape[d + 1 :])
    mask = draw(tensors(dtype=torch.bool, shape=wrong))
    return Illegal((legal,), (mask,), RuntimeError, "must match", f"{_BROADCAST} (masked_select).")


def illegal_masks(shape: Shape, *, mistake: str | None = None) -> st.SearchStrategy[Illegal]:
    """Draw a mask that broadcasts to ``shape`` and one that masked_select must reject.

    Mistakes: ``dtype``, and ``shape`` where a side other than 1 allows it.

    Example::

        @given(illegal_masks((2, 3)))
        def test(bad): ...
    """
    sides = validate_shape("illegal_masks", shape)
    known = ("dtype", "shape") if any(side != 1 for side in sides) else ("dtype",)
    return _illegal_masks(sides, _chosen(f"illegal_masks({shape}", mistake, known))


_NOTATION = "Contents are accessed with Python's indexing and slicing notation (torch.Tensor)."
_BAD_ITEMS: dict[str, tuple[Callable[[int], BasicIndex], type[Exception], str]] = {
    "position above": (lambda side: side, IndexError, "out of bounds"),
    "position below": (lambda side: -side - 1, IndexError, "out of bounds"),
    "negative step": (lambda _: slice(None, None, -1), ValueError, "greater than zero"),
    "zero step": (lambda _: slice(None, None, 0), ValueError, "cannot be zero"),
}


@st.composite
def _illegal_basic_indices(draw: st.DrawFn, shape: Shape, names: tuple[str, ...]) -> Illegal:
    legal = draw(basic_indices(shape))
    name = draw(st.sampled_from(names))
    if name == "too many":
        many = (slice(None),) * (len(shape) + 1)
        return Illegal((legal,), (many,), IndexError, "too many|0-dim", _NOTATION)
    d = draw(st.integers(0, len(shape) - 1))
    item, error, message = _BAD_ITEMS[name]
    return Illegal(
        (legal,), ((*(slice(None) for _ in range(d)), item(shape[d])),), error, message, _NOTATION
    )


def illegal_basic_indices(
    shape: Shape, *, mistake: str | None = None
) -> st.SearchStrategy[Illegal]:
    """Draw a legal basic index of ``shape`` and an illegal one.

    Mistakes: ``too many``; and for rank 1 and more ``position above``, ``position below``,
    ``negative step`` and ``zero step``.

    Example::

        @given(illegal_basic_indices((2, 3)))
        def test(bad): ...
    """
    sides = validate_shape("illegal_basic_indices", shape)
    known = ("too many", *(_BAD_ITEMS if sides else ()))
    return _illegal_basic_indices(sides, _chosen(f"illegal_basic_indices({shape}", mistake, known))
