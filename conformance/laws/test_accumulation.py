"""Accumulation: what repeated backward passes leave in ``.grad``."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, strides
from conformance.scenarios.memory import geometry_of
from conformance.scenarios.passes import PASSES
from strategies import polynomials, squares, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind
from strategies.layouts import DENSE, LAYOUTS

LAYOUT_RULES = "autograd.html#default-gradient-layouts"


@law("accumulation.backward-adds", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True), times=st.integers(2, 4))
def test_backward_adds(target, f, times):
    """Every backward pass adds its gradient to what the leaf's ``.grad`` already holds."""
    leaves = f.leaves(target.device)
    for _ in range(times):
        target.run(f, *leaves).backward()
    gradients = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [times * gradient for gradient in gradients], f.reaches)


@law("accumulation.unreached-stays-none", docs="torch.Tensor.grad")
@given(f=polynomials(scalar=True))
def test_unreached_stays_none(target, f):
    """``.grad`` is None until a backward pass reaches the leaf, and stays None if none does."""
    leaves = f.leaves(target.device)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad before backward")
    target.run(f, *leaves).backward()
    reached = tuple(leaf.grad is not None for leaf in leaves)
    compare.fact(reached, f.reaches, "leaves that have a grad after backward")


@law("accumulation.none-starts-over", docs="torch.optim.Optimizer.zero_grad")
@given(f=polynomials(scalar=True))
def test_none_starts_over(target, f):
    """A leaf whose ``.grad`` was set to None holds the gradient of the next pass alone."""
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward()
    for leaf in leaves:
        leaf.grad = None
    target.run(f, *leaves).backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("accumulation.grad-function-does-not", docs="torch.autograd.grad")
@given(f=polynomials(scalar=True))
def test_grad_function_does_not(target, f):
    """torch.autograd.grad returns the gradients and leaves every ``.grad`` as it was."""
    leaves = f.leaves(target.device)
    for leaf in leaves:
        leaf.grad = torch.full_like(leaf, 3.0)
    result = target.run(f, *leaves)
    gradients = torch.autograd.grad(result, leaves, allow_unused=True)
    expected = derivatives.gradient(numpy_of(f), f.points)
    for leaf, got, want, reached in zip(leaves, gradients, expected, f.reaches, strict=True):
        compare.fact(got is not None, reached, "a gradient is returned")
        if reached:
            compare.close(got, want, bound=0.0, dtype=leaf.dtype, what="gradient")
        compare.close(leaf.grad, want * 0 + 3, bound=0.0, dtype=leaf.dtype, what="grad")


@law("accumulation.across-graphs", docs="torch.Tensor.backward")
@given(
    f=squares(),
    order=st.permutations(list(PASSES)),
    factors=st.lists(st.integers(-2, 3), min_size=4, max_size=4),
)
def test_across_graphs(target, f, order, factors):
    """Passes through different graphs add up in the leaves that they share, by any entry point.

    Each graph is that of a multiple of f; what torch.autograd.grad returns is added by hand.
    """
    leaves = f.leaves(target.device)

    def multiple(factor, *leaves):
        return f(*leaves) * factor

    gradients = derivatives.gradient(numpy_of(f), f.points)
    total = 0
    for kind, factor in zip(order, factors, strict=True):
        PASSES[kind](target.run(multiple, factor, *leaves), leaves)
        total += factor
        compare.gradients(leaves, [total * gradient for gradient in gradients], f.reaches)


