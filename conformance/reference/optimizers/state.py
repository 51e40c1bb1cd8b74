"""What an optimizer keeps of one parameter between steps, and how a history is followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.reference.optimizers.rounding import Rounded, exactly

Array = npt.NDArray[Any]
Options = Mapping[str, Any]
State = dict[str, Any]
"""By name: the ``parameter``, what the state_dict names, and the count ``step``."""
ClosedForm = Callable[[State, Rounded, Options], State]
"""One step: what was before, the gradient, the options of this step."""


def zeros(like: Rounded) -> Rounded:
    """Return zeros of the same shape and roundoff."""
    return exactly(0.0 * like.value, like.unit)


def follow(
    form: ClosedForm,
    start: Array,
    gradients: Sequence[Array | None],
    options: Options | Sequence[Options],
    unit: float,
    state: State | None = None,
) -> list[State]:
    """Return the state after each step of a history: values, and bounds for roundoff ``unit``.

    A None gradient leaves everything as it is. ``options`` are those of every step, or one
    mapping a step. ``state`` is what the optimizer holds before the first step, if anything.
    """
    reached: State = {"parameter": exactly(np.asarray(start), unit), **(state or {})}
    each = [options] * len(gradients) if isinstance(options, Mapping) else options
    history = []
    with np.errstate(all="ignore"):
        for gradient, chosen in zip(gradients, each, strict=True):
            if gradient is not None:
                reached = form(reached, exactly(np.asarray(gradient), unit), chosen)
            history.append(reached)
    return history
