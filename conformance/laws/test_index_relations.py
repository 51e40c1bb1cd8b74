"""Relations among what finds positions, what reads at them and what writes to them."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import dims, dyadics, gather_arguments, scatter_arguments, shapes, tensors

FOUND = {
    "argsort": ("torch.argsort", {}, np.sort),
    "argmax": ("torch.argmax", {"keepdim": True}, np.max),
    "argmin": ("torch.argmin", {"keepdim": True}, np.min),
}
NARROW = {
    "gather": ("torch.gather", False),
    "scatter": ("torch.scatter", True),
    "scatter_add": ("torch.scatter_add", True),
}

MASKED = {
    "masked_select": ("torch.masked_select", ()),
    "masked_fill": ("torch.masked_fill", (7.0,)),
    "masked_scatter": ("torch.masked_scatter", ("source",)),
}

# What writes the rows of a source at the rows that an index names, and NumPy's ufunc for it.
BY_ROWS = {
    "gather": ("torch.gather", None, ()),
    "scatter_add": ("torch.scatter_add", np.add, ()),
    "scatter_reduce-amax": ("torch.scatter_reduce", np.maximum, ("amax",)),
}
DIFFERENTIATED_BY_ROWS = {name: BY_ROWS[name] for name in ("gather", "scatter_add")}
# Rows of 16 elements and more are those that a kernel for expanded indices may be meant for.
ROWS = st.sampled_from(((1,), (3,), (2, 2), (16,), (2, 9), (33,)))


@st.composite
def searched(draw):
    x = draw(tensors(dtype="floating", shape=shapes(min_rank=1, min_side=1)))
    return x, draw(dims(x.dim()))


@law("selection.taken-along", docs="torch.take_along_dim", over=FOUND)
@given(problem=searched())
def test_taken_along(target, case, problem):
    """take_along_dim takes what argsort, argmax or argmin found along the same dimension.

    "Functions that return indices along a dimension, like torch.argmax() and torch.argsort(), are
    designed to work with this function": argmax and argmin with keepdim=True.
    """
    x, dim = problem
    find, keeping, reference = case
    keepdims = {"keepdims": True} if keeping else {}
    expected = reference(compare.to_numpy(x), axis=dim, **keepdims)
    found = target.run(find, x, dim=dim, **keeping)
    result = target.run("torch.take_along_dim", x, found, dim)
    compare.close(result, expected, bound=0.0, dtype=x.dtype)


@law("scatter.gathered-back", docs="torch.Tensor.scatter_")
@given(arguments=gather_arguments(values="dyadic"))
def test_gathered_back(target, arguments):
    """What gather read scatter writes back through the same index: the rest stays as it was.

    An index that names one element several times reads one value, so that it is no matter which
    of them is written.
    """
    source, dim, index = arguments
    values, places = compare.to_numpy(source), compare.to_numpy(index)
    expected = np.zeros_like(values)
    if values.ndim:
        hit = list(np.indices(places.shape))
        hit[dim] = places
        expected[tuple(hit)] = values[tuple(hit)]
    else:
        expected = values
    read = target.run("torch.gather", source, dim, index)
    blank = torch.zeros(tuple(source.shape), dtype=source.dtype, device=target.device)
    result = target.run("torch.scatter", blank, dim, index, read)
    compare.equal(result, expected, dtype=source.dtype)


@st.composite
def by_rows(draw):
    """Draw a tensor, numbers of some of its rows, some twice, and rows to write there."""
    row, dtype = draw(ROWS), draw(st.sampled_from((torch.float32, torch.float64)))
    x = draw(tensors(dtype=dtype, shape=(draw(st.integers(1, 4)), *row)))
    picks = draw(st.lists(st.integers(0, len(x) - 1), min_size=1, max_size=5))
    return x, picks, draw(tensors(dtype=dtype, shape=(len(picks), *row)))


def expanded_over(x, picks):
    """Return the index that names whole rows of x: a column, expanded over their elements."""
    column = torch.tensor(picks, device=x.device).reshape(-1, *(1 for _ in x.shape[1:]))
    return column.expand(-1, *x.shape[1:])


@law("gather.expanded-index", docs="torch.Tensor.expand", over=BY_ROWS)
@given(problem=by_rows())
def test_expanded_index(target, case, problem):
    """An index expanded from a column of row numbers reads, adds or compares whole rows.

    "Expanding a tensor does not allocate new memory", and the expanded tensor is an index like a
    copy of it.
    """
    (name, combine, further), (x, picks, rows) = case, problem
    before, written, index = compare.to_numpy(x), compare.to_numpy(rows), expanded_over(x, picks)
    expected = before[picks] if combine is None else before.copy()
    source = () if combine is None else (rows,)
    if combine is not None:
        combine.at(expected, picks, written)
    result = target.run(name, x, 0, index, *source, *further)
    compare.equal(result, expected, dtype=x.dtype)
    compare.unchanged(x, before, "x")
    compare.unchanged(rows, written, "source")


@st.composite
def differentiated_by_rows(draw, case):
    x, picks, rows = draw(by_rows())
    read = case[1] is None
    return x, picks, rows, draw(tensors(dtype=x.dtype, shape=tuple((rows if read else x).shape)))


@law("gather.expanded-index-gradient", docs="torch.Tensor.expand", over=DIFFERENTIATED_BY_ROWS)
@given(problem=differentiated_by_rows)
def test_expanded_index_gradient(target, case, problem):
    """Through an index expanded from row numbers gradients pass row by row, duplicates summed."""
    (name, combine, _), (x, picks, rows, cotangent) = case, problem
    leaves = [x.detach().requires_grad_(), rows.detach().requires_grad_()]
    source = () if combine is None else (leaves[1],)
    target.run(name, leaves[0], 0, expanded_over(x, picks), *source).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    summed = np.zeros(tuple(x.shape))
    if combine is None:
        np.add.at(summed, picks, upstream)
        compare.gradients(leaves, [summed, summed], [True, False])
    else:
        compare.gradients(leaves, [upstream, upstream[picks]], [True, True])


@law("scatter.mask", docs="torch.Tensor.scatter_")
@given(arguments=scatter_arguments(dtype="floating"), value=dyadics())
def test_mask(target, arguments, value):
    """scatter of true makes the mask of an index, by which where assigns as scatter of a number."""
    destination, dim, index, _ = arguments
    place = {"dtype": torch.bool, "device": target.device}
    mask = torch.zeros(tuple(destination.shape), **place).scatter_(dim, index, True)
    chosen = np.where(compare.to_numpy(mask), value, compare.to_numpy(destination))
    result = target.run("torch.scatter", destination, dim, index, value)
    compare.equal(result, chosen, dtype=destination.dtype)


@law("scatter.one-hot", docs="torch.Tensor.scatter_")
@given(classes=st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_one_hot(target, classes):
    """scatter_ of 1 along dimension 1 of zeros, by a column of classes, is their one-hot code."""
    column = torch.tensor(classes, device=target.device)[:, None]
    zeros = torch.zeros(len(classes), 5, dtype=torch.int64, device=target.device)
    result = target.run("torch.Tensor.scatter_", zeros, 1, column, 1)
    compare.equal(result, np.eye(5, dtype=np.int64)[classes], dtype=torch.int64)
    coded = target.run("torch.nn.functional.one_hot", column[:, 0], 5)
    compare.equal(coded, compare.to_numpy(result), dtype=torch.int64, what="one_hot")


@law("scatter.row", docs="torch.Tensor.scatter_")
@given(
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pick=st.integers(0, 3),
    values=tensors(dtype="floating", shape=(1, 4)),
)
def test_row(target, sides, pick, values):
    """scatter writes row i along dimension 0 by an index full of i, and row 0 along dimension 1.

    Along dimension 1 the index lists the columns. Along dimension 0 that index is a list of
    rows: it writes a diagonal.
    """
    (rows, columns), row = sides, pick % sides[0]
    source, written = values[:, :columns], compare.to_numpy(values)[0, :columns]
    blank = torch.zeros(rows, columns, dtype=values.dtype, device=target.device)
    expected = np.zeros((3, rows, columns), dtype=written.dtype)
    expected[0, row] = expected[1, 0] = written
    count = min(sides)
    expected[2, range(count), range(count)] = written[:count]
    full = torch.full((1, columns), row, device=target.device)
    along = torch.arange(columns, device=target.device)[None]
    for number, (dim, index) in enumerate(((0, full), (1, along), (0, along[:, :count]))):
        result = target.run("torch.scatter", blank, dim, index, source)
        compare.equal(result, expected[number], dtype=values.dtype, what=f"way {number}")


@law("index-rejections.narrow-integers", docs="torch.gather", level="should", over=NARROW)
@given(
    x=tensors(dtype="floating", shape=(2, 3)),
    narrow=st.sampled_from((torch.int16, torch.int8, torch.uint8, torch.bool)),
)
def test_narrow_integers(target, case, x, narrow):
    """gather, scatter and scatter_add take positions as int64 or int32, and no other integers."""
    name, writes = case
    positions = torch.tensor([[0, 1, 0], [1, 0, 1]], device=target.device)
    source = (torch.ones_like(x),) if writes else ()
    for wide in (torch.int64, torch.int32):
        result = target.run(name, x, 1, positions.to(wide), *source)
        compare.fact(tuple(result.shape), (2, 3), f"shape of the result by {wide}")
    before = compare.to_numpy(x)
    with compare.raises(RuntimeError, "Expected dtype int.* for index"):
        target.run(name, x, 1, positions.to(narrow), *source)
    compare.unchanged(x, before, "x")


@law("index-rejections.masks", docs="torch.masked_select", level="should", over=MASKED)
@given(
    x=tensors(dtype="floating", shape=(2, 3)),
    dtype=st.sampled_from((torch.uint8, torch.int64, torch.int32, torch.float32)),
)
def test_masks(target, case, x, dtype):
    """masked_select, masked_fill and masked_scatter take masks of bool, and none of 0 and 1."""
    name, further = case
    mask = torch.tensor([[1, 0, 1], [0, 1, 1]], device=target.device)
    arguments = [torch.ones_like(x) if value == "source" else value for value in further]
    before = compare.to_numpy(x)
    result = target.run(name, x, mask.bool(), *arguments)
    compare.fact(result.dtype, x.dtype, "dtype of the legal form")
    with compare.raises(RuntimeError, "[Bb]ool"):
        target.run(name, x, mask.to(dtype), *arguments)
    compare.unchanged(x, before, "x")
