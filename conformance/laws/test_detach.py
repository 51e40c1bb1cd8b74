"""detach: the same values, outside the graph."""

import numpy as np

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials, tensors
from strategies.functions import numpy_of
from strategies.layouts import WRITABLE


@law("detach.shares-storage", docs="torch.Tensor.detach")
@given(leaf=tensors(dtype="floating", layouts=WRITABLE, values="any", requires_grad=True))
def test_shares_storage(target, leaf):
    """detach returns a tensor that shares storage, requires no grad and has no history.

    A write to the detached tensor is seen through the original.
    """
    detached = leaf.detach()
    compare.fact((detached.requires_grad, detached.grad_fn is None), (False, True), "no history")
    compare.equal(detached, compare.to_numpy(leaf), dtype=leaf.dtype, what="detached")
    compare.fact(detached.stride(), leaf.stride(), "stride")
    detached.fill_(5.0)
    written = np.full(tuple(leaf.shape), 5.0)
    compare.equal(leaf, written, dtype=leaf.dtype, what="original")
    compare.fact((leaf.requires_grad, leaf.is_leaf), (True, True), "flags of the original")


@law("detach.cuts-gradient", docs="torch.Tensor.detach")
@given(f=polynomials(scalar=True, significant_bits=18))
def test_cuts_gradient(target, f):
    """Gradient does not flow through a detached tensor: it counts as a constant."""

    def product(*leaves):
        return f(*leaves) * f(*[leaf.detach() for leaf in leaves])

    leaves = f.leaves(target.device)
    target.run(product, *leaves).backward()
    f_numpy = numpy_of(f)
    constant = f_numpy(*f.points)
    expected = derivatives.gradient(lambda *x: f_numpy(*x) * constant, f.points)
    compare.gradients(leaves, expected, f.reaches)
