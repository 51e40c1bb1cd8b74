"""Regions of autocast: how far they reach, and what gradients and custom functions see of them."""

import threading
import warnings
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import seeds

PAGE = "amp.html#torch.autocast"
DTYPES = st.sampled_from((torch.bfloat16, torch.float16))


def whole(shape, generator, device):
    """Whole numbers up to 2, which lower precision holds, in float32."""
    return torch.randint(-2, 3, shape, generator=generator).float().to(device)


class Expected(Exception):
    """Raised on purpose within a region."""


REGIONS = st.lists(
    st.tuples(st.booleans(), DTYPES, st.booleans(), st.booleans()), min_size=1, max_size=4
)  # fmt: skip


@law("autocast.regions", docs=PAGE)
@given(regions=REGIONS)
def test_regions(target, regions):
    """The innermost region decides; its end restores what was before, after an exception as well.

    As a decorator, too. Another thread is not in it.
    """
    device = target.device.type
    x = torch.ones(2, 2, device=target.device)
    outside = (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))

    def seen():
        return torch.mm(x, x).dtype

    def enter(depth):
        if depth == len(regions):
            found = []
            thread = threading.Thread(target=lambda: found.append(seen()))
            thread.start()
            thread.join()
            compare.fact(found, [torch.float32], "dtype in another thread")
            return
        enabled, dtype, raising, decorating = regions[depth]
        before = (seen(), torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))

        def within():
            state = (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
            compare.fact(state, (enabled, dtype), "state within")
            compare.fact(seen(), dtype if enabled else torch.float32, "dtype within")
            enter(depth + 1)
            compare.fact(seen(), dtype if enabled else torch.float32, "dtype after an inner region")
            if raising:
                raise Expected

        region = torch.autocast(device, dtype=dtype, enabled=enabled)
        try:
            if decorating:
                region(within)()
            else:
                with region:
                    within()
        except Expected:
            compare.fact(raising, True, "raised")
        after = (seen(), torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
        compare.fact(after, before, "state after a region")

    enter(0)
    found = (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
    compare.fact(found, outside, "state at the end")


@law("autocast.gradient", docs=PAGE)
@given(
    seed=seeds(),
    dtype=DTYPES,
    uses=st.integers(1, 3),
    cached=st.booleans(),
    steps=st.integers(1, 2),
)
def test_gradient(target, seed, dtype, uses, cached, steps):
    """A float32 parameter gets float32 gradients, the sum over all its uses in a region.

    Whether its cast is kept for them or made each time. The next region sees what a step has
    written.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = whole((2, 2), generator, target.device).requires_grad_()
    x = whole((2, 2), generator, target.device)
    values, matrix = compare.to_numpy(weight).astype(np.float64), compare.to_numpy(x)
    for _ in range(steps):
        weight.grad = None
        with torch.autocast(target.device.type, dtype=dtype, cache_enabled=cached):
            results = [torch.mm(x, weight) for _ in range(uses)]
        for result in results:
            compare.close(result, matrix @ values, bound=0.0, dtype=dtype, what="result")
        torch.autograd.backward([result.float().sum() for result in results])
        gradient = uses * matrix.T @ np.ones((2, 2))
        compare.close(weight.grad, gradient, bound=0.0, dtype=torch.float32, what="gradient")
        with torch.no_grad():
            weight.sub_(1.0)
        values = values - 1


@law(
    "autocast.custom-function",
    docs="notes/amp_examples.html#autocast-and-custom-autograd-functions",
)
@given(
    seed=seeds(),
    dtype=DTYPES,
    cast=st.booleans(),
    inside=st.booleans(),
    backward_inside=st.booleans(),
)
def test_custom_function(target, seed, dtype, cast, inside, backward_inside):
    """custom_fwd with cast_inputs runs forward in that dtype, without autocast, else as around it.

    custom_bwd runs backward as forward ran, wherever it is called. Outside of a region neither
    does anything.
    """
    device = target.device.type
    forward_states: list[Any] = []
    backward_states: list[Any] = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type=device, cast_inputs=torch.float32 if cast else None)
        def forward(ctx, a, b):
            forward_states.append((torch.is_autocast_enabled(device), a.dtype, b.dtype))
            ctx.save_for_backward(a, b)
            return torch.mm(a, b)

        @staticmethod
        @torch.amp.custom_bwd(device_type=device)
        def backward(ctx, cotangent):
            a, b = ctx.saved_tensors
            backward_states.append((torch.is_autocast_enabled(device), torch.mm(a, b).dtype))
            return cotangent.to(b.dtype) @ b.T, a.T @ cotangent.to(a.dtype)

    generator = torch.Generator().manual_seed(seed)
    a = whole((2, 2), generator, target.device).requires_grad_()
    lower = dtype if inside and cast else torch.float32
    b = whole((2, 2), generator, target.device).to(lower)
    with torch.autocast(device, dtype=dtype, enabled=inside):
        result = Product.apply(a, b)
    with torch.autocast(device, dtype=dtype, enabled=backward_inside):
        result.float().sum().backward()
    autocasting = inside and not cast
    kind = dtype if autocasting else torch.float32
    compare.fact(forward_states, [(autocasting, torch.float32, torch.float32)], "in forward")
    compare.fact(backward_states, [(autocasting, kind)], "in backward")
    values = [compare.to_numpy(x) for x in (a, b)]
    compare.close(result, values[0] @ values[1], bound=0.0, dtype=kind, what="result")
    gradient = np.ones((2, 2)) @ values[1].T
    compare.close(a.grad, gradient, bound=0.0, dtype=torch.float32, what="gradient")


@law("autocast.unsupported", docs=PAGE, level="should")
@given(dtype=st.sampled_from((torch.float64, torch.int32, torch.complex64)))
def test_unsupported(target, dtype):
    """A region of a dtype that autocast does not have warns, and is disabled."""
    x = torch.ones(2, 2, device=target.device)
    with torch.autocast(target.device.type, dtype=torch.bfloat16):
        compare.fact(torch.mm(x, x).dtype, torch.bfloat16, "dtype of a legal region")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        region = torch.autocast(target.device.type, dtype=dtype)
    said = [str(warning.message) for warning in caught]
    compare.fact(len(said) == 1 and "not supported" in said[0], True, f"warnings: {said}")
    with region:
        result = torch.mm(x, x)
    compare.equal(result, np.full((2, 2), 2.0), dtype=torch.float32, what="result")
