"""Random tensors: the ranges, shapes and dtypes of what the sampling functions return."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import dtypes, seeds, shapes, tensors
from strategies.layouts import DENSE

# A size stands for itself; "size" and "count" for what is drawn.
FLOATING = {
    "rand": ("torch.rand", ("size",)),
    "randn": ("torch.randn", ("size",)),
    "normal": ("torch.normal", (0.0, 1.0, "size")),
}
INTEGRAL = {
    "randint": ("torch.randint", (0, 50, "size")),
    "randperm": ("torch.randperm", ("count",)),
}
SIZED = {"rand": "torch.rand", "randn": "torch.randn"}
LIKE = {
    "rand_like": ("torch.rand_like", (), "floating"),
    "randn_like": ("torch.randn_like", (), "floating"),
    "randint_like": ("torch.randint_like", (0, 100), "real"),
}
OUT = {
    "rand": ("torch.rand", None, ((3, 7),)),
    "randn": ("torch.randn", None, ((3, 7),)),
    "randint": ("torch.randint", None, (0, 50, (3, 7))),
    "randperm": ("torch.randperm", None, (21,)),
    "normal": ("torch.normal", 0.5, (2.0,)),
    "bernoulli": ("torch.bernoulli", 0.5, ()),
    "multinomial": ("torch.multinomial", 0.5, (5, True)),
}
WIDE = ((-(2**63), 2**63 - 1), (2**40, 2**40 + 3), (-(2**33), -(2**33) + 1), (0, 2**62))
SAMPLE = {
    "normal-mean": ("torch.normal", (1.0,)),
    "bernoulli": ("torch.bernoulli", ()),
    "poisson": ("torch.poisson", ()),
    "uniform_": ("torch.Tensor.uniform_", ()),
    "normal_": ("torch.Tensor.normal_", ()),
    "bernoulli_": ("torch.Tensor.bernoulli_", (0.5,)),
}


def sized(arguments, shape):
    count = int(np.prod(shape))
    return [{"size": shape, "count": count}.get(str(a), a) for a in arguments]


@law("random.floating-factory", docs="torch.rand", over=FLOATING)
@given(seed=seeds(), shape=shapes(), default=dtypes("floating"), dtype=dtypes("floating"))
def test_floating_factory(target, case, seed, shape, default, dtype):
    """rand, randn and normal return the size, device and dtype asked for, or the default dtype.

    The result does not require grad unless asked to.
    """
    name, arguments = case
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        plain = target.run(name, *sized(arguments, shape), device=target.device)
    finally:
        torch.set_default_dtype(before)
    options = {"dtype": dtype, "device": target.device, "requires_grad": True}
    asked = target.run(name, *sized(arguments, shape), **options)
    for result, kind, grad in ((plain, default, False), (asked, dtype, True)):
        compare.fact((tuple(result.shape), result.dtype), (shape, kind), "shape and dtype")
        compare.fact((result.device, result.requires_grad), (target.device, grad), "device, grad")
        compare.every(np.isfinite(compare.to_numpy(result)), result, "a finite number")


@law("random.integral-factory", docs="torch.randint", over=INTEGRAL)
@given(seed=seeds(), shape=shapes(), default=dtypes("floating"), dtype=dtypes("real"))
def test_integral_factory(target, case, seed, shape, default, dtype):
    """randint and randperm return int64 whatever the default dtype, unless asked for another."""
    name, arguments = case
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        plain = target.run(name, *sized(arguments, shape), device=target.device)
    finally:
        torch.set_default_dtype(before)
    asked = target.run(name, *sized(arguments, shape), dtype=dtype, device=target.device)
    size = (int(np.prod(shape)),) if "count" in arguments else shape
    for result, kind in ((plain, torch.int64), (asked, dtype)):
        values = compare.to_numpy(result)
        expected = (size, kind, target.device)
        found = (tuple(result.shape), result.dtype, result.device)
        compare.fact(found, expected, "shape, dtype and device")
        whole = (values == np.floor(values)) & (values >= 0) & (values < max(50, values.size))
        compare.every(whole, result, "a whole number within the range")


@law("random.size-forms", docs="torch.rand", over=SIZED)
@given(seed=seeds(), shape=shapes(min_rank=1))
def test_size_forms(target, case, seed, shape):
    """rand and randn take their size as numbers, as a tuple or as a list: the same call."""
    torch.manual_seed(seed)
    expected = compare.to_numpy(target.run(case, *shape, device=target.device))
    for size in (shape, list(shape), torch.Size(shape)):
        torch.manual_seed(seed)
        result = target.run(case, size, device=target.device)
        compare.equal(result, expected, dtype=torch.float32)


@law("random.rand-range", docs="torch.rand")
@given(seed=seeds(), shape=shapes(), dtype=dtypes("floating"))
def test_rand_range(target, seed, shape, dtype):
    """rand returns numbers in [0, 1) of the given size and dtype."""
    torch.manual_seed(seed)
    for size in (shape, (64,)):
        result = target.run("torch.rand", size, dtype=dtype, device=target.device)
        values = compare.to_numpy(result)
        compare.fact((result.shape, result.dtype), (torch.Size(size), dtype), "shape and dtype")
        compare.every((values >= 0) & (values < 1), result, "a number in [0, 1)")


@law("random.randint-range", docs="torch.randint")
@given(
    seed=seeds(),
    shape=shapes(),
    low=st.integers(0, 100),
    width=st.integers(1, 27),
    dtype=dtypes("real"),
)
def test_randint_range(target, seed, shape, low, width, dtype):
    """randint returns numbers from low inclusive to high exclusive; low is 0 if left out.

    int64 unless another dtype is asked for; low is negative in every other signed dtype.
    """
    low -= 64 * (dtype.is_signed and seed % 2)
    high = low + width
    place = {"device": target.device}
    torch.manual_seed(seed)
    for result, least, most, kind in (
        (target.run("torch.randint", low, high, shape, **place), low, high, torch.int64),
        (target.run("torch.randint", low, high, (64,), dtype=dtype, **place), low, high, dtype),
        (target.run("torch.randint", width, (64,), dtype=dtype, **place), 0, width, dtype),
        (target.run("torch.randint", 2, (64,), **place), 0, 2, torch.int64),
    ):
        values = compare.to_numpy(result)
        inside = (values >= least) & (values < most) & (values == np.floor(values))
        compare.fact(result.dtype, kind, "dtype")
        compare.every(inside, result, f"a whole number in [{least}, {most})")
    sized_result = target.run("torch.randint", low, high, shape, **place)
    compare.fact(tuple(sized_result.shape), shape, "shape")


@law("random.randint-wide", docs="torch.randint")
@given(seed=seeds(), bounds=st.sampled_from(WIDE))
def test_randint_wide(target, seed, bounds):
    """randint reaches all of int64: bounds beyond 32 bits, and ranges wider than 2**63."""
    low, high = bounds
    torch.manual_seed(seed)
    result = target.run("torch.randint", low, high, (64,), device=target.device)
    values = compare.to_numpy(result)
    inside = np.array([low <= value < high for value in values.tolist()])
    compare.fact(result.dtype, torch.int64, "dtype")
    compare.every(inside, result, f"a number in [{low}, {high})")


@law("random.randperm", docs="torch.randperm")
@given(seed=seeds(), count=st.integers(0, 100), dtype=dtypes("real"))
def test_randperm(target, seed, count, dtype):
    """randperm(n) returns each of the integers from 0 to n - 1 once, as int64 or as asked."""
    torch.manual_seed(seed)
    plain = target.run("torch.randperm", count, device=target.device)
    asked = target.run("torch.randperm", count, dtype=dtype, device=target.device)
    for result, kind in ((plain, torch.int64), (asked, dtype)):
        ordered = np.sort(compare.to_numpy(result))
        compare.fact((tuple(result.shape), result.dtype), ((count,), kind), "shape and dtype")
        compare.every(ordered == np.arange(count), result, f"a permutation of range({count})")


@law("random.normal-no-spread", docs="torch.normal")
@given(seed=seeds(), mean=tensors(dtype="floating"))
def test_normal_no_spread(target, seed, mean):
    """normal with a standard deviation of 0 returns the means: of every form, exactly.

    The forms: both tensors, a number as mean, a number as std, numbers and a size.
    """
    values, kind = compare.to_numpy(mean), mean.dtype
    spread = torch.zeros_like(mean)
    torch.manual_seed(seed)
    both = target.run("torch.normal", mean, spread)
    compare.close(both, values, bound=0.0, dtype=kind, what="normal(Tensor, Tensor)")
    compare.fact(both.device, target.device, "device")
    result = target.run("torch.normal", mean, 0.0)
    compare.close(result, values, bound=0.0, dtype=kind, what="normal(Tensor, float)")
    shared = np.full(values.shape, 1.5)
    result = target.run("torch.normal", 1.5, spread)
    compare.close(result, shared, bound=0.0, dtype=kind, what="normal(float, Tensor)")
    options = {"dtype": kind, "device": target.device}
    result = target.run("torch.normal", 1.5, 0.0, tuple(mean.shape), **options)
    compare.close(result, shared, bound=0.0, dtype=kind, what="normal(float, float, size)")
    compare.unchanged(mean, values, "mean")


@law("random.normal-shapes", docs="torch.normal")
@given(mean=tensors(dtype=torch.float32, shape=(2, 3)))
def test_normal_shapes(target, mean):
    """normal takes a mean and a std of other shapes and as many elements: mean's is the result's.

    "The shapes of mean and std don't need to match, but the total number of elements in each
    tensor need to be the same."
    """
    std = torch.zeros(6, device=target.device)
    result = target.run("torch.normal", mean, std.reshape(2, 3))
    compare.close(result, compare.to_numpy(mean), bound=0.0, dtype=torch.float32)
    result = target.run("torch.normal", mean, std)
    compare.close(result, compare.to_numpy(mean), bound=0.0, dtype=torch.float32)


@law("random.bernoulli", docs="torch.bernoulli")
@given(seed=seeds(), chances=tensors(dtype="floating", values="probability"))
def test_bernoulli(target, seed, chances):
    """bernoulli returns 0 or 1 of the input's shape and dtype: 0 where p is 0, 1 where it is 1."""
    p = compare.to_numpy(chances)
    torch.manual_seed(seed)
    result = target.run("torch.bernoulli", chances)
    values = compare.to_numpy(result)
    expected = (chances.shape, chances.dtype, target.device)
    compare.fact((result.shape, result.dtype, result.device), expected, "shape, dtype and device")
    compare.every((values == 0) | (values == 1), result, "0 or 1")
    compare.every(np.where((p == 0) | (p == 1), values == p, True), result, "p, which is 0 or 1")
    compare.unchanged(chances, p, "input")


