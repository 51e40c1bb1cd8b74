"""Modules: which parameters, buffers and children they have, in which order, under which names."""

import copy
import pickle

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import modules as model
from conformance.scenarios import hooks, registration

PREFIXES = st.sampled_from(("", "net", "net.part"))
SWITCHES = {
    "train-on": ("train", ()), "train-on-explicitly": ("train", (True,)),
    "train-off": ("train", (False,)), "eval": ("eval", ()),
}  # fmt: skip
TENSORS = {"parameters": "parameters", "buffers": "buffers"}
# The legal statement, the illegal one, the error, the telling part of its text. m has a
# parameter p, a buffer b, a child c and a plain attribute x; t is a tensor, q a parameter.
REJECTIONS = {
    "register-parameter-dotted": (
        "m.register_parameter('n_o', q)", "m.register_parameter('n.o', q)", "KeyError", "\"\\.\""),
    "register-parameter-nameless": (
        "m.register_parameter('n', q)", "m.register_parameter('', q)", "KeyError", "empty string"),
    "register-parameter-number": (
        "m.register_parameter('1', q)", "m.register_parameter(1, q)", "TypeError",
        "should be a string"),
    "register-parameter-taken": (
        "m.register_parameter('p', q)", "m.register_parameter('b', q)", "KeyError", "'b' already"),
    "register-parameter-tensor": (
        "m.register_parameter('n', q)", "m.register_parameter('n', t)", "TypeError",
        "Parameter or None"),
    "register-parameter-computed": (
        "m.register_parameter('n', q)",
        "m.register_parameter('n', q.requires_grad_().mul(2).as_subclass(torch.nn.Parameter))",
        "ValueError", "non-leaf"),
    "register-buffer-dotted": (
        "m.register_buffer('n_o', t)", "m.register_buffer('n.o', t)", "KeyError", "\"\\.\""),
    "register-buffer-nameless": (
        "m.register_buffer('n', t)", "m.register_buffer('', t)", "KeyError", "empty string"),
    "register-buffer-taken": (
        "m.register_buffer('b', t)", "m.register_buffer('p', t)", "KeyError", "'p' already"),
    "register-buffer-attribute": (
        "m.register_buffer('n', t)", "m.register_buffer('x', t)", "KeyError", "'x' already"),
    "register-buffer-number": (
        "m.register_buffer('n', None)", "m.register_buffer('n', 1.0)", "TypeError",
        "Tensor or None"),
    "register-module-dotted": (
        "m.register_module('n_o', s)", "m.register_module('n.o', s)", "KeyError", "\"\\.\""),
    "register-module-nameless": (
        "m.register_module('n', s)", "m.register_module('', s)", "KeyError", "empty string"),
    "register-module-taken": (
        "m.register_module('c', s)", "m.register_module('p', s)", "KeyError", "'p' already"),
    "add-module-tensor": (
        "m.add_module('n', None)", "m.add_module('n', t)", "TypeError", "not a Module subclass"),
    "assign-tensor-to-parameter": (
        "m.p = q", "m.p = t", "TypeError", "as parameter 'p'"),
    "assign-module-to-parameter": (
        "m.p = None", "m.p = s", "TypeError", "as parameter 'p'"),
    "assign-number-to-buffer": (
        "m.b = t", "m.b = 1.0", "TypeError", "as buffer 'b'"),
    "assign-tensor-to-child": (
        "m.c = s", "m.c = t", "TypeError", "as child module 'c'"),
    "parameter-before-init": (
        "torch.nn.Module().p = q", "torch.nn.Module.__new__(torch.nn.Module).p = q",
        "AttributeError", "before Module.__init__"),
    "child-before-init": (
        "torch.nn.Module().c = s", "torch.nn.Module.__new__(torch.nn.Module).c = s",
        "AttributeError", "before Module.__init__"),
    "read-unknown": ("m.p", "m.n", "AttributeError", "no attribute 'n'"),
    "delete-unknown": ("del m.c", "del m.n", "AttributeError", "n"),
    "get-parameter-buffer": (
        "m.get_parameter('p')", "m.get_parameter('b')", "AttributeError", "not an nn.Parameter"),
    "get-parameter-unknown": (
        "m.get_parameter('p')", "m.get_parameter('n')", "AttributeError", "no attribute `n`"),
    "get-buffer-parameter": (
        "m.get_buffer('b')", "m.get_buffer('p')", "AttributeError", "not a buffer"),
    "get-submodule-tensor": (
        "m.get_submodule('c')", "m.get_submodule('p')", "AttributeError", "not an nn.Module"),
    "get-submodule-unknown": (
        "m.get_submodule('c')", "m.get_submodule('c.n')", "AttributeError", "no attribute `n`"),
    "train-number": ("m.train(True)", "m.train(1)", "ValueError", "expected to be boolean"),
    "to-integer": (
        "m.to(torch.float64)", "m.to(torch.int64)", "TypeError", "floating point or complex"),
}  # fmt: skip


