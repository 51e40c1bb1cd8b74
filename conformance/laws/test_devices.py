"""Devices: moving tensors and changing their dtype with ``to``, tensors without data on meta."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios.casts import (
    by_method,
    by_type,
    by_type_as,
    to_device,
    to_dtype,
    to_other,
)
from conformance.scenarios.memory import check_geometry, geometry_of
from conformance.scenarios.refusals import refusal
from conformance.target import resolve
from strategies import arrays, dtypes, shapes, tensors
from strategies.layouts import DENSE


def to_name(tensor, dtype, **keywords):
    return resolve("torch.Tensor.to")(tensor, str(tensor.device), dtype=dtype, **keywords)


def to_named(tensor, dtype, **keywords):
    return resolve("torch.Tensor.to")(tensor, device=tensor.device, dtype=dtype, **keywords)


def by_type_name(tensor, dtype):
    like = torch.empty(0, dtype=dtype, device=tensor.device)
    return resolve("torch.Tensor.type")(tensor, resolve("torch.Tensor.type")(like))


TO = {
    "dtype": to_dtype,
    "device": to_device,
    "name": to_name,
    "keywords": to_named,
    "other": to_other,
}
FORMATTED = {name: convert for name, convert in TO.items() if name != "other"}
CASTS = {**TO, "method": by_method, "type": by_type, "type-name": by_type_name}
CASTS["type_as"] = by_type_as
SAME = {"to": to_dtype, "method": by_method}
OUT_OF_META = {
    "cpu": ("torch.Tensor.cpu", ()),
    "to": ("torch.Tensor.to", ("cpu",)),
    "tolist": ("torch.Tensor.tolist", ()),
}
FACTORIES = {
    "zeros": ("torch.zeros", ((2, 3),)),
    "ones": ("torch.ones", ((2, 3),)),
    "full": ("torch.full", ((2, 3), 1.5)),
    "empty": ("torch.empty", (2, 3)),
    "eye": ("torch.eye", (2, 3)),
    "arange": ("torch.arange", (6,)),
    "linspace": ("torch.linspace", (0, 1, 6)),
    "tensor": ("torch.tensor", ([[1.5], [2.5]],)),
    "rand": ("torch.rand", (2, 3)),
    "randn": ("torch.randn", (2, 3)),
    "empty_strided": ("torch.empty_strided", ((2, 3), (1, 2))),
}
DTYPES = st.sampled_from(
    (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.bool,
    )
)  # fmt: skip


def kept(model):
    """The strides that a copy has which preserves the model's: dense ones as they are."""
    return strides.Strided(tuple(model.shape), tuple(model.stride()), 0)


@law("devices.identity", docs="torch.Tensor.to", over=CASTS)
@given(dtype=DTYPES, tensor=tensors(dtype="floating"), other=DTYPES)
def test_identity(target, case, dtype, tensor, other):
    """A tensor that already has the dtype and device asked for is returned itself, never a copy.

    A tensor of another dtype is copied: it shares no memory.
    """
    source = tensor.abs().to(dtype)
    compare.fact(case(source, dtype) is source, True, "returns self")
    result = case(source, other)
    compare.fact(result is source, other == dtype, "returns self")
    compare.fact((result.dtype, result.device), (other, source.device), "dtype and device")


@law("devices.nothing-asked", docs="torch.Tensor.to")
@given(tensor=tensors())
def test_nothing_asked(target, tensor):
    """``to`` the device where a tensor is, alone or without a copy asked for, returns self."""
    for arguments in ((tensor.device,), (str(tensor.device),), (tensor,)):
        for keywords in ({}, {"copy": False}, {"non_blocking": True}):
            result = resolve("torch.Tensor.to")(tensor, *arguments, **keywords)
            compare.fact(result is tensor, True, "returns self")


@law("devices.original-stays", docs="torch.Tensor.to", over=CASTS)
@given(tensor=tensors(dtype="floating"), other=DTYPES, requires_grad=st.booleans())
def test_original_stays(target, case, tensor, other, requires_grad):
    """A conversion or a move leaves the tensor as it was: its result is what has been converted.

    Values, dtype, device, memory and flags, of a leaf too: "Otherwise, the returned tensor is a
    copy of self with the desired torch.dtype and torch.device."
    """
    tensor.requires_grad_(requires_grad)
    values, version = compare.to_numpy(tensor), tensor._version
    before = (
        tensor.dtype,
        tensor.device,
        tensor.data_ptr(),
        requires_grad,
        True,
        geometry_of(tensor),
    )
    result = case(tensor, other)
    compare.fact(result.dtype, other, "dtype of the result")
    compare.fact(torch.Tensor.to(tensor, "meta").device.type, "meta", "device of the result")
    flags = (tensor.requires_grad, tensor.is_leaf)
    found = (tensor.dtype, tensor.device, tensor.data_ptr(), *flags, geometry_of(tensor))
    compare.fact(found, before, "dtype, device, memory, flags and geometry afterwards")
    compare.fact(tensor._version, version, "version afterwards")
    compare.unchanged(tensor, values, "original")


