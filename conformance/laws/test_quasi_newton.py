"""L-BFGS: its path on polynomials, line searches, limits, and what a checkpoint holds."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import limit
from conformance.reference.optimizers.quasi_newton import lbfgs, polynomial
from conformance.scenarios.histories import optimizer_of
from strategies import arrays
from strategies.optimizers import optimizer_options

PAGE = "torch.optim.LBFGS"
SIZE = 3


@dataclass(frozen=True, eq=False)
class Problem:
    """``x' (F' F + 1) x / 2 - b' x + quartic sum x^4 / 4``: convex, with dyadic coefficients."""

    factor: np.ndarray
    vector: np.ndarray
    start: np.ndarray
    quartic: float

    @property
    def matrix(self):
        return self.factor.T @ self.factor + np.eye(SIZE)


@st.composite
def problems(draw, quartic=(0.0, 0.25)):
    """Draw an objective and a start."""
    rows = draw(arrays(shape=(SIZE + 2, SIZE)))
    return Problem(rows[:SIZE], rows[SIZE], rows[SIZE + 1], draw(st.sampled_from(quartic)))


def fixed_steps():
    """Options without line search, whose steps are short enough not to overflow."""
    plain = {"line_search_fn": None, "tolerance_grad": 1e-7, "tolerance_change": 1e-9}
    short = {"lr": 0.125, "max_iter": 4, "max_eval": None}  # later, rounding decides too much
    drawn = optimizer_options("LBFGS").map(lambda options: {**options, **plain, **short})
    return st.builds(lambda options, most: {**options, "max_iter": most}, drawn,
                     st.sampled_from([4, 1, 2]))  # fmt: skip


def parameters_of(problem, device, split=SIZE):
    """Return the start as one parameter, or as two."""
    parts = np.split(problem.start, [split]) if split < SIZE else [problem.start]
    return [torch.tensor(part, device=device, requires_grad=True) for part in parts]


def closure_of(problem, parameters, losses=None):
    """Return a closure that evaluates the objective and its gradients, and counts losses."""
    device = parameters[0].device
    matrix = torch.tensor(problem.matrix, device=device)
    vector = torch.tensor(problem.vector, device=device)

    def closure():
        for parameter in parameters:
            parameter.grad = None
        x = torch.cat(list(parameters))
        value = x @ matrix @ x / 2 - vector @ x + problem.quartic * (x * x * x * x).sum() / 4
        value.backward()
        if losses is not None:
            losses.append(value.item())
        return value

    return closure


def value_and_gradient(problem, x):
    """Return the objective and its gradient at a point."""
    linear = problem.matrix @ x
    value = x @ linear / 2 - problem.vector @ x + problem.quartic * (x**4).sum() / 4
    return value, linear - problem.vector + problem.quartic * x**3


@law("optimizer.lbfgs-path", docs=PAGE, level="should")
@given(problem=problems(), options=fixed_steps(), steps=st.integers(1, 4))
def test_lbfgs_path(target, problem, options, steps):
    """Without line search each step goes through the points of the two-loop recursion.

    Judged where rounding leaves every decision of the algorithm clear, to the bound that is
    carried through it.
    """
    (parameter,) = parameters_of(problem, target.device)
    optimizer = optimizer_of("LBFGS", [parameter], **options)
    closure = closure_of(problem, [parameter])
    objective = polynomial(problem.matrix, problem.vector, problem.quartic)
    path = lbfgs(objective, problem.start, options, steps, 2.0**-53)
    compare.unchanged(parameter, problem.start, "start")
    for step, expected in enumerate(path):
        optimizer.step(closure)
        what = f"parameter after step {step + 1}"
        bound = limit(expected)
        compare.close(parameter, expected.value, bound=bound, dtype=torch.float64, what=what)