def described(module):
    """The members of a module and of all below it, with the tensors' dtypes, to be compared."""
    return [
        (name, tuple(child._parameters.items()), tuple(child._buffers.items()),
         tuple(child.__dict__["_modules"].items()), child.training, child.__dict__.get("x"))
        for name, child in module.named_modules()
    ]  # fmt: skip


def identities(description):
    """The same with each tensor and module as its identity."""
    return [
        (name, *([(n, id(member)) for n, member in table] for table in tables), training, x)
        for name, *tables, training, x in description
    ]


@law("module.tensors", docs=lambda kind: f"{hooks.MODULE}named_{kind}", over=TENSORS)
@given(
    steps=registration.programs(),
    root=st.integers(0, 1),
    prefix=PREFIXES,
    recurse=st.booleans(),
    remove=st.booleans(),
)
def test_tensors(target, case, steps, root, prefix, recurse, remove):
    """named_parameters and named_buffers yield the members of a module and those below by name.

    In order of assignment, a module's own before its children's; a shared one the first time only,
    unless remove_duplicate=False; None never. What was assigned last counts, as a member of its
    kind only.
    """
    state = registration.built(steps, target.device)
    module, node = state.modules[root], state.nodes[root]
    options = {"prefix": prefix, "recurse": recurse, "remove_duplicate": remove}
    got = state.labels(getattr(module, f"named_{case}")(**options))
    compare.fact(got, model.named_tensors(node, case, **options), f"named {case}")
    plain = [state.label(member) for member in getattr(module, case)(recurse)]
    wanted = [label for _, label in model.named_tensors(node, case, recurse=recurse)]
    compare.fact(plain, wanted, case)


@law("module.submodules", docs=f"{hooks.MODULE}named_modules")
@given(steps=registration.programs(), prefix=PREFIXES, remove=st.booleans())
def test_submodules(target, steps, prefix, remove):
    """named_modules yields a module and all below it by name, itself first, each once.

    With remove_duplicate=False once for each path. named_children yields the direct ones.
    """
    state = registration.built(steps, target.device)
    module, node = state.modules[0], state.nodes[0]
    got = state.labels(module.named_modules(prefix=prefix, remove_duplicate=remove))
    compare.fact(got, model.named_modules(node, prefix, remove), "named modules")
    wanted = [label for _, label in model.named_modules(node)]
    compare.fact([state.label(m) for m in module.modules()], wanted, "modules")
    children = model.named_children(node)
    compare.fact(state.labels(module.named_children()), children, "named children")
    plain = [state.label(m) for m in module.children()]
    compare.fact(plain, [label for _, label in children], "children")


