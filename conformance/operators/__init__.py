"""The catalogue of operators: one module a family, each operator an entry, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.operators import (
    activations,
    arithmetic,
    attention,
    bags,
    bitwise,
    broadcasting,
    channels,
    class_losses,
    comparison,
    distances,
    elementary,
    extremes,
    joining,
    layers,
    linalg,
    losses,
    manipulation,
    masking,
    matrix_functions,
    norms,
    ordering,
    padding,
    pooling,
    powers,
    rearrangement,
    reductions,
    resizing,
    rounding,
    sampling,
    scans,
    scattering,
    searching,
    selecting,
    slicing,
    special,
    spectral,
    splitting,
    statistics,
    unpooling,
)
from conformance.operators.operator import Call, Operator, Rejection

FAMILIES: Mapping[str, tuple[Operator, ...]] = {
    "arithmetic": arithmetic.OPERATORS,
    "powers": powers.OPERATORS,
    "rounding": rounding.OPERATORS,
    "extremes": extremes.OPERATORS,
    "comparison": comparison.OPERATORS,
    "bitwise": bitwise.OPERATORS,
    "elementary": elementary.OPERATORS,
    "special": special.OPERATORS,
    "activations": activations.OPERATORS,
    "reductions": reductions.OPERATORS,
    "norms": norms.OPERATORS,
    "distances": distances.OPERATORS,
    "ordering": ordering.OPERATORS,
    "scans": scans.OPERATORS,
    "searching": searching.OPERATORS,
    "statistics": statistics.OPERATORS,
    "manipulation": manipulation.OPERATORS,
    "broadcasting": broadcasting.OPERATORS,
    "joining": joining.OPERATORS,
    "splitting": splitting.OPERATORS,
    "rearrangement": rearrangement.OPERATORS,
    "padding": padding.OPERATORS,
    "slicing": slicing.OPERATORS,
    "linalg": linalg.OPERATORS,
    "matrix_functions": matrix_functions.OPERATORS,
    "spectral": spectral.OPERATORS,
    "selecting": selecting.OPERATORS,
    "scattering": scattering.OPERATORS,
    "masking": masking.OPERATORS,
    "losses": losses.OPERATORS,
    "class_losses": class_losses.OPERATORS,
    "layers": layers.OPERATORS,
    "bags": bags.OPERATORS,
    "attention": attention.OPERATORS,
    "pooling": pooling.OPERATORS,
    "unpooling": unpooling.OPERATORS,
    "channels": channels.OPERATORS,
    "resizing": resizing.OPERATORS,
    "sampling": sampling.OPERATORS,
}

OPERATORS: Mapping[str, Operator] = {
    operator.key: operator for family in FAMILIES.values() for operator in family
}

REJECTIONS: Mapping[str, Rejection] = {
    f"{operator.key}-{name}": rejection
    for operator in OPERATORS.values()
    for name, rejection in operator.rejections.items()
}


def excluding(law: str, applies: Callable[[Operator], Any] = bool) -> dict[str, Operator]:
    """Return the operators to which a law applies, but for those that are excused from it."""
    return {
        key: operator
        for key, operator in OPERATORS.items()
        if applies(operator) and law not in operator.excused
    }


def page(operator: Operator) -> str:
    """Return the page of torch's documentation that describes an operator."""
    return operator.page


def rejected_page(rejection: Rejection) -> str:
    """Return the page of torch's documentation that describes what was called."""
    owners = (o for o in OPERATORS.values() if rejection in o.rejections.values())
    return next(owners).page


__all__ = ["Call", "FAMILIES", "OPERATORS", "Operator", "REJECTIONS", "Rejection"]
