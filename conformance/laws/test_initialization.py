"""Initialization: the distributions, fans and gains that torch.nn.init and the layers document."""

from math import sqrt

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import distributions
from conformance.target import resolve
from strategies import seeds

PAGE = "nn.init.html"
GAINS = {
    "linear": (("linear",), 1.0),
    "conv1d": (("conv1d",), 1.0),
    "conv3d": (("conv3d",), 1.0),
    "conv_transpose2d": (("conv_transpose2d",), 1.0),
    "sigmoid": (("sigmoid",), 1.0),
    "tanh": (("tanh",), 5 / 3),
    "relu": (("relu",), sqrt(2.0)),
    "leaky_relu": (("leaky_relu", 0.5), sqrt(2 / 1.25)),
    "leaky_relu-default": (("leaky_relu",), sqrt(2 / 1.0001)),
    "leaky_relu-negative": (("leaky_relu", -2.0), sqrt(2 / 5)),
    "selu": (("selu",), 0.75),
}
# Shape, arguments, and the distribution with its parameters. Fans of (a, b, c): b c and a c.
TALL, WIDE, DEEP, NARROW = (4096, 16), (16, 4096), (1024, 4, 4, 4), (8, 1024, 8)
RANDOM = {
    "uniform_": (TALL, "uniform_", (-2.0, 3.0), "uniform", (-2.0, 3.0)),
    "uniform_-default": (TALL, "uniform_", (), "uniform", (0.0, 1.0)),
    "normal_": (TALL, "normal_", (1.0, 0.5), "normal", (1.0, 0.5)),
    "normal_-default": (WIDE, "normal_", (), "normal", (0.0, 1.0)),
    "xavier_uniform_": (TALL, "xavier_uniform_", (), "symmetric", sqrt(6 / 4112)),
    "xavier_uniform_-gain": (DEEP, "xavier_uniform_", (2.0,), "symmetric",
                             2 * sqrt(6 / (4 * 16 + 1024 * 16))),
    "xavier_normal_": (WIDE, "xavier_normal_", (), "normal", (0.0, sqrt(2 / 4112))),
    "xavier_normal_-gain": (NARROW, "xavier_normal_", (3.0,), "normal",
                            (0.0, 3 * sqrt(2 / (1024 * 8 + 8 * 8)))),
    "kaiming_uniform_": (TALL, "kaiming_uniform_", (), "symmetric", sqrt(2) * sqrt(3 / 16)),
    "kaiming_uniform_-slope": (DEEP, "kaiming_uniform_", (2.0,), "symmetric",
                               sqrt(2 / 5) * sqrt(3 / 64)),
    "kaiming_uniform_-out": (NARROW, "kaiming_uniform_", (0, "fan_out"), "symmetric",
                             sqrt(2) * sqrt(3 / 64)),
    "kaiming_uniform_-relu": (WIDE, "kaiming_uniform_", (9.0, "fan_in", "relu"), "symmetric",
                              sqrt(2) * sqrt(3 / 4096)),
    "kaiming_normal_": (DEEP, "kaiming_normal_", (), "normal", (0.0, sqrt(2 / 64))),
    "kaiming_normal_-out": (TALL, "kaiming_normal_", (0, "fan_out", "linear"), "normal",
                            (0.0, sqrt(1 / 4096))),
    "kaiming_normal_-tanh": (NARROW, "kaiming_normal_", (0, "fan_in", "tanh"), "normal",
                             (0.0, 5 / 3 * sqrt(1 / 8192))),
}  # fmt: skip
# The layer, its arguments, the parameter, and the bound of its uniform distribution.
LAYERS = {
    "Linear-weight": ("Linear", (64, 1024), "weight", 1 / 8),
    "Linear-bias": ("Linear", (4, 65536), "bias", 1 / 2),
    "Bilinear-weight": ("Bilinear", (64, 16, 64), "weight", 1 / 8),
    "Bilinear-bias": ("Bilinear", (4, 2, 65536), "bias", 1 / 2),
    "Conv1d-weight": ("Conv1d", (32, 1024, 2), "weight", 1 / 8),
    "Conv2d-groups": ("Conv2d", (128, 2048, 2, 1, 0, 1, 8), "weight", 1 / 8),
    "Conv2d-bias": ("Conv2d", (4, 65536, 2), "bias", 1 / 4),
    "ConvTranspose2d-weight": ("ConvTranspose2d", (1024, 16, 2), "weight", 1 / 8),
    "RNN-input": ("RNN", (256, 256), "weight_ih_l0", 1 / 16),
    "LSTM-hidden": ("LSTM", (8, 128), "weight_hh_l0", 1 / sqrt(128)),
    "GRU-hidden": ("GRU", (8, 128), "weight_hh_l0", 1 / sqrt(128)),
    "GRUCell-hidden": ("GRUCell", (8, 128), "weight_hh", 1 / sqrt(128)),
}
CONSTANT = {
    "BatchNorm2d": ("BatchNorm2d", (3,), (("weight", 1), ("bias", 0), ("running_mean", 0),
                                         ("running_var", 1))),
    "LayerNorm": ("LayerNorm", ((2, 3),), (("weight", 1), ("bias", 0))),
    "GroupNorm": ("GroupNorm", (2, 4), (("weight", 1), ("bias", 0))),
    "RMSNorm": ("RMSNorm", (3,), (("weight", 1),)),
    "PReLU": ("PReLU", (3,), (("weight", 0.25),)),
}  # fmt: skip
SHAPES = st.sampled_from(((3, 3), (2, 5), (5, 2), (4, 1, 2), (2, 3, 2), (1, 1), (7, 2, 2)))
COUNT = 2**13


