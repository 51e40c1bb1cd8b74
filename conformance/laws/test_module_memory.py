"""Memory of modules: parameters as one vector, modules without values, shared or laid out anew."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import hooks
from conformance.target import resolve
from strategies import seeds, tensors
from strategies.layouts import WRITABLE

VECTOR = "torch.nn.utils.parameters_to_vector"
SHAPES = st.lists(st.sampled_from(((2,), (2, 3), (), (1, 2, 2), (0, 2))), min_size=1, max_size=4)


def made(shapes, seed, device, dtype=torch.float64):
    """Parameters of those shapes, with numbers of their own."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator).to(device, dtype))
        for shape in shapes
    ]


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays])


@law("parameter-vectors.flatten", docs=VECTOR)
@given(
    shapes=SHAPES, seed=seeds(), lazily=st.booleans(),
    dtype=st.sampled_from((torch.float64, torch.float32, torch.bfloat16)),
)  # fmt: skip
def test_flatten(target, shapes, seed, lazily, dtype):
    """parameters_to_vector joins the elements of all parameters in a vector of its own memory.

    In the order given, of any iterable. Gradients pass through it to each of them.
    """
    parameters = made(shapes, seed, target.device, dtype)
    values = [compare.to_numpy(parameter) for parameter in parameters]
    given_parameters = iter(parameters) if lazily else parameters
    vector = torch.nn.utils.parameters_to_vector(given_parameters)
    compare.equal(vector, flat(values), dtype=dtype, what="vector")
    weights = torch.arange(1.0, 1 + vector.numel(), dtype=dtype, device=target.device)
    (vector * weights).sum().backward()
    place = 0
    for parameter, value in zip(parameters, values, strict=True):
        expected = np.arange(place + 1.0, place + 1 + value.size).reshape(value.shape)
        compare.equal(parameter.grad, expected, dtype=dtype, what="gradient")
        place += value.size
    vector.detach().fill_(7.0)
    for parameter, value in zip(parameters, values, strict=True):
        compare.unchanged(parameter, value, "parameter after a write to the vector")


@law("parameter-vectors.flatten-strided", docs=VECTOR)
@given(x=tensors(dtype=torch.float64, layouts=WRITABLE))
def test_flatten_strided(target, x):
    """parameters_to_vector takes parameters of any memory format."""
    vector = torch.nn.utils.parameters_to_vector([torch.nn.Parameter(x)])
    compare.equal(vector, compare.to_numpy(x).ravel(), dtype=torch.float64, what="vector")


@law("parameter-vectors.restore", docs="torch.nn.utils.vector_to_parameters")
@given(
    shapes=SHAPES,
    seed=seeds(),
    lazily=st.booleans(),
    flags=st.lists(st.booleans(), min_size=4, max_size=4),
    step=st.integers(1, 2),
)
def test_restore(target, shapes, seed, lazily, flags, step):
    """vector_to_parameters writes the slices of a vector into the parameters, in their order.

    They stay the same parameters, with their shapes, flags and gradients; the vector, which may
    have gaps in memory, stays as it is.
    """
    parameters = made(shapes, seed, target.device)
    first = torch.ones_like(parameters[0])
    parameters[0].grad = first
    for parameter, flag in zip(parameters, flags, strict=False):
        parameter.requires_grad_(flag)
    total = sum(parameter.numel() for parameter in parameters)
    numbers = np.arange(1.0, total + 1) / 8
    memory = torch.tensor(np.repeat(numbers, step), device=target.device, requires_grad=True)
    vector = memory[::step]
    torch.nn.utils.vector_to_parameters(vector, iter(parameters) if lazily else parameters)
    place = 0
    for number, (parameter, shape) in enumerate(zip(parameters, shapes, strict=True)):
        expected = numbers[place : place + parameter.numel()].reshape(shape)
        compare.equal(parameter, expected, dtype=torch.float64, what=f"parameter {number}")
        facts = (parameter.is_leaf, parameter.requires_grad)
        compare.fact(facts, (True, flags[number]), "leaf, requires_grad")
        compare.fact(parameter.grad is (None if number else first), True, "the gradient it had")
        place += parameter.numel()
    compare.unchanged(vector, numbers, "vector")
    back = torch.nn.utils.parameters_to_vector(parameters)
    compare.equal(back, numbers, dtype=torch.float64, what="vector again")
    with compare.raises(TypeError, "expected torch.Tensor"):
        torch.nn.utils.vector_to_parameters(numbers.tolist(), parameters)


@law("parameter-vectors.copies", docs="torch.nn.utils.vector_to_parameters")
@given(shapes=SHAPES, seed=seeds(), backwards=st.booleans())
def test_copies(target, shapes, seed, backwards):
    """vector_to_parameters copies: later writes to the one or the other leave it alone."""
    parameters = made(shapes, seed, target.device)
    total = sum(parameter.numel() for parameter in parameters)
    vector = torch.arange(1.0, total + 1, dtype=torch.float64, device=target.device)
    torch.nn.utils.vector_to_parameters(vector, parameters)
    before = [compare.to_numpy(parameter) for parameter in parameters]
    numbers = compare.to_numpy(vector)
    if backwards:
        with torch.no_grad():
            for parameter in parameters:
                parameter.fill_(-1.0)
        compare.unchanged(vector, numbers, "vector after a write to the parameters")
        return
    vector.fill_(-1.0)
    for parameter, value in zip(parameters, before, strict=True):
        compare.unchanged(parameter, value, "parameter after a write to the vector")


