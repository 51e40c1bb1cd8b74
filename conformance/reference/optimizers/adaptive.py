"""Steps scaled by what the gradients' squares were: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

import numpy as np

from conformance.reference.optimizers.descent import decayed
from conformance.reference.optimizers.rounding import Rounded, blend, exactly, root, square
from conformance.reference.optimizers.state import Options, State, zeros


def rmsprop(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of RMSprop.

    ``g = g + weight_decay theta``; ``v = alpha v + (1 - alpha) g^2``; centered:
    ``a = alpha a + (1 - alpha) g`` and ``v - a^2`` in place of v; with momentum
    ``b = momentum b + g / (sqrt(v) + eps)`` and ``theta -= lr b``, else
    ``theta -= lr g / (sqrt(v) + eps)``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html, which says
    that eps is added after the root; TensorFlow adds it before.
    """
    update, alpha = decayed(gradient, state, options), options["alpha"]
    none = zeros(update)
    mean = alpha * state.get("square_avg", none) + (1 - alpha) * square(update)
    new: State = {"step": state.get("step", 0) + 1, "square_avg": mean}
    if options["centered"]:
        new["grad_avg"] = blend(state.get("grad_avg", none), update, 1 - alpha)
        mean = mean - square(new["grad_avg"])
    move = update / (root(mean) + options["eps"])
    if options["momentum"] > 0:
        move = options["momentum"] * state.get("momentum_buffer", none) + move
        new["momentum_buffer"] = move
    return {**new, "parameter": state["parameter"] - options["lr"] * move}


def adagrad(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adagrad.

    ``g = g + weight_decay theta``; ``s = s + g^2``, at first ``s = initial_accumulator_value``;
    ``theta -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """
    update, step = decayed(gradient, state, options), state.get("step", 0) + 1
    first = np.full(np.shape(update.value), float(options["initial_accumulator_value"]))
    total = state.get("sum", exactly(first, update.unit)) + square(update)
    rate = options["lr"] / (1 + (step - 1) * options["lr_decay"])
    move = update / (root(total) + options["eps"])
    return {"parameter": state["parameter"] - rate * move, "step": step, "sum": total}


def adadelta(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adadelta.

    ``g = g + weight_decay theta``; ``v = rho v + (1 - rho) g^2``;
    ``d = sqrt(u + eps) / sqrt(v + eps) g``; ``u = rho u + (1 - rho) d^2``; ``theta -= lr d``.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html. The paper
    has no lr.
    """
    update, rho, eps = decayed(gradient, state, options), options["rho"], options["eps"]
    old = state.get("acc_delta", zeros(update))
    mean = rho * state.get("square_avg", zeros(update)) + (1 - rho) * square(update)
    move = root(old + eps) / root(mean + eps) * update
    return {
        "parameter": state["parameter"] - options["lr"] * move,
        "step": state.get("step", 0) + 1,
        "square_avg": mean,
        "acc_delta": rho * old + (1 - rho) * square(move),
    }
