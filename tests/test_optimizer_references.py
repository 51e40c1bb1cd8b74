"""Closed forms of optimizers against second derivations: unrolled in 50 digits, dense, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference.optimizers import CLOSED_FORMS, Rounded, follow
from conformance.reference.optimizers.factored import orthogonalized
from conformance.reference.optimizers.quasi_newton import (
    Memory,
    direction,
    lbfgs,
    polynomial,
    with_newest,
)
from conformance.reference.optimizers.rounding import exactly, larger, mean, root, smaller
from strategies.optimizer_tables import OPTIONS, RESOLVE

Array = npt.NDArray[Any]
Number = Any
RANDOM = np.random.default_rng(0)
GRADIENTS = [1.5, -2.0, 0.5, 0.25, -0.125, 3.0, 1.0]
START = 0.75


def mp(value: object) -> Number:
    return mpmath.mpf(value)


def weighted(values: Sequence[Number], beta: float) -> Number:
    """``(1 - beta) sum over s of beta^(t - s) x_s``, the running mean, unrolled."""
    last = len(values) - 1
    return (1 - mp(beta)) * mpmath.fsum(mp(beta) ** (last - s) * x for s, x in enumerate(values))


def signed(gradients: Sequence[float], options: dict[str, Any]) -> list[Number]:
    return [mp(-g if options.get("maximize") else g) for g in gradients]


class Followed:
    """A parameter in 50 digits, with the gradients that its updates have seen."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.theta, self.seen, self.options = mp(START), [], options  # type: ignore[var-annotated]

    def see(self, gradient: Number, decoupled: bool = False) -> int:
        decay = mp(self.options.get("weight_decay", 0))
        if decoupled:
            self.theta *= 1 - mp(self.options["lr"]) * decay
            decay = mp(0)
        self.seen.append(gradient + decay * self.theta)
        return len(self.seen)

    def move(self, step: Number) -> None:
        self.theta -= mp(self.options["lr"]) * step


def adam(f: Followed, gradient: Number, decoupled: bool = False) -> None:
    (b1, b2), t = f.options["betas"], f.see(gradient, decoupled)
    squares = [weighted([g * g for g in f.seen[:s]], b2) for s in range(1, t + 1)]
    square = max(squares) if f.options["amsgrad"] else squares[-1]
    mean = weighted(f.seen, b1) / (1 - mp(b1) ** t)
    f.move(mean / (mpmath.sqrt(square / (1 - mp(b2) ** t)) + mp(f.options["eps"])))


def adamax(f: Followed, gradient: Number) -> None:
    (b1, b2), t = f.options["betas"], f.see(gradient)
    eps = mp(f.options["eps"])
    norm = max(mp(b2) ** (t - 1 - s) * (abs(g) + eps) for s, g in enumerate(f.seen))
    f.move(weighted(f.seen, b1) / (1 - mp(b1) ** t) / norm)


def nadam(f: Followed, gradient: Number) -> None:
    (b1, b2), t = f.options["betas"], f.see(gradient, f.options["decoupled_weight_decay"])

    def momentum(i: int) -> Number:
        return mp(b1) * (1 - mp("0.96") ** (i * mp(f.options["momentum_decay"])) / 2)

    until = mpmath.fprod(momentum(i) for i in range(1, t + 1))
    mean = momentum(t + 1) * weighted(f.seen, b1) / (1 - until * momentum(t + 1))
    mean += (1 - momentum(t)) * f.seen[-1] / (1 - until)
    square = weighted([g * g for g in f.seen], b2) / (1 - mp(b2) ** t)
    f.move(mean / (mpmath.sqrt(square) + mp(f.options["eps"])))


def radam(f: Followed, gradient: Number) -> None:
    (b1, b2), t = f.options["betas"], f.see(gradient, f.options["decoupled_weight_decay"])
    last, power = 2 / (1 - mp(b2)) - 1, mp(b2) ** t
    length = last - 2 * t * power / (1 - power)
    step = weighted(f.seen, b1) / (1 - mp(b1) ** t)
    if length > 5:
        variance = (last - 4) * (last - 2) * length / ((length - 4) * (length - 2) * last)
        square = mpmath.sqrt(weighted([g * g for g in f.seen], b2)) + mp(f.options["eps"])
        step *= mpmath.sqrt((1 - power) / variance) / square
    f.move(step)


