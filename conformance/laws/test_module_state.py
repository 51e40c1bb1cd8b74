"""The state of modules: what state_dict holds, what load_state_dict writes, what they refuse."""

from collections import OrderedDict

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import modules as model
from conformance.scenarios import hooks, registration
from strategies import dtypes, tensors

STATE = f"{hooks.MODULE}state_dict"
LOAD = f"{hooks.MODULE}load_state_dict"
PREFIXES = st.sampled_from(("", "net.", "p"))
INNER = st.sampled_from(("", "inner."))


class Counter(torch.nn.Module):
    """A module with state that is no tensor."""

    def __init__(self, count):
        super().__init__()
        self.count = count
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def get_extra_state(self):
        """The count, in a form of its own."""
        return {"count": self.count}

    def set_extra_state(self, state):
        """Take the count."""
        self.count = state["count"]


def shares_memory(first, second):
    """Whether two tensors are the same elements of the same memory."""
    return first.data_ptr() == second.data_ptr() and first.stride() == second.stride()


def like(entries, number=0.0):
    """A state of the same names, shapes and dtypes, filled with other numbers."""
    return OrderedDict(
        (name, torch.full_like(tensor, number + place, requires_grad=False))
        for place, (name, tensor) in enumerate(entries.items())
    )


def network(device):
    """A module with children, buffers that persist or not, and a parameter that is shared."""
    root, child, leaf = (torch.nn.Module() for _ in range(3))
    root.weight = torch.nn.Parameter(torch.full((2, 3), 1.0, device=device))
    root.register_buffer("count", torch.tensor(2, device=device))
    root.register_buffer("scratch", torch.full((2,), 3.0, device=device), persistent=False)
    root.child, child.leaf = child, leaf
    child.bias = torch.nn.Parameter(torch.tensor(4.0, device=device, dtype=torch.float64))
    child.register_parameter("absent", None)
    leaf.scale = torch.nn.Parameter(torch.full((3,), 5.0, device=device), requires_grad=False)
    leaf.tied = child.bias
    return root


NETWORK = ("weight", "count", "child.bias", "child.leaf.scale", "child.leaf.tied")


@law("module-state.entries", docs=STATE)
@given(
    steps=registration.programs(),
    root=st.integers(0, 1),
    prefix=PREFIXES,
    keep=st.booleans(),
    given_one=st.booleans(),
)
def test_entries(target, steps, root, prefix, keep, given_one):
    """state_dict holds every parameter and persistent buffer of a module and those below by name.

    A shared one under each of its names; none that is None; with keep_vars=True the very tensors,
    else detached ones in the same memory. A destination that is given is filled and returned.
    """
    state = registration.built(steps, target.device)
    before = registration.values_of(state)
    destination = {"destination": OrderedDict(other=1)} if given_one else {}
    found = state.modules[root].state_dict(prefix=prefix, keep_vars=keep, **destination)
    if given_one:
        compare.fact(found is destination["destination"], True, "the destination is returned")
        compare.fact(found.pop("other"), 1, "what the destination had")
    expected = model.state(state.nodes[root], prefix)
    compare.fact(list(found), [name for name, _ in expected], "names")
    for name, label in expected:
        member, entry = state.held[label], found[name]
        compare.fact(entry is member, keep, f"{name} is the very tensor")
        compare.fact(shares_memory(entry, member), True, f"{name} is in the member's memory")
        compare.fact(entry.requires_grad, keep and member.requires_grad, f"{name} requires grad")
        compare.equal(entry, before[label], dtype=member.dtype, what=name)


@law("module-state.round-trip", docs=LOAD)
@given(steps=registration.programs(), assign=st.booleans(), strict=st.booleans())
def test_round_trip(target, steps, assign, strict):
    """A module that loads the state of another like it holds the same values, dtypes and flags.

    Nothing is missing and nothing unexpected. Without assign=True its tensors stay the same, and
    share no memory with those loaded; the state itself is left alone.
    """
    source, state = (registration.built(steps, target.device) for _ in range(2))
    module, node = state.modules[0], state.nodes[0]
    for tensor in state.held.values():
        if isinstance(tensor, torch.Tensor):
            tensor.detach().zero_()
    loaded = source.modules[0].state_dict()
    names = list(loaded)
    pairs = model.state(node)
    result = module.load_state_dict(loaded, strict=strict, assign=assign)
    compare.fact((result.missing_keys, result.unexpected_keys), ([], []), "missing, unexpected")
    compare.fact(list(loaded), names, "names in the state that was loaded")
    now = module.state_dict(keep_vars=True)
    for name, label in pairs:
        was, value = source.held[label], now[name]
        compare.equal(value, compare.to_numpy(was), dtype=was.dtype, what=name)
        compare.fact(value.requires_grad, was.requires_grad, f"{name} requires grad")
        kind = torch.nn.Parameter if label.startswith("p") else torch.Tensor
        compare.fact(type(value), kind, f"type of {name}")
        if was.numel():
            compare.fact(shares_memory(value, was), assign, f"{name} shares the state's memory")
        if not assign:
            compare.fact(value is state.held[label], True, f"{name} is the same tensor")
    touched = {label for _, label in pairs}
    for label, tensor in state.held.items():
        if isinstance(tensor, torch.Tensor) and (assign or label not in touched):
            compare.equal(tensor, registration.full(tensor, 0), dtype=tensor.dtype, what=label)


