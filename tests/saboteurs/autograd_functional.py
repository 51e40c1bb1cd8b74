"""Faults in torch.autograd.functional: one variant, one input, one kind of shape, no graph."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import functional

from tests.saboteurs.faults import accepting, changed, rewriting, when
from tests.saboteurs.saboteur import Patch, Saboteur

Tensor = torch.Tensor


def _larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001)


def _last_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001, -1)


def _slightly_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * (1 + 1e-9))


def _doubled_derivative(found: Any) -> Any:
    """The same values, with twice the derivative."""
    return changed(found, lambda tensor: tensor * 2 - tensor.detach())


def _several(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, tuple) and len(inputs) > 1


def _several_plainly(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, tuple) and len(inputs) > 1 and not words


def _scalar(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and not inputs.dim()


def _overlapping(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and 0 in inputs.stride()


def _vectorized(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("vectorize")) and not words.get("create_graph")


def _forward(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return "forward-mode" in words.values()


def _with_graph(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("create_graph"))


def _with_graph_at_once(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("create_graph")) and bool(words.get("vectorize"))


def _always(*_: Any, **words: Any) -> bool:
    return True


def _first_row_zero(found: Any) -> Any:
    def cleared(tensor: Tensor) -> Tensor:
        rows = tensor.clone()
        rows.reshape(-1)[:1] = 0
        return rows

    return changed(found, cleared)


def _transposed_blocks(found: Any) -> Any:
    """Hessian[j][i] for Hessian[i][j], where both have that shape."""
    if not isinstance(found, tuple) or len(found) < 2:
        return found
    other = found[1][0]
    upper = other.movedim(tuple(range(other.dim())), tuple(range(other.dim())))
    fits = found[0][1].shape == upper.shape
    return ((found[0][0], upper * 1.001), *found[1:]) if fits else found


def _second_result_larger(found: Any) -> Any:
    if isinstance(found, (tuple, list)) and isinstance(found[0], (tuple, list)):
        return (found[0], _larger(found[1]))
    return found


def _listed(found: Any) -> Any:
    return list(found) if isinstance(found, tuple) else found


def _doubles_as_floats(found: Any) -> Any:
    return changed(found, lambda tensor: tensor.to(torch.float64))


def _floats(found: Any) -> Any:
    return changed(found, lambda tensor: tensor.to(torch.float32))


def _answering_empty(owner: Any, name: str) -> Patch:
    def instead(*arguments: Any, **words: Any) -> Tensor:
        return torch.zeros(0, dtype=torch.float64)

    return accepting(owner, name, RuntimeError, instead)


def _without_strict(function: Any, inputs: Any, **words: Any) -> Any:
    words.pop("strict", None)
    return (function, inputs), words


def _known_strategy(function: Any, inputs: Any, **words: Any) -> Any:
    if words.get("strategy") == "sideways":
        del words["strategy"]
    return (function, inputs), words


def _lazily_negated(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.is_neg()


def _of_three(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, Tensor) and tuple(inputs.shape) == (3,)


SABOTEURS = (
    Saboteur(
        "jacobian-of-last-input", "functional.jacobian is 0.1 % off to the last of several inputs",
        ("functional.jacobian:reverse",), "Jacobian to input",
        when(functional, "jacobian", _several_plainly, _last_larger),
    ),
    Saboteur(
        "jacobian-vectorized", "functional.jacobian is 0.1 % off if vectorized without a graph",
        ("functional.jacobian:vectorized",), "Jacobian to input",
        when(functional, "jacobian", _vectorized, _last_larger),
    ),
    Saboteur(
        "jacobian-vectorized-with-graph", "functional.jacobian loses an entry with both options",
        ("functional.jacobian:vectorized-create-graph",), "Jacobian to input",
        when(functional, "jacobian", _with_graph_at_once, _first_row_zero),
    ),
    Saboteur(
        "jacobian-forward", "functional.jacobian in forward mode loses an entry",
        ("functional.jacobian:forward",), "Jacobian to input",
        when(functional, "jacobian", _forward, _first_row_zero),
    ),
    Saboteur(
        "jacobian-slightly-larger", "functional.jacobian is off by 1e-9 of its value",
        ("functional.jacobian-smooth:reverse", "functional.jacobian-smooth:create-graph"),
        "rounding explains",
        when(functional, "jacobian", _always, _slightly_larger),
    ),
    Saboteur(
        "jacobian-of-second-result", "functional.jacobian is 0.1 % off for the second result",
        ("functional.jacobian-several-results:reverse",), "Jacobian of result 1",
        when(functional, "jacobian", _always, _second_result_larger),
    ),
    Saboteur(
        "jacobian-listed", "functional.jacobian returns a list where vectorized",
        ("functional.jacobian-structure:vectorized",), "types of what holds them",
        when(functional, "jacobian", _vectorized, _listed),
    ),
    Saboteur(
        "jacobian-of-overlapping", "functional.jacobian is 0.1 % off for expanded inputs",
        ("functional.jacobian-of-expanded:vectorized",), "Jacobian",
        when(functional, "jacobian", _overlapping, _larger),
    ),
    Saboteur(
        "jacobian-of-empty-flat", "functional.jacobian of an empty tensor has one dimension",
        ("functional.jacobian-of-nothing:reverse",), "Jacobian",
        _answering_empty(functional, "jacobian"),
    ),
    Saboteur(
        "jacobian-of-scalar", "functional.jacobian is 0.1 % off for a tensor without dimensions",
        ("functional.jacobian-of-tensor:forward", "functional.jacobian-of-tensor:reverse"),
        "Jacobian", when(functional, "jacobian", _scalar, _larger),
    ),
    Saboteur(
        "jacobian-in-double", "functional.jacobian gives float64 for each input",
        ("functional.jacobian-dtype:reverse",), "dtype",
        when(functional, "jacobian", _always, _doubles_as_floats),
    ),
    Saboteur(
        "jacobian-derivative-doubled", "what create_graph keeps has twice the derivative",
        ("functional.jacobian-differentiable:reverse",
         "functional.jacobian-differentiable:vectorized"), "derivative",
        when(functional, "jacobian", _with_graph, _doubled_derivative),
    ),
    Saboteur(
        "hessian-mixed-block", "functional.hessian is 0.1 % off in one block of two inputs",
        ("functional.hessian:reverse",), "Hessian 0 1",
        when(functional, "hessian", _several_plainly, _transposed_blocks),
    ),
    Saboteur(
        "hessian-vectorized", "functional.hessian is 0.1 % off if vectorized",
        ("functional.hessian:vectorized",), "Hessian",
        when(functional, "hessian", _vectorized, _larger),
    ),
    Saboteur(
        "hessian-forward", "functional.hessian loses an entry in forward mode",
        ("functional.hessian:forward",), "Hessian",
        when(functional, "hessian", _forward, _first_row_zero),
    ),
    Saboteur(
        "hessian-slightly-larger", "functional.hessian is off by 1e-9 of its value",
        ("functional.hessian-smooth:create-graph",), "rounding explains",
        when(functional, "hessian", _always, _slightly_larger),
    ),
    Saboteur(
        "hessian-of-scalar", "functional.hessian is 0.1 % off for a tensor without dimensions",
        ("functional.hessian-of-tensor:reverse",), "Hessian",
        when(functional, "hessian", _scalar, _larger),
    ),
    Saboteur(
        "hessian-of-lazily-negated", "functional.hessian has the other sign for negated views",
        ("functional.hessian-of-negated:reverse",), "Hessian",
        when(functional, "hessian", _lazily_negated, lambda found: -found),
    ),
    Saboteur(
        "hessian-of-repeated-entry", "functional.hessian of three entries loses the first",
        ("functional.hessian-of-subscript:vectorized",), "Hessian",
        when(functional, "hessian", _of_three, _first_row_zero),
    ),
    Saboteur(
        "hessian-derivative-doubled", "what create_graph keeps of a Hessian is doubled",
        ("functional.hessian-differentiable:reverse",), "derivative",
        when(functional, "hessian", _with_graph, _doubled_derivative),
    ),
    Saboteur(
        "jacobian-strict-ignored", "functional.jacobian takes strict with vectorize",
        ("functional.refused-options:strict-vectorized",), "raised nothing",
        rewriting(functional, "jacobian", _without_strict),
    ),
    Saboteur(
        "jacobian-any-strategy", "functional.jacobian takes an unknown strategy",
        ("functional.refused-options:unknown-strategy",), "raised nothing",
        rewriting(functional, "jacobian", _known_strategy),
    ),
)  # fmt: skip
