"""Conduct of autocast: kept casts, nested and repeated regions, gradients, what it leaves alone."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import attention, derivatives, layers
from conformance.target import resolve
from strategies import seeds

PAGE = "amp.html#torch.autocast"
DTYPES = st.sampled_from((torch.bfloat16, torch.float16))


def whole(shape, generator, device):
    """Whole numbers up to 2, which lower precision holds, in float32."""
    return torch.randint(-2, 3, shape, generator=generator).float().to(device)


def state_of(device):
    """Whether autocast is on, for which dtype, and whether it keeps casts."""
    enabled, kept = torch.is_autocast_enabled(device), torch.is_autocast_cache_enabled()
    return enabled, torch.get_autocast_dtype(device), kept


def restore(device, state):
    """Put a state back, where a region did not."""
    torch.set_autocast_enabled(device, state[0])
    torch.set_autocast_dtype(device, state[1])
    torch.set_autocast_cache_enabled(state[2])


WITHIN = {"disabled": "disabled", "same-dtype": "same", "other-dtype": "other"}


@law("autocast.cached", docs=PAGE, over=WITHIN)
@given(
    seed=seeds(), dtype=DTYPES, cached=st.booleans(), before=st.booleans(), after=st.booleans(),
    inner_cached=st.sampled_from((None, True, False)),
)  # fmt: skip
def test_cached(target, case, seed, dtype, cached, inner_cached, before, after):
    """A parameter that a region has cast is in a region within it of the dtype that this one asks.

    "Type mismatch errors in an autocast-enabled region are a bug". Its gradient is the sum over all
    uses, in float32.
    """
    device = target.device.type
    generator = torch.Generator().manual_seed(seed)
    weight = whole((2, 2), generator, target.device).requires_grad_()
    x = whole((2, 2), generator, target.device)
    other = torch.float16 if dtype == torch.bfloat16 else torch.bfloat16
    asked = other if case == "other" else dtype
    before = before or case == "other"
    found = []
    with torch.autocast(device, dtype=dtype, cache_enabled=cached):
        if before:
            found.append((dtype, torch.mm(x, weight)))
        with torch.autocast(
            device, dtype=asked, enabled=case != "disabled", cache_enabled=inner_cached
        ):
            kind = torch.float32 if case == "disabled" else asked
            found.append((kind, torch.mm(x, weight)))
        if after:
            found.append((dtype, torch.mm(x, weight)))
    values, matrix = compare.to_numpy(weight), compare.to_numpy(x)
    for kind, result in found:
        compare.close(result, matrix @ values, bound=0.0, dtype=kind, what="result")
    torch.autograd.backward([result.float().sum() for _, result in found])
    gradient = len(found) * matrix.T @ np.ones((2, 2))
    compare.close(weight.grad, gradient, bound=0.0, dtype=torch.float32, what="gradient")


@law("autocast.cached-no-grad", docs=PAGE, since="2.11")
@given(seed=seeds(), dtype=DTYPES, uses=st.lists(st.booleans(), min_size=1, max_size=4))
def test_cached_no_grad(target, seed, dtype, uses):
    """Uses of a parameter under no_grad take nothing from the gradient of its other uses."""
    generator = torch.Generator().manual_seed(seed)
    weight = whole((2, 2), generator, target.device).requires_grad_()
    x = whole((2, 2), generator, target.device)
    results = []
    with torch.autocast(target.device.type, dtype=dtype):
        for recording in [*uses, True]:
            with torch.set_grad_enabled(recording):
                results.append(torch.mm(x, weight))
    flags = [result.requires_grad for result in results]
    compare.fact(flags, [*uses, True], "requires_grad of the results")
    torch.autograd.backward([r.float().sum() for r in results if r.requires_grad])
    gradient = flags.count(True) * compare.to_numpy(x).T @ np.ones((2, 2))
    compare.close(weight.grad, gradient, bound=0.0, dtype=torch.float32, what="gradient")


@law("autocast.uncached", docs=PAGE)
@given(seed=seeds(), dtype=DTYPES, steps=st.integers(1, 3), outer=st.booleans())
def test_uncached(target, seed, dtype, steps, outer):
    """Without the cache each use of a parameter is of what it holds then, also within a region."""
    device = target.device.type
    generator = torch.Generator().manual_seed(seed)
    weight = whole((2, 2), generator, target.device).requires_grad_()
    x = whole((2, 2), generator, target.device)
    values, matrix = compare.to_numpy(weight), compare.to_numpy(x)
    with (
        torch.autocast(device, dtype=dtype, enabled=outer),
        torch.autocast(device, dtype=dtype, cache_enabled=False),
    ):
        for number in range(steps + 1):
            expected = matrix @ (values + number)
            result = torch.mm(x, weight)
            compare.close(result, expected, bound=0.0, dtype=dtype, what=f"use {number}")
            with torch.no_grad():
                weight.add_(1.0)


@law("autocast.default-dtype", docs=PAGE)
@given(
    outer=st.sampled_from((None, torch.bfloat16, torch.float16)), enabled=st.booleans(),
    cached=st.sampled_from((None, True, False)), inner_cached=st.sampled_from((None, True, False)),
)  # fmt: skip
def test_default_dtype(target, outer, enabled, cached, inner_cached):
    """A region without a dtype takes the current one, and its end restores dtype and cache.

    "It uses the default value (torch.float16 for CUDA and torch.bfloat16 for CPU), given by
    torch.get_autocast_dtype(), if dtype is None."
    """
    device = target.device.type
    x = torch.ones(2, 2, device=target.device)
    outside = state_of(device)
    if device == "cpu":
        compare.fact(outside[1], torch.bfloat16, "default dtype of the CPU")
    try:
        with torch.autocast(device, dtype=outer, enabled=enabled, cache_enabled=cached):
            asked = outer or outside[1]
            keeps = outside[2] if cached is None else cached
            compare.fact(state_of(device), (enabled, asked, keeps), "state of the region")
            with torch.autocast(device, cache_enabled=inner_cached):
                inner = keeps if inner_cached is None else inner_cached
                compare.fact(state_of(device), (True, asked, inner), "state of the region within")
                compare.fact(torch.mm(x, x).dtype, asked, "dtype within")
            compare.fact(state_of(device), (enabled, asked, keeps), "state after the region within")
        compare.fact(state_of(device), outside, "state at the end")
    finally:
        restore(device, outside)


AGAIN = {"repeated": False, "recursive": True}


class Expected(Exception):
    """Raised on purpose."""


@law("autocast.decorated", docs=PAGE, over=AGAIN)
@given(dtype=DTYPES, enabled=st.booleans(), times=st.integers(1, 3), raising=st.booleans())
def test_decorated(target, case, dtype, enabled, times, raising):
    """A decorated function runs in its region at each call and ends it, called by itself or again.

    After an exception too.
    """
    device = target.device.type
    x = torch.ones(2, 2, device=target.device)
    outside = state_of(device)
    wanted = dtype if enabled else torch.float32
    found = []

    @torch.autocast(device, dtype=dtype, enabled=enabled)
    def decorated(depth):
        found.append(torch.mm(x, x).dtype)
        if depth:
            decorated(depth - 1)
            found.append(torch.mm(x, x).dtype)
        if raising:
            raise Expected
        return depth

    for _ in range(1 if case else times):
        found.clear()
        try:
            compare.fact(decorated(times if case else 0), times if case else 0, "what it returns")
        except Expected:
            compare.fact(raising, True, "raised")
        ends = 0 if raising or not case else times
        starts = 1 + (times if case else 0)
        compare.fact(found, [wanted] * (starts + ends), "dtypes within")
        try:
            compare.fact(state_of(device), outside, "state after a call")
        finally:
            restore(device, outside)


def affine(x, weight):
    """x A^T."""
    return layers.linear(x, weight)


def correlated(x, weight, bias):
    """The convolution of an image with filters."""
    return layers.convolution(x, weight, bias)


def spread(x, weight):
    """The transposed convolution."""
    return layers.transposed_convolution(x, weight)


def product(a, b):
    """A B."""
    return a @ b


def added(c, a, b):
    """c + A B."""
    return c + a @ b


LOWER = {
    "mm": ("torch.mm", product, ((2, 3), (3, 2))),
    "bmm": ("torch.bmm", product, ((2, 2, 3), (2, 3, 1))),
    "addmm": ("torch.addmm", added, ((2, 2), (2, 3), (3, 2))),
    "linear": ("torch.nn.functional.linear", affine, ((2, 3), (2, 3))),
    "linear-of-blocks": ("torch.nn.functional.linear", affine, ((2, 2, 3), (2, 3))),
    "conv1d": ("torch.nn.functional.conv1d", correlated, ((1, 2, 3), (2, 2, 2), (2,))),
    "conv2d": ("torch.nn.functional.conv2d", correlated, ((1, 2, 2, 2), (2, 2, 2, 1), (2,))),
    "conv3d": ("torch.nn.functional.conv3d", correlated,
               ((1, 1, 2, 2, 1), (2, 1, 2, 1, 1), (2,))),
    "conv_transpose2d": ("torch.nn.functional.conv_transpose2d", spread,
                         ((1, 2, 2, 1), (2, 1, 2, 1))),
}  # fmt: skip


@law("autocast.lower-gradient", docs="amp.html#cpu-ops-that-can-autocast-to-bfloat16", over=LOWER)
@given(seed=seeds(), dtype=DTYPES, kept=st.integers(0, 7), cached=st.booleans())
def test_lower_gradient(target, case, seed, dtype, kept, cached):
    """Gradients through products and convolutions under autocast have the dtypes of the operands.

    They are exact for whole numbers.
    """
    name, function, shapes = case
    generator = torch.Generator().manual_seed(seed)
    leaves = [
        whole(shape, generator, target.device)
        .to(dtype if kept >> number & 1 else torch.float32)
        .requires_grad_()
        for number, shape in enumerate(shapes)
    ]
    points = [compare.to_numpy(leaf).astype(np.float64) for leaf in leaves]
    with torch.autocast(target.device.type, dtype=dtype, cache_enabled=cached):
        result = resolve(name)(*leaves)
    compare.close(result, function(*points), bound=0.0, dtype=dtype, what="result")
    cotangent = whole(tuple(result.shape), generator, target.device)
    result.backward(cotangent.to(dtype))
    weights = compare.to_numpy(cotangent).astype(np.float64)
    gradients = derivatives.gradient(lambda *moved: (function(*moved) * weights).sum(), points)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        compare.close(leaf.grad, gradient, bound=0.0, dtype=leaf.dtype, what="gradient")


@law("autocast.attention", docs="amp.html#cpu-ops-that-can-autocast-to-bfloat16")
@given(seed=seeds(), dtype=DTYPES, lower=st.integers(0, 7), causal=st.booleans())
def test_attention(target, seed, dtype, lower, causal):
    """scaled_dot_product_attention runs in the dtype of autocast, whatever its operands'."""
    generator = torch.Generator().manual_seed(seed)
    operands = [
        whole((2, 3, 4), generator, target.device).to(
            dtype if lower >> number & 1 else torch.float32
        )
        for number in range(3)
    ]
    values = [compare.to_numpy(operand).astype(np.float64) for operand in operands]
    query, key, value = values
    expected = attention.scaled_dot_product_attention(query, key, value, is_causal=causal)
    with torch.autocast(target.device.type, dtype=dtype):
        found = resolve("torch.nn.functional.scaled_dot_product_attention")(
            *operands, is_causal=causal
        )
    # Scores up to 8, their exponentials and sums of three products up to 2, each rounded.
    bound = 24 * torch.finfo(dtype).eps
    compare.close(found, expected, bound=bound, dtype=dtype, what="result")


