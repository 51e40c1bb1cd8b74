"""Faults in forward mode: tangents lost or kept, levels left open, views, grad mode."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from tests.saboteurs.faults import accepting, not_after_exceptions, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
UnpackedDual = forward_ad.UnpackedDualTensor


def _tangent(change: Any) -> Any:
    """Change the tangent of what unpack_dual returns, if there is one."""

    def changed(found: Any) -> Any:
        if found.tangent is None:
            return found
        return UnpackedDual(found.primal, change(found.tangent))

    return changed


def _of_rank_two(tensor: Tensor, **_: Any) -> bool:
    return tensor.dim() > 1


def _always(*_: Any, **words: Any) -> bool:
    return True


def _without_grad(*_: Any, **words: Any) -> bool:
    return not torch.is_grad_enabled()


def _one_hot_lost(original: Any) -> Any:
    def make_dual(tensor: Tensor, tangent: Tensor, **words: Any) -> Tensor:
        if tangent.numel() > 1 and bool(tangent.reshape(-1)[-1]):
            alone = int(tangent.count_nonzero()) == 1
            tangent = tangent * 1.001 if alone else tangent
        return original(tensor, tangent, **words)

    return make_dual


def _zeros_for_none(found: Any) -> Any:
    return UnpackedDual(found.primal, torch.zeros_like(found.primal))


def _zeros_without_tangent(original: Any) -> Any:
    def unpack_dual(tensor: Tensor, **words: Any) -> Any:
        found = original(tensor, **words)
        return _zeros_for_none(found) if found.tangent is None else found

    return unpack_dual


def _copies_primal(original: Any) -> Any:
    return lambda tensor, tangent, **words: original(tensor.clone(), tangent, **words)


def _conjugates_tangent(original: Any) -> Any:
    def make_dual(tensor: Tensor, tangent: Tensor, **words: Any) -> Tensor:
        return original(tensor, tangent.conj() if tangent.is_complex() else tangent, **words)

    return make_dual


def _any_level(original: Any) -> Any:
    """Entering a level within another one is let through, and changes nothing."""

    def enter(self: Any) -> Any:
        if forward_ad._current_level >= 0:
            self.nested = True
            return forward_ad._current_level
        return original(self)

    return enter


def _leave_any_level(original: Any) -> Any:
    def leave(self: Any, *rest: Any) -> Any:
        return None if getattr(self, "nested", False) else original(self, *rest)

    return leave


def _nested_levels(monkeypatch: Any) -> None:
    level = forward_ad.dual_level
    monkeypatch.setattr(level, "__enter__", _any_level(level.__enter__))
    monkeypatch.setattr(level, "__exit__", _leave_any_level(level.__exit__))


def _fits_tangent(original: Any) -> Any:
    def make_dual(tensor: Tensor, tangent: Tensor, **words: Any) -> Tensor:
        fitted = tangent if tangent.shape == tensor.shape else tangent.sum_to_size(tensor.shape)
        return original(tensor, fitted, **words)

    return make_dual


def _squared_tangent(original: Any) -> Any:
    """Tangents of two or more count with a little of their square: not linear."""

    def make_dual(tensor: Tensor, tangent: Tensor, **words: Any) -> Tensor:
        return original(tensor, tangent + tangent * tangent * 2.0**-30, **words)

    return make_dual


def _in_place_without_tangent(original: Any) -> Any:
    def mul_(self: Tensor, other: Any) -> Tensor:
        tangent = forward_ad.unpack_dual(self).tangent if forward_ad._current_level >= 0 else None
        before = None if tangent is None else tangent.clone()
        result: Tensor = original(self, other)
        if before is not None:
            forward_ad.unpack_dual(result).tangent.copy_(before)
        return result

    return mul_


def _copied_without_tangent(original: Any) -> Any:
    """copy_ into a view leaves the tangent of what is copied behind."""

    def copy_(self: Tensor, source: Tensor, *further: Any) -> Tensor:
        if forward_ad._current_level >= 0 and self._is_view():
            source = forward_ad.unpack_dual(source).primal
        result: Tensor = original(self, source, *further)
        return result

    return copy_


def _answering(value: Any) -> Patch:
    def instead(tensor: Tensor, tangent: Tensor, **words: Any) -> Tensor:
        return value(tensor, tangent)

    return accepting(forward_ad, "make_dual", RuntimeError, instead)


SABOTEURS = (
    Saboteur(
        "tangent-of-matrix", "the tangent of a result with two dimensions is 0.1 % off",
        ("forward-ad.jvp",), "tangent",
        when(forward_ad, "unpack_dual", _of_rank_two, _tangent(lambda t: t * 1.001)),
    ),
    Saboteur(
        "tangent-slightly-larger", "every tangent is off by 1e-9",
        ("forward-ad.jvp-smooth",), "rounding explains",
        when(forward_ad, "unpack_dual", _always, _tangent(lambda t: t * (1 + 1e-9))),
    ),
    Saboteur(
        "last-column-larger", "the last of the one-hot tangents is 0.1 % too large",
        ("forward-ad.columns",), "Jacobian", replacing(forward_ad, "make_dual", _one_hot_lost),
    ),
    Saboteur(
        "zeros-without-tangent", "a tensor without a tangent has zeros",
        ("forward-ad.no-tangent",), "tangents",
        replacing(forward_ad, "unpack_dual", _zeros_without_tangent),
    ),
    Saboteur(
        "dual-copies-primal", "a dual tensor copies its primal",
        ("forward-ad.unpack-as-made",), "memory of the dual",
        replacing(forward_ad, "make_dual", _copies_primal),
    ),
    Saboteur(
        "dual-conjugates-tangent", "a complex tangent is conjugated",
        ("forward-ad.unpack-as-made",), "tangent",
        replacing(forward_ad, "make_dual", _conjugates_tangent),
    ),
    Saboteur(
        "level-survives-exception", "an exception leaves the level open",
        ("forward-ad.ends-with-level",), "Nested forward mode AD",
        replacing(forward_ad.dual_level, "__exit__", not_after_exceptions),
    ),
    Saboteur(
        "dual-outside-of-level", "make_dual outside of a level returns the primal",
        ("forward-ad.ends-with-level",), "raised nothing",
        _answering(lambda tensor, _: tensor),
    ),
    Saboteur(
        "levels-nest", "a level within a level is let through",
        ("forward-ad.single-level",), "raised nothing", _nested_levels,
    ),
    Saboteur(
        "tangent-summed-to-shape", "a tangent of another shape is summed to the primal's",
        ("forward-ad.refused-tangents",), "raised nothing",
        replacing(forward_ad, "make_dual", _fits_tangent),
    ),
    Saboteur(
        "tangent-lost-under-no-grad", "under no_grad tangents are zeros",
        ("forward-ad.not-disabled-by-no-grad",), "tangent",
        when(forward_ad, "unpack_dual", _without_grad, _tangent(torch.zeros_like)),
    ),
    Saboteur(
        "tangent-not-linear", "a tangent counts with a billionth of its square",
        ("forward-ad.linear-in-tangent",), "J ",
        replacing(forward_ad, "make_dual", _squared_tangent),
    ),
    Saboteur(
        "in-place-keeps-tangent", "mul_ leaves the tangent as it was",
        ("forward-ad.in-place",), "tangent",
        replacing(Tensor, "mul_", _in_place_without_tangent),
    ),
    Saboteur(
        "copy-into-view-without-tangent", "copy_ into a view of a dual writes no tangent",
        ("forward-ad.in-place",), "tangent",
        replacing(Tensor, "copy_", _copied_without_tangent),
    ),
    Saboteur(
        "expanded-primal-zeros", "a dual of an expanded primal that raises has no tangent",
        ("forward-ad.expanded-primal",), "tangent",
        _answering(lambda tensor, _: tensor),
    ),
)  # fmt: skip
