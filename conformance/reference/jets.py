"""Exact derivatives of any order, with a bound on what rounding can do to them.

A *jet* is a number in several nilpotent units, ``value + part1 e1 + part2 e2 + part12 e1 e2 ...``
with ``e1^2 = e2^2 = 0``: hyper-dual numbers (Fike and Alonso, 2011, doi:10.2514/6.2011-886) of any
order. A function of jets gives mixed derivatives with neither differences nor truncation.

A *majorant* follows the same calculation with absolute values, and one unit more that collects
the rounding of every step: what it holds in the end bounds, to first order, how far any order of
the same sums and products can be from the exact derivative (running error analysis: Wilkinson,
1986, doi:10.1007/BF02165408).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Derivatives = Callable[[Any, int], list[Any]]

ULPS = 4.0
"""What one step's result may be off by, in units of epsilon: libraries' elementary functions."""
MARGIN = 2.0
"""Additions that another order of the same sums may make more of."""


class Jet:
    """An array of numbers in nilpotent units; ``parts[S]`` is what multiplies the units in ``S``.

    ``S`` is a set of units as bits. Takes part in arithmetic, indexing, writing, sums and the
    functions that random functions are made of; conditions see the values, ``real``.
    """

    def __init__(self, values: Any, parts: Sequence[Any]) -> None:
        self.values = values
        self.parts = tuple(parts)

    @property
    def real(self) -> Any:
        """The values themselves, for conditions: a branch is a constant to its derivatives."""
        return self.values.real

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(np.shape(self.values))

    def _made(self, values: Any, parts: Sequence[Any]) -> Jet:
        return type(self)(values, parts)

    def _constant(self, number: Any) -> Jet:
        zero = np.zeros_like(number)
        return type(self)(number, (self._size(number), *[zero] * (len(self.parts) - 1)))

    def _lift(self, number: Any) -> Jet:
        return number if isinstance(number, Jet) else self._constant(np.asarray(number))

    def _size(self, number: Any) -> Any:
        return number

    def _each(self, linear: Callable[[Any], Any]) -> Jet:
        return self._made(linear(self.values), [linear(part) for part in self.parts])

    def _nilpotent(self) -> Jet:
        return type(self)(self.values, (np.zeros_like(self.parts[0]), *self.parts[1:]))

    def __getitem__(self, index: Any) -> Jet:
        return self._each(lambda part: part[index])

    def __setitem__(self, index: Any, new: Any) -> None:
        lifted = self._lift(new)
        self.values[index] = lifted.values
        for part, value in zip(self.parts, lifted.parts, strict=True):
            part[index] = value

    def reshape(self, *shape: int) -> Jet:
        """Reshape each part."""
        return self._each(lambda part: part.reshape(*shape))

    def sum(self, *axes: int) -> Jet:
        """Sum each part."""
        return self._each(lambda part: part.sum(*axes))

    def mean(self, *axes: int) -> Jet:
        """Average each part."""
        return self._each(lambda part: part.mean(*axes))

    def conjugate(self) -> Jet:
        """Conjugate each part: the units are real."""
        return self._each(np.conjugate)

    def __neg__(self) -> Jet:
        return self * -1.0

    def __add__(self, other: Any) -> Jet:
        b = self._lift(other)
        return self._made(self.values + b.values, list(map(np.add, self.parts, b.parts)))

    def __sub__(self, other: Any) -> Jet:
        return self + -self._lift(other)

    def __rsub__(self, other: Any) -> Jet:
        return self._lift(other) - self

    def __mul__(self, other: Any) -> Jet:
        return self._product(np.multiply, self._lift(other))

    def __matmul__(self, other: Any) -> Jet:
        return self._product(np.matmul, self._lift(other))

    def __truediv__(self, other: Any) -> Jet:
        return self * self._lift(other) ** -1.0

    def __rtruediv__(self, other: Any) -> Jet:
        return self._lift(other) / self

    def __pow__(self, exponent: float) -> Jet:
        return self.through(power(exponent))

    __radd__ = __add__
    __rmul__ = __mul__

    def _product(self, times: Callable[[Any, Any], Any], other: Jet) -> Jet:
        a, b = self.parts, other.parts
        parts = []
        for units in range(len(a)):
            splits = [s for s in range(units + 1) if s & units == s]
            terms = [times(a[s], b[units ^ s]) for s in splits]
            parts.append(sum(terms[1:], terms[0]))
        return self._made(times(self.values, other.values), parts)

    def through(self, derivatives: Derivatives) -> Jet:
        """Return ``g`` of the jet, by the Taylor polynomial of ``g`` at each value."""
        order = len(self.parts).bit_length() - 1
        ahead = derivatives(self.values, order)
        total, step = self._constant(ahead[0]), self._nilpotent()
        total.parts = (self._size(ahead[0]), *total.parts[1:])
        term = step
        for number in range(1, order + 1):
            total = _plain_sum(total, term, self._size(ahead[number]) / factorial(number))
            term = Jet._product(_plain(term), np.multiply, step)
        return self._made(ahead[0], total.parts)

    def __array_ufunc__(self, function: Any, method: str, *operands: Any, **words: Any) -> Any:
        if function in ELEMENTARY and len(operands) == 1:
            return self.through(ELEMENTARY[function])
        if function is np.conjugate:
            return self.conjugate()
        a, b = operands
        if isinstance(a, Jet):
            raise TypeError(f"numpy.{function.__name__} of a jet is not known")
        return {
            np.add: b.__radd__, np.multiply: b.__rmul__, np.subtract: b.__rsub__,
            np.true_divide: b.__rtruediv__, np.matmul: lambda a: b._lift(a) @ b,
        }[function](a)  # fmt: skip

    def __array_function__(self, function: Any, types: Any, words: Any, more: Any) -> Jet:
        if function not in LINEAR:
            raise TypeError(f"numpy.{function.__name__} is not known to be linear")
        lifted = words
        if function is np.where:
            lifted = (words[0], self._lift(words[1]), self._lift(words[2]))
        values = function(*_part(lifted, -1), **more)
        parts = [self._linear(function, _part(lifted, n), more) for n in range(len(self.parts))]
        return self._made(values, parts)

    def _linear(self, function: Any, arguments: Any, words: Any) -> Any:
        return function(*arguments, **words)


class Majorant(Jet):
    """A jet of absolute values whose last unit collects the rounding of every step."""

    def _size(self, number: Any) -> Any:
        return np.abs(number)

    def _made(self, values: Any, parts: Sequence[Any]) -> Jet:
        half = len(parts) // 2
        rounded = [parts[half + n] + ULPS * parts[n] for n in range(half)]
        return Majorant(values, (*parts[:half], *rounded))

    def through(self, derivatives: Derivatives) -> Jet:
        """Return what bounds ``g`` of the jet, with the sizes of ``g``'s derivatives."""
        sizes = SIZES.get(derivatives, derivatives)
        order = len(self.parts).bit_length() - 1
        value = derivatives(self.values, 0)[0]
        taken = Jet(self.values, self.parts).through(
            lambda values, _: [np.abs(d) for d in sizes(values, order)]
        )
        return self._made(value, taken.parts)

    def _linear(self, function: Any, arguments: Any, words: Any) -> Any:
        if function is np.diff:
            return arguments[0][..., 1:] + arguments[0][..., :-1]
        return function(*arguments, **words)


