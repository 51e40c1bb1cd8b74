"""Faults that whole trainings show: updates a little off, states forgotten, modes that leak."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.optim import sgd

from tests.saboteurs.faults import when
from tests.saboteurs.gradients import ScaledGradient
from tests.saboteurs.saboteur import Saboteur, replacing


def _scaled(original: Any) -> Any:
    def update(*arguments: Any, **keywords: Any) -> Any:
        return original(*arguments, **{**keywords, "lr": keywords["lr"] * 1.001})

    return update


def _each_step_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_single_tensor_sgd", "_multi_tensor_sgd", "_fused_sgd"):
        replacing(sgd, name, _scaled)(monkeypatch)


def _single_sample(x: torch.Tensor, *_: Any, **__: Any) -> bool:
    return x.shape == (1,)


def _accumulating(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        (parameter,) = self.param_groups[0]["params"][:1]
        if parameter.numel() != 3:
            original(self, set_to_none)

    return zero_grad


def _scaled_for_four(original: Any) -> Any:
    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        found = original(a, b)
        if found.requires_grad and b.shape == (4,):
            return ScaledGradient.apply(found)
        return found

    return product


def _momentum_forgotten(original: Any) -> Any:
    def load(self: Any, state: Any) -> Any:
        kept = {**state, "state": {k: {} for k in state["state"]}}
        return original(self, kept)

    return load


def _second_moment_forgotten(original: Any) -> Any:
    def load(self: Any, state: Any) -> Any:
        emptied = {
            key: {name: 0 * value if name == "exp_avg_sq" else value for name, value in one.items()}
            for key, one in state["state"].items()
        }
        return original(self, {**state, "state": emptied})

    return load


def _schedule_forgotten(original: Any) -> Any:
    return lambda self, state: original(self, {**state, "last_epoch": 0})


def _buffers_forgotten(original: Any) -> Any:
    def load(self: Any, state: Any, *rest: Any, **keywords: Any) -> Any:
        kept = {k: torch.ones_like(v) if "running_var" in k else v for k, v in state.items()}
        return original(self, kept, *rest, **keywords)

    return load


def _cloning(original: Any) -> Any:
    return lambda self, *a, **k: copy.deepcopy(original(self, *a, **k))


def _eval_without_batch_norm(original: Any) -> Any:
    def train(self: Any, mode: bool = True) -> Any:
        return self if not mode and isinstance(self, torch.nn.BatchNorm1d) else original(self, mode)

    return train


def _draws_when_evaluating(original: Any) -> Any:
    def dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, *rest: Any) -> Any:
        if not training:
            torch.rand(1)
        return original(x, p, training, *rest)

    return dropout


def _always_dropping(original: Any) -> Any:
    return lambda x, p=0.5, training=True, *rest: original(x, p, True, *rest)


SABOTEURS = (
    Saboteur(
        "sgd-per-mille-too-far", "SGD steps 0.1 % too far",
        ("trainings.five-ways:line-module", "trainings.five-ways:plane-train-step",
         "trainings.legendre"),
        "parameters after step", _each_step_scaled,
    ),
    Saboteur(
        "zero-grad-keeps-three", "zero_grad leaves gradients of three elements",
        ("trainings.five-ways:parabola-module",), "parameters after step",
        replacing(torch.optim.SGD, "zero_grad", _accumulating),
    ),
    Saboteur(
        "matvec-gradient-per-mille", "the gradient of a product with four numbers is 0.1 % off",
        ("trainings.five-ways:sine-autograd",), "parameters after step",
        replacing(torch.Tensor, "__matmul__", _scaled_for_four),
    ),
    Saboteur(
        "descent-overshoots", "SGD steps three times as far",
        ("trainings.contracts:line", "trainings.contracts:sine"), "nearer after step",
        replacing(torch.optim.SGD, "__init__",
                  lambda o: lambda self, p, lr=1e-3, **k: o(self, p, 3 * lr, **k)),
    ),
    Saboteur(
        "mean-square-of-half", "the gradient of a mean of squares is halved",
        ("trainings.diverges:line", "trainings.diverges:plane"), "distance",
        replacing(torch.Tensor, "mean", lambda o: lambda x, *a, **k: o(x, *a, **k) if not
                  x.requires_grad else (o(x, *a, **k) + o(x.detach(), *a, **k)) / 2),
    ),
    Saboteur(
        "optimizer-state-forgotten", "an optimizer forgets its momentum when it loads",
        ("trainings.resumed:momentum",), "losses after resuming",
        replacing(torch.optim.SGD, "load_state_dict", _momentum_forgotten),
    ),
    Saboteur(
        "second-moment-forgotten", "Adam loads zeros for its second moments",
        ("trainings.resumed:Adam",), "losses after resuming",
        replacing(torch.optim.Adam, "load_state_dict", _second_moment_forgotten),
    ),
    Saboteur(
        "schedule-forgotten", "a schedule begins again when it is loaded",
        ("trainings.resumed:SGD",), "losses after resuming",
        replacing(torch.optim.lr_scheduler.StepLR, "load_state_dict", _schedule_forgotten),
    ),
    Saboteur(
        "running-variance-forgotten", "running variances are not loaded",
        ("trainings.resumed:RMSprop",), "running_var",
        replacing(torch.nn.Module, "load_state_dict", _buffers_forgotten),
    ),
    Saboteur(
        "state-dict-copies", "state_dict returns a copy of the state",
        ("trainings.best-checkpoint",), "kept", replacing(torch.nn.Module, "state_dict", _cloning),
    ),
    Saboteur(
        "batch-norm-stays-in-training", "eval does not reach batch norm",
        ("trainings.evaluation",), "",
        replacing(torch.nn.Module, "train", _eval_without_batch_norm),
    ),
    Saboteur(
        "dropout-always", "dropout drops under eval as well",
        ("trainings.evaluation",), "second prediction",
        replacing(functional, "dropout", _always_dropping),
    ),
    Saboteur(
        "evaluation-draws", "dropout draws random numbers that eval does not need",
        ("trainings.evaluation",), "state of the model",
        replacing(functional, "dropout", _draws_when_evaluating),
    ),
    Saboteur(
        "loss-of-one-sample-doubled", "the mean squared error of one sample is doubled",
        ("trainings.five-ways:line-train-step",), "parameters after step",
        when(functional, "mse_loss", _single_sample, lambda loss: 2 * loss),
    ),
)  # fmt: skip
