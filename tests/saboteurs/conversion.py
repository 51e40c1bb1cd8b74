"""Faults in conversions between dtypes."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
_TO, _TYPE, _COPY = Tensor.to, Tensor.type, Tensor.copy_


def _dtype_of(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> torch.dtype | None:
    found = [a for a in (*arguments, keywords.get("dtype")) if isinstance(a, torch.dtype)]
    return found[0] if found else None


def casting(cast: Any) -> Patch:
    """Replace ``to`` where ``cast`` knows better: it gets self and the dtype, or returns None."""

    def make(original: Any) -> Any:
        def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
            dtype = _dtype_of(arguments, keywords)
            wrong = None if dtype is None else cast(self, dtype)
            return original(self, *arguments, **keywords) if wrong is None else wrong

        return to

    return replacing(Tensor, "to", make)


def _strided_as_contiguous(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if dtype == torch.float64 and self.dim() == 1 and self.stride(0) == 2:
        return _TO(self.as_strided(self.shape, (1,)), dtype)
    return None


def _floors(self: Tensor) -> Tensor:
    return _TO(self.floor(), torch.int8)


def _through_single(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if self.dtype == torch.float64 and dtype in (torch.int32, torch.int64):
        return _TO(_TO(self, torch.float32), dtype)
    return None


def _saturates(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if dtype == torch.uint8 and self.dtype == torch.int16:
        return _TO(self.clamp(0, 255), dtype)
    return None


def _nan_is_false(original: Any) -> Any:
    def bool_(self: Tensor) -> Tensor:
        result: Tensor = original(self)
        return result & (self == self) if self.is_floating_point() else result

    return bool_


def _subnormal_is_zero(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if dtype == torch.bool and self.dtype == torch.float32:
        return self.abs() >= torch.finfo(torch.float32).tiny
    return None


def _true_is_minus_one(self: Tensor, dtype: torch.dtype) -> Tensor:
    result = _TYPE(self, dtype)
    return -result if self.dtype == torch.bool and dtype == torch.int8 else result


def _truncates_bits(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if self.dtype == torch.float32 and dtype == torch.bfloat16:
        return (self.contiguous().view(torch.int32) >> 16).short().view(torch.bfloat16)
    return None


def _ties_away(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if self.dtype == torch.float32 and dtype == torch.float16 and self.numel():
        result = _TO(self, dtype)
        bits = self.contiguous().view(torch.int32) & 0x1FFF
        odd = (bits == 0x1000) & (_TO(result, torch.float32).abs() < self.abs())
        return torch.where(odd, (result.view(torch.int16) + 1).view(torch.float16), result)
    return None


def _through_double(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if self.dtype == torch.int64 and dtype == torch.float32:
        return _TO(_TO(self >> 1, torch.float32) * 2, dtype)
    return None


def _flushes(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if dtype == torch.float16:
        result = _TO(self, dtype)
        return torch.where(result.abs() < torch.finfo(torch.float16).tiny, result * 0, result)
    return None


def _loses_negative_zero(self: Tensor, source: Tensor, *more: Any) -> Tensor:
    result: Tensor = _COPY(self, source, *more)
    if source.dtype == torch.float32 and self.dtype == torch.float64:
        result += 0.0
    return result


def _nan_spreads(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if dtype == torch.complex128 and self.is_floating_point():
        return _TO(self, torch.float64) * torch.ones((), dtype=dtype, device=self.device)
    return None


def _magnitude(self: Tensor, other: Tensor) -> Tensor:
    if self.is_complex() and other.dtype == torch.float32:
        return self.abs().to(other.dtype)
    return _TYPE(self, other.dtype)


def _silent(original: Any) -> Any:
    def to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(self, *arguments, **keywords)

    return to


class _Doubling(torch.autograd.Function):
    """The identity, with a gradient that is twice too large."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Tensor:
        return 2 * cotangent


def _doubled_gradient(original: Any) -> Any:
    def bfloat16(self: Tensor) -> Tensor:
        return original(_Doubling.apply(self) if self.requires_grad else self)

    return bfloat16


