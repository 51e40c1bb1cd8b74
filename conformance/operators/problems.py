"""What the laws over operators draw: calls, and calls with cotangents and tangents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.batches import Batch
from conformance.operators.calculus import differentiable, outputs
from conformance.operators.judge import result_dtypes
from conformance.operators.operator import Call, Operator, Rejection
from strategies import tensors
from strategies.devices import current_device
from strategies.dtypes import FAMILIES, supports
from strategies.layouts import WRITABLE
from strategies.shapes import lengthened


class VjpProblem(NamedTuple):
    """A call, which of its differentiable tensors are leaves, a cotangent for each result."""

    call: Call
    leaves: tuple[bool, ...]
    cotangents: tuple[torch.Tensor, ...]


class JvpProblem(NamedTuple):
    """A call, which of its differentiable tensors move, and the tangents of those."""

    call: Call
    leaves: tuple[bool, ...]
    tangents: tuple[torch.Tensor, ...]


class SecondProblem(NamedTuple):
    """A call all of whose differentiable tensors are leaves, cotangents and two tangents."""

    call: Call
    cotangents: tuple[torch.Tensor, ...]
    first: tuple[torch.Tensor, ...]
    second: tuple[torch.Tensor, ...]


class AdjointProblem(NamedTuple):
    """A call all of whose tensors move, a cotangent for each result, a tangent for each tensor."""

    call: Call
    cotangents: tuple[torch.Tensor, ...]
    tangents: tuple[torch.Tensor, ...]


@cache
def _dtypes_of(
    case: Operator, family: tuple[torch.dtype, ...], device: torch.device
) -> st.SearchStrategy[torch.dtype]:
    """Of operands that are compared or computed with, floating dtypes count twice: nan and -0.0."""
    known = [d for d in case.supported if d in family and supports(device, d)]
    floating = [d for d in known if d.is_floating_point and case.mixed is not None]
    return st.sampled_from([*known, *floating]) if known else st.nothing()


@cache
def _calls_in(case: Operator, dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    return case.calls(dtype, kind)


@cache
@st.composite
def _calls(draw: st.DrawFn, case: Operator, kind: str, family: tuple[torch.dtype, ...]) -> Call:
    dtype = draw(_dtypes_of(case, family, current_device()))
    return draw(_calls_in(case, dtype, kind))


def value_calls(case: Operator) -> st.SearchStrategy[Call]:
    """Draw a legal call in any dtype that the entry names."""
    return _calls(case, case.kind, case.supported)


_LENGTHS = st.tuples(st.sampled_from((17, 33, 67, 130)), st.integers(0, 3))


@st.composite
def long_calls(draw: st.DrawFn, case: Operator) -> Call:
    """Draw a legal call whose tensors have a long side, as far as its shapes are free."""
    side, place = draw(_LENGTHS)
    with lengthened(side, place):
        return draw(value_calls(case))


def in_place_calls(case: Operator) -> st.SearchStrategy[Call]:
    """Draw a call whose operands differ in dtype, where the entry says how, or any legal one."""
    return value_calls(case) if case.mixed is None else st.one_of(value_calls(case), case.mixed)


def mixed_calls(case: Operator) -> st.SearchStrategy[Call]:
    """Draw a call whose operands differ in dtype."""
    assert case.mixed is not None
    return case.mixed


_REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_COMPLEX = (torch.complex128, torch.complex64)
_DOUBLE = (torch.float64, torch.float32)


def _like(draw: st.DrawFn, originals: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Draw dyadic tensors of any layout with the shapes and dtypes of others."""
    return tuple(draw(tensors(dtype=t.dtype, shape=tuple(t.shape))) for t in originals)


def _cotangents(draw: st.DrawFn, case: Operator, call: Call) -> tuple[torch.Tensor, ...]:
    shapes = [result.shape for result in outputs(case, call)]
    dtypes = [
        dtype
        for dtype in result_dtypes(case, call, len(shapes))
        if dtype.is_floating_point or dtype.is_complex
    ]
    return tuple(draw(tensors(dtype=d, shape=s)) for d, s in zip(dtypes, shapes, strict=True))


