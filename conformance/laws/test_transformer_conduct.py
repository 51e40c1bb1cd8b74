"""Conduct of transformers: dropout, stacks, frozen parts, hooks, gradients, single precision."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import transformers
from conformance.scenarios.transformers import (
    MASKS,
    PADDING,
    check_gradients,
    decoded,
    drawn,
    encoded,
    fill,
    made,
    mask_of,
    merged,
    padding_of,
    parts_of,
    settings_of,
)
from strategies import seeds

PAGE = "torch.nn."


@law("transformers.dropped", docs=f"{PAGE}TransformerEncoderLayer")
@given(seed=seeds(), first=st.booleans(), decoding=st.booleans(), recording=st.booleans())
def test_dropped(target, seed, first, decoding, recording):
    """With a dropout of 1 nothing of attention and feed-forward is left in training: x, normalized.

    Without the norms where they come first.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"batch_first": True, "norm_first": first, "dropout": 1.0, "layer_norm_eps": 0.5}
    name = "TransformerDecoderLayer" if decoding else "TransformerEncoderLayer"
    layer = made(name, (4, 2, 3), options, generator, target.device)
    x, memory = (drawn((2, n, 4), generator, target.device) for n in (2, 3))
    expected, settings = compare.to_numpy(x), settings_of(options)
    for number in () if first else range(1, 4 if decoding else 3):
        expected = transformers.normed(expected, parts_of(layer), f"norm{number}", settings)
    with torch.set_grad_enabled(recording):
        got = layer(x, *((memory,) if decoding else ()))
    compare.close(got, expected, bound=1e-12, dtype=torch.float64, what="output")


@law("transformers.decoder", docs=f"{PAGE}TransformerDecoder")
@given(
    seed=seeds(), first=st.booleans(), count=st.integers(1, 3), ending=st.booleans(), mask=MASKS,
    memory_mask=MASKS, padding=PADDING, memory_padding=PADDING, evaluating=st.booleans(),
    recording=st.booleans(),
)  # fmt: skip
def test_decoder(
    target, seed, first, count, ending, mask, memory_mask, padding, memory_padding, evaluating,
    recording,
):  # fmt: skip
    """A decoder applies so many copies of its layer to the same memory, and the norm at the end.

    All with the same masks and paddings. The copies have parameters of their own.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"batch_first": True, "norm_first": first, "dropout": 0.5 if evaluating else 0.0}
    layer = made("TransformerDecoderLayer", (4, 2, 3), options, generator, target.device)
    norm = torch.nn.LayerNorm(4, eps=0.25) if ending else None
    decoder = torch.nn.TransformerDecoder(layer, count, norm).to(target.device, torch.float64)
    own = len(list(decoder.parameters())) - 2 * ending
    compare.fact(own, count * len(list(layer.parameters())), "parameters of all copies")
    fill(decoder, generator, target.device)
    decoder.train(not evaluating)
    x, memory = (drawn((2, n, 4), generator, target.device) for n in (2, 3))
    own_mask, masks = mask_of(mask, 2, 2, generator, target.device)
    other_mask, other = mask_of(memory_mask, 2, 3, generator, target.device)
    own_hidden, other_hidden = (
        padding_of("none" if kind == "added" else wanted, 2, keys, generator, target.device)
        for kind, wanted, keys in ((mask, padding, 2), (memory_mask, memory_padding, 3))
    )
    parts, settings = parts_of(decoder), settings_of(options)
    expected = decoded(
        compare.to_numpy(x), compare.to_numpy(memory), parts, count, settings,
        merged(masks, own_hidden, 2, 2, 2), merged(other, other_hidden, 2, 2, 3),
    )  # fmt: skip
    if ending:
        expected = transformers.normed(expected, parts, "norm", settings._replace(eps=0.25))
    with torch.set_grad_enabled(recording):
        got = decoder(
            x, memory, tgt_mask=own_mask, memory_mask=other_mask, tgt_key_padding_mask=own_hidden,
            memory_key_padding_mask=other_hidden,
        )  # fmt: skip
    compare.close(got, expected, bound=1e-10, dtype=torch.float64, what="output")


@law("transformers.decoder-gradient", docs=f"{PAGE}TransformerDecoderLayer")
@given(
    seed=seeds(), first=st.booleans(), mask=MASKS, memory_mask=MASKS, padding=PADDING,
    evaluating=st.booleans(),
)  # fmt: skip
def test_decoder_gradient(target, seed, first, mask, memory_mask, padding, evaluating):
    """The gradients of a decoder layer to its input, memory and every parameter are exact.

    Along a random direction of each, in training and in evaluation.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {
        "dropout": 0.0, "norm_first": first, "batch_first": True, "layer_norm_eps": 0.5,
        "activation": "gelu",
    }  # fmt: skip
    layer = made("TransformerDecoderLayer", (4, 2, 3), options, generator, target.device)
    layer.train(not evaluating)
    x, memory = (drawn((2, n, 4), generator, target.device).requires_grad_() for n in (2, 3))
    own_mask, masks = mask_of(mask, 2, 2, generator, target.device)
    other_mask, other = mask_of(memory_mask, 2, 3, generator, target.device)
    kind = "none" if memory_mask == "added" else padding
    hidden = padding_of(kind, 2, 3, generator, target.device)
    cotangent = drawn((2, 2, 4), generator, target.device)
    result = layer(x, memory, own_mask, other_mask, memory_key_padding_mask=hidden)
    (result * cotangent).sum().backward()
    settings, own = settings_of(options), merged(masks, None, 2, 2, 2)
    across = merged(other, hidden, 2, 2, 3)
    check_gradients(
        {"input": x, "memory": memory, **dict(layer.named_parameters())},
        lambda points: transformers.decoder_layer(
            points["input"], points["memory"], points, settings, own, across
        ),
        compare.to_numpy(cotangent), generator,
    )  # fmt: skip


