"""Weights that are normalized: by norm, by spectral norm, and orthogonal ones."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn.utils import parametrizations

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import seeds

PAGE = "torch.nn.utils.parametrizations."
SHAPES = st.sampled_from(((3, 2), (2, 3), (2, 2, 2), (1, 4), (4, 1)))
ORTHOGONAL = {"matrix_exp": "matrix_exp", "cayley": "cayley", "householder": "householder"}


def host(shape, seed, device):
    """A module with a weight of random eighths, none of them 0."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(1, 17, shape, generator=generator, dtype=torch.float64) / 8
    signs = torch.randint(0, 2, shape, generator=generator) * 2 - 1
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter((numbers * signs).to(device))
    return module


@law("parametrize.weight-norm", docs=f"{PAGE}weight_norm")
@given(shape=SHAPES, seed=seeds(), dim=st.sampled_from((0, 1, None)))
def test_weight_norm(target, shape, seed, dim):
    """weight_norm makes a weight of a magnitude and a direction: g v / ||v||, for each dim.

    At first they make what the weight was: original0 its norms over all dimensions but dim, and
    original1 itself. With dim=None there is one norm. Gradients go to both.
    """
    module = host(shape, seed, target.device)
    value = compare.to_numpy(module.weight)
    words = {} if dim == 0 else {"dim": dim}
    compare.fact(
        parametrizations.weight_norm(module, **words) is module, True, "returns the module"
    )
    parts = module.parametrizations.weight
    axis = None if dim is None else dim % len(shape)
    axes = tuple(n for n in range(len(shape)) if n != axis)

    def product(magnitude, direction):
        norm = np.sqrt((direction**2).sum(axis=axes, keepdims=True))
        return magnitude * direction / norm

    norms = np.sqrt((value**2).sum(axis=axes, keepdims=dim is not None))
    compare.close(parts.original0, norms, bound=1e-13, dtype=torch.float64, what="magnitude")
    compare.equal(parts.original1, value, dtype=torch.float64, what="direction")
    compare.close(module.weight, value, bound=1e-13, dtype=torch.float64, what="weight at first")
    with torch.no_grad():
        parts.original0.mul_(3).sub_(1)
        parts.original1.mul_(2).add_(0.3)  # none is 0
    points = [compare.to_numpy(parts.original0), compare.to_numpy(parts.original1)]
    got = module.weight
    compare.close(got, product(*points), bound=1e-12, dtype=torch.float64, what="weight")
    count = np.arange(1.0, 1 + value.size).reshape(shape)
    (got * torch.tensor(count, device=target.device)).sum().backward()
    expected = derivatives.gradient(lambda g, v: (product(g, v) * count).sum(), points)
    for part, want, what in zip((parts.original0, parts.original1), expected, "gv", strict=True):
        compare.close(part.grad, want, bound=1e-11, dtype=torch.float64, what=f"gradient to {what}")


@law("parametrize.spectral-norm", docs=f"{PAGE}spectral_norm")
@given(
    shape=SHAPES, seed=seeds(), dim=st.sampled_from((None, 0, 1)), count=st.integers(1, 3),
    program=st.lists(st.sampled_from(("train", "eval")), min_size=1, max_size=4),
)  # fmt: skip
def test_spectral_norm(target, shape, seed, dim, count, program):
    """spectral_norm divides a weight by u^T W v, of unit vectors that the power method improves.

    ``u = W v / ||W v||, v = W^T u / ||W^T u||``, so many times for each use in training, none in
    evaluation. A weight of more dimensions is a matrix of dim, by default the first, and the rest.
    """
    module = host(shape, seed, target.device)
    value = compare.to_numpy(module.weight)
    words = {"n_power_iterations": count} | ({} if dim is None else {"dim": dim})
    parametrizations.spectral_norm(module, **words)
    matrix = np.moveaxis(value, dim or 0, 0).reshape(value.shape[dim or 0], -1)
    v = np.sqrt([2.0, 3.0, 5.0, 7.0])[: matrix.shape[1]]  # no rational row is orthogonal to it
    v = v / np.linalg.norm(v)
    u = matrix @ v / np.linalg.norm(matrix @ v)
    vectors = {f"parametrizations.weight.0._{n}": torch.tensor(x) for n, x in (("u", u), ("v", v))}
    module.load_state_dict(vectors, strict=False)
    for action in program:
        module.train(action == "train")
        for _ in range(count if action == "train" else 0):
            u = matrix @ v / np.linalg.norm(matrix @ v)
            v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
        got = module.weight
        sigma = u @ matrix @ v
        bound = 1e-10 * np.abs(value / sigma)
        compare.close(got, value / sigma, bound=bound, dtype=torch.float64, what="weight")
    for name, want in zip("uv", (u, v), strict=True):
        now = module.state_dict()[f"parametrizations.weight.0._{name}"]
        compare.close(now, want, bound=1e-10, dtype=torch.float64, what=name)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    within = np.array(sigma <= largest * (1 + 1e-12))
    compare.every(within, torch.tensor(sigma), "at most the largest singular value")


