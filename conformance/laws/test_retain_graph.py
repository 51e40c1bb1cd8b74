"""Retaining the graph: what a second backward pass through it may do."""

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials
from strategies.functions import numpy_of


@law("retain-graph.freed-raises", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True))
def test_freed_raises(target, f):
    """A second backward pass through a graph whose saved tensors were freed raises.

    The graph saves tensors: the result is squared. The gradients of the first pass stay.
    """

    def square(*leaves):
        value = f(*leaves)
        return value * value

    leaves = f.leaves(target.device)
    result = target.run(square, *leaves)
    result.backward()
    gradients = [None if leaf.grad is None else compare.to_numpy(leaf.grad) for leaf in leaves]
    with compare.raises(RuntimeError, "backward through the graph a second time"):
        result.backward()
    for leaf, before in zip(leaves, gradients, strict=True):
        if before is not None:
            compare.unchanged(leaf.grad, before, "grad")


@law("retain-graph.retained-repeats", docs="torch.Tensor.backward")
@given(f=polynomials(scalar=True), times=st.integers(1, 3))
def test_retained_repeats(target, f, times):
    """With retain_graph=True each further pass through the graph gives the same gradient."""

    def square(*leaves):
        value = f(*leaves)
        return value * value

    leaves = f.leaves(target.device)
    result = target.run(square, *leaves)
    for _ in range(times):
        result.backward(retain_graph=True)
    result.backward()
    f_numpy = numpy_of(f)
    gradients = derivatives.gradient(lambda *x: f_numpy(*x) * f_numpy(*x), f.points)
    for leaf, expected, reached in zip(leaves, gradients, f.reaches, strict=True):
        if reached:
            compare.close(
                leaf.grad, (times + 1) * expected, bound=0.0, dtype=leaf.dtype, what="grad"
            )
