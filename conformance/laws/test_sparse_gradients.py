"""Sparse gradients, as of embeddings: SparseAdam, and SGD and Adagrad, which take both kinds."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow, limit
from conformance.scenarios.histories import check_parameter, check_state, optimizer_of, options_of
from strategies import arrays

EMBEDDING = "torch.nn.Embedding"
TAKING = {
    "SparseAdam": ("SparseAdam", {}),
    "SGD": ("SGD", {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False}),
    "SGD-momentum": ("SGD", {"weight_decay": 0.0, "momentum": 0.5}),
    "SGD-foreach": (
        "SGD", {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False, "foreach": True},
    ),
    "Adagrad": ("Adagrad", {"weight_decay": 0.0}),
    "Adagrad-foreach": ("Adagrad", {"weight_decay": 0.0, "foreach": True}),
}  # fmt: skip
ROWS = 4
COLUMNS = 3


@dataclass(frozen=True, eq=False)
class SparseHistory:
    """Start of a matrix, and for each step some rows, repeated ones among them, and values."""

    start: np.ndarray
    rows: tuple[tuple[int, ...], ...]
    values: np.ndarray


@st.composite
def sparse_histories(draw):
    """Draw up to four steps, each of up to four rows that may occur twice."""
    steps = draw(st.integers(1, 4))
    rows = st.lists(st.integers(0, ROWS - 1), max_size=4).map(tuple)
    drawn = tuple(draw(rows) for _ in range(steps))
    start = draw(arrays(shape=(ROWS, COLUMNS)))
    return SparseHistory(start, drawn, draw(arrays(shape=(steps, 4, COLUMNS))))


def gradient_of(history, step, device):
    """Return the sparse gradient of a step: rows are not coalesced."""
    rows = torch.tensor([list(history.rows[step])], dtype=torch.int64, device=device)
    values = torch.tensor(history.values[step][: len(history.rows[step])], device=device)
    shape = (ROWS, COLUMNS)
    return torch.sparse_coo_tensor(rows, values, shape, device=device, check_invariants=True)


def written_out(history, missing):
    """Return the gradients with repeated rows summed, and ``missing`` where a row has none."""
    gradients = []
    for rows, values in zip(history.rows, history.values, strict=True):
        dense = np.zeros((ROWS, COLUMNS))
        np.add.at(dense, list(rows), values[: len(rows)])
        absent = [row for row in range(ROWS) if row not in rows]
        dense[absent] = missing
        gradients.append(dense)
    return gradients


@law("optimizer.sparse-gradient", docs=EMBEDDING, over=TAKING)
@given(options=options_of, history=sparse_histories())
def test_sparse_gradient(target, case, options, history):
    """A sparse gradient moves the parameter as its values say, those of one row summed.

    SGD and Adagrad move as by zeros in the rows that it does not have; SparseAdam "only updates
    the moments and parameters corresponding to the non-zero values of the gradients".
    """
    name, _ = case
    missing = np.nan if name == "SparseAdam" else 0.0
    parameter = torch.tensor(history.start, device=target.device, requires_grad=True)
    optimizer = optimizer_of(name, [parameter], **options)
    gradients = written_out(history, missing)
    path = follow(CLOSED_FORMS[name], history.start, gradients, options, 2.0**-53)
    for step, _ in enumerate(gradients):
        parameter.grad = gradient_of(history, step, target.device)
        optimizer.step()
        what = f"parameter after step {step + 1}"
        check_parameter(parameter, path[step], what)
        if name == "SparseAdam":
            check_state(optimizer.state[parameter], path[step], parameter, what)


BOTH = {label: case for label, case in TAKING.items() if case[0] != "SparseAdam"}


@law("optimizer.sparse-beside-dense", docs=EMBEDDING, over=BOTH)
@given(options=options_of, history=sparse_histories(), first=st.booleans())
def test_sparse_beside_dense(target, case, options, history, first):
    """In one group, parameters with sparse gradients and others move as each does alone."""
    name, _ = case
    sparse, dense = (
        torch.tensor(history.start, device=target.device, requires_grad=True) for _ in range(2)
    )
    optimizer = optimizer_of(name, [sparse, dense] if first else [dense, sparse], **options)
    gradients = written_out(history, 0.0)
    path = follow(CLOSED_FORMS[name], history.start, gradients, options, 2.0**-53)
    for step, gradient in enumerate(gradients):
        sparse.grad = gradient_of(history, step, target.device)
        dense.grad = torch.tensor(gradient, device=target.device)
        optimizer.step()
        for parameter, what in ((sparse, "sparse"), (dense, "dense")):
            check_parameter(parameter, path[step], f"parameter of the {what} gradient")


@law("optimizer.sparse-gradient-unchanged", docs=EMBEDDING, over=TAKING)
@given(options=options_of, history=sparse_histories())
def test_sparse_gradient_unchanged(target, case, options, history):
    """A step leaves a sparse gradient as it is: its rows, their values, the tensor itself."""
    name, _ = case
    parameter = torch.tensor(history.start, device=target.device, requires_grad=True)
    optimizer = optimizer_of(name, [parameter], **options)
    for step, value in enumerate(written_out(history, 0.0)):
        gradient = gradient_of(history, step, target.device)
        parameter.grad = gradient
        optimizer.step()
        compare.fact(parameter.grad is gradient, True, "grad is the same tensor")
        kept = gradient.to_dense()
        compare.close(kept, value, bound=0.0, dtype=torch.float64, what="gradient after the step")


@law("optimizer.sparse-agrees-with-adam", docs="torch.optim.SparseAdam")
@given(
    options=options_of(("SparseAdam", {"eps": 1e-20})),
    gradients=arrays(shape=(4, 2, 3)),
)
def test_sparse_agrees_with_adam(target, options, gradients):
    """Where every value of the gradients is given, SparseAdam moves as Adam, but for eps.

    With an eps far below the gradients both formulas are one.
    """
    found = [torch.zeros(2, 3, dtype=torch.float64, device=target.device) for _ in range(2)]
    sparse, dense = (parameter.requires_grad_() for parameter in found)
    one = optimizer_of("SparseAdam", [sparse], **options)
    other = optimizer_of("Adam", [dense], **options)
    start = np.zeros((2, 3))
    away = np.where(gradients == 0, 1.0, gradients)
    path = follow(CLOSED_FORMS["SparseAdam"], start, list(away), options, 2.0**-53)
    for step, value in enumerate(away):
        dense.grad = torch.tensor(value, device=target.device)
        sparse.grad = dense.grad.to_sparse()
        one.step()
        other.step()
        expected = compare.to_numpy(dense)
        bound = 2 * limit(path[step]["parameter"]) + 1e-15
        what = f"parameter after step {step + 1}"
        compare.close(sparse, expected, bound=bound, dtype=torch.float64, what=what)
