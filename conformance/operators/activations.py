"""Activations: functions of one operand that networks apply between their layers, and softmax."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.arguments import SMOOTH, operand, unary_calls
from conformance.operators.functional import functional, rejecting
from conformance.operators.operator import (
    Call,
    Calls,
    Dtypes,
    Operator,
    Reference,
    Rejection,
)
from conformance.operators.special import in_double
from conformance.reference import activations as reference
from strategies import current_device, dims, shapes

EXACT = 0.25
"""In units of the last place: what is chosen, not computed. The sign of a zero is not promised."""

_SHAPES = shapes(max_elements=24)
_ONE = {"x": (torch.float32, (2, 3))}
_SQUARES = {"x": (torch.float32, (2, 4))}


def _choice(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def _activation(name: str, function: Reference, **changes: Any) -> Operator:
    """An entry of ``torch.nn.functional``, of one operand and numbers."""
    options = changes.pop("options", None)
    calls = changes.pop("calls", unary_calls(shape=_SHAPES, options=options))
    return functional(name, calls, function, **{"kind": "regimes", "smooth": "far", **changes})


def relu6_in_place(x: torch.Tensor) -> torch.Tensor:
    """Apply relu6 with ``inplace=True``."""
    return torch.nn.functional.relu6(x, inplace=True)


def silu_in_place(x: torch.Tensor) -> torch.Tensor:
    """Apply silu with ``inplace=True``."""
    return torch.nn.functional.silu(x, inplace=True)


def mish_in_place(x: torch.Tensor) -> torch.Tensor:
    """Apply mish with ``inplace=True``."""
    return torch.nn.functional.mish(x, inplace=True)


def hardsigmoid_in_place(x: torch.Tensor) -> torch.Tensor:
    """Apply hardsigmoid with ``inplace=True``."""
    return torch.nn.functional.hardsigmoid(x, inplace=True)


def hardswish_in_place(x: torch.Tensor) -> torch.Tensor:
    """Apply hardswish with ``inplace=True``."""
    return torch.nn.functional.hardswish(x, inplace=True)


_HARDSWISH = _activation(
    "hardswish",
    reference.hardswish,
    ulps=4,
    kind="finite",
    in_place=hardswish_in_place,
    derivative_ulps=256,
)

_PIECES = (
    _activation(
        "relu", reference.relu, ulps=EXACT, dtypes=("real",),
        spellings=("relu", "Tensor.relu"), in_place="Tensor.relu_",
    ),
    _activation(
        "relu6", reference.relu6, ulps=EXACT, dtypes=("real",), in_place=relu6_in_place,
    ),
    _activation(
        "hardtanh", reference.hardtanh, ulps=EXACT, in_place="nn.functional.hardtanh_",
        options={"min_val": _choice(-2.0, -0.5), "max_val": _choice(2.0, 0.5)},
        rejections={
            "crossed": Rejection(
                "torch.nn.functional.hardtanh(x, -1.0, 1.0)",
                "torch.nn.functional.hardtanh(x, 1.0, -1.0)",
                "ValueError", "min_val cannot be greater than max_val", _ONE,
            ),
        },
    ),
    _activation(
        "leaky_relu", reference.leaky_relu, ulps=2, kind="finite",
        in_place="nn.functional.leaky_relu_",
        options={"negative_slope": _choice(0.25, 2.0, 0.0)},
    ),
    _activation(
        "rrelu", reference.rrelu, ulps=4, kind="finite",
        excused={"vmap": "torch has no batching rule for what may be random"},
        spellings=("rrelu",), in_place="nn.functional.rrelu_",
        options={
            "lower": _choice(0.25, 0.0), "upper": _choice(0.5, 2.0), "training": st.just(False),
        },
        rejections={
            "crossed": Rejection(
                "torch.nn.functional.rrelu(x, 0.25, 0.5)",
                "torch.nn.functional.rrelu(x, 0.5, 0.25)",
                "RuntimeError", "Lower bound should be less than or equal to the upper", _ONE,
            ),
        },
    ),
    *in_double(
        _activation(
            "hardsigmoid", reference.hardsigmoid, ulps=4, in_place=hardsigmoid_in_place,
            excused={"second-derivative": "torch does not differentiate hardsigmoid twice"},
        ),
        derivative_ulps=2.0**27,  # the slope 1 / 6 is rounded to single precision
    ),
    _HARDSWISH,
    _activation(
        "hardshrink", reference.hardshrink, ulps=EXACT, kind="finite",
        spellings=("hardshrink", "Tensor.hardshrink"), options={"lambd": _choice(1.0, 0.0)},
    ),
    _activation(
        "softshrink", reference.softshrink, ulps=1, kind="finite",
        options={"lambd": _choice(1.0, 0.0)},
        rejections={
            "negative": Rejection(
                "torch.nn.functional.softshrink(x, 0.0)",
                "torch.nn.functional.softshrink(x, -0.5)",
                "RuntimeError", "lambda must be", _ONE,
            ),
        },
    ),
)  # fmt: skip

_APPROXIMATIONS = {"approximate": _choice("none", "tanh")}


def _gelu_calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
    """Calls of gelu; derivatives in dtypes that oneDNN takes of vectors, which cannot overlap."""
    shape = shapes(max_rank=1) if kind in SMOOTH and dtype in _ONEDNN else _SHAPES
    return unary_calls(shape=shape, options=_APPROXIMATIONS)(dtype, kind)


_ONEDNN = (torch.float32, torch.bfloat16)

_GELU = _activation(
    "gelu", reference.gelu, magnitude=reference.gelu_magnitude, kind="finite",
    smooth="away-from-kinks", derivative_ulps=2048,
    calls=_gelu_calls,
    rejections={
        "approximation": Rejection(
            "torch.nn.functional.gelu(x, approximate='tanh')",
            "torch.nn.functional.gelu(x, approximate='sinh')",
            "RuntimeError", "approximate argument must be either none or tanh", _ONE,
        ),
    },
)  # fmt: skip

_LAWS_OF_GELU = ("value", "long", "layout", "copy", "jvp", "vmap", "meta")
_GELU_OF_MATRICES = replace(
    _GELU,
    variant="of-matrices",
    calls=unary_calls(shape=shapes(min_rank=2, max_elements=24), options=_APPROXIMATIONS),
    dtypes=_ONEDNN,
    rejections={},
    excused=dict.fromkeys(_LAWS_OF_GELU, "covered by gelu"),
)

_CURVES = (
    _activation(
        "elu", reference.elu, magnitude=reference.elu_magnitude,
        in_place="nn.functional.elu_", options={"alpha": _choice(0.5, 2.0)},
    ),
    _activation(
        "selu", reference.selu, magnitude=reference.selu_magnitude,
        spellings=("selu",), in_place="nn.functional.selu_",
    ),
    _activation(
        "celu", reference.celu, magnitude=reference.elu_magnitude,
        spellings=("celu",), in_place="nn.functional.celu_",
        options={"alpha": _choice(0.5, 2.0)},
        rejections={
            "zero": Rejection(
                "torch.nn.functional.celu(x, 0.5)", "torch.nn.functional.celu(x, 0.0)",
                "RuntimeError", "alpha cannot be 0 for CELU|ZeroDivisionError", _ONE,
            ),
        },
    ),
    _GELU,
    _activation(
        "silu", reference.silu, magnitude=reference.silu_magnitude, kind="finite",
        derivative_ulps=512, in_place=silu_in_place,
    ),
    _activation(
        "mish", reference.mish, magnitude=reference.mish_magnitude, kind="finite",
        derivative_ulps=512, in_place=mish_in_place,
    ),
    _activation(
        "softplus", reference.softplus, magnitude=reference.softplus_magnitude,
        options={"beta": _choice(2.0, 0.5), "threshold": _choice(1.0, 0.0)},
    ),
    _activation(
        "logsigmoid", reference.logsigmoid, magnitude=reference.logsigmoid_magnitude,
        smooth="away-from-kinks",
    ),
    _activation("softsign", reference.softsign, kind="finite"),
    _activation(
        "tanhshrink", reference.tanhshrink, magnitude=reference.tanhshrink_magnitude,
        derivative_ulps=256,
    ),
)  # fmt: skip


@st.composite
def _threshold_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    limit, value = draw(_choice(0, 1, -2)), draw(_choice(0, 20, -3))
    return Call((draw(operand(dtype, kind, _SHAPES)), limit, value), {})


@st.composite
def _prelu_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind, _SHAPES))
    channels = x.shape[1] if x.dim() > 1 else 1
    shape = draw(_choice((channels,), (1,), ())) if channels else ()
    return Call((x, draw(operand(dtype, kind, shape))), {})


@st.composite
def _glu_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    half = draw(shapes(min_rank=1, max_elements=12))
    dim = draw(dims(len(half)))
    whole = [2 * side if d == dim % len(half) else side for d, side in enumerate(half)]
    arguments = () if dim == -1 and draw(st.booleans()) else (dim,)
    return Call((draw(operand(dtype, kind, tuple(whole))), *arguments), {})


_OTHERS = (
    _activation(
        "threshold", reference.threshold, calls=_threshold_calls, ulps=EXACT, kind="finite",
        dtypes=("floating", torch.int64, torch.int32, torch.int16, torch.int8),
        spellings=("threshold",), in_place="nn.functional.threshold_",
    ),
    _activation(
        "prelu", reference.prelu, calls=_prelu_calls, ulps=1, kind="finite",
        spellings=("prelu",),
        rejections={
            "channels": Rejection(
                "torch.nn.functional.prelu(x, torch.ones(3, device=x.device))",
                "torch.nn.functional.prelu(x, torch.ones(2, device=x.device))",
                "RuntimeError", "Mismatch of parameter numbers and input channel size", _ONE,
            ),
            "rank": Rejection(
                "torch.nn.functional.prelu(x, torch.ones(3, device=x.device))",
                "torch.nn.functional.prelu(x, torch.ones(1, 3, device=x.device))",
                "RuntimeError", "weight.* to be a scalar or 1D", _ONE,
            ),
        },
    ),
    _activation(
        "glu", reference.glu, calls=_glu_calls, kind="nonfinite", smooth="away-from-kinks",
        excused={"over-forward": "torch does not differentiate its tangent in reverse mode"},
        rejections={
            "odd": Rejection(
                "torch.nn.functional.glu(x, 0)", "torch.nn.functional.glu(x, 1)",
                "RuntimeError", "Halving dimension must be even, but dimension 1 is size 3", _ONE,
            ),
            "dim": Rejection(
                "torch.nn.functional.glu(x, 1)", "torch.nn.functional.glu(x, 2)",
                "IndexError", "Dimension out of range", _SQUARES,
            ),
        },
    ),
)  # fmt: skip


def given_dtype(call: Call) -> Dtypes:
    """Compute in the dtype that the call names, or in the tensor's, and return it."""
    dtype = call.keywords.get("dtype") or next(tensors_in(call)).dtype
    return Dtypes(dtype, (dtype,))


