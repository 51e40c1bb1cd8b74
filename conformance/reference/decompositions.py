"""What is unique about decompositions: spectra, norms, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def from_spectrum(matrix: Array, weights: Array) -> Array:
    """Return ``Q diag(weights) Q^H`` for the eigenvectors Q of Hermitian matrices, rising."""
    vectors = np.linalg.eigh(matrix)[1]
    return np.asarray(np.matmul(vectors * weights, np.conj(np.swapaxes(vectors, -1, -2))))


def norm_and_gradient(matrix: Array, kind: str | int) -> tuple[Array, Array]:
    """Return the nuclear ("nuc") or spectral (2) norm of matrices, and its gradient.

    For distinct singular values, none zero: ``U V^H``, or the first of the columns' products.
    """
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    if kind == "nuc":
        return s.sum(axis=-1), np.matmul(u, vh)
    return s[..., 0], np.matmul(u[..., :, :1], vh[..., :1, :])