@law("optimizer.lbfgs-strong-wolfe", docs=PAGE, level="should")
@given(problem=problems(), rate=st.sampled_from([1.0, 0.125]), steps=st.integers(1, 4))
def test_lbfgs_strong_wolfe(target, problem, rate, steps):
    """A line search ends at a step that meets the strong Wolfe conditions.

    ``f(x + p) <= f(x) + 1e-4 g'p`` and ``|g(x + p)'p| <= 0.9 |g'p|`` for the move p of one
    iteration, which goes down: the first along the negative gradient.
    """
    (parameter,) = parameters_of(problem, target.device)
    chosen = {"max_iter": 1, "max_eval": 30, "line_search_fn": "strong_wolfe"}
    optimizer = optimizer_of("LBFGS", [parameter], lr=rate, **chosen)
    closure = closure_of(problem, [parameter])
    for step in range(steps):
        before = compare.to_numpy(parameter)
        value, gradient = value_and_gradient(problem, before)
        optimizer.step(closure)
        after = compare.to_numpy(parameter)
        move, (new_value, new_gradient) = after - before, value_and_gradient(problem, after)
        size = 2.0**-40 * (1 + np.abs(before).max()) * (1 + np.abs(gradient).max())
        slope, new_slope = gradient @ move, new_gradient @ move
        facts = (slope <= 0, new_value <= value + 1e-4 * slope + size,
                 abs(new_slope) <= 0.9 * abs(slope) + size)  # fmt: skip
        compare.fact(facts, (True, True, True), f"down, decrease and curvature at step {step + 1}")
        if step == 0:
            across = move - gradient * (move @ gradient) / max(gradient @ gradient, 2.0**-60)
            compare.every(np.abs(across) <= size, parameter, "a move along the gradient")


@law("optimizer.lbfgs-converges", docs=PAGE, over={"fixed": None, "strong-wolfe": "strong_wolfe"})
@given(problem=problems(quartic=(0.0,)))
def test_lbfgs_converges(target, case, problem):
    """On a convex quadratic L-BFGS reaches the minimum: the solution of the linear system."""
    (parameter,) = parameters_of(problem, target.device)
    chosen = {"max_iter": 60, "max_eval": 500, "tolerance_grad": 1e-9, "tolerance_change": 1e-14}
    optimizer = optimizer_of("LBFGS", [parameter], line_search_fn=case, **chosen)
    closure = closure_of(problem, [parameter])
    for _ in range(4):
        optimizer.step(closure)
    solution = np.linalg.solve(problem.matrix, problem.vector)
    compare.close(parameter, solution, bound=1e-6, dtype=torch.float64, what="minimum")


@law("optimizer.lbfgs-several-parameters", docs=PAGE, level="should")
@given(problem=problems(), options=fixed_steps(), split=st.integers(1, 2), steps=st.integers(1, 3))
def test_lbfgs_several_parameters(target, problem, options, split, steps):
    """Several parameters are one vector: they move as their concatenation does."""
    parts = parameters_of(problem, target.device, split)
    optimizer = optimizer_of("LBFGS", parts, **options)
    objective = polynomial(problem.matrix, problem.vector, problem.quartic)
    path = lbfgs(objective, problem.start, options, steps, 2.0**-53)
    for part, start in zip(parts, np.split(problem.start, [split]), strict=True):
        compare.unchanged(part, start, "start")
    for expected in path:
        optimizer.step(closure_of(problem, parts))
        values, bounds = (np.split(v, [split]) for v in (expected.value, limit(expected)))
        for part, value, bound in zip(parts, values, bounds, strict=True):
            compare.close(part, value, bound=bound, dtype=torch.float64, what="part of the vector")


@law("optimizer.lbfgs-resumes", docs="torch.optim.Optimizer.load_state_dict")
@given(problem=problems(), options=optimizer_options("LBFGS"), when=st.integers(0, 2))
def test_lbfgs_resumes(target, problem, options, when):
    """A state_dict holds the memory of past iterations: who loads it goes on exactly alike."""
    (parameter,) = parameters_of(problem, target.device)
    optimizer = optimizer_of("LBFGS", [parameter], **options)
    for _ in range(when):
        optimizer.step(closure_of(problem, [parameter]))
    other = parameter.detach().clone().requires_grad_()
    resumed = optimizer_of("LBFGS", [other])
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(3 - when):
        optimizer.step(closure_of(problem, [parameter]))
        resumed.step(closure_of(problem, [other]))
        value = compare.to_numpy(parameter)
        what = f"parameter {step + 1} steps after the load"
        compare.equal(other, value, dtype=torch.float64, what=what)


