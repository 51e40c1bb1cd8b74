"""References against something else again: brute force, NumPy's own, closed derivatives."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import creation, derivatives, indexing, optimizers

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


SGD = {"lr": 0.125, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
       "maximize": False}  # fmt: skip
ADAM = {"lr": 0.125, "betas": (0.5, 0.75), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
        "maximize": False}  # fmt: skip


def path(form: str, options: dict[str, Any], gradients: list[float | None]) -> list[float]:
    """Follow a scalar that starts at 1."""
    steps = [None if g is None else np.array(g) for g in gradients]
    return [
        float(r.value) for r in optimizers.CLOSED_FORMS[form](np.array(1.0), steps, options, 0.0)
    ]


def test_sgd_is_its_unrolled_sum() -> None:
    """theta_T = theta_0 - lr * sum over s of g_s * (1 + mu + ... + mu^(T - s))."""
    gradients = [1.0, -2.0, 0.5, 4.0]
    for momentum in (0.0, 0.5, 0.9):
        got = path("SGD", {**SGD, "momentum": momentum}, [*gradients])[-1]
        weights = [sum(momentum**k for k in range(len(gradients) - s)) for s in range(4)]
        expected = 1 - 0.125 * math.fsum(w * g for w, g in zip(weights, gradients, strict=True))
        assert got == pytest.approx(expected, rel=1e-14)


def test_sgd_by_hand() -> None:
    dampened = {**SGD, "momentum": 0.5, "dampening": 0.25}
    assert path("SGD", dampened, [2.0, 2.0]) == [0.75, 0.75 - 0.125 * (0.5 * 2 + 0.75 * 2)]
    nesterov = {**SGD, "momentum": 0.5, "nesterov": True}
    assert path("SGD", nesterov, [2.0]) == [1 - 0.125 * (2 + 0.5 * 2)]
    assert path("SGD", {**SGD, "weight_decay": 0.5}, [2.0]) == [1 - 0.125 * 2.5]
    assert path("SGD", {**SGD, "maximize": True, "weight_decay": 0.5}, [2.0]) == [1 + 0.125 * 1.5]
    assert path("SGD", {**SGD, "momentum": 0.5}, [None, 2.0, None]) == [1.0, 0.75, 0.75]


def test_adam_by_hand() -> None:
    assert path("Adam", ADAM, [4.0])[0] == pytest.approx(1 - 0.125, rel=1e-8)
    first, second = 0.5 * 0.5 * 4 + 0.5 * 0, 0.75 * 0.25 * 16
    expected = 0.875 - 0.125 * (first / 0.75) / math.sqrt(second / (1 - 0.75**2))
    assert path("Adam", ADAM, [4.0, 0.0])[1] == pytest.approx(expected, rel=1e-8)
    largest = 0.25 * 16
    expected = 0.875 - 0.125 * (first / 0.75) / math.sqrt(largest / (1 - 0.75**2))
    assert path("Adam", {**ADAM, "amsgrad": True}, [4.0, 0.0])[1] == pytest.approx(
        expected, rel=1e-8
    )
    assert path("Adam", ADAM, [None, 4.0])[0] == 1.0


@pytest.mark.parametrize("form", ["SGD", "Adam"])
def test_the_bound_holds_for_single_precision_and_is_tight(form: str) -> None:
    """A float32 follower stays within the bound, and the bound within 1e-4 of the values."""
    options = {"SGD": {**SGD, "momentum": 0.9, "weight_decay": 0.1}, "Adam": ADAM}[form]
    gradients = [np.asarray(g) for g in RANDOM.integers(-16, 17, (6, 50)) / 8]
    start = RANDOM.integers(-16, 17, 50) / 8
    exact = optimizers.CLOSED_FORMS[form](start, gradients, options, 2.0**-24)
    single = optimizers.CLOSED_FORMS[form](
        start.astype(np.float32), [g.astype(np.float32) for g in gradients], options, 0.0
    )
    for a, b in zip(exact, single, strict=True):
        assert b.value.dtype == np.float32
        assert (np.abs(a.value - b.value) <= a.error).all()
        assert np.median(a.error) < 1e-4
