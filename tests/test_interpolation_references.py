"""The reference of interpolation against loops over pixels, and against Pillow's formula."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from conformance.reference import interpolation

RANDOM = np.random.default_rng(0)
LENGTHS = [(n, m) for n in range(1, 8) for m in range(1, 8)]


@pytest.mark.parametrize(("n", "m"), LENGTHS)
def test_the_nearest_pixel_is_the_one_that_rational_numbers_tell(n: int, m: int) -> None:
    x = RANDOM.normal(size=(1, 1, n))
    for mode, shift in (("nearest", Fraction(0)), ("nearest-exact", Fraction(1, 2))):
        expected = [x[0, 0, floor((i + shift) * Fraction(n, m))] for i in range(m)]
        assert interpolation.interpolate(x, m, mode=mode)[0, 0].tolist() == expected


@pytest.mark.parametrize(("n", "m"), LENGTHS)
@pytest.mark.parametrize("align", [False, True])
def test_linear_interpolation_goes_through_the_pixels(n: int, m: int, align: bool) -> None:
    """NumPy's piecewise linear interpolation, constant outside of the pixels' centers."""
    x = RANDOM.normal(size=n)
    at = np.linspace(0, n - 1, m) if align else (np.arange(m) + 0.5) * n / m - 0.5
    got = interpolation.interpolate(x[None, None], m, mode="linear", align_corners=align)[0, 0]
    assert np.allclose(got, np.interp(at, np.arange(n), x), rtol=1e-13, atol=1e-15)


def test_two_dimensions_are_one_after_the_other() -> None:
    x = RANDOM.normal(size=(2, 3, 4, 5))
    rows = interpolation.weights(4, 6, 4 / 6, "bicubic", False, False)
    columns = interpolation.weights(5, 3, 5 / 3, "bicubic", False, False)
    got = interpolation.interpolate(x, (6, 3), mode="bicubic")
    assert np.allclose(got, rows @ x @ columns.T, rtol=1e-13)


def test_cubic_weights_are_those_of_four_neighbours() -> None:
    """Keys's weights at a fraction t, as polynomials in t, for the four pixels around."""
    for t in (0.0, 0.25, 0.6):
        a = -0.75
        expected = [
            a * (t**3 - 2 * t**2 + t),
            (a + 2) * t**3 - (a + 3) * t**2 + 1,
            -(a + 2) * t**3 + (2 * a + 3) * t**2 - a * t,
            a * (t**2 - t**3),
        ]
        distances = np.array([-1.0, 0.0, 1.0, 2.0]) - t
        assert np.allclose(interpolation.keys(distances), expected, atol=1e-15)
    matrix = interpolation.weights(4, 9, 4 / 9, "bicubic", False, False)
    assert np.allclose(matrix.sum(1), 1, rtol=1e-14)


def test_aligned_corners_stay() -> None:
    x = RANDOM.normal(size=(1, 1, 4, 5))
    for mode in ("bilinear", "bicubic"):
        got = interpolation.interpolate(x, (7, 9), mode=mode, align_corners=True)
        corners = np.ix_([0], [0], [0, -1], [0, -1])
        assert np.allclose(got[corners], x[corners], rtol=1e-12)


def test_a_factor_is_the_step_unless_recomputed() -> None:
    found = interpolation.lengths_and_steps((5, 4), None, (1.5, 0.5), None)
    assert found == [(7, 1 / 1.5), (2, 2.0)]
    assert interpolation.lengths_and_steps((5,), None, 1.5, True) == [(7, 5 / 7)]


@pytest.mark.parametrize(("n", "m"), [(n, m) for n, m in LENGTHS if m <= n])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_weights_are_the_stretched_kernel(n: int, m: int, mode: str) -> None:
    """Every pixel weighed by its distance to the center, in units of the step, over all pixels."""
    step = n / m
    got = interpolation.weights(n, m, step, mode, False, True)
    kernel = interpolation.tent if mode == "bilinear" else lambda d: interpolation.keys(d, -0.5)
    for i in range(m):
        row = np.array([kernel(np.array((j + 0.5 - (i + 0.5) * step) / step)) for j in range(n)])
        assert np.allclose(got[i], row / row.sum(), atol=1e-12)


def test_antialiased_images_are_pillows() -> None:
    images = pytest.importorskip("PIL.Image")
    x = RANDOM.normal(size=(1, 1, 9, 7)).astype(np.float32)
    image = images.fromarray(x[0, 0])
    for mode, filter_ in (
        ("bilinear", images.Resampling.BILINEAR),
        ("bicubic", images.Resampling.BICUBIC),
    ):
        expected = np.asarray(image.resize((3, 4), filter_))
        wide = x.astype(np.float64)
        got = interpolation.interpolate(wide, (4, 3), mode=mode, antialias=True)
        assert np.allclose(got[0, 0], expected, atol=1e-6)