@law("module-state.copies", docs=LOAD)
@given(
    old=dtypes("floating"),
    value=tensors(dtype=torch.float64),
    new=dtypes("floating"),
    flag=st.booleans(),
    saved=st.booleans(),
)
def test_copies(target, old, value, new, flag, saved):
    """Loading writes values into the parameter as it is: its dtype, layout, flag and grad stay.

    Also from a state of another dtype, or one that requires grad. What the parameter was computed
    into before is not changed, and nothing is recorded.
    """
    memory = torch.zeros((*value.shape, 2), dtype=old, device=target.device)[..., 0]
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(memory, requires_grad=flag)
    module.weight.grad = gradient = torch.ones_like(memory)
    parameter, strides, version = module.weight, memory.stride(), module.weight._version
    entry = value.to(new).requires_grad_(saved)
    module.load_state_dict({"weight": entry})
    compare.fact(module.weight is parameter, True, "the same parameter")
    compare.equal(parameter, compare.to_numpy(value), dtype=old, what="values")
    compare.fact(parameter.stride(), strides, "strides")
    compare.fact(parameter.requires_grad, flag, "requires_grad")
    compare.fact(parameter.is_leaf, True, "is a leaf")
    compare.fact(parameter.grad is gradient, True, "gradient is the same tensor")
    compare.equal(gradient, np.ones(tuple(value.shape)), dtype=old, what="gradient")
    compare.fact(parameter._version > version, True, "version rises")


@law("module-state.assigns", docs=LOAD)
@given(
    old=dtypes("floating"),
    new=dtypes("floating"),
    flag=st.booleans(),
    saved=st.booleans(),
    kind=st.sampled_from(("parameter", "tensor")),
)
def test_assigns(target, old, new, flag, saved, kind):
    """With assign=True the module takes the state's own tensors, with their dtype and layout.

    The one exception is requires_grad of a Parameter, for which the module's is kept.
    """
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.zeros(2, 3, dtype=old, device=target.device), flag)
    module.register_buffer("mean", torch.zeros(2, dtype=old, device=target.device))
    former = module.weight
    weight = torch.full((3, 2), 2.0, dtype=new, device=target.device).t().requires_grad_(saved)
    if kind == "parameter":
        weight = torch.nn.Parameter(weight.detach(), saved)
    mean = torch.full((2,), 3.0, dtype=new, device=target.device)
    module.load_state_dict({"weight": weight.detach() if saved and kind == "tensor" else weight,
                            "mean": mean}, assign=True)  # fmt: skip
    compare.fact(isinstance(module.weight, torch.nn.Parameter), True, "weight is a Parameter")
    compare.fact(shares_memory(module.weight, weight), True, "weight is the state's")
    compare.fact(module.weight.requires_grad, flag, "requires_grad of the weight")
    compare.equal(module.weight, np.full((2, 3), 2.0), dtype=new, what="weight")
    compare.fact(shares_memory(module.mean, mean), True, "buffer is the state's")
    compare.equal(module.mean, np.full(2, 3.0), dtype=new, what="buffer")
    compare.fact(list(dict(module.named_parameters())), ["weight"], "parameters")
    compare.fact(list(dict(module.named_buffers())), ["mean"], "buffers")
    compare.equal(former, np.zeros((2, 3)), dtype=old, what="former parameter")


