"""Scaled steps: optimizers of many parameters, dtypes and groups, sparse gradients, fused steps."""

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import seeds

STEP = "amp.html#torch.amp.GradScaler.step"
BAD = (math.inf, -math.inf, math.nan)
NEVER = st.just(False)
# Whether gradients may be sparse, and the dtypes of parameters.
KINDS = {
    "single": (False, torch.float32), "sparse": (True, torch.float32),
    "several": (False, torch.float32, torch.float64, torch.bfloat16),
}  # fmt: skip


def parameters_of(case):
    """Of each parameter: its dtype, whether it is in the second group, whether it is sparse."""
    sparse, *dtypes = case
    each = st.tuples(st.sampled_from(dtypes), st.booleans(), st.booleans() if sparse else NEVER)
    return st.lists(each, min_size=1, max_size=4)


def loss_of(parameter, slopes, sparse):
    """A loss whose gradient is ``slopes`` for the second row of a parameter, and 0 for the first.

    The first row is not in it where it is sparse.
    """
    weights = torch.tensor(slopes, dtype=parameter.dtype, device=parameter.device)
    row = torch.tensor([1], device=parameter.device)
    taken = torch.nn.functional.embedding(row, parameter, sparse=sparse)
    return (taken * weights).sum()


@law("scaling.any-parameter", docs=STEP, over=KINDS)
@given(
    parameters=parameters_of, place=st.integers(0, 3), bad=st.sampled_from((*BAD, None)),
    unscaled=st.booleans(),
)  # fmt: skip
def test_any_parameter(target, case, parameters, place, bad, unscaled):
    """An overflow in any gradient of an optimizer skips its step; without one all are unscaled.

    Whatever their dtypes and groups, sparse ones among them. "If no inf/NaN gradients are found,
    invokes optimizer.step() using the unscaled gradients. Otherwise, optimizer.step() is skipped".
    """
    scaler = torch.amp.GradScaler(target.device.type, init_scale=8.0)
    leaves = [
        torch.ones(2, 2, dtype=dtype, device=target.device, requires_grad=True)
        for dtype, _, _ in parameters
    ]
    groups = [
        {"params": [x for x, (_, two, _) in zip(leaves, parameters, strict=True) if two == second],
         "lr": rate}
        for second, rate in ((False, 0.5), (True, 0.25))
    ]  # fmt: skip
    optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=1.0)
    place %= len(leaves)
    slopes = [[1.0, number + 0.5] for number in range(len(leaves))]
    if bad is not None:
        slopes[place][1] = bad
    for leaf, slope, (_, _, sparse) in zip(leaves, slopes, parameters, strict=True):
        scaler.scale(loss_of(leaf, slope, sparse)).backward()
    if unscaled:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    for number, (leaf, (dtype, second, sparse)) in enumerate(zip(leaves, parameters, strict=True)):
        gradient = np.array([[0.0, 0.0], slopes[number]])
        expected = np.ones((2, 2)) - (0.0 if bad else (0.25 if second else 0.5) * gradient)
        compare.equal(leaf, expected, dtype=dtype, what=f"parameter {number}")
        found: Any = leaf.grad
        compare.fact(found.is_sparse, sparse, "gradient is sparse")
        if bad is None:
            dense = found.to_dense() if sparse else found
            compare.close(dense, gradient, bound=0.0, dtype=dtype, what="unscaled gradient")
    scaler.update()
    compare.fact(scaler.get_scale(), 4.0 if bad else 8.0, "scale")


FUSED = {
    "SGD": ("SGD", {"momentum": 0.5}, False), "SGD-skipped-first": ("SGD", {"momentum": 0.5}, True),
    "SGD-plain": ("SGD", {}, True), "Adam": ("Adam", {"amsgrad": True}, True),
    "AdamW": ("AdamW", {}, True), "Adagrad": ("Adagrad", {}, True),
}  # fmt: skip


def litter(device):
    """Memory that was used before is unlikely to be 0."""
    for count in range(1, 65):
        torch.full((count,), 1e30, device=device)