def doubled(x, y):
    return x + x


def summed(x, y):
    return x + y


def multiplied(x, y):
    return x * y


def greatest(x, y):
    return np.maximum(x, y)


def rectified(x, y):
    return np.maximum(x, 0)


def turned(x, y):
    return x.T


def totals(x, y):
    return x.sum()


OTHERS = {
    "add-itself": ("add", "x, x", doubled), "add": ("add", "x, y", summed),
    "mul": ("mul", "x, y", multiplied), "maximum": ("maximum", "x, y", greatest),
    "relu": ("relu", "x", rectified), "t": ("t", "x", turned), "sum": ("sum", "x", totals),
}  # fmt: skip


@law("autocast.others", docs="amp.html#autocast-op-reference", over=OTHERS)
@given(seed=seeds(), dtype=DTYPES, first=st.booleans(), second=st.booleans())
def test_others(target, case, seed, dtype, first, second):
    """Operators that are not listed run under autocast as without, in the dtype of their inputs."""
    name, letters, function = case
    generator = torch.Generator().manual_seed(seed)
    kinds = [dtype if lower else torch.float32 for lower in (first, second)]
    x, y = (whole((2, 3), generator, target.device).to(kind) for kind in kinds)
    operands = [{"x": x, "y": y}[letter] for letter in letters.split(", ")]
    with torch.autocast(target.device.type, dtype=dtype):
        found = resolve(f"torch.{name}")(*operands)
        listed = torch.mm(x, y.T)
    compare.fact(listed.dtype, dtype, "dtype of a listed operator beside it")
    chosen = {operand.dtype for operand in operands}
    kind = torch.float32 if torch.float32 in chosen else dtype
    expected = function(*(compare.to_numpy(each).astype(np.float64) for each in (x, y)))
    compare.close(found, expected, bound=0.0, dtype=kind, what="result")