@law("module-state.keys", docs=LOAD)
@given(
    dropped=st.lists(st.sampled_from(NETWORK), unique=True),
    added=st.lists(st.sampled_from(("x", "child.x", "child.leaf.x", "childx", "scratch",
                                   "child.absent", "weight.x", "child.leaf.scale.x",
                                   "idle.x")), unique=True),
    strict=st.booleans(),
)  # fmt: skip
def test_keys(target, dropped, added, strict):
    """load_state_dict tells which names are missing and which unexpected, all of them.

    With strict=True any of them is an error; without, the others are loaded and those that are
    missing keep their values. Buffers that do not persist, and None, are neither. A submodule
    that has no tensors has unexpected names too.
    """
    module = network(target.device)
    module.idle = torch.nn.Identity()
    current = module.state_dict()
    state = like(current, 10.0)
    state["child.leaf.tied"] = state["child.bias"]
    before = {name: compare.to_numpy(tensor) for name, tensor in current.items()}
    expected = {name: compare.to_numpy(tensor) for name, tensor in state.items()}
    for name in dropped:
        del state[name]
    for name in added:
        state[name] = torch.ones(1, device=target.device)
    missing = [name for name in NETWORK if name in dropped]
    if strict and (dropped or added):
        with compare.raises(RuntimeError, "Error.* in loading state_dict for Module"):
            module.load_state_dict(state)
        message = ""
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            message = str(error)
        for label, names in (("Missing", dropped), ("Unexpected", added)):
            text = message.partition(f"{label} key(s) in state_dict: ")[2].partition(". ")[0]
            told = {part.strip().strip('"') for part in text.split(",") if part.strip()}
            compare.fact(told, set(names), f"{label} names that the error tells")
        return
    result = module.load_state_dict(state, strict=strict)
    compare.fact(sorted(result.missing_keys), sorted(missing), "missing keys")
    compare.fact(sorted(result.unexpected_keys), sorted(added), "unexpected keys")
    tied = {"child.bias", "child.leaf.tied"}
    for name, tensor in module.state_dict().items():
        kept = name in dropped and not (name in tied and not tied <= set(dropped))
        want = before[name] if kept else expected[name]
        compare.equal(tensor, want, dtype=tensor.dtype, what=name)
    compare.equal(module.scratch, np.full(2, 3.0), dtype=torch.float32, what="scratch")


SHAPES = {
    "longer": ("weight", (3, 3)),
    "broadcastable": ("weight", (1, 3)),
    "transposed": ("weight", (3, 2)),
    "flattened": ("weight", (6,)),
    "scalar-for-many": ("weight", ()),
    "extra-side-of-one": ("weight", (1, 2, 3)),
    "nested": ("child.leaf.scale", (1,)),
    "buffer": ("count", (2,)),
    "scalar-parameter": ("child.bias", (2,)),
}


@law("module-state.shapes", docs=LOAD, over=SHAPES)
@given(strict=st.booleans(), assign=st.booleans())
def test_shapes(target, case, strict, assign):
    """A state of another shape is refused whether strict or not, with the name and both shapes.

    Sides of 1 are not expanded. What has the wrong shape is left as it was.
    """
    name, shape = case
    module = network(target.device)
    state = like(module.state_dict(), 10.0)
    module.load_state_dict(state, strict=strict)
    member = module.state_dict(keep_vars=True)[name]
    before = compare.to_numpy(member)
    shapes = [list(shape), list(member.shape)]
    state[name] = torch.ones(shape, dtype=member.dtype, device=target.device)
    told = r"size mismatch for {}: .*torch.Size\({}\).*torch.Size\({}\)"
    text = told.format(name.replace(".", r"\."), *(str(s).replace("[", r"\[") for s in shapes))
    with compare.raises(RuntimeError, text):
        module.load_state_dict(state, strict=strict, assign=assign)
    compare.fact(module.state_dict(keep_vars=True)[name] is member, True, "the same member")
    compare.unchanged(member, before, name)


WRONG = {
    "list": ("[]", "TypeError", "to be dict-like"),
    "value": ("{'weight': 1.0}", "RuntimeError", "expected torch.Tensor"),
}


@law("module-state.refused", docs=LOAD, over=WRONG)
def test_refused(target, case):
    """A state that is no mapping, or holds what is no tensor, is refused; the module stays."""
    text, error, message = case
    module = torch.nn.Linear(2, 2, bias=False, device=target.device)
    values = torch.ones(2, 2, device=target.device)
    module.load_state_dict({"weight": values})
    with compare.raises({"TypeError": TypeError, "RuntimeError": RuntimeError}[error], message):
        module.load_state_dict(eval(text))
    compare.equal(module.weight, np.ones((2, 2)), dtype=torch.float32, what="weight")


