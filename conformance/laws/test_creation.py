"""Creation: what the factory functions put into a new tensor."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import creation
from conformance.target import resolve
from strategies import arrays, broadcastable_shapes, dtypes, dyadics, shapes, tensors
from strategies.layouts import DENSE

FILLED = {"zeros": ("torch.zeros", 0), "ones": ("torch.ones", 1)}
FILLED_LIKE = {"zeros_like": ("torch.zeros_like", 0), "ones_like": ("torch.ones_like", 1)}
TRIANGLES = {"tril": ("torch.tril_indices", True), "triu": ("torch.triu_indices", False)}
COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}
COMPLEX_REJECTIONS = {
    "complex-dtypes": ("torch.complex", torch.float64, "scalar type"),
    "complex-integral": ("torch.complex", torch.int64, "scalar type|Expected both"),
    "polar-dtypes": ("torch.polar", torch.float64, "scalar type"),
    "polar-integral": ("torch.polar", torch.int64, "scalar type|Expected both"),
}


@law("creation.filled", docs="torch.zeros", over=FILLED)
@given(shape=shapes(), dtype=dtypes())
def test_filled(target, case, shape, dtype):
    """zeros and ones return a tensor of the given size, dtype and device filled with one value.

    The result does not require grad unless asked to.
    """
    make, value = case
    result = target.run(make, shape, dtype=dtype, device=target.device)
    compare.equal(result, np.full(shape, value), dtype=dtype)
    compare.fact(result.device, target.device, "device")
    compare.fact(result.requires_grad, False, "requires_grad")


@law("creation.default-dtype", docs="torch.set_default_dtype", over=FILLED)
@given(shape=shapes(), default=dtypes("floating"))
def test_default_dtype(target, case, shape, default):
    """A factory called without dtype uses the default dtype, whatever it is set to."""
    make, value = case
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        result = target.run(make, shape, device=target.device)
    finally:
        torch.set_default_dtype(before)
    compare.equal(result, np.full(shape, value), dtype=default)


@law("creation.full", docs="torch.full")
@given(shape=shapes(), fills=tensors(shape=(4,), values="any"))
def test_full(target, shape, fills):
    """full returns a tensor of the given size in which every element is the fill value."""
    for number, value in zip(fills.tolist(), compare.to_numpy(fills), strict=True):
        result = target.run("torch.full", shape, number, dtype=fills.dtype, device=target.device)
        compare.equal(result, np.full(shape, value), dtype=fills.dtype)


@law("creation.like", docs="torch.zeros_like", over=FILLED_LIKE)
@given(model=tensors(layouts=DENSE, values="any"))
def test_like(target, case, model):
    """zeros_like and ones_like take size, dtype, device and strides from their argument.

    Strides are kept where the argument is non-overlapping and dense (torch.preserve_format).
    """
    make, value = case
    result = target.run(make, model)
    compare.equal(result, np.full(tuple(model.shape), value), dtype=model.dtype)
    compare.fact(result.device, model.device, "device")
    compare.fact(result.stride(), model.stride(), "stride")


@law("creation.arange", docs="torch.arange")
@given(start=dyadics(), end=dyadics(), step=dyadics(), dtype=dtypes("floating"))
def test_arange(target, start, end, step, dtype):
    """arange returns the values start + i * step in [start, end): ceil((end - start) / step) many.

    The step has the sign of end - start.
    """
    step = abs(step) + 0.125 if end >= start else -abs(step) - 0.125
    result = target.run("torch.arange", start, end, step, dtype=dtype, device=target.device)
    compare.equal(result, creation.arange(start, end, step), dtype=dtype)


@law("creation.arange-dtype", docs="torch.arange")
@given(end=dyadics())
def test_arange_dtype(target, end):
    """arange without dtype gives int64 if all arguments are integers, else the default dtype."""
    whole = abs(int(end * 8))
    result = target.run("torch.arange", whole, device=target.device)
    compare.equal(result, creation.arange(0, whole, 1), dtype=torch.int64)
    result = target.run("torch.arange", abs(end), device=target.device)
    compare.equal(result, creation.arange(0, abs(end), 1), dtype=torch.get_default_dtype())


@law("creation.linspace", docs="torch.linspace")
@given(start=dyadics(), end=dyadics(), steps=shapes(min_rank=1, max_rank=1))
def test_linspace(target, start, end, steps):
    """linspace returns the given number of evenly spaced values, both ends included.

    The ends are exact; values between them may be off by four roundings of the larger end.
    """
    (count,) = steps
    result = target.run(
        torch.linspace, start, end, count, dtype=torch.float32, device=target.device
    )
    expected = creation.linspace(start, end, count) if count else np.zeros(0)
    bound = np.full(count, 4 * np.finfo(np.float32).eps * max(abs(start), abs(end)))
    bound[:1] = bound[1:][-1:] = 0
    compare.close(result, expected, bound=bound, dtype=torch.float32)


@law("creation.eye", docs="torch.eye")
@given(rows=st.integers(0, 6), columns=st.integers(0, 6), dtype=dtypes())
def test_eye(target, rows, columns, dtype):
    """eye returns a matrix with ones on the diagonal and zeros elsewhere, square by default."""
    place = {"dtype": dtype, "device": target.device}
    result = target.run("torch.eye", rows, columns, **place)
    compare.equal(result, creation.eye(rows, columns), dtype=dtype)
    square = target.run("torch.eye", rows, **place)
    compare.equal(square, creation.eye(rows, rows), dtype=dtype)


@law("creation.triangle-indices", docs="torch.tril_indices", over=TRIANGLES)
@given(
    sides=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    offset=st.integers(-6, 6),
    dtype=st.sampled_from((torch.int64, torch.int32)),
)
def test_triangle_indices(target, case, sides, offset, dtype):
    """tril_indices and triu_indices list the indices of a triangle, by rows and then columns.

    A positive offset moves the diagonal up, a negative one down. int64 by default.
    """
    name, lower = case
    expected = creation.triangle_indices(sides, offset, lower=lower)
    result = target.run(name, *sides, offset, dtype=dtype, device=target.device)
    compare.equal(result, expected, dtype=dtype)
    main = creation.triangle_indices(sides, 0, lower=lower)
    compare.equal(target.run(name, *sides, device=target.device), main, dtype=torch.int64)


@st.composite
def part_pairs(draw, values):
    """Two real tensors of one dtype whose shapes broadcast."""
    dtype = draw(dtypes("split"))
    return [
        draw(tensors(dtype=dtype, shape=shape, values=values))
        for shape in draw(broadcastable_shapes(2)).shapes
    ]


@law("creation.complex", docs="torch.complex")
@given(parts=part_pairs("any"))
def test_complex(target, parts):
    """complex has the given real and imaginary parts, nan, infinities and signed zeros included.

    float32 parts give complex64, float64 parts complex128; shapes broadcast.
    """
    real, imaginary = np.broadcast_arrays(*map(compare.to_numpy, parts))
    expected = np.empty(real.shape, dtype=np.complex128)
    expected.real, expected.imag = real, imaginary
    result = target.run("torch.complex", *parts)
    compare.equal(result, expected, dtype=COMPLEX_OF[parts[0].dtype])


@law("creation.polar", docs="torch.polar")
@given(parts=part_pairs("dyadic"))
def test_polar(target, parts):
    """polar is abs * cos(angle) + abs * sin(angle) * j, for an abs that is not negative.

    Cosine, sine and product are off by at most four roundings of abs together.
    """
    magnitude, angle = parts[0].abs(), parts[1]
    expected = creation.polar(compare.to_numpy(magnitude), compare.to_numpy(angle))
    bound = 4 * torch.finfo(angle.dtype).eps * np.abs(expected)
    result = target.run("torch.polar", magnitude, angle)
    compare.close(result, expected, bound=bound, dtype=COMPLEX_OF[angle.dtype])


@law("creation.complex-rejected", docs="torch.complex", over=COMPLEX_REJECTIONS)
@given(part=tensors(dtype=torch.float32))
def test_complex_rejected(target, case, part):
    """complex and polar reject parts of two dtypes, and integral parts."""
    name, other, message = case
    legal = resolve(name)(part.abs(), part)
    compare.fact(legal.dtype, torch.complex64, "dtype of the legal form")
    with compare.raises(RuntimeError, message):
        resolve(name)(part.abs(), part.to(other))


@law("creation.tensor", docs="torch.tensor")
@given(model=tensors(dtype="numeric", shape=shapes(min_side=1)))
def test_tensor(target, model):
    """tensor builds from nested lists and infers the dtype from the kind of their numbers.

    Integers give int64, floats the default dtype, complex numbers its complex counterpart.
    """
    dtype = torch.int64
    if model.is_complex():
        dtype = torch.complex64
    elif model.is_floating_point():
        dtype = torch.get_default_dtype()
    result = torch.tensor(model.tolist(), device=target.device)
    compare.equal(result, compare.to_numpy(model), dtype=dtype)
    compare.fact(result.requires_grad, False, "requires_grad")


@law("creation.tensor-copies", docs="torch.tensor")
@given(data=arrays(dtype=torch.float64, shape=(2, 3), kind="any"))
def test_tensor_copies(target, data):
    """tensor copies its data: writing to the source array leaves the tensor as it was."""
    before = data.copy()
    result = torch.tensor(data, device=target.device)
    data += 1.0
    compare.equal(result, before, dtype=torch.float64)


@law("creation.from-numpy-shares", docs="torch.from_numpy")
@given(data=arrays(dtype=torch.float64, shape=(2, 3), kind="any"))
def test_from_numpy_shares(target, data):
    """from_numpy shares the array's memory: writing to either is seen through the other."""
    data = data.copy()
    result = torch.from_numpy(data)
    compare.equal(result, data, dtype=torch.float64)
    data[0, 1] = 5.0
    compare.equal(result, data, dtype=torch.float64, what="tensor after a write to the array")
    result[1, 2] = -7.0
    compare.fact(float(data[1, 2]), -7.0, "array after a write to the tensor")
