"""Calls of reductions, scans and selections: a tensor, the dimensions to go along, options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, Kinds, kind_for, operand
from conformance.operators.forms import with_self, writable
from conformance.operators.operator import Call, Calls, Dtypes, Operator, Rejection
from conformance.operators.results import floating, summed
from strategies import current_device, dim_tuples, dims, dtypes, permuted_ranges, shapes, tensors
from strategies.dtypes import FAMILIES, supports
from strategies.shapes import Shape

Choices = Mapping[str, st.SearchStrategy[Any] | Callable[[torch.dtype], st.SearchStrategy[Any]]]
"""Keyword arguments to draw, by name, some of them by the tensor's dtype."""

BOOLEANS = st.booleans()
KEEPDIM = st.sampled_from(({}, {"keepdim": True}, {"keepdim": False}, {"keepdim": True}))
"""Whether reduced dimensions are kept: by default, or as told, most often True."""

UNSIGNED_ZERO = 0.25
"""Equality but for the sign of zero, in ulps: of equal values, a selection may return any."""

NONFINITE: Kinds = {"complex": "dyadic", "integral": "any"}
"""What C99 leaves open of complex infinities is not asked."""

_DIFFERENTIABLE = (*SMOOTH, "missing")
DIFFERENTIATED = 12  # elements: a Jacobian costs one evaluation of the reference each
_FLOATING = (torch.float32, torch.float64)
_CASTS = {
    **dict.fromkeys(FAMILIES["floating"], (*_FLOATING, torch.complex128)),
    **dict.fromkeys(FAMILIES["complex"], FAMILIES["complex"]),
    **dict.fromkeys(FAMILIES["integral"], (torch.int64, torch.int32, torch.uint8, *_FLOATING)),
    torch.bool: (torch.int64, torch.uint8, torch.float32),
}


def casts(dtype: torch.dtype) -> st.SearchStrategy[torch.dtype]:
    """Draw the ``dtype=`` of a reduction of numbers: of the tensor's category or a higher one."""
    return st.sampled_from(_CASTS[dtype])


def real_casts(dtype: torch.dtype) -> st.SearchStrategy[torch.dtype]:
    """As :func:`casts`, no real numbers becoming complex."""
    return st.sampled_from([d for d in _CASTS[dtype] if d.is_complex == dtype.is_complex])


def floating_casts(dtype: torch.dtype) -> st.SearchStrategy[torch.dtype]:
    """As :func:`casts`, without integral ones."""
    return st.sampled_from(
        [d for d in _CASTS[dtype] if d.is_floating_point == dtype.is_floating_point]
    )


def counted_as(call: Call) -> Dtypes:
    """A truth value for each slice: boolean, but of uint8 a uint8."""
    dtype = call.arguments[0].dtype
    return Dtypes(None, (dtype if dtype == torch.uint8 else torch.bool,))


def averaged(call: Call) -> Dtypes:
    """As the first tensor, or as ``dtype=`` says."""
    return summed(call) if "dtype" in call.keywords else floating(call)


def draw_options(draw: st.DrawFn, options: Choices, dtype: torch.dtype) -> dict[str, Any]:
    """Draw some of the options; the others keep their defaults."""
    chosen = draw(st.integers(0, 2 ** len(options) - 1)) if options else 0
    drawn = {}
    for bit, (name, values) in enumerate(options.items()):
        if chosen >> bit & 1:
            drawn[name] = draw(values(dtype) if callable(values) else values)
    return drawn


def limited(kind: str, **limits: Any) -> st.SearchStrategy[Shape]:
    """Draw a shape, small where derivatives are asked."""
    most = DIFFERENTIATED if kind in _DIFFERENTIABLE else 64
    return shapes(**{"max_elements": most, **limits})


def along(
    dim: str,
    options: Choices | None = None,
    *,
    keepdim: bool = True,
    full: bool = False,
    keyword: bool = False,
    kinds: Kinds | None = None,
    required: Choices | None = None,
    smooth: str = "",
    filled_when_smooth: bool = False,
    **limits: Any,
) -> Calls:
    """``op(x, dim, keepdim=..., **options)``.

    ``dim``: "none"; "null", which is None; "one" dimension; "optional", one or no argument;
    "nullable", None too; "several": a tuple or list too. Where ``full``, what is reduced is
    not empty. ``keyword`` says that the dimension is given by name. ``required`` options are in
    every call. Where derivatives are asked, which is at values ``smooth`` too, no ``dtype=`` is
    given and, where ``filled_when_smooth``, no side is 0. Any values are rich in nan at times.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        differentiated = kind in (*_DIFFERENTIABLE, smooth)
        least = {"min_side": 1} if differentiated and filled_when_smooth else {}
        shape = draw(limited(kind, **{**limits, **least}))
        if full and shape and not any(shape):
            shape = (1,) * len(shape)
        own = kind_for(kinds or {}, dtype, kind)
        if own == "any" and dtype.is_floating_point:
            own = draw(st.sampled_from(("any", "missing")))
        x = draw(operand(dtype, own, shape))
        given = draw(dimensions(dim, shape, full))
        keywords = draw_options(draw, options or {}, dtype)
        if differentiated:
            keywords.pop("dtype", None)
        if keepdim and given:
            keywords |= draw(KEEPDIM)
        for name, values in (required or {}).items():
            keywords[name] = draw(values(dtype) if callable(values) else values)
        if keyword and given:
            return Call((x,), {"dim": given[0], **keywords})
        return Call((x, *given), keywords)

    return drawn


def with_zeros(calls: Calls, kind_of_zeros: str) -> Calls:
    """As ``calls``; at values of one kind, some elements of the tensor are 0."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(calls(dtype, kind))
        x = call.arguments[0]
        if kind != kind_of_zeros or not x.numel():
            return call
        picks = draw(st.binary(min_size=x.numel(), max_size=x.numel()))
        kept = torch.tensor([pick % 4 != 3 for pick in picks], device=x.device)
        return Call((torch.where(kept.reshape(x.shape), x, 0), *call.arguments[1:]), call.keywords)

    return drawn


