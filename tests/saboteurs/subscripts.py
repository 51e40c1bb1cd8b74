"""Faults in subscripts, and in the rejections of what indexes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def where(condition: Callable[..., Any], other: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the maker of a function that is ``other(original, ...)`` on some of its calls."""

    def make(original: Any) -> Any:
        def sabotaged(*arguments: Any, **keywords: Any) -> Any:
            if condition(*arguments, **keywords):
                return other(original, *arguments, **keywords)
            return original(*arguments, **keywords)

        return sabotaged

    return make


def always(*_: Any, **__: Any) -> bool:
    return True


def _items(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _is_advanced(x: Tensor, index: Any, *_: Any) -> bool:
    return any(isinstance(item, (Tensor, list)) for item in _items(index))


def _is_basic(x: Tensor, index: Any, *_: Any) -> bool:
    return not _is_advanced(x, index)


def _read_reversed(original: Any, x: Tensor, index: Any) -> Tensor:
    items = tuple(i[::-1] if isinstance(i, list) else i for i in _items(index))
    found: Tensor = original(x, items)
    return found


def _steps_of_three(x: Tensor, index: Any, *_: Any) -> bool:
    return any(isinstance(item, slice) and item.step == 3 for item in _items(index))


def _steps_of_two(original: Any, x: Tensor, index: Any, *value: Any) -> Any:
    items = (
        slice(i.start, i.stop, 2) if isinstance(i, slice) and i.step == 3 else i
        for i in _items(index)
    )
    return original(x, tuple(items), *value)


def _shared_if_whole(original: Any, x: Tensor, index: Any) -> Tensor:
    result: Tensor = original(x, index)
    whole = _is_advanced(x, index) and result.shape == x.shape and bool((result == x).all())
    return x.view_as(x) if whole else result


def _scaled(factor: float) -> Callable[..., Tensor]:
    def read(original: Any, *arguments: Any) -> Tensor:
        result: Tensor = original(*arguments)
        if result.requires_grad:
            result.register_hook(lambda gradient: gradient * factor)
        return result

    return read


def _passes_more_gradient(original: Any, x: Tensor, index: Any, value: Tensor) -> None:
    original(x, index, value + (value - value.detach()))


def _separate_positions(x: Tensor, index: Any) -> bool:
    kinds = [isinstance(item, Tensor) for item in _items(index)]
    return kinds == [True, False, True]


def _modulo(original: Any, x: Tensor, index: Tensor, *value: Any) -> Any:
    return original(x, index % x.shape[0], *value)


def _is_vector(x: Tensor, index: Any, *_: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype == torch.int64 and x.dim() == 2


def _or_nothing(original: Any, *arguments: Any) -> None:
    with suppress(RuntimeError):
        original(*arguments)


def _zero_on_error(original: Any, self: Tensor, *arguments: Any) -> Tensor:
    try:
        result: Tensor = original(self, *arguments)
    except RuntimeError:
        self.zero_()
        raise
    return result


def _has_negative_step(x: Tensor, index: Any, *_: Any) -> bool:
    return any(isinstance(i, slice) and i.step is not None and i.step < 0 for i in _items(index))


def _flipped(original: Any, x: Tensor, index: Any) -> Tensor:
    return x.flip(0)


def _mask_then_slice(x: Tensor, index: Any, *_: Any) -> bool:
    items = _items(index)
    masks = isinstance(items[0], Tensor) and items[0].dtype == torch.bool and items[0].dim() == 1
    return masks and len(items) == 2 and items[1] == slice(None)


def _slice_then_mask(x: Tensor, index: Any, *_: Any) -> bool:
    items = _items(index)
    last = items[-1]
    return len(items) > 1 and isinstance(last, Tensor) and last.dtype == torch.bool


def _mask_last(original: Any, x: Tensor, index: Any, value: Any) -> Any:
    return original(x, index[::-1], value)


def _masked_first(original: Any, x: Tensor, index: Any) -> Tensor:
    found: Tensor = original(x, index)
    return found.movedim(-1, 0).reshape(found.shape)


def _backwards(original: Any, x: Tensor, index: Any, value: Tensor) -> Any:
    return original(x, index, value.flip(-1) if value.dim() else value)


def _from_the_end_behind_a_slice(x: Any, index: Any) -> bool:
    if not isinstance(index, tuple) or len(index) != 2 or not isinstance(index[0], slice):
        return False
    positions = index[1] if isinstance(index[1], Tensor) else None
    return positions is not None and positions.dtype == torch.int64 and bool((positions < 0).any())


def _a_row_before(original: Any, x: Tensor, index: Any) -> Tensor:
    """The negative position is added to where the row begins."""
    result: Tensor = original(x.roll(1, 0), index)
    return result


SABOTEURS = (
    Saboteur(
        "subscripts-a-row-before", "x[:, -1] by a tensor reads the row before",
        ("subscripts.positions-from-end",), "result",
        replacing(Tensor, "__getitem__", where(_from_the_end_behind_a_slice, _a_row_before)),
    ),
    Saboteur(
        "subscripts-list-reversed", "x[[i, j], ...] reads j first",
        ("subscripts.read:advanced",), "result",
        replacing(Tensor, "__getitem__",
                  where(_is_advanced, _read_reversed)),
    ),
    Saboteur(
        "subscripts-steps-of-three", "x[::3] reads every second element",
        ("subscripts.read:slices",), "result",
        replacing(Tensor, "__getitem__", where(_steps_of_three, _steps_of_two)),
    ),
    Saboteur(
        "subscripts-number-by-mask", "x[mask, :] = number writes to columns",
        ("subscripts.write-number:masks",), "",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: _mask_then_slice(x, index) and not isinstance(value, Tensor),
            _mask_last)),
    ),
    Saboteur(
        "subscripts-mask-behind-slice", "x[:, mask] has the masked dimension first",
        ("subscripts.read:masks",), "result",
        replacing(Tensor, "__getitem__", where(_slice_then_mask, _masked_first)),
    ),
    Saboteur(
        "subscripts-written-backwards", "x[:, mask] = value writes value backwards",
        ("subscripts.write:masks",), "x",
        replacing(Tensor, "__setitem__", where(_slice_then_mask, _backwards)),
    ),
    Saboteur(
        "subscripts-masked-gradient", "the gradient of x[:, mask] is doubled",
        ("subscripts.gradient-read:masks",), "grad of leaf 0",
        replacing(Tensor, "__getitem__", where(_slice_then_mask, _scaled(2.0))),
    ),
    Saboteur(
        "subscripts-gradient-to-masked", "a value written by x[:, mask] has the gradient backwards",
        ("subscripts.gradient-write:masks",), "leaf",
        replacing(Tensor, "__setitem__", where(_slice_then_mask, _backwards)),
    ),
    Saboteur(
        "subscripts-none-copies", "x[None] is a copy",
        ("subscripts.view",), "shares storage",
        replacing(Tensor, "__getitem__", where(
            lambda x, index: index is None, lambda original, x, index: x.clone().unsqueeze(0))),
    ),
    Saboteur(
        "subscripts-whole-is-a-view", "x[positions] is a view of x where it has all its values",
        ("subscripts.copy",), "shares storage",
        replacing(Tensor, "__getitem__", where(always, _shared_if_whole)),
    ),
    Saboteur(
        "subscripts-write-to-a-copy", "x[positions] = value is lost where x is not contiguous",
        ("subscripts.write:advanced",), "version, memory",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: _is_advanced(x, index) and not x.is_contiguous(),
            lambda original, x, index, value: original(x.clone(), index, value))),
    ),
    Saboteur(
        "subscripts-write-to-scalar-lost", "x[...] = value is lost where x has rank 0",
        ("subscripts.write:basic",), "version, memory",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: not x.dim() and _items(index) == (...,),
            lambda original, x, index, value: None)),
    ),
    Saboteur(
        "subscripts-number-truncated", "x[positions] = number truncates the number",
        ("subscripts.write-number:advanced",), "x",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: _is_advanced(x, index) and isinstance(value, float),
            lambda original, x, index, value: original(x, index, int(value)))),
    ),
    Saboteur(
        "subscripts-cast-of-bool", "x[index] = value writes true as -1",
        ("subscripts.write-cast",), "x",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: isinstance(value, Tensor) and value.dtype == torch.bool,
            lambda original, x, index, value: original(x, index, -value.int()))),
    ),
    Saboteur(
        "subscripts-gradient-read-per-mille", "the gradient of x[positions] is 0.1 % too large",
        ("subscripts.gradient-read:advanced",), "grad of leaf 0",
        replacing(Tensor, "__getitem__", where(_is_advanced, _scaled(1.001))),
    ),
    Saboteur(
        "subscripts-gradient-of-new-axis", "the gradient of x[None] is doubled",
        ("subscripts.gradient-read:basic",), "grad of leaf 0",
        replacing(Tensor, "__getitem__", where(
            lambda x, index: _is_basic(x, index) and None in _items(index), _scaled(2.0))),
    ),
    Saboteur(
        "subscripts-gradient-of-one-value", "x[index] = value doubles one value's gradient",
        ("subscripts.gradient-write:basic", "subscripts.gradient-write:advanced"),
        "grad of leaf 1",
        replacing(Tensor, "__setitem__", where(
            lambda x, index, value: isinstance(value, Tensor) and value.numel() == 1,
            _passes_more_gradient)),
    ),
    Saboteur(
        "subscripts-separate-positions-stay", "x[i, :, j] leaves what was read in place",
        ("subscripts.apart:positions",), "result",
        replacing(Tensor, "__getitem__", where(
            _separate_positions, lambda original, x, index: original(x, index).movedim(0, 1))),
    ),
    Saboteur(
        "subscripts-index-put-adds", "index_put_ adds to a tensor of rank 3",
        ("subscripts.index-put:positions",), "x",
        replacing(Tensor, "index_put_", where(
            lambda x, *_: x.dim() == 3,
            lambda original, x, index, value: original(x, index, value, True))),
    ),
    Saboteur(
        "subscripts-iteration-copies", "iterating over a matrix gives copies",
        ("subscripts.iteration",), "shares storage",
        replacing(Tensor, "__iter__", where(
            lambda x: x.dim() > 1,
            lambda original, x: iter([row.clone() for row in original(x)]))),
    ),
    Saboteur(
        "subscripts-contains-not-last", "``in`` overlooks the last of several elements",
        ("subscripts.contains",), " in x",
        replacing(Tensor, "__contains__", where(
            lambda x, element: x.numel() > 1,
            lambda original, x, element: original(x.reshape(-1)[:-1], element))),
    ),
    Saboteur(
        "index-copy-wraps", "index_copy takes positions modulo the side",
        ("index-rejections.operator:index_copy-position-below",), "raised nothing",
        replacing(torch, "index_copy", where(
            always, lambda original, x, dim, index, source: original(
                x, dim, index % x.shape[dim], source))),
    ),
    Saboteur(
        "index-add-casts-source", "index_add_ casts a source of another dtype",
        ("index-rejections.in-place:index_add-dtype-of-source",), "raised nothing",
        replacing(Tensor, "index_add_", where(
            always, lambda original, x, dim, index, source: original(
                x, dim, index, source.to(x.dtype)))),
    ),
    Saboteur(
        "scatter-add-zeroes-on-error", "scatter_add_ zeroes self before it rejects a larger index",
        ("index-rejections.in-place:scatter_add-larger-than-destination",), "was modified",
        replacing(Tensor, "scatter_add_", where(always, _zero_on_error)),
    ),
    Saboteur(
        "subscripts-negative-step", "x[::-1] is flipped rather than rejected",
        ("index-rejections.subscript:read-negative-step",), "raised nothing",
        replacing(Tensor, "__getitem__", where(_has_negative_step, _flipped)),
    ),
    Saboteur(
        "subscripts-positions-modulo", "positions in a matrix's rows count modulo their number",
        ("index-rejections.positions:read-position",), "raised nothing",
        replacing(Tensor, "__getitem__", where(_is_vector, _modulo)),
    ),
    Saboteur(
        "subscripts-ignores-wrong-value", "x[mask] = value ignores values that do not fit",
        ("index-rejections.value:mask",), "raised nothing",
        replacing(Tensor, "__setitem__", where(_is_advanced, _or_nothing)),
    ),
    Saboteur(
        "subscripts-len-of-scalar", "len of a tensor of rank 0 is 1",
        ("index-rejections.scalar:len",), "raised nothing",
        replacing(Tensor, "__len__", where(lambda x: not x.dim(), lambda original, x: 1)),
    ),
)  # fmt: skip
