"""Steps by running moments of the gradient: Adam and its variants."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.reference.optimizers.descent import ascended, decayed
from conformance.reference.optimizers.rounding import (
    DOUBLE,
    ROUNDINGS,
    SINGLE,
    Array,
    Rounded,
    blend,
    exactly,
    larger,
    magnitude,
    root,
    square,
    stored,
)
from conformance.reference.optimizers.state import Options, State, zeros


def complement(beta: float, step: int, options: Options) -> Rounded:
    """Return ``1 - beta^step``, the sum of the weights of a running mean.

    A capturable or differentiable step computes it from a step count that torch keeps in the
    default dtype; every other one in double precision.
    """
    tensors = options.get("capturable") or options.get("differentiable")
    unit = options.get("scalar_unit", SINGLE) if tensors else DOUBLE
    power = beta**step
    return Rounded(1 - power, ROUNDINGS * unit * (1 + step * power), 0.0)


def shrunk(state: State, options: Options) -> Rounded:
    """Return ``theta - lr weight_decay theta``: decoupled weight decay."""
    parameter: Rounded = state["parameter"]
    decay = options["weight_decay"]
    return parameter if decay == 0 else parameter * (1 - options["lr"] * decay)


def moments(state: State, update: Rounded, options: Options) -> State:
    """Return the running means of the gradient and of its square, and the step's number.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``.
    """
    beta1, beta2 = options["betas"]
    return {
        "step": state.get("step", 0) + 1,
        "exp_avg": blend(state.get("exp_avg", zeros(update)), update, 1 - beta1),
        "exp_avg_sq": beta2 * state.get("exp_avg_sq", zeros(update)) + (1 - beta2) * square(update),
    }


def _adam(state: State, parameter: Rounded, update: Rounded, options: Options) -> State:
    beta1, beta2 = options["betas"]
    new = moments(state, update, options)
    second = new["exp_avg_sq"]
    if options["amsgrad"]:
        second = larger(state.get("max_exp_avg_sq", zeros(update)), second)
        new["max_exp_avg_sq"] = second
    mean = new["exp_avg"] / complement(beta1, new["step"], options)
    scale = root(second / complement(beta2, new["step"], options)) + options["eps"]
    return {**new, "parameter": parameter - options["lr"] * (mean / scale)}


def adam(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adam.

    ``g = g + weight_decay theta``; m and v are running means of g and of its square; amsgrad: the
    running maximum of v in its place;
    ``theta -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html. The paper on
    AMSGrad does not correct the bias; the page does.
    """
    return _adam(state, state["parameter"], decayed(gradient, state, options), options)


