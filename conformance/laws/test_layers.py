"""Layers: a module computes its function over its own parameters, in training and evaluation."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import layers, recurrent
from conformance.scenarios.layers import FUNCTIONAL
from conformance.target import resolve
from strategies import seeds, tensors

PADDINGS = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "wrap"}
NORMS = {"BatchNorm1d": (2, 3, 2), "BatchNorm2d": (2, 3, 2, 1), "BatchNorm3d": (3, 3, 1, 1, 2),
         "BatchNorm1d-vectors": (4, 3)}  # fmt: skip
MOMENTA = st.sampled_from((0.1, 0.5, 1.0, 0.0, None))
RECURRENT = {"RNN": "tanh", "RNN-relu": "relu", "LSTM": "LSTM", "GRU": "GRU"}
CELLS = {"RNNCell": "tanh", "LSTMCell": "LSTM", "GRUCell": "GRU"}
DROPOUTS = {
    "Dropout": (2, 3), "Dropout1d": (2, 3, 2), "Dropout2d": (2, 3, 2, 1),
    "Dropout3d": (1, 2, 1, 2, 1), "AlphaDropout": (2, 3), "FeatureAlphaDropout": (2, 3, 2),
}  # fmt: skip


def randomize(module, seed):
    """Fill the parameters of a module with small numbers of their own."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        numbers = torch.randint(-16, 17, parameter.shape, generator=generator) / 16
        parameter.data.copy_(numbers)


