"""Discrete distributions: that each of the values comes as often as the documentation says.

Every comparison here refutes a fair generator with a probability of at most 1e-15
(``distributions.FALSE_ALARM``), by bounds that hold for every size of sample.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import distributions
from conformance.scenarios.draws import ARRANGEMENTS, COUNT, filled, follows
from conformance.target import resolve
from strategies import dtypes, seeds

DISCRETE = {
    "random_": ("torch.Tensor.random_", (-2, 3), "integers", (-2, 3)),
    "random_-to": ("torch.Tensor.random_", (7,), "integers", (0, 7)),
    "randint_like": ("torch.randint_like", (-2, 3), "integers", (-2, 3)),
    "geometric_": ("torch.Tensor.geometric_", (0.75,), "geometric", (0.75,)),
    "geometric_-rare": ("torch.Tensor.geometric_", (0.125,), "geometric", (0.125,)),
    "bernoulli_": ("torch.Tensor.bernoulli_", (0.25,), "categorical", ((0.75, 0.25),)),
    "bernoulli_-default": ("torch.Tensor.bernoulli_", (), "categorical", ((0.5, 0.5),)),
}
# The widest range of each kind, and ranges of 2**k that every width of draw divides evenly.
INTEGERS = (
    (0, 3),
    (-5, 6),
    (1, 8),
    (0, 2**16),
    (-(2**30), 2**30),
    (0, 2**40),
    (-(2**63), 2**63 - 1),
)
POISSON_RATES = (0.125, 1.0, 4.0, 9.5, 10.5, 24.0)
WEIGHTS = ((1.0, 0.0, 3.0, 4.0), (5.0, 1.0, 1.0, 1.0), (0.125, 0.25, 0.5, 0.125))


@law("random.discrete", docs="torch.Tensor.random_", level="statistical", over=DISCRETE)
@given(seed=seeds(), dtype=dtypes("floating"), arrangement=st.sampled_from(ARRANGEMENTS))
def test_discrete(target, case, seed, dtype, arrangement):
    """The discrete samplers follow their distribution: large, small and strided tensors alike.

    The inequality that bounds the continuous ones holds for every distribution.
    """
    name, arguments, kind, parameters = case
    torch.manual_seed(seed)
    values = filled(target, name, arguments, dtype, arrangement)
    follows(values, kind, parameters, torch.finfo(dtype).eps)


@law("random.randint-uniform", docs="torch.randint", level="statistical")
@given(seed=seeds(), bounds=st.sampled_from(INTEGERS))
def test_randint_uniform(target, seed, bounds):
    """randint draws each of its integers as often as the others.

    Narrow ranges and wide ones, with both bounds or from 0; judged as the uniform distribution
    of rand is.
    """
    torch.manual_seed(seed)
    result = target.run("torch.randint", *bounds, (COUNT,), device=target.device)
    follows(compare.to_numpy(result), "integers", bounds)
    result = target.run("torch.randint", bounds[1], (COUNT,), device=target.device)
    follows(compare.to_numpy(result), "integers", (0, bounds[1]))


@law("random.random-default-uniform", docs="torch.Tensor.random_", level="statistical")
@given(seed=seeds(), dtype=dtypes("real"))
def test_random_default_uniform(target, seed, dtype):
    """random_ without bounds draws uniformly from 0 to 2**mantissa, or to the dtype's greatest."""
    floating = dtype.is_floating_point
    most = int(2 / torch.finfo(dtype).eps) if floating else torch.iinfo(dtype).max
    torch.manual_seed(seed)
    follows(filled(target, "torch.Tensor.random_", (), dtype, "whole"), "integers", (0, most + 1))


@law("random.randperm-uniform", docs="torch.randperm", level="statistical")
@given(seed=seeds())
def test_randperm_uniform(target, seed):
    """randperm puts each number at each place as often: of eight numbers, in 4,096 permutations.

    Each of the 8 places is judged as the draws of randint are.
    """
    torch.manual_seed(seed)
    permutations = [resolve("torch.randperm")(8, device=target.device) for _ in range(4096)]
    drawn = compare.to_numpy(torch.stack(permutations))
    for place in range(8):
        follows(drawn[:, place], "integers", (0, 8))


@law("random.randperm-places", docs="torch.randperm", level="statistical")
@given(seed=seeds())
def test_randperm_places(target, seed):
    """randperm of 67 puts each number at its ends and in its middle as often, as of eight."""
    torch.manual_seed(seed)
    permutations = [resolve("torch.randperm")(67, device=target.device) for _ in range(4096)]
    drawn = compare.to_numpy(torch.stack(permutations))
    for place in (0, 1, 33, 65, 66):
        follows(drawn[:, place], "integers", (0, 67))


