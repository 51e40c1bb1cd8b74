"""Closed forms of schedules against second derivations: recursions, interpolation, loops."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from conformance.reference import averaging, plateau, schedulers
from conformance.reference.schedulers import CLOSED_FORMS
from strategies.schedulers import SCHEDULES

EPOCHS = range(18)


def combinations(name: str, *, most: int = 300) -> list[dict[str, Any]]:
    """Every combination of a scheduler's options, or a spread of them where there are many."""
    table = SCHEDULES[name]
    all_of_them = [dict(zip(table, row, strict=True)) for row in product(*table.values())]
    return all_of_them[:: max(1, len(all_of_them) // most)]


def path(name: str, base: float, options: dict[str, Any]) -> list[float]:
    return [CLOSED_FORMS[name](base, epoch, **options) for epoch in EPOCHS]


def changed(name: str, epoch: int, o: dict[str, Any]) -> float:
    """By how much the rate changes at an epoch: the rule as the class's page tells it."""
    if name == "StepLR":
        return float(o["gamma"]) if epoch % o["step_size"] == 0 else 1.0
    if name == "MultiStepLR":
        return float(o["gamma"] ** o["milestones"].count(epoch))
    if name == "ConstantLR":
        return float(1 / o["factor"]) if epoch == o["total_iters"] else 1.0
    if name == "ExponentialLR":
        return float(o["gamma"])
    return schedulers.FACTORS[o["lr_lambda"]](epoch)


@pytest.mark.parametrize(
    "name", ["StepLR", "MultiStepLR", "ConstantLR", "ExponentialLR", "MultiplicativeLR"]
)
def test_products_follow_from_their_steps(name: str) -> None:
    for options in combinations(name):
        first = {
            "ConstantLR": options.get("factor", 1.0),
            "MultiStepLR": options.get("gamma", 1.0) ** options.get("milestones", []).count(0),
        }
        rates = [0.5 * first.get(name, 1.0)]
        for epoch in EPOCHS[1:]:
            rates.append(rates[-1] * changed(name, epoch, options))
        np.testing.assert_allclose(path(name, 0.5, options), rates, rtol=1e-14)


def test_linear_and_polynomial_decay_interpolate() -> None:
    for options in combinations("LinearLR"):
        ends = [0, options["total_iters"]]
        factors = np.interp(EPOCHS, ends, [options["start_factor"], options["end_factor"]])
        np.testing.assert_allclose(path("LinearLR", 0.5, options), 0.5 * factors, rtol=1e-14)
    for options in combinations("PolynomialLR"):
        left = np.interp(EPOCHS, [0, options["total_iters"]], [1, 0])
        expected = 0.5 * left ** options["power"]
        np.testing.assert_allclose(path("PolynomialLR", 0.5, options), expected, rtol=1e-13)


def test_cosine_annealing_follows_its_documented_recursion() -> None:
    for options in combinations("CosineAnnealingLR"):
        period, low = options["T_max"], mpmath.mpf(options["eta_min"])
        with mpmath.workdps(50):
            rate = mpmath.mpf("0.5")
            for t in range(period):
                assert float(rate) == pytest.approx(
                    CLOSED_FORMS["CosineAnnealingLR"](0.5, t, **options), rel=1e-14
                )
                now, then = (1 + mpmath.cos(mpmath.pi * e / period) for e in (t, t + 1))
                rate = low + (rate - low) * then / now
        assert float(rate) == pytest.approx(options["eta_min"], abs=1e-15)


def test_warm_restarts_are_cosines_one_after_the_other() -> None:
    for options in combinations("CosineAnnealingWarmRestarts"):
        rates: list[float] = []
        period = options["T_0"]
        while len(rates) < 40:
            one = {"T_max": period, "eta_min": options["eta_min"]}
            rates += [CLOSED_FORMS["CosineAnnealingLR"](0.5, t, **one) for t in range(period)]
            period *= options["T_mult"]
        got = [schedulers.warm_restarts(0.5, epoch, **options) for epoch in range(40)]
        np.testing.assert_allclose(got, rates[:40], rtol=1e-14)
    between = schedulers.warm_restarts(1.0, 3.5, T_0=1, T_mult=2, eta_min=0.0)
    assert between == pytest.approx((1 + math.cos(math.pi / 8)) / 2, rel=1e-15)


def test_a_cycle_interpolates_between_its_corners() -> None:
    for options in combinations("CyclicLR", most=600):
        up, down = options["step_size_up"], options["step_size_down"] or options["step_size_up"]
        corners = [n * (up + down) + part for n in range(18) for part in (0, up)]
        triangle = np.interp(EPOCHS, corners, [0, 1] * 18)
        for epoch in EPOCHS:
            cycle = 1 + epoch // (up + down)
            scale = {"triangular": 1, "triangular2": 2 ** -(cycle - 1)}.get(
                options["mode"], options["gamma"] ** epoch
            )
            if options["scale_fn"]:
                argument = {"cycle": cycle, "iterations": epoch}[options["scale_mode"]]
                scale = schedulers.FACTORS[options["scale_fn"]](argument)
            part = triangle[epoch] * scale
            rate = options["base_lr"] * (1 - part) + options["max_lr"] * part
            assert CLOSED_FORMS["CyclicLR"](9.0, epoch, **options) == pytest.approx(rate)
            momentum = options["max_momentum"] * (1 - part) + options["base_momentum"] * part
            assert schedulers.cyclic_momentum(epoch, **options) == pytest.approx(momentum)


def test_one_cycle_interpolates_between_its_corners() -> None:
    for options in combinations("OneCycleLR", most=500):
        if options["three_phase"] and options["pct_start"] > 0.5:
            continue
        last = options["total_steps"] - 1
        peak = options["total_steps"] * options["pct_start"] - 1
        start = options["max_lr"] / options["div_factor"]
        corners = [0, peak, *([2 * peak] if options["three_phase"] else []), last]
        rates = [start, options["max_lr"], *([start] if options["three_phase"] else [])]
        momenta = [options["max_momentum"], options["base_momentum"]]
        momenta += [options["max_momentum"]] * (len(corners) - 2)
        rates.append(start / options["final_div_factor"])
        for epoch in range(last + 1):
            # How far along the phases: whole numbers at the corners; a cosine eases each phase.
            along = float(np.interp(epoch, corners, range(len(corners))))
            if options["anneal_strategy"] == "cos":
                along = math.floor(along) + (1 - math.cos(math.pi * (along % 1))) / 2
            for values, got in (
                (rates, CLOSED_FORMS["OneCycleLR"](9.0, epoch, **options)),
                (momenta, schedulers.one_cycle_momentum(epoch, **options)),
            ):
                expected = np.interp(along, range(len(corners)), values)
                assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_swa_annealing_ends_and_stays() -> None:
    for options in combinations("SWALR"):
        rates = path("SWALR", 0.25, options)
        assert rates[options["anneal_epochs"] :] == pytest.approx(
            [options["swa_lr"]] * (18 - options["anneal_epochs"])
        )
        if options["anneal_epochs"] > 1:
            assert rates[0] == 0.25
            middle = {"linear": 0.5, "cos": 0.5}[options["anneal_strategy"]]
            half = CLOSED_FORMS["SWALR"](0.25, 2, **{**options, "anneal_epochs": 4})
            assert half == pytest.approx(0.25 + middle * (options["swa_lr"] - 0.25))


def test_examples_of_the_documentation() -> None:
    linear = path("LinearLR", 0.05, {"start_factor": 0.05, "end_factor": 1.0, "total_iters": 40})
    assert linear[1:4] == pytest.approx([0.0036875, 0.004875, 0.0060625])
    steps = {"milestones": [3, 8], "gamma": 0.1}
    assert path("MultiStepLR", 0.05, steps)[2:4] == pytest.approx([0.05, 0.005])
    assert path("MultiStepLR", 0.05, steps)[7:9] == pytest.approx([0.005, 0.0005])


def test_roundings_bound_a_recursion_in_single_precision() -> None:
    """A cosine in float32, step by step as documented, stays within its bound and needs it."""
    options = {"T_max": 30, "eta_min": 0.0}
    rate, worst = 1.0, 0.0
    for t in range(29):
        now, then = (1 + math.cos(math.pi * e / 30) for e in (t, t + 1))
        rate = float(np.float32(rate) * np.float32(then / now))
        exact = CLOSED_FORMS["CosineAnnealingLR"](1.0, t + 1, **options)
        bound = schedulers.rounding("CosineAnnealingLR", 1.0, t + 1, options, 2.0**-24)
        worst = max(worst, abs(rate - exact) / bound)
    assert 0 < worst < 1


def test_heavy_ball_is_an_unrolled_sum() -> None:
    rates, momenta = [0.5, 0.25, 1.0, 0.125], [0.9, 0.5, 0.75, 0.25]
    velocities = [
        sum(math.prod(momenta[start + 1 : step + 1]) for start in range(step + 1))
        for step in range(4)
    ]
    expected = -sum(rate * v for rate, v in zip(rates, velocities, strict=True))
    assert schedulers.heavy_ball(rates, momenta) == pytest.approx(expected)


def longest_bad_run(metrics: list[float], patience: int) -> list[bool]:
    """Without threshold and cooldown: reduced after each patience + 1 bad epochs in a row."""
    marks = []
    for epoch in range(len(metrics)):
        best = min(range(epoch + 1), key=lambda e: metrics[e])
        since = epoch - best
        marks.append(since > 0 and since % (patience + 1) == 0)
    return marks


def test_plateau_counts_bad_epochs_in_a_row() -> None:
    rules: dict[str, Any] = {"threshold": 0.0, "threshold_mode": "rel", "cooldown": 0}
    generator = np.random.default_rng(0)
    for patience, _ in product(range(4), range(50)):
        metrics = [float(m) for m in generator.permutation(12)]
        got = list(plateau.reductions(metrics, mode="min", patience=patience, **rules))
        assert got == longest_bad_run(metrics, patience)
        mirrored = [-m for m in metrics]
        rising = plateau.reductions(mirrored, mode="max", patience=patience, **rules)
        assert list(rising) == got


def test_plateau_by_hand() -> None:
    """Cooldown and threshold, worked out with pencil and paper."""
    rules = {"mode": "min", "patience": 1, "threshold": 0.25}
    metrics = [8.0, 7.0, 6.0, 6.0, 6.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    relative = plateau.reductions(metrics, threshold_mode="rel", cooldown=2, **rules)  # type: ignore[arg-type]
    marks = [n for n, mark in enumerate(relative) if mark]
    assert marks == [2, 7]
    absolute = plateau.reductions(metrics, threshold_mode="abs", cooldown=2, **rules)  # type: ignore[arg-type]
    assert [n for n, mark in enumerate(absolute) if mark] == [4, 8]


def test_a_reduction_has_a_floor_and_a_least_size() -> None:
    assert plateau.reduced_rate(1.0, factor=0.5, min_lr=0.75, eps=0.0) == 0.75
    assert plateau.reduced_rate(1.0, factor=0.5, min_lr=2.0, eps=0.0) == 1.0
    assert plateau.reduced_rate(1.0, factor=0.5, min_lr=0.0, eps=0.75) == 1.0
    assert plateau.reduced_rate(1.0, factor=0.5, min_lr=0.0, eps=0.5) == 0.5


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_averages_follow_their_recursions(decay: float) -> None:
    rows = list(np.random.default_rng(0).normal(size=(6, 4)))
    equal = exponential = rows[0]
    for number, row in enumerate(rows[1:], 1):
        equal = equal + (row - equal) / (number + 1)
        exponential = decay * exponential + (1 - decay) * row
    np.testing.assert_allclose(averaging.equal_average(rows), equal, rtol=1e-13)
    np.testing.assert_allclose(averaging.exponential_average(rows, decay), exponential, rtol=1e-12)


def test_batch_statistics_by_loops() -> None:
    batches = list(np.random.default_rng(0).normal(size=(3, 4, 2, 5)))
    means, variances = np.zeros(2), np.zeros(2)
    for channel in range(2):
        for batch in batches:
            values = [batch[i, channel, j] for i in range(4) for j in range(5)]
            mean = sum(values) / 20
            means[channel] += mean / 3
            variances[channel] += sum((v - mean) ** 2 for v in values) / 19 / 3
    got = averaging.batch_statistics(batches)
    np.testing.assert_allclose(got[0], means, rtol=1e-12)
    np.testing.assert_allclose(got[1], variances, rtol=1e-12)
