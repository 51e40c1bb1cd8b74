"""Tensors made after a model: the functions ``*_like`` and the methods ``new_*``."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import conversion, strides
from conformance.scenarios.memory import geometry_of
from strategies import dtypes, shapes, tensors
from strategies.layouts import DENSE

# Arguments after the model, and the value of every element where there is one.
LIKE = {
    "zeros_like": ("torch.zeros_like", (), 0),
    "ones_like": ("torch.ones_like", (), 1),
    "full_like": ("torch.full_like", (3,), 3),
    "empty_like": ("torch.empty_like", (), None),
}
RANDOM_LIKE = {
    "rand_like": ("torch.rand_like", (), None),
    "randn_like": ("torch.randn_like", (), None),
    "randint_like": ("torch.randint_like", (0, 9), None),
}
NEW = {
    "new_zeros": ("torch.Tensor.new_zeros", (), 0),
    "new_ones": ("torch.Tensor.new_ones", (), 1),
    "new_full": ("torch.Tensor.new_full", (3,), 3),
    "new_empty": ("torch.Tensor.new_empty", (), None),
}
SIZED = {name: case for name, case in NEW.items() if name != "new_full"}
FORMATS = ("contiguous_format", "channels_last", "channels_last_3d")


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def check_filled(result, shape, value, dtype):
    """Check shape and dtype, and that every element is the value if there is one."""
    if value is None:
        compare.fact((tuple(result.shape), result.dtype), (shape, dtype), "shape and dtype")
    else:
        compare.equal(result, np.full(shape, value), dtype=dtype)


def possible_dtypes(case):
    """The dtypes in which a function of the tables can fill a tensor."""
    return dtypes("floating" if case[0].startswith("torch.rand") else "any")


@law("creation.like-options", docs="torch.empty_like", over={**LIKE, **RANDOM_LIKE})
@given(model=tensors(dtype="floating"), dtype=possible_dtypes, grad=st.booleans())
def test_like_options(target, case, model, dtype, grad):
    """The functions ``*_like`` take the dtype, device and requires_grad that they are asked for.

    Asked for nothing they take dtype and device of the model, and no gradient, no history.
    """
    name, arguments, value = case
    source = model.detach().requires_grad_(grad)
    plain = target.run(name, source, *arguments)
    filled = 1 if value == 3 and dtype == torch.bool else value
    check_filled(plain, tuple(model.shape), value, model.dtype)
    found = (plain.device, plain.requires_grad, plain.is_leaf)
    compare.fact(found, (model.device, False, True), "device, requires_grad and is_leaf")
    asked = target.run(name, source, *arguments, dtype=dtype, device="cpu")
    check_filled(asked, tuple(model.shape), filled, dtype)
    compare.fact(asked.device, torch.device("cpu"), "device asked for")
    leaf = target.run(name, model, *arguments, requires_grad=True)
    compare.fact((leaf.requires_grad, leaf.is_leaf), (True, True), "a leaf that requires grad")


@law("creation.like-integral-leaf", docs="torch.empty_like", over=LIKE)
@given(model=tensors(dtype="integral"))
def test_like_integral_leaf(target, case, model):
    """The functions ``*_like`` of an integral model reject requires_grad=True."""
    name, arguments, value = case
    check_filled(target.run(name, model, *arguments), tuple(model.shape), value, model.dtype)
    with compare.raises(RuntimeError, "floating point and complex dtype can require gradients"):
        target.run(name, model, *arguments, requires_grad=True)


@law("creation.like-strides", docs="torch.empty_like", over={**LIKE, **RANDOM_LIKE})
@given(model=tensors(dtype="floating", layouts=DENSE))
def test_like_strides(target, case, model):
    """The functions ``*_like`` keep the strides of a model that is non-overlapping and dense.

    torch.preserve_format, the default.
    """
    name, arguments, _ = case
    for keywords in ({}, {"memory_format": torch.preserve_format}):
        result = target.run(name, model, *arguments, **keywords)
        geometry = strides.Strided(tuple(model.shape), tuple(model.stride()), 0)
        compare.fact(geometry_of(result), geometry, "geometry")


@law("creation.like-dense", docs="torch.empty_like", over={**LIKE, **RANDOM_LIKE})
@given(model=tensors(dtype="floating"), flipped=st.booleans())
def test_like_dense(target, case, model, flipped):
    """The functions ``*_like`` give a tensor without gaps or overlaps whatever the model's strides.

    "Otherwise (e.g., a non-dense view like a stepped slice), the output is converted to the
    dense format."
    """
    name, arguments, value = case
    source = model.mT if flipped and model.dim() > 1 else model
    result = target.run(name, source, *arguments)
    check_filled(result, tuple(source.shape), value, model.dtype)
    compare.fact(strides.is_dense(geometry_of(result)), True, "non-overlapping and dense")
    compare.fact((result.is_conj(), result.is_neg()), (False, False), "conj and neg bits")


@st.composite
def models_and_formats(draw):
    memory_format = draw(st.sampled_from(FORMATS))
    order = strides.FORMATS[memory_format]
    model = draw(tensors(dtype="floating", shape=shapes(min_rank=4) if order else shapes()))
    deep = order is not None and len(order) == 5
    return model.unsqueeze(-1).expand(*model.shape, 2) if deep else model, memory_format


@law("creation.like-memory-format", docs="torch.empty_like", over={**LIKE, **RANDOM_LIKE})
@given(drawn=models_and_formats())
def test_like_memory_format(target, case, drawn):
    """The functions ``*_like`` have the strides of a memory format that they are asked for."""
    name, arguments, value = case
    model, memory_format = drawn
    wanted = getattr(torch, memory_format)
    result = target.run(name, model, *arguments, memory_format=wanted)
    check_filled(result, tuple(model.shape), value, model.dtype)
    order = strides.FORMATS[memory_format]
    expected = strides.Strided(tuple(model.shape), strides.packed(tuple(model.shape), order), 0)
    compare.fact(strides.significant(geometry_of(result)), strides.significant(expected), "stride")


@law("creation.full-like", docs="torch.full_like")
@given(
    model=tensors(dtype="any"),
    fill=st.sampled_from((0, 1, 2.75, -2.75, True, False, -0.0)),
    dtype=dtypes(),
)
def test_full_like(target, model, fill, dtype):
    """full_like converts the fill value to the dtype of the model, or to the one asked for.

    Fractions are cut off for integers, and what is not zero is true.
    """
    fill = abs(fill) if torch.uint8 in (model.dtype, dtype) else fill
    shape = tuple(model.shape)
    for keywords, wanted in (({}, model.dtype), ({"dtype": dtype}, dtype)):
        expected = np.full(shape, conversion.convert(np.array(fill), name_of(wanted)))
        result = target.run("torch.full_like", model, fill, **keywords)
        compare.equal(result, expected, dtype=wanted)


@law("creation.like-sparse", docs="torch.zeros_like")
@given(values=tensors(dtype="floating", shape=(3,)))
def test_like_sparse(target, values):
    """zeros_like and empty_like of a sparse model are sparse; layout decides where it is given."""
    indices = torch.tensor([[0, 1, 3], [2, 0, 1]], device=target.device)
    model = torch.sparse_coo_tensor(indices, values, (4, 5), check_invariants=False)
    for name in ("torch.zeros_like", "torch.empty_like"):
        result = target.run(name, model)
        compare.fact(result.layout, torch.sparse_coo, "layout")
        compare.fact(result._nnz(), 0, "number of elements held")
        compare.equal(result.to_dense(), np.zeros((4, 5)), dtype=values.dtype)
    dense = target.run("torch.zeros_like", model, layout=torch.strided)
    compare.fact(dense.layout, torch.strided, "layout asked for")
    compare.equal(dense, np.zeros((4, 5)), dtype=values.dtype)


@law("creation.new", docs="torch.Tensor.new_zeros", over=NEW)
@given(model=tensors(dtype="numeric", values="any"), shape=shapes())
def test_new(target, case, model, shape):
    """The methods ``new_*`` give a contiguous tensor of any size, of the model's dtype and device.

    The model's layout, its gradient and its history play no part.
    """
    name, arguments, value = case
    source = model.requires_grad_() if model.dtype.is_floating_point else model
    result = target.run(name, source, shape, *arguments)
    check_filled(result, shape, value, model.dtype)
    geometry = strides.Strided(shape, strides.packed(shape), 0)
    compare.fact(geometry_of(result), geometry, "geometry")
    found = (result.device, result.requires_grad, result.is_conj(), result.is_neg())
    compare.fact(found, (model.device, False, False, False), "device, requires_grad and bits")


@law("creation.new-options", docs="torch.Tensor.new_zeros", over=NEW)
@given(model=tensors(dtype="any"), shape=shapes(), dtype=dtypes("floating"))
def test_new_options(target, case, model, shape, dtype):
    """The methods ``new_*`` take the dtype, device and requires_grad that they are asked for."""
    name, arguments, value = case
    asked = {"dtype": dtype, "device": "cpu", "requires_grad": True}
    result = target.run(name, model, shape, *arguments, **asked)
    check_filled(result, shape, value, dtype)
    found = (result.device, result.requires_grad, result.is_leaf)
    compare.fact(found, (torch.device("cpu"), True, True), "device, requires_grad and is_leaf")


@law("creation.new-sizes", docs="torch.Tensor.new_zeros", over=SIZED)
@given(model=tensors(dtype="any"), shape=shapes())
def test_new_sizes(target, case, model, shape):
    """The methods ``new_*`` take a size as numbers, as a tuple, as a list or as a torch.Size."""
    name, _, value = case
    packed = [(shape,), (list(shape),), (torch.Size(shape),)]
    for size in [*packed, shape] if shape else packed:
        check_filled(target.run(name, model, *size), shape, value, model.dtype)


@law("creation.new-empty-strided", docs="torch.Tensor.new_empty_strided")
@given(owner=tensors(dtype="numeric"), model=tensors(layouts=(*DENSE, "stepped")))
def test_new_empty_strided(target, owner, model):
    """new_empty_strided has the given size and strides, and the dtype of its tensor."""
    name = "torch.Tensor.new_empty_strided"
    result = target.run(name, owner, model.shape, model.stride())
    geometry = strides.Strided(tuple(model.shape), tuple(model.stride()), 0)
    compare.fact(geometry_of(result), geometry, "geometry")
    compare.fact((result.dtype, result.device), (owner.dtype, owner.device), "dtype and device")
    other = target.run(name, owner, model.shape, model.stride(), dtype=model.dtype)
    expected = compare.to_numpy(model)
    compare.equal(other.copy_(model), expected, dtype=model.dtype)


@law("creation.new-tensor", docs="torch.Tensor.new_tensor")
@given(
    owner=tensors(dtype="any", layouts=(*DENSE, "stepped", "expanded")),
    data=tensors(dtype="integral", shape=shapes(min_side=1, max_elements=12)),
    dtype=dtypes(),
)
def test_new_tensor(target, owner, data, dtype):
    """new_tensor makes a tensor of numbers in the dtype and on the device of its tensor.

    Or in the dtype asked for. It copies an array, and a tensor.
    """
    values = np.abs(compare.to_numpy(data).astype(np.int64))
    for keywords, wanted in (({}, owner.dtype), ({"dtype": dtype}, dtype)):
        expected = conversion.convert(values, name_of(wanted))
        result = owner.new_tensor(values.tolist(), **keywords)
        compare.equal(result, expected, dtype=wanted)
        compare.fact((result.device, result.requires_grad), (owner.device, False), "device")
    array = np.array([1, 2, 3])
    copied = owner.new_tensor(array, dtype=torch.int64)
    array += 1
    compare.equal(copied, np.array([1, 2, 3]), dtype=torch.int64, what="copy of an array")
    source = torch.tensor([1, 2, 3], device=owner.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that recommends clone().detach()
        copied = owner.new_tensor(source, dtype=torch.int64)
    source += 1
    compare.equal(copied, np.array([1, 2, 3]), dtype=torch.int64, what="copy of a tensor")


@law("creation.new-tensor-lazy", docs="torch.Tensor.new_tensor")
@given(owner=tensors(dtype="complex", layouts=("contiguous", "conjugated")), part=st.booleans())
def test_new_tensor_lazy(target, owner, part):
    """new_tensor works for a conjugated tensor, and for its imaginary part, as for any other."""
    lazy = owner.conj() if not owner.is_conj() else owner
    lazy = lazy.imag if part else lazy
    compare.equal(lazy.new_tensor([1.0, 2.0]), np.array([1.0, 2.0]), dtype=lazy.dtype)
