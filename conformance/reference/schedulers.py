"""Learning rates in closed form: the rate of an epoch from the initial one and the options.

Each function takes the initial rate of a group, the epoch (the number of steps so far) and the
options by their documented names. Sources are the pages of the classes, for example
https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html, and the papers
that they name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Factor = Callable[[float], float]


def halving(epoch: float) -> float:
    """Half as much each epoch."""
    return float(0.5**epoch)


def warming(epoch: float) -> float:
    """A rise in four epochs, then constant."""
    return min(1.0, (epoch + 1) / 4)


def stepping(epoch: float) -> float:
    """A fall to nine tenths every three epochs."""
    return float(0.9 ** (epoch // 3))


def vanishing(epoch: float) -> float:
    """Nothing from the seventh epoch on."""
    return 0.75 if epoch < 7 else 0.0


FACTORS: dict[str, Factor] = {
    "halving": halving,
    "warming": warming,
    "stepping": stepping,
    "vanishing": vanishing,
}
"""What a user may hand in as ``lr_lambda`` or ``scale_fn``, by name."""


def scaled(base: float, epoch: int, *, lr_lambda: str) -> float:
    """LambdaLR: ``base * lambda(epoch)``."""
    return base * FACTORS[lr_lambda](epoch)


def multiplied(base: float, epoch: int, *, lr_lambda: str) -> float:
    """MultiplicativeLR: ``base * lambda(1) * ... * lambda(epoch)``; nothing at epoch 0."""
    return base * math.prod(FACTORS[lr_lambda](e) for e in range(1, epoch + 1))


def step_decay(base: float, epoch: int, *, step_size: int, gamma: float) -> float:
    """StepLR: ``base * gamma^n`` after n whole periods of ``step_size`` epochs."""
    return float(base * gamma ** (epoch // step_size))


def milestone_decay(base: float, epoch: int, *, milestones: Sequence[int], gamma: float) -> float:
    """MultiStepLR: ``base * gamma^n`` if n milestones are reached, repeated ones as often."""
    return float(base * gamma ** sum(milestone <= epoch for milestone in milestones))


def constant_factor(base: float, epoch: int, *, factor: float, total_iters: int) -> float:
    """ConstantLR: ``base * factor`` until the epoch reaches ``total_iters``, then ``base``."""
    return base * factor if epoch < total_iters else base


def linear_factor(
    base: float, epoch: int, *, start_factor: float, end_factor: float, total_iters: int
) -> float:
    """LinearLR: the factor moves in ``total_iters`` equal parts from start to end, and stays."""
    done = min(epoch, total_iters) / total_iters
    return base * ((1 - done) * start_factor + done * end_factor)


def exponential_decay(base: float, epoch: int, *, gamma: float) -> float:
    """ExponentialLR: ``base * gamma^epoch``."""
    return float(base * gamma**epoch)


def polynomial_decay(base: float, epoch: int, *, total_iters: int, power: float) -> float:
    """PolynomialLR: ``base * (1 - epoch / total_iters)^power``, 0 from the end on (0^0 is 1)."""
    left = max(total_iters - epoch, 0) / total_iters
    return float(base * left**power)


def cosine(high: float, low: float, part: float) -> float:
    """``low + (high - low) (1 + cos(pi part)) / 2``: arXiv:1608.03983, equation (5)."""
    return low + (high - low) * (1 + math.cos(math.pi * part)) / 2


def cosine_annealing(base: float, epoch: int, *, T_max: int, eta_min: float) -> float:  # noqa: N803
    """CosineAnnealingLR: the cosine from ``base`` to ``eta_min`` and back, without restarts."""
    return cosine(base, eta_min, epoch / T_max)


def warm_restarts(
    base: float,
    epoch: float,
    *,
    T_0: int,  # noqa: N803
    T_mult: int,  # noqa: N803
    eta_min: float,
) -> float:
    """CosineAnnealingWarmRestarts: a cosine from ``base`` over each period.

    Periods have T_0, T_0 T_mult, T_0 T_mult^2 ... epochs; a fraction of an epoch counts as such.
    """
    period = T_0
    while epoch >= period:
        epoch -= period
        period *= T_mult
    return cosine(base, eta_min, epoch / period)


def cycle_height(
    epoch: int,
    *,
    step_size_up: int,
    step_size_down: int | None,
    mode: str,
    gamma: float,
    scale_fn: str | None,
    scale_mode: str,
    **_: Any,
) -> float:
    """How high CyclicLR stands between its boundaries: 0 at the lower one, 1 at the upper one.

    A triangle that rises for ``step_size_up`` and falls for ``step_size_down`` steps. The n-th
    cycle (from 1) is scaled by 1, by ``2^(1 - n)`` (triangular2), or each step by
    ``gamma^step`` (exp_range; arXiv:1506.01186, section 3.2, counts iterations of the training);
    or by ``scale_fn`` of either number, whatever the mode.
    """
    down = step_size_up if step_size_down is None else step_size_down
    cycles, place = divmod(epoch, step_size_up + down)
    height = place / step_size_up if place <= step_size_up else (step_size_up + down - place) / down
    if scale_fn is not None:
        return height * FACTORS[scale_fn](cycles + 1 if scale_mode == "cycle" else epoch)
    if mode == "triangular2":
        return height / 2.0**cycles
    return height * gamma**epoch if mode == "exp_range" else height


def cyclic(base: float, epoch: int, *, base_lr: float, max_lr: float, **options: Any) -> float:
    """CyclicLR: ``base_lr + height (max_lr - base_lr)``; the optimizer's own rate is replaced."""
    return base_lr + cycle_height(epoch, **options) * (max_lr - base_lr)