@law("module.attributes", docs="torch.nn.Module")
@given(steps=registration.programs())
def test_attributes(target, steps):
    """A member is read as an attribute under its name, and through its dotted path.

    A name that was deleted, or never given, is none; get_submodule of an empty path is the module.
    """
    state = registration.built(steps, target.device)
    for module, node in zip(state.modules, state.nodes, strict=True):
        for name in registration.NAMES:
            compare.fact(hasattr(module, name), node.has(name), f"has an attribute {name}")
        for table in node.tables():
            for name, member in table.items():
                label = getattr(member, "label", member)
                got = getattr(module, name)
                found = None if got is None else state.label(got)
                compare.fact(found, label, f"attribute {name}")
                compare.fact(name in dir(module), True, f"dir lists {name}")
    root, node = state.modules[0], state.nodes[0]
    for path, label in model.named_modules(node, remove_duplicate=False):
        compare.fact(state.label(root.get_submodule(path)), label, f"submodule {path!r}")
    for path, label in model.named_tensors(node, "parameters", remove_duplicate=False):
        compare.fact(state.label(root.get_parameter(path)), label, f"parameter {path!r}")
    for path, label in model.named_tensors(node, "buffers", remove_duplicate=False):
        compare.fact(state.label(root.get_buffer(path)), label, f"buffer {path!r}")


@law("module.rejected", docs="torch.nn.Module", over=REJECTIONS)
def test_rejected(target, case):
    """A registration that cannot be is refused, and leaves the module as it was."""
    legal, illegal, error, message = case

    def fresh():
        module = torch.nn.Module()
        module.p = torch.nn.Parameter(torch.ones(2, device=target.device))
        module.register_buffer("b", torch.ones(2, device=target.device))
        module.c = torch.nn.Module()
        module.__dict__["x"] = 3.0
        tensor = torch.zeros(2, device=target.device)
        return {"m": module, "t": tensor, "q": torch.nn.Parameter(tensor), "s": torch.nn.Module()}

    exec(legal, {"torch": torch}, fresh())
    names = fresh()
    before = described(names["m"])
    expected = {
        "KeyError": KeyError, "TypeError": TypeError, "ValueError": ValueError,
        "AttributeError": AttributeError,
    }[error]  # fmt: skip
    with compare.raises(expected, message):
        exec(illegal, {"torch": torch}, names)
    after = described(names["m"])
    compare.fact(identities(after), identities(before), "members after the refusal")
    compare.fact(names["m"].p.dtype, torch.float32, "dtype after the refusal")


@law("module.train", docs=f"{hooks.MODULE}train")
@given(
    steps=registration.programs(),
    switches=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(tuple(SWITCHES))), max_size=4),
)
def test_train(target, steps, switches):
    """train and eval set the mode of a module and of all below it, of no other, and return it.

    A module starts in training mode; train(False) is eval.
    """
    state = registration.built(steps, target.device)
    for root, switch in switches:
        module = state.modules[root]
        name, arguments = SWITCHES[switch]
        returned = getattr(module, name)(*arguments)
        compare.fact(returned is module, True, "returns the module")
        for _, node in model.walk(state.nodes[root]):
            node.training = switch.startswith("train-on")
    modes = [module.training for module in state.modules]
    compare.fact(modes, [node.training for node in state.nodes], "modes")


@law("module.apply", docs=f"{hooks.MODULE}apply")
@given(steps=registration.programs(), root=st.integers(0, 1))
def test_apply(target, steps, root):
    """Module.apply calls a function with every module below, then with itself, and returns itself.

    Children, as returned by children(), come before their parent.
    """
    state = registration.built(steps, target.device)
    called: list[str] = []
    expected: list[str] = []
    returned = state.modules[root].apply(lambda module: called.append(state.label(module)))
    model.each_before_its_parent(state.nodes[root], expected.append)
    compare.fact(called, expected, "modules that the function got")
    compare.fact(returned is state.modules[root], True, "returns the module")


