"""What a call of an operator must return: its reference on the call's own values, and bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from conformance import compare
from conformance.evidence import tensors_in
from conformance.operators.operator import Call, Operator, replaced
from strategies.values import NUMPY_DTYPES

Array = npt.NDArray[Any]


def wide(tensor: torch.Tensor) -> Array:
    """Return a tensor's values in float64, complex128, or the integer dtype that they have."""
    values = compare.to_numpy(tensor)
    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def operands(call: Call, computed: torch.dtype | None) -> list[Array]:
    """Return the call's tensors as the reference takes them, cast to ``computed`` if given."""
    values = [wide(tensor) for tensor in tensors_in(call)]
    return values if computed is None else [cast(value, computed) for value in values]


def cast(values: Array, dtype: torch.dtype) -> Array:
    """Return values rounded to ``dtype``, floating ones then widened to float64 or complex128.

    Integers wrap around, as C's conversions do; every number but 0 is true.
    """
    if dtype.is_complex:
        single = np.complex64 if dtype == torch.complex64 else np.complex128
        return values.astype(single).astype(np.complex128)
    if dtype == torch.bfloat16:
        return _rounded_to_bfloat16(values.astype(np.float32)).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        narrow = values.astype(NUMPY_DTYPES[dtype])
    return narrow.astype(np.float64) if dtype.is_floating_point else narrow


def _rounded_to_bfloat16(values: Array) -> Array:
    """Round to nearest, ties to even: to the upper half of a float32's bits."""
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = ((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isnan(values), values, rounded)


def listed(results: Any) -> list[Any]:
    """Return one result or several as a list."""
    return list(results) if isinstance(results, (tuple, list)) else [results]


def evaluated(function: Callable[..., Any], call: Call, arrays: list[Array]) -> list[Array]:
    """Return the results of a NumPy function of a call's arguments, arrays for its tensors."""
    arguments, keywords = replaced(call, iter(arrays))
    with np.errstate(all="ignore"):
        return [np.asarray(r) for r in listed(function(*arguments, **keywords))]


def expected(case: Operator, call: Call) -> list[Array]:
    """Return what the operator's reference says of a call."""
    return evaluated(case.reference, call, operands(call, case.result(call).computed))


def result_dtypes(case: Operator, call: Call, count: int) -> list[torch.dtype]:
    """Return the dtype of each of ``count`` results."""
    results = case.result(call).results
    return list(results) * count if len(results) == 1 else list(results)


def spacing(values: Array, dtype: torch.dtype) -> Array:
    """Return the distance between neighbours of ``dtype`` at each value; 0 for what is exact.

    For a complex dtype four times that at its modulus: a product of two complex numbers rounds
    four products and two sums.
    """
    if not (dtype.is_floating_point or dtype.is_complex):
        return np.zeros(np.shape(values))
    info = torch.finfo(dtype)
    size = np.abs(np.where(np.isfinite(values), values, 0.0))
    exponent = np.frexp(np.maximum(size, 4 * info.smallest_normal))[1]  # a quarter is not 0
    return np.asarray(np.ldexp(4 * info.eps if dtype.is_complex else info.eps, exponent - 1))


def bounds(
    case: Operator,
    call: Call,
    wanted: list[Array],
    dtypes: list[torch.dtype],
    roundings: int = 1,
) -> list[Array]:
    """Return how far each result may be from its reference: 0, or ulps of its magnitude.

    In the dtype of the result, and in that of the tensor which it was written to. Results that
    are rounded at all may be so ``roundings`` times as often as the entry says.
    """
    if not case.ulps:
        return [np.zeros(()) for _ in wanted]
    sizes = wanted
    if case.magnitude is not None:
        sizes = evaluated(case.magnitude, call, operands(call, case.result(call).computed))
    own = result_dtypes(case, call, len(wanted))
    ulps = case.ulps * roundings if case.ulps >= 1 else case.ulps
    return [
        ulps * np.maximum(spacing(size, result), spacing(size, written))
        for size, result, written in zip(sizes, own, dtypes, strict=True)
    ]


def check(
    case: Operator, call: Call, result: Any, what: str = "result", roundings: int = 1
) -> None:
    """Check that a call returned what the reference says: count, shapes, dtypes, values, device."""
    wanted = expected(case, call)
    dtypes = result_dtypes(case, call, len(wanted))
    _check_each(case, call, wanted, listed(result), dtypes, what, roundings)


def check_written(case: Operator, call: Call, written: list[torch.Tensor], what: str) -> None:
    """Check that tensors hold the results of a call, cast to the dtypes that they have."""
    dtypes = [tensor.dtype for tensor in written]
    wanted = expected(case, call)
    own = result_dtypes(case, call, len(wanted))
    stored = [_stored(case, *each) for each in zip(wanted, own, dtypes, strict=True)]
    _check_each(case, call, stored, written, dtypes, what)


def _stored(case: Operator, value: Array, own: torch.dtype, written: torch.dtype) -> Array:
    """What a result of its own dtype is once written to a tensor of another one."""
    if own == written:
        return value
    if not case.ulps or not (own.is_floating_point or own.is_complex):
        return cast(cast(value, own), written)
    return _overflowed(value, own, np.zeros(()), np.zeros(()))


def _check_each(
    case: Operator,
    call: Call,
    wanted: list[Array],
    got: list[Any],
    dtypes: list[torch.dtype],
    what: str,
    roundings: int = 1,
) -> None:
    compare.fact(len(got), len(wanted), f"number of results ({what})")
    margins = bounds(case, call, wanted, dtypes, roundings)
    device = next((tensor.device for tensor in tensors_in(call)), None)
    for number, (tensor, value, dtype) in enumerate(zip(got, wanted, dtypes, strict=True)):
        name = f"{what} {number}" if len(got) > 1 else what
        check_value(tensor, value, dtype, margins[number], name)
        if device is not None:
            compare.fact(tensor.device, device, f"device of {name}")


def check_value(actual: Any, value: Array, dtype: torch.dtype, bound: Array, what: str) -> None:
    """Check one result: exactly where ``bound`` is 0, else within it or rounded to infinity."""
    if not (dtype.is_floating_point or dtype.is_complex):
        compare.equal(actual, cast(value, dtype), dtype=dtype, what=what)
        return
    if not np.any(bound):
        compare.equal(actual, value, dtype=dtype, what=what)
        return
    if isinstance(actual, torch.Tensor) and actual.shape == value.shape:
        value = _overflowed(value, dtype, bound, compare.to_numpy(actual))
    compare.close(actual, value, bound=bound, dtype=dtype, what=what)


def _overflowed(value: Array, dtype: torch.dtype, bound: Array, got: Array) -> Array:
    """Where rounding may reach infinity, or must, expect infinity."""
    if value.dtype.kind != "f":
        return value
    largest = torch.finfo(dtype).max
    with np.errstate(over="ignore"):
        reaches = (np.abs(value) >= largest - bound) & np.isinf(got)
        must = np.abs(value) > largest + bound
    return np.where(reaches | must, np.copysign(np.inf, value), value)