def cyclic_momentum(
    epoch: int, *, base_momentum: float, max_momentum: float, **options: Any
) -> float:
    """CyclicLR: ``max_momentum - height (max_momentum - base_momentum)``."""
    return max_momentum - cycle_height(epoch, **options) * (max_momentum - base_momentum)


def annealed(start: float, end: float, part: float, strategy: str) -> float:
    """From start to end, linearly or along half a cosine."""
    return cosine(start, end, part) if strategy == "cos" else start + part * (end - start)


def one_cycle_values(
    epoch: int, start: float, peak: float, end: float, options: dict[str, Any]
) -> float:
    """OneCycleLR: from start up to the peak, then down to the end.

    Of the steps 0 to ``total_steps - 1``, the first ``pct_start * total_steps`` rise: the last of
    these stands on the peak. The fall leads to the end at the last step; of three phases the
    second mirrors the rise back to the start, the third leads on.
    """
    rise, last = options["pct_start"] * options["total_steps"] - 1, options["total_steps"] - 1
    places = [0.0, rise, 2 * rise, last] if options["three_phase"] else [0.0, rise, last]
    values = [start, peak, start, end] if options["three_phase"] else [start, peak, end]
    phase = next((n for n, until in enumerate(places[1:]) if epoch <= until), len(places) - 2)
    part = (epoch - places[phase]) / (places[phase + 1] - places[phase])
    return annealed(values[phase], values[phase + 1], part, options["anneal_strategy"])


def one_cycle(
    base: float,
    epoch: int,
    *,
    max_lr: float,
    div_factor: float,
    final_div_factor: float,
    **options: Any,
) -> float:
    """OneCycleLR: ``max_lr / div_factor``, up to ``max_lr``, down to that over
    ``final_div_factor``; the optimizer's own rate is replaced.
    """
    start = max_lr / div_factor
    return one_cycle_values(epoch, start, max_lr, start / final_div_factor, options)


def one_cycle_momentum(
    epoch: int, *, base_momentum: float, max_momentum: float, **options: Any
) -> float:
    """OneCycleLR: from ``max_momentum`` down to ``base_momentum`` at the peak, and back."""
    return one_cycle_values(epoch, max_momentum, base_momentum, max_momentum, options)


def swa_annealing(
    base: float, epoch: int, *, swa_lr: float, anneal_epochs: int, anneal_strategy: str
) -> float:
    """SWALR: from ``base`` to ``swa_lr`` in ``anneal_epochs`` steps, then constant."""
    part = 1.0 if epoch >= anneal_epochs else epoch / anneal_epochs
    return annealed(base, swa_lr, part, anneal_strategy)


CLOSED_FORMS: dict[str, Callable[..., float]] = {
    "LambdaLR": scaled,
    "MultiplicativeLR": multiplied,
    "StepLR": step_decay,
    "MultiStepLR": milestone_decay,
    "ConstantLR": constant_factor,
    "LinearLR": linear_factor,
    "ExponentialLR": exponential_decay,
    "PolynomialLR": polynomial_decay,
    "CosineAnnealingLR": cosine_annealing,
    "CosineAnnealingWarmRestarts": warm_restarts,
    "CyclicLR": cyclic,
    "OneCycleLR": one_cycle,
    "SWALR": swa_annealing,
}
"""Closed form by the name of the class."""

MOMENTA: dict[str, Callable[..., float]] = {
    "CyclicLR": cyclic_momentum,
    "OneCycleLR": one_cycle_momentum,
}
"""Closed form of the momentum, for classes that cycle it."""

ADDITIVE = ("CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR", "SWALR")
"""Classes that add to a rate; the others multiply it, so that their errors are relative."""

ROUNDINGS = 16


def rounding(name: str, base: float, epoch: float, options: dict[str, Any], unit: float) -> float:
    """How far rounding may take a rate from its closed form, step by step, to first order.

    Each step rounds up to 16 times with roundoff ``unit``, relative to the rate, or to the largest
    rate on the way if rates are added. Recursions divide by small differences, which magnifies
    what was rounded before: by ``total_iters`` in linear and polynomial decay, and by
    ``T_max^2`` where a cosine leaves its minimum, which it does with ``1 - cos(pi / T_max)``.
    """
    value = abs(CLOSED_FORMS[name](base, epoch, **options))
    ends = [abs(options.get(key, 0.0)) for key in ("eta_min", "base_lr", "max_lr", "swa_lr")]
    added = name in ADDITIVE or options.get("end_factor") == 0
    size = max(value, abs(base), *ends) if added else value
    magnified = max(options.get("total_iters", 1), options.get("T_max", 1) ** 2)
    return float(ROUNDINGS * (epoch + 1) * magnified * unit * size)


def heavy_ball(rates: Sequence[float], momenta: Sequence[float]) -> float:
    """Where SGD takes a parameter from 0 by gradients of 1 under these rates and momenta.

    ``v_t = momentum_t v_{t-1} + 1``, ``theta_t = theta_{t-1} - rate_t v_t``.
    """
    place = velocity = 0.0
    for rate, momentum in zip(rates, momenta, strict=True):
        velocity = momentum * velocity + 1
        place -= rate * velocity
    return place
