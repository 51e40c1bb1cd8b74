"""Random state: seeds, the states of generators, and who draws from which."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import dtypes, seeds

# A fill makes the first argument: a tensor of "count" elements. "size" and "count" are drawn.
SAMPLERS = {
    "rand": ("torch.rand", None, ("size",)),
    "randn": ("torch.randn", None, ("size",)),
    "randint": ("torch.randint", None, (-50, 50, "size")),
    "randperm": ("torch.randperm", None, ("count",)),
    "normal": ("torch.normal", None, (0.0, 1.0, "size")),
    "normal-tensor": ("torch.normal", 0.5, (2.0,)),
    "bernoulli": ("torch.bernoulli", 0.5, ()),
    "multinomial": ("torch.multinomial", 1.0, ("count",)),
    "multinomial-replacement": ("torch.multinomial", 1.0, ("count", True)),
    "poisson": ("torch.poisson", 4.0, ()),
    "uniform_": ("torch.Tensor.uniform_", 0.0, ()),
    "normal_": ("torch.Tensor.normal_", 0.0, ()),
    "random_": ("torch.Tensor.random_", 0.0, ()),
    "exponential_": ("torch.Tensor.exponential_", 0.0, ()),
    "bernoulli_": ("torch.Tensor.bernoulli_", 0.0, (0.5,)),
    "cauchy_": ("torch.Tensor.cauchy_", 0.0, ()),
    "log_normal_": ("torch.Tensor.log_normal_", 0.0, ()),
    "geometric_": ("torch.Tensor.geometric_", 0.0, (0.25,)),
}
# These take no generator.
WITHOUT_GENERATOR = {
    "rand_like": ("torch.rand_like", 0.0, ()),
    "randn_like": ("torch.randn_like", 0.0, ()),
    "randint_like": ("torch.randint_like", 0.0, (100,)),
    "dropout": ("torch.nn.functional.dropout", 1.0, ()),
    "alpha_dropout": ("torch.nn.functional.alpha_dropout", 1.0, (0.5, True)),
}
ENDS = {"returns": False, "raises": True}
OTHERS = {"generator": "private", "default": "default"}
COUNTS = st.integers(1, 40)
FULL_SEEDS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from((2**32, 2**63, 2**64 - 1)))


class Interrupted(Exception):
    """Leaves a block before its end."""


def global_seeding(_):
    return torch.manual_seed, torch.initial_seed, torch.seed


def generator_seeding(device):
    generator = torch.Generator(device=device)
    return generator.manual_seed, generator.initial_seed, generator.seed


SEEDING = {"global": global_seeding, "generator": generator_seeding}


def draws(target, case, count, **generator):
    """One call of a sampler: what it returned."""
    name, fill, arguments = case
    sized = [{"size": (count,), "count": count}.get(str(a), a) for a in arguments]
    if fill is None:
        return target.run(name, *sized, device=target.device, **generator)
    return target.run(name, torch.full((count,), fill, device=target.device), *sized, **generator)


def numbers(target, count, **generator):
    """Draws of more than one kind, so that nothing of a generator's state goes unseen."""
    device = target.device
    return [
        target.run("torch.randn", 1, device=device, **generator),
        target.run("torch.rand", count, dtype=torch.float64, device=device, **generator),
        target.run("torch.randn", count, dtype=torch.float64, device=device, **generator),
        target.run("torch.randint", 2**40, (count,), device=device, **generator),
    ]


def same(target, expected, count, what, **generator):
    for again, before in zip(numbers(target, count, **generator), expected, strict=True):
        compare.equal(again, compare.to_numpy(before), dtype=before.dtype, what=what)


def seeded(target, seed):
    return torch.Generator(device=target.device).manual_seed(seed)


@law("random.manual-seed", docs="torch.manual_seed", over={**SAMPLERS, **WITHOUT_GENERATOR})
@given(seed=seeds(), count=COUNTS)
def test_manual_seed(target, case, seed, count):
    """After manual_seed with the same seed, the same calls give the same numbers."""
    torch.manual_seed(seed)
    first = [draws(target, case, count) for _ in range(2)]
    torch.manual_seed(seed)
    for again in first:
        result = draws(target, case, count)
        compare.equal(result, compare.to_numpy(again), dtype=again.dtype)


@law(
    "random.draws-differ",
    docs="torch.manual_seed",
    level="statistical",
    over={**SAMPLERS, **WITHOUT_GENERATOR},
)
@given(seed=seeds())
def test_draws_differ(target, case, seed):
    """Two calls in turn give different numbers, and so do two seeds.

    256 draws are all the same again with a probability of at most 2**-256: each of them repeats
    with one of at most 1/2.
    """
    torch.manual_seed(seed)
    first, second = draws(target, case, 256), draws(target, case, 256)
    torch.manual_seed(seed + 1)
    other = draws(target, case, 256)
    compare.fact(torch.equal(first, second), False, "two calls give the same numbers")
    compare.fact(torch.equal(first, other), False, "two seeds give the same numbers")