@cache
def _chosen(count: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """Draw which of several tensors take part: all of them often, none rarely."""
    numbers = [*range(2**count - 1, -1, -1), *([2**count - 1] * 2)]
    return st.sampled_from(
        [tuple(bool(bits >> number & 1) for number in range(count)) for bits in numbers]
    )


@cache
def _some(count: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """Draw which of several tensors take part: at least one."""
    numbers = range(2**count - 1, 0, -1)
    return st.sampled_from(
        [tuple(bool(bits >> number & 1) for number in range(count)) for bits in numbers]
    )


@st.composite
def vjp_problems(draw: st.DrawFn, case: Operator) -> VjpProblem:
    """Draw a call at a point where the operator is smooth, leaves and real cotangents."""
    call = draw(_calls(case, case.smooth, _REAL))
    leaves = draw(_chosen(len(differentiable(case, call))))
    return VjpProblem(call, leaves, _cotangents(draw, case, call))


@st.composite
def jvp_problems(draw: st.DrawFn, case: Operator) -> JvpProblem:
    """Draw a call at a point where the operator is smooth, and real tangents: one or more."""
    call = draw(_calls(case, case.smooth, _DOUBLE))
    candidates = differentiable(case, call)
    leaves = draw(_some(len(candidates)))
    moving = [tensor for tensor, leaf in zip(candidates, leaves, strict=True) if leaf]
    return JvpProblem(call, leaves, _like(draw, moving))


@st.composite
def second_problems(draw: st.DrawFn, case: Operator) -> SecondProblem:
    """Draw a call, cotangents, and the two directions of a second derivative."""
    call = draw(_calls(case, case.smooth, _DOUBLE))
    leaves = differentiable(case, call)
    return SecondProblem(
        call, _cotangents(draw, case, call), _like(draw, leaves), _like(draw, leaves)
    )


@st.composite
def adjoint_problems(draw: st.DrawFn, case: Operator) -> AdjointProblem:
    """Draw a call on complex numbers, cotangents and tangents."""
    call = draw(_calls(case, case.smooth, _COMPLEX))
    cotangents = _cotangents(draw, case, call)
    return AdjointProblem(call, cotangents, _like(draw, differentiable(case, call)))


@st.composite
def linear_problems(draw: st.DrawFn, case: Operator) -> AdjointProblem:
    """Draw a call in float32, float64 or their complex counterparts, a cotangent and a tangent."""
    call = draw(_calls(case, case.smooth, (*_DOUBLE, *_COMPLEX)))
    cotangents = _cotangents(draw, case, call)
    return AdjointProblem(call, cotangents, _like(draw, differentiable(case, call)))


@st.composite
def batched_calls(draw: st.DrawFn, case: Operator) -> Batch:
    """Draw a call and where each tensor gets the batch's dimension; one of them has it."""
    call = draw(_calls(case, case.kind, case.supported))
    count = sum(1 for _ in tensors_in(call))
    places: list[int | None] = [draw(st.sampled_from((0, -1, None))) for _ in range(count)]
    if not any(place is not None for place in places):
        places[0] = 0
    return Batch(call, tuple(places))


def rejected_tensors(case: Rejection) -> st.SearchStrategy[dict[str, torch.Tensor]]:
    """Draw the tensors that a rejection names; integers are zero, which is a legal position."""
    return st.fixed_dictionaries(
        {name: _named_tensor(dtype, shape) for name, (dtype, shape) in case.tensors.items()}
    )


def _named_tensor(dtype: torch.dtype, shape: tuple[int, ...]) -> st.SearchStrategy[torch.Tensor]:
    if dtype in FAMILIES["integral"]:
        return st.builds(lambda: torch.zeros(shape, dtype=dtype, device=current_device()))
    return tensors(dtype=dtype, shape=shape, layouts=WRITABLE)
