"""Loops of training: what steps converge to, in which order, by which samples, when to stop."""

import io
import math

import numpy as np
import torch
from hypothesis import strategies as st
from torch.utils import data

from conformance import compare
from conformance.law import given, law
from conformance.reference import trainings
from strategies import arrays, seeds

POINTS = 20
EXACT = 2.0**-44
"""What float64 may lose over the few dozen steps of a training whose parameters stay below 16."""
REGRESSIONS = {name: name for name in ("line", "steeper-line", "parabola", "sine", "plane")}


def problem_of(case, seed):
    """The design matrix and the targets of a regression, in NumPy, by a seed of its own."""
    return trainings.PROBLEMS[case](np.random.default_rng(seed), POINTS)


def descent(design, targets, start, steps, rate):
    """The parameters and losses of full-batch descent: before each step, and after the last."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=rate)
    path, losses = [], []
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(design @ weights, targets)
        path.append(weights.detach().clone())
        losses.append(loss.item())
        loss.backward()
        if step < steps:
            optimizer.step()
    return path, losses


@law("trainings.each-direction", docs="torch.optim.SGD", over=REGRESSIONS)
@given(
    seed=seeds(),
    eighths=st.integers(1, 20),
    steps=st.integers(1, 12),
    away=st.sampled_from((1.0, -0.5)),
)
def test_each_direction(target, case, seed, eighths, steps, away):
    """Along each eigenvector of the loss's Hessian a step multiplies the distance by 1 - lr lambda.

    The distance is that to least squares: slowly falling where lr lambda is small, past zero where
    it exceeds 1, growing where it exceeds 2. After k steps it is the k-th power of that.
    """
    design, targets = problem_of(case, seed)
    curvatures, directions = trainings.curvatures(design)
    rate = eighths / 8 / curvatures[-1]
    best = trainings.least_squares(design, targets)
    distances = away * np.ones(len(best))
    start = torch.tensor(best + directions @ distances, device=target.device)
    given_tensors = [torch.tensor(a, device=target.device) for a in (design, targets)]
    path, _ = target.run(descent, *given_tensors, start, steps, rate)
    for step, weights in enumerate(path):
        kept = (1 - rate * curvatures) ** step
        got = torch.tensor(directions.T @ (compare.to_numpy(weights) - best))
        growth = max(1.0, float(np.abs(kept).max()))
        bound = 2.0**-40 * growth * (1 + np.abs(best).max())
        what = f"distances along the eigenvectors after step {step}"
        compare.close(got, kept * distances, bound=bound, dtype=torch.float64, what=what)


@law("trainings.floor", docs="torch.nn.MSELoss", over=REGRESSIONS)
@given(seed=seeds(), start=arrays(shape=(4,)), eighths=st.integers(1, 15))
def test_floor(target, case, seed, start, eighths):
    """A model that is linear in its parameters never gets below the least-squares loss.

    Its loss is that of least squares plus half the distance's square by the Hessian: at no start,
    rate and step below, and falling at each step at rates below 2 / lambda_max.
    """
    design, targets = problem_of(case, seed)
    curvatures, directions = trainings.curvatures(design)
    best = trainings.least_squares(design, targets)
    least = ((design @ best - targets) ** 2).mean()
    first = torch.tensor(start[: len(best)], device=target.device)
    given_tensors = [torch.tensor(a, device=target.device) for a in (design, targets)]
    rate = eighths / 8 / curvatures[-1]
    path, losses = target.run(descent, *given_tensors, first, 8, rate)
    size = 1 + least + np.abs(start).max() ** 2 * curvatures[-1] + np.abs(targets).max() ** 2
    slack = 2.0**-44 * size
    for step, (weights, loss) in enumerate(zip(path, losses, strict=True)):
        distance = directions.T @ (compare.to_numpy(weights) - best)
        expected = least + (curvatures * distance**2).sum() / 2
        got = torch.tensor(loss, dtype=torch.float64)
        what = f"loss after step {step}"
        compare.close(got, expected, bound=slack, dtype=torch.float64, what=what)
        compare.fact(
            bool(loss >= least - slack), True, "the loss is not below that of least squares"
        )
        if step:
            compare.fact(
                bool(loss <= losses[step - 1] + slack), True, f"the loss falls at step {step}"
            )


ORDERS = {
    "zero-backward-step": ("zero", "backward", "step"),
    "backward-step-zero": ("backward", "step", "zero"),
    "zero-twice": ("zero", "backward", "step", "zero"),
    "backward-zero-step": ("backward", "zero", "step"),
    "zero-step-backward": ("zero", "step", "backward"),
    "without-zero": ("backward", "step"),
}


@law("trainings.order", docs="optim.html#taking-an-optimization-step", over=ORDERS)
@given(
    seed=seeds(),
    momentum=st.sampled_from((0.0, 0.5)),
    to_none=st.booleans(),
    steps=st.integers(1, 6),
)
def test_order(target, case, seed, momentum, to_none, steps):
    """step goes by the gradients that are there: those since they were zeroed last.

    So zeroing before backward or after step train alike; zeroed between them, or before a step
    that comes first, nothing moves at all; never zeroed, the gradients of all passes add up.
    """
    design, targets = (torch.tensor(a, device=target.device) for a in problem_of("line", seed))
    weights = torch.zeros(2, dtype=torch.float64, device=target.device, requires_grad=True)
    rate = 0.125
    optimizer = torch.optim.SGD([weights], lr=rate, momentum=momentum)
    model = np.zeros(2)
    held, buffer = np.zeros(2), None
    x, y = compare.to_numpy(design), compare.to_numpy(targets)
    present = False
    for _ in range(steps):
        for action in case:
            if action == "zero":
                optimizer.zero_grad(set_to_none=to_none)
                held, present = np.zeros(2), present and not to_none
            elif action == "backward":
                loss = target.run("torch.nn.functional.mse_loss", design @ weights, targets)
                loss.backward()
                held, present = held + 2 / POINTS * x.T @ (x @ model - y), True
            else:
                optimizer.step()
                if present:
                    buffer = held if buffer is None else momentum * buffer + held
                    model = model - rate * (buffer if momentum else held)
        bound = 2.0**-40 * (1 + np.abs(model).max())
        compare.close(weights, model, bound=bound, dtype=torch.float64, what="parameters")
    if case in (ORDERS["backward-zero-step"], ORDERS["zero-step-backward"]):
        compare.equal(weights, np.zeros(2), dtype=torch.float64, what="parameters that stay")


@law("trainings.sample-steps", docs="torch.optim.SGD",
     over={name: name for name in ("line", "sine")})  # fmt: skip
@given(seed=seeds(), sample=st.integers(0, POINTS - 1), exponent=st.integers(2, 6))
def test_sample_steps(target, case, seed, sample, exponent):
    """From least squares every step by a single sample leads away: the loss of all samples rises.

    By half the square of the step by the Hessian of the whole. The gradients of all samples cancel
    there, and none is zero but where the sample lies on the line.
    """
    design, targets = problem_of(case, seed)
    curvatures, directions = trainings.curvatures(design)
    best = trainings.least_squares(design, targets)
    rate = 2.0**-exponent
    weights = torch.tensor(best, device=target.device, requires_grad=True)
    x, y = (torch.tensor(a, device=target.device) for a in (design, targets))
    optimizer = torch.optim.SGD([weights], lr=rate)
    before = torch.nn.functional.mse_loss(x @ weights, y).item()
    one = target.run("torch.nn.functional.mse_loss", x[sample] @ weights, y[sample])
    one.backward()
    optimizer.step()
    residual = design[sample] @ best - targets[sample]
    moved = -rate * 2 * residual * design[sample]
    bound = 2.0**-40 * (1 + np.abs(best).max())
    value = best + moved
    compare.close(weights, value, bound=bound, dtype=torch.float64, what="parameters after a step")
    rise = (curvatures * (directions.T @ moved) ** 2).sum() / 2
    after = torch.nn.functional.mse_loss(x @ weights, y).item()
    got = torch.tensor(after - before, dtype=torch.float64)
    compare.close(got, np.array(rise), bound=bound, dtype=torch.float64, what="rise of the loss")
    compare.fact(bool(after > before or rise < 2 * bound), True, "the loss of all samples rises")


def two_valleys(x):
    """A double well, tilted so that its left valley is the deeper one."""
    return ((x**2 - 1) ** 2 + x / 4).sum()


BOTTOMS = (-1.0298965, 0.9671505)
RIDGE = 0.0627460
"""Where the derivative 4 x^3 - 4 x + 1/4 of the double well is zero."""


@law("trainings.two-valleys", docs="torch.optim.SGD")
@given(starts=st.lists(st.integers(-12, 12), min_size=1, max_size=4))
def test_two_valleys(target, starts):
    """Descent ends in the valley where it starts, at a low rate, be it the deeper one or not.

    At rates below the inverse of the curvature no step crosses the ridge between two valleys.
    """
    path = np.array(starts) / 8
    x = torch.tensor(path, device=target.device, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=1 / 48)
    left = path < RIDGE
    for _ in range(80):
        optimizer.zero_grad()
        target.run(two_valleys, x).backward()
        optimizer.step()
        path = path - (4 * path**3 - 4 * path + 0.25) / 48
        compare.close(x, path, bound=2.0**-36, dtype=torch.float64, what="path")
        compare.every((compare.to_numpy(x) < RIDGE) == left, x, "in the valley where it started")
    near = np.abs(compare.to_numpy(x) - np.where(left, *BOTTOMS)) < 0.05
    compare.every(near, x, "near the bottom of its valley")


def by_power(prediction, aim):
    """Half the sum of the squares."""
    return 0.5 * ((prediction - aim) ** 2).sum()


def by_loss(prediction, aim):
    """The summed loss of torch, halved."""
    return torch.nn.functional.mse_loss(prediction, aim, reduction="sum") / 2


def by_product(prediction, aim):
    """Half of a vector's product with itself."""
    error = aim - prediction
    return error @ error / 2


