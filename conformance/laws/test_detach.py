"""detach: the same values, outside the graph."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.passes import Recording
from conformance.target import resolve
from strategies import graph_tensors, polynomials, squares, tensors
from strategies.functions import numpy_of
from strategies.layouts import WRITABLE
from strategies.view_calls import apply_step, view_chains

CHECKS = "notes/autograd.html#in-place-correctness-checks"
SPELLINGS = {"method": "torch.Tensor.detach", "function": "torch.detach"}
IN_PLACE = {"method": "torch.Tensor.detach_", "function": "torch.detach_"}


@law("detach.shares-storage", docs="torch.Tensor.detach")
@given(leaf=tensors(dtype="floating", layouts=WRITABLE, values="any", requires_grad=True))
def test_shares_storage(target, leaf):
    """detach returns a tensor that shares storage, requires no grad and has no history.

    A write to the detached tensor is seen through the original.
    """
    detached = leaf.detach()
    compare.fact((detached.requires_grad, detached.grad_fn is None), (False, True), "no history")
    compare.equal(detached, compare.to_numpy(leaf), dtype=leaf.dtype, what="detached")
    compare.fact(detached.stride(), leaf.stride(), "stride")
    detached.fill_(5.0)
    written = np.full(tuple(leaf.shape), 5.0)
    compare.equal(leaf, written, dtype=leaf.dtype, what="original")
    compare.fact((leaf.requires_grad, leaf.is_leaf), (True, True), "flags of the original")


@law("detach.cuts-gradient", docs="torch.Tensor.detach")
@given(f=polynomials(scalar=True, significant_bits=18))
def test_cuts_gradient(target, f):
    """Gradient does not flow through a detached tensor: it counts as a constant."""

    def product(*leaves):
        return f(*leaves) * f(*[leaf.detach() for leaf in leaves])

    leaves = f.leaves(target.device)
    target.run(product, *leaves).backward()
    f_numpy = numpy_of(f)
    constant = f_numpy(*f.points)
    expected = derivatives.gradient(lambda *x: f_numpy(*x) * constant, f.points)
    compare.gradients(leaves, expected, f.reaches)


def flags(tensor):
    return tensor.requires_grad, tensor.is_leaf, tensor.grad_fn is None


def check_without_grad(leaves):
    for number, leaf in enumerate(leaves):
        compare.fact(leaf.grad, None, f"grad of leaf {number}, upstream")


@law("detach.new-tensor", docs="torch.Tensor.detach", over=SPELLINGS)
@given(drawn=graph_tensors(), enabled=st.booleans())
def test_new_tensor(target, case, drawn, enabled):
    """detach returns a new tensor, a leaf without grad, whatever it is of; that stays as it was.

    Under no_grad, and of a detached tensor, too. It sees the memory of the original.
    """
    tensor, node = drawn.tensor, drawn.tensor.grad_fn
    before, values = flags(tensor), compare.to_numpy(tensor)
    if tensor.is_leaf and tensor.requires_grad:
        tensor.grad = torch.ones_like(tensor)
    with torch.set_grad_enabled(enabled):
        detached = target.run(case, tensor)
    compare.fact(detached is tensor, False, "returns the tensor itself")
    compare.fact(flags(detached), (False, True, True), "requires_grad, is_leaf, no grad_fn")
    compare.fact((detached.grad, detached.retains_grad), (None, False), "grad, retains_grad")
    compare.unchanged(detached, values, "detached")
    compare.fact(detached.data_ptr(), tensor.data_ptr(), "data_ptr")
    compare.fact(flags(tensor), before, "flags of the original")
    compare.fact(tensor.grad_fn is node, True, "the original's grad_fn is as before")


@law("detach.freezes-upstream", docs="torch.Tensor.detach", over=SPELLINGS)
@given(f=polynomials(significant_bits=18), g=polynomials(scalar=True, significant_bits=18))
def test_freezes_upstream(target, case, f, g):
    """What lies upstream of a detached tensor gets no gradient, what lies beside it the exact one.

    f(x) is the frozen part: x.grad stays None, and f's own graph still serves.
    """
    weights = g.leaves(target.device)
    frozen = f.leaves(target.device)
    features = target.run(f, *frozen)
    detached = resolve(case)(features)
    (target.run(g, *weights) * detached).sum().backward()
    check_without_grad(frozen)
    f_numpy, g_numpy = numpy_of(f), numpy_of(g)
    total = np.sum(f_numpy(*f.points))
    expected = derivatives.gradient(lambda *x: g_numpy(*x) * total, g.points)
    compare.gradients(weights, expected, g.reaches)
    features.sum().backward()
    own = derivatives.gradient(lambda *x: np.sum(f_numpy(*x)), f.points)
    compare.gradients(frozen, own, f.reaches)


@law("detach.two-stages", docs="torch.Tensor.requires_grad_")
@given(f=polynomials(significant_bits=18), times=st.integers(1, 2))
def test_two_stages(target, f, times):
    """A detached tensor that is made to require grad is a leaf of its own, at which a pass stops.

    Its gradient, passed on to the original by a second pass, gives the gradient of the whole.
    """
    leaves = f.leaves(target.device)
    features = target.run(f, *leaves)
    boundary = features.detach().requires_grad_()
    compare.fact(flags(boundary), (True, True, True), "requires_grad, is_leaf, no grad_fn")
    for _ in range(times):
        (boundary * boundary).sum().backward()
    check_without_grad(leaves)
    f_numpy = numpy_of(f)
    slope = 2.0 * times * f_numpy(*f.points)
    compare.close(boundary.grad, slope, bound=0.0, dtype=torch.float64, what="grad at the cut")
    features.backward(boundary.grad)
    whole = derivatives.gradient(lambda *x: np.sum(f_numpy(*x) ** 2) * times, f.points)
    compare.gradients(leaves, whole, f.reaches)


@law("detach.in-place", docs="torch.Tensor.detach_", over=IN_PLACE)
@given(f=polynomials(significant_bits=18), retained=st.booleans())
def test_in_place(target, case, f, retained):
    """detach_ makes the tensor itself a leaf without grad; what came from it keeps its graph.

    Same values and version, returned itself.
    """
    leaves = f.leaves(target.device)
    tensor = target.run(f, *leaves) * 1
    if retained:
        tensor.retain_grad()
    dependent = tensor * 2
    values, version = compare.to_numpy(tensor), tensor._version
    result = resolve(case)(tensor)
    compare.fact(result is tensor, True, "returns self")
    compare.fact(flags(tensor), (False, True, True), "requires_grad, is_leaf, no grad_fn")
    compare.unchanged(tensor, values, "self")
    compare.fact(tensor._version, version, "version")
    compare.fact((tensor * 1).requires_grad, False, "result of it requires grad")
    dependent.sum().backward()
    f_numpy = numpy_of(f)
    expected = derivatives.gradient(lambda *x: 2 * np.sum(f_numpy(*x)), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("detach.in-place-of-view-rejected", docs="torch.Tensor.detach_", over=IN_PLACE)
@given(chain=view_chains(dtype="floating"), origin=st.sampled_from(("plain", "leaf", "result")))
def test_in_place_of_view_rejected(target, case, chain, origin):
    """A view cannot be detached in place, whether or not it requires grad; detach serves.

    torch.Tensor.detach_: "Views cannot be detached in-place." Its base can be.
    """
    plain = chain.tensor.detach()
    makes = {"plain": plain, "leaf": plain.requires_grad_(origin != "plain"), "result": plain * 1}
    base = makes[origin]
    view = base
    for name, arguments in chain.steps:
        view = apply_step(view, name, arguments)
    before, values = flags(view), compare.to_numpy(view)
    compare.unchanged(view.detach(), values, "detached view")
    with compare.raises(RuntimeError, "Can't detach views in-place"):
        resolve(case)(view)
    compare.fact(flags(view), before, "flags of the view afterwards")
    compare.unchanged(view, values, "view")
    resolve(case)(base)
    compare.fact(flags(base), (False, True, True), "flags of the base")


@law("detach.writes-checked", docs="torch.Tensor.detach", over=SPELLINGS)
@given(
    leaf=tensors(dtype="floating", values="dyadic", layouts=WRITABLE, requires_grad=True),
    original=st.booleans(),
)
def test_writes_checked(target, case, leaf, original):
    """A write to a detached tensor is a write to the saved original, which backward rejects.

    "In-place modifications on either of them will be seen, and may trigger errors in correctness
    checks." A write to the original is one to a saved detached tensor as well.
    """
    tensor = leaf * 1
    detached = resolve(case)(tensor)
    product = leaf * detached if original else tensor * tensor
    product.backward(torch.ones_like(leaf), retain_graph=True)
    slope = 1 if original else 2
    gradient = compare.to_numpy(leaf) * slope
    compare.close(leaf.grad, gradient, bound=0.0, dtype=leaf.dtype, what="gradient")
    if original:
        with torch.no_grad():
            tensor.add_(1.0)
    else:
        detached.add_(1.0)
    seen = compare.to_numpy(leaf) + 1
    compare.unchanged(detached, seen + 0.0, "detached")
    compare.unchanged(tensor, seen + 0.0, "original")
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        product.backward(torch.ones_like(leaf))
    compare.close(leaf.grad, gradient, bound=0.0, dtype=leaf.dtype, what="gradient afterwards")


@law("detach.data-unchecked", docs=CHECKS, level="should")
@given(
    leaf=tensors(dtype="floating", values="dyadic", layouts=WRITABLE, requires_grad=True),
    scale=st.sampled_from((-2.0, 0.5)),
)
def test_data_unchecked(target, leaf, scale):
    """A write to x.data is not noticed: the backward pass of what saved x uses the new values.

    This is how x.data differs from x.detach().
    """
    tensor = leaf * 1
    product = tensor * tensor
    data = tensor.data
    compare.fact(flags(data), (False, True, True), "requires_grad, is_leaf, no grad_fn")
    data.mul_(scale)
    written = compare.to_numpy(leaf) * scale
    compare.close(tensor, written, bound=0.0, dtype=leaf.dtype, what="tensor")
    product.backward(torch.ones_like(leaf))
    compare.close(leaf.grad, 2 * written, bound=0.0, dtype=leaf.dtype, what="gradient")


@law("detach.data-of-leaf", docs=CHECKS, level="should")
@given(
    leaf=tensors(dtype="floating", values="dyadic", layouts=WRITABLE, requires_grad=True),
    assigned=st.booleans(),
)
def test_data_of_leaf(target, leaf, assigned):
    """A leaf that requires grad may be written to through x.data, or x.data be assigned to.

    It stays the same leaf, and later passes use the new values.
    """
    before = compare.to_numpy(leaf)
    leaf.grad = torch.ones_like(leaf)
    if assigned:
        leaf.data = leaf.detach() * 2
    else:
        leaf.data.mul_(2.0)
    compare.close(leaf, 2 * before, bound=0.0, dtype=leaf.dtype, what="leaf")
    compare.fact(flags(leaf), (True, True, True), "requires_grad, is_leaf, no grad_fn")
    (leaf * leaf).backward(torch.ones_like(leaf))
    expected = 4 * before + 1
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="accumulated gradient")


@law(
    "detach.forward-mode",
    docs="torch.Tensor.detach",
    over={**SPELLINGS, "in-place": "torch.Tensor.detach_"},
)
@given(f=polynomials(significant_bits=18))
def test_forward_mode(target, case, f):
    """A detached dual number has no tangent: forward mode stops there too.

    "the result will never have forward mode AD gradients either." The original keeps its own.
    """
    points = [leaf.detach() for leaf in f.leaves(target.device)]
    expected = sum(
        jacobian.reshape((*f.shape, -1)).sum(-1)
        for jacobian in derivatives.jacobian(numpy_of(f), f.points)
    )
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(point, torch.ones_like(point)) for point in points]
        original = target.run(f, *duals) * 1
        tangent = forward_ad.unpack_dual(original).tangent
        compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what="tangent")
        detached = resolve(case)(original)
        primal, none = forward_ad.unpack_dual(detached)
        compare.fact(none, None, "tangent of the detached tensor")
        compare.close(primal, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
        if case != "torch.Tensor.detach_":
            kept = forward_ad.unpack_dual(original).tangent
            compare.close(kept, expected, bound=0.0, dtype=torch.float64, what="tangent kept")


@law("detach.after-recording", docs="torch.Tensor.detach", level="should", over=SPELLINGS)
@given(f=squares())
def test_after_recording(target, case, f):
    """Detaching a result does not keep its computation from being recorded, but lets go of it.

    As many tensors are saved on the way as without; none of them outlives the detached result's
    graph. Under no_grad none is saved.
    """

    def detached(*leaves):
        return resolve(case)(f(*leaves))

    leaves = f.leaves(target.device)
    plain, cut, unrecorded = Recording(), Recording(), Recording()
    kept = plain.run(f, *leaves)
    result = cut.run(detached, *leaves)
    with torch.no_grad():
        unrecorded.run(f, *leaves)
    compare.fact(len(cut.held), len(plain.held), "tensors saved for a detached result")
    compare.fact((plain.alive() > 0, cut.alive()), (True, 0), "saved tensors are held")
    compare.fact(len(unrecorded.held), 0, "tensors saved under no_grad")
    compare.close(result, compare.to_numpy(kept), bound=0.0, dtype=torch.float64)
    kept.backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
