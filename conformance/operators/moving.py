"""Operators that only move elements: how entries of them are made, and calls drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.operator import Call, Calls, Operator, Reference, Rejection
from strategies import shapes, tensors
from strategies.layouts import LAYOUTS, WRITABLE
from strategies.shapes import Shape

Rest = Callable[[st.DrawFn, Shape], tuple[Any, ...]]
"""Draws the arguments that follow a tensor of a shape."""

IN_ORDER = ("contiguous", "offset")
"""Layouts whose elements lie in memory in their order, without gaps."""

UNCONJUGATED = tuple(name for name in LAYOUTS if name != "conjugated")
"""Layouts whose memory holds the values themselves."""

ONE_A_RESULT = {"vjp": "each result has the graph of one input; see its second derivative"}
"""The excuse of operators that return as many results as they are given."""

_DIFFERENTIATED = 24  # a Jacobian costs one evaluation of the reference an element


def moving(name: str, calls: Calls, reference: Reference, **fields: Any) -> Operator:
    """Return the entry of an operator of any dtype that moves elements, exactly, as they are.

    It is linear, so that it is its own analytic form, with derivatives that add and no more.
    """
    given = {"analytic": reference, "dtypes": ("any",), "derivative_ulps": 0.0, **fields}
    return Operator(name=name, calls=calls, reference=reference, **given)


def sized(kind: str, **limits: Any) -> st.SearchStrategy[Shape]:
    """Draw a shape, small where derivatives are asked, which is at values of that kind."""
    most = _DIFFERENTIATED if kind == "away-from-kinks" else 64
    return shapes(**{"max_elements": most, **limits})


def moved_operand(
    dtype: torch.dtype,
    kind: str,
    shape: Shape | st.SearchStrategy[Shape],
    layouts: tuple[str, ...] = tuple(LAYOUTS),
) -> st.SearchStrategy[torch.Tensor]:
    """Draw a tensor operand, of any layout by default."""
    return tensors(dtype=dtype, shape=shape, values=kind, layouts=layouts)


def calls_with(rest: Rest, *, layouts: tuple[str, ...] = tuple(LAYOUTS), **limits: Any) -> Calls:
    """``op(x, *rest)``; ``limits`` are those of ``shapes``, and bound the shape of ``x``."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(moved_operand(dtype, kind, sized(kind, **limits), layouts))
        return Call((x, *rest(draw, tuple(x.shape))), {})

    return drawn


def calls_of_shapes(choose: Callable[[st.DrawFn], tuple[Shape, ...]], rest: Rest) -> Calls:
    """``op(x, y, ..., *rest)`` on tensors of the shapes chosen; ``rest`` is told the first one."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        chosen = choose(draw)
        operands = [draw(moved_operand(dtype, kind, shape)) for shape in chosen]
        return Call((*operands, *rest(draw, chosen[0])), {})

    return drawn


Replaced = tuple[Shape, tuple[Any, ...]]
"""The shape of the part of a tensor that is replaced, and the arguments that say where it is."""


def calls_with_part(
    choose: Callable[[st.DrawFn, Shape], Replaced],
    *,
    layouts: tuple[str, ...] = WRITABLE,
    **limits: Any,
) -> Calls:
    """``op(x, part, *rest)``, a part of ``x`` and where it is chosen for the shape of ``x``."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(moved_operand(dtype, kind, sized(kind, **limits), layouts))
        shape, rest = choose(draw, tuple(x.shape))
        return Call((x, draw(moved_operand(dtype, kind, shape)), *rest), {})

    return drawn


def nothing(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """No further arguments."""
    return ()


def rejecting(
    shape: Shape,
    message: str,
    legal: str,
    illegal: str,
    *,
    error: str = "RuntimeError",
    others: Mapping[str, Shape] | None = None,
) -> Rejection:
    """Return the rejection of the second call beside the first, with ``x`` of a shape, float32.

    ``others`` are further tensors by name, with their shapes.
    """
    named = {"x": shape, **(others or {})}
    return Rejection(
        legal, illegal, error, message, {name: (torch.float32, s) for name, s in named.items()}
    )


def out_of_range(operation: str, shape: Shape = (2, 3)) -> Rejection:
    """Return the rejection of a dimension beyond the last one; ``{}`` stands for it in the call."""
    calls = operation.format(len(shape) - 1), operation.format(len(shape))
    return rejecting(shape, "Dimension out of range", *calls, error="IndexError")