@law("random.randperm-large", docs="torch.randperm", level="statistical")
@given(seed=seeds())
def test_randperm_large(target, seed):
    """randperm mixes well: the first half of a long permutation is spread over all its numbers.

    Draws without replacement stay closer than independent ones (Hoeffding 1963, section 6): of
    16,384 of them, the share in each quarter is within sqrt(ln(2 / p) / 2n) of 1/4 but with
    probability p = 1e-15; so is the share of rises among the 8,192 pairs of neighbours from 1/2.
    """
    torch.manual_seed(seed)
    drawn = compare.to_numpy(target.run("torch.randperm", COUNT, device=target.device))
    first = drawn[: COUNT // 2]
    for quarter in range(4):
        share = torch.tensor(float((first // (COUNT // 4) == quarter).mean()), dtype=torch.float64)
        limit = distributions.mean_limit(first.size, 1.0)
        compare.close(share, np.array(0.25), bound=limit, dtype=share.dtype, what="share")
    pairs = drawn.reshape(-1, 2)
    share = torch.tensor(float((pairs[:, 1] > pairs[:, 0]).mean()), dtype=torch.float64)
    limit = distributions.mean_limit(len(pairs), 1.0)
    compare.close(share, np.array(0.5), bound=limit, dtype=share.dtype, what="share of rises")


@law("random.bernoulli-chances", docs="torch.bernoulli", level="statistical")
@given(seed=seeds(), dtype=dtypes("floating"))
def test_bernoulli_chances(target, seed, dtype):
    """bernoulli draws 1 with the probability at each element's place.

    For probabilities of 1/8 to 7/8 next to each other; each share of ones is judged as the
    draws of randint are. The same of bernoulli_ with a tensor.
    """
    chances = torch.from_numpy(np.resize(np.arange(1, 8) / 8, (7 * COUNT,)))
    chances = chances.to(dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    made = target.run("torch.bernoulli", chances)
    written = target.run("torch.Tensor.bernoulli_", torch.zeros_like(chances), chances)
    for draws in (made, written):
        by_chance = compare.to_numpy(draws).reshape(-1, 7)
        for eighths in range(1, 8):
            weights = (1 - eighths / 8, eighths / 8)
            follows(by_chance[:, eighths - 1], "categorical", (weights,), torch.finfo(dtype).eps)


@law("random.poisson-rates", docs="torch.poisson", level="statistical")
@given(seed=seeds(), dtype=dtypes("floating"))
def test_poisson_rates(target, seed, dtype):
    """poisson draws with the rate at each element's place.

    For small and large rates next to each other; judged as the draws of randint are.
    """
    rates = torch.tensor(POISSON_RATES, dtype=dtype, device=target.device).repeat(8192)
    torch.manual_seed(seed)
    drawn = compare.to_numpy(target.run("torch.poisson", rates)).reshape(8192, -1)
    for place, rate in enumerate(POISSON_RATES):
        follows(drawn[:, place], "poisson", (rate,))


@law("random.multinomial-shares", docs="torch.multinomial", level="statistical")
@given(seed=seeds(), dtype=st.sampled_from((torch.float32, torch.float64)), one=st.booleans())
def test_multinomial_shares(target, seed, dtype, one):
    """multinomial with replacement draws each category as often as its row's weights say.

    The weights need not sum to one. Judged as the draws of randint are.
    """
    rows = WEIGHTS[:1] if one else WEIGHTS
    weights = torch.tensor(rows, dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    arguments = (weights[0] if one else weights, COUNT, True)
    drawn = compare.to_numpy(target.run("torch.multinomial", *arguments)).reshape(len(rows), -1)
    for row, expected in zip(drawn, rows, strict=True):
        follows(row, "categorical", (expected,))


@law("random.multinomial-order", docs="torch.multinomial", level="statistical")
@given(
    seed=seeds(),
    dtype=st.sampled_from((torch.float32, torch.float64)),
    weights=st.sampled_from(WEIGHTS),
    samples=st.integers(1, 3),
)
def test_multinomial_order(target, seed, dtype, weights, samples):
    """multinomial without replacement draws in order: first by weight, then among what is left.

    The second column has category j with the probability sum over i of p(i) p(j) / (1 - p(i)).
    Each column of 16,384 rows is judged as the draws of randint are.
    """
    rows = torch.tensor(weights, dtype=dtype, device=target.device).repeat(16384, 1)
    torch.manual_seed(seed)
    drawn = compare.to_numpy(target.run("torch.multinomial", rows, samples))
    follows(drawn[:, 0], "categorical", (weights,))
    if samples > 1:
        follows(drawn[:, 1], "categorical", (distributions.second_draw(weights),))
