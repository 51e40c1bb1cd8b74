"""Tensors: dtype, shape, layout and values drawn together, on the current target's device.

Four choices make a tensor, whatever its size. The values are laid out in NumPy and given
to torch as one storage with strides, so no torch kernel takes part in making them. Half of the
tensors are views of that storage as autograd knows them, the others have no base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device, lacks
from strategies.dtypes import FAMILIES, dtypes
from strategies.layouts import LAYOUTS, LAZY, WRITABLE, Geometry, contiguous, permuted
from strategies.shapes import Shape, shapes
from strategies.source import teach_hypothesis
from strategies.storages import elements_stored
from strategies.values import AS_BITS, KINDS, NUMPY_DTYPES, Array, bytes_for, decode

Drawn = TypeVar("Drawn")


@cache
def _layout_choice(
    names: tuple[str, ...], rank: int, dtype: torch.dtype
) -> st.SearchStrategy[tuple[str, bool]]:
    """Draw a layout, and whether the tensor is a view: one choice."""

    def fits(name: str) -> bool:
        layout = LAYOUTS[name]
        family = FAMILIES[layout.family] if layout.family else (dtype,)
        return layout.least_rank <= rank and dtype in family

    fitting = [name for name in names if fits(name)]
    views = (False,) if names == ("contiguous",) else (False, True)
    return st.sampled_from([(name, view) for name in fitting for view in views])


def _possible(names: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the layouts that the current target cannot have."""
    if lacks("strides"):
        return ("contiguous",)
    return tuple(n for n in names if n not in LAZY) if lacks("lazy_conjugation") else names


def from_storage(
    values: Array,
    dtype: torch.dtype,
    shape: Shape,
    geometry: Geometry,
    device: torch.device,
    *,
    view: bool = False,
) -> torch.Tensor:
    """Build the tensor that sees the flat array ``values`` through ``geometry``.

    ``values`` has ``geometry.storage`` elements; dtypes that NumPy lacks come as bit patterns.
    The tensor owns a copy of the values. To autograd it is a ``view`` of them, or has no base.
    A device without strides or storages gets it as it is, and lays it out in its own way.
    """
    if lacks(str(dtype).removeprefix("torch.")):
        reject()  # what asks for one dtype of several has other inputs
    whole = not view and values.size > 0 and geometry == contiguous(shape)
    memory = torch.from_numpy(values.reshape(shape if whole else -1).copy())
    if dtype in AS_BITS:
        memory = memory.view(AS_BITS[dtype]).view(dtype)
    if lacks("strides") or lacks("storage"):
        return torch.as_strided(memory, shape, geometry.stride, geometry.offset).to(device)
    if device.type != "cpu":
        memory = memory.to(device)
    if whole:
        return memory
    strided = torch.as_strided(memory, shape, geometry.stride, geometry.offset)
    return strided if view else strided.detach()


def _with_lazy_bit(layout: str, values: Array, shape: Shape, device: torch.device) -> torch.Tensor:
    """Lay out ``values`` conjugated or negated in memory, under torch's lazy conj or neg bit."""
    wide = values if layout == "conjugated" else values.view(f"c{2 * values.itemsize}")
    stored = torch.from_numpy(np.conj(wide)).to(device).reshape(shape)
    return stored.conj() if layout == "conjugated" else stored.conj().imag


# A strategy that is used again need not be validated and labelled again, which costs more than
# the draw: laws ask for the same ones all the time.
@lru_cache(maxsize=4096)
@st.composite
def _tensors(
    draw: st.DrawFn,
    dtype: torch.dtype | st.SearchStrategy[torch.dtype],
    shape: Shape | st.SearchStrategy[Shape],
    kind: str,
    layouts: tuple[str, ...],
    requires_grad: bool,
) -> torch.Tensor:
    teach_hypothesis()
    drawn_dtype = dtype if isinstance(dtype, torch.dtype) else draw(dtype)
    drawn_shape = shape if isinstance(shape, tuple) else draw(shape)
    layout, view = draw(_layout_choice(_possible(layouts), len(drawn_shape), drawn_dtype))
    geometry = LAYOUTS[layout].geometry(drawn_shape)
    raw = draw(bytes_for(geometry.storage, drawn_dtype, kind))
    values = decode(raw, drawn_dtype, kind)
    device = current_device()
    if layout in LAZY:
        tensor = _with_lazy_bit(layout, values, drawn_shape, device)
    else:
        tensor = from_storage(values, drawn_dtype, drawn_shape, geometry, device, view=view)
    return tensor.requires_grad_() if requires_grad else tensor