@law("scaling.fused", docs=STEP, over=FUSED)
@given(
    slopes=st.lists(st.sampled_from((1.0, 0.5, -2.0, *BAD)), min_size=1, max_size=5),
    unscaled=st.booleans(), scale=st.sampled_from((4.0, 0.5)),
)  # fmt: skip
def test_fused(target, case, slopes, unscaled, scale):
    """A fused optimizer skips what overflows as well: it steps as another one does at the others.

    By unscaled gradients, whoever divides them; what is skipped leaves no trace in its state.
    """
    name, options, skipping = case
    slopes = [math.inf if skipping else 1.0, *slopes, 0.25]
    make = resolve(f"torch.optim.{name}")
    leaves = [torch.ones(2, device=target.device, requires_grad=True) for _ in range(2)]
    litter(target.device)
    scaled = make([leaves[0]], lr=0.5, fused=True, **options)
    plain = make([leaves[1]], lr=0.5, foreach=False, **options)
    scaler = torch.amp.GradScaler(target.device.type, init_scale=scale)
    for slope in slopes:
        gradient = torch.tensor([1.0, slope], device=target.device)
        scaled.zero_grad()
        scaler.scale((leaves[0] * gradient).sum()).backward()
        if unscaled:
            scaler.unscale_(scaled)
        scaler.step(scaled)
        scaler.update()
        if math.isfinite(slope):
            leaves[1].grad = gradient
            plain.step()
        expected = compare.to_numpy(leaves[1])
        # A handful of operations in float32, of values below 8, in another order.
        compare.close(leaves[0], expected, bound=1e-5, dtype=torch.float32, what="parameter")
        scale = scale if math.isfinite(slope) else scale / 2
        compare.fact(scaler.get_scale(), scale, "scale")


@law("scaling.half", docs=STEP, level="should")
@given(seed=seeds(), beside=st.booleans(), unscaled=st.booleans())
def test_half(target, seed, beside, unscaled):
    """Gradients of float16 are not unscaled: parameters are to be float32. Nothing is stepped."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-8, 9, (2,), generator=generator) / 8
    half = values.to(target.device, torch.float16).requires_grad_()
    other = values.clone().to(target.device).requires_grad_()
    scaler = torch.amp.GradScaler(target.device.type, init_scale=4.0)
    optimizer = torch.optim.SGD([other, half] if beside else [half], lr=1.0)
    legal = torch.optim.SGD([other], lr=1.0)
    scaler.scale(other.sum()).backward()
    scaler.step(legal)
    before = values.numpy() - 1
    compare.equal(other, before, dtype=torch.float32, what="parameter of float32")
    scaler.scale(half.sum()).backward()
    with compare.raises(ValueError, "Attempting to unscale FP16 gradients"):
        if unscaled:
            scaler.unscale_(optimizer)
        else:
            scaler.step(optimizer)
    compare.unchanged(half, values.numpy().astype(np.float16), "parameter of float16")
    compare.unchanged(other, before, "parameter of float32")


@law("scaling.disabled-state", docs="amp.html#torch.amp.GradScaler.load_state_dict")
@given(slope=st.sampled_from((1.0, 0.5)), factor=st.sampled_from((4.0, 16.0)))
def test_disabled_state(target, slope, factor):
    """A disabled scaler ignores what it is to load: "if disabled, this is a no-op"."""
    other = torch.amp.GradScaler(target.device.type, init_scale=factor)
    scaler = torch.amp.GradScaler(target.device.type, enabled=False)
    scaler.load_state_dict(other.state_dict())
    facts = (scaler.is_enabled(), scaler.get_scale(), scaler.state_dict())
    compare.fact(facts, (False, 1.0, {}), "enabled, scale, state")
    parameter = torch.ones(2, device=target.device, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    scaler.scale((parameter * slope).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    expected = np.full(2, 1 - 0.5 * slope)
    compare.equal(parameter, expected, dtype=torch.float32, what="parameter")
    enabled = torch.amp.GradScaler(target.device.type, init_scale=2.0)
    enabled.load_state_dict(other.state_dict())
    compare.fact(enabled.get_scale(), factor, "scale of an enabled one")
