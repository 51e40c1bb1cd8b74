"""Steps for matrices: Adafactor, which factors second moments, and Muon, which orthogonalizes."""

from __future__ import annotations

import math

import numpy as np

from conformance.reference.optimizers.descent import ascended
from conformance.reference.optimizers.moments import shrunk
from conformance.reference.optimizers.rounding import (
    ROUNDINGS,
    Array,
    Rounded,
    blend,
    larger,
    mean,
    root,
    square,
)
from conformance.reference.optimizers.state import Options, State, zeros

BFLOAT16 = 2.0**-8


def adafactor(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Adafactor.

    ``1 - beta2 = t^beta2_decay``; ``alpha = max(eps2, RMS(theta)) min(lr, 1 / sqrt(t))``;
    ``theta -= lr weight_decay theta``. From two dimensions on, r and c are running means of g^2
    averaged over the last and the last but one dimension, ``v = r c / max(mean(r), eps1)``; else
    v is the running mean of g^2. ``u = g / max(sqrt(v), eps1)``;
    ``theta -= alpha u / max(1, RMS(u) / d)``. An eps1 of None is the dtype's epsilon.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html. Its formula
    has sums where its note says means; its last line reads the parameter before the decay, where
    the decayed one is meant. The paper adds eps1 to g^2, has 0.01 for lr and no weight decay.
    """
    update, step = ascended(gradient, options), state.get("step", 0) + 1
    eps1, eps2 = options["eps"]
    eps1 = 2 * gradient.unit if eps1 is None else eps1
    share = step ** options["beta2_decay"]
    rate = larger(root(mean(square(state["parameter"]))), eps2) * min(
        options["lr"], 1 / math.sqrt(step)
    )
    new: State = {"step": step}
    if update.value.ndim > 1:
        rows, columns = mean(square(update), -1), mean(square(update), -2)
        new["row_var"] = blend(state.get("row_var", zeros(rows)), rows, share)
        new["col_var"] = blend(state.get("col_var", zeros(columns)), columns, share)
        variance = new["row_var"] * new["col_var"] / larger(mean(new["row_var"], -2), eps1)
    else:
        new["variance"] = blend(state.get("variance", zeros(update)), square(update), share)
        variance = new["variance"]
    move = update / larger(root(variance), eps1)
    clipped = move / larger(root(mean(square(move))) / options["d"], 1.0)
    return {**new, "parameter": shrunk(state, options) - rate * clipped}


def muon(state: State, gradient: Rounded, options: Options) -> State:
    """Take one step of Muon.

    ``b = momentum b + g``; ``g + momentum b`` if nesterov, else b, is orthogonalized;
    ``theta -= lr weight_decay theta``; ``theta -= lr s o``, where s is
    ``sqrt(max(1, rows / columns))``, or ``0.2 sqrt(max(rows, columns))`` to match AdamW's RMS.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html
    """
    momentum = options["momentum"]
    buffer = momentum * state.get("momentum_buffer", zeros(gradient)) + gradient
    update = gradient + momentum * buffer if options["nesterov"] else buffer
    rows, columns = gradient.value.shape
    scale = math.sqrt(max(1, rows / columns))
    if options["adjust_lr_fn"] == "match_rms_adamw":
        scale = 0.2 * math.sqrt(max(rows, columns))
    direction = orthogonalized(update, options)
    return {
        "parameter": shrunk(state, options) - options["lr"] * scale * direction,
        "momentum_buffer": buffer,
    }


def orthogonalized(update: Rounded, options: Options) -> Rounded:
    """Return ``ns_steps`` Newton-Schulz iterations from ``x = b / (|b| + eps)``.

    ``x = a x + b (x x') x + c (x x')^2 x``, which maps each singular value by the same quintic. It
    may be computed in bfloat16; the error is one bound for the whole matrix, in the Frobenius norm.
    What came before is carried on to first order by the quintic's divided differences at the
    singular values, which bound its derivative (Higham, Functions of Matrices, 3.11).
    Whether eps is added to the norm or is its least value is not documented, nor whether the
    momentum is a sum or a mean: the bound spans both.
    """
    a, b, c = options["ns_coefficients"]
    norm = float(np.linalg.norm(update.value))
    if norm == 0:
        return Rounded(0.0 * update.value, np.zeros_like(update.value), update.unit)
    lost = options["eps"] / norm / max(1 - options["momentum"], 2.0**-10)
    error = float(np.linalg.norm(update.error)) / norm + lost + ROUNDINGS * BFLOAT16  # x itself
    matrix = update.value / norm
    for _ in range(options["ns_steps"]):
        values = np.linalg.svd(matrix, compute_uv=False)
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
        # Rounded are x x', the polynomial in it, and the result.
        wide = 2 * abs(b) * values**3 + 3 * abs(c) * values**5
        rounding = BFLOAT16 * float(np.linalg.norm(wide) + np.linalg.norm(matrix))
        error = _steepest(values, error, (a, b, c)) * error + rounding
    return Rounded(matrix, np.full(matrix.shape, error), update.unit)


def _steepest(values: Array, error: float, coefficients: tuple[float, ...]) -> float:
    """The largest divided difference of the odd quintic between singular values, and near them."""
    a, b, c = coefficients
    moved = min(error, 2.0**-3)
    near = np.concatenate([values - moved, values, values + moved, [0.0]])
    x, y = np.meshgrid(np.concatenate([near, -near]), np.concatenate([near, -near]))
    cubes = x * x + x * y + y * y
    fifths = x**4 + x**3 * y + x * x * y * y + x * y**3 + y**4
    return float(np.abs(a + b * cubes + c * fifths).max())
