"""Layers in general: the flags of their parameters, modes that say nothing to them, their graph."""

from functools import partial

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import seeds, tensors

# Constructor arguments, the shape of an input or None where it is not one tensor of floats, the
# function and the names of the members that it takes.
LAYERS = {
    "Linear": ((3, 2), (2, 3), "linear", ("weight", "bias")),
    "Bilinear": ((3, 2, 2), None, "", ()),
    "Conv1d": ((2, 3, 2), (1, 2, 4), "conv1d", ("weight", "bias")),
    "Conv2d": ((2, 3, 2), (1, 2, 3, 3), "conv2d", ("weight", "bias")),
    "Conv3d": ((1, 2, 2), (1, 1, 2, 2, 3), "conv3d", ("weight", "bias")),
    "ConvTranspose1d": ((2, 1, 2), (1, 2, 3), "conv_transpose1d", ("weight", "bias")),
    "ConvTranspose2d": ((2, 1, 2), (1, 2, 2, 2), "conv_transpose2d", ("weight", "bias")),
    "LayerNorm": ((3,), (2, 3), "", ()),
    "GroupNorm": ((2, 4), (2, 4, 2), "", ()),
    "RMSNorm": ((3,), (2, 3), "", ()),
    "PReLU": ((2,), (3, 2), "prelu", ("weight",)),
    "RNN": ((3, 2), (2, 3), "", ()),
    "LSTM": ((3, 2), (2, 3), "", ()),
    "GRU": ((3, 2), (2, 3), "", ()),
    "LSTMCell": ((3, 2), (2, 3), "", ()),
    "GRUCell": ((3, 2), (2, 3), "", ()),
    "BatchNorm1d": ((3,), None, "", ()),
    "Embedding": ((4, 3), None, "", ()),
    "MultiheadAttention": ((4, 2), None, "", ()),
    "ReLU": ((), (2, 3), "relu", ()),
    "GELU": ((), (2, 3), "gelu", ()),
    "Softmax": ((-1,), (2, 3), "", ()),
    "MaxPool2d": ((2,), (1, 2, 4, 4), "", ()),
    "AvgPool1d": ((2,), (1, 2, 4), "", ()),
    "Flatten": ((), (2, 3, 2), "", ()),
}
WEIGHTED = {
    name: (name, arguments) for name, (arguments, *_) in LAYERS.items()
    if name not in ("ReLU", "GELU", "Softmax", "MaxPool2d", "AvgPool1d", "Flatten")
}  # fmt: skip
# Recurrent layers are left out: cuDNN differentiates them in training mode only, as it says.
MODELESS = {
    name: (name, arguments, shape) for name, (arguments, shape, *_) in LAYERS.items()
    if shape is not None and name not in ("RNN", "LSTM", "GRU")
}  # fmt: skip
WRITTEN = {
    name: (name, arguments, shape, function, members)
    for name, (arguments, shape, function, members) in LAYERS.items()
    if function
}


def layer_of(name, arguments, device):
    """A new layer in float64."""
    return resolve(f"torch.nn.{name}")(*arguments).to(device, torch.float64)


