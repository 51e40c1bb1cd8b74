"""Faults in what factory functions compute: ranges, matrices, complex numbers."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _long_step(start: Any, end: Any = None, step: Any = 1, **_: Any) -> bool:
    return end is not None and abs(step) > 1 and (end - start) % step != 0


def _through_double(original: Any) -> Any:
    def arange(*arguments: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*arguments, **keywords)
        return result.double().long() if result.dtype == torch.int64 else result

    return arange


def _infers_from_ends(original: Any) -> Any:
    def arange(start: Any, end: Any = None, step: Any = 1, **keywords: Any) -> Tensor:
        if end is None:
            return original(start, **keywords)
        whole = isinstance(start, int) and isinstance(end, int) and "dtype" not in keywords
        more = {"dtype": torch.int64} if whole else {}
        return original(start, end, step, **keywords, **more)

    return arange


def _starts_at_one(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return ((1, *arguments) if len(arguments) == 1 and arguments[0] > 1 else arguments), keywords


def _last_repeated(result: Tensor) -> Tensor:
    if len(result) > 2:
        result[-1] = result[-2]
    return result


def _falls(start: Any, end: Any, *_: Any, **__: Any) -> bool:
    return not isinstance(start, complex) and start > end


def _accumulated(original: Any) -> Any:
    """The step is rounded down to a whole number once, and the end is not corrected."""

    def linspace(start: Any, end: Any, steps: int, **keywords: Any) -> Tensor:
        dtype = keywords.get("dtype")
        if dtype is None or dtype.is_floating_point or dtype.is_complex or steps < 2:
            return original(start, end, steps, **keywords)
        step = int((end - start) / (steps - 1) - 0.5)
        return torch.tensor([start + i * step for i in range(steps)], dtype=dtype)

    return linspace


def _base_e_tenth(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return arguments, {"base": 9.99, **keywords}


def _slight(result: Tensor) -> Tensor:
    return result * (1 + 64 * torch.finfo(result.dtype).eps)


def _wrong_dtype_kept(original: Any) -> Any:
    def complex_(real: Tensor, imag: Tensor, **keywords: Any) -> Tensor:
        return original(real, imag.to(real.dtype), **keywords)

    return complex_


def _nan_imaginary_is_zero(original: Any) -> Any:
    def complex_(real: Tensor, imag: Tensor, **keywords: Any) -> Tensor:
        floating = imag.is_floating_point()
        return original(real, imag.nan_to_num(0.0, torch.inf, -torch.inf) if floating else imag)

    return complex_


def _absolute_angle(abs: Tensor, angle: Tensor, **_: Any) -> tuple[Any, Any]:
    return (abs, angle.abs() if angle.dim() == 0 else angle), {}


def _off_by_one(row: int, col: int, offset: int = 0, **keywords: Any) -> tuple[Any, Any]:
    return (row, col, offset + (offset < -1)), keywords


def _main_only(n: int, m: int | None = None, **keywords: Any) -> tuple[Any, Any]:
    return ((n,) if m is None or m > n > 2 else (n, m)), keywords


SABOTEURS = (
    Saboteur(
        "arange-integers-through-double", "arange of integers computes in float64",
        ("creation.arange-integers",), "result at index",
        replacing(torch, "arange", _through_double),
    ),
    Saboteur(
        "arange-short", "arange leaves out its last value where the step does not divide the range",
        ("creation.arange-asked-dtype",), "shape",
        when(torch, "arange", _long_step, lambda result: result[:-1]),
    ),
    Saboteur(
        "arange-starts-at-one", "arange with an end alone starts at 1",
        ("creation.arange-defaults",), "shape", rewriting(torch, "arange", _starts_at_one),
    ),
    Saboteur(
        "arange-dtype-from-ends", "arange does not look at its step to infer the dtype",
        ("creation.arange-inferred:step",), "dtype", replacing(torch, "arange", _infers_from_ends),
    ),
    Saboteur(
        "arange-against-step", "arange against the sign of its step is empty",
        ("creation.rejected:arange-falling", "creation.rejected:arange-rising"), "raised nothing",
        accepting(torch, "arange", RuntimeError, lambda *_, **__: torch.empty(0)),
    ),
    Saboteur(
        "linspace-repeats-last", "linspace of falling values repeats the last but one",
        ("creation.linspace-exact",), "result at index",
        when(torch, "linspace", _falls, _last_repeated),
    ),
    Saboteur(
        "linspace-integer-step", "linspace of integers rounds its step down",
        ("creation.linspace-integers",), "result", replacing(torch, "linspace", _accumulated),
    ),
    Saboteur(
        "logspace-slight", "logspace is off by 64 roundings where it falls",
        ("creation.logspace",), "rounding explains", when(torch, "logspace", _falls, _slight),
    ),
    Saboteur(
        "logspace-base", "the default base of logspace is 9.99",
        ("creation.logspace-base",), "result", rewriting(torch, "logspace", _base_e_tenth),
    ),
    Saboteur(
        "linspace-real-start", "linspace infers its dtype from its start",
        ("creation.spaced-dtype:linspace",), "dtype",
        when(torch, "linspace", lambda start, *_, **__: not isinstance(start, complex),
             lambda result: result.real),
    ),
    Saboteur(
        "logspace-tensor-end", "logspace of a tensor as its end stops one value short",
        ("creation.tensor-ends:logspace-end",), "result at index",
        when(torch, "logspace", lambda _, end, *__, **___: isinstance(end, Tensor), _last_repeated),
    ),
    Saboteur(
        "eye-wide", "eye with more columns than rows is square",
        ("creation.eye",), "shape", rewriting(torch, "eye", _main_only),
    ),
    Saboteur(
        "tril-indices-offset", "tril_indices with an offset below -1 is off by one",
        ("creation.triangle-indices:tril",), "shape",
        rewriting(torch, "tril_indices", _off_by_one),
    ),
    Saboteur(
        "triu-indices-columns", "triu_indices lists its indices by columns",
        ("creation.triangle-indices:triu",), "result at index",
        after(torch, "triu_indices", lambda r: r[:, r[1].argsort(stable=True)]),
    ),
    Saboteur(
        "complex-nan-imaginary", "complex makes a nan imaginary part 0",
        ("creation.complex",), "result", replacing(torch, "complex", _nan_imaginary_is_zero),
    ),
    Saboteur(
        "polar-scalar-angle", "polar takes the absolute value of an angle without dimensions",
        ("creation.polar",), "result", rewriting(torch, "polar", _absolute_angle),
    ),
    Saboteur(
        "complex-converts", "complex converts its imaginary part to the dtype of the real one",
        ("creation.complex-rejected:complex-dtypes",), "raised nothing",
        replacing(torch, "complex", _wrong_dtype_kept),
    ),
)  # fmt: skip
