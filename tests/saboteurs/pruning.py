"""Faults in pruning: amounts of what is left, scores, masks that combine, hooks that stay."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils import prune

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing


def _ignores_scores(original: Any) -> Any:
    def structured(
        module: Any, name: str, amount: Any, n: Any, dim: int, scores: Any = None
    ) -> Any:
        return original(module, name, amount, n, dim, None if n == 1 else scores)

    return structured


def _of_all(original: Any) -> Any:
    """A container takes the amount of all entries, pruned or not."""

    def compute(self: Any, t: Any, default_mask: Any) -> Any:
        method = self._pruning_methods[-1]
        if len(self._pruning_methods) > 2 and method.PRUNING_TYPE == "unstructured":
            return method.compute_mask(t, default_mask=default_mask)
        return original(self, t, default_mask)

    return compute


def _forgets_third(original: Any) -> Any:
    def compute(self: Any, t: Any, default_mask: Any) -> Any:
        before = default_mask.clone()
        mask = original(self, t, default_mask)
        return mask if len(self._pruning_methods) < 3 else before

    return compute


def _once_a_mask(original: Any) -> Any:
    """The weight is made anew at the first call only."""

    def called(self: Any, module: Any, inputs: Any) -> None:
        if not getattr(self, "called", False):
            original(self, module, inputs)
        self.called = True

    return called


def _whole_gradient(original: Any) -> Any:
    def masked(self: Any, module: Any) -> Any:
        value = original(self, module)
        orig = getattr(module, self._tensor_name + "_orig")
        return value if value.dim() < 3 else orig + (value - orig).detach()

    return masked


def _from_the_front(original: Any) -> Any:
    def compute(self: Any, t: Any, default_mask: Any) -> Any:
        mask = original(self, t, default_mask)
        return mask.flatten().sort().values.reshape(mask.shape)

    return compute


def _one_fewer(original: Any) -> Any:
    """Random slices: of four, one fewer than asked."""

    def compute(self: Any, t: Any, default_mask: Any) -> Any:
        mask = original(self, t, default_mask)
        if t.shape[self.dim] == 4:
            mask[:] = default_mask
        return mask

    return compute


def _unscored(original: Any) -> Any:
    def prune_all(
        parameters: Any, pruning_method: Any, importance_scores: Any = None, **words: Any
    ) -> Any:
        return original(parameters, pruning_method, None, **words)

    return prune_all


def _twice_the_first(original: Any) -> Any:
    """Global pruning forgets the masks of a pruning before it where there are several modules."""

    def prune_all(parameters: Any, *rest: Any, **words: Any) -> Any:
        if len(parameters) > 2 and hasattr(parameters[-1][0], "weight_mask"):
            parameters[-1][0].weight_mask.fill_(1.0)
        return original(parameters, *rest, **words)

    return prune_all


def _undone(original: Any) -> Any:
    def remove(module: Any, name: str) -> Any:
        kept = getattr(module, name + "_orig", None)
        values = None if kept is None else kept.detach().clone()
        result = original(module, name)
        if values is not None and values.dim() == 3:
            getattr(module, name).data.copy_(values)
        return result

    return remove


def _freshly_wrapped(original: Any) -> Any:
    def remove(module: Any, name: str) -> Any:
        result = original(module, name)
        old = getattr(module, name)
        setattr(module, name, torch.nn.Parameter(old.detach().clone(), old.requires_grad))
        return result

    return remove


def _mask_unsaved(original: Any) -> Any:
    def apply(cls: Any, module: Any, name: str, *rest: Any, **words: Any) -> Any:
        method = original.__func__(cls, module, name, *rest, **words)
        module._non_persistent_buffers_set.add(name + "_mask")
        return method

    return classmethod(apply)


def _patched_class_method(monkeypatch: Any) -> None:
    owner = prune.BasePruningMethod
    monkeypatch.setattr(owner, "apply", _mask_unsaved(vars(owner)["apply"]))


def _scores_of_the_tensor(original: Any) -> Any:
    def pruned(self: Any, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        return original(
            self, t, default_mask, None if default_mask is not None else importance_scores
        )

    return pruned


def _one_a_module(original: Any) -> Any:
    """A module has one hook of pruning: that of the parameter that was pruned last."""

    def apply(cls: Any, module: Any, name: str, *rest: Any, **words: Any) -> Any:
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, prune.BasePruningMethod) and hook._tensor_name != name:
                del module._forward_pre_hooks[key]
        return original.__func__(cls, module, name, *rest, **words)

    return classmethod(apply)


def _scores_once(original: Any) -> Any:
    """What is pruned already is pruned by its own sizes."""

    def apply(
        cls: Any, /, module: Any, name: str, *rest: Any, importance_scores: Any = None, **words: Any
    ) -> Any:
        known = None if hasattr(module, f"{name}_mask") else importance_scores
        return original.__func__(cls, module, name, *rest, importance_scores=known, **words)

    return classmethod(apply)


def _off_in_single(original: Any) -> Any:
    def masked(self: Any, module: Any) -> Any:
        value = original(self, module)
        return value * 1.001 if value.dtype == torch.float32 and value.dim() > 2 else value

    return masked


def _smallest_as_two(original: Any) -> Any:
    def norm(t: Any, n: Any, dim: int) -> Any:
        return original(t, 2 if n == -float("inf") else n, dim)

    return norm


def _in_training(original: Any) -> Any:
    def called(self: Any, module: Any, inputs: Any) -> None:
        if module.training:
            original(self, module, inputs)

    return called


def _nothing_at_random(original: Any) -> Any:
    def everywhere(parameters: Any, method: Any, *rest: Any, **words: Any) -> Any:
        if method is prune.RandomUnstructured and len(parameters) > 1:
            words["amount"] = 0
        return original(parameters, method, *rest, **words)

    return everywhere


def _left_alone(original: Any) -> Any:
    """A method for all entries gets those that are left."""

    def compute(self: Any, t: Any, default_mask: Any) -> Any:
        method = self._pruning_methods[-1]
        if method.PRUNING_TYPE == "global":
            method.PRUNING_TYPE = "unstructured"
        return original(self, t, default_mask)

    return compute


class _Shared:
    """A hook that its copies are, too, and that knows the first module alone."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def patch(self, monkeypatch: Any) -> None:
        def called(method: Any, module: Any, inputs: Any) -> None:
            method.module = getattr(method, "module", module)
            self.original(method, method.module, inputs)

        base = prune.BasePruningMethod
        monkeypatch.setattr(base, "__call__", called)
        monkeypatch.setattr(base, "__deepcopy__", lambda method, memo: method, raising=False)


