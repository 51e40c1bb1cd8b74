"""Linear algebra: products of matrices, and functions of one, analytic in their entries.

Where NumPy has the function, entries name NumPy's; here is what it lacks, or what derivatives
need: forms that take complex matrices, never conjugate, and branch on real parts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def matmul_magnitude(a: Array, b: Array) -> Array:
    """Return ``|a| @ |b|``: what the rounding of a product of matrices is relative to."""
    return np.asarray(np.matmul(np.abs(a), np.abs(b)))


def dot_unconjugated(a: Array, b: Array) -> Array:
    """Return the sum of ``a * b``, over the last dimension."""
    return np.asarray(np.sum(a * b, axis=-1))


def dot_conjugated(a: Array, b: Array, dim: int = -1) -> Array:
    """Return the sum of ``conj(a) * b`` over a dimension (torch.vdot, torch.linalg.vecdot)."""
    return np.asarray(np.sum(np.conj(a) * b, axis=dim))


def dot_analytic(a: Array, b: Array, dim: int = -1) -> Array:
    """Return :func:`dot_conjugated` of real vectors, without the conjugation."""
    return np.asarray(np.sum(a * b, axis=dim))


def dot_magnitude(a: Array, b: Array, dim: int = -1) -> Array:
    """Return the sum of ``|a| |b|`` over a dimension."""
    return dot_analytic(np.abs(a), np.abs(b), dim)


def inner_magnitude(a: Array, b: Array) -> Array:
    """Return the inner product of the sizes."""
    return np.asarray(np.inner(np.abs(a), np.abs(b)))


def _weighted(base: Array, product: Array, beta: float, alpha: float) -> Array:
    shape = np.broadcast_shapes(base.shape, product.shape)
    scaled = product * alpha
    return np.broadcast_to(scaled if beta == 0 else base * beta + scaled, shape) + 0


def addmm(base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """Return ``beta base + alpha (a @ b)``; where beta is 0, base counts for nothing, nan or not.

    https://docs.pytorch.org/docs/stable/generated/torch.addmm.html; addmv and baddbmm too.
    """
    return _weighted(base, np.matmul(a, b), beta, alpha)


def addmm_magnitude(base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """Return the sum of the sizes of what :func:`addmm` adds."""
    return addmm(np.abs(base), np.abs(a), np.abs(b), beta=abs(beta), alpha=abs(alpha))


def addbmm(base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """Return ``beta base + alpha sum_i a_i @ b_i``."""
    return _weighted(base, np.matmul(a, b).sum(axis=0), beta, alpha)


def addbmm_magnitude(
    base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1
) -> Array:
    """Return the sum of the sizes of what :func:`addbmm` adds."""
    return addbmm(np.abs(base), np.abs(a), np.abs(b), beta=abs(beta), alpha=abs(alpha))


def addr(base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """Return ``beta base + alpha`` times the outer product of two vectors."""
    return _weighted(base, np.outer(a, b), beta, alpha)


def addr_magnitude(base: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """Return the sum of the sizes of what :func:`addr` adds."""
    return addr(np.abs(base), np.abs(a), np.abs(b), beta=abs(beta), alpha=abs(alpha))


def einsum(equation: str, *operands: Array) -> Array:
    """Return Einstein's sum, as NumPy reads the equation."""
    return np.asarray(np.einsum(equation, *operands))


def einsum_magnitude(equation: str, *operands: Array) -> Array:
    """Return Einstein's sum of the sizes."""
    return einsum(equation, *map(np.abs, operands))


def kronecker(a: Array, b: Array) -> Array:
    """Return the Kronecker product, element by element: ``a[i] b[j]`` at ``i size(b) + j``."""
    rank = max(a.ndim, b.ndim)
    a = a.reshape((1,) * (rank - a.ndim) + a.shape)
    b = b.reshape((1,) * (rank - b.ndim) + b.shape)
    product = np.multiply.outer(a, b)
    paired = [axis for dim in range(rank) for axis in (dim, rank + dim)]
    shape = tuple(m * n for m, n in zip(a.shape, b.shape, strict=True))
    return np.asarray(product.transpose(paired).reshape(shape))


def cross_product(a: Array, b: Array, dim: int = -1) -> Array:
    """Return the vectors orthogonal to those of a and b along a dimension of size 3."""
    a, b = np.broadcast_arrays(a, b)
    a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return np.moveaxis(np.stack(parts), 0, dim)


def cross_magnitude(a: Array, b: Array, dim: int = -1) -> Array:
    """Return the sum of the sizes of the two products in each entry of a cross product."""
    a, b = (np.moveaxis(np.abs(v), dim, 0) for v in np.broadcast_arrays(a, b))
    parts = [a[i - 2] * b[i - 1] + a[i - 1] * b[i - 2] for i in range(3)]
    return np.moveaxis(np.stack(parts), 0, dim)


def tensordot(a: Array, b: Array, dims: Any) -> Array:
    """Return the sum of products over pairs of dimensions: two lists, or how many at the ends."""
    return np.asarray(np.tensordot(a, b, axes=dims))


def tensordot_magnitude(a: Array, b: Array, dims: Any) -> Array:
    """Return :func:`tensordot` of the sizes."""
    return tensordot(np.abs(a), np.abs(b), dims)


def chained(matrices: Sequence[Array]) -> Array:
    """Return the product of several matrices, first and last of which may be vectors."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = np.matmul(product, matrix)
    return np.asarray(product)


def chained_magnitude(matrices: Sequence[Array]) -> Array:
    """Return the product of the sizes."""
    return chained([np.abs(matrix) for matrix in matrices])


def vandermonde(x: Array, N: int | None = None) -> Array:  # noqa: N803 (torch's name)
    """Return the powers 0 to N - 1 of each entry, along a new last dimension."""
    count = x.shape[-1] if N is None else N
    powers = [np.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return np.stack(powers[:count], axis=-1)


def vandermonde_columns(
    x: Array,
    N: int | None = None,  # noqa: N803 (torch's name)
    increasing: bool = False,
) -> Array:
    """Return the powers of a vector as columns, falling unless ``increasing`` (torch.vander)."""
    matrix = vandermonde(x, len(x) if N is None else N) if N != 0 else np.zeros((len(x), 0))
    return matrix if increasing else matrix[:, ::-1]


def largest_entry(result: Array) -> Array:
    """Return an array of the result's shape filled with its largest size: for normwise bounds."""
    size = np.max(np.abs(result), initial=0.0)
    return np.full(result.shape, size)
