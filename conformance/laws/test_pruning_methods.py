"""Pruning methods: those of one's own, several parameters at once, and copies of what is pruned."""

import copy
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn.utils import prune

from conformance import compare
from conformance.law import given, law
from conformance.reference import pruning
from conformance.scenarios.pruning import SHAPES, host
from strategies import seeds

BASE = "torch.nn.utils.prune.BasePruningMethod"


@law("pruning.apart", docs="torch.nn.utils.prune.remove")
@given(
    shape=SHAPES, seed=seeds(), order=st.booleans(), again=st.booleans(),
    removed=st.sampled_from(("weight", "bias")),
)  # fmt: skip
def test_apart(target, shape, seed, order, again, removed):
    """Parameters of one module are pruned apart: what happens to the one leaves the other pruned.

    Each has a hook of its own; hooks of others stay as well.
    """
    module = host(shape, seed, target.device)
    module.forward = lambda: (module.weight * 1.0, module.bias * 1.0)
    called = []
    module.register_forward_pre_hook(lambda *_: called.append(True))
    originals = {name: compare.to_numpy(getattr(module, name)) for name in ("weight", "bias")}
    masks = {name: np.ones(value.shape, bool) for name, value in originals.items()}
    names = ["weight", "bias"] if order else ["bias", "weight"]
    for name in [*names, *(names[:1] if again else [])]:
        prune.l1_unstructured(module, name, 1)
        masks[name] = pruning.entries(originals[name], masks[name], 1)
    compare.fact(len(module._forward_pre_hooks), 3, "hooks")
    if removed == "weight":
        originals["weight"] = np.where(masks["weight"], originals["weight"], 0.0)
    else:
        originals["bias"] = np.where(masks["bias"], originals["bias"], 0.0)
    prune.remove(module, removed)
    compare.fact((prune.is_pruned(module), len(module._forward_pre_hooks)), (True, 2), "pruned")
    other = "bias" if removed == "weight" else "weight"
    with torch.no_grad():
        getattr(module, f"{other}_orig").mul_(2.0)
        getattr(module, removed).mul_(2.0)
    results = target.run(module)
    for name, result in zip(("weight", "bias"), results, strict=True):
        expected = 2 * np.where(masks[name], originals[name], 0.0)
        compare.close(result, expected, bound=0.0, dtype=torch.float64, what=name)
    compare.fact(called, [True], "calls of the other hook")
    wanted = sorted([removed, f"{other}_orig", f"{other}_mask"])
    compare.fact(sorted(module.state_dict()), wanted, "names in the state")


class Largest(prune.BasePruningMethod):
    """Prunes the largest entry of what it is given, or the first slice that is not empty."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, seen):
        self.seen = seen

    def compute_mask(self, t, default_mask):
        self.seen.append((tuple(t.shape), tuple(default_mask.shape)))
        mask = default_mask.clone()
        mask.reshape(-1)[t.abs().reshape(-1).argmax()] = 0
        return mask


class LargestOfAll(Largest):
    """The same of all entries, pruned or not."""

    PRUNING_TYPE = "global"


METHODS = {"unstructured": Largest, "global": LargestOfAll}


@law("pruning.own-method", docs="torch.nn.utils.prune.PruningContainer", over=METHODS)
@given(shape=SHAPES, seed=seeds(), first=st.integers(1, 3))
def test_own_method(target, case, shape, seed, first):
    """A method of one's own gets what is left to prune, as its type says, and its mask counts.

    "for 'unstructured', the mask will be computed from the raveled list of nonmasked entries";
    "for 'global', the mask will be computed across all entries."
    """
    module = host(shape, seed, target.device)
    original = compare.to_numpy(module.weight)
    seen: list[Any] = []
    prune.l1_unstructured(module, "weight", first)
    mask = pruning.entries(original, np.ones(shape, bool), first)
    returned = case.apply(module, "weight", seen)
    # The largest is not among those that went before.
    mask.reshape(-1)[np.abs(original).argmax()] = False
    compare.close(
        module.weight, np.where(mask, original, 0.0), bound=0.0, dtype=torch.float64, what="weight"
    )
    left = (original.size - first,) if case is Largest else shape
    compare.fact(seen, [(left, left)], "shapes of what the method got")
    compare.fact(isinstance(returned, prune.BasePruningMethod), True, "apply returns the method")


@law("pruning.global-random", docs="torch.nn.utils.prune.global_unstructured")
@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=3), seed=seeds(),
    amounts=st.lists(st.sampled_from((0.5, 1, 3)), min_size=1, max_size=2),
)  # fmt: skip
def test_global_random(target, shapes, seed, amounts):
    """global_unstructured takes its amount by any unstructured method: at random so many of all."""
    modules = [host(shape, seed + n, target.device) for n, shape in enumerate(shapes)]
    originals = [compare.to_numpy(module.weight) for module in modules]
    left = sum(original.size for original in originals)
    torch.manual_seed(seed)
    pairs = [(module, "weight") for module in modules]
    for amount in amounts:
        amount = min(amount, left) if isinstance(amount, int) else amount
        prune.global_unstructured(pairs, prune.RandomUnstructured, amount=amount)
        left -= pruning.counted(amount, left)
        masks = [compare.to_numpy(module.weight_mask) for module in modules]
        compare.fact(sum(int(mask.sum()) for mask in masks), left, "entries left")
        for module, mask, original in zip(modules, masks, originals, strict=True):
            compare.fact(bool(np.isin(mask, (0.0, 1.0)).all()), True, "ones and zeros")
            expected = np.where(mask > 0, original, 0.0)
            compare.close(module.weight, expected, bound=0.0, dtype=torch.float64, what="weight")


class Linear(torch.nn.Module):
    """A product with its weight: of a class, so that copies are of their own weight."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x):
        return x @ self.weight


@law("pruning.saved", docs=BASE, level="should")
@given(
    seed=seeds(), amount=st.integers(1, 5), dtype=st.sampled_from((torch.float64, torch.float32))
)
def test_saved(target, seed, amount, dtype):
    """A pruned module is copied with its mask once its weight was made without gradients.

    The copy is pruned by itself: writes to its original show in its own result alone.
    """
    weight = host((2, 3), seed, target.device).weight.detach()
    module: Any = Linear(weight.clone()).to(dtype)
    prune.l1_unstructured(module, "weight", amount)
    original, mask = compare.to_numpy(module.weight_orig), compare.to_numpy(module.weight_mask)
    x = torch.eye(2, dtype=dtype, device=target.device)
    with torch.no_grad():
        module(x)
        other = copy.deepcopy(module)
        other.weight_orig.mul_(2.0)
    own, found = target.run(module, x), target.run(other, x)
    compare.close(own, original * mask, bound=0.0, dtype=dtype, what="result")
    compare.close(found, 2 * original * mask, bound=0.0, dtype=dtype, what="result of the copy")
