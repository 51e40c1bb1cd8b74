"""Random distributions: that samples follow the distribution which the documentation names.

Every comparison here refutes a fair generator with a probability of at most 1e-15
(``distributions.FALSE_ALARM``), by bounds that hold for every size of sample. Where a dtype of b
significant bits is drawn from a grid, 2**-b apart on the scale of probability, a bound is wider
by 3 * 2**-b, and a value may be 4 ulps off.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import distributions
from conformance.target import resolve
from strategies import dtypes, seeds

COUNT = 32768
# Elements of a tensor, of many small ones: kernels may take another path below 16 of them.
SMALL = {"few": 15, "some": 23}
RATES = st.integers(1, 7).map(lambda eighths: eighths / 8)

# The operation, its arguments, and the distribution of what it writes, with its parameters.
CONTINUOUS = {
    "uniform_": ("torch.Tensor.uniform_", (-2.0, 3.0), "uniform", (-2.0, 3.0)),
    "uniform_-default": ("torch.Tensor.uniform_", (), "uniform", (0.0, 1.0)),
    "normal_": ("torch.Tensor.normal_", (1.0, 0.5), "normal", (1.0, 0.5)),
    "normal_-default": ("torch.Tensor.normal_", (), "normal", (0.0, 1.0)),
    "exponential_": ("torch.Tensor.exponential_", (2.0,), "exponential", (2.0,)),
    "exponential_-default": ("torch.Tensor.exponential_", (), "exponential", (1.0,)),
    "cauchy_": ("torch.Tensor.cauchy_", (1.0, 0.5), "cauchy", (1.0, 0.5)),
    "cauchy_-default": ("torch.Tensor.cauchy_", (), "cauchy", (0.0, 1.0)),
    "log_normal_": ("torch.Tensor.log_normal_", (0.5, 0.25), "log-normal", (0.5, 0.25)),
    "log_normal_-default": ("torch.Tensor.log_normal_", (), "log-normal", (1.0, 2.0)),
    "rand_like": ("torch.rand_like", (), "uniform", (0.0, 1.0)),
    "randn_like": ("torch.randn_like", (), "normal", (0.0, 1.0)),
}
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
MEDIANS = {
    "uniform_": ("torch.Tensor.uniform_", (-2.0, 3.0), 0.5),
    "normal_": ("torch.Tensor.normal_", (1.0, 0.5), 1.0),
    "exponential_": ("torch.Tensor.exponential_", (2.0,), 0.34657359027997264),
    "cauchy_": ("torch.Tensor.cauchy_", (1.0, 0.5), 1.0),
    "log_normal_": ("torch.Tensor.log_normal_", (0.0, 0.25), 1.0),
    "random_": ("torch.Tensor.random_", (0, 8), 3.5),
    "bernoulli_": ("torch.Tensor.bernoulli_", (0.5,), 0.5),
    "geometric_": ("torch.Tensor.geometric_", (0.5,), 1.5),
}
NORMAL = {
    "randn": ("torch.randn_like", (), (0.0, 1.0)),
    "normal_": ("torch.Tensor.normal_", (1.0, 0.5), (1.0, 0.5)),
    "normal_-default": ("torch.Tensor.normal_", (), (0.0, 1.0)),
    "normal": ("torch.normal", (2.0,), (0.0, 2.0)),
    "log_normal_": ("torch.Tensor.log_normal_", (0.5, 0.25), (0.5, 0.25)),
}
POISSON_RATES = (0.125, 1.0, 4.0, 9.5, 10.5, 24.0)
WEIGHTS = ((1.0, 0.0, 3.0, 4.0), (5.0, 1.0, 1.0, 1.0), (0.125, 0.25, 0.5, 0.125))


def follows(values, kind, parameters, grid=0.0, ulp=0.0):
    """Check the share of draws up to each of 512 of them against the distribution function.

    ``grid`` is the dtype's ulp at 1 where probabilities are rounded, ``ulp`` where draws are.
    """
    places = distributions.quantiles(values, 512)
    shares = distributions.share_up_to(values, places)
    limit = distributions.empirical_limit(values.size) + 1.5 * grid
    nudge = np.where(np.isfinite(places), 4 * ulp * np.abs(places), 0.0)
    least = distributions.CDFS[kind](places - nudge, *parameters) - limit
    most = distributions.CDFS[kind](places + nudge, *parameters) + limit
    ok = (shares >= least) & (shares <= most)
    what = f"a number with as many draws up to it as the distribution says, within {limit:.3g}"
    compare.every(ok, torch.from_numpy(places), what)


def rounded(dtype):
    """What a dtype's resolution adds to the bound."""
    ulp = torch.finfo(dtype).eps
    return {"grid": ulp, "ulp": ulp}