@law("devices.copy", docs="torch.Tensor.to", over=TO)
@given(tensor=tensors(dtype="any", values="any"), waits=st.booleans())
def test_copy(target, case, tensor, waits):
    """``to`` with copy=True makes a new tensor even where nothing changes: same values, own memory.

    A write to the copy leaves the original alone.
    """
    before = compare.to_numpy(tensor)
    result = case(tensor, tensor.dtype, copy=True, non_blocking=not waits)
    compare.equal(result, before, dtype=tensor.dtype)
    compare.fact(result.device, tensor.device, "device")
    result.fill_(1)
    compare.unchanged(tensor, before, "original after a write to the copy")


@law("devices.to-strides", docs="torch.Tensor.to", over=FORMATTED)
@given(tensor=tensors(dtype=torch.float32, layouts=DENSE))
def test_to_strides(target, case, tensor):
    """A copy that ``to`` makes keeps the strides of a tensor that is non-overlapping and dense.

    With memory_format=torch.contiguous_format it is contiguous.
    """
    for dtype, copy in ((torch.float64, False), (torch.float32, True)):
        result = case(tensor, dtype, copy=copy)
        compare.fact(geometry_of(result), kept(tensor), "geometry")
        plain = case(tensor, dtype, copy=copy, memory_format=torch.contiguous_format)
        compare.fact(plain.is_contiguous(), True, "contiguous where asked for")
        compare.equal(plain, compare.to_numpy(tensor), dtype=dtype)


