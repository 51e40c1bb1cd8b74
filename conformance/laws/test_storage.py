"""Storage: where elements lie in memory, and what reinterprets, replaces or resizes that memory."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios import memory
from conformance.target import resolve
from strategies import shapes, tensors
from strategies.layouts import WRITABLE
from strategies.storages import whole_storage
from strategies.view_calls import legal_geometries, row_tensors, strided_tensors, view_calls


@law("views.addresses", docs="torch.Tensor.stride", needs=("strides", "data_ptr"))
@given(tensor=strided_tensors(shape=shapes(min_side=1), repeats=True))
def test_addresses(target, tensor):
    """Element (i, j) lies at data_ptr + element_size * (i * stride(0) + j * stride(1)).

    data_ptr itself is storage_offset elements into the storage.
    """
    start = tensor.untyped_storage().data_ptr() + tensor.element_size() * tensor.storage_offset()
    compare.fact(tensor.data_ptr(), start, "data_ptr of the tensor")
    places = strides.addresses(memory.geometry_of(tensor)) - tensor.storage_offset()
    for index in ((0,) * tensor.dim(), tuple(side - 1 for side in tensor.shape)):
        element = target.run("torch.Tensor.__getitem__", tensor, index)
        place = start + tensor.element_size() * int(places[index])
        compare.fact(element.data_ptr(), place, f"data_ptr of element {index}")


@law("views.as-strided", docs="torch.as_strided")
@given(geometry=legal_geometries(), of_view=st.booleans())
def test_as_strided(target, geometry, of_view):
    """as_strided reads the storage at the given size, strides and offset, whatever the input's.

    Without an offset it takes the input's. The strides are as given, those of sides of 1 too.
    """
    tensor, shape, stride, offset = geometry
    expected = strides.Strided(shape, stride, offset)
    if of_view:
        tensor = tensor.as_strided((), (), offset)
        result = target.run("torch.as_strided", tensor, shape, stride)
    else:
        result = target.run("torch.as_strided", tensor, shape, stride, offset)
    memory.check_geometry(result, expected, exact=True)
    memory.check_view(result, tensor, expected)


REJECTED_STRIDES = {
    "negative-stride": "Negative strides are not supported",
    "beyond-storage": "out of bounds for storage",
    "offset-beyond-storage": "out of bounds for storage",
    "lengths": "mismatch in length of strides and shape",
}


@law(
    "views.as-strided-rejected",
    docs="torch.as_strided",
    over={k: k for k in REJECTED_STRIDES},
    needs=("storage",),
)
@given(geometry=legal_geometries())
def test_as_strided_rejected(target, case, geometry):
    """as_strided rejects negative strides and elements outside the storage.

    "The constructed view must only refer to elements within the Tensor's storage or a runtime
    error will be thrown."
    """
    tensor, shape, stride, offset = geometry
    before = compare.to_numpy(tensor)
    length = tensor.untyped_storage().nbytes() // tensor.element_size()
    legal = target.run("torch.as_strided", tensor, (*shape, 1), (*stride, 1), offset)
    values = memory.contents_of(tensor)[strides.addresses(strides.Strided(shape, stride, offset))]
    compare.equal(legal, values.reshape((*shape, 1)), dtype=tensor.dtype)
    illegal = {
        "negative-stride": ((2,), (-1,), length - 1),
        "beyond-storage": ((2,), (length - offset,), offset),
        "offset-beyond-storage": ((1,), (1,), length),
        "lengths": ((*shape, 1), stride, offset),
    }[case]
    with compare.raises(RuntimeError, REJECTED_STRIDES[case]):
        target.run("torch.as_strided", tensor, *illegal)
    compare.unchanged(tensor, before)


@law("views.expand-memory", docs="torch.Tensor.expand", needs=("strides",))
@given(call=view_calls("expand"))
def test_expand_memory(target, call):
    """expand allocates no memory: dimensions that it makes or grows have stride 0.

    "-1 means not changing the size of that dimension".
    """
    tensor, (sizes,) = call
    result = target.run("torch.Tensor.expand", tensor, sizes)
    added = len(sizes) - tensor.dim()
    for dim, side in enumerate(result.shape):
        grown = dim < added or tensor.shape[dim - added] != side
        if grown and side > 1:
            compare.fact(result.stride(dim), 0, f"stride of dimension {dim}")
    bytes_held = result.untyped_storage().nbytes()
    compare.fact(bytes_held, tensor.untyped_storage().nbytes(), "bytes of the storage")


SAME_WIDTH = {
    "float32-int32": ("float32", "int32"),
    "int64-float64": ("int64", "float64"),
    "float16-int16": ("float16", "int16"),
    "complex64-int64": ("complex64", "int64"),
    "int8-uint8": ("int8", "uint8"),
    "bool-uint8": ("bool", "uint8"),
}
NARROWER = {
    "float64-int32": ("float64", "int32"),
    "float32-uint8": ("float32", "uint8"),
    "complex64-float32": ("complex64", "float32"),
    "int16-int8": ("int16", "int8"),
}
WIDER = {
    "int32-float64": ("int32", "float64"),
    "uint8-float32": ("uint8", "float32"),
    "float32-complex64": ("float32", "complex64"),
    "int8-int16": ("int8", "int16"),
}


def dtype_named(name):
    return getattr(torch, name)


def strided_of(case):
    return strided_tensors(dtype=dtype_named(case[0]), values="bits")


def rows_of(case):
    held, seen = dtype_named(case[0]), dtype_named(case[1])
    return row_tensors(dtype=held, unit=max(seen.itemsize // held.itemsize, 1))


def check_reinterpreted(result, tensor, geometry, values, dtype):
    """Check a tensor that sees the memory of another one, from the same byte on, differently."""
    memory.check_geometry(result, geometry)
    memory.check_shares(result, tensor, True)
    compare.equal(result, values, dtype=dtype)


@law("views.dtype", docs="torch.Tensor.view", over=SAME_WIDTH)
@given(tensor=strided_of)
def test_dtype(target, case, tensor):
    """view(dtype) of a dtype of the same size sees the same bits, whatever the strides."""
    seen = dtype_named(case[1])
    values = compare.to_numpy(tensor)
    result = target.run("torch.Tensor.view", tensor, seen)
    expected = strides.reinterpreted(values, case[1])
    check_reinterpreted(result, tensor, memory.geometry_of(tensor), expected, seen)


def rescaled(geometry, numerator, denominator):
    """A geometry in units of another size: all but the last stride, which is 1, are rescaled."""
    shape = (*geometry.shape[:-1], geometry.shape[-1] * numerator // denominator)
    outer = tuple(step * numerator // denominator for step in geometry.stride[:-1])
    return strides.Strided(shape, (*outer, 1), geometry.offset * numerator // denominator)


@law("views.dtype-resized", docs="torch.Tensor.view", over={**NARROWER, **WIDER})
@given(tensor=rows_of)
def test_dtype_resized(target, case, tensor):
    """view(dtype) of a dtype of another size scales the last dimension in proportion."""
    seen = dtype_named(case[1])
    values = compare.to_numpy(tensor)
    geometry = rescaled(memory.geometry_of(tensor), tensor.dtype.itemsize, seen.itemsize)
    result = target.run("torch.Tensor.view", tensor, seen)
    expected = strides.reinterpreted(values, case[1])
    check_reinterpreted(result, tensor, geometry, expected, seen)


UNFIT = {
    "size": ((3,), (1,), 0, r"self.size\(-1\) must be divisible by 2"),
    "last-stride": ((2,), (0,), 0, r"self.stride\(-1\) must be 1"),
    "offset": ((2,), (1,), 1, r"self.storage_offset\(\) must be divisible by 2"),
    "other-stride": ((2, 2), (1, 1), 0, r"self.stride\(0\) must be divisible by 2"),
    "rank-0": ((), (), 0, r"self.dim\(\) cannot be 0"),
}


def strides_of_unfit(case):
    return () if case in (UNFIT["size"], UNFIT["rank-0"]) else ("strides",)


@law("views.dtype-rejected", docs="torch.Tensor.view", over=UNFIT, needs=strides_of_unfit)
@given(tensor=row_tensors(dtype=torch.float32, unit=4, min_side=1))
def test_dtype_rejected(target, case, tensor):
    """view(dtype) of a wider dtype rejects a tensor whose memory does not divide into it.

    The last dimension must have a size that divides and stride 1; the offset and all other
    strides must divide; a tensor of rank 0 is rejected.
    """
    shape, stride, offset, message = case
    before = compare.to_numpy(tensor)
    result = target.run("torch.Tensor.view", tensor, torch.float64)
    expected = strides.reinterpreted(before, np.float64)
    compare.equal(result, expected, dtype=torch.float64)
    unfit = tensor.as_strided(shape, stride, tensor.storage_offset() + offset)
    with compare.raises(RuntimeError, message):
        target.run("torch.Tensor.view", unfit, torch.float64)
    compare.unchanged(tensor, before)


PARTS = {"real": "torch.real", "imag": "torch.imag"}
COMPLEX = strided_tensors(dtype="complex", values="any")


@law("views.complex-parts", docs="torch.real", over=PARTS)
@given(tensor=COMPLEX)
def test_complex_parts(target, case, tensor):
    """real and imag are views of the complex tensor's memory: every second number of it."""
    shape, stride, offset = memory.geometry_of(tensor)
    second = case == "torch.imag"
    expected = strides.Strided(shape, tuple(2 * step for step in stride), 2 * offset + second)
    values = compare.to_numpy(tensor)
    result = target.run(case, tensor)
    part = values.imag if second else values.real
    check_reinterpreted(result, tensor, expected, part, tensor.dtype.to_real())


