"""Functions of a matrix or a system of equations: determinants, inverses, solutions, norms.

Matrices are drawn well conditioned: small dyadic entries beside a heavy diagonal.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

from conformance.operators.operator import Call, Calls, Operator, Rejection
from conformance.operators.results import real_part
from conformance.reference import linalg
from conformance.reference import matrix_functions as reference
from strategies import arrays, permuted_ranges, tensors_holding
from strategies.shapes import Shape

Array = npt.NDArray[Any]

_BATCHES: tuple[Shape, ...] = ((), (2,), (1, 2), (0,))
_SIDES = st.sampled_from((2, 1, 3, 0))


@st.composite
def _matrix(draw: st.DrawFn, dtype: torch.dtype, batch: Shape, rows: int, columns: int) -> Array:
    """Small entries, and on the diagonal ones that outweigh the rest of their row."""
    values = draw(arrays(dtype=dtype, shape=(*batch, rows, columns))) / 8
    signs = draw(arrays(dtype=torch.int8, shape=(min(rows, columns),)))
    diagonal = np.where(signs < 0, -1.5, 1.5)
    for number, value in enumerate(diagonal):
        values[..., number, number] += value
    return np.asarray(values)


def _square(**options: st.SearchStrategy[Any]) -> Calls:
    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        side = draw(_SIDES)
        values = draw(_matrix(dtype, draw(st.sampled_from(_BATCHES)), side, side))
        arguments = [draw(tensors_holding(values, dtype=dtype))]
        return Call((*arguments, *(draw(option) for option in options.values())), {})

    return drawn


@st.composite
def _positive(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A matrix times its adjoint."""
    side = draw(_SIDES)
    root = draw(_matrix(dtype, draw(st.sampled_from(_BATCHES)), side, side))
    product = np.matmul(root, np.conj(np.swapaxes(root, -1, -2)))
    return Call((draw(tensors_holding(product, dtype=dtype)),), {})