@law("accumulation.in-place", docs=LAYOUT_RULES)
@given(
    problem=with_cotangent(polynomials(), result=result_kind),
    passes=st.integers(1, 3),
    assigned=st.booleans(),
)
def test_in_place(target, problem, passes, assigned):
    """Without create_graph, backward adds to an existing .grad in place: it stays that tensor.

    "If param already has a non-sparse .grad attribute: if create_graph=False, backward()
    accumulates into .grad in-place." Whether it came from a pass or was assigned; it has no
    history, and whoever held it sees the sum.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    if assigned:
        for leaf in reached:
            leaf.grad = torch.zeros_like(leaf).detach()
    else:
        target.run(f, *leaves).backward(cotangent.clone())
    held = [(leaf.grad, leaf.grad.data_ptr(), leaf.grad._version) for leaf in reached]
    for _ in range(passes):
        target.run(f, *leaves).backward(cotangent.clone())
    for leaf, (gradient, address, version) in zip(reached, held, strict=True):
        compare.fact(leaf.grad is gradient, True, "grad is the tensor it was")
        compare.fact(gradient.data_ptr() == address, True, "memory is what it was")
        compare.fact(gradient._version > version, True, "version increased")
        compare.fact((gradient.requires_grad, gradient.grad_fn), (False, None), "history of grad")
    upstream = (passes + (not assigned)) * compare.to_numpy(cotangent)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, upstream), f.reaches)


@law("accumulation.replaced-by-graph", docs=LAYOUT_RULES)
@given(f=squares(max_steps=4), recorded=st.booleans())
def test_replaced_by_graph(target, f, recorded):
    """With create_graph=True, backward replaces .grad by a new tensor, the sum with the new one.

    "If create_graph=True, backward() replaces .grad with a new tensor .grad + new grad": what
    held the old one keeps its values. ``recorded`` says whether the first pass was recorded.
    """
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(create_graph=recorded)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    reached = [n for n, reaches in enumerate(f.reaches) if reaches]
    held = {number: leaves[number].grad for number in reached}
    target.run(f, *leaves).backward(create_graph=True)
    compare.gradients(leaves, [2 * gradient for gradient in gradients], f.reaches)
    for number, old in held.items():
        new = leaves[number].grad
        compare.fact((new is old, new.requires_grad), (False, True), "the same, requires grad")
        compare.close(old, gradients[number], bound=0.0, dtype=old.dtype, what="the grad replaced")
        leaves[number].grad = None


@law("accumulation.recorded-sum", docs="torch.autograd.backward")
@given(f=squares(max_steps=4), passes=st.integers(1, 3))
def test_recorded_sum(target, f, passes):
    """Gradients accumulated with create_graph=True are differentiable, as the sum that they are.

    The derivative of <.grad, leaves' values> is the number of passes times the Hessian's product.
    """
    leaves = f.leaves(target.device)
    for _ in range(passes):
        target.run(f, *leaves).backward(create_graph=True)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    accumulated = [leaf.grad for leaf in reached]
    for leaf in leaves:
        leaf.grad = None
    projected = sum((g * x.detach()).sum() for g, x in zip(accumulated, reached, strict=True))
    projected.backward(inputs=reached)
    direction = [p * reaches for p, reaches in zip(f.points, f.reaches, strict=True)]
    products = derivatives.hessian_product(numpy_of(f), f.points, direction)
    compare.gradients(leaves, [passes * product for product in products], f.reaches)


@law("accumulation.own-memory", docs="torch.Tensor.grad", level="should")
@given(problem=with_cotangent(polynomials(), result=result_kind))
def test_own_memory(target, problem):
    """Leaves' gradients share no memory with each other: writing to one leaves the others.

    Each leaf of the function is a sum of a leaf and a twin of it, zeros, to which one gradient
    arrives.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    twins = [torch.zeros_like(leaf).detach().requires_grad_() for leaf in leaves]

    def summed(*leaves):
        pairs = zip(leaves[: len(twins)], leaves[len(twins) :], strict=True)
        return f(*[leaf + twin for leaf, twin in pairs])

    target.run(summed, *leaves, *twins).backward(cotangent.clone())
    expected = 2 * derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    reached = 2 * f.reaches
    leaves = leaves + twins
    for number, leaf in enumerate(leaves):
        compare.gradients(leaves[number:], expected[number:], reached[number:])
        if reached[number]:
            leaf.grad.fill_(100.0 + number)
    for number, leaf in enumerate(leaves):
        if reached[number]:
            compare.every(compare.to_numpy(leaf.grad) == 100.0 + number, leaf.grad, "what it holds")


OVERLAPPING_OR_WITH_GAPS = ("contiguous", *(name for name in LAYOUTS if name not in DENSE))


