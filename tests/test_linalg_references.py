"""References of linear algebra and spectra against SciPy, mpmath and loops."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reference import decompositions, linalg, matrix_functions, spectral

Array = npt.NDArray[Any]
TRIANGLES = list(itertools.product((True, False), repeat=3))
RNG = np.random.default_rng(0)


def _matrix(rows: int, columns: int, batch: tuple[int, ...] = ()) -> Array:
    values = RNG.uniform(-1, 1, (*batch, rows, columns))
    for number in range(min(rows, columns)):
        values[..., number, number] += 4
    return values


def test_products_against_loops() -> None:
    a, b = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4))
    base = RNG.normal(size=(2, 4))
    expected = np.zeros((2, 4))
    for i, j, k in itertools.product(range(2), range(4), range(3)):
        expected[i, j] += a[i, k] * b[k, j]
    np.testing.assert_allclose(linalg.addmm(base, a, b, beta=2, alpha=3), 2 * base + 3 * expected)
    np.testing.assert_allclose(linalg.einsum("ij,jk->ik", a, b), expected)
    np.testing.assert_allclose(linalg.chained([a, b, b.T]), expected @ b.T)
    np.testing.assert_allclose(linalg.tensordot(a, b, 1), expected)
    np.testing.assert_allclose(
        linalg.addbmm(base, np.stack([a, a]), np.stack([b, b])), base + 2 * expected
    )
    np.testing.assert_allclose(
        linalg.addr(base, a[:, 0], b[0]), base + [[x * y for y in b[0]] for x in a[:, 0]]
    )


def test_beta_zero_ignores_nan() -> None:
    nan = np.full((1, 1), np.nan)
    one = np.ones((1, 1))
    assert linalg.addmm(nan, one, one, beta=0) == 1
    assert linalg.addmm(nan, np.ones((2, 1)), np.ones((1, 3)), beta=0).shape == (2, 3)


@given(st.lists(st.integers(1, 3), max_size=3), st.lists(st.integers(1, 3), max_size=3))
def test_kronecker_against_numpy(first: list[int], second: list[int]) -> None:
    a, b = RNG.normal(size=first), RNG.normal(size=second)
    np.testing.assert_array_equal(linalg.kronecker(a, b), np.kron(a, b))


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_cross_against_numpy(dim: int) -> None:
    a, b = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
    expected = np.cross(a, b, axisa=dim, axisb=dim, axisc=dim)
    np.testing.assert_allclose(linalg.cross_product(a, b, dim), expected)


def test_dot_products() -> None:
    a, b = np.array([1 + 2j, 3 - 1j]), np.array([2 - 1j, 1j])
    assert linalg.dot_conjugated(a, b) == sum(x.conjugate() * y for x, y in zip(a, b, strict=True))
    assert linalg.dot_unconjugated(a, b) == a[0] * b[0] + a[1] * b[1]


def test_vandermonde_against_numpy() -> None:
    x = np.array([1.0, 2.0, -3.0])
    np.testing.assert_array_equal(linalg.vandermonde(x, 4), np.vander(x, 4, increasing=True))
    np.testing.assert_array_equal(linalg.vandermonde_columns(x), np.vander(x))
    np.testing.assert_array_equal(
        linalg.vandermonde_columns(x, 2, increasing=True), np.vander(x, 2, increasing=True)
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4))
def test_matrix_functions_against_mpmath(side: int) -> None:
    a = _matrix(side, side)
    exact = mpmath.matrix(a.tolist())
    np.testing.assert_allclose(np.linalg.det(a), float(mpmath.det(exact)), rtol=1e-12)
    sign, size = matrix_functions.sign_and_log_determinant(a)
    np.testing.assert_allclose(sign * np.exp(size), float(mpmath.det(exact)), rtol=1e-12)
    power = np.array((exact**-2).tolist(), dtype=float)
    np.testing.assert_allclose(matrix_functions.power_of(a, -2), power, atol=1e-12)
    exponential = np.array(mpmath.expm(exact).tolist(), dtype=float)
    found = matrix_functions.exponential_of(a)
    np.testing.assert_allclose(found, exponential, rtol=1e-12, atol=1e-12 * np.abs(found).max())


@pytest.mark.parametrize(("upper", "left", "unit"), TRIANGLES)
def test_triangular_solution_against_scipy(upper: bool, left: bool, unit: bool) -> None:
    a, b = _matrix(3, 3), RNG.normal(size=(3, 3))
    found = matrix_functions.triangular_solution(a, b, upper=upper, left=left, unitriangular=unit)
    side = a if left else a.T
    expected = scipy.linalg.solve_triangular(
        side, b if left else b.T, lower=upper ^ left, unit_diagonal=unit
    )
    np.testing.assert_allclose(found, expected if left else expected.T, atol=1e-12)


def test_solutions() -> None:
    a, b = _matrix(3, 3, (2,)), RNG.normal(size=(2, 3, 2))
    np.testing.assert_allclose(a @ matrix_functions.solution(a, b), b, atol=1e-12)
    right = matrix_functions.solution(a, np.swapaxes(b, -1, -2), left=False)
    np.testing.assert_allclose(right @ a, np.swapaxes(b, -1, -2), atol=1e-12)
    vectors = matrix_functions.solution(a, b[..., 0])
    np.testing.assert_allclose(np.einsum("bij,bj->bi", a, vectors), b[..., 0], atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2, 2)])
def test_pseudo_inverse_against_scipy(shape: tuple[int, int]) -> None:
    a = _matrix(*shape)
    np.testing.assert_allclose(matrix_functions.pseudo_inverse(a), scipy.linalg.pinv(a), atol=1e-12)


@pytest.mark.parametrize("order", [1, -1, np.inf, -np.inf, "fro"])
def test_norms_against_numpy(order: Any) -> None:
    a = _matrix(3, 2)
    expected = np.linalg.norm(a, order)
    if order == "fro":
        functions = [matrix_functions.frobenius_norm, matrix_functions.frobenius_analytic]
        found = [function(a) for function in functions]
    else:
        rows = [matrix_functions.row_norm, matrix_functions.row_norm_analytic]
        found = [function(a, order) for function in rows]
    np.testing.assert_allclose(found, [expected, expected])


@pytest.mark.parametrize("kind", ["nuc", 2])
def test_norm_gradients_against_differences(kind: Any) -> None:
    a = _matrix(3, 2)
    value, gradient = decompositions.norm_and_gradient(a, kind)
    np.testing.assert_allclose(value, np.linalg.norm(a, kind))
    for position in np.ndindex(a.shape):
        step = np.zeros_like(a)
        step[position] = 1e-6
        slope = (np.linalg.norm(a + step, kind) - np.linalg.norm(a - step, kind)) / 2e-6
        np.testing.assert_allclose(gradient[position], slope, atol=1e-8)


def test_spectrum_gradient_against_differences() -> None:
    a = _matrix(3, 3)
    a = a @ a.T
    weights = np.array([1.0, 2.0, 3.0])
    gradient = decompositions.from_spectrum(a, weights)
    direction = RNG.normal(size=(3, 3))
    direction += direction.T
    ends = [np.linalg.eigvalsh(a + sign * 1e-6 * direction) @ weights for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6)


def _transform_by_definition(x: Array, sign: int) -> Array:
    n = len(x)
    return np.array(
        [sum(x[k] * np.exp(sign * 2j * np.pi * k * m / n) for k in range(n)) for m in range(n)]
    )


@given(st.integers(1, 9))
def test_transforms_of_numpy_against_their_definition(count: int) -> None:
    x = RNG.normal(size=count) + 1j * RNG.normal(size=count)
    np.testing.assert_allclose(np.fft.fft(x), _transform_by_definition(x, -1), atol=1e-12)
    np.testing.assert_allclose(np.fft.ifft(x), _transform_by_definition(x, 1) / count, atol=1e-12)
    half = _transform_by_definition(x.real, -1)[: count // 2 + 1]
    np.testing.assert_allclose(np.fft.rfft(x.real), half, atol=1e-12)
    np.testing.assert_allclose(np.fft.ihfft(x.real), half.conj() / count, atol=1e-12)
    if count > 1:
        np.testing.assert_allclose(np.fft.irfft(half, count), x.real, atol=1e-12)
        np.testing.assert_allclose(np.fft.hfft(half.conj(), count) / count, x.real, atol=1e-12)


def test_several_dimensions_against_scipy() -> None:
    x = RNG.normal(size=(3, 4))
    np.testing.assert_allclose(np.fft.fftn(x, s=(2, 5), axes=(1, 0)), scipy.fft.fftn(
        x, s=(2, 5), axes=(1, 0)), atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(np.fft.rfft2(x), scipy.fft.rfft2(x), atol=1e-12)


def test_adjoint_of_a_known_matrix() -> None:
    matrix = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))
    cotangent = RNG.normal(size=4) + 1j * RNG.normal(size=4)
    found, _ = spectral.adjoint(lambda x: matrix @ x, np.zeros(3, complex), cotangent)
    np.testing.assert_allclose(found, matrix.conj().T @ cotangent)
    found, _ = spectral.adjoint(lambda x: matrix @ x, np.zeros(3), cotangent)
    np.testing.assert_allclose(found, (matrix.conj().T @ cotangent).real)


def test_short_time_transform_against_windows_one_by_one() -> None:
    signal, window = RNG.normal(size=(1, 16)), RNG.uniform(size=8)
    found = spectral.short_time_transform(signal, window, 3, False)
    for number in range(found.shape[-1]):
        part = signal[0, 3 * number : 3 * number + 8] * window
        np.testing.assert_allclose(found[0, :, number], np.fft.rfft(part), atol=1e-12)


@pytest.mark.parametrize("count", range(1, 8))
def test_frequencies_against_numpy(count: int) -> None:
    np.testing.assert_allclose(spectral.frequencies(count, False) / count, np.fft.fftfreq(count))
    np.testing.assert_allclose(spectral.frequencies(count, True) / count, np.fft.rfftfreq(count))
