"""Options that factory functions share: size, memory format, out, requires_grad, default dtype."""

from contextlib import contextmanager

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios.memory import contents_of, geometry_of
from strategies import dtypes, permutations, shapes, tensors
from strategies.layouts import DENSE, LAZY, WRITABLE

SIZED = {name: f"torch.{name}" for name in ("zeros", "ones", "empty", "rand", "randn")}
FLOATING = {
    "zeros": ("torch.zeros", ((2, 3),)),
    "ones": ("torch.ones", ((2, 3),)),
    "full": ("torch.full", ((2, 3), 1.5)),
    "empty": ("torch.empty", ((2, 3),)),
    "empty_strided": ("torch.empty_strided", ((2, 3), (1, 2))),
    "empty_permuted": ("torch.empty_permuted", ((2, 3), (1, 0))),
    "eye": ("torch.eye", (3,)),
    "arange": ("torch.arange", (0.0, 3.0, 1.0)),
    "linspace": ("torch.linspace", (0.0, 1.0, 3)),
    "logspace": ("torch.logspace", (0.0, 1.0, 3)),
    "tensor": ("torch.tensor", ([[1.5], [2.5]],)),
    "rand": ("torch.rand", ((2, 3),)),
    "randn": ("torch.randn", ((2, 3),)),
}
INTEGRAL = {name: case for name, case in FLOATING.items() if name not in ("rand", "randn")}
NEGATIVE = {
    "zeros": ("torch.zeros", ((2, 0),), ((2, -1),)),
    "ones": ("torch.ones", ((0, 2),), ((-1, 2),)),
    "full": ("torch.full", ((0,), 1.5), ((-1,), 1.5)),
    "empty": ("torch.empty", (0, 2), (-2, 2)),
    "empty_strided": ("torch.empty_strided", ((0, 2), (2, 1)), ((-1, 2), (2, 1))),
    "rand": ("torch.rand", ((2, 0),), ((2, -1),)),
}
# Arguments, the values, and by how many roundings these may be off.
OUT = {
    "zeros": ("torch.zeros", ((2, 3),), ((0, 0, 0), (0, 0, 0)), 0),
    "ones": ("torch.ones", ((2, 3),), ((1, 1, 1), (1, 1, 1)), 0),
    "full": ("torch.full", ((2, 3), 7), ((7, 7, 7), (7, 7, 7)), 0),
    "eye": ("torch.eye", (2, 3), ((1, 0, 0), (0, 1, 0)), 0),
    "arange": ("torch.arange", (1, 7, 2), (1, 3, 5), 0),
    "linspace": ("torch.linspace", (4, 0, 5), (4, 3, 2, 1, 0), 0),
    "logspace": ("torch.logspace", (0, 3, 4, 2.0), (1, 2, 4, 8), 4),
}
OUT_INTEGRAL = {name: case for name, case in OUT.items() if name != "logspace"}
FORMATS = ("contiguous_format", "channels_last", "channels_last_3d")
SPARSE = {"zeros": "torch.zeros", "empty": "torch.empty"}
INFERRED = {
    "full": ("torch.full", ((2,), 1.5)),
    "eye": ("torch.eye", (2,)),
    "empty": ("torch.empty", (2,)),
    "empty_strided": ("torch.empty_strided", ((2,), (1,))),
    "arange": ("torch.arange", (1.5,)),
    "linspace": ("torch.linspace", (0, 1, 2)),
    "logspace": ("torch.logspace", (0, 1, 2)),
    "rand": ("torch.rand", (2,)),
    "randn": ("torch.randn", (2,)),
    "tensor-float": ("torch.tensor", (1.5,)),
    "tensor-mixed": ("torch.tensor", ([[True], [2], [2.5]],)),
    "tensor-empty": ("torch.tensor", ([],)),
}
COMPLEX = {
    "tensor": ("torch.tensor", (1j,)),
    "tensor-mixed": ("torch.tensor", ([True, 2.5, 1j],)),
    "full": ("torch.full", ((2,), 1j)),
    "linspace": ("torch.linspace", (0.0, 1j, 2)),
    "logspace": ("torch.logspace", (0.0, 1j, 2)),
}
UNAFFECTED = {
    "tensor-integer": ("torch.tensor", (7,), torch.int64),
    "tensor-bool": ("torch.tensor", ([True, False],), torch.bool),
    "tensor-array": ("torch.tensor", (np.zeros(2, dtype=np.float32),), torch.float32),
    "as_tensor-array": ("torch.as_tensor", (np.zeros(2, dtype=np.float64),), torch.float64),
    "full-integer": ("torch.full", ((2,), 7), torch.int64),
    "full-bool": ("torch.full", ((2,), True), torch.bool),
    "arange": ("torch.arange", (3,), torch.int64),
    "tril_indices": ("torch.tril_indices", (2, 2), torch.int64),
    "randint": ("torch.randint", (5, (2,)), torch.int64),
}


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def spellings(shape):
    """The argument lists that name one size: a tuple, a list, a torch.Size, and plain numbers."""
    packed = [(shape,), (list(shape),), (torch.Size(shape),)]
    return [*packed, shape] if shape else packed


