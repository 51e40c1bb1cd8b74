"""Random filling: what the in-place samplers write into a tensor, and what they leave alone."""

from math import inf, nan

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import dtypes, seeds, tensors
from strategies.layouts import WRITABLE

# Arguments, dtypes, least and greatest possible value, and whether only whole numbers are drawn.
FILLERS = {
    "uniform_": ("torch.Tensor.uniform_", (-2.0, 3.0), "floating", -2.0, 3.0, False),
    "normal_": ("torch.Tensor.normal_", (1.0, 0.5), "floating", -inf, inf, False),
    "random_": ("torch.Tensor.random_", (3, 90), "real", 3, 89, True),
    "exponential_": ("torch.Tensor.exponential_", (2.0,), "floating", 5e-324, inf, False),
    "bernoulli_": ("torch.Tensor.bernoulli_", (0.5,), "real", 0, 1, True),
    "cauchy_": ("torch.Tensor.cauchy_", (1.0, 0.5), "floating", -inf, inf, False),
    "log_normal_": ("torch.Tensor.log_normal_", (0.5, 0.25), "floating", 5e-324, inf, False),
    "geometric_": ("torch.Tensor.geometric_", (0.75,), "real", 1, inf, True),
}
LAYOUTS = tuple(name for name in WRITABLE if name not in ("conjugated", "negated"))
INTERVALS = ((0.0, 1.0), (-2.0, 3.0), (1.0, 2.0), (-0.125, 0.0), (-64.0, -32.0), (2.0, 2.5))

# The legal arguments, the illegal ones, and the telling part of the error.
REJECTIONS = {
    "bernoulli_-above": ("torch.Tensor.bernoulli_", (1.0,), (1.125,), r"p .*\[0, 1\]"),
    "bernoulli_-below": ("torch.Tensor.bernoulli_", (0.0,), (-0.125,), r"p .*\[0, 1\]"),
    "bernoulli_-nan": ("torch.Tensor.bernoulli_", (0.5,), (nan,), r"p .*\[0, 1\]"),
    "normal_-std": ("torch.Tensor.normal_", (0.0, 0.0), (0.0, -0.125), "std >= 0"),
    "random_-equal": ("torch.Tensor.random_", (3, 4), (3, 3), "less than 'to'"),
    "random_-reversed": ("torch.Tensor.random_", (3, 4), (4, 3), "less than 'to'"),
    "random_-to": ("torch.Tensor.random_", (1,), (0,), "less than 'to'"),
    "uniform_-reversed": ("torch.Tensor.uniform_", (1.0, 1.5), (1.5, 1.0), "from"),
    "exponential_-zero": ("torch.Tensor.exponential_", (0.125,), (0.0,), "lambda > 0"),
    "exponential_-below": ("torch.Tensor.exponential_", (0.125,), (-1.0,), "lambda > 0"),
    "cauchy_-sigma": ("torch.Tensor.cauchy_", (0.0, 0.125), (0.0, 0.0), "sigma > 0"),
    "log_normal_-std": ("torch.Tensor.log_normal_", (0.0, 0.125), (0.0, 0.0), "std > 0"),
    "geometric_-zero": ("torch.Tensor.geometric_", (0.125,), (0.0,), r"p .*\(0, 1\)"),
    "geometric_-one": ("torch.Tensor.geometric_", (0.875,), (1.0,), r"p .*\(0, 1\)"),
}
FACTORY_REJECTIONS = {
    "randint-equal": ("torch.randint", (3, 4, (2,)), (3, 3, (2,)), "less than 'to'"),
    "randint-reversed": ("torch.randint", (3, 4, (2,)), (4, 3, (2,)), "less than 'to'"),
    "randint-high": ("torch.randint", (1, (2,)), (0, (2,)), "less than 'to'"),
    "randint-empty": ("torch.randint", (3, 4, (0,)), (3, 3, (0,)), "less than 'to'"),
    "normal-std": ("torch.normal", (0.0, 0.0, (2,)), (0.0, -0.125, (2,)), "std >= 0"),
    "randperm-negative": ("torch.randperm", (0,), (-1,), "negative"),
}
# The illegal weights and number of samples.
MULTINOMIAL_REJECTIONS = {
    "negative": ((-1.0, 2.0), 1, "element < 0"),
    "nan": ((nan, 2.0), 1, "nan"),
    "infinite": ((2.0, inf), 1, "inf"),
    "all-zero": ((0.0, 0.0), 1, "sum of probabilities <= 0"),
    "too-many": ((1.0, 2.0), 3, "without replacement"),
}
# A device reports these asynchronously, if at all: the legal values, and the illegal ones.
ON_THE_CPU = {
    "bernoulli-above": ("torch.bernoulli", (0.0, 1.0), (0.0, 1.125), "p_in <= 1"),
    "bernoulli-below": ("torch.bernoulli", (0.0, 1.0), (-0.125, 1.0), "p_in >= 0"),
    "poisson": ("torch.poisson", (0.0, 8.0), (-0.125, 8.0), "non-negative"),
    "normal": ("torch.normal", (0.0, 8.0), (8.0, -0.125), "std >= 0"),
}


