"""Transformers: layers of encoder and decoder by their formula, with masks, fast path or not."""

import math

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import activations, derivatives, transformers
from conformance.target import resolve
from strategies import seeds

PAGE = "torch.nn."
MASKS = st.sampled_from(("none", "boolean", "causal", "added"))
PADDING = st.sampled_from(("none", "boolean"))
OPTIONS = st.fixed_dictionaries(
    {"dropout": st.just(0.0)},
    optional={
        "activation": st.sampled_from(("relu", "gelu")), "norm_first": st.booleans(),
        "bias": st.booleans(), "batch_first": st.booleans(),
        "layer_norm_eps": st.sampled_from((0.5, 0.125)),
    },
)  # fmt: skip
PATHS = {"any": False, "fast": True}


def drawn(shape, generator, device):
    """Multiples of 1/16 of that shape, up to 1."""
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 16).to(device)


def made(name, arguments, options, generator, device):
    """A new layer in float64, with parameters of its own."""
    layer = resolve(f"torch.nn.{name}")(*arguments, **options).to(device, torch.float64)
    for parameter in layer.parameters():
        parameter.data.copy_(drawn(parameter.shape, generator, device))
    return layer


def activation_of(name):
    """The function of a name, as the reference takes it."""
    return {"relu": activations.relu, "gelu": activations.gelu, "tanh": np.tanh}[name]


def with_fast_path(options):
    """The options with which an evaluation without gradients takes the fast path."""
    return {**{k: v for k, v in options.items() if k != "bias"}, "batch_first": True}


def parts_of(layer):
    return {name: compare.to_numpy(parameter) for name, parameter in layer.named_parameters()}


def settings_of(options):
    """The options as the reference takes them, for two heads."""
    activation = activation_of(options.get("activation", "relu"))
    eps = options.get("layer_norm_eps", 1e-5)
    return transformers.Options(2, activation, options.get("norm_first", False), eps)


def mask_of(kind, queries, keys, generator, device):
    """A mask that leaves the first key, and what it is to the reference."""
    if kind == "none":
        return None, transformers.Masks()
    if kind == "added":
        added = drawn((queries, keys), generator, device)
        return added, transformers.Masks(added=compare.to_numpy(added))
    hidden = torch.randint(0, 2, (queries, keys), generator=generator) == 1
    if kind == "causal":
        hidden = torch.ones(queries, keys, dtype=torch.bool).triu(1)
    hidden[:, 0] = False
    return hidden.to(device), transformers.Masks(allowed=~hidden.numpy())


def padding_of(kind, batch, keys, generator, device, trailing=False):
    """Which keys of each sequence are padding, never the first; None where there are none."""
    if kind == "none":
        return None
    if trailing:
        lengths = torch.randint(1, keys + 1, (batch, 1), generator=generator)
        return (torch.arange(keys) >= lengths).to(device)
    hidden = torch.randint(0, 2, (batch, keys), generator=generator) == 1
    hidden[:, 0] = False
    return hidden.to(device)


def merged(masks, padding, batch, queries, keys):
    """Masks over (batch, head, query, key) that hide padding as well."""
    shape = (batch, 2, queries, keys)
    allowed = np.ones(shape, bool)
    if masks.allowed is not None:
        allowed &= masks.allowed
    if padding is not None:
        allowed &= ~compare.to_numpy(padding)[:, None, None]
    added = None if masks.added is None else np.broadcast_to(masks.added, shape)
    return transformers.Masks(allowed, added)


def in_order(kind, recording):
    """The kind of a mask: added ones have a law of their own on the fast path."""
    return kind if recording or kind != "added" else "boolean"


def ordered(x, options):
    """A batch as the layer takes it: its first dimension, or its second."""
    return x if options.get("batch_first") else x.transpose(0, 1)


