"""Updates of optimizers in closed form, one step at a time, with bounds on rounding.

Each form takes what is kept of one parameter and its gradient, and returns what is kept after the
step, by the names of the state_dict; :func:`follow` goes through a history of gradients.
"""

from __future__ import annotations

from conformance.reference.optimizers.adaptive import adadelta, adagrad, rmsprop
from conformance.reference.optimizers.descent import asgd, rprop, sgd
from conformance.reference.optimizers.factored import adafactor, muon
from conformance.reference.optimizers.moments import (
    adam,
    adamax,
    adamw,
    nadam,
    radam,
    sparse_adam,
)
from conformance.reference.optimizers.rounding import Rounded, limit
from conformance.reference.optimizers.state import ClosedForm, Options, State, follow

CLOSED_FORMS: dict[str, ClosedForm] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "Adamax": adamax,
    "NAdam": nadam,
    "RAdam": radam,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
    "Adafactor": adafactor,
    "ASGD": asgd,
    "Rprop": rprop,
    "SparseAdam": sparse_adam,
    "Muon": muon,
}
"""Closed form by the name of the class in torch.optim; that of LBFGS takes an objective."""

__all__ = ["CLOSED_FORMS", "ClosedForm", "Options", "Rounded", "State", "follow", "limit"]
