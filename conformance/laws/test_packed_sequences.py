"""Sequences of several lengths: padded, packed, and run through recurrent layers."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import sequences
from strategies import tensors

PAGE = "torch.nn.utils.rnn."
LENGTHS = st.lists(st.integers(1, 4), min_size=1, max_size=4)
ELEMENTS = st.sampled_from(((2,), (), (1, 2), (3,)))
VALUES = st.sampled_from((0.0, -1.5, 2.0))


def numbered(lengths, element, device):
    """Sequences of distinct numbers."""
    made, start = [], 1.0
    for length in lengths:
        count = length * int(np.prod(element))
        data = torch.arange(start, start + count, dtype=torch.float64, device=device)
        made.append(data.reshape(length, *element))
        start += count
    return made


def check_packed(packed, arrays, ordered):
    """A packed sequence holds the sequences from longest to shortest, and tells their places."""
    if ordered:
        places = list(range(len(arrays)))
        compare.fact((packed.sorted_indices, packed.unsorted_indices), (None, None), "indices")
    else:
        places = compare.to_numpy(packed.sorted_indices).tolist()
        compare.fact(sorted(places), list(range(len(arrays))), "sorted indices, sorted")
        back = np.argsort(places)
        compare.equal(packed.unsorted_indices, back, dtype=torch.int64, what="unsorted indices")
    lengths = [len(arrays[place]) for place in places]
    compare.fact(lengths, sorted(lengths, reverse=True), "lengths in the order of the indices")
    data, counts = sequences.packed([arrays[place] for place in places])
    compare.equal(packed.data, data, dtype=torch.float64, what="data")
    compare.equal(packed.batch_sizes, np.array(counts), dtype=torch.int64, what="batch sizes")
    compare.fact(packed.batch_sizes.device.type, "cpu", "device of the batch sizes")


@law("packed.pad", docs=f"{PAGE}pad_sequence")
@given(
    lengths=LENGTHS, element=ELEMENTS, first=st.booleans(), value=VALUES,
    side=st.sampled_from((None, "right", "left")),
)  # fmt: skip
def test_pad(target, lengths, element, first, value, side):
    """pad_sequence puts sequences beside each other, filled up to the longest on the right or left.

    Each gets the gradient of its own elements. unpad_sequence gives them back.
    """
    leaves = [s.requires_grad_() for s in numbered(lengths, element, target.device)]
    arrays = [compare.to_numpy(leaf) for leaf in leaves]
    given_side = {} if side is None else {"padding_side": side}
    function = torch.nn.utils.rnn.pad_sequence
    result = target.run(function, leaves, batch_first=first, padding_value=value, **given_side)
    expected = sequences.padded(arrays, first, value, side or "right")
    compare.equal(result, expected, dtype=torch.float64)
    result.backward(result.detach())
    compare.gradients(leaves, arrays, [True] * len(leaves))
    if side != "left":
        counts = torch.tensor(lengths)
        parts = torch.nn.utils.rnn.unpad_sequence(result, counts, batch_first=first)
        compare.fact(len(parts), len(arrays), "sequences that are unpadded")
        for part, array in zip(parts, arrays, strict=True):
            compare.equal(part, array, dtype=torch.float64, what="unpadded")


@law("packed.pack", docs=f"{PAGE}pack_padded_sequence")
@given(
    lengths=LENGTHS, element=ELEMENTS, first=st.booleans(), ordered=st.booleans(),
    extra=st.integers(0, 2), counted=st.sampled_from(("list", "tensor")),
)  # fmt: skip
def test_pack(target, lengths, element, first, ordered, extra, counted):
    """pack_padded_sequence keeps the elements within each length, time by time, longest first.

    With enforce_sorted=False it sorts, and remembers how. What is beyond the lengths is dropped,
    and gets no gradient.
    """
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    arrays = [compare.to_numpy(s) for s in numbered(lengths, element, target.device)]
    whole = sequences.padded(arrays, first, 99.0, length=max(lengths) + extra)
    leaf = torch.tensor(whole, device=target.device, requires_grad=True)
    counts = torch.tensor(lengths) if counted == "tensor" else lengths
    options = {} if ordered else {"enforce_sorted": False}
    packed = torch.nn.utils.rnn.pack_padded_sequence(leaf, counts, batch_first=first, **options)
    check_packed(packed, arrays, ordered)
    packed.data.backward(packed.data.detach())
    kept = sequences.padded(arrays, first, 0.0, length=max(lengths) + extra)
    compare.gradients([leaf], [kept], [True])


@law("packed.pack-sequence", docs=f"{PAGE}pack_sequence")
@given(lengths=LENGTHS, element=ELEMENTS, ordered=st.booleans())
def test_pack_sequence(target, lengths, element, ordered):
    """pack_sequence packs a list of sequences; unpack_sequence gives them back, as they were."""
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    made = numbered(lengths, element, target.device)
    arrays = [compare.to_numpy(sequence) for sequence in made]
    options = {} if ordered else {"enforce_sorted": False}
    packed = torch.nn.utils.rnn.pack_sequence(made, **options)
    check_packed(packed, arrays, ordered)
    parts = torch.nn.utils.rnn.unpack_sequence(packed)
    compare.fact(len(parts), len(arrays), "sequences that are unpacked")
    for part, array in zip(parts, arrays, strict=True):
        compare.equal(part, array, dtype=torch.float64, what="unpacked")


@law("packed.unpack", docs=f"{PAGE}pad_packed_sequence")
@given(
    lengths=LENGTHS, element=ELEMENTS, first=st.booleans(), value=VALUES, ordered=st.booleans(),
    total=st.sampled_from((None, 0, 2)),
)  # fmt: skip
def test_unpack(target, lengths, element, first, value, ordered, total):
    """pad_packed_sequence is the inverse of packing: the sequences in their order, and lengths.

    Filled with padding_value up to the longest, or to total_length.
    """
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    made = numbered(lengths, element, target.device)
    arrays = [compare.to_numpy(sequence) for sequence in made]
    packed = torch.nn.utils.rnn.pack_sequence(made, enforce_sorted=ordered)
    leaf = packed.data.detach().requires_grad_()
    packed = packed._replace(data=leaf)
    length = None if total is None else max(lengths) + total
    result, counts = torch.nn.utils.rnn.pad_packed_sequence(
        packed, batch_first=first, padding_value=value, total_length=length
    )
    expected = sequences.padded(arrays, first, value, length=length)
    compare.equal(result, expected, dtype=torch.float64)
    compare.equal(counts, np.array(lengths), dtype=torch.int64, what="lengths")
    result.backward(result.detach())
    compare.gradients([leaf], [compare.to_numpy(leaf)], [True])


@law("packed.converted", docs=f"{PAGE}PackedSequence")
@given(
    lengths=LENGTHS, ordered=st.booleans(),
    kind=st.sampled_from((torch.float32, torch.int64, torch.float64)),
)  # fmt: skip
def test_converted(target, lengths, ordered, kind):
    """PackedSequence.to converts the data alone; where nothing changes it is the same object."""
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    made = numbered(lengths, (2,), target.device)
    packed = torch.nn.utils.rnn.pack_sequence(made, enforce_sorted=ordered)
    result = packed.to(kind)
    compare.fact(result is packed, kind == torch.float64, "returns self")
    compare.fact(type(result), torch.nn.utils.rnn.PackedSequence, "type")
    compare.equal(result.data, compare.to_numpy(packed.data), dtype=kind, what="data")
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        was, now = getattr(packed, name), getattr(result, name)
        if was is None:
            compare.fact(now, None, name)
        else:
            compare.equal(now, compare.to_numpy(was), dtype=torch.int64, what=name)


REJECTIONS = {
    "unsorted": ("pack(x, [3, 2, 2])", "pack(x, [2, 3, 2])", "RuntimeError",
                 "must be sorted in decreasing order"),
    "empty": ("pack(x, [3, 2, 1])", "pack(x, [3, 2, 0])", "RuntimeError", "greater than 0"),
    "count": ("pack(x, [3, 2, 2])", "pack(x, [3, 2])", "RuntimeError", "batch_size|size of batch"),
    "total-length": ("unpack(pack(x, [3, 2, 2]), total_length=3)",
                     "unpack(pack(x, [3, 2, 2]), total_length=2)", "ValueError",
                     "total_length to be at least"),
    "pad-tensor": ("pad([x])", "pad(3)", "RuntimeError", "Expected iterable"),
    "pad-trailing": ("pad([x, x])", "pad([x, x[:, :2]])", "RuntimeError", "size"),
    "pad-side": ("pad([x], padding_side='left')", "pad([x], padding_side='top')", "RuntimeError",
                 "padding_side to be one of"),
    "pack-sequence-unsorted": ("several([x, x[:2]])", "several([x[:2], x])", "RuntimeError",
                               "must be sorted in decreasing order"),
}  # fmt: skip


@law("packed.rejected", docs=f"{PAGE}pack_padded_sequence", over=REJECTIONS)
@given(x=tensors(dtype=torch.float64, shape=(3, 3, 2)))
def test_rejected(target, case, x):
    """Lengths that are unsorted, empty or too many, and a total length too short, are refused."""
    legal, illegal, error, message = case
    names = {
        "x": x,
        "pack": torch.nn.utils.rnn.pack_padded_sequence,
        "unpack": torch.nn.utils.rnn.pad_packed_sequence,
        "pad": torch.nn.utils.rnn.pad_sequence,
        "several": torch.nn.utils.rnn.pack_sequence,
    }
    before = compare.to_numpy(x)
    eval(legal, names)
    with compare.raises({"RuntimeError": RuntimeError, "ValueError": ValueError}[error], message):
        eval(illegal, names)
    compare.unchanged(x, before, "the input")
