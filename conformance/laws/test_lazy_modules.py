"""Lazy modules: parameters without a shape until the first call, and ordinary ones afterwards."""

import copy
from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import seeds

PAGE = "torch.nn.modules.lazy.LazyModuleMixin"
PARAMETER = "torch.nn.parameter.UninitializedParameter"
# Of each lazy module: its arguments, those of the module that it becomes, the shape of an input.
LAZY = {
    "Linear": ((3,), (4, 3), (2, 4)),
    "Conv1d": ((3, 2), (4, 3, 2), (1, 4, 3)),
    "Conv2d": ((4, 2, 1, 0, 1, 2), (2, 4, 2, 1, 0, 1, 2), (1, 2, 3, 2)),
    "Conv3d": ((2, 1), (3, 2, 1), (1, 3, 1, 2, 1)),
    "ConvTranspose1d": ((3, 2), (4, 3, 2), (1, 4, 3)),
    "ConvTranspose2d": ((2, 2, 1, 0, 0, 2), (4, 2, 2, 1, 0, 0, 2), (1, 4, 2, 2)),
    "ConvTranspose3d": ((2, 1), (3, 2, 1), (1, 3, 1, 2, 1)),
    "BatchNorm1d": ((0.5,), (3, 0.5), (2, 3)),
    "BatchNorm2d": ((), (3,), (2, 3, 2, 1)),
    "BatchNorm3d": ((), (2,), (2, 2, 1, 2, 1)),
    "InstanceNorm1d": ((0.5, 0.1, True, False), (3, 0.5, 0.1, True), (2, 3, 4)),
    "InstanceNorm2d": ((0.5, 0.1, False, False), (3, 0.5), (2, 3, 2, 1)),
    "InstanceNorm3d": ((0.5, 0.1, True, True), (2, 0.5, 0.1, True, True), (2, 2, 1, 2, 1)),
}
DEFAULTS = {
    "InstanceNorm1d": ((), (3,), (2, 3, 4)), "InstanceNorm2d": ((), (3,), (2, 3, 2, 1)),
    "InstanceNorm3d": ((), (2,), (2, 2, 1, 2, 1)),
}  # fmt: skip
CASES = {f"Lazy{name}": (name, *case) for name, case in LAZY.items()}
CONVOLUTIONS = {name: case for name, case in CASES.items() if "Conv" in name}
BECOMING = CASES | {f"Lazy{name}-default": (name, *case) for name, case in DEFAULTS.items()}


def page(case):
    return f"torch.nn.Lazy{case[0]}"


