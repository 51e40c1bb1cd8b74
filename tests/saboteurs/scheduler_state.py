"""Faults in schedulers' state: what is not saved, not restored, or not seen when resuming."""

from __future__ import annotations

import warnings
from typing import Any

from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import SWALR

from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def forgetting(kind: Any, name: str) -> Patch:
    """Patch a scheduler so that loading leaves one of its variables as it was."""

    def make(original: Any) -> Any:
        def load(self: Any, state: Any) -> Any:
            kept = getattr(self, name)
            result = original(self, state)
            setattr(self, name, kept)
            return result

        return load

    return replacing(kind, "load_state_dict", make)


def _without_entry(name: str) -> Any:
    def make(original: Any) -> Any:
        def state_dict(self: Any) -> Any:
            return {key: value for key, value in original(self).items() if key != name}

        return state_dict

    return make


def _keeps_scale_function(original: Any) -> Any:
    def init(self: Any) -> None:
        if not hasattr(self, "_scale_fn_ref"):
            original(self)

    return init


def _with_function(original: Any) -> Any:
    def state_dict(self: Any) -> Any:
        return {**original(self), "_scale_fn_ref": self.scale_fn}

    return state_dict


def _pops_functions(original: Any) -> Any:
    def load(self: Any, state: Any) -> None:
        original(self, state)
        del state["lr_lambdas"]

    return load


def _saves_the_object_itself(original: Any) -> Any:
    def state_dict(self: Any) -> Any:
        state = original(self)
        functions = [vars(f) if vars(f) else None for f in self.lr_lambdas]
        return {**state, "lr_lambdas": functions}

    return state_dict


def _loses_scale_object(original: Any) -> Any:
    def state_dict(self: Any) -> Any:
        return {**original(self), "_scale_fn_custom": None}

    return state_dict


def _saves_first_object(original: Any) -> Any:
    def load(self: Any, state: Any) -> None:
        own = [dict(vars(f)) for f in self.lr_lambdas]
        original(self, state)
        vars(self.lr_lambdas[0]).update(own[0])

    return load


def _base_is_current(original: Any) -> Any:
    def init(self: Any, optimizer: Any, last_epoch: int = -1) -> None:
        original(self, optimizer, last_epoch)
        if last_epoch >= 0:
            self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]

    return init


def _counts_from_there(original: Any) -> Any:
    def init(self: Any, optimizer: Any, last_epoch: int = -1) -> None:
        original(self, optimizer, last_epoch)
        if last_epoch > 1:
            self.last_epoch = last_epoch

    return init


def _checks_first_group(original: Any) -> Any:
    def init(self: Any, optimizer: Any, last_epoch: int = -1) -> None:
        for group in optimizer.param_groups[1:]:
            group.setdefault("initial_lr", group["lr"])
        original(self, optimizer, last_epoch)

    return init


def _starts_from_current(original: Any) -> Any:
    def init(self: Any, optimizer: Any, last_epoch: int = -1) -> None:
        if last_epoch == -1 and hasattr(self, "lr_lambdas"):
            for group in optimizer.param_groups[-1:]:
                group["initial_lr"] = group["lr"]
        original(self, optimizer, last_epoch)

    return init


def _forgets_optimizer_steps(original: Any) -> Any:
    def step(self: Any, *arguments: Any) -> Any:
        self.optimizer._opt_called = False
        return original(self, *arguments)

    return step


