"""Updates of optimizers in closed form, with a bound on what rounding may do to each.

One parameter at a time over a history of gradients, in float64. Beside each quantity stands
the error that an implementation of unit roundoff ``unit`` may make in it, propagated to first
order; every operation is allowed four roundings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Options = Mapping[str, Any]
ROUNDINGS = 4


class Rounded(NamedTuple):
    """A value, and how far rounding may have taken an implementation's from it."""

    value: Array
    error: Array


def _combine(unit: float, *terms: tuple[float, Rounded]) -> Rounded:
    """``sum of factor * value``, every product and the sum rounded."""
    products = [factor * rounded.value for factor, rounded in terms]
    spread = sum(abs(factor) * rounded.error for factor, rounded in terms)
    total = np.asarray(sum(products))
    size = sum(np.abs(p) for p in products)
    return Rounded(total, np.asarray(spread + ROUNDINGS * unit * size))


def _exactly(value: Array) -> Rounded:
    return Rounded(value, np.zeros_like(value))


def _ascent_and_decay(
    gradient: Array, parameter: Rounded, options: Options, unit: float
) -> Rounded:
    """The gradient that the update uses: negated to maximize, plus ``weight_decay * theta``."""
    signed = _exactly(-gradient if options["maximize"] else gradient)
    if options["weight_decay"] == 0:
        return signed
    return _combine(unit, (1.0, signed), (options["weight_decay"], parameter))


def sgd(
    start: Array, gradients: Sequence[Array | None], options: Options, unit: float
) -> list[Rounded]:
    """Return the parameter after each step of stochastic gradient descent.

    ``b_t = momentum b_{t-1} + (1 - dampening) g_t`` with ``b_1 = g_1``;
    ``g_t + momentum b_t`` if nesterov, else ``b_t``, replaces ``g_t``;
    ``theta_t = theta_{t-1} - lr g_t``. A None gradient leaves parameter and buffer alone.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    parameter, buffer, history = _exactly(start), None, []
    momentum = options["momentum"]
    for gradient in gradients:
        if gradient is not None:
            update = _ascent_and_decay(gradient, parameter, options, unit)
            if momentum != 0:
                if buffer is None:
                    buffer = update
                else:
                    buffer = _combine(unit, (momentum, buffer), (1 - options["dampening"], update))
                if options["nesterov"]:
                    update = _combine(unit, (1.0, update), (momentum, buffer))
                else:
                    update = buffer
            parameter = _combine(unit, (1.0, parameter), (-options["lr"], update))
        history.append(parameter)
    return history


def adam(
    start: Array, gradients: Sequence[Array | None], options: Options, unit: float
) -> list[Rounded]:
    """Return the parameter after each step of Adam.

    ``m_t = beta1 m_{t-1} + (1 - beta1) g_t``, ``v_t = beta2 v_{t-1} + (1 - beta2) g_t^2``,
    amsgrad: the running maximum of ``v``; ``theta_t = theta_{t-1} - lr (m_t / (1 - beta1^t)) /
    (sqrt(v_t / (1 - beta2^t)) + eps)``. A None gradient leaves parameter, state and t alone.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """
    beta1, beta2 = options["betas"]
    parameter, history = _exactly(start), []
    first = second = largest = _exactly(np.zeros_like(start))
    step = 0
    for gradient in gradients:
        if gradient is not None:
            step += 1
            update = _ascent_and_decay(gradient, parameter, options, unit)
            # lerp computes m + (1 - beta1)(g - m): the whole of g and m is rounded.
            wide = ROUNDINGS * unit * (np.abs(first.value) + np.abs(update.value))
            first = _combine(unit, (beta1, first), (1 - beta1, update))
            first = Rounded(first.value, first.error + wide)
            square = Rounded(update.value**2, 2 * np.abs(update.value) * update.error)
            second = _combine(unit, (beta2, second), (1 - beta2, square))
            if options["amsgrad"]:
                largest = Rounded(
                    np.maximum(largest.value, second.value),
                    np.maximum(largest.error, second.error),
                )
            chosen = largest if options["amsgrad"] else second
            ratio = _corrected_ratio(first, chosen, beta1, beta2, step, options["eps"], unit)
            parameter = _combine(unit, (1.0, parameter), (-options["lr"], ratio))
        history.append(parameter)
    return history


def _corrected_ratio(
    first: Rounded,
    second: Rounded,
    beta1: float,
    beta2: float,
    step: int,
    epsilon: float,
    unit: float,
) -> Rounded:
    """``(m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)``."""
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    root = np.sqrt(second.value / correction2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # d sqrt(v) = dv / (2 sqrt(v)), and never more than sqrt(dv).
        slope = np.where(root > 0, second.error / correction2 / (2 * root), np.inf)
    root_error = np.minimum(slope, np.sqrt(second.error / correction2))
    denominator = root + epsilon
    value = first.value / correction1 / denominator
    corrections = step * unit * (1 / correction1 + 1 / correction2)
    relative = root_error / denominator + ROUNDINGS * unit + corrections
    error = first.error / correction1 / denominator + np.abs(value) * relative
    return Rounded(value, error)


CLOSED_FORMS: dict[str, Callable[..., list[Rounded]]] = {"SGD": sgd, "Adam": adam}
"""Closed form by the name of the class in torch.optim."""
