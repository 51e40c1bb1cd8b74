"""Devices and types of tensors by name, what may not be mixed, and what of elsewhere is taken."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import shapes, tensors

NAMES = ("cpu", "cuda", "mps", "xpu", "meta", "hip", "mkldnn")
ACROSS = "notes/cuda.html"
TYPES = {
    "float32": (torch.float32, "Float"),
    "float64": (torch.float64, "Double"),
    "float16": (torch.float16, "Half"),
    "bfloat16": (torch.bfloat16, "BFloat16"),
    "uint8": (torch.uint8, "Byte"),
    "int8": (torch.int8, "Char"),
    "int16": (torch.int16, "Short"),
    "int32": (torch.int32, "Int"),
    "int64": (torch.int64, "Long"),
    "bool": (torch.bool, "Bool"),
    "complex64": (torch.complex64, "ComplexFloat"),
    "complex128": (torch.complex128, "ComplexDouble"),
}
CLASSES = {name: named for name, named in TYPES.items() if "complex" not in name}
# An operation on x and y, matrices of two rows, and what it is to x and y in NumPy.
MIXED = {
    "add": ("torch.add(x, y)", "x + y"),
    "mul": ("torch.mul(x, y)", "x * y"),
    "maximum": ("torch.maximum(x, y)", "np.maximum(x, y)"),
    "eq": ("torch.eq(x, y)", "x == y"),
    "where": ("torch.where(x > 0, x, y)", "np.where(x > 0, x, y)"),
    "cat": ("torch.cat([x, y])", "np.concatenate([x, y])"),
    "dot": ("torch.dot(x[0], y[0])", "x[0] @ y[0]"),
    "addcmul": ("torch.addcmul(x, y, y)", "x + y * y"),
    "mse_loss": (
        "torch.nn.functional.mse_loss(x, y, reduction='none')", "(x - y) ** 2"),
    "add_": ("x.clone().add_(y)", "x + y"),
    "mm": ("torch.mm(x, y)", "x @ y"),
    "embedding": (
        "torch.nn.functional.embedding((y * 0).long(), x)", "x[(y * 0).astype(int)]"),
}  # fmt: skip
WITH_NUMBER = {
    "add": ("torch.add", np.add),
    "mul": ("torch.mul", np.multiply),
    "maximum": ("torch.maximum", np.maximum),
    "ge": ("torch.ge", np.greater_equal),
    "sub": ("torch.sub", np.subtract),
}
REFUSING = {
    "add": ("torch.add", 2),
    "matmul": ("torch.matmul", 2),
    "cat": ("torch.cat", 0),
    "sum": ("torch.sum", 1),
    "relu": ("torch.relu", 1),
}


@law("devices.repr", docs="tensor_attributes.html#torch-device")
@given(kind=st.sampled_from(NAMES), index=st.one_of(st.none(), st.integers(0, 12)))
def test_repr(target, kind, index):
    """A device shows its type, and its index if it has one; its repr and its text name it again.

    A device without an index is none with one.
    """
    place = "" if index is None else f", index={index}"
    text = kind if index is None else f"{kind}:{index}"
    device = torch.device(text)
    compare.fact(repr(device), f"device(type='{kind}'{place})", "repr")
    compare.fact(str(device), text, "str")
    compare.fact((device.type, device.index), (kind, index), "type and index")
    arguments = (kind,) if index is None else (kind, index)
    rebuilt = eval(repr(device), {"device": torch.device})
    same = [rebuilt == device, torch.device(*arguments) == device, hash(rebuilt) == hash(device)]
    compare.fact(same, [True, True, True], "equal when rebuilt, by its parts, hash")
    compare.fact(device == torch.device(kind), index is None, "equals the one without index")


@law("devices.type-name", docs="torch.Tensor.type", over=TYPES)
@given(shape=shapes())
def test_type_name(target, case, shape):
    """type without arguments names device and dtype; the name stands for the dtype as argument."""
    dtype, name = case
    device = "" if target.device.type == "cpu" else f".{target.device.type}"
    tensor = torch.zeros(shape, dtype=dtype, device=target.device)
    found = torch.Tensor.type(tensor)
    compare.fact(found, f"torch{device}.{name}Tensor", "type")
    other = torch.ones(shape, dtype=torch.float32, device=target.device)
    cast = torch.Tensor.type(other, found)
    compare.fact((cast.dtype, tuple(cast.shape)), (dtype, shape), "dtype and shape")


@law("devices.type-classes", docs="tensors.html", level="should", over=CLASSES)
@given(shape=shapes())
def test_type_classes(target, case, shape):
    """The type of a tensor is a class in torch, and under the same name in torch.cuda.

    A tensor is an instance of the class of its own dtype and device, and of no other's.
    """
    dtype, name = case
    tensor = torch.zeros(shape, dtype=dtype, device=target.device)
    on_cpu, on_cuda = getattr(torch, f"{name}Tensor"), getattr(torch.cuda, f"{name}Tensor")
    compare.fact((on_cpu.__name__, on_cuda.__name__), (f"{name}Tensor",) * 2, "names")
    compare.fact((on_cpu.dtype, on_cuda.dtype), (dtype, dtype), "dtypes")
    here = target.device.type
    for kind, place in ((on_cpu, "cpu"), (on_cuda, "cuda")):
        compare.fact(isinstance(tensor, kind), here == place, f"instance of the class for {place}")
    other = "Short" if name == "Float" else "Float"
    compare.fact(isinstance(tensor, getattr(torch, f"{other}Tensor")), False, "of another class")


@law("devices.type-rejected", docs="torch.Tensor.type", level="should")
@given(tensor=tensors())
def test_type_rejected(target, tensor):
    """type rejects a text that names no type of tensors."""
    legal = torch.Tensor.type(tensor, torch.Tensor.type(tensor))
    compare.fact(legal is tensor, True, "returns self for its own type")
    with compare.raises(ValueError, "invalid type"):
        torch.Tensor.type(tensor, "torch.NonsenseTensor")


@law("devices.mixed", docs=ACROSS, level="should", over=MIXED)
@given(
    x=tensors(dtype=torch.float64, shape=(2, 2)),
    y=tensors(dtype=torch.float64, shape=(2, 2)),
    swapped=st.booleans(),
)
def test_mixed(target, case, x, y, swapped):
    """An operation on tensors of two devices raises, whichever of them comes first.

    Here of the target's device and meta. "Any attempts to launch ops on tensors spread across
    different devices will raise an error."
    """
    expression, in_numpy = case
    names = {"torch": torch, "x": x, "y": y}
    arrays = {"np": np, "x": compare.to_numpy(x), "y": compare.to_numpy(y)}
    expected = np.asarray(eval(in_numpy, arrays), dtype=np.float64)
    compare.close(eval(expression, names).double(), expected, bound=0.0, dtype=torch.float64)
    moved = "x" if swapped else "y"
    names[moved] = torch.Tensor.to(names[moved], "meta")
    with compare.raises(RuntimeError, "on the same device|on the expected device"):
        eval(expression, names)


@law("devices.number-from-cpu", docs=ACROSS, level="should", over=WITH_NUMBER)
@given(
    tensor=tensors(dtype=torch.float64),
    number=st.sampled_from((-1.5, 0.25, 2.0)),
    swapped=st.booleans(),
)
def test_number_from_cpu(target, case, tensor, number, swapped):
    """A tensor of rank 0 on the CPU may be combined with tensors of any device, in any order.

    The result is where the other one is; the other way round, on the CPU with a number from
    elsewhere, it raises.
    """
    name, in_numpy = case
    scalar = torch.tensor(number, dtype=torch.float64, device="cpu")
    values = compare.to_numpy(tensor)
    order = slice(None, None, -1 if swapped else 1)
    pair, arrays = (tensor, scalar)[order], (values, number)[order]
    result = resolve(name)(*pair)
    expected = np.asarray(in_numpy(*arrays), dtype=np.float64)
    compare.close(result.double(), expected, bound=0.0, dtype=torch.float64)
    compare.fact(result.device, tensor.device, "device")
    lifted = [t if t is scalar else torch.Tensor.to(t, "meta") for t in pair]
    on_meta = resolve(name)(*lifted)
    found = (on_meta.device.type, tuple(on_meta.shape), on_meta.dtype)
    compare.fact(found, ("meta", tuple(tensor.shape), result.dtype), "device, shape and dtype")
    row = torch.ones(2, dtype=torch.float64, device="cpu")
    with compare.raises(RuntimeError, "on the same device|on the expected device"):
        resolve(name)(row, torch.Tensor.to(scalar, "meta"))


@law("devices.not-a-tensor", docs="tensor_attributes.html#torch-device", over=REFUSING)
@given(tensor=tensors(dtype=torch.float64, shape=(2, 2)))
def test_not_a_tensor(target, case, tensor):
    """A device is no tensor: functions of tensors raise TypeError for it, and so does calling it.

    It is what ``to`` takes, which then returns a tensor.
    """
    name, count = case
    device = tensor.device
    compare.fact(torch.Tensor.to(tensor, device) is tensor, True, "to its own device returns self")
    function = resolve(name)
    legal = [tensor] * count if count else [[tensor, tensor]]
    compare.fact(isinstance(function(*legal), torch.Tensor), True, "result of tensors")
    for place in range(len(legal)):
        given_to = list(legal)
        given_to[place] = device if count else [tensor, device]
        with compare.raises(TypeError, "torch.device"):
            function(*given_to)
    with compare.raises(TypeError, "not callable"):
        device(tensor)
