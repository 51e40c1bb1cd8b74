"""Ranges: the values of arange, linspace and logspace, and what they reject."""

from math import ceil, inf, log, nan

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import creation
from conformance.target import resolve
from strategies import dtypes, dyadics, tensors

SPACED = {"linspace": "torch.linspace", "logspace": "torch.logspace"}
TRIANGLES = {"tril": ("torch.tril_indices", True), "triu": ("torch.triu_indices", False)}
WHICH_IS_FLOAT = {"start": (1.0, 7, 2), "end": (1, 7.0, 2), "step": (1, 7, 2.0)}
WHICH_IS_TENSOR = {
    f"{name}-{ends}": (function, *which)
    for name, function in SPACED.items()
    for ends, which in {"start": (True, False), "end": (False, True), "both": (True, True)}.items()
}
WHICH_IS_FLOAT = {"start": (1.0, 7, 2), "end": (1, 7.0, 2), "step": (1, 7, 2.0)}
WHICH_IS_TENSOR = {
    f"{name}-{ends}": (function, *which)
    for name, function in SPACED.items()
    for ends, which in {"start": (True, False), "end": (False, True), "both": (True, True)}.items()
}
WHICH_IS_TENSOR = {
    f"{name}-{ends}": (function, *which)
    for name, function in SPACED.items()
    for ends, which in {"start": (True, False), "end": (False, True), "both": (True, True)}.items()
}
# The legal arguments, the illegal ones, and the telling part of the error.
REJECTIONS = {
    "arange-zero-step": ("torch.arange", (0, 2, 1), (0, 2, 0), "nonzero"),
    "arange-falling": ("torch.arange", (0, 2, 1), (0, 2, -1), "inconsistent with step sign"),
    "arange-rising": ("torch.arange", (0, -2, -1), (0, -2, 1), "inconsistent with step sign"),
    "arange-infinite": ("torch.arange", (0.0, 2.0), (0.0, inf), "unsupported range"),
    "arange-nan": ("torch.arange", (0.0, 2.0), (nan, 2.0), "unsupported range"),
    "linspace-steps": ("torch.linspace", (0, 1, 0), (0, 1, -1), "steps must be non-negative"),
    "logspace-steps": ("torch.logspace", (0, 1, 0), (0, 1, -1), "steps must be non-negative"),
    "tril-rows": ("torch.tril_indices", (0, 1), (-1, 1), "row must be non-negative"),
    "triu-columns": ("torch.triu_indices", (1, 0), (1, -1), "col must be non-negative"),
    "eye-rows": ("torch.eye", (0,), (-1,), "n must be greater or equal to 0"),
    "eye-columns": ("torch.eye", (1, 0), (1, -1), "m must be greater or equal to 0"),
}
COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}
COMPLEX_REJECTIONS = {
    "complex-dtypes": ("torch.complex", torch.float64, "scalar type"),
    "complex-integral": ("torch.complex", torch.int64, "scalar type|Expected both"),
    "polar-dtypes": ("torch.polar", torch.float64, "scalar type"),
    "polar-integral": ("torch.polar", torch.int64, "scalar type|Expected both"),
}


@law("creation.arange-integers", docs="torch.arange")
@given(
    start=st.sampled_from((0, 1, 5, -3, 2**53 + 1, -(2**62) - 1)),
    distance=st.integers(-20, 20),
    step=st.integers(1, 9),
)
def test_arange_integers(target, start, distance, step):
    """arange of integers is exact, also beyond what a float can tell apart."""
    end, step = start + distance, step if distance >= 0 else -step
    result = target.run("torch.arange", start, end, step, device=target.device)
    expected = creation.integer_arange(start, end, step)
    compare.equal(result, expected, dtype=torch.int64)


@law("creation.arange-asked-dtype", docs="torch.arange")
@given(
    start=st.integers(0, 60),
    distance=st.integers(-60, 60),
    step=st.integers(1, 9),
    dtype=dtypes("real"),
)
def test_arange_asked_dtype(target, start, distance, step, dtype):
    """arange of integers has the dtype asked for, integral ones of every width included."""
    end = min(max(start + distance, 0), 120)
    step = step if end >= start else -step
    result = target.run("torch.arange", start, end, step, dtype=dtype, device=target.device)
    compare.equal(result, creation.integer_arange(start, end, step), dtype=dtype)


