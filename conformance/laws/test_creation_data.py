"""Tensors out of Python numbers, NumPy arrays, buffers and other tensors."""

import warnings
from math import inf, nan, prod

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import conversion, creation
from conformance.target import resolve
from strategies import arrays, dtypes, shapes, tensors
from strategies.dtypes import FAMILIES
from strategies.values import raw_bytes

# Python numbers by kind, lowest first; every one of them is exact in float32.
NUMBERS = ((True, False), (0, 3, -1, 2**40), (1.5, -0.0, 0.125, inf, nan), (1 - 2j, 0j, 2.5j))
KINDS = (torch.bool, torch.int64, torch.float32, torch.complex64)
# "It currently accepts ndarray with dtypes of ..." (torch.from_numpy)
FROM_NUMPY = {
    str(dtype).removeprefix("torch."): dtype for dtype in FAMILIES["any"] if dtype != torch.bfloat16
}
RAGGED = {
    "longer": ([[1.0], [1.0]], [[1.0], [1.0, 2.0]]),
    "shorter": ([[1, 2], [3, 4]], [[1, 2], [3]]),
    "deeper": ([[[1]], [[2]]], [[[1]], [[2, 3]]]),
    "empty": ([[True], [False]], [[True], []]),
}
COPIERS = {
    "tensor": ("torch.tensor", {}),
    "asarray": ("torch.asarray", {"copy": True}),
    "new_tensor": ("torch.Tensor.new_tensor", {}),
}
SHARERS = {"from_numpy": "torch.from_numpy", "as_tensor": "torch.as_tensor"}
SHARERS["asarray"] = "torch.asarray"


@st.composite
def nested_numbers(draw):
    """Python numbers in nested lists of a common length at each depth, or one number alone."""
    shape = draw(shapes(max_rank=3, max_elements=12))
    kinds = NUMBERS[: draw(st.integers(1, len(NUMBERS)))]
    table = [number for kind in kinds for number in kind]
    picks = draw(raw_bytes(prod(shape)))
    flat = np.empty(len(picks), dtype=object)
    flat[:] = [table[pick % len(table)] for pick in picks]
    return flat.reshape(shape).tolist()


def numpy_layouts(array):
    """The same values in an array with a gap, with its dimensions reversed, and as they are."""
    gapped = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
    gapped[..., ::2] = array
    return gapped[..., ::2], np.asfortranarray(array), array


@law("creation.tensor-inferred", docs="torch.tensor")
@given(data=nested_numbers(), as_tuple=st.booleans())
def test_tensor_inferred(target, data, as_tuple):
    """tensor infers one dtype for all its data: that of the highest kind of number in it.

    bool, then int64, then the default dtype, then its complex counterpart; no data at all has
    the default dtype. The nesting gives the shape, of tuples as of lists.
    """
    numbers = np.array(data, dtype=np.complex128)
    dtype = KINDS[creation.kind_of_numbers(data)]
    expected = numbers if dtype.is_complex else numbers.real
    if as_tuple and isinstance(data, list):
        data = tuple(data)
    result = torch.tensor(data, device=target.device)
    compare.equal(result, expected, dtype=dtype)


@law("creation.tensor-asked-dtype", docs="torch.tensor")
@given(
    data=tensors(dtype="floating", shape=shapes(min_side=1, max_elements=12)),
    dtype=dtypes("any"),
)
def test_tensor_asked_dtype(target, data, dtype):
    """tensor converts numbers, in lists or alone, to the dtype asked for, as ``to`` converts.

    Fractions are cut off for integers; not zero is true for bool.
    """
    values = np.abs(compare.to_numpy(data)) if dtype == torch.uint8 else compare.to_numpy(data)
    expected = conversion.convert(values, str(dtype).removeprefix("torch."))
    result = torch.tensor(values.tolist(), dtype=dtype, device=target.device)
    compare.equal(result, expected, dtype=dtype)
    alone = torch.tensor(values.ravel()[-1].item(), dtype=dtype, device=target.device)
    compare.equal(alone, expected.ravel()[-1], dtype=dtype, what="a number alone")


