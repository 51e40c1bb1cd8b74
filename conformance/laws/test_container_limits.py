"""Containers at their limits: what they refuse, missing keys, slices, places from the end."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import containers

DICTS = {name: name for name in containers.DICTS}
INSERTING = {"ModuleList": "ModuleList", "Sequential": "Sequential"}
APPENDING = ("s.append(m)", "s.extend([m])", "s += torch.nn.Sequential(m)")
# The container, the legal statement, the illegal one, the error, the telling part of its text.
# s has two elements, under "a" and "b" if it is a dict; m is an element, n integers.
REJECTIONS = {
    "list-append": ("ModuleList", "s.append(m)", "s.append(n)", "TypeError",
                    "not a Module subclass"),
    "list-extend": ("ModuleList", "s.extend([m])", "s.extend(m)", "TypeError", "iterable"),
    "list-assign": ("ModuleList", "s[1] = m", "s[1] = n", "TypeError", "as child module '1'"),
    "list-assign-outside": ("ModuleList", "s[-2] = m", "s[-3] = m", "IndexError", "out of range"),
    "list-delete-outside": ("ModuleList", "del s[1]", "del s[2]", "IndexError", "out of range"),
    "list-pop-outside": ("ModuleList", "s.pop(-2)", "s.pop(-3)", "IndexError", "out of range"),
    "list-text": ("ModuleList", "s[0]", "s['0']", "TypeError", "integer"),
    "sequential-append": ("Sequential", "s.append(m)", "s.append(n)", "TypeError",
                          "not a Module subclass"),
    "sequential-insert-outside": ("Sequential", "s.insert(2, m)", "s.insert(3, m)", "IndexError",
                                  "out of range"),
    "sequential-insert-before": ("Sequential", "s.insert(-2, m)", "s.insert(-3, m)", "IndexError",
                                 "out of range"),
    "sequential-assign": ("Sequential", "s[1] = m", "s[1] = n", "TypeError", "as child module '1'"),
    "sequential-construct": ("Sequential", "torch.nn.Sequential(m)", "torch.nn.Sequential([m])",
                             "TypeError", "not a Module subclass"),
    "dict-number": ("ModuleDict", "s['1'] = m", "s[1] = m", "TypeError", "should be a string"),
    "dict-dotted": ("ModuleDict", "s['n'] = m", "s['n.o'] = m", "KeyError", "can.*t contain"),
    "dict-nameless": ("ModuleDict", "s['n'] = m", "s[''] = m", "KeyError", "empty string"),
    "dict-tensor": ("ModuleDict", "s['a'] = m", "s['a'] = n", "TypeError", "not a Module subclass"),
    "dict-update": ("ModuleDict", "s.update([])", "s.update(3)", "TypeError", "iterable"),
    "dict-update-single": ("ModuleDict", "s.update([('n', m)])", "s.update([3])", "TypeError",
                           "should be Iterable"),
    "dict-update-triple": ("ModuleDict", "s.update([('n', m)])", "s.update([('n', m, m)])",
                           "ValueError", "length 3; 2 is required"),
    "dict-delete": ("ModuleDict", "del s['a']", "del s['c']", "KeyError", "c"),
    "parameters-tensor": ("ParameterList", "s.extend([m])", "s.extend(m.detach())", "TypeError",
                          "iterable"),
    "parameters-number": ("ParameterList", "s.extend([])", "s.extend(3)", "TypeError", "iterable"),
    "parameters-outside": ("ParameterList", "s[-2] = m", "s[2] = m", "IndexError", "out of range"),
    "parameters-integers": ("ParameterList", "s.append(m)", "s.append(n)", "RuntimeError",
                            "floating point and complex"),
    "parameters-called": ("ParameterList", "s[0]", "s(0)", "RuntimeError", "should not be called"),
    "parameter-dict-number": ("ParameterDict", "s['1'] = m", "s[1] = m", "TypeError", "string"),
    "parameter-dict-read": ("ParameterDict", "s['a']", "s[1]", "TypeError", "string"),
    "parameter-dict-integers": ("ParameterDict", "s['c'] = m", "s['c'] = n", "RuntimeError",
                                "floating point and complex"),
    "parameter-dict-update": ("ParameterDict", "s.update([])", "s.update(3)", "TypeError",
                              "iterable"),
    "parameter-dict-triple": ("ParameterDict", "s.update([('n', m)])", "s.update([('n', m, m)])",
                              "ValueError", "length 3; 2 is required"),
    "parameter-dict-called": ("ParameterDict", "s['a']", "s('a')", "RuntimeError",
                              "should not be called"),
}  # fmt: skip


def contents(container):
    """The elements of a container, by key, with their identities."""
    pairs = container.items() if hasattr(container, "items") else enumerate(container)
    registered = [*container._modules.items(), *container._parameters.items()]
    return [(key, id(value)) for key, value in pairs], [(key, id(v)) for key, v in registered]


@law("containers.rejected", docs="torch.nn.ModuleList", over=REJECTIONS)
def test_rejected(target, case):
    """A container refuses what it cannot hold, or a key it cannot use, and stays as it was."""
    name, legal, illegal, error, message = case

    def fresh():
        members = containers.members_for(name, target.device)
        pairs = list(zip("ab", members, strict=False))
        container = containers.made(name, pairs if name.endswith("Dict") else members[:2])
        whole = torch.ones(2, dtype=torch.int64, device=target.device)
        return {"s": container, "m": members[0], "n": whole, "torch": torch}

    exec(legal, fresh())
    names = fresh()
    before = contents(names["s"])
    expected = {"KeyError": KeyError, "TypeError": TypeError, "ValueError": ValueError,
                "IndexError": IndexError, "RuntimeError": RuntimeError}[error]  # fmt: skip
    with compare.raises(expected, message):
        exec(illegal, names)
    compare.fact(contents(names["s"]), before, "contents after the refusal")
    compare.fact(len(names["s"]), 2, "length after the refusal")


@law("containers.missing-key", docs=containers.page, over=DICTS)
@given(key=st.sampled_from(("c", "", "0")), statement=st.sampled_from(("s[k]", "s.pop(k)")))
def test_missing_key(target, case, key, statement):
    """Reading or popping a key that is not there is a KeyError, as of a Python dict."""
    members = containers.members_for(case, target.device)
    container = containers.made(case, [("a", members[0]), ("b", members[1])])
    got = eval(statement, {"s": container, "k": "a"})
    compare.fact(got is members[0], True, "the element of a key that is there")
    with compare.raises(KeyError, key):
        eval(statement, {"s": container, "k": key})


@law("containers.insert-from-the-end", docs=containers.page, over=INSERTING)
@given(count=st.integers(1, 4), place=st.integers(1, 4))
def test_insert_from_the_end(target, case, count, place):
    """insert counts a negative index from the end, as a Python list does."""
    members = containers.members_for(case, target.device)
    labels = [10 + number % 2 for number in range(count)]
    container = containers.made(case, [members[label - 10] for label in labels])
    index = -min(place, count)
    labels.insert(index, 12)
    container.insert(index, members[2])
    compare.fact(containers.labelled(list(container), members), labels, "elements")
    containers.check_registered(container, [str(n) for n in range(count + 1)], labels, members)


@law("containers.append-to-slice", docs="torch.nn.Sequential")
@given(count=st.integers(1, 4), start=st.integers(0, 3), statement=st.sampled_from(APPENDING))
def test_append_to_slice(target, count, start, statement):
    """What is appended to a slice of a Sequential comes after all that the slice has.

    The Sequential that it is a slice of is left alone.
    """
    members = containers.members_for("Sequential", target.device)
    labels = [10 + number % 2 for number in range(count)]
    whole = containers.made("Sequential", [members[label - 10] for label in labels])
    part = whole[min(start, count) :]
    exec(statement, {"s": part, "m": members[2], "torch": torch})
    wanted = [*labels[min(start, count) :], 12]
    compare.fact(containers.labelled(list(whole), members), labels, "the whole")
    compare.fact(containers.labelled(list(part), members), wanted, "the slice")


@law("containers.replaced", docs="torch.nn.ParameterDict")
@given(key=st.sampled_from(("a", "b")), value=st.sampled_from((1.5, "text", (1, 2))))
def test_replaced(target, key, value):
    """A key of a ParameterDict may be given an object that is no tensor in place of a parameter."""
    members = containers.members_for("ParameterDict", target.device)
    container = containers.made("ParameterDict", [("a", members[0]), ("b", members[1])])
    container[key] = None
    compare.fact(container[key], None, "element set to None")
    container[key] = value
    compare.fact(container[key], value, "element set to an object")
    other = "b" if key == "a" else "a"
    compare.fact([name for name, _ in container.named_parameters()], [other], "parameters")
    container[key] = members[0]
    names = [name for name, _ in container.named_parameters()]
    compare.fact(sorted(names), ["a", "b"], "parameters once a parameter is set again")