def follows(values, kind, parameters):
    """Check draws against a distribution: everywhere, its ends if it has any, its deviation.

    Each comparison refutes fair draws with a probability of at most 1e-15.
    """
    if kind == "symmetric":
        kind, parameters = "uniform", (-parameters, parameters)
    places = distributions.quantiles(values, 256)
    shares = distributions.share_up_to(values, places)
    limit = distributions.empirical_limit(values.size) + 1e-6
    wanted = distributions.CDFS[kind](places, *parameters)
    ok = np.abs(shares - wanted) <= limit
    compare.every(ok, torch.from_numpy(places), f"as many draws up to it, within {limit:.3g}")
    if kind == "uniform":
        low, high = parameters
        slack = 1e-6 * (high - low)
        inside = (values >= low - slack) & (values <= high + slack)
        compare.every(inside, torch.from_numpy(values), f"a number in [{low}, {high}]")
        rest = 35 / values.size * (high - low)  # exp(-35) to have no draw so near an end
        reaches = bool(values.min() <= low + rest and values.max() >= high - rest)
        compare.fact(reaches, True, f"draws come near both {low} and {high}")
    else:
        mean, std = parameters
        square = float((((values - mean) / std) ** 2).sum())
        near = 2 * sqrt(36 * values.size) + 72  # Laurent and Massart, lemma 1, x = 36
        ok = abs(square - values.size) <= near + 1e-4 * values.size
        compare.fact(
            bool(ok), True, f"squares of the deviations sum to {values.size} +- {near:.0f}"
        )


@law("init.gain", docs=f"{PAGE}#torch.nn.init.calculate_gain", over=GAINS)
def test_gain(target, case):
    """calculate_gain returns the gain that its table gives for a nonlinearity and its slope."""
    arguments, expected = case
    got = torch.nn.init.calculate_gain(*arguments)
    near = abs(got - expected) <= 4e-16 * expected
    compare.fact(bool(near), True, f"gain {got} is {expected}")


@law("init.distribution", docs=PAGE, over=RANDOM, level="statistical")
@given(seed=seeds(), dtype=st.sampled_from((torch.float32, torch.float64)))
def test_distribution(target, case, seed, dtype):
    """A random initialization fills a tensor with the documented distribution, and returns it.

    fan_in is the number of inputs times the sides of the kernel, fan_out that of outputs. One
    comparison refutes fair draws with a probability of 1e-15. The flag stays, nothing is recorded.
    """
    shape, name, arguments, kind, parameters = case
    tensor = torch.zeros(shape, dtype=dtype, device=target.device, requires_grad=True)
    torch.manual_seed(seed)
    returned = resolve(f"torch.nn.init.{name}")(tensor, *arguments)
    compare.fact(returned is tensor, True, "returns the tensor")
    compare.fact((tensor.requires_grad, tensor.is_leaf), (True, True), "a leaf as before")
    follows(compare.to_numpy(tensor).astype(np.float64).ravel(), kind, parameters)


@law("init.layers", docs="torch.nn.Linear", over=LAYERS, level="statistical")
@given(seed=seeds())
def test_layers(target, case, seed):
    """A layer starts with weights and biases that are uniform on plus and minus 1 / sqrt(fan_in).

    For a convolution fan_in is the number of inputs of a group times the sides of the kernel, for
    a recurrent layer it is the size of its hidden state.
    """
    name, arguments, parameter, bound = case
    torch.manual_seed(seed)
    layer = resolve(f"torch.nn.{name}")(*arguments, device=target.device)
    values = compare.to_numpy(getattr(layer, parameter)).astype(np.float64).ravel()
    follows(values, "symmetric", bound)