@law("creation.tensor-nan-is-true", docs="torch.tensor", level="should")
def test_tensor_nan_is_true(target):
    """tensor makes nan and infinity true where the dtype asked for is bool."""
    result = torch.tensor([nan, 0.0, inf, -0.0], dtype=torch.bool, device=target.device)
    compare.equal(result, np.array([True, False, True, False]), dtype=torch.bool)


@law("creation.tensor-overflow", docs="torch.tensor", level="should")
@given(dtype=st.sampled_from((torch.int8, torch.uint8, torch.int16, torch.int32)))
def test_tensor_overflow(target, dtype):
    """tensor rejects a Python integer above the greatest of the dtype asked for."""
    greatest = torch.iinfo(dtype).max
    fits = torch.tensor([0, greatest], dtype=dtype, device=target.device)
    compare.equal(fits, np.array([0, greatest]), dtype=dtype)
    with compare.raises(RuntimeError, "without overflow"):
        torch.tensor([0, greatest + 1], dtype=dtype, device=target.device)


@law("creation.ragged", docs="torch.tensor", level="should", over=RAGGED)
def test_ragged(target, case):
    """tensor rejects nested lists that are not of one length at each depth."""
    legal, ragged = case
    compare.fact(torch.tensor(legal, device=target.device).tolist(), legal, "the legal form")
    with compare.raises(ValueError, "expected sequence of length"):
        torch.tensor(ragged, device=target.device)


@law("creation.tensor-of-array", docs="torch.tensor", over=FROM_NUMPY)
@given(data=lambda case: arrays(dtype=case, shape=(2, 3), kind="any"))
def test_tensor_of_array(target, case, data):
    """tensor keeps the dtype and values of an array, and of a NumPy number, whatever its layout."""
    for array in numpy_layouts(data):
        compare.equal(torch.tensor(array, device=target.device), data, dtype=case)
    scalar = data[0, 0]
    compare.equal(torch.tensor(scalar, device=target.device), np.asarray(scalar), dtype=case)


@law("creation.tensor-of-tensor", docs="torch.tensor", over=COPIERS)
@given(model=tensors(dtype="differentiable", values="any"))
def test_tensor_of_tensor(target, case, model):
    """A tensor made of a tensor is a copy of it: writing to the copy leaves the original alone.

    tensor and new_tensor give a leaf without history, as ``detach().clone()`` does.
    """
    name, keywords = case
    before = compare.to_numpy(model)
    source = model.requires_grad_().clone()
    plain = torch.zeros((), dtype=model.dtype, device=target.device)
    owner = (plain,) if name.endswith("new_tensor") else ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensor says that clone().detach() is clearer
        result = resolve(name)(*owner, source, **keywords)
    compare.equal(result, before, dtype=model.dtype)
    compare.fact(result.requires_grad, bool(keywords), "requires_grad")
    with torch.no_grad():
        result.zero_()
    compare.unchanged(source, before, "the original")