def drawn(shape, seed, device):
    """Multiples of 1/8 of that shape."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 8).to(device)


@law("layers.functional", docs=lambda case: f"torch.nn.{case[0]}", over=FUNCTIONAL)
@given(seed=seeds(), evaluating=st.booleans())
def test_functional(target, case, seed, evaluating):
    """A layer computes the function of its name with its options, on its own parameters.

    In training as in evaluation.
    """
    name, arguments, options, shapes, function, members, words = case
    module = resolve(f"torch.nn.{name}")(*arguments, **options).to(target.device, torch.float64)
    randomize(module, seed)
    module.train(not evaluating)
    several = shapes if isinstance(shapes[0], tuple) else (shapes,)
    inputs = [drawn(shape, seed + number, target.device) for number, shape in enumerate(several)]
    before = [compare.to_numpy(x) for x in inputs]
    own = [getattr(module, member) for member in members]
    keywords = {k: getattr(module, v) if k == v else v for k, v in words.items()}
    where = "torch." if "." in function else "torch.nn.functional."
    expected = resolve(where + function.removeprefix("torch."))(*inputs, *own, **keywords)
    compare.equal(target.run(module, *inputs), compare.to_numpy(expected), dtype=torch.float64)
    for x, values in zip(inputs, before, strict=True):
        compare.unchanged(x, values, "input")


@law("layers.padding-mode", docs="torch.nn.Conv2d", over=PADDINGS)
@given(seed=seeds(), padding=st.sampled_from((0, 1, (1, 0), (2, 1), "same")))
def test_padding_mode(target, case, seed, padding):
    """A convolution pads its input as padding_mode says, then convolves it without padding."""
    names = {mode: name for name, mode in PADDINGS.items()}
    module = resolve("torch.nn.Conv2d")(2, 2, 3, padding=padding, padding_mode=names[case])
    module = module.to(target.device, torch.float64)
    randomize(module, seed)
    x = drawn((1, 2, 3, 4), seed, target.device)
    rows, columns = layers.of_each(1 if padding == "same" else padding, 2)
    widths = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    padded = np.pad(compare.to_numpy(x), widths, mode="edge" if case == "replicate" else case)
    weight, bias = (compare.to_numpy(p) for p in (module.weight, module.bias))
    expected = layers.convolution(padded, weight, bias)
    compare.close(target.run(module, x), expected, bound=1e-12, dtype=torch.float64)


@law("layers.running-statistics", docs="torch.nn.BatchNorm1d", over=NORMS)
@given(
    seed=seeds(),
    momentum=MOMENTA,
    affine=st.booleans(),
    program=st.lists(st.sampled_from(("train", "train", "eval", "reset")), min_size=1, max_size=5),
)
def test_running_statistics(target, case, seed, momentum, affine, program):
    """Batch norm normalizes by the batch in training, and by its running statistics in evaluation.

    In training they become ``(1 - momentum) * old + momentum * new``, with the unbiased variance,
    or the mean of all batches so far if momentum is None; num_batches_tracked counts them.
    Evaluation changes nothing. Reset, they are 0, 1 and 0.
    """
    name = f"BatchNorm{1 if len(case) < 4 else len(case) - 2}d"
    module = resolve(f"torch.nn.{name}")(3, eps=0.5, momentum=momentum, affine=affine)
    module = module.to(target.device, torch.float64)
    randomize(module, seed)
    parts: dict[str, Any] = {name: compare.to_numpy(p) for name, p in module.named_parameters()}
    mean, variance, count = np.zeros(3), np.ones(3), 0
    for number, action in enumerate(program):
        if action == "reset":
            module.reset_running_stats()
            mean, variance, count = np.zeros(3), np.ones(3), 0
        else:
            x = drawn(case, seed + number, target.device)
            values = compare.to_numpy(x)
            module.train(action == "train")
            got = module(x)
            expected = layers.batch_norm(
                values, mean, variance, **parts, training=action == "train", eps=0.5
            )
            compare.close(got, expected, bound=1e-12, dtype=torch.float64, what="output")
        if action == "train":
            count += 1
            share = 1 / count if momentum is None else momentum
            axes = (0, *range(2, values.ndim))
            mean = (1 - share) * mean + share * values.mean(axis=axes)
            variance = (1 - share) * variance + share * values.var(axis=axes, ddof=1)
        kind = torch.float64
        compare.close(module.running_mean, mean, bound=1e-12, dtype=kind, what="running mean")
        compare.close(module.running_var, variance, bound=1e-12, dtype=kind, what="variance")
        tracked = module.num_batches_tracked
        compare.equal(tracked, np.array(count), dtype=torch.int64, what="batches tracked")


@law("layers.untracked", docs="torch.nn.BatchNorm1d")
@given(seed=seeds(), training=st.booleans())
def test_untracked(target, seed, training):
    """Without running statistics batch norm uses those of the batch, in evaluation too."""
    module = torch.nn.BatchNorm1d(3, track_running_stats=False, affine=False, eps=0.5)
    module = module.to(target.device).train(training)
    x = drawn((3, 3, 2), seed, target.device)
    expected = layers.batch_norm(compare.to_numpy(x), None, None, training=True, eps=0.5)
    compare.close(module(x), expected, bound=1e-12, dtype=torch.float64)
    compare.fact(list(module.state_dict()), [], "names in the state")
    compare.fact((module.running_mean, module.running_var), (None, None), "running statistics")


@law("layers.tracking-stopped", docs="torch.nn.BatchNorm1d", level="should")
@given(seed=seeds())
def test_tracking_stopped(target, seed):
    """Once track_running_stats is False batch norm leaves its running statistics as they were."""
    module = torch.nn.BatchNorm1d(3, affine=False, eps=0.5).to(target.device, torch.float64)
    x = drawn((3, 3, 2), seed, target.device)
    module(x)
    before = {name: compare.to_numpy(value) for name, value in module.state_dict().items()}
    values = compare.to_numpy(x)
    compare.close(module.running_mean, 0.1 * values.mean(axis=(0, 2)), bound=1e-12,
                  dtype=torch.float64, what="running mean")  # fmt: skip
    module.track_running_stats = False
    expected = layers.batch_norm(values, None, None, training=True, eps=0.5)
    compare.close(module(x), expected, bound=1e-12, dtype=torch.float64)
    for name, value in module.state_dict().items():
        compare.unchanged(value, before[name], name)


@law("layers.instance-norm", docs="torch.nn.InstanceNorm1d")
@given(seed=seeds(), affine=st.booleans(), batched=st.booleans(), training=st.booleans())
def test_instance_norm(target, seed, affine, batched, training):
    """Instance norm normalizes each channel of each sample by itself, in evaluation too."""
    module = torch.nn.InstanceNorm1d(3, eps=0.5, affine=affine).to(target.device, torch.float64)
    randomize(module, seed)
    module.train(training)
    x = drawn((2, 3, 4) if batched else (3, 4), seed, target.device)
    parts: dict[str, Any] = {name: compare.to_numpy(p) for name, p in module.named_parameters()}
    values = compare.to_numpy(x)
    expected = layers.group_norm(values if batched else values[None], 3, **parts, eps=0.5)
    expected = expected if batched else expected[0]
    compare.close(module(x), expected, bound=1e-12, dtype=torch.float64)


@law("layers.recurrent", docs="torch.nn.LSTM", over=RECURRENT)
@given(
    seed=seeds(),
    count=st.integers(1, 2),
    both=st.booleans(),
    bias=st.booleans(),
    first=st.booleans(),
    start=st.booleans(),
    sizes=st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 3)),
)
def test_recurrent(target, case, seed, count, both, bias, first, start, sizes):
    """A recurrent layer goes through time by its equations, layer by layer, from a state or 0.

    Bidirectional ones also backwards, outputs side by side; batch_first moves the batch of input
    and output alone. The final state is that after the last step of each layer and direction.
    """
    steps, batch, hidden = sizes
    options = {"nonlinearity": case} if case in ("tanh", "relu") else {}
    name = "RNN" if options else case
    module = resolve(f"torch.nn.{name}")(
        2, hidden, count, bias=bias, batch_first=first, bidirectional=both, **options
    ).to(target.device, torch.float64)
    randomize(module, seed)
    directions = 2 if both else 1
    x = drawn((steps, max(batch, 1), 2), seed, target.device)
    shape = (count * directions, max(batch, 1), hidden)
    parts = 2 if case == "LSTM" else 1
    state = [drawn(shape, seed + 1 + n, target.device) for n in range(parts)]
    initial = [compare.to_numpy(part) for part in state]
    initial = initial if start else [np.zeros(shape)] * parts
    weights = [[compare.to_numpy(w) for w in group] for group in module.all_weights]
    output, final = recurrent.layers(case, compare.to_numpy(x), initial, weights, directions)
    if batch == 0:  # no dimension for it
        x, output = x[:, 0], output[:, 0]
        state, final = [part[:, 0] for part in state], [part[:, 0] for part in final]
    elif first:
        x, output = x.transpose(0, 1), output.swapaxes(0, 1)
    given_state = (tuple(state) if case == "LSTM" else state[0],) if start else ()
    got, last = module(x, *given_state)
    compare.close(got, output, bound=1e-12, dtype=torch.float64, what="output")
    found = last if case == "LSTM" else (last,)
    compare.fact(len(found), parts, "parts of the state")
    for part, expected in zip(found, final, strict=True):
        compare.close(part, expected, bound=1e-12, dtype=torch.float64, what="final state")


@law("layers.cell", docs="torch.nn.LSTMCell", over=CELLS)
@given(seed=seeds(), batch=st.sampled_from(((), (2,))), bias=st.booleans(), start=st.booleans())
def test_cell(target, case, seed, batch, bias, start):
    """A recurrent cell makes one step by its equations, from a given state or zeros."""
    name = next(name for name, kind in CELLS.items() if kind == case)
    module = resolve(f"torch.nn.{name}")(2, 3, bias=bias).to(target.device, torch.float64)
    randomize(module, seed)
    x = drawn((*batch, 2), seed, target.device)
    parts = 2 if case == "LSTM" else 1
    state = [drawn((*batch, 3), seed + 1 + n, target.device) for n in range(parts)]
    initial = [compare.to_numpy(s) for s in state] if start else [np.zeros((*batch, 3))] * parts
    weights = [compare.to_numpy(p) for p in module.parameters()]
    expected = recurrent.step(case, compare.to_numpy(x), initial, weights)
    result = module(x, *((tuple(state) if parts == 2 else state[0],) if start else ()))
    for got, want in zip(result if parts == 2 else (result,), expected, strict=True):
        compare.close(got, want, bound=1e-12, dtype=torch.float64)


@law(
    "layers.dropout",
    docs="torch.nn.Dropout",
    over={name: name for name in DROPOUTS},
    needs=("seeding",),
)
@given(seed=seeds(), p=st.sampled_from((0.0, 0.25, 0.5, 1.0)))
def test_dropout(target, case, seed, p):
    """A dropout layer returns its input in evaluation; in training it drops with its own p.

    As the function of the same name does from the same seed. The input is not changed.
    """
    module = resolve(f"torch.nn.{case}")(p)
    x = drawn(DROPOUTS[case], seed, target.device)
    before = compare.to_numpy(x)
    state = torch.get_rng_state()
    got = module.eval()(x)
    compare.equal(got, before, dtype=torch.float64, what="in evaluation")
    same = torch.equal(torch.get_rng_state(), state)
    compare.fact(same, True, "evaluation draws nothing")
    name = "".join("_" + c.lower() if c.isupper() else c for c in case).lstrip("_")
    function = resolve(f"torch.nn.functional.{name}")
    torch.manual_seed(seed)
    expected = compare.to_numpy(function(x.clone(), p, True))
    torch.manual_seed(seed)
    got = module.train()(x)
    compare.equal(got, expected, dtype=torch.float64, what="in training")
    compare.unchanged(x, before, "input")


@law("layers.dropout-in-place", docs="torch.nn.Dropout", over={name: name for name in DROPOUTS})
@given(seed=seeds(), p=st.sampled_from((0.25, 0.5)))
def test_dropout_in_place(target, case, seed, p):
    """With inplace=True a dropout layer in training writes what it drops into its input."""
    module = resolve(f"torch.nn.{case}")(p, inplace=True)
    x = drawn(DROPOUTS[case], seed, target.device)
    torch.manual_seed(seed)
    expected = compare.to_numpy(resolve(f"torch.nn.{case}")(p)(x))
    torch.manual_seed(seed)
    result = module(x)
    compare.equal(result, expected, dtype=torch.float64, what="result")
    compare.unchanged(x, expected, "input")


@law("layers.embedding", docs="torch.nn.Embedding")
@given(
    indices=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    padding=st.sampled_from((None, 1, -1)),
    mode=st.sampled_from(("plain", "scaled", "sparse")),
)
def test_embedding(target, indices, padding, mode):
    """The gradient of an embedding sums the cotangents of each row, but for that of padding_idx.

    With scale_grad_by_freq it is divided by how often the row occurs among the indices; with
    sparse=True it is a sparse tensor of the same values.
    """
    scale, sparse = mode == "scaled", mode == "sparse"
    module = resolve("torch.nn.Embedding")(
        4, 2, padding_idx=padding, scale_grad_by_freq=scale, sparse=sparse, device=target.device
    )
    cotangents = torch.arange(1.0, 2 * len(indices) + 1, device=target.device).reshape(-1, 2)
    module(torch.tensor(indices, device=target.device)).backward(cotangents)
    expected = np.zeros((4, 2))
    skipped = None if padding is None else padding % 4
    for index, cotangent in zip(indices, compare.to_numpy(cotangents), strict=True):
        if index != skipped:
            expected[index] += cotangent / (indices.count(index) if scale else 1)
    gradient = module.weight.grad
    compare.fact(gradient.is_sparse, sparse, "gradient is sparse")
    got = gradient.to_dense() if sparse else gradient
    compare.close(got, expected, bound=1e-5, dtype=torch.float32, what="gradient")


@law("layers.embedding-norm", docs="torch.nn.functional.embedding")
@given(
    indices=st.lists(st.integers(0, 3), max_size=4),
    weight=tensors(dtype=torch.float64, shape=(4, 2), layouts=("contiguous",)),
    most=st.sampled_from((0.5, 1.0, 2.0)), kind=st.sampled_from((2.0, 1.0)),
)  # fmt: skip
def test_embedding_norm(target, indices, weight, most, kind):
    """With max_norm, each row that is looked up and is longer is scaled to it in place; no other.

    norm_type tells the norm.
    """
    before = compare.to_numpy(weight)
    places = torch.tensor(indices, dtype=torch.int64, device=target.device)
    got = torch.nn.functional.embedding(places, weight, max_norm=most, norm_type=kind)
    expected = before.copy()
    for index in set(indices):
        norm = (np.abs(before[index]) ** kind).sum() ** (1 / kind)
        if norm > most:
            expected[index] *= most / norm
    bound = 1e-6  # torch adds 1e-7 to the norm that it divides by
    compare.close(weight, expected, bound=bound, dtype=torch.float64, what="weight")
    compare.close(got, expected[np.array(indices, int)], bound=bound, dtype=torch.float64)
    others = [n for n in range(4) if n not in indices]
    compare.equal(weight[others], before[others], dtype=torch.float64, what="other rows")