@law("creation.arange-defaults", docs="torch.arange")
@given(start=st.integers(-9, 0), end=st.integers(0, 9), dtype=dtypes("floating"))
def test_arange_defaults(target, start, end, dtype):
    """arange starts at 0 and goes in steps of 1 unless told otherwise, by position or by name."""
    place = {"dtype": dtype, "device": target.device}
    upwards, whole = np.arange(end), np.arange(start, end)
    compare.equal(target.run("torch.arange", end, **place), upwards, dtype=dtype)
    compare.equal(target.run("torch.arange", start, end, **place), whole, dtype=dtype)
    named = target.run("torch.arange", start=start, end=end, step=1, **place)
    compare.equal(named, whole, dtype=dtype)


@law("creation.arange-inferred", docs="torch.arange", over=WHICH_IS_FLOAT)
def test_arange_inferred(target, case):
    """arange has the default dtype if any one of its start, end and step is a float."""
    result = target.run("torch.arange", *case, device=target.device)
    compare.equal(result, np.array([1.0, 3.0, 5.0]), dtype=torch.get_default_dtype())


@law("creation.rejected", docs="torch.arange", level="should", over=REJECTIONS)
def test_rejected(target, case):
    """Ranges that never end, steps of 0 or against the range, and negative counts are rejected."""
    name, legal, illegal, message = case
    result = resolve(name)(*legal, device=target.device)
    compare.fact(isinstance(result, torch.Tensor), True, "the legal form returns a tensor")
    with compare.raises(RuntimeError, message):
        resolve(name)(*illegal, device=target.device)


@law("creation.linspace-exact", docs="torch.linspace")
@given(
    start=st.integers(-4, 4),
    end=st.integers(-4, 4),
    count=st.sampled_from((3, 5, 9, 17, 2, 1, 0)),
    dtype=dtypes("differentiable"),
)
def test_linspace_exact(target, start, end, count, dtype):
    """linspace is exact where the values are numbers of the dtype, rising and falling.

    Between complex ends too.
    """
    turn = 1 - 2j if dtype.is_complex else 1
    place = {"dtype": dtype, "device": target.device}
    for first, last in ((start * turn, end * turn), (end * turn, start * turn)):
        result = target.run("torch.linspace", first, last, count, **place)
        expected = creation.complex_linspace(first, last, count)
        compare.close(result, expected, bound=0.0, dtype=dtype)


