"""Optimizers under schedulers: making a pair of them, following it, reading its rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from conformance import compare
from conformance.reference.schedulers import CLOSED_FORMS, FACTORS, rounding
from conformance.target import resolve
from strategies.schedulers import Schedule

UNIT = 2.0**-53
"""Unit roundoff of rates that are Python floats."""


def scheduler_class(name: str) -> Callable[..., Any]:
    """Return the class of that name, as torch exports it now."""
    home = "swa_utils" if name == "SWALR" else "lr_scheduler"
    return resolve(f"torch.optim.{home}.{name}")


def optimizer_over(
    rates: Iterable[Any], device: torch.device, kind: str = "SGD", **options: Any
) -> Any:
    """Return an optimizer with one group for each rate; each holds one parameter, a zero."""
    groups = [
        {"params": [torch.zeros(1, dtype=torch.float64, device=device)], "lr": rate}
        for rate in rates
    ]
    return resolve(f"torch.optim.{kind}")(groups, **options)


def named_functions(value: Any) -> Any:
    """Return the functions of an epoch that an option names."""
    return list(map(named_functions, value)) if isinstance(value, list) else FACTORS.get(value)


def arguments_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return options as a scheduler takes them: functions instead of their names."""
    functions = ("lr_lambda", "scale_fn")
    return {k: named_functions(v) if k in functions else v for k, v in options.items()}


def scheduler_over(name: str, optimizer: Any, options: dict[str, Any], **more: Any) -> Any:
    """Return the scheduler of that name with these options."""
    return scheduler_class(name)(optimizer, **arguments_of(options), **more)


def train(optimizer: Any) -> None:
    """Take one step of the optimizer with gradients of 1."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def values_of(groups: Iterable[dict[str, Any]], option: str) -> torch.Tensor:
    """Return one option of all groups, in float64 on the host."""
    return torch.tensor([float(group[option]) for group in groups], dtype=torch.float64)


def check_values(
    optimizer: Any, option: str, expected: Sequence[float], bound: Sequence[float], when: str
) -> None:
    """Check one option of all groups."""
    compare.close(
        values_of(optimizer.param_groups, option),
        np.array(expected, dtype=np.float64),
        bound=np.array(bound, dtype=np.float64),
        dtype=torch.float64,
        what=f"{option} of the groups {when}",
    )


def check_last_rates(scheduler: Any, optimizer: Any, when: str) -> None:
    """Check that get_last_lr tells the rates that the groups have."""
    told = [float(rate) for rate in scheduler.get_last_lr()]
    have = [float(group["lr"]) for group in optimizer.param_groups]
    compare.fact(told, have, f"get_last_lr {when}")


def check_rates(
    name: str,
    optimizer: Any,
    scheduler: Any,
    schedule: Schedule,
    epoch: float,
    unit: float = UNIT,
    steps: int = 0,
) -> None:
    """Check every group's rate against the closed form at an epoch, and what get_last_lr says.

    ``steps`` are those taken, where they are more than the epoch.
    """
    expected, bound = [], []
    for number, base in enumerate(schedule.rates):
        options = schedule.options_of(number)
        expected.append(CLOSED_FORMS[name](base, epoch, **options))
        error = rounding(name, base, epoch, options, unit)
        bound.append(error * (1 + steps / (epoch + 1)))
    check_values(optimizer, "lr", expected, bound, f"at epoch {epoch}")
    check_last_rates(scheduler, optimizer, f"at epoch {epoch}")
