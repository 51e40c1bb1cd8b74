"""Pruning: masks over parameters, by size or at random, one after another, and their removal."""

import math

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn.utils import prune

from conformance import compare
from conformance.law import given, law
from conformance.reference import pruning
from conformance.scenarios.pruning import SHAPES, check, host
from conformance.target import resolve
from strategies import seeds

PAGE = "torch.nn.utils.prune."
AMOUNTS = st.sampled_from((0.5, 1, 0, 2, 0.25, 1.0, 0.0))
ORDERS = st.sampled_from((2, 1, math.inf, 3.0, -math.inf, "fro"))
DTYPES = st.sampled_from((torch.float64, torch.float32))


def unstructured(module, amount, n, dim, scores):
    return prune.l1_unstructured(module, "weight", amount, scores)


def structured(module, amount, n, dim, scores):
    return prune.ln_structured(module, "weight", amount, n, dim, scores)


METHODS = {"l1_unstructured": unstructured, "ln_structured": structured}


@law("pruning.smallest", docs=f"{PAGE}l1_unstructured", over=METHODS)
@given(
    shape=SHAPES,
    seed=seeds(),
    amount=AMOUNTS,
    n=ORDERS,
    data=st.integers(0, 2),
    scored=st.booleans(),
    dtype=DTYPES,
)
def test_smallest(target, case, shape, seed, amount, n, data, scored, dtype):
    """Pruning by size masks the entries, or the slices along dim, of the smallest norms.

    An amount is a number of them or a fraction. The weight becomes the product of the original, now
    the parameter weight_orig, with the mask, a buffer of ones and zeros. Where there are importance
    scores, their sizes tell. It returns the module.
    """
    module = host(shape, seed, target.device, dtype)
    original = compare.to_numpy(module.weight)
    parameter = module.weight
    dim = data % len(shape)
    scores = host(shape, seed + 1, target.device, dtype).weight.detach() if scored else None
    deciding = original if scores is None else compare.to_numpy(scores)
    whole = np.ones(shape, bool)
    units = original.size if case is unstructured else shape[dim]
    amount = min(amount, units) if isinstance(amount, int) else amount
    if case is unstructured:
        mask = pruning.entries(deciding, whole, amount)
    else:
        mask = pruning.slices(deciding, whole, amount, 2 if n == "fro" else n, dim)
    returned = case(module, amount, n, dim - len(shape) * (seed % 2), scores)
    compare.fact(returned is module, True, "returns the module")
    check(module, original, mask, "after pruning")
    compare.fact(module.weight_orig is parameter, True, "the parameter itself is the original")
    within = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Sequential(module))
    compare.fact((prune.is_pruned(module), prune.is_pruned(within)), (True, True), "is_pruned")


@law("pruning.iterated", docs="torch.nn.utils.prune.PruningContainer")
@given(
    shape=SHAPES, seed=seeds(),
    steps=st.lists(
        st.tuples(st.sampled_from(("entries", "slices", "mask", "identity")),
                  st.sampled_from((0.5, 1, 0.25)), st.sampled_from((0, 1)), st.booleans()),
        min_size=2, max_size=4,
    ),
)  # fmt: skip
def test_iterated(target, shape, seed, steps):
    """Each further pruning takes its amount of what is not pruned yet, and the masks combine.

    Entries that are left, or slices that are not empty, by the sizes of the pruned weight, or of
    scores where there are some. A mask of one's own is multiplied; identity changes nothing. One
    hook makes it all.
    """
    module = host(shape, seed, target.device)
    original = compare.to_numpy(module.weight)
    mask = np.ones(shape, bool)
    for number, (kind, amount, dim, scored) in enumerate(steps):
        scores = host(shape, seed + number, target.device).weight.detach() if scored else None
        current = np.where(mask, original, 0.0) if scores is None else compare.to_numpy(scores)
        left = int(mask.sum()) if kind == "entries" else int(
            np.moveaxis(mask, dim, 0).reshape(shape[dim], -1).any(axis=1).sum()
        )  # fmt: skip
        amount = min(amount, left) if isinstance(amount, int) else amount
        if kind == "entries":
            prune.l1_unstructured(module, "weight", amount, scores)
            mask = pruning.entries(current, mask, amount)
        elif kind == "slices":
            prune.ln_structured(module, "weight", amount, math.inf, dim, scores)
            mask = pruning.slices(current, mask, amount, math.inf, dim)
        elif kind == "mask":
            generator = torch.Generator().manual_seed(seed + number)
            own = torch.randint(0, 4, shape, generator=generator) > 0
            prune.custom_from_mask(module, "weight", own.to(target.device))
            mask = mask & own.numpy()
        else:
            prune.identity(module, "weight")
        check(module, original, mask, f"after step {number}, {kind}")
        compare.fact(len(module._forward_pre_hooks), 1, "hooks")


