"""Gradient clipping: the norm over all gradients, what is scaled by it, and what is cut off."""

from math import inf, nan

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import current_device, tensors
from strategies.devices import lacks

NORM = "torch.nn.utils.clip_grad_norm_"
VALUE = "torch.nn.utils.clip_grad_value_"
NORMS = {"two": 2.0, "one": 1.0, "infinity": inf, "three": 3.0, "half": 0.5, "two-named": "2"}
NONFINITE = {"nan": nan, "infinity": inf, "minus-infinity": -inf}
FORMS = ("list", "generator", "tuple")


@st.composite
def _foreach(draw):
    """Draw the option: that implementation is for "CUDA and CPU native tensors"."""
    return draw(st.sampled_from((None, False) if lacks("foreach") else (None, True, False)))


FOREACH = _foreach()
EPSILON = 1e-6  # documented: what is added to the norm


_SHAPES = st.sampled_from(((2,), (), (2, 3), (1, 1, 4), (5,)))


@st.composite
def some_gradients(draw, dtype=torch.float64, most=4):
    """Some gradients of any shape and layout, or None where a parameter has none."""
    result = []
    for _ in range(draw(st.integers(1, most))):
        absent = draw(st.integers(0, 4)) == 4
        result.append(
            None if absent else draw(tensors(dtype=dtype, shape=_SHAPES, layouts=("contiguous",)))
        )
    if all(gradient is None for gradient in result):
        result.append(torch.ones(1, dtype=dtype, device=current_device()))
    return result


def parameters_with(gradients, device):
    """A parameter for each gradient, with it."""
    parameters = []
    for gradient in gradients:
        shape = (2,) if gradient is None else tuple(gradient.shape)
        kind = torch.float64 if gradient is None else gradient.dtype
        parameter = torch.nn.Parameter(torch.ones(shape, dtype=kind, device=device))
        parameter.grad = None if gradient is None else gradient.clone()
        parameters.append(parameter)
    return parameters


def passed(parameters, form):
    """The parameters as a list, a tuple, or an iterator that can be read once."""
    if form == "generator":
        return (parameter for parameter in parameters)
    return tuple(parameters) if form == "tuple" else parameters


def norm_of(arrays, kind):
    """The norm of all numbers as one vector."""
    sizes = np.concatenate([np.zeros(0), *(np.abs(a).ravel() for a in arrays)])
    if kind == inf:
        return float(sizes.max(initial=0.0))
    return float((sizes ** float(kind)).sum() ** (1 / float(kind)))


@law("clipping.norm", docs=NORM, over=NORMS)
@given(
    grads=some_gradients(),
    share=st.sampled_from((0.5, 0.25, 2.0, 1.0, 64.0, inf)),
    foreach=FOREACH,
    form=st.sampled_from(FORMS),
)
def test_norm(target, case, grads, share, foreach, form):
    """clip_grad_norm_ returns the norm over all gradients together as one vector, as it was before.

    Each gradient is multiplied in place by ``max_norm / (norm + 1e-6)`` if that is below 1, and
    left alone otherwise. None is skipped, parameters are not changed.
    """
    parameters = parameters_with(grads, target.device)
    arrays = [compare.to_numpy(g) for g in grads if g is not None]
    norm = norm_of(arrays, case)
    most = norm * share if norm else share
    own = [p.grad for p in parameters]
    returned = torch.nn.utils.clip_grad_norm_(
        passed(parameters, form), most, norm_type=case, foreach=foreach
    )
    margin = 64 * np.finfo(np.float64).eps
    kind = torch.float64 if arrays else torch.float32
    compare.close(returned, np.array(norm), bound=margin * norm, dtype=kind, what="norm")
    factor = min(1.0, most / (norm + EPSILON))
    for number, (parameter, gradient) in enumerate(zip(parameters, own, strict=True)):
        compare.fact(parameter.grad is gradient, True, f"gradient {number} is the same tensor")
        ones = np.ones(tuple(parameter.shape))
        compare.equal(parameter, ones, dtype=torch.float64, what=f"parameter {number}")
        if gradient is not None:
            before = compare.to_numpy(grads[number])
            exact = 0.0 if most / (norm * (1 + margin) + EPSILON) >= 1 else margin
            bound = exact * np.abs(before) * factor
            what = f"gradient {number}"
            compare.close(gradient, before * factor, bound=bound, dtype=gradient.dtype, what=what)
            compare.fact(gradient.requires_grad, False, f"{what} requires grad")


