"""Fusion: a convolution or a linear layer and the batch norm after it as one layer."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import seeds

PAGE = "torch.nn.utils."
# The layer, its arguments, the batch norm's dimension, the shape of an input.
CONVOLUTIONS = {
    "Conv1d": ("Conv1d", (2, 3, 2), {"stride": 2}, 1, (2, 2, 4)),
    "Conv1d-grouped": ("Conv1d", (4, 6, 2), {"groups": 2}, 1, (1, 4, 3)),
    "Conv2d": ("Conv2d", (2, 3, (2, 1)), {"padding": 1}, 2, (2, 2, 3, 2)),
    "Conv3d": ("Conv3d", (1, 2, 2), {"dilation": (1, 2, 1)}, 3, (1, 1, 2, 3, 2)),
    "ConvTranspose1d": ("ConvTranspose1d", (2, 3, 2), {"stride": 2}, 1, (2, 2, 3)),
    "ConvTranspose2d": ("ConvTranspose2d", (2, 3, 2), {"output_padding": 0}, 2, (1, 2, 2, 2)),
    "ConvTranspose3d": ("ConvTranspose3d", (1, 2, (1, 2, 1)), {}, 3, (1, 1, 2, 2, 1)),
}
GROUPED = {"ConvTranspose1d": ("ConvTranspose1d", (2, 4, 2), {"groups": 2}, 1, (2, 2, 3))}


def drawn(shape, generator, device):
    """Multiples of 1/8 of that shape."""
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 8).to(device)


def filled(module, generator, device):
    """The module in float64 and in evaluation, with parameters and statistics of its own."""
    module = module.to(device, torch.float64).eval()
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(drawn(tensor.shape, generator, device))
    if getattr(module, "running_var", None) is not None:
        module.running_var.abs_().add_(0.25)
    return module


def check(fused, pair, x, target, what):
    """That the fused layer gives what the pair gives, and is a new one of the first's class."""
    before = [{k: compare.to_numpy(v) for k, v in m.state_dict().items()} for m in pair]
    expected = compare.to_numpy(pair[1](pair[0](x)))
    compare.close(target.run(fused, x), expected, bound=1e-10, dtype=torch.float64, what=what)
    compare.fact((type(fused), fused is pair[0]), (type(pair[0]), False), "class, identity")
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter.fill_(1.0)
    for module, state in zip(pair, before, strict=True):
        for name, value in module.state_dict().items():
            compare.unchanged(value, state[name], f"{name} of what was fused")


@law("fusion.convolution", docs=f"{PAGE}fuse_conv_bn_eval", over=CONVOLUTIONS)
@given(seed=seeds(), bias=st.booleans(), affine=st.booleans(), eps=st.sampled_from((1e-5, 0.5)))
def test_convolution(target, case, seed, bias, affine, eps):
    """fuse_conv_bn_eval makes one convolution of a convolution and a batch norm in evaluation.

    A new one; the two stay as they are. For transposed convolutions transpose=True says so.
    """
    name, arguments, options, rank, shape = case
    generator = torch.Generator().manual_seed(seed)
    layer = resolve(f"torch.nn.{name}")(*arguments, **options, bias=bias)
    norm = resolve(f"torch.nn.BatchNorm{rank}d")(arguments[1], eps=eps, affine=affine)
    pair = [filled(module, generator, target.device) for module in (layer, norm)]
    fused = torch.nn.utils.fuse_conv_bn_eval(pair[0], pair[1], "Transpose" in name)
    compare.fact(isinstance(fused.bias, torch.nn.Parameter), True, "has a bias")
    x = drawn(shape, generator, target.device)
    check(fused, pair, x, target, "result of the fused layer")


@law("fusion.grouped-transposed", docs=f"{PAGE}fuse_conv_bn_eval", over=GROUPED)
@given(seed=seeds(), bias=st.booleans())
def test_grouped_transposed(target, case, seed, bias):
    """A transposed convolution of several groups is fused like any other."""
    name, arguments, options, rank, shape = case
    generator = torch.Generator().manual_seed(seed)
    layer = resolve(f"torch.nn.{name}")(*arguments, **options, bias=bias)
    norm = resolve(f"torch.nn.BatchNorm{rank}d")(arguments[1])
    pair = [filled(module, generator, target.device) for module in (layer, norm)]
    fused = torch.nn.utils.fuse_conv_bn_eval(pair[0], pair[1], transpose=True)
    x = drawn(shape, generator, target.device)
    check(fused, pair, x, target, "result of the fused layer")


