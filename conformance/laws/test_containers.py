"""Containers: lists and dicts of modules and parameters that are registered, and sequences."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import containers

LISTS = {name: name for name in containers.LISTS}
DICTS = {name: name for name in containers.DICTS}


@law("containers.list", docs=containers.page, over=LISTS)
@given(steps=containers.list_programs, start=st.lists(st.integers(10, 12), max_size=4))
def test_list(target, case, steps, start):
    """ModuleList, Sequential and ParameterList are Python lists that register what they hold.

    The element at place n has the name n. Negative indices count from the end, slices give
    another container of the same elements, one that is out of range is an IndexError, and an
    element may occur more than once. ParameterList makes parameters of tensors.
    """
    members = containers.members_for(case, target.device)
    container = containers.made(case, [members[label - 10] for label in start])
    plain = list(start)
    for step in steps:
        container, plain, _ = containers.step_on(container, plain, step, case, members)
        compare.fact(containers.labelled(list(container), members), plain, "elements")
        compare.fact(len(container), len(plain), "length")
        names = [str(number) for number in range(len(plain))]
        containers.check_registered(container, names, plain, members)
        ends = range(-len(plain), len(plain))
        by_index = [containers.labelled(container[index], members) for index in ends]
        compare.fact(by_index, plain + plain, "elements by index")
        compare.fact(type(container[1:]) is type(container), True, "type of a slice")


@law("containers.dict", docs=containers.page, over=DICTS)
@given(steps=containers.dict_programs, start=st.lists(st.integers(10, 12), max_size=3))
def test_dict(target, case, steps, start):
    """ModuleDict and ParameterDict are used as Python dicts; what they hold is registered.

    In the order of insertion, under the key; update keeps the order of what is ordered. One
    that is overwritten keeps its place. ParameterDict makes parameters of tensors.
    """
    members = containers.members_for(case, target.device)
    plain = dict(zip(containers.KEYS, start, strict=False))
    content = [(key, members[label - 10]) for key, label in plain.items()]
    container = containers.made(case, content)
    for step in steps:
        container, plain, _ = containers.step_on(container, plain, step, case, members)
        got = [(key, containers.labelled(value, members)) for key, value in container.items()]
        compare.fact(got, list(plain.items()), "items")
        compare.fact(len(container), len(plain), "length")
        for key in containers.KEYS:
            compare.fact(key in container, key in plain, f"has {key}")
        by_key = [containers.labelled(container[key], members) for key in plain]
        compare.fact(by_key, list(plain.values()), "elements by key")
        containers.check_registered(container, list(plain), list(plain.values()), members)


class Affine(torch.nn.Module):
    """``scale * x + shift``, with a parameter for the scale."""

    def __init__(self, scale, shift, device):
        super().__init__()
        data = torch.tensor(float(scale), dtype=torch.float64, device=device)
        self.scale = torch.nn.Parameter(data)
        self.shift = shift

    def forward(self, x):
        """The affine function of one argument."""
        return self.scale * x + self.shift


PIECES = st.lists(
    st.tuples(st.integers(-2, 3), st.integers(-2, 2)), min_size=1, max_size=3, unique=True
)


@law("containers.sequential", docs="torch.nn.Sequential")
@given(pieces=PIECES, order=st.lists(st.integers(0, 2), max_size=5), value=st.integers(-3, 3))
def test_sequential(target, pieces, order, value):
    """Sequential hands its input to its first module, each output to the next, in their order.

    It is the composition f_n(...f_2(f_1(x))), with the gradients of the composition; a module may
    occur more than once. Without modules it returns its input itself.
    """
    modules = [Affine(scale, shift, target.device) for scale, shift in pieces]
    chosen = [number % len(pieces) for number in order]
    network = torch.nn.Sequential(*(modules[number] for number in chosen))
    x = torch.tensor([float(value)], dtype=torch.float64, device=target.device, requires_grad=True)
    result = target.run(network, x)
    if not order:
        compare.fact(result is x, True, "returns its input")
        return
    at, slopes = float(value), []
    for number in chosen:
        slopes.append(at)
        at = pieces[number][0] * at + pieces[number][1]
    compare.equal(result + 0.0, np.array([at]) + 0.0, dtype=torch.float64)
    result.backward()
    totals, after = [0.0] * len(pieces), 1.0
    for number, before in reversed(list(zip(chosen, slopes, strict=True))):
        totals[number] += after * before
        after *= pieces[number][0]
    expected = [np.array([after]), *(np.array(total) for total in totals)]
    reached = [True, *(number in chosen for number in range(len(pieces)))]
    compare.gradients([x, *(module.scale for module in modules)], expected, reached)


@law("containers.sequential-input", docs="torch.nn.Sequential")
@given(count=st.integers(1, 3), kind=st.sampled_from(("tuple", "dict", "none", "text")))
def test_sequential_input(target, count, kind):
    """Sequential accepts any input, and hands it on as one argument; any output too."""
    given_one = {"tuple": (1, 2), "dict": {"x": 1}, "none": None, "text": "x"}[kind]
    got, network = [], torch.nn.Sequential()

    class Wrapping(torch.nn.Module):
        def forward(self, *arguments, **keywords):
            got.append((arguments, keywords))
            return [arguments[0]]

    for _ in range(count):
        network.append(Wrapping())
    result = network(given_one)
    expected: Any = given_one
    for arguments, keywords in got:
        compare.fact((len(arguments), keywords), (1, {}), "arguments of a module")
        compare.fact(arguments[0], expected, "what a module gets")
        expected = [expected]
    compare.fact(got[0][0][0] is given_one, True, "the first gets the very input")
    compare.fact((len(got), result), (count, expected), "modules called, result")


@law("containers.ordered", docs="torch.nn.Sequential")
@given(keys=st.permutations(("b", "a", "c")), count=st.integers(1, 3), place=st.integers(-3, 2))
def test_ordered(target, keys, count, place):
    """A Sequential of an OrderedDict has its modules under its names, in its order.

    They are indexed by place. What is assigned to a place takes the name of what was there.
    """
    pairs = [(key, Affine(n, 1, target.device)) for n, key in enumerate(keys[:count])]
    network = torch.nn.Sequential(OrderedDict(pairs))
    place %= count
    for new in (None, Affine(9, 0, target.device)):
        if new is not None:
            network[place] = new
            pairs[place] = (pairs[place][0], new)
        compare.fact(list(dict(network.named_children())), list(keys[:count]), "names")
        same = [network[n] is module for n, (_, module) in enumerate(pairs)]
        compare.fact(same, [True] * count, "modules by place")
        same = [getattr(network, key) is module for key, module in pairs]
        compare.fact(same, [True] * count, "modules by name")
        names = [f"{key}.scale" for key, _ in pairs]
        compare.fact(list(network.state_dict()), names, "names in the state")


TREES = st.recursive(
    st.integers(0, 2),
    lambda below: st.tuples(
        st.sampled_from(("Sequential", "ModuleList", "ModuleDict")),
        st.lists(below, max_size=3),
    ),
    max_leaves=8,
)


def planted(tree, leaves, path=""):
    """Build a tree of containers; return it with the names of the leaves' parameters in order."""
    if isinstance(tree, int):
        return leaves[tree], [(f"{path}scale", tree)]
    kind, parts = tree
    keys = [("y", "x", "z")[n] if kind == "ModuleDict" else str(n) for n in range(len(parts))]
    built = [planted(part, leaves, f"{path}{key}.") for key, part in zip(keys, parts, strict=True)]
    modules = [module for module, _ in built]
    content = list(zip(keys, modules, strict=True)) if kind == "ModuleDict" else modules
    return containers.made(kind, content), [entry for _, names in built for entry in names]