@law("clipping.nonfinite", docs=NORM, over=NONFINITE)
@given(place=st.integers(0, 2), kind=st.sampled_from((2.0, inf, 1.0)), foreach=FOREACH)
def test_nonfinite(target, case, place, kind, foreach):
    """With error_if_nonfinite a norm that is nan or infinite raises, and no gradient is changed.

    Without, which is the default, the gradients are scaled by what comes of it: nan or zero.
    """
    grads = [torch.ones(2, dtype=torch.float64, device=target.device) for _ in range(3)]
    parameters = parameters_with(grads, target.device)
    torch.nn.utils.clip_grad_norm_(
        parameters, 1e6, norm_type=kind, error_if_nonfinite=True, foreach=foreach
    )
    parameters[place].grad[1] = case
    before = [compare.to_numpy(p.grad) for p in parameters]
    with compare.raises(RuntimeError, "non-finite"):
        torch.nn.utils.clip_grad_norm_(
            parameters, 1.0, norm_type=kind, error_if_nonfinite=True, foreach=foreach
        )
    for number, (parameter, values) in enumerate(zip(parameters, before, strict=True)):
        compare.unchanged(parameter.grad, values, f"gradient {number} after the error")
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0, norm_type=kind, foreach=foreach)
    expected = np.array(abs(case))
    compare.equal(norm, expected, dtype=torch.float64, what="norm")
    factor = nan if np.isnan(case) else 0.0
    for number, (parameter, values) in enumerate(zip(parameters, before, strict=True)):
        with np.errstate(invalid="ignore"):
            want = values * factor
        what = f"gradient {number}"
        compare.close(parameter.grad, want, bound=0.0, dtype=torch.float64, what=what)


@law("clipping.single", docs=NORM)
@given(gradient=tensors(dtype=torch.float64, layouts=("contiguous",)), foreach=FOREACH)
def test_single(target, gradient, foreach):
    """A single tensor stands for a list of it."""
    (first,), (second,) = (parameters_with([gradient], target.device) for _ in range(2))
    one = torch.nn.utils.clip_grad_norm_(first, 0.5, foreach=foreach)
    other = torch.nn.utils.clip_grad_norm_([second], 0.5, foreach=foreach)
    compare.equal(one, compare.to_numpy(other), dtype=torch.float64, what="norm")
    values = compare.to_numpy(second.grad)
    compare.equal(first.grad, values, dtype=torch.float64, what="gradient by norm")
    size = norm_of([compare.to_numpy(gradient)], 2.0)
    bound = 1e-14 * size
    compare.close(one, np.array(size), bound=bound, dtype=torch.float64, what="norm in closed form")
    first.grad = gradient.clone()
    torch.nn.utils.clip_grad_value_(first, 0.5, foreach=foreach)
    clipped = np.clip(compare.to_numpy(gradient), -0.5, 0.5)
    compare.close(first.grad, clipped, bound=0.0, dtype=torch.float64, what="gradient by value")


@law("clipping.dtypes", docs=NORM)
@given(
    single=some_gradients(torch.float32, 2),
    double=some_gradients(torch.float64, 2),
    foreach=FOREACH,
    share=st.sampled_from((0.25, 0.5)),
)
def test_dtypes(target, single, double, foreach, share):
    """Gradients of several dtypes make one norm, and each keeps its dtype."""
    grads = [g for pair in zip(double, single, strict=False) for g in pair]
    parameters = parameters_with(grads, target.device)
    arrays = [compare.to_numpy(g) for g in grads if g is not None]
    norm = norm_of(arrays, 2.0)
    most = share * norm if norm else share
    returned = torch.nn.utils.clip_grad_norm_(parameters, most, foreach=foreach)
    margin = 16 * np.finfo(np.float32).eps
    compare.fact(bool(abs(returned.item() - norm) <= margin * norm), True, "the norm is near")
    factor = min(1.0, most / (norm + EPSILON))
    for number, (parameter, gradient) in enumerate(zip(parameters, grads, strict=True)):
        if gradient is not None:
            want = compare.to_numpy(gradient).astype(np.float64) * factor
            bound = margin * np.abs(want)
            what = f"gradient {number}"
            compare.close(parameter.grad, want, bound=bound, dtype=gradient.dtype, what=what)


