"""The class torch.Tensor and uninitialised memory: what is made without values being asked for."""

import itertools
from contextlib import contextmanager

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import memory
from conformance.target import resolve
from strategies import dtypes, shapes, tensors

CLASS = "tensors.html#torch.Tensor"
UNINITIALISED = {
    "empty": "torch.empty",
    "empty_strided": "torch.empty_strided",
    "empty_permuted": "torch.empty_permuted",
    "empty_like": "torch.empty_like",
}


@contextmanager
def filling(deterministic):
    """Turn deterministic algorithms, which fill uninitialised memory, on or off for a block."""
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    setting = "fill_uninitialized_memory"
    fills = getattr(torch.utils.deterministic, setting)
    torch.use_deterministic_algorithms(deterministic)
    setattr(torch.utils.deterministic, setting, True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        setattr(torch.utils.deterministic, setting, fills)


def made(name, model):
    """An uninitialised tensor of the model's size, dtype and device."""
    place = {"dtype": model.dtype, "device": model.device}
    if name == "torch.empty_strided":
        steps = itertools.accumulate((1, *model.shape[:0:-1]), lambda a, b: a * b)
        return resolve(name)(model.shape, tuple(steps)[: model.dim()][::-1], **place)
    if name == "torch.empty_permuted":
        return resolve(name)(model.shape, tuple(range(model.dim()))[::-1], **place)
    if name == "torch.empty_like":
        return resolve(name)(model)
    return resolve(name)(model.shape, **place)


@law("creation.class", docs=CLASS, level="should")
@given(model=tensors(dtype="any"))
def test_class(target, model):
    """Every tensor is of the class torch.Tensor; torch.tensor is a function, and no class."""
    compare.fact(isinstance(torch.Tensor, type), True, "torch.Tensor is a class")
    compare.fact(isinstance(torch.tensor, type), False, "torch.tensor is a class")
    made_of_list = torch.tensor(model.tolist(), device=target.device)
    sparse = torch.zeros(2, layout=torch.sparse_coo, device=target.device)
    for tensor in (model, made_of_list, model[None], sparse):
        compare.fact(type(tensor), torch.Tensor, "class of a tensor")


@law("creation.legacy-tensor", docs=CLASS, level="should")
@given(model=tensors(dtype="any", layouts=("contiguous", "transposed", "offset", "stepped")))
def test_legacy_tensor(target, model):
    """torch.Tensor of a tensor is an alias of it: its dtype, not the default one, and its memory.

    For a tensor on the CPU.
    """
    host = model.cpu()
    geometry, values = memory.geometry_of(host), compare.to_numpy(host)
    result = torch.Tensor(host)
    compare.fact(result is host, False, "returns its argument")
    compare.equal(result, values, dtype=model.dtype)
    compare.fact(memory.geometry_of(result), geometry, "geometry")
    memory.check_shares(result, host, True)


@law("creation.legacy-shape", docs=CLASS, level="should")
@given(shape=shapes(min_rank=1), default=dtypes("floating"))
def test_legacy_shape(target, shape, default):
    """torch.Tensor takes a torch.Size for the size, and a tuple or list of numbers for the data.

    In the default dtype, whichever it is.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        sized = torch.Tensor(torch.zeros(shape).size())
        listed = [torch.Tensor(numbers) for numbers in (shape, list(shape))]
    finally:
        torch.set_default_dtype(before)
    compare.fact((tuple(sized.shape), sized.dtype), (shape, default), "shape and dtype of a Size")
    for result in listed:
        compare.equal(result, np.array(shape, dtype=np.float64), dtype=default)


@law("creation.uninitialised", docs="torch.empty", over=UNINITIALISED)
@given(model=tensors(dtype="any", layouts=("contiguous",)))
def test_uninitialised(target, case, model):
    """Uninitialised memory is no random numbers: to leave it so draws from no generator.

    Size and dtype are those asked for.
    """
    with filling(deterministic=False):
        state = torch.get_rng_state()
        result = made(case, model)
    compare.fact(torch.equal(torch.get_rng_state(), state), True, "the generator's state stays")
    found = (result.shape, result.dtype, result.device)
    compare.fact(found, (model.shape, model.dtype, model.device), "shape, dtype and device")


@law(
    "creation.uninitialised-filled",
    docs="deterministic.html#torch.utils.deterministic.fill_uninitialized_memory",
    over=UNINITIALISED,
)
@given(model=tensors(dtype="numeric", layouts=("contiguous",)))
def test_uninitialised_filled(target, case, model):
    """With deterministic algorithms, memory that would be uninitialised is filled.

    With nan if it is floating or complex, with the greatest number of the dtype if integral.
    """
    with filling(deterministic=True):
        result = made(case, model)
    found = (result.shape, result.dtype, result.device)
    compare.fact(found, (model.shape, model.dtype, model.device), "shape, dtype and device")
    values = compare.to_numpy(result)
    if model.dtype.is_floating_point or model.dtype.is_complex:
        compare.every(np.isnan(values), result, "nan")
    else:
        compare.every(values == torch.iinfo(model.dtype).max, result, "the greatest number")
