"""Recurrent cells: step after step by their equations, and the gradients to all they are given."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, recurrent
from conformance.target import resolve
from strategies import seeds

CELLS = {
    "RNNCell": ("RNNCell", "tanh"), "RNNCell-relu": ("RNNCell", "relu"),
    "LSTMCell": ("LSTMCell", "LSTM"), "GRUCell": ("GRUCell", "GRU"),
}  # fmt: skip


def drawn(shape, generator, device):
    """Multiples of 1/8 of that shape, up to 1, in float64."""
    numbers = torch.randint(-8, 9, shape, generator=generator, dtype=torch.float64)
    return (numbers / 8).to(device)


def stepped(kind, parts, arrays, steps):
    """All parts of the state after so many steps, side by side.

    ``arrays`` are the inputs of each step, the parts of the state, the weights.
    """
    state = list(arrays[steps : steps + parts])
    for x in arrays[:steps]:
        state = recurrent.step(kind, x, state, arrays[steps + parts :])
    return np.concatenate(state, axis=-1)


@law("cells.gradient", docs=lambda case: f"torch.nn.{case[0]}", over=CELLS)
@given(
    seed=seeds(), batch=st.sampled_from(((), (1,), (2,))), bias=st.booleans(),
    start=st.booleans(), steps=st.integers(1, 3), sizes=st.sampled_from(((2, 3), (3, 2), (1, 1))),
)  # fmt: skip
def test_gradient(target, case, seed, batch, bias, start, steps, sizes):
    """Gradients through a recurrent cell reach inputs, state, weights and biases, exactly.

    Of each part of the state and through several steps. From a given state or from zeros.
    """
    name, kind = case
    features, hidden = sizes
    generator = torch.Generator().manual_seed(seed)
    options = {"nonlinearity": kind} if name == "RNNCell" else {}
    cell = resolve(f"torch.nn.{name}")(features, hidden, bias=bias, **options)
    cell = cell.to(target.device, torch.float64)
    for parameter in cell.parameters():
        parameter.data.copy_(drawn(tuple(parameter.shape), generator, target.device))
    parts = 2 if name == "LSTMCell" else 1
    inputs = [drawn((*batch, features), generator, target.device) for _ in range(steps)]
    state = [drawn((*batch, hidden), generator, target.device) for _ in range(parts)]
    if not start:
        state = [torch.zeros_like(part) for part in state]
    leaves = [*inputs, *state, *cell.parameters()]
    for leaf in (*inputs, *state):
        leaf.requires_grad_()
    points = [compare.to_numpy(leaf) for leaf in leaves]
    now = ((tuple(state) if parts == 2 else state[0]),) if start else ()
    for x in inputs:
        found = cell(x, *now)
        now = (found,)
    result = torch.cat(found, dim=-1) if parts == 2 else found
    expected = stepped(kind, parts, points, steps)
    compare.close(result, expected, bound=1e-13, dtype=torch.float64, what="state")
    cotangent = drawn(tuple(result.shape), generator, target.device)
    result.backward(cotangent)
    exact = derivatives.vjp(
        lambda *arrays: stepped(kind, parts, arrays, steps), points, compare.to_numpy(cotangent)
    )
    names = [
        *(f"input {number}" for number in range(steps)),
        *(f"state {number}" for number in range(parts)),
        *(name for name, _ in cell.named_parameters()),
    ]
    for name, leaf, gradient in zip(names, leaves, exact, strict=True):
        if name.startswith("state") and not start:
            compare.fact(leaf.grad, None, f"gradient to a {name} that was not given")
            continue
        # Sums of a dozen products below 2, through a few steps.
        compare.close(
            leaf.grad, gradient, bound=1e-12, dtype=torch.float64, what=f"gradient to {name}"
        )


@law("cells.refused", docs=lambda case: f"torch.nn.{case[0]}", level="should", over=CELLS)
@given(seed=seeds(), mistake=st.sampled_from(("features", "hidden", "batch", "rank")))
def test_refused(target, case, seed, mistake):
    """A cell refuses an input or a state of other sizes than its own, and of other batches."""
    name, kind = case
    generator = torch.Generator().manual_seed(seed)
    options = {"nonlinearity": kind} if name == "RNNCell" else {}
    cell = resolve(f"torch.nn.{name}")(2, 3, **options).to(target.device, torch.float64)
    x, state = (drawn((2, n), generator, target.device) for n in (2, 3))
    legal = cell(x, (state, state) if name == "LSTMCell" else state)
    shape = tuple((legal[0] if name == "LSTMCell" else legal).shape)
    compare.fact(shape, (2, 3), "shape of the state")
    wrong = {
        "features": (drawn((2, 3), generator, target.device), state),
        "hidden": (x, drawn((2, 2), generator, target.device)),
        "batch": (x, drawn((3, 3), generator, target.device)),
        "rank": (x[None], state),
    }[mistake]
    message = {
        "features": "inconsistent input_size", "hidden": "inconsistent hidden_size",
        "batch": "batch size|doesn't match hidden", "rank": "to be 1D or 2D",
    }[mistake]  # fmt: skip
    error = ValueError if mistake == "rank" else RuntimeError
    with compare.raises(error, message):
        cell(wrong[0], (wrong[1], wrong[1]) if name == "LSTMCell" else wrong[1])


NORMS = {"InstanceNorm1d": (4,), "InstanceNorm2d": (2, 2), "InstanceNorm3d": (1, 2, 2)}


@law("layers.instance-momentum", docs="torch.nn.InstanceNorm1d", over=NORMS)
@given(
    seed=seeds(), momentum=st.sampled_from((0.1, 0.5, 1.0, 0.0)), affine=st.booleans(),
    program=st.lists(st.sampled_from(("train", "train", "eval", "reset")), min_size=1, max_size=5),
    count=st.integers(1, 3), batched=st.booleans(),
)  # fmt: skip
def test_instance_momentum(target, case, seed, momentum, affine, program, count, batched):
    """Instance norm tracks the mean over samples of their means and unbiased variances.

    ``(1 - momentum) * old + momentum * new``. It normalizes by the sample's own in training, by
    what it tracked in evaluation, which changes nothing. Reset, they are 0 and 1.
    """
    name = f"InstanceNorm{len(case)}d"
    generator = torch.Generator().manual_seed(seed)
    norm = resolve(f"torch.nn.{name}")(
        2, eps=0.5, momentum=momentum, affine=affine, track_running_stats=True
    ).to(target.device, torch.float64)
    for parameter in norm.parameters():
        parameter.data.copy_(drawn(tuple(parameter.shape), generator, target.device))
    ones = [1] * len(case)
    scale, shift = (
        (compare.to_numpy(part).reshape(-1, *ones) for part in (norm.weight, norm.bias))
        if affine
        else (1.0, 0.0)
    )
    mean, variance = np.zeros(2), np.ones(2)
    for action in program:
        if action == "reset":
            norm.reset_running_stats()
            mean, variance = np.zeros(2), np.ones(2)
        else:
            x = drawn((count, 2, *case), generator, target.device)
            values = compare.to_numpy(x) if batched else compare.to_numpy(x)[:1]
            norm.train(action == "train")
            got = norm(x if batched else x[0])
            places = tuple(range(2, 2 + len(case)))
            means = values.mean(axis=places, keepdims=True)
            spread = values.var(axis=places, keepdims=True)
            if action == "eval":
                means, spread = mean.reshape(-1, *ones), variance.reshape(-1, *ones)
            expected = (values - means) / np.sqrt(spread + 0.5) * scale + shift
            expected = expected if batched else expected[0]
            compare.close(got, expected, bound=1e-12, dtype=torch.float64, what=f"in {action}")
        if action == "train":
            new = values.mean(axis=(0, *places))
            unbiased = values.var(axis=places, ddof=1).mean(axis=0)
            mean = (1 - momentum) * mean + momentum * new
            variance = (1 - momentum) * variance + momentum * unbiased
        kind = torch.float64
        compare.close(norm.running_mean, mean, bound=1e-12, dtype=kind, what="running mean")
        compare.close(norm.running_var, variance, bound=1e-12, dtype=kind, what="variance")