@st.composite
def _wide_or_tall(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    rows, columns = draw(st.sampled_from(((2, 2), (3, 2), (2, 3), (1, 3), (3, 1), (1, 1))))
    values = draw(_matrix(dtype, draw(st.sampled_from(_BATCHES)), rows, columns))
    return Call((draw(tensors_holding(values, dtype=dtype)),), {})


def _system(*, triangular: bool) -> Calls:
    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        side, columns = draw(_SIDES), draw(_SIDES)
        batch = draw(st.sampled_from(_BATCHES))
        other = draw(st.sampled_from(((), batch))) if triangular else batch
        left = draw(st.booleans())
        shape: Shape = (*other, *((side, columns) if left else (columns, side)))
        if left and not triangular and not other and draw(st.booleans()):
            shape = (side,)
        values = draw(_matrix(dtype, batch, side, side))
        keywords: dict[str, Any] = {} if left and draw(st.booleans()) else {"left": left}
        if triangular:
            keywords["upper"] = draw(st.booleans())
            if draw(st.booleans()):
                keywords["unitriangular"] = draw(st.booleans())
        right = draw(arrays(dtype=dtype, shape=shape))
        return Call(
            (
                draw(tensors_holding(values, dtype=dtype)),
                draw(tensors_holding(right, dtype=dtype)),
            ),
            keywords,
        )

    return drawn


@st.composite
def _broadcast_system(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """A batch of systems that share their right side, which is no batch of vectors."""
    values = draw(_matrix(dtype, (1, 2), 2, 2))
    right = draw(arrays(dtype=dtype, shape=(2, 2)))
    return Call(
        (draw(tensors_holding(values, dtype=dtype)), draw(tensors_holding(right, dtype=dtype))),
        {"left": draw(st.booleans())},
    )


@st.composite
def _normed(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """Matrices of different powers of two, so that no two rows or columns have one sum.

    They lie in the last two dimensions, or in two that are given in either order.
    """
    rows, columns = draw(st.sampled_from(((2, 2), (3, 2), (2, 3), (1, 3), (3, 1), (1, 1))))
    sides = (*draw(st.sampled_from(((), (2,)))), rows, columns)
    count = int(np.prod(sides))
    exponents = draw(permuted_ranges(count))
    signs = draw(arrays(dtype=torch.int8, shape=(count,)))
    values = (np.where(signs < 0, -1.0, 1.0) * 2.0**exponents).reshape(sides)
    keywords: dict[str, Any] = {}
    if draw(st.booleans()):
        order = draw(permuted_ranges(len(sides))).tolist()
        values = values.transpose(order)
        places = [order.index(len(sides) - 2), order.index(len(sides) - 1)]
        from_end = draw(st.sampled_from((0, len(sides))))
        keywords["dim"] = tuple(place - from_end for place in places)
    if draw(st.booleans()):
        keywords["keepdim"] = draw(st.booleans())
    matrix = draw(tensors_holding(values, dtype=dtype))
    return Call((matrix, draw(st.sampled_from((1, -1, np.inf, -np.inf)))), keywords)


def _normwise(function: Any) -> Any:
    return partial(_largest_of, function)


def _largest_of(function: Any, *arguments: Any, **keywords: Any) -> Any:
    """The largest entry of each result, for bounds of algorithms that are stable normwise."""
    results = function(*arguments, **keywords)
    if isinstance(results, tuple):
        return tuple(linalg.largest_entry(r) + 1 for r in results)
    return linalg.largest_entry(np.asarray(results))


_S = {"a": (torch.float64, (2, 2)), "r": (torch.float64, (2, 3)), "v": (torch.float64, (3,))}
_LEGAL = "torch.linalg.{}(a * 0 + torch.eye(2))"


def _rejecting(name: str, *, singular: bool) -> dict[str, Rejection]:
    """What functions of square matrices reject: other matrices, and singular ones if told."""
    legal, call = _LEGAL.format(name), f"torch.linalg.{name}"
    found = {
        "rectangle": Rejection(legal, f"{call}(r)", "RuntimeError", "must be batches of square", _S)
    }
    if singular:
        found["singular"] = Rejection(legal, f"{call}(a * 0)", "LinAlgError", "singular", _S)
    return found


INVERSE = Operator(
    name="linalg.inv",
    calls=_square(),
    reference=np.linalg.inv,
    analytic=np.linalg.inv,
    dtypes=(torch.float64, torch.float32, "complex"),
    ulps=64,
    magnitude=_normwise(np.linalg.inv),
    derivative_ulps=256,
    normwise=True,
    spellings=("inverse", "Tensor.inverse"),
    out="same",
    rejections=_rejecting("inv", singular=True),
)

OPERATORS = (
    INVERSE,
    replace(
        INVERSE,
        name="linalg.det",
        reference=np.linalg.det,
        analytic=np.linalg.det,
        magnitude=None,
        spellings=("det", "Tensor.det"),
        rejections=_rejecting("det", singular=False),
    ),
    replace(
        INVERSE,
        name="logdet",
        calls=_positive,
        reference=reference.log_determinant,
        analytic=reference.log_determinant,
        magnitude=_normwise(reference.log_determinant),
        dtypes=(torch.float64, torch.float32),
        spellings=("Tensor.logdet",),
        out="",
        rejections={},
    ),
    replace(
        INVERSE,
        name="linalg.slogdet",
        reference=reference.sign_and_log_determinant,
        analytic=reference.sign_and_log_analytic,
        magnitude=_normwise(reference.sign_and_log_determinant),
        result=real_part,
        dtypes=(torch.float64, torch.float32),
        spellings=("slogdet", "Tensor.slogdet"),
        rejections=_rejecting("slogdet", singular=False),
    ),
    replace(
        INVERSE,
        name="linalg.solve",
        calls=_system(triangular=False),
        reference=reference.solution,
        analytic=reference.solution,
        magnitude=_normwise(reference.solution),
        spellings=(),
        rejections={
            "sides": Rejection(
                "torch.linalg.solve(a * 0 + torch.eye(2), r)",
                "torch.linalg.solve(a * 0 + torch.eye(2), r.mT)",
                "RuntimeError",
                "Incompatible shapes",
                _S,
            ),
            "singular": Rejection(
                "torch.linalg.solve(a * 0 + torch.eye(2), r)",
                "torch.linalg.solve(a * 0, r)",
                "LinAlgError",
                "singular",
                _S,
            ),
        },
    ),
    replace(
        INVERSE,
        name="linalg.solve",
        variant="broadcast",
        calls=_broadcast_system,
        reference=reference.solution,
        analytic=reference.solution,
        magnitude=_normwise(reference.solution),
        spellings=(),
        rejections={},
    ),
    replace(
        INVERSE,
        name="linalg.solve_triangular",
        calls=_system(triangular=True),
        reference=reference.triangular_solution,
        analytic=reference.triangular_solution,
        magnitude=_normwise(reference.triangular_solution),
        spellings=(),
        rejections={},
        excused={"vmap": "reversing a triangular matrix gives one of the other triangle"},
    ),
    replace(
        INVERSE,
        name="linalg.matrix_power",
        calls=_square(n=st.integers(-2, 4)),
        reference=reference.power_of,
        analytic=reference.power_of,
        magnitude=_normwise(reference.power_of),
        spellings=("matrix_power", "Tensor.matrix_power"),
        rejections={},
    ),
    replace(
        INVERSE,
        name="linalg.matrix_exp",
        reference=reference.exponential_of,
        analytic=reference.exponential_of,
        magnitude=_normwise(reference.exponential_of),
        spellings=("matrix_exp", "Tensor.matrix_exp"),
        out="",
        rejections={},
    ),
    replace(
        INVERSE,
        name="linalg.pinv",
        calls=_wide_or_tall,
        reference=np.linalg.pinv,
        analytic=reference.pseudo_inverse,
        magnitude=_normwise(np.linalg.pinv),
        spellings=("pinverse", "Tensor.pinverse"),
        rejections={},
    ),
    replace(
        INVERSE,
        name="linalg.matrix_norm",
        calls=_wide_or_tall,
        reference=reference.frobenius_norm,
        analytic=reference.frobenius_analytic,
        magnitude=None,
        result=real_part,
        spellings=(),
        rejections={
            "vector": Rejection(
                "torch.linalg.matrix_norm(a)",
                "torch.linalg.matrix_norm(v)",
                "RuntimeError",
                "at least 2 dimensions",
                _S,
            ),
        },
    ),
    replace(
        INVERSE,
        name="linalg.matrix_norm",
        variant="rows",
        calls=_normed,
        reference=reference.row_norm,
        analytic=reference.row_norm_analytic,
        magnitude=None,
        result=real_part,
        dtypes=(torch.float64, torch.float32),
        spellings=(),
        rejections={},
    ),
)
