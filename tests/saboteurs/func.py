"""Faults in torch.func: one transform, one place of argnums, a second call, no grad mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import changed
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Change = Callable[[Any], Any]


def _larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001)


def slightly_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * (1 + 1e-8))


def _doubled_derivative(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 2 - tensor.detach())


def _detached(found: Any) -> Any:
    return changed(found, lambda tensor: tensor.detach())


def _zeros(found: Any) -> Any:
    return changed(found, torch.zeros_like)


def transforming(name: str, change: Change, condition: Callable[..., Any] | None = None) -> Patch:
    """Return the patch that changes what a transformed function returns.

    ``condition`` gets what the transform is given, beside the function.
    """

    def make(original: Any) -> Any:
        def transform(function: Any, *arguments: Any, **words: Any) -> Any:
            transformed = original(function, *arguments, **words)
            if condition is not None and not condition(*arguments, **words):
                return transformed
            return lambda *points: change(transformed(*points))

        return transform

    return replacing(torch.func, name, make)


def _second_argument(argnums: Any = 0, **_: Any) -> bool:
    return bool(argnums == 1)


def several(argnums: Any = 0, **_: Any) -> bool:
    return isinstance(argnums, tuple) and len(argnums) > 1


def _with_auxiliary(argnums: Any = 0, has_aux: bool = False, **_: Any) -> bool:
    return has_aux


def _sorted_argnums(original: Any) -> Any:
    """Gradients come in the order of the arguments."""

    def grad(function: Any, argnums: Any = 0, **words: Any) -> Any:
        ordered = tuple(sorted(argnums)) if isinstance(argnums, tuple) else argnums
        return original(function, ordered, **words)

    return grad


def _value_larger(found: Any) -> Any:
    return found[0], _larger(found[1])


def _second_call_larger(original: Any) -> Any:
    """The function that vjp returns is off from its second call on."""

    def vjp(function: Any, *points: Any, **words: Any) -> Any:
        value, back, *rest = original(function, *points, **words)
        calls = []

        def faulty(*cotangents: Any) -> Any:
            calls.append(1)
            found = back(*cotangents)
            return _larger(found) if len(calls) > 1 else found

        return (value, faulty, *rest)

    return vjp


def _second_tangent_lost(original: Any) -> Any:
    def jvp(function: Any, points: Any, tangents: Any, **words: Any) -> Any:
        if len(tangents) > 1:
            tangents = (*tangents[:-1], tangents[-1] * 1.001)
        return original(function, points, tangents, **words)

    return jvp


def _second_push_stale(original: Any) -> Any:
    """linearize's function gives for its second tangents what it gave for the first."""

    def linearize(function: Any, *points: Any) -> Any:
        value, push = original(function, *points)
        seen: list[Any] = []

        def faulty(*tangents: Any) -> Any:
            seen.append(push(*tangents))
            return seen[0]

        return value, faulty

    return linearize


def _auxiliary_larger(found: Any) -> Any:
    derivative, extra = found
    if isinstance(extra, tuple):
        return derivative, (extra[0], _last_larger_entry(extra[1]))
    return derivative, _last_larger_entry(extra)


def _last_larger_entry(extra: Any) -> Any:
    return {**extra, "point": extra["point"] * 1.001}


def _auxiliary_of_products(original: Any) -> Any:
    def product(*arguments: Any, **words: Any) -> Any:
        found = original(*arguments, **words)
        if not words.get("has_aux"):
            return found
        return (*found[:-1], _last_larger_entry(found[-1]))

    return product


def _without_grad_lost(original: Any) -> Any:
    """Under no_grad the derivative is zeros."""

    def transform(function: Any, *arguments: Any, **words: Any) -> Any:
        transformed = original(function, *arguments, **words)

        def faulty(*points: Any) -> Any:
            found = transformed(*points)
            return found if torch.is_grad_enabled() else _zeros(found)

        return faulty

    return transform


def _grad_mode_ignored(original: Any) -> Any:
    """A no_grad in the function is not seen: it enters, and grad mode stays."""

    def transform(function: Any, *arguments: Any, **words: Any) -> Any:
        def faulty(*points: Any) -> Any:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.no_grad, "__enter__", lambda self: None)
                patch.setattr(torch.no_grad, "__exit__", lambda self, *rest: None)
                return original(function, *arguments, **words)(*points)

        return faulty

    return transform


def _summing_result(original: Any) -> Any:
    def grad(function: Any, *arguments: Any, **words: Any) -> Any:
        def summed(*points: Any) -> Any:
            value = function(*points)
            return value.sum() if isinstance(value, Tensor) else value

        return original(summed, *arguments, **words)

    return grad


def _fitting_tangents(original: Any) -> Any:
    def jvp(function: Any, points: Any, tangents: Any, **words: Any) -> Any:
        fitted = tuple(t.sum_to_size(p.shape) for p, t in zip(points, tangents, strict=False))
        return original(function, points, fitted, **words)

    return jvp


def _wrapping_argnums(original: Any) -> Any:
    """argnums are taken modulo the number of arguments."""

    def transform(function: Any, argnums: Any = 0, **words: Any) -> Any:
        def faulty(*points: Any) -> Any:
            number = argnums % len(points) if isinstance(argnums, int) else argnums
            return original(function, number, **words)(*points)

        return faulty

    return transform


def _negative_is_first(original: Any) -> Any:
    def transform(function: Any, argnums: Any = 0, **words: Any) -> Any:
        return original(function, 0 if argnums == -1 else argnums, **words)

    return transform