@law("module-state.extra", docs=f"{hooks.MODULE}get_extra_state")
@given(count=st.integers(), prefix=INNER, strict=st.booleans(), under=PREFIXES)
def test_extra(target, count, prefix, strict, under):
    """What get_extra_state returns is part of the state, and goes to set_extra_state on loading."""
    first, second = Counter(count), Counter(None)
    if prefix:
        outer = [torch.nn.Module() for _ in range(2)]
        outer[0].inner, outer[1].inner = first, second
    whole = outer if prefix else [first, second]
    state = whole[0].state_dict()
    names = [f"{prefix}weight", f"{prefix}_extra_state"]
    compare.fact(list(state), names, "names")
    compare.fact(list(whole[0].state_dict(prefix=under)), [under + n for n in names], "prefixed")
    compare.fact(state[names[1]], {"count": count}, "the extra state")
    whole[1].load_state_dict(state, strict=strict)
    compare.fact(second.count, count, "the count after loading")
    del state[names[1]]
    result = whole[1].load_state_dict(state, strict=False)
    compare.fact(result.missing_keys, [names[1]], "missing without extra state")


@law("module-state.hooks", docs=f"{hooks.MODULE}register_state_dict_post_hook")
@given(prefix=PREFIXES, count=st.integers(1, 3), removed=st.integers(0, 3), keep=st.booleans())
def test_hooks(target, prefix, count, removed, keep):
    """Hooks around state_dict run in order, those before with prefix and keep_vars, those after.

    Those after get the module, the state with its entries, the prefix and metadata. For a child,
    the prefix is its path; a removed hook doesn't run.
    """
    root, child, called = torch.nn.Module(), torch.nn.Module(), []
    root.child, child.weight = child, torch.nn.Parameter(torch.ones(1, device=target.device))

    def before(number):
        def hook(module, path, keep_vars):
            called.append(("before", number, module is child, path, keep_vars))

        return hook

    def after(number):
        def hook(module, state, path, metadata):
            has = f"{path}weight" in state
            called.append(("after", number, module is child, path, has))
            state[f"{path}note{number}"] = number

        return hook

    handles = [child.register_state_dict_pre_hook(before(n)) for n in range(count)]
    handles += [child.register_state_dict_post_hook(after(n)) for n in range(count)]
    gone = {removed, removed + count} if removed < count else set()
    for number in gone:
        handles[number].remove()
    found = root.state_dict(prefix=prefix, keep_vars=keep)
    path, left = f"{prefix}child.", [n for n in range(count) if n not in gone]
    expected = [("before", n, True, path, keep) for n in left]
    expected += [("after", n, True, path, True) for n in left]
    compare.fact(called, expected, "hooks called")
    names = [f"{path}weight", *(f"{path}note{n}" for n in left)]
    compare.fact(list(found), names, "names in the state")


@law("module-state.load-hooks", docs=f"{hooks.MODULE}register_load_state_dict_pre_hook")
@given(strict=st.booleans(), number=st.integers(0, 4), forgive=st.booleans())
def test_load_hooks(target, strict, number, forgive):
    """A hook before loading may change the state, one after it the lists of names.

    The first gets the module, a state, prefix, metadata, strict, and the lists; the state that
    the caller gave is not changed. The second gets the module and both lists; a child's is first.
    """
    root, child, called = torch.nn.Module(), torch.nn.Module(), []
    root.child, child.weight = child, torch.nn.Parameter(torch.zeros(2, device=target.device))

    def renames(module, state, prefix, metadata, _, missing, unexpected, errors):
        called.append(("before", module is child, prefix, list(state)))
        state[f"{prefix}weight"] = state.pop(f"{prefix}kernel")

    def mends(module, names):
        called.append(("after", module is child, names.missing_keys, list(names.unexpected_keys)))
        if forgive:
            names.unexpected_keys.clear()

    child.register_load_state_dict_pre_hook(renames)
    child.register_load_state_dict_post_hook(mends)
    root.register_load_state_dict_post_hook(mends)
    state = {"child.kernel": torch.full((2,), number, device=target.device, dtype=torch.float32)}
    if forgive:
        state["other"] = torch.ones(1, device=target.device)
    names = list(state)
    result = root.load_state_dict(state, strict=strict)
    compare.fact(list(state), names, "names in the state that was given")
    compare.fact((result.missing_keys, result.unexpected_keys), ([], []), "missing, unexpected")
    compare.fact(called[0][:3], ("before", True, "child."), "hook before")
    compare.fact("child.kernel" in called[0][3], True, "the hook before sees the entry")
    compare.fact(called[1], ("after", True, [], ["other"] * forgive), "hooks after: the child's")
    compare.fact(called[2:], [("after", False, [], [])], "hooks after: the root's")
    want = np.full(2, float(number))
    compare.equal(child.weight, want, dtype=torch.float32, what="weight")