@law("optimizer.lbfgs-stops", docs=PAGE)
@given(problem=problems(), search=st.sampled_from([None, "strong_wolfe"]))
def test_lbfgs_stops(target, problem, search):
    """Where no gradient is above tolerance_grad, a step evaluates once and moves nothing."""
    (parameter,) = parameters_of(problem, target.device)
    _, gradient = value_and_gradient(problem, problem.start)
    largest = np.abs(gradient).max()
    losses: list[float] = []
    optimizer = optimizer_of(
        "LBFGS", [parameter], tolerance_grad=largest * 1.01, line_search_fn=search
    )
    loss = optimizer.step(closure_of(problem, [parameter], losses))
    compare.unchanged(parameter, problem.start, "parameter")
    compare.fact([loss.item()], losses, "losses")
    if largest > 1e-3:
        moving = optimizer_of(
            "LBFGS", [parameter], tolerance_grad=largest * 0.5, line_search_fn=search
        )
        moving.step(closure_of(problem, [parameter]))
        moved = bool((compare.to_numpy(parameter) != problem.start).any())
        compare.fact(moved, True, "a gradient above the tolerance moves the parameter")


@law("optimizer.lbfgs-idle-steps", docs=PAGE, level="should")
@given(problem=problems(), options=optimizer_options("LBFGS"), idle=st.integers(1, 3))
def test_lbfgs_idle(target, problem, options, idle):
    """Steps that find a gradient of zero count for nothing: the next one is as if it were first."""
    (late,), (fresh,) = (parameters_of(problem, target.device) for _ in range(2))
    optimizer, other = (optimizer_of("LBFGS", [each], **options) for each in (late, fresh))

    def flat():
        late.grad = torch.zeros_like(late)
        return (late.detach() * 0).sum()

    for _ in range(idle):
        optimizer.step(flat)
    compare.unchanged(late, problem.start, "parameter after idle steps")
    for step in range(2):
        optimizer.step(closure_of(problem, [late]))
        other.step(closure_of(problem, [fresh]))
        value, what = compare.to_numpy(fresh), f"parameter {step + 1} steps later"
        compare.equal(late, value, dtype=torch.float64, what=what)


LIMITS = {
    "fixed": {"line_search_fn": None, "max_eval": 5},
    "default": {"line_search_fn": None, "max_eval": None},
    "one-evaluation": {"line_search_fn": None, "max_eval": 1},
    "strong-wolfe": {"line_search_fn": "strong_wolfe", "max_eval": 8},
}


@law("optimizer.lbfgs-limits", docs=PAGE, over=LIMITS)
@given(problem=problems(), iterations=st.integers(1, 8))
def test_lbfgs_limits(target, case, problem, iterations):
    """A step takes at most max_iter iterations and max_eval evaluations, and counts both.

    max_eval is 1.25 times max_iter if it is not given.
    """
    (parameter,) = parameters_of(problem, target.device)
    losses: list[float] = []
    chosen = {"lr": 0.0625, "max_iter": iterations, "tolerance_change": 0.0}
    optimizer = optimizer_of("LBFGS", [parameter], **chosen, **case)
    closure = closure_of(problem, [parameter], losses)
    most = case["max_eval"] or iterations * 5 // 4
    for step in range(1, 3):
        before = len(losses)
        optimizer.step(closure)
        within = len(losses) - before <= most
        compare.fact(within, True, f"at most {most} evaluations")
        state = optimizer.state[parameter]
        compare.fact(state["func_evals"], len(losses), "func_evals")
        compare.fact(state["n_iter"] <= step * iterations, True, "at most max_iter iterations")


@law("optimizer.lbfgs-line-search-raises", docs=PAGE)
@given(problem=problems())
def test_lbfgs_line_search_raises(target, problem):
    """A line search of another name is refused with RuntimeError, before anything moves."""
    (parameter,) = parameters_of(problem, target.device)
    moved = np.abs(value_and_gradient(problem, problem.start)[1]).max() > 1e-3
    legal = optimizer_of("LBFGS", parameters_of(problem, target.device), line_search_fn=None)
    legal.step(lambda: torch.zeros(()))
    optimizer = optimizer_of("LBFGS", [parameter], line_search_fn="backtracking")
    if moved:
        with compare.raises(RuntimeError, "only 'strong_wolfe' is supported"):
            optimizer.step(closure_of(problem, [parameter]))
    compare.unchanged(parameter, problem.start, "parameter")