@law("creation.size-spellings", docs="torch.zeros", over=SIZED)
@given(shape=shapes())
def test_size_spellings(target, case, shape):
    """A size is given as numbers, as a tuple, as a list or as a torch.Size: the same shape.

    The result is contiguous.
    """
    for size in spellings(shape):
        result = target.run(case, *size, device=target.device)
        compare.fact(geometry_of(result), strides.Strided(shape, strides.packed(shape), 0), "shape")
    named = target.run(case, size=shape, device=target.device)
    compare.fact(tuple(named.shape), shape, "shape by name")


@law("creation.empty", docs="torch.empty")
@given(shape=shapes(), dtype=dtypes("all"))
def test_empty(target, shape, dtype):
    """empty has the given size, dtype and device, is contiguous, and does not require grad."""
    result = target.run("torch.empty", shape, dtype=dtype, device=target.device)
    compare.fact(geometry_of(result), strides.Strided(shape, strides.packed(shape), 0), "geometry")
    found = (result.dtype, result.device, result.layout, result.requires_grad)
    kind = (dtype, target.device, torch.strided, False)
    compare.fact(found, kind, "dtype, device, layout and requires_grad")


@law("creation.empty-strided", docs="torch.empty_strided")
@given(model=tensors(values="any", layouts=(*DENSE, "stepped")))
def test_empty_strided(target, model):
    """empty_strided has the given size and strides, and memory for every element.

    What is written to it is read back, through strides with gaps and in any order.
    """
    place = {"dtype": model.dtype, "device": target.device}
    result = target.run("torch.empty_strided", model.shape, model.stride(), **place)
    geometry = strides.Strided(tuple(model.shape), tuple(model.stride()), 0)
    compare.fact(geometry_of(result), geometry, "geometry")
    expected = compare.to_numpy(model)
    compare.equal(result.copy_(model), expected, dtype=model.dtype)
    needed = strides.storage_needed(geometry) * model.element_size()
    compare.fact(result.untyped_storage().nbytes() >= needed, True, "storage is large enough")


@st.composite
def sizes_and_orders(draw):
    shape = draw(shapes())
    return shape, tuple(dim % len(shape) for dim in draw(permutations(len(shape))))


@law("creation.empty-permuted", docs="torch.empty_permuted")
@given(drawn=sizes_and_orders(), dtype=dtypes())
def test_empty_permuted(target, drawn, dtype):
    """empty_permuted lays the dimensions out in memory in the given order, outermost first."""
    shape, order = drawn
    place = {"dtype": dtype, "device": target.device}
    result = target.run("torch.empty_permuted", shape, order, **place)
    expected = strides.Strided(shape, strides.packed(shape, order), 0)
    compare.fact(geometry_of(result), expected, "geometry")
    compare.fact(result.dtype, dtype, "dtype")


@law("creation.negative-size", docs="torch.empty", level="should", over=NEGATIVE)
def test_negative_size(target, case):
    """A negative size is rejected; 0 is a size."""
    name, legal, illegal = case
    result = target.run(name, *legal, device=target.device)
    compare.fact(result.numel(), 0, "number of elements")
    with compare.raises(RuntimeError, "negative"):
        target.run(name, *illegal, device=target.device)


@law("creation.requires-grad", docs="torch.zeros", over=FLOATING)
@given(dtype=dtypes("floating"), recording=st.booleans())
def test_requires_grad(target, case, dtype, recording):
    """A factory called with requires_grad=True gives a leaf that requires grad, also under no_grad.

    Without it the result does not. A backward pass through the leaf leaves its gradient there.
    """
    name, arguments = case
    place = {"dtype": dtype, "device": target.device}
    with torch.set_grad_enabled(recording):
        plain = target.run(name, *arguments, **place)
        leaf = target.run(name, *arguments, requires_grad=True, **place)
    compare.fact(plain.requires_grad, False, "requires_grad by default")
    found = (leaf.requires_grad, leaf.is_leaf, leaf.grad_fn, leaf.grad, leaf.dtype)
    compare.fact(found, (True, True, None, None, dtype), "a leaf that requires grad")
    (leaf * 2).sum().backward()
    compare.equal(leaf.grad, np.full(tuple(leaf.shape), 2.0), dtype=dtype, what="gradient")


