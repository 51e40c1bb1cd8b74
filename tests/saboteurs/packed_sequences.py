"""Faults in padding, packing and unpacking, and in recurrent layers over packed sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import rnn

from tests.saboteurs.faults import accepting, dropping, rewriting
from tests.saboteurs.operator_faults import Scaled
from tests.saboteurs.saboteur import Saboteur, after, replacing


def _one_more(original: Any) -> Any:
    """The longest of three sequences that are padded is filled too."""

    def pad(sequences: Any, *rest: Any, **words: Any) -> Tensor:
        if len(sequences) == 3 and words.get("padding_value"):
            lengths = [len(s) for s in sequences]
            if len(set(lengths)) == 1:
                sequences = [*sequences[:2], sequences[2][:-1]]
        result: Tensor = original(sequences, *rest, **words)
        return result

    return pad


def _reverses_two(original: Any) -> Any:
    """Two sequences are unpadded in reverse."""

    def unpad(padded: Tensor, lengths: Tensor, batch_first: bool = False) -> Any:
        parts = original(padded, lengths, batch_first)
        return parts[::-1] if len(parts) == 2 and not batch_first else parts

    return unpad


def _places_sorted(packed: Any) -> Any:
    """The places of unsorted sequences are those of the sorted ones."""
    if packed.sorted_indices is None:
        return packed
    return packed._replace(unsorted_indices=packed.sorted_indices)


def _sorted_lengths(original: Any) -> Any:
    def pad(sequence: Any, *rest: Any, **words: Any) -> Any:
        result, lengths = original(sequence, *rest, **words)
        return result, lengths.sort(descending=True).values

    return pad


def _sizes_too(original: Any) -> Any:
    def convert(self: Any, kind: torch.dtype) -> Any:
        result = original(self, kind)
        if kind == torch.float32:
            result = result._replace(batch_sizes=result.batch_sizes.to(kind))
        return result

    return convert


def _sorted_states(original: Any) -> Any:
    """Final states are in the order of the packed data."""

    def forward(self: Any, x: Any, state: Any = None) -> Any:
        output, last = original(self, x, state)
        if isinstance(x, rnn.PackedSequence) and x.sorted_indices is not None:
            last = last[:, x.sorted_indices]
        return output, last

    return forward


def _starts_unsorted(original: Any) -> Any:
    """Initial states are taken in the order of the packed data."""

    def forward(self: Any, x: Any, state: Any = None) -> Any:
        places = x.unsorted_indices if isinstance(x, rnn.PackedSequence) else None
        if places is not None and state is not None:
            state = tuple(part[:, places] for part in state)
        return original(self, x, state)

    return forward


def _scaled_gradient(original: Any) -> Any:
    def forward(self: Any, x: Any, state: Any = None) -> Any:
        if isinstance(x, rnn.PackedSequence) and len(x.batch_sizes) > 1:
            x = x._replace(data=Scaled.apply(x.data))
        return original(self, x, state)

    return forward


def _exchanges_cells(original: Any) -> Any:
    """The cells' final states of two directions are exchanged."""

    def forward(self: Any, x: Any, state: Any = None) -> Any:
        output, (hidden, cell) = original(self, x, state)
        if self.proj_size and self.bidirectional and self.num_layers == 1:
            cell = cell.flip(0)
        return output, (hidden, cell)

    return forward


def _second_layer_bias(original: Any) -> Any:
    """The gradient to a bias of the second layer is doubled."""

    def forward(self: Any, x: Any, hx: Any = None) -> Any:
        if self.num_layers > 1:
            self.bias_hh_l1.register_hook(lambda gradient: gradient * 2)
        return original(self, x, hx)

    return forward


def _drops_between_always(original: Any) -> Any:
    def forward(self: Any, x: Any, state: Any = None) -> Any:
        was = self.training
        self.training = True
        try:
            return original(self, x, state)
        finally:
            self.training = was

    return forward


def _drops_the_last(original: Any) -> Any:
    """What the last layer gives is dropped as well."""

    def forward(self: Any, x: Any, state: Any = None) -> Any:
        output, final = original(self, x, state)
        drops = self.training and self.dropout and isinstance(output, torch.Tensor)
        return torch.nn.functional.dropout(output, self.dropout) if drops else output, final

    return forward


