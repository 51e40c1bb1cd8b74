"""Gradient scaling: losses times a factor, gradients divided by it, and how it changes."""

import copy
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import scaling
from strategies import polynomials, tensors

PAGE = "amp.html#torch.amp.GradScaler"
BAD = (math.inf, -math.inf, math.nan)
# One iteration: the number that each optimizer's gradient is, where one may be none or no number.
ITERATIONS = st.lists(
    st.tuples(st.sampled_from((1.0, 0.5, -2.0, *BAD)), st.sampled_from((1.0, 0.0, -0.25, *BAD))),
    min_size=1, max_size=6,
)  # fmt: skip
FACTORS = st.fixed_dictionaries({
    "init_scale": st.sampled_from((4.0, 1024.0, 0.5)), "growth_factor": st.sampled_from((2.0, 4.0)),
    "backoff_factor": st.sampled_from((0.5, 0.125)), "growth_interval": st.integers(1, 3),
})  # fmt: skip


def scaler_of(device, factors, **words):
    return torch.amp.GradScaler(device.type, **factors, **words)


def model_of(factors):
    return scaling.Scale(
        factors["init_scale"], factors["growth_factor"], factors["backoff_factor"],
        factors["growth_interval"],
    )  # fmt: skip


def parameter_of(device, value=1.0):
    """A parameter of two numbers, in float32."""
    return torch.full((2,), value, device=device, requires_grad=True)


def differentiate(scaler, parameter, slope):
    """Give a parameter the gradient of a scaled loss, whose second element alone is ``slope``."""
    weights = torch.tensor([1.0, slope], device=parameter.device)
    scaler.scale((parameter * weights).sum()).backward()


@law("scaling.scaled", docs=PAGE)
@given(
    f=polynomials(scalar=True), factor=st.sampled_from((4.0, 65536.0, 0.25)), form=st.integers(0, 3)
)
def test_scaled(target, f, factor, form):
    """scale multiplies a tensor by the factor, or each of a list, a tuple or another iterable.

    The gradients are those of the loss times the factor.
    """
    scaler = torch.amp.GradScaler(target.device.type, init_scale=factor)
    leaves = f.leaves(target.device)
    loss = target.run(f, *leaves)
    value = compare.to_numpy(loss)
    forms: tuple[Any, ...] = (loss, [loss], (loss, [loss]), iter((loss,)))
    scaled = scaler.scale(forms[form])
    kinds = (torch.Tensor, list, tuple, Iterable)
    compare.fact(isinstance(scaled, kinds[form]), True, "type of what is returned")
    found = (scaled,) if form == 0 else tuple(scaled)
    if form == 2:
        compare.fact(type(found[1]), list, "type of the inner list")
        found = (found[0], found[1][0])
    for each in found:
        compare.equal(each, value * factor, dtype=loss.dtype, what="scaled loss")
    plain = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
    gradients = torch.autograd.grad(found[-1], leaves, allow_unused=True)
    for gradient, one in zip(gradients, plain, strict=True):
        compare.fact(gradient is None, one is None, "reached")
        if one is not None:
            expected = compare.to_numpy(one) * factor
            compare.close(gradient, expected, bound=0.0, dtype=one.dtype, what="gradient")


@law("scaling.history", docs=PAGE)
@given(iterations=ITERATIONS, factors=FACTORS, unscaled=st.booleans())
def test_history(target, iterations, factors, unscaled):
    """A step is skipped where the gradients of its optimizer overflow; then the scale shrinks.

    After growth_interval iterations in a row without overflow in any optimizer it grows. Other
    optimizers step by their unscaled gradients. What is skipped changes neither parameters nor
    state.
    """
    scaler, scale = scaler_of(target.device, factors), model_of(factors)
    parameters = [parameter_of(target.device) for _ in range(2)]
    optimizers = [torch.optim.SGD([p], lr=0.5, momentum=0.5) for p in parameters]
    values = [np.ones(2), np.ones(2)]
    buffers = [np.zeros(2), np.zeros(2)]
    for number, slopes in enumerate(iterations):
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = None
            differentiate(scaler, parameter, slope)
        for each, optimizer in enumerate(optimizers):
            if unscaled and each == 0:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            if not math.isfinite(slopes[each]):
                continue
            gradient = np.array([1.0, slopes[each]])
            compare.close(parameters[each].grad, gradient, bound=0.0, dtype=torch.float32,
                          what="unscaled gradient")  # fmt: skip
            buffers[each] = 0.5 * buffers[each] + gradient
            values[each] = values[each] - 0.5 * buffers[each]
        scaler.update()
        scale.update(not all(math.isfinite(slope) for slope in slopes))
        compare.fact(scaler.get_scale(), scale.value, f"scale after iteration {number}")
        for parameter, value in zip(parameters, values, strict=True):
            compare.close(parameter, value, bound=0.0, dtype=torch.float32, what="parameter")


