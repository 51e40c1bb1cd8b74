"""Optimizer options and histories of gradients.

An optimizer's documented options stand in a table; what may not be combined is resolved by
construction. A history holds the parameters' starting values and, for each step, a gradient or
None for each parameter: ordinary, zero, repeated, huge and tiny ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.shapes import Shape
from strategies.values import Array, raw_bytes, value_table

_PARAMETER_SHAPES: tuple[Shape, ...] = ((), (1,), (3,), (2, 2), (1, 5), (0,))
_MAX_STEPS = 6

Options = dict[str, Any]


@dataclass(frozen=True, eq=False)
class GradientHistory:
    """Starting values of the parameters, and for each step one gradient or None for each."""

    start: tuple[Array, ...]
    steps: tuple[tuple[Array | None, ...], ...]

    def of(self, parameter: int) -> list[Array | None]:
        """Return the gradients of one parameter, step by step."""
        return [step[parameter] for step in self.steps]

    def parameters(self, dtype: torch.dtype, device: torch.device) -> list[torch.Tensor]:
        """Return new leaves that hold the starting values."""
        return [
            torch.tensor(value, dtype=dtype, device=device, requires_grad=True)
            for value in self.start
        ]


_TABLES: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {
        "lr": (0.125, 1e-3, 0.0, 1.0),
        "momentum": (0.0, 0.5, 0.9),
        "dampening": (0.0, 0.25),
        "weight_decay": (0.0, 0.1),
        "nesterov": (False, True),
        "maximize": (False, True),
    },
    "Adam": {
        "lr": (0.125, 1e-3, 0.0),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.5)),
        "eps": (1e-8, 1e-3),
        "weight_decay": (0.0, 0.1),
        "amsgrad": (False, True),
        "maximize": (False, True),
    },
}


def _nesterov_needs_plain_momentum(options: Options) -> Options:
    """torch.optim.SGD: "Nesterov momentum requires a momentum and zero dampening"."""
    if options["nesterov"]:
        options["momentum"] = options["momentum"] or 0.9
        options["dampening"] = 0.0
    return options


_RESOLVE: dict[str, Callable[[Options], Options]] = {"SGD": _nesterov_needs_plain_momentum}


@cache
def optimizer_options(name: str) -> st.SearchStrategy[Options]:
    """Draw a legal combination of the documented options of ``torch.optim.<name>``.

    Shrinks towards plain descent: no momentum, no decay, no variants.

    Example::

        @given(optimizer_options("SGD"))
        def test(options): torch.optim.SGD([torch.zeros(1)], **options)
    """
    if name not in _TABLES:
        raise InvalidArgument(
            f"optimizer_options({name!r}): no such table; use one of {', '.join(_TABLES)}"
        )
    choices = {key: st.sampled_from(values) for key, values in _TABLES[name].items()}
    return st.fixed_dictionaries(choices).map(_RESOLVE.get(name, lambda options: options))


def _gradient(kind: int, ordinary: Array, previous: Array | None) -> Array | None:
    if kind < 8:
        return ordinary
    if kind == 8:
        return None
    if kind == 9:
        return np.zeros_like(ordinary)
    if kind == 10:
        return ordinary if previous is None else previous
    return ordinary * (2.0**40 if kind == 11 else 2.0**-40)


@st.composite
def _histories(draw: st.DrawFn, max_parameters: int, late_starts: bool) -> GradientHistory:
    shapes = draw(_shape_lists(max_parameters))
    steps = draw(_step_counts())
    elements = sum(map(prod, shapes))
    table = value_table(torch.float64, "dyadic")
    raw = np.frombuffer(draw(raw_bytes(elements * (steps + 1))), dtype=np.uint8)
    rows = table[raw].reshape(steps + 1, elements)
    kinds = draw(raw_bytes(steps * len(shapes)))
    if not late_starts:
        kinds = bytes(len(shapes)) + kinds[len(shapes) :]
    cuts = np.cumsum([prod(s) for s in shapes])[:-1]

    def split(row: Array) -> list[Array]:
        return [part.reshape(s) for part, s in zip(np.split(row, cuts), shapes, strict=True)]

    history: list[tuple[Array | None, ...]] = []
    for step in range(steps):
        previous = history[-1] if history else (None,) * len(shapes)
        chosen = kinds[step * len(shapes) : (step + 1) * len(shapes)]
        history.append(
            tuple(
                _gradient(kind % 13, value, before)
                for kind, value, before in zip(chosen, split(rows[step]), previous, strict=True)
            )
        )
    return GradientHistory(tuple(split(rows[steps])), tuple(history))


@cache
def _shape_lists(max_parameters: int) -> st.SearchStrategy[list[Shape]]:
    return st.lists(st.sampled_from(_PARAMETER_SHAPES), min_size=1, max_size=max_parameters)


@cache
def _step_counts() -> st.SearchStrategy[int]:
    return st.sampled_from(range(1, _MAX_STEPS + 1))


def gradient_histories(
    *, max_parameters: int = 2, late_starts: bool = True
) -> st.SearchStrategy[GradientHistory]:
    """Draw starting values and up to six steps of gradients for a few parameters.

    Values are dyadic; a gradient may be None, zero, the previous one again, 2**40 times or
    2**-40 times an ordinary one. ``late_starts=False`` gives every parameter a gradient at the
    first step. Shrinks to one step of one scalar with gradient 0.

    Example::

        @given(gradient_histories())
        def test(history): ...
    """
    if max_parameters < 1:
        raise InvalidArgument(f"gradient_histories(max_parameters={max_parameters}): at least 1")
    return _histories(max_parameters, late_starts)
