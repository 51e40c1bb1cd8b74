"""Attention of several heads as a module, with every option, in training and evaluation."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import attention, derivatives
from strategies import seeds

PAGE = "torch.nn.MultiheadAttention"
OPTIONS = {
    "bias": st.booleans(), "add_bias_kv": st.booleans(), "add_zero_attn": st.booleans(),
    "kdim": st.sampled_from((3, 4)), "vdim": st.sampled_from((2, 4)),
}  # fmt: skip


def drawn(shape, generator, device):
    """Multiples of 1/16 of that shape, up to 1."""
    numbers = torch.randint(-16, 17, shape, generator=generator, dtype=torch.float64)
    return (numbers / 16).to(device)


def masks(kind, shape, generator, device):
    """A mask that leaves the first key, and what it is to the reference: allowed, added."""
    if kind == "none":
        return None, None, None
    if kind == "added":
        added = drawn(shape, generator, device)
        return added, None, compare.to_numpy(added)
    hidden = torch.randint(0, 2, shape, generator=generator).to(device) == 1
    hidden[..., 0] = False
    return hidden, ~compare.to_numpy(hidden), None


def parts_of(module):
    """The matrices and biases of a module, as the reference takes them."""
    return parts_among({name: compare.to_numpy(p) for name, p in module.named_parameters()})


def parts_among(own):
    """The same of arrays by the names of the parameters."""
    if "in_proj_weight" in own:
        matrices = np.split(own["in_proj_weight"], 3)
    else:
        matrices = [own[f"{name}_proj_weight"] for name in "qkv"]
    biases = np.split(own["in_proj_bias"], 3) if "in_proj_bias" in own else [None] * 3
    output = (own["out_proj.weight"], own.get("out_proj.bias"))
    return tuple(matrices), tuple(biases), output, (own.get("bias_k"), own.get("bias_v"))


@law("attention.heads", docs=PAGE)
@given(
    seed=seeds(),
    options=st.fixed_dictionaries({}, optional={**OPTIONS, "batch_first": st.booleans()}),
    call=st.tuples(
        st.sampled_from(("none", "boolean", "added")), st.sampled_from(("none", "boolean")),
        st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    ),
)  # fmt: skip
def test_heads(target, seed, options, call):
    """MultiheadAttention is Concat(head_1, ..., head_h) W^O, head_i the attention of projections.

    head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V). True in a mask hides a key, numbers are added to
    the scores. With need_weights it returns the weights too, their mean over heads or each. The
    same in training and in evaluation, with gradients or without, of batches or of one sequence.
    """
    masking, padding, each_head, needed, averaged, evaluating, batched = call
    generator = torch.Generator().manual_seed(seed)
    module = torch.nn.MultiheadAttention(4, 2, **options).to(target.device, torch.float64)
    for parameter in module.parameters():
        parameter.data.copy_(drawn(parameter.shape, generator, target.device))
    module.train(not evaluating)
    batch, queries, keys = 2 if batched else 1, 2, 3
    sizes = ((queries, 4), (keys, options.get("kdim", 4)), (keys, options.get("vdim", 4)))
    inputs = [drawn((batch, *size), generator, target.device) for size in sizes]
    shape = (2 * batch, queries, keys) if each_head else (queries, keys)
    mask, allowed, added = masks(masking, shape, generator, target.device)
    hidden, kept, _ = masks(padding, (batch, keys), generator, target.device)
    whole = np.ones((batch, 2, queries, keys), bool)
    whole &= True if kept is None else kept[:, None, None]
    whole &= True if allowed is None else allowed.reshape(-1, 2 if each_head else 1, queries, keys)
    more = None if added is None else added.reshape(-1, 2 if each_head else 1, queries, keys)
    more = None if more is None else np.broadcast_to(more, whole.shape)
    matrices, biases, output, extra = parts_of(module)
    query, key, value = (compare.to_numpy(x) for x in inputs)
    zero = options.get("add_zero_attn", False)
    expected, weights = attention.multi_head_attention(
        query, key, value, 2, matrices, biases, output, extra, zero, whole, more
    )
    weights = weights.mean(axis=1) if averaged else weights
    if not batched:
        inputs, expected, weights = [x[0] for x in inputs], expected[0], weights[0]
        hidden = None if hidden is None else hidden[0]
    elif not options.get("batch_first"):
        inputs = [x.transpose(0, 1) for x in inputs]
        expected = expected.swapaxes(0, 1)
    with torch.set_grad_enabled(not evaluating):
        got, found = module(
            *inputs, key_padding_mask=hidden, attn_mask=mask, need_weights=needed,
            average_attn_weights=averaged,
        )  # fmt: skip
    compare.close(got, expected, bound=1e-12, dtype=torch.float64, what="output")
    if needed:
        compare.close(found, weights, bound=1e-13, dtype=torch.float64, what="weights")
    else:
        compare.fact(found, None, "weights that are not needed")


@law("attention.causal-hint", docs=PAGE)
@given(seed=seeds(), needed=st.booleans(), evaluating=st.booleans(), length=st.integers(1, 3))
def test_causal_hint(target, seed, needed, evaluating, length):
    """is_causal=True beside the causal mask changes nothing: it is a hint that the mask is that.

    Without the mask it is refused.
    """
    generator = torch.Generator().manual_seed(seed)
    module = torch.nn.MultiheadAttention(4, 2, batch_first=True).to(target.device, torch.float64)
    module.train(not evaluating)
    x = drawn((2, length, 4), generator, target.device)
    mask = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(1)
    matrices, biases, output, extra = parts_of(module)
    array = compare.to_numpy(x)
    allowed = np.broadcast_to(np.tril(np.ones((length, length), bool)), (2, 2, length, length))
    expected, _ = attention.multi_head_attention(
        array, array, array, 2, matrices, biases, output, extra, False, allowed
    )
    for hint in (False, True):
        with torch.set_grad_enabled(not evaluating):
            got, _ = module(x, x, x, attn_mask=mask, need_weights=needed, is_causal=hint)
        compare.close(got, expected, bound=1e-12, dtype=torch.float64, what=f"hint {hint}")
    with compare.raises(RuntimeError, "Need attn_mask if specifying the is_causal hint"):
        module(x, x, x, need_weights=needed, is_causal=True)


@law("attention.gradient", docs=PAGE)
@given(
    seed=seeds(),
    options=st.fixed_dictionaries({}, optional=OPTIONS),
    masking=st.sampled_from(("none", "boolean", "added")), needed=st.booleans(),
    evaluating=st.booleans(), own=st.booleans(),
)  # fmt: skip
def test_gradient(target, seed, options, masking, needed, evaluating, own):
    """The gradients of MultiheadAttention to its inputs and to every parameter are exact.

    To a mask of numbers too; of self-attention, to the one input through all three. Along a random
    direction of each: <gradient, u> is the derivative of the cotangent's product along u.
    """
    generator = torch.Generator().manual_seed(seed)
    if own:
        options = {k: v for k, v in options.items() if k not in ("kdim", "vdim")}
    module = torch.nn.MultiheadAttention(4, 2, batch_first=True, **options)
    module = module.to(target.device, torch.float64).train(not evaluating)
    for parameter in module.parameters():
        parameter.data.copy_(drawn(parameter.shape, generator, target.device))
    sizes = ((2, 4), (3, options.get("kdim", 4)), (3, options.get("vdim", 4)))
    inputs = [drawn((2, *size), generator, target.device) for size in (sizes[:1] if own else sizes)]
    keys = 2 if own else 3
    mask, allowed, added = masks(masking, (2, keys), generator, target.device)
    leaves = [x.requires_grad_() for x in (*inputs, *([mask] if added is not None else []))]
    cotangent = drawn((2, 2, 4), generator, target.device)
    got, _ = module(*(inputs * 3 if own else inputs), attn_mask=mask, need_weights=needed)
    (got * cotangent).sum().backward()
    weights, zero = compare.to_numpy(cotangent), options.get("add_zero_attn", False)
    whole = None if allowed is None else np.broadcast_to(allowed, (2, 2, 2, keys))

    def product(arrays):
        points = [arrays[name] for name in inner]
        query, key, value = [points[0]] * 3 if own else points[:3]
        more = None if added is None else np.broadcast_to(points[-1], (2, 2, 2, keys))
        matrices, biases, output, extra = parts_among(arrays)
        found, _ = attention.multi_head_attention(
            query, key, value, 2, matrices, biases, output, extra, zero, whole, more
        )
        return np.imag((found * weights).sum()) / derivatives.STEP

    inner = {f"input {number}": leaf for number, leaf in enumerate(leaves)}
    named = {**inner, **dict(module.named_parameters())}
    arrays = {name: compare.to_numpy(leaf) + 0j for name, leaf in named.items()}
    for name, leaf in named.items():
        direction = compare.to_numpy(drawn(leaf.shape, generator, torch.device("cpu")))
        moved = {**arrays, name: arrays[name] + 1j * derivatives.STEP * direction}
        slope = (leaf.grad * torch.from_numpy(direction).to(target.device)).sum()
        expected = np.array(product(moved))
        compare.close(slope, expected, bound=1e-11, dtype=torch.float64, what=f"gradient to {name}")
