"""Exact derivatives of NumPy functions, with no differences of nearly equal numbers.

First derivatives by the complex step, ``Im f(x + ihu) / h`` (Squire and Trapp, 1998,
doi:10.1137/S003614459631241X): h is a power of two, so that on exact functions the result is
exact. Second derivatives by hyper-dual numbers (Fike and Alonso, 2011, doi:10.2514/6.2011-886) of
polynomials, and by Cauchy's integral of what is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
STEP = 2.0**-600  # its square underflows to 0: the real parts, on which branches depend, stay


def jacobian(function: Callable[..., Any], points: Sequence[Array]) -> list[Array]:
    """Return, for each argument, the Jacobian of shape ``result.shape + argument.shape``."""
    rows = []
    for number, point in enumerate(points):
        columns = []
        for position in np.ndindex(point.shape):
            moved = [np.array(p, dtype=np.complex128) for p in points]
            moved[number][position] += 1j * STEP
            columns.append(np.imag(function(*moved)) / STEP)
        shape = np.shape(columns[0] if columns else function(*points))
        stacked = np.stack(columns, axis=-1) if columns else np.zeros((*shape, 0))
        rows.append(stacked.reshape((*shape, *point.shape)))
    return rows


def vjp(function: Callable[..., Any], points: Sequence[Array], cotangent: Array) -> list[Array]:
    """Return, for each argument, the vector-Jacobian product ``J^T cotangent``."""
    axes = cotangent.ndim
    return [np.tensordot(cotangent, j, axes=axes) for j in jacobian(function, points)]


def gradient(function: Callable[..., Any], points: Sequence[Array]) -> list[Array]:
    """Return the gradient of a scalar-valued function to each argument."""
    return vjp(function, points, np.array(1.0))


RADIUS = 2.0**-7
CIRCLE = np.exp(2j * np.pi * np.arange(16) / 16)


def second_derivative(
    function: Callable[..., Array], points: Sequence[Array], direction: Sequence[Array]
) -> tuple[Array, Array]:
    """Return the second derivative of ``function`` along ``direction``, and the function's size.

    Cauchy's integral by the trapezoidal rule on a circle (Lyness and Moler, 1967,
    doi:10.1137/0704019): the function is analytic within 2 ``RADIUS`` times the direction. The
    error is of the order of the size times float64's epsilon over ``RADIUS`` squared.
    """
    samples = np.stack(
        [function(*(p + RADIUS * z * d for p, d in zip(points, direction, strict=True)))
         for z in CIRCLE]
    )  # fmt: skip
    weights = (CIRCLE**-2).reshape((-1,) + (1,) * (samples.ndim - 1))
    value = 2 * np.real(np.mean(samples * weights, axis=0)) / RADIUS**2
    return value, np.max(np.abs(samples), axis=0)


class HyperDual:
    """An array of numbers ``value + first e1 + second e2 + both e1 e2``, ``e1^2 = e2^2 = 0``.

    Takes part in ``+ - * @``, indexing, sums and NumPy's functions that only move elements.
    """

    def __init__(self, value: Any, first: Any = 0.0, second: Any = 0.0, both: Any = 0.0) -> None:
        zero = np.zeros_like(value)
        self.parts: tuple[Any, ...] = (value, first + zero, second + zero, both + zero)

    def _each(self, linear: Callable[[Any], Any]) -> HyperDual:
        return HyperDual(*map(linear, self.parts))

    @property
    def real(self) -> Any:
        """The values themselves, for conditions: a branch is a constant to its derivatives."""
        return self.parts[0]

    def __setitem__(self, index: Any, new: Any) -> None:
        for part, value in zip(self.parts, _hyper_dual(new).parts, strict=True):
            part[index] = value

    def __getitem__(self, index: Any) -> HyperDual:
        return self._each(lambda part: part[index])

    def reshape(self, *shape: int) -> HyperDual:
        """Reshape each part."""
        return self._each(lambda part: part.reshape(*shape))

    def sum(self, *axes: int) -> HyperDual:
        """Sum each part."""
        return self._each(lambda part: part.sum(*axes))

    def __neg__(self) -> HyperDual:
        return self._each(np.negative)

    def __add__(self, other: Any) -> HyperDual:
        return HyperDual(*map(np.add, self.parts, _hyper_dual(other).parts))

    def __sub__(self, other: Any) -> HyperDual:
        return self + -_hyper_dual(other)

    def __mul__(self, other: Any) -> HyperDual:
        return self._product(np.multiply, other)

    def __matmul__(self, other: Any) -> HyperDual:
        return self._product(np.matmul, other)

    def _product(self, times: Callable[[Any, Any], Any], other: Any) -> HyperDual:
        a, b = self.parts, _hyper_dual(other).parts
        return HyperDual(
            times(a[0], b[0]),
            times(a[0], b[1]) + times(a[1], b[0]),
            times(a[0], b[2]) + times(a[2], b[0]),
            times(a[0], b[3]) + times(a[1], b[2]) + times(a[2], b[1]) + times(a[3], b[0]),
        )

    def __array_function__(
        self, function: Any, types: Any, arguments: Any, keywords: Any
    ) -> HyperDual:
        if function not in _LINEAR:
            raise TypeError(f"numpy.{function.__name__} is not known to be linear")
        return HyperDual(*(function(*_part(arguments, number), **keywords) for number in range(4)))


_LINEAR = (
    np.stack, np.concatenate, np.swapaxes, np.moveaxis, np.flip, np.roll, np.tile, np.tril,
    np.diagonal, np.trace, np.cumsum, np.diff, np.broadcast_to, np.where,
)  # fmt: skip
"""NumPy's functions that take each part of their operands to the same part of the result."""


def _hyper_dual(number: Any) -> HyperDual:
    return number if isinstance(number, HyperDual) else HyperDual(number)


def _part(value: Any, number: int) -> Any:
    if isinstance(value, HyperDual):
        return value.parts[number]
    return tuple(_part(v, number) for v in value) if isinstance(value, tuple) else value


def hessian_product(
    function: Callable[..., Any], points: Sequence[Array], direction: Sequence[Array]
) -> list[Array]:
    """Return, for each argument, the Hessian of a scalar-valued function times ``direction``.

    The function may use what :class:`HyperDual` takes part in; polynomials do.
    """
    products = []
    for number, point in enumerate(points):
        product = np.empty(point.shape)
        for position in np.ndindex(point.shape):
            unit = [np.zeros(p.shape) for p in points]
            unit[number][position] = 1.0
            lifted = map(HyperDual, points, unit, direction)
            product[position] = function(*lifted).parts[3]
        products.append(product)
    return products
