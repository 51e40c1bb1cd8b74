"""What a module class must define, what it takes as members, and what its mode does."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.reference import modules as model
from conformance.scenarios import hooks, registration
from conformance.scenarios.refusals import refusal
from strategies import polynomials, squares
from strategies.functions import numpy_of

MODULE = "torch.nn.Module"
PARAMETER = "torch.nn.parameter.Parameter"


@law("module.without-init", docs=MODULE)
@given(f=squares(), early=st.booleans())
def test_without_init(target, f, early):
    """A module class needs no __init__: Module's is inherited, and forward is all that is called.

    One that has its own may set what is no member before it calls Module's.
    """

    class Bare(torch.nn.Module):
        def forward(self, *leaves):
            return f(*leaves)

    class Own(Bare):
        def __init__(self):
            self.kept = early
            super().__init__()

    for module in (Bare(), Own()):
        leaves = f.leaves(target.device)
        target.run(module, *leaves).backward()
        compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
        members = [*module.parameters(), *module.buffers(), *module.children()]
        compare.fact(members, [], "members of a module without any")
        compare.fact(module.training, True, "a new module is in training mode")
    compare.fact(module.kept, early, "what was set before Module's __init__")


def take_parameter(module, tensor):
    """Assign a Parameter."""
    module.member = torch.nn.Parameter(tensor)


def take_module(module, tensor):
    """Assign a module."""
    module.member = torch.nn.BatchNorm1d(2)


def take_buffer(module, tensor):
    """Register a buffer."""
    module.register_buffer("member", tensor)


MEMBERS = {"parameter": take_parameter, "module": take_module, "buffer": take_buffer}


@law("module.buffer-again", docs="torch.nn.Module.register_buffer")
@given(flags=st.lists(st.booleans(), min_size=1, max_size=4))
def test_buffer_again(target, flags):
    """A buffer that is registered again is in the state dict if the last registration says so.

    "persistent: whether the buffer is part of this module's state_dict."
    """
    module = torch.nn.Module()
    for number, persistent in enumerate(flags):
        value = torch.full((2,), float(number), device=target.device)
        module.register_buffer("mean", value, persistent=persistent)
        state = module.state_dict()
        compare.fact(list(state), ["mean"] if persistent else [], "names in the state dict")
        compare.fact(module.mean is value, True, "the buffer is the last one")
        compare.fact([name for name, _ in module.named_buffers()], ["mean"], "buffers")


@law("module.init-not-called", docs=MODULE, over=MEMBERS)
@given(plain=st.integers(-100, 100))
def test_init_not_called(target, case, plain):
    """A module whose __init__ does not call Module's takes no members, and cannot be called.

    "An __init__() call to the parent class must be made before assignment on the child."
    """

    class Forgetful(torch.nn.Module):
        def __init__(self, calls):
            if calls:
                super().__init__()
            self.plain = plain

        def forward(self, x):
            return x * self.plain

    tensor = torch.ones(2, dtype=torch.float64, device=target.device)
    legal, module = Forgetful(True), Forgetful(False)
    case(legal, tensor)
    compare.fact(hasattr(legal, "member"), True, "the legal one has its member")
    expected = compare.to_numpy(tensor) * plain
    compare.equal(legal(tensor), expected, dtype=tensor.dtype, what="what the legal one gives")
    with compare.raises(AttributeError, "before Module.__init__\\(\\) call"):
        case(module, tensor)
    compare.fact((module.plain, "member" in vars(module)), (plain, False), "plain attributes")
    with compare.raises(AttributeError, "has no attribute"):
        module(tensor)


@law("module.forward-missing", docs=f"{hooks.MODULE}forward", level="should")
@given(count=st.integers(0, 2))
def test_forward_missing(target, count):
    """A module class without forward can be made and holds members; calling it raises.

    NotImplementedError, which names the class. One that inherits forward is called.
    """

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2, device=target.device))

    class Doubling(Holder):
        def forward(self, *arguments):
            return len(arguments) + self.weight

    class Heir(Doubling):
        pass

    x = torch.ones(2, device=target.device)
    value = count + compare.to_numpy(x)
    result = Heir()(*[x] * count)
    compare.equal(result, value, dtype=torch.float32, what="with an inherited forward")
    module = Holder()
    said = refusal(module, *[x] * count)
    compare.fact("Holder" in said and "forward" in said, True,
                 f"NotImplementedError that names class and forward: {said!r}")  # fmt: skip
    compare.fact(list(dict(module.named_parameters())), ["weight"], "parameters afterwards")


def as_list(member):
    return [member]


def as_tuple(member):
    return (member,)


def as_dictionary(member):
    return {"member": member}


def as_set(member):
    return {member}


CONTAINERS = {"list": as_list, "tuple": as_tuple, "dict": as_dictionary, "set": as_set}
HELD = ("parameter", "module")


@law("module.plain-attributes", docs=PARAMETER, over=CONTAINERS)
@given(kind=st.sampled_from(HELD), nested=st.booleans(), requires_grad=st.booleans())
def test_plain_attributes(target, case, kind, nested, requires_grad):
    """Only Parameters and modules that are attributes are members: tensors and containers are not.

    "Assigning a Tensor doesn't have such effect." Nothing in a plain list, tuple, dict or set is
    found by parameters(), modules() or state_dict(), nor switched by train and requires_grad_.
    """
    inner = torch.nn.Linear(2, 1, device=target.device)
    loose = inner if kind == "module" else torch.nn.Parameter(torch.ones(2, device=target.device))
    tensor = torch.ones(2, device=target.device, requires_grad=requires_grad)
    top = torch.nn.Module()
    module = top if not nested else torch.nn.Module()
    if nested:
        top.child = module
    module.weight = torch.nn.Parameter(torch.ones(2, device=target.device))
    module.tensor, module.container = tensor, case(loose)
    prefix = "child." if nested else ""
    found = [name for name, _ in top.named_parameters()]
    compare.fact(found, [f"{prefix}weight"], "parameters")
    compare.fact(list(top.state_dict()), [f"{prefix}weight"], "names in the state")
    compare.fact(len(list(top.modules())), 1 + nested, "modules")
    top.eval()
    top.requires_grad_(False)
    compare.fact(inner.training, True, "mode of a module in a container")
    parameter = inner.weight if kind == "module" else loose
    compare.fact(parameter.requires_grad, True, "requires_grad of a parameter in a container")
    compare.fact(tensor.requires_grad, requires_grad, "requires_grad of a plain tensor")
    compare.fact(module.tensor is tensor, True, "the attribute is the tensor")


@law("module.frozen", docs=f"{hooks.MODULE}parameters")
@given(
    steps=registration.programs(),
    flags=st.tuples(*[st.booleans()] * 4),
    recurse=st.booleans(),
)
def test_frozen(target, steps, flags, recurse):
    """parameters() yields every parameter, whether it requires grad or not.

    So does named_parameters, and state_dict; an optimizer of them leaves frozen ones alone, as
    backward leaves their .grad None.
    """
    state = registration.built(steps, target.device)
    for number, flag in enumerate(flags):
        state.held[f"p{number}"].requires_grad_(flag)
    module, node = state.modules[0], state.nodes[0]
    wanted = model.named_tensors(node, "parameters", recurse=recurse)
    found = list(module.parameters(recurse))
    compare.fact([state.label(p) for p in found], [label for _, label in wanted], "parameters")
    named = [(name, state.label(p)) for name, p in module.named_parameters(recurse=recurse)]
    compare.fact(named, wanted, "named parameters")
    before = [compare.to_numpy(parameter) for parameter in found]
    used = [p for p in found if p.requires_grad]
    if used:
        optimizer = torch.optim.SGD(found, lr=0.5)
        sum(p.abs().double().sum() for p in found).backward()
        optimizer.step()
    for parameter, value in zip(found, before, strict=True):
        if not parameter.requires_grad:
            compare.fact(parameter.grad, None, "grad of a frozen parameter")
            compare.unchanged(parameter, value, "frozen parameter")
        elif value.size:
            moved = (compare.to_numpy(parameter) != value).all()
            compare.fact(bool(moved), True, "a parameter that requires grad moves")


class Network(torch.nn.Module):
    """Layers with modes of their own, in modules within modules."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        self.dropout = torch.nn.Dropout(0.25)

    def forward(self, x):
        return self.dropout(self.inner(x))