FROZEN = {"any": False, "first": True}


@law("transformers.frozen", docs=f"{PAGE}TransformerEncoder", over=FROZEN)
@given(
    seed=seeds(), trained=st.tuples(st.booleans(), st.booleans()), leaf=st.booleans(),
    padding=PADDING, evaluating=st.booleans(), first=st.booleans(),
)  # fmt: skip
def test_frozen(target, case, seed, trained, leaf, padding, evaluating, first):
    """Whichever layers of an encoder are frozen, and whether its input is, its result is the same.

    The others get their gradients, in evaluation as in training; also where the first layer alone
    is frozen.
    """
    if case:
        trained, leaf, padding, evaluating = (False, True), False, "boolean", True
    elif trained == (False, True):
        leaf = leaf or evaluating
    generator = torch.Generator().manual_seed(seed)
    options = {
        "dropout": 0.0, "batch_first": True, "norm_first": first, "activation": "gelu",
        "layer_norm_eps": 0.5,
    }  # fmt: skip
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    encoder = torch.nn.TransformerEncoder(layer, 2).train(not evaluating)
    fill(encoder, generator, target.device)
    for member, flag in zip(encoder.layers, trained, strict=True):
        member.requires_grad_(flag)
    x = drawn((2, 3, 4), generator, target.device).requires_grad_(leaf)
    hidden = padding_of(padding, 2, 3, generator, target.device, trailing=True)
    kept = np.ones((2, 3, 1)) if hidden is None else ~compare.to_numpy(hidden)[..., None]
    settings, masks = settings_of(options), merged(transformers.UNMASKED, hidden, 2, 3, 3)
    expected = encoded(compare.to_numpy(x), parts_of(encoder), 2, settings, masks)
    result = encoder(x, src_key_padding_mask=hidden)
    compare.fact(result.requires_grad, leaf or any(trained), "requires_grad")
    chosen = torch.from_numpy(kept).to(target.device, torch.float64)
    compare.close(result * chosen, expected * kept, bound=1e-10, dtype=torch.float64, what="output")
    cotangent = drawn((2, 3, 4), generator, target.device) * chosen
    if result.requires_grad:
        (result * cotangent).sum().backward()
    check_gradients(
        {"input": x, **dict(encoder.named_parameters())},
        lambda points: encoded(points["input"], points, 2, settings, masks),
        compare.to_numpy(cotangent), generator,
    )  # fmt: skip


