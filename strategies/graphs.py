"""Tensors by their place in the autograd graph, and views with their bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.layouts import WRITABLE
from strategies.tensors import tensors

Make = Callable[[torch.Tensor], torch.Tensor]

ORIGINS: dict[str, Make] = {
    "leaf": lambda leaf: leaf,
    "non-leaf": lambda leaf: leaf * 1,
    "view of leaf": lambda leaf: leaf.view(leaf.shape),
    "view of non-leaf": lambda leaf: (leaf * 1).view(leaf.shape),
    "detached": lambda leaf: leaf.detach(),
}
"""How a tensor comes from a leaf that requires grad, with the leaf's values and shape."""

VIEWS: dict[str, Make] = {
    "whole": lambda base: base.view(base.shape),
    "flipped dims": lambda base: base.permute(tuple(reversed(range(base.dim())))),
    "unsqueezed": lambda base: base.unsqueeze(0),
    "first half": lambda base: base[: (base.shape[0] + 1) // 2] if base.dim() else base[...],
    "every second": lambda base: base[::2] if base.dim() else base[...],
    "last": lambda base: base[-1] if base.dim() and base.shape[0] else base[...],
    "expanded": lambda base: base.expand(2, *base.shape),
}
"""Views by name; each shares the storage of its base."""


class GraphTensor(NamedTuple):
    """A tensor, the leaf it comes from, and how: a key of ``ORIGINS``."""

    tensor: torch.Tensor
    leaf: torch.Tensor
    origin: str


class ViewPair(NamedTuple):
    """A base, a view of it that shares its storage, and which: a key of ``VIEWS``."""

    base: torch.Tensor
    view: torch.Tensor
    kind: str


@st.composite
def _graph_tensors(draw: st.DrawFn, dtype: str) -> GraphTensor:
    leaf = draw(tensors(dtype=dtype, layouts=WRITABLE, requires_grad=True))
    origin = draw(st.sampled_from(list(ORIGINS)))
    return GraphTensor(ORIGINS[origin](leaf), leaf, origin)


def graph_tensors(*, dtype: str = "differentiable") -> st.SearchStrategy[GraphTensor]:
    """Draw a leaf that requires grad and a tensor with its values: itself, a result, a view.

    ``dtype`` is a family whose members can require grad. Shrinks to a leaf.

    Example::

        @given(graph_tensors())
        def test(drawn): assert drawn.tensor.is_leaf == (drawn.origin in ("leaf", "detached"))
    """
    if dtype not in ("differentiable", "floating", "complex"):
        raise InvalidArgument(
            f"graph_tensors(dtype={dtype!r}): such tensors cannot require grad; use "
            "'differentiable', 'floating' or 'complex'"
        )
    return _graph_tensors(dtype)


@st.composite
def _view_pairs(draw: st.DrawFn, dtype: str) -> ViewPair:
    base = draw(tensors(dtype=dtype, layouts=WRITABLE))
    kind = draw(st.sampled_from(list(VIEWS)))
    return ViewPair(base, VIEWS[kind](base), kind)


def view_pairs(*, dtype: str = "any") -> st.SearchStrategy[ViewPair]:
    """Draw a base and a view that shares its storage. Shrinks to a view of the whole base.

    Example::

        @given(view_pairs())
        def test(pair): assert pair.view._base is not None
    """
    return _view_pairs(dtype)