@law("creation.tensor-of-tensor-warns", docs="torch.tensor", level="should")
@given(model=tensors())
def test_tensor_of_tensor_warns(target, model):
    """tensor warns, given a tensor, that clone and detach are recommended instead."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.tensor(model)
    said = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    recommended = any("clone()" in text and "detach()" in text for text in said)
    compare.fact(recommended, True, "a warning recommends clone().detach()")


@law("creation.as-tensor-identity", docs="torch.as_tensor")
@given(model=tensors(dtype="floating"), dtype=dtypes("floating"))
def test_as_tensor_identity(target, model, dtype):
    """as_tensor returns a tensor that has the requested dtype and device itself, or else a copy.

    The copy keeps the autograd history.
    """
    for source in (model, model.detach().requires_grad_().clone()):
        compare.fact(torch.as_tensor(source) is source, True, "returns its argument")
        same = torch.as_tensor(source, dtype=model.dtype, device=target.device)
        compare.fact(same is source, True, "returns its argument, asked for what it has")
        other = torch.as_tensor(source, dtype=dtype)
        compare.fact(other is source, dtype == model.dtype, "returns its argument")
        compare.fact(other.dtype, dtype, "dtype")
        compare.fact(other.requires_grad, source.requires_grad, "requires_grad")


@law("creation.shares-array", docs="torch.as_tensor", over=SHARERS)
@given(data=arrays(dtype=torch.float32, shape=(2, 3), kind="any"))
def test_shares_array(target, case, data):
    """as_tensor, asarray and from_numpy share the memory of an array of any strides.

    A write to either is seen through the other.
    """
    for array in numpy_layouts(data.copy()):
        expected = data.copy()
        result = resolve(case)(array)
        compare.equal(result, expected, dtype=torch.float32)
        array[0, 1] = expected[0, 1] = 5.0
        result[1, 2] = expected[1, 2] = -7.0
        compare.equal(result, expected, dtype=torch.float32, what="tensor after writes to both")
        seen = torch.tensor(array.tolist(), dtype=torch.float32)
        compare.equal(seen, expected, dtype=torch.float32, what="array after writes to both")


@law("creation.as-tensor-copies", docs="torch.as_tensor", over={"as_tensor": 0, "asarray": 1})
@given(data=arrays(dtype=torch.float32, shape=(2, 3)))
def test_as_tensor_copies(target, case, data):
    """as_tensor and asarray copy an array whose dtype is not the one asked for."""
    before = data.copy()
    convert_array = resolve(("torch.as_tensor", "torch.asarray")[case])
    result = convert_array(data, dtype=torch.float64, device=target.device)
    data += 1.0
    compare.equal(result, before, dtype=torch.float64)


@law("creation.from-numpy-dtype", docs="torch.from_numpy", over=FROM_NUMPY)
@given(data=lambda case: arrays(dtype=case, shape=(3, 2), kind="any"))
def test_from_numpy_dtype(target, case, data):
    """from_numpy gives a tensor of the array's dtype, values and strides."""
    for array in numpy_layouts(data):
        result = torch.from_numpy(array)
        compare.equal(result, data, dtype=case)
        steps = tuple(step // array.itemsize for step in array.strides)
        compare.fact(result.stride(), steps, "stride")


@law("creation.from-numpy-resize", docs="torch.from_numpy")
@given(data=arrays(shape=(3,), kind="any"))
def test_from_numpy_resize(target, data):
    """A tensor from from_numpy is not resizable to more memory than the array has."""
    result = torch.from_numpy(data)
    compare.equal(result.resize_(1, 3), data.reshape(1, 3), dtype=torch.float64)
    with compare.raises(RuntimeError, "not resizable"):
        result.resize_(4)


def reversed_array(array):
    return array[::-1]


def swapped_bytes(array):
    return array.astype(array.dtype.newbyteorder())


def texts(array):
    return array.astype(str)


def objects(array):
    return array.astype(object)


def as_list(array):
    return array.tolist()


def first_number(array):
    return array[0]


UNFIT = {
    "reversed": (reversed_array, ValueError, "negative"),
    "byte-order": (swapped_bytes, ValueError, "byte order"),
    "text": (texts, TypeError, "can't convert np.ndarray of type"),
    "objects": (objects, TypeError, "can't convert np.ndarray of type"),
    "list": (as_list, TypeError, "expected np.ndarray"),
    "scalar": (first_number, TypeError, "expected np.ndarray"),
}


@law("creation.from-numpy-rejected", docs="torch.from_numpy", level="should", over=UNFIT)
@given(data=arrays(shape=(3,)))
def test_from_numpy_rejected(target, case, data):
    """from_numpy rejects what it cannot share: unsupported dtypes, byte orders, negative strides.

    And everything that is not an array.
    """
    spoil, error, message = case
    compare.equal(torch.from_numpy(data), data, dtype=torch.float64)
    with compare.raises(error, message):
        torch.from_numpy(spoil(data))


@law("creation.asarray", docs="torch.asarray")
@given(model=tensors(dtype="differentiable"), wish=st.sampled_from((None, True, False)))
def test_asarray(target, model, wish):
    """asarray shares a tensor's memory, history and requires_grad unless it is told otherwise.

    copy=True always copies, copy=False never; requires_grad=False gives a detached tensor.
    """
    source = model.detach().requires_grad_().clone()
    before = compare.to_numpy(source)
    result = torch.asarray(source, copy=wish)
    compare.equal(result, before, dtype=model.dtype)
    compare.fact(result.requires_grad, True, "requires_grad")
    shares = result.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    if source.numel():
        compare.fact(shares, not wish, "shares memory")
    plain = torch.asarray(source, requires_grad=False)
    compare.equal(plain, before, dtype=model.dtype, what="detached")
    compare.fact(plain.requires_grad, False, "requires_grad of the detached")


@law("creation.asarray-rejected", docs="torch.asarray")
@given(model=tensors(dtype=torch.float32))
def test_asarray_rejected(target, model):
    """asarray with copy=False raises an error where the memory cannot be shared."""
    compare.fact(torch.asarray(model, copy=False).dtype, torch.float32, "dtype")
    with compare.raises(ValueError, "can't alias"):
        torch.asarray(model, dtype=torch.float64, copy=False)
    with compare.raises(ValueError, "can't alias"):
        torch.asarray([1.0, 2.0], copy=False)


@law("creation.frombuffer", docs="torch.frombuffer")
@given(
    data=arrays(dtype=torch.uint8, shape=(24,), kind="bits"),
    offset=st.integers(0, 11),
    count=st.integers(1, 6),
    dtype=st.sampled_from((torch.int16, torch.uint8, torch.float16)),
)
def test_frombuffer(target, data, offset, count, dtype):
    """frombuffer reads count elements after offset bytes of a buffer, whose memory it shares.

    A count of -1 stands for all that there are.
    """
    buffer = bytearray(data.tobytes())
    kind = np.dtype(str(dtype).removeprefix("torch."))
    result = torch.frombuffer(buffer, dtype=dtype, count=count, offset=offset)
    expected = np.frombuffer(bytes(buffer), kind, count, offset)
    compare.equal(result, expected, dtype=dtype)
    even = offset // 2 * 2
    rest = torch.frombuffer(buffer, dtype=dtype, offset=even)
    compare.equal(rest, np.frombuffer(bytes(buffer), kind, -1, even), dtype=dtype)
    result.zero_()
    end = offset + count * kind.itemsize
    written = bytes(data[:offset].tobytes() + bytes(end - offset) + data[end:].tobytes())
    compare.fact(bytes(buffer), written, "buffer after a write to the tensor")


@law("creation.legacy-size", docs="tensors.html#torch.Tensor", level="should")
@given(shape=shapes(min_rank=1), default=dtypes("floating"))
def test_legacy_size(target, shape, default):
    """torch.Tensor of integers is an uninitialised tensor of that size and of the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        result = torch.Tensor(*shape)
    finally:
        torch.set_default_dtype(before)
    compare.fact((tuple(result.shape), result.dtype), (shape, default), "shape and dtype")


@law("creation.legacy-data", docs="tensors.html#torch.Tensor", level="should")
@given(data=tensors(dtype="real", shape=shapes(min_rank=1, min_side=1)))
def test_legacy_data(target, data):
    """torch.Tensor of a list holds its numbers in the default dtype, integers and bools too."""
    result = torch.Tensor(data.tolist())
    compare.equal(result, compare.to_numpy(data), dtype=torch.get_default_dtype())
    flags = torch.Tensor([True, False])
    compare.equal(flags, np.array([1.0, 0.0]), dtype=torch.get_default_dtype())