@law("module.requires-grad", docs=f"{hooks.MODULE}requires_grad_")
@given(steps=registration.programs(), root=st.integers(0, 1), first=st.booleans())
def test_requires_grad(target, steps, root, first):
    """Module.requires_grad_ sets the flag of every parameter of a module and below, of no buffer.

    True is the default; it returns the module. Parameters elsewhere keep theirs.
    """
    state = registration.built([s for s in steps if s[3] != 4], target.device)
    module = state.modules[root]
    label = {name for _, name in model.named_tensors(state.nodes[root], "parameters")}
    for flag, arguments in ((first, (first,)), (not first, (not first,)), (True, ())):
        compare.fact(module.requires_grad_(*arguments) is module, True, "returns the module")
        for name, tensor in state.held.items():
            if isinstance(tensor, torch.Tensor):
                own = name.startswith("p") and tensor.dtype != torch.int64
                expected = flag if name in label else own
                compare.fact(tensor.requires_grad, expected, f"{name} requires grad")


@law("module.zero-grad", docs=f"{hooks.MODULE}zero_grad")
@given(
    steps=registration.programs(),
    root=st.integers(0, 1),
    to_none=st.sampled_from((None, True, False)),
    missing=st.integers(0, 4),
    value=st.sampled_from((3.0, np.nan, np.inf)),
)
def test_zero_grad(target, steps, root, to_none, missing, value):
    """zero_grad sets the gradient of every parameter of a module and below to None, or to zero.

    With set_to_none=False it is zeroed in its own memory; None stays. Others are left alone.
    """
    state = registration.built(steps, target.device)
    inside = {name for _, name in model.named_tensors(state.nodes[root], "parameters")}
    gradients = {}
    for name, tensor in state.held.items():
        floating = isinstance(tensor, torch.Tensor) and tensor.dtype != torch.int64
        if floating and name.startswith("p") and name != f"p{missing}":
            gradients[name] = tensor.grad = torch.full_like(tensor, value, requires_grad=False)
    arguments = {} if to_none is None else {"set_to_none": to_none}
    state.modules[root].zero_grad(**arguments)
    for name, gradient in gradients.items():
        got = state.held[name].grad
        if name in inside and to_none is not False:
            compare.fact(got, None, f"gradient of {name}")
        else:
            compare.fact(got is gradient, True, f"gradient of {name} is the same tensor")
            held = registration.full(gradient, 0 if name in inside else value)
            compare.equal(gradient, held, dtype=gradient.dtype, what=f"gradient of {name}")
    if missing < 4:
        compare.fact(state.held[f"p{missing}"].grad, None, "gradient that was None")


def by_pickle(module):
    """A copy through bytes."""
    return pickle.loads(pickle.dumps(module))


COPIES = {"deepcopy": copy.deepcopy, "pickle": by_pickle}


@law("module.copy", docs="torch.nn.Module", over=COPIES)
@given(steps=registration.programs(), frozen=st.integers(0, 3), evaluating=st.integers(0, 3))
def test_copy(target, case, steps, frozen, evaluating):
    """A deep copy of a module is equal to it and shares no memory; what was shared is shared again.

    Names, order, values, dtypes, requires_grad, which buffers are persistent, training mode.
    """
    state = registration.built(steps, target.device)
    state.held[f"p{frozen}"].requires_grad_(False)
    state.modules[evaluating].training = False
    root = state.modules[0]
    copied = case(root)
    pairs: dict[int, object] = {}
    for kind in ("parameters", "buffers", "modules"):
        old = list(getattr(root, f"named_{kind}")(remove_duplicate=False))
        new = list(getattr(copied, f"named_{kind}")(remove_duplicate=False))
        compare.fact([name for name, _ in new], [name for name, _ in old], f"names of {kind}")
        for (name, was), (_, now) in zip(old, new, strict=True):
            compare.fact(now is pairs.setdefault(id(was), now), True, f"{name} is shared alike")
            compare.fact(type(now), type(was), f"type of {name}")
            if kind == "modules":
                compare.fact(now.training, was.training, f"mode of {name}")
                continue
            values = compare.to_numpy(was)
            compare.equal(now, values, dtype=was.dtype, what=name)
            compare.fact(now.requires_grad, was.requires_grad, f"{name} requires grad")
            alone = now.untyped_storage().data_ptr() != was.untyped_storage().data_ptr()
            compare.fact(alone or not was.numel(), True, f"{name} has memory of its own")
    compare.fact(len({id(new) for new in pairs.values()}), len(pairs), "distinct members")
    compare.fact(list(copied.state_dict()), list(root.state_dict()), "names in the state")