HALVES = {"power": by_power, "loss": by_loss, "product": by_product}


@law("trainings.half-squares", docs="torch.nn.MSELoss", over=HALVES)
@given(columns=arrays(shape=(5, 2)), aims=arrays(shape=(5,)), start=arrays(shape=(2,)))
def test_half_squares(target, case, columns, aims, start):
    """The gradient of half the summed squared errors is each input times prediction minus target.

    ``X^T (X w - y)``, whichever way round the error is taken in the loss. Exact on dyadic numbers.
    """
    weights = torch.tensor(start, device=target.device, requires_grad=True)
    x, y = (torch.tensor(a, device=target.device) for a in (columns, aims))
    target.run(case, x @ weights, y).backward()
    expected = columns.T @ (columns @ start - aims)
    compare.close(weights.grad, expected, bound=0.0, dtype=torch.float64, what="gradient")


def model_of(seed, device):
    """A model with layers that have modes, its numbers drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)
        )
        model(torch.randn(8, 2))  # running statistics of its own
    return model.to(device, torch.float64)


@law("trainings.predicted-in-batches", docs="torch.nn.Module.eval")
@given(seed=seeds(), count=st.integers(1, 9), batch=st.integers(1, 4))
def test_predicted_in_batches(target, seed, count, batch):
    """In evaluation mode predictions for batches, joined in order, are those for all data at once.

    From a loader that does not shuffle, detached, on the host, joined, and as an array.
    """
    model = model_of(seed, target.device).eval()
    points = np.random.default_rng(seed).integers(-8, 9, (count, 2)) / 4
    loader = data.DataLoader(data.TensorDataset(torch.tensor(points)), batch_size=batch)
    parts = []
    for (x,) in loader:
        with torch.no_grad():
            parts.append(target.run(model, x.to(target.device)).detach().cpu())
    joined = torch.cat(parts, dim=0).numpy()
    with torch.no_grad():
        whole = target.run(model, torch.tensor(points, device=target.device))
    compare.close(whole, joined, bound=1e-12, dtype=torch.float64, what="predictions at once")


@law("trainings.mean-of-means", docs="torch.nn.MSELoss")
@given(errors=arrays(shape=(9,)), count=st.integers(1, 9), batch=st.integers(1, 9))
def test_mean_of_means(target, errors, count, batch):
    """Means of batches, weighed with their sizes, give the mean of all; unweighed if of one size.

    Else the smaller last batch counts too much: each of its samples as often as it is smaller.
    """
    errors = errors[:count]
    x = torch.tensor(errors, device=target.device)
    zeros = torch.zeros_like(x)
    parts = list(zip(x.split(batch), zeros.split(batch), strict=True))
    losses = [target.run("torch.nn.functional.mse_loss", part, aim) for part, aim in parts]
    sizes = np.array([len(part) for part, _ in parts])
    means = torch.stack(losses)
    weighed = (means * torch.tensor(sizes, device=target.device)).sum() / count
    bound = 2.0**-44 * (1 + np.abs(errors).max()) ** 2
    whole = (errors**2).mean()
    compare.close(weighed, whole, bound=bound, dtype=torch.float64, what="weighed mean")
    counted = np.repeat(1 / sizes / len(sizes), sizes)
    expected = (counted * errors**2).sum() if sizes.min() < batch <= count else whole
    compare.close(means.mean(), expected, bound=bound, dtype=torch.float64, what="mean of means")


LOSSES = st.sampled_from((3.0, 2.0, 1.0, 1.0, 4.0, math.inf, math.nan, -1.0, 0.5))


def stopped(losses, patience, weights):
    """Train until no loss was less than the best for ``patience`` epochs; return what was saved."""
    best, worse, saved, epochs = math.inf, 0, None, 0
    for epoch, loss in enumerate(losses):
        with torch.no_grad():
            weights.fill_(float(epoch))
        epochs += 1
        if loss < best:
            best, worse, saved = loss, 0, io.BytesIO()
            torch.save({"weights": weights}, saved)
        else:
            worse += 1
        if worse >= patience:
            break
    return epochs, saved


@law("trainings.early-stopping", docs="notes/serialization.html")
@given(losses=st.lists(LOSSES, min_size=1, max_size=10), patience=st.integers(1, 4))
def test_early_stopping(target, losses, patience):
    """A training that stops early has saved the first epoch with the least loss that it has seen.

    It ends ``patience`` epochs after that, or with the last. Losses that are nan or infinite are
    not less than infinity, so that they save nothing, the first one neither.
    """
    measured = torch.tensor(losses, dtype=torch.float64, device=target.device)
    weights = torch.zeros(2, dtype=torch.float64, device=target.device)
    epochs, saved = stopped(list(measured), patience, weights)
    earlier = [[math.inf, *(x for x in losses[:n] if x < math.inf)] for n in range(len(losses))]
    records = [n for n, loss in enumerate(losses) if loss < min(earlier[n])]
    last, expected = -1, len(losses)
    for epoch in range(len(losses)):
        last = epoch if epoch in records else last
        if epoch - last >= patience:
            expected = epoch + 1
            break
    compare.fact(epochs, expected, "epochs until it stops")
    kept = [n for n in records if n < expected]
    compare.fact(saved is None, not kept, "nothing was saved")
    compare.equal(weights, np.full(2, expected - 1.0), dtype=torch.float64, what="last weights")
    if kept:
        saved.seek(0)
        found = torch.load(saved)["weights"]
        value = np.full(2, float(kept[-1]))
        compare.equal(found, value, dtype=torch.float64, what="weights that were saved")
