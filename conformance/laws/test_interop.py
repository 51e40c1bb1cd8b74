"""Interoperation: tensors as NumPy arrays, as DLPack capsules, and as Python numbers and lists."""

import operator

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios.memory import check_shares, geometry_of
from conformance.target import resolve
from strategies import shapes, tensors
from strategies.dtypes import FAMILIES
from strategies.layouts import LAYOUTS, LAZY, WRITABLE

PLAIN = tuple(name for name in LAYOUTS if name not in LAZY)
WRITTEN = tuple(name for name in WRITABLE if name not in LAZY)
IN_NUMPY = tuple(dtype for dtype in FAMILIES["any"] if dtype != torch.bfloat16)
IN_BOTH = tuple(dtype for dtype in IN_NUMPY if dtype != torch.bool)


def require_gradient(tensor):
    return tensor.requires_grad_()


def conjugate(tensor):
    return tensor.conj()


def negate(tensor):
    return tensor.conj().imag


def sparse(tensor):
    return tensor.to_sparse()


def to_meta(tensor):
    return tensor.to("meta")


def to_bfloat16(tensor):
    return tensor.real.to(torch.bfloat16)


# What of a complex tensor NumPy cannot have, the error, and the cure that torch's message names.
UNFIT = {
    "requires-grad": (require_gradient, RuntimeError, "requires grad.*detach", "detach"),
    "conjugated": (conjugate, RuntimeError, "conjugate bit.*resolve_conj", "resolve_conj"),
    "negated": (negate, RuntimeError, "negative bit.*resolve_neg", "resolve_neg"),
    "sparse": (sparse, TypeError, "Sparse.*to_dense", "to_dense"),
    "bfloat16": (to_bfloat16, TypeError, "unsupported ScalarType BFloat16", "float"),
}
NO_CAPSULE = {
    "requires-grad": (require_gradient, "require gradient"),
    "conjugated": (conjugate, "conjugate bit"),
    "sparse": (sparse, "layout other than torch.strided"),
}


def from_tensor(tensor):
    return resolve("torch.from_dlpack")(tensor)


def from_capsule(tensor):
    return resolve("torch.from_dlpack")(resolve("torch.utils.dlpack.to_dlpack")(tensor))


def from_protocol(tensor):
    return resolve("torch.utils.dlpack.from_dlpack")(resolve("torch.Tensor.__dlpack__")(tensor))


CAPSULES = {"tensor": from_tensor, "to_dlpack": from_capsule, "protocol": from_protocol}
NUMBERS = {"int": int, "float": float, "complex": complex}


