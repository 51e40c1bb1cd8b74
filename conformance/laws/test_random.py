"""Random numbers: seeds, ranges and distributions."""

import math

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from strategies import dtypes, shapes
from strategies.values import seeds


def uniform(count, device):
    return torch.rand(count, device=device)


def normal(count, device):
    return torch.randn(count, device=device)


def integers(count, device):
    return torch.randint(-50, 50, (count,), device=device)


def permutation(count, device):
    return torch.randperm(count, device=device)


GENERATORS = {"rand": uniform, "randn": normal, "randint": integers, "randperm": permutation}


@law("random.manual-seed", docs="torch.manual_seed", over=GENERATORS)
@given(seed=seeds(), shape=shapes(min_rank=1, max_rank=1))
def test_manual_seed(target, case, seed, shape):
    """After manual_seed with the same seed, the same calls give the same numbers."""
    torch.manual_seed(seed)
    first = [case(*shape, target.device) for _ in range(2)]
    torch.manual_seed(seed)
    for again in first:
        compare.equal(case(*shape, target.device), compare.to_numpy(again), dtype=again.dtype)


@law("random.generator-state", docs="torch.get_rng_state")
@given(seed=seeds(), shape=shapes(min_rank=1, max_rank=1))
def test_generator_state(target, seed, shape):
    """set_rng_state returns the CPU generator to where get_rng_state was called."""
    torch.manual_seed(seed)
    state = torch.get_rng_state()
    first = torch.rand(shape)
    torch.set_rng_state(state)
    compare.equal(torch.rand(shape), compare.to_numpy(first), dtype=first.dtype)


@law("random.rand-range", docs="torch.rand")
@given(seed=seeds(), shape=shapes(), dtype=dtypes("floating"))
def test_rand_range(target, seed, shape, dtype):
    """rand returns numbers in [0, 1) of the given size and dtype."""
    torch.manual_seed(seed)
    result = torch.rand(shape, dtype=dtype, device=target.device)
    values = compare.to_numpy(result)
    compare.fact((result.shape, result.dtype), (torch.Size(shape), dtype), "shape and dtype")
    compare.every((values >= 0) & (values < 1), result, "a number in [0, 1)")


@law("random.randint-range", docs="torch.randint")
@given(seed=seeds(), shape=shapes())
def test_randint_range(target, seed, shape):
    """randint returns int64 numbers from low inclusive to high exclusive."""
    torch.manual_seed(seed)
    result = torch.randint(-2, 3, shape, device=target.device)
    values = compare.to_numpy(result)
    compare.fact((result.shape, result.dtype), (torch.Size(shape), torch.int64), "shape, dtype")
    compare.every((values >= -2) & (values < 3), result, "a number in [-2, 3)")


@law("random.randperm", docs="torch.randperm")
@given(seed=seeds(), shape=shapes(min_rank=1, max_rank=1))
def test_randperm(target, seed, shape):
    """randperm(n) returns each of the integers from 0 to n - 1 once, as int64."""
    torch.manual_seed(seed)
    (count,) = shape
    result = torch.randperm(count, device=target.device)
    ordered = np.sort(compare.to_numpy(result))
    compare.fact(result.dtype, torch.int64, "dtype")
    compare.every(ordered == np.arange(count), result, f"a permutation of range({count})")


@law("random.rand-uniform", docs="torch.rand", level="statistical")
@given(seed=seeds())
def test_rand_uniform(target, seed):
    """rand draws from the uniform distribution on [0, 1).

    The empirical distribution of n draws stays within sqrt(ln(2 / p) / 2n) of the uniform one
    (Dvoretzky, Kiefer and Wolfowitz; Massart's constant) but with probability p = 1e-15.
    """
    torch.manual_seed(seed)
    count = 16384
    result = torch.rand(count, dtype=torch.float64, device=target.device)
    ordered = np.sort(compare.to_numpy(result))
    distance = np.abs(ordered - (np.arange(count) + 0.5) / count) - 0.5 / count
    limit = math.sqrt(math.log(2 / 1e-15) / (2 * count))
    compare.every(distance <= limit, result, f"within {limit:.3g} of its uniform quantile")


@law("random.randn-normal", docs="torch.randn", level="statistical")
@given(seed=seeds())
def test_randn_normal(target, seed):
    """randn draws from the normal distribution of mean 0 and variance 1.

    Judged as the uniform distribution of rand is, through the normal distribution function.
    """
    torch.manual_seed(seed)
    count = 16384
    result = torch.randn(count, dtype=torch.float64, device=target.device)
    ordered = np.sort(compare.to_numpy(result))
    expected = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in ordered])
    distance = np.abs(expected - (np.arange(count) + 0.5) / count) - 0.5 / count
    limit = math.sqrt(math.log(2 / 1e-15) / (2 * count))
    compare.every(distance <= limit, result, f"within {limit:.3g} of its normal quantile")
