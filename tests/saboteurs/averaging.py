"""Faults in averaged models: weights, buffers, copies, batch statistics."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import swa_utils
from torch.optim.swa_utils import SWALR, AveragedModel

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Saboteur, replacing


def _weight_late(original: Any) -> Any:
    def make() -> Any:
        average = original()
        return lambda mean, current, n: average(mean, current, n + (1 if n > 2 else 0))

    return make


def _weight_late_of_many(original: Any) -> Any:
    def make() -> Any:
        update = original()

        def late(means: Any, currents: Any, n: Any) -> None:
            update(means, currents, n + 1 if means[0].dtype == torch.float32 else n)

        return late

    return make


def _weights_swapped(original: Any) -> Any:
    def make(decay: float = 0.999) -> Any:
        update, swapped = original(decay), original(1 - decay)

        def ema(mean: Any, current: Any, n: Any) -> Any:
            return (swapped if mean.dim() == 1 else update)(mean, current, n)

        return ema

    return make


def _first_only(original: Any) -> Any:
    def make(decay: float = 0.999) -> Any:
        update = original(decay)

        def ema(means: Any, currents: Any, n: Any) -> None:
            if n < 3:
                update(means, currents, n)

        return ema

    return make


def _rounded_decay(original: Any) -> Any:
    return lambda decay=0.999: original(float(torch.tensor(decay, dtype=torch.float32)))


def _first_is_averaged(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        before = [p.detach().clone() for p in self.module.parameters()]
        first = bool(self.n_averaged == 0)
        original(self, model)
        if first:
            with torch.no_grad():
                for now, old in zip(self.module.parameters(), before, strict=True):
                    now.add_(old).div_(2)

    return update


def _buffers_kept(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        before = [b.clone() for b in self.module.buffers()]
        synced = not self.use_buffers and bool(self.n_averaged > 1)
        original(self, model)
        if synced:
            for now, old in zip(self.module.buffers(), before, strict=True):
                now.copy_(old)

    return update


def _takes_average(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        original(self, model)
        with torch.no_grad():
            pairs = zip(model.buffers(), self.module.buffers(), strict=True)
            for theirs, ours in itertools.islice(pairs, 1):
                theirs.copy_(ours)

    return update


def _counts_integers(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        original(self, model)
        for buffer in self.module.buffers() if self.use_buffers else ():
            if not buffer.is_floating_point() and self.n_averaged > 1:
                buffer.add_(1)

    return update


def _number_late(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        kept = self.avg_fn
        if kept is not None:
            self.avg_fn = lambda mean, current, n: kept(mean, current, n + 1)
        original(self, model)
        self.avg_fn = kept

    return update


def _first_group_only(original: Any) -> Any:
    def update(self: Any, model: Any) -> None:
        kept = self.multi_avg_fn
        if kept is not None:
            self.multi_avg_fn = lambda means, currents, n: kept(means, means, n)
        original(self, model)
        self.multi_avg_fn = kept

    return update


def _shares_buffers(original: Any) -> Any:
    def copy(model: Any) -> Any:
        made = original(model)
        for name, buffer in model.named_buffers():
            setattr(made, name, buffer)
        return made

    return copy


def _count_not_saved(original: Any) -> Any:
    def init(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        hook = self._register_load_state_dict_pre_hook
        hook(lambda state, *_: state.update(n_averaged=torch.clamp(state["n_averaged"], max=2)))

    return init


def _decay_clamped(original: Any) -> Any:
    return lambda decay=0.999: original(min(decay, 1.0))


def _prefers_lists(self: Any, *arguments: Any, **keywords: Any) -> Any:
    if keywords.get("multi_avg_fn") is not None:
        keywords.pop("avg_fn", None)
    return (self, *arguments), keywords


def _without_last_batch(original: Any) -> Any:
    def update(loader: Iterable[Any], model: Any, device: Any = None) -> None:
        batches = list(loader)
        original(batches[:-1] if len(batches) > 2 else batches, model, device)

    return update


def _momentum_lost(original: Any) -> Any:
    def update(loader: Iterable[Any], model: Any, device: Any = None) -> None:
        original(loader, model, device)
        last = list(model.modules())[-1]
        last.momentum = 0.1 if last.momentum is None else last.momentum

    return update


def _mode_lost(original: Any) -> Any:
    def update(loader: Iterable[Any], model: Any, device: Any = None) -> None:
        original(loader, model, device)
        list(model.modules())[-1].train()

    return update


def _keeps_last_momentum(original: Any) -> Any:
    def update(loader: Iterable[Any], model: Any, device: Any = None) -> None:
        last = list(model.modules())[-1]
        kept = last.running_var.clone()
        original(loader, model, device)
        if len(list(loader)) == 1:
            last.running_var.copy_((last.running_var + kept) / 2)

    return update


def _from_initial(original: Any) -> Any:
    def rates(self: Any) -> Any:
        if self._step_count == 2:
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"]
        return original(self)

    return rates


AVERAGE = "averaging.average"
UPDATE = "update_parameters"

SABOTEURS = (
    Saboteur(
        "average-weight-late", "equal weights are off from the fourth model on",
        (f"{AVERAGE}:default", f"{AVERAGE}:swa-one"), "averaged",
        replacing(swa_utils, "get_swa_avg_fn", _weight_late),
    ),
    Saboteur(
        "average-of-many-late", "equal weights of float32 lists are off",
        (f"{AVERAGE}:swa-many",), "averaged vector",
        replacing(swa_utils, "get_swa_multi_avg_fn", _weight_late_of_many),
    ),
    Saboteur(
        "ema-weights-swapped", "the exponential average of vectors swaps its weights",
        (f"{AVERAGE}:ema-one",), "averaged",
        replacing(swa_utils, "get_ema_avg_fn", _weights_swapped),
    ),
    Saboteur(
        "ema-stops", "the exponential average of lists stops after the third model",
        (f"{AVERAGE}:ema-many",), "averaged",
        replacing(swa_utils, "get_ema_multi_avg_fn", _first_only),
    ),
    Saboteur(
        "ema-decay-rounded", "the decay of an exponential average is a float32",
        ("averaging.double-precision:ema-one",), "averaged matrix",
        replacing(swa_utils, "get_ema_avg_fn", _rounded_decay),
    ),
    Saboteur(
        "first-model-averaged", "the first model is averaged with what was before",
        (f"{AVERAGE}:default", f"{AVERAGE}:ema-many"), "averaged",
        replacing(AveragedModel, UPDATE, _first_is_averaged),
    ),
    Saboteur(
        "buffers-out-of-step", "without use_buffers they stay as they were from the third update",
        (f"{AVERAGE}:default",), "averaged", replacing(AveragedModel, UPDATE, _buffers_kept),
    ),
    Saboteur(
        "model-takes-average", "an update writes the average of a buffer into the model",
        (f"{AVERAGE}:swa-one",), "was modified",
        replacing(AveragedModel, UPDATE, _takes_average),
    ),
    Saboteur(
        "integers-drift", "averaged integer buffers count on",
        ("averaging.integer-buffers:default",), "count",
        replacing(AveragedModel, UPDATE, _counts_integers),
    ),
    Saboteur(
        "number-off", "a function of one's own is told one model too many",
        ("averaging.custom-function:one",), "n_averaged as the function got it",
        replacing(AveragedModel, UPDATE, _number_late),
    ),
    Saboteur(
        "lists-of-averages", "a function for lists gets the averages twice",
        ("averaging.custom-function:many",), "",
        replacing(AveragedModel, UPDATE, _first_group_only),
    ),
    Saboteur(
        "buffers-shared", "an averaged model has the model's own buffers",
        ("averaging.copies-the-model",), "memory that both have",
        replacing(swa_utils, "deepcopy", _shares_buffers),
    ),
    Saboteur(
        "count-forgotten", "a loaded state counts two models at most",
        ("averaging.state-goes-on:default",), "",
        replacing(AveragedModel, "__init__", _count_not_saved),
    ),
    Saboteur(
        "decay-clamped", "a decay above 1 is 1",
        ("averaging.decay-rejects:decay-above-one",), "raised nothing",
        replacing(swa_utils, "get_ema_avg_fn", _decay_clamped),
    ),
    Saboteur(
        "one-function-chosen", "of two functions the one for lists is taken",
        ("averaging.one-function",), "raised nothing",
        rewriting(AveragedModel, "__init__", _prefers_lists),
    ),
    Saboteur(
        "last-batch-left-out", "update_bn leaves out the last of three batches",
        ("averaging.batch-statistics:1d",), "",
        replacing(swa_utils, "update_bn", _without_last_batch),
    ),
    Saboteur(
        "momentum-lost", "update_bn gives the last layer the usual momentum",
        ("averaging.batch-statistics:2d",), "momenta afterwards",
        replacing(swa_utils, "update_bn", _momentum_lost),
    ),
    Saboteur(
        "evaluation-lost", "update_bn leaves the last layer in training mode",
        ("averaging.batch-statistics:3d",), "training mode afterwards",
        replacing(swa_utils, "update_bn", _mode_lost),
    ),
    Saboteur(
        "old-variance-kept", "update_bn averages the last layer's variance with the old one",
        ("averaging.batch-statistics:1d-with-length",), "running_var",
        replacing(swa_utils, "update_bn", _keeps_last_momentum),
    ),
    Saboteur(
        "swa-from-initial", "SWALR anneals from the initial rate, whatever came between",
        ("averaging.rate-from-current",), "at step 1 of SWALR",
        replacing(SWALR, "get_lr", _from_initial),
    ),
)  # fmt: skip
