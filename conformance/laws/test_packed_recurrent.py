"""Recurrent layers over packed sequences, and with projections."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, recurrent
from conformance.target import resolve
from strategies import seeds

LENGTHS = st.lists(st.integers(1, 3), min_size=1, max_size=3)
KINDS = {"RNN": "tanh", "RNN-relu": "relu", "LSTM": "LSTM", "GRU": "GRU"}


def drawn(shape, generator, device):
    """Multiples of 1/8 of that shape."""
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 8).to(device)


def made(case, generator, device, **options):
    """A recurrent layer of a kind with random weights, and the weights as arrays."""
    words = {"nonlinearity": case} if case in ("tanh", "relu") else {}
    module = resolve(f"torch.nn.{'RNN' if words else case}")(2, **options, **words)
    module = module.to(device, torch.float64)
    for parameter in module.parameters():
        parameter.data.copy_(drawn(parameter.shape, generator, device) / 2)
    return module, [[compare.to_numpy(w) for w in group] for group in module.all_weights]


def alone(case, arrays, states, weights, directions):
    """Run each sequence by itself: its output, and the final states side by side."""
    outputs, finals = [], []
    for number, array in enumerate(arrays):
        own = [part[:, number : number + 1] for part in states]
        output, final = recurrent.layers(case, array[:, None], own, weights, directions)
        outputs.append(output[:, 0])
        finals.append(final)
    return outputs, [np.concatenate(parts, axis=1) for parts in zip(*finals, strict=True)]


@law("packed.recurrent", docs="torch.nn.LSTM", over=KINDS)
@given(
    seed=seeds(), lengths=LENGTHS, count=st.integers(1, 2), both=st.booleans(),
    start=st.booleans(), ordered=st.booleans(), bias=st.booleans(),
)  # fmt: skip
def test_recurrent(target, case, seed, lengths, count, both, start, ordered, bias):
    """A recurrent layer over packed sequences gives each what it gives the sequence alone.

    In both directions from its own end; final states are those after its own last step, in the
    order of the batch. The output is packed as the input was.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"hidden_size": 2, "num_layers": count, "bidirectional": both, "bias": bias}
    module, weights = made(case, generator, target.device, **options)
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    members = [drawn((length, 2), generator, target.device) for length in lengths]
    arrays = [compare.to_numpy(member) for member in members]
    directions, parts = 2 if both else 1, 2 if case == "LSTM" else 1
    shape = (count * directions, len(lengths), 2)
    state = [drawn(shape, generator, target.device) for _ in range(parts)]
    initial = [compare.to_numpy(part) if start else np.zeros(shape) for part in state]
    packed = torch.nn.utils.rnn.pack_sequence(members, enforce_sorted=ordered)
    given_state = (tuple(state) if case == "LSTM" else state[0],) if start else ()
    result, last = module(packed, *given_state)
    compare.fact(type(result), torch.nn.utils.rnn.PackedSequence, "type of the output")
    sizes = compare.to_numpy(packed.batch_sizes)
    compare.equal(result.batch_sizes, sizes, dtype=torch.int64, what="batch sizes")
    outputs, final = alone(case, arrays, initial, weights, directions)
    found = torch.nn.utils.rnn.unpack_sequence(result)
    for number, (got, want) in enumerate(zip(found, outputs, strict=True)):
        compare.close(got, want, bound=1e-12, dtype=torch.float64, what=f"output {number}")
    for got, want in zip(last if parts == 2 else (last,), final, strict=True):
        compare.close(got, want, bound=1e-12, dtype=torch.float64, what="final state")


@law("packed.recurrent-gradient", docs="torch.nn.LSTM", over=KINDS)
@given(seed=seeds(), lengths=LENGTHS, both=st.booleans())
def test_recurrent_gradient(target, case, seed, lengths, both):
    """Gradients pass through packed sequences to each sequence and to the weights, exactly."""
    generator = torch.Generator().manual_seed(seed)
    module, weights = made(case, generator, target.device, hidden_size=1, bidirectional=both)
    members = [drawn((n, 2), generator, target.device).requires_grad_() for n in lengths]
    packed = torch.nn.utils.rnn.pack_sequence(members, enforce_sorted=False)
    result, _ = module(packed)
    parts = torch.nn.utils.rnn.unpack_sequence(result)
    total = torch.stack([(part * (1 + n)).sum() for n, part in enumerate(parts)]).sum()
    weight = module.weight_hh_l0
    gradients = torch.autograd.grad(total, [*members, weight])
    directions, states = 2 if both else 1, 2 if case == "LSTM" else 1
    zeros = [np.zeros((directions, len(lengths), 1))] * states

    def weighted(*points):
        chosen = [[weights[0][0], points[-1], *weights[0][2:]], *weights[1:]]
        outputs, _ = alone(case, points[:-1], zeros, chosen, directions)
        return sum((output * (1 + number)).sum() for number, output in enumerate(outputs))

    points = [*(compare.to_numpy(member) for member in members), weights[0][1]]
    expected = derivatives.gradient(weighted, points)
    for number, (got, want) in enumerate(zip(gradients, expected, strict=True)):
        what = f"gradient to {'the weight' if number == len(members) else f'sequence {number}'}"
        compare.close(got, want, bound=1e-11, dtype=torch.float64, what=what)