@law("views.as-real", docs="torch.view_as_real")
@given(tensor=COMPLEX)
def test_as_real(target, tensor):
    """view_as_real views a complex tensor as real with a last dimension of real and imaginary."""
    shape, stride, offset = memory.geometry_of(tensor)
    doubled = (*(2 * step for step in stride), 1)
    expected = strides.Strided((*shape, 2), doubled, 2 * offset)
    values = compare.to_numpy(tensor)
    result = target.run("torch.view_as_real", tensor)
    both = np.stack((values.real, values.imag), axis=-1)
    check_reinterpreted(result, tensor, expected, both, tensor.dtype.to_real())


def joined(pairs):
    """Complex numbers from pairs of real and imaginary parts, bit for bit."""
    result = np.empty(pairs.shape[:-1], dtype=np.result_type(pairs, np.complex64))
    result.real, result.imag = pairs[..., 0], pairs[..., 1]
    return result


@law("views.as-complex", docs="torch.view_as_complex")
@given(tensor=row_tensors(dtype="split", unit=2, most=1))
def test_as_complex(target, tensor):
    """view_as_complex views pairs of real numbers in the last dimension as complex numbers."""
    values = compare.to_numpy(tensor)
    rows = rescaled(memory.geometry_of(tensor), 1, 2)
    geometry = strides.Strided(rows.shape[:-1], rows.stride[:-1], rows.offset)
    result = target.run("torch.view_as_complex", tensor)
    check_reinterpreted(result, tensor, geometry, joined(values), tensor.dtype.to_complex())


