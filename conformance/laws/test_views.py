"""Views: which operations share their input's memory, and where the elements of the result lie."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios import memory
from conformance.target import resolve
from strategies import dims, reshapes, shapes, tensors
from strategies.devices import lacks
from strategies.layouts import DENSE
from strategies.view_calls import ViewCall, strided_tensors, view_calls

VIEWS = "tensor_view.html"
FORMATS = "tensor_attributes.html#torch.memory_format"

GEOMETRIES = {
    "permute": "torch.Tensor.permute",
    "transpose": "torch.Tensor.transpose",
    "movedim": "torch.Tensor.movedim",
    "expand": "torch.Tensor.expand",
    "select": "torch.Tensor.select",
    "narrow": "torch.Tensor.narrow",
    "diagonal": "torch.Tensor.diagonal",
    "unfold": "torch.Tensor.unfold",
    "unsqueeze": "torch.Tensor.unsqueeze",
    "squeeze": "torch.Tensor.squeeze",
    "unflatten": "torch.Tensor.unflatten",
    "index": "torch.Tensor.__getitem__",
}
PIECES = {
    "split": "torch.Tensor.split",
    "chunk": "torch.Tensor.chunk",
    "tensor_split": "torch.Tensor.tensor_split",
    "unbind": "torch.Tensor.unbind",
}


def torch_constant(name):
    return getattr(torch, name)


def calls_of(case):
    return view_calls(case[0])


@st.composite
def reshape_calls(draw):
    tensor = draw(strided_tensors(repeats=True))
    return ViewCall(tensor, (draw(reshapes(tuple(tensor.shape))),))


@st.composite
def flatten_calls(draw):
    tensor = draw(strided_tensors(repeats=True))
    start, end = draw(dims(tensor.dim())), draw(dims(tensor.dim()))
    count = max(tensor.dim(), 1)
    return ViewCall(tensor, (start, end) if start % count <= end % count else (end, start))


def in_format(case):
    rank = {"contiguous_format": None, "channels_last": 4, "channels_last_3d": 5}[case]
    return formatted(rank)


WIDE = ((1, 1, 1, 1, 1), (2, 3, 1, 2, 2), (1, 2, 3, 2, 1), (2, 1, 2, 2, 3), (1, 3, 1, 1, 2))


@st.composite
def formatted(draw, rank):
    """Draw tensors of a rank, or of any, among them many that are packed in some order."""
    if rank is None:
        return draw(strided_tensors())
    shape = draw(st.sampled_from(WIDE) if rank == 5 else shapes(min_rank=4, min_side=1))
    order = draw(st.sampled_from(((0, *range(2, rank), 1), None)))
    if draw(st.booleans()):
        return draw(strided_tensors(shape=st.just(shape)))
    flat = draw(tensors(shape=shape, values="any", layouts=("contiguous",)))
    if lacks("strides"):
        return flat
    return flat.as_strided(shape, strides.packed(shape, order))


@law(
    "views.geometry",
    docs=VIEWS,
    over={kind: (kind, name) for kind, name in GEOMETRIES.items()},
)
@given(call=calls_of)
def test_geometry(target, case, call):
    """A view operation returns the elements of its base's own memory that its formula names.

    Shape, storage offset, and the stride of every side above 1, whatever the base's strides.
    """
    kind, operation = case
    tensor, arguments = call
    expected = strides.OPERATIONS[kind](memory.geometry_of(tensor), *arguments)
    memory.check_view(target.run(operation, tensor, *arguments), tensor, expected)


@law("views.pieces", docs=VIEWS, over={kind: (kind, name) for kind, name in PIECES.items()})
@given(call=calls_of)
def test_pieces(target, case, call):
    """split, chunk, tensor_split and unbind return views of one memory that cover the base."""
    kind, operation = case
    tensor, (dim, sections) = call
    expected = strides.pieces(memory.geometry_of(tensor), kind, dim, sections)
    cut = () if sections is None else (sections,)
    results = target.run(operation, tensor, *cut, dim)
    compare.fact(len(results), len(expected), "number of views")
    for number, (result, piece) in enumerate(zip(results, expected, strict=True)):
        memory.check_view(result, tensor, piece, f"view {number}")


@law("views.view", docs="torch.Tensor.view")
@given(call=reshape_calls())
def test_view(target, call):
    """view returns the shape without copying where strides allow it, and raises where they don't.

    They allow it where each new dimension is a subspace of an old one, or spans old ones with
    ``stride[i] = stride[i + 1] * size[i + 1]``; an empty tensor may have any shape.
    """
    tensor, (shape,) = call
    expected = strides.view(memory.geometry_of(tensor), shape)
    before = compare.to_numpy(tensor)
    if expected is None:
        whole = target.run("torch.Tensor.view", tensor, tensor.shape)
        compare.equal(whole, before, dtype=tensor.dtype, what="view of its own shape")
        with compare.raises(RuntimeError, "view size is not compatible"):
            target.run("torch.Tensor.view", tensor, shape)
        compare.unchanged(tensor, before)
    else:
        memory.check_view(target.run("torch.Tensor.view", tensor, shape), tensor, expected)


@law(
    "views.reshape",
    docs="torch.reshape",
    over={"function": "torch.reshape", "method": "torch.Tensor.reshape"},
)
@given(call=reshape_calls())
def test_reshape(target, case, call):
    """reshape returns a view where view would, and a copy otherwise, with the same values."""
    tensor, (shape,) = call
    check_reshaped(target.run(case, tensor, shape), tensor, shape)


def check_reshaped(result, tensor, shape):
    expected = strides.view(memory.geometry_of(tensor), shape)
    if expected is None:
        full = strides.completed(tuple(tensor.shape), shape)
        values = compare.to_numpy(tensor).reshape(full)
        compare.equal(result, values, dtype=tensor.dtype, what="copy")
        memory.check_shares(result, tensor, False, "copy")
    else:
        memory.check_view(result, tensor, expected)


@law("views.flatten", docs="torch.flatten")
@given(call=flatten_calls())
def test_flatten(target, call):
    """flatten returns its input, a view where it can be viewed in the new shape, or else a copy.

    The input itself where no dimensions are flattened; rank 0 becomes rank 1.
    """
    tensor, (start, end) = call
    shape = strides.flattened(tuple(tensor.shape), start, end)
    result = target.run("torch.flatten", tensor, start, end)
    check_reshaped(result, tensor, shape)
    if tensor.dim() and start % tensor.dim() == end % tensor.dim():
        same = resolve("torch.flatten")(tensor, start, end) is tensor
        compare.fact(same, True, "flatten of one dimension returns its input")


@law("views.ravel", docs="torch.ravel")
@given(tensor=strided_tensors(repeats=True))
def test_ravel(target, tensor):
    """ravel returns a contiguous flattened tensor, copied only where that is needed."""
    result = target.run("torch.ravel", tensor)
    contiguous = strides.is_contiguous(memory.geometry_of(tensor))
    memory.check_shares(result, tensor, contiguous, "result")
    compare.fact(strides.is_contiguous(memory.geometry_of(result)), True, "result is contiguous")
    flat = compare.to_numpy(tensor).reshape(-1)
    compare.equal(result, flat, dtype=tensor.dtype)


def strides_of_format(case):
    return () if case == "contiguous_format" else ("strides",)


FORMAT_NAMES = {name: name for name in ("contiguous_format", "channels_last", "channels_last_3d")}


@law(
    "views.is-contiguous",
    docs="torch.Tensor.is_contiguous",
    over=FORMAT_NAMES,
    needs=strides_of_format,
)
@given(tensor=in_format)
def test_is_contiguous(target, case, tensor):
    """is_contiguous tells whether elements lie in the order of the memory format without gaps.

    Strides of sides of 1 do not matter, and an empty tensor is contiguous.
    """
    expected = strides.is_contiguous(memory.geometry_of(tensor), case)
    answer = tensor.is_contiguous(memory_format=torch_constant(case))
    compare.fact(answer, expected, f"is_contiguous in {case}")
    if case == "contiguous_format":
        compare.fact(tensor.is_contiguous(), expected, "is_contiguous")


@law(
    "views.contiguous",
    docs="torch.Tensor.contiguous",
    over=FORMAT_NAMES,
    needs=strides_of_format,
)
@given(tensor=in_format)
def test_contiguous(target, case, tensor):
    """contiguous returns self if it is in the memory format already, and else a copy that is."""
    before = compare.to_numpy(tensor)
    result = resolve("torch.Tensor.contiguous")(tensor, memory_format=torch_constant(case))
    is_already = strides.is_contiguous(memory.geometry_of(tensor), case)
    compare.fact(result is tensor, is_already, "returns self")
    if not is_already:
        memory.check_shares(result, tensor, False, "copy")
    compare.fact(
        strides.is_contiguous(memory.geometry_of(result), case), True, f"result is in {case}"
    )
    compare.equal(result, before, dtype=tensor.dtype)


CLONED = {
    "contiguous_format": tensors(values="any"),
    "channels_last": tensors(values="any", shape=shapes(min_rank=4, max_rank=4)),
    "channels_last_3d": tensors(values="any", shape=st.sampled_from(WIDE)),
}


def any_layout(case):
    return CLONED[case]


@law("views.clone-format", docs="torch.clone", over=FORMAT_NAMES)
@given(tensor=any_layout)
def test_clone_format(target, case, tensor):
    """clone in a memory format has the tensor's values, in memory of its own that lies so.

    Whatever the tensor's strides, and whether a bit says to conjugate or to negate it.
    """
    before = compare.to_numpy(tensor)
    result = resolve("torch.clone")(tensor, memory_format=torch_constant(case))
    compare.equal(result, before, dtype=tensor.dtype)
    memory.check_shares(result, tensor, False, "clone")
    lies_so = strides.is_contiguous(memory.geometry_of(result), case)
    compare.fact(lies_so, True, f"result is in {case}")
    compare.unchanged(tensor, before, "what was cloned")


@law(
    "views.format-rank",
    docs=FORMATS,
    over={"channels_last": 4, "channels_last_3d": 5},
    needs=("strides",),
)
@given(tensor=strided_tensors(shape=shapes(max_rank=3)))
def test_format_rank(target, case, tensor):
    """channels_last is for rank 4 and channels_last_3d for rank 5; contiguous rejects others."""
    name = {4: "channels_last", 5: "channels_last_3d"}[case]
    missing = case - tensor.dim()
    whole = tensor.reshape((1,) * missing + tuple(tensor.shape))
    values = compare.to_numpy(whole)
    result = target.run("torch.Tensor.contiguous", whole, memory_format=torch_constant(name))
    compare.equal(result, values, dtype=tensor.dtype)
    compare.fact(tensor.is_contiguous(memory_format=torch_constant(name)), False, "is_contiguous")
    with compare.raises(RuntimeError, f"required rank {case} tensor to use {name} format"):
        target.run("torch.Tensor.contiguous", tensor, memory_format=torch_constant(name))


def copied_into(tensor):
    result = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    return resolve("torch.Tensor.copy_")(result, tensor)


def contiguous_copy(tensor):
    return resolve("torch.Tensor.contiguous")(tensor)


def contiguous_clone(tensor):
    return resolve("torch.clone")(tensor, memory_format=torch.contiguous_format)


def reshaped(tensor):
    return resolve("torch.Tensor.reshape")(tensor, -1).view(tensor.shape)


# Copies of transposed matrices go by blocks of 60 x 60 and more, with a rest at the ends.
BLOCKS = st.sampled_from((59, 60, 61, 64, 73, 121))
TRANSPOSED = {
    "copy_": copied_into,
    "contiguous": contiguous_copy,
    "clone": contiguous_clone,
    "reshape": reshaped,
}


@law("views.transposed-copy", docs="torch.Tensor.copy_", over=TRANSPOSED)
@given(
    sides=st.tuples(BLOCKS, BLOCKS),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)),
)
def test_transposed_copy(target, case, sides, dtype):
    """A copy of a transposed matrix of thousands of elements has each of them at its place."""
    rows, columns = sides
    numbers = np.arange(rows * columns).reshape(sides) % 251
    matrix = torch.from_numpy(numbers).to(target.device).to(dtype)
    expected = compare.to_numpy(matrix).T
    result = target.run(case, matrix.T)
    compare.equal(result, expected, dtype=dtype)
    compare.fact(strides.is_contiguous(memory.geometry_of(result)), True, "result is contiguous")
    memory.check_shares(result, matrix, False, "copy")


PRESERVING = {
    "clone": ("torch.clone", ()),
    "zeros_like": ("torch.zeros_like", ()),
    "empty_like": ("torch.empty_like", ()),
    "to-dtype": ("torch.Tensor.to", ("float64",)),
}


@law("views.preserve-format", docs=FORMATS, over=PRESERVING)
@given(tensor=tensors(dtype="real", shape=shapes(min_rank=2), values="any", layouts=DENSE))
def test_preserve_format(target, case, tensor):
    """clone, the like factories and conversions copy the strides of a dense tensor.

    Their default is torch.preserve_format: "if input tensor is allocated in dense non-overlapping
    memory then the output tensor strides will be copied from the input".
    """
    operation, names = case
    result = target.run(operation, tensor, *[torch_constant(name) for name in names])
    compare.fact(tuple(result.shape), tuple(tensor.shape), "shape")
    expected = strides.significant(memory.geometry_of(tensor))
    compare.fact(strides.significant(memory.geometry_of(result)), expected, "stride")
    memory.check_shares(result, tensor, result is tensor)


@law("views.preserve-format-else", docs=FORMATS)
@given(tensor=strided_tensors(repeats=True))
def test_preserve_format_else(target, tensor):
    """Where a tensor has gaps or overlaps, its clone has the strides of torch.contiguous_format.

    torch.preserve_format: "otherwise output strides will follow torch.contiguous_format".
    """
    before = compare.to_numpy(tensor)
    result = target.run("torch.clone", tensor)
    compare.equal(result, before, dtype=tensor.dtype)
    memory.check_shares(result, tensor, False)
    if not strides.is_dense(memory.geometry_of(tensor)):
        contiguous = strides.is_contiguous(memory.geometry_of(result))
        compare.fact(contiguous, True, "result is contiguous")


@law(
    "views.elementwise-strides",
    docs=FORMATS,
    level="should",
    over={"neg": "torch.neg", "abs": "torch.abs", "square": "torch.square"},
)
@given(tensor=tensors(dtype="floating", shape=shapes(min_rank=2), layouts=DENSE))
def test_elementwise_strides(target, case, tensor):
    """An elementwise operation gives the strides of a dense tensor to its result."""
    values = compare.to_numpy(tensor)
    result = target.run(case, tensor)
    expected = strides.significant(memory.geometry_of(tensor))
    compare.fact(strides.significant(memory.geometry_of(result)), expected, "stride")
    value = {"torch.neg": -values, "torch.abs": abs(values), "torch.square": values * values}[case]
    compare.equal(result, value, dtype=tensor.dtype)
