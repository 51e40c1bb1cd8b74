"""Dropout: what is zeroed, what is scaled, and which mask the gradient sees."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import distributions
from strategies import seeds, tensors
from strategies.layouts import WRITABLE

FEATURE_MAPS = ((2, 3, 2, 1, 2), (1, 1, 2, 2, 1), (1, 4, 1, 3, 1), (0, 2, 1, 1, 1), (4, 9, 2, 2, 1))
# The rank of an input with a batch and channels, and how many dimensions share one draw.
ELEMENTWISE = {"dropout": ("torch.nn.functional.dropout", 3, 0)}
CHANNELWISE = {
    "dropout1d": ("torch.nn.functional.dropout1d", 3, 1),
    "dropout2d": ("torch.nn.functional.dropout2d", 4, 2),
    "dropout3d": ("torch.nn.functional.dropout3d", 5, 3),
}
ZEROING = {**ELEMENTWISE, **CHANNELWISE}
DROPOUTS = {
    **ZEROING,
    "alpha_dropout": ("torch.nn.functional.alpha_dropout", 3, 0),
    "feature_alpha_dropout": ("torch.nn.functional.feature_alpha_dropout", 5, 3),
}
MODULES = {
    "Dropout": ("torch.nn.Dropout", *DROPOUTS["dropout"]),
    "Dropout1d": ("torch.nn.Dropout1d", *DROPOUTS["dropout1d"]),
    "Dropout2d": ("torch.nn.Dropout2d", *DROPOUTS["dropout2d"]),
    "Dropout3d": ("torch.nn.Dropout3d", *DROPOUTS["dropout3d"]),
    "AlphaDropout": ("torch.nn.AlphaDropout", *DROPOUTS["alpha_dropout"]),
    "FeatureAlphaDropout": ("torch.nn.FeatureAlphaDropout", *DROPOUTS["feature_alpha_dropout"]),
}
LAYOUTS = tuple(name for name in WRITABLE if name not in ("conjugated", "negated"))
# 1 / (1 - p) is a power of two: the scaling is exact.
CHANCES = st.sampled_from((0.5, 0.75, 0.875))


def inputs(case, values="dyadic"):
    shape = st.sampled_from([sides[: case[1]] for sides in FEATURE_MAPS])
    return tensors(dtype="floating", shape=shape, values=values, layouts=LAYOUTS)


def nonzero_inputs(case):
    return inputs(case, "positive")


def module_inputs(case):
    return inputs(case[1:], "positive")


def any_inputs(case):
    return inputs(case, "any")


@law("dropout.evaluation", docs="torch.nn.Dropout", over=DROPOUTS)
@given(seed=seeds(), source=any_inputs, p=st.integers(0, 8))
def test_evaluation(target, case, seed, source, p):
    """In evaluation, with training=False, every dropout is the identity, whatever p is."""
    before = compare.to_numpy(source)
    torch.manual_seed(seed)
    result = target.run(case[0], source, p / 8, training=False)
    compare.equal(result, before, dtype=source.dtype)
    compare.unchanged(source, before, "input")


@law("dropout.nothing-dropped", docs="torch.nn.functional.dropout", over=DROPOUTS)
@given(seed=seeds(), source=inputs)
def test_nothing_dropped(target, case, seed, source):
    """In training, p = 0 drops nothing and scales by 1: the result is the input."""
    torch.manual_seed(seed)
    result = target.run(case[0], source, 0.0, training=True)
    compare.close(result, compare.to_numpy(source), bound=0.0, dtype=source.dtype)


@law("dropout.all-dropped", docs="torch.nn.functional.dropout", over=ZEROING)
@given(seed=seeds(), source=nonzero_inputs)
def test_all_dropped(target, case, seed, source):
    """In training, p = 1 zeroes everything."""
    torch.manual_seed(seed)
    result = target.run(case[0], source, 1.0, training=True)
    compare.close(result, np.zeros(tuple(source.shape)), bound=0.0, dtype=source.dtype)


@law("dropout.values", docs="torch.nn.Dropout", over=ZEROING)
@given(seed=seeds(), source=nonzero_inputs, p=CHANCES)
def test_values(target, case, seed, source, p):
    """In training, each element is zeroed or scaled by 1 / (1 - p): of channels, all or none.

    Exactly, for that factor is a power of two here. The input stays.
    """
    name, _, shared = case
    before = compare.to_numpy(source)
    torch.manual_seed(seed)
    result = target.run(name, source, p, training=True)
    values = compare.to_numpy(result)
    kept = values != 0
    expected = np.where(kept, before / (1 - p), 0)
    compare.close(result, expected, bound=0.0, dtype=source.dtype)
    axes = tuple(range(values.ndim - shared, values.ndim))
    whole = kept.all(axis=axes, keepdims=True) | ~kept.any(axis=axes, keepdims=True)
    compare.every(np.broadcast_to(whole, kept.shape), result, "a channel zeroed as a whole")
    compare.unchanged(source, before, "input")


@law("dropout.scale", docs="torch.nn.Dropout", over=ZEROING)
@given(seed=seeds(), source=nonzero_inputs, tenths=st.integers(1, 9))
def test_scale(target, case, seed, source, tenths):
    """What survives is scaled by 1 / (1 - p) for every p, within two roundings of the dtype."""
    p = tenths / 10
    torch.manual_seed(seed)
    result = target.run(case[0], source, p, training=True)
    expected = np.where(compare.to_numpy(result) != 0, compare.to_numpy(source) / (1 - p), 0)
    bound = 2 * torch.finfo(source.dtype).eps * np.abs(expected)
    compare.close(result, expected, bound=bound, dtype=source.dtype)


@law("dropout.gradient", docs="torch.nn.functional.dropout", over=ZEROING)
@given(
    seed=seeds(),
    source=nonzero_inputs,
    p=CHANCES,
    cotangents=st.integers(1, 8),
)
def test_gradient(target, case, seed, source, p, cotangents):
    """The gradient sees the forward pass's mask: 1 / (1 - p) where an element survived, else 0."""
    leaf = source.detach().requires_grad_()
    torch.manual_seed(seed)
    result = target.run(case[0], leaf, p, training=True)
    cotangent = np.resize(np.arange(1, cotangents + 1) / 8, tuple(source.shape))
    result.backward(torch.from_numpy(cotangent).to(device=target.device, dtype=source.dtype))
    expected = np.where(compare.to_numpy(result) != 0, cotangent / (1 - p), 0)
    compare.close(leaf.grad, expected, bound=0.0, dtype=source.dtype, what="gradient")