NO_PAIRS = {
    "size": ((3,), (1,), "last dimension of size 2"),
    "last-stride": ((2, 2), (4, 2), "last dimension with stride 1"),
    "other-stride": ((2, 2), (1, 1), "divisible by 2 for all but last dimension"),
    "rank-0": ((), (), "one or more dimensions"),
}


def strides_of_pairs(case):
    return () if case in (NO_PAIRS["size"], NO_PAIRS["rank-0"]) else ("strides",)


@law(
    "views.as-complex-rejected",
    docs="torch.view_as_complex",
    over=NO_PAIRS,
    needs=strides_of_pairs,
)
@given(tensor=row_tensors(dtype="split", unit=8, min_side=1))
def test_as_complex_rejected(target, case, tensor):
    """view_as_complex rejects a last dimension not of size 2 and stride 1, and odd strides."""
    shape, stride, message = case
    start = tensor.storage_offset()
    legal = tensor.as_strided((2, 2), (4, 1), start)
    values = compare.to_numpy(legal)
    result = target.run("torch.view_as_complex", legal)
    compare.equal(result, joined(values), dtype=tensor.dtype.to_complex())
    with compare.raises(RuntimeError, message):
        target.run("torch.view_as_complex", tensor.as_strided(shape, stride, start))
    compare.unchanged(legal, values)


