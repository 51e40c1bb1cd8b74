"""Operators over channels: shuffled, normalized among neighbours or each by itself, convolved."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.functional import NORMALIZED, functional, rejecting
from conformance.operators.moving import moved_operand, moving
from conformance.operators.operator import VALUE_ALONE, Call, Calls
from conformance.reference import channels as reference
from strategies import tensors
from strategies.shapes import Shape


@st.composite
def _shuffled_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    groups, each = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    before, space = (
        draw(st.integers(1, 2)),
        draw(st.sampled_from(((2,), (1, 2), (2, 2), (1, 1, 2)))),
    )
    return Call((draw(moved_operand(dtype, kind, (before, groups * each, *space))), groups), {})


def _neighbour_calls(sizes: tuple[int, ...]) -> Calls:
    """Sums of neighbours' squares, any of which may be beyond the first or last channel."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        size, channels = draw(st.sampled_from(sizes)), draw(st.integers(1, 4))
        space = draw(st.sampled_from(((2,), (1, 2), (1, 2, 1), (1,))))
        keywords: dict[str, Any] = {}
        if draw(st.booleans()) or kind in SMOOTH:
            keywords["alpha"] = draw(st.sampled_from((0.5, 1.0)))
        if draw(st.booleans()):
            keywords["beta"] = draw(st.sampled_from((0.5, 1.0, 2.0)))
        if draw(st.booleans()):
            keywords["k"] = draw(st.sampled_from((0.5, 2.0)))
        x = draw(operand(dtype, kind, (draw(st.integers(1, 2)), channels, *space)))
        return Call((x, size), keywords)

    return calls


def _instance_calls(running: bool) -> Calls:
    """By the statistics of each sample, or by those given, with eps where variances may be 0."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        count, channels = draw(st.integers(1, 2)), draw(st.integers(1, 3))
        space = draw(st.sampled_from(((3,), (2, 2), (1, 2, 2))))
        x = draw(operand(dtype, kind, (count, channels, *space)))
        keywords: dict[str, Any] = {}
        parts = draw(st.sampled_from(((), ("weight",), ("weight", "bias"))))
        for name in parts:
            keywords[name] = draw(operand(dtype, kind, (channels,)))
        if kind in SMOOTH or draw(st.booleans()):
            keywords["eps"] = draw(st.sampled_from((0.5, 2.0)))
        if not running:
            return Call((x,), keywords)
        mean = draw(tensors(dtype=dtype, shape=(channels,)))
        variance = draw(tensors(dtype=dtype, shape=(channels,), values="positive"))
        return Call((x, mean, variance), {**keywords, "use_input_stats": False})

    return calls


@st.composite
def _time_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    kernel, inner, outer = (draw(st.integers(1, 2)) for _ in range(3))
    length, batch = kernel + draw(st.integers(0, 2)), draw(st.integers(1, 2))
    shapes: tuple[Shape, ...] = ((length, batch, inner), (kernel, inner, outer), (outer,))
    operands = tuple(
        draw(tensors(dtype=dtype, shape=shape, values=kind, layouts=("contiguous",)))
        for shape in shapes
    )
    return Call((*operands, *draw(st.sampled_from(((), (0,), (1,), (2,))))), {})


OPERATORS = (
    moving(
        "nn.functional.channel_shuffle", _shuffled_calls, reference.channel_shuffle,
        spellings=("channel_shuffle", "nn.functional.native_channel_shuffle"),
        rejections={
            "groups": rejecting(
                "channel_shuffle(x, 2)", "channel_shuffle(x, 3)",
                "RuntimeError", "divisible by groups", x=(1, 4, 2)),
            "none": rejecting(
                "channel_shuffle(x, 1)", "channel_shuffle(x, 0)",
                "RuntimeError", "positive|must be greater", x=(1, 4, 2)),
            "rank": rejecting(
                "channel_shuffle(x, 2)", "channel_shuffle(x[..., 0], 2)",
                "RuntimeError", "> 2 dims", x=(1, 4, 2)),
        },
    ),
    functional(
        "local_response_norm", _neighbour_calls((1, 3, 5)), reference.local_response_norm,
        docs="torch.nn.LocalResponseNorm", **NORMALIZED,
        rejections={
            "rank": rejecting(
                "local_response_norm(x, 1)", "local_response_norm(x[0], 1)",
                "ValueError", "Expected 3D or higher", x=(1, 2, 2)),
        },
    ),
    functional(
        "local_response_norm", _neighbour_calls((2, 4)), reference.local_response_norm,
        variant="even", docs="torch.nn.LocalResponseNorm", excused=VALUE_ALONE, **NORMALIZED,
    ),
    functional(
        "instance_norm", _instance_calls(False), reference.instance_norm,
        reference.instance_norm_size, docs="torch.nn.InstanceNorm1d", spellings=(), **NORMALIZED,
        rejections={
            "single": rejecting(
                "instance_norm(x)", "instance_norm(x[..., :1])",
                "ValueError", "more than 1 spatial element", x=(2, 2, 2)),
        },
    ),
    functional(
        "instance_norm", _instance_calls(True), reference.instance_norm_running,
        reference.instance_norm_running_size, variant="running", constants=(1, 2),
        docs="torch.nn.InstanceNorm1d", **NORMALIZED,
    ),
    functional(
        "conv_tbc", _time_calls, reference.time_convolution, reference.time_convolution_size,
        spellings=("conv_tbc",), docs="nn.functional.html#convolution-functions",
        excused=dict.fromkeys(
            ("vmap", "second-derivative"), "it takes row-major memory alone: see its layouts"
        ),
    ),
)  # fmt: skip
