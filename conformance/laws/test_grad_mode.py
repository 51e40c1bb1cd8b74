"""Grad mode: when operations are recorded, and when recording comes back."""

import torch

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import polynomials, tensors
from strategies.functions import numpy_of

DISABLING = {
    "no_grad": ("torch.no_grad", ()),
    "inference_mode": ("torch.inference_mode", ()),
    "set_grad_enabled": ("torch.set_grad_enabled", (False,)),
}


@law("grad-mode.records-nothing", docs="torch.no_grad", over=DISABLING)
@given(f=polynomials())
def test_records_nothing(target, case, f):
    """Under a disabled grad mode results do not require grad, whatever their inputs; values stay.

    Results that are computed, not views of an input. Recording goes on where the block ends.
    """

    def computed(*leaves):
        return f(*leaves) * 2

    context, arguments = case
    leaves = f.leaves(target.device)
    with resolve(context)(*arguments):
        result = target.run(computed, *leaves)
        compare.fact(torch.is_grad_enabled(), False, "is_grad_enabled inside")
    compare.fact((result.requires_grad, result.grad_fn is None), (False, True), "no history")
    compare.close(result, 2 * numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    compare.fact(target.run(computed, *leaves).requires_grad, True, "requires_grad afterwards")


@law("grad-mode.views", docs="torch.no_grad", over=DISABLING)
@given(leaf=tensors(dtype="floating", requires_grad=True))
def test_views(target, case, leaf):
    """Under a disabled grad mode a view of a tensor that requires grad does not require grad.

    torch.no_grad: "the result of every computation will have requires_grad=False, even when
    the inputs have requires_grad=True".
    """
    context, arguments = case
    with resolve(context)(*arguments):
        view = target.run("torch.unsqueeze", leaf, 0)
    compare.fact((view.requires_grad, view.grad_fn is None), (False, True), "no history")


@law("grad-mode.restored-after-exception", docs="torch.no_grad", over=DISABLING)
@given(f=polynomials())
def test_restored_after_exception(target, case, f):
    """An exception that leaves the block restores the grad mode from before it."""
    context, arguments = case
    leaves = f.leaves(target.device)
    try:
        with resolve(context)(*arguments):
            raise KeyError("out of the block")
    except KeyError:
        pass
    compare.fact(torch.is_grad_enabled(), True, "is_grad_enabled after the exception")
    compare.fact(target.run(f, *leaves).requires_grad, True, "requires_grad after the exception")


@law("grad-mode.enable-grad-nested", docs="torch.enable_grad")
@given(f=polynomials())
def test_enable_grad_nested(target, f):
    """enable_grad inside no_grad records again, and leaving it disables again."""
    leaves = f.leaves(target.device)
    with torch.no_grad():
        with torch.enable_grad():
            recorded = target.run(f, *leaves)
        unrecorded = target.run(f, *leaves) * 2
    compare.fact((recorded.requires_grad, unrecorded.requires_grad), (True, False), "recorded")


@law("grad-mode.decorator", docs="torch.no_grad")
@given(f=polynomials())
def test_decorator(target, f):
    """no_grad works as a decorator: the function's results do not require grad."""
    leaves = f.leaves(target.device)

    @torch.no_grad()
    def computed(*leaves):
        return f(*leaves) * 2

    result = computed(*leaves)
    compare.fact((result.requires_grad, result.grad_fn is None), (False, True), "no history")
    compare.close(result, 2 * numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    compare.fact(torch.is_grad_enabled(), True, "is_grad_enabled after the call")