def with_own_storage(tensor):
    """The same geometry and memory contents in a storage that torch allocated itself."""
    flat = whole_storage(tensor).clone()
    return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).detach()


@law("views.resize", docs="torch.Tensor.resize_", needs=("storage",))
@given(tensor=strided_tensors(values="any"), shape=shapes(), same=st.booleans())
def test_resize(target, tensor, shape, same):
    """resize_ reads the storage row-major from the offset on; it grows where that needs more.

    Existing elements are preserved, a storage never shrinks, and the tensor's own size is left
    as it is, strides included.
    """
    own = with_own_storage(tensor)
    held, contents = memory.geometry_of(own), memory.contents_of(tensor)
    expected = strides.Strided(shape, strides.packed(shape), held.offset)
    if same or shape == held.shape:
        shape, expected = held.shape, held
    result = resolve("torch.Tensor.resize_")(own, shape)
    compare.fact(result is own, True, "returns self")
    compare.fact(memory.geometry_of(own), expected, "geometry")
    after = memory.contents_of(own)
    needed = max(strides.storage_needed(expected), contents.size)
    compare.fact(after.size >= needed, True, f"storage holds {needed} elements")
    if needed == contents.size:
        compare.fact(after.size, needed, "elements of the storage")
    known = torch.from_numpy(after[: contents.size].copy())
    compare.equal(known, contents, dtype=known.dtype, what="existing elements")


@law("views.resize-rejected", docs="torch.Tensor.resize_", over={"leaf": 1, "result": 2})
@given(tensor=tensors(dtype="floating", layouts=WRITABLE), shape=shapes())
def test_resize_rejected(target, case, tensor, shape):
    """resize_ rejects a tensor that requires grad, and leaves it as it was."""
    leaf = with_own_storage(tensor.contiguous()).requires_grad_()
    before = compare.to_numpy(leaf)
    recorded = leaf if case == 1 else leaf * 1
    larger = (*shape, 3)
    resized = resolve("torch.Tensor.resize_")(leaf.detach().clone(), larger)
    compare.fact(tuple(resized.shape), larger, "shape without grad")
    with compare.raises(RuntimeError, "cannot resize variables that require grad"):
        resolve("torch.Tensor.resize_")(recorded, larger)
    compare.unchanged(recorded, before)


@law("views.set", docs="torch.Tensor.set_", needs=("storage",))
@given(tensor=strided_tensors(), other=shapes())
def test_set(target, tensor, other):
    """set_ gives a tensor the storage, size and strides of another, from then on shared."""
    replaced = torch.empty(other, dtype=tensor.dtype, device=tensor.device)
    result = resolve("torch.Tensor.set_")(replaced, tensor)
    compare.fact(result is replaced, True, "returns self")
    compare.fact(memory.geometry_of(replaced), memory.geometry_of(tensor), "geometry")
    memory.check_shares(replaced, tensor, True)
    replaced.fill_(1)
    ones = np.ones(tuple(tensor.shape))
    compare.equal(tensor, ones, dtype=tensor.dtype, what="source after a write")


@law("views.set-storage", docs="torch.Tensor.set_", needs=("storage",))
@given(geometry=legal_geometries(), packed=st.booleans())
def test_set_storage(target, geometry, packed):
    """set_ with a storage takes offset, size and stride; strides default to C-contiguous."""
    tensor, shape, stride, offset = geometry
    storage = tensor.untyped_storage()
    replaced = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    if packed:
        count = storage.nbytes() // tensor.element_size() - offset
        shape, stride = (1, count), (count, 1)
        resolve("torch.Tensor.set_")(replaced, storage, offset, shape)
    else:
        resolve("torch.Tensor.set_")(replaced, storage, offset, shape, stride)
    memory.check_view(replaced, tensor, strides.Strided(shape, stride, offset), "tensor")