def _plain(jet: Jet) -> Jet:
    return Jet(jet.values, jet.parts)


def _plain_sum(total: Jet, term: Jet, weight: Any) -> Jet:
    return Jet(total.values, [t + weight * p for t, p in zip(total.parts, term.parts, strict=True)])


LINEAR = (
    np.stack, np.concatenate, np.swapaxes, np.moveaxis, np.flip, np.roll, np.tile, np.tril,
    np.diagonal, np.trace, np.cumsum, np.diff, np.broadcast_to, np.where, np.real, np.imag,
)  # fmt: skip
"""NumPy's functions that take each part of their operands to the same part of the result."""


def _part(value: Any, number: int) -> Any:
    """Part ``number`` of every jet among the arguments; -1 stands for the values."""
    if isinstance(value, Jet):
        return value.values if number < 0 else value.parts[number]
    return tuple(_part(v, number) for v in value) if isinstance(value, tuple) else value


def power(exponent: float) -> Derivatives:
    """Return what gives the derivatives of ``x ** exponent``."""

    def derivatives(x: Any, order: int) -> list[Any]:
        found, factor = [], 1.0
        for number in range(order + 1):
            found.append(factor * x ** (exponent - number))
            factor *= exponent - number
        return found

    return derivatives


def _cycle(*functions: Callable[[Any], Any]) -> Derivatives:
    """Derivatives that come round again."""
    return lambda x, order: [functions[n % len(functions)](x) for n in range(order + 1)]


def _logarithm(x: Any, order: int) -> list[Any]:
    return [np.log(x), *(power(-1.0)(x, order - 1) if order else [])]


def _tangent(x: Any, order: int) -> list[Any]:
    """tanh: with t = tanh x, each derivative is a polynomial in t, since t' = 1 - t^2."""
    polynomial, found = np.polynomial.Polynomial([0.0, 1.0]), []
    for _ in range(order + 1):
        found.append(polynomial(np.tanh(x)))
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1.0, 0.0, -1.0])
    return found


def _ones(x: Any, order: int) -> list[Any]:
    return [np.ones_like(x)] * (order + 1)


