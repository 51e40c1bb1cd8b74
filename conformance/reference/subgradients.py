"""What gradients are at kinks, ties and the ends of domains, by the rules that torch documents.

notes/autograd.html, "Gradients for non-differentiable functions", in order: where the function is
differentiable, its gradient; where it is convex, at least locally, the subgradient of minimum
norm; where it is concave, the supergradient of minimum norm; else by continuity, infinities
included, any where several are possible. Where a function is not defined nothing is promised,
and no table has an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Slopes = tuple[float, ...]


def smooth(slope: float) -> Slopes:
    """Rule 1, or rule 4 where only one value is possible: the slope."""
    return (slope,)


def convex(left: float, right: float) -> Slopes:
    """Rule 2: of the slopes from ``left`` to ``right``, which is larger, the nearest to 0."""
    if not left < right:
        raise ValueError(f"slopes {left} and {right} do not rise: no convex kink")
    return (min(max(0.0, left), right),)


def concave(left: float, right: float) -> Slopes:
    """Rule 3: of the slopes from ``left`` down to ``right``, the nearest to 0."""
    return tuple(-slope for slope in convex(-left, -right))


def several(*slopes: float) -> Slopes:
    """Rule 4 where several values are possible: any of them."""
    return slopes


Points = Mapping[float, Slopes]
"""Slopes at some points of a function of one variable: its kinks, and some others."""

_SIGN: Points = {-2.0: smooth(-1), 0.0: convex(-1, 1), 1.0: smooth(1)}
_CLAMPED: Points = {
    -2.0: smooth(0), -1.0: convex(0, 1), 0.0: smooth(1), 1.0: concave(1, 0), 2.0: smooth(0),
}  # fmt: skip
_RAMP: Points = {-1.0: smooth(0), 0.0: convex(0, 1), 2.0: smooth(1)}
_STEPS: Points = dict.fromkeys((-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5), smooth(0))

SLOPES: dict[str, Points] = {
    "abs": _SIGN,
    "sign": _STEPS,
    "sgn": _STEPS,
    "relu": _RAMP,
    "relu6": {
        -1.0: smooth(0), 0.0: convex(0, 1), 3.0: smooth(1), 6.0: concave(1, 0), 7.0: smooth(0),
    },
    "leaky_relu": {-1.0: smooth(0.25), 0.0: convex(0.25, 1), 2.0: smooth(1)},
    "leaky_relu-steep": {-1.0: smooth(2), 0.0: concave(2, 1), 2.0: smooth(1)},
    "leaky_relu-falling": {-1.0: smooth(-0.5), 0.0: convex(-0.5, 1), 2.0: smooth(1)},
    "prelu": {-1.0: smooth(0.25), 0.0: convex(0.25, 1), 2.0: smooth(1)},
    "prelu-steep": {-1.0: smooth(2), 0.0: concave(2, 1), 2.0: smooth(1)},
    "hardtanh": _CLAMPED,
    "hardsigmoid": {
        -5.0: smooth(0), -3.0: convex(0, 1 / 6), 3.0: concave(1 / 6, 0), 4.0: smooth(0),
    },
    "hardswish": {
        -4.0: smooth(0), -3.0: several(0, -0.5), 0.0: smooth(0.5), 3.0: several(1.5, 1),
        4.0: smooth(1),
    },
    "elu": {0.0: smooth(1), 2.0: smooth(1)},
    "elu-flat": {0.0: convex(0.5, 1), 2.0: smooth(1)},
    "celu": {0.0: smooth(1), 2.0: smooth(1)},
    "softshrink": {
        -1.0: smooth(1), -0.5: concave(1, 0), 0.0: smooth(0), 0.5: convex(0, 1), 2.0: smooth(1),
    },
    "hardshrink": {
        -1.0: smooth(1), -0.5: several(1, 0), 0.0: smooth(0), 0.5: several(0, 1), 2.0: smooth(1),
    },
    "threshold": {0.0: smooth(0), 1.0: convex(0, 1), 2.0: smooth(1)},
    "threshold-jump": {0.0: smooth(0), 1.0: several(0, 1), 2.0: smooth(1)},
    "softsign": {-1.0: smooth(0.25), 0.0: smooth(1), 1.0: smooth(0.25)},
    "clamp": _CLAMPED,
    "clamp-inside": {-2.0: smooth(0), -0.5: smooth(1), 0.0: smooth(1), 2.0: smooth(0)},
    "clamp_min": _RAMP,
    "clamp_max": {-1.0: smooth(1), 0.0: concave(1, 0), 2.0: smooth(0)},
    "frac": dict.fromkeys(_STEPS, smooth(1)),
    "floor": _STEPS,
    "ceil": _STEPS,
    "round": _STEPS,
    "trunc": _STEPS,
    "fmod": dict.fromkeys((-2.0, 0.0, 1.0, 2.0, 4.0), smooth(1)),
    "remainder": dict.fromkeys((-2.0, 0.0, 1.0, 2.0, 4.0), smooth(1)),
    "copysign": _SIGN,
    "copysign-negative": {x: tuple(-slope for slope in slopes) for x, slopes in _SIGN.items()},
    "sqrt": {0.0: smooth(inf), 1.0: smooth(0.5), 4.0: smooth(0.25)},
    "asin": {-1.0: smooth(inf), 0.0: smooth(1), 1.0: smooth(inf)},
    "acos": {-1.0: smooth(-inf), 0.0: smooth(-1), 1.0: smooth(-inf)},
    "acosh": {1.0: smooth(inf)},
    "sinc": {0.0: smooth(0)},
    "angle": {-1.0: smooth(0), 0.0: smooth(0), 2.0: smooth(0)},
    "pow-0": {-1.0: smooth(0), 0.0: smooth(0), 2.0: smooth(0)},
    "pow-half": {0.0: smooth(inf), 1.0: smooth(0.5), 4.0: smooth(0.25)},
    "pow-1": {-1.0: smooth(1), 0.0: smooth(1), 2.0: smooth(1)},
    "pow-3halves": {0.0: smooth(0), 1.0: smooth(1.5), 4.0: smooth(3)},
    "pow-2": {-1.0: smooth(-2), 0.0: smooth(0), 2.0: smooth(4)},
    "power-of-zero": {0.0: smooth(0), 0.5: smooth(0), 1.0: smooth(0), 2.0: smooth(0)},
    "xlogy-of-zero": {0.0: smooth(0), 1.0: smooth(0), 2.0: smooth(0)},
    "nan_to_num": {
        -inf: smooth(0), -1.0: smooth(1), 0.0: smooth(1), 2.0: smooth(1), inf: smooth(0),
        nan: smooth(0),
    },
}  # fmt: skip
"""Functions of one variable: leaky_relu with slope 1/4 (steep: 2, falling: -1/2), prelu likewise,
elu and celu with alpha 1 and 2 (flat: 1/2), softshrink and hardshrink with 1/2, threshold to
``x if x > 1 else 1`` (jump: else 0), hardtanh and clamp to -1 .. 1, clamp_min and clamp_max to 0,
fmod and remainder by 2, copysign of 1 (negative: -1), powers by exponent. hardswish and the jumps
are neither convex nor concave. Functions of one variable with the other 0: ``0 ** y`` for y >= 0,
``xlogy(0, y)``."""

_EQUAL = ((0.5,), (0.5,))
Pair = tuple[float, float]
PairPoints = Mapping[Pair, tuple[Slopes, Slopes]]
"""Slopes by the first and by the second variable, at some points of a function of two."""

_DISTANCE: PairPoints = {
    (1.0, 1.0): (convex(-1, 1), convex(-1, 1)), (0.0, -0.0): (convex(-1, 1), convex(-1, 1)),
    (2.0, 1.0): (smooth(1), smooth(-1)), (-1.0, 1.0): (smooth(-1), smooth(1)),
}  # fmt: skip
PAIR_SLOPES: dict[str, PairPoints] = {
    "maximum": {
        (1.0, 1.0): _EQUAL, (0.0, -0.0): _EQUAL, (-2.0, -2.0): _EQUAL, (inf, inf): _EQUAL,
        (2.0, 1.0): (smooth(1), smooth(0)), (-inf, 1.0): (smooth(0), smooth(1)),
    },
    "minimum": {
        (1.0, 1.0): _EQUAL, (0.0, -0.0): _EQUAL, (-2.0, -2.0): _EQUAL, (-inf, -inf): _EQUAL,
        (2.0, 1.0): (smooth(0), smooth(1)), (-inf, 1.0): (smooth(1), smooth(0)),
    },
    "fmax-nan": {
        (nan, 1.0): (smooth(0), smooth(1)), (1.0, nan): (smooth(1), smooth(0)),
        (2.0, 1.0): (smooth(1), smooth(0)), (-1.0, 1.0): (smooth(0), smooth(1)),
    },
    "fmin-nan": {
        (nan, 1.0): (smooth(0), smooth(1)), (1.0, nan): (smooth(1), smooth(0)),
        (2.0, 1.0): (smooth(0), smooth(1)), (-1.0, 1.0): (smooth(1), smooth(0)),
    },
    "fmax": {(1.0, 1.0): _EQUAL, (0.0, -0.0): _EQUAL, (2.0, 1.0): (smooth(1), smooth(0))},
    "fmin": {(1.0, 1.0): _EQUAL, (0.0, -0.0): _EQUAL, (2.0, 1.0): (smooth(0), smooth(1))},
    "clamp_min": {(1.0, 1.0): _EQUAL, (2.0, 1.0): (smooth(1), smooth(0))},
    "clamp_max": {(1.0, 1.0): _EQUAL, (2.0, 1.0): (smooth(0), smooth(1))},
    "clamp_min-apart": {
        (2.0, 1.0): (smooth(1), smooth(0)), (-1.0, 1.0): (smooth(0), smooth(1)),
        (inf, 1.0): (smooth(1), smooth(0)),
    },
    "clamp_max-apart": {
        (2.0, 1.0): (smooth(0), smooth(1)), (-1.0, 1.0): (smooth(1), smooth(0)),
        (-inf, 1.0): (smooth(1), smooth(0)),
    },
    "hypot": {(0.0, 0.0): (smooth(0), smooth(0)), (0.0, -2.0): (smooth(0), smooth(-1))},
    "hypot-apart": {
        (0.0, 1.0): (smooth(0), smooth(1)), (0.0, -2.0): (smooth(0), smooth(-1)),
        (4.0, 0.0): (smooth(1), smooth(0)), (-1.0, 0.0): (smooth(-1), smooth(0)),
    },
    "logaddexp": {
        (0.0, 0.0): _EQUAL, (-2.0, -2.0): _EQUAL,
        (-inf, 1.0): (smooth(0), smooth(1)), (1.0, -inf): (smooth(1), smooth(0)),
    },
    "l1_loss": _DISTANCE,
    "smooth_l1_loss-absolute": _DISTANCE,
    "smooth_l1_loss": {
        (2.0, 1.0): (smooth(1), smooth(-1)), (0.0, 1.0): (smooth(-1), smooth(1)),
        (1.0, 1.0): (smooth(0), smooth(0)), (1.5, 1.0): (smooth(0.5), smooth(-0.5)),
        (4.0, 1.0): (smooth(1), smooth(-1)),
    },
    "huber_loss": {
        (3.0, 1.0): (smooth(2), smooth(-2)), (-1.0, 1.0): (smooth(-2), smooth(2)),
        (1.0, 1.0): (smooth(0), smooth(0)), (2.0, 1.0): (smooth(1), smooth(-1)),
        (5.0, 1.0): (smooth(2), smooth(-2)),
    },
}  # fmt: skip
"""Functions of two variables: slopes by either. At ties of maxima and minima the subgradients of
minimum norm are halves: the nearest point to 0 of the segment from (1, 0) to (0, 1). At the origin
of hypot and of distances they are 0. smooth_l1_loss with beta 1 (absolute: 0), huber_loss with
delta 2."""


def _same(first: object, second: object) -> bool:
    """Equal, or nan both; so are pairs part by part."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return all(_same(a, b) for a, b in zip(first, second, strict=True))
    return first == second or (first != first and second != second)


