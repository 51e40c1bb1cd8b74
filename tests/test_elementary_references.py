"""The references of special functions against mpmath, in value and in derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import bessel, derivatives, elementary, error_functions, special

Array = npt.NDArray[Any]
Function = Callable[..., Any]

ANYWHERE = [
    s * x for x in (0.125, 0.5, 0.75, 1.0, 1.9, 2.5, 4.75, 8.5, 12.5, 20.5) for s in (1, -1)
]
ABOVE = [2.0**-20, 2.0**-4, 0.125, 0.75, 1.0, 1.5, 2.5, 4.75, 8.5, 17.0, 25.0, 33.0, 100.0, 1000.0]
INSIDE = [2.0**-20, 0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]
NEAR = [s * n / 16 for n in range(9, 32) for s in (1, -1)]
NEAR_ABOVE = [x for x in NEAR if x > 0]


def ndtr(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def log_gamma(x: Any) -> Any:
    return mpmath.log(abs(mpmath.gamma(x)))


VALUES: dict[str, tuple[Function, Function, list[float], float]] = {
    "erfcx": (error_functions.erfcx, lambda x: mpmath.exp(x * x) * mpmath.erfc(x), ANYWHERE, 16),
    "erfinv": (error_functions.erfinv, mpmath.erfinv, [*INSIDE, *(-x for x in INSIDE)], 6),
    "ndtri": (
        error_functions.ndtri, lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1), INSIDE, 8,
    ),
    "i0": (bessel.i0, lambda x: mpmath.besseli(0, x), [*ANYWHERE, 33.0, 100.0], 8),
    "i1": (bessel.i1, lambda x: mpmath.besseli(1, x), [*ANYWHERE, 33.0, 100.0], 8),
    "i0e": (bessel.i0e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), ANYWHERE, 8),
    "i1e": (bessel.i1e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), ANYWHERE, 8),
}  # fmt: skip


def ulps_apart(got: Any, wanted: Any) -> float:
    return float(abs(mpmath.mpf(float(got)) - wanted) / np.spacing(abs(float(wanted))))


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    ours, theirs, points, ulps = VALUES[name]
    with mpmath.workdps(50):
        for x in points:
            assert ulps_apart(ours(np.array(x)), theirs(mpmath.mpf(x))) <= ulps, x


RELATIVE_TO: dict[str, tuple[Function, Function, Function, list[tuple[float, ...]], float]] = {
    "ndtr": (
        error_functions.ndtr, ndtr, error_functions.ndtr_magnitude, [(x,) for x in ANYWHERE], 2,
    ),
    "log_ndtr": (
        error_functions.log_ndtr, lambda x: mpmath.log(ndtr(x)), error_functions.log_ndtr_magnitude,
        [(x,) for x in ANYWHERE], 4,
    ),
    "lgamma": (
        special.lgamma, log_gamma, special.lgamma_magnitude,
        [(x,) for x in [*ABOVE, -0.5, -1.25, -2.625, -10.25]], 4,
    ),
    "digamma": (
        special.digamma, mpmath.digamma, special.digamma_magnitude,
        [(x,) for x in [*ABOVE, -0.5, -1.25, -2.625, -10.25, -(2.0**-12)]], 4,
    ),
    "zeta": (
        special.zeta, mpmath.zeta, lambda s, q: special.zeta(s, q),
        [(s, q) for s in (1.0625, 1.5, 2.0, 4.0, 8.5) for q in ABOVE], 8,
    ),
    "igamma": (
        special.igamma, lambda a, x: mpmath.gammainc(a, 0, x, regularized=True),
        special.igamma_magnitude, [(a, x) for a in ABOVE[1:] for x in ABOVE[1:]], 8,
    ),
    "igammac": (
        special.igammac, lambda a, x: mpmath.gammainc(a, x, regularized=True),
        special.igammac_magnitude, [(a, x) for a in ABOVE[1:] for x in ABOVE[1:]], 8,
    ),
    "j0": (bessel.j0, mpmath.j0, bessel.first_kind_magnitude, [(x,) for x in ANYWHERE + ABOVE], 4),
    "j1": (bessel.j1, mpmath.j1, bessel.first_kind_magnitude, [(x,) for x in ANYWHERE + ABOVE], 4),
    "y0": (
        bessel.y0, lambda x: mpmath.bessely(0, x), bessel.y0_magnitude, [(x,) for x in ABOVE], 4,
    ),
    "y1": (
        bessel.y1, lambda x: mpmath.bessely(1, x), bessel.y1_magnitude, [(x,) for x in ABOVE], 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELATIVE_TO)
def test_values_relative_to_their_magnitude(name: str) -> None:
    ours, theirs, magnitude, points, ulps = RELATIVE_TO[name]
    with mpmath.workdps(50):
        for point in points:
            arrays = [np.array(x) for x in point]
            error = abs(mpmath.mpf(float(ours(*arrays))) - theirs(*map(mpmath.mpf, point)))
            assert float(error) <= ulps * np.spacing(float(magnitude(*arrays))), point


@pytest.mark.parametrize("order", range(5))
def test_polygamma(order: int) -> None:
    with mpmath.workdps(50):
        for x in ABOVE:
            got = mpmath.mpf(float(special.polygamma(order, np.array(x))))
            size = float(special.polygamma_magnitude(order, np.array(x)))
            wanted = mpmath.polygamma(order, mpmath.mpf(x))
            assert abs(got - wanted) <= 8 * np.spacing(size), x


NEIGHBOURS: dict[str, tuple[Function, Function, list[float]]] = {
    "erf": (error_functions.erf_near, mpmath.erf, NEAR),
    "erfc": (error_functions.erfc_near, mpmath.erfc, NEAR),
    "erfcx": (error_functions.erfcx_near, lambda x: mpmath.exp(x * x) * mpmath.erfc(x), NEAR),
    "ndtr": (error_functions.ndtr_near, ndtr, NEAR),
    "log_ndtr": (error_functions.log_ndtr_near, lambda x: mpmath.log(ndtr(x)), NEAR),
    "erfinv": (error_functions.erfinv_near, mpmath.erfinv, [n / 16 for n in range(-12, 13) if n]),
    "ndtri": (
        error_functions.ndtri_near,
        lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
        [n / 16 for n in range(4, 13)],
    ),
    "lgamma": (special.lgamma_near, log_gamma, NEAR_ABOVE),
    "digamma": (special.digamma_near, mpmath.digamma, NEAR_ABOVE),
    "polygamma": (
        lambda z: special.polygamma_near(2, z), lambda x: mpmath.polygamma(2, x), NEAR_ABOVE,
    ),
    "igamma": (
        lambda z: special.igamma_near(np.array(1.5), z),
        lambda x: mpmath.gammainc(1.5, 0, x, regularized=True),
        NEAR_ABOVE,
    ),
    "i0": (bessel.i0_near, lambda x: mpmath.besseli(0, x), NEAR),
    "i1": (bessel.i1_near, lambda x: mpmath.besseli(1, x), NEAR),
    "i0e": (bessel.i0e_near, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), NEAR),
    "i1e": (bessel.i1e_near, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), NEAR),
    "sinc": (elementary.sinc, lambda x: mpmath.sincpi(x), NEAR),
    "sigmoid": (elementary.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), NEAR),
    "entropy": (elementary.entropy_piece, lambda x: -x * mpmath.log(x), NEAR_ABOVE),
    "tan": (np.tan, mpmath.tan, [n / 16 for n in range(-12, 13) if n]),
    "asin": (np.arcsin, mpmath.asin, [n / 16 for n in range(-12, 13) if n]),
    "acos": (np.arccos, mpmath.acos, [n / 16 for n in range(-12, 13) if n]),
    "acosh": (np.arccosh, mpmath.acosh, [n / 8 for n in range(10, 33)]),
    "atanh": (np.arctanh, mpmath.atanh, [n / 16 for n in range(-12, 13) if n]),
    "log1p": (np.log1p, lambda x: mpmath.log(1 + x), NEAR_ABOVE),
    "expm1": (np.expm1, lambda x: mpmath.exp(x) - 1, NEAR),
}  # fmt: skip


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_derivatives_and_neighbourhoods(name: str) -> None:
    """First derivatives by complex step, and second ones by Cauchy's integral, agree."""
    ours, theirs, points = NEIGHBOURS[name]
    array = np.array(points)
    (jacobian,) = derivatives.jacobian(ours, [array])
    second, size = derivatives.second_derivative(ours, [array], [np.full(array.shape, 4.0)])
    for n, x in enumerate(points):
        first = float(mpmath.diff(theirs, x))
        assert abs(jacobian[n, n] - first) <= 1e-14 * (abs(first) + 1), x
        bend = 16 * float(mpmath.diff(theirs, x, 2))
        allowed = 8 * np.finfo(float).eps * (1 + size[n]) / derivatives.RADIUS**2
        assert abs(second[n] - bend) <= allowed, x