def back(x, options):
    return x if options.get("batch_first") else x.swapaxes(0, 1)


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
    as in evaluation, where the fast path runs: with gradients or without, masked or not.
    """
    if case:
        options, evaluating, recording, batched = with_fast_path(options), True, False, True
    generator = torch.Generator().manual_seed(seed)
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    layer.train(not evaluating)
    x = drawn((2, length, 4), generator, target.device)
    mask = in_order(mask, recording)
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
            hidden = None if hidden is None else hidden[0]
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
)  # fmt: skip
def test_decoder_layer(
    target, seed, options, mask, memory_mask, padding, memory_padding, evaluating, recording
):
    """A decoder layer attends to itself, then to the memory, then feeds forward, each with a norm.

    Each with masks of its own. The same in training without dropout as in evaluation.
    """
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
    with torch.set_grad_enabled(recording):
        got = layer(
            ordered(x, options), ordered(memory, options), tgt_mask=own_mask,
            memory_mask=other_mask, tgt_key_padding_mask=own_hidden,
            memory_key_padding_mask=other_hidden,
        )  # fmt: skip
    compare.close(back(got, options), expected, bound=1e-11, dtype=torch.float64, what="output")


@law("transformers.encoder", docs=f"{PAGE}TransformerEncoder", over=PATHS)
@given(
    seed=seeds(), options=OPTIONS, count=st.integers(1, 3), ending=st.booleans(), mask=MASKS,
    padding=PADDING, trailing=st.booleans(), nested=st.booleans(), evaluating=st.booleans(),
)  # fmt: skip
def test_encoder(
    target, case, seed, options, count, ending, mask, padding, trailing, nested, evaluating
):
    """An encoder applies so many copies of its layer, one after another, and the norm at the end.

    Of copies with parameters of their own. In evaluation padding may be left out on the way; what
    comes out where nothing is padded is the same.
    """
    if case:
        options, nested, evaluating, mask, padding = (
            with_fast_path(options), True, True, "none", "boolean"
        )  # fmt: skip
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
    for parameter in encoder.parameters():
        parameter.data.copy_(drawn(parameter.shape, generator, target.device))
    for name, parameter in layer.named_parameters():
        compare.unchanged(parameter, before[name], f"{name} of the layer that was copied")
    encoder.train(not evaluating)
    x = drawn((2, 3, 4), generator, target.device)
    mask = in_order(mask, not evaluating)
    given_mask, masks = mask_of(mask, 3, 3, generator, target.device)
    kind = "none" if mask == "added" else padding
    hidden = padding_of(kind, 2, 3, generator, target.device, trailing)
    value, settings = compare.to_numpy(x), settings_of(options)
    for number in range(count):
        parts = parts_of(encoder.layers[number])
        value = transformers.encoder_layer(value, parts, settings, merged(masks, hidden, 2, 3, 3))
    if ending:
        final = settings._replace(eps=0.25)
        value = transformers.normed(value, parts_of(encoder), "norm", final)
    with torch.set_grad_enabled(not evaluating):
        got = encoder(ordered(x, options), given_mask, hidden)
    got = back(got, options)
    compare.fact(tuple(got.shape), value.shape, "shape")
    kept = torch.ones(2, 3, dtype=torch.bool, device=target.device) if hidden is None else ~hidden
    chosen = compare.to_numpy(kept)
    compare.close(got[kept], value[chosen], bound=1e-10, dtype=torch.float64, what="output")


@law("transformers.whole", docs=f"{PAGE}Transformer")
@given(seed=seeds(), options=OPTIONS, mask=MASKS, causal=st.booleans(), evaluating=st.booleans())
def test_whole(target, seed, options, mask, causal, evaluating):
    """A transformer decodes a target with the encoded source as memory; both end with a norm.

    generate_square_subsequent_mask is the causal mask: 0 up to the diagonal, minus infinity above.
    """
    generator = torch.Generator().manual_seed(seed)
    words = {"num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 3, **options}
    model = made("Transformer", (4, 2), words, generator, target.device).train(not evaluating)
    source, wanted = (drawn((2, n, 4), generator, target.device) for n in (3, 2))
    mask = in_order(mask, not evaluating)
    source_mask, masks = mask_of(mask, 3, 3, generator, target.device)
    subsequent = torch.nn.Transformer.generate_square_subsequent_mask(
        2, device=target.device, dtype=torch.float64
    )
    triangle = np.array([[0.0, -math.inf], [0.0, 0.0]])
    compare.equal(subsequent, triangle, dtype=torch.float64, what="subsequent mask")
    whole = np.broadcast_to(np.tril(np.ones((2, 2), bool)), (2, 2, 2, 2))
    own = transformers.Masks(allowed=whole) if causal else transformers.Masks()
    parts, settings = parts_of(model), settings_of(options)
    encoder, decoder = (transformers.within(parts, name) for name in ("encoder", "decoder"))
    memory = transformers.encoder_layer(
        compare.to_numpy(source), transformers.within(encoder, "layers.0"), settings,
        merged(masks, None, 2, 3, 3),
    )  # fmt: skip
    memory = transformers.normed(memory, encoder, "norm", settings)
    value = compare.to_numpy(wanted)
    for number in range(2):
        layer = transformers.within(decoder, f"layers.{number}")
        value = transformers.decoder_layer(value, memory, layer, settings, own)
    value = transformers.normed(value, decoder, "norm", settings)
    with torch.set_grad_enabled(not evaluating):
        got = model(
            ordered(source, options), ordered(wanted, options), src_mask=source_mask,
            tgt_mask=subsequent if causal else None,
        )  # fmt: skip
    compare.close(back(got, options), value, bound=1e-10, dtype=torch.float64, what="output")


@law("transformers.gradient", docs=f"{PAGE}TransformerEncoderLayer")
@given(
    seed=seeds(), norm_first=st.booleans(), mask=MASKS, evaluating=st.booleans(),
    activation=st.sampled_from(("gelu", "tanh")),
)  # fmt: skip
def test_gradient(target, seed, norm_first, mask, evaluating, activation):
    """The gradients of an encoder layer to its input and to every parameter are exact.

    In training and in evaluation, with a function as activation too. Along a random direction of
    each: <gradient, u> is the derivative of the cotangent's product along u.
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
    cotangent = drawn((2, 2, 4), generator, target.device)
    (layer(x, given_mask) * cotangent).sum().backward()
    settings = transformers.Options(2, activation_of(activation), norm_first, 0.5)
    weights, whole = compare.to_numpy(cotangent), merged(masks, None, 2, 2, 2)
    parts, point = parts_of(layer), compare.to_numpy(x)

    def along(name, direction):
        moved = {k: v + 0j for k, v in parts.items()}
        start = point + 0j
        if name == "input":
            start = start + 1j * derivatives.STEP * direction
        else:
            moved[name] = moved[name] + 1j * derivatives.STEP * direction
        value = transformers.encoder_layer(start, moved, settings, whole)
        return np.imag((value * weights).sum()) / derivatives.STEP

    for name, leaf in (("input", x), *layer.named_parameters()):
        direction = compare.to_numpy(drawn(leaf.shape, generator, torch.device("cpu")))
        product = (leaf.grad * torch.from_numpy(direction).to(target.device)).sum()
        expected = np.array(along(name, direction))
        compare.close(
            product, expected, bound=1e-10, dtype=torch.float64, what=f"gradient to {name}"
        )
