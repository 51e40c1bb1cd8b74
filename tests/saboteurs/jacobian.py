"""Faults in autograd.grad as Jacobians need it: one-hot and batched cotangents, subsets, chains."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import changed, rewriting, when
from tests.saboteurs.saboteur import Saboteur

Tensor = torch.Tensor


def _larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * (1 + 1e-8))


def _last_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001, -1)


def _reversed_rows(found: Any) -> Any:
    return changed(found, lambda tensor: tensor.flip(0))


def _one_hot(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    plain = isinstance(v, Tensor) and not words.get("is_grads_batched")
    return plain and v.dim() > 1 and int(v.count_nonzero()) == 1


def _batched(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return bool(words.get("is_grads_batched"))


def _batch_of_one(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return bool(words.get("is_grads_batched")) and len(v) == 1


def _single_input(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return isinstance(inputs, list) and len(inputs) == 1 and bool(words.get("retain_graph"))


def _zero_cotangent(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return isinstance(v, Tensor) and not bool(v.any())


def _deep(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    """A graph of more than six nodes in a chain."""
    node, depth = getattr(outputs, "grad_fn", None), 0
    while node is not None:
        depth += 1
        node = next((following for following, _ in node.next_functions if following), None)
    return depth > 6


def _last_cotangent_dropped(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
    if isinstance(v, list) and len(v) > 2:
        v = [*v[:-1], torch.zeros_like(v[-1])]
    return (outputs, inputs, v), words


def _scalar_leaf(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and not inputs.dim()


def _expanded(outputs: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
    """Every entry of an expanded cotangent counts as the last row's."""
    if isinstance(v, Tensor) and v.dim() and v.numel() > 1 and not any(v.stride()):
        v = v * torch.linspace(1, 1.001, v.numel(), dtype=v.dtype).reshape(v.shape)
    return (outputs, inputs, v), words


def _ones_of_zeros(found: Any) -> Any:
    return changed(found, lambda tensor: tensor + 2.0**-40)


SABOTEURS = (
    Saboteur(
        "grad-of-one-hot", "autograd.grad is off by 1e-8 for a cotangent with a single entry",
        ("jacobian.rows",), "Jacobian", when(torch.autograd, "grad", _one_hot, _larger),
    ),
    Saboteur(
        "grad-batched-rows-reversed", "batched gradients come in reverse order",
        ("jacobian.rows-at-once",), "Jacobian",
        when(torch.autograd, "grad", _batched, _reversed_rows),
    ),
    Saboteur(
        "grad-batch-of-one", "a batch of one cotangent gives gradients that are 1e-8 off",
        ("jacobian.rows-at-once",), "Jacobian",
        when(torch.autograd, "grad", _batch_of_one, _larger),
    ),
    Saboteur(
        "grad-to-one-input", "autograd.grad to a single input is 0.1 % off",
        ("jacobian.one-input-at-a-time",), "gradient",
        when(torch.autograd, "grad", _single_input, _last_larger),
    ),
    Saboteur(
        "grad-of-zero-cotangent", "a cotangent of zeros gives gradients that are not",
        ("jacobian.linear-in-cotangent",), "J^T",
        when(torch.autograd, "grad", _zero_cotangent, _ones_of_zeros),
    ),
    Saboteur(
        "grad-through-deep-graph", "the gradient through more than six nodes is 0.1 % off",
        ("jacobian.chain-rule:running", "jacobian.chain-rule:outer"), "gradient through one graph",
        when(torch.autograd, "grad", _deep, _last_larger),
    ),
    Saboteur(
        "grad-drops-third-result", "the cotangent of the third of three results counts as zeros",
        ("jacobian.several-results",), "gradient",
        rewriting(torch.autograd, "grad", _last_cotangent_dropped),
    ),
    Saboteur(
        "grad-of-scalar-leaf", "the gradient to a leaf without dimensions is 1e-8 off",
        ("jacobian.of-shapes",), "gradient",
        when(torch.autograd, "grad", _scalar_leaf, _larger),
    ),
    Saboteur(
        "grad-of-expanded-cotangent", "entries of an expanded cotangent are up to 0.1 % off",
        ("jacobian.of-shapes",), "gradient", rewriting(torch.autograd, "grad", _expanded),
    ),
)  # fmt: skip
