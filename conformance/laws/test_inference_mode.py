"""Inference mode: which tensors are inference tensors, and what they may not take part in."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.target import resolve
from strategies import graph_tensors, polynomials, tensors
from strategies.functions import numpy_of
from strategies.layouts import WRITABLE
from strategies.view_calls import apply_step, view_chains

PAGE = "torch.autograd.grad_mode.inference_mode"
TELLS = "torch.is_inference"
LEAVES = tensors(dtype="floating", values="dyadic", layouts=WRITABLE, requires_grad=True)
CHAINS = view_chains(dtype="floating", values="dyadic")


def last_view(tensor, steps):
    for name, arguments in steps:
        tensor = apply_step(tensor, name, arguments)
    return tensor


def answers(tensor):
    """What function and method say of a tensor."""
    return resolve("torch.is_inference")(tensor), tensor.is_inference()


CREATED = {
    "ones": "torch.ones(2, device=device)",
    "empty": "torch.empty(0, device=device)",
    "tensor": "torch.tensor(1, device=device)",
    "requiring-grad": "torch.ones(2, device=device, requires_grad=True)",
    "computed": "normal * 2",
    "clone": "normal.clone()",
    "empty_like": "torch.empty_like(normal)",
    "copied": "normal.to(torch.float16).to(torch.float64)",
    "indexed": "normal.reshape(-1)[[]]",
    "compared": "normal > 0",
    "out-of-place": "torch.cat([normal.reshape(-1), normal.reshape(-1)])",
    "Parameter": "torch.nn.Parameter(torch.ones(2, device=device))",
}


@law("inference-mode.allocated-inside", docs=TELLS, over=CREATED)
@given(drawn=graph_tensors(dtype="floating"), flag=st.booleans())
def test_allocated_inside(target, case, drawn, flag):
    """A tensor that is no view is an inference tensor if and only if it was allocated inside.

    It stays what it is when the block ends, or goes on in a block where the mode is off.
    """
    names = {"torch": torch, "normal": drawn.tensor, "device": target.device}
    with torch.inference_mode():
        inside = eval(case, names)
        compare.fact(answers(inside), (True, True), "is_inference inside")
        with torch.inference_mode(False):
            compare.fact(answers(eval(case, names)), (False, False), "made where mode is off")
            compare.fact(answers(inside), (True, True), "where the mode is off")
    compare.fact(answers(inside), (True, True), "is_inference afterwards")
    with torch.inference_mode(flag):
        compare.fact(answers(eval(case, names)), (flag, flag), f"in inference_mode({flag})")
    compare.fact(answers(eval(case, names)), (False, False), "made afterwards")
    compare.fact(answers(drawn.tensor), (False, False), "the tensor from before")


@law("inference-mode.views", docs=TELLS)
@given(chain=CHAINS, mode_off=st.booleans())
def test_views(target, chain, mode_off):
    """A view is an inference tensor if and only if what it views is one, wherever it is made."""
    with torch.inference_mode():
        inside = last_view(chain.tensor.clone(), chain.steps)
        of_normal = last_view(chain.tensor, chain.steps)
    of_inference = last_view(inside, chain.steps[:0]).unsqueeze(0)
    compare.fact(answers(inside), (True, True), "view inside of an inference tensor")
    compare.fact(answers(of_inference), (True, True), "view outside of an inference tensor")
    compare.fact(answers(of_normal), (False, False), "view inside of a normal tensor")
    with torch.inference_mode(not mode_off):
        compare.fact(answers(inside.detach()), (True, True), "detached inference tensor")
        compare.fact(answers(chain.tensor.detach()), (False, False), "detached normal tensor")
    compare.unchanged(inside, compare.to_numpy(of_normal), "view of an inference tensor")


@law("inference-mode.no-version", docs=PAGE)
@given(chain=CHAINS)
def test_no_version(target, chain):
    """Inference tensors do not track a version counter: reading it raises.

    Inside and outside, of views too. A clone made outside has one.
    """
    with torch.inference_mode():
        inference = chain.tensor.clone()
        inference.mul_(2.0)
        with compare.raises(RuntimeError, "Inference tensors do not track version counter"):
            _ = inference._version
    for tensor in (inference, last_view(inference, chain.steps)):
        clone = tensor.clone()
        start = clone._version
        clone.mul_(2.0)
        compare.fact(clone._version, start + 1, "version of a clone after a write")
        with compare.raises(RuntimeError, "Inference tensors do not track version counter"):
            _ = tensor._version


SAVING = {
    "mul": "torch.mul",
    "div": "torch.div",
    "maximum": "torch.maximum",
    "atan2": "torch.atan2",
}


@law("inference-mode.saved-rejected", docs=PAGE, over=SAVING)
@given(leaf=LEAVES, first=st.booleans(), as_view=st.booleans())
def test_saved_rejected(target, case, leaf, first, as_view):
    """An inference tensor that would be saved for backward is rejected; its clone is not.

    "tensors created in this mode cannot be used in computations recorded by autograd".
    """
    with torch.inference_mode():
        inference = torch.full_like(leaf, 2.0)
    other = inference.view(inference.shape) if as_view else inference

    def call(tensor):
        operands = (tensor, leaf) if first else (leaf, tensor)
        return target.run(case, *operands)

    recorded = call(other.clone())
    compare.fact(recorded.requires_grad, True, "result with a clone requires grad")
    with torch.no_grad():
        unrecorded = call(other)
    compare.equal(unrecorded, compare.to_numpy(recorded), dtype=leaf.dtype, what="under no_grad")
    with compare.raises(RuntimeError, "Inference tensors cannot be saved for backward"):
        call(other)
    compare.fact(leaf.grad, None, "grad")


@law("inference-mode.functional-outside", docs=PAGE, level="should")
@given(leaf=LEAVES, scale=st.sampled_from((-2.0, 0.5)))
def test_functional_outside(target, leaf, scale):
    """Outside, an operation on inference tensors returns a normal tensor, and may be recorded.

    Where it need not save them: a sum's gradient is exact.
    """
    with torch.inference_mode():
        inference = torch.full_like(leaf, 2.0)
    scaled = target.run("torch.mul", inference, scale)
    compare.fact(answers(scaled), (False, False), "result is normal")
    compare.fact(scaled._version, 0, "version of the result")
    added = target.run("torch.add", leaf, inference)
    compare.fact(answers(added), (False, False), "sum is normal")
    added.mul_(scale)
    values = (compare.to_numpy(leaf) + 2) * scale
    compare.close(added, values, bound=0.0, dtype=leaf.dtype)
    added.backward(torch.ones_like(added))
    expected = np.full(tuple(leaf.shape), scale)
    compare.equal(leaf.grad, expected, dtype=leaf.dtype, what="gradient")


WRITES = {
    "add_": "x.add_(1.0)",
    "mul_": "x.mul_(2.0)",
    "iadd": "x += 1.0",
    "fill_": "x.fill_(3.0)",
    "zero_": "x.zero_()",
    "copy_": "x.copy_(normal)",
    "setitem": "x[...] = 1.0",
    "view": "x.view(x.shape).sub_(1.0)",
    "out": "torch.neg(normal, out=x)",
    "foreach": "torch._foreach_add_([x], 1.0)",
}


@law("inference-mode.write-rejected", docs=PAGE, over=WRITES)
@given(tensor=tensors(dtype="floating", values="dyadic", layouts=WRITABLE))
def test_write_rejected(target, case, tensor):
    """A write to an inference tensor outside inference mode raises, under no_grad too.

    Inside, and to its clone, it goes through.
    """
    names = {"torch": torch, "normal": torch.ones_like(tensor)}
    clone = tensor.clone()
    with torch.inference_mode():
        written, inference = tensor.clone(), tensor.clone()
        exec(case, {**names, "x": written})
    exec(case, {**names, "x": clone})
    compare.unchanged(written, compare.to_numpy(clone), "written inside as the clone outside")
    message = "Inplace update to inference tensor outside InferenceMode"
    with compare.raises(RuntimeError, message):
        exec(case, {**names, "x": inference})
    with torch.no_grad(), compare.raises(RuntimeError, message):
        exec(case, {**names, "x": inference})


@law("inference-mode.immutable", docs="notes/autograd.html#inference-mode", over=WRITES)
@given(tensor=tensors(dtype="floating", values="dyadic", layouts=WRITABLE))
def test_immutable(target, case, tensor):
    """An inference tensor holds the same values after a write outside has been rejected.

    Inference tensors "are immutable outside InferenceMode" (C++ notes on inference mode).
    """
    with torch.inference_mode():
        inference = tensor.clone()
    before = compare.to_numpy(inference)
    with compare.raises(RuntimeError, "Inplace update to inference tensor outside InferenceMode"):
        exec(case, {"torch": torch, "normal": torch.full_like(tensor, -50.0), "x": inference})
    compare.unchanged(inference, before, "inference tensor")


@law("inference-mode.detached-outside", docs=TELLS)
@given(tensor=tensors(dtype="floating", layouts=WRITABLE))
def test_detached_outside(target, tensor):
    """What detach returns outside of an inference tensor is one: it is not written to there.

    As what it returns inside is not.
    """
    with torch.inference_mode():
        inference = tensor.clone()
        inside = inference.detach()
    message = "Inplace update to inference tensor outside InferenceMode"
    with compare.raises(RuntimeError, message):
        inside.fill_(2.0)
    outside = inference.detach()
    compare.fact(answers(outside), (True, True), "is_inference")
    with compare.raises(RuntimeError, message):
        outside.fill_(2.0)


@law("inference-mode.requires-grad-rejected", docs="notes/autograd.html#inference-mode")
@given(tensor=tensors(dtype="floating", layouts=WRITABLE), attribute=st.booleans())
def test_requires_grad_rejected(target, tensor, attribute):
    """requires_grad of an inference tensor cannot be set to True outside inference mode.

    Setting it to False is no change, and goes through; that of a clone can be set.
    """
    with torch.inference_mode():
        inference = tensor.clone()
    clone = inference.clone()
    inference.requires_grad_(False)
    clone.requires_grad_()
    compare.fact((clone.requires_grad, inference.requires_grad), (True, False), "requires_grad")
    message = "Setting requires_grad=True on inference tensor outside InferenceMode"
    with compare.raises(RuntimeError, message):
        if attribute:
            inference.requires_grad = True
        else:
            inference.requires_grad_()
    compare.fact(inference.requires_grad, False, "requires_grad afterwards")


@law("inference-mode.normal-written-inside", docs=PAGE)
@given(f=polynomials(), scale=st.sampled_from((-2.0, 0.5)), leaf_too=st.booleans())
def test_normal_written_inside(target, f, scale, leaf_too):
    """A normal tensor may be written to inside, and stays normal, with its place in the graph.

    A leaf that requires grad too, as under no_grad. The write is not recorded.
    """
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves) * 1
    node = result.grad_fn
    with torch.inference_mode():
        returned = result.mul_(scale)
        if leaf_too:
            leaves[0].fill_(4.0)
    compare.fact(returned is result, True, "returns self")
    compare.fact(answers(result), (False, False), "is_inference")
    compare.close(result, numpy_of(f)(*f.points) * scale, bound=0.0, dtype=torch.float64)
    compare.fact((result.requires_grad, result.grad_fn is node), (True, True), "recorded")
    flags = (leaves[0].requires_grad, leaves[0].is_leaf, answers(leaves[0]))
    compare.fact(flags, (True, True, (False, False)), "flags of a leaf")
    fours = np.full(f.points[0].shape, 4.0) if leaf_too else f.points[0]
    compare.close(leaves[0], fours, bound=0.0, dtype=torch.float64, what="leaf")


@law("inference-mode.saved-written-inside", docs="notes/autograd.html#in-place-correctness-checks")
@given(leaf=LEAVES, through=st.sampled_from(("itself", "view", "view made inside", "detached")))
def test_saved_written_inside(target, leaf, through):
    """A write inside to a normal tensor that is saved for backward is noticed by backward.

    Without the write backward goes through.
    """
    base = leaf * 1
    view, detached = base.view(base.shape), base.detach()
    (base * base).backward(torch.ones_like(base), retain_graph=True)
    twice = compare.to_numpy(leaf) * 2
    compare.close(leaf.grad, twice, bound=0.0, dtype=leaf.dtype, what="gradient")
    result = base * base
    with torch.inference_mode():
        inside = base.view(base.shape)
        written = {"itself": base, "view": view, "detached": detached, "view made inside": inside}
        written[through].mul_(1.0)
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        result.backward(torch.ones_like(base))
    compare.close(leaf.grad, twice, bound=0.0, dtype=leaf.dtype, what="gradient afterwards")


@law("inference-mode.view-written-outside", docs=PAGE, level="should")
@given(chain=CHAINS, of_leaf=st.booleans())
def test_view_written_outside(target, chain, of_leaf):
    """A view made inside of a tensor that requires grad is not written to where grad is enabled.

    Under no_grad, and inside, it is.
    """
    leaf = chain.tensor.detach().requires_grad_()
    base = leaf if of_leaf else leaf * 1
    with torch.inference_mode():
        view = last_view(base, chain.steps)
        view.mul_(2.0)
    with torch.no_grad():
        view.mul_(2.0)
    before = compare.to_numpy(base)
    seen = compare.to_numpy(last_view(base, chain.steps))
    compare.unchanged(view, seen, "view")
    with compare.raises(RuntimeError, "A view was created in inference mode"):
        view.mul_(2.0)
    compare.unchanged(base, before, "base")
    compare.fact(base.requires_grad, True, "requires_grad")


@law("inference-mode.forward-mode", docs=PAGE)
@given(f=polynomials(significant_bits=18))
def test_forward_mode(target, f):
    """Entering inference mode disables forward mode too: results of dual numbers have no tangent.

    "Unlike some other mechanisms that locally enable or disable grad, entering inference_mode
    also disables forward-mode AD." Before and after the block tangents are exact.
    """
    points = [leaf.detach() for leaf in f.leaves(target.device)]
    expected = sum(
        jacobian.reshape((*f.shape, -1)).sum(-1)
        for jacobian in derivatives.jacobian(numpy_of(f), f.points)
    )
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(point, torch.ones_like(point)) for point in points]
        before = forward_ad.unpack_dual(target.run(f, *duals)).tangent
        with torch.inference_mode():
            inside = target.run(f, *duals) * 1
            compare.fact(forward_ad.unpack_dual(inside).tangent, None, "tangent inside")
        after = forward_ad.unpack_dual(target.run(f, *duals)).tangent
    compare.close(inside, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    for tangent, what in ((before, "tangent before"), (after, "tangent afterwards")):
        compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what=what)


@law("inference-mode.switched-off", docs=PAGE)
@given(f=polynomials(scalar=True), times=st.integers(1, 3))
def test_switched_off(target, f, times):
    """inference_mode(False) inside inference mode records as if there were none around it.

    Its block ends where the mode is on again.
    """
    leaves = f.leaves(target.device)
    with torch.inference_mode():
        for _ in range(times):
            with torch.inference_mode(False):
                compare.fact(torch.is_inference_mode_enabled(), False, "mode where it is off")
                result = target.run(f, *leaves)
                result.backward()
            compare.fact(torch.is_inference_mode_enabled(), True, "mode back inside")
            compare.fact(torch.is_grad_enabled(), False, "grad mode back inside")
            compare.fact(answers(target.run(f, *leaves) * 1), (True, True), "result inside")
    compare.fact(answers(result), (False, False), "result where the mode is off")
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [times * value for value in expected], f.reaches)
