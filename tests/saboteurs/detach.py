"""Faults in detach: what it shares, cuts and leaves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
_DATA: Any = torch._C.TensorBase.data


def _itself_without_grad(original: Any) -> Any:
    return lambda tensor: original(tensor) if tensor.requires_grad else tensor


def _numbers_keep_graph(original: Any) -> Any:
    def detach(self: Tensor) -> Tensor:
        keeps = self.requires_grad and self.dim() == 0 and not self.is_leaf
        return self.view_as(self) if keeps else original(self)

    return detach


def _matrices_scale_gradients(original: Any) -> Any:
    def require(self: Tensor, flag: bool = True) -> Tensor:
        result: Tensor = original(self, flag)
        if flag and self.dim() == 2:
            self.register_hook(lambda gradient: gradient * 1.5)
        return result

    return require


def _not_where_retained(original: Any) -> Any:
    return lambda self: self if self.retains_grad else original(self)


def _data_of_matrices(original: Any) -> Any:
    return lambda self: self.data if self.dim() >= 2 else original(self)


def _data_property(read: Any, write: Any) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Tensor, "data", property(read, write), raising=False)

    return patch


def _replace_and_drop_grad(self: Tensor, value: Tensor) -> None:
    _DATA.__set__(self, value)
    self.grad = None


def _keeps_tangent(original: Any) -> Any:
    def detach(tensor: Tensor) -> Tensor:
        tangent = forward_ad.unpack_dual(tensor).tangent
        result: Tensor = original(tensor)
        return result if tangent is None else forward_ad.make_dual(result, tangent.detach())

    return detach


def _unless_recorded(self: Tensor) -> Tensor:
    if self.requires_grad:
        raise RuntimeError("Can't detach views in-place. Use detach() instead")
    return self


SABOTEURS = (
    Saboteur(
        "detach-returns-itself", "torch.detach returns a tensor that requires no grad itself",
        ("detach.new-tensor:function",), "returns the tensor itself",
        replacing(torch, "detach", _itself_without_grad),
    ),
    Saboteur(
        "detached-number-keeps-graph", "detach does not cut a result without dimensions",
        ("detach.freezes-upstream:method",), "grad",
        replacing(Tensor, "detach", _numbers_keep_graph),
    ),
    Saboteur(
        "requires-grad-scales-matrices", "requires_grad_ of a matrix scales its gradient",
        ("detach.two-stages",), "grad",
        replacing(Tensor, "requires_grad_", _matrices_scale_gradients),
    ),
    Saboteur(
        "detach-in-place-not-where-retained", "detach_ ignores a tensor that retains its grad",
        ("detach.in-place:method",), "requires_grad",
        replacing(Tensor, "detach_", _not_where_retained),
    ),
    Saboteur(
        "plain-views-detached-in-place", "detach_ goes through on a view that requires no grad",
        ("detach.in-place-of-view-rejected:method",), "raised nothing",
        accepting(Tensor, "detach_", RuntimeError, _unless_recorded),
    ),
    Saboteur(
        "detached-matrices-uncounted", "writes to a detached matrix go unnoticed, as to its data",
        ("detach.writes-checked:method",), "raised nothing",
        replacing(Tensor, "detach", _data_of_matrices),
    ),
    Saboteur(
        "data-is-checked", "writes to x.data are counted, as to x.detach()",
        ("detach.data-unchecked",), "modified by an inplace operation",
        _data_property(lambda self: self.detach(), _DATA.__set__),
    ),
    Saboteur(
        "data-drops-grad", "assigning to x.data drops x.grad",
        ("detach.data-of-leaf",), "accumulated gradient",
        _data_property(_DATA.__get__, _replace_and_drop_grad),
    ),
    Saboteur(
        "detach-keeps-tangent", "torch.detach keeps the tangent of a dual number",
        ("detach.forward-mode:function",), "tangent of the detached",
        replacing(torch, "detach", _keeps_tangent),
    ),
)  # fmt: skip
