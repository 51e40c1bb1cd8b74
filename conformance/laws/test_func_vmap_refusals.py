"""Limits of vmap: random numbers within it, and what it refuses."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors

PAGE = "torch.func.vmap"


def shuffled(x):
    """A random operation: the same numbers in every element, or others."""
    return x + torch.rand((3,), dtype=torch.float64, device=x.device)


@law("func-vmap.randomness-same", docs=PAGE)
@given(seed=st.integers(0, 2**31 - 1), size=st.integers(1, 4))
def test_randomness_same(target, seed, size):
    """With randomness="same" every element gets the numbers that one call gets."""
    batch = torch.zeros((size, 3), dtype=torch.float64, device=target.device)
    state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        found = target.run(torch.func.vmap(shuffled, randomness="same"), batch)
        torch.manual_seed(seed)
        alone = shuffled(batch[0])
    finally:
        torch.set_rng_state(state)
    expected = np.broadcast_to(compare.to_numpy(alone), (size, 3))
    compare.nested(found, expected, what="random result")


@law("func-vmap.randomness-different", docs=PAGE)
@given(seed=st.integers(0, 2**31 - 1), size=st.integers(2, 4))
def test_randomness_different(target, seed, size):
    """With randomness="different" every element gets other numbers; with "error" it raises.

    Numbers of 53 bits: two elements agree in none of them.
    """
    batch = torch.zeros((size, 3), dtype=torch.float64, device=target.device)
    state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        found = target.run(torch.func.vmap(shuffled, randomness="different"), batch)
        values = compare.to_numpy(found)
        compare.fact(len(np.unique(values)), values.size, "number of distinct numbers")
        compare.every((values >= 0) & (values < 1), found, "in [0, 1)")
        for refusing in (torch.func.vmap(shuffled), torch.func.vmap(shuffled, randomness="error")):
            with compare.raises(RuntimeError, "called random operation while in randomness error"):
                target.run(refusing, batch)
    finally:
        torch.set_rng_state(state)


def multiplied(a, b):
    return a * b


@law("func-vmap.refused-in-dims", docs=PAGE)
@given(f=tensors(dtype=torch.float64, shape=(2, 3)))
def test_refused_in_dims(target, f):
    """in_dims must fit the arguments: their structure, their ranks, one common size, not all
    None.
    """
    vmap = torch.func.vmap
    found = vmap(multiplied, in_dims=(0, None))(f, f[0])
    values = compare.to_numpy(f)
    compare.nested(found, values * values[0], what="result")
    with compare.raises(ValueError, "Expected all tensors to have the same size"):
        vmap(multiplied, in_dims=(0, 1))(f, f)
    with compare.raises(ValueError, "at least one Tensor to vmap over"):
        vmap(multiplied, in_dims=(None, None))(f, f)
    with compare.raises(ValueError, "in_dims"):
        vmap(multiplied, in_dims=(2, 0))(f, f)
    with compare.raises(ValueError, "in_dims is not compatible"):
        vmap(multiplied, in_dims=(0,))(f, f)
    with compare.raises(ValueError, "in_dims"):
        vmap(multiplied, in_dims=(0, 0))(f, 2.0)


def as_item(x):
    return x * x.sum().item()


def not_tensor(x):
    return "text"


@law("func-vmap.refused-functions", docs=PAGE)
@given(batch=tensors(dtype=torch.float64, shape=(2, 3)))
def test_refused_functions(target, batch):
    """A mapped function can neither read a value out with item() nor return what is no tensor."""
    values = compare.to_numpy(batch)
    compare.nested(torch.func.vmap(torch.neg)(batch), -values, what="result")
    with compare.raises(RuntimeError, "\\.item\\(\\)"):
        torch.func.vmap(as_item)(batch)
    with compare.raises(ValueError, "must only return\\s+Tensors"):
        torch.func.vmap(not_tensor)(batch)
    with compare.raises(ValueError, "out_dims"):
        torch.func.vmap(torch.neg, out_dims=(0, 0))(batch)
