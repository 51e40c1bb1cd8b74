"""Faults in linear algebra, decompositions and Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.faults import dropping, rewriting, when
from tests.saboteurs.gradients import ScaledGradient, WrongTangent, through
from tests.saboteurs.saboteur import Saboteur, after, replacing

linalg, fft = torch.linalg, torch.fft


def _first_entry_moved(result: torch.Tensor) -> torch.Tensor:
    moved = result.clone()
    moved.reshape(-1)[:1].add_(1)
    return moved


def _doubled(result: torch.Tensor) -> torch.Tensor:
    return result * 2


def _single(result: torch.Tensor) -> torch.Tensor:
    return result.float()


def _by_strides(original: Any) -> Any:
    """Read the first operand as if it were contiguous."""

    def call(first: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        if not first.is_contiguous() and first.numel() == first.untyped_storage().nbytes() // (
            first.element_size()
        ):
            first = first.as_strided(first.shape, torch.empty(first.shape).stride())
        return original(first, *arguments, **keywords)

    return call


def _beta_ignored(original: Any) -> Any:
    def call(*arguments: Any, beta: Any = 1, **keywords: Any) -> torch.Tensor:
        return original(*arguments, **keywords)

    return call


def _beta_zero_multiplies(original: Any) -> Any:
    def call(base: torch.Tensor, *arguments: Any, beta: Any = 1, **keywords: Any) -> torch.Tensor:
        return original(base, *arguments, **keywords) + base * (beta - 1)

    return call


def _unconjugated(original: Any) -> Any:
    return lambda a, b, **keywords: original(a.conj(), b, **keywords)


def _no_version(original: Any) -> Any:
    """Write through .data, which the version counter does not see."""

    def call(base: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        original(base.data, *arguments, **keywords)
        return base

    return call


def _out_of_place(original: Any) -> Any:
    return lambda base, *arguments, **keywords: original(base.clone(), *arguments, **keywords)


def _out_forgets_last(original: Any) -> Any:
    def call(*arguments: Any, out: Any = None, **keywords: Any) -> Any:
        if out is None or out.dim() == 0 or out.is_contiguous():
            return (
                original(*arguments, **keywords)
                if out is None
                else original(*arguments, out=out, **keywords)
            )
        result = original(*arguments, **keywords)
        out[..., :-1].copy_(result[..., :-1])
        return out

    return call


def _detached_once(original: Any) -> Any:
    """The right gradient, of which no second one can be taken."""

    class Frozen(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, a: torch.Tensor) -> torch.Tensor:
            context.save_for_backward(a)
            return original(a)

        @staticmethod
        def backward(context: Any, cotangent: torch.Tensor) -> torch.Tensor:
            (a,) = context.saved_tensors
            with torch.enable_grad():
                leaf = a.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(original(leaf), leaf, cotangent.detach())
            return gradient + 0 * cotangent.sum() * gradient

    def call(a: torch.Tensor, *rest: Any, **keywords: Any) -> torch.Tensor:
        if rest or keywords or not a.requires_grad:
            return original(a, *rest, **keywords)
        result: torch.Tensor = Frozen.apply(a)
        return result

    return call


def _accepts_rectangles(original: Any) -> Any:
    def call(a: torch.Tensor, **keywords: Any) -> torch.Tensor:
        side = min(a.shape[-2:])
        return original(a[..., :side, :side], **keywords)

    return call


def _is_batch(a: torch.Tensor, *_: Any, **__: Any) -> bool:
    return a.dim() > 2


def _negative_power(a: torch.Tensor, n: int, **_: Any) -> bool:
    return n == -2


def _lengthened(x: torch.Tensor, *_: Any, n: int | None = None, dim: int = -1, **__: Any) -> bool:
    return n is not None and n > x.shape[dim]


def _parts(change: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda result: change(*result)


def _saboteur(name: str, breaks: str, law: str, symptom: str, patch: Any) -> Saboteur:
    return Saboteur(name, breaks, (law,), symptom, patch)


def _ordered_dimensions(x: torch.Tensor, *rest: Any, dim: Any = (-2, -1), **words: Any) -> Any:
    return (x, *rest), {"dim": tuple(sorted(dim)), **words}


def _counted_in_first(a: torch.Tensor, b: torch.Tensor, dims: Any) -> Any:
    """Count dimensions of the second tensor by the rank of the first, where that is one as long."""
    if not isinstance(dims, int) and len(dims[1]) == 1:
        place = dims[1][0] % a.dim()
        if b.shape[place] == b.shape[dims[1][0]]:
            dims = (dims[0], [place])
    return (a, b), {"dims": dims}


OPERATORS = (
    _saboteur("matrix-norm-ordered", "matrix_norm takes its two dimensions in increasing order",
              "operators.value:matrix_norm-rows", "result",
              rewriting(linalg, "matrix_norm", _ordered_dimensions)),
    _saboteur("matrix-norm-squeezed", "matrix_norm of a batch ignores keepdim",
              "operators.value:matrix_norm-rows", "shape",
              dropping(linalg, "matrix_norm", "keepdim")),
    _saboteur("tensordot-first-rank", "tensordot counts negative dimensions in its first tensor",
              "operators.value:tensordot", "result",
              rewriting(torch, "tensordot", _counted_in_first)),
    _saboteur("einsum-without-case", "einsum takes a capital letter for the small one",
              "operators.value:einsum", "result",
              rewriting(torch, "einsum", lambda equation, *rest: ((equation.lower(), *rest), {})
                        if "->" not in equation else ((equation.replace("A", "a"), *rest), {}))),
    _saboteur("mm-not-square", "mm is off by one in its first entry where the sides differ",
              "operators.value:mm", "result",
              when(torch, "mm", lambda a, b, **_: a.shape[0] > a.shape[1] > 0,
                                          _first_entry_moved)),
    _saboteur("bmm-by-storage", "bmm reads a permuted first operand as if it were contiguous",
              "operators.layout:bmm", "inputs", replacing(torch, "bmm", _by_strides)),
    _saboteur("matmul-broadcast-batch", "matmul doubles where only the second operand has a batch",
              "operators.value:matmul", "result",
              when(torch, "matmul", lambda a, b, **_: b.dim() > a.dim() == 2, _doubled)),
    _saboteur("matmul-sign", "the sign @ returns float32 for float64",
              "operators.spellings:matmul", "Tensor.__matmul__",
              when(torch.Tensor, "__matmul__", lambda a, b: a.dtype == torch.float64, _single)),
    _saboteur("mv-gradient", "mv's gradient is 0.1 % too large",
              "operators.vjp:mv", "gradient to leaf", after(torch, "mv", ScaledGradient.apply)),
    _saboteur("vdot-unconjugated", "vdot does not conjugate",
              "operators.value:vdot", "result", replacing(torch, "vdot", _unconjugated)),
    _saboteur("outer-alias", "ger, the alias of outer, exchanges its operands",
              "operators.spellings:outer", "ger",
              replacing(torch, "ger", lambda original: lambda a, b: original(b, a))),
    _saboteur("addmm-beta-ignored", "addmm takes beta for 1",
              "operators.value:addmm", "result", replacing(torch, "addmm", _beta_ignored)),
    _saboteur("baddbmm-beta-zero", "baddbmm multiplies input by 0 where beta is 0, nan and all",
              "operators.value:baddbmm-beta-zero", "result",
              replacing(torch, "baddbmm", _beta_zero_multiplies)),
    _saboteur("addmv-in-place-copy", "addmv_ writes to a copy of self",
              "operators.in-place:addmv", "self",
              replacing(torch.Tensor, "addmv_", _out_of_place)),
    _saboteur("addr-in-place-version", "addr_ does not count a version",
              "operators.in-place:addr", "version", replacing(torch.Tensor, "addr_", _no_version)),
    _saboteur("kron-exchanged", "kron exchanges operands of different ranks",
              "operators.value:kron", "result",
              replacing(torch, "kron", lambda original: lambda a, b, **k: (
                  original(b, a, **k) if a.dim() < b.dim() else original(a, b, **k)))),
    _saboteur("cross-negative-dim", "cross is doubled along dim -2",
              "operators.value:cross", "result",
              when(linalg, "cross",
                  lambda a, b, dim=-1, **_: dim == -2, _doubled)),
    _saboteur("einsum-trace", "einsum of a repeated letter doubles the diagonal",
              "operators.value:einsum", "result",
              when(torch, "einsum", lambda e, *_: e == "ii->i", _doubled)),
    _saboteur("einsum-accepts", "einsum takes an unknown letter in its result for no sum",
              "operators.rejection:einsum-letters", "raised nothing",
              replacing(torch, "einsum", lambda original: lambda e, *o: original(
                  e.replace("x", "k"), *o))),
    _saboteur("multi-dot-second", "multi_dot doubles chains of five",
              "operators.value:multi_dot", "result",
              when(linalg, "multi_dot", lambda m, **_: len(m) > 3, _doubled)),
    _saboteur("dot-out-strided", "mm leaves the last column of an out with strides alone",
              "operators.out:mm", "out (stepped)", replacing(torch, "mm", _out_forgets_last)),
    _saboteur("inv-batch", "inv transposes batches",
              "operators.value:inv", "result",
              when(linalg, "inv", _is_batch, lambda r: r.mT)),
    _saboteur("inv-second-derivative", "inv's gradient is a constant to a second pass",
              "operators.second-derivative:inv", "J w",
              replacing(linalg, "inv", _detached_once)),
    _saboteur("det-rectangle", "det takes a rectangle for the square in it",
              "operators.rejection:det-rectangle", "raised nothing",
              replacing(linalg, "det", _accepts_rectangles)),
    _saboteur("det-gradient", "det's gradient is 0.1 % too large",
              "operators.vjp:det", "gradient", after(linalg, "det", ScaledGradient.apply)),
    _saboteur("slogdet-sign", "slogdet's sign is always 1",
              "operators.value:slogdet", "result 0",
              after(linalg, "slogdet", _parts(lambda sign, size: (sign.abs(), size)))),
    _saboteur("solve-from-the-right", "solve of X A = B solves with the transposed matrix",
              "operators.value:solve", "result",
              replacing(linalg, "solve", lambda original: lambda a, b, *, left=True, **k: original(
                  a if left else a.mT, b, left=left, **k))),
    _saboteur("triangular-unit", "solve_triangular ignores unitriangular",
              "operators.value:solve_triangular", "result",
              replacing(linalg, "solve_triangular",
                        lambda original: lambda *a, unitriangular=False, **k: original(*a, **k))),
    _saboteur("matrix-power-negative", "matrix_power(A, -2) is the inverse doubled",
              "operators.value:matrix_power", "result",
              when(linalg, "matrix_power", _negative_power, _doubled)),
    _saboteur("matrix-exp-alias", "matrix_exp, the alias, is off by the identity",
              "operators.spellings:matrix_exp", "matrix_exp",
              after(torch, "matrix_exp", lambda r: r + torch.eye(r.shape[-1], dtype=r.dtype))),
    _saboteur("pinv-wide", "pinv is off for matrices that are wide",
              "operators.value:pinv", "result",
              when(linalg, "pinv", lambda a, **_: a.shape[-1] > a.shape[-2],
                                             _first_entry_moved)),
    _saboteur("matrix-norm-rows", "the least row sum is that of a column",
              "operators.value:matrix_norm-rows", "result",
              replacing(linalg, "matrix_norm", lambda original: lambda a, o="fro", **k: original(
                  a, -1 if o == -torch.inf else o, **k))),
    _saboteur("fft-orthonormal", "fft ignores norm='ortho' along a negative dimension",
              "operators.value:fft", "result",
              replacing(fft, "fft", lambda original: lambda x, n=None, dim=-1, norm=None, **k:
                        original(x, n, dim, None if dim < -1 else norm, **k))),
    _saboteur("ifft-lengthened", "ifft is doubled where n pads the signal",
              "operators.value:ifft", "result",
              when(fft, "ifft", _lengthened, _doubled)),
    _saboteur("rfft-accepts-complex", "rfft drops imaginary parts",
              "operators.rejection:rfft-complex", "raised nothing",
              replacing(fft, "rfft", lambda original: lambda x, *a, **k: original(
                  x.real if x.is_complex() else x, *a, **k))),
    _saboteur("fftshift-odd", "fftshift shifts odd sides the other way",
              "operators.value:fftshift", "result",
              replacing(fft, "fftshift", lambda original: lambda x, *a: fft.ifftshift(x, *a))),
)  # fmt: skip


CHAPTERS = (
    _saboteur("fft-tangent", "fftn's forward derivative is half of it",
              "spectral.tangent:fftn", "tangent",
              replacing(fft, "fftn", through(WrongTangent))),
    _saboteur("rfft-gradient", "rfft's gradient is 0.1 % too large",
              "spectral.gradient:rfft", "gradient", after(fft, "rfft", ScaledGradient.apply)),
    _saboteur("irfft-gradient", "irfft's gradient is 0.1 % too large",
              "spectral.gradient:irfft", "gradient", after(fft, "irfft", ScaledGradient.apply)),
    _saboteur("stft-not-reflected", "stft pads with zeros, not with the signal reflected",
              "spectral.stft", "result",
              replacing(torch, "stft", lambda original: lambda *a, center=True, **k: original(
                  *a, center=center, pad_mode="constant", **k))),
    _saboteur("istft-last", "istft loses its last sample",
              "spectral.istft", "result",
              after(torch, "istft", lambda r: r * (torch.arange(r.shape[-1]) < r.shape[-1] - 1))),
    _saboteur("fftfreq-even", "fftfreq gives the middle of an even count the other sign",
              "spectral.frequencies:fftfreq", "result",
              when(fft, "fftfreq", lambda n, *_, **__: n % 2 == 0, torch.Tensor.abs)),
    _saboteur("rfftfreq-spacing", "rfftfreq ignores the spacing",
              "spectral.frequencies:rfftfreq", "result",
              replacing(fft, "rfftfreq", lambda original: lambda n, d=1.0, **k: original(n, **k))),
    _saboteur("cholesky-upper", "cholesky ignores upper",
              "decompositions.cholesky", "triangle",
              replacing(linalg, "cholesky", lambda original: lambda a, upper=False: original(a))),
    _saboteur("cholesky-inverse-upper", "cholesky_inverse takes an upper factor for a lower one",
              "decompositions.cholesky-solve", "cholesky_inverse",
              replacing(torch, "cholesky_inverse", lambda original: lambda f, upper=False: (
                  original(f)))),
    _saboteur("qr-reduced", "qr is complete where reduced is asked for",
              "decompositions.qr:reduced", "inner side",
              replacing(linalg, "qr", lambda original: lambda a, mode="reduced": original(
                  a, "complete"))),
    _saboteur("qr-not-orthonormal", "Q is 0.1 % too long",
              "decompositions.qr:complete", "Q^H Q - I",
              after(linalg, "qr", _parts(lambda q, r: (q * 1.001, r / 1.001)))),
    _saboteur("svd-rising", "svd returns singular values rising",
              "decompositions.svd", "S",
              after(linalg, "svd", _parts(lambda u, s, v: (u.flip(-1), s.flip(-1), v.flip(-2))))),
    _saboteur("eigh-other-triangle", "eigh reads the lower triangle whatever UPLO says",
              "decompositions.eigh:upper", "eigenvalues",
              replacing(linalg, "eigh", lambda original: lambda a, **_: original(a))),
    _saboteur("eigvalsh-batches", "eigvalsh is doubled for batches",
              "decompositions.eigh:lower", "eigvalsh",
              when(linalg, "eigvalsh", _is_batch, _doubled)),
    _saboteur("lu-permutation", "lu returns the transposed permutation of larger matrices",
              "decompositions.lu", "P L U",
              after(linalg, "lu", _parts(lambda p, lower, u: (p.roll(1, -1), lower, u)))),
    _saboteur("lstsq-square-only", "lstsq of a tall matrix solves its first rows",
              "decompositions.lstsq", "solution",
              replacing(linalg, "lstsq", lambda original: lambda a, b: original(
                  a[..., : a.shape[-1], :], b[..., : a.shape[-1], :]))),
    _saboteur("matrix-rank-full", "matrix_rank of a matrix without rank is 1",
              "decompositions.matrix-rank", "result",
              after(linalg, "matrix_rank", lambda r: r.clamp(min=1))),
    _saboteur("svd-gradient", "the gradient of U is 0.1 % too large",
              "decompositions.gradient:svd", "gradient",
              after(linalg, "svd", _parts(lambda u, s, v: (ScaledGradient.apply(u), s, v)))),
    _saboteur("qr-gradient", "the gradient of R is 0.1 % too large",
              "decompositions.gradient:qr", "gradient",
              after(linalg, "qr", _parts(lambda q, r: (q, ScaledGradient.apply(r))))),
    _saboteur("lu-gradient", "the gradient of L is 0.1 % too large",
              "decompositions.gradient:lu", "gradient",
              after(linalg, "lu", _parts(lambda p, lower, u: (p, ScaledGradient.apply(lower), u)))),
    _saboteur("eigh-gradient", "the gradient of eigenvalues is 0.1 % too large",
              "decompositions.hermitian-gradient:eigh", "gradient",
              after(linalg, "eigh", _parts(lambda values, q: (ScaledGradient.apply(values), q)))),
    _saboteur("cholesky-gradient", "cholesky's gradient is 0.1 % too large",
              "decompositions.hermitian-gradient:cholesky", "gradient",
              after(linalg, "cholesky", ScaledGradient.apply)),
    _saboteur("eigvalsh-gradient", "eigvalsh's gradient is 0.1 % too large",
              "decompositions.spectrum-gradient:eigvalsh", "gradient",
              after(linalg, "eigvalsh", ScaledGradient.apply)),
    _saboteur("svdvals-gradient", "svdvals' gradient is 0.1 % too large",
              "decompositions.spectrum-gradient:svdvals", "gradient",
              after(linalg, "svdvals", ScaledGradient.apply)),
    _saboteur("nuclear-norm-gradient", "the nuclear norm's gradient is 0.1 % too large",
              "decompositions.norm-gradient:nuclear", "gradient",
              after(linalg, "matrix_norm", ScaledGradient.apply)),
    _saboteur("spectral-norm", "the spectral norm is that of Frobenius",
              "decompositions.norm-gradient:spectral", "norm",
              replacing(linalg, "matrix_norm", lambda original: lambda a, o: original(
                  a, "fro" if o == 2 else o))),
    _saboteur("cholesky-indefinite", "cholesky factors the negative where it should raise",
              "decompositions.not-definite", "raised nothing",
              replacing(linalg, "cholesky", lambda original: lambda a, **k: original(
                  -a if (a.diagonal(dim1=-2, dim2=-1).real < 0).any() else a, **k))),
)  # fmt: skip

SABOTEURS = (*OPERATORS, *CHAPTERS)
