"""Faults in torch.autograd.grad: its inputs, what is unused, batches."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting
from tests.saboteurs.passes import Call, in_grad, leaves_under, listed
from tests.saboteurs.saboteur import Saboteur

Tensor = torch.Tensor


def _repeated_input_once(original: Any, call: Call) -> Any:
    found = original(**call)
    seen: set[int] = set()
    unique = []
    for tensor, gradient in zip(listed(call["inputs"]), found, strict=True):
        again = id(tensor) in seen
        unique.append(torch.zeros_like(gradient) if again else gradient)
        seen.add(id(tensor))
    return tuple(unique)


def _tuple_of_inputs_in_order_of_use(original: Any, call: Call) -> Any:
    if isinstance(call["inputs"], tuple) and len(call["inputs"]) > 2:
        return tuple(original(**{**call, "inputs": call["inputs"][::-1]}))
    return original(**call)


def _single_input_bare(original: Any, call: Call) -> Any:
    found = original(**call)
    return found[0] if isinstance(call["inputs"], Tensor) else found


def _results_cut(original: Any, call: Call) -> Any:
    found = list(original(**call))
    inputs = listed(call["inputs"])
    if any(isinstance(t, Tensor) and t.grad_fn is not None for t in inputs):
        for number, tensor in enumerate(inputs):
            if isinstance(tensor, Tensor) and tensor.is_leaf and found[number] is not None:
                found[number] = torch.zeros_like(found[number])
    return tuple(found)


def _output_gets_ones(original: Any, call: Call) -> Any:
    found = list(original(**call))
    for number, tensor in enumerate(listed(call["inputs"])):
        if tensor is listed(call["outputs"])[0]:
            found[number] = torch.ones_like(found[number])
    return tuple(found)


def _first_may_be_unused(original: Any, call: Call) -> Any:
    first = listed(call["inputs"])[0]
    unreached = isinstance(first, Tensor) and not first.is_leaf and len(listed(call["inputs"])) > 1
    return original(**{**call, "allow_unused": True} if unreached else call)


def _zeros_of_one_dtype(original: Any, call: Call) -> Any:
    found = original(**call)
    if not call.get("materialize_grads") or call.get("is_grads_batched"):
        return found
    return tuple(
        g.to(torch.float32) if g is not None and g.dtype == torch.float16 else g for g in found
    )


def _unused_zeros_under_create_graph(original: Any, call: Call) -> Any:
    found = original(**call)
    if not call.get("create_graph") or not call.get("allow_unused"):
        return found
    inputs = listed(call["inputs"])
    return tuple(
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(inputs, found, strict=True)
    )


def _materialize_wins(original: Any, call: Call) -> Any:
    if call.get("materialize_grads") and call.get("allow_unused") is False:
        call["allow_unused"] = None
    return original(**call)


def _without_constants(outputs: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    if not options.get("allow_unused"):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return (None,) * len(inputs)


def _recorded_clears_leaves(original: Any, call: Call) -> Any:
    found = original(**call)
    if call.get("create_graph"):
        for leaf in leaves_under(call["outputs"]):
            leaf.grad = None
    return found


def _other_leaves_get_grad(original: Any, call: Call) -> Any:
    chosen = {id(tensor) for tensor in listed(call["inputs"])}
    others = [t for t in leaves_under(call["outputs"]) if id(t) not in chosen]
    found = original(**call)
    for leaf in others:
        leaf.grad = torch.zeros_like(leaf).detach() if leaf.grad is None else leaf.grad
    return found


def _batch_of_one_squeezed(original: Any, call: Call) -> Any:
    found = original(**call)
    batch = call.get("is_grads_batched") and listed(call["grad_outputs"])[0]
    if isinstance(batch, Tensor) and len(batch) == 1:
        return tuple(g[0] for g in found)
    return found


def _second_output_of_first_slice(original: Any, call: Call) -> Any:
    batches = listed(call["grad_outputs"])
    if call.get("is_grads_batched") and len(batches) > 1:
        batches[1] = batches[1][:1].expand_as(batches[1])
        call["grad_outputs"] = batches
    return original(**call)


def _batched_unused_zeros(original: Any, call: Call) -> Any:
    found = original(**call)
    if not call.get("is_grads_batched"):
        return found
    inputs = listed(call["inputs"])
    return tuple(
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(inputs, found, strict=True)
    )


def _batch_squeezed_to_shape(original: Any, call: Call) -> Any:
    batch, output = call["grad_outputs"], call["outputs"]
    if call.get("is_grads_batched") and isinstance(batch, Tensor) and isinstance(output, Tensor):
        call["grad_outputs"] = batch.reshape(batch.shape[0], *output.shape)
    return original(**call)


SABOTEURS = (
    Saboteur(
        "repeated-input-once", "grad gives zeros for an input that is given again",
        ("autograd-grad.one-for-each-input",), "gradient", in_grad(_repeated_input_once),
    ),
    Saboteur(
        "three-inputs-reversed", "grad for a tuple of three inputs is in reversed order",
        ("autograd-grad.one-for-each-input",), "gradient",
        in_grad(_tuple_of_inputs_in_order_of_use),
    ),
    Saboteur(
        "single-input-bare", "grad for a single tensor is a tensor",
        ("autograd-grad.single-input",), "what is returned", in_grad(_single_input_bare),
    ),
    Saboteur(
        "results-cut-the-leaves", "grad for a result and a leaf takes the result for a constant",
        ("autograd-grad.results-as-inputs",), "gradient to the leaf", in_grad(_results_cut),
    ),
    Saboteur(
        "output-as-input-ones", "grad for the output itself ignores the gradient given",
        ("autograd-grad.results-as-inputs",), "gradient to the output", in_grad(_output_gets_ones),
    ),
    Saboteur(
        "first-may-be-unused", "an unused input is no error if it is the first",
        ("autograd-grad.unused-raises",), "raised nothing", in_grad(_first_may_be_unused),
    ),
    Saboteur(
        "half-zeros-are-floats", "materialized zeros for float16 inputs are float32",
        ("autograd-grad.unused:materialized",), "dtype", in_grad(_zeros_of_one_dtype),
    ),
    Saboteur(
        "recorded-unused-zeros", "unused inputs get zeros under create_graph",
        ("autograd-grad.unused:allowed",), "gradient of an unused input",
        in_grad(_unused_zeros_under_create_graph),
    ),
    Saboteur(
        "materialize-wins", "materialize_grads=True overrules allow_unused=False",
        ("autograd-grad.materialize-conflict",), "raised nothing", in_grad(_materialize_wins),
    ),
    Saboteur(
        "constant-input-unused", "an input that is a constant counts as unused",
        ("autograd-grad.constant-input",), "raised nothing",
        accepting(torch.autograd, "grad", RuntimeError, _without_constants),
    ),
    Saboteur(
        "recorded-grad-clears-leaves", "grad with create_graph=True sets leaves' .grad to None",
        ("autograd-grad.leaves-untouched",), "grad is the object it was",
        in_grad(_recorded_clears_leaves),
    ),
    Saboteur(
        "grad-zeros-for-the-others", "grad gives zeros to .grad of leaves that are no inputs",
        ("autograd-grad.leaves-untouched",), "grad is the object it was",
        in_grad(_other_leaves_get_grad),
    ),
    Saboteur(
        "batch-of-one-squeezed", "the gradients of a batch of one lack the batch dimension",
        ("autograd-grad.batched",), "shape", in_grad(_batch_of_one_squeezed),
    ),
    Saboteur(
        "second-batch-of-first-slice", "the second output's batch repeats its first slice",
        ("autograd-grad.batched",), "gradient", in_grad(_second_output_of_first_slice),
    ),
    Saboteur(
        "batched-unused-zeros", "unused inputs of a batch get zeros",
        ("autograd-grad.batched-unused:allowed",), "gradient of an unused input",
        in_grad(_batched_unused_zeros),
    ),
    Saboteur(
        "batch-squeezed-to-shape", "a batch of another shape is reshaped to the output's",
        ("autograd-grad.batched-shape",), "raised nothing", in_grad(_batch_squeezed_to_shape),
    ),
)  # fmt: skip
