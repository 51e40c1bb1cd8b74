"""Matrices that are well conditioned: rectangular of full rank, Hermitian, positive definite.

A heavy diagonal of distinct entries beside small dyadic ones keeps singular values apart from
zero and from each other.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.shapes import Shape
from strategies.tensors import tensors_holding
from strategies.values import Array, arrays

_DTYPES = st.sampled_from((torch.float64, torch.float32, torch.complex128, torch.complex64))
_SIDES = ((2, 2), (1, 1), (3, 3), (3, 2), (2, 1), (4, 2), (2, 3), (1, 3))
_BATCHES: tuple[Shape, ...] = ((), (2,), (1, 2))


@st.composite
def _dominated(draw: st.DrawFn, dtype: torch.dtype, shape: Shape) -> Array:
    """Entries of at most 1/8, and on the diagonal 2, 3, 4 ... with drawn signs."""
    values = draw(arrays(dtype=dtype, shape=shape)) / 16
    count = min(shape[-2:])
    negative = draw(st.integers(0, 2**count - 1))
    for number in range(count):
        values[..., number, number] += (2 + number) * (-1 if negative >> number & 1 else 1)
    return np.asarray(values)


@st.composite
def _rectangular(draw: st.DrawFn, sides: tuple[tuple[int, int], ...]) -> torch.Tensor:
    dtype = draw(_DTYPES)
    shape = (*draw(st.sampled_from(_BATCHES)), *draw(st.sampled_from(sides)))
    return draw(tensors_holding(draw(_dominated(dtype, shape)), dtype=dtype))


@cache
def rectangular_matrices(*, tall: bool = False) -> st.SearchStrategy[torch.Tensor]:
    """Draw a matrix of full rank, or a batch of them: square, tall or, unless ``tall``, wide.

    float32, float64 or complex. Shrinks to a 2 x 2 matrix with a diagonal of 2 and 3.

    Example::

        @given(rectangular_matrices())
        def test(matrix): assert torch.linalg.matrix_rank(matrix).min() == min(matrix.shape[-2:])
    """
    return _rectangular(tuple(s for s in _SIDES if s[0] >= s[1] or not tall))


@st.composite
def _hermitian(draw: st.DrawFn, squared: bool, batches: tuple[Shape, ...]) -> torch.Tensor:
    dtype, side = draw(_DTYPES), draw(st.sampled_from((2, 1, 3)))
    values = draw(_dominated(dtype, (*draw(st.sampled_from(batches)), side, side)))
    adjoint = np.conj(np.swapaxes(values, -1, -2))
    made = np.matmul(values, adjoint) if squared else (values + adjoint) / 2
    return draw(tensors_holding(made, dtype=dtype))


def hermitian_matrices() -> st.SearchStrategy[torch.Tensor]:
    """Draw a symmetric or Hermitian matrix, or a batch, with eigenvalues of both signs.

    Example::

        @given(hermitian_matrices())
        def test(matrix): assert matrix.mH.equal(matrix)
    """
    return _hermitian(False, _BATCHES)


def definite_matrices(*, max_batch: int = 2) -> st.SearchStrategy[torch.Tensor]:
    """Draw a positive definite matrix, or a batch of up to ``max_batch`` dimensions.

    Example::

        @given(definite_matrices())
        def test(matrix): torch.linalg.cholesky(matrix)
    """
    if not 0 <= max_batch <= 2:
        raise InvalidArgument(f"definite_matrices(max_batch={max_batch}): use 0, 1 or 2")
    return _hermitian(True, tuple(shape for shape in _BATCHES if len(shape) <= max_batch))
