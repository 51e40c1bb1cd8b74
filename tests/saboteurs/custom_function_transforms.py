"""Faults in custom Functions under transforms: contexts set up apart, tangents, vmap."""

from __future__ import annotations

from typing import Any

import torch
from torch._functorch import autograd_function
from torch.autograd.function import BackwardCFunction

from tests.saboteurs.faults import dropping, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
Function = torch.autograd.Function


def _inputs_copied(original: Any) -> Any:
    """setup_context gets copies of the inputs."""

    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        setup = cls.__dict__.get("setup_context")
        if setup is None:
            return original.__func__(cls, *arguments, **keywords)

        def faulty(context: Any, inputs: Any, output: Any) -> Any:
            copies = tuple(i.clone() if isinstance(i, Tensor) else i for i in inputs)
            return setup.__func__(context, copies, output)

        cls.setup_context = staticmethod(faulty)
        try:
            return original.__func__(cls, *arguments, **keywords)
        finally:
            cls.setup_context = setup

    return classmethod(apply)


def _tangent_scaled(original: Any) -> Any:
    def apply(self: Any, *tangents: Any) -> Any:
        result = original(self, *tangents)
        return result * (1 + 2.0**-40) if isinstance(result, Tensor) and result.dim() else result

    return apply


def _tangents_filled(original: Any) -> Any:
    def apply(self: Any, *tangents: Any) -> Any:
        return original(self, *(torch.zeros(()) if t is None else t for t in tangents))

    return apply


def _scaled_under_transforms(original: Any) -> Any:
    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original.__func__(cls, *arguments, **keywords)
        active = torch._C._are_functorch_transforms_active()
        return result * (1 + 2.0**-40) if active else result

    return classmethod(apply)


def _forward_without_context(original: Any) -> Any:
    def apply(cls: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            return original.__func__(cls, *arguments, **keywords)
        except RuntimeError:
            return cls.forward(None, *arguments)

    return classmethod(apply)


def _nested(*_: Any) -> bool:
    found = torch._C._functorch.peek_interpreter_stack()
    return found is not None and found.level() > 1


SABOTEURS = (
    Saboteur(
        "context-inputs-copied", "setup_context gets copies of the inputs",
        ("custom-function.setup-context",), "inputs", replacing(Function, "apply", _inputs_copied),
    ),
    Saboteur(
        "tangent-scaled", "the tangent that jvp returns is 2**-40 off, except for numbers",
        ("custom-function.jvp",), "tangent",
        replacing(BackwardCFunction, "apply_jvp", _tangent_scaled),
    ),
    Saboteur(
        "tangents-filled", "jvp gets zeros for the tangent of what is no tensor",
        ("custom-function.jvp-arguments:default", "custom-function.jvp-arguments:off"),
        "tangent of", replacing(BackwardCFunction, "apply_jvp", _tangents_filled),
    ),
    Saboteur(
        "scaled-under-transforms", "a Function's result is 2**-40 off under a transform",
        ("custom-function.func-transforms:jacrev", "custom-function.func-transforms:hessian"),
        "derivative", replacing(Function, "apply", _scaled_under_transforms),
    ),
    Saboteur(
        "forward-without-context", "a transform calls forward without a context",
        ("custom-function.needs-setup-context:grad",), "raised nothing",
        replacing(Function, "apply", _forward_without_context),
    ),
    Saboteur(
        "randomness-not-passed", "vmap does not tell the Function which randomness it was given",
        ("custom-function.vmap",), "what the Function's vmap got",
        dropping(torch.func, "vmap", "randomness"),
    ),
    Saboteur(
        "nested-vmap-rule-scaled", "a generated vmap rule is 2**-40 off within another transform",
        ("custom-function.vmap-rule",), "",
        when(
            autograd_function, "custom_function_call_vmap_generate_rule", _nested,
            lambda result: (result[0] * (1 + 2.0**-40), *result[1:]),
        ),
    ),
    Saboteur(
        "vmap-rule-wins", "generate_vmap_rule=True wins over a vmap of its own",
        ("custom-function.vmap-rejected:both",), "raised nothing",
        replacing(
            autograd_function, "has_overridden_vmap_rule", lambda original: lambda function: False
        ),
    ),
)  # fmt: skip