def adamw(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adam with decoupled weight decay.

    ``theta -= lr weight_decay theta`` first, then a step of Adam by the bare gradient.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html. The paper
    multiplies the decay by its schedule, not by lr.
    """
    return _adam(state, shrunk(state, options), ascended(gradient, options), options)


def adamax(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adamax.

    ``g = g + weight_decay theta``; ``m = beta1 m + (1 - beta1) g``;
    ``u = max(beta2 u, |g| + eps)``; ``theta -= lr m / ((1 - beta1^t) u)``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html. The paper has
    no eps.
    """
    beta1, beta2 = options["betas"]
    update, step = decayed(gradient, state, options), state.get("step", 0) + 1
    mean = blend(state.get("exp_avg", zeros(update)), update, 1 - beta1)
    norm = larger(beta2 * state.get("exp_inf", zeros(update)), magnitude(update) + options["eps"])
    move = mean / (complement(beta1, step, options) * norm)
    return {
        "parameter": state["parameter"] - options["lr"] * move,
        "step": step,
        "exp_avg": mean,
        "exp_inf": norm,
    }


def nadam(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of NAdam, Adam with Nesterov momentum.

    ``mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)``;
    ``m_hat = mu_{t+1} m / (1 - prod_{i <= t+1} mu_i) + (1 - mu_t) g / (1 - prod_{i <= t} mu_i)``;
    ``theta -= lr m_hat / (sqrt(v / (1 - beta2^t)) + eps)``; weight decay as in Adam, or decoupled
    as in AdamW. torch keeps the product in the default dtype: it rounds to ``scalar_unit``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """
    unit = options.get("scalar_unit", SINGLE)
    decoupled = options["decoupled_weight_decay"]
    update = ascended(gradient, options) if decoupled else decayed(gradient, state, options)
    parameter = shrunk(state, options) if decoupled else state["parameter"]
    new = moments(state, update, options)
    now, following = (
        options["betas"][0] * (1 - 0.5 * 0.96 ** (t * options["momentum_decay"]))
        for t in (new["step"], new["step"] + 1)
    )
    product = stored(state.get("mu_product", exactly(np.array(1.0), 0.0)) * now, unit)
    mean = (following / _rest(product * following, unit)) * new["exp_avg"]
    mean = mean + ((1 - now) / _rest(product, unit)) * update
    scale = root(new["exp_avg_sq"] / complement(options["betas"][1], new["step"], options))
    move = mean / (scale + options["eps"])
    return {**new, "mu_product": product, "parameter": parameter - options["lr"] * move}


def _rest(product: Rounded, unit: float) -> Rounded:
    return stored(1 - product, unit)


def radam(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of RAdam, Adam with a rectified variance.

    ``rho = rho_inf - 2 t beta2^t / (1 - beta2^t)`` with ``rho_inf = 2 / (1 - beta2) - 1``. Where
    rho > 5, ``theta -= lr m_hat r l`` with ``l = sqrt(1 - beta2^t) / (sqrt(v) + eps)`` and
    ``r^2 = (rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)``; else
    ``theta -= lr m_hat``. Weight decay as in Adam, or decoupled as in AdamW.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html. The paper
    rectifies from rho > 4 on.
    """
    beta1, beta2 = options["betas"]
    decoupled = options["decoupled_weight_decay"]
    update = ascended(gradient, options) if decoupled else decayed(gradient, state, options)
    parameter = shrunk(state, options) if decoupled else state["parameter"]
    new = moments(state, update, options)
    move = new["exp_avg"] / complement(beta1, new["step"], options)
    weight = complement(beta2, new["step"], options)
    last = 2 / (1 - beta2) - 1
    length = last - 2 * new["step"] * beta2 ** new["step"] / weight
    if length.value > 5:
        rectified = (length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length)
        move = move * root(rectified) * (root(weight) / (root(new["exp_avg_sq"]) + options["eps"]))
    return {**new, "parameter": parameter - options["lr"] * move}


def sparse_adam(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adam where the gradient has a value: nan stands for none.

    Elsewhere parameter and moments stay. With ``lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t)``,
    ``theta -= lr_t m / (sqrt(v) + eps)``: the order of operations that the paper (section 2)
    proposes, in which eps is not divided by ``sqrt(1 - beta2^t)``; the page gives no formula.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
    """
    given: Array = ~np.isnan(gradient.value)
    update = ascended(exactly(np.where(given, gradient.value, 0.0), gradient.unit), options)
    before = {name: state.get(name, zeros(update)) for name in ("exp_avg", "exp_avg_sq")}
    new = moments(state, update, options)
    beta1, beta2 = options["betas"]
    new["exp_avg_sq"] = blend(before["exp_avg_sq"], square(update), 1 - beta2)
    rate = root(complement(beta2, new["step"], options)) / complement(beta1, new["step"], options)
    move = options["lr"] * rate * new["exp_avg"] / (root(new["exp_avg_sq"]) + options["eps"])
    stepped = {**new, "parameter": state["parameter"] - move}
    old: dict[str, Any] = {**before, "parameter": state["parameter"]}
    chosen = {name: _where(given, stepped[name], old[name]) for name in old}
    return {**chosen, "step": new["step"]}


def _where(given: Array, new: Rounded, old: Rounded) -> Rounded:
    value, error = np.where(given, new.value, old.value), np.where(given, new.error, old.error)
    return Rounded(value, error, new.unit)