@law("creation.linspace-integers", docs="torch.linspace")
@given(
    start=st.integers(0, 60),
    step=st.integers(-9, 9),
    count=st.integers(0, 6),
    dtype=dtypes("integral"),
)
def test_linspace_integers(target, start, step, count, dtype):
    """linspace with an integral dtype is exact where the ends are a multiple of steps apart."""
    step = max(step, -(start // max(count, 1)))
    end = start + step * max(count - 1, 0)
    result = target.run("torch.linspace", start, end, count, dtype=dtype, device=target.device)
    compare.equal(result, start + step * np.arange(count), dtype=dtype)


@law("creation.logspace", docs="torch.logspace")
@given(
    start=dyadics(),
    end=dyadics(),
    count=st.integers(0, 9),
    base=st.sampled_from((10.0, 2.0, 0.5, 3.0)),
    dtype=dtypes("split"),
)
def test_logspace(target, start, end, count, base, dtype):
    """logspace returns base to the power of each of the values of linspace, both ends included.

    The rounding of an exponent counts by exponent * log(base); eight roundings are allowed for.
    """
    expected = creation.logspace(start, end, count, base)
    result = target.run(
        "torch.logspace", start, end, count, base=base, dtype=dtype, device=target.device
    )
    reach = 1 + max(abs(start), abs(end)) * abs(log(base))
    bound = 8 * torch.finfo(dtype).eps * reach * expected
    compare.close(result, expected, bound=bound, dtype=dtype)


@law("creation.logspace-base", docs="torch.logspace")
@given(start=st.integers(-2, 0), count=st.integers(1, 4))
def test_logspace_base(target, start, count):
    """logspace has base 10 by default."""
    end = start + count - 1
    result = target.run("torch.logspace", start, end, count, device=target.device)
    expected = creation.logspace(start, end, count, 10.0)
    compare.close(result, expected, bound=1e-5 * expected, dtype=torch.get_default_dtype())


@law("creation.spaced-dtype", docs="torch.linspace", over=SPACED)
def test_spaced_dtype(target, case):
    """linspace and logspace infer the default dtype, or its complex counterpart for a complex end.

    Integers as ends count as real.
    """
    place = {"base": 1.0} if case.endswith("logspace") else {}
    for ends, dtype in (
        ((1, 1), torch.get_default_dtype()),
        ((1.0, 1), torch.get_default_dtype()),
        ((1 + 0j, 1), COMPLEX_OF[torch.get_default_dtype()]),
        ((1.0, 1 + 0j), COMPLEX_OF[torch.get_default_dtype()]),
    ):
        result = target.run(case, *ends, 3, **place, device=target.device)
        compare.close(result, np.ones(3), bound=1e-6, dtype=dtype)


@law("creation.tensor-ends", docs="torch.linspace", over=WHICH_IS_TENSOR)
@given(ends=tensors(dtype="split", shape=(2,)), count=st.integers(0, 5))
def test_tensor_ends(target, case, ends, count):
    """linspace and logspace take 0-dimensional tensors as ends: the same values as of numbers.

    Tensors with dimensions are rejected.
    """
    name, *which = case
    numbers = ends.tolist()
    mixed = [end if is_tensor else end.item() for end, is_tensor in zip(ends, which, strict=True)]
    place = {"dtype": ends.dtype, "device": target.device}
    expected = compare.to_numpy(target.run(name, *numbers, count, **place))
    compare.equal(target.run(name, *mixed, count, **place), expected, dtype=ends.dtype)
    long = [end.reshape(1) if torch.is_tensor(end) else end for end in mixed]
    with compare.raises(RuntimeError, "0-dimensional"):
        target.run(name, *long, count, **place)


@law("creation.arange-decimals", docs="torch.arange", level="should")
@given(
    start=st.integers(-50, 50),
    width=st.integers(0, 60),
    step=st.integers(1, 30),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_arange_decimals(target, start, width, step, dtype):
    """arange of decimal fractions has as many values as double precision says, its end perhaps too.

    ceil((end - start) / step) many, with its roundings: arange(1, 1.3, 0.1) has the four values
    1, 1.1, 1.2 and 1.3. "Non-integer step is subject to floating point rounding errors when
    comparing against end".
    """
    first, last, each = start / 10, (start + width) / 10, step / 10
    count = ceil((last - first) / each)
    result = target.run("torch.arange", first, last, each, dtype=dtype, device=target.device)
    bound = 8 * torch.finfo(dtype).eps * max(abs(first), abs(last), each)
    compare.close(result, first + np.arange(count) * each, bound=bound, dtype=dtype)


@law("creation.linspace-truncates", docs="torch.linspace", level="should")
@given(
    start=st.integers(-40, 40),
    end=st.integers(-40, 40),
    parts=st.sampled_from((1, 2, 4, 8)),
    dtype=st.sampled_from((torch.int64, torch.int32, torch.int16)),
)
def test_linspace_truncates(target, start, end, parts, dtype):
    """linspace with an integral dtype cuts off the fractions of its values: they are not even then.

    Both ends are exact; a single step is the start alone.
    """
    exact = start + (end - start) / parts * np.arange(parts + 1)
    place = {"dtype": dtype, "device": target.device}
    result = target.run("torch.linspace", start, end, parts + 1, **place)
    compare.equal(result, np.trunc(exact).astype(np.int64), dtype=dtype)
    alone = target.run("torch.linspace", start, end, 1, **place)
    compare.equal(alone, np.array([start]), dtype=dtype, what="a single step")
