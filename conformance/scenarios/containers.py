"""Programs of statements on containers of modules or parameters, and on a plain list or dict.

A statement is one text for both: ``s`` is the container, or a Python list or dict of labels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare

KEYS = ("b", "a", "c")
MEMBERS = 3

_READ = ("r = s[i]", "r = len(s)", "r = list(s)", "r = list(reversed(s))")
_SLICE = ("r = list(s[i:j])", "r = list(s[::-1])", "r = list(s[i::2])", "r = list(s[:j])")
_GROW = ("s.append(a)", "s.append(a)", "s.extend([a, b])", "s.extend(iter([b, a, b]))",
         "s.extend(s[:])", "s[i] = a", "s[i] = b")  # fmt: skip
_SHRINK = ("del s[i]", "del s[i:j]", "del s[::2]", "r = s.pop(i)", "s.insert(i % (len(s) + 1), a)")
LISTS: Mapping[str, tuple[str, ...]] = {
    "ModuleList": (*_READ, "r = a in s", *_SLICE, *_GROW, *_SHRINK, "s += [a, b]",
                   "s += (a for _ in range(2))", "r = list(s + [a])"),
    "Sequential": (*_READ, "r = a in s", *_SLICE, *_GROW, *_SHRINK, "s += make([a, b])",
                   "r = list(s + make([b, a]))", "s.insert(-(i % (len(s) + 1)), b)"),
    "ParameterList": (*_READ, *_SLICE, *_GROW, "s += [a, b]", "s += (a for _ in range(2))"),
}  # fmt: skip
"""Statements by container; indices ``i`` and ``j`` may be out of range, ``a`` and ``b`` members."""

_LOOK = ("r = k in s", "r = len(s)", "r = list(s)", "r = list(s.items())", "r = list(s.values())",
         "r = list(s.keys())")  # fmt: skip
_CHANGE = ("s[k] = a", "s[k] = b", "s[l] = a", "del s[k]", "s.update([(k, a), (l, b)])",
           "s.update(ordered([(l, a), (k, b)]))", "s.update(make(ordered([(k, b), (l, a)])))",
           "s.update(iter([(l, b)]))", "s.update({k: a})")  # fmt: skip
DICTS: Mapping[str, tuple[str, ...]] = {
    "ModuleDict": (*_LOOK, *_CHANGE, "s.update({l: a, k: b})", "r = s.pop(k)", "r = s[k]",
                   "s.clear()"),
    "ParameterDict": (*_LOOK, *_CHANGE, "r = s.get(k)", "r = s.get(k, 7)", "r = s.popitem()",
                      "r = list(reversed(s))", "r = list(s.copy().items())",
                      "r = list((s | make(ordered([(k, a), (l, b)]))).items())",
                      "s |= make(ordered([(l, a)]))", "r = s.setdefault(k, p)",
                      "r = list(s.fromkeys([l, k], p).items())", "s.clear()"),
}  # fmt: skip
"""Statements by container; ``k`` and ``l`` are keys, ``a`` and ``b`` members, ``p`` a parameter."""

Step = tuple[str, int, int, int, int]
"""A statement, the numbers ``i`` and ``j`` (keys by number), those of ``a`` and ``b``."""


def _program(
    statements: tuple[str, ...], places: st.SearchStrategy[int]
) -> st.SearchStrategy[list[Step]]:
    member = st.integers(0, MEMBERS - 1)
    step = st.tuples(st.sampled_from(statements), places, places, member, member)
    return st.lists(step, min_size=4, max_size=12)


def list_programs(case: str) -> st.SearchStrategy[list[Step]]:
    """Draw the steps of a program on a container like a list."""
    return _program(LISTS[case], st.integers(-4, 4))


def dict_programs(case: str) -> st.SearchStrategy[list[Step]]:
    """Draw the steps of a program on a container like a dict."""
    return _program(DICTS[case], st.integers(0, len(KEYS) - 1))


def members_for(name: str, device: torch.device) -> list[Any]:
    """Make what a container holds: modules with a weight, or two parameters and a tensor."""
    numbers = [torch.full((2,), float(n + 1), device=device) for n in range(MEMBERS)]
    if name.startswith("Parameter"):
        return [*(torch.nn.Parameter(number) for number in numbers[:2]), numbers[2]]
    modules = [torch.nn.Module() for _ in range(MEMBERS)]
    for module, number in zip(modules, numbers, strict=True):
        module.weight = torch.nn.Parameter(number)
    return modules


def made(name: str, content: Any) -> Any:
    """Make a container of a content: a list or pairs."""
    kind = getattr(torch.nn, name)
    return kind(*content) if name == "Sequential" else kind(content)


def execute(statement: str, container: Any, words: Mapping[str, Any]) -> tuple[Any, Any]:
    """Run a statement; return the container that ``s`` stands for then, and its result ``r``."""
    scope: dict[str, Any] = {**words, "s": container, "r": None, "ordered": OrderedDict}
    exec(statement, scope)
    return scope["s"], scope["r"]


def is_member(got: Any, member: Any) -> bool:
    """Whether what a container holds is the member, or the parameter made of a plain tensor."""
    if isinstance(member, torch.Tensor) and not isinstance(member, torch.nn.Parameter):
        return (
            isinstance(got, torch.nn.Parameter)
            and got.requires_grad
            and got.data_ptr() == member.data_ptr()
        )
    return got is member


def labelled(found: Any, members: list[Any]) -> Any:
    """Return a result of a statement with labels, numbers of 10 and more, for the members."""
    if isinstance(found, (tuple, list)):
        return type(found)(labelled(part, members) for part in found)
    if isinstance(found, (torch.Tensor, torch.nn.Module)):
        return next((10 + n for n, m in enumerate(members) if is_member(found, m)), "unknown")
    return found


def step_on(
    container: Any, plain: Any, step: Step, name: str, members: list[Any]
) -> tuple[Any, Any, bool]:
    """Run one step on a container and on its model and compare what they return or raise.

    Returns both as they are then, and whether the statement was legal.
    """
    statement, first, second, a, b = step
    places = {"i": first, "j": second, "k": KEYS[first % 3], "l": KEYS[second % 3]}
    labels = {"a": 10 + a, "b": 10 + b, "p": 10}
    objects = {"a": members[a], "b": members[b], "p": members[0]}
    try:
        after, want = execute(statement, plain, {**places, **labels, "make": type(plain)})
    except (IndexError, KeyError) as error:
        kind, telling = type(error), "out of range" if isinstance(error, IndexError) else ""
        with compare.raises(kind, telling):
            execute(statement, container, {**places, **objects, "make": type(container)})
        return container, plain, False
    words = {**places, **objects, "make": lambda content: made(name, content)}
    now, got = execute(statement, container, words)
    compare.fact(now is container, True, f"the container after {statement!r}")
    compare.fact(labelled(got, members), want, f"result of {statement!r}")
    return now, after, True


def page(name: str) -> str:
    """Return the documentation of a container."""
    return f"torch.nn.{name}"


def check_registered(
    container: Any, names: list[str], labels: list[int], members: list[Any]
) -> None:
    """Check that the members are registered under those names, in that order, and are its state."""
    parameters = [name for name, _ in container.named_parameters(remove_duplicate=False)]
    below = [name for name, _ in container.named_modules(remove_duplicate=False)][1:]
    modules = isinstance(members[0], torch.nn.Module)
    wanted = [f"{name}.weight" for name in names] if modules else names
    compare.fact(parameters, wanted, "names of parameters")
    compare.fact(below, names if modules else [], "names of modules")
    state = container.state_dict()
    compare.fact(list(state), wanted, "names in the state")
    for entry, label in zip(state.values(), labels, strict=True):
        member = members[label - 10]
        tensor = member.weight if modules else member
        compare.equal(entry, compare.to_numpy(tensor), dtype=tensor.dtype, what="state")
        compare.fact(entry.data_ptr(), tensor.data_ptr(), "memory of the state")
