"""Tensors whose elements come from a short list: kinks, ties, ends of a domain."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from strategies.devices import current_device
from strategies.dtypes import dtypes
from strategies.layouts import LAYOUTS, WRITABLE
from strategies.shapes import Shape, dim_tuples, dims, shapes
from strategies.tensors import from_storage, tensors
from strategies.values import NUMPY_DTYPES, Array, bfloat16_bits, raw_bytes


class KinkProblem(NamedTuple):
    """Inputs of a function, and a cotangent of their shape without zeros."""

    inputs: tuple[torch.Tensor, ...]
    cotangent: torch.Tensor


def _as_dtype(values: Array, dtype: torch.dtype) -> Array:
    plain = values.astype(np.float64)
    return bfloat16_bits(plain) if dtype == torch.bfloat16 else plain.astype(NUMPY_DTYPES[dtype])


def _laid_out(values: Array, dtype: torch.dtype, shape: Shape, layout: str) -> torch.Tensor:
    """A tensor of the values in a layout without overlaps; what it does not cover is 0."""
    geometry = LAYOUTS[layout].geometry(shape)
    memory = np.zeros(geometry.storage)
    places = np.full(shape, geometry.offset)
    for dim, step in enumerate(geometry.stride):
        along = [1] * len(shape)
        along[dim] = -1
        places = places + step * np.arange(shape[dim]).reshape(along)
    memory[places.ravel()] = values.ravel()
    return from_storage(_as_dtype(memory, dtype), dtype, shape, geometry, current_device())


def _layouts(rank: int) -> st.SearchStrategy[str]:
    names = [name for name in WRITABLE if not LAYOUTS[name].family]
    return st.sampled_from([name for name in names if LAYOUTS[name].least_rank <= rank])


@st.composite
def _tensors_among(
    draw: st.DrawFn, values: tuple[float, ...], dtype: str, shape: st.SearchStrategy[Shape]
) -> torch.Tensor:
    sides = draw(shape)
    picks = np.frombuffer(draw(raw_bytes(prod(sides))), dtype=np.uint8)
    chosen = np.array(values)[picks % len(values)].reshape(sides)
    return _laid_out(chosen, draw(dtypes(dtype)), sides, draw(_layouts(len(sides))))


def tensors_among(
    values: Sequence[float],
    *,
    dtype: str = "floating",
    shape: st.SearchStrategy[Shape] | None = None,
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor of any layout without overlaps, its elements out of ``values``.

    Every floating dtype must hold each value. Shrinks to the first value. Example::

        @given(tensors_among((0.0, 1.0)))
        def test(tensor): tensor.amax()
    """
    return _tensors_among(tuple(values), dtype, shapes() if shape is None else shape)


@st.composite
def _kink_problems(
    draw: st.DrawFn, points: tuple[tuple[float, ...], ...], dtype: str
) -> KinkProblem:
    sides, drawn = draw(shapes()), draw(dtypes(dtype))
    picks = np.frombuffer(draw(raw_bytes(prod(sides))), dtype=np.uint8)
    chosen = np.array(points)[picks % len(points)].reshape(*sides, len(points[0]))
    inputs = tuple(
        _laid_out(chosen[..., which], drawn, sides, draw(_layouts(len(sides))))
        for which in range(len(points[0]))
    )
    return KinkProblem(inputs, draw(tensors(dtype=drawn, shape=sides, values="away-from-kinks")))


def kink_problems(points: Any, *, dtype: str = "floating") -> st.SearchStrategy[KinkProblem]:
    """Draw the inputs of an elementwise function, among ``points``, and a cotangent.

    A point is a number, or a tuple of one number an input; inputs have layouts of their own.
    Example::

        @given(kink_problems([0.0, 1.0]))
        def test(problem): torch.abs(problem.inputs[0]).backward(problem.cotangent)
    """
    rows = [point if isinstance(point, tuple) else (point,) for point in points]
    return _kink_problems(tuple(rows), dtype)


class ReductionProblem(NamedTuple):
    """An input, the dimensions to reduce it over, and a cotangent for the result."""

    input: torch.Tensor
    dims: tuple[int, ...]
    keepdim: bool
    cotangent: torch.Tensor


def _reduced(shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Shape:
    gone = {dim % len(shape) for dim in dims} if shape else set()
    kept = [(dim, side) for dim, side in enumerate(shape) if keepdim or dim not in gone]
    return tuple(1 if dim in gone else side for dim, side in kept)


@st.composite
def _reduction_problems(
    draw: st.DrawFn,
    values: tuple[float, ...],
    dtype: str,
    shape: st.SearchStrategy[Shape],
    several: bool,
) -> ReductionProblem:
    tensor = draw(_tensors_among(values, dtype, shape))
    rank = tensor.dim()
    chosen = draw(dim_tuples(rank)) if several else ()
    reduced = chosen or (draw(dims(rank)),)
    keepdim = draw(st.booleans())
    result = _reduced(tuple(tensor.shape), reduced, keepdim)
    cotangent = draw(tensors(dtype=tensor.dtype, shape=result))
    return ReductionProblem(tensor, reduced, keepdim, cotangent)


def reduction_problems(
    values: Sequence[float],
    *,
    dtype: str = "floating",
    shape: st.SearchStrategy[Shape] | None = None,
    several: bool = True,
) -> st.SearchStrategy[ReductionProblem]:
    """Draw a tensor without empty sides, its elements out of ``values``, and how to reduce it.

    Over one dimension, or with ``several`` over some; with a cotangent for the result. Example::

        @given(reduction_problems((0.0, 1.0)))
        def test(p): p.input.amax(p.dims, p.keepdim).backward(p.cotangent)
    """
    sides = shapes(min_rank=1, min_side=1) if shape is None else shape
    return _reduction_problems(tuple(values), dtype, sides, several)
