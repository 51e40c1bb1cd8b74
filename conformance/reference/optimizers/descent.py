"""Steps along the gradient: SGD, averaged SGD, and Rprop, which takes the gradient's sign."""

from __future__ import annotations

import numpy as np

from conformance.reference.optimizers.rounding import (
    SINGLE,
    Rounded,
    exactly,
    stored,
)
from conformance.reference.optimizers.state import Options, State, zeros


def ascended(gradient: Rounded, options: Options) -> Rounded:
    """Return the gradient of what is minimized: ``-g`` to maximize."""
    return -gradient if options.get("maximize") else gradient


def decayed(gradient: Rounded, state: State, options: Options) -> Rounded:
    """Return ``g + weight_decay theta``, where ``g`` is ``-g`` to maximize."""
    signed = ascended(gradient, options)
    decay = options.get("weight_decay", 0)
    return signed if decay == 0 else signed + decay * state["parameter"]


def sgd(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of stochastic gradient descent.

    ``g = g + weight_decay theta``; ``b = momentum b + (1 - dampening) g``, at the first step
    ``b = g``; ``g + momentum b`` if nesterov, else ``b``, replaces ``g``; ``theta -= lr g``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    update, momentum = decayed(gradient, state, options), options["momentum"]
    new: State = {}
    if momentum != 0:
        buffer = update
        if "momentum_buffer" in state:
            buffer = momentum * state["momentum_buffer"] + (1 - options["dampening"]) * update
        new["momentum_buffer"] = buffer
        update = update + momentum * buffer if options["nesterov"] else buffer
    return {**new, "parameter": state["parameter"] - options["lr"] * update}


def asgd(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of averaged stochastic gradient descent.

    ``theta = (1 - lambd eta) theta - eta g``; ``ax += mu (theta - ax)``; then, for the next
    step, ``eta = lr / (1 + lambd lr t)^alpha`` and ``mu = 1 / max(1, t - t0)``. At first
    ``eta = lr`` and ``mu = 1``; ``ax`` is the average of theta from step t0 on.
    The page names the options and cites Polyak and Juditsky; the schedule of eta, of which it
    says "power for eta update", is that of Bottou's averaged descent (Xu, 2011, arXiv:1107.2490).
    torch keeps eta and mu in the default dtype, so that they round to ``scalar_unit``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html
    """
    unit = options.get("scalar_unit", SINGLE)
    lr, lambd, step = options["lr"], options["lambd"], state.get("step", 0) + 1
    eta = state.get("eta", stored(lr, unit))
    mu = state.get("mu", exactly(np.array(1.0), unit))
    parameter = state["parameter"] * (1 - lambd * eta) - eta * decayed(gradient, state, options)
    average = state.get("ax", zeros(gradient))
    moved = average + mu * (parameter - average)
    if mu.value == 1:  # theta itself: nothing is subtracted
        moved = parameter
    return {
        "parameter": parameter,
        "step": step,
        "ax": moved,
        "eta": stored(lr / (1 + lambd * lr * step) ** options["alpha"], unit),
        "mu": stored(np.array(1 / max(1.0, step - options["t0"])), unit),
    }


def rprop(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of resilient backpropagation.

    By the sign of ``g_prev g`` each step size is multiplied by etaplus (positive), by etaminus
    (negative; then ``g = 0``) or kept (zero), within ``step_sizes``, which are the "minimal and
    maximal allowed step sizes": the page's formula limits those only that it multiplies.
    ``theta -= eta sign(g)``; the first step size is lr. The page's list of options describes
    etas as "multiplicative increase and decrease factors" and names them (etaminus, etaplus).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html
    """
    low, high = options["step_sizes"]
    shrink, grow = options["etas"]
    now = ascended(gradient, options)
    turned = np.sign(np.real(now.value)) * np.sign(np.real(state.get("prev", zeros(now)).value))
    first = exactly(np.full(np.shape(now.value), options["lr"]), now.unit)
    size = state.get("step_size", first)
    factor = np.where(turned > 0, grow, np.where(turned < 0, shrink, 1.0))
    scaled = size * factor
    size = Rounded(np.clip(scaled.value, low, high), scaled.error, scaled.unit)
    size = stored(size, now.unit)  # a limit is rounded as well
    kept = exactly(np.where(turned < 0, 0.0, now.value), now.unit)
    return {
        "parameter": state["parameter"] - size * np.sign(np.real(kept.value)),
        "step": state.get("step", 0) + 1,
        "prev": kept,
        "step_size": size,
    }