@law("containers.nested", docs="torch.nn.ModuleList")
@given(tree=TREES)
def test_nested(target, tree):
    """Containers within containers name what they hold by the path of places and keys to it.

    In order, depth first; what is held twice has both names in the state.
    """
    leaves = [Affine(number, 0, target.device) for number in range(3)]
    network, names = planted(tree, leaves)
    everywhere = [(n, id(p)) for n, p in network.named_parameters(remove_duplicate=False)]
    expected = [(name, id(leaves[number].scale)) for name, number in names]
    compare.fact(everywhere, expected, "parameters by name")
    compare.fact(list(network.state_dict()), [name for name, _ in names], "names in the state")
    first = {number: name for name, number in reversed(names)}
    once = [(name, number) for name, number in names if first[number] == name]
    single = [(name, id(p)) for name, p in network.named_parameters()]
    compare.fact(single, [(n, id(leaves[k].scale)) for n, k in once], "parameters, each once")
    for name, number in names:
        compare.fact(network.get_parameter(name) is leaves[number].scale, True, f"{name} by path")


def held(kind, members):
    """Members in a list, tuple or dict of Python."""
    return {"list": list, "tuple": tuple}[kind](members) if kind != "dict" else dict(
        zip("abc", members, strict=False))  # fmt: skip