@law(
    "accumulation.layout",
    docs=LAYOUT_RULES,
    over={"dense": DENSE, "not-dense": OVERLAPPING_OR_WITH_GAPS},
)
@given(
    problem=lambda case: with_cotangent(
        tensors(dtype=torch.float64, layouts=case, requires_grad=True),
        result=lambda leaf: (tuple(leaf.shape), leaf.dtype),
    ),
    passes=st.integers(1, 2),
)
def test_layout(target, case, problem, passes):
    """A first .grad has the strides of a dense leaf, and is row-major if the leaf is not dense.

    "If param's memory is non-overlapping and dense, .grad is created with strides matching
    param. Otherwise, .grad is created with rowmajor-contiguous strides", whatever the layout of
    the gradient that arrives. Later passes keep it. Strides of sides above 1 are told.
    """
    leaf, cotangent = problem
    for _ in range(passes):
        leaf.backward(cotangent)
    expected = passes * compare.to_numpy(cotangent)
    compare.close(leaf.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")
    geometry = geometry_of(leaf)
    if not strides.is_dense(geometry):
        geometry = geometry._replace(stride=strides.packed(geometry.shape))
    got, want = strides.significant(geometry_of(leaf.grad)), strides.significant(geometry)
    compare.fact(got, want, "strides of grad")


def set_none(leaves):
    """Assign None."""
    for leaf in leaves:
        leaf.grad = None


def delete(leaves):
    """Delete the attribute."""
    for leaf in leaves:
        del leaf.grad


def zero(leaves):
    """Zero what there is in place."""
    for leaf in leaves:
        if leaf.grad is not None:
            leaf.grad.zero_()


def optimizer_of(leaves):
    """An optimizer of the leaves, in two groups if there are more than one."""
    groups = [{"params": leaves[:1]}, {"params": leaves[1:]}] if leaves[1:] else leaves
    return torch.optim.SGD(groups, lr=1.0)


def module_of(leaves):
    """A module whose parameters are the leaves, the first of them in a module within."""
    module, inner = torch.nn.Module(), torch.nn.Module()
    module.inner = inner
    for number, leaf in enumerate(leaves):
        (module if number else inner)._parameters[f"leaf{number}"] = leaf
    return module


def by_optimizer(leaves):
    """Optimizer.zero_grad, as it is by default."""
    optimizer_of(leaves).zero_grad()


def zero_by_optimizer(leaves):
    """Optimizer.zero_grad to zeros."""
    optimizer_of(leaves).zero_grad(set_to_none=False)


def by_module(leaves):
    """Module.zero_grad, as it is by default."""
    module_of(leaves).zero_grad()


def zero_by_module(leaves):
    """Module.zero_grad to zeros."""
    module_of(leaves).zero_grad(set_to_none=False)


TO_NONE = {
    "assign-none": set_none,
    "delete": delete,
    "optimizer": by_optimizer,
    "module": by_module,
}
TO_ZEROS = {"zero": zero, "optimizer-zeros": zero_by_optimizer, "module-zeros": zero_by_module}


@law("accumulation.reset-to-none", docs="torch.optim.Optimizer.zero_grad", over=TO_NONE)
@given(f=squares(), passes=st.integers(1, 2))
def test_reset_to_none(target, case, f, passes):
    """After a reset to None, .grad is None, and after the next pass that pass's gradient alone.

    A new tensor: whoever held the old one keeps its values. ".grads are guaranteed to be None for
    params that did not receive a gradient."
    """
    leaves = f.leaves(target.device)
    for leaf in leaves:
        leaf.grad = torch.ones_like(leaf).detach()
    for _ in range(passes):
        target.run(f, *leaves).backward()
    held = [leaf.grad for leaf in leaves]
    gradients = derivatives.gradient(numpy_of(f), f.points)
    case(leaves)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the reset")
    target.run(f, *leaves).backward()
    compare.gradients(leaves, gradients, f.reaches)
    for old, gradient in zip(held, gradients, strict=True):
        old_value = 1 + passes * gradient
        compare.close(old, old_value, bound=0.0, dtype=torch.float64, what="the grad before")


@law("accumulation.reset-to-zeros", docs="torch.nn.Module.zero_grad", over=TO_ZEROS)
@given(f=squares(), passes=st.integers(1, 2), recorded=st.booleans())
def test_reset_to_zeros(target, case, f, passes, recorded):
    """After a reset to zeros, .grad is the same tensor, all zeros, to which the next pass adds.

    That of a leaf that no pass reaches stays as it is: None, or zeros. By zero_grad it has no
    history any more, if it was ``recorded`` by create_graph=True.
    """
    recorded = recorded and case is not zero
    leaves = f.leaves(target.device)
    for _ in range(passes):
        target.run(f, *leaves).backward(create_graph=recorded)
    held = [leaf.grad for leaf in leaves]
    case(leaves)
    same = [leaf.grad is gradient for leaf, gradient in zip(leaves, held, strict=True)]
    compare.fact(same, [True] * len(leaves), "grad is the tensor it was")
    zeros = [np.zeros(point.shape) for point in f.points]
    compare.gradients(leaves, zeros, f.reaches)
    flags = [gradient.requires_grad for gradient in held if gradient is not None]
    compare.fact(flags, [False] * len(flags), "requires_grad of grad")
    target.run(f, *leaves).backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