@law("clipping.total-norm", docs="torch.nn.utils.get_total_norm", over=NORMS)
@given(grads=some_gradients(), foreach=FOREACH, share=st.sampled_from((0.25, 0.5, 4.0)))
def test_total_norm(target, case, grads, foreach, share):
    """get_total_norm and clip_grads_with_norm_ are the two steps of clip_grad_norm_.

    The first writes to nothing; the second scales by ``max_norm / (total_norm + 1e-6)``, if that is
    below 1, for the total norm that it is given.
    """
    parameters = parameters_with(grads, target.device)
    present = [p.grad for p in parameters if p.grad is not None]
    before = [compare.to_numpy(g) for g in present]
    norm = norm_of(before, case)
    got = torch.nn.utils.get_total_norm(present, norm_type=case, foreach=foreach)
    kind = torch.float64 if present else torch.float32
    compare.close(got, np.array(norm), bound=1e-14 * norm, dtype=kind, what="norm")
    for gradient, values in zip(present, before, strict=True):
        compare.unchanged(gradient, values, "gradient whose norm was taken")
    total = torch.tensor(2.0, dtype=torch.float64, device=target.device)
    torch.nn.utils.clip_grads_with_norm_(parameters, 2.0 * share, total, foreach=foreach)
    factor = min(1.0, 2.0 * share / (2.0 + EPSILON))
    for gradient, values in zip(present, before, strict=True):
        bound = 1e-14 * np.abs(values) if factor < 1 else 0.0
        compare.close(gradient, values * factor, bound=bound, dtype=torch.float64, what="gradient")


@law("clipping.value", docs=VALUE)
@given(
    grads=some_gradients(), limit=st.sampled_from((0.5, 1, 0.0, 2.25)), foreach=FOREACH,
    form=st.sampled_from(FORMS),
)  # fmt: skip
def test_value(target, grads, limit, foreach, form):
    """clip_grad_value_ puts each element of each gradient into [-clip_value, clip_value], in place.

    None is skipped, nan stays, and nothing is returned; parameters are not changed.
    """
    parameters = parameters_with(grads, target.device)
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.dim() == 1 and parameter.grad.numel():
            parameter.grad[0] = nan
    own = [p.grad for p in parameters]
    before = [np.zeros(0) if g is None else compare.to_numpy(g) for g in own]
    returned = torch.nn.utils.clip_grad_value_(passed(parameters, form), limit, foreach=foreach)
    compare.fact(returned, None, "returned")
    for number, (parameter, gradient) in enumerate(zip(parameters, own, strict=True)):
        compare.fact(parameter.grad is gradient, True, f"gradient {number} is the same tensor")
        ones = np.ones(tuple(parameter.shape))
        compare.equal(parameter, ones, dtype=torch.float64, what=f"parameter {number}")
        if gradient is not None:
            want = np.clip(before[number], -limit, limit)
            what = f"gradient {number}"
            compare.close(gradient, want, bound=0.0, dtype=torch.float64, what=what)


# Arguments by form of the call.
FORMS_OF_CALL = {"default": None, "foreach": True, "loop": False}


@law("clipping.value-of-none", docs=VALUE, over=FORMS_OF_CALL)
@given(count=st.integers(0, 3), also=st.booleans())
def test_value_of_none(target, case, count, also):
    """clip_grad_value_ leaves parameters without gradients alone, all of them or some."""
    gradients = [torch.tensor(2.0, dtype=torch.float64, device=target.device)] if also else []
    parameters = parameters_with([*gradients, *[None] * count], target.device)
    torch.nn.utils.clip_grad_value_(parameters, 1.0, foreach=case)
    without = [p.grad for p in parameters[len(gradients) :]]
    compare.fact(without, [None] * count, "gradients")
    if also:
        clipped = np.array(1.0)
        compare.equal(parameters[0].grad, clipped, dtype=torch.float64, what="the one gradient")


@law("clipping.norm-of-none", docs=NORM, over=FORMS_OF_CALL)
@given(count=st.integers(0, 3))
def test_norm_of_none(target, case, count):
    """The norm of no gradients is 0."""
    parameters = parameters_with([None] * count, target.device)
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=case)
    compare.equal(norm, np.zeros(()), dtype=torch.float32, what="norm")
    compare.fact([p.grad for p in parameters], [None] * count, "gradients")


@law("clipping.empty", docs=NORM, over=NORMS)
@given(foreach=FOREACH, first=st.booleans())
def test_empty(target, case, foreach, first):
    """A gradient without elements adds nothing to the norm."""
    made = {"dtype": torch.float64, "device": target.device}
    empty, full = (torch.full((n,), 3.0, **made) for n in (0, 1))
    parameters = parameters_with([empty, full] if first else [full, empty], target.device)
    norm = torch.nn.utils.clip_grad_norm_(parameters, 10.0, norm_type=case, foreach=foreach)
    compare.close(norm, np.array(3.0), bound=1e-14, dtype=torch.float64, what="norm")
