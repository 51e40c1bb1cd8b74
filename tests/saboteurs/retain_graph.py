"""Faults in what a pass frees, and in passes through graphs that were retained."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from tests.saboteurs.passes import Call, both, in_backward, in_grad, leaves_under, listed
from tests.saboteurs.saboteur import Saboteur

Tensor = torch.Tensor


def _create_graph_frees(original: Any, call: Call) -> Any:
    if call.get("retain_graph") is None:
        call["retain_graph"] = False
    return original(**call)


def _create_graph_retains(original: Any, call: Call) -> Any:
    if call.get("create_graph"):
        call["retain_graph"] = True
    return original(**call)


def _none_retains(original: Any, call: Call) -> Any:
    if "retain_graph" in call and call["retain_graph"] is None:
        call["retain_graph"] = True
    return original(**call)


def _false_retains(original: Any, call: Call) -> Any:
    if call.get("retain_graph") is False and not call.get("create_graph"):
        call["retain_graph"] = True
    return original(**call)


def _retains_for_single_input(original: Any, call: Call) -> Any:
    if len(listed(call["inputs"])) == 1 and not call.get("create_graph"):
        call["retain_graph"] = True
    return original(**call)


def _refuses_numbers_again(original: Any, call: Call) -> None:
    for root in listed(call["tensors"]):
        if isinstance(root, Tensor) and root.dim() == 0 and root in _PASSED:
            raise RuntimeError("Trying to backward through the graph a second time")
    original(**call)
    for root in listed(call["tensors"]):
        if isinstance(root, Tensor) and not (call["retain_graph"] or call["create_graph"]):
            _PASSED[root] = True


_PASSED: Any = WeakIdKeyDictionary()


def _frees(root: Tensor) -> None:
    """Free all of a graph."""
    engine: Any = torch.autograd
    engine._engine_run_backward(
        (root,), (torch.zeros_like(root).detach(),), False, False, tuple(leaves_under(root)),
        allow_unreachable=True, accumulate_grad=False,
    )  # fmt: skip


def _inputs_free_all(original: Any, call: Call) -> None:
    root = call["tensors"]
    some = call["inputs"] is not None and isinstance(root, Tensor)
    frees = some and not call["create_graph"] and not call["retain_graph"]
    original(**{**call, "retain_graph": True} if frees else call)
    if frees:
        _frees(root)


def _inputs_free_nothing(original: Any, call: Call) -> Any:
    outputs = call["outputs"]
    if isinstance(outputs, Tensor) and len(leaves_under(outputs)) > len(listed(call["inputs"])):
        call["retain_graph"] = True
    return original(**call)


def _multiples_free(original: Any, call: Call) -> Any:
    root = listed(call["outputs"])[0]
    if isinstance(root, Tensor) and root.dim() == 0 and call.get("retain_graph"):
        call["retain_graph"] = bool(call.get("create_graph"))
    return original(**call)


def _remembers_gradient(original: Any, call: Call) -> None:
    root = call["tensors"]
    if isinstance(root, Tensor) and call["grad_tensors"] is not None and call["retain_graph"]:
        call["grad_tensors"] = _FIRST.setdefault(root, call["grad_tensors"])
    original(**call)


_FIRST: Any = WeakIdKeyDictionary()


def _third_pass_counts_twice(original: Any, call: Call) -> Any:
    root = call["outputs"]
    if isinstance(root, Tensor) and call["grad_outputs"] is not None:
        _COUNTS[root] = _COUNTS.get(root, 0) + 1
        if _COUNTS[root] == 2:
            call["grad_outputs"] = call["grad_outputs"] * 2
    return original(**call)


_COUNTS: Any = WeakIdKeyDictionary()


def _mismatch_frees(original: Any, call: Call) -> None:
    root, given = call["tensors"], call["grad_tensors"]
    if isinstance(root, Tensor) and isinstance(given, Tensor) and given.shape != root.shape:
        _frees(root)
    original(**call)


def _complex_frees(original: Any, call: Call) -> Any:
    root, given = call["outputs"], call["grad_outputs"]
    if isinstance(root, Tensor) and isinstance(given, Tensor) and given.is_complex():
        _frees(root)
    return original(**call)


SABOTEURS = (
    Saboteur(
        "create-graph-frees", "create_graph=True frees the graph unless it is told to retain it",
        ("retain-graph.options:create-graph", "retain-graph.options:create-graph-retain-none"), "",
        both(in_backward(_create_graph_frees), in_grad(_create_graph_frees)),
    ),
    Saboteur(
        "create-graph-always-retains", "create_graph=True overrules retain_graph=False",
        ("retain-graph.options:create-graph-retain-false",), "raised nothing",
        both(in_backward(_create_graph_retains), in_grad(_create_graph_retains)),
    ),
    Saboteur(
        "retain-none-retains", "torch.autograd.grad takes retain_graph=None for True",
        ("retain-graph.options:retain-none",), "raised nothing", in_grad(_none_retains),
    ),
    Saboteur(
        "retain-false-holds", "grad with retain_graph=False holds what was saved",
        ("retain-graph.lets-go:retain-false",), "saved tensors that are held",
        in_grad(_false_retains),
    ),
    Saboteur(
        "single-input-holds", "grad for a single input holds what was saved",
        ("retain-graph.lets-go:default",), "saved tensors that are held",
        in_grad(_retains_for_single_input),
    ),
    Saboteur(
        "numbers-once-only", "a number is refused as a root the second time",
        ("retain-graph.nothing-saved:summed", "retain-graph.nothing-saved:added"), "second time",
        in_backward(_refuses_numbers_again),
    ),
    Saboteur(
        "inputs-free-all", "backward(inputs=...) frees the whole graph",
        ("retain-graph.part-of-the-graph",), "saved tensors of the other part",
        in_backward(_inputs_free_all),
    ),
    Saboteur(
        "some-inputs-free-nothing", "grad for some of the leaves frees nothing",
        ("retain-graph.part-of-the-graph",), "saved tensors of the part passed through",
        in_grad(_inputs_free_nothing),
    ),
    Saboteur(
        "grad-of-numbers-frees", "grad of a number frees the graph though it is to retain it",
        ("retain-graph.shared-part", "retain-graph.options:retain-true"), "second time",
        in_grad(_multiples_free),
    ),
    Saboteur(
        "retained-gradient-remembered", "a retained pass repeats the gradient of the first",
        ("retain-graph.several-passes",), "grad of leaf", in_backward(_remembers_gradient),
    ),
    Saboteur(
        "second-grad-counts-twice", "the second torch.autograd.grad of a result counts twice",
        ("retain-graph.several-passes",), "grad of leaf", in_grad(_third_pass_counts_twice),
    ),
    Saboteur(
        "mismatch-frees", "a gradient of another shape is refused after the graph is freed",
        ("retain-graph.rejected-call:shape",), "saved tensors after the error",
        in_backward(_mismatch_frees),
    ),
    Saboteur(
        "complex-gradient-frees", "a complex gradient is refused after the graph is freed",
        ("retain-graph.rejected-call:complex",), "saved tensors after the error",
        in_grad(_complex_frees),
    ),
)  # fmt: skip