def storage_of(view):
    """The whole memory under a view, as a flat tensor."""
    length = view.untyped_storage().nbytes() // view.element_size()
    return torch.as_strided(view, (length,), (1,), 0)


def positions_of(view):
    """The position in memory of each element of a view."""
    steps = np.array(view.stride(), dtype=np.int64)
    within = np.tensordot(steps, np.indices(tuple(view.shape)), axes=1)
    return (view.storage_offset() + within).astype(np.int64)


@law("random.fill", docs="torch.Tensor.uniform_", over=FILLERS)
@given(seed=seeds(), tensor=lambda case: tensors(dtype=case[2], layouts=LAYOUTS))
def test_fill(target, case, seed, tensor):
    """The in-place samplers write a possible value to every element, and return self.

    Shape, dtype and strides stay; the version counter rises.
    """
    name, arguments, _, least, most, whole = case
    tensor.fill_(nan if tensor.is_floating_point() else 101)
    kind = (tensor.shape, tensor.dtype, tensor.stride(), tensor.device)
    version = tensor._version
    torch.manual_seed(seed)
    result = target.run(name, tensor, *arguments)
    compare.fact(result is tensor, True, "returns self")
    compare.fact(tensor._version > version, True, "the version counter rises")
    found = (tensor.shape, tensor.dtype, tensor.stride(), tensor.device)
    compare.fact(found, kind, "shape, dtype, strides and device")
    values = compare.to_numpy(tensor).astype(np.float64)
    possible = (values >= least) & (values <= most)
    if whole:
        possible &= values == np.floor(values)
    compare.every(possible, tensor, f"a {'whole ' * whole}number in [{least}, {most}]")


@law("random.fill-within", docs="torch.Tensor.uniform_", over=FILLERS)
@given(seed=seeds(), tensor=lambda case: tensors(dtype=case[2], layouts=LAYOUTS))
def test_fill_within(target, case, seed, tensor):
    """The in-place samplers write nothing beside the elements of self: the rest of a storage stays.

    For views of every writable layout: with an offset, with gaps, permuted.
    """
    name, arguments = case[:2]
    memory = storage_of(tensor)
    expected = compare.to_numpy(memory)
    torch.manual_seed(seed)
    target.run(name, tensor, *arguments)
    expected[positions_of(tensor)] = compare.to_numpy(tensor)
    compare.equal(memory, expected, dtype=tensor.dtype, what="storage")


@law("random.uniform-interval", docs="torch.Tensor.uniform_")
@given(seed=seeds(), interval=st.sampled_from(INTERVALS), dtype=dtypes("floating"))
def test_uniform_interval(target, seed, interval, dtype):
    """uniform_ draws from its interval; from 0 to 1 if nothing is said, from 0 if only to is.

    The upper end may be reached by rounding: the distribution is the continuous one.
    """
    low, high = interval
    torch.manual_seed(seed)
    for bounds, least, most in (((low, high), low, high), ((), 0, 1)):
        tensor = torch.full((64,), nan, dtype=dtype, device=target.device)
        target.run("torch.Tensor.uniform_", tensor, *bounds)
        values = compare.to_numpy(tensor)
        compare.every((values >= least) & (values <= most), tensor, f"in [{least}, {most}]")
    tensor = torch.full((64,), nan, dtype=dtype, device=target.device)
    target.run("torch.Tensor.uniform_", tensor, to=8.0)
    values = compare.to_numpy(tensor)
    compare.every((values >= 0) & (values <= 8), tensor, "in [0, 8]")


@law("random.random-bounds", docs="torch.Tensor.random_")
@given(
    seed=seeds(),
    low=st.integers(0, 100),
    width=st.integers(1, 27),
    dtype=dtypes("real"),
)
def test_random_bounds(target, seed, low, width, dtype):
    """random_ draws whole numbers from ``from`` to ``to - 1``; from 0 if only to is given.

    low is negative in every other signed dtype.
    """
    low -= 64 * (dtype.is_signed and seed % 2)
    high = low + width
    torch.manual_seed(seed)
    for bounds, least in (((low, high), low), ((width,), 0)):
        tensor = torch.full((64,), 127, dtype=dtype, device=target.device)
        target.run("torch.Tensor.random_", tensor, *bounds)
        values = compare.to_numpy(tensor)
        inside = (values >= least) & (values < least + width) & (values == np.floor(values))
        compare.every(inside, tensor, f"a whole number in [{least}, {least + width})")