def rmsprop(f: Followed, gradient: Number) -> None:
    f.see(gradient)
    alpha, momentum, eps = (f.options[name] for name in ("alpha", "momentum", "eps"))
    steps = []
    for t in range(1, len(f.seen) + 1):
        variance = weighted([g * g for g in f.seen[:t]], alpha)
        if f.options["centered"]:
            variance -= weighted(f.seen[:t], alpha) ** 2
        steps.append(f.seen[t - 1] / (mpmath.sqrt(variance) + mp(eps)))
    f.move(mpmath.fsum(mp(momentum) ** k * s for k, s in enumerate(reversed(steps))))


def adagrad(f: Followed, gradient: Number) -> None:
    t = f.see(gradient)
    total = mp(f.options["initial_accumulator_value"]) + mpmath.fsum(g * g for g in f.seen)
    step = f.seen[-1] / (mpmath.sqrt(total) + mp(f.options["eps"]))
    f.move(step / (1 + (t - 1) * mp(f.options["lr_decay"])))


def adadelta(f: Followed, gradient: Number) -> None:
    f.see(gradient)
    rho, eps = f.options["rho"], mp(f.options["eps"])
    deltas: list[Number] = []
    for t in range(1, len(f.seen) + 1):
        square = weighted([g * g for g in f.seen[:t]], rho)
        before = weighted([d * d for d in deltas], rho) if deltas else mp(0)
        deltas.append(mpmath.sqrt((before + eps) / (square + eps)) * f.seen[t - 1])
    f.move(deltas[-1])


def asgd(f: Followed, gradient: Number) -> None:
    t = f.see(gradient)
    lr, lambd = mp(f.options["lr"]), mp(f.options["lambd"])
    eta = lr if t == 1 else lr / (1 + lambd * lr * (t - 1)) ** mp(f.options["alpha"])
    f.theta = f.theta - eta * (lambd * f.theta + f.seen[-1])


def sgd(f: Followed, gradient: Number) -> None:
    f.see(gradient)
    mu, kept = mp(f.options["momentum"]), 1 - mp(f.options["dampening"])
    last = len(f.seen) - 1
    terms = ((kept if s else mp(1)) * mu ** (last - s) * g for s, g in enumerate(f.seen))
    buffer = mpmath.fsum(terms) if mu else f.seen[-1]
    f.move(f.seen[-1] + mu * buffer if f.options["nesterov"] else buffer)


UNROLLED: dict[str, Callable[..., None]] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": lambda f, g: adam(f, g, decoupled=True),
    "Adamax": adamax,
    "NAdam": nadam,
    "RAdam": radam,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
    "ASGD": asgd,
}


def drawn_options(name: str, count: int) -> list[dict[str, Any]]:
    chosen = []
    for _ in range(count):
        options = {k: v[RANDOM.integers(len(v))] for k, v in OPTIONS[name].items()}
        chosen.append(RESOLVE.get(name, lambda o: o)(options))
    return chosen


@pytest.mark.parametrize("name", UNROLLED)
def test_forms_are_their_unrolled_sums(name: str) -> None:
    for options in drawn_options(name, 20):
        gradients: list[Array | None] = [np.array([g]) for g in GRADIENTS]
        path = follow(CLOSED_FORMS[name], np.array([START]), gradients, options, 2.0**-53)
        with mpmath.workdps(50):
            followed = Followed(options)
            for gradient, state in zip(signed(GRADIENTS, options), path, strict=True):
                UNROLLED[name](followed, gradient)
                off = abs(mp(float(state["parameter"].value[0])) - followed.theta)
                assert off <= float(state["parameter"].error[0])
                assert off <= 1e-12 * (1 + abs(followed.theta))


def scalar_path(name: str, options: dict[str, Any], gradients: list[float | None]) -> list[float]:
    plain = {option: values[0] for option, values in OPTIONS[name].items()}
    steps = [None if g is None else np.array(g) for g in gradients]
    states = follow(CLOSED_FORMS[name], np.array(1.0), steps, {**plain, **options}, 0.0)
    return [float(state["parameter"].value) for state in states]


def test_sgd_by_hand() -> None:
    dampened = {"momentum": 0.5, "dampening": 0.25}
    expected = [0.75, 0.75 - 0.125 * (0.5 * 2 + 0.75 * 2)]
    assert scalar_path("SGD", dampened, [2.0, 2.0]) == expected
    nesterov = {"momentum": 0.5, "nesterov": True}
    assert scalar_path("SGD", nesterov, [2.0]) == [1 - 0.125 * (2 + 0.5 * 2)]
    assert scalar_path("SGD", {"weight_decay": 0.5}, [2.0]) == [1 - 0.125 * 2.5]
    uphill = {"maximize": True, "weight_decay": 0.5}
    assert scalar_path("SGD", uphill, [2.0]) == [1 + 0.125 * 1.5]
    assert scalar_path("SGD", {"momentum": 0.5}, [None, 2.0, None]) == [1.0, 0.75, 0.75]


