"""Faults in calls of modules with other parameters, and in stacked ensembles."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import rewriting
from tests.saboteurs.saboteur import Saboteur, replacing


def _first_dictionary(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    """Of several dictionaries the last is not seen."""
    kept = state[0] if isinstance(state, tuple) else state
    return (module, kept, *rest), words


def _copied_buffers(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    """What the module writes to buffers stays within the call."""
    if isinstance(state, dict):
        state = {name: tensor.clone() for name, tensor in state.items()}
    return (module, state, *rest), words


def _keeps_after_error(original: Any) -> Any:
    """A call that raises leaves the given tensors in the module."""

    def functional_call(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
        try:
            return original(module, state, *rest, **words)
        except RuntimeError:
            if isinstance(state, dict) and "weight" in state:
                module.weight = torch.nn.Parameter(state["weight"].detach())
            raise

    return functional_call


def _overwrites_after_error(original: Any) -> Any:
    """A call that raises writes given tensors that fit over the module's own values."""

    def functional_call(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
        try:
            return original(module, state, *rest, **words)
        except RuntimeError:
            for name, own in module.named_parameters():
                if name in state and state[name].shape == own.shape:
                    own.data.copy_(state[name])
            raise

    return functional_call


def _detached_parameters(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    """Parameters named with a dot count twice in the graph."""
    if isinstance(state, tuple):
        first = {n: t * 2 - t.detach() if "." in n else t for n, t in state[0].items()}
        state = (first, *state[1:])
    return (module, state, *rest), words


def _never_ties(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    words["tie_weights"] = False
    return (module, state, *rest), words


def _always_ties(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    words.pop("tie_weights", None)
    return (module, state, *rest), words


def _never_strict(module: Any, state: Any, *rest: Any, **words: Any) -> Any:
    words.pop("strict", None)
    return (module, state, *rest), words


def _first_buffers(original: Any) -> Any:
    """Every model gets the first one's buffers."""

    def stack_module_state(models: Any) -> Any:
        parameters, buffers = original(models)
        return parameters, {n: b[:1].expand_as(b).clone() for n, b in buffers.items()}

    return stack_module_state


def _still_connected(original: Any) -> Any:
    """Stacked parameters belong to the graph of the modules' own."""

    def stack_module_state(models: Any) -> Any:
        parameters, buffers = original(models)
        own = [dict(model.named_parameters()) for model in models]
        return {n: torch.stack([each[n] for each in own]) for n in parameters}, buffers

    return stack_module_state


def _of_any_mode(original: Any) -> Any:
    def stack_module_state(models: Any) -> Any:
        modes = [model.training for model in models]
        for model in models:
            model.train()
        try:
            return original(models)
        finally:
            for model, mode in zip(models, modes, strict=True):
                model.train(mode)

    return stack_module_state


SABOTEURS = (
    Saboteur(
        "functional-call-first-dictionary", "functional_call ignores the second dictionary",
        ("func.functional-call",), "", rewriting(torch.func, "functional_call", _first_dictionary),
    ),
    Saboteur(
        "functional-call-copies-buffers", "writes to a buffer do not reach the dictionary",
        ("func.functional-call-buffers",), "buffer given",
        rewriting(torch.func, "functional_call", _copied_buffers),
    ),
    Saboteur(
        "functional-call-keeps-after-error", "after an error the module holds what was given",
        ("func.functional-call-restores",), "the module's own state",
        replacing(torch.func, "functional_call", _keeps_after_error),
    ),
    Saboteur(
        "functional-call-overwrites-after-error", "after an error the module has given values",
        ("func.functional-call-restores",), "the module's own state",
        replacing(torch.func, "functional_call", _overwrites_after_error),
    ),
    Saboteur(
        "functional-call-inner-doubled", "the gradient to an inner module's parameter is doubled",
        ("func.functional-call-gradients",), "gradient inner.bias",
        rewriting(torch.func, "functional_call", _detached_parameters),
    ),
    Saboteur(
        "functional-call-never-ties", "tied parameters are not replaced together",
        ("func.functional-call-tied",), "result of tied",
        rewriting(torch.func, "functional_call", _never_ties),
    ),
    Saboteur(
        "functional-call-always-ties", "tie_weights=False is not seen",
        ("func.functional-call-tied",), "result of untied",
        rewriting(torch.func, "functional_call", _always_ties),
    ),
    Saboteur(
        "functional-call-never-strict", "strict=True is not seen",
        ("func.functional-call-strict",), "raised nothing",
        rewriting(torch.func, "functional_call", _never_strict),
    ),
    Saboteur(
        "stacked-first-buffers", "stacked buffers are all the first model's",
        ("func.stack-module-state",), "buffer",
        replacing(torch.func, "stack_module_state", _first_buffers),
    ),
    Saboteur(
        "stacked-still-connected", "stacked parameters are no leaves",
        ("func.stack-module-state",), "leaves that require grad",
        replacing(torch.func, "stack_module_state", _still_connected),
    ),
    Saboteur(
        "stacked-of-any-mode", "models in training and evaluation mode are stacked",
        ("func.stack-module-state-refused",), "raised nothing",
        replacing(torch.func, "stack_module_state", _of_any_mode),
    ),
)  # fmt: skip
