"""Retaining the graph: what a second backward pass through it may do."""

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import squares
from strategies.functions import numpy_of


@law("retain-graph.freed-raises", docs="torch.Tensor.backward")
@given(f=squares())
def test_freed_raises(target, f):
    """A second backward pass through a graph whose saved tensors were freed raises.

    The graph saves tensors: the result is a square. The gradients of the first pass stay.
    """
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    result.backward()
    with compare.raises(RuntimeError, "backward through the graph a second time"):
        result.backward()
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("retain-graph.retained-repeats", docs="torch.Tensor.backward")
@given(f=squares(), times=st.integers(1, 3))
def test_retained_repeats(target, f, times):
    """With retain_graph=True each further pass through the graph gives the same gradient."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    for _ in range(times):
        result.backward(retain_graph=True)
    result.backward()
    gradients = derivatives.gradient(numpy_of(f), f.points)
    expected = [(times + 1) * gradient for gradient in gradients]
    compare.gradients(leaves, expected, f.reaches)