WITHOUT_VALUES = {
    "Linear": ("Linear", (2, 3), {}), "Conv2d": ("Conv2d", (1, 2, 2), {"bias": False}),
    "LayerNorm": ("LayerNorm", (3,), {}), "Embedding": ("Embedding", (3, 2), {}),
    "BatchNorm1d": ("BatchNorm1d", (3,), {}),
    "MultiheadAttention": ("MultiheadAttention", (4, 2), {}),
}  # fmt: skip


@law("module.skip-init", docs="torch.nn.utils.skip_init", over=WITHOUT_VALUES)
@given(seed=seeds(), double=st.booleans())
def test_skip_init(target, case, seed, double):
    """skip_init makes a module without initializing it, which draws no random numbers.

    On the device and in the dtype asked for; it takes a state and computes with it.
    """
    name, arguments, options = case
    dtype = torch.float64 if double else torch.float32
    words = {**options, "device": target.device, "dtype": dtype}
    torch.manual_seed(seed)
    other = resolve(f"torch.nn.{name}")(*arguments, **words)
    before = torch.get_rng_state()
    module = torch.nn.utils.skip_init(resolve(f"torch.nn.{name}"), *arguments, **words)
    compare.fact(torch.equal(torch.get_rng_state(), before), True, "no random number was drawn")
    compare.fact((type(module), module.training), (type(other), True), "class, in training")
    wanted = other.state_dict()
    found = module.state_dict()
    compare.fact(list(found), list(wanted), "names in the state")
    for key, value in found.items():
        kind = (tuple(value.shape), value.dtype, value.device)
        same = (tuple(wanted[key].shape), wanted[key].dtype, wanted[key].device)
        compare.fact(kind, same, f"shape, dtype and device of {key}")
    flags = [p.requires_grad for p in module.parameters()]
    compare.fact(flags, [p.requires_grad for p in other.parameters()], "requires_grad")
    module.load_state_dict(wanted)
    for key, value in module.state_dict().items():
        compare.unchanged(value, compare.to_numpy(wanted[key]), key)


@law("module.set-submodule", docs=f"{hooks.MODULE}set_submodule")
@given(depth=st.integers(1, 3), strict=st.booleans(), fresh=st.booleans())
def test_set_submodule(target, depth, strict, fresh):
    """set_submodule puts a module at a dotted path, in place of the one there or, not strict, anew.

    Its parent has to exist. An empty path, a missing parent and, if strict, a new name are refused.
    """
    top = torch.nn.Module()
    inner = top
    for number in range(depth):
        inner.add_module(f"m{number}", torch.nn.Module())
        inner.add_module("other", torch.nn.Identity())
        inner = getattr(inner, f"m{number}")
    path = [f"m{number}" for number in range(depth)]
    if fresh:
        path[-1] = "fresh"
    name = ".".join(path)
    names = [key for key, _ in top.named_modules()]
    module = torch.nn.Linear(1, 1).eval()
    if fresh and strict:
        with compare.raises(AttributeError, "has no attribute|does not exist|not an attribute"):
            top.set_submodule(name, module, strict=True)
        compare.fact([key for key, _ in top.named_modules()], names, "names after a refusal")
        return
    top.set_submodule(name, module, strict=strict)
    compare.fact(top.get_submodule(name) is module, True, "the module at the path")
    compare.fact((module.training, top.training), (False, True), "in training")
    wanted = sorted([*names, name]) if fresh else sorted(
        key for key in names if not key.startswith(f"{name}.")
    )  # fmt: skip
    compare.fact(sorted(key for key, _ in top.named_modules()), wanted, "names")
    for target_path, error, message in (
        ("", ValueError, "without a target name"),
        (f"nowhere.{name}", AttributeError, "has no attribute"),
    ):  # fmt: skip
        with compare.raises(error, message):
            top.set_submodule(target_path, module)
    compare.fact(sorted(key for key, _ in top.named_modules()), wanted, "names after refusals")


@law("module.share-memory", docs=f"{hooks.MODULE}share_memory")
@given(seed=seeds())
def test_share_memory(target, seed):
    """share_memory moves parameters and buffers to memory that processes can share, in place."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    values = {name: compare.to_numpy(tensor) for name, tensor in held.items()}
    compare.fact(any(tensor.is_shared() for tensor in held.values()), False, "shared before")
    returned = module.share_memory()
    compare.fact(returned is module, True, "returns the module")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        compare.fact((tensor is held[name], tensor.is_shared()), (True, True), f"{name} is shared")
        compare.unchanged(tensor, values[name], name)