@law("containers.plain", docs="torch.nn.ModuleList", over={k: k for k in ("list", "tuple", "dict")})
@given(parameters=st.booleans(), count=st.integers(1, 3))
def test_plain(target, case, parameters, count):
    """What a plain list, tuple or dict holds is not registered; in a container of torch it is."""
    name = "ParameterList" if parameters else "ModuleList"
    members = containers.members_for(name, target.device)[:count]
    module = torch.nn.Module()
    module.members = held(case, members)
    compare.fact(list(module.parameters()), [], "parameters")
    compare.fact([m is module for m in module.modules()], [True], "modules")
    compare.fact(list(module.state_dict()), [], "names in the state")
    content: Any = held(case, members)
    content = list(content.items()) if case == "dict" else content
    module.members = containers.made(
        name.replace("List", "Dict") if case == "dict" else name, content
    )
    keys = "abc"[:count] if case == "dict" else "012"[:count]
    names = [f"members.{key}" if parameters else f"members.{key}.weight" for key in keys]
    compare.fact(list(module.state_dict()), names, "names in the state of a container")


@law("containers.other-objects", docs="torch.nn.ParameterDict")
@given(
    places=st.permutations(range(4)),
    objects=st.lists(st.sampled_from((None, 1.5, "text", (1, 2))), min_size=2, max_size=2),
)
def test_other_objects(target, places, objects):
    """ParameterList and ParameterDict hold what is no tensor as it is, unregistered."""
    tensor = torch.ones(1, device=target.device)
    content = [objects[0], torch.nn.Parameter(tensor), objects[1], tensor]
    content = [content[place] for place in places]
    names = [str(n) for n in range(4) if isinstance(content[n], torch.Tensor)]
    sequence = torch.nn.ParameterList(content)
    mapping = torch.nn.ParameterDict(list(zip("0123", content, strict=True)))
    for container, found in ((sequence, list(sequence)), (mapping, list(mapping.values()))):
        compare.fact(len(container), 4, "length")
        for got, expected in zip(found, content, strict=True):
            if isinstance(expected, torch.Tensor):
                compare.fact(containers.is_member(got, expected), True, "a parameter")
            else:
                compare.fact(got, expected, "an object that is no tensor")
        compare.fact([name for name, _ in container.named_parameters()], names, "parameters")
        compare.fact(list(container.state_dict()), names, "names in the state")
    compare.fact(mapping.setdefault("new"), None, "setdefault without a default")
    compare.fact((list(mapping), mapping["new"]), ([*"0123", "new"], None), "the new key")
    empty = mapping.fromkeys(["x", "y"])
    compare.fact(list(empty.items()), [("x", None), ("y", None)], "fromkeys without a default")