def _at(points: Mapping[Any, Any], point: object) -> Any:
    for at, slopes in points.items():
        if _same(at, point):
            return slopes
    raise KeyError(f"the table has no point {point}")


def candidates(points: Points, inputs: Array) -> tuple[Array, Array]:
    """Return the slopes that a gradient may have at the inputs; the same twice if only one.

    Raises ``KeyError`` where an input is no point of the table.
    """
    found = [_at(points, x) for x in inputs.ravel().tolist()]
    first = np.array([slopes[0] for slopes in found], dtype=np.float64)
    last = np.array([slopes[-1] for slopes in found], dtype=np.float64)
    return first.reshape(inputs.shape), last.reshape(inputs.shape)


def pair_slopes(points: PairPoints, first: Array, second: Array) -> tuple[Array, Array]:
    """Return the slopes by the first and by the second variable at pairs of inputs.

    Raises ``KeyError`` where a pair is no point of the table.
    """
    pairs = zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)
    found = [_at(points, pair) for pair in pairs]
    by_first = np.array([slopes[0][0] for slopes in found], dtype=np.float64)
    by_second = np.array([slopes[1][0] for slopes in found], dtype=np.float64)
    return by_first.reshape(first.shape), by_second.reshape(first.shape)


def evenly(array: Array, dims: tuple[int, ...], sign: int = 1) -> Array:
    """Return the slopes of a maximum over ``dims`` (minimum for ``sign`` -1): shared by ties.

    The subgradient of minimum norm of a maximum: the nearest point to 0 of the simplex.
    """
    signed = sign * array
    ties = signed == signed.max(axis=dims, keepdims=True)
    shared: Array = ties / ties.sum(axis=dims, keepdims=True)
    return shared