def dimensions(form: str, shape: Shape, full: bool) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw the arguments that name dimensions of a shape; none of the empty ones if ``full``."""
    rank = len(shape)
    if form in ("none", "null"):
        return st.just((None,) if form == "null" else ())
    legal = [d for d in range(-rank, rank) if shape[d] or not full] or [0, -1]
    one = (dims(rank) if len(legal) == 2 * rank else st.sampled_from(legal)).map(lambda d: (d,))
    if form == "one":
        return one
    forms: list[st.SearchStrategy[tuple[Any, ...]]] = [one]
    if form == "several":
        chosen = (
            dim_tuples(rank) if len(legal) == 2 * rank else st.sampled_from([(d,) for d in legal])
        )
        several = chosen.map(lambda c: (c or None,))
        forms += [several, several, chosen.map(lambda c: (list(c) or None,))]
        if full and 0 in shape:
            forms = [one, st.sampled_from([((d,),) for d in legal])]
    if not (full and 0 in shape):
        forms.append(st.just(()))
        if form in ("nullable", "several"):
            forms.append(st.just((None,)))
    return st.one_of(forms)


@st.composite
def signed_magnitudes(draw: st.DrawFn, dtype: torch.dtype, shape: Shape) -> torch.Tensor:
    """Draw a tensor whose values differ from each other, and from 0, in size by 1/4 at least."""
    count = torch.Size(shape).numel()
    order = draw(permuted_ranges(count))
    signs = draw(st.integers(0, 2**count - 1))
    values = [(-1) ** (signs >> n & 1) * (2 + int(k)) / 4 for n, k in enumerate(order)]
    return torch.tensor(values, dtype=dtype, device=current_device()).reshape(shape)


@st.composite
def powers_of_two(draw: st.DrawFn, dtype: torch.dtype, shape: Shape) -> torch.Tensor:
    """Draw a tensor of distinct powers of two from 1/4 up: no row has one equal to its mean."""
    order = draw(permuted_ranges(torch.Size(shape).numel()))
    values = [2.0 ** (int(k) - 2) for k in order]
    return torch.tensor(values, dtype=dtype, device=current_device()).reshape(shape)


def _dtype_of(case: Operator) -> st.SearchStrategy[torch.dtype]:
    return st.sampled_from([d for d in case.supported if supports(current_device(), d)])


def tied_calls(case: Operator) -> st.SearchStrategy[Call]:
    """Draw a call on few values, with nan and infinities, each of which has memory of its own."""
    ties = _dtype_of(case).flatmap(lambda dtype: case.calls(dtype, "nonfinite"))
    return ties.map(lambda call: with_self(call, writable(call.arguments[0], shape_of(call))))


def shape_of(call: Call) -> Shape:
    """Return the shape of a call's first argument."""
    return tuple(call.arguments[0].shape)


@st.composite
def expanded_calls(draw: st.DrawFn, case: Operator) -> Call:
    """Draw a call along the first dimension of a matrix, whose rows are the same memory."""
    dtype = draw(_dtype_of(case))
    row = draw(tensors(dtype=dtype, shape=(1, 3), layouts=("contiguous", "offset")))
    rank = (1,) if case.name in ("topk", "kthvalue") else ()
    return Call((row.expand(draw(st.integers(2, 5)), 3), *rank, 0), {})


@st.composite
def majorities(draw: st.DrawFn) -> Call:
    """Draw a tensor, a dimension, and ``keepdim``: one value is more than half of each row."""
    shape = draw(shapes(min_side=1))
    dim = draw(dims(len(shape)))
    length = shape[dim] if shape else 1
    dtype = draw(dtypes("real"))
    rows = []
    for _ in range(torch.Size(shape).numel() // length):
        common, *others = draw(
            st.lists(st.integers(0, 9), min_size=length + 1, max_size=length + 1)
        )
        row = [common] * (length // 2 + 1) + others
        rows.append([row[place] for place in draw(permuted_ranges(length))])
    rest = [side for axis, side in enumerate(shape) if axis != dim % len(shape)]
    x = torch.tensor(rows, device=current_device()).to(dtype)
    x = x.reshape(*rest, length).movedim(-1, dim) if shape else x.reshape(())
    return Call((x, dim), dict(draw(KEEPDIM)))


def rejecting(
    legal: str,
    illegal: str,
    message: str,
    error: str = "RuntimeError",
    **tensors: tuple[torch.dtype, Shape],
) -> Rejection:
    """Return the rejection of a call on ``x``, float32 of shape (2, 3) unless given."""
    return Rejection(legal, illegal, error, message, tensors or {"x": (torch.float32, (2, 3))})


def out_of_range(operation: str) -> dict[str, Rejection]:
    """Return the rejections of dimensions beyond the last and first; ``{}`` is where they go."""
    return {
        "dim": rejecting(operation.format(1), operation.format(2), OUT_OF_RANGE, "IndexError"),
        "negative-dim": rejecting(
            operation.format(-2), operation.format(-3), OUT_OF_RANGE, "IndexError"
        ),
    }


OUT_OF_RANGE = "Dimension out of range"


def repeated(operation: str) -> dict[str, Rejection]:
    """Return the rejection of a dimension that is named twice; ``{}`` is where they go."""
    return {
        "repeated": rejecting(
            operation.format((0, 1)), operation.format((1, -1)), "appears multiple times"
        )
    }