def test_rprop_by_hand() -> None:
    options = {"lr": 0.125, "etas": (0.5, 2.0), "step_sizes": (0.0625, 0.25)}
    got = scalar_path("Rprop", options, [1.0, 3.0, 1.0, -1.0, -1.0, 0.0, 1.0])
    # Steps of 1/8, 1/4, and 1/4, the limit; a turn, whose gradient is forgotten; then on.
    expected = [0.875, 0.625, 0.375, 0.375, 0.5, 0.5, 0.375]
    assert got == expected


def test_asgd_averages_from_its_start() -> None:
    options = {"lr": 0.25, "lambd": 0.0, "t0": 0.0}
    plain = {option: values[0] for option, values in OPTIONS["ASGD"].items()}
    gradients: list[Array | None] = [np.array([g]) for g in GRADIENTS]
    path = follow(CLOSED_FORMS["ASGD"], np.array([1.0]), gradients, {**plain, **options}, 2.0**-53)
    reached = [float(state["parameter"].value[0]) for state in path]
    # mu is 1 twice: the first parameter is forgotten, and the average is that of the others.
    for count in range(2, len(reached) + 1):
        average = math.fsum(reached[1:count]) / (count - 1)
        assert float(path[count - 1]["ax"].value[0]) == pytest.approx(average, rel=1e-6)


def test_adafactor_is_its_loops() -> None:
    options = {option: values[0] for option, values in OPTIONS["Adafactor"].items()}
    start, gradients = RANDOM.normal(size=(2, 3)), list(RANDOM.normal(size=(3, 2, 3)))
    path = follow(CLOSED_FORMS["Adafactor"], start, list(gradients), options, 2.0**-53)
    theta, rows, columns = start.copy(), np.zeros(2), np.zeros(3)
    for t, (gradient, state) in enumerate(zip(gradients, path, strict=True), start=1):
        beta = 1 - t**-0.8
        for i in range(2):
            rows[i] = beta * rows[i] + (1 - beta) * sum(gradient[i, j] ** 2 for j in range(3)) / 3
        for j in range(3):
            found = sum(gradient[i, j] ** 2 for i in range(2)) / 2
            columns[j] = beta * columns[j] + (1 - beta) * found
        update = np.array([[gradient[i, j] / math.sqrt(rows[i] * columns[j] / rows.mean())
                            for j in range(3)] for i in range(2)])  # fmt: skip
        rate = max(1e-3, math.sqrt((theta**2).mean())) * min(0.125, 1 / math.sqrt(t))
        theta -= rate * update / max(1.0, math.sqrt((update**2).mean()))
        assert np.abs(state["parameter"].value - theta).max() <= 1e-14


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (4, 4)])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_newton_schulz_maps_singular_values(shape: tuple[int, int], steps: int) -> None:
    matrix = RANDOM.normal(size=shape)
    options = {"ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": steps, "eps": 0.0,
               "momentum": 0.0}  # fmt: skip
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(steps):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    got = orthogonalized(exactly(matrix, 2.0**-53), options)
    assert np.abs(got.value - left @ np.diag(values) @ right).max() <= 1e-10


def test_sparse_adam_is_adam_where_it_is_touched() -> None:
    options = {"lr": 0.125, "betas": (0.5, 0.75), "eps": 1e-30, "weight_decay": 0.0,
               "amsgrad": False, "maximize": False}  # fmt: skip
    touched: list[Array | None] = [np.array([g, np.nan]) for g in GRADIENTS]
    dense: list[Array | None] = [np.array([g]) for g in GRADIENTS]
    sparse = follow(CLOSED_FORMS["SparseAdam"], np.ones(2), touched, options, 2.0**-53)
    adam_path = follow(CLOSED_FORMS["Adam"], np.ones(1), dense, options, 2.0**-53)
    for one, other in zip(sparse, adam_path, strict=True):
        assert abs(one["parameter"].value[0] - other["parameter"].value[0]) <= 1e-14
        assert one["parameter"].value[1] == 1
        assert one["exp_avg"].value[1] == 0


