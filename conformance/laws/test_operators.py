"""Operators: values, result dtypes, spellings, in-place and out= forms, memory, of every one."""

import numpy as np
import torch

from conformance import compare
from conformance.evidence import tensors_in
from conformance.law import given, law
from conformance.operators import excluding, forms, judge, page
from conformance.operators.problems import in_place_calls, long_calls, mixed_calls, value_calls


@law("operators.value", docs=page, over=excluding("value"))
@given(call=value_calls)
def test_value(target, case, call):
    """An operator returns the values, shape, dtype and device documented, and writes to no input.

    Exactly where it moves or counts; elsewhere within the units in the last place that its entry
    grants.
    """
    before = [compare.to_numpy(tensor) for tensor in tensors_in(call)]
    result = target.run(case.name, *call.arguments, **call.keywords)
    judge.check(case, call, result)
    for tensor, values in zip(tensors_in(call), before, strict=True):
        compare.unchanged(tensor, values, "argument")


@law("operators.long", docs=page, over=excluding("long", lambda o: o.kind != "distinct"))
@given(call=long_calls)
def test_long(target, case, call):
    """An operator returns the values documented for tensors with a long side too.

    Of 17 to 130 elements: as many as fill vectors, or blocks, of a kernel and leave a rest. They
    are up to sixteen times as many as elsewhere, and so may the roundings be. Values that have to
    differ are too few for it.
    """
    judge.check(case, call, target.run(case.name, *call.arguments, **call.keywords), roundings=16)


@law("operators.dtype", docs=page, over=excluding("dtype", lambda o: o.mixed is not None))
@given(call=mixed_calls)
def test_dtype(target, case, call):
    """Operands of different dtypes are computed in, and give, the dtype that the rules promote to.

    Tensors with dimensions decide, unless one without, or a Python number, is of a higher
    category (https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
    """
    judge.check(case, call, target.run(case.name, *call.arguments, **call.keywords))


@law("operators.spellings", docs=page, over=excluding("spellings", lambda o: o.spellings))
@given(call=value_calls)
def test_spellings(target, case, call):
    """Every spelling of an operator, as function, method, sign or alias, gives the same result."""
    for name, spelling in forms.spoken(case, call).items():
        judge.check(case, call, target.run(spelling, *call.arguments, **call.keywords), name)


@law(
    "operators.layout",
    docs=page,
    over=excluding("layout", lambda o: o.memory != "view"),
    needs=("strides",),
)
@given(call=value_calls)
def test_layout(target, case, call):
    """The result does not depend on how the inputs lie in memory.

    Each call is repeated with the inputs contiguous, column-major, behind an offset, with gaps,
    and with their second dimension innermost (channels last).
    """
    for layout in forms.LAYOUTS_TRIED:
        laid = forms.laid_out(call, layout)
        result = target.run(case.name, *laid.arguments, **laid.keywords)
        judge.check(case, laid, result, f"result for {layout} inputs")


@law("operators.in-place", docs=page, over=excluding("in-place", lambda o: o.in_place))
@given(call=in_place_calls)
def test_in_place(target, case, call):
    """The in-place form writes the result into self, returns self and counts a version.

    Where the result's shape is not self's, or its dtype is of a higher category, it raises and
    leaves self as it was. Other inputs stay as they are, and so does the rest of self's memory.
    """
    (shape,), _ = forms.results_of(case, call)
    written, others = forms.writable(call.arguments[0], shape), call.arguments[1:]
    expected = forms.with_self(call, written.clone())
    _, (dtype,) = forms.results_of(case, expected)
    before = [compare.to_numpy(t) for t in tensors_in(others)]
    margin, version, place = forms.around(written), written._version, written.data_ptr()
    if not forms.can_hold(written.dtype, dtype):
        values = compare.to_numpy(written)
        with compare.raises(RuntimeError, "can't be cast to the desired output type"):
            target.run(case.in_place, written, *others, **call.keywords)
        compare.unchanged(written, values, "self after a rejection")
        return
    returned = target.run(case.in_place, written, *others, **call.keywords)
    judge.check_written(case, expected, [written], "self")
    compare.fact(returned is written, True, "returns self")
    counted = written._version > version
    compare.fact((counted, written.data_ptr()), (True, place), "version, memory")
    compare.fact(forms.around(written), margin, "memory around self")
    for tensor, values in zip(tensors_in(others), before, strict=True):
        compare.unchanged(tensor, values, "argument")


