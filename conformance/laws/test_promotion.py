"""Promotion: which dtype operands of different dtypes meet in, and what may be cast to what."""

from itertools import product

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators.arithmetic_arguments import operand_pairs
from conformance.operators.operator import Call
from conformance.operators.results import dtype_named, promoted_dtype
from conformance.reference import promotion
from conformance.reference.promotion import CATEGORIES
from strategies import dtypes, shapes, tensors

NAMES = {name: name for names in CATEGORIES for name in names}


@law("promotion.promote-types", docs="torch.promote_types", over=NAMES)
def test_promote_types(target, case):
    """promote_types gives the smallest dtype not smaller, nor of a lower kind, than either of two.

    Kinds are ordered boolean < integral < floating < complex. The order of the two is of no
    importance, and a dtype promotes to itself with itself.
    """
    for other in NAMES:
        expected = dtype_named(promotion.promote(case, other))
        pairs = ((case, other), (other, case))
        for first, second in pairs:
            got = target.run("torch.promote_types", dtype_named(first), dtype_named(second))
            compare.fact(got, expected, f"promote_types({first}, {second})")


@law("promotion.result-type", docs="torch.result_type")
@given(call=operand_pairs(), default=dtypes("floating"))
def test_result_type(target, call, default):
    """result_type gives the dtype in which an operator computes with tensors and Python numbers.

    Tensors with dimensions decide, unless a tensor without, or after those a number, is of a
    higher kind; a number then counts as int64, the default dtype or its complex counterpart.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        got, expected = target.run("torch.result_type", *call.arguments), promoted_dtype(call)
    finally:
        torch.set_default_dtype(before)
    compare.fact(got, expected, "result_type")


@law("promotion.can-cast", docs="torch.can_cast", over=NAMES)
def test_can_cast(target, case):
    """can_cast says that a dtype can be cast to every one that is not of a lower kind.

    boolean < integral < floating < complex, whatever their sizes.
    """
    for other in NAMES:
        expected = promotion.category(case) <= promotion.category(other)
        got = target.run("torch.can_cast", dtype_named(case), dtype_named(other))
        compare.fact(got, expected, f"can_cast({case}, {other})")


@law("promotion.rank-zero-complex", docs="tensor_attributes.html#type-promotion-doc")
@given(
    real=tensors(dtype="floating", shape=shapes(min_rank=1)),
    number=tensors(dtype=torch.complex128, shape=()),
)
def test_rank_zero_complex(target, real, number):
    """A complex tensor without dimensions makes the result large enough to hold it.

    "If a zero-dim tensor operand has a higher category than dimensioned operands, we promote to
    a type with sufficient size and category to hold all zero-dim tensor operands of that category."
    """
    got = target.run("torch.result_type", real, number)
    compare.fact(got, torch.complex128, "result_type")


# What computes in floating point whatever it is given, of one or two operands.
FLOATING = {
    "div": ("torch.div", 2),
    "true_divide": ("torch.Tensor.true_divide", 2),
    "quotient": ("torch.Tensor.__truediv__", 2),
    "reciprocal": ("torch.reciprocal", 1),
    "sqrt": ("torch.sqrt", 1),
    "sin": ("torch.sin", 1),
    "atan2": ("torch.atan2", 2),
}


@law("promotion.integers-to-default", docs="torch.div", over=FLOATING)
@given(dtype=dtypes("integral"), default=dtypes("floating"))
def test_integers_to_default(target, case, dtype, default):
    """What computes in floating point gives the default dtype for integers.

    "Always promotes integer types to the default scalar type."
    """
    name, count = case
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        result = target.run(name, *[torch.ones(2, dtype=dtype, device=target.device)] * count)
    finally:
        torch.set_default_dtype(before)
    compare.fact(result.dtype, default, "dtype")


@law("promotion.product-of-truth", docs="torch.prod")
@given(
    dtype=dtypes("real"),
    shape=st.sampled_from(((), (3,), (2, 40), (256,), (16, 16, 2))),
    zeros=st.sampled_from(("none", "one", "all")),
    place=st.integers(0, 511),
    along=st.booleans(),
)
def test_product_of_truth(target, dtype, shape, zeros, place, along):
    """prod with dtype=torch.bool says whether no element is 0, for few elements and for many.

    "If specified, the input tensor is casted to dtype before the operation is performed."
    """
    x = torch.full(shape, 2, dtype=dtype, device=target.device)
    if zeros != "none":
        x.reshape(-1)[slice(None) if zeros == "all" else place % x.numel()] = 0
    truth = compare.to_numpy(x) != 0
    dim = -1 if along and shape else None
    arguments = () if dim is None else (dim,)
    result = target.run("torch.prod", x, *arguments, dtype=torch.bool)
    compare.equal(result, np.asarray(truth.all(axis=dim)), dtype=torch.bool)


WITH_NUMBER = {name: f"torch.{name}" for name in ("add", "sub", "mul")}


@law("promotion.complex-number", docs="tensor_attributes.html#type-promotion-doc", over=WITH_NUMBER)
@given(x=tensors(dtype="floating", values="dyadic"))
def test_complex_number(target, case, x):
    """A floating tensor and a complex number make a complex tensor, with parts as the tensor's.

    Before torch 2.14, which has bcomplex32, bfloat16 makes complex64.
    """
    result = target.run(case, x, 2j)
    dtype = promoted_dtype(Call((x, 2j), {}))
    compare.fact(result.dtype, dtype, "dtype")
    value = compare.to_numpy(x).astype(np.float64)
    expected = {"torch.add": value + 2j, "torch.sub": value - 2j, "torch.mul": value * 2j}[case]
    for part in ("real", "imag"):
        wanted = getattr(expected, part)
        compare.close(getattr(result, part), wanted, bound=0.0, dtype=dtype.to_real(), what=part)


RANKS = ((1, 1), (1, 0), (0, 1), (0, 0))
COMPUTED = [name for names in CATEGORIES for name in names if name != "complex32"]
PROMOTING = {
    "add": "torch.add",
    "mul": "torch.mul",
    "sum": "torch.Tensor.__add__",
    "product": "torch.Tensor.__mul__",
}


def decided(pair, ranks):
    """The dtype of the result by the documented rules; none where torch is known not to follow."""
    groups = [[name for name, rank in zip(pair, ranks, strict=True) if rank == r] for r in (1, 0)]
    kinds = [promotion.category(group[0]) if len(group) == 1 else -1 for group in groups]
    dimensioned, alone = groups
    return None if kinds == [2, 3] else promotion.result_type(dimensioned, alone, ())


@law("promotion.every-pair", docs="tensor_attributes.html#type-promotion-doc", over=PROMOTING)
def test_every_pair(target, case):
    """A result has the dtype that its operands promote to: of every pair of dtypes and ranks.

    A floating tensor beside a complex one without dimensions is the law
    promotion.rank-zero-complex.
    """
    for pair in product(COMPUTED, COMPUTED):
        for ranks in RANKS:
            wanted = decided(pair, ranks)
            if wanted is not None:
                operands = [
                    torch.ones((2,) * rank, dtype=dtype_named(name), device=target.device)
                    for name, rank in zip(pair, ranks, strict=True)
                ]
                result = target.run(case, *operands)
                described = f"dtype for {pair[0]} of rank {ranks[0]}, {pair[1]} of rank {ranks[1]}"
                compare.fact(result.dtype, dtype_named(wanted), described)
