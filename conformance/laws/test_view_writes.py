"""Writes through views: version counters, gradients, and the writes that are rejected."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios import memory
from conformance.target import resolve
from strategies import shapes, tensors
from strategies.view_calls import apply_step, strided_tensors, view_calls, view_chains

IN_PLACE = "notes/autograd.html#in-place-operations-with-autograd"
CHECKS = "notes/autograd.html#in-place-correctness-checks"

METHODS = {
    "add_": ("torch.Tensor.add_", (1.0,)),
    "mul_": ("torch.Tensor.mul_", (2.0,)),
    "zero_": ("torch.Tensor.zero_", ()),
    "fill_": ("torch.Tensor.fill_", (3.0,)),
    "neg_": ("torch.Tensor.neg_", ()),
    "clamp_": ("torch.Tensor.clamp_", (-1.0, 1.0)),
}
CHAINS = view_chains(dtype="floating", values="dyadic")


def last_view(tensor, steps):
    for name, arguments in steps:
        tensor = apply_step(tensor, name, arguments)
    return tensor


def places_of(shape, steps):
    """Where in the flattened base the elements of the last view of a chain lie."""
    geometry = strides.Strided(shape, strides.packed(shape), 0)
    for name, arguments in steps:
        geometry = strides.OPERATIONS[name](geometry, *arguments)
    return strides.addresses(geometry)


@law("views.base", docs="tensor_view.html", level="should")
@given(chain=CHAINS)
def test_base(target, chain):
    """A view of a view has the base that owns the memory as its base, not the view in between."""
    base = chain.tensor.detach()
    compare.fact((base._is_view(), base._base), (False, None), "a base is no view")
    view = base
    for name, arguments in chain.steps:
        view = apply_step(view, name, arguments)
        compare.fact((view._is_view(), view._base is base), (True, True), f"{name} views the base")
    compare.unchanged(view, compare.to_numpy(base).reshape(-1)[places_of(base.shape, chain.steps)])


@law("views.version-counter", docs=CHECKS, over=METHODS)
@given(chain=CHAINS)
def test_version_counter(target, case, chain):
    """An in-place operation counts once, on the base and on all its views, whichever it goes to.

    "Every tensor keeps a version counter, that is incremented every time it is marked dirty in
    any operation." Empty views count too.
    """
    method, arguments = case
    base = chain.tensor.detach()
    view, other = last_view(base, chain.steps), base.view(base.shape)
    start = base._version
    for count, written in enumerate((view, base, other), start=1):
        resolve(method)(written, *arguments)
        versions = (base._version - start, view._version - start, other._version - start)
        compare.fact(versions, (count,) * 3, f"versions of base and views after write {count}")


UNCOUNTED = {
    "add": ("torch.add", (1.0,)),
    "neg": ("torch.neg", ()),
    "clone": ("torch.clone", ()),
    "sum": ("torch.sum", ()),
    "clamp": ("torch.clamp", (-1.0, 1.0)),
}


@law("views.version-unchanged", docs=CHECKS, over=UNCOUNTED)
@given(chain=CHAINS)
def test_version_unchanged(target, case, chain):
    """An operation that is not in-place, or that makes a view, leaves version counters as they are.

    What it returns, if it is not a view, has a counter of its own.
    """
    operation, arguments = case
    base = chain.tensor.detach()
    view = last_view(base, chain.steps)
    before = compare.to_numpy(view)
    start = base._version
    result = target.run(operation, view, *arguments)
    compare.fact((base._version, view._version), (start, start), "versions afterwards")
    compare.unchanged(view, before, "view")
    version = result._version
    view.fill_(1.0)
    compare.fact((base._version, result._version), (start + 1, version), "versions after a write")


@law("views.version-of-detached", docs="torch.Tensor.detach")
@given(chain=CHAINS)
def test_version_of_detached(target, chain):
    """A detached tensor shares the version counter: writes to either are counted on both.

    torch.Tensor.detach: "in-place modifications to either of them will be seen, and may trigger
    errors in correctness checks".
    """
    leaf = chain.tensor.detach().requires_grad_()
    view = last_view(leaf, chain.steps)
    detached = resolve("torch.Tensor.detach")(view)
    start = leaf._version
    detached.mul_(2.0)
    versions = (leaf._version - start, view._version - start, detached._version - start)
    compare.fact(versions, (1, 1, 1), "versions after a write to the detached tensor")
    with torch.no_grad():
        leaf.mul_(2.0)
    compare.fact(detached._version - start, 2, "version after a write to the leaf")


@law("views.version-of-data", docs=CHECKS, level="should")
@given(chain=CHAINS)
def test_version_of_data(target, chain):
    """x.data shares memory and not the version counter: writes to it are seen and not counted."""
    base = chain.tensor.detach()
    view = last_view(base, chain.steps)
    start = base._version
    data = view.data
    data.fill_(3.0)
    compare.fact((base._version, view._version), (start, start), "versions after a write to data")
    threes = np.full(tuple(view.shape), 3.0)
    compare.equal(view, threes, dtype=view.dtype, what="view after a write to data")
    base.fill_(2.0)
    compare.equal(data, threes - 1, dtype=view.dtype, what="data after a write to the base")


WRITES = {
    "mul_": "torch.Tensor.mul_",
    "add_": "torch.Tensor.add_",
    "copy_": "torch.Tensor.copy_",
}


@st.composite
def writes(draw, to_view):
    """Draw a chain of views, what to write to its first or last tensor, and a cotangent."""
    chain = draw(view_chains(dtype="split", values="dyadic"))
    first, last = tuple(chain.tensor.shape), tuple(last_view(chain.tensor, chain.steps).shape)
    written, read = (last, first) if to_view else (first, last)
    dtype = chain.tensor.dtype
    return chain, draw(tensors(dtype=dtype, shape=written)), draw(tensors(dtype=dtype, shape=read))


def written_and_slopes(case, before, values):
    """What a write leaves, and its derivatives by the value before and by the value written."""
    one, zero = np.ones_like(before), np.zeros_like(before)
    if case == "torch.Tensor.mul_":
        return before * values, values, before
    if case == "torch.Tensor.add_":
        return before + values, one, one
    return values, zero, one


@law("views.gradient-through-view", docs=IN_PLACE, over=WRITES)
@given(problem=writes(True))
def test_gradient_through_view(target, case, problem):
    """A write through a view, of a view perhaps, is seen in the base, and so are its gradients."""
    (tensor, steps), values, cotangent = problem

    def write(leaf, source):
        base = leaf * 1
        resolve(case)(last_view(base, steps), source)
        return base

    leaf, source = tensor.detach().requires_grad_(), values.detach().requires_grad_()
    result = target.run(write, leaf, source)
    result.backward(cotangent)
    places, upstream = places_of(tuple(tensor.shape), steps), compare.to_numpy(cotangent)
    expected = compare.to_numpy(tensor).reshape(-1)
    gradient = upstream.copy().reshape(-1)
    written, by_before, by_source = written_and_slopes(
        case, expected[places], compare.to_numpy(values)
    )
    to_source = gradient[places] * by_source
    expected[places], gradient[places] = written, gradient[places] * by_before
    shape = tuple(tensor.shape)
    compare.close(result, expected.reshape(shape), bound=0, dtype=tensor.dtype, what="base")
    compare.gradients((leaf, source), (gradient.reshape(shape), to_source), (True, True))


@law("views.gradient-through-base", docs=IN_PLACE, over=WRITES)
@given(problem=writes(False))
def test_gradient_through_base(target, case, problem):
    """A write to the base is seen in views made before it, and so are its gradients."""
    (tensor, steps), values, cotangent = problem

    def write(leaf, source):
        base = leaf * 1
        view = last_view(base, steps)
        resolve(case)(base, source)
        return view * 1

    leaf, source = tensor.detach().requires_grad_(), values.detach().requires_grad_()
    result = target.run(write, leaf, source)
    result.backward(cotangent)
    places = places_of(tuple(tensor.shape), steps)
    spread = np.zeros(tensor.numel())
    spread[places] = compare.to_numpy(cotangent)
    upstream = spread.reshape(tuple(tensor.shape))
    written, by_before, by_source = written_and_slopes(
        case, compare.to_numpy(tensor), compare.to_numpy(values)
    )
    viewed = written.reshape(-1)[places]
    compare.close(result, viewed, bound=0, dtype=tensor.dtype, what="view")
    compare.gradients((leaf, source), (upstream * by_before, upstream * by_source), (True, True))


@law("views.leaf-view-write-rejected", docs=IN_PLACE, over=METHODS)
@given(chain=CHAINS)
def test_leaf_view_write_rejected(target, case, chain):
    """An in-place operation on a view of a leaf that requires grad is rejected.

    The same write goes through under no_grad, and on a view of a result.
    """
    method, arguments = case
    leaf = chain.tensor.detach().requires_grad_()
    before = compare.to_numpy(leaf)
    resolve(method)(last_view(leaf * 1, chain.steps), *arguments)
    with compare.raises(RuntimeError, "a view of a leaf Variable that requires grad"):
        resolve(method)(last_view(leaf, chain.steps), *arguments)
    compare.unchanged(leaf, before, "leaf")
    with torch.no_grad():
        resolve(method)(last_view(leaf, chain.steps), *arguments)
    compare.fact((leaf.is_leaf, leaf.requires_grad), (True, True), "is_leaf and requires_grad")


@law("views.no-grad-view-write-rejected", docs="torch.no_grad", level="should", over=METHODS)
@given(chain=CHAINS)
def test_no_grad_view_write_rejected(target, case, chain):
    """A view made under no_grad of a tensor that requires grad is not written to outside of it.

    Within no_grad the same write goes through.
    """
    method, arguments = case
    base = chain.tensor.detach().requires_grad_() * 1
    with torch.no_grad():
        view = last_view(base, chain.steps)
        resolve(method)(view, *arguments)
    before = compare.to_numpy(base)
    with compare.raises(RuntimeError, "A view was created in no_grad mode"):
        resolve(method)(view, *arguments)
    compare.unchanged(base, before, "base")


SEVERAL = {
    "split": ("split", "torch.Tensor.split"),
    "chunk": ("chunk", "torch.Tensor.chunk"),
    "unbind": ("unbind", "torch.Tensor.unbind"),
}


def several_views(case):
    return view_calls(case[0], dtype="floating", values="dyadic")


@law("views.several-views-write-rejected", docs="tensor_view.html", level="should", over=SEVERAL)
@given(call=several_views, pick=st.integers(0, 9))
def test_several_views_write_rejected(target, case, call, pick):
    """An output of an operation that returns several views is not written to under autograd.

    Without autograd the write goes through, and the base sees it.
    """
    kind, operation = case
    tensor, (dim, sections) = call
    cut = () if sections is None else (sections,)
    pieces = resolve(operation)(tensor, *cut, dim)
    number = pick % len(pieces)
    pieces[number].fill_(5.0)
    place = strides.pieces(memory.geometry_of(tensor), kind, dim, sections)[number]
    written = memory.contents_of(tensor)[strides.addresses(place)]
    compare.equal(pieces[number], written, dtype=tensor.dtype, what="memory of the base")
    base = tensor.detach().requires_grad_() * 1
    before = compare.to_numpy(base)
    recorded = resolve(operation)(base, *cut, dim)
    with compare.raises(RuntimeError, "output of a function that returns multiple views"):
        recorded[number].mul_(2.0)
    compare.unchanged(base, before, "base")


OVERLAPPED = {
    "add_": ("torch.Tensor.add_", (1.0,)),
    "mul_": ("torch.Tensor.mul_", (2.0,)),
    "neg_": ("torch.Tensor.neg_", ()),
    "clamp_": ("torch.Tensor.clamp_", (-1.0, 1.0)),
}


@law(
    "views.expanded-write-rejected",
    docs="torch.Tensor.expand",
    level="should",
    over=OVERLAPPED,
    needs=("strides",),
)
@given(
    tensor=strided_tensors(dtype="floating", values="dyadic", shape=shapes(min_side=1, max_rank=3)),
    times=st.integers(2, 4),
    last=st.booleans(),
)
def test_expanded_write_rejected(target, case, tensor, times, last):
    """Elementwise writes to an expanded tensor are rejected; to its clone they go through.

    torch.Tensor.expand: "if you need to write to the tensors, please clone them first".
    """
    method, arguments = case
    if last:
        expanded = tensor.unsqueeze(-1).expand(*tensor.shape, times)
    else:
        expanded = tensor.expand(times, *tensor.shape)
    before = compare.to_numpy(tensor)
    copied = compare.to_numpy(expanded)
    cloned = resolve(method)(expanded.clone(), *arguments)
    changed = {
        "torch.Tensor.add_": copied + 1,
        "torch.Tensor.mul_": copied * 2,
        "torch.Tensor.neg_": -copied,
        "torch.Tensor.clamp_": np.clip(copied, -1, 1),
    }[method]
    compare.equal(cloned, changed, dtype=tensor.dtype, what="clone")
    with compare.raises(RuntimeError, "more than one element of the written-to tensor"):
        resolve(method)(expanded, *arguments)
    compare.unchanged(tensor, before)


@law(
    "views.overlapping-write-rejected",
    docs="torch.Tensor.copy_",
    level="should",
    over=WRITES,
    needs=("storage",),
)
@given(
    tensor=tensors(
        dtype="floating", shape=shapes(min_rank=1, min_side=1), layouts=("contiguous", "offset")
    ),
    extra=st.integers(0, 2),
    forward=st.booleans(),
)
def test_overlapping_write_rejected(target, case, tensor, extra, forward):
    """A write from a tensor that shares a part of the written memory is rejected.

    From a part that does not overlap it goes through.
    """
    rows = torch.cat([tensor] * (3 + extra))
    count = rows.shape[0]
    parts = [rows[1:], rows[: count - 1]]
    written, source = parts if forward else parts[::-1]
    before = compare.to_numpy(rows)
    half = count // 2
    resolve(case)(rows[:half], rows[count - half :])
    expected = before.copy()
    expected[:half] = written_and_slopes(case, before[:half], before[count - half :])[0]
    compare.equal(rows, expected, dtype=tensor.dtype, what="rows after a write within them")
    with compare.raises(RuntimeError, "refer to a single memory location"):
        resolve(case)(written, source)
    compare.unchanged(rows, expected)
