"""Subscripts: what stands in the brackets of ``x[...]``, for reading and for writing.

"When accessing the contents of a tensor via indexing, PyTorch follows Numpy behaviors that basic
indexing returns views, while advanced indexing returns a copy. Assignment via either basic or
advanced indexing is in-place." (https://docs.pytorch.org/docs/stable/tensor_view.html)
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import memory
from strategies import advanced_indices, basic_indices, dyadics, shapes, tensors
from strategies.indices import index_tensor
from strategies.layouts import WRITABLE
from strategies.subscripts import masks, slices

INDEXING = "tensor_view.html"
GET = "torch.Tensor.__getitem__"
SET = "torch.Tensor.__setitem__"
RANK_1_OR_MORE = shapes(min_rank=1, max_elements=36)
ANY_SHAPE = shapes(max_elements=36)
LONG_SIDES = st.sampled_from(((5,), (8,), (3, 8), (5, 8), (2, 8, 3)))
KINDS = {"basic": "basic", "slices": "slices", "advanced": "advanced", "masks": "masks"}
ADVANCED = "advanced"
SHAPES = {
    "basic": ANY_SHAPE,
    "slices": LONG_SIDES,
    "advanced": RANK_1_OR_MORE,
    "masks": st.sampled_from(((3,), (2, 3), (3, 3), (3, 2), (4, 1), (2, 2, 3), (0, 2))),
}


@st.composite
def masked(draw, shape):
    """Draw an index with a mask of some dimensions, and whole slices or nothing of the others."""
    start = draw(st.integers(0, len(shape) - 1))
    stop = draw(st.integers(start + 1, len(shape)))
    whole = (slice(None),) * (len(shape) - stop)
    rest = draw(st.sampled_from(((), whole, whole, (...,))))
    index = (*(slice(None),) * start, draw(masks(shape[start:stop])), *rest)
    return index if len(index) > 1 or draw(st.booleans()) else index[0]


def indices_for(case, shape, *, duplicates=True):
    """Draw an index of one kind for a shape."""
    if case == ADVANCED:
        return advanced_indices(shape, duplicates=duplicates)
    if case == "masks":
        return masked(shape)
    return st.tuples(*map(slices, shape)) if case == "slices" else basic_indices(shape)


def as_numpy(index):
    """Return an index with arrays for its tensors."""
    if isinstance(index, tuple):
        return tuple(map(as_numpy, index))
    return compare.to_numpy(index) if isinstance(index, torch.Tensor) else index


def positions_read(shape, index):
    """Return the numbers of the elements that an index reads, in the shape that it gives."""
    numbers = np.arange(int(np.prod(shape))).reshape(tuple(shape))
    return np.asarray(numbers[as_numpy(index)])


@st.composite
def reads(draw, case, dtype="any", values="any"):
    shape = draw(SHAPES[case])
    x = draw(tensors(dtype=dtype, shape=shape, values=values))
    return x, draw(indices_for(case, shape))


def broadcasting(draw, shape):
    """Draw a shape that broadcasts to another: leading sides left out or added, some sides 1."""
    sides = [1 if draw(st.integers(0, 3)) == 3 else side for side in shape]
    extra = draw(st.sampled_from((0, 0, 0, 1, -1)))
    return (1, *sides) if extra == -1 else tuple(sides[extra:])


@st.composite
def writes(draw, case, dtype="any", values="any"):
    shape = draw(SHAPES[case])
    x = draw(tensors(dtype=dtype, shape=shape, values=values, layouts=WRITABLE))
    index = draw(indices_for(case, shape, duplicates=False))
    narrowed = broadcasting(draw, positions_read(shape, index).shape)
    return x, index, draw(tensors(dtype=x.dtype, shape=narrowed, values=values))


@law("subscripts.read", docs=INDEXING, over=KINDS)
@given(read=reads)
def test_read(target, case, read):
    """x[index] has NumPy's shape and values, and writes to neither x nor the index.

    Whole numbers from either end, slices with steps, None and Ellipsis; positions that broadcast,
    as tensors or lists, masks; new dimensions stand where NumPy's rule puts them.
    """
    x, index = read
    before = compare.to_numpy(x)
    result = target.run(GET, x, index)
    compare.equal(result, np.asarray(before[as_numpy(index)]), dtype=x.dtype)
    compare.unchanged(x, before, "x")


@law("subscripts.view", docs=INDEXING)
@given(read=reads("basic", values="dyadic"))
def test_view(target, read):
    """Basic indexing returns a view: the same memory, with NumPy's strides and offset."""
    x, index = read
    x = x.detach().resolve_conj().resolve_neg()
    whole = np.arange(x.untyped_storage().nbytes() // x.element_size())
    steps = [step * whole.itemsize for step in x.stride()]
    start = whole[x.storage_offset() :]
    places = np.lib.stride_tricks.as_strided(start, tuple(x.shape), steps)[index]
    result = target.run(GET, x, index)
    memory.check_shares(result, x, True)
    compare.equal(result, memory.contents_of(x)[places], dtype=x.dtype, what="view")
    sides = zip(result.stride(), places.strides, places.shape, strict=True)
    if places.size:
        compare.fact(result.storage_offset(), int(places.flat[0]), "storage_offset of the view")
        got = [(step, wanted // whole.itemsize) for step, wanted, side in sides if side > 1]
        compare.fact([g for g, _ in got], [w for _, w in got], "stride of the view")


@law("subscripts.copy", docs=INDEXING)
@given(read=reads(ADVANCED, values="dyadic"))
def test_copy(target, read):
    """Advanced indexing returns a copy: neither sees what is written to the other."""
    x, index = read
    x = x.clone()
    before = compare.to_numpy(x)
    result = target.run(GET, x, index)
    memory.check_shares(result, x, False)
    result.fill_(1)
    compare.unchanged(x, before, "x after a write to what was read")
    x.zero_()
    compare.equal(result, np.ones(tuple(result.shape)), dtype=x.dtype, what="what was read")


@st.composite
def counted_back(draw):
    """Draw a tensor of a rank of 2 or more, a dimension but the first, positions from its end."""
    x = draw(tensors(shape=shapes(min_rank=2, min_side=1), layouts=WRITABLE))
    place = draw(st.integers(1, x.dim() - 1))
    side = x.shape[place]
    back = draw(st.lists(st.integers(-side, -1), min_size=1, max_size=side, unique=True))
    return x, place, back


@law("subscripts.positions-from-end", docs=INDEXING)
@given(drawn=counted_back(), listed=st.booleans())
def test_positions_from_end(target, drawn, listed):
    """A negative position counts from the end of its own dimension, behind whole slices too.

    Read and written: -1 is the last one along it.
    """
    x, place, back = drawn
    index = (*[slice(None)] * place, back if listed else torch.tensor(back, device=x.device))
    before = compare.to_numpy(x)
    picked = [x.shape[place] + position for position in back]
    result = target.run(GET, x, index)
    compare.equal(result, np.take(before, picked, axis=place), dtype=x.dtype)
    target.run(SET, x, index, 1)
    np.moveaxis(before, place, 0)[picked] = 1
    compare.equal(x, before, dtype=x.dtype, what="x after the write")


@law("subscripts.write", docs=INDEXING, over=KINDS)
@given(write=writes)
def test_write(target, case, write):
    """x[index] = value writes in place, broadcasting the value, and nowhere else.

    For an index that names no place twice.
    """
    x, index, value = write
    expected, written = compare.to_numpy(x), compare.to_numpy(value)
    places = positions_read(x.shape, index)
    fitting = written.reshape(written.shape[max(written.ndim - places.ndim, 0) :])
    expected.reshape(-1)[places] = fitting
    version, place = x._version, x.data_ptr()
    target.run(SET, x, index, value)
    compare.equal(x, expected, dtype=x.dtype, what="x")
    compare.fact((x._version, x.data_ptr()), (version + 1, place), "version, memory")
    compare.unchanged(value, written, "value")


@law("subscripts.write-number", docs=INDEXING, over=KINDS)
@given(write=lambda case: writes(case, dtype="floating"), number=dyadics())
def test_write_number(target, case, write, number):
    """x[index] = number writes the number to every place that the index names."""
    x, index, _ = write
    expected = compare.to_numpy(x)
    expected.reshape(-1)[positions_read(x.shape, index)] = number
    target.run(SET, x, index, number)
    compare.equal(x, expected, dtype=x.dtype, what="x")


@law("subscripts.write-cast", docs="torch.Tensor.copy_")
@given(
    write=writes("basic", dtype="floating"),
    other=st.sampled_from((torch.int32, torch.bool, torch.float64, torch.uint8)),
)
def test_write_cast(target, write, other):
    """x[index] = value by basic indexing casts a value of another dtype to x's.

    Assignment copies into a view, and copy_ takes other data types.
    """
    x, index, value = write
    number = value.nan_to_num(1, 1, 1).clamp(0, 8).to(other)
    expected = compare.to_numpy(x)
    places = positions_read(x.shape, index)
    written = compare.to_numpy(number.to(torch.float64))
    fitting = written.reshape(written.shape[max(written.ndim - places.ndim, 0) :])
    if other == torch.float64:
        fitting = compare.to_numpy(torch.from_numpy(fitting).to(x.dtype))
    expected.reshape(-1)[places] = fitting
    target.run(SET, x, index, number)
    compare.equal(x, expected, dtype=x.dtype, what="x")


@st.composite
def differentiated_reads(draw, case):
    x, index = draw(reads(case, dtype="floating", values="dyadic"))
    shape = positions_read(x.shape, index).shape
    return x, index, draw(tensors(dtype=x.dtype, shape=shape))


@law("subscripts.gradient-read", docs=INDEXING, over=KINDS)
@given(problem=differentiated_reads)
def test_gradient_read(target, case, problem):
    """The gradient of x[index] adds each cotangent to the element read, duplicates summed."""
    x, index, cotangent = problem
    leaf = x.detach().requires_grad_()
    target.run(GET, leaf, index).backward(cotangent)
    expected = np.zeros(tuple(x.shape))
    np.add.at(expected.reshape(-1), positions_read(x.shape, index), compare.to_numpy(cotangent))
    compare.gradients([leaf], [expected], [True])


@st.composite
def differentiated_writes(draw, case):
    x, index, value = draw(writes(case, dtype="floating", values="dyadic"))
    return x, index, value, draw(tensors(dtype=x.dtype, shape=tuple(x.shape)))


@law("subscripts.gradient-write", docs=INDEXING, over=KINDS)
@given(problem=differentiated_writes)
def test_gradient_write(target, case, problem):
    """The gradient of x[index] = value is zero for what was overwritten, and reads for the value.

    Summed over the places that one element of the value was broadcast to.
    """
    x, index, value, cotangent = problem
    leaves = [x.detach().requires_grad_(), value.detach().requires_grad_()]
    written = leaves[0].clone()
    target.run(SET, written, index, leaves[1])
    written.backward(cotangent)
    to_x, places = compare.to_numpy(cotangent).astype(np.float64), positions_read(x.shape, index)
    to_value = to_x.reshape(-1)[places]
    to_x.reshape(-1)[places] = 0
    aligned = (1,) * (places.ndim - value.dim()) + tuple(value.shape)[-places.ndim or value.dim() :]
    summed = tuple(d for d, side in enumerate(aligned) if side == 1 and places.shape[d] != 1)
    expected = to_value.sum(axis=summed, keepdims=True).reshape(tuple(value.shape))
    compare.gradients(leaves, [to_x, expected], [True, True])


@st.composite
def apart(draw, case):
    """Draw an index whose positions are apart from each other, or from a number."""
    x = draw(tensors(shape=(2, 3, 2)))
    picks = index_tensor(np.array(draw(st.lists(st.integers(0, 1), min_size=1, max_size=3))))
    index = {
        "positions": (picks, slice(None), picks),
        "number": (draw(st.integers(0, 1)), slice(None), picks),
        "ellipsis": (slice(None), picks, ..., picks),
    }
    return x, index[case]


@law(
    "subscripts.apart",
    docs=INDEXING,
    level="should",
    over={"positions": "positions", "number": "number", "ellipsis": "ellipsis"},
)
@given(read=apart)
def test_apart(target, case, read):
    """Where a slice or an Ellipsis separates positions, the dimensions that they read come first.

    As in NumPy, which takes a whole number among positions for one, and an Ellipsis to separate
    them even where it stands for no dimension.
    """
    x, index = read
    expected = compare.to_numpy(x)[as_numpy(index)]
    compare.equal(target.run(GET, x, index), expected, dtype=x.dtype)


@st.composite
def puts(draw, case):
    if case == "empty":
        x = draw(tensors(shape=ANY_SHAPE, layouts=WRITABLE))
        return x, (), draw(tensors(dtype=x.dtype, shape=tuple(x.shape)))
    x = draw(tensors(shape=shapes(min_rank=1, max_elements=24, min_side=1), layouts=WRITABLE))
    place = draw(st.integers(-x.shape[0], x.shape[0] - 1))
    return x, (index_tensor(np.array([place])),), draw(tensors(dtype=x.dtype, shape=()))


@law(
    "subscripts.index-put",
    docs="torch.Tensor.index_put_",
    over={"positions": "positions", "empty": "empty"},
)
@given(write=puts)
def test_index_put(target, case, write):
    """x.index_put_(indices, values) does what x[indices] = values does, without indices too."""
    x, index, value = write
    assigned, put = x.clone(), x.clone()
    target.run(SET, assigned, index, value)
    target.run("torch.Tensor.index_put_", put, index, value)
    compare.equal(put, compare.to_numpy(assigned), dtype=x.dtype, what="x")


@law("subscripts.iteration", docs="torch.Tensor", level="should")
@given(x=tensors(shape=RANK_1_OR_MORE, values="any"))
def test_iteration(target, x):
    """A tensor's len is its first side; iterating gives x[0], x[1] and so on, as views."""
    before = compare.to_numpy(x)
    compare.fact(target.run("torch.Tensor.__len__", x), x.shape[0], "len")
    rows = list(target.run("torch.Tensor.__iter__", x))
    compare.fact(len(rows), x.shape[0], "number of rows")
    for number, row in enumerate(rows):
        compare.equal(row, np.asarray(before[number]), dtype=x.dtype, what=f"row {number}")
        memory.check_shares(row, x, True, f"row {number}")


@law("subscripts.contains", docs="torch.Tensor", level="should")
@given(x=tensors(dtype="real", values="any"), number=st.integers(0, 8))
def test_contains(target, x, number):
    """``number in x`` says whether any element equals it."""
    expected = bool((compare.to_numpy(x) == number).any())
    compare.fact(target.run("torch.Tensor.__contains__", x, number), expected, f"{number} in x")