@law("dropout.in-place", docs="torch.nn.functional.dropout", over=ZEROING)
@given(seed=seeds(), source=nonzero_inputs, p=CHANCES, training=st.booleans())
def test_in_place(target, case, seed, source, p, training):
    """With inplace=True the input itself is zeroed and scaled, and holds the result."""
    before = compare.to_numpy(source)
    torch.manual_seed(seed)
    result = target.run(case[0], source, p, training=training, inplace=True)
    values = compare.to_numpy(source)
    expected = np.where(values != 0, before / (1 - p), 0) if training else before
    compare.close(source, expected, bound=0.0, dtype=source.dtype, what="input")
    compare.close(result, values, bound=0.0, dtype=source.dtype)


@law("dropout.rejects", docs="torch.nn.Dropout", over=DROPOUTS, level="should")
@given(
    source=inputs,
    training=st.booleans(),
    p=st.sampled_from((1.125, -0.125, 2.0, -1.0)),
)
def test_rejects(target, case, source, training, p):
    """A probability outside [0, 1] is rejected, in training and in evaluation."""
    before = compare.to_numpy(source)
    for legal in (0.0, 1.0):
        target.run(case[0], source, legal, training=training)
    with compare.raises(Exception, "between 0 and 1"):  # a compiler wraps torch's ValueError
        target.run(case[0], source, p, training=training)
    compare.unchanged(source, before, "input")


@law("dropout.module", docs="torch.nn.Dropout", over=MODULES, needs=("seeding",))
@given(seed=seeds(), source=module_inputs, p=CHANCES)
def test_module(target, case, seed, source, p):
    """A dropout module drops while training, as its function does, and is the identity in eval.

    p is 0.5 by default.
    """
    module, function = case[:2]
    before = compare.to_numpy(source)
    for arguments, chance in (((), 0.5), ((p,), p)):
        dropout = target.run(module, *arguments)
        compare.fact(dropout.training, True, "training at first")
        torch.manual_seed(seed)
        expected = compare.to_numpy(target.run(function, source, chance, training=True))
        torch.manual_seed(seed)
        dropped = target.run(dropout, source)
        compare.equal(dropped, expected, dtype=source.dtype, what="in training")
        identity = target.run(dropout.eval(), source)
        compare.equal(identity, before, dtype=source.dtype, what="in eval")
    compare.unchanged(source, before, "input")


@law("dropout.share", docs="torch.nn.Dropout", level="statistical", over=ZEROING)
@given(seed=seeds(), eighths=st.integers(1, 7))
def test_share(target, case, seed, eighths):
    """Each element, or channel, is zeroed with probability p, whatever happens to the others.

    The share of zeroed ones among n stays within sqrt(ln(2 / q) / 2n) of p but with probability
    q = 1e-15 (Hoeffding); so does, of the pairs of neighbours, the share of those that are both
    zeroed from p**2, the even pairs and the odd ones apart.
    """
    name, rank, shared = case
    p, count = eighths / 8, 128 * 256
    source = torch.ones((128, 256, *(1,) * (rank - 2)), device=target.device)
    source = source.expand(*source.shape[: rank - shared], *(2,) * shared)
    torch.manual_seed(seed)
    result = target.run(name, source, p, training=True)
    dropped = compare.to_numpy(result).reshape(count, -1)[:, 0] == 0
    shares = {"dropped": (dropped, p)}
    for start in (0, 1):
        pairs = dropped[start : start + count - 2 * start].reshape(-1, 2)
        shares[f"pairs dropped, from {start}"] = (pairs.all(axis=1), p * p)
    for what, (happened, expected) in shares.items():
        limit = distributions.mean_limit(happened.size, 1.0)
        share = torch.tensor(float(happened.mean()), dtype=torch.float64)
        compare.close(share, np.array(expected), bound=limit, dtype=share.dtype, what=what)
