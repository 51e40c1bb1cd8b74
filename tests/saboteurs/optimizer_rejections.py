"""Faults in rejections: bad options, parameters and gradients that go through."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.optim import Optimizer

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
Options = dict[str, Any]

AFTER = "after step"


def _parameters(self: Any) -> list[Tensor]:
    return [p for group in self.param_groups for p in group["params"]]


def _without_check(name: str, value: Any) -> Any:
    """Construct with a legal value, and set the option afterwards."""

    def make(original: Any) -> Any:
        def construct(self: Any, params: Any, *rest: Any, **options: Any) -> None:
            given = options.get(name)
            try:
                original(self, params, *rest, **options)
            except ValueError:
                if name not in options:
                    raise
                original(self, params, *rest, **{**options, name: value})
                for group in self.param_groups:
                    group[name] = given

        return construct

    return make


def _touches_before_it_refuses(original: Any) -> Any:
    def construct(self: Any, params: Any, *rest: Any, **options: Any) -> None:
        kept = list(params)
        try:
            original(self, kept, *rest, **options)
        except ValueError:
            with torch.no_grad():
                for parameter in kept:
                    parameter.add_(1)
            raise

    return construct


def _dense_first(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        for parameter in _parameters(self):
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        return original(self, closure)

    return step


def _ignores_capturable(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["capturable"] = False
        return original(self, closure)

    return step


def _adds_before_it_refuses(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        try:
            original(self, group)
        except ValueError as error:
            if "more than one" in str(error):
                self.param_groups.append(group)
            raise

    return add


def _silently(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            original(self, group)

    return add


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


SABOTEURS = (
    Saboteur(
        "rho-unchecked", "Adadelta takes any rho",
        _all("bad-option-raises", "Adadelta-rho"), "raised nothing",
        replacing(torch.optim.Adadelta, "__init__", _without_check("rho", 0.5)),
    ),
    Saboteur(
        "eps-unchecked", "RMSprop takes a negative eps",
        _all("bad-option-raises", "RMSprop-eps"), "raised nothing",
        replacing(torch.optim.RMSprop, "__init__", _without_check("eps", 1e-8)),
    ),
    Saboteur(
        "refusal-writes", "NAdam's refusal changes the parameters",
        _all("bad-option-raises", "NAdam-beta-1"), "was modified",
        replacing(torch.optim.NAdam, "__init__", _touches_before_it_refuses),
    ),
    Saboteur(
        "fused-and-foreach", "Adam takes fused and foreach together",
        _all("conflict-raises", "Adam-fused-foreach"), "raised nothing",
        accepting(torch.optim.Adam, "__init__", RuntimeError, lambda *_, **__: None),
    ),
    Saboteur(
        "sparse-made-dense", "Rprop writes sparse gradients out",
        _all("bad-gradient-raises", "Rprop-sparse"), "raised nothing",
        replacing(torch.optim.Rprop, "step", _dense_first),
    ),
    Saboteur(
        "complex-sparse-adam", "SparseAdam takes complex parameters",
        _all("bad-parameter-raises", "SparseAdam-complex"), "raised nothing",
        accepting(torch.optim.SparseAdam, "__init__", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "shared-between-groups", "a parameter may be in two groups",
        _all("bad-parameters-raise", "shared-between-groups"), "raised nothing",
        accepting(Optimizer, "add_param_group", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "duplicate-added", "a refused group is added all the same",
        _all("added-duplicate-raises", "SGD", "LBFGS"), "groups after the refusal",
        replacing(Optimizer, "add_param_group", _adds_before_it_refuses),
    ),
    Saboteur(
        "duplicates-unheard", "a parameter that occurs twice is not warned of",
        _all("duplicate-warns", "SGD", "Muon"), "warnings of duplicates",
        replacing(Optimizer, "add_param_group", _silently),
    ),
    Saboteur(
        "lbfgs-groups", "LBFGS takes several groups",
        ("optimizer.one-group-only",), "raised nothing",
        accepting(torch.optim.LBFGS, "__init__", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "capturable-on-the-host", "RAdam ignores capturable on the host",
        _all("capturable-needs-accelerator", "RAdam"), "raised nothing",
        replacing(torch.optim.RAdam, "step", _ignores_capturable),
    ),
)  # fmt: skip