def norm_slopes(array: Array, order: float, dims: tuple[int, ...]) -> Array:
    """Return the slopes of the vector norm of an order of at least 1 over ``dims``; 0 at 0."""
    size = np.abs(array)
    if order == inf:
        return np.sign(array) * evenly(size, dims)
    if order == 1:
        return np.sign(array)
    norm = (size**order).sum(axis=dims, keepdims=True) ** (1 / order)
    scaled = np.divide(size, norm, out=np.zeros_like(size), where=norm != 0)
    slopes: Array = np.sign(array) * scaled ** (order - 1)
    return slopes


def product_slopes(array: Array, axis: int) -> Array:
    """Return the slopes of the product along ``axis``: at each place that of all the others."""
    slopes = np.empty_like(array)
    for place in range(array.shape[axis]):
        others = np.delete(array, place, axis).prod(axis=axis)
        np.moveaxis(slopes, axis, 0)[place] = others
    return slopes


def cumulative_product_vjp(array: Array, axis: int, cotangent: Array) -> Array:
    """Return the cotangent times the Jacobian of the cumulative product along ``axis``."""
    values, upstream = np.moveaxis(array, axis, 0), np.moveaxis(cotangent, axis, 0)
    gradient = np.zeros_like(values)
    for end in range(len(values)):
        gradient[: end + 1] += product_slopes(values[: end + 1], 0) * upstream[end]
    return np.moveaxis(gradient, 0, axis)


def scatter_rows(cotangent: Array, index: Array, axis: int, side: int) -> Array:
    """Return the gradient of a selection along ``axis``: each cotangent added where it was read."""
    places = np.moveaxis(index, axis, 0)
    upstream = np.moveaxis(cotangent, axis, 0)
    gradient = np.zeros((side, *places.shape[1:]), dtype=cotangent.dtype)
    for row, values in zip(places, upstream, strict=True):
        for rest in np.ndindex(row.shape):
            gradient[(int(row[rest]), *rest)] += values[rest]
    return np.moveaxis(gradient, 0, axis)


def distance_slopes(first: Array, second: Array) -> tuple[Array, Array]:
    """Return the slopes of all distances between points on a line: signs of the differences.

    Arrays of shape (first, second), by the first point and by the second; 0 where they meet.
    """
    signs: Array = np.sign(first[:, None] - second[None, :])
    return signs, -signs