def _silent(original: Any) -> Any:
    def step(self: Any, *arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(self, *arguments)

    return step


def _first_object_only(original: Any) -> Any:
    def state_dict(self: Any) -> Any:
        state = original(self)
        state["lr_lambdas"][1:] = [None] * (len(state["lr_lambdas"]) - 1)
        return state

    return state_dict


def goes_on(*names: str) -> tuple[str, ...]:
    return tuple(f"scheduler.state-goes-on:{name}" for name in names)


RATES = "learning rates by step and group"

SABOTEURS = (
    Saboteur(
        "gamma-not-restored", "MultiStepLR keeps its own gamma when it loads a state",
        goes_on("MultiStepLR"), RATES, forgetting(schedulers.MultiStepLR, "gamma"),
    ),
    Saboteur(
        "epoch-not-restored", "LinearLR keeps its own epoch when it loads a state",
        goes_on("LinearLR"), "last_epoch", forgetting(schedulers.LinearLR, "last_epoch"),
    ),
    Saboteur(
        "base-rates-not-restored", "CosineAnnealingLR keeps its own initial rates",
        goes_on("CosineAnnealingLR"), RATES, forgetting(schedulers.CosineAnnealingLR, "base_lrs"),
    ),
    Saboteur(
        "period-not-restored", "warm restarts forget how long the period is",
        goes_on("CosineAnnealingWarmRestarts"), RATES,
        forgetting(schedulers.CosineAnnealingWarmRestarts, "T_i"),
    ),
    Saboteur(
        "scale-function-not-restored", "CyclicLR keeps the scale function it was made with",
        goes_on("CyclicLR"), RATES,
        replacing(schedulers.CyclicLR, "_init_scale_fn", _keeps_scale_function),
    ),
    Saboteur(
        "last-rates-not-restored", "get_last_lr does not come with the state",
        goes_on("StepLR", "ExponentialLR"), "get_last_lr",
        forgetting(schedulers.LRScheduler, "_last_lr"),
    ),
    Saboteur(
        "phases-not-restored", "OneCycleLR keeps the phases that it was made with",
        goes_on("OneCycleLR"), RATES, forgetting(schedulers.OneCycleLR, "_schedule_phases"),
    ),
    Saboteur(
        "annealing-not-restored", "SWALR keeps the strategy that it was made with",
        goes_on("SWALR"), RATES, forgetting(SWALR, "anneal_func"),
    ),
    Saboteur(
        "function-in-state", "CyclicLR's state has a function, which no file can hold",
        ("scheduler.state-through-file:CyclicLR",), "",
        replacing(schedulers.CyclicLR, "state_dict", _with_function),
    ),
    Saboteur(
        "floor-not-saved", "CosineAnnealingLR's state lacks eta_min",
        ("scheduler.state-entries:CosineAnnealingLR",), "entries",
        replacing(schedulers.CosineAnnealingLR, "state_dict", _without_entry("eta_min")),
    ),
    Saboteur(
        "functions-popped", "loading a state removes its functions",
        ("scheduler.loading-leaves-state:LambdaLR",), "entries of the loaded state",
        replacing(schedulers.LambdaLR, "load_state_dict", _pops_functions),
    ),
    Saboteur(
        "object-shared", "MultiplicativeLR's state shares what its objects hold",
        ("scheduler.function-objects:MultiplicativeLR",), "state of the function object",
        replacing(schedulers.MultiplicativeLR, "state_dict", _saves_the_object_itself),
    ),
    Saboteur(
        "object-not-loaded", "LambdaLR's first object keeps its own state",
        ("scheduler.function-objects:LambdaLR",), "state of the function object",
        replacing(schedulers.LambdaLR, "load_state_dict", _saves_first_object),
    ),
    Saboteur(
        "scale-object-not-saved", "CyclicLR does not save the state of a callable object",
        ("scheduler.function-objects:CyclicLR",), "state of the function object",
        replacing(schedulers.CyclicLR, "state_dict", _loses_scale_object),
    ),
    Saboteur(
        "resumes-from-current", "a scheduler with last_epoch takes the current rate for initial",
        ("scheduler.resumes:LambdaLR", "scheduler.resumes:CosineAnnealingLR"), RATES,
        replacing(schedulers.LRScheduler, "__init__", _base_is_current),
    ),
    Saboteur(
        "resumes-one-behind", "a scheduler with last_epoch above 1 is one epoch behind",
        ("scheduler.resumes:StepLR",), "last_epoch",
        replacing(schedulers.LRScheduler, "__init__", _counts_from_there),
    ),
    Saboteur(
        "initial-rate-of-first-group", "only the first group must know its initial rate",
        ("scheduler.resuming-needs-initial-rate:StepLR",), "raised nothing",
        replacing(schedulers.LRScheduler, "__init__", _checks_first_group),
    ),
    Saboteur(
        "initial-rate-overwritten", "a later scheduler overwrites the last group's initial rate",
        ("scheduler.initial-rate-stays:ExponentialLR",), "under a scheduler made later",
        replacing(schedulers.LRScheduler, "__init__", _starts_from_current),
    ),
    Saboteur(
        "order-never-right", "a scheduler warns of the order although it is right",
        ("scheduler.warns:step-before-optimizer",), "warnings",
        replacing(schedulers.LRScheduler, "step", _forgets_optimizer_steps),
    ),
    Saboteur(
        "order-unnoticed", "a scheduler never warns when it steps",
        (
            "scheduler.warns:step-before-optimizer",
            "scheduler.warns:optimizer-step-replaced",
            "scheduler.warns:epoch-given",
        ),
        "warnings", replacing(schedulers.LRScheduler, "step", _silent),
    ),
    Saboteur(
        "get-lr-unnoticed", "get_lr between steps warns of nothing",
        ("scheduler.warns:rate-between-steps",), "warnings",
        replacing(
            schedulers, "_warn_get_lr_called_within_step", lambda _: lambda scheduler: None
        ),
    ),
    Saboteur(
        "lambda-second-object", "LambdaLR forgets the state of the second group's object",
        ("scheduler.function-objects:LambdaLR",), "function object",
        replacing(schedulers.LambdaLR, "state_dict", _first_object_only),
    ),
    Saboteur(
        "multiplicative-second-object", "MultiplicativeLR forgets the second group's object",
        ("scheduler.function-objects:MultiplicativeLR",), "function object",
        replacing(schedulers.MultiplicativeLR, "state_dict", _first_object_only),
    ),
)  # fmt: skip
