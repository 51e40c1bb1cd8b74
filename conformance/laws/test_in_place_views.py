"""In-place writes and reads of a base and its views in any order, as random programs."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import arrays
from strategies.functions import Function, numpy_of

IN_PLACE = "notes/autograd.html#in-place-operations-with-autograd"
CHECKS = "notes/autograd.html#in-place-correctness-checks"

SHAPES = ((2,), (3,), (1,), (2, 3), (3, 2), (2, 2, 2))
FROM_START = (
    "{a}[0, ...]",
    "{a}[::2]",
    "xp.swapaxes({a}, 0, -1)",
    "{a}[...]",
    "{a}[..., None]",
)
"""Texts under torch and NumPy; the last two are legal at rank 0 as well."""
VIEWS = ("{a}[-1, ...]", "{a}[1:]", *FROM_START)
WRITES = (
    "{a} *= -2.0",
    "{a} += x1",
    "{a}[...] = x1 * 0.5",
    "{a} *= 0.5",
    "{a} -= 0.25",
    "{a}[...] = 1.5",
)
READS = ("{a} * {a}", "{a} * 2.0", "({a} * 1.0) * ({a} * 1.0)")
"""The first saves what it reads; the second saves nothing, the third only copies."""


class Program:
    """Lines over a base ``h`` and views of it, and whether a saved value was overwritten."""

    def __init__(self, shape, saving, views):
        self.lines = ["h = x0 * 1.0", "t = x1 * 0.0"]
        self.shapes, self.views = {"h": shape}, views
        self.saving, self.saved, self.overwritten = saving, False, False

    def add(self, kind, text, pick):
        """Add a view, a write or a read of the tensor that ``pick`` chooses, newest first."""
        names = list(self.shapes)[::-1]
        a = names[pick % len(names)]
        shape = self.shapes[a]
        if kind == "view":
            text = self.views[text % len(self.views)] if shape else self.views[-1 - text % 2]
            viewed = eval(text.format(a="a"), {"a": np.empty(shape), "xp": np})
            name = f"v{len(names)}"
            self.lines.append(f"{name} = {text.format(a=a)}")
            if viewed.size and viewed.ndim < 5:
                self.shapes[name] = viewed.shape
            else:
                self.lines.pop()
        elif kind == "write":
            self.overwritten |= self.saved
            self.lines.append(WRITES[text % len(WRITES)].format(a=a))
        else:
            chosen = READS[text % 3 if self.saving else 1 + text % 2]
            self.saved |= chosen == READS[0]
            self.lines.append(f"t = t + ({chosen.format(a=a)}).sum()")


@st.composite
def programs(draw, saving, views=VIEWS):
    """Draw a function of x0 and the number x1 that writes and reads, and what it overwrites.

    With it whether a value that was saved is written to later.
    ``saving`` says whether a read before the last line may save what it reads.
    """
    shape = draw(st.sampled_from(SHAPES))
    points = (draw(arrays(shape=shape)), draw(arrays()))
    program = Program(shape, saving, views)
    for byte in draw(st.binary(min_size=5, max_size=12)):
        program.add(("view", "write", "view", "write", "read")[byte % 5], byte // 5, byte // 35)
    last = list(program.shapes)[draw(st.integers(0, len(program.shapes) - 1))]
    body = "\n".join([*program.lines, f"return t + (h * h).sum() + ({last} * 3.0).sum()"])
    function = Function(body, points, (), (True, True), 0.0)
    return function, program.overwritten


@law("in-place.view-programs", docs=IN_PLACE)
@given(drawn=programs(False), requiring=st.sampled_from(((True, True), (True, False))))
def test_view_programs(target, drawn, requiring):
    """Through writes to a base and to views of views of it, in any order, gradients are exact.

    Each write is seen, in values and gradients, by every later read through any of them.
    """
    f, _ = drawn
    leaves = f.leaves(target.device)
    for leaf, flag in zip(leaves, requiring, strict=True):
        leaf.requires_grad_(flag)
    result = target.run(f, *leaves)
    compare.close(result, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    result.backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, requiring)


@law("in-place.modified-since", docs=CHECKS)
@given(drawn=programs(True), again=st.booleans())
def test_modified_since(target, drawn, again):
    """backward raises if a tensor saved for it was written to since, through any view or base.

    Where none was, its gradient is exact: "if you're using
    in-place functions and not seeing any errors, you can be sure that the computed gradients are
    correct".
    """
    f, overwritten = drawn
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    compare.close(result, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    for _ in range(1 + again):
        if overwritten:
            with compare.raises(RuntimeError, "modified by an inplace operation"):
                result.backward(retain_graph=True)
        else:
            result.backward(retain_graph=True)
    if not overwritten:
        expected = derivatives.gradient(numpy_of(f), f.points)
        gradients = [value * (1 + again) for value in expected]
        compare.gradients(leaves, gradients, (True, True))


def joining(before, write, read):
    """A function that writes x1, or what comes of it, to a view of a plain base, and reads it."""
    lines = ["h = x0 * 1.0", *before, write.format(a="v")]
    return "\n".join([*lines, f"return (h * h).sum() + ({read}).sum()"])


JOINING_WRITES = ("{a} *= x1", "{a} += x1 * x1", "{a}[...] = x1 * 0.5")


@law("in-place.base-joins", docs=IN_PLACE)
@given(
    x=arrays(shape=(2, 3)),
    w=arrays(),
    views=st.tuples(st.sampled_from(VIEWS), st.sampled_from(VIEWS)),
    write=st.sampled_from(JOINING_WRITES),
)
def test_base_joins(target, x, w, views, write):
    """A write of what requires grad to a view of a plain tensor makes base and views require grad.

    Those made before too. Gradients to what was written are exact, through base and views.
    """
    before = [f"{name} = {text.format(a='h')}" for name, text in zip("vu", views, strict=True)]
    body = joining(before, write, "u * 3.0")
    f = Function(body, (x, w), (), (False, True), 0.0)
    leaves = f.leaves(target.device)
    leaves[0].requires_grad_(False)
    target.run(f, *leaves).backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, (False, True))
    names: dict[str, Any] = {"h": leaves[0] * 1.0, "x1": leaves[1], "xp": torch}
    exec("\n".join([*before, write.format(a="v")]), names)
    for name in "hvu":
        tensor = names[name]
        flags = (tensor.requires_grad, tensor.is_leaf, tensor.grad_fn is None)
        compare.fact(flags, (True, False, False), f"requires_grad, is_leaf, no grad_fn of {name}")


@law("in-place.joined-view-written", docs=IN_PLACE, level="should")
@given(x=arrays(shape=(2, 3)), w=arrays(), view=st.sampled_from(VIEWS))
def test_joined_view_written(target, x, w, view):
    """A view made before its base came to require grad may be written to afterwards.

    As one that is made afterwards may.
    """
    for early in (False, True):
        lines = [f"v = {view.format(a='h')}", "h *= x1"]
        body = joining(lines if early else lines[::-1], "{a} *= -2.0", "h")
        f = Function(body, (x, w), (), (False, True), 0.0)
        leaves = f.leaves(target.device)
        leaves[0].requires_grad_(False)
        target.run(f, *leaves).backward()
        expected = derivatives.gradient(numpy_of(f), f.points)
        compare.gradients(leaves, expected, (False, True))


MUTATIONS = {"from-start": FROM_START, "any-view": VIEWS}


def mutating_programs(case):
    return programs(True, case)


@law(
    "in-place.mutation-allowed",
    docs="torch.autograd.graph.allow_mutation_on_saved_tensors",
    over=MUTATIONS,
)
@given(drawn=mutating_programs)
def test_mutation_allowed(target, case, drawn):
    """Under allow_mutation_on_saved_tensors saved tensors may be written to: gradients are exact.

    "tensors saved for backward are cloned on mutation, so the original version can still be used".
    """
    f, _ = drawn
    leaves = f.leaves(target.device)
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        result = f(*leaves)
        compare.close(result, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
        result.backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, (True, True))


OVERWRITING = {
    "out": "torch.add(h, 1.0, out=h)",
    "out-of-view": "torch.add(h[:1], 1.0, out=h[:1])",
    "foreach": "torch._foreach_add_([h], 1.0)",
    "item": "h[0, 0] = 5.0",
    "view": "h.t().mul_(3.0)",
}


@law(
    "in-place.mutation-without-record",
    docs="torch.autograd.graph.allow_mutation_on_saved_tensors",
    over=OVERWRITING,
)
@given(x=arrays(shape=(2, 3)), times=st.integers(1, 2))
def test_mutation_without_record(target, case, x, times):
    """So they may under no_grad, by out= and through views too: the version saved is kept."""
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        h = leaf * 1
        total = (h * h).sum()
        before = compare.to_numpy(h)
        with torch.no_grad():
            for _ in range(times):
                exec(case, {"torch": torch, "h": h})
        total.backward()
    compare.close(leaf.grad, 2 * before, bound=0.0, dtype=torch.float64, what="gradient")


@law("in-place.hidden-by-no-grad", docs="notes/autograd.html#no-grad-mode")
@given(
    x=arrays(shape=(2, 3)),
    first=st.sampled_from(VIEWS),
    second=st.sampled_from(VIEWS),
    after=st.booleans(),
)
def test_hidden_by_no_grad(target, x, first, second, after):
    """Writes under no_grad through views, made in it or before, leave gradients as they were.

    Values change for all of them, the graph of base and views does not.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    base, plain = leaf * 1, x.copy()
    names, arrays_of = {"a": base, "xp": torch}, {"a": plain, "xp": np}
    view = eval(first.format(a="a"), names)
    viewed = eval(first.format(a="a"), arrays_of)
    with torch.no_grad():
        other = eval(second.format(a="a"), {"a": view if view.dim() else base, "xp": torch})
        other.mul_(-2.0)
        seen = eval(second.format(a="a"), {"a": viewed if viewed.ndim else plain, "xp": np})
        seen *= -2.0
    compare.fact((base.requires_grad, view.requires_grad), (True, True), "requires_grad")
    compare.close(base, plain, bound=0.0, dtype=torch.float64, what="base")
    compare.close(view, viewed, bound=0.0, dtype=torch.float64, what="view")
    ((view if after else base) * 3.0).sum().backward()
    expected = np.zeros_like(x)
    eval(first.format(a="a"), {"a": expected, "xp": np})[...] = 3.0
    expected = expected if after else np.full_like(x, 3.0)
    compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="gradient")