SABOTEURS = (
    Saboteur("pruning-one-a-module", "pruning a parameter forgets the hook of another",
             ("pruning.apart",), "hooks",
             replacing(prune.BasePruningMethod, "apply", _one_a_module)),
    Saboteur("pruning-scores-once", "scores are ignored where something is pruned already",
             ("pruning.iterated",), "mask after step",
             replacing(prune.BasePruningMethod, "apply", _scores_once)),
    Saboteur("pruning-single", "a block of weights in float32 is off",
             ("pruning.smallest:l1_unstructured",), "weight after pruning",
             replacing(prune.BasePruningMethod, "apply_mask", _off_in_single)),
    Saboteur("pruning-smallest-norm", "the norm of minus infinity is that of 2",
             ("pruning.smallest:ln_structured",), "mask after pruning",
             replacing(prune, "_compute_norm", _smallest_as_two)),
    Saboteur("pruning-evaluation", "in evaluation a pruned weight is not made anew",
             ("pruning.recomputed",), "weight",
             replacing(prune.BasePruningMethod, "__call__", _in_training)),
    Saboteur("pruning-nothing-at-random", "several parameters are not pruned at random",
             ("pruning.global-random",), "entries left",
             replacing(prune, "global_unstructured", _nothing_at_random)),
    Saboteur("pruning-left-alone", "a global method gets the entries that are left",
             ("pruning.own-method:global",), "shapes of what the method got",
             replacing(prune.PruningContainer, "compute_mask", _left_alone)),
    Saboteur("pruning-copied-hook", "the hook of a copy is that of the module it is a copy of",
             ("pruning.saved",), "result of the copy",
             _Shared(prune.BasePruningMethod.__call__).patch),
    Saboteur("pruning-scores", "ln_structured ignores importance scores for n=1",
             ("pruning.smallest:ln_structured",), "mask after pruning",
             replacing(prune, "ln_structured", _ignores_scores)),
    Saboteur("pruning-of-all", "the third pruning takes its amount of all entries",
             ("pruning.iterated",), "mask after step",
             replacing(prune.PruningContainer, "compute_mask", _of_all)),
    Saboteur("pruning-third", "the third pruning has no effect",
             ("pruning.iterated",), "mask after step",
             replacing(prune.PruningContainer, "compute_mask", _forgets_third)),
    Saboteur("pruning-once", "a pruned weight is recomputed before the first forward only",
             ("pruning.recomputed",), "weight",
             replacing(prune.BasePruningMethod, "__call__", _once_a_mask)),
    Saboteur("pruning-gradient", "the gradient of a pruned block of weights is not masked",
             ("pruning.recomputed",), "gradient",
             replacing(prune.BasePruningMethod, "apply_mask", _whole_gradient)),
    Saboteur("pruning-random-front", "random pruning masks the first entries",
             ("pruning.random-even:random_unstructured",), "times kept",
             replacing(prune.RandomUnstructured, "compute_mask", _from_the_front)),
    Saboteur("pruning-random-slices", "random pruning of four slices masks none",
             ("pruning.random:random_structured",), "slices left",
             replacing(prune.RandomStructured, "compute_mask", _one_fewer)),
    Saboteur("pruning-global-scores", "global pruning ignores importance scores",
             ("pruning.global",), "mask after global pruning",
             replacing(prune, "global_unstructured", _unscored)),
    Saboteur("pruning-global-again", "global pruning forgets the last of three masks",
             ("pruning.global",), "mask after global pruning",
             replacing(prune, "global_unstructured", _twice_the_first)),
    Saboteur("pruning-undone", "remove restores the original of three dimensions",
             ("pruning.removed",), "weight", replacing(prune, "remove", _undone)),
    Saboteur("pruning-new-parameter", "remove makes a parameter of its own",
             ("pruning.removed",), "the parameter is the original one",
             replacing(prune, "remove", _freshly_wrapped)),
    Saboteur("pruning-unsaved", "the mask is no part of the state",
             ("pruning.state",), "", _patched_class_method),
    Saboteur("pruning-tensor", "prune of a tensor with a mask ignores its scores",
             ("pruning.tensor",), "pruned tensor",
             replacing(prune.L1Unstructured, "prune", _scores_of_the_tensor)),
    Saboteur("pruning-too-many", "pruning more than there is prunes all",
             ("pruning.rejected:too-many",), "raised nothing",
             accepting(prune, "l1_unstructured", ValueError, lambda module, *rest: module)),
)  # fmt: skip