@law("random.bernoulli-number", docs="torch.bernoulli", level="should")
@given(seed=seeds(), model=tensors(dtype="floating", values="any"), chance=st.integers(0, 8))
def test_bernoulli_number(target, seed, model, chance):
    """bernoulli with a number as p takes shape and dtype from the input, and not its values."""
    torch.manual_seed(seed)
    result = target.run("torch.bernoulli", model, chance / 8)
    values = compare.to_numpy(result)
    compare.fact((result.shape, result.dtype), (model.shape, model.dtype), "shape and dtype")
    allowed = (values == 0) | (values == 1) if 0 < chance < 8 else values == chance / 8
    compare.every(allowed, result, f"a draw with p = {chance / 8}")


@law("random.multinomial", docs="torch.multinomial")
@given(seed=seeds(), rows=st.integers(0, 3), samples=st.integers(1, 12), dtype=dtypes("floating"))
def test_multinomial(target, seed, rows, samples, dtype):
    """multinomial with replacement returns int64 indices of categories of weight above zero.

    A vector of weights gives num_samples of them, a matrix as many in each row, by that row.
    """
    weights = torch.tensor([[0, 2, 0, 8], [1, 0, 0, 0], [0, 0, 7, 3]][:rows] or [0, 0, 3, 1])
    weights = weights.to(dtype=dtype, device=target.device) / 8
    torch.manual_seed(seed)
    result = target.run("torch.multinomial", weights, samples, replacement=True)
    shape = (*weights.shape[:-1], samples)
    compare.fact((tuple(result.shape), result.dtype), (shape, torch.int64), "shape and dtype")
    compare.fact(result.device, target.device, "device")
    drawn, held = compare.to_numpy(result), compare.to_numpy(weights)
    compare.every((drawn >= 0) & (drawn < 4), result, "the index of a category")
    chosen = np.take_along_axis(held, drawn, -1)
    compare.every(chosen > 0, result, "a category of weight above zero")