def _tangent_sizes(x: Any, order: int) -> list[Any]:
    """The terms of those polynomials cancel: 1 - t^2 is computed from numbers of size 1."""
    return [np.full_like(x, (1, 2, 4, 16, 80, 512)[n]) for n in range(order + 1)]


def _hyperbolic_sizes(x: Any, order: int) -> list[Any]:
    return [np.cosh(x)] * (order + 1)


_sine = _cycle(np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x))
_cosine = _cycle(np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin)
_hyperbolic_sine = _cycle(np.sinh, np.cosh)

ELEMENTARY: dict[Any, Derivatives] = {
    np.exp: _cycle(np.exp),
    np.sin: _sine,
    np.cos: _cosine,
    np.sinh: _hyperbolic_sine,
    np.tanh: _tangent,
    np.log: _logarithm,
    np.sqrt: power(0.5),
}
SIZES: dict[Derivatives, Derivatives] = {
    _sine: _ones, _cosine: _ones, _tangent: _tangent_sizes, _hyperbolic_sine: _hyperbolic_sizes,
}  # fmt: skip
"""Where derivatives vanish that are computed from larger numbers: the size of those."""


def differential(
    function: Callable[..., Any], points: Sequence[Array], *directions: Sequence[Array]
) -> Array:
    """Return the mixed derivative of ``function`` along ``directions``, one after the other.

    Each direction holds an array for each argument; without directions it is the value itself.
    """
    lifted = (Jet(p.copy(), parts) for p, parts in _lifted(points, directions))
    result = function(*lifted)
    return np.array(result.parts[-1] if isinstance(result, Jet) else np.zeros_like(result))


def rounding(function: Callable[..., Any], points: Sequence[Array], order: int) -> float:
    """Return how far rounding can take a derivative of that order, computed in float64.

    Along directions whose entries are at most 1 in size; their sizes multiply it.
    """
    ones = [np.ones(point.shape) for point in points]
    nothing = [np.zeros(point.shape) for point in points]
    sizes = [
        Majorant(point.copy(), [np.abs(part) for part in parts])
        for point, parts in _lifted(points, [*[ones] * order, nothing])
    ]
    last = function(*sizes).parts[-1]
    return MARGIN * float(np.finfo(np.float64).eps) * float(np.max(last, initial=0.0))


def _lifted(
    points: Sequence[Array], directions: Sequence[Sequence[Array]]
) -> Iterator[tuple[Array, list[Array]]]:
    for number, point in enumerate(points):
        parts = [np.zeros_like(point) for _ in range(2 ** len(directions))]
        parts[0] = point.copy()
        for unit, direction in enumerate(directions):
            parts[2**unit] = np.array(direction[number], dtype=point.dtype)
        yield point, parts


def unit_directions(points: Sequence[Array], number: int) -> list[list[Array]]:
    """Return the directions along each entry of argument ``number``, in order."""
    directions = []
    for position in np.ndindex(points[number].shape):
        direction = [np.zeros_like(point) for point in points]
        direction[number][position] = 1.0
        directions.append(direction)
    return directions


def derivative(
    function: Callable[..., Any],
    points: Sequence[Array],
    number: int,
    *directions: Sequence[Array],
) -> Array:
    """Return the derivative to argument ``number`` of the one along ``directions``.

    Of shape ``result.shape + argument.shape``: the Jacobian without directions, the product of
    the Hessian with one.
    """
    units = unit_directions(points, number)
    columns = [differential(function, points, unit, *directions) for unit in units]
    return _shaped(columns, np.shape(function(*points)), points[number].shape)


def _shaped(columns: Sequence[Array], result: Shape, argument: Shape) -> Array:
    """Columns side by side, as the last dimensions of an array."""
    joined = np.stack(columns, axis=-1) if columns else np.zeros((*result, 0))
    return np.asarray(joined.reshape((*result, *argument)))


def hessian(function: Callable[..., Any], points: Sequence[Array]) -> list[list[Array]]:
    """Return second derivatives to each two arguments, of shape ``result + first + second``."""
    result = np.shape(function(*points))
    units = [unit_directions(points, number) for number in range(len(points))]
    blocks: dict[tuple[int, int], Array] = {}
    for i, first in enumerate(units):
        for j, second in enumerate(units[: i + 1]):
            columns = [differential(function, points, u, v) for u in first for v in second]
            shapes = points[i].shape, points[j].shape
            blocks[i, j] = _shaped(columns, result, shapes[0] + shapes[1])
            moved = [len(result) + n for n in range(len(shapes[0]))]
            blocks[j, i] = np.moveaxis(
                blocks[i, j], moved, [n - len(moved) for n in range(len(moved))]
            )
    numbers = range(len(points))
    return [[blocks[i, j] for j in numbers] for i in numbers]
