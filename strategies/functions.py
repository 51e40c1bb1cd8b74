"""Random differentiable functions, evaluable under torch and under NumPy from the same text.

A function is a straight-line program over its leaves ``x0, x1 ...``; every line is one
operation written once, with ``xp`` standing for torch or NumPy. One draw of bytes is the whole
program: shrinking drops lines and picks simpler operations. A line that would be illegal or
outgrow its bound is left out, and so are lines that the result does not use: nothing is filtered.

Each value carries a bound, from which the function knows how far rounding can take a
derivative. *Polynomials* consist of operations that are exact on small dyadic numbers: their
values and derivatives have no rounding at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.bounds import Bound
from strategies.devices import check_dtype
from strategies.operations import (
    COMPLEX,
    DOUBLE,
    EXACT_BITS,
    IN_PLACE,
    POLYNOMIAL,
    SMOOTH,
    SUM,
    Operation,
    Value,
    is_exact,
)
from strategies.shapes import Shape
from strategies.values import Array, raw_bytes, value_table

MAX_LEAVES = 3
_LEAF_SHAPES: tuple[Shape, ...] = ((), (1,), (2,), (3,), (1, 2), (2, 1), (2, 3), (3, 2), (2, 2))
_BYTES_PER_STEP = 3
_LARGEST_ROUNDING = 2.0**16


def evaluator(body: str, leaves: int, xp: ModuleType) -> Callable[..., Any]:
    """Compile a program's text into a function of its leaves under ``xp`` (torch or NumPy)."""
    names = ", ".join(f"x{i}" for i in range(leaves))
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    namespace: dict[str, Any] = {"xp": xp}
    exec(f"def f({names}):\n{lines}\n", namespace)
    function: Callable[..., Any] = namespace["f"]
    return function


