"""Equality of whole tensors: one answer, true or false, for all elements together."""

from conformance import compare
from conformance.law import given, law
from conformance.operators.equality_arguments import close_calls, tensor_pairs
from conformance.reference import comparison

SPELLINGS = {"function": "torch.{}", "method": "torch.Tensor.{}"}


@law("equality.equal", docs="torch.equal", over=SPELLINGS)
@given(pair=tensor_pairs())
def test_equal(target, case, pair):
    """equal tells whether two tensors have the same size and elements; nan is equal to nothing.

    Not even where both are one tensor, nor however they lie in memory.
    """
    x, y = (compare.to_numpy(tensor) for tensor in pair)
    got = target.run(case.format("equal"), *pair)
    compare.fact(got, comparison.same_elements(x, y), "equal")


@law("equality.allclose", docs="torch.allclose", over=SPELLINGS)
@given(call=close_calls())
def test_allclose(target, case, call):
    """allclose tells whether ``|x - y| <= atol + rtol * |y|`` for all elements.

    Where either is not finite, whether they are equal; nan is equal to nan if equal_nan is true.
    """
    x, y = (compare.to_numpy(tensor) for tensor in call.arguments)
    got = target.run(case.format("allclose"), *call.arguments, **call.keywords)
    compare.fact(got, bool(comparison.near(x, y, **call.keywords).all()), "allclose")