@law("creation.requires-grad-rejected", docs="torch.Tensor.requires_grad", over=INTEGRAL)
@given(dtype=dtypes("integral"))
def test_requires_grad_rejected(target, case, dtype):
    """A factory rejects requires_grad=True for an integral dtype: only floats have gradients."""
    name, arguments = case
    place = {"dtype": dtype, "device": target.device}
    compare.fact(target.run(name, *arguments, **place).dtype, dtype, "dtype of the legal form")
    with compare.raises(RuntimeError, "floating point and complex dtype can require gradients"):
        target.run(name, *arguments, requires_grad=True, **place)


@st.composite
def sizes_and_formats(draw):
    memory_format = draw(st.sampled_from(FORMATS))
    order = strides.FORMATS[memory_format]
    shape = draw(shapes(min_rank=4) if order else shapes())
    deep = order is not None and len(order) == 5
    return (*shape, draw(st.sampled_from((2, 1, 3)))) if deep else shape, memory_format


@law("creation.memory-format", docs="torch.empty", needs=("strides",))
@given(drawn=sizes_and_formats(), dtype=dtypes())
def test_memory_format(target, drawn, dtype):
    """empty with a memory format has the strides of that format."""
    shape, memory_format = drawn
    place = {"dtype": dtype, "device": target.device}
    wanted = getattr(torch, memory_format)
    result = target.run("torch.empty", shape, memory_format=wanted, **place)
    compare.fact((tuple(result.shape), result.dtype), (shape, dtype), "shape and dtype")
    order = strides.FORMATS[memory_format]
    expected = strides.Strided(shape, strides.packed(shape, order), 0)
    compare.fact(strides.significant(geometry_of(result)), strides.significant(expected), "stride")


@law("creation.memory-format-rejected", docs="torch.empty", level="should", needs=("strides",))
@given(shape=shapes(max_rank=3))
def test_memory_format_rejected(target, shape):
    """empty rejects channels_last for a size that has no four dimensions."""
    channels_last = {"memory_format": torch.channels_last, "device": target.device}
    legal = target.run("torch.empty", (1, 2, 3, 4), **channels_last)
    compare.fact(legal.stride(), (24, 1, 8, 2), "stride of the legal form")
    with compare.raises(RuntimeError, "rank 4"):
        target.run("torch.empty", shape, **channels_last)


@law("creation.sparse-layout", docs="torch.zeros", over=SPARSE)
@given(shape=shapes(), dtype=dtypes())
def test_sparse_layout(target, case, shape, dtype):
    """zeros and empty with layout=torch.sparse_coo give a sparse tensor that holds no element.

    layout=torch.strided is what they give without.
    """
    place = {"dtype": dtype, "device": target.device}
    result = target.run(case, shape, layout=torch.sparse_coo, **place)
    found = (result.layout, result.dtype, result._nnz(), tuple(result.shape))
    compare.fact(found, (torch.sparse_coo, dtype, 0, shape), "layout, dtype, count and shape")
    compare.equal(result.to_dense(), np.zeros(shape), dtype=dtype)
    dense = target.run(case, shape, layout=torch.strided, **place)
    compare.fact((dense.layout, tuple(dense.shape)), (torch.strided, shape), "layout and shape")


@law("creation.pin-memory", docs="torch.empty", level="should", over=SIZED)
@given(shape=shapes(min_side=1))
def test_pin_memory(target, case, shape):
    """pin_memory=True gives a tensor in pinned memory, and an error where there is no accelerator.

    Without it memory is not pinned. Always on the CPU, whose memory alone is pinned.
    """
    plain = target.run(case, shape, device="cpu", pin_memory=False)
    compare.fact(plain.is_pinned(), False, "pinned by default")
    if torch.accelerator.is_available():
        pinned = target.run(case, shape, device="cpu", pin_memory=True)
        compare.fact((pinned.is_pinned(), tuple(pinned.shape)), (True, shape), "pinned, and shape")
    else:
        with compare.raises(RuntimeError, "accelerator|CUDA|NVIDIA"):
            target.run(case, shape, device="cpu", pin_memory=True)


def outs(case):
    layouts = [name for name in WRITABLE if name not in LAZY]
    return tensors(dtype="floating", shape=np.shape(case[2]), layouts=layouts)


