"""Faults in backward passes: roots, the gradients given to them, and ``inputs=``."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.passes import Call, in_backward, in_grad, leaves_under, listed
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def _each_root_once(original: Any, call: Call) -> None:
    roots = listed(call["tensors"])
    given = call["grad_tensors"]
    if len(roots) > 1 and given is not None:
        once = {id(root): (root, cotangent) for root, cotangent in zip(roots, given, strict=False)}
        call["tensors"], call["grad_tensors"] = map(list, zip(*once.values(), strict=True))
    original(**call)


def _last_of_three_ignored(original: Any, call: Call) -> Any:
    roots = listed(call["outputs"])
    if len(roots) > 2:
        call["outputs"] = roots[:-1]
        call["grad_outputs"] = listed(call["grad_outputs"])[:-1]
    return original(**call)


def _making_grads(change: Any) -> Patch:
    """Patch how gradients that are not given are made, and given ones are checked."""

    def make(original: Any) -> Any:
        def make_grads(roots: Any, given: Any, is_grads_batched: bool) -> Any:
            return change(original, roots, given, is_grads_batched)

        return make_grads

    return replacing(torch.autograd, "_make_grads", make)


def _none_beside_tensor_is_zero(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    beside = len(given) > 1 and isinstance(given[0], Tensor)
    filled = [
        torch.zeros_like(root) if beside and cotangent is None else cotangent
        for root, cotangent in zip(roots, given, strict=False)
    ]
    return original(roots, filled + list(given[len(filled) :]), batched)


def _complex_starts_from_one(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    filled = [
        torch.ones_like(root) if cotangent is None and root.is_complex() else cotangent
        for root, cotangent in zip(roots, given, strict=False)
    ]
    return original(roots, filled, batched)


def _missing_start_from_one(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    return original(roots, [*given, *[None] * (len(roots) - len(given))], batched)


def _numbers_converted(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    converted = [
        torch.full_like(root, g) if isinstance(g, (int, float)) else g
        for root, g in zip(roots, given, strict=False)
    ]
    return original(roots, [*converted, *given[len(converted) :]], batched)


def _strings_ignored(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    return original(roots, [None if isinstance(g, str) else g for g in given], batched)


def _real_part_taken(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    taken = [
        g.real if g is not None and g.is_complex() and not root.is_complex() else g
        for root, g in zip(roots, given, strict=False)
    ]
    return original(roots, taken, batched)


def _widened_to_complex(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    widened = [
        g.to(root.dtype) if g is not None and root.dtype == torch.complex64 else g
        for root, g in zip(roots, given, strict=False)
    ]
    return original(roots, widened, batched)


def _bytes_wrap(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    wrapped = [-g if isinstance(g, Tensor) and g.dtype == torch.uint8 else g for g in given]
    return original(roots, wrapped, batched)


def _expanded_of_other_dtype(original: Any, roots: Any, given: Any, batched: bool) -> Any:
    changed = [
        g * 2 if isinstance(g, Tensor) and g.dtype != root.dtype and 0 in g.stride() else g
        for root, g in zip(roots, given, strict=False)
    ]
    return original(roots, [*changed, *given[len(changed) :]], batched)


def _skips_constants_and_counts_them(original: Any, call: Call) -> None:
    roots = listed(call["tensors"])
    variable = [root for root in roots if not isinstance(root, Tensor) or root.requires_grad]
    if variable and len(variable) < len(roots):
        call["tensors"] = variable
        call["grad_tensors"] = [torch.full_like(r, float(len(roots))).detach() for r in variable]
    original(**call)


def _constants_do_nothing(original: Any, call: Call) -> None:
    roots = listed(call["tensors"])
    numbers = all(isinstance(root, Tensor) and root.is_complex() for root in roots)
    if not numbers or any(root.requires_grad for root in roots):
        original(**call)


def _leaf_takes_what_it_is_given(original: Any, call: Call) -> None:
    roots, given = listed(call["tensors"]), call["grad_tensors"]
    leaf = roots[0]
    alone = len(roots) == 1 and isinstance(leaf, Tensor) and leaf.is_leaf and leaf.requires_grad
    original(**call)
    if alone and given is not None and torch.equal(leaf.grad, listed(given)[0]):
        leaf.grad = listed(given)[0]


def _retained_roots_count_first_twice(original: Any, call: Call) -> None:
    roots, given = listed(call["tensors"]), call["grad_tensors"]
    if len(roots) > 1 and call["retain_graph"]:
        call["grad_tensors"] = [given[0] * 2, *given[1:]]
    original(**call)


def _single_input_is_no_limit(original: Any, call: Call) -> None:
    if isinstance(call["inputs"], Tensor):
        call["inputs"] = None
    original(**call)


def _clears_others(original: Any, call: Call) -> None:
    original(**call)
    if call["inputs"] is not None and isinstance(call["tensors"], Tensor):
        chosen = {id(tensor) for tensor in listed(call["inputs"])}
        for leaf in leaves_under(call["tensors"]):
            if id(leaf) not in chosen:
                leaf.grad = None


def _results_overwritten(original: Any, call: Call) -> None:
    for tensor in listed(call["inputs"] or ()):
        if isinstance(tensor, Tensor) and not tensor.is_leaf:
            tensor.grad = None
    original(**call)


def _stops_at_results(original: Any, call: Call) -> None:
    tensors = [t for t in listed(call["inputs"] or ()) if isinstance(t, Tensor)]
    results = [t for t in tensors if not t.is_leaf]
    if results and len(results) < len(tensors):
        call["inputs"] = results
    original(**call)


def _unreached_get_zeros(original: Any, call: Call) -> None:
    original(**call)
    for tensor in listed(call["inputs"] or ()):
        if isinstance(tensor, Tensor) and tensor.is_leaf and tensor.grad is None:
            tensor.grad = torch.zeros_like(tensor).detach()


def _unreached_reset(original: Any, call: Call) -> None:
    reached = {id(leaf) for leaf in leaves_under(call["tensors"])} if call["inputs"] else set()
    original(**call)
    for tensor in listed(call["inputs"] or ()):
        if isinstance(tensor, Tensor) and tensor.is_leaf and id(tensor) not in reached:
            tensor.grad = None


def _empty_is_no_limit(original: Any, call: Call) -> None:
    if isinstance(call["inputs"], tuple) and not call["inputs"]:
        call["inputs"] = None
    original(**call)


def _create_graph_needs_grad_mode(original: Any, call: Call) -> Any:
    if call.get("create_graph") and not torch.is_grad_enabled():
        call["create_graph"] = False
    return original(**call)


def _leaves_grad_mode_on(original: Any, call: Call) -> Any:
    found = original(**call)
    if call.get("create_graph"):
        torch._C._set_grad_enabled(True)
    return found


SABOTEURS = (
    Saboteur(
        "repeated-root-counts-once", "a root that is given twice counts once",
        ("backward.roots:backward", "backward.roots:tuple", "backward.leaf-as-root"), "grad",
        in_backward(_each_root_once),
    ),
    Saboteur(
        "third-output-ignored", "grad of three outputs leaves out the last",
        ("backward.roots:grad",), "grad", in_grad(_last_of_three_ignored),
    ),
    Saboteur(
        "none-beside-gradient-is-zero", "None for a root is zero where the first has a gradient",
        ("backward.root-without-gradient:backward", "backward.root-without-gradient:grad"),
        "grad of leaf", _making_grads(_none_beside_tensor_is_zero),
    ),
    Saboteur(
        "constant-roots-counted", "roots that don't require grad count for those that do",
        ("backward.root-ignored:constant-tensor", "backward.root-ignored:constant-integer"),
        "grad of leaf", in_backward(_skips_constants_and_counts_them),
    ),
    Saboteur(
        "complex-constant-root-ignored", "backward from a complex constant does nothing",
        ("backward.no-graph:backward",), "raised nothing", in_backward(_constants_do_nothing),
    ),
    Saboteur(
        "leaf-keeps-what-it-is-given", "a leaf that is the root keeps the gradient given as .grad",
        ("backward.leaf-as-root",), "gradient given", in_backward(_leaf_takes_what_it_is_given),
    ),
    Saboteur(
        "retained-roots-count-first-twice", "of several retained roots the first counts twice",
        ("backward.order",), "grad of leaf", in_backward(_retained_roots_count_first_twice),
    ),
    Saboteur(
        "bytes-wrap", "a gradient of bytes is negated, and wraps",
        ("backward.gradient-converted",), "grad of leaf", _making_grads(_bytes_wrap),
    ),
    Saboteur(
        "expanded-of-other-dtype-doubled", "an expanded gradient of another dtype counts twice",
        ("backward.gradient-converted",), "grad of leaf", _making_grads(_expanded_of_other_dtype),
    ),
    Saboteur(
        "complex-gradient-of-real", "of a complex gradient for a real root the real part is taken",
        ("backward.gradient-complex:real-root",), "raised nothing", _making_grads(_real_part_taken),
    ),
    Saboteur(
        "real-gradient-of-complex64", "a real gradient for a complex64 root is converted",
        ("backward.gradient-complex:single-complex-root",), "raised nothing",
        _making_grads(_widened_to_complex),
    ),
    Saboteur(
        "complex-starts-from-one", "a complex root of one element starts from 1",
        ("backward.complex-root:backward", "backward.complex-root:grad"), "raised nothing",
        _making_grads(_complex_starts_from_one),
    ),
    Saboteur(
        "missing-gradients-are-one", "roots without a gradient at the end start from 1",
        ("backward.gradient-count:tuple", "backward.gradient-count:grad"), "raised nothing",
        _making_grads(_missing_start_from_one),
    ),
    Saboteur(
        "numbers-are-gradients", "a number given as a gradient is converted",
        ("backward.gradient-type:backward",), "raised nothing", _making_grads(_numbers_converted),
    ),
    Saboteur(
        "strings-are-no-gradients", "a string given as a gradient counts as None",
        ("backward.gradient-type:grad",), "raised nothing", _making_grads(_strings_ignored),
    ),
    Saboteur(
        "single-input-is-no-limit", "backward(inputs=tensor) reaches every leaf",
        ("backward.inputs-subset",), "grad of leaf", in_backward(_single_input_is_no_limit),
    ),
    Saboteur(
        "inputs-clear-others", "backward(inputs=...) sets .grad of the other leaves to None",
        ("backward.inputs-subset",), "grad of leaf", in_backward(_clears_others),
    ),
    Saboteur(
        "results-as-inputs-overwritten", "backward replaces .grad of a result among the inputs",
        ("backward.inputs-results",), "grad of the result", in_backward(_results_overwritten),
    ),
    Saboteur(
        "pass-stops-at-results", "a result among the inputs keeps the leaves from being reached",
        ("backward.inputs-results",), "grad of leaf", in_backward(_stops_at_results),
    ),
    Saboteur(
        "unreached-inputs-zeros", "an input that the root does not depend on gets zeros",
        ("backward.inputs-unreached",), "grad", in_backward(_unreached_get_zeros),
    ),
    Saboteur(
        "unreached-inputs-reset", "an input that the root does not depend on loses its .grad",
        ("backward.inputs-unreached",), "grad of a tensor apart", in_backward(_unreached_reset),
    ),
    Saboteur(
        "empty-tuple-is-no-limit", "backward(inputs=()) reaches every leaf",
        ("backward.inputs-empty:Tensor-backward", "backward.inputs-empty:autograd-backward"),
        "raised nothing", in_backward(_empty_is_no_limit),
    ),
    Saboteur(
        "create-graph-needs-grad-mode", "create_graph=True records nothing under no_grad",
        ("backward.grad-mode:no_grad",), "requires_grad of the gradients",
        in_backward(_create_graph_needs_grad_mode),
    ),
    Saboteur(
        "create-graph-leaves-mode-on", "grad with create_graph=True leaves grad mode on",
        ("backward.grad-mode:no_grad",), "mode within", in_grad(_leaves_grad_mode_on),
    ),
)  # fmt: skip