@law("random.generator-argument", docs="torch.Generator", over=SAMPLERS)
@given(seed=seeds(), count=COUNTS, other=seeds())
def test_generator_argument(target, case, seed, count, other):
    """With generator=, a function draws from that generator: its seed alone says which numbers.

    The default generator neither has a part in it nor moves on.
    """
    torch.manual_seed(other)
    untouched = numbers(target, count)
    torch.manual_seed(other)
    private = seeded(target, seed)
    first = [draws(target, case, count, generator=private) for _ in range(2)]
    same(target, untouched, count, "draws of the default generator")
    again = seeded(target, seed)
    for expected in first:
        result = draws(target, case, count, generator=again)
        compare.equal(result, compare.to_numpy(expected), dtype=expected.dtype)


@law(
    "random.generator-argument-differs",
    docs="torch.Generator",
    level="statistical",
    over=SAMPLERS,
)
@given(seed=seeds())
def test_generator_argument_differs(target, case, seed):
    """Two calls with one generator give different numbers, and so do generators of other seeds.

    256 draws are all the same again with a probability of at most 2**-256.
    """
    generator = seeded(target, seed)
    first = draws(target, case, 256, generator=generator)
    second = draws(target, case, 256, generator=generator)
    other = draws(target, case, 256, generator=seeded(target, seed + 1))
    compare.fact(torch.equal(first, second), False, "two calls give the same numbers")
    compare.fact(torch.equal(first, other), False, "two seeds give the same numbers")


@law("random.generators-independent", docs="torch.Generator", over=OTHERS)
@given(seed=seeds(), other=seeds(), count=COUNTS)
def test_generators_independent(target, case, seed, other, count):
    """Drawing from another generator, or seeding it, does not change what a generator gives."""
    alone = seeded(target, seed)
    first, second = (numbers(target, count, generator=alone) for _ in range(2))
    meant = {"generator": seeded(target, other)} if case == "private" else {}
    generator = seeded(target, seed)
    numbers(target, count, **meant)
    same(target, first, count, "draws after another generator's", generator=generator)
    numbers(target, count, **meant)
    seed_other = meant["generator"].manual_seed if meant else torch.manual_seed
    seed_other(other)
    same(target, second, count, "draws after another generator's", generator=generator)


@law("random.generator-state", docs="torch.get_rng_state")
@given(seed=seeds(), prefix=st.integers(0, 20), count=COUNTS)
def test_generator_state(target, seed, prefix, count):
    """set_rng_state returns the CPU generator to where get_rng_state was called.

    After any draws, one of an odd number of normal ones included. The state is a ByteTensor.
    """
    torch.manual_seed(seed)
    torch.randn(prefix)
    state = torch.get_rng_state()
    compare.fact((state.dtype, state.device.type), (torch.uint8, "cpu"), "dtype and device")
    first = torch.randn(1), torch.rand(count), torch.randn(count)
    torch.set_rng_state(state)
    for draw, expected in zip(
        (lambda: torch.randn(1), lambda: torch.rand(count), lambda: torch.randn(count)),
        first,
        strict=True,
    ):
        compare.equal(draw(), compare.to_numpy(expected), dtype=expected.dtype)


@law("random.get-state", docs="torch.Generator")
@given(seed=seeds(), prefix=st.integers(0, 20), count=COUNTS, other=seeds())
def test_get_state(target, seed, prefix, count, other):
    """set_state brings a generator, and any other one, to where get_state was called.

    The state is a ByteTensor and a snapshot: drawing on does not change it.
    """
    generator = seeded(target, seed)
    torch.randn(prefix, device=target.device, generator=generator)
    state = generator.get_state()
    before = compare.to_numpy(state)
    first = numbers(target, count, generator=generator)
    compare.fact(state.dtype, torch.uint8, "dtype")
    compare.unchanged(state, before, "the state")
    generator.set_state(state)
    same(target, first, count, "draws after set_state", generator=generator)
    elsewhere = seeded(target, other)
    elsewhere.set_state(state)
    same(target, first, count, "draws of another generator", generator=elsewhere)
    compare.unchanged(state, before, "the state")


@law("random.clone-state", docs="torch.Generator")
@given(seed=seeds(), prefix=st.integers(0, 20), count=COUNTS)
def test_clone_state(target, seed, prefix, count):
    """clone_state returns a new generator in the same state; neither moves on with the other."""
    generator = seeded(target, seed)
    torch.randn(prefix, device=target.device, generator=generator)
    clone = generator.clone_state()
    compare.fact(clone is generator, False, "the clone is the generator")
    compare.fact(clone.device, generator.device, "device")
    first = numbers(target, count, generator=generator)
    second = numbers(target, count, generator=generator)
    same(target, first, count, "draws of the clone", generator=clone)
    generator.manual_seed(seed)
    same(target, second, count, "draws of the clone", generator=clone)