def drawn(shape, seed, device):
    """Multiples of 1/8 of that shape, on a leaf."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 8).to(device).requires_grad_()


@law("layers.parameters-require-grad", docs="torch.nn.parameter.Parameter", over=WEIGHTED)
@given(grad_mode=st.booleans(), double=st.booleans())
def test_parameters_require_grad(target, case, grad_mode, double):
    """The parameters of a new layer are leaves that require grad, whatever the grad mode.

    Parameters of the dtype that it was made with, without gradients.
    """
    name, arguments = case
    dtype = torch.float64 if double else torch.float32
    with torch.set_grad_enabled(grad_mode):
        layer = resolve(f"torch.nn.{name}")(*arguments, dtype=dtype, device=target.device)
    parameters = dict(layer.named_parameters())
    compare.fact(len(parameters) > 0, True, "a layer with parameters")
    for label, parameter in parameters.items():
        kind = (type(parameter), parameter.dtype)
        compare.fact(kind, (torch.nn.Parameter, dtype), f"type of {label}")
        flags = (parameter.requires_grad, parameter.is_leaf, parameter.grad)
        compare.fact(flags, (True, True, None), f"requires_grad, is_leaf and grad of {label}")


@law("layers.pretrained", docs="torch.nn.Embedding")
@given(seed=seeds(), freeze=st.sampled_from((None, True, False)))
def test_pretrained(target, seed, freeze):
    """from_pretrained makes an embedding of the given rows, frozen unless freeze is False."""
    rows = drawn((3, 2), seed, target.device).detach()
    options = {} if freeze is None else {"freeze": freeze}
    layer = torch.nn.Embedding.from_pretrained(rows, **options)
    values = compare.to_numpy(rows)
    compare.equal(layer.weight, values, dtype=torch.float64, what="weight")
    compare.fact(layer.weight.requires_grad, freeze is False, "requires_grad of the weight")
    index = torch.tensor([2, 0, 2], device=target.device)
    found = layer(index)
    compare.equal(found, values[[2, 0, 2]], dtype=torch.float64, what="rows that are looked up")
    compare.fact(found.requires_grad, freeze is False, "requires_grad of the rows")


@law("layers.mode-free", docs="torch.nn.Module.html#torch.nn.Module.train", over=MODELESS)
@given(seed=seeds())
def test_mode_free(target, case, seed):
    """Layers that neither draw nor keep statistics are alike in training and evaluation.

    "This has an effect only on certain modules": values and gradients are the same, bit for bit.
    """
    name, arguments, shape = case
    layer = layer_of(name, arguments, target.device)
    found = []
    for mode in (True, False):
        layer.train(mode)
        x = drawn(shape, seed, target.device)
        result = target.run(layer, x)
        first = result[0] if isinstance(result, tuple) else result
        leaves = [x, *layer.parameters()]
        gradients = torch.autograd.grad(first.sin().sum(), leaves, allow_unused=True)
        found.append([first, *(gradient for gradient in gradients if gradient is not None)])
    trained, evaluated = found
    compare.fact(len(evaluated), len(trained), "gradients")
    for number, (one, other) in enumerate(zip(evaluated, trained, strict=True)):
        what = f"gradient {number} in evaluation" if number else "result in evaluation"
        compare.equal(one, compare.to_numpy(other), dtype=torch.float64, what=what)


def nodes(node):
    """The names of a graph's nodes, each followed by what it leads to; leaves by their identity."""
    if node is None:
        return [None]
    found = [node.name(), id(getattr(node, "variable", None))]
    for following, _ in node.next_functions:
        found += nodes(following)
    return found


@law("module.same-graph", docs="torch.nn.Module", level="should", over=WRITTEN)
@given(seed=seeds(), requires_grad=st.booleans(), training=st.booleans())
def test_same_graph(target, case, seed, requires_grad, training):
    """A layer records the graph that its function records on its parameters, node for node.

    Called as they are: a compiled one has one node, with edges in an order of its own.
    """
    name, arguments, shape, function, members = case
    layer = layer_of(name, arguments, target.device).train(training)
    x = drawn(shape, seed, target.device).detach().requires_grad_(requires_grad)
    by_layer = layer(x)
    own = [getattr(layer, member) for member in members]
    by_hand = resolve(f"torch.nn.functional.{function}")(x, *own)
    value = compare.to_numpy(by_hand)
    compare.equal(by_layer, value, dtype=torch.float64, what="result of the layer")
    compare.fact(nodes(by_layer.grad_fn), nodes(by_hand.grad_fn), "nodes of the graph")


CONVOLUTIONS = {
    "Conv1d": ((2, 3, 2), (1, 2, 5), None),
    "Conv2d": ((2, 3, 2), (1, 2, 4, 5), torch.channels_last),
    "Conv3d": ((2, 3, 2), (1, 2, 3, 4, 5), torch.channels_last_3d),
}


@law("layers.channels-first", docs=lambda case: f"torch.nn.{case[0]}",
     over={name: (name, *rest) for name, rest in CONVOLUTIONS.items()})  # fmt: skip
@given(seed=seeds(), batched=st.booleans())
def test_channels_first(target, case, seed, batched):
    """A convolution's input has its channels before the places, and is refused with them last.

    (N, C, L), (N, C, H, W), (N, C, D, H, W), or the same without N. The memory formats
    channels_last change how that lies in memory, and neither shape nor result.
    """
    name, arguments, shape, memory_format = case
    layer = layer_of(name, arguments, target.device)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(tuple(parameter.shape), seed, target.device))
    x = drawn(shape, seed + 1, target.device).detach()
    whole = x if batched else x[0]
    result = target.run(layer, whole)
    sides = tuple(side - 1 for side in shape[2:])
    expected = (1, 3, *sides) if batched else (3, *sides)
    compare.fact(tuple(result.shape), expected, "shape of the result")
    with compare.raises(RuntimeError, f"to have 2 channels, but got {shape[2]} channels"):
        layer(whole.movedim(-len(shape[1:]), -1))
    if memory_format is not None and batched:
        value = compare.to_numpy(result)
        laid_out = target.run(layer, x.contiguous(memory_format=memory_format))
        compare.close(laid_out, value, bound=0.0, dtype=torch.float64, what="of channels last")


