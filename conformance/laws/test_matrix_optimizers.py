"""Optimizers of matrices: Muon's orthogonalization, and Adafactor's factored moments."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers.factored import BFLOAT16
from conformance.scenarios.histories import Case, optimizer_of, run_through
from strategies import arrays

MUON: dict[str, Case] = {"Muon": ("Muon", {})}
QUINTIC = (3.4445, -4.775, 2.0315)
CUBIC = (1.5, -0.5, 0.0)
SHAPES = ((1, 1), (2, 2), (3, 3), (2, 4), (4, 2), (5, 3))


@dataclass(frozen=True, eq=False)
class PartialIsometry:
    """A matrix of rank ``min(shape)`` with one entry, 1 or -1, in each row and column or less."""

    shape: tuple[int, int]
    places: tuple[int, ...]
    signs: tuple[float, ...]

    def matrix(self):
        rows, columns = self.shape
        written = np.zeros((min(self.shape), max(self.shape)))
        written[np.arange(len(self.places)), list(self.places)] = self.signs
        return written if rows <= columns else written.T


@st.composite
def partial_isometries(draw):
    """Draw a matrix whose singular values are all 1."""
    shape = draw(st.sampled_from(SHAPES))
    places = draw(st.permutations(range(max(shape))))[: min(shape)]
    signs = tuple(draw(st.sampled_from([1.0, -1.0])) for _ in places)
    return PartialIsometry(shape, tuple(places), signs)


def iterated(value, coefficients, steps):
    """Return a singular value after Newton-Schulz iterations, and a bound on bfloat16's rounding.

    Each iteration rounds ``x x'``, the polynomial in it, and the result.
    """
    a, b, c = coefficients
    error = 3 * BFLOAT16 * value
    for _ in range(steps):
        slopes = [abs(a + 3 * b * v**2 + 5 * c * v**4) for v in (value - error, value,
                                                                value + error)]  # fmt: skip
        rounding = 2 * abs(b) * value**3 + 3 * abs(c) * value**5
        value = a * value + b * value**3 + c * value**5
        error = max(slopes) * error + BFLOAT16 * (rounding + abs(value))
    return value, error


@law("optimizer.muon-equal-singular-values", docs="torch.optim.Muon", over=MUON)
@given(
    isometry=partial_isometries(),
    coefficients=st.sampled_from([QUINTIC, CUBIC]),
    steps=st.integers(0, 5),
    adjusted=st.sampled_from([None, "original", "match_rms_adamw"]),
    decay=st.sampled_from([0.0, 0.5]),
)
def test_muon_equal_singular_values(target, case, isometry, coefficients, steps, adjusted, decay):
    """A gradient whose r singular values are equal moves a matrix by the gradient's own pattern.

    By lr times the factor of the shape times the polynomial, iterated from ``1 / sqrt(r)``; where
    the gradient is zero only weight decay moves.
    """
    name, _ = case
    matrix, (rows, columns) = isometry.matrix(), isometry.shape
    start = np.ones(isometry.shape)
    parameter = torch.tensor(start, device=target.device, requires_grad=True)
    optimizer = optimizer_of(
        name, [parameter], lr=0.5, weight_decay=decay, ns_coefficients=coefficients,
        ns_steps=steps, adjust_lr_fn=adjusted,
    )  # fmt: skip
    run_through(name, optimizer, [parameter], [[matrix]])
    value, error = iterated(1 / math.sqrt(min(rows, columns)), coefficients, steps)
    factor = math.sqrt(max(1, rows / columns))
    if adjusted == "match_rms_adamw":
        factor = 0.2 * math.sqrt(max(rows, columns))
    expected = start * (1 - 0.5 * decay) - 0.5 * factor * value * matrix
    bound = 0.5 * factor * error * np.abs(matrix) + 2.0**-50
    compare.close(parameter, expected, bound=bound, dtype=torch.float64, what="parameter")


@law("optimizer.muon-scale", docs="torch.optim.Muon", over=MUON)
@given(gradient=arrays(shape=(2, 3), kind="above-one"), exponent=st.sampled_from([-6, 3, 20]),
       nesterov=st.booleans())  # fmt: skip
def test_muon_scale(target, case, gradient, exponent, nesterov):
    """Muon's update does not depend on the gradients' scale: a power of 2 changes no bit."""
    name, _ = case
    pair = [torch.zeros(2, 3, device=target.device, requires_grad=True) for _ in range(2)]
    for parameter, factor in zip(pair, (1.0, 2.0**exponent), strict=True):
        optimizer = optimizer_of(name, [parameter], lr=0.5, nesterov=nesterov)
        steps = [[factor * gradient], [factor * gradient[::-1]], [factor * gradient]]
        run_through(name, optimizer, [parameter], steps)
    expected = compare.to_numpy(pair[0])
    moved = bool((expected != 0).any())
    compare.fact(moved, True, "the matrix moves")
    compare.equal(pair[1], expected, dtype=torch.float32, what="parameter of scaled gradients")


@law("optimizer.matrix-transposed", docs="torch.optim.Muon", over={
    "Muon": ("Muon", {"adjust_lr_fn": "match_rms_adamw"}), "Adafactor": ("Adafactor", {}),
})  # fmt: skip
@given(rows=arrays(shape=(4, 2, 3)))
def test_matrix_transposed(target, case, rows):
    """A matrix and its transpose are moved alike: rows and columns have the same part.

    Where Muon's factor does not tell them apart.
    """
    name, options = case
    wide = torch.tensor(rows[0], dtype=torch.float32, device=target.device, requires_grad=True)
    tall = torch.tensor(rows[0].T.copy(), dtype=torch.float32, device=target.device)
    tall.requires_grad_()
    optimizers = [optimizer_of(name, [p], lr=0.125, **options) for p in (wide, tall)]
    run_through(name, optimizers[0], [wide], [[g] for g in rows[1:]])
    run_through(name, optimizers[1], [tall], [[g.T] for g in rows[1:]])
    expected = compare.to_numpy(wide).T
    bound = 2.0**-18 * (1 + np.abs(expected))
    compare.close(tall, expected, bound=bound, dtype=torch.float32, what="transposed matrix")


@law("optimizer.adafactor-batch", docs="torch.optim.Adafactor")
@given(rows=arrays(shape=(4, 2, 3)), count=st.integers(2, 3))
def test_adafactor_batch(target, rows, count):
    """Adafactor factors the last two dimensions: equal matrices in a batch move as one does."""
    one = torch.tensor(rows[0], device=target.device, requires_grad=True)
    many = torch.tensor(np.stack([rows[0]] * count), device=target.device, requires_grad=True)
    optimizers = [optimizer_of("Adafactor", [p], lr=0.125) for p in (one, many)]
    run_through("Adafactor", optimizers[0], [one], [[g] for g in rows[1:]])
    run_through("Adafactor", optimizers[1], [many], [[np.stack([g] * count)] for g in rows[1:]])
    expected = np.stack([compare.to_numpy(one)] * count)
    bound = 2.0**-44 * (1 + np.abs(expected))
    compare.close(many, expected, bound=bound, dtype=torch.float64, what="batch of matrices")