def test_two_loops_are_the_dense_inverse_hessian() -> None:
    """``H <- (1 - s y' / y's) H (1 - y s' / y's) + s s' / y's``, from a multiple of one."""
    size, unit = 4, 2.0**-53
    pairs = []
    for _ in range(3):
        s = RANDOM.normal(size=size)
        pairs.append((s, 2 * s + 0.1 * RANDOM.normal(size=size)))
    dense = 0.7 * np.eye(size)
    for s, y in pairs:
        left = np.eye(size) - np.outer(s, y) / (y @ s)
        dense = left @ dense @ left.T + np.outer(s, s) / (y @ s)
    gradient = RANDOM.normal(size=size)
    kept = tuple((exactly(s, unit), exactly(y, unit)) for s, y in pairs)
    none = exactly(np.zeros(size), unit)
    got = direction(exactly(gradient, unit), Memory(kept, 0.7, none, none))
    assert np.abs(got.value + dense @ gradient).max() <= got.error.max() <= 1e-11


def test_memory_forgets_the_oldest_pair() -> None:
    unit, zero = 2.0**-53, np.zeros(2)
    memory = Memory((), 1.0, exactly(zero, unit), exactly(np.ones(2), unit))
    for number in range(1, 5):
        memory = with_newest(exactly(np.full(2, float(number)), unit), memory, 2)
        memory = memory._replace(gradient=exactly(zero, unit), move=exactly(np.ones(2), unit))
        assert len(memory.pairs) == min(number, 2)
    assert [float(y.value[0]) for _, y in memory.pairs] == [3.0, 4.0]


def test_lbfgs_solves_a_linear_system() -> None:
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    options = {"lr": 1.0, "max_iter": 4, "max_eval": None, "tolerance_grad": 1e-5,
               "tolerance_change": 1e-9, "history_size": 10}  # fmt: skip
    objective = polynomial(matrix, np.array([1.0, -1.0]), 0.0)
    path = lbfgs(objective, np.array([2.0, 2.0]), options, 3, 2.0**-53)
    expected = np.linalg.solve(matrix, [1.0, -1.0])
    assert np.abs(path[-1].value - expected).max() < 1e-2


@pytest.mark.parametrize("name", [name for name in CLOSED_FORMS if name not in ("Muon",)])
def test_the_bound_holds_for_single_precision_and_is_tight(name: str) -> None:
    """A float32 follower stays within the bound, and the bound within 1e-3 of the values."""
    for options in drawn_options(name, 8):
        if name == "Adafactor":  # None is the epsilon of a dtype, which the follower does not have
            options["eps"] = (1e-3, 1e-3)
        gradients: list[Array | None] = [g / 8 for g in RANDOM.integers(-16, 17, (6, 50))]
        start = RANDOM.integers(-16, 17, 50) / 8
        exact = follow(CLOSED_FORMS[name], start, gradients, options, 2.0**-24)
        narrow: list[Array | None] = [
            np.asarray(g, dtype=np.float32) for g in gradients if g is not None
        ]
        single = follow(CLOSED_FORMS[name], start.astype(np.float32), narrow, options, 0.0)
        for a, b in zip(exact, single, strict=True):
            bound = np.where(np.isnan(a["parameter"].error), np.inf, a["parameter"].error)
            assert (np.abs(a["parameter"].value - b["parameter"].value) <= bound).all()
            assert np.median(bound) < 1e-3


@pytest.mark.parametrize("unit", [2.0**-8, 2.0**-24])
def test_arithmetic_bounds_hold_in_every_corner(unit: float) -> None:
    """Whatever values within the errors of the operands: the result is within its error."""
    for _ in range(300):
        drawn = RANDOM.normal(size=4) ** 2
        a, b = Rounded(drawn[0], drawn[1], unit), Rounded(drawn[2], drawn[3], unit)
        corners = [(a.value + i * a.error, b.value + j * b.error) for i in (-1, 0, 1)
                   for j in (-1, 0, 1)]  # fmt: skip
        for x, y in corners:
            pairs: list[tuple[Rounded, float]] = [
                (a + b, x + y), (a - b, x - y), (a * b, x * y), (larger(a, b), max(x, y)),
                (smaller(a, b), min(x, y)),
            ]  # fmt: skip
            if b.error < b.value:
                pairs.append((a / b, x / y))
            if x >= 0:
                pairs.append((root(a), math.sqrt(x)))
            for found, value in pairs:
                assert abs(found.value - value) <= found.error * (1 + 1e-12)


def test_mean_of_an_axis() -> None:
    values = RANDOM.normal(size=(2, 3))
    found = mean(exactly(values, 2.0**-53), -1)
    assert np.allclose(found.value, values.mean(axis=1, keepdims=True), rtol=1e-15)
    assert mean(exactly(values, 2.0**-53)).value == pytest.approx(values.mean())
