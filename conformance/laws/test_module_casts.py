"""Conversion of modules: dtype, device and memory format of what they hold, all in place."""

import warnings
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import modules as model
from conformance.scenarios import hooks, registration
from strategies import dtypes, tensors

FLOATING = "floating"
NUMBERS = "floating or complex"
EVERYTHING = "everything"
# The call on a module m, what it converts, and the dtypes d that it may be called with; t is a
# tensor of dtype d on the module's device v.
CASTS = {
    "to-dtype": ("m.to(d)", NUMBERS, "differentiable"),
    "to-dtype-by-name": ("m.to(dtype=d)", NUMBERS, "floating"),
    "to-device-dtype": ("m.to(v, d)", NUMBERS, "differentiable"),
    "to-device-dtype-by-name": ("m.to(device=v, dtype=d, non_blocking=True)", NUMBERS, "floating"),
    "to-tensor": ("m.to(t)", NUMBERS, "differentiable"),
    "type": ("m.type(d)", EVERYTHING, "differentiable"),
    "double": ("m.double()", FLOATING, torch.float64),
    "float": ("m.float()", FLOATING, torch.float32),
    "half": ("m.half()", FLOATING, torch.float16),
    "bfloat16": ("m.bfloat16()", FLOATING, torch.bfloat16),
    "to-device": ("m.to(v)", "nothing", torch.float32),
    "to-nothing": ("m.to()", "nothing", torch.float32),
}


def kind_of(case):
    """The dtypes that a conversion is asked for."""
    return dtypes(case[2]) if isinstance(case[2], str) else st.just(case[2])


def page_of(case):
    """The documentation of a conversion."""
    return hooks.MODULE + case[0].partition("m.")[2].partition("(")[0]


def is_converted(dtype, kind):
    """Whether tensors of a dtype are among those converted."""
    return {
        FLOATING: dtype.is_floating_point,
        NUMBERS: dtype.is_floating_point or dtype.is_complex,
        EVERYTHING: True,
    }.get(kind, False)


def converted(text, module, dtype, device):
    """Call a conversion; a warning that imaginary parts are lost, or new features, is no matter."""
    tensor = torch.zeros(2, dtype=dtype, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, {"m": module, "d": dtype, "t": tensor, "v": device, "torch": torch})


def with_gradients(state, missing):
    """Give every parameter that can have one a gradient of its values, but for one."""
    for label, tensor in state.held.items():
        if label.startswith("p") and tensor.dtype != torch.int64 and label != f"p{missing}":
            tensor.grad = torch.full_like(tensor, 3.0, requires_grad=False)


@law("module.cast", docs=page_of, over=CASTS)
@given(
    steps=registration.programs(),
    root=st.integers(0, 1),
    kind=kind_of,
    missing=st.integers(0, 4),
    frozen=st.integers(0, 3),
)
def test_cast(target, case, steps, root, kind, missing, frozen):
    """A conversion gives each tensor it is for, of a module and below, the dtype, in place.

    ``to`` converts floating and complex ones, ``type`` all, ``double`` and its like floating ones.
    Parameters stay the same objects, with their flags, and shared; their gradients are converted
    with them; names stay, buffers that do not persist are converted too. It returns the module.
    """
    text, family, _ = case
    state = registration.built(steps, target.device)
    state.held[f"p{frozen}"].requires_grad_(False)
    with_gradients(state, missing)
    before = registration.values_of(state)
    flags = {k: t.requires_grad for k, t in state.held.items() if isinstance(t, torch.Tensor)}
    were = {k: t.dtype for k, t in state.held.items() if isinstance(t, torch.Tensor)}
    module, node = state.modules[root], state.nodes[root]
    returned = converted(text, module, kind, target.device)
    compare.fact(returned is module, True, "returns the module")
    reached = {label for _, label in model.named_tensors(node, "parameters")}
    for label, was in were.items():
        if label.startswith("b"):
            continue
        parameter, inside = state.held[label], label in reached and is_converted(was, family)
        wanted = kind if inside else was
        compare.equal(parameter, before[label], dtype=wanted, what=label)
        compare.fact(parameter.requires_grad, flags[label], f"{label} requires grad")
        compare.fact(parameter.is_leaf, True, f"{label} is a leaf")
        if was == torch.int64 or label == f"p{missing}":
            compare.fact(parameter.grad, None, f"gradient of {label}")
        else:
            three = registration.full(parameter, 3)
            compare.equal(parameter.grad, three, dtype=wanted, what=f"gradient of {label}")
    everywhere: dict[str, Any] = {"remove_duplicate": False}
    same = state.labels(module.named_parameters(**everywhere))
    compare.fact(same, model.named_tensors(node, "parameters", **everywhere), "parameters")
    pairs = model.named_tensors(node, "buffers", **everywhere)
    buffers = list(module.named_buffers(**everywhere))
    compare.fact([name for name, _ in buffers], [name for name, _ in pairs], "names of buffers")
    for (name, buffer), (_, label) in zip(buffers, pairs, strict=True):
        wanted = kind if is_converted(were[label], family) else were[label]
        compare.equal(buffer, before[label], dtype=wanted, what=f"buffer {name}")
    names = [name for name, _ in model.state(node)]
    compare.fact(list(module.state_dict()), names, "names in the state")