@law("pruning.recomputed", docs="torch.nn.utils.prune.BasePruningMethod")
@given(
    shape=SHAPES,
    seed=seeds(),
    steps=st.integers(1, 3),
    rate=st.sampled_from((0.5, 0.25)),
    evaluating=st.booleans(),
)
def test_recomputed(target, shape, seed, steps, rate, evaluating):
    """Before each forward the weight is made anew, of the original and the mask.

    In evaluation too. The original gets the gradient times the mask: a step leaves what is pruned
    as it was.
    """
    module = host(shape, seed, target.device).train(not evaluating)
    prune.l1_unstructured(module, "weight", 0.5)
    original = compare.to_numpy(module.weight_orig)
    mask = compare.to_numpy(module.weight_mask)
    optimizer = torch.optim.SGD([module.weight_orig], lr=rate)
    cotangent = torch.arange(1.0, original.size + 1, dtype=torch.float64, device=target.device)
    for _ in range(steps):
        optimizer.zero_grad()
        result = target.run(module)
        compare.close(result, original * mask, bound=0.0, dtype=torch.float64, what="weight")
        (result * cotangent.reshape(shape)).sum().backward()
        gradient = mask * np.arange(1.0, original.size + 1).reshape(shape)
        compare.close(module.weight_orig.grad, gradient, bound=0.0, dtype=torch.float64,
                      what="gradient")  # fmt: skip
        optimizer.step()
        original = original - rate * gradient
    compare.equal(module.weight_orig, original, dtype=torch.float64, what="original")


def random_entries(module, amount, dim):
    return prune.random_unstructured(module, "weight", amount)


def random_slices(module, amount, dim):
    return prune.random_structured(module, "weight", amount, dim)


RANDOM = {"random_unstructured": random_entries, "random_structured": random_slices}


@law("pruning.random", docs=f"{PAGE}random_unstructured", over=RANDOM)
@given(
    shape=SHAPES, seed=seeds(), dim=st.sampled_from((0, 1)),
    amounts=st.lists(st.sampled_from((0.5, 1, 0)), min_size=1, max_size=3),
)  # fmt: skip
def test_random(target, case, shape, seed, amounts, dim):
    """Pruning at random masks so many entries, or whole slices, of those not pruned yet.

    The same from the same seed.
    """
    left = math.prod(shape) if case is random_entries else shape[dim]
    first, second = (host(shape, seed, target.device) for _ in range(2))
    original = compare.to_numpy(first.weight)
    for amount in amounts:
        amount = min(amount, left) if isinstance(amount, int) else amount
        before = getattr(first, "weight_mask", None)
        before = np.ones(shape) if before is None else compare.to_numpy(before)
        for module in (first, second):
            torch.manual_seed(seed)
            case(module, amount, dim)
        left -= pruning.counted(amount, left)
        mask = compare.to_numpy(first.weight_mask)
        check(first, original, mask > 0, "after random pruning")
        compare.equal(second.weight_mask, mask, dtype=torch.float64, what="mask of the same seed")
        compare.fact(bool((mask <= before).all()), True, "what was pruned stays so")
        if case is random_entries:
            compare.fact(int(mask.sum()), left, "entries left")
        else:
            rows = np.moveaxis(mask, dim, 0).reshape(shape[dim], -1)
            compare.fact(int((rows == 1).all(axis=1).sum()), left, "whole slices left")
            compare.fact(int(rows.any(axis=1).sum()), left, "slices left")


