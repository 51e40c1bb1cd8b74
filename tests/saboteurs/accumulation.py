"""Faults in accumulation: what a pass does to a .grad that is there, its memory, resets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import when
from tests.saboteurs.passes import Call, in_backward, leaves_under, listed
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
Graph: Any = torch.autograd.graph.GradientEdge


def _after_each_pass(change: Callable[[Call, list[Any]], None]) -> Any:
    """Return the patch that does something to the leaves that a pass has reached."""

    def fault(original: Any, call: Call) -> None:
        edges = isinstance(listed(call["tensors"])[0], Graph)
        leaves = [] if edges else leaves_under(call["tensors"])
        original(**call)
        change(call, [leaf for leaf in leaves if leaf.grad is not None])

    return in_backward(fault)


def _inputs_overwrite(original: Any, call: Call) -> None:
    for leaf in listed(call["inputs"] or ()):
        if isinstance(leaf, Tensor) and leaf.is_leaf and leaf.dim() == 0:
            leaf.grad = None
    original(**call)


def _new_object(call: Call, leaves: list[Any]) -> None:
    for leaf in leaves:
        if leaf.dim() > 0 and not call["create_graph"]:
            leaf.grad = leaf.grad.clone()


def _requires_grad(call: Call, leaves: list[Any]) -> None:
    for leaf in leaves:
        if leaf.grad is not None and leaf.grad._version > 2 and leaf.grad.grad_fn is None:
            leaf.grad.requires_grad_()


def _replaced_is_updated(original: Any, call: Call) -> None:
    held: list[tuple[Any, Any]] = [(leaf, leaf.grad) for leaf in leaves_under(call["tensors"])]
    original(**call)
    for leaf, old in held:
        if call["create_graph"] and old is not None and old is not leaf.grad:
            old.data.copy_(leaf.grad)


def _earlier_passes_are_constants(original: Any, call: Call) -> None:
    for leaf in leaves_under(call["tensors"]):
        if call["create_graph"] and leaf.grad is not None:
            leaf.grad = leaf.grad.detach()
    original(**call)


def _equal_gradients_share(call: Call, leaves: list[Any]) -> None:
    for one, other in pairwise(leaves):
        if one.shape == other.shape and torch.equal(one.grad, other.grad):
            other.grad = one.grad.view_as(other.grad)


def _channels_last_contiguous(call: Call, leaves: list[Any]) -> None:
    for leaf in leaves:
        if leaf.dim() == 4 and not leaf.grad.is_contiguous():
            leaf.grad = leaf.grad.contiguous()


def _as_the_gradient_given(call: Call, leaves: list[Any]) -> None:
    for leaf in leaves:
        if leaf.dim() == 2 and not leaf.is_contiguous() and leaf.stride(0) > leaf.stride(1):
            leaf.grad = leaf.grad.t().contiguous().t()


def _first_group_alone(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        groups = self.param_groups
        self.param_groups = groups[:1] if set_to_none else groups
        original(self, set_to_none)
        self.param_groups = groups

    return zero_grad


def _own_parameters_alone(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        within = self._modules
        self._modules = {} if set_to_none and self._parameters else within
        original(self, set_to_none)
        self._modules = within

    return zero_grad


def _zeros_are_new(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    zeros = torch.zeros_like(parameter).detach()
                    parameter.grad = None if set_to_none else zeros

    return zero_grad


def _zeros_keep_flag(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        recorded = [p.grad for p in self.parameters() if p.grad is not None and p.grad.grad_fn]
        original(self, set_to_none)
        for gradient in recorded:
            gradient.requires_grad_()

    return zero_grad


def _half_zero(original: Any) -> Any:
    def zero_(self: Tensor) -> Tensor:
        return original(self) if self.dim() < 2 else self.mul_(self != self.flatten()[-1])

    return zero_


_GRAD: Any = torch._C.TensorBase.grad


def _delete_zeros(self: Tensor) -> None:
    found = _GRAD.__get__(self)
    _GRAD.__set__(self, None if found is None else torch.zeros_like(found))


def _deletion_leaves_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    found = property(_GRAD.__get__, _GRAD.__set__, _delete_zeros)
    monkeypatch.setattr(Tensor, "grad", found, raising=False)


def _of_a_part(prediction: Tensor, *rest: Any, reduction: str = "mean", **words: Any) -> bool:
    whole = prediction._base
    return reduction == "mean" and whole is not None and whole.shape != prediction.shape


def _weighed_as_whole(loss: Tensor) -> Tensor:
    return loss * 0.5


def _of_one_sample(prediction: Tensor, *rest: Any, reduction: str = "mean", **words: Any) -> bool:
    return reduction == "sum" and prediction.numel() == 1


SABOTEURS = (
    Saboteur(
        "inputs-overwrite-numbers", "backward(inputs=...) replaces the .grad of a number",
        ("accumulation.across-graphs",), "grad of leaf", in_backward(_inputs_overwrite),
    ),
    Saboteur(
        "sum-is-a-new-tensor", "backward replaces .grad by a new tensor each time",
        ("accumulation.in-place",), "grad is the tensor it was", _after_each_pass(_new_object),
    ),
    Saboteur(
        "third-sum-requires-grad", "a .grad that was added to often requires grad",
        ("accumulation.in-place",), "history of grad", _after_each_pass(_requires_grad),
    ),
    Saboteur(
        "replaced-grad-is-updated", "the .grad that create_graph replaces gets the sum as well",
        ("accumulation.replaced-by-graph",), "the grad replaced",
        in_backward(_replaced_is_updated),
    ),
    Saboteur(
        "earlier-recorded-passes-constant", "create_graph adds to earlier gradients as constants",
        ("accumulation.recorded-sum",), "grad of leaf",
        in_backward(_earlier_passes_are_constants),
    ),
    Saboteur(
        "equal-gradients-share", "leaves with equal gradients share their memory",
        ("accumulation.own-memory",), "grad of leaf", _after_each_pass(_equal_gradients_share),
    ),
    Saboteur(
        "channels-last-grad-contiguous", "the gradient of a channels-last leaf is row-major",
        ("accumulation.layout:dense",), "strides of grad",
        _after_each_pass(_channels_last_contiguous),
    ),
    Saboteur(
        "stepped-grad-transposed", "the gradient of a stepped matrix is column-major",
        ("accumulation.layout:not-dense",), "strides of grad",
        _after_each_pass(_as_the_gradient_given),
    ),
    Saboteur(
        "zero-grad-of-first-group", "Optimizer.zero_grad resets the first group alone",
        ("accumulation.reset-to-none:optimizer",), "grad after the reset",
        replacing(torch.optim.Optimizer, "zero_grad", _first_group_alone),
    ),
    Saboteur(
        "zero-grad-of-own-parameters", "Module.zero_grad leaves out modules within",
        ("accumulation.reset-to-none:module",), "grad after the reset",
        replacing(torch.nn.Module, "zero_grad", _own_parameters_alone),
    ),
    Saboteur(
        "deleted-grad-is-zeros", "deleting .grad leaves zeros",
        ("accumulation.reset-to-none:delete",), "grad after the reset", _deletion_leaves_zeros,
    ),
    Saboteur(
        "zero-grad-replaces", "Optimizer.zero_grad(set_to_none=False) replaces .grad",
        ("accumulation.reset-to-zeros:optimizer-zeros",), "grad is the tensor it was",
        replacing(torch.optim.Optimizer, "zero_grad", _zeros_are_new),
    ),
    Saboteur(
        "zero-grad-keeps-flag", "Module.zero_grad(set_to_none=False) leaves requires_grad",
        ("accumulation.reset-to-zeros:module-zeros",), "requires_grad of grad",
        replacing(torch.nn.Module, "zero_grad", _zeros_keep_flag),
    ),
    Saboteur(
        "zero-of-matrices-partly", "zero_ of a matrix leaves most elements",
        ("accumulation.reset-to-zeros:zero",), "grad of leaf",
        replacing(Tensor, "zero_", _half_zero),
    ),
    Saboteur(
        "mean-over-part-of-a-whole", "the mean loss of a part of a batch is halved",
        ("accumulation.micro-batches:mse-mean",), "grad",
        when(torch.nn.functional, "mse_loss", _of_a_part, _weighed_as_whole),
    ),
    Saboteur(
        "sum-over-one-sample", "the summed Huber loss of one sample is halved",
        ("accumulation.micro-batches:huber-sum",), "grad",
        when(torch.nn.functional, "huber_loss", _of_one_sample, _weighed_as_whole),
    ),
)  # fmt: skip
