"""Faults in gradcheck: checks that don't check, and inputs that are not put back."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, dropping, rewriting
from tests.saboteurs.saboteur import Saboteur, replacing


def _leaves_inputs_moved(original: Any) -> Any:
    def check(function: Any, inputs: Any, **keywords: Any) -> Any:
        result = original(function, inputs, **keywords)
        if keywords.get("fast_mode"):
            with torch.no_grad():
                inputs[0][..., -1] += 1e-6
        return result

    return check


def _loosely(function: Any, inputs: Any, **keywords: Any) -> Any:
    return (function, inputs), {"atol": 0.2, **keywords}


def _whatever_the_backward(function: Any, inputs: Any, **keywords: Any) -> Any:
    return (function, inputs), {**keywords, "nondet_tol": 1.0}


def _first_order_only(original: Any) -> Any:
    return lambda function, inputs, **keywords: torch.autograd.gradcheck(
        function, inputs, **keywords
    )


def _first_input_alone(function: Any, inputs: Any, **keywords: Any) -> Any:
    first, *others = inputs
    detached = [o.detach() if isinstance(o, torch.Tensor) else o for o in others]
    return (function, (first, *detached)), keywords


SABOTEURS = (
    Saboteur(
        "inputs-left-moved", "gradcheck in fast mode leaves the inputs a step aside",
        ("gradcheck.right",), "was modified",
        replacing(torch.autograd, "gradcheck", _leaves_inputs_moved),
    ),
    Saboteur(
        "gradcheck-is-loose", "gradcheck tolerates 0.2 by default",
        ("gradcheck.wrong:one-entry",), "raised nothing",
        rewriting(torch.autograd, "gradcheck", _loosely),
    ),
    Saboteur(
        "gradgradcheck-checks-first-order", "gradgradcheck checks first derivatives only",
        ("gradcheck.second-order",), "raised nothing",
        replacing(torch.autograd, "gradgradcheck", _first_order_only),
    ),
    Saboteur(
        "forward-ad-unchecked", "gradcheck ignores check_forward_ad",
        ("gradcheck.forward",), "raised nothing",
        dropping(torch.autograd, "gradcheck", "check_forward_ad"),
    ),
    Saboteur(
        "nondeterminism-tolerated", "gradcheck tolerates gradients that differ",
        ("gradcheck.deterministic",), "raised nothing",
        rewriting(torch.autograd, "gradcheck", _whatever_the_backward),
    ),
    Saboteur(
        "nothing-to-check", "gradcheck without anything to check returns True",
        ("gradcheck.needs-grad",), "raised nothing",
        accepting(torch.autograd, "gradcheck", ValueError, lambda *_, **__: True),
    ),
    Saboteur(
        "second-input-unchecked", "gradcheck looks at the first input alone",
        ("gradcheck.every-pair",), "raised nothing",
        rewriting(torch.autograd, "gradcheck", _first_input_alone),
    ),
)  # fmt: skip