@law("random.random-default", docs="torch.Tensor.random_")
@given(seed=seeds(), tensor=tensors(dtype="real", layouts=LAYOUTS))
def test_random_default(target, seed, tensor):
    """random_ without bounds draws from 0 up to what the dtype holds, or 2**mantissa if floating.

    2**11 for float16, 2**8 for bfloat16, 2**24 for float32, 2**53 for float64.
    """
    dtype = tensor.dtype
    most = 2 / torch.finfo(dtype).eps if dtype.is_floating_point else torch.iinfo(dtype).max
    torch.manual_seed(seed)
    target.run("torch.Tensor.random_", tensor)
    values = compare.to_numpy(tensor)
    wide = values.astype(np.float64)
    inside = (wide >= 0) & (wide <= most) & (values == np.floor(values))
    compare.every(inside, tensor, f"a whole number in [0, {most}]")


@law("random.bernoulli-fill", docs="torch.Tensor.bernoulli_")
@given(
    seed=seeds(),
    chances=tensors(dtype="floating", values="probability"),
    dtype=dtypes("real"),
)
def test_bernoulli_fill(target, seed, chances, dtype):
    """bernoulli_ with a tensor of probabilities draws each element with its own, whatever self is.

    self may be integral; p has to be floating. Where p is 0 or 1, that is the draw.
    """
    p = compare.to_numpy(chances)
    tensor = torch.full(tuple(chances.shape), 7, dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    result = target.run("torch.Tensor.bernoulli_", tensor, chances)
    values = compare.to_numpy(tensor)
    compare.fact((result is tensor, tensor.dtype), (True, dtype), "returns self, dtype")
    compare.every((values == 0) | (values == 1), tensor, "0 or 1")
    compare.every(np.where((p == 0) | (p == 1), values == p, True), tensor, "p, which is 0 or 1")
    compare.unchanged(chances, p, "p")


@law("random.bernoulli-certain", docs="torch.Tensor.bernoulli_")
@given(seed=seeds(), dtype=dtypes("real"), chance=st.sampled_from((0.0, 1.0, 0, 1)))
def test_bernoulli_certain(target, seed, dtype, chance):
    """bernoulli_ writes nothing but 0 with p = 0, and nothing but 1 with p = 1."""
    tensor = torch.full((64,), 7, dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    target.run("torch.Tensor.bernoulli_", tensor, chance)
    compare.equal(tensor, np.full(64, int(chance)), dtype=dtype)


@law("random.fill-rejects", docs="torch.Tensor.random_", over=REJECTIONS, level="should")
@given(tensor=tensors(dtype="floating", layouts=LAYOUTS))
def test_fill_rejects(target, case, tensor):
    """The in-place samplers reject parameters that their distribution has not, and write nothing.

    Also where there is nothing to fill.
    """
    name, legal, illegal, message = case
    target.run(name, tensor.clone(), *legal)
    before = compare.to_numpy(tensor)
    with compare.raises(RuntimeError, message):
        target.run(name, tensor, *illegal)
    compare.unchanged(tensor, before, "self")


@law("random.factory-rejects", docs="torch.randint", over=FACTORY_REJECTIONS, level="should")
def test_factory_rejects(target, case):
    """The factories reject an empty range, a negative standard deviation and a negative count."""
    name, legal, illegal, message = case
    target.run(name, *legal, device=target.device)
    with compare.raises(RuntimeError, message):
        target.run(name, *illegal, device=target.device)


@law("random.multinomial-rejects", docs="torch.multinomial", over=MULTINOMIAL_REJECTIONS)
@given(dtype=dtypes("floating"), rows=st.integers(0, 2))
def test_multinomial_rejects(target, case, dtype, rows):
    """multinomial rejects weights that are negative, not finite or all zero, and too many samples.

    Too many are more than there are categories, without replacement. In one row of several, too.
    """
    weights, samples, message = case
    options = {"dtype": dtype, "device": target.device}
    legal = torch.ones((rows + 1, 2) if rows else (2,), **options)
    illegal = legal.clone()
    illegal.view(-1, 2)[-1] = torch.tensor(weights, **options)
    target.run("torch.multinomial", legal, 2)
    before = compare.to_numpy(illegal)
    with compare.raises(RuntimeError, message):
        target.run("torch.multinomial", illegal, samples)
    compare.unchanged(illegal, before, "weights")


@law("random.host-rejects", docs="torch.bernoulli", over=ON_THE_CPU, level="should")
@given(dtype=dtypes("floating"), others=st.integers(0, 40))
def test_host_rejects(target, case, dtype, others):
    """On the CPU, a tensor with one parameter that the distribution has not is rejected.

    A probability outside [0, 1], a negative rate, a negative standard deviation.
    """
    name, legal, illegal, message = case
    first = (0.0,) if name == "torch.normal" else ()
    target.run(name, *first, torch.tensor(legal + (1.0,) * others, dtype=dtype))
    parameters = torch.tensor((1.0,) * others + illegal, dtype=dtype)
    with compare.raises(RuntimeError, message):
        target.run(name, *first, parameters)
