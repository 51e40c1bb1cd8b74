"""Faults in derivatives of derivatives: only with a graph, only the third, only one mode."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from tests.saboteurs.autograd import leaves_of
from tests.saboteurs.faults import changed, when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _derivative_off(found: Any) -> Any:
    """The same values, with a derivative that is 0.1 % off."""
    return changed(found, lambda tensor: tensor * 1.001 - tensor.detach() * 0.001)


def _slightly_off(found: Any) -> Any:
    return changed(found, lambda t: t * (1 + 1e-8) - t.detach() * 1e-8)


def _with_graph(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("create_graph"))


def _of_gradients(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    """With a graph, of results that have no fewer than twelve nodes in a chain under them."""
    node, depth = getattr(outputs, "grad_fn", None), 0
    while node is not None:
        depth += 1
        node = next((following for following, _ in node.next_functions if following), None)
    return bool(words.get("create_graph")) and depth > 12


def _retained(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return bool(words.get("retain_graph"))


def _first_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001, 0)


def _single(outputs: Any, inputs: Any, *_: Any, **words: Any) -> bool:
    return isinstance(inputs, list) and len(inputs) == 1


def _backward_off(original: Any) -> Any:
    """What backward(create_graph=True) leaves has a derivative that is 0.1 % off."""

    def backward(self: Tensor, *arguments: Any, **words: Any) -> None:
        leaves = set(leaves_of(self.grad_fn)) if words.get("create_graph") else set()
        original(self, *arguments, **words)
        for leaf in leaves:
            leaf.grad = _derivative_off(leaf.grad)

    return backward


def _frees(original: Any) -> Any:
    """create_graph=True does not retain the graph."""

    def grad(*arguments: Any, **words: Any) -> Any:
        if words.get("create_graph"):
            words.setdefault("retain_graph", False)
        return original(*arguments, **words)

    return grad


def _retains(original: Any) -> Any:
    return lambda *arguments, **words: original(*arguments, **{**words, "retain_graph": True})


def _tangent_off(original: Any) -> Any:
    def unpack_dual(tensor: Tensor, **words: Any) -> Any:
        found = original(tensor, **words)
        if found.tangent is None or not found.primal.requires_grad:
            return found
        spoiled = found.tangent * 1.001 - found.tangent.detach() * 0.001
        return forward_ad.UnpackedDualTensor(found.primal, spoiled)

    return unpack_dual


def _tangent_of_gradients_off(original: Any) -> Any:
    """Tangents of what has dimensions, beyond scalars, are off by 1e-8."""

    def unpack_dual(tensor: Tensor, **words: Any) -> Any:
        found = original(tensor, **words)
        if found.tangent is None:
            return found
        return forward_ad.UnpackedDualTensor(found.primal, found.tangent * (1 + 1e-8))

    return unpack_dual


def _saves_detached(original: Any) -> Any:
    """A Function's saved tensors are detached where grad mode is on: its second derivative goes."""

    def save_for_backward(self: Any, *tensors: Tensor) -> None:
        self.to_save = tuple(tensor.detach() for tensor in tensors)

    return save_for_backward


def _no_error(original: Any) -> Any:
    """The node that is to raise gives back what it gets."""

    def delayed(message: bytes, count: int) -> Any:
        return lambda *tensors: tensors[0] if count == 1 else tensors

    return delayed


SABOTEURS = (
    Saboteur(
        "second-derivative-off", "gradients with a graph have a derivative that is 1e-8 off",
        ("higher-order.second-smooth",), "rounding explains",
        when(torch.autograd, "grad", _with_graph, _slightly_off),
    ),
    Saboteur(
        "second-derivative-per-mille", "gradients with a graph have a derivative that is 0.1 % off",
        ("higher-order.symmetric", "higher-order.mixed-partial", "higher-order.to-cotangent",
         "higher-order.gradient-penalty", "higher-order.hessian-product"), "",
        when(torch.autograd, "grad", _with_graph, _derivative_off),
    ),
    Saboteur(
        "third-derivative-off", "gradients of long graphs have a derivative that is 0.1 % off",
        ("higher-order.third-smooth", "higher-order.third-polynomial"), "third derivative",
        when(torch.autograd, "grad", _of_gradients, _derivative_off),
    ),
    Saboteur(
        "first-row-off", "the first gradient of a pass that retains its graph is 0.1 % off",
        ("higher-order.symmetric",), "Hessian",
        when(torch.autograd, "grad", _retained, _first_larger),
    ),
    Saboteur(
        "create-graph-frees-second", "create_graph=True frees the graph",
        ("higher-order.create-graph-retains",), "second time",
        replacing(torch.autograd, "grad", _frees),
    ),
    Saboteur(
        "grad-always-retains", "autograd.grad never frees the graph",
        ("higher-order.create-graph-retains",), "raised nothing",
        replacing(torch.autograd, "grad", _retains),
    ),
    Saboteur(
        "backward-graph-off", "what backward(create_graph=True) leaves has a wrong derivative",
        ("higher-order.backward-create-graph",), "", replacing(Tensor, "backward", _backward_off),
    ),
    Saboteur(
        "tangent-derivative-off", "the derivative of a tangent is 0.1 % off",
        ("higher-order.modes:reverse-over-forward",), "H v",
        replacing(forward_ad, "unpack_dual", _tangent_off),
    ),
    Saboteur(
        "tangent-of-gradient-off", "the tangent of a gradient is 1e-8 off",
        ("higher-order.modes:forward-over-reverse",), "H v",
        replacing(forward_ad, "unpack_dual", _tangent_of_gradients_off),
    ),
    Saboteur(
        "reverse-over-reverse-off", "gradients with a graph have a derivative 1e-8 off, in reverse",
        ("higher-order.modes:reverse-over-reverse",), "H v",
        when(torch.autograd, "grad", _with_graph, _slightly_off),
    ),
    Saboteur(
        "custom-saved-detached", "a Function saves its tensors without their history",
        ("higher-order.custom-function:cube", "higher-order.custom-function:cube-by-parts"), "",
        replacing(torch.autograd.function.FunctionCtx, "save_for_backward", _saves_detached),
    ),
    Saboteur(
        "once-differentiable-is-constant", "a second pass takes what is once differentiable so",
        ("higher-order.once-differentiable:backward",), "raised nothing",
        replacing(torch._C._functions, "DelayedError", _no_error),
    ),
)  # fmt: skip