@dataclass(frozen=True, eq=False)
class Function:
    """A differentiable function with the point at which to take its derivatives.

    ``body`` is its text, ending in ``return``; ``points`` the leaves' values, float64;
    ``shape`` the result's shape; ``reaches`` says for each leaf whether the result depends on
    it; ``rounding`` bounds the error of any first derivative, in units of the dtype's epsilon
    (0: every value and derivative is exact in float64).
    """

    body: str
    points: tuple[Array, ...]
    shape: tuple[int, ...]
    reaches: tuple[bool, ...]
    rounding: float

    def __post_init__(self) -> None:
        # Compiled once, out of the sight of whoever traces a call.
        object.__setattr__(self, "_under_torch", self.under(torch))

    def __call__(self, *leaves: torch.Tensor) -> torch.Tensor:
        """Evaluate the function under torch."""
        result: torch.Tensor = self._under_torch(*leaves)  # type: ignore[attr-defined]
        return result

    def __str__(self) -> str:
        names = ", ".join(f"x{number}" for number in range(len(self.points)))
        lines = "".join(f"    {line}\n" for line in self.body.splitlines())
        points = ", ".join(f"x{n} = {point.tolist()}" for n, point in enumerate(self.points))
        return f"def f({names}):\n{lines}    # at {points}"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Show the function's text in Hypothesis's falsifying examples."""
        printer.text(str(self))

    def under(self, xp: ModuleType) -> Callable[..., Any]:
        """Return the function evaluated by ``xp``: torch or NumPy."""
        return evaluator(self.body, len(self.points), xp)

    def leaves(self, device: torch.device) -> list[torch.Tensor]:
        """Return new float64 leaves that require grad, holding ``points``."""
        leaves = [torch.tensor(point) for point in self.points]
        for leaf in leaves:
            check_dtype(leaf.dtype)
        return [leaf.to(device).requires_grad_() for leaf in leaves]


Limit = Callable[[Bound], bool]


def _is_accurate(bound: Bound) -> bool:
    return max(bound.value_error, bound.slope_error, bound.slope) <= _LARGEST_ROUNDING


def _leaning(pick: int) -> int:
    """A pick that is 0, the newest value, more often than not: chains, not bushes."""
    return max(pick - 96, 0)


def _step(
    values: list[Value], operations: tuple[Operation, ...], affordable: Limit, picks: bytes
) -> Value | None:
    """The line that three bytes stand for; None for no line, or one that would be illegal."""
    chosen = picks[0] % (len(operations) + 1)
    if chosen == 0:
        return None
    operation = operations[chosen - 1]
    # Later values first: programs that build on what they computed, and shrink to chains.
    newest = values[::-1]
    first = newest[_leaning(picks[1]) % len(newest)]
    # Values that nothing has used yet first, so that what was computed meets again.
    used = {name for value in values for name in value.uses} | {first.name}
    seconds = sorted(values, key=lambda value: value.name in used)
    pairs = [(a,) for a in newest] if operation.arity == 1 else [(first, b) for b in seconds]
    candidates = [operands for operands in pairs if operation.legal(*operands)]
    if not candidates:
        return None
    operands = candidates[_leaning(picks[2]) % len(candidates)]
    value = _apply(operation, operands, f"v{len(values)}")
    return value if prod(value.shape) <= 24 and affordable(value.bound) else None


def _apply(operation: Operation, operands: tuple[Value, ...], name: str) -> Value:
    uses = tuple(o.name for o in operands)
    names = {"a": uses[0], "b": uses[-1], "v": name, "wider": (2, *operands[0].shape)}
    text = f"{name} = {operation.text}\n{operation.then}".strip().format(**names)
    return Value(
        name,
        text,
        uses,
        operation.shape(*operands),
        operation.bound(*operands),
        frozenset().union(*(o.depends for o in operands[operation.first_differentiable :])),
    )


def _needed(values: list[Value], result: Value) -> list[Value]:
    """The lines that ``result`` is computed from, in order, itself included."""
    kept = [result]
    for value in reversed(values):
        if value is not result and any(value.name in other.uses for other in kept):
            kept.insert(0, value)
    return kept


def _assemble(
    points: tuple[Array, ...],
    program: bytes,
    operations: tuple[Operation, ...],
    affordable: Limit,
    scalar: bool,
) -> Function:
    size = max((float(np.abs(p).max()) for p in points), default=1.0)
    bound = Bound(max(size, 1.0), 1.0, 0.0, 0.0, 0.0, 3)
    leaves = [Value(f"x{i}", "", (), p.shape, bound, frozenset({i})) for i, p in enumerate(points)]
    values = list(leaves)
    for start in range(0, len(program), _BYTES_PER_STEP):
        step = _step(values, operations, affordable, program[start : start + _BYTES_PER_STEP])
        if step is not None:
            values.append(step)
    if len(values) == len(leaves):  # a result that is itself a leaf would be a case of its own
        values.append(_apply(DOUBLE, (leaves[-1],), "v0"))
    if scalar and values[-1].shape:
        values.append(_apply(SUM, (values[-1],), f"v{len(values)}"))
    result = values[-1]
    needed = _needed(values[len(leaves) :], result)
    lines = [v.text for v in needed]
    exact = all(is_exact(v.bound, EXACT_BITS) for v in needed)
    return Function(
        body="\n".join([*lines, f"return {result.name}"]),
        points=points,
        shape=result.shape,
        reaches=tuple(i in result.depends for i in range(len(points))),
        rounding=0.0 if exact else result.bound.slope_error,
    )


@cache
def _leaf_shapes(max_leaves: int) -> st.SearchStrategy[list[Shape]]:
    return st.lists(st.sampled_from(_LEAF_SHAPES), min_size=1, max_size=max_leaves)


@cache
def _programs(max_steps: int) -> st.SearchStrategy[bytes]:
    return raw_bytes(max_steps * _BYTES_PER_STEP)


@st.composite
def _functions(
    draw: st.DrawFn,
    operations: tuple[Operation, ...],
    affordable: Limit,
    max_leaves: int,
    max_steps: int,
    scalar: bool,
    dtype: torch.dtype = torch.float64,
) -> Function:
    shapes = draw(_leaf_shapes(max_leaves))
    sizes = [prod(shape) for shape in shapes]
    raw = np.frombuffer(draw(raw_bytes(sum(sizes))), dtype=np.uint8)
    entries = np.split(value_table(dtype, "dyadic")[raw], np.cumsum(sizes)[:-1])
    points = tuple(e.reshape(s) for e, s in zip(entries, shapes, strict=True))
    return _assemble(points, draw(_programs(max_steps)), operations, affordable, scalar)


@cache
def _meeting(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Operations of two operands three times, or most functions would depend on one leaf."""
    return operations + 2 * tuple(operation for operation in operations if operation.arity == 2)


def _checked(max_leaves: int, max_steps: int) -> None:
    if not 1 <= max_leaves <= MAX_LEAVES:
        raise InvalidArgument(f"max_leaves={max_leaves}: use 1 to {MAX_LEAVES}")
    if not 1 <= max_steps <= 16:
        raise InvalidArgument(f"max_steps={max_steps}: use 1 to 16")


