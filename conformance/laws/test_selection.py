"""Selections among equal values: which value is promised, of the index that it points there."""

import numpy as np

from conformance import compare
from conformance.law import given, law
from conformance.operators import OPERATORS, judge, page
from conformance.operators.reduction_arguments import expanded_calls, majorities, tied_calls
from conformance.reference import ordering

SELECTIONS = (
    "sort", "topk", "kthvalue", "median-along", "nanmedian-along", "cummax", "cummin",
)  # fmt: skip


@law("selection.ties", docs=page, over={key: OPERATORS[key] for key in SELECTIONS})
@given(call=tied_calls)
def test_ties(target, case, call):
    """Among equal values and nan, the values selected are those promised, and the indices theirs.

    Which of several equal values an index names is left open; a sort names each one once.
    """
    values, places = target.run(case.name, *call.arguments, **call.keywords)
    x = judge.wide(call.arguments[0])
    wanted = judge.evaluated(case.analytic, call, [x])[0]
    compare.close(values, wanted, bound=0.0, dtype=call.arguments[0].dtype, what="values")
    following = call.arguments[2 if case.name in ("topk", "kthvalue") else 1 :]
    dim = following[0] if following else -1
    numbers = compare.to_numpy(places)
    pointed = ordering.at_places(x, numbers, dim)
    compare.close(values, pointed, bound=0.0, dtype=values.dtype, what="values at the indices")
    if case.name in ("sort", "topk") and x.ndim:
        rising = np.sort(numbers, axis=dim)
        compare.fact(bool((np.diff(rising, axis=dim) > 0).all()), True, "indices differ")


@law("selection.expanded", docs=page, over={key: OPERATORS[key] for key in SELECTIONS})
@given(call=expanded_calls)
def test_expanded(target, case, call):
    """Of the rows of an expanded tensor, which are one and the same memory, each value is itself.

    An expanded tensor has the values of a copy of it: "expanding a tensor does not allocate new
    memory" (https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html).
    """
    values, _ = target.run(case.name, *call.arguments, **call.keywords)
    wanted = judge.evaluated(case.analytic, call, [judge.wide(call.arguments[0])])[0]
    compare.close(values, wanted, bound=0.0, dtype=call.arguments[0].dtype, what="values")


@law("selection.mode", docs="torch.mode")
@given(call=majorities())
def test_mode(target, call):
    """mode returns the value that appears most often in each row, and the index of one of it."""
    values, places = target.run("torch.mode", *call.arguments, **call.keywords)
    x = judge.wide(call.arguments[0])
    dim, keepdim = call.arguments[1], call.keywords.get("keepdim", False)
    wanted = ordering.most_frequent(x, dim, keepdim)
    compare.equal(values, wanted, dtype=call.arguments[0].dtype, what="values")
    pointed = ordering.at_places(x, compare.to_numpy(places), dim)
    compare.equal(values, pointed, dtype=values.dtype, what="values at the indices")
