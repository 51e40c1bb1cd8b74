"""Faults in the state of random generators: seeds, states, and who draws from which."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def _seeds_in_turn(original: Any) -> Any:
    seeds = itertools.cycle((1, 2))
    return lambda seed: original(next(seeds))


def _spare_outside(original: Any) -> Any:
    """A normal draw that is kept for the next call, where no state knows of it."""
    spare: list[torch.Tensor] = []

    def randn(*size: Any, **keywords: Any) -> torch.Tensor:
        if size != (1,):
            return original(*size, **keywords)
        if not spare:
            spare.extend(original(2, **keywords).split(1))
        return spare.pop()

    return randn


def _generator_dropped(original: Any) -> Any:
    return lambda *arguments, generator=None, **keywords: original(*arguments, **keywords)


def _generator_dropped_for_float(original: Any) -> Any:
    def normal(mean: Any, *rest: Any, generator: Any = None, **keywords: Any) -> torch.Tensor:
        kept = {} if generator is None or isinstance(mean, torch.Tensor) else {
            "generator": generator}  # fmt: skip
        return original(mean, *rest, **kept, **keywords)

    return normal


def _default_moves_too(original: Any) -> Any:
    def poisson(rates: torch.Tensor, generator: Any = None) -> torch.Tensor:
        if generator is not None:
            original(rates)
        return original(rates, generator=generator)

    return poisson


def _private_does_not_move(original: Any) -> Any:
    def fill(self: torch.Tensor, *arguments: Any, generator: Any = None) -> torch.Tensor:
        before = None if generator is None else generator.get_state()
        filled: torch.Tensor = original(self, *arguments, generator=generator)
        if generator is not None:
            generator.set_state(before)
        return filled

    return fill


def _does_not_move(original: Any) -> Any:
    def randint_like(*arguments: Any, **keywords: Any) -> torch.Tensor:
        state = torch.get_rng_state()
        result: torch.Tensor = original(*arguments, **keywords)
        torch.set_rng_state(state)
        return result

    return randint_like


def _seed_of_one(original: Any) -> Any:
    return lambda seed: original(0)


def _generator(**members: Any) -> Patch:
    """Give ``torch.Generator`` other methods."""
    return replacing(torch, "Generator", lambda original: type("Generator", (original,), members))


def _itself(self: torch.Generator) -> torch.Generator:
    return self


def _clone_of_the_seed(self: torch.Generator) -> torch.Generator:
    return torch._C.Generator(device=self.device).manual_seed(self.initial_seed())


def _seed_forgotten(self: torch.Generator) -> torch.Tensor:
    fresh = torch._C.Generator(device=self.device).manual_seed(self.initial_seed())
    return fresh.get_state()


def _seeds_the_default(self: torch.Generator, seed: int) -> torch.Generator:
    torch._C.Generator.manual_seed(self, seed)
    torch._C.Generator.manual_seed(torch.default_generator, seed)
    return self


def _copy_of_itself(self: torch.Generator, seed: int) -> torch.Generator:
    return torch._C.Generator.manual_seed(self.clone_state(), seed)


def _reseeds_with_another(self: torch.Generator) -> int:
    return torch._C.Generator.seed(self) ^ 1


def _not_after_exceptions(original: Any) -> Any:
    @contextlib.contextmanager
    def fork_rng(enabled: bool = True) -> Iterator[None]:
        state = torch.get_rng_state()
        yield
        if enabled:
            torch.set_rng_state(state)

    return fork_rng


def _reseeded(original: Any) -> Any:
    @contextlib.contextmanager
    def fork_rng(enabled: bool = True) -> Iterator[None]:
        seed = torch.initial_seed()
        try:
            yield
        finally:
            if enabled:
                torch.manual_seed(seed + 1)

    return fork_rng


def _always_forks(original: Any) -> Any:
    return lambda enabled=True: original()


def _low_half(original: Any) -> Any:
    return lambda: original() & 0xFFFF_FFFF


def _negative_is_zero(original: Any) -> Any:
    return lambda seed: original(max(seed, 0))


def _wraps(original: Any) -> Any:
    return lambda seed: original(seed % 2**64)


def _seed_without_effect(original: Any) -> Any:
    def seed() -> int:
        state = torch.get_rng_state()
        drawn: int = original()
        torch.set_rng_state(state)
        return drawn

    return seed


def _same_seed_always(original: Any) -> Any:
    def seed() -> int:
        torch.manual_seed(42)
        return 42

    return seed


SABOTEURS = (
    Saboteur(
        "manual-seed-ignored", "manual_seed uses seeds of its own",
        tuple(f"random.manual-seed:{name}" for name in ("rand", "randn", "randint", "randperm")),
        "result", replacing(torch, "manual_seed", _seeds_in_turn),
    ),
    Saboteur(
        "manual-seed-constant", "manual_seed seeds with 0 whatever it is told",
        ("random.draws-differ:rand", "random.draws-differ:dropout"), "two seeds",
        replacing(torch, "manual_seed", _seed_of_one),
    ),
    Saboteur(
        "randint_like-stands-still", "randint_like does not move the generator on",
        ("random.draws-differ:randint_like",), "two calls",
        replacing(torch, "randint_like", _does_not_move),
    ),
    Saboteur(
        "rng-state-not-restored", "set_rng_state does nothing",
        ("random.generator-state",), "result",
        replacing(torch, "set_rng_state", lambda original: lambda state: None),
    ),
    Saboteur(
        "randn-spare-outside", "randn keeps a spare draw where no state knows of it",
        ("random.generator-state",), "result", replacing(torch, "randn", _spare_outside),
    ),
    *(
        Saboteur(
            f"{name}-generator-dropped", f"{name} draws from the default generator always",
            (f"random.generator-argument:{name}",), "draws of the default generator",
            replacing(torch, name, _generator_dropped),
        )
        for name in ("rand", "randperm", "multinomial", "bernoulli")
    ),
    Saboteur(
        "normal-generator-dropped", "normal of a tensor draws from the default generator",
        ("random.generator-argument:normal-tensor",), "draws of the default generator",
        replacing(torch, "normal", _generator_dropped_for_float),
    ),
    Saboteur(
        "poisson-moves-default", "poisson with a generator moves the default one on too",
        ("random.generator-argument:poisson",), "draws of the default generator",
        replacing(torch, "poisson", _default_moves_too),
    ),
    Saboteur(
        "cauchy_-generator-stands-still", "cauchy_ does not move its generator on",
        ("random.generator-argument-differs:cauchy_",), "two calls",
        replacing(torch.Tensor, "cauchy_", _private_does_not_move),
    ),
    Saboteur(
        "generator-seeds-default", "Generator.manual_seed seeds the default generator too",
        ("random.generator-argument:randn",), "draws of the default generator",
        _generator(manual_seed=_seeds_the_default),
    ),
    Saboteur(
        "randn-spare-shared", "generators share the spare draw of randn",
        ("random.generators-independent:default", "random.generators-independent:generator"),
        "draws after another generator's", replacing(torch, "randn", _spare_outside),
    ),
    Saboteur(
        "get-state-of-the-seed", "get_state is that of a generator just seeded",
        ("random.get-state",), "draws after set_state", _generator(get_state=_seed_forgotten),
    ),
    Saboteur(
        "clone-state-shared", "clone_state returns the generator itself",
        ("random.clone-state",), "the clone is the generator", _generator(clone_state=_itself),
    ),
    Saboteur(
        "clone-state-of-the-seed", "clone_state goes back to the seed",
        ("random.clone-state",), "draws of the clone", _generator(clone_state=_clone_of_the_seed),
    ),
    Saboteur(
        "fork-rng-after-exception", "fork_rng restores nothing after an exception",
        ("random.fork-rng:raises",), "draws after fork_rng",
        replacing(torch.random, "fork_rng", _not_after_exceptions),
    ),
    Saboteur(
        "fork-rng-reseeds", "fork_rng seeds anew instead of restoring",
        ("random.fork-rng:returns",), "draws after fork_rng",
        replacing(torch.random, "fork_rng", _reseeded),
    ),
    Saboteur(
        "fork-rng-always", "fork_rng forks although enabled=False",
        ("random.fork-rng-disabled",), "draws after fork_rng",
        replacing(torch.random, "fork_rng", _always_forks),
    ),
    Saboteur(
        "initial-seed-32-bits", "initial_seed returns 32 bits",
        ("random.initial-seed:global",), "initial_seed",
        replacing(torch, "initial_seed", _low_half),
    ),
    Saboteur(
        "negative-seed-is-zero", "manual_seed takes negative seeds for 0",
        ("random.negative-seed:global",), "got 0,",
        replacing(torch, "manual_seed", _negative_is_zero),
    ),
    Saboteur(
        "seed-wraps", "manual_seed wraps seeds of more than 64 bits",
        ("random.seed-range:global",), "raised nothing",
        replacing(torch, "manual_seed", _wraps),
    ),
    Saboteur(
        "seed-constant", "seed always returns the same",
        ("random.seed:global",), "four calls", replacing(torch, "seed", _same_seed_always),
    ),
    Saboteur(
        "generator-seed-of-another", "Generator.seed returns another number than it seeds with",
        ("random.seed:generator",), "initial_seed", _generator(seed=_reseeds_with_another),
    ),
    Saboteur(
        "seed-without-effect", "seed leaves the generator's state as it was",
        ("random.seed-reproduces",), "draws after manual_seed",
        replacing(torch, "seed", _seed_without_effect),
    ),
    Saboteur(
        "generator-manual-seed-copy", "Generator.manual_seed returns another generator",
        ("random.generator-device",), "manual_seed returns self",
        _generator(manual_seed=_copy_of_itself),
    ),
)  # fmt: skip