FORMATS = {"channels_last": 4, "channels_last_3d": 5}


@law("module.memory-format", docs=f"{hooks.MODULE}to", over=FORMATS)
@given(
    shapes=st.lists(
        st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3, unique=True
    ),
    sides=st.lists(st.integers(1, 3), min_size=5, max_size=5).map(tuple),
    kind=st.sampled_from((None, torch.float64)),
)
def test_memory_format(target, case, shapes, sides, kind):
    """to(memory_format=) lays parameters and buffers of four dimensions so, or of five, no others.

    Values stay, and names, and which are parameters.
    """
    module, child = torch.nn.Module(), torch.nn.Module()
    module.child = child
    every = [*shapes, sides[:case]]
    for number, shape in enumerate(every):
        values = torch.arange(float(np.prod(shape)), device=target.device).reshape(shape)
        child.register_parameter(f"p{number}", torch.nn.Parameter(values))
        child.register_buffer(f"b{number}", values.clone(), persistent=number > 0)
    before = {
        name: tensor.clone() for name, tensor in [*child.named_parameters(), *child.named_buffers()]
    }
    names = list(module.state_dict())
    layout = torch.channels_last if case == 4 else torch.channels_last_3d
    words = {"memory_format": layout} | ({} if kind is None else {"dtype": kind})
    compare.fact(module.to(**words) is module, True, "returns the module")
    for name, tensor in [*child.named_parameters(), *child.named_buffers()]:
        was = before[name]
        compare.equal(tensor, compare.to_numpy(was), dtype=kind or torch.float32, what=name)
        if was.dim() == case:
            compare.fact(tensor.is_contiguous(memory_format=layout), True, f"{name} lies so")
        else:
            compare.fact(tensor.stride(), was.stride(), f"strides of {name}")
    compare.fact(list(module.state_dict()), names, "names in the state")


