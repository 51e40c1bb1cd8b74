"""Trainings: one regression written five ways, what it converges to, and how it is resumed."""

import copy
import io

import numpy as np
import torch
from hypothesis import strategies as st
from torch.utils import data

from conformance import compare
from conformance.law import given, law
from conformance.reference import trainings
from strategies import seeds

POINTS = 20
EXACT = 2.0**-44
"""What float64 may lose over the few dozen steps of a training whose parameters stay below 16."""


def problem_of(case, seed):
    """The design matrix and the targets of a regression, in NumPy, by a seed of its own."""
    return trainings.PROBLEMS[case](np.random.default_rng(seed), POINTS)


def by_tensors(design, targets, start, batches, rate):
    """Gradients by the formula, on tensors."""
    weights, path = start.clone(), []
    for rows in batches:
        residual = design[rows] @ weights - targets[rows]
        weights = weights - rate * 2 / len(rows) * (design[rows].T @ residual)
        path.append(weights)
    return path


def by_autograd(design, targets, start, batches, rate):
    """backward, and an update in place under no_grad."""
    weights, path = start.clone().requires_grad_(), []
    for rows in batches:
        loss = ((design[rows] @ weights - targets[rows]) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weights -= rate * weights.grad
        weights.grad = None
        path.append(weights.detach().clone())
    return path


def by_module(design, targets, start, batches, rate):
    """A Linear module, a loss and an optimizer of torch."""
    model = torch.nn.Linear(design.shape[1], 1, bias=False, dtype=design.dtype)
    model = model.to(design.device)
    with torch.no_grad():
        model.weight.copy_(start[None])
    loss_of, path = torch.nn.MSELoss(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for rows in batches:
        optimizer.zero_grad()
        loss_of(model(design[rows])[:, 0], targets[rows]).backward()
        optimizer.step()
        path.append(model.weight.detach()[0].clone())
    return path


def train_step_of(model, loss_of, optimizer):
    """A function of one batch that trains and returns the loss as a number."""

    def train_step(x, y):
        model.train()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return train_step


class Weighted(torch.nn.Module):
    """A module with one Parameter of its own."""

    def __init__(self, start):
        super().__init__()
        self.weights = torch.nn.Parameter(start.clone())

    def forward(self, x):
        return x @ self.weights


def by_train_step(design, targets, start, batches, rate):
    """A module of one's own, trained by a function of one batch."""
    model, path = Weighted(start), []
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    train_step = train_step_of(model, torch.nn.functional.mse_loss, optimizer)
    for rows in batches:
        train_step(design[rows], targets[rows])
        path.append(model.weights.detach().clone())
    return path


WAYS = {
    "tensors": by_tensors,
    "autograd": by_autograd,
    "module": by_module,
    "train-step": by_train_step,
}
REGRESSIONS = ("line", "steeper-line", "parabola", "sine", "plane")
CASES = {f"{problem}-{way}": (problem, WAYS[way]) for problem in REGRESSIONS for way in WAYS}


@law("trainings.five-ways", docs="torch.optim.SGD", over=CASES)
@given(seed=seeds(), eighths=st.integers(1, 4), batch=st.sampled_from((POINTS, 8, 1)))
def test_five_ways(target, case, seed, eighths, batch):
    """However a regression is written, its parameters go the way that NumPy goes by hand.

    By formula on tensors, by autograd with updates under no_grad, by nn, loss and optimizer, and
    by a train-step function; on full and mini batches and on single samples.
    """
    problem, way = case
    design, targets = problem_of(problem, seed)
    rate = eighths / 16 / trainings.steepness(design)
    batches = trainings.batches(np.random.default_rng(seed), POINTS, batch, epochs=2)
    expected = trainings.descend(design, targets, batches, rate)
    given_tensors = [torch.tensor(a, device=target.device) for a in (design, targets)]
    start = torch.zeros(design.shape[1], dtype=torch.float64, device=target.device)
    rows = [torch.tensor(r, device=target.device) for r in batches]
    path = target.run(way, *given_tensors, start, rows, rate)
    compare.fact(len(path), len(expected), "steps")
    for step, (weights, value) in enumerate(zip(path, expected, strict=True)):
        what = f"parameters after step {step + 1}"
        bound = EXACT * (1 + np.abs(targets).max())
        compare.close(weights, value, bound=bound, dtype=torch.float64, what=what)


@law("trainings.contracts", docs="torch.optim.SGD",
     over={name: name for name in REGRESSIONS})  # fmt: skip
@given(seed=seeds(), eighths=st.integers(1, 15))
def test_contracts(target, case, seed, eighths):
    """Full-batch descent at a rate below 2 / lambda_max comes nearer to least squares each step.

    By the factor max |1 - rate lambda| at least, over the eigenvalues of the loss's Hessian.
    """
    design, targets = problem_of(case, seed)
    rate = eighths / 8 / trainings.steepness(design)
    best, factor = trainings.least_squares(design, targets), trainings.contraction(design, rate)
    given_tensors = [torch.tensor(a, device=target.device) for a in (design, targets)]
    start = torch.zeros(design.shape[1], dtype=torch.float64, device=target.device)
    rows = [torch.arange(POINTS, device=target.device)] * 20
    distance = np.linalg.norm(best)
    slack = EXACT * (1 + np.abs(best).max() + np.abs(targets).max())
    for step, weights in enumerate(target.run(by_module, *given_tensors, start, rows, rate)):
        now = np.linalg.norm(compare.to_numpy(weights) - best)
        compare.fact(bool(now <= factor * distance + slack), True, f"nearer after step {step + 1}")
        distance = now


@law("trainings.diverges", docs="torch.optim.SGD",
     over={name: name for name in REGRESSIONS})  # fmt: skip
@given(seed=seeds(), eighths=st.integers(20, 32))
def test_diverges(target, case, seed, eighths):
    """Full-batch descent at a rate above 2 / lambda_max goes away along the steepest direction.

    There, by the factor rate lambda_max - 1 each step.
    """
    design, targets = problem_of(case, seed)
    rate = eighths / 8 / trainings.steepness(design)
    best, direction = trainings.least_squares(design, targets), trainings.steepest(design)
    growth = eighths / 8 - 1
    given_tensors = [torch.tensor(a, device=target.device) for a in (design, targets)]
    start = torch.tensor(best + direction, device=target.device)
    rows = [torch.arange(POINTS, device=target.device)] * 6
    path = target.run(by_autograd, *given_tensors, start, rows, rate)
    for step, weights in enumerate(path):
        now = direction @ (compare.to_numpy(weights) - best)
        expected = (-growth) ** (step + 1)
        bound = 2.0**-24 * abs(expected)
        got = torch.tensor(now, dtype=torch.float64)
        compare.close(got, np.array(expected), bound=bound, dtype=torch.float64, what="distance")


class Legendre(torch.autograd.Function):
    """The cubic Legendre polynomial (5 x^3 - 3 x) / 2."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return 0.5 * (5 * x**3 - 3 * x)

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return cotangent * 1.5 * (5 * x**2 - 1)


@law("trainings.legendre", docs="notes/extending.html")
@given(seed=seeds(), steps=st.integers(1, 8))
def test_legendre(target, seed, steps):
    """A model with a custom Function in it, a + b P3(c + d x), learns as its formula says."""
    points, aims = trainings.sine(np.random.default_rng(seed), POINTS)
    start = np.array([0.125, -1.0, 0.25, 0.25])
    rate = 2.0**-6
    expected = trainings.legendre_path(points, aims, start, rate, steps)
    weights = torch.tensor(start, device=target.device, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=rate)
    x, y = (torch.tensor(a, device=target.device) for a in (points, aims))

    def predicted(weights):
        return weights[0] + weights[1] * Legendre.apply(weights[2] + weights[3] * x)

    for step in range(steps):
        optimizer.zero_grad()
        ((target.run(predicted, weights) - y) ** 2).mean().backward()
        optimizer.step()
        what = f"parameters after step {step + 1}"
        compare.close(weights, expected[step], bound=EXACT, dtype=torch.float64, what=what)


OPTIMIZERS = {
    "SGD": ("torch.optim.SGD", {"lr": 0.0625}),
    "momentum": ("torch.optim.SGD", {"lr": 0.0625, "momentum": 0.5, "nesterov": True}),
    "RMSprop": ("torch.optim.RMSprop", {"lr": 0.0625, "momentum": 0.25, "centered": True}),
    "Adam": ("torch.optim.Adam", {"lr": 0.0625, "amsgrad": True}),
}


def made(case, device):
    """A small model with dropout and batch norm, its optimizer and schedule."""
    name, options = case
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 1)
    ).to(device)
    optimizer = getattr(torch.optim, name.rpartition(".")[2])(model.parameters(), **options)
    return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


def train(parts, loader, epochs, device):
    """Train for some epochs; return the losses."""
    model, optimizer, schedule = parts
    losses = []
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x.to(device))[:, 0], y.to(device))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
    return losses


def loader_of(seed, generator):
    """A shuffled loader over a plane's points."""
    design, targets = trainings.PROBLEMS["plane"](np.random.default_rng(seed), 8)
    points = data.TensorDataset(*(torch.tensor(a, dtype=torch.float32) for a in (design, targets)))
    return data.DataLoader(points, batch_size=4, shuffle=True, generator=generator)


@law("trainings.resumed", docs="notes/serialization.html", over=OPTIMIZERS)
@given(seed=seeds(), before=st.integers(0, 3))
def test_resumed(target, case, seed, before):
    """A training that is saved, loaded and continued goes on bit for bit as one that was not.

    With the state_dicts of model, optimizer and schedule and the states of the generators:
    through torch.save into new objects, by the default torch.load.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = made(case, target.device)
        generator = torch.Generator().manual_seed(seed)
        loader = loader_of(seed, generator)
        train(parts, loader, before, target.device)
        buffer = io.BytesIO()
        states = [part.state_dict() for part in parts]
        torch.save([*states, generator.get_state(), torch.get_rng_state()], buffer)
        expected = train(parts, loader, 2, target.device)
        torch.manual_seed(seed + 1)
        others = made(case, target.device)
        buffer.seek(0)
        *loaded, shuffling, dropping = torch.load(buffer)
        for part, state in zip(others, loaded, strict=True):
            part.load_state_dict(state)
        generator.set_state(shuffling)
        torch.set_rng_state(dropping)
        compare.fact(train(others, loader, 2, target.device), expected, "losses after resuming")
        wanted = [compare.to_numpy(value) for value in parts[0].state_dict().values()]
        for (name, value), values in zip(others[0].state_dict().items(), wanted, strict=True):
            compare.equal(value, values, dtype=value.dtype, what=name)


@law("trainings.best-checkpoint", docs="notes/serialization.html")
@given(seed=seeds(), losses=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_best_checkpoint(target, seed, losses):
    """A deep copy of state_dict keeps the best epoch's parameters; state_dict alone goes along.

    "state_dict returns a reference to the state and not its copy": early stopping with the
    copy gives back the parameters of the first epoch with the least loss.
    """
    weights = torch.nn.Linear(1, 1, bias=False, device=target.device)
    best, alias, least = weights.state_dict(), weights.state_dict(), float("inf")
    for epoch, loss in enumerate(losses):
        with torch.no_grad():
            weights.weight.fill_(float(epoch))
        if loss < least:
            least, best, alias = loss, copy.deepcopy(weights.state_dict()), weights.state_dict()
    last, first = float(len(losses) - 1), float(losses.index(min(losses)))
    for state, value in ((alias, last), (best, first)):
        compare.equal(state["weight"], np.full((1, 1), value), dtype=torch.float32, what="kept")
    weights.load_state_dict(best)
    compare.equal(weights.weight, np.full((1, 1), first), dtype=torch.float32, what="restored")


@law("trainings.evaluation", docs="torch.nn.Module.eval")
@given(seed=seeds(), epochs=st.integers(0, 2))
def test_evaluation(target, seed, epochs):
    """Predictions under eval and no_grad repeat, change no state and leave the training as it was.

    A run that evaluates after each epoch trains bit for bit as one that does not.
    """
    with torch.random.fork_rng():
        results = []
        for evaluates in (False, True):
            torch.manual_seed(seed)
            parts = made(OPTIMIZERS["SGD"], target.device)
            generator = torch.Generator().manual_seed(seed)
            loader = loader_of(seed, generator)
            x = torch.ones(3, 2, device=target.device)
            for _ in range(epochs):
                train(parts, loader, 1, target.device)
                if evaluates:
                    parts[0].eval()
                    with torch.no_grad():
                        first, second = parts[0](x), parts[0](x)
                    values = compare.to_numpy(first)
                    compare.equal(second, values, dtype=x.dtype, what="second prediction")
                    compare.fact(first.requires_grad, False, "requires_grad of a prediction")
            results.append([compare.to_numpy(v).tolist() for v in parts[0].state_dict().values()])
        compare.fact(results[1], results[0], "state of the model that was evaluated")