def call(network, optimizer, x):
    network(x)


def differentiate(network, optimizer, x):
    network(x).sum().backward()


def step(network, optimizer, x):
    optimizer.step()


def clear(network, optimizer, x):
    network.zero_grad()


def load(network, optimizer, x):
    network.load_state_dict(network.state_dict())


def freeze(network, optimizer, x):
    network.requires_grad_(False)
    network.requires_grad_(True)


def call_without_grad(network, optimizer, x):
    with torch.no_grad():
        network(x)


def read(network, optimizer, x):
    network.apply(lambda module: None)
    network.state_dict(prefix="p.")


ACTIONS = (call, differentiate, step, clear, load, freeze, call_without_grad, read)


@law("module.mode-stays", docs=f"{hooks.MODULE}train", level="should")
@given(
    flags=st.tuples(*[st.booleans()] * 5),
    actions=st.lists(st.sampled_from(range(len(ACTIONS))), min_size=1, max_size=6),
)
def test_mode_stays(target, flags, actions):
    """The mode is set by train and eval alone: calls, passes, steps and loading leave it.

    Also where modules within a network are in different modes. A training that goes on after
    eval() goes on in evaluation mode.
    """
    network = Network().to(target.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.125)
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]], device=target.device)
    for module, flag in zip(network.modules(), flags, strict=True):
        module.training = flag
    for number in actions:
        ACTIONS[number](network, optimizer, x)
        modes = tuple(module.training for module in network.modules())
        compare.fact(modes, flags, f"modes after {ACTIONS[number].__name__}")
    network.eval()
    network.train()
    modes = tuple(module.training for module in network.modules())
    compare.fact(modes, (True,) * 5, "modes after train")