SEVERAL = {
    "split": "torch.split(h, 1)[-1]",
    "split-method": "h.split([1, 1, 1])[1]",
    "split_with_sizes": "torch.split_with_sizes(h, [1, 2])[-1]",
    "chunk": "torch.chunk(h, 2, 1)[-1]",
    "unbind": "h.unbind(-1)[0]",
    "iteration": "list(h)[0]",
    "unpacking": "(lambda first, *others: others[0])(*h)",
    "view-of-piece": "h.split(1)[0].squeeze(0)[:1]",
    "expanded-piece": "h.unbind()[1].view(-1)[0]",
}
STATEMENTS = ("v += 1.0", "v.mul_(2.0)", "v[...] = 1.0", "v.copy_(torch.ones_like(v))", "v.neg_()")


@law("in-place.multi-output-views", docs="tensor_view.html", level="should", over=SEVERAL)
@given(x=arrays(shape=(3, 3)), statement=st.sampled_from(STATEMENTS), of_plain=st.booleans())
def test_multi_output_views(target, case, x, statement, of_plain):
    """One of several views that one operation returned is not written to under autograd.

    Nor is a view of it. Under no_grad it is, and the base itself may be, with exact gradients.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    h = leaf * 1
    piece = eval(case, {"torch": torch, "h": h})
    before = compare.to_numpy(h)
    with compare.raises(RuntimeError, "function that returns multiple views"):
        exec(statement, {"torch": torch, "v": piece})
    compare.unchanged(h, before, "base")
    if of_plain:
        plain = torch.tensor(x, device=target.device)
        exec(statement, {"torch": torch, "v": eval(case, {"torch": torch, "h": plain})})
        with torch.no_grad():
            exec(statement, {"torch": torch, "v": piece})
        compare.unchanged(h, compare.to_numpy(plain), "base written under no_grad")
    fresh = leaf * 1
    eval(case, {"torch": torch, "h": fresh})
    fresh.mul_(2.0)
    fresh.sum().backward()
    twos = np.full_like(x, 2.0)
    compare.close(leaf.grad, twos, bound=0.0, dtype=torch.float64, what="gradient")