def functions(
    *,
    max_leaves: int = MAX_LEAVES,
    max_steps: int = 6,
    scalar: bool = False,
    in_place: bool = False,
) -> st.SearchStrategy[Function]:
    """Draw a smooth function R^shapes -> R^shape with the point to differentiate it at.

    Nodes are reused, leaves may go unused, shapes broadcast, branches depend on exact values.
    ``scalar=True`` gives functions whose result has shape (), ``in_place=True`` ones that may
    write to intermediate values and to views of them. ``Function.rounding`` bounds the error of
    a derivative.

    Example::

        @given(functions(scalar=True))
        def test(f): f(*f.leaves(torch.device("cpu"))).backward()
    """
    _checked(max_leaves, max_steps)
    # Smooth ones three times: each has a derivative of its own, and few lines to show it in.
    operations = POLYNOMIAL + 3 * SMOOTH + (IN_PLACE if in_place else ())
    return _functions(_meeting(operations), _is_accurate, max_leaves, max_steps, scalar)


def polynomials(
    *,
    max_leaves: int = MAX_LEAVES,
    max_steps: int = 6,
    scalar: bool = False,
    in_place: bool = False,
    significant_bits: int = EXACT_BITS,
) -> st.SearchStrategy[Function]:
    """Draw a function whose values and derivatives are exact in float64: ``==`` judges it.

    A polynomial on each side of its branches. Values need at most ``significant_bits`` bits, so
    that a product of two such functions is exact as well with half as many. Otherwise as
    :func:`functions`.

    Example::

        @given(polynomials())
        def test(f): assert f.rounding == 0
    """
    _checked(max_leaves, max_steps)
    if not 12 <= significant_bits <= EXACT_BITS:
        raise InvalidArgument(f"significant_bits={significant_bits}: use 12 to {EXACT_BITS}")
    exact = partial(is_exact, bits=significant_bits)
    operations = POLYNOMIAL + (IN_PLACE if in_place else ())
    return _functions(_meeting(operations), exact, max_leaves, max_steps, scalar)


def complex_polynomials(
    *, max_leaves: int = MAX_LEAVES, max_steps: int = 6, scalar: bool = False
) -> st.SearchStrategy[Function]:
    """Draw a polynomial in complex leaves and their conjugates, exact in complex128.

    Few are holomorphic: they conjugate, and take real and imaginary parts. Otherwise as
    :func:`polynomials`; every value is complex.

    Example::

        @given(complex_polynomials())
        def test(f): assert f(*f.leaves(torch.device("cpu"))).is_complex()
    """
    _checked(max_leaves, max_steps)
    operations = POLYNOMIAL + 3 * COMPLEX
    exact = partial(is_exact, bits=EXACT_BITS - 6)  # one bit for each product of complex numbers
    drawn = (_meeting(operations), exact, max_leaves, max_steps, scalar)
    return _functions(*drawn, torch.complex128)


@st.composite
def _squares(draw: st.DrawFn, functions: st.SearchStrategy[Function]) -> Function:
    function = draw(functions)
    lines, result = function.body.rsplit("return ", 1)
    return replace(function, body=f"{lines}return {result} * {result}")


def squares(*, max_leaves: int = MAX_LEAVES, max_steps: int = 6) -> st.SearchStrategy[Function]:
    """Draw the square of a scalar-valued polynomial: exact, and nonlinear in what it reaches.

    Every such graph has tensors to save, and gradients that can be differentiated again.

    Example::

        @given(squares())
        def test(f): assert f.shape == ()
    """
    roots = polynomials(
        max_leaves=max_leaves, max_steps=max_steps, scalar=True, significant_bits=18
    )
    return _squares(roots)


def result_kind(function: Function) -> tuple[Shape, torch.dtype]:
    """Return the shape and dtype of a function's result, as cotangents need them."""
    kind = torch.complex128 if np.iscomplexobj(function.points[0]) else torch.float64
    return function.shape, kind


def numpy_of(function: Function) -> Callable[..., Any]:
    """Return the function evaluated by NumPy, which takes and returns arrays."""
    return function.under(np)


def weights(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return distinct dyadic numbers of a shape: a product with them tells entries apart."""
    count = torch.arange(1.0, 1 + prod(shape), dtype=torch.float64, device=device)
    return count.reshape(shape) / 8
