"""Optimizer options and histories of gradients.

The documented options of each optimizer stand in :mod:`strategies.optimizer_tables`; what may
not be combined is resolved by construction. A history holds the parameters' starting values
and, for each step, a gradient or None for each parameter: ordinary, zero, repeated, huge and
tiny ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from math import prod

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device
from strategies.optimizer_tables import (
    MAX_GROUPS,
    OPTIONS,
    RESOLVE,
    UNSUPPORTED,
    VARIANTS,
    Options,
)
from strategies.shapes import Shape
from strategies.values import Array, raw_bytes, value_table

_PARAMETER_SHAPES: tuple[Shape, ...] = ((), (1,), (3,), (2, 2), (1, 5), (0,))
_MAX_STEPS = 6
_MAX_GROUPS = 3


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


def _check_name(function: str, name: str) -> None:
    if name not in OPTIONS:
        raise InvalidArgument(
            f"{function}({name!r}): no such table; use one of {', '.join(OPTIONS)}"
        )


@cache
def optimizer_options(name: str) -> st.SearchStrategy[Options]:
    """Draw a legal combination of the documented options of ``torch.optim.<name>``.

    Shrinks towards plain descent: no momentum, no decay. Which implementation carries the
    options out is drawn by :func:`optimizer_variants`.

    Example::

        @given(optimizer_options("SGD"))
        def test(options): torch.optim.SGD([torch.zeros(1)], **options)
    """
    _check_name("optimizer_options", name)
    choices = {key: st.sampled_from(values) for key, values in OPTIONS[name].items()}
    return st.fixed_dictionaries(choices).map(RESOLVE.get(name, lambda options: options))


def _given(options: Options) -> Options:
    return {option: value for option, value in options.items() if value is not None}


@cache
def group_options(name: str) -> st.SearchStrategy[list[Options]]:
    """Draw the options of one to three parameter groups of ``torch.optim.<name>``.

    Each group has its own options. An option that is None is left out, which means the same: LBFGS
    replaces a ``max_eval`` of None for the constructor's argument alone. LBFGS takes one group
    only, and gets one. Shrinks to one plain group.

    Example::

        @given(group_options("SGD"))
        def test(groups):
            torch.optim.SGD([{"params": [torch.zeros(1)], **options} for options in groups])
    """
    _check_name("group_options", name)
    most = MAX_GROUPS.get(name, _MAX_GROUPS)
    return st.lists(optimizer_options(name).map(_given), min_size=1, max_size=most)


def _is_accelerator(device_type: str) -> bool:
    accelerator = torch.accelerator.current_accelerator()
    return accelerator is not None and accelerator.type == device_type


@cache
def _variants_on(name: str, device_type: str) -> st.SearchStrategy[Options]:
    accepted = signature(getattr(torch.optim, name)).parameters
    accelerated = _is_accelerator(device_type)
    placed = {"fused": accelerated or device_type == "cpu", "capturable": accelerated}

    def is_legal(option: str) -> bool:
        refused_on = UNSUPPORTED.get((name, option), ())
        return option in accepted and placed.get(option, True) and device_type not in refused_on

    legal = [variant for variant in VARIANTS if all(map(is_legal, variant))]
    return st.sampled_from(legal).map(dict)


@st.composite
def _variants(draw: st.DrawFn, name: str) -> Options:
    # Only a draw knows the device: strategies are made before a run sets its target.
    return draw(_variants_on(name, current_device().type))


def optimizer_variants(name: str) -> st.SearchStrategy[Options]:
    """Draw a choice of implementation of ``torch.optim.<name>``, legal on the current device.

    Nothing (torch chooses), foreach or for-loop, fused, differentiable, capturable: whichever
    the class accepts; capturable on accelerators only. A differentiable step changes parameters
    in place under autograd, so it takes parameters that are no leaves: clones of them. Shrinks
    to ``{}``.

    Example::

        @given(optimizer_options("Adam"), optimizer_variants("Adam"))
        def test(options, variant): torch.optim.Adam([torch.zeros(1)], **options, **variant)
    """
    _check_name("optimizer_variants", name)
    if not hasattr(torch.optim, name):
        raise InvalidArgument(
            f"optimizer_variants({name!r}): torch {torch.__version__} has no such class; "
            f"use one that it has, or a newer torch"
        )
    return _variants(name)


_NONE = 8  # the first kind that is no gradient; those below are ordinary ones


def _gradient(kind: int, ordinary: Array, previous: Array | None, extremes: bool) -> Array | None:
    if kind < _NONE or (kind >= 12 and not extremes):
        return ordinary
    if kind < _NONE + 2:
        return None
    if kind == 10:
        return np.zeros_like(ordinary)
    if kind == 11:
        return ordinary if previous is None else previous
    return ordinary * (2.0**40 if kind == 12 else 2.0**-40)


@st.composite
def _histories(
    draw: st.DrawFn,
    max_parameters: int,
    late_starts: bool,
    table_of_shapes: tuple[Shape, ...],
    extremes: bool,
) -> GradientHistory:
    shapes = draw(_shape_lists(max_parameters, table_of_shapes))
    steps = draw(_step_counts())
    elements = sum(map(prod, shapes))
    table = value_table(torch.float64, "dyadic")
    raw = np.frombuffer(draw(raw_bytes(elements * (steps + 1))), dtype=np.uint8)
    rows = table[raw].reshape(steps + 1, elements)
    kinds = draw(raw_bytes(steps * len(shapes)))
    if not late_starts:
        kinds = bytes(len(shapes)) + kinds[len(shapes) :]
    elif len(shapes) > 1 and kinds[0] % 2:  # half of the time, or few would be late
        kinds = bytes([kinds[0], *[_NONE] * (len(shapes) - 1)]) + kinds[len(shapes) :]
    cuts = np.cumsum([prod(s) for s in shapes])[:-1]

    def split(row: Array) -> list[Array]:
        return [part.reshape(s) for part, s in zip(np.split(row, cuts), shapes, strict=True)]

    history: list[tuple[Array | None, ...]] = []
    for step in range(steps):
        previous = history[-1] if history else (None,) * len(shapes)
        chosen = kinds[step * len(shapes) : (step + 1) * len(shapes)]
        history.append(
            tuple(
                _gradient(kind % 14, value, before, extremes)
                for kind, value, before in zip(chosen, split(rows[step]), previous, strict=True)
            )
        )
    return GradientHistory(tuple(split(rows[steps])), tuple(history))


@cache
def _shape_lists(
    max_parameters: int, table_of_shapes: tuple[Shape, ...]
) -> st.SearchStrategy[list[Shape]]:
    return st.lists(st.sampled_from(table_of_shapes), min_size=1, max_size=max_parameters)


@cache
def _step_counts() -> st.SearchStrategy[int]:
    return st.sampled_from(range(1, _MAX_STEPS + 1))


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(n, int) and n >= 0 for n in value)


def gradient_histories(
    *,
    max_parameters: int = 2,
    late_starts: bool = True,
    shapes: Sequence[Shape] | None = None,
    extremes: bool = True,
) -> st.SearchStrategy[GradientHistory]:
    """Draw starting values and up to six steps of gradients for a few parameters.

    Values are dyadic; a gradient may be None, zero, the previous one again, 2**40 times or
    2**-40 times an ordinary one. ``late_starts=False`` gives every parameter a gradient at the
    first step, ``extremes=False`` none that is huge or tiny. ``shapes`` are those that a parameter
    may have, the simplest first, where not all do: Muon takes matrices only. Shrinks to one step
    of one scalar (else of the first of ``shapes``) with gradient 0.

    Example::

        @given(gradient_histories(shapes=[(1, 1), (2, 3), (3, 2)]))
        def test(history): torch.optim.Muon(history.parameters(torch.float32, device))
    """
    if max_parameters < 1:
        raise InvalidArgument(f"gradient_histories(max_parameters={max_parameters}): at least 1")
    for option, value in (("late_starts", late_starts), ("extremes", extremes)):
        if value not in (False, True):
            raise InvalidArgument(f"gradient_histories({option}={value!r}): use False or True")
    chosen = _PARAMETER_SHAPES if shapes is None else tuple(shapes)
    if not chosen or not all(map(_is_shape, chosen)):
        raise InvalidArgument(
            f"gradient_histories(shapes={shapes!r}): no shapes to draw from; use a sequence of "
            f"tuples of sides, such as [(2, 3), (3, 2)], or None for every shape"
        )
    return _histories(max_parameters, late_starts, chosen, extremes)