@law("layers.instance-statistics", docs="torch.nn.InstanceNorm1d")
@given(seed=seeds())
def test_instance_statistics(target, seed):
    """InstanceNorm that tracks statistics normalizes by them in evaluation, by the input before.

    "If track_running_stats is set to True, during training this layer keeps running estimates of
    its computed mean and variance, which are then used for normalization during evaluation."
    """
    norm = resolve("torch.nn.InstanceNorm1d")(2, eps=0.5, momentum=0.25, track_running_stats=True)
    norm = norm.to(target.device, torch.float64)
    generator = torch.Generator().manual_seed(seed)
    first, second = (
        torch.randint(-16, 17, (3, 2, 4), generator=generator).to(target.device, torch.float64) / 8
        for _ in range(2)
    )
    values = compare.to_numpy(first)
    means, variances = values.mean(2, keepdims=True), values.var(2, keepdims=True)
    expected = (values - means) / np.sqrt(variances + 0.5)
    compare.close(norm(first), expected, bound=1e-12, dtype=torch.float64, what="in training")
    mean = 0.25 * means.mean(0)[:, 0]
    variance = 0.75 + 0.25 * values.var(2, ddof=1).mean(0)
    compare.close(norm.running_mean, mean, bound=1e-12, dtype=torch.float64, what="running mean")
    compare.close(norm.running_var, variance, bound=1e-12, dtype=torch.float64, what="variance")
    norm.eval()
    later = (compare.to_numpy(second) - mean[:, None]) / np.sqrt(variance[:, None] + 0.5)
    compare.close(norm(second), later, bound=1e-12, dtype=torch.float64, what="in evaluation")
    compare.close(norm.running_mean, mean, bound=1e-12, dtype=torch.float64, what="mean kept")


NORMALIZING = {"function": "function", "module": "module"}


@law("layers.default-epsilon", docs="torch.nn.RMSNorm", over=NORMALIZING)
@given(x=tensors(dtype=st.sampled_from((torch.float64, torch.float32)), shape=(2, 3)))
def test_default_epsilon(target, case, x):
    """RMSNorm without eps adds the epsilon of its input's dtype to the mean of the squares.

    "Default: torch.finfo(x.dtype).eps". Judged where the squares are about as small.
    """
    epsilon = torch.finfo(x.dtype).eps
    small = x * epsilon**0.5
    if case == "module":
        norm = resolve("torch.nn.RMSNorm")((3,)).to(target.device, x.dtype)
    else:
        norm = partial(resolve("torch.nn.functional.rms_norm"), normalized_shape=(3,))
    result = target.run(norm, small)
    wide = compare.to_numpy(small).astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + epsilon)
    compare.close(result, expected, bound=16 * epsilon * np.abs(expected), dtype=x.dtype)


@law("layers.embedding-of-matrix", docs="torch.nn.Embedding")
@given(
    indices=st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=1, max_size=3),
    scale=st.booleans(),
)
def test_embedding_of_matrix(target, indices, scale):
    """An embedding of a matrix of indices counts and sums each row over all of the matrix.

    With scale_grad_by_freq "scale gradients by the inverse of frequency of the words in the
    mini-batch".
    """
    module = resolve("torch.nn.Embedding")(
        3, 2, scale_grad_by_freq=scale, device=target.device, dtype=torch.float64
    )
    places = torch.tensor(indices, device=target.device)
    result = module(places)
    weight = compare.to_numpy(module.weight)
    compare.equal(result, weight[np.array(indices)], dtype=torch.float64)
    cotangent = torch.arange(result.numel(), dtype=torch.float64, device=target.device)
    result.backward(cotangent.reshape(result.shape))
    expected = np.zeros((3, 2))
    np.add.at(expected, np.array(indices), compare.to_numpy(cotangent).reshape(result.shape))
    counts = np.bincount(np.array(indices).reshape(-1), minlength=3)[:, None]
    if scale:
        expected = expected / np.maximum(counts, 1)
    compare.close(module.weight.grad, expected, bound=1e-13, dtype=torch.float64, what="gradient")
