"""Faults in products of torch.autograd.functional: one product, one place, one condition."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import functional

from tests.saboteurs.faults import changed, rewriting, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def _second(change: Any) -> Any:
    """Change the product, and leave the value that comes with it."""
    return lambda found: (found[0], change(found[1]))


def _larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001)


def _last_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001, -1)


def _slightly_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * (1 + 1e-8))


def _doubled_derivative(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 2 - tensor.detach())


def _several(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, tuple) and len(inputs) > 1


def _several_with_graph(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return _several(function, inputs) and bool(words.get("create_graph"))


def _with_graph(function: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("create_graph"))


def _of_vector(function: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return isinstance(v, Tensor) and v.dim() > 0


def _always(*_: Any, **words: Any) -> bool:
    return True


def _without_vector(function: Any, inputs: Any, v: Any = None, **words: Any) -> bool:
    return v is None


def _keeps_graph(function: Any, inputs: Any, *rest: Any, **words: Any) -> Any:
    words["create_graph"] = True
    return (function, inputs, *rest), words


def _tolerant(function: Any, inputs: Any, *rest: Any, **words: Any) -> Any:
    words.pop("strict", None)
    return (function, inputs, *rest), words


def _broadcasting(function: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
    """A v with one dimension too many is summed over it."""
    if isinstance(v, Tensor) and isinstance(inputs, Tensor) and v.dim() > inputs.dim():
        v = v.sum(0)
    return (function, inputs, v), words


def _any_scalar(function: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
    """A v with one dimension too many is summed over it, where the result has none."""
    if isinstance(v, Tensor) and v.dim():
        v = v.sum(0)
    return (function, inputs, v), words


def _summed_result(original: Any) -> Any:
    def faulty(function: Any, inputs: Any, *rest: Any, **words: Any) -> Any:
        def summed(*arguments: Any) -> Any:
            return function(*arguments).sum()

        return original(summed, inputs, *rest, **words)

    return faulty


def _default_ones(name: str) -> Patch:
    def make(original: Any) -> Any:
        def faulty(function: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
            if v is None and isinstance(inputs, Tensor):
                of_result = name == "vjp" and function(inputs).shape == inputs.shape
                v = torch.ones_like(inputs) if of_result or name != "vjp" else None
            return original(function, inputs, v, **words)

        return faulty

    return replacing(functional, name, make)


def _ones_for_zeros(found: Any) -> Any:
    """What the last input gets, if it is nothing, becomes ones."""

    def filled(tensor: Tensor) -> Tensor:
        return tensor if bool(tensor.any()) else torch.ones_like(tensor)

    return changed(found, filled, -1)


def _only_first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def _by_detached(function: Any, inputs: Any, v: Any = None, **words: Any) -> Any:
    """v is taken out of its graph."""
    parts = tuple(part.detach() for part in v) if isinstance(v, tuple) else v.detach()
    return (function, inputs, parts), words


SABOTEURS = (
    *(
        Saboteur(
            f"{name}-detaches-v", f"functional.{name} takes v for a constant",
            (f"functional.products-in-v:{name}",), "derivative by v",
            rewriting(functional, name, _by_detached),
        )
        for name in ("vjp", "hvp")
    ),
    *(
        Saboteur(
            f"{name}-keeps-graph", f"functional.{name} returns what requires grad",
            (f"functional.detached:{name}",), "requires_grad of what comes back",
            rewriting(functional, name, _keeps_graph),
        )
        for name in ("jacobian", "hessian", "vjp", "hvp")
    ),
    *(
        Saboteur(
            f"functional-{name}-of-last-input", f"functional.{name} is 0.1 % off to the last input",
            (f"functional.products:{name}",), name,
            when(functional, name, _several_with_graph, _second(_last_larger)),
        )
        for name in ("vjp", "hvp", "vhp")
    ),
    Saboteur(
        "functional-jvp-of-several", "functional.jvp is 0.1 % off for several inputs",
        ("functional.products:jvp",), "jvp",
        when(functional, "jvp", _several, _second(_larger)),
    ),
    Saboteur(
        "functional-vjp-of-vector", "functional.vjp is 1e-8 off for a v with dimensions",
        ("functional.vjp-of-vector",), "vjp to input",
        when(functional, "vjp", _of_vector, _second(_slightly_larger)),
    ),
    Saboteur(
        "functional-jvp-of-vector", "functional.jvp is 1e-8 off",
        ("functional.jvp-of-vector",), "jvp",
        when(functional, "jvp", _always, _second(_slightly_larger)),
    ),
    *(
        Saboteur(
            f"functional-{name}-slightly-larger", f"functional.{name} is 1e-8 off",
            (f"functional.products-smooth:{name}",), "rounding explains",
            when(functional, name, _always, _second(_slightly_larger)),
        )
        for name in ("hvp", "vhp")
    ),
    *(
        Saboteur(
            f"functional-{name}-derivative-doubled",
            f"the graph of functional.{name}'s product gives twice the derivative",
            (f"functional.products-differentiable:{name}",), "derivative",
            when(functional, name, _with_graph, _second(_doubled_derivative)),
        )
        for name in ("vjp", "jvp", "hvp", "vhp")
    ),
    Saboteur(
        "functional-default-vector-larger", "the default v of functional.jvp is 0.1 % too large",
        ("functional.default-vector:jvp",), "jvp",
        when(functional, "jvp", _without_vector, _second(_larger)),
    ),
    Saboteur(
        "functional-default-vector-anywhere", "functional.hvp takes ones for any v that misses",
        ("functional.default-vector:hvp",), "raised nothing", _default_ones("hvp"),
    ),
    Saboteur(
        "functional-vector-summed", "functional.vhp sums a v that has a dimension too many",
        ("functional.vector-size:vhp",), "raised nothing",
        rewriting(functional, "vhp", _broadcasting),
    ),
    Saboteur(
        "functional-cotangent-summed", "functional.vjp sums a v that has a dimension too many",
        ("functional.vector-size:vjp",), "raised nothing",
        rewriting(functional, "vjp", _any_scalar),
    ),
    *(
        Saboteur(
            f"functional-{name}-never-strict", f"functional.{name} ignores strict",
            (f"functional.independent-input:{name}",), "raised nothing",
            rewriting(functional, name, _tolerant),
        )
        for name in ("jacobian", "hessian", "jvp", "vhp")
    ),
    *(
        Saboteur(
            f"functional-{name}-ones-for-zeros", f"functional.{name} gives ones for no derivative",
            (f"functional.independent-input:{name}",), "derivative to the other input",
            when(functional, name, _several, _second(_ones_for_zeros)),
        )
        for name in ("vjp", "hvp")
    ),
    *(
        Saboteur(
            f"functional-{name}-sums-result", f"functional.{name} sums a result of several",
            (f"functional.hessian-demands-scalar:{name}",), "raised nothing",
            replacing(functional, name, _summed_result),
        )
        for name in ("hessian", "vhp")
    ),
)  # fmt: skip