@law("scaling.unscaled", docs="amp.html#torch.amp.GradScaler.unscale_")
@given(
    slope=st.sampled_from((1.0, -0.5, 3.0)),
    factor=st.sampled_from((4.0, 1024.0)),
    most=st.floats(0.25, 1.0),
)
def test_unscaled(target, slope, factor, most):
    """unscale_ divides the gradients by the scale, once: step then uses them as they are.

    So they may be clipped in between. A second unscale_ before update is refused, as are
    unscale_ and step after step. A parameter without a gradient is left out.
    """
    scaler = torch.amp.GradScaler(target.device.type, init_scale=factor)
    parameter, idle = parameter_of(target.device), parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter, idle], lr=1.0)
    differentiate(scaler, parameter, slope)
    raw = np.array([1.0, slope])
    compare.equal(parameter.grad, raw * factor, dtype=torch.float32, what="scaled gradient")
    scaler.unscale_(optimizer)
    compare.equal(parameter.grad, raw, dtype=torch.float32, what="unscaled gradient")
    compare.fact(idle.grad, None, "gradient of an idle parameter")
    with compare.raises(RuntimeError, "unscale_\\(\\) has already been called on this optimizer"):
        scaler.unscale_(optimizer)
    parameter.grad.clamp_(-most, most)
    clipped = compare.to_numpy(parameter.grad)
    scaler.step(optimizer)
    expected = 1 - clipped
    compare.close(parameter, expected, bound=2e-7, dtype=torch.float32, what="parameter")
    compare.unchanged(parameter.grad, clipped, "gradient after the step")
    with compare.raises(RuntimeError, "step\\(\\) has already been called since the last update"):
        scaler.step(optimizer)
    with compare.raises(RuntimeError, "unscale_\\(\\) is being called after step\\(\\)"):
        scaler.unscale_(optimizer)
    compare.close(parameter, expected, bound=2e-7, dtype=torch.float32, what="after refusals")
    scaler.update()
    scaler.unscale_(optimizer)
    compare.close(
        parameter.grad, clipped / factor, bound=0.0, dtype=torch.float32, what="after update"
    )


@law("scaling.accumulated", docs="notes/amp_examples.html#gradient-accumulation")
@given(slopes=st.lists(st.sampled_from((1.0, 0.5, -0.25, math.inf)), min_size=2, max_size=4))
def test_accumulated(target, slopes):
    """Scaled gradients add up over several passes; step divides the sum by the scale.

    One pass that overflows lets the whole step be skipped.
    """
    scaler = torch.amp.GradScaler(target.device.type, init_scale=8.0)
    parameter = parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    for slope in slopes:
        differentiate(scaler, parameter, slope)
    scaler.step(optimizer)
    scaler.update()
    whole = np.array([float(len(slopes)), sum(slopes)])
    skipped = not np.isfinite(whole).all()
    expected = np.ones(2) if skipped else 1 - whole
    compare.equal(parameter, expected, dtype=torch.float32, what="parameter")
    compare.fact(scaler.get_scale(), 4.0 if skipped else 8.0, "scale")


@law("scaling.state", docs="amp.html#torch.amp.GradScaler")
@given(
    iterations=ITERATIONS,
    factors=FACTORS,
    cut=st.integers(0, 5),
    form=st.sampled_from(("state", "copy")),
)
def test_state(target, iterations, factors, cut, form):
    """The state holds scale, factors and the streak: loaded, another scaler goes on with them.

    A copy does as well.
    """
    scaler, scale = scaler_of(target.device, factors), model_of(factors)
    parameter = parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    for number, (slope, _) in enumerate(iterations):
        if number == cut:
            state = scaler.state_dict()
            expected = {
                "scale": scale.value, "growth_factor": scale.growth,
                "backoff_factor": scale.backoff, "growth_interval": scale.interval,
                "_growth_tracker": scale.streak,
            }  # fmt: skip
            compare.fact(state, expected, "state")
            if form == "copy":
                scaler = copy.deepcopy(scaler)
            else:
                scaler = torch.amp.GradScaler(target.device.type)
                scaler.load_state_dict(state)
        parameter.grad = None
        differentiate(scaler, parameter, slope)
        scaler.step(optimizer)
        scaler.update()
        scale.update(not math.isfinite(slope))
        compare.fact(scaler.get_scale(), scale.value, f"scale after iteration {number}")