def tensors(
    *,
    dtype: torch.dtype | str | st.SearchStrategy[torch.dtype] = "any",
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    values: str = "dyadic",
    layouts: Sequence[str] = tuple(LAYOUTS),
    requires_grad: bool = False,
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor on the current target's device.

    ``dtype`` is a dtype, a family of :func:`dtypes`, or a strategy; ``shape`` a shape or a
    strategy, by default any of up to 64 elements; ``values`` a kind of :func:`arrays`;
    ``layouts`` names of ``strategies.layouts.LAYOUTS``. A tensor that requires grad is a leaf.
    Shrinks to a contiguous float32 scalar 0.

    Example::

        @given(tensors(dtype="floating", values="any"))
        def test(tensor): ...
    """
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown or "contiguous" not in layouts:
        raise InvalidArgument(
            f"tensors(layouts={tuple(layouts)!r}): use names among {', '.join(LAYOUTS)}, "
            "with 'contiguous', which alone fits every rank"
        )
    if values not in KINDS:
        raise InvalidArgument(f"tensors(values={values!r}): use one of {', '.join(KINDS)}")
    if requires_grad and isinstance(dtype, str) and dtype in ("any", "numeric", "real"):
        raise InvalidArgument(
            f"tensors(dtype={dtype!r}, requires_grad=True): only floating and complex tensors "
            "can require grad; use dtype='differentiable' or 'floating'"
        )
    return _tensors(
        dtypes(dtype) if isinstance(dtype, str) else dtype,
        shapes() if shape is None else tuple(shape) if isinstance(shape, tuple) else shape,
        values,
        tuple(layouts),
        requires_grad,
    )


@st.composite
def tensors_holding(draw: st.DrawFn, values: Array, *, dtype: torch.dtype) -> torch.Tensor:
    """Draw a tensor that holds ``values``, in any layout in which each element has memory.

    ``dtype`` is one that NumPy has; values are rounded to it. Shrinks to a contiguous tensor.

    Example::

        @given(tensors_holding(np.eye(3), dtype=torch.float32))
        def test(tensor): assert tensor.diagonal().sum() == 3
    """
    teach_hypothesis()
    shape = tuple(values.shape)
    names = tuple(name for name in WRITABLE if name not in LAZY)
    layout, view = draw(_layout_choice(_possible(names), len(shape), dtype))
    geometry = LAYOUTS[layout].geometry(shape)
    storage = np.zeros(geometry.storage, dtype=NUMPY_DTYPES[dtype])
    if values.size:
        steps = [step * storage.itemsize for step in geometry.stride]
        window = np.lib.stride_tricks.as_strided(storage[geometry.offset :], shape, steps)
        window[...] = values
    return from_storage(storage, dtype, shape, geometry, current_device(), view=view)


class WithCotangent(NamedTuple):
    """Arguments of an operation, and a cotangent for its result: an upstream gradient."""

    arguments: Any
    cotangent: torch.Tensor


@st.composite
def with_cotangent(
    draw: st.DrawFn,
    arguments: st.SearchStrategy[Drawn],
    *,
    result: Callable[[Drawn], tuple[Shape, torch.dtype]],
) -> WithCotangent:
    """Draw arguments and a dyadic cotangent of any layout, expanded and strided included.

    ``result`` tells the shape and dtype of the operation's result from its arguments.

    Example::

        @given(with_cotangent(functions(), result=lambda f: (f.shape, torch.float64)))
        def test(problem): ...
    """
    drawn = draw(arguments)
    shape, dtype = result(drawn)
    return WithCotangent(drawn, draw(tensors(dtype=dtype, shape=shape)))


def layout_of(tensor: torch.Tensor) -> str:
    """Name the layout a tensor has, in the words of ``strategies.layouts``.

    For evidence: it tells what a run has seen, whoever made the tensor.
    """
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_conj() or tensor.is_neg():
        return "conjugated" if tensor.is_conj() else "negated"
    shape, stride = tuple(tensor.shape), tensor.stride()
    if any(step == 0 and side > 1 for step, side in zip(stride, shape, strict=True)):
        return "expanded"
    if tensor.is_contiguous():
        return "contiguous" if elements_stored(tensor) == prod(shape) else "offset"
    reach = sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) + 1
    if reach != prod(shape):
        return "stepped" if reach > prod(shape) else "overlapping"
    if tensor.dim() > 2 and stride == permuted(shape).stride:
        return "permuted"
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return "channels-last"
    return "transposed"
