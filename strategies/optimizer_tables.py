"""The options of every optimizer in torch.optim: legal values, the plainest first.

Each value is one that the class documents and accepts. Two kinds stay out: an epsilon of 0, and
``alpha=0`` of RMSprop. There the formula divides zero by zero, or takes the root of a difference
that is zero but for rounding, so that any result would do. A learning rate or beta given as a
tensor stays out too: it belongs to a device and is an object that steps may share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Options = dict[str, Any]

_LEARNING_RATES = (0.125, 1e-3, 0.0)
_DECAYS = (0.0, 0.1)
_EPSILONS = (1e-8, 1e-3)
_BETAS = ((0.9, 0.999), (0.5, 0.75), (0.0, 0.5))
_SWITCH = (False, True)

OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {
        "lr": (0.125, 1e-3, 0.0, 1.0),
        "momentum": (0.0, 0.5, 0.9),
        "dampening": (0.0, 0.25),
        "weight_decay": _DECAYS,
        "nesterov": _SWITCH,
        "maximize": _SWITCH,
    },
    "Adam": {
        "lr": _LEARNING_RATES,
        "betas": _BETAS,
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "amsgrad": _SWITCH,
        "maximize": _SWITCH,
    },
    "AdamW": {
        "lr": _LEARNING_RATES,
        "betas": _BETAS,
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "amsgrad": _SWITCH,
        "maximize": _SWITCH,
    },
    "Adamax": {
        "lr": _LEARNING_RATES,
        "betas": _BETAS,
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "maximize": _SWITCH,
    },
    "NAdam": {
        "lr": _LEARNING_RATES,
        "betas": _BETAS,
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "momentum_decay": (0.0, 4e-3, 0.5),
        "decoupled_weight_decay": _SWITCH,
        "maximize": _SWITCH,
    },
    "RAdam": {
        "lr": _LEARNING_RATES,
        # Within six steps the first two pairs reach the rectified update; the last never does.
        "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.5)),
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "decoupled_weight_decay": _SWITCH,
        "maximize": _SWITCH,
    },
    "RMSprop": {
        "lr": _LEARNING_RATES,
        "alpha": (0.99, 0.5),
        "eps": _EPSILONS,
        "weight_decay": _DECAYS,
        "momentum": (0.0, 0.5, 0.9),
        "centered": _SWITCH,
        "maximize": _SWITCH,
    },
    "Adagrad": {
        "lr": _LEARNING_RATES,
        "lr_decay": (0.0, 0.5),
        "weight_decay": _DECAYS,
        "initial_accumulator_value": (0.0, 0.5),
        "eps": (1e-10, 1e-3),
        "maximize": _SWITCH,
    },
    "Adadelta": {
        "lr": (1.0, 0.125, 0.0),
        "rho": (0.9, 0.5, 0.0, 1.0),
        "eps": (1e-6, 1e-3),
        "weight_decay": _DECAYS,
        "maximize": _SWITCH,
    },
    "Adafactor": {
        "lr": _LEARNING_RATES,
        "beta2_decay": (-0.8, -0.5, 0.0),
        "eps": ((None, 1e-3), (1e-3, 1e-3), (None, 0.0)),
        "d": (1.0, 2.0),
        "weight_decay": _DECAYS,
        "maximize": _SWITCH,
    },
    "ASGD": {
        "lr": _LEARNING_RATES,
        "lambd": (0.0, 1e-4, 0.1),
        "alpha": (0.75, 0.0, 1.0),
        "t0": (1e6, 2.0, 0.0),  # averaging starts never, at the third step, at once
        "weight_decay": _DECAYS,
        "maximize": _SWITCH,
    },
    "Rprop": {
        "lr": _LEARNING_RATES,
        "etas": ((0.5, 1.2), (0.25, 2.0)),
        "step_sizes": ((1e-6, 50.0), (0.0625, 0.25)),  # the second clips at the first steps
        "maximize": _SWITCH,
    },
    "LBFGS": {
        "lr": (1.0, 0.125, 0.0),
        "max_iter": (1, 4, 20),
        "max_eval": (None, 1, 5),
        "tolerance_grad": (1e-7, 0.0, 0.5),
        "tolerance_change": (1e-9, 0.0, 0.5),
        "history_size": (100, 1, 2),
        "line_search_fn": (None, "strong_wolfe"),
    },
    "SparseAdam": {
        "lr": (0.125, 1e-3),  # a learning rate of 0 is refused by this class alone
        "betas": _BETAS,
        "eps": _EPSILONS,
        "maximize": _SWITCH,
    },
    "Muon": {
        "lr": _LEARNING_RATES,
        "weight_decay": _DECAYS,
        "momentum": (0.0, 0.5, 0.95),
        "nesterov": _SWITCH,
        # Keller Jordan's quintic, and the classical cubic that does converge to U V^T.
        "ns_coefficients": ((3.4445, -4.775, 2.0315), (1.5, -0.5, 0.0)),
        "eps": (1e-7, 1e-3),
        "ns_steps": (5, 1, 0),
        "adjust_lr_fn": (None, "original", "match_rms_adamw"),
    },
}
"""Values by option by the name of the class in torch.optim."""


def _nesterov_needs_plain_momentum(options: Options) -> Options:
    """torch.optim.SGD: "Nesterov momentum requires a momentum and zero dampening"."""
    if options["nesterov"]:
        options["momentum"] = options["momentum"] or 0.9
        options["dampening"] = 0.0
    return options


def _line_search_needs_a_step(options: Options) -> Options:
    """A line search starts with a step of length lr; torch divides by the length of a null step."""
    if options["line_search_fn"]:
        options["lr"] = options["lr"] or 1.0
    return options


RESOLVE: dict[str, Callable[[Options], Options]] = {
    "SGD": _nesterov_needs_plain_momentum,
    "LBFGS": _line_search_needs_a_step,
}
"""What makes a combination legal, by the name of the class, where not every one is."""

MAX_GROUPS = {"LBFGS": 1}
"""How many parameter groups a class takes, where it documents a limit."""

VARIANTS: tuple[Options, ...] = (
    {},
    {"foreach": True},
    {"foreach": False},
    {"fused": True},
    {"differentiable": True},
    {"capturable": True},
    {"capturable": True, "foreach": False},
)
"""Choices of implementation: the default, then every other, where a class takes its options."""

UNSUPPORTED: dict[tuple[str, str], tuple[str, ...]] = {
    **{(name, "capturable"): ("mps", "mtia") for name in OPTIONS},
    ("Adagrad", "fused"): ("mps", "mtia", "xpu", "hpu"),  # documented: CPU and CUDA only
}
"""Accelerators without an implementation, by class and option."""