@law("parametrize.spectral-gradient", docs=f"{PAGE}spectral_norm", level="should")
@given(shape=SHAPES, seed=seeds(), uses=st.integers(1, 3), training=st.booleans())
def test_spectral_gradient(target, shape, seed, uses, training):
    """The gradient through spectral_norm goes through u^T W v too, with the vectors of each use.

    Several uses before one backward, as of a discriminator on real and generated samples, leave
    each its own: ``c / s - (c . W) / s^2 u v^T`` for the cotangent c and ``s = u^T W v``.
    """
    module = host(shape, seed, target.device)
    value = compare.to_numpy(module.weight)
    parametrizations.spectral_norm(module).train(training)
    matrix = value.reshape(shape[0], -1)
    total, expected = torch.zeros((), dtype=torch.float64, device=target.device), np.zeros(shape)
    for use in range(uses):
        cotangent = np.cos(np.arange(value.size) + use).reshape(shape)
        total = total + (module.weight * torch.from_numpy(cotangent).to(target.device)).sum()
        vectors = module.state_dict()
        u, v = (compare.to_numpy(vectors[f"parametrizations.weight.0._{n}"].clone()) for n in "uv")
        norm = u @ matrix @ v
        across = np.outer(u, v).reshape(shape) * (cotangent * value).sum() / norm**2
        expected = expected + cotangent / norm - across
    total.backward()
    gradient = module.parametrizations.weight.original.grad
    bound = 1e-11 * (1 + np.abs(expected).max())
    compare.close(gradient, expected, bound=bound, dtype=torch.float64, what="gradient")


@law("parametrize.spectral-vector", docs=f"{PAGE}spectral_norm")
@given(seed=seeds(), size=st.integers(1, 4), training=st.booleans())
def test_spectral_vector(target, seed, size, training):
    """spectral_norm of a vector divides it by its norm, exactly."""
    module = host((size,), seed, target.device)
    value = compare.to_numpy(module.weight)
    parametrizations.spectral_norm(module).train(training)
    expected = value / np.linalg.norm(value)
    compare.close(module.weight, expected, bound=1e-14, dtype=torch.float64)


@law("parametrize.orthogonal", docs=f"{PAGE}orthogonal", over=ORTHOGONAL)
@given(
    shape=st.sampled_from(((2, 2), (3, 2), (2, 3), (2, 2, 2), (1, 1))),
    seed=seeds(), based=st.booleans(),
)  # fmt: skip
def test_orthogonal(target, case, shape, seed, based):
    """An orthogonal weight has columns of length 1 at right angles, or rows, if it is wide.

    Q^T Q = I, or Q Q^T = I: at first, and after each step of its original along a gradient.
    """
    if case != "householder" and shape[-1] != shape[-2]:
        shape = (2, 2)
    module = host(shape, seed, target.device)
    with torch.no_grad():  # of full rank
        module.weight.diagonal(dim1=-2, dim2=-1).add_(8)
    words = {"use_trivialization": based}
    parametrizations.orthogonal(module, orthogonal_map=case, **words)

    def check(what):
        q = compare.to_numpy(module.weight)
        tall = q if shape[-2] >= shape[-1] else q.swapaxes(-1, -2)
        product = torch.tensor(tall.swapaxes(-1, -2) @ tall)
        identity = np.broadcast_to(np.eye(min(shape[-2:])), tuple(product.shape))
        bound = 1e-10  # torch's matrix exponential is up to 4e-12 off
        compare.close(product, identity, bound=bound, dtype=torch.float64, what=what)

    check("product at first")
    for number in range(2):
        generator = torch.Generator().manual_seed(seed + number)
        cotangent = torch.randint(-8, 9, shape, generator=generator, dtype=torch.float64) / 8
        original = module.parametrizations.weight.original
        (module.weight * cotangent.to(target.device)).sum().backward()
        with torch.no_grad():
            original.sub_(original.grad / 8)
        check("product after a step")


@law("parametrize.orthogonal-singular", docs=f"{PAGE}orthogonal", over=ORTHOGONAL)
@given(rows=st.integers(2, 3), value=st.sampled_from((0.0, 1.0)), based=st.booleans())
def test_orthogonal_singular(target, case, rows, value, based):
    """A weight that is singular when it is made orthogonal is orthogonal then, too."""
    module = torch.nn.Module()
    filled = torch.full((rows, rows), value, dtype=torch.float64, device=target.device)
    module.weight = torch.nn.Parameter(filled)
    parametrizations.orthogonal(module, orthogonal_map=case, use_trivialization=based)
    q = compare.to_numpy(module.weight)
    product = torch.tensor(q.T @ q)
    compare.close(product, np.eye(rows), bound=1e-12, dtype=torch.float64, what="product")
