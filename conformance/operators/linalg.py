"""Linear algebra: products of vectors, matrices and batches of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import operand
from conformance.operators.operator import Call, Calls, Operator, Rejection
from conformance.reference import linalg as reference
from strategies import tensors
from strategies.shapes import Shape

_SIDES = st.sampled_from((1, 2, 3, 0, 4))
_BATCHES: tuple[tuple[Shape, Shape], ...] = (
    ((), ()), ((2,), ()), ((), (3,)), ((2, 1), (3,)), ((1,), (2,)), ((0,), (1,)), ((2,), (2,)),
)  # fmt: skip


def _products(*shapes: str) -> Calls:
    """Draw operands whose shapes are spelled by letters, each letter a side."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = {letter: draw(_SIDES) for letter in sorted(set("".join(shapes)))}
        of = [tuple(sides[letter] for letter in shape) for shape in shapes]
        return Call(tuple(draw(operand(dtype, kind, shape)) for shape in of), {})

    return drawn


def _weighted(base: str, *shapes: str) -> Calls:
    """Draw a product's operands, and before them one that is added to it, with weights.

    It may be expanded from sides of 1, but for a product of nothing: entries of their own.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        sides = {letter: draw(_SIDES) for letter in sorted(set("".join(shapes)))}
        full = tuple(sides[letter] for letter in base)
        ones = draw(st.integers(0, 2 ** (len(base) + 1) - 1)) if all(sides.values()) else 0
        narrow = tuple(1 if ones >> n & 1 else side for n, side in enumerate(full))
        of = [tuple(sides[letter] for letter in shape) for shape in shapes]
        operands = [draw(operand(dtype, kind, shape)) for shape in (narrow, *of)]
        weights = {"beta": st.sampled_from((0, 1, 2)), "alpha": st.integers(0, 3)}
        keywords = {k: draw(v) for k, v in weights.items() if draw(st.booleans())}
        return Call(tuple(operands), keywords)

    return drawn


def _ignoring_base(base: str, *shapes: str) -> Calls:
    """Draw a product's operands and a first one of nan, infinities and numbers, weighed by 0."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        call = draw(_weighted(base, *shapes)(dtype, kind))
        ignored = draw(operand(dtype, "nonfinite", tuple(call.arguments[0].shape)))
        return Call((ignored, *call.arguments[1:]), {**call.keywords, "beta": 0})

    return drawn