@law("scaling.new-scale", docs="amp.html#torch.amp.GradScaler.update")
@given(value=st.sampled_from((2.0, 32.0, 0.5)), by_tensor=st.booleans(), factors=FACTORS)
def test_new_scale(target, value, by_tensor, factors):
    """update(new_scale) sets the scale; later writes to a tensor given do not change it.

    set_growth_factor and its kind take effect at the next update.
    """
    scaler = scaler_of(target.device, factors)
    compare.fact(scaler.get_scale(), factors["init_scale"], "scale before the first use")
    parameter = parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    differentiate(scaler, parameter, 1.0)
    scaler.step(optimizer)
    new = torch.tensor(value, device=target.device) if by_tensor else value
    scaler.update(new)
    if by_tensor:
        new.fill_(100.0)
    compare.fact(scaler.get_scale(), value, "new scale")
    scaler.set_growth_factor(8.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(1)
    found = (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval())
    compare.fact(found, (8.0, 0.25, 1), "factors and interval")
    for slope, factor in ((1.0, 8.0), (math.nan, 0.25)):
        parameter.grad = None
        differentiate(scaler, parameter, slope)
        scaler.step(optimizer)
        before = scaler.get_scale()
        scaler.update()
        compare.fact(scaler.get_scale(), before * factor, "scale after new factors")


@law("scaling.disabled", docs=PAGE)
@given(slope=st.sampled_from((1.0, -0.5, math.inf)), value=tensors(dtype=torch.float32))
def test_disabled(target, slope, value):
    """A scaler that is not enabled hands everything through: step is the optimizer's own."""
    scaler = torch.amp.GradScaler(target.device.type, enabled=False)
    compare.fact(scaler.scale(value) is value, True, "scale returns what it gets")
    several = [value]
    compare.fact(scaler.scale(several) is several, True, "scale returns the list it gets")
    parameter = parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    differentiate(scaler, parameter, slope)
    scaler.unscale_(optimizer)
    gradient = np.array([1.0, slope])
    compare.equal(parameter.grad, gradient, dtype=torch.float32, what="gradient")
    scaler.step(optimizer)
    scaler.update()
    expected = 1 - 0.5 * gradient
    compare.equal(parameter, expected, dtype=torch.float32, what="parameter")
    facts = (scaler.is_enabled(), scaler.get_scale(), scaler.state_dict())
    compare.fact(facts, (False, 1.0, {}), "enabled, scale, state")


@law("scaling.returned", docs="amp.html#torch.amp.GradScaler.step")
@given(slope=st.sampled_from((1.0, math.inf)), number=st.integers(0, 9))
def test_returned(target, slope, number):
    """step passes its arguments on and returns what the optimizer's step does.

    None where it is skipped; a closure is refused.
    """

    class Told(torch.optim.SGD):
        def step(self, *arguments, **words):
            super().step()
            return arguments, words

    scaler = torch.amp.GradScaler(target.device.type, init_scale=2.0)
    parameter = parameter_of(target.device)
    optimizer = Told([parameter], lr=0.5)
    differentiate(scaler, parameter, slope)
    returned = scaler.step(optimizer, number, word=number)
    expected = ((number,), {"word": number}) if math.isfinite(slope) else None
    compare.fact(returned, expected, "what step returned")
    scaler.update()
    before = compare.to_numpy(parameter)
    with compare.raises(RuntimeError, "Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: None)
    compare.unchanged(parameter, before, "parameter after a refusal")


def growth_of_one(scaler, optimizer):
    torch.amp.GradScaler("cpu", growth_factor=1.0)


def backoff_of_one(scaler, optimizer):
    torch.amp.GradScaler("cpu", backoff_factor=1.0)


def step_unscaled(scaler, optimizer):
    torch.amp.GradScaler("cpu").step(optimizer)


def update_unused(scaler, optimizer):
    scaler.update()


def empty_state(scaler, optimizer):
    scaler.load_state_dict({})


def text(scaler, optimizer):
    scaler.scale(5)


REFUSED = {
    "growth": (growth_of_one, AssertionError, "growth factor must be > 1.0"),
    "backoff": (backoff_of_one, AssertionError, "backoff factor must be < 1.0"),
    "unscaled": (step_unscaled, AssertionError, "_scale is None"),
    "unused": (update_unused, AssertionError, "No inf checks were recorded prior to update"),
    "empty-state": (empty_state, RuntimeError, "source state dict is empty"),
    "number": (text, ValueError, "outputs must be a Tensor or an iterable of Tensors"),
}


@law("scaling.refused", docs=PAGE, level="should", over=REFUSED)
@given(slope=st.sampled_from((1.0, 2.0)), factors=FACTORS)
def test_refused(target, case, slope, factors):
    """A growth that does not grow, a step without a scaled loss and their like are refused.

    What is used rightly works before and afterwards, with the same scale.
    """
    mistake, error, message = case
    scaler = scaler_of(target.device, {**factors, "growth_interval": 100})
    parameter = parameter_of(target.device)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    for number in range(2):
        parameter.grad = None
        differentiate(scaler, parameter, slope)
        scaler.step(optimizer)
        scaler.update()
        expected = 1 - 0.5 * (number + 1) * np.array([1.0, slope])
        compare.equal(parameter, expected, dtype=torch.float32, what="parameter")
        compare.fact(scaler.get_scale(), factors["init_scale"], "scale")
        with compare.raises(error, message):
            mistake(scaler, optimizer)
        compare.unchanged(parameter, expected, "parameter after a refusal")