class _Modulus(torch.autograd.Function):
    """A conversion to complex that gives the imaginary part of the gradient to its input."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        return _TO(tensor, dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return cotangent.real + cotangent.imag, None


def _takes_both_parts(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    return _Modulus.apply(self, dtype) if self.requires_grad and dtype.is_complex else None


def _stays_float(self: Tensor, dtype: torch.dtype) -> Tensor | None:
    if self.requires_grad and dtype == torch.int16:
        return self.trunc()
    return None


SABOTEURS = (
    Saboteur(
        "to-ignores-stride", "to float64 reads a vector with gaps as if it had none",
        ("conversion.exact:to",), "result at index", casting(_strided_as_contiguous),
    ),
    Saboteur(
        "char-floors", "char rounds down, not towards zero",
        ("conversion.truncates:method",), "got",
        replacing(Tensor, "char", lambda _: _floors),
    ),
    Saboteur(
        "truncates-through-single", "to converts float64 to integers through float32",
        ("conversion.truncates-wide",), "result at index", casting(_through_single),
    ),
    Saboteur(
        "to-saturates", "to saturates from int16 to uint8",
        ("conversion.wraps:to", "conversion.wraps:to-device"), "got", casting(_saturates),
    ),
    Saboteur(
        "nan-is-false", "bool of nan is false",
        ("conversion.truth:method",), "got", replacing(Tensor, "bool", _nan_is_false),
    ),
    Saboteur(
        "subnormal-is-false", "to bool of a subnormal float32 is false",
        ("conversion.truth:to",), "got", casting(_subnormal_is_zero),
    ),
    Saboteur(
        "true-is-minus-one", "type converts true to -1 in int8",
        ("conversion.from-bool:type",), "got -1",
        replacing(Tensor, "type", lambda _: _true_is_minus_one),
    ),
    Saboteur(
        "bfloat16-truncates", "to bfloat16 cuts bits off instead of rounding",
        ("conversion.rounds:float32-bfloat16",), "result at index", casting(_truncates_bits),
    ),
    Saboteur(
        "half-ties-away", "to float16 rounds ties away from zero",
        ("conversion.rounds:float32-float16",), "result at index", casting(_ties_away),
    ),
    Saboteur(
        "half-flushes", "to float16 flushes subnormal numbers to zero",
        ("conversion.rounds:bfloat16-float16",), "result at index", casting(_flushes),
    ),
    Saboteur(
        "long-loses-a-bit", "to float32 loses the lowest bit of int64",
        ("conversion.rounds:int64-float32",), "result at index", casting(_through_double),
    ),
    Saboteur(
        "copy-loses-negative-zero", "copy_ from float32 to float64 makes -0.0 positive",
        ("conversion.special-values:copy_",), "-0.0",
        replacing(Tensor, "copy_", lambda _: _loses_negative_zero),
    ),
    Saboteur(
        "complex-nan-spreads", "to complex128 of nan is nan in both parts",
        ("conversion.to-complex:to",), "got", casting(_nan_spreads),
    ),
    Saboteur(
        "type-as-magnitude", "type_as from complex to float32 gives the magnitude",
        ("conversion.discards-imaginary:type_as",), "got",
        replacing(Tensor, "type_as", lambda _: _magnitude),
    ),
    Saboteur(
        "discards-silently", "to does not warn that it discards imaginary parts",
        ("conversion.discards-imaginary-warns",), "warning", replacing(Tensor, "to", _silent),
    ),
    Saboteur(
        "bfloat16-doubles-gradient", "the gradient of bfloat16 is twice too large",
        ("conversion.gradient:method",), "gradient",
        replacing(Tensor, "bfloat16", _doubled_gradient),
    ),
    Saboteur(
        "complex-gradient-sum", "a real leaf gets both parts of a complex gradient",
        ("conversion.complex-gradient",), "gradient", casting(_takes_both_parts),
    ),
    Saboteur(
        "integral-requires-grad", "to int16 keeps requires_grad and the dtype of a leaf",
        ("conversion.integral-result:to",), "requires_grad and dtype", casting(_stays_float),
    ),
    Saboteur(
        "to-other-device-only", "to another tensor ignores its dtype if that is bfloat16",
        ("conversion.exact:to-other",), "dtype",
        rewriting(Tensor, "to", lambda self, *arguments, **keywords: (
            (self, *(a.float() if isinstance(a, Tensor) and a.dtype == torch.bfloat16 else a
                     for a in arguments)), keywords)),
    ),
)  # fmt: skip