@law("devices.to-channels-last", docs="torch.Tensor.to", over=FORMATTED, needs=("strides",))
@given(
    tensor=tensors(dtype=torch.float32, shape=shapes(min_rank=4)),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_to_channels_last(target, case, tensor, dtype):
    """A copy that ``to`` makes with memory_format=torch.channels_last has these strides."""
    result = case(tensor, dtype, copy=True, memory_format=torch.channels_last)
    compare.equal(result, compare.to_numpy(tensor), dtype=dtype)
    contiguous = strides.is_contiguous(geometry_of(result), "channels_last")
    compare.fact(contiguous, True, "contiguous in channels_last")


@law("devices.format-of-same", docs="torch.Tensor.to", over=SAME)
@given(tensor=tensors(dtype=torch.float32))
def test_format_of_same(target, case, tensor):
    """``to`` with a memory format returns a tensor of that format, also where no dtype changes."""
    result = case(tensor, torch.float32, memory_format=torch.contiguous_format)
    compare.equal(result, compare.to_numpy(tensor), dtype=torch.float32)
    compare.fact(strides.is_contiguous(geometry_of(result)), True, "contiguous")


@law("devices.cpu", docs="torch.Tensor.cpu")
@given(tensor=tensors(dtype="any", values="any"))
def test_cpu(target, tensor):
    """cpu returns a tensor of the same values on the CPU; one that is there is returned itself."""
    result = torch.Tensor.cpu(tensor)
    compare.equal(result, compare.to_numpy(tensor), dtype=tensor.dtype)
    compare.fact(result.device, torch.device("cpu"), "device")
    compare.fact(result is tensor, tensor.device.type == "cpu", "returns self on the CPU")


def arrays_of(dtype):
    """Arrays of any values of a dtype, of some shapes."""
    some = st.sampled_from(((), (3,), (2, 3), (0, 2), (2, 1, 4)))
    return some.flatmap(lambda shape: arrays(dtype=dtype, shape=shape, kind="any"))


@law("devices.values-arrive", docs="torch.Tensor.to")
@given(
    array=st.one_of([dtypes(f) for f in ("split", "integral", "complex", "boolean")]).flatmap(
        arrays_of
    )
)
def test_values_arrive(target, array):
    """A tensor sent to the device holds there the values of the array under it, bit for bit.

    All other laws read their own inputs back from the device: here alone it is seen if each
    reading is wrong alike.
    """
    host = torch.from_numpy(array.copy())
    compare.fact(str(host.dtype).removeprefix("torch."), str(array.dtype), "dtype")
    sent = host.to(target.device)
    compare.equal(sent, array, dtype=host.dtype, what="sent to the device")
    compare.fact(sent.device, target.device, "device")


@law("devices.round-trip", docs="torch.Tensor.to")
@given(tensor=tensors(dtype="any", values="any"))
def test_round_trip(target, tensor):
    """A tensor moved to the CPU and back is the same, bit for bit; a gradient comes back too."""
    expected = compare.to_numpy(tensor)
    moved = torch.Tensor.to(torch.Tensor.to(tensor, "cpu"), target.device)
    compare.equal(moved, expected, dtype=tensor.dtype)
    compare.fact(moved.device, tensor.device, "device")
    leaf = torch.ones(3, device="cpu", requires_grad=True)
    (torch.Tensor.to(leaf, target.device) * 2).sum().backward()
    compare.equal(leaf.grad, 2 * compare.to_numpy(leaf), dtype=torch.float32, what="gradient")
    compare.fact(str(getattr(leaf.grad, "device", None)), "cpu", "device of the gradient")


@law("devices.to-meta", docs="meta.html", needs=("values",))
@given(tensor=tensors(dtype="any", layouts=(*DENSE, "offset")), grad=st.booleans())
def test_to_meta(target, tensor, grad):
    """A tensor moved to meta keeps shape, dtype and strides, and has no data.

    It requires grad where the tensor does.
    """
    floating = tensor.is_floating_point()
    source = tensor.detach().requires_grad_(grad and floating)
    result = torch.Tensor.to(source, "meta")
    compare.fact(geometry_of(result), kept(tensor), "geometry")
    found = (result.dtype, result.device.type, result.is_meta, result.requires_grad)
    compare.fact(found, (tensor.dtype, "meta", True, grad and floating), "dtype, device and flags")


@law("devices.out-of-meta", docs="meta.html", over=OUT_OF_META, needs=("values",))
@given(tensor=tensors(dtype="any", shape=shapes(min_rank=1)))
def test_out_of_meta(target, case, tensor):
    """A tensor on meta cannot be moved to another device: there is no data to copy."""
    name, arguments = case
    compare.fact(refusal(resolve(name), tensor, *arguments), "", "refusal with data")
    empty = torch.Tensor.to(tensor, "meta")
    said = "Cannot copy out of meta tensor; no data!" in refusal(resolve(name), empty, *arguments)
    compare.fact(said, True, "NotImplementedError: Cannot copy out of meta tensor")


@law("devices.copy-from-meta", docs="meta.html", needs=("values",))
@given(tensor=tensors(dtype="real", layouts=DENSE))
def test_copy_from_meta(target, tensor):
    """copy_ from a tensor on meta is rejected and writes nothing; empty_like makes room elsewhere.

    A copy onto meta is accepted and changes nothing that can be read.
    """
    before = compare.to_numpy(tensor)
    empty = torch.Tensor.to(tensor, "meta")
    compare.fact(torch.Tensor.copy_(empty, tensor) is empty, True, "copy_ onto meta returns self")
    room = torch.empty_like(empty, device=target.device)
    compare.equal(torch.Tensor.copy_(room, tensor), before, dtype=tensor.dtype)
    said = "Cannot copy out of meta tensor" in refusal(torch.Tensor.copy_, tensor, empty)
    compare.fact(said, True, "NotImplementedError: Cannot copy out of meta tensor")
    compare.unchanged(tensor, before, "what would have been written")


@law("devices.item-of-meta", docs="meta.html")
@given(tensor=tensors(dtype="real", shape=()))
def test_item_of_meta(target, tensor):
    """item of a tensor on meta is rejected."""
    compare.fact(torch.Tensor.item(tensor), tensor.tolist(), "item with data")
    with compare.raises(RuntimeError, "cannot be called on meta tensors"):
        torch.Tensor.item(torch.Tensor.to(tensor, "meta"))


@law("devices.factories-on-meta", docs="meta.html", over=FACTORIES)
@given(dtype=dtypes("floating"), grad=st.booleans())
def test_factories_on_meta(target, case, dtype, grad):
    """A factory called with device="meta" gives shape, dtype and strides as elsewhere, and no data.

    A device is given by name or as torch.device.
    """
    name, arguments = case
    real = target.run(name, *arguments, dtype=dtype, device=target.device)
    for device in ("meta", torch.device("meta")):
        result = target.run(name, *arguments, dtype=dtype, device=device, requires_grad=grad)
        check_geometry(result, geometry_of(real), exact=True)
        found = (result.dtype, result.device.type, result.requires_grad)
        compare.fact(found, (dtype, "meta", grad), "dtype, device and requires_grad")


@law("devices.default-device", docs="torch.set_default_device", over=FACTORIES)
def test_default_device(target, case):
    """A factory called without a device uses the default device, which ``with`` sets for a block.

    An explicit device wins; what shares the memory of its argument is where that is.
    """
    name, arguments = case
    with torch.device("meta"):
        compare.fact(resolve(name)(*arguments).device.type, "meta", "device")
        placed = resolve(name)(*arguments, device=target.device)
        shared = torch.from_numpy(compare.to_numpy(torch.ones(2, device="cpu")))
    compare.fact(placed.device, target.device, "device asked for")
    compare.fact(shared.device.type, "cpu", "device of an array's tensor")
    compare.fact(resolve(name)(*arguments).device, torch.get_default_device(), "device afterwards")
