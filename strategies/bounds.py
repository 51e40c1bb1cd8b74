"""What is known of a value before it is computed: magnitude, derivatives, rounding error.

The algebra of bounds by which random functions stay within what floating point can tell:
each rule takes the bounds of operands to the bound of a result. Errors are in units of the
dtype's epsilon, to first order.
"""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """What is known of a value's entries before it is computed.

    ``size`` bounds their magnitude, ``slope`` that of first derivatives by any leaf entry,
    ``curve`` that of second ones; ``value_error`` and ``slope_error`` bound what rounding does
    to value and slope, in units of epsilon; ``fraction`` counts binary places, None if rounded.
    """

    size: float
    slope: float
    curve: float
    value_error: float
    slope_error: float
    fraction: int | None


def linear(operands: tuple[Bound, ...], terms: int, rounds: bool) -> Bound:
    """Bound a sum of ``terms`` entries, each taken from one of ``operands``."""
    size = terms * max(b.size for b in operands)
    slope = terms * max(b.slope for b in operands)
    fractions = [b.fraction for b in operands]
    exact = not rounds and None not in fractions
    return Bound(
        size,
        slope,
        terms * max(b.curve for b in operands),
        terms * max(b.value_error for b in operands) + terms * size,
        terms * max(b.slope_error for b in operands) + terms * slope,
        max(f for f in fractions if f is not None) if exact else None,
    )


def product(a: Bound, b: Bound, terms: int = 1) -> Bound:
    """Bound a sum of ``terms`` products of an entry of ``a`` and an entry of ``b``."""
    size = terms * a.size * b.size
    slope = terms * (a.size * b.slope + a.slope * b.size)
    exact = a.fraction is not None and b.fraction is not None
    return Bound(
        size,
        slope,
        terms * (a.size * b.curve + 2 * a.slope * b.slope + a.curve * b.size),
        terms * (a.size * b.value_error + a.value_error * b.size + terms * a.size * b.size),
        terms
        * (
            a.size * b.slope_error
            + a.slope_error * b.size
            + a.slope * b.value_error
            + a.value_error * b.slope
        )
        + terms * slope,
        (a.fraction or 0) + (b.fraction or 0) if exact else None,
    )


def smooth(b: Bound, size: float, first: float, second: float) -> Bound:
    """Bound ``g(v)`` with \\|g\\| <= size, \\|g'\\| <= first, \\|g''\\| <= second on v's range.

    A library's elementary function may be off by a few ulp in value and in derivative: four
    are allowed for.
    """
    slope = first * b.slope
    return Bound(
        size,
        slope,
        second * b.slope**2 + first * b.curve,
        first * b.value_error + 4 * size,
        first * b.slope_error + second * b.slope * b.value_error + 4 * slope,
        None,
    )
