"""Documented limits of torch, as entries give them for reasons to be excused from a law."""

from __future__ import annotations

SIZES_BY_VALUES = (
    "the result's shape depends on values "
    "(https://docs.pytorch.org/docs/stable/func.ux_limitations.html)"
)
NO_GRADIENT = "its gradient is not implemented, which the backward pass says"