@st.composite
def _softmax_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind, _SHAPES))
    keywords = {"dtype": torch.float64} if draw(st.integers(0, 3)) == 3 else {}
    return Call((x, draw(dims(x.dim()))), keywords)


_SIGNED = (torch.int64, torch.float64, torch.int16)
_INTEGERS = (*_SIGNED, torch.uint8, torch.bool)


@st.composite
def _casting_calls(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...]) -> Call:
    """Calls that cast integers, or to a narrower dtype, before they compute."""
    own = draw(st.sampled_from(dtypes))
    wanted = draw(_choice(torch.float32, torch.float16, torch.bfloat16, torch.float64))
    x = draw(operand(own, "dyadic", _SHAPES))
    return Call((x, draw(dims(x.dim()))), {"dtype": wanted})


@st.composite
def _unsigned_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, "dyadic", _SHAPES))
    return Call((x, draw(dims(x.dim()))), {"dtype": torch.float32})


def _softmax(
    name: str, function: Reference, magnitude: Reference, *aliases: str, **changes: Any
) -> Operator:
    beyond = rejecting(
        f"{name}(x, -2)", f"{name}(x, -3)", "IndexError", "Dimension out of range", x=(2, 3)
    )
    given: dict[str, Any] = {
        "result": given_dtype,
        "mixed": _casting_calls(_INTEGERS),
        "kind": "regimes",
        "derivative_ulps": 256,
        "spellings": aliases,
        "rejections": {"dim": beyond},
    }
    return functional(name, _softmax_calls, function, magnitude, **{**given, **changes})