@law("random.fork-rng", docs="random.html#torch.random.fork_rng", over=ENDS)
@given(seed=seeds(), other=seeds(), count=COUNTS)
def test_fork_rng(target, case, seed, other, count):
    """After fork_rng, the default generators are where they were before it, however it was left.

    Of the CPU and of the target's device, whether the block drew, seeded or raised.
    """
    torch.manual_seed(seed)
    expected, host = numbers(target, count), torch.rand(count)
    torch.manual_seed(seed)
    try:
        with torch.random.fork_rng():
            numbers(target, count)
            torch.manual_seed(other)
            torch.rand(count)
            if case:
                raise Interrupted
    except Interrupted:
        compare.fact(case, True, "the block raises")
    same(target, expected, count, "draws after fork_rng")
    compare.equal(torch.rand(count), compare.to_numpy(host), dtype=host.dtype, what="on the CPU")


@law("random.fork-rng-disabled", docs="random.html#torch.random.fork_rng")
@given(seed=seeds(), other=seeds(), count=COUNTS)
def test_fork_rng_disabled(target, seed, other, count):
    """fork_rng(enabled=False) does nothing: the block's seed goes on after it."""
    torch.manual_seed(other)
    numbers(target, count)
    expected = numbers(target, count)
    torch.manual_seed(seed)
    with torch.random.fork_rng(enabled=False):
        torch.manual_seed(other)
        numbers(target, count)
    same(target, expected, count, "draws after fork_rng")


@law("random.initial-seed", docs="torch.initial_seed", over=SEEDING)
@given(seed=FULL_SEEDS, count=COUNTS)
def test_initial_seed(target, case, seed, count):
    """initial_seed is the seed given last, all 64 bits of it, whatever was drawn since."""
    manual_seed, initial_seed, _ = case(target.device)
    generator = manual_seed(seed)
    compare.fact(isinstance(generator, torch.Generator), True, "manual_seed returns a Generator")
    compare.fact(initial_seed(), seed, "initial_seed")
    numbers(target, count)
    draws(target, SAMPLERS["randn"], count, generator=seeded(target, 0))
    compare.fact(initial_seed(), seed, "initial_seed after draws")
    compare.fact(generator.initial_seed(), seed, "initial_seed of what manual_seed returns")


@law("random.negative-seed", docs="torch.manual_seed", over=SEEDING)
@given(seed=st.one_of(st.integers(1, 2**63), st.sampled_from((1, 2, 2**63))))
def test_negative_seed(target, case, seed):
    """A negative seed is remapped to 0xffff_ffff_ffff_ffff + seed."""
    manual_seed, initial_seed, _ = case(target.device)
    manual_seed(-seed)
    compare.fact(initial_seed(), 0xFFFF_FFFF_FFFF_FFFF - seed, f"initial_seed of {-seed}")


@law("random.seed-range", docs="torch.manual_seed", over=SEEDING)
@given(beyond=st.one_of(st.integers(1, 2**70), st.just(1)), below=st.booleans())
def test_seed_range(target, case, beyond, below):
    """A seed beyond [-0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff] raises RuntimeError."""
    manual_seed, initial_seed, _ = case(target.device)
    manual_seed(0xFFFF_FFFF_FFFF_FFFF)
    last = initial_seed()
    with compare.raises(RuntimeError, "[Oo]verflow"):
        manual_seed(-0x8000_0000_0000_0000 - beyond if below else 0xFFFF_FFFF_FFFF_FFFF + beyond)
    compare.fact(initial_seed(), last, "initial_seed after the rejection")


@law("random.seed", docs="torch.seed", over=SEEDING)
def test_seed(target, case):
    """seed returns the 64-bit number with which it seeds: manual_seed with it gives the same.

    Four calls in turn do not give one number: random seeds would with a probability of 2**-96
    even if they had 32 bits only.
    """
    manual_seed, initial_seed, seed = case(target.device)
    drawn = seed()
    compare.fact(0 <= drawn < 2**64, True, "a number of 64 bits")
    compare.fact(initial_seed(), drawn, "initial_seed")
    generator = manual_seed(drawn)
    compare.fact(generator.initial_seed(), drawn, "initial_seed")
    others = [seed() for _ in range(3)]
    compare.fact(all(other == drawn for other in others), False, "four calls give one seed")
    manual_seed(drawn)


@law("random.seed-reproduces", docs="torch.seed")
@given(count=COUNTS)
def test_seed_reproduces(target, count):
    """What follows seed follows manual_seed with the number that it returned."""
    drawn = torch.seed()
    first = numbers(target, count)
    torch.manual_seed(drawn)
    same(target, first, count, "draws after manual_seed")
    generator = torch.Generator(device=target.device)
    drawn = generator.seed()
    first = numbers(target, count, generator=generator)
    generator.manual_seed(drawn)
    same(target, first, count, "draws after manual_seed", generator=generator)


@law("random.generator-device", docs="torch.Generator")
@given(seed=seeds(), dtype=dtypes("floating"))
def test_generator_device(target, seed, dtype):
    """A Generator has the device that it was made for, the CPU by default; seeding returns it."""
    generator = torch.Generator(device=target.device)
    compare.fact(generator.device.type, target.device.type, "device")
    compare.fact(torch.Generator().device, torch.device("cpu"), "device by default")
    compare.fact(generator.manual_seed(seed) is generator, True, "manual_seed returns self")
    options = {"dtype": dtype, "device": target.device, "generator": generator}
    compare.fact(target.run("torch.rand", 3, **options).device, target.device, "device of draws")
