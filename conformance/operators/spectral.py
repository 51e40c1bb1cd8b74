"""Fourier transforms: complex, real and Hermitian, in one dimension or several.

They are linear, but take real numbers to complex ones: their derivatives have laws of their own
in the chapter on spectral operators.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.evidence import tensors_in
from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Calls, Dtypes, Operator, Rejection
from conformance.reference import linalg
from strategies import dim_tuples, dims, shapes
from strategies.shapes import Shape

_NORMS = st.sampled_from(("backward", "ortho", "forward"))
_SHAPES = shapes(min_rank=1, max_rank=3, min_side=1, max_elements=24)
_COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}
_REAL_OF = {whole: part for part, whole in _COMPLEX_OF.items()}


def to_complex(call: Call) -> Dtypes:
    """Compute in floating point; the result is complex."""
    dtype = next(tensors_in(call)).dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.get_default_dtype()
    return Dtypes(dtype, (_COMPLEX_OF.get(dtype, dtype),))


def to_real(call: Call) -> Dtypes:
    """Take complex numbers; the result is real."""
    dtype = next(tensors_in(call)).dtype
    return Dtypes(dtype, (_REAL_OF.get(dtype, dtype),))


def _along_one(least: int = 1) -> Calls:
    """``op(x, n, dim, norm)``; n, if given, pads or cuts, to ``least`` at least."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        x = draw(operand(dtype, kind, _SHAPES))
        keywords: dict[str, Any] = {"norm": draw(_NORMS)} if draw(st.booleans()) else {}
        dim = draw(dims(x.dim()))
        if draw(st.booleans()):
            keywords["dim"] = dim
        along = keywords.get("dim", -1)
        if x.shape[along] < least or draw(st.booleans()):
            keywords["n"] = draw(st.integers(least, 5))
        return Call((x,), keywords)

    return drawn


@st.composite
def _along_several(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind, shapes(min_rank=2, max_rank=3, min_side=1, max_elements=24)))
    keywords: dict[str, Any] = {"norm": draw(_NORMS)} if draw(st.booleans()) else {}
    chosen = draw(st.sampled_from(((-2, -1), (0, 1), (1, 0), (-1, 0), (1,))))
    if draw(st.booleans()):
        keywords["dim"] = chosen
        if draw(st.booleans()):
            keywords["s"] = tuple(draw(st.integers(1, 4)) for _ in chosen)
    return Call((x,), keywords)


@st.composite
def _in_plane(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    call = draw(_along_several(dtype, kind))
    if len(call.keywords.get("dim", (0, 0))) == 2:
        return call
    return Call(call.arguments, {k: v for k, v in call.keywords.items() if k == "norm"})


@st.composite
def _shifted(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    x = draw(operand(dtype, kind, shapes(min_rank=1)))
    along = draw(
        st.one_of(dims(x.dim()), dim_tuples(x.dim()).map(lambda chosen: chosen or (0,)), st.none())
    )
    return Call((x,) if along is None else (x, along), {})


def transform(
    function: Callable[..., Any],
    x: Any,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
) -> Any:
    """Return NumPy's transform along one axis, called by torch's names of arguments."""
    return function(x, n=n, axis=dim, norm=norm)


def transform_of_several(
    function: Callable[..., Any],
    x: Any,
    s: Shape | None = None,
    dim: tuple[int, ...] | None = None,
    norm: str | None = None,
) -> Any:
    """Return NumPy's transform along several axes, called by torch's names of arguments."""
    return function(x, s=s, axes=tuple(range(x.ndim)) if dim is None else dim, norm=norm)


def transform_of_plane(
    function: Callable[..., Any],
    x: Any,
    s: Shape | None = None,
    dim: tuple[int, ...] = (-2, -1),
    norm: str | None = None,
) -> Any:
    """Return NumPy's transform along two axes, the last ones unless told."""
    return function(x, s=s, axes=dim, norm=norm)


def largest_of_sizes(function: Callable[..., Any], x: Any, **keywords: Any) -> Any:
    """Return the largest entry that inputs of these sizes can have in their transform."""
    return linalg.largest_entry(function(np.abs(x), **keywords))


_EXCUSE = "a complex result of real numbers: judged by spectral.gradient and spectral.tangent"
_LIBRARY = "the strides of a transform are those of the library that computes it"
_SIGNAL = {"x": (torch.float32, (3,)), "z": (torch.complex64, (3,))}
_REAL = (torch.float64, torch.float32)
_ANY = (*_REAL, "complex")

_TRANSFORMS: tuple[tuple[str, Calls, Any, tuple[Any, ...], Any], ...] = (
    ("fft", _along_one(), transform, _ANY, to_complex),
    ("ifft", _along_one(), transform, _ANY, to_complex),
    ("rfft", _along_one(), transform, _REAL, to_complex),
    ("irfft", _along_one(2), transform, ("complex",), to_real),
    ("hfft", _along_one(2), transform, ("complex",), to_real),
    ("ihfft", _along_one(), transform, _REAL, to_complex),
    ("fft2", _in_plane, transform_of_plane, _ANY, to_complex),
    ("ifft2", _in_plane, transform_of_plane, _ANY, to_complex),
    ("rfft2", _in_plane, transform_of_plane, _REAL, to_complex),
    ("fftn", _along_several, transform_of_several, _ANY, to_complex),
    ("ifftn", _along_several, transform_of_several, _ANY, to_complex),
    ("rfftn", _along_several, transform_of_several, _REAL, to_complex),
)


def _rejections(name: str, dtypes: tuple[Any, ...]) -> dict[str, Rejection]:
    legal = f"torch.fft.{name}({'x' if dtypes != ('complex',) else 'z'})"
    found = {
        "norm": Rejection(
            legal, legal.replace(")", ", norm='other')"), "RuntimeError",
            "Invalid normalization mode", _SIGNAL,
        ),
    }  # fmt: skip
    if name in ("rfft", "ihfft"):
        found["complex"] = Rejection(
            legal, f"torch.fft.{name}(z)", "TypeError from 2.15", "expects a real", _SIGNAL
        )
    if name in ("fft", "ifft"):
        found["length"] = Rejection(
            legal, legal.replace(")", ", n=0)"), "RuntimeError", "Invalid number of data points",
            _SIGNAL,
        )  # fmt: skip
    return found


TRANSFORMS = tuple(
    Operator(
        name=f"fft.{name}",
        calls=calls,
        reference=partial(called, getattr(np.fft, name)),
        magnitude=partial(largest_of_sizes, partial(called, getattr(np.fft, name))),
        analytic=partial(called, getattr(np.fft, name)),
        dtypes=dtypes,
        result=result,
        kind="dyadic",
        smooth="dyadic",
        ulps=16,
        derivative_ulps=64,
        out="same" if name in ("fft", "ifft", "rfft", "fftn") else "",
        rejections=_rejections(name, dtypes) if calls not in (_in_plane, _along_several) else {},
        excused={**dict.fromkeys(("vjp", "jvp", "second-derivative"), _EXCUSE), "meta": _LIBRARY},
    )
    for name, calls, called, dtypes, result in _TRANSFORMS
)

SHIFTS = tuple(
    Operator(
        name=f"fft.{name}",
        calls=_shifted,
        reference=getattr(np.fft, name),
        analytic=getattr(np.fft, name),
        dtypes=("any",),
    )
    for name in ("fftshift", "ifftshift")
)

OPERATORS = (*TRANSFORMS, *SHIFTS)