SABOTEURS = (
    Saboteur("recurrent-last-dropped", "dropout of a GRU drops what its last layer gives too",
             ("layers.recurrent-dropout:GRU",), "output",
             replacing(torch.nn.GRU, "forward", _drops_the_last)),
    Saboteur("recurrent-dropped-always", "dropout between layers of an LSTM goes on in evaluation",
             ("layers.recurrent-dropout:LSTM",), "",
             replacing(torch.nn.LSTM, "forward", _drops_between_always)),
    Saboteur("packed-pad-shortens", "one of three sequences as long loses its end",
             ("packed.pad",), "result", replacing(rnn, "pad_sequence", _one_more)),
    Saboteur("packed-pad-side", "padding on the left is ignored with the batch first",
             ("packed.pad",), "result", rewriting(rnn, "pad_sequence", lambda s, **k: (
                 (s,), {n: v for n, v in k.items() if n != "padding_side"
                        or not k.get("batch_first")}))),
    Saboteur("packed-unpad-order", "two sequences are unpadded in reverse",
             ("packed.pad",), "unpadded", replacing(rnn, "unpad_sequence", _reverses_two)),
    Saboteur("packed-places", "the places of unsorted sequences are those of sorted ones",
             ("packed.pack",), "unsorted indices",
             after(rnn, "pack_padded_sequence", _places_sorted)),
    Saboteur("packed-sequences-reversed", "unpacking ignores how the sequences were sorted",
             ("packed.pack-sequence",), "unpacked", rewriting(rnn, "unpack_sequence", lambda p: (
                 (p._replace(sorted_indices=None, unsorted_indices=None),), {}))),
    Saboteur("packed-lengths-sorted", "the lengths come from longest to shortest",
             ("packed.unpack",), "lengths",
             replacing(rnn, "pad_packed_sequence", _sorted_lengths)),
    Saboteur("packed-padding-value", "padding_value is ignored with a total length",
             ("packed.unpack",), "result", rewriting(rnn, "pad_packed_sequence", lambda s, **k: (
                 (s,), {**k, "padding_value": 0.0} if k.get("total_length") else k))),
    Saboteur("packed-sizes-converted", "a conversion of packed data converts the batch sizes",
             ("packed.converted",), "batch_sizes", replacing(
                 rnn.PackedSequence, "to", _sizes_too)),
    Saboteur("packed-unsorted-accepted", "unsorted lengths are sorted without being asked",
             ("packed.rejected:unsorted",), "raised nothing", accepting(
                 rnn, "pack_padded_sequence", RuntimeError,
                 lambda x, lengths, **k: (x, lengths))),
    Saboteur("packed-total-ignored", "a total length that is too short is ignored",
             ("packed.rejected:total-length",), "raised nothing",
             dropping(rnn, "pad_packed_sequence", "total_length")),
    Saboteur("packed-final-sorted", "final states are in the order of the packed data",
             ("packed.recurrent:GRU",), "final state",
             replacing(torch.nn.GRU, "forward", _sorted_states)),
    Saboteur("packed-start-unsorted", "initial states are in the order of the packed data",
             ("packed.recurrent:LSTM",), "output",
             replacing(torch.nn.LSTM, "forward", _starts_unsorted)),
    Saboteur("packed-gradient", "the gradient to packed data is too large",
             ("packed.recurrent-gradient:GRU",), "gradient to sequence",
             replacing(torch.nn.GRU, "forward", _scaled_gradient)),
    Saboteur("packed-projected-cells", "cells of two directions are exchanged with proj_size",
             ("packed.projected",), "output or state",
             replacing(torch.nn.LSTM, "forward", _exchanges_cells)),
    *(
        Saboteur(f"second-layer-bias-{kind}", f"the second layer's bias of a {kind} learns twice",
                 (f"layers.recurrent-gradient:{kind}",), "gradient to weight",
                 replacing(getattr(torch.nn, kind), "forward", _second_layer_bias))
        for kind in ("RNN", "LSTM", "GRU")
    ),
)  # fmt: skip