@st.composite
def _sum_of_nothing(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rows = draw(st.integers(0, 3))
    shapes: tuple[Shape, ...] = ((1,), (rows, 0), (0,))
    return Call(tuple(draw(operand(dtype, kind, shape)) for shape in shapes), {})


@st.composite
def _matmul(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rows, inner, columns = (draw(_SIDES) for _ in range(3))
    first, second = draw(st.sampled_from(_BATCHES))
    left: Shape = (*first, rows, inner)
    right: Shape = (*second, inner, columns)
    left, right = draw(
        st.sampled_from(((left, right), (left, (inner,)), ((inner,), (inner,)), (left, right)))
    )
    return Call((draw(operand(dtype, kind, left)), draw(operand(dtype, kind, right))), {})


@st.composite
def _vector_matmul(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    inner, columns = draw(_SIDES), draw(_SIDES)
    right = (*draw(st.sampled_from(((), (2,), (1, 3), (0,)))), inner, columns)
    return Call((draw(operand(dtype, kind, (inner,))), draw(operand(dtype, kind, right))), {})


EQUATIONS = (
    "ij,jk->ik", "ij,kj", "ij->ji", "i,j->ij", "bij,bjk->bik", "...ij,...jk->...ik", "ijk,jil->kl",
    "ij->", "ii->i", "ii", "ab,ab->a", "i,i->", "ij,ij,ij->i", "ij,j,jk->ki", "...i->...",
)  # fmt: skip


@st.composite
def _einsum(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    equation = draw(st.sampled_from(EQUATIONS))
    letters = sorted({c for c in equation if c.isalpha()})
    sides = {letter: draw(st.sampled_from((2, 1, 3, 0))) for letter in letters}
    ellipsis = draw(st.sampled_from(((), (2,), (2, 1))))
    operands = []
    for term in equation.partition("->")[0].split(","):
        head = ellipsis if "..." in term else ()
        shape = (*head, *(sides[c] for c in term.replace("...", "")))
        operands.append(draw(operand(dtype, kind, shape)))
    return Call((equation, *operands), {})


@st.composite
def _two_of_any_rank(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    shapes = st.sampled_from(((2, 3), (2,), (), (3, 2), (1, 3), (2, 1), (0, 2), (3,)))
    drawn = (
        tensors(dtype=dtype, shape=draw(shapes), values=kind, layouts=("contiguous",))
        for _ in range(2)
    )
    return Call(tuple(map(draw, drawn)), {})


def _along(name: str | None, side: int | None = None) -> Calls:
    """Draw two operands of one shape, or of shapes that broadcast, and a dimension of theirs.

    ``name`` None: the dimension is given by position. ``side`` is the size along it.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rank = draw(st.integers(1, 3))
        axis = draw(st.integers(0, rank - 1))
        shape = [draw(st.sampled_from((2, 1, 3, 0))) for _ in range(rank)]
        if side is not None:
            shape[axis] = side
        other = [1 if n != axis and draw(st.booleans()) else s for n, s in enumerate(shape)]
        operands = [draw(operand(dtype, kind, tuple(s))) for s in (shape, other)]
        dim = axis - rank if draw(st.booleans()) or axis == rank - 1 else axis
        given = {} if dim == -1 and draw(st.booleans()) else {name or "dim": dim}
        return Call(tuple(operands), given)

    return drawn


@st.composite
def _tensordot(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    free = draw(st.sampled_from((2, 1, 3)))
    shared = tuple(draw(st.lists(st.sampled_from((2, 1, 3)), max_size=2)))
    if draw(st.booleans()):
        shapes: tuple[Shape, Shape] = ((free, *shared), (*shared, free + 1))
        dims: Any = len(shared)
    else:
        shapes = ((*shared[::-1], free), (free, *shared))
        dims = (list(range(len(shared))), list(range(len(shared), 0, -1)))
    return Call(tuple(draw(operand(dtype, kind, shape)) for shape in shapes), {"dims": dims})


@st.composite
def _chain(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    sides = [draw(_SIDES) for _ in range(draw(st.integers(3, 5)))]
    shapes: list[Shape] = list(itertools.pairwise(sides))
    if draw(st.integers(0, 3)) == 3:
        shapes[0] = shapes[0][1:]
    if draw(st.integers(0, 3)) == 3:
        shapes[-1] = shapes[-1][:1]
    return Call(([draw(operand(dtype, kind, shape)) for shape in shapes],), {})


def _powers(least_rank: int, most_rank: int, *, increasing: bool) -> Calls:
    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        rank = draw(st.integers(least_rank, most_rank))
        shape = tuple(draw(st.sampled_from((2, 3, 1))) for _ in range(rank))
        keywords: dict[str, Any] = {}
        if draw(st.booleans()):
            keywords["N"] = draw(st.integers(1, 4))
        if increasing and draw(st.booleans()):
            keywords["increasing"] = draw(st.booleans())
        return Call((draw(operand(dtype, kind, shape)),), keywords)

    return drawn


_A = {"a": (torch.float32, (2, 3)), "b": (torch.float32, (3, 2)), "v": (torch.float32, (3,))}
_B = {"a": (torch.float32, (2, 2, 3)), "b": (torch.float32, (2, 3, 2))}

PRODUCT = Operator(
    name="mm",
    calls=_products("ij", "jk"),
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
        calls=_weighted(*shapes),
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
        calls=_ignoring_base(*shapes),
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
        WEIGHTED[1], variant="of-nothing", calls=_sum_of_nothing, dtypes=("floating",),
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
        calls=_matmul,
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
        calls=_vector_matmul,
        spellings=("Tensor.matmul", "Tensor.__matmul__", "linalg.matmul"),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="bmm",
        calls=_products("bij", "bjk"),
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
        PRODUCT, name="mv", calls=_products("ij", "j"), spellings=("Tensor.mv",), rejections={}
    ),
    _dot(
        name="dot",
        calls=_products("i", "i"),
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
        calls=_products("i", "i"),
        reference=reference.dot_conjugated,
        analytic=reference.dot_analytic,
        spellings=("Tensor.vdot",),
        rejections={},
    ),
    _dot(
        name="linalg.vecdot",
        calls=_along("dim"),
        reference=reference.dot_conjugated,
        analytic=reference.dot_analytic,
        dtypes=_FLOATING,
        spellings=(),
        rejections={},
    ),
    _dot(
        name="linalg.vecdot",
        variant="integral",
        calls=_along("dim"),
        reference=reference.dot_conjugated,
        analytic=None,
        dtypes=("integral",),
        spellings=(),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="outer",
        calls=_products("i", "j"),
        reference=np.outer,
        analytic=np.outer,
        magnitude=None,
        spellings=("Tensor.outer", "ger", "Tensor.ger"),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="inner",
        calls=_products("ij", "kj"),
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
        calls=_einsum,
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
        calls=_two_of_any_rank,
        reference=reference.kronecker,
        analytic=reference.kronecker,
        magnitude=None,
        spellings=("Tensor.kron",),
        rejections={},
    ),
    replace(
        PRODUCT,
        name="linalg.cross",
        calls=_along("dim", 3),
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
        calls=_tensordot,
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
        calls=_chain,
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
        calls=_powers(1, 2, increasing=False),
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
        calls=_powers(1, 1, increasing=True),
        reference=reference.vandermonde_columns,
        analytic=reference.vandermonde_columns,
        magnitude=None,
        dtypes=(torch.float64, torch.float32, "complex"),
        spellings=(),
        out="",
        rejections={},
    ),
)
