"""Products: which function takes tensors of which rank, and what NumPy's dot is in torch."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import current_device


def nothing(device):
    """A tensor of rank 0 that holds 0, for what is added to a product."""
    return torch.zeros((), dtype=torch.float64, device=device)


def plain(name, x, y):
    """Call a product of two tensors."""
    return resolve(name)(x, y)


def added(name, x, y):
    """Call a product that is added to something, here 0."""
    return resolve(name)(nothing(x.device), x, y)


# The function, how it is called, the ranks it takes, and the same in NumPy's einsum.
PRODUCTS = {
    "dot": ("torch.dot", plain, (1, 1), "i,i->"),
    "vdot": ("torch.vdot", plain, (1, 1), "i,i->"),
    "outer": ("torch.outer", plain, (1, 1), "i,j->ij"),
    "mv": ("torch.mv", plain, (2, 1), "ij,j->i"),
    "mm": ("torch.mm", plain, (2, 2), "ij,jk->ik"),
    "bmm": ("torch.bmm", plain, (3, 3), "bij,bjk->bik"),
    "addr": ("torch.addr", added, (1, 1), "i,j->ij"),
    "addmv": ("torch.addmv", added, (2, 1), "ij,j->i"),
    "addmm": ("torch.addmm", added, (2, 2), "ij,jk->ik"),
}
REFUSALS = "1D tensors expected|matrix @ vector expected|must be a matrix|must be a 3D tensor|1-D"


def numbers(shape, seed):
    """A tensor of numbers k / 8, of which products are exact in float64."""
    values = np.random.default_rng(seed).integers(-16, 17, shape) / 8
    return torch.tensor(values, dtype=torch.float64, device=current_device())


@law("products.ranks", docs=lambda case: case[0], over=PRODUCTS)
@given(
    side=st.integers(1, 3),
    ranks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 99),
)
def test_ranks(target, case, side, ranks, seed):
    """A product of vectors, of matrices or of batches takes tensors of its own ranks and no others.

    "This function does not broadcast." All sides are equal, so that nothing else is wrong.
    """
    name, call, own, letters = case
    legal = [numbers((side,) * rank, seed + n) for n, rank in enumerate(own)]
    expected = np.einsum(letters, *(compare.to_numpy(tensor) for tensor in legal))
    compare.close(call(name, *legal), expected, bound=0.0, dtype=torch.float64, what="product")
    tried = [numbers((side,) * rank, seed + n) for n, rank in enumerate(ranks)]
    before = [compare.to_numpy(tensor) for tensor in tried]
    if ranks != own:
        with compare.raises(RuntimeError, REFUSALS):
            call(name, *tried)
    for tensor, values in zip(tried, before, strict=True):
        compare.unchanged(tensor, values, "operand")


@law("products.numpy-dot", docs="torch.tensordot")
@given(
    ranks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    side=st.sampled_from((0, 2, 3)),
    off=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numpy_dot(target, ranks, side, off, seed):
    """tensordot over the last dimension and the last but one is NumPy's dot of any ranks.

    Of a second operand of rank 1 over its only dimension; torch.dot is the case of two vectors.
    Where NumPy says that the sides are not aligned, tensordot raises, unless one of them is 1.
    """
    shape = [*[2, 1, 3][: ranks[0] - 1], side]
    other = [2, 3, 2][: ranks[1]]
    dim = max(ranks[1] - 2, 0)
    other[dim:] = [side + 2 * off, *other[dim:]][: ranks[1] - dim]
    x, y = numbers(shape, seed), numbers(other, seed + 1)
    if off:
        with compare.raises(RuntimeError, "contracted dimensions need to match"):
            target.run("torch.tensordot", x, y, ([-1], [dim]))
        y = numbers([side if n == dim else length for n, length in enumerate(other)], seed + 1)
    result = target.run("torch.tensordot", x, y, ([-1], [dim]))
    expected = np.dot(compare.to_numpy(x), compare.to_numpy(y))
    compare.close(result, np.asarray(expected), bound=0.0, dtype=torch.float64, what="tensordot")
    if ranks == (1, 1):
        dotted = target.run("torch.dot", x, y)
        compare.close(dotted, np.asarray(expected), bound=0.0, dtype=torch.float64, what="dot")
