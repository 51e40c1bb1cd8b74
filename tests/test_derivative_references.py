"""Jets against closed derivatives, complex steps and symbolic ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings

import strategies as s
from conformance.reference import derivatives, jets
from strategies.functions import Function, numpy_of

Array = npt.NDArray[Any]
POINTS = np.array([0.5, 1.25, 2.0])
ONE_VARIABLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sin": (np.sin, mpmath.sin),
    "cos": (np.cos, mpmath.cos),
    "exp": (np.exp, mpmath.exp),
    "sinh": (np.sinh, mpmath.sinh),
    "tanh": (np.tanh, mpmath.tanh),
    "log": (np.log, mpmath.log),
    "sqrt": (np.sqrt, mpmath.sqrt),
    "power": (lambda x: x**-0.5, lambda x: x**-0.5),
    "quotient": (lambda x: x / (x * x + 1), lambda x: x / (x * x + 1)),
    "from number": (lambda x: 1 / (np.exp(-x) + 1), lambda x: 1 / (mpmath.exp(-x) + 1)),
}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ONE_VARIABLE)
def test_derivatives_of_one_variable(name: str, order: int) -> None:
    function, exact = ONE_VARIABLE[name]
    ones = [np.ones(3)]
    found = jets.differential(function, [POINTS], *[ones] * order)
    with mpmath.workdps(60):
        expected = [float(mpmath.diff(exact, mpmath.mpf(x), order)) for x in POINTS]
    bound = jets.rounding(function, [POINTS], order)
    assert 0 < bound < 1e-10
    assert np.abs(found - expected).max() <= bound


@settings(deadline=None)
@given(s.functions(in_place=True))
def test_first_derivatives_are_those_of_complex_steps(f: Function) -> None:
    bound = jets.rounding(numpy_of(f), f.points, 1)
    for number, expected in enumerate(derivatives.jacobian(numpy_of(f), f.points)):
        found = jets.derivative(numpy_of(f), f.points, number)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max(initial=0.0) <= bound


def test_blocks_of_a_hessian() -> None:
    a, b = np.array([1.0, 2.0]), np.array([[0.5, 1.0, -1.0], [3.0, 0.0, 2.0]])

    def function(x: Any, y: Any) -> Any:
        return (x * x * x).sum() + (y[0] * y[0]).sum() * x[1]

    blocks = jets.hessian(function, [a, b])
    assert np.array_equal(blocks[0][0], np.diag(6 * a))
    mixed = np.zeros((2, 2, 3))
    mixed[1, 0] = 2 * b[0]
    assert np.array_equal(blocks[0][1], mixed)
    assert np.array_equal(blocks[1][0], np.moveaxis(mixed, 0, -1))
    assert np.array_equal(blocks[1][1][0, :, 0], 2 * a[1] * np.eye(3))
    assert not blocks[1][1][1].any()


def test_hessian_of_a_vector_and_of_nothing() -> None:
    point = np.array([1.0, 2.0])
    ((block,),) = jets.hessian(lambda x: np.stack((x[0] * x[1], x[1] * x[1])), [point])
    assert np.array_equal(block, [[[0, 1], [1, 0]], [[0, 0], [0, 2]]])
    empty = np.zeros((0, 2))
    ((block,),) = jets.hessian(lambda x: (x * x).sum(), [empty])
    assert block.shape == (0, 2, 0, 2)


def test_third_derivative() -> None:
    point, u, v = np.array([2.0, 3.0]), [np.array([1.0, 0.0])], [np.array([0.0, 1.0])]
    found = jets.derivative(lambda x: x[0] * x[0] * x[1] * x[1], [point], 0, u, v)
    assert np.array_equal(found, [4 * 3.0, 4 * 2.0])


def test_constants_have_no_derivative() -> None:
    point, one = np.array([1.0]), [np.ones(1)]
    assert jets.differential(lambda x: np.array([3.0, 4.0]), [point], one).tolist() == [0, 0]
    assert jets.differential(lambda x: x * 0.0 + 5.0, [point], one).tolist() == [0]


def test_conjugates_and_parts() -> None:
    point, turned = np.array([1 + 2j]), [np.array([1j])]
    assert jets.differential(lambda z: z * np.conj(z), [point], turned).tolist() == [4]
    assert jets.differential(lambda z: np.imag(z) * z, [point], turned).tolist() == [1 + 4j]
    assert jets.differential(lambda z: np.real(z) * 1j, [point], turned).tolist() == [0]


def test_jets_move() -> None:
    number: Any = jets.Jet(np.arange(4.0), [np.arange(4.0), *(n + np.zeros(4) for n in (1, 2, 3))])
    moved: Any = np.flip(np.swapaxes(np.stack((number, number)), 0, 1), (0,))
    assert np.array_equal(moved.parts[0], [[3, 3], [2, 2], [1, 1], [0, 0]])
    assert moved[0].parts[3].tolist() == [3.0, 3.0]
    assert (-number - number + 2.0).parts[0].tolist() == [2.0, 0.0, -2.0, -4.0]
    with pytest.raises(TypeError, match="not known to be linear"):
        np.sort(number)


@settings(deadline=None)
@given(s.complex_polynomials())
def test_complex_polynomials_are_exact_and_alike(f: Function) -> None:
    result = f(*f.leaves(torch.device("cpu"))).detach()
    assert result.dtype == torch.complex128
    values = numpy_of(f)(*f.points)
    assert result.shape == f.shape == np.shape(values)
    assert np.array_equal(result.resolve_conj().numpy(), values)