def steps_of(array):
    """The strides of an array in elements, None for sides of 1."""
    steps = tuple(step // array.itemsize for step in array.strides)
    return strides.significant(strides.Strided(array.shape, steps, 0))


def check_both_ways(tensor, read, write, what):
    """Check that a tensor and what else reads and writes its memory see each other's writes."""
    write(1)
    expected = np.ones(tuple(tensor.shape))
    compare.equal(tensor, expected, dtype=tensor.dtype, what=f"tensor after a write to the {what}")
    tensor.fill_(0)
    seen = np.asarray(read())
    compare.fact(bool((seen == 0).all()), True, f"the {what} sees a write to the tensor")


@law("interop.numpy", docs="torch.Tensor.numpy")
@given(tensor=tensors(dtype=st.sampled_from(IN_NUMPY), values="any", layouts=PLAIN))
def test_numpy(target, tensor):
    """numpy gives an array of the same values, dtype, shape and strides."""
    host = tensor.cpu()
    expected = compare.to_numpy(tensor)
    array = torch.Tensor.numpy(host)
    compare.fact(array.dtype.name, str(tensor.dtype).removeprefix("torch."), "dtype")
    compare.fact(steps_of(array), strides.significant(geometry_of(host)), "stride")
    compare.equal(torch.tensor(array.copy()), expected, dtype=tensor.dtype)


@law("interop.numpy-shares", docs="torch.Tensor.numpy", over={"numpy": 0, "asarray": 1, "force": 2})
@given(tensor=tensors(dtype=st.sampled_from(IN_NUMPY), layouts=WRITTEN))
def test_numpy_shares(target, case, tensor):
    """The array that numpy gives shares the tensor's memory: writes to either are seen in both.

    So does the one that numpy.asarray makes, and with force=True one that needs no copy.
    """
    host = tensor.cpu()
    array = np.asarray(host) if case == 1 else torch.Tensor.numpy(host, force=case == 2)
    check_both_ways(host, array.copy, array.fill, "array")


@law("interop.detached-array", docs="torch.Tensor.numpy")
@given(leaf=tensors(dtype="floating", values="any", layouts=PLAIN, requires_grad=True))
def test_detached_array(target, leaf):
    """cpu and detach lead to numpy in either order, to the same array; on the CPU without a copy.

    Neither changes the tensor's own flags.
    """
    leaf = leaf.detach().float().requires_grad_()
    first, last = leaf.cpu().detach().numpy(), leaf.detach().cpu().numpy()
    for name, array in (("cpu().detach()", first), ("detach().cpu()", last)):
        compare.equal(torch.from_numpy(array.copy()), compare.to_numpy(leaf), dtype=torch.float32)
        compare.fact(array.dtype.name, "float32", f"dtype by {name}")
        if leaf.device.type == "cpu" and leaf.numel():
            place = array.__array_interface__["data"][0]
            compare.fact(place, leaf.data_ptr(), f"memory by {name}")
    compare.fact((leaf.requires_grad, leaf.is_leaf), (True, True), "requires_grad, is_leaf")


@law("interop.numpy-rejected", docs="torch.Tensor.numpy", over=UNFIT)
@given(tensor=tensors(dtype="complex", shape=shapes(min_rank=1), layouts=("contiguous",)))
def test_numpy_rejected(target, case, tensor):
    """numpy rejects what an array cannot share, and says what to do: with that it works.

    A gradient, a conjugate or negative bit, a sparse layout, bfloat16.
    """
    spoil, error, message, cure = case
    host = tensor.cpu()
    unfit = spoil(host.clone())
    before = compare.to_numpy(unfit.detach().to_dense())
    with compare.raises(error, message):
        torch.Tensor.numpy(unfit)
    cured = resolve(f"torch.Tensor.{cure}")(unfit)
    array = torch.Tensor.numpy(cured)
    compare.equal(torch.tensor(array.copy()), before, dtype=cured.dtype)


@law("interop.numpy-of-meta", docs="torch.Tensor.numpy")
@given(tensor=tensors(dtype=torch.float32, layouts=PLAIN))
def test_numpy_of_meta(target, tensor):
    """numpy rejects a tensor that is not on the CPU, as one on meta is not."""
    expected = compare.to_numpy(tensor)
    compare.equal(torch.tensor(tensor.cpu().numpy()), expected, dtype=torch.float32)
    with compare.raises(TypeError, "meta device type tensor to numpy"):
        torch.Tensor.numpy(to_meta(tensor))


@law("interop.numpy-force", docs="torch.Tensor.numpy")
@given(tensor=tensors(dtype="complex", values="any"), part=st.booleans(), grad=st.booleans())
def test_numpy_force(target, tensor, part, grad):
    """numpy with force=True gives the values of a tensor that requires grad or has lazy bits.

    As ``detach().cpu().resolve_conj().resolve_neg().numpy()`` does; the tensor stays as it was.
    """
    source = tensor.requires_grad_(grad)
    view = source.conj().imag if part else source.conj()
    before = compare.to_numpy(source)
    expected = -before.imag if part else before.conj()
    array = torch.Tensor.numpy(view, force=True)
    compare.equal(torch.tensor(array.copy()), expected, dtype=view.dtype)
    compare.unchanged(source, before)


@law("interop.array-dtype", docs="torch.Tensor.numpy", level="should")
@given(tensor=tensors(dtype="integral", layouts=PLAIN))
def test_array_dtype(target, tensor):
    """numpy.asarray converts a tensor to the dtype asked for."""
    host = tensor.cpu()
    for dtype in (torch.float64, torch.int16, torch.complex64):
        name = str(dtype).removeprefix("torch.")
        array = np.asarray(host, dtype=name)
        compare.fact(array.dtype.name, name, "dtype")
        compare.equal(torch.tensor(array.copy()), compare.to_numpy(tensor), dtype=dtype)


@law("interop.dlpack", docs="torch.from_dlpack", over=CAPSULES)
@given(tensor=tensors(dtype="any", values="any", layouts=PLAIN))
def test_dlpack(target, case, tensor):
    """from_dlpack gives a tensor of the same values, dtype, device and strides."""
    before = compare.to_numpy(tensor)
    result = case(tensor)
    compare.equal(result, before, dtype=tensor.dtype)
    compare.fact(result.device, tensor.device, "device")
    significant = strides.significant(geometry_of(tensor))
    compare.fact(strides.significant(geometry_of(result)), significant, "stride")


@law("interop.dlpack-shares", docs="torch.from_dlpack", over=CAPSULES, needs=("dlpack",))
@given(tensor=tensors(dtype="any", layouts=WRITTEN))
def test_dlpack_shares(target, case, tensor):
    """from_dlpack shares the tensor's memory: writes to either are seen in both."""
    result = case(tensor)
    check_both_ways(tensor, result.tolist, result.fill_, "result")


@law("interop.dlpack-numpy", docs="torch.from_dlpack")
@given(tensor=tensors(dtype=st.sampled_from(IN_BOTH), layouts=WRITTEN))
def test_dlpack_numpy(target, tensor):
    """Arrays and tensors exchange memory by DLPack: dtype, values and strides are kept."""
    host = tensor.cpu()
    expected = compare.to_numpy(tensor)
    array = np.from_dlpack(host)
    compare.fact(array.dtype.name, str(tensor.dtype).removeprefix("torch."), "dtype")
    compare.equal(torch.tensor(array.copy()), expected, dtype=tensor.dtype, what="array")
    owner = host.numpy()
    back = from_tensor(owner)
    compare.equal(back, expected, dtype=tensor.dtype)
    check_both_ways(back, owner.copy, owner.fill, "array")


@law("interop.dlpack-device", docs="torch.from_dlpack", level="should")
@given(tensor=tensors())
def test_dlpack_device(target, tensor):
    """``__dlpack_device__`` of a tensor on the CPU is DLPack's device type 1, number 0."""
    kind, number = torch.Tensor.__dlpack_device__(tensor.cpu())
    compare.fact((int(kind), number), (1, 0), "device")


@law(
    "interop.dlpack-rejected",
    docs="torch.from_dlpack",
    level="should",
    over=NO_CAPSULE,
    needs=("dlpack",),
)
@given(tensor=tensors(dtype="complex", shape=shapes(min_rank=1), layouts=("contiguous",)))
def test_dlpack_rejected(target, case, tensor):
    """``__dlpack__`` rejects what a capsule cannot say: a gradient, a conjugate bit, sparsity."""
    spoil, message = case
    compare.equal(from_protocol(tensor), compare.to_numpy(tensor), dtype=tensor.dtype)
    with compare.raises(Exception, message):  # BufferError, RuntimeError before torch 2.9
        torch.Tensor.__dlpack__(spoil(tensor.clone()))


@law("interop.dlpack-negated", docs="torch.from_dlpack")
@given(tensor=tensors(dtype="complex"))
def test_dlpack_negated(target, tensor):
    """from_dlpack gives the values of a tensor with a negative bit, as of any other."""
    imaginary = tensor.conj().resolve_conj().conj().imag
    expected = compare.to_numpy(imaginary)
    compare.equal(from_tensor(imaginary), expected, dtype=imaginary.dtype)


@law("interop.tolist", docs="torch.Tensor.tolist")
@given(tensor=tensors(dtype="any", values="any"))
def test_tolist(target, tensor):
    """tolist gives nested lists of Python numbers, and a number alone for a tensor of rank 0.

    bool, int, float or complex as the dtype is; nan and -0.0 are kept.
    """
    expected = compare.to_numpy(tensor).tolist()
    compare.fact(repr(torch.Tensor.tolist(tensor)), repr(expected), "list")


@law("interop.item", docs="torch.Tensor.item")
@given(tensor=tensors(dtype="any", values="any", shape=(12,)), rank=st.integers(0, 3))
def test_item(target, tensor, rank):
    """item gives the one element of a tensor of any rank as a Python number of its kind."""
    expected = compare.to_numpy(tensor).tolist()
    for element, number in zip(tensor.unbind(), expected, strict=True):
        alone = element.reshape((1,) * rank)
        compare.fact(repr(torch.Tensor.item(alone)), repr(number), "number")


@law("interop.item-rejected", docs="torch.Tensor.item")
@given(tensor=tensors(shape=st.sampled_from(((0,), (2,), (1, 0), (1, 2), (3, 3)))))
def test_item_rejected(target, tensor):
    """item rejects a tensor that has not exactly one element."""
    one = tensor.sum()
    compare.fact(repr(one.item()), repr(one.tolist()), "item of one element")
    with compare.raises(RuntimeError, "cannot be converted to Scalar"):
        torch.Tensor.item(tensor)


@law("interop.number", docs="torch.Tensor.item", level="should", over=NUMBERS)
@given(tensor=tensors(dtype="real", shape=(7,)), rank=st.integers(0, 2))
def test_number(target, case, tensor, rank):
    """int, float and complex of a tensor of one element are those of its number; int truncates.

    A tensor of several elements is rejected.
    """
    for element, number in zip(tensor.unbind(), compare.to_numpy(tensor).tolist(), strict=True):
        compare.fact(repr(case(element.reshape((1,) * rank))), repr(case(number)), "number")
    with compare.raises(Exception, "converted to (Python scalars|Scalar)"):
        case(tensor)


@law("interop.index", docs="torch.Tensor.item", level="should")
@given(
    tensor=tensors(dtype="integral", shape=st.sampled_from(((), (1,), (1, 1)))),
    other=tensors(dtype="floating", shape=()),
)
def test_index(target, tensor, other):
    """A tensor of one integer serves as an index of a list; others are rejected."""
    compare.fact(operator.index(tensor), compare.to_numpy(tensor).reshape(()).item(), "index")
    for unfit in (other, torch.stack([tensor, tensor])):
        with compare.raises(TypeError, "only integer tensors of a single element"):
            operator.index(unfit)


@law("interop.truth", docs="torch.Tensor.item", level="should")
@given(
    tensor=tensors(dtype="any", values="any", shape=(12,)),
    rank=st.integers(0, 2),
    count=st.sampled_from((0, 2, 12)),
)
def test_truth(target, tensor, rank, count):
    """The truth of a tensor of one element is that it is not zero; of others it is ambiguous."""
    for element, number in zip(tensor.unbind(), compare.to_numpy(tensor).tolist(), strict=True):
        compare.fact(bool(element.reshape((1,) * rank)), number != 0, f"truth of {number}")
    with compare.raises(RuntimeError, "ambiguous"):
        bool(tensor[:count])


@law("interop.length", docs="torch.Tensor.size", level="should")
@given(tensor=tensors(dtype="any", shape=shapes(min_rank=1)), scalar=tensors(shape=()))
def test_length(target, tensor, scalar):
    """len is the size of the first dimension; a tensor of rank 0 has none."""
    compare.fact(len(tensor), tensor.size(0), "len")
    with compare.raises(TypeError, "0-d tensor"):
        len(scalar)


@law("interop.iteration", docs="torch.Tensor.unbind", level="should")
@given(tensor=tensors(dtype="any", shape=shapes(min_rank=1)), scalar=tensors(shape=()))
def test_iteration(target, tensor, scalar):
    """Iteration gives views along the first dimension, in order; rank 0 has none."""
    expected = compare.to_numpy(tensor)
    rows = list(tensor)
    compare.fact(len(rows), len(expected), "number of rows")
    for number, row in enumerate(rows):
        compare.equal(row, expected[number], dtype=tensor.dtype, what=f"row {number}")
        check_shares(row, tensor, True, f"row {number}")
    with compare.raises(TypeError, "0-d tensor"):
        iter(scalar)