@law("pruning.random-even", docs=f"{PAGE}random_unstructured", level="statistical", over=RANDOM)
@given(seed=seeds())
def test_random_even(target, case, seed):
    """Pruning at random takes every entry, or every slice, equally often."""
    torch.manual_seed(seed)
    counts = np.zeros((2, 2))
    for _ in range(400):
        module = host((2, 2), seed, target.device)
        case(module, 0.5, 1)
        counts += compare.to_numpy(module.weight_mask)
    bound = 80.0  # 200 of 400 are expected, with a deviation of 10: eight of them
    found, expected = torch.from_numpy(counts), np.full((2, 2), 200.0)
    compare.close(found, expected, bound=bound, dtype=torch.float64, what="times kept")


@law("pruning.global", docs="torch.nn.utils.prune.global_unstructured")
@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=3), seed=seeds(), scored=st.booleans(),
    amounts=st.lists(st.sampled_from((0.5, 1, 2, 0.25)), min_size=1, max_size=2),
)  # fmt: skip
def test_global(target, shapes, seed, scored, amounts):
    """global_unstructured takes its amount of the smallest entries of all parameters together.

    Of those not pruned yet; importance scores stand in for the parameters that have some.
    """
    modules = [host(shape, seed + n, target.device) for n, shape in enumerate(shapes)]
    for number, module in enumerate(modules):  # all sizes differ
        module.weight.data.mul_(1 + number / 8)
    originals = [compare.to_numpy(module.weight) for module in modules]
    masks = [np.ones(shape, bool) for shape in shapes]
    scores = {}
    if scored:
        own = host(shapes[0], seed + 7, target.device).weight.detach() * 1.75
        scores[modules[0], "weight"] = own
    for amount in amounts:
        sizes = [np.where(mask, value, 0.0) for mask, value in zip(masks, originals, strict=True)]
        if scored:
            sizes[0] = compare.to_numpy(own)
        flat = pruning.entries(
            np.concatenate([size.ravel() for size in sizes]),
            np.concatenate([mask.ravel() for mask in masks]),
            amount,
        )
        prune.global_unstructured(
            [(module, "weight") for module in modules], prune.L1Unstructured,
            importance_scores=scores or None, amount=amount,
        )  # fmt: skip
        ends = np.cumsum([mask.size for mask in masks])[:-1]
        parts = zip(np.split(flat, ends), shapes, strict=True)
        masks = [part.reshape(shape) for part, shape in parts]
        for module, original, mask in zip(modules, originals, masks, strict=True):
            check(module, original, mask, "after global pruning")


@law("pruning.removed", docs="torch.nn.utils.prune.remove")
@given(shape=SHAPES, seed=seeds(), twice=st.booleans(), flag=st.booleans())
def test_removed(target, shape, seed, twice, flag):
    """remove makes the pruned weight a parameter again, for good, and takes mask and hook away.

    It is the parameter that was the original, as it was before but for what is masked.
    """
    module = host(shape, seed, target.device)
    parameter = module.weight.requires_grad_(flag)
    prune.l1_unstructured(module, "weight", 0.5)
    if twice:
        prune.random_unstructured(module, "weight", 0.5)
    expected = compare.to_numpy(module.weight)
    returned = prune.remove(module, "weight")
    compare.fact(returned is module, True, "returns the module")
    compare.fact(module.weight is parameter, True, "the parameter is the original one")
    compare.fact(type(module.weight), torch.nn.Parameter, "type of the weight")
    compare.fact(module.weight.requires_grad, flag, "requires_grad")
    compare.close(module.weight, expected, bound=0.0, dtype=torch.float64, what="weight")
    compare.fact(sorted(module.state_dict()), ["bias", "weight"], "names in the state")
    compare.fact((prune.is_pruned(module), len(module._forward_pre_hooks)), (False, 0), "pruned")
    with compare.raises(ValueError, "has to be pruned before pruning can be removed"):
        prune.remove(module, "weight")
    with torch.no_grad():
        module.weight.fill_(2.0)
    result = target.run(module)
    compare.equal(result, np.full(shape, 2.0), dtype=torch.float64, what="after a new value")


