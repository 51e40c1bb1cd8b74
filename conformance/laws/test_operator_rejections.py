"""Rejections of operators: calls that must raise, beside legal ones that differ in one thing."""

from conformance import compare
from conformance.law import given, law
from conformance.operators import REJECTIONS, rejected_page
from conformance.operators.problems import rejected_tensors
from conformance.operators.rejections import ERRORS, spoken


@law("operators.rejection", docs=rejected_page, over=REJECTIONS, dear=True)
@given(tensors=rejected_tensors)
def test_rejection(target, case, tensors):
    """A call with a documented mistake raises the error documented and leaves every tensor as is.

    The same call without the mistake is legal, and is made first.
    """
    legal, illegal = spoken(case.legal, tensors), spoken(case.illegal, tensors)
    target.run(legal, *(tensor.clone() for tensor in tensors.values()))
    before = {name: compare.to_numpy(tensor) for name, tensor in tensors.items()}
    with compare.raises(ERRORS[case.error], case.message):
        target.run(illegal, *tensors.values())
    for name, tensor in tensors.items():
        compare.unchanged(tensor, before[name], name)
