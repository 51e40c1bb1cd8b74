"""Signs that assign: ``x += y`` and its kin write into the tensor on the left."""

from conformance import compare
from conformance.law import given, law
from conformance.operators import forms, judge
from conformance.operators.assignments import ASSIGNMENTS, assignments, page


@law("signs.in-place", docs=page, over=ASSIGNMENTS)
@given(call=assignments)
def test_in_place_sign(target, case, call):
    """``x += y`` and its kin write the result into x, give x, and count one version.

    For every sign: + - * / // % ** on numbers, & | ^ << >> on integers, the bits also of booleans.
    """
    (shape,), _ = forms.results_of(case, call)
    written, others = forms.writable(call.arguments[0], shape), call.arguments[1:]
    expected = forms.with_self(call, written.clone())
    version, place = written._version, written.data_ptr()
    returned = target.run(case.in_place, written, *others)
    judge.check_written(case, expected, [written], "self")
    compare.fact(returned is written, True, "self is returned")
    compare.fact(written._version, version + 1, "version of self")
    compare.fact(written.data_ptr(), place, "memory of self")
