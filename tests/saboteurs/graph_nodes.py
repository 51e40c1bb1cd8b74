"""Faults in the nodes of graphs, and in leaves as they are made."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor
_GRAD_FN: Any = torch._C.TensorBase.grad_fn


def _power_of_e(original: Any) -> Any:
    return lambda x: torch.pow(math.e, x)


def _times_one(original: Any) -> Any:
    return lambda self: original(self) * 1


class _Looped:
    """A node whose first edge leads to itself."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def next_functions(self) -> Any:
        return ((self, 0), *self.node.next_functions)


def _looped_sums(self: Tensor) -> Any:
    node = _GRAD_FN.__get__(self)
    return _Looped(node) if type(node).__name__ == "SumBackward0" else node


def _plant_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "grad_fn", property(_looped_sums), raising=False)


def _cut_off(result: Tensor) -> Tensor:
    return result.detach().requires_grad_() if result.requires_grad else result


def _model_of_rank_zero(model: Tensor) -> bool:
    return model.requires_grad and model.dim() == 0


def _moved_leaf_to_half(self: Tensor, *arguments: Any, **_: Any) -> bool:
    return self.requires_grad and self.is_leaf and torch.float16 in arguments


SABOTEURS = (
    Saboteur(
        "exp-as-power", "exp is recorded as a power of e",
        ("graph.node-names:exp",), "name of the node", replacing(torch, "exp", _power_of_e),
    ),
    Saboteur(
        "clone-multiplies", "clone records a product besides",
        ("graph.chain",), "names of the nodes", replacing(Tensor, "clone", _times_one),
    ),
    Saboteur(
        "graph-loops", "the node of a sum leads to itself",
        ("graph.acyclic",), "the graph has no cycle", _plant_loop,
    ),
    Saboteur(
        "floor-divide-is-constant", "backward of floor_divide stops there without an error",
        ("graph.no-derivative:floor_divide",), "backward raises",
        after(torch, "floor_divide", _cut_off),
    ),
    Saboteur(
        "zeros-like-inherits-flag", "zeros_like of a leaf of rank 0 requires grad as it does",
        ("leaf.flag-by-default:zeros_like",), "requires_grad, is_leaf",
        when(torch, "zeros_like", _model_of_rank_zero, lambda made: made.requires_grad_()),
    ),
    Saboteur(
        "moved-leaf-stays-leaf", "a leaf that is converted to float16 gives another leaf",
        ("leaf.made-elsewhere:flag-first",), "requires_grad, is_leaf",
        when(Tensor, "to", _moved_leaf_to_half, _cut_off),
    ),
)  # fmt: skip