@law("module.switching-keeps-state", docs=f"{hooks.MODULE}eval", level="should")
@given(steps=registration.programs(), modes=st.lists(st.booleans(), min_size=1, max_size=3))
def test_switching_keeps_state(target, steps, modes):
    """train and eval change no parameter and no buffer: the same tensors, values and flags.

    Nothing is written, as version counters tell, and gradients stay.
    """
    state = registration.built(steps, target.device)
    module = state.modules[0]
    held = {k: v for k, v in state.held.items() if isinstance(v, torch.Tensor)}
    before = registration.values_of(state)
    for tensor in held.values():
        if tensor.requires_grad:
            tensor.grad = torch.ones_like(tensor).detach()
    kept = {k: (v._version, v.requires_grad, v.grad) for k, v in held.items()}
    names = list(module.state_dict())
    members = [(name, state.label(p)) for name, p in module.named_parameters()]
    for mode in modes:
        module.train(mode)
    module.eval()
    compare.fact(list(module.state_dict()), names, "names in the state")
    now = [(name, state.label(p)) for name, p in module.named_parameters()]
    compare.fact(now, members, "parameters")
    for name, tensor in held.items():
        compare.unchanged(tensor, before[name], name)
        version, flag, gradient = kept[name]
        compare.fact((tensor._version, tensor.requires_grad), (version, flag), f"flags of {name}")
        compare.fact(tensor.grad is gradient, True, f"gradient of {name} is the same")


@law("module.evaluation-records", docs="notes/autograd.html#evaluation-mode-nn-module-eval")
@given(f=polynomials(scalar=True), training=st.booleans())
def test_evaluation_records(target, f, training):
    """Evaluation mode records as training does: results require grad, gradients are exact.

    "It is not actually a mechanism to locally disable gradient computation": no_grad is.
    """

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for number, leaf in enumerate(f.leaves(target.device)):
                setattr(self, f"x{number}", torch.nn.Parameter(leaf.detach()))

        def forward(self):
            return f(*self.parameters())

    module = Holder().train(training)
    result = target.run(module)
    compare.fact((result.requires_grad, torch.is_grad_enabled()), (True, True), "requires grad")
    result.backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(list(module.parameters()), expected, f.reaches)
    with torch.no_grad():
        compare.fact(target.run(module).requires_grad, False, "requires grad under no_grad")
