"""Faults in the distributions that random functions draw from."""

from __future__ import annotations

import math
from typing import Any

import torch

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing


def _filled(name: str, change: Any) -> Patch:
    """Let ``change`` return what an in-place sampler should have drawn, from what it drew."""

    def make(original: Any) -> Any:
        def fill(self: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
            original(self, *arguments, **keywords)
            with torch.no_grad():
                return self.copy_(change(self))

        return fill

    return replacing(torch.Tensor, name, make)


def _with_arguments(name: str, change: Any) -> Patch:
    """Let ``change`` alter the numbers that an in-place sampler is given."""

    def make(original: Any) -> Any:
        def fill(self: torch.Tensor, *arguments: Any) -> torch.Tensor:
            filled: torch.Tensor = original(self, *change(*arguments))
            return filled

        return fill

    return replacing(torch.Tensor, name, make)


def _widened_when_small(draws: torch.Tensor) -> torch.Tensor:
    return draws * 1.25 if draws.numel() < 16 else draws


def _five_per_cent(draws: torch.Tensor) -> torch.Tensor:
    return draws * math.sqrt(1.05)


def _doubles_shifted(draws: torch.Tensor) -> torch.Tensor:
    return draws + 0.125 * (draws.dtype == torch.float64)


def _tail_cut(draws: torch.Tensor) -> torch.Tensor:
    return draws.clamp(max=2.0) if draws.dtype == torch.float16 else draws


def _second_as_first(draws: torch.Tensor) -> torch.Tensor:
    if draws.dim() == 1 and 1 < draws.numel() < 16:
        draws[1] = draws[0]
    return draws


def _pairs_opposed(draws: torch.Tensor) -> torch.Tensor:
    flat = draws.reshape(-1).clone()
    if flat.numel() > 16:
        flat[8::16] = 2 - flat[::16]
    return flat.reshape(draws.shape)


def _columns_repeat(draws: torch.Tensor) -> torch.Tensor:
    if draws.dim() == 2 and not draws.is_contiguous():
        draws = draws.clone()
        draws[:, 1::2] = draws[:, ::2]
    return draws


def _real_variance_one(result: torch.Tensor) -> torch.Tensor:
    return torch.complex(result.real * math.sqrt(2), result.imag) if result.is_complex() else result


def _normal_in_terms_of_variance(original: Any) -> Any:
    def normal(mean: Any, std: Any, *rest: Any, **keywords: Any) -> torch.Tensor:
        squared = std**2 if isinstance(std, torch.Tensor) and std.dim() == 1 else std
        return original(mean, squared, *rest, **keywords)

    return normal


def _wide_as_32_bits(original: Any) -> Any:
    def randint(low: int, high: Any, *rest: Any, **keywords: Any) -> torch.Tensor:
        narrow = bool(rest) and low == 0 and high > 2**32
        return original(low, 2**32 if narrow else high, *rest, **keywords)

    return randint


def _modulo(original: Any) -> Any:
    def randint(low: int, high: Any, *rest: Any, **keywords: Any) -> torch.Tensor:
        if rest and high - low == 11:
            return original(0, 32, *rest, **keywords) % 11 + low
        return original(low, high, *rest, **keywords)

    return randint


def _last_stays(result: torch.Tensor) -> torch.Tensor:
    count = result.numel()
    last = int((result == count - 1).nonzero()[0])
    result[last] = result[-1].clone()
    result[-1] = count - 1
    return result


def _no_fixed_points(result: torch.Tensor) -> torch.Tensor:
    count = result.numel()
    fixed = (result == torch.arange(count)).nonzero().ravel().tolist()
    for place in fixed:
        other = (place + 1) % count
        result[[place, other]] = result[[other, place]]
    return result


def _in_blocks(result: torch.Tensor) -> torch.Tensor:
    half = result.numel() // 2
    if half < 100:
        return result
    return torch.cat([result[result < half], result[result >= half]])


def _mostly_rising(result: torch.Tensor) -> torch.Tensor:
    pairs = result[: result.numel() // 2 * 2].reshape(-1, 2)
    pairs[::8] = pairs[::8].sort(1).values
    return result


def _chances_averaged(original: Any) -> Any:
    def bernoulli(chances: torch.Tensor) -> torch.Tensor:
        return original((chances * 0.9 + 0.05).to(chances.dtype))

    return bernoulli


def _large_rates_rounded_normal(original: Any) -> Any:
    def poisson(rates: torch.Tensor) -> torch.Tensor:
        small = original(rates)
        large = (torch.randn_like(rates) * rates.sqrt() + rates).floor().clamp(min=0)
        return torch.where(rates >= 10, large, small)

    return poisson


def _first_row_for_all(original: Any) -> Any:
    def multinomial(weights: torch.Tensor, *rest: Any) -> torch.Tensor:
        last = weights[:1].expand_as(weights) if weights.dim() > 1 else weights
        return original(torch.where(weights > 0, last, 0) + 0.01 * weights, *rest)

    return multinomial


def _ascending(original: Any) -> Any:
    def multinomial(weights: torch.Tensor, samples: int, *rest: Any) -> torch.Tensor:
        drawn = original(weights, samples, *rest)
        return drawn.sort(-1).values if weights.dim() > 1 and not any(rest) else drawn

    return multinomial


def _second_ignores_weights(original: Any) -> Any:
    def multinomial(weights: torch.Tensor, samples: int, *rest: Any) -> torch.Tensor:
        if samples < 2 or any(rest) or weights.dim() < 2:
            return original(weights, samples, *rest)
        first = original(weights, 1)
        left = (weights > 0).to(weights.dtype).scatter(1, first, 0.0)
        return torch.cat([first, original(left, samples - 1)], 1)

    return multinomial


DRAWS = "as many draws up to it"


def _end_stays(original: Any) -> Any:
    """Exchange the largest number with the one at the end."""

    def faulty(count: int, **keywords: Any) -> Any:
        drawn = original(count, **keywords)
        if count >= 64:
            place = int((drawn == count - 1).nonzero())
            drawn[place], drawn[-1] = drawn[-1].clone(), count - 1
        return drawn

    return faulty


def _above_zero(drawn: torch.Tensor) -> torch.Tensor:
    return drawn.clamp(min=1)


def _to_power(*bounds: Any, **keywords: Any) -> bool:
    return len(bounds) == 2 and not bounds[0] & (bounds[0] - 1)


SABOTEURS = (
    Saboteur(
        "rand-skewed", "rand prefers small numbers",
        ("random.rand-uniform",), DRAWS, after(torch, "rand", lambda result: result**1.25),
    ),
    Saboteur(
        "randn-too-wide", "randn has standard deviation 1.25",
        ("random.randn-normal",), DRAWS, after(torch, "randn", lambda result: result * 1.25),
    ),
    Saboteur(
        "randn-complex-real-part", "randn of complex dtypes has a real part of variance 1",
        ("random.randn-complex",), DRAWS, after(torch, "randn", _real_variance_one),
    ),
    Saboteur(
        "normal_-wide-when-small", "normal_ of fewer than 16 elements is a quarter too wide",
        ("random.continuous:normal_-default",), DRAWS, _filled("normal_", _widened_when_small),
    ),
    Saboteur(
        "uniform_-doubles-shifted", "uniform_ of float64 is shifted by 1/8",
        ("random.continuous:uniform_",), DRAWS, _filled("uniform_", _doubles_shifted),
    ),
    Saboteur(
        "cauchy_-half-tail", "cauchy_ of float16 has no upper tail",
        ("random.continuous:cauchy_",), DRAWS, _filled("cauchy_", _tail_cut),
    ),
    Saboteur(
        "exponential_-scale", "exponential_ takes its rate for a scale",
        ("random.continuous:exponential_",), DRAWS,
        _with_arguments("exponential_", lambda rate=1.0: (1 / rate,)),
    ),
    Saboteur(
        "log_normal_-variance", "log_normal_ takes its std for a variance",
        ("random.continuous:log_normal_",), DRAWS,
        _with_arguments("log_normal_", lambda mean=1.0, std=2.0: (mean, math.sqrt(std))),
    ),
    Saboteur(
        "geometric_-failures", "geometric_ counts the failures before the first success, plus two",
        ("random.discrete:geometric_",), DRAWS, _filled("geometric_", lambda draws: draws + 1),
    ),
    Saboteur(
        "random_-without-last", "random_ never draws to - 1",
        ("random.discrete:random_",), DRAWS,
        _with_arguments("random_", lambda low, high: (low, high - 1)),
    ),
    Saboteur(
        "bernoulli_-five-per-cent", "bernoulli_ draws 1 with p + 0.05",
        ("random.discrete:bernoulli_",), DRAWS,
        _with_arguments("bernoulli_", lambda p=0.5: (p + 0.05,)),
    ),
    Saboteur(
        "randn_like-five-per-cent", "randn_like has a variance five per cent too great",
        ("random.normal-moments:randn",), "mean square",
        after(torch, "randn_like", _five_per_cent),
    ),
    Saboteur(
        "normal_-shifted", "normal_ has its mean 0.04 too high",
        ("random.normal-moments:normal_-default",), "mean",
        _filled("normal_", lambda draws: draws + 0.04),
    ),
    Saboteur(
        "exponential_-five-per-cent", "exponential_ has a mean five per cent too great",
        ("random.exponential-mean",), "mean", _filled("exponential_", lambda draws: draws * 1.05),
    ),
    Saboteur(
        "normal-std-squared", "normal takes a tensor of standard deviations for variances' roots",
        ("random.normal-elementwise",), DRAWS,
        replacing(torch, "normal", _normal_in_terms_of_variance),
    ),
    Saboteur(
        "randint-wide-32-bits", "randint of a range beyond 32 bits draws 32 of them",
        ("random.randint-uniform",), DRAWS, replacing(torch, "randint", _wide_as_32_bits),
    ),
    Saboteur(
        "randint-modulo", "randint takes five bits modulo eleven",
        ("random.randint-uniform",), DRAWS, replacing(torch, "randint", _modulo),
    ),
    Saboteur(
        "random_-seven-bits", "random_ of uint8 draws seven bits",
        ("random.random-default-uniform",), DRAWS,
        _filled("random_", lambda draws: draws % 128 if draws.dtype == torch.uint8 else draws),
    ),
    Saboteur(
        "randperm-last-stays", "randperm leaves the last number at its place",
        ("random.randperm-uniform",), DRAWS, after(torch, "randperm", _last_stays),
    ),
    Saboteur(
        "randperm-deranged", "randperm leaves hardly a number at its place",
        ("random.randperm-uniform",), DRAWS, after(torch, "randperm", _no_fixed_points),
    ),
    Saboteur(
        "randperm-halves", "randperm of large counts keeps the halves apart",
        ("random.randperm-large",), "share", after(torch, "randperm", _in_blocks),
    ),
    Saboteur(
        "randperm-rises", "randperm puts an eighth of all pairs in ascending order",
        ("random.randperm-large",), "share of rises", after(torch, "randperm", _mostly_rising),
    ),
    Saboteur(
        "bernoulli-chances-averaged", "bernoulli draws with chances a tenth closer to 1/2",
        ("random.bernoulli-chances",), DRAWS, replacing(torch, "bernoulli", _chances_averaged),
    ),
    Saboteur(
        "poisson-normal", "poisson of rates from 10 on is a normal distribution, rounded down",
        ("random.poisson-rates",), DRAWS, replacing(torch, "poisson", _large_rates_rounded_normal),
    ),
    Saboteur(
        "multinomial-first-row", "multinomial draws every row by the weights of the first",
        ("random.multinomial-shares",), DRAWS, replacing(torch, "multinomial", _first_row_for_all),
    ),
    Saboteur(
        "multinomial-ascending", "multinomial without replacement sorts its draws",
        ("random.multinomial-order",), DRAWS, replacing(torch, "multinomial", _ascending),
    ),
    Saboteur(
        "multinomial-second-uniform", "multinomial forgets the weights after the first draw",
        ("random.multinomial-order",), DRAWS,
        replacing(torch, "multinomial", _second_ignores_weights),
    ),
    Saboteur(
        "uniform_-second-as-first", "uniform_ of a few elements draws the second as the first",
        ("random.uncorrelated:uniform_",), "sign products", _filled("uniform_", _second_as_first),
    ),
    Saboteur(
        "normal_-opposed", "normal_ draws the ninth of each sixteen opposite to the first",
        ("random.uncorrelated:normal_",), "sign products", _filled("normal_", _pairs_opposed),
    ),
    Saboteur(
        "random_-columns-repeat", "random_ of strided matrices repeats every other column",
        ("random.uncorrelated:random_",), "sign products", _filled("random_", _columns_repeat),
    ),
    Saboteur(
        "randperm-end-stays", "randperm of 64 or more leaves the last number where it is",
        ("random.randperm-places",), "as many draws", replacing(torch, "randperm", _end_stays),
    ),
    Saboteur(
        "bernoulli_-always", "bernoulli_ always draws 1",
        ("random.discrete:bernoulli_-default",), "as many draws",
        replacing(torch.Tensor, "bernoulli_", lambda original: lambda x, *a, **k: x.fill_(1)),
    ),
    Saboteur(
        "randint-never-zero", "randint up to a power of two never draws 0",
        ("random.randint-uniform",), "", when(torch, "randint", _to_power, _above_zero),
    ),
)  # fmt: skip
