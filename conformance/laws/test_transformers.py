"""Transformers: layers of encoder and decoder by their formula, with masks, fast path or not."""

import math

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import transformers
from conformance.scenarios.transformers import (
    MASKS,
    PADDING,
    activation_of,
    back,
    check_gradients,
    decoded,
    drawn,
    encoded,
    fill,
    made,
    mask_of,
    merged,
    ordered,
    padding_of,
    parts_of,
    settings_of,
)
from strategies import seeds

PAGE = "torch.nn."
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "activation": st.sampled_from(("relu", "gelu")), "norm_first": st.booleans(),
        "bias": st.booleans(), "batch_first": st.booleans(),
        "layer_norm_eps": st.sampled_from((0.5, 0.125)),
    },
)  # fmt: skip
PATHS = {"any": False, "fast": True}


def with_fast_path(options):
    """The options with which an evaluation without gradients takes the fast path."""
    return {**{k: v for k, v in options.items() if k != "bias"}, "batch_first": True}


def in_order(kind, fast):
    """The kind of a mask: added ones have a law of their own on the fast path."""
    return "boolean" if fast and kind == "added" else kind


def dropping(options, evaluating):
    """The options with a dropout that evaluation ignores, or with none."""
    return {**options, "dropout": 0.5 if evaluating else 0.0}


def first_of(mask, kind):
    """Of a mask for a batch, that for its first sequence."""
    if mask is None or kind not in ("heads", "padding"):
        return mask
    return mask[:2] if kind == "heads" else mask[0]


@law("transformers.encoder-layer", docs=f"{PAGE}TransformerEncoderLayer", over=PATHS)
@given(
    seed=seeds(), options=OPTIONS, mask=MASKS, padding=PADDING, length=st.integers(1, 3),
    evaluating=st.booleans(), recording=st.booleans(), batched=st.booleans(), hint=st.booleans(),
)  # fmt: skip
def test_encoder_layer(
    target, case, seed, options, mask, padding, length, evaluating, recording, batched, hint
):
    """An encoder layer is self-attention and a feed-forward network, each with a sum and a norm.

    ``norm(x + f(x))``, or ``x + f(norm(x))`` with norm_first. The same in training without dropout
    as in evaluation with it, where the fast path runs: with gradients or without, masked or not,
    for each head of each sequence or for all.
    """
    if case:
        options, evaluating, recording, batched = with_fast_path(options), True, False, True
    options = dropping(options, evaluating)
    generator = torch.Generator().manual_seed(seed)
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    layer.train(not evaluating)
    x = drawn((2, length, 4), generator, target.device)
    mask = in_order(mask, evaluating and not recording)
    given_mask, masks = mask_of(mask, length, length, generator, target.device)
    kind = "none" if mask == "added" else padding
    hidden = padding_of(kind, 2, length, generator, target.device)
    whole = merged(masks, hidden, 2, length, length)
    expected = transformers.encoder_layer(
        compare.to_numpy(x), parts_of(layer), settings_of(options), whole
    )
    words = {"is_causal": True} if hint and mask == "causal" else {}
    with torch.set_grad_enabled(recording):
        if batched:
            got = layer(ordered(x, options), given_mask, hidden, **words)
            got, expected = back(got, options), expected
        else:
            given_mask, hidden = first_of(given_mask, mask), first_of(hidden, "padding")
            got, expected = layer(x[0], given_mask, hidden, **words), expected[0]
    compare.close(got, expected, bound=1e-11, dtype=torch.float64, what="output")
    compare.fact(got.requires_grad, recording, "requires_grad")


ADDED = {"mask": "src_mask", "padding": "src_key_padding_mask"}


