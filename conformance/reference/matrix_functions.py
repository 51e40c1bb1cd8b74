"""Functions of one matrix or a system, for batches, analytic in their entries.

NumPy's determinant, inverse and solution take complex matrices and are analytic: they serve for
values and derivatives. What NumPy lacks is here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def log_determinant(a: Array) -> Array:
    """Return the logarithm of the determinant; nan where a real one is negative."""
    return np.asarray(np.log(np.linalg.det(a)))


def sign_and_log_determinant(a: Array) -> tuple[Array, Array]:
    """Return the determinant's sign, of size 1 or 0, and the logarithm of its size."""
    determinant = np.linalg.det(a)
    size = np.abs(determinant)
    sign = np.where(size == 0, 0, determinant / np.where(size == 0, 1, size))
    return np.asarray(sign), np.asarray(np.log(size))


def sign_and_log_analytic(a: Array) -> tuple[Array, Array]:
    """Return :func:`sign_and_log_determinant` of real matrices, analytic: the sign is constant."""
    determinant = np.linalg.det(a)
    sign = np.sign(determinant.real)
    return np.asarray(sign + 0 * determinant), np.asarray(np.log(determinant * sign))


def solution(a: Array, b: Array, *, left: bool = True) -> Array:
    """Return X of ``A X = B``, or of ``X A = B``; B of one dimension fewer than A is vectors.

    https://docs.pytorch.org/docs/stable/generated/torch.linalg.solve.html
    """
    vectors = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vectors:
        return np.asarray(np.matmul(np.linalg.inv(a), b[..., None])[..., 0])
    return _matrix_solution(a, b, left)


def _matrix_solution(a: Array, b: Array, left: bool) -> Array:
    inverse = np.linalg.inv(a)
    return np.asarray(np.matmul(inverse, b) if left else np.matmul(b, inverse))


def triangular_solution(
    a: Array, b: Array, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Array:
    """Return X of ``A X = B`` for the triangle of A alone, its diagonal taken as ones if asked."""
    triangle = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        eye = np.eye(a.shape[-1])
        triangle = triangle * (1 - eye) + eye
    return _matrix_solution(triangle, b, left)


def power_of(a: Array, n: int) -> Array:
    """Return the n-th power of a matrix: repeated products, of the inverse where n is negative."""
    factor = np.linalg.inv(a) if n < 0 else a
    result = np.zeros_like(a) + np.eye(a.shape[-1])
    for _ in range(abs(n)):
        result = np.matmul(result, factor)
    return result


def exponential_of(a: Array) -> Array:
    """Return the exponential of a matrix: Taylor's series of ``A / 4``, squared twice."""
    scaled = a / 4
    term = np.zeros_like(a) + np.eye(a.shape[-1])
    total = term
    for order in range(1, 30):
        term = np.matmul(term, scaled) / order
        total = total + term
    for _ in range(2):
        total = np.matmul(total, total)
    return total


def pseudo_inverse(a: Array) -> Array:
    """Return the pseudo-inverse of real matrices of full rank, ``(A' A)^-1 A'`` or transposed.

    Analytic; the transposes are not conjugated.
    """
    turned = np.swapaxes(a, -1, -2)
    if a.shape[-2] >= a.shape[-1]:
        return np.asarray(np.matmul(np.linalg.inv(np.matmul(turned, a)), turned))
    return np.asarray(np.matmul(turned, np.linalg.inv(np.matmul(a, turned))))


def frobenius_norm(a: Array) -> Array:
    """Return the root of the sum of the squared sizes over the last two dimensions."""
    return np.asarray(np.sqrt(np.sum(np.abs(a) ** 2, axis=(-2, -1))))


def frobenius_analytic(a: Array) -> Array:
    """Return :func:`frobenius_norm` of real matrices, analytic."""
    return np.asarray(np.sqrt(np.sum(a * a, axis=(-2, -1))))


def row_norm(a: Array, ord: float, dim: tuple[int, int] = (-2, -1), keepdim: bool = False) -> Array:
    """Return the largest or least sum of sizes in a column (ord 1, -1) or a row (inf, -inf).

    ``dim`` names the dimension down which rows are counted, then that of columns.
    """
    rows, columns = (place % a.ndim for place in dim)
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = np.sum(np.abs(a), axis=summed, keepdims=True)
    chosen = (
        np.max(sums, axis=kept, keepdims=True) if ord > 0 else np.min(sums, kept, keepdims=True)
    )
    return np.asarray(chosen if keepdim else np.squeeze(chosen, (rows, columns)))


def row_norm_analytic(
    a: Array, ord: float, dim: tuple[int, int] = (-2, -1), keepdim: bool = False
) -> Array:
    """Return :func:`row_norm` of real matrices, analytic: chosen and signed by real parts."""
    rows, columns = (place % a.ndim for place in dim)
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = np.sum(np.where(a.real < 0, -a, a), axis=summed, keepdims=True)
    pick = np.argmax if ord > 0 else np.argmin
    chosen = np.take_along_axis(sums, pick(sums.real, axis=kept, keepdims=True), kept)
    return np.asarray(chosen if keepdim else np.squeeze(chosen, (rows, columns)))
