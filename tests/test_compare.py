"""Comparison: each way in which two results can differ is told, by index and value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from conformance import compare
from conformance.capabilities import Capabilities
from conformance.evidence import Evidence
from conformance.inputs import without_values
from conformance.target import Target
from strategies.devices import current_target

F32 = torch.float32
NAN, INF = float("nan"), float("inf")


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F32)


DIFFER: dict[str, tuple[Callable[[], None], str]] = {
    "value": (
        lambda: compare.equal(tensor(1, 2), np.array([1.0, 3.0]), dtype=F32),
        r"result at index \(1,\): got 2\.0, expected 3\.0 \(1 of 2 values differ\)",
    ),
    "one ulp": (
        lambda: compare.equal(tensor(1), np.array([1 + 2.0**-23]), dtype=F32), "got 1.0"),
    "sign of zero": (
        lambda: compare.equal(tensor(-0.0), np.array([0.0]), dtype=F32), "got -0.0, expected 0.0"),
    "nan": (lambda: compare.equal(tensor(NAN), np.array([0.0]), dtype=F32), "got nan"),
    "no nan": (lambda: compare.equal(tensor(0), np.array([NAN]), dtype=F32), "expected nan"),
    "shape": (lambda: compare.equal(tensor(1), np.array(1.0), dtype=F32), r"shape \(1,\)"),
    "empty shape": (
        lambda: compare.equal(torch.zeros(0, 2), np.zeros((2, 0)), dtype=F32), r"shape \(0, 2\)"),
    "dtype": (lambda: compare.equal(tensor(1), np.ones(1), dtype=torch.float64), "dtype"),
    "no tensor": (lambda: compare.equal(None, np.ones(1), dtype=F32), "got None"),
    "imaginary part": (
        lambda: compare.equal(torch.tensor([1 + 2j]), np.array([1 - 2j]), dtype=torch.complex64),
        r"got \(1\+2j\)"),
    "beyond the bound": (
        lambda: compare.close(tensor(1), np.array([1.5]), bound=0.25, dtype=F32),
        "0.5 apart where rounding explains 0.25"),
    "nan under a bound": (
        lambda: compare.close(tensor(NAN), np.array([1.0]), bound=INF, dtype=F32), "got nan"),
    "infinite for finite": (
        lambda: compare.close(tensor(INF), np.array([1.0]), bound=1.0, dtype=F32), "got inf"),
    "written to": (lambda: compare.unchanged(tensor(2), np.ones(1, np.float32)), "was modified"),
    "reshaped": (lambda: compare.unchanged(tensor(2), np.ones(2)), "changed its shape"),
    "flag": (lambda: compare.fact(1, True, "flag"), "flag: got 1, expected True"),
    "element": (
        lambda: compare.every(np.array([True, False]), tensor(1, 2), "small"),
        r"element \(1,\) is 2.0, expected small"),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFER)
def test_difference_is_told(case: str) -> None:
    action, message = DIFFER[case]
    with pytest.raises(AssertionError, match=message):
        action()


def test_what_agrees() -> None:
    compare.equal(tensor(NAN, -0.0, INF), np.array([NAN, -0.0, INF]), dtype=F32)
    compare.equal(torch.zeros(2, 0), np.zeros((2, 0)), dtype=F32)
    compare.equal(torch.tensor(True), np.array(1), dtype=torch.bool)
    compare.close(tensor(0.0, INF, NAN), np.array([-0.0, INF, NAN]), bound=0.0, dtype=F32)
    compare.close(tensor(1, 2), np.array([1.5, 2]), bound=np.array([0.5, 0]), dtype=F32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64, torch.bool])
def test_values_are_read_exactly(dtype: torch.dtype) -> None:
    values = torch.tensor([0, 1, 3, -2]).to(dtype)
    assert compare.to_numpy(values).tolist() == values.tolist()
    assert compare.to_numpy(values[::2]).tolist() == values[::2].tolist()


def test_values_are_read_through_lazy_bits() -> None:
    values = torch.tensor([1 + 2j])
    assert compare.to_numpy(values.conj()).tolist() == [1 - 2j]
    assert compare.to_numpy(values.conj().imag).tolist() == [-2]


def test_raises() -> None:
    with compare.raises(ValueError, "deep"):
        raise ValueError("too deep")
    with pytest.raises(AssertionError, match="raised nothing"), compare.raises(ValueError, "x"):
        pass
    with (
        pytest.raises(AssertionError, match="another message: 'shallow'"),
        compare.raises(ValueError, "deep"),
    ):
        raise ValueError("shallow")
    with pytest.raises(KeyError), compare.raises(ValueError, "deep"):
        raise KeyError("deep")
    with pytest.raises(NotImplementedError), compare.raises(RuntimeError, "deep"):
        raise NotImplementedError("no kernel")
    with compare.raises(RuntimeError, "deep"):
        raise NotImplementedError("too deep")


def test_comparisons_are_counted() -> None:
    target = Target(torch.device("cpu"))
    target.evidence = Evidence()
    token = current_target.set(target)
    try:
        compare.equal(tensor(1, 2), np.array([1.0, 2.0]), dtype=F32)
        compare.fact(1, 1, "one")
        compare.equal(torch.zeros(0), np.zeros(0), dtype=F32)
        with pytest.raises(AssertionError):
            compare.equal(tensor(1), np.zeros(1), dtype=F32)
    finally:
        current_target.reset(token)
    assert (target.evidence.checks, target.evidence.values) == (3, 3)
    assert target.evidence.dtypes == {"float32"}


def test_an_error_of_a_device_may_have_other_words() -> None:
    target = Target(torch.device("meta"))
    token = current_target.set(target)
    try:
        with compare.raises(RuntimeError, "as the CPU says"):
            raise RuntimeError("in other words")
        target.capabilities = Capabilities({"item": "RuntimeError: no item here"})
        with (
            pytest.raises(RuntimeError, match="no item"),
            compare.raises(RuntimeError, "as the CPU says"),
        ):
            raise RuntimeError("no item here")
    finally:
        current_target.reset(token)
    with (
        pytest.raises(AssertionError, match="another message"),
        compare.raises(RuntimeError, "as the CPU says"),
    ):
        raise RuntimeError("in other words")


def test_what_was_drawn_for_meta_is_known_until_it_is_written_to() -> None:
    token = current_target.set(Target(torch.device("meta")))
    try:
        twin = without_values(torch.arange(3.0), torch.device("meta"))
        assert compare.to_numpy(twin).tolist() == [0.0, 1.0, 2.0]
        twin.add_(1)
        with pytest.raises(NotImplementedError):
            compare.to_numpy(twin)
    finally:
        current_target.reset(token)
