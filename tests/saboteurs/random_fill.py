"""Faults in what in-place samplers write, and in what the random functions reject."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing


def _filling(name: str, change: Any) -> Any:
    """Let ``change`` alter a tensor after the in-place sampler of that name has filled it."""

    def make(original: Any) -> Any:
        def fill(self: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
            original(self, *arguments, **keywords)
            change(self)
            return self

        return fill

    return replacing(torch.Tensor, name, make)


def _zero_drawn(tensor: torch.Tensor) -> None:
    if tensor.numel() > 4:
        tensor[(0,) * tensor.dim()] = 0


def _fraction_drawn(tensor: torch.Tensor) -> None:
    if tensor.dtype == torch.bfloat16:
        tensor.add_(0.5)


def _gaps_filled(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        length = self.untyped_storage().nbytes() // self.element_size()
        if length > self.numel() and not self.is_contiguous():
            original(self.as_strided((length,), (1,), 0), *arguments, **keywords)
            return self
        filled: torch.Tensor = original(self, *arguments, **keywords)
        return filled

    return fill


def _copy_returned(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any) -> torch.Tensor:
        filled: torch.Tensor = original(self, *arguments)
        return filled if self.dim() else filled.clone()

    return fill


def _version_kept(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any) -> torch.Tensor:
        original(self.data, *arguments)
        return self

    return fill


def _empty_gaps_kept(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any) -> torch.Tensor:
        if self.dim() == 3 and not self.is_contiguous():
            original(self[:1], *arguments)
            self[1:] += 0
            return self
        filled: torch.Tensor = original(self, *arguments)
        return filled

    return fill


def _only_to(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        filled: torch.Tensor = original(self, *arguments, **keywords)
        return filled.neg_() if keywords else filled

    return fill


def _to_included(original: Any) -> Any:
    def fill(self: torch.Tensor, *bounds: int) -> torch.Tensor:
        wide = self.dtype == torch.uint8 and len(bounds) == 2
        filled: torch.Tensor = original(self, *bounds[:-1], bounds[-1] + wide)
        return filled

    return fill


def _all_of_the_dtype(original: Any) -> Any:
    def fill(self: torch.Tensor, *bounds: int) -> torch.Tensor:
        filled: torch.Tensor = original(self, *bounds)
        return filled.neg_() if not bounds and self.dtype == torch.int16 else filled

    return fill


def _mirrored_chances(original: Any) -> Any:
    def fill(self: torch.Tensor, p: Any = 0.5) -> torch.Tensor:
        mirrored = isinstance(p, torch.Tensor) and p.dim() == 2
        filled: torch.Tensor = original(self, p.flip(0) if mirrored else p)
        return filled

    return fill


def _never_certain(original: Any) -> Any:
    def fill(self: torch.Tensor, p: Any = 0.5) -> torch.Tensor:
        filled: torch.Tensor = original(self, min(p, 0.99))
        return filled

    return fill


def _clamps_chances(original: Any) -> Any:
    def fill(self: torch.Tensor, p: Any = 0.5) -> torch.Tensor:
        filled: torch.Tensor = original(self, min(p, 1.0))
        return filled

    return fill


def _writes_before_rejecting(original: Any) -> Any:
    def fill(self: torch.Tensor, mean: float = 0, std: float = 1) -> torch.Tensor:
        self.fill_(mean)
        filled: torch.Tensor = original(self, mean, std)
        return filled

    return fill


def _empty_ranges_allowed(original: Any) -> Any:
    def randint(low: int, *rest: Any, **keywords: Any) -> torch.Tensor:
        if len(rest) > 1 and rest[0] == low:
            return original(low, low + 1, *rest[1:], **keywords)
        return original(low, *rest, **keywords)

    return randint


def _negative_is_zero(original: Any) -> Any:
    def multinomial(weights: torch.Tensor, samples: int) -> torch.Tensor:
        return original(weights.clamp(min=0) if weights.dim() > 1 else weights, samples)

    return multinomial


def _first_is_trusted(original: Any) -> Any:
    def bernoulli(chances: torch.Tensor) -> torch.Tensor:
        return original(chances.clamp(max=1) if chances.numel() > 16 else chances)

    return bernoulli


SABOTEURS = (
    Saboteur(
        "exponential_-zero", "exponential_ draws 0 now and then",
        ("random.fill:exponential_",), "expected a number in [5e-324",
        _filling("exponential_", _zero_drawn),
    ),
    Saboteur(
        "geometric_-fraction", "geometric_ in bfloat16 draws halves",
        ("random.fill:geometric_",), "expected a whole number",
        _filling("geometric_", _fraction_drawn),
    ),
    Saboteur(
        "log_normal_-scalar-copy", "log_normal_ returns a copy of a scalar",
        ("random.fill:log_normal_",), "returns self",
        replacing(torch.Tensor, "log_normal_", _copy_returned),
    ),
    Saboteur(
        "random_-version-kept", "random_ does not bump the version counter",
        ("random.fill:random_",), "version counter",
        replacing(torch.Tensor, "random_", _version_kept),
    ),
    Saboteur(
        "cauchy_-first-slice", "cauchy_ fills the first slice only, of strided ones of rank 3",
        ("random.fill:cauchy_",), "expected a number",
        replacing(torch.Tensor, "cauchy_", _empty_gaps_kept),
    ),
    *(
        Saboteur(
            f"{name}-fills-gaps", f"{name} writes to the gaps of a view",
            (f"random.fill-within:{name}",), "storage",
            replacing(torch.Tensor, name, _gaps_filled),
        )
        for name in ("uniform_", "normal_", "bernoulli_")
    ),
    Saboteur(
        "uniform_-to-alone", "uniform_ with to= only draws from the mirrored interval",
        ("random.uniform-interval",), "expected in [0, 8]",
        replacing(torch.Tensor, "uniform_", _only_to),
    ),
    Saboteur(
        "random_-reaches-to", "random_ of uint8 reaches its upper end",
        ("random.random-bounds",), "expected a whole number in [",
        replacing(torch.Tensor, "random_", _to_included),
    ),
    Saboteur(
        "random_-negative", "random_ without bounds draws negative numbers of int16",
        ("random.random-default",), "expected a whole number in [0, 32767]",
        replacing(torch.Tensor, "random_", _all_of_the_dtype),
    ),
    Saboteur(
        "bernoulli_-rows-flipped", "bernoulli_ reads the rows of a matrix of chances backwards",
        ("random.bernoulli-fill",), "expected p, which is 0 or 1",
        replacing(torch.Tensor, "bernoulli_", _mirrored_chances),
    ),
    Saboteur(
        "bernoulli_-never-certain", "bernoulli_ draws a 0 in a hundred with p = 1",
        ("random.bernoulli-certain",), "result",
        replacing(torch.Tensor, "bernoulli_", _never_certain),
    ),
    Saboteur(
        "bernoulli_-clamps", "bernoulli_ takes a p above 1 for 1",
        ("random.fill-rejects:bernoulli_-above",), "raised nothing",
        replacing(torch.Tensor, "bernoulli_", _clamps_chances),
    ),
    Saboteur(
        "normal_-writes-first", "normal_ writes before it rejects its std",
        ("random.fill-rejects:normal_-std",), "self",
        replacing(torch.Tensor, "normal_", _writes_before_rejecting),
    ),
    Saboteur(
        "randint-empty-range", "randint takes an empty range for one number",
        ("random.factory-rejects:randint-equal",), "raised nothing",
        replacing(torch, "randint", _empty_ranges_allowed),
    ),
    Saboteur(
        "multinomial-negative", "multinomial takes negative weights of a matrix for zero",
        ("random.multinomial-rejects:negative",), "raised nothing",
        replacing(torch, "multinomial", _negative_is_zero),
    ),
    Saboteur(
        "bernoulli-long-unchecked", "bernoulli does not check the chances of long tensors",
        ("random.host-rejects:bernoulli-above",), "raised nothing",
        replacing(torch, "bernoulli", _first_is_trusted),
    ),
)  # fmt: skip