@law("fusion.linear", docs=f"{PAGE}fuse_linear_bn_eval", over={"affine": True, "plain": False})
@given(seed=seeds(), bias=st.booleans(), eps=st.sampled_from((1e-5, 0.5)), count=st.integers(1, 3))
def test_linear(target, case, seed, bias, eps, count):
    """fuse_linear_bn_eval makes one linear layer of a linear layer and a batch norm in evaluation.

    A new one; the two stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    layer = torch.nn.Linear(2, count, bias=bias)
    norm = torch.nn.BatchNorm1d(count, eps=eps, affine=case)
    pair = [filled(module, generator, target.device) for module in (layer, norm)]
    fused = torch.nn.utils.fuse_linear_bn_eval(*pair)
    x = drawn((3, 2), generator, target.device)
    check(fused, pair, x, target, "result of the fused layer")


KINDS = {"convolution": (False, 2), "transposed": (True, 2), "linear": (False, 0)}


@law("fusion.weights", docs=f"{PAGE}fuse_conv_bn_weights", over=KINDS)
@given(
    seed=seeds(),
    bias=st.booleans(),
    scaled=st.booleans(),
    shifted=st.booleans(),
    eps=st.sampled_from((1e-5, 0.5)),
)
def test_weights(target, case, seed, bias, scaled, shifted, eps):
    """Fused weights are ``W w / sqrt(var + eps)`` by output channel, biases alike, less the mean.

    ``(b - mean) w / sqrt(var + eps) + shift``. A convolution's may leave out w and shift, which are
    1 and 0 then. Both are parameters.
    """
    transposed, rank = case
    scaled, shifted = scaled or not rank, shifted or not rank
    generator = torch.Generator().manual_seed(seed)
    shape = ((2, 3) if transposed else (3, 2)) + (2, 1)[:rank]
    weight = drawn(shape, generator, target.device)
    own, mean, scale, shift = (drawn((3,), generator, target.device) for _ in range(4))
    variance = drawn((3,), generator, target.device).abs() + 0.25
    parts: Any = (weight, own if bias else None, mean, variance, eps, scale if scaled else None,
             shift if shifted else None)  # fmt: skip
    before = [compare.to_numpy(x) for x in parts if isinstance(x, torch.Tensor)]
    name = "fuse_conv_bn_weights" if rank else "fuse_linear_bn_weights"
    found = resolve(f"torch.nn.utils.{name}")(*parts, *([transposed] if rank else []))
    factor = (compare.to_numpy(scale) if scaled else 1.0) / np.sqrt(
        compare.to_numpy(variance) + eps
    )
    along = factor.reshape((1, 3) + (1,) * rank if transposed else (3, 1) + (1,) * rank)
    expected = compare.to_numpy(weight) * along
    offset = (compare.to_numpy(own) if bias else 0.0) - compare.to_numpy(mean)
    biases = offset * factor + (compare.to_numpy(shift) if shifted else 0.0)
    for fused, value, what in zip(found, (expected, biases), ("weight", "bias"), strict=True):
        compare.close(fused, value, bound=1e-11, dtype=torch.float64, what=what)
        compare.fact(isinstance(fused, torch.nn.Parameter), True, f"{what} is a parameter")
    given_parts = [x for x in parts if isinstance(x, torch.Tensor)]
    for part, value in zip(given_parts, before, strict=True):
        compare.unchanged(part, value, "what was given")


@law("fusion.conduct", docs=f"{PAGE}fuse_conv_bn_eval", level="should")
@given(seed=seeds(), linear=st.booleans(), flags=st.tuples(st.booleans(), st.booleans()))
def test_conduct(target, seed, linear, flags):
    """A fused layer is in evaluation; its parameters require grad as those of the first did."""
    generator = torch.Generator().manual_seed(seed)
    layer = torch.nn.Linear(2, 3) if linear else torch.nn.Conv1d(2, 3, 1)
    pair = [filled(module, generator, target.device) for module in (layer, torch.nn.BatchNorm1d(3))]
    for parameter, flag in zip(layer.parameters(), flags, strict=True):
        parameter.requires_grad_(flag)
    fuse = torch.nn.utils.fuse_linear_bn_eval if linear else torch.nn.utils.fuse_conv_bn_eval
    fused = fuse(*pair)
    compare.fact(fused.training, False, "in training")
    found = [parameter.requires_grad for parameter in fused.parameters()]
    compare.fact(found, [*flags], "requires_grad")
    x = drawn((2, 2) if linear else (1, 2, 3), generator, target.device)
    check(fused, pair, x, target, "result of the fused layer")


def trained_layer(layer, norm):
    layer.train()


def trained_norm(layer, norm):
    norm.train()


def untracked(layer, norm):
    norm.running_mean = None


REFUSED = {"layer": trained_layer, "norm": trained_norm, "untracked": untracked}


@law("fusion.refused", docs=f"{PAGE}fuse_conv_bn_eval", over=REFUSED)
@given(seed=seeds(), linear=st.booleans())
def test_refused(target, case, seed, linear):
    """Fusion of modules in training mode, or of a norm without statistics, is refused."""
    generator = torch.Generator().manual_seed(seed)
    layer = torch.nn.Linear(2, 3) if linear else torch.nn.Conv1d(2, 3, 1)
    norm = torch.nn.BatchNorm1d(3)
    pair = [filled(module, generator, target.device) for module in (layer, norm)]
    fuse = torch.nn.utils.fuse_linear_bn_eval if linear else torch.nn.utils.fuse_conv_bn_eval
    compare.fact(type(fuse(*pair)), type(layer), "class of the fused layer")
    case(*pair)
    with compare.raises(AssertionError, "only for eval|must not be None"):
        fuse(*pair)
