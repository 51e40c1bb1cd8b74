"""Rejections of what indexes: calls and subscripts with one mistake, each beside a legal one."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.evidence import tensors_in
from conformance.law import given, law
from strategies import illegal_arguments, illegal_basic_indices, shapes, tensors
from strategies.illegal import MISTAKES
from strategies.layouts import WRITABLE

INDEXING = "tensor_view.html"
GET = "torch.Tensor.__getitem__"
SET = "torch.Tensor.__setitem__"

IN_PLACE = {
    "scatter": "torch.Tensor.scatter_",
    "scatter_add": "torch.Tensor.scatter_add_",
    "index_add": "torch.Tensor.index_add_",
    "index_copy": "torch.Tensor.index_copy_",
    "index_put": "torch.Tensor.index_put_",
}
TWINS = {
    f"{operation}-{mistake.replace(' ', '-')}": (operation, mistake)
    for operation, (_, mistakes) in MISTAKES.items()
    for mistake in mistakes
}
READINGS = {"read": GET, "write": SET}
SUBSCRIPTS = {
    f"{form}-{mistake.replace(' ', '-')}": (call, mistake)
    for form, call in READINGS.items()
    for mistake in ("too many", "position above", "position below", "negative step", "zero step")
}


def documented(case):
    return MISTAKES[case[0]][0]


def twins(case):
    return illegal_arguments(case[0], mistake=case[1])


@law("index-rejections.operator", docs=documented, over=TWINS)
@given(bad=twins)
def test_operator(target, case, bad):
    """An operator rejects arguments with one mistake, and takes them without it.

    Positions out of range, of another dtype or shape, sources that do not fit, dimensions that
    do not exist. The operands stay as they were.
    """
    name = f"torch.{case[0]}"
    target.run(name, *bad.legal)
    before = [compare.to_numpy(tensor) for tensor in tensors_in(tuple(bad.illegal))]
    with compare.raises(bad.error, bad.message):
        target.run(name, *bad.illegal)
    for tensor, values in zip(tensors_in(tuple(bad.illegal)), before, strict=True):
        compare.unchanged(tensor, values, "operand")


@law(
    "index-rejections.in-place",
    docs=documented,
    over={key: twin for key, twin in TWINS.items() if twin[0] in IN_PLACE},
)
@given(bad=twins)
def test_in_place(target, case, bad):
    """The in-place form rejects the same mistakes, and leaves self and the others as they were.

    But for self where a position is out of range: it may hold what was written before that.
    """
    legal = bad.legal._replace(destination=bad.legal.destination.clone())
    target.run(IN_PLACE[case[0]], *legal)
    found_late = case[1].startswith("position") and "apart" not in case[1]
    kept = list(tensors_in(tuple(bad.illegal)))[found_late:]
    before = [compare.to_numpy(tensor) for tensor in kept]
    with compare.raises(bad.error, bad.message):
        target.run(IN_PLACE[case[0]], *bad.illegal)
    for tensor, values in zip(kept, before, strict=True):
        compare.unchanged(tensor, values, "operand")


@st.composite
def subscripted(draw, case):
    x = draw(tensors(shape=shapes(min_rank=1, max_elements=36), layouts=WRITABLE))
    return x, draw(illegal_basic_indices(tuple(x.shape), mistake=case[1]))


@law("index-rejections.subscript", docs=INDEXING, over=SUBSCRIPTS)
@given(bad=subscripted)
def test_subscript(target, case, bad):
    """x[index] rejects too many indices, numbers out of range and steps below 1, read or written.

    Negative steps, which NumPy takes, included. x stays as it was.
    """
    x, twin = bad
    value = (0,) if case[0] == SET else ()
    target.run(case[0], x.clone(), *twin.legal, *value)
    before = compare.to_numpy(x)
    with compare.raises(twin.error, twin.message):
        target.run(case[0], x, *twin.illegal, *value)
    compare.unchanged(x, before, "x")


def beyond(x, pick):
    side = x.shape[0]
    return torch.full((2,), (side, -side - 1, side + 5)[pick % 3], device=x.device)


def legal_positions(x, pick):
    return torch.zeros(2, dtype=torch.int64, device=x.device)


def floating(x, pick):
    return torch.zeros(2, device=x.device)


def too_many(x, pick):
    return (legal_positions(x, pick),) * (x.dim() + 1)


def apart(x, pick):
    return (legal_positions(x, pick), torch.zeros(3, dtype=torch.int64, device=x.device))


def longer_mask(x, pick):
    dim = pick % x.dim()
    shape = (*x.shape[:dim], x.shape[dim] + 1 + pick % 2)
    return torch.ones(shape, dtype=torch.bool, device=x.device)


def deeper_mask(x, pick):
    return torch.ones((*x.shape, 1), dtype=torch.bool, device=x.device)


POSITIONS = {
    f"{form}-{name}": (call, spoil, message)
    for form, call in READINGS.items()
    for name, spoil, message in (
        ("position", beyond, "out of bounds"),
        ("dtype", floating, "tensors used as indices must be"),
        ("count", too_many, "too many indices"),
        ("apart", apart, "could not be broadcast together"),
        ("mask-shape", longer_mask, "does not match the shape"),
        ("mask-rank", deeper_mask, "too many indices"),
    )
}


@law("index-rejections.positions", docs=INDEXING, over=POSITIONS)
@given(
    x=tensors(shape=shapes(min_rank=2, max_elements=24, min_side=1), layouts=WRITABLE),
    pick=st.integers(0, 11),
)
def test_positions(target, case, x, pick):
    """x[index] rejects positions that are out of range, floating, too many, or do not broadcast.

    And masks of another shape. x stays as it was.
    """
    call, spoil, message = case
    value = (0,) if call == SET else ()
    target.run(call, x.clone(), legal_positions(x, pick), *value)
    before, index = compare.to_numpy(x), spoil(x, pick)
    with compare.raises(IndexError, message):
        target.run(call, x, index, *value)
    compare.unchanged(x, before, "x")


def whole(x):
    return slice(None)


def all_positions(x):
    return torch.arange(x.shape[0], device=x.device)


def whole_mask(x):
    return torch.ones(x.shape[:1], dtype=torch.bool, device=x.device)


WHOLE = {
    "slice": (whole, "must match the existing size"),
    "positions": (all_positions, "cannot be broadcast"),
    "mask": (whole_mask, "cannot be broadcast"),
}


@law("index-rejections.value", docs=INDEXING, over=WHOLE)
@given(
    x=tensors(shape=shapes(min_rank=1, max_elements=24, min_side=1), layouts=WRITABLE),
    extra=st.integers(1, 2),
    pick=st.integers(0, 3),
)
def test_value(target, case, x, extra, pick):
    """x[index] = value rejects a value that does not broadcast to the places written.

    x and the value stay as they were.
    """
    index, message = case
    dim = pick % x.dim()
    sides = [
        side + (extra if side > 1 else extra + 1) * (d == dim) for d, side in enumerate(x.shape)
    ]
    fitting, wrong = torch.zeros_like(x), torch.ones(sides, dtype=x.dtype, device=x.device)
    target.run(SET, x.clone(), index(x), fitting)
    before = compare.to_numpy(x)
    with compare.raises(RuntimeError, message):
        target.run(SET, x, index(x), wrong)
    compare.unchanged(x, before, "x")
    compare.unchanged(wrong, np.ones(sides), "value")


SCALAR = {
    "index": ("torch.Tensor.__getitem__", (0,), IndexError, "invalid index of a 0-dim tensor"),
    "slice": ("torch.Tensor.__getitem__", (slice(None),), IndexError, "0-dim|too many"),
    "write": ("torch.Tensor.__setitem__", (0, 1), IndexError, "invalid index of a 0-dim tensor"),
    "len": ("torch.Tensor.__len__", (), TypeError, "0-d tensor"),
    "iteration": ("torch.Tensor.__iter__", (), TypeError, "0-d tensor"),
}


@law("index-rejections.scalar", docs="torch.Tensor", level="should", over=SCALAR)
@given(x=tensors(shape=()))
def test_scalar(target, case, x):
    """A tensor of rank 0 has no x[0], no length and cannot be iterated over; one of rank 1 has."""
    name, arguments, error, message = case
    before = compare.to_numpy(x)
    target.run(name, x.clone().reshape(1), *arguments)
    with compare.raises(error, message):
        target.run(name, x, *arguments)
    compare.unchanged(x, before, "x")
