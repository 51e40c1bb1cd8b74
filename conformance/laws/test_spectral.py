"""Spectral operators: derivatives of Fourier transforms, and transforms of short times."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators import calculus, excluding, judge, page
from conformance.operators.problems import linear_problems
from conformance.operators.spectral import TRANSFORMS
from conformance.reference import spectral
from strategies import tensors

LINEAR = {key: o for key, o in excluding("spectral").items() if o in TRANSFORMS}


@law("spectral.tangent", docs=page, over=LINEAR)
@given(problem=linear_problems)
def test_tangent(target, case, problem):
    """A transform is linear: forward mode gives the transform of the tangent."""
    call, _, tangents = problem
    with torch.autograd.forward_ad.dual_level():
        dual = calculus.with_tangents(case, call, [True], tangents)
        result = target.run(case.name, *dual.arguments, **dual.keywords)
        pushed = torch.autograd.forward_ad.unpack_dual(result).tangent
    judge.check(case, calculus.moved_to(call, tangents), pushed, "tangent")


@law("spectral.gradient", docs=page, over=LINEAR)
@given(problem=linear_problems)
def test_gradient(target, case, problem):
    """The gradient of a transform is its adjoint: entry i is the cotangent's part along column i.

    For real numbers, the real part of <v, F e_i>; for complex ones, that of <v, F e_i> and of
    <v, F i e_i> as real and imaginary part.
    """
    call, cotangents, _ = problem
    traced, inputs = calculus.with_leaves(case, call, [True])
    result = target.run(case.name, *traced.arguments, **traced.keywords)
    (gradient,) = torch.autograd.grad(result, inputs, cotangents)
    function, (point,) = calculus.along(case, call, [True])
    cotangent = calculus.flattened(cotangents)
    expected, size = spectral.adjoint(function, point, cotangent)
    bound = 32 * torch.finfo(gradient.dtype).eps * size
    compare.close(gradient, expected, bound=bound, dtype=inputs[0].dtype, what="gradient")


WINDOWS = st.sampled_from((None, "hann"))


@law("spectral.stft", docs="torch.stft")
@given(
    signal=tensors(dtype=st.sampled_from((torch.float32, torch.float64)), shape=(2, 24)),
    hop=st.integers(1, 8),
    centred=st.booleans(),
)
def test_stft(target, signal, hop, centred):
    """stft transforms windows of the signal, one every hop, the signal reflected at its ends.

    ``X[w, m] = sum_k window[k] input[m hop + k] exp(-2 pi i w k / n)``, for n = 8.
    """
    window = torch.hann_window(8, dtype=signal.dtype, device=target.device)
    result = target.run(
        "torch.stft", signal, 8, hop, window=window, center=centred, return_complex=True
    )
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(8) / 8)
    expected = spectral.short_time_transform(judge.wide(signal), weights, hop, centred)
    bound = 64 * torch.finfo(signal.dtype).eps * (1 + np.abs(expected).max())
    dtype = torch.complex64 if signal.dtype == torch.float32 else torch.complex128
    compare.close(result, expected, bound=bound, dtype=dtype)


@law("spectral.istft", docs="torch.istft")
@given(
    signal=tensors(dtype=st.sampled_from((torch.float32, torch.float64)), shape=(2, 24)),
    hop=st.integers(1, 4),
)
def test_istft(target, signal, hop):
    """istft undoes stft, where every window overlaps with the next."""
    window = torch.hann_window(8, dtype=signal.dtype, device=target.device)
    transformed = torch.stft(signal, 8, hop, window=window, return_complex=True)
    result = target.run("torch.istft", transformed, 8, hop, window=window, length=24)
    bound = 256 * torch.finfo(signal.dtype).eps
    compare.close(result, judge.wide(signal), bound=bound, dtype=signal.dtype)


FREQUENCIES = {"fftfreq": "torch.fft.fftfreq", "rfftfreq": "torch.fft.rfftfreq"}


@law("spectral.frequencies", docs="torch.fft.fftfreq", over=FREQUENCIES)
@given(count=st.integers(1, 9), exponent=st.integers(-3, 3))
def test_frequencies(target, case, count, exponent):
    """fftfreq and rfftfreq return the frequency of each entry of a transform, in cycles a unit.

    ``[0, 1, ..., (n - 1) // 2, -(n // 2), ..., -1] / (d n)``; rfftfreq the half from 0 to n // 2.
    """
    spacing = 2.0**exponent
    result = target.run(case, count, spacing, dtype=torch.float64, device=target.device)
    expected = spectral.frequencies(count, case.endswith("rfftfreq")) / (spacing * count)
    bound = 2 * np.finfo(np.float64).eps * np.abs(expected)
    compare.close(result, expected, bound=bound, dtype=torch.float64)
