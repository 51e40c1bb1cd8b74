"""Random distributions: that samples follow the distribution which the documentation names.

Every comparison here refutes a fair generator with a probability of at most 1e-15
(``distributions.FALSE_ALARM``), by bounds that hold for every size of sample.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import distributions
from conformance.scenarios.draws import ARRANGEMENTS, COUNT, filled, follows, spread_out
from strategies import dtypes, seeds

RATES = st.integers(1, 7).map(lambda eighths: eighths / 8)
ARRANGED = st.sampled_from(ARRANGEMENTS)
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


def rounded(dtype):
    """What a dtype's resolution adds to the bound."""
    ulp = torch.finfo(dtype).eps
    return {"grid": ulp, "ulp": ulp}


@law("random.continuous", docs="torch.Tensor.normal_", level="statistical", over=CONTINUOUS)
@given(seed=seeds(), dtype=dtypes("floating"), arrangement=ARRANGED)
def test_continuous(target, case, seed, dtype, arrangement):
    """The continuous samplers follow their distribution: large, small and strided tensors alike.

    The empirical distribution function of n draws stays within sqrt(ln(2 / p) / 2n) of the true
    one but with probability p = 1e-15 (Dvoretzky, Kiefer and Wolfowitz; Massart's constant).
    """
    name, arguments, kind, parameters = case
    torch.manual_seed(seed)
    values = filled(target, name, arguments, dtype, arrangement)
    follows(values, kind, parameters, **rounded(dtype))


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


@law("random.uncorrelated", docs="torch.Tensor.normal_", level="statistical", over=MEDIANS)
@given(
    seed=seeds(),
    dtype=st.sampled_from((torch.float32, torch.float64)),
    arrangement=ARRANGED,
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
