"""torch.tensor: its options, and what it is not made of."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import arrays, shapes, tensors


def numbers(array):
    return [array.tolist(), tuple(array.tolist()), array, range(3)]


def as_set(array):
    return set(array.tolist())


def as_generator(array):
    return iter(array.tolist())


def as_dictionary(array):
    return dict(enumerate(array.tolist()))


def as_text(array):
    return str(array)


def nothing(array):
    return None


def reversed_array(array):
    return array[::-1]


def swapped_bytes(array):
    return array.astype(array.dtype.newbyteorder())


def objects(array):
    return array.astype(object)


def vectors(array):
    return [torch.tensor(array), torch.tensor(array)]


class OnlyAnArray:
    """What NumPy can make an array of, without being a sequence."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


UNFIT = {
    "set": (as_set, RuntimeError, "Could not infer dtype of set"),
    "generator": (as_generator, RuntimeError, "Could not infer dtype of"),
    "dictionary": (as_dictionary, RuntimeError, "Could not infer dtype of dict"),
    "text": (as_text, TypeError, "invalid data type 'str'"),
    "none": (nothing, RuntimeError, "Could not infer dtype of NoneType"),
    "array-protocol": (OnlyAnArray, RuntimeError, "Could not infer dtype of"),
    "reversed": (reversed_array, ValueError, "negative"),
    "byte-order": (swapped_bytes, ValueError, "byte order"),
    "objects": (objects, TypeError, "can't convert np.ndarray of type"),
    "vectors": (vectors, Exception, "single element|only one element"),
}


@law("creation.tensor-rejected", docs="torch.tensor", level="should", over=UNFIT)
@given(data=arrays(shape=(3,)))
def test_tensor_rejected(target, case, data):
    """tensor rejects what is no sequence or array that it knows, and arrays that it cannot read.

    Sequences of numbers, ranges among them, and arrays it takes.
    """
    spoil, error, message = case
    for legal in numbers(data):
        result = torch.tensor(legal, dtype=torch.float64, device=target.device)
        compare.equal(result, np.array(legal, dtype=np.float64), dtype=torch.float64)
    with compare.raises(error, message):
        torch.tensor(spoil(data), device=target.device)


@law("creation.tensor-options", docs="torch.tensor")
@given(
    data=tensors(dtype="any", shape=shapes(min_side=1, max_elements=12)),
    default=st.sampled_from((torch.float32, torch.float64)),
)
def test_tensor_options(target, data, default):
    """tensor's options default to dtype=None, device=None, requires_grad=False, pin_memory=False.

    Each of them given as that is as good as left out: the dtype inferred, the default device.
    """
    listed = data.tolist()
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        with torch.device(target.device):
            plain = torch.tensor(listed)
            asked = [
                torch.tensor(listed, dtype=None),
                torch.tensor(listed, device=None),
                torch.tensor(listed, requires_grad=False),
                torch.tensor(listed, pin_memory=False),
            ]
    finally:
        torch.set_default_dtype(before)
    expected = compare.to_numpy(plain)
    for result in (plain, *asked):
        compare.equal(result, expected, dtype=plain.dtype)
        found = (result.device, result.requires_grad, result.is_pinned())
        compare.fact(found, (target.device, False, False), "device, requires_grad, is_pinned")


@law("creation.tensor-pinned", docs="torch.tensor", level="should")
@given(data=tensors(dtype="any", shape=shapes(min_side=1, max_elements=12)))
def test_tensor_pinned(target, data):
    """tensor with pin_memory=True is in pinned memory, and an error where no accelerator is.

    Always on the CPU, whose memory alone is pinned.
    """
    listed = data.tolist()
    plain = torch.tensor(listed, device="cpu", dtype=data.dtype)
    compare.equal(plain, compare.to_numpy(data), dtype=data.dtype)
    if torch.accelerator.is_available():
        pinned = torch.tensor(listed, device="cpu", dtype=data.dtype, pin_memory=True)
        compare.fact(pinned.is_pinned(), True, "pinned")
        compare.equal(pinned, compare.to_numpy(data), dtype=data.dtype)
    else:
        with compare.raises(RuntimeError, "accelerator|CUDA|NVIDIA"):
            torch.tensor(listed, device="cpu", dtype=data.dtype, pin_memory=True)
