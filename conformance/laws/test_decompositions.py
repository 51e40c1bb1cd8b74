"""Decompositions: factors judged by what defines them, where signs and phases are free."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators.judge import wide
from conformance.reference import decompositions
from strategies import (
    definite_matrices,
    hermitian_matrices,
    rectangular_matrices,
    with_cotangent,
)

BOUND = 256  # of a matrix of at most 4 rows, with condition below 10, in units of rounding


def bound_for(tensor, expected):
    return BOUND * torch.finfo(tensor.dtype).eps * (1 + np.abs(expected).max(initial=0.0))


def is_near(actual, expected, dtype, what):
    compare.close(actual, expected, bound=bound_for(actual, expected), dtype=dtype, what=what)


def real_dtype(tensor):
    return tensor.real.dtype if tensor.is_complex() else tensor.dtype


def adjoint_of(array):
    return np.conj(np.swapaxes(array, -1, -2))


def orthonormal_columns(factor, what):
    columns = wide(factor)
    product = np.matmul(adjoint_of(columns), columns)
    difference = torch.from_numpy(product - np.eye(product.shape[-1]))
    limit = BOUND * torch.finfo(factor.dtype).eps
    compare.close(
        difference, np.zeros(product.shape), bound=limit, dtype=difference.dtype, what=what
    )


def triangle_of_zeros(factor, upper, what):
    values = wide(factor)
    rest = torch.from_numpy(np.tril(values, -1) if upper else np.triu(values, 1))
    compare.equal(rest, np.zeros(values.shape), dtype=rest.dtype, what=what)


def product_is(factors, original, what):
    product = wide(factors[0])
    for factor in factors[1:]:
        product = np.matmul(product, wide(factor))
    expected = wide(original)
    limit = bound_for(original, expected)
    found = torch.from_numpy(np.asarray(product, dtype=expected.dtype))
    compare.close(found, expected, bound=limit, dtype=found.dtype, what=what)


@law("decompositions.cholesky", docs="torch.linalg.cholesky")
@given(matrix=definite_matrices(), upper=st.booleans())
def test_cholesky(target, matrix, upper):
    """cholesky returns L, lower triangular with a positive diagonal, for which A = L L^H.

    ``upper=True`` returns its adjoint.
    """
    factor = target.run("torch.linalg.cholesky", matrix, upper=upper)
    triangle_of_zeros(factor, upper, "the other triangle")
    lower = factor.mH if upper else factor
    product_is([lower, lower.mH], matrix, "L L^H")
    diagonal = wide(factor.diagonal(dim1=-2, dim2=-1))
    compare.every((diagonal.real > 0) & (np.imag(diagonal) == 0), factor, "positive diagonal")
    compare.fact(factor.dtype, matrix.dtype, "dtype")


@law("decompositions.cholesky-solve", docs="torch.cholesky_solve")
@given(matrix=definite_matrices(), upper=st.booleans())
def test_cholesky_solve(target, matrix, upper):
    """cholesky_solve and cholesky_inverse invert a matrix given its Cholesky factor."""
    factor = torch.linalg.cholesky(matrix, upper=upper)
    inverse = np.linalg.inv(wide(matrix))
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=target.device)
    solved = target.run("torch.cholesky_solve", eye.expand(matrix.shape), factor, upper=upper)
    is_near(solved, inverse, matrix.dtype, "cholesky_solve of the identity")
    inverted = target.run("torch.cholesky_inverse", factor, upper=upper)
    is_near(inverted, inverse, matrix.dtype, "cholesky_inverse")


QR_MODES = {"reduced": "reduced", "complete": "complete"}


@law("decompositions.qr", docs="torch.linalg.qr", over=QR_MODES)
@given(matrix=rectangular_matrices())
def test_qr(target, case, matrix):
    """qr returns Q with orthonormal columns and R upper triangular, for which A = Q R.

    Reduced: Q has min(m, n) columns; complete: m. Mode "r" returns the same R and no Q.
    """
    q, r = target.run("torch.linalg.qr", matrix, mode=case)
    rows, columns = matrix.shape[-2:]
    inner = min(rows, columns) if case == "reduced" else rows
    compare.fact((q.shape[-1], r.shape[-2]), (inner, inner), "inner side")
    orthonormal_columns(q, "Q^H Q - I")
    triangle_of_zeros(r, True, "R below its diagonal")
    product_is([q, r], matrix, "Q R")


@law("decompositions.svd", docs="torch.linalg.svd")
@given(matrix=rectangular_matrices(), full=st.booleans())
def test_svd(target, matrix, full):
    """svd returns U, S and V^H: orthonormal, with A = U diag(S) V^H and S falling, not negative.

    S is what svdvals returns. With ``full_matrices`` U and V are square.
    """
    u, s, vh = target.run("torch.linalg.svd", matrix, full_matrices=full)
    rows, columns = matrix.shape[-2:]
    inner = min(rows, columns)
    sides = (rows, columns) if full else (inner, inner)
    compare.fact((u.shape[-1], vh.shape[-2]), sides, "columns of U, rows of V^H")
    orthonormal_columns(u, "U^H U - I")
    orthonormal_columns(vh.mH, "V^H V - I")
    expected = np.linalg.svd(wide(matrix), compute_uv=False)
    is_near(s, expected, real_dtype(matrix), "S")
    values = wide(s)
    compare.every((values >= 0) & (values <= np.roll(values, 1, -1) + (np.arange(inner) == 0) * 99),
                  s, "falling and not negative")  # fmt: skip
    scaled = u[..., :inner] * s.unsqueeze(-2)
    product_is([scaled, vh[..., :inner, :]], matrix, "U diag(S) V^H")
    is_near(target.run("torch.linalg.svdvals", matrix), expected, real_dtype(matrix), "svdvals")


TRIANGLES = {"lower": "L", "upper": "U"}


@law("decompositions.eigh", docs="torch.linalg.eigh", over=TRIANGLES)
@given(matrix=hermitian_matrices())
def test_eigh(target, case, matrix):
    """eigh returns eigenvalues, rising, and orthonormal eigenvectors: A = Q diag(L) Q^H.

    Only the triangle that UPLO names is read.
    """
    values = wide(matrix)
    triangle = np.tril(values) if case == "L" else np.triu(values)
    half = matrix.tril() if case == "L" else matrix.triu()
    eigenvalues, vectors = target.run("torch.linalg.eigh", half, UPLO=case)
    compare.fact(bool((triangle == wide(half)).all()), True, "input is one triangle")
    orthonormal_columns(vectors, "Q^H Q - I")
    expected = np.linalg.eigvalsh(values)
    is_near(eigenvalues, expected, real_dtype(matrix), "eigenvalues")
    product_is([vectors * eigenvalues.unsqueeze(-2), vectors.mH], matrix, "Q diag(L) Q^H")
    alone = target.run("torch.linalg.eigvalsh", half, UPLO=case)
    is_near(alone, expected, real_dtype(matrix), "eigvalsh")


@law("decompositions.lu", docs="torch.linalg.lu")
@given(matrix=rectangular_matrices())
def test_lu(target, matrix):
    """lu returns a permutation P, L with ones on its diagonal, and U, for which A = P L U."""
    p, lower, upper = target.run("torch.linalg.lu", matrix)
    triangle_of_zeros(lower, False, "L above its diagonal")
    triangle_of_zeros(upper, True, "U below its diagonal")
    ones = wide(lower.diagonal(dim1=-2, dim2=-1))
    compare.every(ones == 1, lower, "ones on the diagonal of L")
    permutation = wide(p)
    once = (permutation.sum(-1) == 1).all() and (permutation.sum(-2) == 1).all()
    compare.fact(bool(once and np.isin(permutation, (0, 1)).all()), True, "P is a permutation")
    product_is([p, lower, upper], matrix, "P L U")


@law("decompositions.lstsq", docs="torch.linalg.lstsq")
@given(matrix=rectangular_matrices(tall=True), columns=st.integers(1, 3))
def test_lstsq(target, matrix, columns):
    """lstsq returns the X that minimizes ||A X - B||, for A of full rank and tall: A^+ B."""
    right = matrix.mT[..., :1, :].mT.expand(*matrix.shape[:-1], columns) + 1
    solution = target.run("torch.linalg.lstsq", matrix, right).solution
    expected = np.matmul(np.linalg.pinv(wide(matrix)), wide(right))
    is_near(solution, expected, matrix.dtype, "solution")


@law("decompositions.matrix-rank", docs="torch.linalg.matrix_rank")
@given(matrix=rectangular_matrices(), rank=st.integers(0, 3))
def test_matrix_rank(target, matrix, rank):
    """matrix_rank counts the singular values that are not negligible."""
    lowered = matrix.clone()
    lowered[..., rank:, :] = 0
    expected = np.full(tuple(matrix.shape[:-2]), min(rank, *matrix.shape[-2:]))
    result = target.run("torch.linalg.matrix_rank", lowered)
    compare.equal(result, expected, dtype=torch.int64)


def cholesky_again(a):
    lower = torch.linalg.cholesky(a)
    return lower @ lower.mH


def eigh_again(a):
    values, vectors = torch.linalg.eigh(a)
    return (vectors * values.unsqueeze(-2)) @ vectors.mH


def qr_again(a):
    q, r = torch.linalg.qr(a)
    return q @ r


def svd_again(a):
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return (u * s.unsqueeze(-2)) @ vh


def lu_again(a):
    p, lower, upper = torch.linalg.lu(a)
    return p @ lower @ upper


HERMITIAN_AGAIN = {"cholesky": cholesky_again, "eigh": eigh_again}
AGAIN = {"qr": qr_again, "svd": svd_again, "lu": lu_again}


def same_kind(matrix):
    return tuple(matrix.shape), matrix.dtype


@law("decompositions.gradient", docs="torch.linalg.svd", over=AGAIN)
@given(problem=with_cotangent(rectangular_matrices(tall=True), result=same_kind))
def test_gradient(target, case, problem):
    """A matrix put together from its factors again has the identity as derivative.

    Which uses the gradient of every factor at once, for distinct singular values.
    """
    matrix, cotangent = problem
    leaf = matrix.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(target.run(case, leaf), leaf, cotangent)
    limit = 16 * bound_for(matrix, wide(cotangent))
    compare.close(gradient, wide(cotangent), bound=limit, dtype=matrix.dtype, what="gradient")


@law("decompositions.hermitian-gradient", docs="torch.linalg.eigh", over=HERMITIAN_AGAIN)
@given(problem=with_cotangent(definite_matrices(), result=same_kind))
def test_hermitian_gradient(target, case, problem):
    """A Hermitian matrix put together from its factors again passes on the Hermitian part.

    The Hermitian part of the gradient is ``(W + W^H) / 2`` for the cotangent W.
    """
    matrix, cotangent = problem
    leaf = matrix.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(target.run(case, leaf), leaf, cotangent)
    weights = wide(cotangent)
    expected = (weights + adjoint_of(weights)) / 2
    hermitian = (gradient + gradient.mH) / 2
    limit = 16 * bound_for(matrix, expected)
    compare.close(hermitian, expected, bound=limit, dtype=matrix.dtype, what="gradient")


SPECTRA = {"eigvalsh": "torch.linalg.eigvalsh", "svdvals": "torch.linalg.svdvals"}
NORMS = {"nuclear": "nuc", "spectral": 2}


@law("decompositions.spectrum-gradient", docs="torch.linalg.svdvals", over=SPECTRA)
@given(matrix=definite_matrices())
def test_spectrum_gradient(target, case, matrix):
    """The gradient of eigenvalues is Q diag(g) Q^H, of singular values U diag(g) V^H.

    On positive definite matrices the two agree, but for the order of the values.
    """
    leaf = matrix.detach().requires_grad_()
    result = target.run(case, leaf)
    weights = np.arange(1.0, 1 + matrix.shape[-1])
    cotangent = torch.tensor(weights, dtype=result.dtype, device=target.device).expand(result.shape)
    (gradient,) = torch.autograd.grad(result, leaf, cotangent)
    ordered = weights if case.endswith("eigvalsh") else weights[::-1]
    expected = decompositions.from_spectrum(wide(matrix), ordered)
    limit = 16 * bound_for(matrix, expected)
    compare.close(gradient, expected, bound=limit, dtype=matrix.dtype, what="gradient")


@law("decompositions.norm-gradient", docs="torch.linalg.matrix_norm", over=NORMS)
@given(matrix=rectangular_matrices(tall=True))
def test_norm_gradient(target, case, matrix):
    """The nuclear norm is the sum of the singular values, the spectral norm the largest.

    Their gradients are U V^H and the outer product of the first singular vectors.
    """
    leaf = matrix.detach().requires_grad_()
    result = target.run("torch.linalg.matrix_norm", leaf, case)
    value, expected = decompositions.norm_and_gradient(wide(matrix), case)
    is_near(result, value, real_dtype(matrix), "norm")
    (gradient,) = torch.autograd.grad(result.sum(), leaf)
    limit = 16 * bound_for(matrix, expected)
    compare.close(gradient, expected, bound=limit, dtype=matrix.dtype, what="gradient")


@law("decompositions.not-definite", docs="torch.linalg.cholesky")
@given(matrix=definite_matrices(max_batch=0))
def test_not_definite(target, matrix):
    """cholesky raises a RuntimeError, LinAlgError, for a matrix that is not positive definite."""
    target.run("torch.linalg.cholesky", matrix)
    negative = -matrix
    before = compare.to_numpy(negative)
    with compare.raises(RuntimeError, "not positive-definite"):
        target.run("torch.linalg.cholesky", negative)
    compare.unchanged(negative, before, "matrix")