CONVERSIONS = {
    "to": ("m.to(dtype)", "float64 float16 bfloat16"),
    "to-keyword": ("m.to(device=device, dtype=dtype)", "float64 float16"),
    "to-tensor": ("m.to(torch.zeros(1, dtype=dtype, device=device))", "float64 bfloat16"),
    "type": ("m.type(dtype)", "float64"),
    "double": ("m.double()", "float64"), "half": ("m.half()", "float16"),
    "bfloat16": ("m.bfloat16()", "bfloat16"),
}  # fmt: skip


@law("module.converted", docs=f"{hooks.MODULE}to", over=CONVERSIONS)
@given(numbers=st.lists(st.integers(-8, 8), min_size=3, max_size=3), choice=st.integers(0, 2))
def test_converted(target, case, numbers, choice):
    """A conversion changes the dtype of a module's floating tensors in place, and returns it.

    Of parameters, their gradients and buffers, those below too; each Parameter stays the same
    object with its flag. Integers stay integers, unless the method is type, which casts all.
    """
    statement, names = case
    dtype = getattr(torch, names.split()[choice % len(names.split())])
    inner = torch.nn.Module()
    inner.p = torch.nn.Parameter(torch.tensor(numbers, dtype=torch.float32) / 8)
    inner.frozen = torch.nn.Parameter(inner.p.detach() * 2, requires_grad=False)
    inner.p.grad = inner.p.detach() * 4
    inner.register_buffer("mean", inner.p.detach() * 8)
    inner.register_buffer("count", torch.tensor(numbers))
    module = torch.nn.Sequential(inner).to(target.device)
    parameters, values = dict(module.named_parameters()), [number / 8 for number in numbers]
    given_to = {"torch": torch, "m": module, "dtype": dtype, "device": target.device}
    compare.fact(eval(statement, given_to) is module, True, "returns the module")
    same = all(now is parameters[name] for name, now in module.named_parameters())
    compare.fact((same, len(parameters)), (True, 2), "the same Parameter objects")
    compare.fact((inner.p.requires_grad, inner.frozen.requires_grad), (True, False), "flags")
    found = {"p": inner.p, "grad": inner.p.grad, "frozen": inner.frozen, "mean": inner.mean}
    for (name, tensor), factor in zip(found.items(), (1, 4, 2, 8), strict=True):
        expected = np.array(values) * factor
        compare.close(tensor, expected, bound=0.0, dtype=dtype, what=name)
    counted = dtype if case is CONVERSIONS["type"] else torch.int64
    compare.equal(inner.count, np.array(numbers), dtype=counted, what="integers")


@law("module.call", docs="torch.nn.Module")
@given(value=st.integers(-4, 4), shift=st.integers(-4, 4))
def test_call(target, value, shift):
    """Calling a module calls its forward with the same arguments, and returns its very result."""
    got = []

    class Noting(torch.nn.Module):
        def forward(self, *arguments, **keywords):
            got.append((self, arguments, keywords))
            return result

    module, argument = Noting(), torch.full((1,), value, device=target.device)
    result = {"result": [argument]}
    returned = module(argument, shift, other=argument)
    compare.fact(returned is result, True, "returns what forward returns")
    compare.fact(len(got), 1, "calls of forward")
    subject, arguments, keywords = got[0]
    compare.fact(subject is module and arguments[0] is argument, True, "same module, same argument")
    compare.fact((len(arguments), arguments[1]), (2, shift), "arguments by position")
    compare.fact(list(keywords), ["other"], "arguments by keyword")
    compare.fact(keywords["other"] is argument, True, "the argument by keyword")