@law(
    "operators.in-place-version",
    docs=page,
    level="should",
    over=excluding("in-place", lambda o: o.in_place),
)
@given(call=in_place_calls)
def test_in_place_version(target, case, call):
    """The in-place form counts exactly one version, and none where it is rejected."""
    (shape,), _ = forms.results_of(case, call)
    written, others = forms.writable(call.arguments[0], shape), call.arguments[1:]
    _, (dtype,) = forms.results_of(case, forms.with_self(call, written.clone()))
    version = written._version
    if forms.can_hold(written.dtype, dtype):
        target.run(case.in_place, written, *others, **call.keywords)
        compare.fact(written._version - version, 1, "versions counted")
    else:
        with compare.raises(RuntimeError, "can't be cast to the desired output type"):
            target.run(case.in_place, written, *others, **call.keywords)
        compare.fact(written._version - version, 0, "versions counted by a rejection")


@law("operators.out", docs=page, over=excluding("out", lambda o: o.out))
@given(call=value_calls)
def test_out(target, case, call):
    """out= receives the result and is returned; one without elements is resized to fit.

    Given memory keeps its strides. Where documented, out may have another dtype that the
    result can be cast to; one that it cannot be cast to is rejected and left alone.
    """
    shapes, dtypes = forms.results_of(case, call)
    for form in forms.OUT_FORMS:
        out = [form(s, d, target.device) for s, d in zip(shapes, dtypes, strict=True)]
        strides = [tensor.stride() for tensor in out]
        keywords = {**call.keywords, "out": out[0] if len(out) == 1 else tuple(out)}
        returned = judge.listed(target.run(case.name, *call.arguments, **keywords))
        what = f"out ({form.__name__})"
        judge.check_written(case, call, out, what)
        same = [a is b for a, b in zip(returned, out, strict=True)]
        compare.fact(same, [True] * len(out), f"{what} is returned")
        if form.__name__ != "empty":
            compare.fact([t.stride() for t in out], strides, f"strides of {what}")


@law("operators.out-cast", docs=page, over=excluding("out", lambda o: o.out == "cast"))
@given(call=value_calls)
def test_out_cast(target, case, call):
    """out= of another dtype takes the result cast to it, if the rules of promotion allow that.

    A result of a higher category, say floating into an integral tensor, is rejected.
    """
    (shape,), (dtype,) = forms.results_of(case, call)
    for other in forms.OTHER_DTYPES:
        out = torch.full(shape, 1, dtype=other, device=target.device)
        if forms.can_hold(other, dtype):
            target.run(case.name, *call.arguments, **{**call.keywords, "out": out})
            judge.check_written(case, call, [out], f"out of {other}")
        else:
            with compare.raises(RuntimeError, "can't be cast to the desired output type"):
                target.run(case.name, *call.arguments, **{**call.keywords, "out": out})
            compare.unchanged(out, np.ones(shape), "out after a rejection")


@law("operators.view", docs=page, over=excluding("view", lambda o: o.memory == "view"))
@given(call=value_calls)
def test_view(target, case, call):
    """A view shares its base's memory: what is written to either is seen through the other."""
    base = forms.writable(call.arguments[0], tuple(call.arguments[0].shape))
    places = forms.places(case, forms.with_self(call, base))
    results = judge.listed(target.run(case.name, base, *call.arguments[1:], **call.keywords))
    compare.fact(len(results), len(places), "number of results")
    numbers = forms.counted(base)
    base.copy_(numbers)
    values = compare.to_numpy(base)
    for result, place in zip(results, places, strict=True):
        compare.equal(result, values.ravel()[place], dtype=base.dtype, what="view after a write")
        compare.fact(result._version, base._version, "version of a view and its base")
        if result.numel() and len(np.unique(place)) == place.size:
            target.run("torch.Tensor.zero_", result)
            values.ravel()[place] = 0
            compare.equal(base, values, dtype=base.dtype, what="base after a write to its view")


@law("operators.copy", docs=page, over=excluding("copy", lambda o: o.memory == "copy"))
@given(call=value_calls)
def test_copy(target, case, call):
    """A result that is no view has memory of its own: writing to it leaves the inputs alone."""
    before = [compare.to_numpy(tensor) for tensor in tensors_in(call)]
    results = judge.listed(target.run(case.name, *call.arguments, **call.keywords))
    wanted = judge.expected(case, call)
    compare.fact(len(results), len(wanted), "number of results")
    for result in results:
        result.fill_(1)
    for tensor, values in zip(tensors_in(call), before, strict=True):
        compare.unchanged(tensor, values, "argument after a write to the result")
    for result in results:
        compare.equal(result, np.ones(tuple(result.shape)), dtype=result.dtype, what="written")
