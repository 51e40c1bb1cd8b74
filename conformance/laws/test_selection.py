"""Selections among equal values: which value is promised, of the index that it points there."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators import OPERATORS, judge, page
from conformance.operators.forms import with_self
from conformance.operators.reduction_arguments import expanded_calls, majorities, tied_calls
from conformance.reference import ordering
from strategies import tensors

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


POOLED = (
    "max_pool1d", "max_pool1d-places", "max_pool2d-places", "max_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d",
)  # fmt: skip


def packed_ties(case):
    """Draw a call on few values that lie row by row."""
    return tied_calls(case).map(lambda call: with_self(call, call.arguments[0].contiguous()))


@law("selection.pooled", docs=page, level="should", over={key: OPERATORS[key] for key in POOLED})
@given(call=packed_ties)
def test_pooled(target, case, call):
    """Of infinities, nan and equal values max pooling takes the greatest of each window, or nan.

    An index points to such a value in the input, whichever of equal ones.
    """
    results = judge.listed(target.run(case.name, *call.arguments, **call.keywords))
    x = judge.wide(call.arguments[0])
    wanted = judge.evaluated(case.analytic, call, [x])[0]
    dtype = call.arguments[0].dtype
    compare.close(results[0], wanted, bound=0.0, dtype=dtype, what="values")
    if len(results) > 1:
        places = compare.to_numpy(results[1])
        flat = x.reshape(*x.shape[: -int(case.name[-2])], -1)
        numbers = places.reshape(*flat.shape[:-1], -1)
        inside = bool(((numbers >= 0) & (numbers < flat.shape[-1])).all())
        compare.fact(inside, True, "indices lie in the input")
        pointed = np.take_along_axis(flat, numbers, -1).reshape(places.shape)
        compare.close(results[0], pointed, bound=0.0, dtype=dtype, what="values at the indices")


# By rank of the windows, and by how the input lies.
EMPTY_WINDOWS = {
    "max_pool1d": (1, "contiguous_format"),
    "max_pool2d": (2, "contiguous_format"),
    "max_pool3d": (3, "contiguous_format"),
    "max_pool2d-channels-last": (2, "channels_last"),
    "max_pool3d-channels-last": (3, "channels_last_3d"),
}


def pooling_page(case):
    return f"torch.nn.functional.max_pool{case[0]}d"


@law("selection.pooled-nothing", docs=pooling_page, level="should", over=EMPTY_WINDOWS)
@given(
    side=st.integers(2, 3),
    kernel=st.integers(1, 2),
    channels=st.integers(1, 3),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_pooled_nothing(target, case, side, kernel, channels, dtype):
    """Max pooling of windows of -inf alone gives -inf, and indices that lie within the windows."""
    rank, layout = case
    shape = (2, channels, *[side * kernel] * rank)
    x = torch.full(shape, -float("inf"), dtype=dtype, device=target.device)
    x = x.contiguous(memory_format=getattr(torch, layout))
    name = f"torch.nn.functional.max_pool{rank}d"
    values, places = target.run(name, x, kernel, return_indices=True)
    windows = (2, channels, *[side] * rank)
    compare.equal(values, np.full(windows, -np.inf), dtype=dtype, what="values")
    numbers = compare.to_numpy(places)
    inside = bool(((numbers >= 0) & (numbers < (side * kernel) ** rank)).all())
    compare.fact(inside, True, "indices lie in the input")
    found = np.unravel_index(numbers, shape[2:])
    for axis, (along, wanted) in enumerate(zip(found, np.indices(windows)[2:], strict=True)):
        got = bool((along // kernel == wanted).all())
        compare.fact(got, True, f"each window has its index along dimension {axis}")


@law("selection.distinct", docs="torch.unique", level="should")
@given(
    x=tensors(dtype=st.sampled_from((torch.float64, torch.float32)), values="nonfinite"),
    sort=st.booleans(),
)
def test_distinct(target, x, sort):
    """unique with nan gives values and places that restore its input, and counts of all of it.

    Each number once, and of several nan one or each; in ascending order, nan last, if asked to.
    """
    answers = {"return_inverse": True, "return_counts": True}
    values, places, counts = target.run("torch.unique", x, sort, **answers)
    held, found = compare.to_numpy(x), compare.to_numpy(values)
    numbers = np.unique(held[~np.isnan(held)])
    ordered = found if sort else np.sort(found)
    compare.every(ordered[: len(numbers)] == numbers, values, "a number, in ascending order")
    compare.every(np.isnan(ordered[len(numbers) :]), values, "nan, after all numbers")
    compare.close(values[places], held, bound=0.0, dtype=x.dtype, what="values at the places")
    alone = target.run("torch.unique", x, sort)
    compare.close(alone if sort else alone.sort()[0], ordered, bound=0.0, dtype=x.dtype)
    named = np.bincount(compare.to_numpy(places).reshape(-1), minlength=len(found))
    compare.equal(counts, named, dtype=torch.int64, what="counts")


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