@law("random.multinomial-once", docs="torch.multinomial")
@given(
    seed=seeds(),
    weights=tensors(dtype="floating", shape=st.sampled_from([(6,), (1, 5), (3, 6)])),
    samples=st.integers(1, 4),
)
def test_multinomial_once(target, seed, weights, samples):
    """multinomial draws no index twice in a row without replacement, which is the default.

    Nor does it draw a category of weight zero, while others are left.
    """
    held = np.abs(compare.to_numpy(weights))
    held[..., :samples] += 1.0
    given_weights = torch.from_numpy(held).to(device=target.device, dtype=weights.dtype)
    torch.manual_seed(seed)
    result = target.run("torch.multinomial", given_weights, samples)
    drawn = compare.to_numpy(result)
    shape = (*weights.shape[:-1], samples)
    compare.fact((tuple(result.shape), result.dtype), (shape, torch.int64), "shape and dtype")
    compare.every((drawn >= 0) & (drawn < held.shape[-1]), result, "the index of a category")
    compare.every(np.take_along_axis(held, drawn, -1) > 0, result, "a category above zero")
    distinct = [len(set(row)) == samples for row in drawn.reshape(-1, samples).tolist()]
    every = np.repeat(np.array(distinct), samples).reshape(shape)
    compare.every(every, result, "an index that its row has once")
    held[..., samples:] = 0.0
    last = torch.from_numpy(held).to(device=target.device, dtype=weights.dtype)
    drawn = compare.to_numpy(target.run("torch.multinomial", last, samples))
    all_left = np.broadcast_to(np.arange(samples), shape)
    compare.every(np.sort(drawn, -1) == all_left, result, "each category above zero, if as many")