@law("layers.recurrent-gradient", docs="torch.nn.LSTM", over=KINDS)
@given(seed=seeds(), both=st.booleans())
def test_layers_gradient(target, case, seed, both):
    """Gradients of two recurrent layers reach the input and every weight and bias, exactly."""
    generator = torch.Generator().manual_seed(seed)
    options = {"hidden_size": 1, "num_layers": 2, "bidirectional": both}
    module, weights = made(case, generator, target.device, **options)
    x = drawn((2, 1, 2), generator, target.device).requires_grad_()
    result, _ = module(x)
    parameters = [parameter for group in module.all_weights for parameter in group]
    gradients = torch.autograd.grad(result.sum(), [x, *parameters])
    directions, states = 2 if both else 1, 2 if case == "LSTM" else 1
    zeros = [np.zeros((2 * directions, 1, 1))] * states

    def total(point, *flat):
        groups = [flat[start : start + 4] for start in range(0, len(flat), 4)]
        return recurrent.layers(case, point, zeros, groups, directions)[0].sum()

    points = [compare.to_numpy(x), *(array for group in weights for array in group)]
    expected = derivatives.gradient(total, points)
    for number, (got, want) in enumerate(zip(gradients, expected, strict=True)):
        what = f"gradient to {f'weight {number - 1}' if number else 'the input'}"
        compare.close(got, want, bound=1e-11, dtype=torch.float64, what=what)


@law("layers.recurrent-dropout", docs="torch.nn.LSTM", over=KINDS)
@given(seed=seeds(), count=st.integers(2, 3), both=st.booleans(), training=st.booleans())
def test_layers_dropout(target, case, seed, count, both, training):
    """In training dropout=1 hands zeros from each layer to the next: what the last gives is kept.

    "Introduces a Dropout layer on the outputs of each layer except the last layer"; in
    evaluation nothing is dropped.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"hidden_size": 2, "num_layers": count, "bidirectional": both, "dropout": 1.0}
    module, weights = made(case, generator, target.device, **options)
    module.train(training)
    x = drawn((2, 3, 2), generator, target.device)
    directions, parts = 2 if both else 1, 2 if case == "LSTM" else 1
    output, finals = compare.to_numpy(x), []
    for start in range(0, count * directions, directions):
        handed = output * 0 if training and start else output
        zeros = [np.zeros((directions, 3, 2))] * parts
        own = weights[start : start + directions]
        output, final = recurrent.layers(case, handed, zeros, own, directions)
        finals.append(final)
    found, last = module(x)
    compare.close(found, output, bound=1e-12, dtype=torch.float64, what="output")
    expected = [np.concatenate(group) for group in zip(*finals, strict=True)]
    for got, want in zip(last if parts == 2 else (last,), expected, strict=True):
        compare.close(got, want, bound=1e-12, dtype=torch.float64, what="final state")


@law("packed.projected", docs="torch.nn.LSTM")
@given(
    seed=seeds(), lengths=LENGTHS, count=st.integers(1, 2), both=st.booleans(),
    start=st.booleans(), bias=st.booleans(),
)  # fmt: skip
def test_projected(target, seed, lengths, count, both, start, bias):
    """With proj_size an LSTM's hidden state is multiplied by a learned matrix, W_hr, at each step.

    Outputs and hidden states have proj_size numbers, cells hidden_size.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"num_layers": count, "bidirectional": both, "bias": bias, "proj_size": 2}
    module, weights = made("LSTM", generator, target.device, hidden_size=3, **options)
    directions = 2 if both else 1
    members = [drawn((length, 2), generator, target.device) for length in lengths]
    arrays = [compare.to_numpy(member) for member in members]
    state = [
        drawn((count * directions, len(lengths), size), generator, target.device) for size in (2, 3)
    ]
    initial = [compare.to_numpy(part) * start for part in state]
    packed = torch.nn.utils.rnn.pack_sequence(members, enforce_sorted=False)
    result, last = module(packed, *((tuple(state),) if start else ()))
    outputs, final = alone("LSTM", arrays, initial, weights, directions)
    found = torch.nn.utils.rnn.unpack_sequence(result)
    for got, want in zip([*found, *last], [*outputs, *final], strict=True):
        compare.close(got, want, bound=1e-12, dtype=torch.float64, what="output or state")