@law("pruning.state", docs="torch.nn.utils.prune.BasePruningMethod", level="should")
@given(shape=SHAPES, seed=seeds())
def test_state(target, shape, seed):
    """The state of a pruned module holds original and mask: loaded, it prunes another alike."""
    module, other = (host(shape, seed + n, target.device) for n in range(2))
    prune.l1_unstructured(module, "weight", 0.5)
    prune.identity(other, "weight")
    other.load_state_dict(module.state_dict())
    mask = compare.to_numpy(module.weight_mask)
    expected = compare.to_numpy(module.weight_orig) * mask
    compare.close(target.run(other), expected, bound=0.0, dtype=torch.float64, what="weight")
    check(other, compare.to_numpy(module.weight_orig), mask > 0, "after loading")


@law("pruning.tensor", docs="torch.nn.utils.prune.BasePruningMethod")
@given(shape=SHAPES, seed=seeds(), amount=st.sampled_from((0.5, 1, 0.25)), masked=st.booleans(),
       scored=st.booleans())  # fmt: skip
def test_tensor(target, shape, seed, amount, masked, scored):
    """A method's prune gives a pruned copy of a tensor, by a mask to start with and scores."""
    tensor = host(shape, seed, target.device).weight.detach()
    before = compare.to_numpy(tensor)
    scores = host(shape, seed + 1, target.device).weight.detach() if scored else None
    start = torch.ones(shape, dtype=torch.float64, device=target.device)
    if masked:
        start.reshape(-1)[0] = 0.0
    deciding = before if scores is None else compare.to_numpy(scores)
    # prune() alone takes its amount of all entries, pruned or not: that is what a container is for.
    mask = pruning.entries(deciding, np.ones(shape, bool), amount)
    expected = before * mask * compare.to_numpy(start)
    method = resolve("torch.nn.utils.prune.L1Unstructured")(amount)
    got = method.prune(tensor, start if masked else None, scores)
    compare.close(got, expected, bound=0.0, dtype=torch.float64, what="pruned tensor")
    compare.unchanged(tensor, before, "tensor")


REJECTED = {
    "negative": (ValueError, "should either be a float in the range", -1),
    "above-one": (ValueError, "should either be a float in the range", 1.5),
    "below-zero": (ValueError, "should either be a float in the range", -0.5),
    "text": (TypeError, "Must be int or float", "half"),
    "too-many": (ValueError, "should be smaller than the number of parameters to prune", 7),
}


@law("pruning.rejected", docs="torch.nn.utils.prune.BasePruningMethod", over=REJECTED)
@given(seed=seeds(), repeated=st.booleans())
def test_rejected(target, case, seed, repeated):
    """An amount that is negative, above 1 as a fraction, or more than there is, is refused.

    The module stays as it was.
    """
    error, message, amount = case
    module = host((2, 3), seed, target.device)
    original = compare.to_numpy(module.weight)
    prune.l1_unstructured(host((2, 3), seed, target.device), "weight", 6)
    names = sorted(module.state_dict())
    with compare.raises(error, message):
        prune.l1_unstructured(module, "weight", amount)
    compare.fact(sorted(module.state_dict()), names, "names in the state")
    compare.unchanged(module.weight, original, "weight")
    compare.fact(prune.is_pruned(module), False, "pruned")
    if repeated:
        with compare.raises(TypeError, "unstructured"):
            prune.global_unstructured([(module, "weight")], prune.LnStructured, amount=1, n=2)