MEMBERS = ("self_attn", "linear1", "linear2", "norm1", "norm2")


@law(
    "transformers.hooks",
    docs="generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook",
)
@given(
    seed=seeds(), member=st.sampled_from(MEMBERS), number=st.integers(0, 1), before=st.booleans(),
    padding=PADDING, evaluating=st.booleans(), recording=st.booleans(),
)  # fmt: skip
def test_hooks(target, seed, member, number, before, padding, evaluating, recording):
    """A forward hook of a member of an encoder's layer is called each time, the fast path or not.

    "It will be called every time after forward() has computed an output", or before; the result is
    the same.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"dropout": 0.0, "batch_first": True}
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    encoder = torch.nn.TransformerEncoder(layer, 2).train(not evaluating)
    fill(encoder, generator, target.device)
    module = getattr(encoder.layers[number], member)
    called = []
    register = module.register_forward_pre_hook if before else module.register_forward_hook
    handle = register(lambda hooked, *_: called.append(hooked))
    x = drawn((2, 3, 4), generator, target.device)
    hidden = padding_of(padding, 2, 3, generator, target.device, trailing=True)
    masks = merged(transformers.UNMASKED, hidden, 2, 3, 3)
    expected = encoded(compare.to_numpy(x), parts_of(encoder), 2, settings_of(options), masks)
    kept = torch.ones(2, 3, dtype=torch.bool, device=target.device) if hidden is None else ~hidden
    for times in (1, 2, 2):
        with torch.set_grad_enabled(recording):
            got = encoder(x, src_key_padding_mask=hidden)
        compare.close(
            got[kept], expected[compare.to_numpy(kept)], bound=1e-10, dtype=torch.float64,
            what="output",
        )  # fmt: skip
        compare.fact([each is module for each in called], [True] * times, "calls of the hook")
        if times == 2:
            handle.remove()


@law(
    "transformers.single", docs=f"{PAGE}TransformerEncoderLayer", over={"any": False, "fast": True}
)
@given(
    seed=seeds(), first=st.booleans(), mask=st.sampled_from(("none", "boolean", "heads")),
    activation=st.sampled_from(("relu", "gelu")), length=st.sampled_from((1, 3, 9)),
)  # fmt: skip
def test_single(target, case, seed, first, mask, activation, length):
    """In float32 an encoder layer computes the same but for rounding, on the fast path and else."""
    generator = torch.Generator().manual_seed(seed)
    options = {
        "dropout": 0.0, "batch_first": True, "norm_first": first, "layer_norm_eps": 0.5,
        "activation": activation,
    }  # fmt: skip
    layer = made("TransformerEncoderLayer", (4, 2, 3), options, generator, target.device)
    layer = layer.to(torch.float32).train(not case)
    x = drawn((2, length, 4), generator, target.device)
    given_mask, masks = mask_of(mask, length, length, generator, target.device)
    expected = transformers.encoder_layer(
        compare.to_numpy(x), parts_of(layer), settings_of(options),
        merged(masks, None, 2, length, length),
    )  # fmt: skip
    with torch.set_grad_enabled(not case):
        got = layer(x.float(), given_mask)
    # Scores up to 50 rounded a few times shift weights by 2e-5; norms enlarge them twofold.
    compare.close(got, expected, bound=1e-4, dtype=torch.float32, what="output")
