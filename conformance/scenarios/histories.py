"""Following a history of gradients with an optimizer of torch, and judging what it reached.

A case of a law over optimizers is a class of torch.optim by name, and options that override the
drawn ones: a choice of implementation, or what keeps to a corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.reference.optimizers import CLOSED_FORMS, State, follow, limit
from conformance.target import resolve
from strategies import gradient_histories, optimizer_options
from strategies.optimizer_tables import OPTIONS
from strategies.optimizers import GradientHistory
from strategies.shapes import Shape

Case = tuple[str, Mapping[str, Any]]
Gradients = Sequence[compare.Array | None]

ANY: Sequence[Shape] = ((), (1,), (3,), (2, 2), (1, 5), (0,), (37,))
SHAPES: dict[str, Sequence[Shape]] = {
    "Muon": ((1, 1), (2, 3), (3, 2), (4, 4)),
    "Adafactor": ((), (1,), (3,), (2, 2), (1, 5), (2, 3, 2), (37,)),
    "SparseAdam": ((1,), (3,), (2, 2), (1, 5)),
    "LBFGS": ((), (1,), (3,), (2, 2), (1, 5)),
}
"""Shapes of parameters by class, where not every one can be optimized.

37 elements fill vector registers of every width, and leave a rest.
"""

MILD = ("Adafactor", "Muon")
"""Classes whose squares of squares overflow, or whose eps shows, for extreme gradients."""

SCALARS = ("mu_product", "eta", "mu")
"""Entries of the state that are numbers; torch keeps them in the default dtype."""


SINGLE = ("SparseAdam", "Muon", "LBFGS")
"""Classes with one implementation."""

FUSED = ("SGD", "Adam", "AdamW", "Adagrad")
"""Classes with a fused implementation."""

OPTIMIZERS: dict[str, Case] = {name: (name, {}) for name in OPTIONS}
"""Every class, as torch chooses its implementation."""

IMPLEMENTED = {
    **OPTIMIZERS,
    **{f"{n}-foreach": (n, {"foreach": True}) for n in OPTIMIZERS if n not in SINGLE},
    **{f"{n}-fused": (n, {"fused": True}) for n in FUSED},
}
"""Every class in each of its implementations."""


def page(case: Case) -> str:
    """Return the documentation's page of a case."""
    return f"torch.optim.{case[0]}"


def options_of(case: Case) -> st.SearchStrategy[dict[str, Any]]:
    """Draw the options of a case's class, overridden by the case."""
    name, overrides = case
    return optimizer_options(name).map(lambda options: {**options, **overrides})


def histories_of(case: Case, **keywords: Any) -> st.SearchStrategy[GradientHistory]:
    """Draw histories of gradients that a case's class takes.

    A parameter of fused SGD never starts late: torch 2.13 raises, as a law of its own shows.
    """
    name, overrides = case
    fused = name == "SGD" and bool(overrides.get("fused"))
    chosen = {
        "shapes": SHAPES.get(name, ANY),
        "extremes": name not in MILD,
        "late_starts": not fused,
    }
    return gradient_histories(**{**chosen, **keywords})


def optimizer_of(name: str, parameters: Any, **options: Any) -> Any:
    """Construct the optimizer of that class."""
    return resolve(f"torch.optim.{name}")(parameters, **options)


def trained(
    history: GradientHistory, dtype: torch.dtype, device: torch.device, options: Mapping[str, Any]
) -> list[torch.Tensor]:
    """Return parameters with the history's starting values.

    A differentiable step changes them under autograd, which leaves do not allow.
    """
    leaves = history.parameters(dtype, device)
    return [leaf.clone() for leaf in leaves] if options.get("differentiable") else leaves


def give(name: str, parameters: Sequence[torch.Tensor], gradients: Gradients) -> None:
    """Set each ``.grad``: sparse for SparseAdam, which takes no other."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            parameter.grad = None
        else:
            given = torch.tensor(gradient, dtype=parameter.dtype, device=parameter.device)
            parameter.grad = given.to_sparse() if name == "SparseAdam" else given


def no_loss() -> torch.Tensor:
    """Return a loss for classes whose step needs a closure: the gradients stay as they are."""
    return torch.zeros(())


def advance(
    name: str, optimizer: Any, parameters: Sequence[torch.Tensor], steps: Sequence[Gradients]
) -> Iterator[int]:
    """Set gradients and step, for each step of a history; yield the step's number after it."""
    for number, gradients in enumerate(steps):
        give(name, parameters, gradients)
        optimizer.step(no_loss)
        yield number


def run_through(
    name: str, optimizer: Any, parameters: Sequence[torch.Tensor], steps: Sequence[Gradients]
) -> None:
    """Set gradients and step, for each step of a history."""
    for _ in advance(name, optimizer, parameters, steps):
        pass


def seen(name: str, gradients: Gradients) -> list[compare.Array | None]:
    """Return gradients as the closed form takes them: nan where a sparse one has no value."""
    if name != "SparseAdam":
        return list(gradients)
    return [None if g is None else np.where(g == 0, np.nan, g) for g in gradients]


def paths_of(
    name: str, history: GradientHistory, options: Any, dtype: torch.dtype
) -> list[list[State]]:
    """Return, for each parameter, its closed form after each step."""
    unit = torch.finfo(dtype).eps / 2
    return [
        follow(CLOSED_FORMS[name], start, seen(name, history.of(number)), options, unit)
        for number, start in enumerate(history.start)
    ]


def check_parameter(parameter: torch.Tensor, state: State, what: str) -> None:
    """Compare a parameter with its closed form."""
    expected = state["parameter"]
    compare.close(
        parameter, expected.value, bound=limit(expected), dtype=parameter.dtype, what=what
    )


def check_state(kept: Mapping[str, Any], state: State, parameter: torch.Tensor, what: str) -> None:
    """Compare what an optimizer keeps of a parameter with its closed form, name by name."""
    names = sorted(set(state) - {"parameter"})
    compare.fact(sorted(kept), names, f"names in the state of {what}")
    for name in names:
        about = f"{name} of {what}"
        if name == "step":
            compare.fact(float(kept[name]), float(state[name]), about)
        else:
            dtype = torch.get_default_dtype() if name in SCALARS else parameter.dtype
            expected, bound = state[name].value, limit(state[name])
            compare.close(kept[name], expected, bound=bound, dtype=dtype, what=about)


def check_equal(
    parameters: Sequence[torch.Tensor], others: Sequence[torch.Tensor], what: str
) -> None:
    """Check that two lists of parameters hold the same values, bit for bit."""
    for number, (one, other) in enumerate(zip(parameters, others, strict=True)):
        expected = compare.to_numpy(other)
        compare.equal(one, expected, dtype=other.dtype, what=f"parameter {number} {what}")
