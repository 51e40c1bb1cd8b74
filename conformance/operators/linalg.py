"""Linear algebra: products of vectors, matrices and batches of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from conformance.operators.linalg_arguments import (
    chains,
    einsum_operands,
    matmul_operands,
    pairs_along,
    pairs_of_any_rank,
    powers_of,
    products_ignoring_base,
    products_of,
    sum_of_nothing,
    tensordot_operands,
    vector_matmul_operands,
    weighted_products,
)
from conformance.operators.operator import Operator, Rejection
from conformance.reference import linalg as reference

_A = {"a": (torch.float32, (2, 3)), "b": (torch.float32, (3, 2)), "v": (torch.float32, (3,))}
_B = {"a": (torch.float32, (2, 2, 3)), "b": (torch.float32, (2, 3, 2))}

PRODUCT = Operator(
    name="mm",
    calls=products_of("ij", "jk"),
    reference=np.matmul,
    analytic=np.matmul,
    dtypes=("numeric",),
    kind="dyadic",
    smooth="dyadic",
    ulps=8,
    magnitude=reference.matmul_magnitude,
    spellings=("Tensor.mm",),
    out="same",
    rejections={
        "shapes": Rejection(
            "torch.mm(a, b)", "torch.mm(a, a)", "RuntimeError", "cannot be multiplied", _A
        ),
        "vector": Rejection(
            "torch.mm(a, b)", "torch.mm(a, v)", "RuntimeError", "must be a matrix", _A
        ),
        "dtypes": Rejection(
            "torch.mm(a, b)", "torch.mm(a, b.double())", "RuntimeError", "same dtype", _A
        ),
    },
)
_FLOATING = ("floating", "complex")
_WEIGHTED = (
    ("addmm", ("ik", "ij", "jk"), reference.addmm, reference.addmm_magnitude),
    ("addmv", ("i", "ij", "j"), reference.addmm, reference.addmm_magnitude),
    ("baddbmm", ("bik", "bij", "bjk"), reference.addmm, reference.addmm_magnitude),
    ("addbmm", ("ik", "bij", "bjk"), reference.addbmm, reference.addbmm_magnitude),
    ("addr", ("ij", "i", "j"), reference.addr, reference.addr_magnitude),
)
WEIGHTED = tuple(
    replace(
        PRODUCT,
        name=name,
        calls=weighted_products(*shapes),
        reference=function,
        analytic=function,
        magnitude=magnitude,
        dtypes=_FLOATING if name == "addbmm" else PRODUCT.dtypes,
        spellings=(f"Tensor.{name}",),
        in_place=f"Tensor.{name}_",
        rejections={},
    )
    for name, shapes, function, magnitude in _WEIGHTED
)
IGNORING = tuple(
    replace(
        entry,
        variant="beta-zero",
        calls=products_ignoring_base(*shapes),
        dtypes=("floating",),
        spellings=(),
        in_place="",
        out="",
        analytic=None,
        excused={"constant": "differentiable: the entry without beta-zero says how"},
    )
    for entry, (_, shapes, *_) in zip(WEIGHTED, _WEIGHTED, strict=True)
)
CORNERS = (
    replace(
        WEIGHTED[1], variant="of-nothing", calls=sum_of_nothing, dtypes=("floating",),
        spellings=(), in_place="", out="", analytic=None,
        excused={"constant": "differentiable: the entry without of-nothing says how"},
    ),
    replace(WEIGHTED[3], variant="integral", dtypes=("integral",), analytic=None),
)  # fmt: skip

_dot = partial(
    replace, PRODUCT, reference=reference.dot_unconjugated, analytic=reference.dot_unconjugated,
    magnitude=reference.dot_magnitude,
)  # fmt: skip

OPERATORS = (
    PRODUCT,
    replace(
        PRODUCT,
        name="matmul",
        calls=matmul_operands,
        spellings=("Tensor.matmul", "Tensor.__matmul__", "linalg.matmul"),
        rejections={
            "shapes": Rejection(
                "torch.matmul(a, v)",
                "torch.matmul(b, v)",
                "RuntimeError",
                "size mismatch|cannot",
                _A,
            ),
            "scalar": Rejection(
                "torch.matmul(a, v)",
                "torch.matmul(a, v[0])",
                "RuntimeError",
                "at least 1D",
                _A,
            ),
        },
    ),
    replace(
        PRODUCT,
        name="matmul",
        variant="vector",
        calls=vector_matmul_operands,
        spellings=("Tensor.matmul", "Tensor.__matmul__", "linalg.matmul"),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="bmm",
        calls=products_of("bij", "bjk"),
        spellings=("Tensor.bmm",),
        rejections={
            "batches": Rejection(
                "torch.bmm(a, b)",
                "torch.bmm(a, b[:1])",
                "RuntimeError",
                "batch|Expected size",
                _B,
            ),
        },
    ),
    replace(
        PRODUCT, name="mv", calls=products_of("ij", "j"), spellings=("Tensor.mv",), rejections={}
    ),
    _dot(
        name="dot",
        calls=products_of("i", "i"),
        spellings=("Tensor.dot",),
        rejections={
            "shapes": Rejection(
                "torch.dot(v, v)",
                "torch.dot(v, v[:2])",
                "RuntimeError",
                "same number of elements",
                _A,
            ),
            "matrix": Rejection(
                "torch.dot(v, v)", "torch.dot(a, a)", "RuntimeError", "1D tensors expected", _A
            ),
        },
    ),
    _dot(
        name="vdot",
        calls=products_of("i", "i"),
        reference=reference.dot_conjugated,
        analytic=reference.dot_analytic,
        spellings=("Tensor.vdot",),
        rejections={},
    ),
    _dot(
        name="linalg.vecdot",
        calls=pairs_along("dim"),
        reference=reference.dot_conjugated,
        analytic=reference.dot_analytic,
        dtypes=_FLOATING,
        spellings=(),
        rejections={},
    ),
    _dot(
        name="linalg.vecdot",
        variant="integral",
        calls=pairs_along("dim"),
        reference=reference.dot_conjugated,
        analytic=None,
        dtypes=("integral",),
        spellings=(),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="outer",
        calls=products_of("i", "j"),
        reference=np.outer,
        analytic=np.outer,
        magnitude=None,
        spellings=("Tensor.outer", "ger", "Tensor.ger"),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="inner",
        calls=products_of("ij", "kj"),
        reference=np.inner,
        analytic=np.inner,
        magnitude=reference.inner_magnitude,
        spellings=("Tensor.inner",),
        rejections={
            "shapes": Rejection(
                "torch.inner(a, v)", "torch.inner(a, b)", "RuntimeError", "must match", _A
            ),
        },
    ),
    *WEIGHTED,
    *IGNORING,
    *CORNERS,
    replace(
        PRODUCT,
        name="einsum",
        calls=einsum_operands,
        reference=reference.einsum,
        analytic=reference.einsum,
        magnitude=reference.einsum_magnitude,
        dtypes=("floating", "complex", torch.int64),
        spellings=(),
        out="",
        memory="either",
        rejections={
            "letters": Rejection(
                "torch.einsum('ij,jk->ik', a, b)",
                "torch.einsum('ij,jk->ix', a, b)",
                "RuntimeError",
                "output subscript x",
                _A,
            ),
            "sides": Rejection(
                "torch.einsum('ij,jk->ik', a, b)",
                "torch.einsum('ij,ik->jk', a, b)",
                "RuntimeError",
                "does not broadcast",
                _A,
            ),
        },
    ),
    replace(
        PRODUCT,
        name="kron",
        calls=pairs_of_any_rank,
        reference=reference.kronecker,
        analytic=reference.kronecker,
        magnitude=None,
        spellings=("Tensor.kron",),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="linalg.cross",
        calls=pairs_along("dim", 3),
        reference=reference.cross_product,
        analytic=reference.cross_product,
        magnitude=reference.cross_magnitude,
        spellings=(),
        rejections={
            "side": Rejection(
                "torch.linalg.cross(a, a)",
                "torch.linalg.cross(b, b)",
                "RuntimeError",
                "must have length 3",
                _A,
            ),
        },
    ),
    replace(
        PRODUCT,
        name="tensordot",
        calls=tensordot_operands,
        reference=reference.tensordot,
        analytic=reference.tensordot,
        magnitude=reference.tensordot_magnitude,
        dtypes=("floating", "complex"),
        spellings=(),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="linalg.multi_dot",
        calls=chains,
        reference=reference.chained,
        analytic=reference.chained,
        magnitude=reference.chained_magnitude,
        dtypes=(torch.float64, torch.float32, "complex"),
        ulps=32,
        spellings=(),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="linalg.vander",
        variant="batched",
        calls=powers_of(1, 2, increasing=False),
        reference=reference.vandermonde,
        analytic=reference.vandermonde,
        magnitude=None,
        dtypes=(torch.float64, torch.float32, "complex"),
        spellings=(),
        out="",
        rejections={},
    ),
    replace(
        PRODUCT,
        name="vander",
        calls=powers_of(1, 1, increasing=True),
        reference=reference.vandermonde_columns,
        analytic=reference.vandermonde_columns,
        magnitude=None,
        dtypes=(torch.float64, torch.float32, "complex"),
        spellings=(),
        out="",
        rejections={},
    ),
)
