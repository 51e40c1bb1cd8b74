"""Faults in what random functions return: ranges, shapes, dtypes."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, after, replacing


def _closed_interval(result: torch.Tensor) -> torch.Tensor:
    return torch.where(result > 0.95, torch.ones_like(result), result)


def _first_twice(result: torch.Tensor) -> torch.Tensor:
    if result.numel() > 2:
        result[1] = result[0]
    return result


def _last_is_count(result: torch.Tensor) -> torch.Tensor:
    return result + (result == result.numel() - 1) if result.dtype != torch.int64 else result


def _double_is_single(original: Any) -> Any:
    def rand(*size: Any, dtype: Any = None, **keywords: Any) -> torch.Tensor:
        narrower = torch.float32 if dtype == torch.float64 else dtype
        return original(*size, dtype=narrower, **keywords)

    return rand


def _integers_follow_default(original: Any) -> Any:
    def randperm(count: int, dtype: Any = None, **keywords: Any) -> torch.Tensor:
        double = torch.get_default_dtype() == torch.float64
        wanted = torch.float64 if dtype is None and double else dtype or torch.int64
        return original(count, dtype=wanted, **keywords)

    return randperm


def _lists_reversed(original: Any) -> Any:
    def randn(*size: Any, **keywords: Any) -> torch.Tensor:
        listed = isinstance(size[0], list)
        return original(
            size[0][::-1] if listed else size[0] if len(size) == 1 else size, **keywords
        )

    return randn


def _only_half_reaches_high(original: Any) -> Any:
    def randint(*arguments: Any, dtype: Any = None, **keywords: Any) -> torch.Tensor:
        *bounds, high, size = arguments
        more = int(dtype == torch.float16)
        return original(*bounds, high + more, size, dtype=dtype, **keywords)

    return randint


def _as_32_bits(original: Any) -> Any:
    def randint(low: int, high: int, *rest: Any, **keywords: Any) -> torch.Tensor:
        result = original(low, high, *rest, **keywords)
        return result & 0xFFFF_FFFF if low > 2**32 else result

    return randint


def _number_ignores_mean(original: Any) -> Any:
    def normal(mean: Any, std: Any, *rest: Any, **keywords: Any) -> torch.Tensor:
        return original(0.0 if isinstance(std, torch.Tensor) and not isinstance(
            mean, torch.Tensor) else mean, std, *rest, **keywords)  # fmt: skip

    return normal


def _unlike_shapes_lose_mean(original: Any) -> Any:
    def normal(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        return original(mean, std) + 1

    return normal


def _one_is_not_certain(result: torch.Tensor) -> torch.Tensor:
    if result.dim() > 1 and result.numel():
        result[..., 0] = 0
    return result


def _uses_values(original: Any) -> Any:
    def bernoulli(tensor: torch.Tensor, p: Any = None, **keywords: Any) -> torch.Tensor:
        result = original(tensor, **keywords) if p is None else original(tensor, p, **keywords)
        return result if p is None else result + (tensor == tensor.max()) * (p == 0)

    return bernoulli


def _zero_weights_drawn(original: Any) -> Any:
    def multinomial(weights: torch.Tensor, *rest: Any, **keywords: Any) -> torch.Tensor:
        raised = weights + 0.125 * weights.amax(-1, keepdim=True) if weights.dim() > 1 else weights
        return original(raised, *rest, **keywords)

    return multinomial


def _always_replaces(original: Any) -> Any:
    def multinomial(
        weights: torch.Tensor, samples: int, replacement: bool = False, **keywords: Any
    ) -> torch.Tensor:
        return original(weights, samples, samples > 1 or replacement, **keywords)

    return multinomial


def _one_more(result: torch.Tensor) -> torch.Tensor:
    return result + (result == 0) if result.dtype == torch.float64 else result


def _rows_first(result: torch.Tensor) -> torch.Tensor:
    return result.contiguous()


def _dtype_ignored(original: Any) -> Any:
    def like(model: torch.Tensor, *arguments: Any, dtype: Any = None, **keywords: Any) -> Any:
        kept = dtype if model.is_floating_point() else None
        return original(model, *arguments, dtype=kept or model.dtype, **keywords)

    return like


def _out_is_copied(original: Any) -> Any:
    def rand(*size: Any, out: Any = None, **keywords: Any) -> torch.Tensor:
        return original(*size, **keywords)

    return rand


def _narrow_out_untouched(original: Any) -> Any:
    def bernoulli(chances: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return out if out.dtype == torch.int16 else original(chances, out=out)

    return bernoulli


def _straight_through(original: Any) -> Any:
    def bernoulli(chances: torch.Tensor) -> torch.Tensor:
        return original(chances) + chances - chances.detach()

    return bernoulli


def _one_of_zero(original: Any) -> Any:
    """Where as many weigh something as are drawn, the last drawn is one that weighs nothing."""

    def multinomial(
        weights: torch.Tensor, count: int, replacement: bool = False, **keywords: Any
    ) -> Any:
        drawn = original(weights, count, replacement, **keywords)
        light = weights.reshape(-1, weights.shape[-1])[0] == 0
        if not replacement and int((~light).sum()) == count and bool(light.any()):
            drawn[..., -1] = int(light.nonzero()[0])
        return drawn

    return multinomial


SABOTEURS = (
    Saboteur(
        "rand-reaches-one", "rand returns 1.0 now and then",
        ("random.rand-range",), "expected a number in [0, 1)",
        after(torch, "rand", _closed_interval),
    ),
    Saboteur(
        "rand-double-is-single", "rand of float64 returns float32",
        ("random.floating-factory:rand", "random.rand-range"), "dtype",
        replacing(torch, "rand", _double_is_single),
    ),
    Saboteur(
        "randperm-default-dtype", "randperm is float64 where that is the default dtype",
        ("random.integral-factory:randperm",), "dtype",
        replacing(torch, "randperm", _integers_follow_default),
    ),
    Saboteur(
        "randn-list-reversed", "randn reads a list of sizes backwards",
        ("random.size-forms:randn",), "result", replacing(torch, "randn", _lists_reversed),
    ),
    Saboteur(
        "randint-includes-high", "randint of float16 reaches its upper end",
        ("random.randint-range",), "expected a whole number in [",
        replacing(torch, "randint", _only_half_reaches_high),
    ),
    Saboteur(
        "randint-32-bits", "randint keeps 32 bits of large numbers",
        ("random.randint-wide",), "expected a number in [",
        replacing(torch, "randint", _as_32_bits),
    ),
    Saboteur(
        "randperm-repeats", "randperm of three or more repeats its first element",
        ("random.randperm",), "expected a permutation", after(torch, "randperm", _first_twice),
    ),
    Saboteur(
        "randperm-from-one", "randperm of another dtype than int64 has its count for its last",
        ("random.randperm",), "expected a permutation", after(torch, "randperm", _last_is_count),
    ),
    Saboteur(
        "normal-number-ignored", "normal ignores a mean that is a number beside a std that is none",
        ("random.normal-no-spread",), "normal(float, Tensor)",
        replacing(torch, "normal", _number_ignores_mean),
    ),
    Saboteur(
        "normal-tensors-shifted", "normal of two tensors adds one",
        ("random.normal-shapes",), "got 1.0",
        replacing(torch, "normal", _unlike_shapes_lose_mean),
    ),
    Saboteur(
        "bernoulli-row-is-zero", "bernoulli draws 0 for the first column of two or more dimensions",
        ("random.bernoulli",), "expected p, which is 0 or 1",
        after(torch, "bernoulli", _one_is_not_certain),
    ),
    Saboteur(
        "bernoulli-reads-values", "bernoulli with p = 0 draws 1 for the greatest element",
        ("random.bernoulli-number",), "a draw with p = 0.0",
        replacing(torch, "bernoulli", _uses_values),
    ),
    Saboteur(
        "multinomial-zero-weight", "multinomial of a matrix draws categories of weight zero",
        ("random.multinomial",), "weight above zero",
        replacing(torch, "multinomial", _zero_weights_drawn),
    ),
    Saboteur(
        "multinomial-replaces", "multinomial always draws with replacement",
        ("random.multinomial-once",), "an index that its row has once",
        replacing(torch, "multinomial", _always_replaces),
    ),
    Saboteur(
        "poisson-never-zero", "poisson in float64 draws 1 for 0",
        ("random.poisson",), "expected 0, for the rate is 0", after(torch, "poisson", _one_more),
    ),
    *(
        Saboteur(
            f"{name}-contiguous", f"{name} forgets the strides of its argument",
            (f"random.like:{name}",), "strides", after(torch, name, _rows_first),
        )
        for name in ("rand_like", "randn_like", "randint_like")
    ),
    Saboteur(
        "randint_like-dtype", "randint_like of an integral tensor ignores dtype=",
        ("random.like-dtype",), "dtype", replacing(torch, "randint_like", _dtype_ignored),
    ),
    Saboteur(
        "rand-out-ignored", "rand ignores out=",
        ("random.out:rand",), "returns out", replacing(torch, "rand", _out_is_copied),
    ),
    Saboteur(
        "bernoulli-out-int16", "bernoulli leaves an out of int16 as it was",
        ("random.bernoulli-integral-out",), "expected 0 or 1",
        replacing(torch, "bernoulli", _narrow_out_untouched),
    ),
    Saboteur(
        "bernoulli-straight-through", "bernoulli passes the gradient on as it came",
        ("random.sample-gradient:bernoulli",), "gradient",
        replacing(torch, "bernoulli", _straight_through),
    ),
    Saboteur(
        "multinomial-of-no-weight", "multinomial draws what weighs nothing for the last left",
        ("random.multinomial-once",), "", replacing(torch, "multinomial", _one_of_zero),
    ),
)  # fmt: skip
