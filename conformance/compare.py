"""Comparison of what torch gave with what a reference says, each one counted as evidence.

Values are read out of a tensor into NumPy bit for bit. Exact comparison is ``==`` with nan
equal to nan and -0.0 different from 0.0; a bound is absolute, and comes from the operation. Of a
tensor without values, as one on meta is, shape and dtype are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from conformance.evidence import (
    compared,
    has_values,
    is_refusal,
    judgeable,
    judges_words,
    remembered,
)
from strategies.devices import holds_values

Array = npt.NDArray[Any]


def to_numpy(tensor: torch.Tensor) -> Array:
    """Return a tensor's values as a NumPy copy; bfloat16 becomes float32, exactly.

    An input without values has those that were drawn for it, until something is written to it.
    Raises ``AssertionError`` where the copy on the host has another shape than the tensor says.
    """
    if not holds_values(tensor):
        drawn = remembered(tensor)
        if drawn is None:
            raise NotImplementedError("the tensor holds no values")
        return drawn.copy()
    host = tensor.detach().cpu().resolve_conj().resolve_neg()
    if host.shape != tensor.shape:
        shapes = f"{tuple(host.shape)}, and says that it has {tuple(tensor.shape)}"
        raise AssertionError(f"a tensor comes to the host in shape {shapes}")
    if host._is_zerotensor():
        host = host.clone()  # torch's lazy zeros have no memory: at an offset numpy() crashes
    if host.dtype == torch.bfloat16:
        bits = host.contiguous().view(torch.int16).numpy(force=True).view(np.uint16)
        widened: Array = np.asarray(bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return widened
    copied: Array = host.numpy().copy()
    return copied


def equal(actual: object, expected: Array, *, dtype: torch.dtype, what: str = "result") -> None:
    """Check that a tensor has the expected values exactly, shape and dtype.

    ``expected`` is rounded to nothing: it must hold values that ``dtype`` has.
    Raises ``AssertionError`` naming the first index at which they differ.
    """
    tensor, got = _same_kind(actual, expected, dtype, what)
    if got is None:
        compared(1, tensor)
        return
    wrong = ~_identical(got, np.asarray(expected))
    if wrong.any():
        wrong &= ~_flushed(got, np.asarray(expected))
    if wrong.any():
        raise AssertionError(_difference(what, got, np.asarray(expected), wrong))
    compared(got.size, tensor)


def close(
    actual: object,
    expected: Array,
    *,
    bound: float | Array,
    dtype: torch.dtype,
    what: str = "result",
) -> None:
    """Check that every value is within the absolute ``bound`` of the expected one.

    ``bound`` is a number or an array of the result's shape. nan is equal to nan only.
    Raises ``AssertionError`` naming the first index at which they differ too much.
    """
    tensor, got = _same_kind(actual, expected, dtype, what)
    if got is None:
        compared(1, tensor)
        return
    want = np.asarray(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        near = (got == want) | (np.abs(got - want) <= bound) | (np.isnan(got) & np.isnan(want))
    if not near.all():
        near |= _flushed(got, want)
    if not near.all():
        raise AssertionError(_difference(what, got, want, ~near, bound))
    compared(got.size, tensor)


def nested(
    actual: object,
    expected: object,
    *,
    bound: float = 0.0,
    dtype: torch.dtype = torch.float64,
    what: str = "result",
) -> None:
    """Check a structure of tensors: tuples, lists and dicts as in ``expected``, arrays as close."""
    if not isinstance(expected, (tuple, list, dict)):
        close(actual, np.asarray(expected), bound=bound, dtype=dtype, what=what)
        return
    keys = list(expected) if isinstance(expected, dict) else list(range(len(expected)))
    fact(type(actual), type(expected), f"type of {what}")
    found: Any = actual
    has = list(found) if isinstance(found, dict) else list(range(len(found)))
    fact(has, keys, f"places of {what}")
    for key in keys:
        nested(found[key], expected[key], bound=bound, dtype=dtype, what=f"{what} {key}")


def gradients(
    leaves: Sequence[torch.Tensor],
    expected: Sequence[Array],
    reached: Sequence[bool],
    *,
    bound: float = 0.0,
) -> None:
    """Check ``.grad`` of each leaf that a backward pass reached; that of the others is None.

    Exact but for the sign of zero where ``bound`` is 0.
    """
    for number, (leaf, value, reaches) in enumerate(zip(leaves, expected, reached, strict=True)):
        what = f"grad of leaf {number}"
        if reaches:
            close(leaf.grad, value, bound=bound, dtype=leaf.dtype, what=what)
        else:
            fact(leaf.grad, None, what)


def unchanged(tensor: torch.Tensor, before: Array, what: str = "tensor") -> None:
    """Check that a tensor still holds the values it had, as :func:`to_numpy` read them."""
    shape = tuple(tensor.shape)
    if shape != before.shape:
        raise AssertionError(f"{what} changed its shape from {before.shape} to {shape}")
    if not holds_values(tensor):
        compared(1, tensor)
        return
    got = to_numpy(tensor)
    wrong = ~_identical(got, before)
    if wrong.any():
        raise AssertionError("was modified: " + _difference(what, got, before, wrong))
    compared(got.size, tensor)


def every(satisfied: Array, tensor: torch.Tensor, what: str) -> None:
    """Check that every element of a tensor satisfies a condition, given as an array of bool."""
    if not satisfied.all():
        index = tuple(int(i) for i in np.argwhere(~satisfied)[0])
        got = to_numpy(tensor)[index].item()
        raise AssertionError(f"element {index} is {got!r}, expected {what}")
    compared(satisfied.size, tensor)


def fact(actual: object, expected: object, what: str) -> None:
    """Check a plain fact: a flag, a shape, an identity, a count."""
    if type(actual) is not type(expected) or actual != expected:
        raise AssertionError(f"{what}: got {actual!r}, expected {expected!r}")
    compared(1)


@contextmanager
def raises(error: type[Exception], message: str) -> Iterator[None]:
    """Check that the block raises ``error`` with a text in which ``message`` is found.

    ``message`` is a regular expression for the telling part. Its words are the CPU's own: of
    other devices, and of modes that reword, the type is asked. That the target says it lacks
    something is not an answer: its NotImplementedError, or the word with which it refused a
    capability, goes through, unless it says what it should: that is how torch 2.15 refuses some
    dtypes, as a RuntimeError of that kind.
    """
    try:
        yield
    except error as raised:
        other_words = not re.search(message, str(raised))
        if other_words and (isinstance(raised, NotImplementedError) or is_refusal(raised)):
            raise
        if other_words and judges_words():
            text = str(raised).partition("\n")[0]
            raise AssertionError(
                f"raised {type(raised).__name__} with another message: {text!r}, "
                f"expected one that says {message!r}"
            ) from raised
        compared(1)
    else:
        if not has_values():
            raise NotImplementedError("raised nothing; without values, it may not see the mistake")
        raise AssertionError(f"raised nothing, expected {error.__name__}: {message!r}")


def _same_kind(
    actual: object, expected: Array, dtype: torch.dtype, what: str
) -> tuple[torch.Tensor, Array | None]:
    if not isinstance(actual, torch.Tensor):
        raise AssertionError(f"{what}: got {actual!r}, expected a tensor")
    shape = tuple(np.shape(expected))
    if tuple(actual.shape) != shape:
        raise AssertionError(f"{what}: got shape {tuple(actual.shape)}, expected {shape}")
    if actual.dtype != dtype:
        raise AssertionError(f"{what}: got dtype {actual.dtype}, expected {dtype}")
    return actual, to_numpy(actual) if holds_values(actual) else None


def _identical(got: Array, want: Array) -> npt.NDArray[np.bool_]:
    if np.iscomplexobj(got) or np.iscomplexobj(want):
        return _identical(got.real, want.real) & _identical(got.imag, want.imag)
    same = got == want
    if got.dtype.kind == "f":
        floats = want.astype(np.float64)
        same &= np.signbit(got) == np.signbit(floats)
        same |= np.isnan(got) & np.isnan(floats)
    return np.asarray(same)


def _flushed(got: Array, want: Array) -> npt.NDArray[np.bool_]:
    """Where a device that takes subnormal numbers for zero is right but for that."""
    if np.iscomplexobj(got):
        parts = ((got.real, want.real), (got.imag, want.imag))
        right = [(part == other) | _flushed(part, other) for part, other in parts]
        return np.asarray(right[0] & right[1])
    if got.dtype.kind != "f" or got.dtype.itemsize < 4:
        return np.zeros(got.shape, dtype=np.bool_)
    flushed = np.asarray((got == 0) & (np.abs(want) < np.finfo(got.dtype).tiny))
    return flushed & (flushed.any() and not judgeable("subnormals"))


def _difference(
    what: str, got: Array, want: Array, wrong: npt.NDArray[np.bool_], bound: float | Array = 0.0
) -> str:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f" at index {index}" if index else ""
    text = f"{what}{place}: got {got[index].item()!r}, expected {want[index].item()!r}"
    if np.any(bound):
        limit = float(np.broadcast_to(bound, got.shape)[index])
        distance = abs(got[index].item() - want[index].item())
        text += f", {distance:.3g} apart where rounding explains {limit:.3g}"
    count = int(wrong.sum())
    return text + (f" ({count} of {got.size} values differ)" if got.size > 1 else "")