_SOFTMIN = _softmax(
    "softmin", reference.softmin, reference.softmin_magnitude, mixed=_casting_calls(_SIGNED)
)
_SOFTMAX = (
    _softmax(
        "softmax", reference.softmax, reference.softmax_magnitude,
        "softmax", "Tensor.softmax", "special.softmax",
    ),
    _softmax(
        "log_softmax", reference.log_softmax, reference.log_softmax_magnitude,
        "log_softmax", "Tensor.log_softmax", "special.log_softmax",
        analytic=reference.log_softmax_raised,
    ),
    _SOFTMIN,
)  # fmt: skip


def _alone(operator: Operator, variant: str, calls: Calls, **changes: Any) -> Operator:
    """Some calls of an entry, whose values alone are judged: the entry itself covers the rest."""
    excused = dict.fromkeys(
        ("long", "layout", "copy", "vmap", "meta", "constant", "spellings"),
        "covered by the entry itself",
    )
    return replace(
        operator, variant=variant, calls=calls, analytic=None, spellings=(), in_place="",
        mixed=None, rejections={}, excused=excused, **changes,
    )  # fmt: skip


def _filled_calls(value: float) -> Calls:
    """Calls on eight times the same number."""

    def calls(dtype: torch.dtype, kind: str) -> st.SearchStrategy[Call]:
        return st.builds(
            lambda: Call((torch.full((8,), value, dtype=dtype, device=current_device()),), {})
        )

    return calls


_ENDS = (
    _GELU_OF_MATRICES,
    _alone(_SOFTMIN, "unsigned", _unsigned_calls, dtypes=(torch.uint8, torch.bool)),
    _alone(_GELU, "infinity", _filled_calls(inf), dtypes=("split",)),
    _alone(_HARDSWISH, "minus-infinity", _filled_calls(-inf), dtypes=("split",)),
)

OPERATORS = (*_PIECES, *_CURVES, *_OTHERS, *_SOFTMAX, *_ENDS)
