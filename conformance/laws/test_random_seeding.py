"""Seeding and sampling by default: whose numbers a seed fixes, and what samplers assume."""

import random

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import mersenne
from conformance.scenarios.refusals import refusal
from conformance.target import resolve
from strategies import dtypes, seeds, shapes, tensors

INTEGRAL = {"randint": ("torch.randint", (9, (2, 3))), "randperm": ("torch.randperm", (6,))}
CONTINUOUS = {"rand_like": "torch.rand_like", "randn_like": "torch.randn_like"}
WITH_ELEMENTS = shapes(min_side=1)


def numbers_of_others(seed):
    """Seed Python's and NumPy's generators, and draw from both."""
    random.seed(seed)
    np.random.seed(seed)
    return random.random(), np.random.rand(2).tolist()


@law("random.seeds-apart", docs="notes/randomness.html")
@given(seed=st.integers(0, 2**32 - 1), other=st.integers(0, 2**32 - 1))
def test_seeds_apart(target, seed, other):
    """torch's seed fixes neither Python's nor NumPy's random numbers, nor theirs those of torch.

    "For custom operators, you might need to set python seed as well"; "if you or any of the
    libraries you are using rely on NumPy, you can seed the global NumPy RNG".
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        theirs = numbers_of_others(seed)
        torch.manual_seed(seed)
        ours = compare.to_numpy(target.run("torch.rand", 5, device=target.device))
        torch.manual_seed(seed)
        numbers_of_others(other)
        again = target.run("torch.rand", 5, device=target.device)
        compare.equal(again, ours, dtype=torch.float32, what="draws after others were seeded")
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(other)
        target.run("torch.rand", 5, device=target.device)
        compare.fact((random.random(), np.random.rand(2).tolist()), theirs, "the others' numbers")
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@law("random.cpu-stream", docs="torch.Generator", level="should")
@given(seed=st.one_of(st.integers(0, 2**64 - 1), st.sampled_from((0, 42, 2**32 - 1, 2**32))))
def test_cpu_stream(target, seed):
    """On the CPU a seed's numbers are those of MT19937: on every machine and in every release.

    rand of one float32 takes the lower 24 bits of a word; two calls of randn of one element take
    four words and Box's and Muller's method. The generator takes 32 bits of the seed.
    """
    words = mersenne.words(seed, 4)
    torch.manual_seed(seed)
    uniform = torch.rand(1, device="cpu")
    compare.equal(uniform, np.array([mersenne.single(words[0])]), dtype=torch.float32)
    torch.manual_seed(seed)
    for number, expected in enumerate(mersenne.normal_pair(words)):
        drawn = torch.randn(1, device="cpu")
        bound = torch.finfo(torch.float32).eps * max(abs(expected), 1e-15)
        want = np.array([expected])
        compare.close(drawn, want, bound=bound, dtype=torch.float32, what=f"normal number {number}")


@law("random.normal-defaults", docs="torch.normal")
@given(seed=seeds(), mean=tensors(dtype="floating"))
def test_normal_defaults(target, seed, mean):
    """normal of means alone has a standard deviation of 1, and normal_ of nothing a mean of 0.

    "normal(mean, std=1.0, *, out=None)".
    """
    torch.manual_seed(seed)
    expected = compare.to_numpy(target.run("torch.normal", mean, 1.0))
    torch.manual_seed(seed)
    result = target.run("torch.normal", mean)
    compare.equal(result, expected, dtype=mean.dtype)
    like = {"dtype": mean.dtype, "device": target.device}
    torch.manual_seed(seed)
    filled = target.run("torch.Tensor.normal_", torch.empty(7, **like), 0.0, 1.0)
    torch.manual_seed(seed)
    plain = target.run("torch.Tensor.normal_", torch.empty(7, **like))
    compare.equal(plain, compare.to_numpy(filled), dtype=mean.dtype, what="normal_")


@law("random.like-integral", docs="torch.rand_like", level="should", over=CONTINUOUS)
@given(seed=seeds(), model=tensors(dtype="integral", shape=WITH_ELEMENTS), dtype=dtypes("floating"))
def test_like_integral(target, case, seed, model, dtype):
    """rand_like and randn_like of an integral model are refused without a floating dtype."""
    torch.manual_seed(seed)
    result = target.run(case, model, dtype=dtype)
    compare.fact((result.shape, result.dtype), (model.shape, dtype), "shape and dtype")
    compare.every(np.isfinite(compare.to_numpy(result)), result, "a finite number")
    compare.fact("not implemented for" in refusal(resolve(case), model), True, "is refused")


@law("random.integral-leaf", docs="torch.randint", level="should", over=INTEGRAL)
@given(seed=seeds(), dtype=dtypes("floating"))
def test_integral_leaf(target, case, seed, dtype):
    """randint and randperm make a leaf that requires grad in a floating dtype only.

    In their default dtype, int64, they reject requires_grad=True.
    """
    name, arguments = case
    torch.manual_seed(seed)
    place = {"device": target.device, "requires_grad": True}
    leaf = target.run(name, *arguments, dtype=dtype, **place)
    compare.fact((leaf.dtype, leaf.requires_grad, leaf.is_leaf), (dtype, True, True), "a leaf")
    (leaf * 3).sum().backward()
    compare.equal(leaf.grad, np.full(tuple(leaf.shape), 3.0), dtype=dtype, what="gradient")
    with compare.raises(RuntimeError, "floating point and complex dtype can require gradients"):
        target.run(name, *arguments, **place)
