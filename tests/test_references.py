"""References against something else again: brute force, NumPy's own, closed derivatives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import creation, derivatives, indexing

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(0)


def test_references_never_import_torch() -> None:
    code = (
        "import sys, conformance.reference.creation, conformance.reference.indexing, "
        "conformance.reference.derivatives, conformance.reference.optimizers\n"
        "assert not {'torch', 'hypothesis'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_scatter_and_gather_are_numpys_along_axis(dim: int) -> None:
    source = RANDOM.normal(size=(4, 4, 4))
    index = np.argsort(RANDOM.normal(size=(4, 4, 4)), axis=dim)
    expected = np.zeros((4, 4, 4))
    np.put_along_axis(expected, index, source, dim)
    assert np.array_equal(indexing.scatter(np.zeros((4, 4, 4)), dim, index, source), expected)
    assert np.array_equal(
        indexing.gather(source, dim, index), np.take_along_axis(source, index, dim)
    )


def test_scatter_add_is_a_bincount() -> None:
    index, source = RANDOM.integers(0, 5, 40), RANDOM.integers(0, 9, 40).astype(float)
    expected = np.bincount(index, weights=source, minlength=5)
    assert np.array_equal(indexing.scatter_add(np.zeros(5), 0, index, source), expected)


def test_a_smaller_index_writes_its_corner() -> None:
    result = indexing.scatter(
        np.zeros((3, 3)), 0, np.array([[2, 1]]), np.arange(1.0, 10).reshape(3, 3)
    )
    assert np.array_equal(result, [[0, 0, 0], [0, 2, 0], [1, 0, 0]])


def test_rank_zero() -> None:
    index = np.zeros((), dtype=np.int64)
    assert indexing.scatter(np.array(1.0), -1, index, np.array(2.0)) == 2
    assert indexing.scatter_add(np.array(1.0), 0, index, np.array(2.0)).shape == ()
    assert indexing.gather(np.array(3.0), 0, index) == 3


@pytest.mark.parametrize("dim", [0, 1])
def test_index_gradients_are_adjoint(dim: int) -> None:
    """<v, J u> = <J' v, u>, with J u from the linear operation itself."""
    index = RANDOM.integers(0, 3, (3, 3))
    u, w, v = (RANDOM.integers(-4, 5, (3, 3)).astype(float) for _ in range(3))
    forward = indexing.gather(u, dim, index)
    assert np.vdot(v, forward) == np.vdot(indexing.gather_vjp(v, dim, index, u), u)
    added = indexing.scatter_add(u, dim, index, w)
    to_u, to_w = indexing.scatter_add_vjp(v, dim, index)
    assert np.vdot(v, added) == np.vdot(to_u, u) + np.vdot(to_w, w)
    distinct = np.argsort(RANDOM.normal(size=(3, 3)), axis=dim)[:2, :2]
    written = indexing.scatter(u, dim, distinct, w[:2, :2])
    to_u, to_w = indexing.scatter_vjp(v, dim, distinct)
    assert np.vdot(v, written) == np.vdot(to_u, u) + np.vdot(to_w, w[:2, :2])


@pytest.mark.parametrize(
    ("start", "end", "step"), [(0, 5, 1), (1, -2, -0.5), (0, 1, 0.125), (2, 2, 1)]
)
def test_arange(start: float, end: float, step: float) -> None:
    assert np.array_equal(creation.arange(start, end, step), np.arange(start, end, step))


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_linspace(steps: int) -> None:
    assert np.allclose(
        creation.linspace(-1.5, 4.25, steps), np.linspace(-1.5, 4.25, steps), rtol=1e-15
    )
    assert creation.linspace(-1.5, 4.25, steps)[0] == -1.5


DERIVATIVES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "square": (lambda x: x * x, lambda x: 2 * x),
    "sine": (np.sin, np.cos),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "exponential": (np.exp, np.exp),
    "root": (lambda x: np.sqrt(x * x + 1), lambda x: x / np.sqrt(x * x + 1)),
    "logarithm": (lambda x: np.log(x * x + 1), lambda x: 2 * x / (x * x + 1)),
    "quotient": (lambda x: 1 / (x * x + 1), lambda x: -2 * x / (x * x + 1) ** 2),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_complex_step(name: str) -> None:
    function, derivative = DERIVATIVES[name]
    points = RANDOM.normal(size=20)
    (jacobian,) = derivatives.jacobian(function, [points])
    expected = derivative(points)
    off_diagonal = jacobian - np.diag(np.diag(jacobian))
    assert not off_diagonal.any()
    assert np.abs(np.diag(jacobian) - expected).max() <= 8 * np.finfo(float).eps * 4


def test_gradient_of_a_polynomial_is_exact() -> None:
    a, b = np.array([[1.5, -0.25]]), np.array([[2.0], [0.125]])
    to_a, to_b = derivatives.gradient(lambda a, b: ((a @ b) * (a @ b)).sum(), [a, b])
    value = (a @ b).item()
    assert np.array_equal(to_a, 2 * value * b.T)
    assert np.array_equal(to_b, 2 * value * a.T)


def test_vjp_sums_over_the_result() -> None:
    point, cotangent = np.array([1.0, 2.0]), np.array([[3.0, 0.0], [0.0, -1.0]])
    (product,) = derivatives.vjp(lambda x: np.stack((x, x * x)), [point], cotangent)
    assert np.array_equal(product, [3.0, -4.0])


def test_hessian_product() -> None:
    matrix = np.array([[2.0, -1.0], [-1.0, 0.5]])
    point, direction = np.array([0.5, 1.0]), np.array([1.0, -2.0])
    (product,) = derivatives.hessian_product(
        lambda x: (x * x * x).sum() + (x.reshape(1, 2) @ matrix @ x.reshape(2, 1)).sum(),
        [point],
        [direction],
    )
    expected = (np.diag(6 * point) + matrix + matrix.T) @ direction
    assert np.array_equal(product, expected)