def integral_outs(case):
    integers = st.sampled_from((torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8))
    return tensors(dtype=integers, shape=np.shape(case[2]), layouts=WRITABLE)


@law("creation.out", docs="torch.zeros", over=OUT)
@given(out=outs)
def test_out(target, case, out):
    """A factory given out writes its values there in the dtype of out, and returns out.

    Whatever the strides of out; the memory between its elements stays.
    """
    name, arguments, values, roundings = case
    geometry, expected = geometry_of(out), contents_of(out)
    memory = torch.as_strided(out, expected.shape, (1,), 0)
    expected[strides.addresses(geometry)] = values
    result = target.run(name, *arguments, out=out)
    compare.fact(result is out, True, "returns out")
    compare.fact(geometry_of(out), geometry, "geometry of out")
    bound = roundings * torch.finfo(out.dtype).eps * np.abs(expected)
    compare.close(memory, expected, bound=bound, dtype=out.dtype, what="memory of out")


@law("creation.out-integral", docs="torch.zeros", over=OUT_INTEGRAL)
@given(out=integral_outs)
def test_out_integral(target, case, out):
    """A factory given an integral out writes its values there as integers of that dtype."""
    name, arguments, values, _ = case
    result = target.run(name, *arguments, out=out)
    compare.fact(result is out, True, "returns out")
    compare.equal(out, np.array(values), dtype=out.dtype, what="out")


@law("creation.out-resized", docs="torch.zeros", level="should", over=OUT)
@given(
    dtype=dtypes("floating"),
    empty=st.sampled_from(((0,), (2, 0), (0, 5), (0, 0))),
    asked=st.booleans(),
)
def test_out_resized(target, case, dtype, empty, asked):
    """A factory resizes an out that has no elements to the size of its result."""
    name, arguments, values, roundings = case
    out = torch.zeros(empty, dtype=dtype, device=target.device)
    keywords = {"dtype": dtype} if asked else {}
    result = target.run(name, *arguments, out=out, **keywords)
    compare.fact(result is out, True, "returns out")
    bound = roundings * torch.finfo(dtype).eps * np.abs(values)
    compare.close(out, np.array(values), bound=bound, dtype=dtype, what="out")


@law("creation.out-dtype-rejected", docs="torch.zeros", level="should", over=OUT)
@given(out=outs)
def test_out_dtype_rejected(target, case, out):
    """A factory rejects a dtype that is not that of out, and leaves out as it was."""
    name, arguments, _, _ = case
    target.run(name, *arguments, out=out.clone(), dtype=out.dtype)
    before = compare.to_numpy(out)
    with compare.raises(RuntimeError, "does not match dtype of out"):
        target.run(name, *arguments, out=out, dtype=torch.int32)
    compare.unchanged(out, before, "out")


@law("creation.default-dtype-floats", docs="torch.set_default_dtype", over=INFERRED)
@given(default=dtypes("floating"))
def test_default_dtype_floats(target, case, default):
    """What is made of Python floats, or asked for no dtype, has the default dtype."""
    name, arguments = case
    with default_dtype(default):
        result = target.run(name, *arguments, device=target.device)
        compare.fact(torch.get_default_dtype(), default, "default dtype")
    compare.fact(result.dtype, default, "dtype")


@law("creation.default-dtype-complex", docs="torch.set_default_dtype", over=COMPLEX)
def test_default_dtype_complex(target, case):
    """What is made of Python complex numbers has the complex dtype of the default dtype's parts."""
    name, arguments = case
    for default, dtype in ((torch.float32, torch.complex64), (torch.float64, torch.complex128)):
        with default_dtype(default):
            result = target.run(name, *arguments, device=target.device)
        compare.fact(result.dtype, dtype, f"dtype where the default is {default}")


@law("creation.default-dtype-others", docs="torch.set_default_dtype", over=UNAFFECTED)
@given(default=dtypes("floating"))
def test_default_dtype_others(target, case, default):
    """The default dtype changes nothing for integers, bools, indices and NumPy arrays."""
    name, arguments, dtype = case
    with default_dtype(default):
        result = target.run(name, *arguments, device=target.device)
    compare.fact(result.dtype, dtype, "dtype")


@law("creation.default-dtype-rejected", docs="torch.set_default_dtype")
@given(dtype=dtypes("integral"))
def test_default_dtype_rejected(target, dtype):
    """set_default_dtype accepts floating point dtypes only, and else leaves the default alone."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(before)
    with compare.raises(TypeError, "floating-point types"):
        torch.set_default_dtype(dtype)
    compare.fact(torch.get_default_dtype(), before, "default dtype")