def spread_out(count, dtype, device):
    """A view of ``count`` elements with gaps, in two dimensions, the first innermost."""
    memory = torch.zeros((count // 64, 128), dtype=dtype, device=device)
    return memory[:, ::2].t()


def filled(target, name, arguments, dtype, arrangement):
    """Draws in one tensor of an odd size, in one with gaps, or in many small ones."""
    if arrangement == "gaps":
        tensor = spread_out(COUNT, dtype, target.device)
        return compare.to_numpy(target.run(name, tensor, *arguments))
    if arrangement == "whole":
        tensor = torch.zeros(COUNT - 7, dtype=dtype, device=target.device)
        return compare.to_numpy(target.run(name, tensor, *arguments))
    size = SMALL[arrangement]
    rows = torch.zeros((COUNT // size, size), dtype=dtype, device=target.device)
    draw = resolve(name)
    return compare.to_numpy(torch.stack([draw(row, *arguments) for row in rows.unbind()]))


ARRANGEMENTS = st.sampled_from(("whole", "few", "some", "gaps"))


@law("random.continuous", docs="torch.Tensor.normal_", level="statistical", over=CONTINUOUS)
@given(seed=seeds(), dtype=dtypes("floating"), arrangement=ARRANGEMENTS)
def test_continuous(target, case, seed, dtype, arrangement):
    """The continuous samplers follow their distribution: large, small and strided tensors alike.

    The empirical distribution function of n draws stays within sqrt(ln(2 / p) / 2n) of the true
    one but with probability p = 1e-15 (Dvoretzky, Kiefer and Wolfowitz; Massart's constant).
    """
    name, arguments, kind, parameters = case
    torch.manual_seed(seed)
    values = filled(target, name, arguments, dtype, arrangement)
    follows(values, kind, parameters, **rounded(dtype))


@law("random.discrete", docs="torch.Tensor.random_", level="statistical", over=DISCRETE)
@given(seed=seeds(), dtype=dtypes("floating"), arrangement=ARRANGEMENTS)
def test_discrete(target, case, seed, dtype, arrangement):
    """The discrete samplers follow their distribution: large, small and strided tensors alike.

    As for the continuous ones: the inequality holds for every distribution.
    """
    name, arguments, kind, parameters = case
    torch.manual_seed(seed)
    values = filled(target, name, arguments, dtype, arrangement)
    follows(values, kind, parameters, torch.finfo(dtype).eps)


@law("random.rand-uniform", docs="torch.rand", level="statistical")
@given(seed=seeds(), dtype=dtypes("floating"))
def test_rand_uniform(target, seed, dtype):
    """rand draws from the uniform distribution on [0, 1).

    The empirical distribution of n draws stays within sqrt(ln(2 / p) / 2n) of the uniform one
    (Dvoretzky, Kiefer and Wolfowitz; Massart's constant) but with probability p = 1e-15.
    """
    torch.manual_seed(seed)
    result = target.run("torch.rand", COUNT, dtype=dtype, device=target.device)
    follows(compare.to_numpy(result), "uniform", (0.0, 1.0), **rounded(dtype))


@law("random.randn-normal", docs="torch.randn", level="statistical")
@given(seed=seeds(), dtype=dtypes("floating"))
def test_randn_normal(target, seed, dtype):
    """randn draws from the normal distribution of mean 0 and variance 1.

    Judged as the uniform distribution of rand is, through the normal distribution function.
    """
    torch.manual_seed(seed)
    result = target.run("torch.randn", COUNT, dtype=dtype, device=target.device)
    follows(compare.to_numpy(result), "normal", (0.0, 1.0), **rounded(dtype))


@law("random.randn-complex", docs="torch.randn", level="statistical")
@given(seed=seeds(), dtype=dtypes("complex"))
def test_randn_complex(target, seed, dtype):
    """randn of a complex dtype draws both parts from the normal distribution of variance 1/2.

    Judged as the real ones are; the parts of one number are independent, so that their sum has
    variance 1.
    """
    torch.manual_seed(seed)
    result = target.run("torch.randn", COUNT, dtype=dtype, device=target.device)
    values = compare.to_numpy(result)
    both = values.real.astype(np.float64) + values.imag
    for part, std in ((values.real, 0.5**0.5), (values.imag, 0.5**0.5), (both, 1.0)):
        follows(part, "normal", (0.0, std), **rounded(dtype))


@law("random.normal-moments", docs="torch.randn", level="statistical", over=NORMAL)
@given(seed=seeds(), dtype=st.sampled_from((torch.float32, torch.float64)), few=st.booleans())
def test_normal_moments(target, case, seed, dtype, few):
    """Normal draws have their mean and standard deviation, to a few per cent.

    Of n standardized draws, the mean is within sqrt(2 ln(2 / p) / n) of 0 (Gauss's tail), the
    mean square within 2 sqrt(a / n) + 2 a / n of 1, a = ln(2 / p) (Laurent and Massart), each
    but with probability p = 1e-15: so 0.033 and 0.048 for the 65,500 here.
    """
    name, arguments, (mean, std) = case
    torch.manual_seed(seed)
    parts = [filled(target, name, arguments, dtype, "few" if few else "whole") for _ in range(2)]
    values = np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
    values = np.log(values) if name == "torch.Tensor.log_normal_" else values
    standard = (values - mean) / std
    for what, found, expected, limit in (
        ("mean", standard.mean(), 0.0, distributions.normal_mean_limit(values.size)),
        ("mean square", (standard**2).mean(), 1.0, distributions.normal_square_limit(values.size)),
    ):
        got = torch.tensor(float(found), dtype=torch.float64)
        rounding = 8 * torch.finfo(dtype).eps
        compare.close(got, np.array(expected), bound=limit + rounding, dtype=got.dtype, what=what)


@law("random.exponential-mean", docs="torch.Tensor.exponential_", level="statistical")
@given(seed=seeds(), dtype=st.sampled_from((torch.float32, torch.float64)), rate=RATES)
def test_exponential_mean(target, seed, dtype, rate):
    """exponential_ draws have the mean 1 / lambd.

    The mean of n of them, times lambd, stays within sqrt(2 a / n) + a / n of 1, a = ln(2 / p),
    but with probability p = 1e-15 (the Cramer-Chernoff bound of a sub-gamma variable).
    """
    torch.manual_seed(seed)
    values = filled(target, "torch.Tensor.exponential_", (rate,), dtype, "whole")
    found = torch.tensor(float(values.astype(np.float64).mean() * rate), dtype=torch.float64)
    limit = distributions.exponential_mean_limit(values.size) + 8 * torch.finfo(dtype).eps
    compare.close(found, np.array(1.0), bound=limit, dtype=torch.float64, what="mean")


@law("random.normal-elementwise", docs="torch.normal", level="statistical")
@given(seed=seeds(), dtype=st.sampled_from((torch.float32, torch.float64)), gaps=st.booleans())
def test_normal_elementwise(target, seed, dtype, gaps):
    """normal draws each element with the mean and the standard deviation at its place.

    Standardized by them, the draws are standard normal: judged as randn's are.
    """
    options = {"dtype": dtype, "device": target.device}
    mean = torch.zeros(COUNT, **options) if not gaps else spread_out(COUNT, dtype, target.device)
    std = torch.ones(tuple(mean.shape), **options)
    mean.copy_(torch.from_numpy(np.resize((-8.0, 0.0, 40.0), tuple(mean.shape))))
    std.copy_(torch.from_numpy(np.resize((0.5, 4.0, 1.0, 0.125, 2.0), tuple(mean.shape))))
    torch.manual_seed(seed)
    rounding = 512 * torch.finfo(dtype).eps  # that of 64, in the least standard deviation
    means, stds = compare.to_numpy(mean), compare.to_numpy(std)
    result = target.run("torch.normal", mean, std)
    follows((compare.to_numpy(result) - means) / stds, "normal", (0.0, 1.0), rounding)
    result = target.run("torch.normal", 3.0, std)
    follows((compare.to_numpy(result) - 3.0) / stds, "normal", (0.0, 1.0), rounding)
    result = target.run("torch.normal", mean, 3.0)
    follows((compare.to_numpy(result) - means) / 3.0, "normal", (0.0, 1.0), rounding)
    result = target.run("torch.normal", 3.0, 0.5, (COUNT,), **options)
    follows(compare.to_numpy(result), "normal", (3.0, 0.5), rounding)


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


@law("random.uncorrelated", docs="torch.Tensor.normal_", level="statistical", over=MEDIANS)
@given(
    seed=seeds(),
    dtype=st.sampled_from((torch.float32, torch.float64)),
    arrangement=ARRANGEMENTS,
)
def test_uncorrelated(target, case, seed, dtype, arrangement):
    """Draws up to 16 places apart in a tensor have nothing to do with each other.

    Whether they lie on the same side of the median is like the toss of a coin: the mean of the
    products of their signs stays within sqrt(2 ln(2 / p) / n) of 0 but with probability
    p = 1e-15 (Hoeffding), for each distance.
    """
    name, arguments, median = case
    torch.manual_seed(seed)
    values = filled(target, name, arguments, dtype, arrangement)
    products = [distributions.sign_products(values, median, lag) for lag in range(1, 17)]
    limit = distributions.mean_limit(values.size - 16, 2.0)
    found = torch.tensor(products, dtype=torch.float64)
    compare.close(found, np.zeros(16), bound=limit, dtype=found.dtype, what="sign products")