@law(
    "transformers.added-mask",
    docs="generated/torch.nn.Transformer.html#torch.nn.Transformer.forward",
    over=ADDED,
)
@given(seed=seeds(), evaluating=st.booleans(), recording=st.booleans(), first=st.booleans())
def test_added_mask(target, case, seed, evaluating, recording, first):
    """A mask of numbers is added to the scores, with gradients or without, by the fast path too.

    "If a FloatTensor is provided, it will be added to the attention weight."
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"batch_first": True, "norm_first": first, "dropout": 0.0}
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    layer.train(not evaluating)
    x = drawn((2, 3, 4), generator, target.device)
    added = drawn((3, 3) if case == "src_mask" else (2, 3), generator, target.device)
    numbers = compare.to_numpy(added)
    whole = np.broadcast_to(numbers if case == "src_mask" else numbers[:, None, None], (2, 2, 3, 3))
    expected = transformers.encoder_layer(
        compare.to_numpy(x), parts_of(layer), settings_of(options), transformers.Masks(None, whole)
    )
    with torch.set_grad_enabled(recording):
        got = layer(x, **{case: added})
    compare.close(got, expected, bound=1e-11, dtype=torch.float64, what="output")


@law("transformers.decoder-layer", docs=f"{PAGE}TransformerDecoderLayer")
@given(
    seed=seeds(), options=OPTIONS, mask=MASKS, memory_mask=MASKS, padding=PADDING,
    memory_padding=PADDING, evaluating=st.booleans(), recording=st.booleans(),
    batched=st.booleans(),
)  # fmt: skip
def test_decoder_layer(
    target, seed, options, mask, memory_mask, padding, memory_padding, evaluating, recording,
    batched,
):  # fmt: skip
    """A decoder layer attends to itself, then to the memory, then feeds forward, each with a norm.

    Each with masks of its own. The same in training without dropout as in evaluation with it, of a
    batch or of one sequence.
    """
    options = dropping(options, evaluating)
    generator = torch.Generator().manual_seed(seed)
    layer = made("TransformerDecoderLayer", (4, 2, 3), options, generator, target.device)
    layer.train(not evaluating)
    x, memory = (drawn((2, n, 4), generator, target.device) for n in (2, 3))
    own_mask, own = mask_of(mask, 2, 2, generator, target.device)
    other_mask, other = mask_of(memory_mask, 2, 3, generator, target.device)
    own_hidden, other_hidden = (
        padding_of("none" if kind == "added" else wanted, 2, keys, generator, target.device)
        for kind, wanted, keys in ((mask, padding, 2), (memory_mask, memory_padding, 3))
    )
    expected = transformers.decoder_layer(
        compare.to_numpy(x), compare.to_numpy(memory), parts_of(layer), settings_of(options),
        merged(own, own_hidden, 2, 2, 2), merged(other, other_hidden, 2, 2, 3),
    )  # fmt: skip
    given_masks = {
        "tgt_mask": own_mask, "memory_mask": other_mask, "tgt_key_padding_mask": own_hidden,
        "memory_key_padding_mask": other_hidden,
    }  # fmt: skip
    with torch.set_grad_enabled(recording):
        if batched:
            got = back(layer(ordered(x, options), ordered(memory, options), **given_masks), options)
        else:
            kinds = {"tgt_mask": mask, "memory_mask": memory_mask}
            first = {
                k: first_of(given, kinds.get(k, "padding")) for k, given in given_masks.items()
            }
            got, expected = layer(x[0], memory[0], **first), expected[0]
    compare.close(got, expected, bound=1e-11, dtype=torch.float64, what="output")


@law("transformers.encoder", docs=f"{PAGE}TransformerEncoder", over=PATHS)
@given(
    seed=seeds(), options=OPTIONS, count=st.integers(1, 3), ending=st.booleans(), mask=MASKS,
    padding=PADDING, trailing=st.booleans(), nested=st.booleans(), evaluating=st.booleans(),
    recording=st.booleans(),
)  # fmt: skip
def test_encoder(
    target, case, seed, options, count, ending, mask, padding, trailing, nested, evaluating,
    recording,
):  # fmt: skip
    """An encoder applies so many copies of its layer, one after another, and the norm at the end.

    Of copies with parameters of their own. In evaluation padding may be left out on the way; what
    comes out where nothing is padded is the same.
    """
    if case:
        options, nested, evaluating, recording, mask, padding = (
            with_fast_path(options), True, True, False, "none", "boolean"
        )  # fmt: skip
    options = dropping(options, evaluating)
    generator = torch.Generator().manual_seed(seed)
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    norm = torch.nn.LayerNorm(4, eps=0.25, dtype=torch.float64, device=target.device)
    encoder = torch.nn.TransformerEncoder(
        layer, count, norm if ending else None, enable_nested_tensor=nested
    ).to(target.device, torch.float64)
    before = parts_of(layer)
    first = parts_of(encoder.layers[0])
    for name, value in before.items():
        compare.fact(bool(np.array_equal(first[name], value)), True, f"copy of {name}")
    own = len(list(encoder.parameters())) - 2 * ending
    compare.fact(own, count * len(before), "parameters of all copies")
    fill(encoder, generator, target.device)
    for name, parameter in layer.named_parameters():
        compare.unchanged(parameter, before[name], f"{name} of the layer that was copied")
    encoder.train(not evaluating)
    x = drawn((2, 3, 4), generator, target.device)
    mask = in_order(mask, evaluating and not recording)
    given_mask, masks = mask_of(mask, 3, 3, generator, target.device)
    kind = "none" if mask == "added" else padding
    hidden = padding_of(kind, 2, 3, generator, target.device, trailing)
    parts, settings = parts_of(encoder), settings_of(options)
    value = encoded(compare.to_numpy(x), parts, count, settings, merged(masks, hidden, 2, 3, 3))
    if ending:
        value = transformers.normed(value, parts, "norm", settings._replace(eps=0.25))
    with torch.set_grad_enabled(recording):
        got = encoder(ordered(x, options), given_mask, hidden)
    got = back(got, options)
    compare.fact(tuple(got.shape), value.shape, "shape")
    kept = torch.ones(2, 3, dtype=torch.bool, device=target.device) if hidden is None else ~hidden
    chosen = compare.to_numpy(kept)
    compare.close(got[kept], value[chosen], bound=1e-10, dtype=torch.float64, what="output")


@law("transformers.whole", docs=f"{PAGE}Transformer")
@given(
    seed=seeds(), options=OPTIONS, mask=MASKS, memory_mask=MASKS, causal=st.booleans(),
    padding=PADDING, target_padding=PADDING, evaluating=st.booleans(), recording=st.booleans(),
)  # fmt: skip
def test_whole(
    target, seed, options, mask, memory_mask, causal, padding, target_padding, evaluating, recording
):
    """A transformer decodes a target with the encoded source as memory; both end with a norm.

    Each has masks of its own; what is padding in the source is in the memory.
    generate_square_subsequent_mask is the causal mask: 0 up to the diagonal, minus infinity above.
    """
    generator = torch.Generator().manual_seed(seed)
    words = {"num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 3}
    words = {**words, **dropping(options, evaluating)}
    model = made("Transformer", (4, 2), words, generator, target.device).train(not evaluating)
    source, wanted = (drawn((2, n, 4), generator, target.device) for n in (3, 2))
    source_mask, masks = mask_of(
        in_order(mask, evaluating and not recording), 3, 3, generator, target.device
    )
    other_mask, other = mask_of(memory_mask, 2, 3, generator, target.device)
    subsequent = torch.nn.Transformer.generate_square_subsequent_mask(
        2, device=target.device, dtype=torch.float64
    )
    triangle = np.array([[0.0, -math.inf], [0.0, 0.0]])
    compare.equal(subsequent, triangle, dtype=torch.float64, what="subsequent mask")
    own = transformers.Masks(allowed=triangle == 0) if causal else transformers.Masks()
    # Padding of booleans beside a mask of numbers is deprecated.
    source_kind = "none" if "added" in (mask, memory_mask) else padding
    target_kind = "none" if causal else target_padding
    source_hidden = padding_of(source_kind, 2, 3, generator, target.device, trailing=True)
    hidden = padding_of(target_kind, 2, 2, generator, target.device)
    parts, settings = parts_of(model), settings_of(options)
    encoder, decoder = (transformers.within(parts, name) for name in ("encoder", "decoder"))
    memory = encoded(
        compare.to_numpy(source), encoder, 1, settings, merged(masks, source_hidden, 2, 3, 3)
    )
    memory = transformers.normed(memory, encoder, "norm", settings)
    value = decoded(
        compare.to_numpy(wanted), memory, decoder, 2, settings, merged(own, hidden, 2, 2, 2),
        merged(other, source_hidden, 2, 2, 3),
    )  # fmt: skip
    value = transformers.normed(value, decoder, "norm", settings)
    with torch.set_grad_enabled(recording):
        got = model(
            ordered(source, options), ordered(wanted, options), src_mask=source_mask,
            tgt_mask=subsequent if causal else None, memory_mask=other_mask,
            src_key_padding_mask=source_hidden, tgt_key_padding_mask=hidden,
            memory_key_padding_mask=source_hidden,
        )  # fmt: skip
    compare.close(back(got, options), value, bound=1e-10, dtype=torch.float64, what="output")


@law("transformers.gradient", docs=f"{PAGE}TransformerEncoderLayer")
@given(
    seed=seeds(), norm_first=st.booleans(), mask=MASKS, padding=PADDING, evaluating=st.booleans(),
    activation=st.sampled_from(("gelu", "tanh")),
)  # fmt: skip
def test_gradient(target, seed, norm_first, mask, padding, evaluating, activation):
    """The gradients of an encoder layer to its input and to every parameter are exact.

    In training and in evaluation, masked and padded, with a function as activation too. Along a
    random direction of each: <gradient, u> is the derivative of the cotangent's product along u.
    """
    generator = torch.Generator().manual_seed(seed)
    words = {
        "dropout": 0.0, "norm_first": norm_first, "batch_first": True, "layer_norm_eps": 0.5,
        "activation": torch.tanh if activation == "tanh" else activation,
    }  # fmt: skip
    layer = made("TransformerEncoderLayer", (4, 2, 3), words, generator, target.device)
    layer.train(not evaluating)
    x = drawn((2, 2, 4), generator, target.device).requires_grad_()
    given_mask, masks = mask_of(mask, 2, 2, generator, target.device)
    kind = "none" if mask == "added" else padding
    hidden = padding_of(kind, 2, 2, generator, target.device)
    cotangent = drawn((2, 2, 4), generator, target.device)
    (layer(x, given_mask, hidden) * cotangent).sum().backward()
    settings = transformers.Options(2, activation_of(activation), norm_first, 0.5)
    whole = merged(masks, hidden, 2, 2, 2)
    check_gradients(
        {"input": x, **dict(layer.named_parameters())},
        lambda points: transformers.encoder_layer(points["input"], points, settings, whole),
        compare.to_numpy(cotangent), generator,
    )  # fmt: skip