@law("random.poisson", docs="torch.poisson")
@given(seed=seeds(), rates=tensors(dtype="floating", values="probability"))
def test_poisson(target, seed, rates):
    """poisson returns whole numbers from 0 up, of the input's size; 0 where the rate is 0."""
    rate = compare.to_numpy(rates)
    torch.manual_seed(seed)
    result = target.run("torch.poisson", rates * 16)
    values = compare.to_numpy(result)
    compare.fact((result.shape, result.dtype), (rates.shape, rates.dtype), "shape and dtype")
    compare.every((values >= 0) & (values == np.floor(values)), result, "a whole number")
    compare.every((values == 0) | (rate > 0), result, "0, for the rate is 0")


@law("random.like", docs="torch.rand_like", over=LIKE)
@given(
    seed=seeds(),
    model=lambda case: tensors(dtype=case[2], layouts=DENSE, values="probability"),
)
def test_like(target, case, seed, model):
    """The forms like another tensor take size, dtype, device and strides from it.

    Strides are kept where the argument is non-overlapping and dense (torch.preserve_format).
    """
    name, arguments, _ = case
    before = compare.to_numpy(model)
    torch.manual_seed(seed)
    result = target.run(name, model, *arguments)
    compare.fact((result.shape, result.dtype), (model.shape, model.dtype), "shape and dtype")
    compare.fact((result.device, result.stride()), (model.device, model.stride()), "strides")
    values = compare.to_numpy(result)
    least = -np.inf if name == "torch.randn_like" else 0
    most = {"torch.rand_like": 1, "torch.randint_like": 100}.get(name, np.inf)
    compare.every((values >= least) & (values < most), result, f"in [{least}, {most})")
    compare.unchanged(model, before, "the argument")


