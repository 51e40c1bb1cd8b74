"""Layers as functions: products with weights, convolutions, normalizations, embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.functional import NORMALIZED, functional, rejecting
from conformance.operators.operator import Call, Calls, Dtypes, Operator
from conformance.reference import layers as reference
from strategies import tensors
from strategies.devices import current_device
from strategies.shapes import Shape, as_long_as_asked

_SIDES = st.sampled_from((2, 3, 1))
_BATCHES: tuple[Shape, ...] = ((2,), (), (2, 2), (0,), (1,), (2, 3))


def _maybe(draw: st.DrawFn, dtype: torch.dtype, kind: str, shape: Shape) -> tuple[Any, ...]:
    """A tensor as a last argument, or none."""
    return (draw(operand(dtype, kind, shape)),) if draw(st.booleans()) else ()


@st.composite
def _linear_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    sides = (*draw(st.sampled_from(_BATCHES)), draw(_SIDES), draw(_SIDES))
    *batch, inner, outer = as_long_as_asked(sides)
    x, weight = operand(dtype, kind, (*batch, inner)), operand(dtype, kind, (outer, inner))
    return Call((draw(x), draw(weight), *_maybe(draw, dtype, kind, (outer,))), {})


@st.composite
def _bilinear_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    sides = (*draw(st.sampled_from(_BATCHES[:3])), *(draw(_SIDES) for _ in range(3)))
    *batch, first, second, outer = as_long_as_asked(sides)
    shapes: tuple[Shape, ...] = ((*batch, first), (*batch, second), (outer, first, second))
    operands = [draw(operand(dtype, kind, shape)) for shape in shapes]
    return Call((*operands, *_maybe(draw, dtype, kind, (outer,))), {})


def _small(draw: st.DrawFn, rank: int, least: int, most: int) -> Any:
    """One number for all dimensions, or one for each."""
    each = st.integers(least, most)
    return draw(each) if draw(st.booleans()) else tuple(draw(each) for _ in range(rank))


def _image(draw: st.DrawFn, channels: int, sides: list[int]) -> Shape:
    before = draw(st.sampled_from(((2,), (), (1,))))
    return (*before, channels, *as_long_as_asked(tuple(sides)))


def _convolution_calls(rank: int) -> Calls:
    """Images and filters that fit into them, with every option by position or left out."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        groups, inner, outer = draw(st.sampled_from(((1, 2, 3), (2, 1, 2), (1, 1, 1), (3, 1, 1))))
        kernel = [draw(st.integers(1, 3 if rank == 1 else 2)) for _ in range(rank)]
        stride, dilation = _small(draw, rank, 1, 3 if rank == 1 else 2), _small(draw, rank, 1, 2)
        padding: Any = _small(draw, rank, 0, 2 if rank == 1 else 1)
        if draw(st.integers(0, 3)) == 3:
            padding = draw(st.sampled_from(("same", "valid")))
        if padding == "same":
            stride, kernel = 1, [2 * (k // 2) + 1 for k in kernel]
        gaps = reference.of_each(dilation, rank)
        reach = [d * (k - 1) + 1 for d, k in zip(gaps, kernel, strict=True)]
        extra = 3 if rank == 1 else 1
        x = _image(draw, groups * inner, [r + draw(st.integers(0, extra)) for r in reach])
        weight = (groups * outer, inner, *kernel)
        bias = draw(operand(dtype, kind, weight[:1])) if draw(st.booleans()) else None
        rest = (bias, stride, padding, dilation, groups)
        count = 5 if groups > 1 else draw(st.integers(1, 5)) if bias is None else 5
        return Call(
            (draw(operand(dtype, kind, x)), draw(operand(dtype, kind, weight)), *rest[:count]), {}
        )

    return calls


def _transposed_calls(rank: int) -> Calls:
    """Small images and filters, with every option, or with the defaults."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        groups, inner, outer = draw(st.sampled_from(((1, 2, 3), (2, 1, 2), (1, 1, 1), (2, 2, 1))))
        kernel = [draw(st.integers(1, 3 if rank == 1 else 2)) for _ in range(rank)]
        stride, dilation = _small(draw, rank, 1, 3 if rank == 1 else 2), _small(draw, rank, 1, 2)
        steps, gaps = (reference.of_each(o, rank) for o in (stride, dilation))
        most = [max(s, d) - 1 for s, d in zip(steps, gaps, strict=True)]
        extra = tuple(draw(st.integers(0, m)) for m in most)
        sides = [draw(st.integers(1, 3 if rank == 1 else 2)) for _ in range(rank)]
        lengths = [
            (n - 1) * s + d * (k - 1) + e
            for n, s, d, k, e in zip(sides, steps, gaps, kernel, extra, strict=True)
        ]
        padding = tuple(draw(st.integers(0, min(n // 2, 2))) for n in lengths)
        x = _image(draw, groups * inner, sides)
        weight = (groups * inner, outer, *kernel)
        bias = draw(operand(dtype, kind, (groups * outer,))) if draw(st.booleans()) else None
        rest = (bias, stride, padding, extra, groups, dilation)
        plain = groups == 1 and draw(st.integers(0, 3)) == 3
        return Call(
            (
                draw(operand(dtype, kind, x)),
                draw(operand(dtype, kind, weight)),
                *(() if plain else rest),
            ),
            {},
        )

    return calls


def _given_eps(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Near a variance of 0 derivatives are large unless eps is: there it is 1/2 or 2."""
    if kind in SMOOTH:
        return {"eps": draw(st.sampled_from((0.5, 2.0)))}
    return {"eps": draw(st.sampled_from((0.5, 2.0, 0.001)))} if draw(st.booleans()) else {}


@st.composite
def _layer_norm_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    batch = as_long_as_asked(draw(st.sampled_from(((2,), (), (2, 1), (3,)))))
    shape = draw(st.sampled_from(((3,), (2, 2), (1, 3), (2,))))
    x, parts = draw(operand(dtype, kind, (*batch, *shape))), ()
    if draw(st.booleans()):
        parts = (draw(operand(dtype, kind, shape)), *_maybe(draw, dtype, kind, shape))
    return Call((x, shape, *parts), _given_eps(draw, kind))


@st.composite
def _rms_norm_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    batch = as_long_as_asked(draw(st.sampled_from(((2,), (), (2, 1), (3,)))))
    shape = draw(st.sampled_from(((3,), (2, 2), (1, 3), (2,))))
    x = draw(operand(dtype, kind, (*batch, *shape)))
    keywords = {"eps": draw(st.sampled_from((0.5, 2.0)))}
    return Call((x, shape, *_maybe(draw, dtype, kind, shape)), keywords)


def _channel_parts(draw: st.DrawFn, dtype: torch.dtype, kind: str, channels: int) -> dict[str, Any]:
    """A weight, with or without a bias, or neither, for each channel."""
    chosen = draw(st.sampled_from(((), ("weight",), ("weight", "bias"))))
    return {name: draw(operand(dtype, kind, (channels,))) for name in chosen}


_SPACES = st.sampled_from(((), (3,), (2, 2), (1, 2, 2)))


@st.composite
def _group_norm_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    groups, channels = draw(st.sampled_from(((2, 4), (1, 3), (2, 2), (3, 3))))
    space = draw(_SPACES) or (2,)
    batch, *sides = as_long_as_asked((draw(st.integers(1, 2)), *space))
    x = draw(operand(dtype, kind, (batch, channels, *sides)))
    keywords = {**_channel_parts(draw, dtype, kind, channels), **_given_eps(draw, kind)}
    return Call((x, groups), keywords)


def _bias_alone(calls: Calls) -> Calls:
    """The same calls with a bias and no weight."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(calls(dtype, kind))
        bias = draw(operand(dtype, kind, (call.arguments[0].shape[1],)))
        kept = {k: v for k, v in call.keywords.items() if k not in ("weight", "bias")}
        return Call(call.arguments, {**kept, "bias": bias})

    return drawn


def _batch_norm_calls(training: bool) -> Calls:
    """Of given statistics in evaluation, of none in training."""

    @st.composite
    def calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        channels, space = draw(_SIDES), draw(_SPACES)
        shape = as_long_as_asked((draw(st.integers(2, 3)), channels, *space))
        channels, x = shape[1], draw(operand(dtype, kind, shape))
        keywords = {**_channel_parts(draw, dtype, kind, channels), **_given_eps(draw, kind)}
        if training:
            return Call((x, None, None), {**keywords, "training": True})
        mean = draw(tensors(dtype=dtype, shape=(channels,)))
        variance = draw(tensors(dtype=dtype, shape=(channels,), values="positive"))
        return Call((x, mean, variance), keywords)

    return calls


@st.composite
def _embedding_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rows = draw(st.integers(1, 4))
    shape = draw(st.sampled_from(((3,), (2, 2), (), (0,))))
    count = 1
    for side in shape:
        count *= side
    places = [draw(st.integers(0, rows - 1)) for _ in range(count)]
    kinds = st.sampled_from((torch.int64, torch.int32))
    indices = torch.tensor(places, dtype=draw(kinds), device=current_device()).reshape(shape)
    padding = {"padding_idx": draw(st.integers(-rows, rows - 1))} if draw(st.booleans()) else {}
    return Call((indices, draw(operand(dtype, kind, (rows, draw(_SIDES))))), padding)


def _convolutions(rank: int) -> tuple[Operator, Operator]:
    x, w = (1, 4, *[3] * rank), (2, 4, *[2] * rank)
    name, other = f"conv{rank}d", f"conv_transpose{rank}d"
    return (
        functional(
            name, _convolution_calls(rank), reference.convolution, reference.convolution_size,
            spellings=(name,),
            rejections={
                "channels": rejecting(
                    f"{name}(x, w)", f"{name}(x[:, :3], w)", "RuntimeError",
                    "to have 4 channels, but got 3", x=x, w=w),
                "kernel": rejecting(
                    f"{name}(x, w)", f"{name}(x[..., :1], w)", "RuntimeError",
                    "Kernel size can't be greater than actual input size", x=x, w=w),
                "groups": rejecting(
                    f"{name}(x, w[:, :2], groups=2)", f"{name}(x, w[:1, :2], groups=2)",
                    "RuntimeError", "divisible by|at least", x=x, w=w),
                "stride": rejecting(
                    f"{name}(x, w, stride=1)", f"{name}(x, w, stride=0)", "RuntimeError",
                    "non-positive stride", x=x, w=w),
                "padding": rejecting(
                    f"{name}(x, w, padding=0)", f"{name}(x, w, padding=-1)", "RuntimeError",
                    "negative padding", x=x, w=w),
                "same": rejecting(
                    f"{name}(x, w, padding='same')", f"{name}(x, w, padding='same', stride=2)",
                    "RuntimeError", "padding='same' is not supported for strided", x=x, w=w),
                "bias": rejecting(
                    f"{name}(x, w, w.flatten()[:2])", f"{name}(x, w, w.flatten()[:3])",
                    "RuntimeError", "expected bias", x=x, w=w),
            },
        ),
        functional(
            other, _transposed_calls(rank), reference.transposed_convolution,
            reference.transposed_size, spellings=(other,),
            rejections={
                "output_padding": rejecting(
                    f"{other}(x, w, stride=2, output_padding=1)",
                    f"{other}(x, w, stride=2, output_padding=2)",
                    "RuntimeError", "output padding must be smaller", x=x, w=(4, *w[1:])),
            },
        ),
    )  # fmt: skip


PRODUCTS = (
    functional(
        "linear", _linear_calls, reference.linear, reference.linear_size,
        dtypes=("floating", "complex", torch.int64),
        rejections={
            "features": rejecting(
                "linear(x, w)", "linear(x[:, :2], w)", "RuntimeError",
                "shapes cannot be multiplied|mat1 and mat2", x=(2, 3), w=(4, 3)),
        },
    ),
    functional(
        "bilinear", _bilinear_calls, reference.bilinear, reference.bilinear_size,
        spellings=("bilinear",),
        rejections={
            "features": rejecting(
                "bilinear(x, x, w)", "bilinear(x, x[:, :2], w)", "RuntimeError",
                "size does not match", x=(2, 3), w=(4, 3, 3)),
            "batch": rejecting(
                "bilinear(x, x, w)", "bilinear(x, x[:1], w)", "RuntimeError",
                "input batch dimensions do not match", x=(2, 3), w=(4, 3, 3)),
        },
    ),
)  # fmt: skip

NORMALIZATIONS = (
    functional(
        "layer_norm", _layer_norm_calls, reference.layer_norm, reference.layer_norm_size,
        spellings=("layer_norm",), **NORMALIZED,
        rejections={
            "shape": rejecting(
                "layer_norm(x, (3,))", "layer_norm(x, (2,))", "RuntimeError",
                "Given normalized_shape", x=(2, 3)),
            "weight": rejecting(
                "layer_norm(x, (3,), x[0])", "layer_norm(x, (3,), x[0, :2])", "RuntimeError",
                "Expected weight to be of same shape", x=(2, 3)),
        },
    ),
    functional(
        "rms_norm", _rms_norm_calls, reference.rms_norm, spellings=("rms_norm",), **NORMALIZED,
    ),
    functional(
        "group_norm", _group_norm_calls, reference.group_norm, reference.group_norm_size,
        **NORMALIZED,
        rejections={
            "groups": rejecting(
                "group_norm(x, 2)", "group_norm(x, 3)", "RuntimeError",
                "divisible by num_groups", x=(2, 4, 2)),
        },
    ),
    functional(
        "batch_norm", _batch_norm_calls(False), reference.batch_norm, reference.batch_norm_size,
        constants=(1, 2), variant="evaluated", **NORMALIZED,
    ),
    functional(
        "batch_norm", _batch_norm_calls(True), reference.batch_norm, reference.batch_norm_size,
        variant="trained", **NORMALIZED,
        excused={"meta": "how the result lies in memory depends on the device's kernel"},
        rejections={
            "single": rejecting(
                "batch_norm(x, None, None, training=True)",
                "batch_norm(x[:1], None, None, training=True)", "ValueError",
                "Expected more than 1 value per channel", x=(2, 3)),
        },
    ),
)  # fmt: skip


def of_weights(call: Call) -> Dtypes:
    """Return the dtype of the weights, which come second."""
    return Dtypes(None, (call.arguments[1].dtype,))


_EMBEDDING = functional(
    "embedding", _embedding_calls, reference.embedding, kind="any", ulps=0,
    analytic=reference.embedding_learned, result=of_weights,
    excused={
        "jvp": "padding_idx is documented for gradients alone",
        "second-derivative": "linear; padding_idx is documented for gradients alone",
    },
)  # fmt: skip

_ELSEWHERE = dict.fromkeys(
    ("long", "copy", "vmap", "meta", "layout"), "covered by the entry itself"
)
_WITHOUT_WEIGHT = tuple(
    replace(
        entry, calls=_bias_alone(entry.calls), variant=f"{entry.variant or 'affine'}-bias-alone",
        rejections={}, spellings=(), excused=_ELSEWHERE,
    )
    for entry in NORMALIZATIONS
    if entry.name != "nn.functional.layer_norm" and entry.name != "nn.functional.rms_norm"
)  # fmt: skip

OPERATORS = (
    *PRODUCTS,
    *(operator for rank in (1, 2, 3) for operator in _convolutions(rank)),
    *NORMALIZATIONS,
    *_WITHOUT_WEIGHT,
    _EMBEDDING,
)
