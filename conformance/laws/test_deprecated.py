"""Deprecated spellings: what torch advises against goes on working as it did, and mostly warns."""

import warnings
from contextlib import contextmanager

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import tensors

# The call as it was, with factors before what they multiply, and as it is; both in float64.
POSITIONAL = {
    "add": ("torch.add(x, 0.5, y)", "torch.add(x, y, alpha=0.5)"),
    "sub": ("torch.sub(x, 0.5, y)", "torch.sub(x, y, alpha=0.5)"),
    "add_": ("x.clone().add_(0.5, y)", "x.clone().add_(y, alpha=0.5)"),
    "addcmul": ("torch.addcmul(x, 0.5, y, z)", "torch.addcmul(x, y, z, value=0.5)"),
    "addcmul_": ("x.clone().addcmul_(0.5, y, z)", "x.clone().addcmul_(y, z, value=0.5)"),
    "addcdiv": ("torch.addcdiv(x, 0.5, y, z)", "torch.addcdiv(x, y, z, value=0.5)"),
    "addcdiv_": ("x.clone().addcdiv_(0.5, y, z)", "x.clone().addcdiv_(y, z, value=0.5)"),
    "addmm": (
        "torch.addmm(2.0, x, 0.5, y, z)", "torch.addmm(x, y, z, beta=2.0, alpha=0.5)"),
}  # fmt: skip
VALUES = {
    "add": "x + 0.5 * y",
    "sub": "x - 0.5 * y",
    "add_": "x + 0.5 * y",
    "addcmul": "x + 0.5 * y * z",
    "addcmul_": "x + 0.5 * y * z",
    "addcdiv": "x + 0.5 * y / z",
    "addcdiv_": "x + 0.5 * y / z",
    "addmm": "2.0 * x + 0.5 * (y @ z)",
}
SPELLED = {name: (*texts, VALUES[name]) for name, texts in POSITIONAL.items()}
SCRIPTED = {"script": "torch.jit.script", "trace": "torch.jit.trace"}


def compiled_from(case, module, tensor):
    """The arguments of torch.jit.script or torch.jit.trace."""
    return (module, tensor) if case.endswith("trace") else (module,)


@contextmanager
def every_warning():
    """Collect warnings, those too that torch gives once in a process."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        torch.set_warn_always(always)


@law("deprecated.positional-number", docs="torch.addcdiv", level="should", over=SPELLED)
@given(x=tensors(dtype=torch.float64, shape=(2, 2)), y=tensors(dtype=torch.float64, shape=(2, 2)))
def test_positional_number(target, case, x, y):
    """A factor before the tensors that it multiplies is taken as by name, with a warning.

    By name it gives none. The divisor is a power of 2: everything is exact.
    """
    former, present, in_numpy = case
    z = torch.tensor([[1.0, 2.0], [4.0, 0.5]], dtype=torch.float64, device=target.device)
    names = {"torch": torch, "x": x, "y": y, "z": z}
    arrays = {name: compare.to_numpy(names[name]) for name in "xyz"}
    with every_warning() as caught:
        by_name = eval(present, names)
    compare.fact([str(w.message) for w in caught], [], "warnings by name")
    with every_warning() as caught:
        by_position = eval(former, names)
    told = [str(w.message) for w in caught if "is deprecated" in str(w.message)]
    compare.fact(len(told), 1, "warnings by position")
    expected = eval(in_numpy, arrays)
    compare.close(by_name, expected, bound=0.0, dtype=torch.float64, what="by name")
    compare.close(by_position, expected, bound=0.0, dtype=torch.float64, what="by position")


@law("deprecated.variable", docs="autograd.html#variable-deprecated")
@given(tensor=tensors(dtype="differentiable"))
def test_variable(target, tensor):
    """Variable(tensor) returns a tensor that shares memory, and every tensor is a Variable.

    "Variable(tensor) and Variable(tensor, requires_grad) still work as expected, but they return
    Tensors instead of Variables." The tensor itself keeps its flag.
    """
    before = compare.to_numpy(tensor)
    for flag in (False, True):
        made = torch.autograd.Variable(tensor, requires_grad=flag)
        compare.fact(type(made), torch.Tensor, "type")
        compare.fact((made.requires_grad, made.is_leaf), (flag, True), "requires_grad, is_leaf")
        compare.fact(made.data_ptr(), tensor.data_ptr(), "data_ptr")
        compare.unchanged(made.detach(), before, "Variable")
        compare.fact(isinstance(made, torch.autograd.Variable), True, "a tensor is a Variable")
    compare.fact(tensor.requires_grad, False, "requires_grad of the tensor")


@law("deprecated.script", docs="jit.html", level="should", over=SCRIPTED)
@given(tensor=tensors(dtype=torch.float32))
def test_script(target, case, tensor):
    """A module that was scripted or traced gives what it gives.

    "TorchScript is deprecated, please use torch.compile or torch.export instead."
    """
    module = torch.nn.Softshrink(0.5)
    compiled = resolve(case)(*compiled_from(case, module, tensor))
    values = compare.to_numpy(tensor)
    expected = np.where(values > 0.5, values - 0.5, np.where(values < -0.5, values + 0.5, 0.0))
    compare.close(compiled(tensor), expected, bound=0.0, dtype=torch.float32, what="compiled")


@law("deprecated.script-warns", docs="jit.html", level="should", over=SCRIPTED, since="2.10")
@given(tensor=tensors(dtype=torch.float32))
def test_script_warns(target, case, tensor):
    """Scripting or tracing a module warns that it is deprecated.

    By DeprecationWarning; from 2.14 on by FutureWarning, which Python shows by default.
    """
    with every_warning() as caught:
        resolve(case)(*compiled_from(case, torch.nn.Softshrink(0.5), tensor))
    told = [w for w in caught if f"`{case}` is deprecated" in str(w.message)]
    kinds = {w.category for w in told}
    compare.fact(bool(kinds), True, "warned of deprecation")
    compare.fact(kinds <= {DeprecationWarning, FutureWarning}, True, "a warning of deprecation")