@law("random.like-dtype", docs="torch.rand_like")
@given(seed=seeds(), model=tensors(dtype="real"), dtype=dtypes("floating"))
def test_like_dtype(target, seed, model, dtype):
    """The forms like another tensor take dtype= in place of its dtype, and randint_like a low."""
    torch.manual_seed(seed)
    for name, arguments, least, most in (
        ("torch.rand_like", (), 0, 1),
        ("torch.randn_like", (), -np.inf, np.inf),
        ("torch.randint_like", (4,), 0, 4),
        ("torch.randint_like", (-7, 9), -7, 9),
    ):
        result = target.run(name, model, *arguments, dtype=dtype)
        values = compare.to_numpy(result)
        compare.fact((result.shape, result.dtype), (model.shape, dtype), "shape and dtype")
        compare.every((values >= least) & (values < most), result, f"in [{least}, {most})")


@law("random.out", docs="torch.rand", over=OUT, level="should")
@given(seed=seeds())
def test_out(target, case, seed):
    """With out=, the draws of the same call without it are written there, and out is returned."""
    name, fill, arguments = case
    given_tensor = [] if fill is None else [torch.full((3, 7), fill, device=target.device)]
    place = {"device": target.device} if fill is None else {}
    torch.manual_seed(seed)
    expected = target.run(name, *given_tensor, *arguments, **place)
    out = torch.full_like(expected, 77)
    torch.manual_seed(seed)
    result = target.run(name, *given_tensor, *arguments, out=out)
    compare.fact(result is out, True, "returns out")
    compare.equal(out, compare.to_numpy(expected), dtype=expected.dtype, what="out")


@law("random.bernoulli-integral-out", docs="torch.bernoulli")
@given(seed=seeds(), dtype=dtypes("integral"))
def test_bernoulli_integral_out(target, seed, dtype):
    """bernoulli writes its zeros and ones into an out of an integral dtype."""
    chances = torch.tensor([0.0, 1.0, 0.5, 1.0, 0.0, 0.25], device=target.device)
    out = torch.full((6,), 7, dtype=dtype, device=target.device)
    torch.manual_seed(seed)
    result = target.run("torch.bernoulli", chances, out=out)
    values = compare.to_numpy(out)
    compare.fact((result is out, out.dtype), (True, dtype), "returns out, dtype")
    compare.every((values == 0) | (values == 1), out, "0 or 1")
    compare.equal(out[[0, 1, 3, 4]], np.array([0, 1, 1, 0]), dtype=dtype, what="certain draws")


@law("random.sample-gradient", docs="notes/autograd.html", level="should", over=SAMPLE)
@given(source=tensors(dtype="floating", values="probability", layouts=DENSE, requires_grad=True))
def test_sample_gradient(target, case, source):
    """No gradient flows through a sample: that of its parameters and of what it overwrote is 0."""
    name, arguments = case
    overwritten = source * 1
    result = target.run(name, overwritten, *arguments)
    (result.sum() + 2 * source.sum()).backward()
    expected = np.full(tuple(source.shape), 2.0)
    compare.equal(source.grad, expected, dtype=source.dtype, what="gradient")