def _vjp_grad_ignored(original: Any) -> Any:
    def vjp(function: Any, *points: Any, **words: Any) -> Any:
        value, back, *rest = original(function, *points, **words)
        if not torch.is_grad_enabled():
            return (value, lambda v: _zeros(back(v)), *rest)
        return (value, back, *rest)

    return vjp


def _repeats_the_first(original: Any) -> Any:
    """Return the first result again from the third call on."""

    def faulty(function: Any, *primals: Any) -> Any:
        value, push = original(function, *primals)
        results: list[Any] = []

        def pushed(*tangents: Any) -> Any:
            results.append(push(*tangents))
            return results[0] if len(results) > 2 else results[-1]

        return value, pushed

    return faulty


SABOTEURS = (
    Saboteur(
        "func-grad-in-order", "func.grad ignores the order of argnums",
        ("func.grad:grad",), "gradient", replacing(torch.func, "grad", _sorted_argnums),
    ),
    Saboteur(
        "func-grad-to-second", "func.grad to the second argument is 0.1 % off",
        ("func.grad:grad",), "gradient",
        transforming("grad", _larger, _second_argument),
    ),
    Saboteur(
        "func-value-larger", "func.grad_and_value gives a value that is 0.1 % off",
        ("func.grad:grad_and_value",), "gradient 1",
        transforming("grad_and_value", _value_larger, several),
    ),
    Saboteur(
        "func-grad-slightly-larger", "func.grad is off by 1e-8",
        ("func.grad-smooth:grad",), "rounding explains", transforming("grad", slightly_larger),
    ),
    Saboteur(
        "func-vjp-second-call", "the function that func.vjp returns is 0.1 % off when called again",
        ("func.vjp",), "vjp", replacing(torch.func, "vjp", _second_call_larger),
    ),
    Saboteur(
        "func-jvp-last-tangent", "the last of several tangents counts 0.1 % too much",
        ("func.jvp",), "jvp", replacing(torch.func, "jvp", _second_tangent_lost),
    ),
    Saboteur(
        "func-linearize-stale", "func.linearize repeats its first product",
        ("func.linearize",), "jvp", replacing(torch.func, "linearize", _second_push_stale),
    ),
    *(
        Saboteur(
            f"func-{name}-auxiliary", f"an entry of what func.{name} passes through is 0.1 % off",
            (f"func.auxiliary:{name}",), "auxiliary",
            transforming(name, _auxiliary_larger, _with_auxiliary),
        )
        for name in ("grad", "grad_and_value", "jacrev", "jacfwd")
    ),
    *(
        Saboteur(
            f"func-{name}-auxiliary", f"an entry of what func.{name} passes through is 0.1 % off",
            (f"func.auxiliary:{name}",), "auxiliary",
            replacing(torch.func, name, _auxiliary_of_products),
        )
        for name in ("vjp", "jvp")
    ),
    *(
        Saboteur(
            f"func-{name}-without-grad", f"under no_grad func.{name} gives zeros",
            (f"func.grad-mode-outside:{name}",), name,
            replacing(torch.func, name, _without_grad_lost),
        )
        for name in ("grad", "grad_and_value", "jacrev", "jacfwd", "hessian")
    ),
    Saboteur(
        "func-vjp-without-grad", "under no_grad func.vjp gives zeros",
        ("func.grad-mode-outside:vjp",), "vjp", replacing(torch.func, "vjp", _vjp_grad_ignored),
    ),
    *(
        Saboteur(
            f"func-{name}-ignores-no-grad", f"func.{name} differentiates what no_grad freezes",
            (f"func.grad-mode-inside:{name}",), name,
            replacing(torch.func, name, _grad_mode_ignored),
        )
        for name in ("grad", "jacrev")
    ),
    *(
        Saboteur(
            f"func-{name}-cuts-graph", f"what func.{name} gives is cut from the graph outside",
            (f"func.within-a-graph:{name}",), "derivative", transforming(name, _detached),
        )
        for name in ("grad", "jacrev", "hessian")
    ),
    Saboteur(
        "func-jacfwd-derivative-doubled", "what func.jacfwd gives has twice the derivative outside",
        ("func.within-a-graph:jacfwd",), "derivative",
        transforming("jacfwd", _doubled_derivative),
    ),
    Saboteur(
        "func-grad-sums", "func.grad sums a result that is no scalar",
        ("func.demands-scalar:grad",), "raised nothing",
        replacing(torch.func, "grad", _summing_result),
    ),
    Saboteur(
        "func-jvp-fits-tangents", "func.jvp sums tangents to shape and drops those too many",
        ("func.tangent-shape",), "raised nothing",
        replacing(torch.func, "jvp", _fitting_tangents),
    ),
    Saboteur(
        "func-argnums-wrap", "func.grad takes argnums modulo the number of arguments",
        ("func.argnums-out-of-range:grad",), "raised nothing",
        replacing(torch.func, "grad", _wrapping_argnums),
    ),
    Saboteur(
        "func-negative-is-first", "func.jacrev takes -1 for the first argument",
        ("func.negative-argnums:jacrev",), "jacrev",
        replacing(torch.func, "jacrev", _negative_is_first),
    ),
    Saboteur(
        "linearize-third-call", "what linearize returns repeats its first result when called again",
        ("func.linearize",), "jvp", replacing(torch.func, "linearize", _repeats_the_first),
    ),
)  # fmt: skip
