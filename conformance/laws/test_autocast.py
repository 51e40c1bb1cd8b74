"""Autocast: which operators run in lower precision, in float32, or as they are."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import layers
from conformance.target import resolve
from strategies import seeds

LOWER_PAGE = "amp.html#cpu-ops-that-can-autocast-to-bfloat16"
UPPER_PAGE = "amp.html#cpu-ops-that-can-autocast-to-float32"
DTYPES = st.sampled_from((torch.bfloat16, torch.float16))
BLUR = 1 + 2.0**-12  # whole numbers times this are in float32; in lower precision they are whole


def whole(shape, generator, device, dtype):
    """Whole numbers up to 2; in float32 each a little larger than it is in lower precision."""
    numbers = torch.randint(-2, 3, shape, generator=generator).double()
    return (numbers * BLUR if dtype == torch.float32 else numbers).to(dtype).to(device)


def rounded(x):
    """The whole numbers that are left in lower precision."""
    return np.round(compare.to_numpy(x)).astype(np.float64)


def added_product(c, a, b):
    """c + A B, of matrices or of batches of them."""
    return c + a @ b


def added_sum(c, a, b):
    """c + the sum of A_i B_i."""
    return c + (a @ b).sum(axis=0)


def three(a, b, c):
    """A B C."""
    return a @ b @ c


def in_time(x, weight, bias):
    """A convolution of (time, batch, channels)."""
    ordered, filters = x.transpose(1, 2, 0), weight.transpose(2, 1, 0)
    return layers.convolution(ordered, filters, bias).transpose(2, 0, 1)


def leaky(x, weight):
    """x, times the weight where it is negative."""
    return np.where(x > 0, x, x * weight)


def vector_products(a, b):
    """The sums of a b along the last dimension."""
    return (a * b).sum(axis=-1)


def affine(x, weight, bias):
    """x A^T + b."""
    return layers.linear(x, weight, bias)


def correlated(*operands):
    """The convolution of an image with filters."""
    return layers.convolution(*operands)


def spread(*operands):
    """The transposed convolution."""
    return layers.transposed_convolution(*operands)


LOWER = {
    "mm": ("torch.mm", np.matmul, ((2, 3), (3, 2))),
    "bmm": ("torch.bmm", np.matmul, ((2, 2, 3), (2, 3, 1))),
    "matmul": ("torch.matmul", np.matmul, ((2, 2, 3), (3, 2))),
    "method": ("torch.Tensor.matmul", np.matmul, ((2, 3), (3, 2))),
    "addmm": ("torch.addmm", added_product, ((2, 2), (2, 3), (3, 2))),
    "baddbmm": ("torch.baddbmm", added_product, ((2, 2, 2), (2, 2, 3), (2, 3, 2))),
    "addbmm": ("torch.addbmm", added_sum, ((2, 2), (2, 2, 1), (2, 1, 2))),
    "linear": ("torch.nn.functional.linear", affine, ((2, 3), (2, 3), (2,))),
    "conv1d": ("torch.nn.functional.conv1d", correlated, ((1, 2, 3), (2, 2, 2))),
    "conv2d": ("torch.nn.functional.conv2d", correlated,
               ((1, 2, 2, 2), (1, 2, 2, 1), (1,))),
    "conv3d": ("torch.nn.functional.conv3d", correlated,
               ((1, 1, 2, 2, 1), (2, 1, 2, 1, 1))),
    "conv_transpose1d": ("torch.nn.functional.conv_transpose1d", spread,
                         ((1, 2, 2), (2, 1, 2), (1,))),
    "conv_transpose2d": ("torch.nn.functional.conv_transpose2d", spread,
                         ((1, 2, 2, 1), (2, 1, 2, 1))),
    "conv_transpose3d": ("torch.nn.functional.conv_transpose3d", spread,
                         ((1, 1, 1, 2, 1), (1, 2, 1, 2, 1))),
    "conv_tbc": ("torch.conv_tbc", in_time, ((3, 1, 2), (2, 2, 1), (1,))),
    "prelu": ("torch.prelu", leaky, ((2, 3), (3,))),
    "vecdot": ("torch.linalg.vecdot", vector_products, ((2, 3), (2, 3))),
}  # fmt: skip


@law("autocast.lower", docs=LOWER_PAGE, over=LOWER)
@given(seed=seeds(), dtype=DTYPES, kept=st.integers(0, 7), cached=st.booleans())
def test_lower(target, case, seed, dtype, kept, cached):
    """Products and convolutions of float32 run in the dtype of autocast, which their results have.

    Their operands are rounded to it, those of float32 among others of that dtype too. Outside
    the region nothing is cast.
    """
    name, function, shapes = case
    generator = torch.Generator().manual_seed(seed)
    kinds = [torch.float32 if not kept >> n & 1 or n == 0 else dtype for n in range(len(shapes))]
    operands = [
        whole(shape, generator, target.device, kind)
        for shape, kind in zip(shapes, kinds, strict=True)
    ]
    before = [compare.to_numpy(operand) for operand in operands]
    expected = function(*(rounded(operand) for operand in operands))
    operation = resolve(name)
    with torch.autocast(target.device.type, dtype=dtype, cache_enabled=cached):
        result = operation(*operands)
    compare.close(result, expected, bound=0.0, dtype=dtype, what="result under autocast")
    for operand, value in zip(operands, before, strict=True):
        compare.unchanged(operand, value, "operand")
    again = operation(*(operand.float() for operand in operands))
    exact = function(*(value.astype(np.float64) for value in before))
    compare.close(again, exact, bound=1e-4, dtype=torch.float32, what="result afterwards")


UPPER = {
    "prod": ("torch.prod", "x"), "trace": ("torch.trace", "x"), "cdist": ("torch.cdist", "x, y"),
    "quantile": ("torch.quantile", "x, q"), "inverse": ("torch.inverse", "m"),
    "linalg_inv": ("torch.linalg.inv", "m"), "linalg_solve": ("torch.linalg.solve", "m, y"),
    "linalg_qr": ("torch.linalg.qr", "m"), "fft": ("torch.fft.fft", "x"),
    "mse_loss": ("torch.nn.functional.mse_loss", "x, y"),
    "l1_loss": ("torch.nn.functional.l1_loss", "x, y"),
    "smooth_l1_loss": ("torch.nn.functional.smooth_l1_loss", "x, y"),
    "huber_loss": ("torch.nn.functional.huber_loss", "x, y"),
    "binary_cross_entropy_with_logits":
        ("torch.nn.functional.binary_cross_entropy_with_logits", "x, p"),
    "binary_cross_entropy": ("torch.nn.functional.binary_cross_entropy", "p, p"),
    "cross_entropy": ("torch.nn.functional.cross_entropy", "x, c"),
    "nll_loss": ("torch.nn.functional.nll_loss", "x, c"),
    "kl_div": ("torch.nn.functional.kl_div", "x, p"),
    "poisson_nll_loss": ("torch.nn.functional.poisson_nll_loss", "x, p"),
    "hinge_embedding_loss": ("torch.nn.functional.hinge_embedding_loss", "x, s"),
    "soft_margin_loss": ("torch.nn.functional.soft_margin_loss", "x, s"),
    "margin_ranking_loss": ("torch.nn.functional.margin_ranking_loss", "x, y, s"),
    "cosine_embedding_loss": ("torch.nn.functional.cosine_embedding_loss", "m, m, v"),
    "triplet_margin_loss": ("torch.nn.functional.triplet_margin_loss", "x, y, m"),
    "multi_margin_loss": ("torch.nn.functional.multi_margin_loss", "x, c"),
    "avg_pool3d": ("torch.nn.functional.avg_pool3d", "b, k"),
    "max_pool3d": ("torch.nn.functional.max_pool3d", "b, k"),
    "adaptive_avg_pool3d": ("torch.nn.functional.adaptive_avg_pool3d", "b, k"),
    "adaptive_max_pool3d": ("torch.nn.functional.adaptive_max_pool3d", "b, k"),
}  # fmt: skip


@law("autocast.upper", docs=UPPER_PAGE, over=UPPER)
@given(seed=seeds(), dtype=DTYPES, kept=st.booleans())
def test_upper(target, case, seed, dtype, kept):
    """Losses, inverses and their like run in float32 under autocast, whatever their inputs.

    They give what they give outside for the same numbers in float32.
    """
    name, letters = case
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randint(-8, 9, (2, 2), generator=generator) / 8 for _ in range(2))
    named = {
        "x": x, "y": y, "m": y.tril(-1) + torch.tensor([[2.0, 0.25], [0.0, 1.5]]),
        "p": torch.randint(1, 8, (2, 2), generator=generator) / 8, "q": torch.tensor(0.25),
        "s": torch.where(y > 0, 1.0, -1.0), "v": torch.tensor([1.0, -1.0]),
        "b": torch.randint(-8, 9, (1, 1, 2, 2, 2), generator=generator) / 8,
    }  # fmt: skip
    named = {letter: value.to(target.device) for letter, value in named.items()}
    others = {"c": torch.tensor([0, 1], device=target.device), "k": 1}
    chosen = letters.split(", ")
    exact = [others[c] if c in others else named[c] for c in chosen]
    lower = [
        others[c] if c in others else named[c] if kept and n else named[c].to(dtype)
        for n, c in enumerate(chosen)
    ]
    expected = resolve(name)(*exact)
    with torch.autocast(target.device.type, dtype=dtype):
        found = resolve(name)(*lower)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else ((found, expected),)
    for one, other in pairs:
        values = compare.to_numpy(other)
        compare.equal(one, values, dtype=other.dtype, what="result under autocast")


def joined(one, other):
    return torch.cat([one, other])


def joined_thrice(one, other):
    return torch.cat([one, one, other])


def stacked(one, other):
    return torch.stack([one, other])


def copied(one, other):
    return torch.index_copy(one, 0, torch.tensor([1, 0], device=one.device), other)


WIDEST = {
    "cat": joined, "cat-of-three": joined_thrice, "stack": stacked, "index_copy": copied,
}  # fmt: skip


@law("autocast.widest", docs="amp.html#cpu-ops-that-promote-to-the-widest-input-type", over=WIDEST)
@given(seed=seeds(), dtype=DTYPES, first=st.booleans(), second=st.booleans())
def test_widest(target, case, seed, dtype, first, second):
    """cat, stack and index_copy of several dtypes run in the widest of them under autocast."""
    generator = torch.Generator().manual_seed(seed)
    kinds = [dtype if lower else torch.float32 for lower in (first, second)]
    one, other = (whole((2, 2), generator, target.device, kind) for kind in kinds)
    with torch.autocast(target.device.type, dtype=dtype):
        result = case(one, other)
    wide = torch.float32 if torch.float32 in kinds else dtype
    values = [compare.to_numpy(x) for x in (one, other)]
    expected = {
        "joined": np.concatenate(values), "stacked": np.stack(values), "copied": values[1][::-1],
        "joined_thrice": np.concatenate([values[0], *values]),
    }  # fmt: skip
    compare.equal(result, expected[case.__name__], dtype=wide)


def in_double(x, y, out):
    return torch.mm(x.double(), y.double()), torch.float64


def into_out(x, y, out):
    return torch.mm(x, y, out=out), torch.float32


def in_place(x, y, out):
    return out.zero_().addmm_(x, y), torch.float32


def of_integers(x, y, out):
    return torch.mm(x.to(torch.int64), y.to(torch.int64)), torch.int64


INELIGIBLE = {"float64": in_double, "out": into_out, "in-place": in_place, "integral": of_integers}


@law("autocast.ineligible", docs="amp.html#op-eligibility", over=INELIGIBLE)
@given(seed=seeds(), dtype=DTYPES)
def test_ineligible(target, case, seed, dtype):
    """Autocast leaves float64, integers, in-place forms and calls with out= as they are."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (whole((2, 2), generator, target.device, torch.float32) for _ in range(2))
    out = torch.empty(2, 2, device=target.device)
    with torch.autocast(target.device.type, dtype=dtype):
        result, kind = case(x, y, out)
        lower = torch.mm(x, y)
    compare.fact(lower.dtype, dtype, "dtype of an eligible call beside it")
    values = [compare.to_numpy(each).astype(np.float64) for each in (x, y)]
    values = [np.trunc(value) for value in values] if kind == torch.int64 else values
    bound = 0.0 if kind == torch.int64 else 1e-5
    compare.close(result, (values[0] @ values[1]).astype(compare.to_numpy(result).dtype),
                  bound=bound, dtype=kind)  # fmt: skip