@law("init.constants", docs="torch.nn.BatchNorm2d", over=CONSTANT)
def test_constants(target, case):
    """A normalization starts with weights of one, biases of zero, mean zero and variance one."""
    name, arguments, expected = case
    layer = resolve(f"torch.nn.{name}")(*arguments, device=target.device)
    for member, value in expected:
        tensor = getattr(layer, member)
        compare.equal(tensor, np.full(tuple(tensor.shape), value), dtype=torch.float32, what=member)
    learned = [name for name, _ in expected if not name.startswith("run")]
    compare.fact([name for name, _ in layer.named_parameters()], learned, "parameters")


@law("init.embedding", docs="torch.nn.Embedding", level="statistical")
@given(seed=seeds(), padding=st.sampled_from((None, 0, 5, -1)))
def test_embedding(target, seed, padding):
    """The rows of an embedding start standard normal, that of padding_idx as zeros."""
    torch.manual_seed(seed)
    layer = torch.nn.Embedding(256, 64, padding_idx=padding, device=target.device)
    rows = compare.to_numpy(layer.weight).astype(np.float64)
    if padding is not None:
        row = layer.weight[padding]
        compare.equal(row, np.zeros(64), dtype=torch.float32, what="row of padding")
        rows = np.delete(rows, padding, axis=0)
    follows(rows.ravel(), "normal", (0.0, 1.0))


@law("init.orthogonal", docs=f"{PAGE}#torch.nn.init.orthogonal_")
@given(seed=seeds(), shape=SHAPES, gain=st.sampled_from((None, 1, 2.0, 0.5)))
def test_orthogonal(target, seed, shape, gain):
    """orthogonal_ fills a matrix, of the first dimension by the rest, with orthonormal rows.

    Or columns, where there are fewer of those; scaled by the gain.
    """
    tensor = torch.zeros(shape, dtype=torch.float64, device=target.device)
    torch.manual_seed(seed)
    returned = torch.nn.init.orthogonal_(tensor, *(() if gain is None else (gain,)))
    compare.fact(returned is tensor, True, "returns the tensor")
    matrix = compare.to_numpy(tensor).reshape(shape[0], -1)
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    wanted = (gain or 1) ** 2 * np.eye(min(rows, columns))
    ok = np.abs(gram - wanted) <= 1e-13
    compare.every(ok, torch.from_numpy(gram), "that of gain^2 times the identity")


