"""Exact derivatives of NumPy functions, with no differences of nearly equal numbers.

First derivatives by the complex step, ``Im f(x + ihu) / h`` (Squire and Trapp, 1998,
doi:10.1137/S003614459631241X): h is a power of two, so that on exact functions the result is
exact. Second derivatives by jets of random functions, and by Cauchy's integral of what is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference import jets

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
# Of sixteen points on the circle: a function that is real on reals has conjugate values at
# conjugate points, so that those of the upper half, but for its ends, count twice.
CIRCLE = np.exp(2j * np.pi * np.arange(9) / 16)
WEIGHTS = CIRCLE**-2 * np.array([1, 2, 2, 2, 2, 2, 2, 2, 1]) / 16


def second_derivative(
    function: Callable[..., Array], points: Sequence[Array], direction: Sequence[Array]
) -> tuple[Array, Array]:
    """Return the second derivative of ``function`` along ``direction``, and the function's size.

    Cauchy's integral by the trapezoidal rule on a circle (Lyness and Moler, 1967,
    doi:10.1137/0704019): the function is analytic within 2 ``RADIUS`` times the direction, and
    real on reals. The error is of the order of the size, or of the values that cancel in it,
    times float64's epsilon over ``RADIUS`` squared.
    """
    samples = np.stack(
        [function(*(p + RADIUS * z * d for p, d in zip(points, direction, strict=True)))
         for z in CIRCLE]
    )  # fmt: skip
    value = 2 * np.real(np.tensordot(WEIGHTS, samples, axes=1)) / RADIUS**2
    return value, np.max(np.abs(samples), axis=0)


def hessian_product(
    function: Callable[..., Any], points: Sequence[Array], direction: Sequence[Array]
) -> list[Array]:
    """Return, for each argument, the Hessian of a scalar-valued function times ``direction``.

    The function may use what :class:`~conformance.reference.jets.Jet` takes part in; random
    functions do. Exact on polynomials.
    """
    numbers = range(len(points))
    return [jets.derivative(function, points, number, direction) for number in numbers]