def drawn(shape, seed, device, dtype):
    """Multiples of 1/8 of that shape."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(-16, 17, shape, generator=generator) / 8).to(dtype).to(device)


def state_of(module):
    return {name: compare.to_numpy(value) for name, value in module.state_dict().items()}


@law("lazy.becomes", docs=page, over=BECOMING)
@given(seed=seeds(), double=st.booleans(), training=st.booleans(), calls=st.integers(1, 2))
def test_becomes(target, case, seed, double, training, calls):
    """At its first call a lazy module takes its shapes from the input and becomes an ordinary one.

    Of the class named, initialized as it is from the same seed, in the dtype it was converted to;
    it is the same object, its parameters too, and computes the same.
    """
    name, arguments, full, shape = case
    dtype = torch.float64 if double else torch.float32
    lazy = resolve(f"torch.nn.Lazy{name}")(*arguments).to(target.device, dtype).train(training)
    before = dict(lazy.named_parameters())
    torch.manual_seed(seed)
    other = resolve(f"torch.nn.{name}")(*full).train(training)
    if double:  # initialized in float64: of other random numbers
        torch.manual_seed(seed)
        other = resolve(f"torch.nn.{name}")(*full, dtype=dtype).train(training)
    other = other.to(target.device, dtype)
    x = drawn(shape, seed, target.device, dtype)
    torch.manual_seed(seed)
    for _ in range(calls):
        expected = compare.to_numpy(other(x))
        compare.equal(target.run(lazy, x), expected, dtype=dtype, what="result")
    compare.fact(type(lazy).__name__, name, "class")
    compare.fact(list(lazy.state_dict()), list(other.state_dict()), "names in the state")
    wanted = other.state_dict()
    for key, value in lazy.state_dict().items():
        expected = compare.to_numpy(wanted[key])
        compare.equal(value, expected, dtype=wanted[key].dtype, what=key)
    for key, parameter in lazy.named_parameters():
        same = parameter is before[key]
        facts = (type(parameter), same, parameter.requires_grad)
        compare.fact(facts, (torch.nn.Parameter, True, True), f"type and identity of {key}")


@law("lazy.unbatched", docs=page, over=CONVOLUTIONS)
@given(seed=seeds(), later=st.booleans())
def test_unbatched(target, case, seed, later):
    """A lazy convolution takes its channels from an input without a batch as well.

    Afterwards it is one like any other: its hooks are gone, and other channels are refused.
    """
    name, arguments, full, shape = case
    lazy = resolve(f"torch.nn.Lazy{name}")(*arguments).to(target.device)
    other = resolve(f"torch.nn.{name}")(*full).to(target.device)
    x = drawn(shape, seed, target.device, torch.float32)[:1]
    with torch.no_grad():
        result = target.run(lazy, x[0])
        compare.fact(tuple(lazy.weight.shape), tuple(other.weight.shape), "shape of the weight")
        other.load_state_dict(lazy.state_dict())
        expected = compare.to_numpy(other(x)[0])
    compare.close(result, expected, bound=1e-5, dtype=torch.float32, what="result")
    compare.fact(len(lazy._forward_pre_hooks), 0, "hooks")
    weight = compare.to_numpy(lazy.weight)
    wide = torch.cat([x, x], dim=1)
    with compare.raises(RuntimeError, "channels"):
        lazy(wide if later else wide[0])
    compare.unchanged(lazy.weight, weight, "weight")


# A lazy layer with the arguments by name, the ordinary one's, the shape of an input.
OPTIONS = {
    "LazyLinear": ("Linear", {"out_features": 3, "bias": False}, {"in_features": 4}, (2, 4)),
    "LazyConv2d-padded": (
        "Conv2d", {"out_channels": 3, "kernel_size": 2, "padding": 1, "padding_mode": "reflect"},
        {"in_channels": 2}, (1, 2, 3, 3)),
    "LazyConv1d": (
        "Conv1d", {"out_channels": 2, "kernel_size": 2, "bias": False}, {"in_channels": 3},
        (1, 3, 4)),
    "LazyConvTranspose2d": (
        "ConvTranspose2d",
        {"out_channels": 2, "kernel_size": 2, "stride": 2, "output_padding": 1, "bias": False},
        {"in_channels": 3}, (1, 3, 2, 2)),
    "LazyBatchNorm1d": (
        "BatchNorm1d", {"eps": 0.5, "momentum": 0.25, "affine": False}, {"num_features": 3},
        (3, 3)),
}  # fmt: skip


@law("lazy.options", docs=lambda case: f"torch.nn.Lazy{case[0]}", over=OPTIONS)
@given(seed=seeds(), calls=st.integers(1, 2))
def test_options(target, case, seed, calls):
    """A lazy module keeps its options, its dtype among them, for the module that it becomes."""
    name, words, sizes, shape = case
    module = resolve(f"torch.nn.Lazy{name}")(**words, dtype=torch.float64, device=target.device)
    other = resolve(f"torch.nn.{name}")(**words, **sizes, dtype=torch.float64, device=target.device)
    x = drawn(shape, seed, target.device, torch.float64)
    torch.manual_seed(seed)
    found = [compare.to_numpy(target.run(module, x)) for _ in range(calls)]
    torch.manual_seed(seed)
    other.reset_parameters()
    for result in found:
        expected = compare.to_numpy(other(x))
        compare.equal(torch.from_numpy(result), expected, dtype=torch.float64, what="result")
    compare.fact(list(module.state_dict()), list(other.state_dict()), "names in the state")
    wanted = other.state_dict()
    for key, value in module.state_dict().items():
        compare.equal(value, compare.to_numpy(wanted[key]), dtype=wanted[key].dtype, what=key)
    compare.fact(type(module), type(other), "class")


@law("lazy.copied", docs=PAGE, level="should", over=CASES)
@given(seed=seeds(), training=st.booleans())
def test_copied(target, case, seed, training):
    """A lazy module may be copied before its first call: the copy takes its shapes from its own."""
    name, arguments, _, shape = case
    lazy = resolve(f"torch.nn.Lazy{name}")(*arguments).to(target.device).train(training)
    before = lazy.has_uninitialized_params()
    twin = copy.deepcopy(lazy)
    compare.fact((type(twin), twin.training), (type(lazy), training), "class, in training")
    x = drawn(shape, seed, target.device, torch.float32)
    torch.manual_seed(seed)
    result = twin(x)
    compare.fact(lazy.has_uninitialized_params(), before, "whether the first is uninitialized")
    torch.manual_seed(seed)
    expected = compare.to_numpy(lazy(x))
    compare.equal(result, expected, dtype=torch.float32, what="result of the copy")
    compare.fact(type(twin).__name__, name, "class of the copy")


@law("lazy.network", docs=PAGE)
@given(
    seed=seeds(),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    steps=st.integers(1, 2),
)
def test_network(target, seed, sizes, steps):
    """A dry run initializes every lazy module of a network, wherever it is; then it is trained.

    An optimizer of its parameters moves them.
    """
    network = torch.nn.Sequential()
    for number, size in enumerate(sizes):
        block = torch.nn.Sequential(torch.nn.LazyLinear(size), torch.nn.Tanh())
        network.add_module(f"block{number}", block)
    network = network.to(target.device, torch.float64)
    x = drawn((2, 3), seed, target.device, torch.float64)
    with torch.no_grad():
        network(x)
    shapes = [tuple(p.shape) for p in network.parameters()]
    widths = [3, *sizes]
    wanted = [s for a, b in zip(widths, sizes, strict=False) for s in ((b, a), (b,))]
    compare.fact(shapes, wanted, "shapes of the parameters")
    kinds = {type(module).__name__ for module in network.modules()}
    compare.fact(kinds, {"Sequential", "Linear", "Tanh"}, "classes of the modules")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(steps):
        before = state_of(network)
        optimizer.zero_grad()
        network(x).sum().backward()
        optimizer.step()
        for name, parameter in network.named_parameters():
            gradient: Any = parameter.grad
            expected = before[name] - 0.5 * compare.to_numpy(gradient)
            compare.equal(parameter, expected, dtype=torch.float64, what=name)


@law("lazy.state", docs=PAGE, over=CASES)
@given(seed=seeds(), strict=st.booleans())
def test_state(target, case, seed, strict):
    """A lazy module can load the state of an initialized one, and keeps it at its first call.

    It has those shapes from then on. Its own state before is refused by one that is initialized.
    """
    name, arguments, full, shape = case
    fresh, lazy = (resolve(f"torch.nn.Lazy{name}")(*arguments).to(target.device) for _ in "ab")
    other = resolve(f"torch.nn.{name}")(*full).to(target.device)
    torch.manual_seed(seed)
    for parameter in other.parameters():
        parameter.data.copy_(drawn(tuple(parameter.shape), seed, target.device, torch.float32))
    state = state_of(other)
    if state:
        with compare.raises(RuntimeError, "uninitialized parameter"):
            other.load_state_dict(fresh.state_dict(), strict=strict)
        for key, value in other.state_dict().items():
            compare.unchanged(value, state[key], f"{key} after a refusal")
    lazy.load_state_dict(other.state_dict(), strict=strict)
    for key, value in lazy.state_dict().items():
        compare.unchanged(value, state[key], f"{key} after loading")
    compare.fact(lazy.has_uninitialized_params(), False, "has uninitialized parameters")
    x = drawn(shape, seed, target.device, torch.float32)
    lazy.eval(), other.eval()
    expected = compare.to_numpy(other(x))
    compare.equal(target.run(lazy, x), expected, dtype=torch.float32, what="result")
    for key, value in lazy.state_dict().items():
        compare.unchanged(value, state[key], f"{key} after the first call")


def made(kind, *arguments, **words):
    """A new uninitialized parameter or buffer."""
    return resolve(f"torch.nn.parameter.Uninitialized{kind}")(*arguments, **words)


@law("lazy.uninitialized", docs=PARAMETER)
@given(flag=st.booleans(), double=st.booleans(), shape=st.sampled_from(((2, 3), (), (0, 2), (4,))),
       buffer=st.booleans())  # fmt: skip
def test_uninitialized(target, flag, double, shape, buffer):
    """An uninitialized parameter has no shape and takes part in nothing until it is materialized.

    It may be converted, and is then an ordinary parameter of that dtype, device and flag, the same
    object. Buffers alike.
    """
    dtype = torch.float64 if double else torch.float32
    if buffer:
        flag = False
        value = made("Buffer", device=target.device, dtype=dtype)
    else:
        value = made("Parameter", flag, device=target.device, dtype=dtype)
    facts = (torch.nn.parameter.is_lazy(value), value.requires_grad, value.is_leaf)
    compare.fact(facts, (True, flag, True), "lazy, requires_grad, leaf")
    if not buffer:
        twin = copy.deepcopy(value)
        kept = (torch.nn.parameter.is_lazy(twin), twin.requires_grad, twin.dtype, twin is value)
        compare.fact(kept, (True, flag, dtype, False), "lazy, requires_grad, dtype of a copy, same")
    other = torch.ones(2, device=target.device, dtype=dtype)
    compare.fact(tuple(other.shape), (2,), "an ordinary tensor has a shape")
    with compare.raises(RuntimeError, "shape of an uninitialized parameter or buffer"):
        value.shape  # noqa: B018
    with compare.raises(ValueError, "Attempted to use an uninitialized parameter"):
        value.sum()
    for attempt in (torch.Tensor.view_as, torch.add):
        with compare.raises(ValueError, "Attempted to use an uninitialized parameter"):
            attempt(value, other)
    before = id(value)
    value.materialize(shape)
    kinds = (torch.Tensor, torch.nn.Buffer) if buffer else (torch.nn.Parameter,)
    compare.fact((id(value), type(value) in kinds), (before, True), "identity and type")
    compare.fact((tuple(value.shape), value.dtype), (shape, dtype), "shape and dtype")
    compare.fact((value.requires_grad, value.device), (flag, target.device), "flag and device")
    compare.fact(torch.nn.parameter.is_lazy(value), False, "lazy afterwards")
    value.data.fill_(2.0)
    expected = compare.to_numpy(torch.full(shape, 2.0)) * 2
    compare.equal(torch.add(value, value), expected, dtype=dtype, what="sum")


@law("lazy.refused", docs=page, level="should", over=CONVOLUTIONS)
@given(seed=seeds())
def test_refused(target, case, seed):
    """A lazy convolution refuses an input of the wrong rank, and stays uninitialized."""
    name, arguments, _, shape = case
    lazy = resolve(f"torch.nn.Lazy{name}")(*arguments).to(target.device)
    with compare.raises(RuntimeError, "Expected \\d+D .*input"):
        lazy(drawn((*shape, 1, 1), seed, target.device, torch.float32))
    compare.fact((type(lazy).__name__, lazy.has_uninitialized_params()), (f"Lazy{name}", True),
                 "class, uninitialized")  # fmt: skip
    lazy(drawn(shape, seed, target.device, torch.float32))
    compare.fact(type(lazy).__name__, name, "class after a legal call")