@law("init.dirac", docs=f"{PAGE}#torch.nn.init.dirac_")
@given(
    sides=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    groups=st.integers(1, 3),
    per_group=st.integers(1, 3),
    inputs=st.integers(1, 3),
)
def test_dirac(target, sides, groups, per_group, inputs):
    """dirac_ fills a filter so that as many inputs as possible of each group are passed on as is.

    Output o of a group takes input o, at the middle of the kernel, ``side // 2``; all else is zero.
    """
    shape = (groups * per_group, inputs, *sides)
    tensor = torch.full(shape, 7.0, device=target.device)
    returned = torch.nn.init.dirac_(tensor, groups)
    compare.fact(returned is tensor, True, "returns the tensor")
    expected = np.zeros(shape)
    for group in range(groups):
        for channel in range(min(per_group, inputs)):
            middle = tuple(side // 2 for side in sides)
            expected[(group * per_group + channel, channel, *middle)] = 1
    compare.equal(tensor, expected, dtype=torch.float32)


FILLS = {
    "zeros_": ("zeros_", (), np.zeros((2, 3))),
    "ones_": ("ones_", (), np.ones((2, 3))),
    "constant_": ("constant_", (2.5,), np.full((2, 3), 2.5)),
    "eye_": ("eye_", (), np.eye(2, 3)),
}


@law("init.fill", docs=PAGE, over={name: name for name in FILLS})
@given(flag=st.booleans(), start=st.integers(-2, 2))
def test_fill(target, case, flag, start):
    """zeros_, ones_, constant_ and eye_ fill a tensor with the same numbers, and return it."""
    name, arguments, expected = FILLS[case]
    tensor = torch.full((2, 3), float(start), device=target.device, requires_grad=flag)
    returned = resolve(f"torch.nn.init.{name}")(tensor, *arguments)
    compare.fact(returned is tensor, True, "returns the tensor")
    compare.fact((tensor.requires_grad, tensor.is_leaf), (flag, True), "a leaf as before")
    compare.equal(tensor.detach(), expected, dtype=torch.float32)


@law("init.truncated-far", docs=f"{PAGE}#torch.nn.init.trunc_normal_")
@given(
    seed=seeds(), mean=st.sampled_from((0.0, 1.0)), std=st.sampled_from((0.01, 0.001)),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)  # fmt: skip
def test_truncated_far(target, seed, mean, std, dtype):
    """With ends many deviations away trunc_normal_ draws as the normal distribution: no outlier.

    A draw ten deviations from the mean has a probability of 1e-23. The unit of rounding is that
    of the mean and the ends.
    """
    tensor = torch.zeros(COUNT, dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    torch.nn.init.trunc_normal_(tensor, mean, std)
    values = compare.to_numpy(tensor).astype(np.float64)
    near = np.abs(values - mean) <= 10 * std + 4 * torch.finfo(dtype).eps
    compare.every(near, tensor, "a number within ten deviations of the mean")
    compare.fact(bool(np.std(values) > std / 2), True, "draws spread")


@law("init.truncated", docs=f"{PAGE}#torch.nn.init.trunc_normal_", level="statistical")
@given(
    seed=seeds(), mean=st.sampled_from((0.0, 1.0)), std=st.sampled_from((1.0, 0.5)),
    ends=st.sampled_from(((-2.0, 2.0), (-0.5, 1.5), (0.0, 3.0))),
)  # fmt: skip
def test_truncated(target, seed, mean, std, ends):
    """trunc_normal_ draws from the normal distribution within [a, b]: a share of its probability.

    One comparison refutes fair draws with a probability of 1e-15.
    """
    tensor = torch.zeros(COUNT, dtype=torch.float64, device=target.device)
    torch.manual_seed(seed)
    returned = torch.nn.init.trunc_normal_(tensor, mean, std, *ends)
    compare.fact(returned is tensor, True, "returns the tensor")
    values = compare.to_numpy(tensor)
    inside = (values >= ends[0]) & (values <= ends[1])
    compare.every(inside, tensor, f"a number in {ends}")
    places = distributions.quantiles(values, 256)
    low, high = (distributions.normal_cdf(np.array(end), mean, std) for end in ends)
    wanted = (distributions.normal_cdf(places, mean, std) - low) / (high - low)
    limit = distributions.empirical_limit(values.size) + 1e-9
    ok = np.abs(distributions.share_up_to(values, places) - wanted) <= limit
    compare.every(ok, torch.from_numpy(places), f"as many draws up to it, within {limit:.3g}")


@law("init.sparse", docs=f"{PAGE}#torch.nn.init.sparse_")
@given(
    seed=seeds(), rows=st.integers(1, 9), columns=st.integers(1, 5), eighths=st.integers(0, 8),
    std=st.sampled_from((0.01, 2.0)),
)  # fmt: skip
def test_sparse(target, seed, rows, columns, eighths, std):
    """sparse_ sets a fraction of the elements of each column, rounded up, to zero; no other is."""
    tensor = torch.zeros((rows, columns), dtype=torch.float64, device=target.device)
    torch.manual_seed(seed)
    returned = torch.nn.init.sparse_(tensor, eighths / 8, std)
    compare.fact(returned is tensor, True, "returns the tensor")
    values = compare.to_numpy(tensor)
    zeros = (values == 0).sum(axis=0).tolist()
    compare.fact(zeros, [-(-eighths * rows // 8)] * columns, "zeros of each column")
    compare.every(np.abs(values) <= 9 * std, tensor, "within nine deviations")


@law("init.rejected", docs=f"{PAGE}#torch.nn.init.xavier_uniform_", over={
    name: name for name in ("xavier_uniform_", "xavier_normal_", "kaiming_normal_",
                            "kaiming_uniform_")
})  # fmt: skip
def test_rejected(target, case):
    """An initialization by fans refuses a vector, which has none, and leaves it as it was."""
    fill = resolve(f"torch.nn.init.{case}")
    matrix = torch.zeros((2, 3), device=target.device)
    compare.fact(fill(matrix) is matrix, True, "a matrix is filled")
    vector = torch.ones(3, device=target.device)
    with compare.raises(ValueError, "fewer than 2 dimensions"):
        fill(vector)
    compare.equal(vector, np.ones(3), dtype=torch.float32, what="vector")


@law("init.generator", docs=PAGE, over={name: name for name in (
    "uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_",
    "kaiming_normal_", "trunc_normal_", "orthogonal_",
)})  # fmt: skip
@given(seed=seeds())
def test_generator(target, case, seed):
    """An initialization draws from the generator that it is given, and from no other."""
    fill = resolve(f"torch.nn.init.{case}")
    shape = (4, 3)
    torch.manual_seed(seed)
    first = fill(torch.zeros(shape, device=target.device))
    torch.manual_seed(seed + 1)
    before = torch.get_rng_state()
    generator = torch.Generator(target.device).manual_seed(seed)
    second = fill(torch.zeros(shape, device=target.device), generator=generator)
    compare.equal(second, compare.to_numpy(first), dtype=torch.float32, what="same seed")
    same = torch.equal(torch.get_rng_state(), before)
    compare.fact(same, True, "the default generator is where it was")
