"""Transforms of torch.func: what they are applied to, and what argnums pick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from conformance.target import resolve
from strategies.functions import Function


def page(case: str | Sequence[Any]) -> str:
    """Return the documentation's name of a transform, or of the one that a case begins with."""
    return f"torch.func.{case if isinstance(case, str) else case[0]}"


def transform(name: str) -> Callable[..., Any]:
    """Return a function of torch.func."""
    return resolve(f"torch.func.{name}")


def values_of(f: Function, device: torch.device) -> list[torch.Tensor]:
    """Return the function's points as tensors outside of any graph."""
    return [leaf.detach() for leaf in f.leaves(device)]


def chosen(argnums: int | tuple[int, ...], parts: Sequence[Any]) -> Any:
    """Pick parts as argnums does: one for a number, a tuple for a tuple."""
    if isinstance(argnums, int):
        return parts[argnums]
    return tuple(parts[number] for number in argnums)


@st.composite
def with_argnums(
    draw: st.DrawFn, drawn: st.SearchStrategy[Function]
) -> tuple[Function, int | tuple[int, ...]]:
    """Draw a function and argnums of it: an int, or a tuple in any order."""
    f = draw(drawn)
    numbers = range(len(f.points))
    one = st.sampled_from(numbers)
    several = st.permutations(numbers).flatmap(
        lambda order: st.integers(1, len(order)).map(lambda size: tuple(order[:size]))
    )
    return f, draw(one | several)
