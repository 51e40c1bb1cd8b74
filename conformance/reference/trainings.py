"""Trainings by hand: linear regressions, gradient descent on them, and what they converge to.

The mean squared error of ``X w`` has the Hessian ``2 X^T X / n``: descent at rate r multiplies the
distance to least squares by ``I - r H`` each step, so that it contracts if and only if r is below
``2 / lambda_max`` (Nocedal and Wright, Numerical Optimization, 2nd edition, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Problem = Callable[[np.random.Generator, int], tuple[Array, Array]]


def _line(slope: float, intercept: float, noise: float) -> Problem:
    """``y = slope x + intercept + noise``, as columns 1 and x."""

    def points(random: np.random.Generator, count: int) -> tuple[Array, Array]:
        x = random.uniform(-1, 1, count)
        y = slope * x + intercept + noise * random.standard_normal(count)
        return np.stack([np.ones(count), x], axis=1), y

    return points


def _parabola(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """``y = 3 x^2 + 2``, as columns 1, x and x squared."""
    x = random.uniform(-1, 1, count)
    return np.stack([np.ones(count), x, x**2], axis=1), 3 * x**2 + 2


def sine(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Return points of ``y = sin x`` from -pi to pi, x scaled to [-1, 1]."""
    x = np.sort(random.uniform(-1, 1, count))
    return x, np.sin(np.pi * x)


def _cubic(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """The sine by a polynomial of degree 3."""
    x, y = sine(random, count)
    return np.stack([x**power for power in range(4)], axis=1), y


def _plane(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """``y = x - 2 z``, as columns x and z."""
    points = random.uniform(-1, 1, (count, 2))
    return points, points @ np.array([1.0, -2.0])


PROBLEMS: dict[str, Problem] = {
    "line": _line(2.0, 1.0, 0.1),
    "steeper-line": _line(3.0, 0.8, 0.0),
    "parabola": _parabola,
    "sine": _cubic,
    "plane": _plane,
}
"""Design matrix, of shape (count, parameters), and targets by name, from random numbers."""


def batches(random: np.random.Generator, count: int, size: int, epochs: int) -> list[Array]:
    """Return the rows of each batch: every epoch a permutation, cut; the last one smaller."""
    orders = [random.permutation(count) for _ in range(epochs)]
    return [order[start : start + size] for order in orders for start in range(0, count, size)]


def descend(design: Array, targets: Array, rows: Sequence[Array], rate: float) -> list[Array]:
    """Return the parameters after each step of descent from 0 on the mean squared error."""
    weights, path = np.zeros(design.shape[1]), []
    for chosen in rows:
        residual = design[chosen] @ weights - targets[chosen]
        weights = weights - rate * 2 / len(chosen) * (design[chosen].T @ residual)
        path.append(weights)
    return path


def least_squares(design: Array, targets: Array) -> Array:
    """Return the parameters that descent converges to."""
    solution: Array = np.linalg.lstsq(design, targets, rcond=None)[0]
    return solution


def _hessian(design: Array) -> Array:
    return np.asarray(2 / len(design) * design.T @ design)


def curvatures(design: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of the mean squared error's Hessian, rising, and eigenvectors."""
    values, vectors = np.linalg.eigh(_hessian(design))
    return np.asarray(values), np.asarray(vectors)


def steepness(design: Array) -> float:
    """Return lambda_max, the largest curvature of the mean squared error."""
    return float(np.linalg.eigvalsh(_hessian(design))[-1])


def steepest(design: Array) -> Array:
    """Return the unit vector along which the mean squared error curves most."""
    return np.asarray(np.linalg.eigh(_hessian(design))[1][:, -1])


def contraction(design: Array, rate: float) -> float:
    """Return ``max |1 - rate lambda|`` over the Hessian's eigenvalues."""
    return float(np.abs(1 - rate * np.linalg.eigvalsh(_hessian(design))).max())


def legendre_path(x: Array, targets: Array, start: Array, rate: float, steps: int) -> list[Array]:
    """Return the parameters (a, b, c, d) of ``a + b P3(c + d x)`` after each step of descent.

    ``P3(z) = (5 z^3 - 3 z) / 2``, ``P3'(z) = (15 z^2 - 3) / 2``.
    """
    weights, path = np.array(start), []
    for _ in range(steps):
        a, b, c, d = weights
        z = c + d * x
        value, slope = (5 * z**3 - 3 * z) / 2, (15 * z**2 - 3) / 2
        residual = a + b * value - targets
        columns = np.stack([np.ones_like(x), value, b * slope, b * slope * x])
        weights = weights - rate * 2 / len(x) * columns @ residual
        path.append(weights)
    return path