@law("module.to-meta", docs=f"{hooks.MODULE}to")
@given(steps=registration.programs(), root=st.integers(0, 1), frozen=st.integers(0, 3))
def test_to_meta(target, steps, root, frozen):
    """to(device=) moves every parameter and buffer, integral ones too, and keeps its dtype.

    Shapes, flags and names stay. What is not below the module stays where it is.
    """
    state = registration.built(steps, target.device)
    state.held[f"p{frozen}"].requires_grad_(False)
    module, node = state.modules[root], state.nodes[root]
    returned = module.to(device="meta")
    compare.fact(returned is module, True, "returns the module")
    for kind in ("parameters", "buffers"):
        wanted = model.named_tensors(node, kind, remove_duplicate=False)
        found = list(getattr(module, f"named_{kind}")(remove_duplicate=False))
        compare.fact([name for name, _ in found], [name for name, _ in wanted], f"names of {kind}")
        for (name, got), (_, label) in zip(found, wanted, strict=True):
            number = int(label[1:])
            table = registration.PARAMETERS if kind == "parameters" else registration.BUFFERS
            shape, dtype = table[number]
            flag = kind == "parameters" and dtype != torch.int64 and number != frozen
            has = (got.device.type, tuple(got.shape), got.dtype, got.requires_grad)
            compare.fact(has, ("meta", shape, dtype, flag), f"device, shape, dtype, flag of {name}")
    outside = [state.nodes[n] for n in range(root)]
    for other in outside:
        for name, held in other.buffers.items():
            if held is not None:
                buffer = getattr(state.modules[int(other.label[1:])], name)
                compare.fact(buffer.device.type, target.device.type, "device of a buffer outside")


@law("module.to-empty", docs=f"{hooks.MODULE}to_empty")
@given(value=tensors(dtype="real"), recurse=st.booleans(), frozen=st.booleans())
def test_to_empty(target, value, recurse, frozen):
    """to_empty gives every parameter and buffer memory on a device, below the module if recurse.

    Of the same shape and dtype, with the flags and names as they were. It returns the module.
    """
    root, child = torch.nn.Module(), torch.nn.Module()
    root.child = child
    for module in (root, child):
        module.weight = torch.nn.Parameter(torch.ones(2, 3, device="meta"), not frozen)
        module.register_buffer("kept", torch.empty_like(value, device="meta"))
        module.register_buffer("scratch", torch.ones(1, device="meta"), persistent=False)
    names = list(root.state_dict())
    returned = root.to_empty(device=target.device, recurse=recurse)
    compare.fact(returned is root, True, "returns the module")
    for module, moved in ((root, True), (child, recurse)):
        device = target.device.type if moved else "meta"
        for tensor, like in ((module.weight, torch.ones(2, 3)), (module.kept, value)):
            has = (tensor.device.type, tensor.shape, tensor.dtype)
            compare.fact(has, (device, like.shape, like.dtype), "device, shape, dtype")
        compare.fact(module.scratch.device.type, device, "device of a buffer that does not persist")
        compare.fact(type(module.weight), torch.nn.Parameter, "type of the weight")
        compare.fact(module.weight.requires_grad, not frozen, "requires grad")
        if moved:
            torch.nn.init.constant_(module.get_parameter("weight"), 2.0)
            compare.equal(module.weight, np.full((2, 3), 2.0), dtype=torch.float32, what="written")
    compare.fact(list(root.state_dict()), names, "names in the state")


@law("module.cast-overwrites", docs="future_mod.html")
@given(value=tensors(dtype=torch.float64), graded=st.booleans(), flag=st.booleans())
def test_cast_overwrites(target, value, graded, flag):
    """Conversion assigns new parameters if set_overwrite_module_params_on_conversion(True) says so.

    The former ones, and their gradients, stay as they were. By default it is False.
    """
    compare.fact(torch.__future__.get_overwrite_module_params_on_conversion(), False, "default")
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(value.clone(), flag)
    module.weight.grad = torch.full_like(value, 3.0) if graded else None
    former, values = module.weight, compare.to_numpy(value)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        module.float()
        told = torch.__future__.get_overwrite_module_params_on_conversion()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    compare.fact(told, True, "what get_overwrite_module_params_on_conversion tells")
    compare.fact(module.weight is former, False, "the same parameter")
    compare.fact(type(module.weight), torch.nn.Parameter, "type of the new parameter")
    compare.fact(module.weight.requires_grad, flag, "new parameter requires grad")
    for parameter, dtype in ((former, torch.float64), (module.weight, torch.float32)):
        compare.equal(parameter, values, dtype=dtype, what="parameter")
        if graded:
            three = np.full(values.shape, 3.0)
            compare.equal(parameter.grad, three, dtype=dtype, what="gradient")
        else:
            compare.fact(parameter.grad, None, "gradient")
