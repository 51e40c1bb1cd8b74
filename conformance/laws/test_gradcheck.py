"""gradcheck and gradgradcheck: their verdicts on Functions known to be right, or wrong."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.cubic import Cubic
from strategies import tensors

PAGE = "autograd.html#module-torch.autograd.gradcheck"
POINTS = tensors(
    dtype=torch.float64,
    shape=(2, 2),
    values="away-from-kinks",
    layouts=("contiguous", "transposed"),
)


class Scaled(Cubic):
    """Its gradient is 1 % too large."""

    @staticmethod
    def backward(context, cotangent):
        return Cubic.backward(context, cotangent) * 1.01


class OneEntry(Cubic):
    """One entry of its gradient is off by a tenth, whatever the cotangent's other entries."""

    @staticmethod
    def backward(context, cotangent):
        gradient = Cubic.backward(context, cotangent)
        wrong = torch.zeros_like(gradient)
        wrong[-1, 0] = 0.1
        return gradient + wrong * cotangent


class Mixed(Cubic):
    """Its Jacobian has an entry off the diagonal."""

    @staticmethod
    def backward(context, cotangent):
        return Cubic.backward(context, cotangent) + cotangent.mT * 0.5


class Undifferentiated(Cubic):
    """Its gradient is right, and cannot be differentiated rightly."""

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        return cotangent * (x.detach() * x * 5 - 1) * 1.5


class WrongTangent(Cubic):
    """Its forward derivative has the wrong sign."""

    @staticmethod
    def jvp(context, tangent):
        return -Cubic.jvp(context, tangent)


class Unsteady(Cubic):
    """Its gradient differs a little each time."""

    times = 0

    @staticmethod
    def backward(context, cotangent):
        Unsteady.times += 1
        return Cubic.backward(context, cotangent) * (1 + 1e-9 * Unsteady.times)


@law("gradcheck.right", docs=PAGE)
@given(x=POINTS, fast=st.booleans(), forward=st.booleans())
def test_right(target, x, fast, forward):
    """gradcheck and gradgradcheck return True for a right Function, and leave its inputs alone.

    In fast mode or not, with the forward derivative or without.
    """
    leaf = x.requires_grad_()
    before = compare.to_numpy(leaf)
    checked = torch.autograd.gradcheck(
        Cubic.apply, (leaf,), fast_mode=fast, check_forward_ad=forward
    )
    compare.fact(checked, True, "gradcheck")
    twice = torch.autograd.gradgradcheck(Cubic.apply, (leaf,), fast_mode=fast)
    compare.fact(twice, True, "gradgradcheck")
    compare.unchanged(leaf, before, "input")
    compare.fact((leaf.grad, leaf.requires_grad), (None, True), "grad and flag of the input")
    compare.fact(torch.is_grad_enabled(), True, "grad mode afterwards")


WRONG = {"scaled": Scaled, "one-entry": OneEntry, "mixed": Mixed}


@law("gradcheck.wrong", docs=PAGE, over=WRONG)
@given(x=POINTS)
def test_wrong(target, case, x):
    """gradcheck raises for a Function with a wrong gradient, or returns False where asked to.

    A gradient off by a hundredth, by a tenth in one entry, or with an entry off the diagonal.
    """
    leaf = x.requires_grad_()
    compare.fact(torch.autograd.gradcheck(Cubic.apply, (leaf,)), True, "of a right Function")
    with compare.raises(RuntimeError, "Jacobian mismatch for output 0"):
        torch.autograd.gradcheck(case.apply, (leaf,))
    quietly = torch.autograd.gradcheck(case.apply, (leaf,), raise_exception=False)
    compare.fact(quietly, False, "gradcheck without exceptions")


@law("gradcheck.second-order", docs=PAGE)
@given(x=POINTS)
def test_second_order(target, x):
    """gradgradcheck raises for a Function whose second derivative alone is wrong.

    gradcheck finds nothing wrong with it.
    """
    leaf = x.requires_grad_()
    first = torch.autograd.gradcheck(Undifferentiated.apply, (leaf,))
    compare.fact(first, True, "gradcheck")
    with compare.raises(RuntimeError, "Jacobian mismatch"):
        torch.autograd.gradgradcheck(Undifferentiated.apply, (leaf,))


@law("gradcheck.forward", docs=PAGE)
@given(x=POINTS)
def test_forward(target, x):
    """gradcheck with check_forward_ad=True raises for a wrong jvp, which it ignores otherwise."""
    leaf = x.requires_grad_()
    compare.fact(torch.autograd.gradcheck(WrongTangent.apply, (leaf,)), True, "gradcheck")
    with compare.raises(RuntimeError, "Jacobian computed with forward"):
        torch.autograd.gradcheck(WrongTangent.apply, (leaf,), check_forward_ad=True)


@law("gradcheck.deterministic", docs=PAGE)
@given(x=POINTS)
def test_deterministic(target, x):
    """gradcheck raises if the same pass gives different gradients, beyond nondet_tol."""
    leaf = x.requires_grad_()
    Unsteady.times = 0
    tolerant = torch.autograd.gradcheck(
        Unsteady.apply, (leaf,), nondet_tol=1e-3, check_undefined_grad=False
    )
    compare.fact(tolerant, True, "gradcheck with a tolerance")
    with compare.raises(RuntimeError, "Backward is not reentrant"):
        torch.autograd.gradcheck(Unsteady.apply, (leaf,))


@law("gradcheck.needs-grad", docs=PAGE, level="should")
@given(x=POINTS)
def test_needs_grad(target, x):
    """gradcheck without any input that requires grad raises: it would check nothing."""
    with compare.raises(ValueError, "expects at least one input tensor to require gradient"):
        torch.autograd.gradcheck(Cubic.apply, (x,))
    checked = torch.autograd.gradcheck(Cubic.apply, (x.requires_grad_(),))
    compare.fact(checked, True, "gradcheck")


class Pair(torch.autograd.Function):
    """A product and a sum of two tensors, with a flaw in one of their four Jacobians."""

    @staticmethod
    def forward(context, x, y, flaw):
        context.save_for_backward(x, y)
        context.flaw = flaw
        return x * y, x + 3 * y

    @staticmethod
    def backward(context, product, total):
        x, y = context.saved_tensors
        slopes = [[y, torch.ones_like(y)], [x, torch.full_like(x, 3.0)]]
        if context.flaw is not None:
            one, other = context.flaw
            slopes[one][other] = slopes[one][other] + 0.5
        first, second = (product * p + total * t for p, t in slopes)
        return first, second, None


@law("gradcheck.every-pair", docs=PAGE)
@given(x=POINTS, y=POINTS, flaw=st.tuples(st.integers(0, 1), st.integers(0, 1)))
def test_every_pair(target, x, y, flaw):
    """gradcheck compares the Jacobian of every output with respect to every input.

    "Any combination of inputs and outputs": of two of each, one pair is wrong.
    """
    inputs = (x.requires_grad_(), y.requires_grad_())
    checked = torch.autograd.gradcheck(lambda x, y: Pair.apply(x, y, None), inputs)
    compare.fact(checked, True, "of a right Function")
    one, other = flaw
    with compare.raises(RuntimeError, f"output {other} with respect to input {one}"):
        torch.autograd.gradcheck(lambda x, y: Pair.apply(x, y, flaw), inputs)
